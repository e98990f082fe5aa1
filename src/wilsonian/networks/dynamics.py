"""Training in the infinite-width limit: the NNGP's posterior, and gradient flow of the ensemble."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Float, Int

from wilsonian.core.gaussian import GaussianTargets
from wilsonian.core.precision import compiled
from wilsonian.core.types import Scalar
from wilsonian.kernels import Kernel, as_kernel, check_points, check_widths


class Prediction(eqx.Module):
    """Mean and variance of the function at each point; outputs share the variance."""

    mean: Float[Array, "points ..."]
    variance: Float[Array, " points"]


class Posterior(eqx.Module):
    r"""Exact Gaussian-process regression, :math:`f \sim GP(0, K)`, :math:`y = f(X) + N(0,
    \sigma^2)` (Rasmussen and Williams 2006, eqs. 2.25, 2.26 and 2.30): Bayesian learning by an
    infinitely wide network if the kernel is its NNGP. Made by :func:`posterior`."""

    kernel: Kernel
    points: Float[Array, "n d"]
    seen: GaussianTargets  # of covariance K + sigma^2

    def predict(self, Z: Any) -> Prediction:
        """Posterior of the function (without the noise of a label) at the rows of `Z`."""
        return self._predict(_columns_of(Z, self.points))

    @compiled
    def _predict(self, Z):
        cross = self.kernel.gram(Z, self.points).astype(self.seen.lower.dtype)
        variance = self.kernel.diagonal(Z) - jnp.sum(self.seen.whitened(cross.T) ** 2, axis=0)
        return Prediction(cross @ self.seen.dual, jnp.maximum(variance, 0.0))

    def covariance(self, Z: Any) -> Float[Array, "m m"]:
        """Posterior covariance of the function between the rows of `Z`."""
        return self._covariance(_columns_of(Z, self.points))

    @compiled
    def _covariance(self, Z):
        cross = self.kernel.gram(self.points, Z).astype(self.seen.lower.dtype)
        return self.kernel.gram(Z, Z) - self.seen.reduction(cross)

    def log_evidence(self) -> Float[Array, ""]:
        """Log marginal likelihood of the targets in nats, summed over outputs."""
        return self.seen.log_evidence()


def posterior(kernel: Any, X: Any, y: Any, noise_variance: Scalar) -> Posterior:
    """Posterior of Gaussian-process regression with `kernel` on n rows `X` and targets `y`, (n,)
    or (n, outputs), whose labels carry noise of variance `noise_variance`.

    Factorizes in JAX's widest enabled precision: call it under `jax.enable_x64(True)` if the
    noise is below 1e-5 of the kernel. Raises ValueError for shapes that do not fit together and
    for negative noise.
    """
    kernel, X, y = as_kernel(kernel), *_training_set(X, y)
    return _posterior(kernel, X, y, _not_negative(noise_variance, "noise_variance"))


@compiled
def _posterior(kernel, X, y, noise_variance):
    gram = kernel.gram(X, X).astype(float)
    return Posterior(kernel, X, GaussianTargets.of(gram + noise_variance * jnp.eye(len(X)), y))


class GradientFlow(eqx.Module):
    r"""An ensemble of infinitely wide networks under gradient flow (Lee et al. 2019, eqs. 14-16).

    Every member descends :math:`\frac12 \sum_i |f(x_i) - y_i|^2 + \frac\delta2 |\theta -
    \theta_0|^2` at learning rate :math:`\eta` (the *sum* over examples: for a mean loss divide
    the time by n) from its own initialization. With tangent kernel :math:`\Theta` and covariance
    at initialization :math:`K`,

    .. math::
        f_t(x) &= f_0(x) + G_t(x) (y - f_0(X)), \\
        G_t(x) &= \Theta(x, X) (\Theta + \delta)^{-1} (1 - e^{-\eta t (\Theta + \delta)}),

    so that at any points, those trained on among them, the ensemble has mean :math:`G_t y` and
    covariance :math:`K - G_t K - K G_t^T + G_t (K + \nu) G_t^T`, where :math:`\nu` is the variance
    of noise that each member adds to its targets. Two kinds of training:

    - all parameters: :math:`\Theta` is the NTK;
    - the read-out alone: :math:`\Theta = K`, the NNGP. Without ridge its end is the posterior of
      noiseless regression; with :math:`\delta = \nu = \sigma^2` that of noise :math:`\sigma^2`.

    A mode of :math:`\Theta` is learned once :math:`\eta t \lambda > 1`: time is a cutoff. Made by
    :func:`gradient_flow`; times may be traced, mapped over and infinite.
    """

    nngp: Kernel
    ntk: Kernel
    points: Float[Array, "n d"]
    targets: Float[Array, "n ..."]
    eigenvalues: Float[Array, " n"]  # of Theta(X, X), ascending
    modes: Float[Array, "n n"]
    prior: Float[Array, "n n"]  # K(X, X) + nu, in the modes
    ridge: Scalar
    learning_rate: Scalar
    set_aside: Int[Array, ""]  # modes with eigenvalues below the kernel's rounding: never learned

    def learned(self, time: Scalar) -> Float[Array, " n"]:
        """Fraction of each mode of the targets that the mean has learned by `time`."""
        return self.eigenvalues * self._response(self._decay(time))

    def predict(self, Z: Any = None, time: Scalar = jnp.inf) -> Prediction:
        """Mean and variance over the ensemble at the rows of `Z` (the training points if left
        out), a time `time` after initialization."""
        return self._predict(self._at(Z), self._decay(time))

    def predict_after(self, steps: int, Z: Any = None) -> Prediction:
        r"""The same after gradient *descent*: :math:`(1 - \eta (\lambda + \delta))^{steps}` in
        place of :math:`e^{-\eta t (\lambda + \delta)}`. Diverges, like the networks, when
        :math:`\eta (\lambda + \delta) > 2`."""
        shrunk = 1 - self.learning_rate * (self.eigenvalues + self.ridge)
        return self._predict(self._at(Z), shrunk**steps)

    def covariance(self, Z: Any = None, time: Scalar = jnp.inf) -> Float[Array, "m m"]:
        """Covariance over the ensemble between the rows of `Z`."""
        return self._covariance(self._at(Z), self._decay(time))

    @compiled
    def _covariance(self, Z, decay):
        weights, cross = self._weights(Z, decay)
        mixed = weights @ cross.T
        return self.nngp.gram(Z, Z) - mixed - mixed.T + weights @ self.prior @ weights.T

    def expected_loss(self, time: Scalar) -> Float[Array, ""]:
        r"""Mean over the ensemble of the training loss :math:`\frac12 \sum_i |f_t(x_i) - y_i|^2`,
        with the ridge left out and against the targets without noise."""
        fitted = self.predict(None, time)
        outputs = self.targets.size / len(self.points)
        return 0.5 * (
            jnp.sum((fitted.mean - self.targets) ** 2) + outputs * jnp.sum(fitted.variance)
        )

    def _decay(self, time: Scalar) -> Float[Array, " n"]:
        rate = self.learning_rate * (self.eigenvalues + self.ridge)
        still = rate <= 0  # not 0 * inf
        return jnp.where(still, 1.0, jnp.exp(-jnp.where(still, 1.0, rate) * time))

    def _response(self, decay: Float[Array, " n"]) -> Float[Array, " n"]:
        """(1 - decay) / (lambda + ridge); modes without any tangent kernel never move: their
        products with it are rounding, which a small ridge would divide."""
        moving = self.eigenvalues > 0
        stiffness = self.eigenvalues + self.ridge
        return jnp.where(moving, (1 - decay) / jnp.where(moving, stiffness, 1.0), 0.0)

    def _at(self, Z: Any) -> Array:
        return self.points if Z is None else _columns_of(Z, self.points)

    def _weights(self, Z: Array, decay: Array) -> tuple[Array, Array]:
        """G_t(Z) in the modes, and K(Z, X) in them."""
        tangent = self.ntk.gram(Z, self.points) @ self.modes
        return tangent * self._response(decay), self.nngp.gram(Z, self.points) @ self.modes

    @compiled
    def _predict(self, Z, decay):
        weights, cross = self._weights(Z, decay)
        change = jnp.sum(weights * (weights @ self.prior - 2 * cross), axis=1)
        variance = jnp.maximum(self.nngp.diagonal(Z) + change, 0.0)
        return Prediction(weights @ (self.modes.T @ self.targets), variance)


def gradient_flow(
    nngp: Any,
    ntk: Any,
    X: Any,
    y: Any,
    *,
    ridge: Scalar = 0.0,
    noise_variance: Scalar = 0.0,
    learning_rate: Scalar = 1.0,
) -> GradientFlow:
    """The ensemble of infinitely wide networks with kernels `nngp` and `ntk` (the NNGP twice where
    the read-out alone is trained), descending the squared loss on rows `X` and targets `y`, (n,)
    or (n, outputs). One eigendecomposition serves every time.

    Runs in the precision of JAX's arrays. A mode with an eigenvalue below the rounding of the
    decomposition or of the kernel itself (measured: the change of the kernel when the points move
    by their own rounding) is never learned, whatever the ridge; `set_aside` counts them, and
    `jax.enable_x64(True)` resolves more of them.
    Raises ValueError for shapes that do not fit together, and for a negative ridge, noise or
    learning rate.
    """
    nngp, ntk, X, y = as_kernel(nngp), as_kernel(ntk), *_training_set(X, y)
    ridge, noise_variance = (
        _not_negative(ridge, "ridge"),
        _not_negative(noise_variance, "noise_variance"),
    )
    return _gradient_flow(
        nngp, ntk, X, y, ridge, noise_variance, _not_negative(learning_rate, "learning_rate")
    )


@compiled
def _gradient_flow(nngp, ntk, X, y, ridge, noise_variance, learning_rate):
    tangent = ntk.gram(X, X)
    eigenvalues, modes = jnp.linalg.eigh((tangent + tangent.T) / 2)
    # What rounding leaves of a zero eigenvalue would be learned, wrongly, at infinite time.
    epsilon = jnp.finfo(tangent.dtype).eps
    signs = jnp.where(jnp.arange(X.size).reshape(X.shape) % 2 == 0, 1.0, -1.0).astype(X.dtype)
    moved = ntk.gram(X, X * (1 + epsilon * signs)) - tangent
    floor = jnp.maximum(epsilon * len(X) * eigenvalues[-1], 2 * jnp.linalg.norm(moved))
    resolved = eigenvalues > floor
    eigenvalues = jnp.where(resolved, eigenvalues, 0.0)
    set_aside = jnp.sum(~resolved)
    prior = modes.T @ nngp.gram(X, X) @ modes + noise_variance * jnp.eye(len(X))
    return GradientFlow(nngp, ntk, X, y, eigenvalues, modes, prior, ridge, learning_rate, set_aside)


def _training_set(X: Any, y: Any) -> tuple[Array, Array]:
    X = check_points(X, "X")
    y = jnp.asarray(y, X.dtype)
    if y.ndim not in (1, 2) or len(y) != len(X):
        raise ValueError(
            f"`y` has shape {y.shape} for {len(X)} points; pass (points,) or (points, outputs)."
        )
    return X, y


def _columns_of(Z: Any, points: Array) -> Array:
    Z = check_points(Z, "Z")
    check_widths(points, Z)
    return Z


def _not_negative(value: Any, name: str) -> Array:
    value = jnp.asarray(value, float)
    if not isinstance(value, jax.core.Tracer) and not value >= 0:
        raise ValueError(f"`{name}` must not be negative, got {value}; pass zero to do without.")
    return value
