"""Layer normalization and dropout."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.networks.layers.covariances import Scope
from wilsonian.networks.layers.layer import AbstractParameterFree
from wilsonian.networks.layers.signals import GAUSSIAN


class LayerNorm(AbstractParameterFree):
    r"""Zero mean and unit variance over the features of every input (Ba et al. 2016), without
    learned scales,

    .. math:: K' = \frac{K}{\sqrt{(q_x + \epsilon)(q_z + \epsilon)}}, \quad
       \Theta' = \frac{\Theta}{\sqrt{(q_x + \epsilon)(q_z + \epsilon)}} ,

    because in the limit the mean is zero and the variance does not fluctuate: the dependence of
    both on the weights drops out of :math:`\Theta`. `over` is "channels" (at each position by
    itself) or "all" (over positions too). Raises ArchitectureError after anything but Gaussian
    pre-activations, whose mean is not zero.
    """

    over: Literal["channels", "all"] = eqx.field(static=True, default="channels")
    epsilon: float = eqx.field(static=True, default=1e-12)

    def __check_init__(self):
        if self.over not in ("channels", "all"):
            raise self.error(f"`over` must be 'channels' or 'all', got {self.over!r}.")
        self.check_number("epsilon", self.epsilon)

    def signal(self, signal):
        if signal.law != GAUSSIAN:
            raise self.error(
                f"it normalizes {GAUSSIAN}, whose mean is zero, but it reads {signal.law}; put it "
                "behind a Dense or a Conv."
            )
        return signal

    def apply(self, params, X, *, key=None):
        axes = -1 if self.over == "channels" else tuple(range(1, X.ndim))
        centred = X - jnp.mean(X, axes, keepdims=True)
        return centred / jnp.sqrt(jnp.mean(centred**2, axes, keepdims=True) + self.epsilon)

    def needs(self, scope, *, own):
        return max(scope, Scope.POSITIONS) if own else scope

    def propagate(self, state, scope, own):
        variances = own.variances(state)
        if scope is Scope.NOTHING:
            return state
        if self.over == "all" and state.spatial:
            axes = tuple(range(state.batch_axes, state.covariance.ndim))
            variances = tuple(jnp.mean(q, axes, keepdims=True) for q in variances)
        x_share, z_share = (1 / jnp.sqrt(q + self.epsilon) for q in variances)
        return state.mapped(lambda array: array * x_share * z_share)


class Dropout(AbstractParameterFree):
    r"""Units set to zero with probability `rate`, the rest divided by :math:`1 - r` (Srivastava et
    al. 2014): the kernel of the network in training.

    Masks of two inputs are independent, so only the variance of an input grows, by
    :math:`1 / (1 - r)` (Schoenholz et al. 2017, eq. 12); `kernel(X)` has it on its diagonal, and
    `kernel(X, Z)` never, as with a noise. The finite layer drops units when `apply` gets a key.
    """

    rate: float = eqx.field(static=True, default=0.5)

    def __check_init__(self):
        if not (isinstance(self.rate, int | float | np.floating) and 0 <= self.rate < 1):
            raise self.error(f"`rate` must be a probability below one, got {self.rate!r}.")

    def signal(self, signal):
        law = "dropped-out features" if signal.law == GAUSSIAN else signal.law
        return signal.changed(law=law)

    def apply(self, params, X, *, key=None):
        if key is None:
            return X
        keep = jax.random.bernoulli(key, 1 - self.rate, X.shape)
        return jnp.where(keep, X / (1 - self.rate), 0.0)

    def needs(self, scope, *, own):
        return scope

    def propagate(self, state, scope, own):
        same = own.same(state)
        if same is None:
            return state
        factor = jnp.where(same, 1 / (1 - self.rate), 1.0).astype(state.covariance.dtype)
        return state.mapped(lambda array: array * factor)
