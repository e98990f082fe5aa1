"""Cutoffs as spectral filters: which fraction of each mode is kept."""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from wilsonian.core.information import learned_fraction
from wilsonian.core.types import Numbers, Scalar

Scalars = Scalar | Num[Numbers, " _"]  # the latter of a whole flow: `coarse_graining.flow`


class AbstractCutoff(eqx.Module):
    """Which fraction of each mode is kept, decided from its bare eigenvalue."""

    @abc.abstractmethod
    def weights(self, eigenvalues: Float[Numbers, " modes"]) -> Float[Array, " modes"]:
        """Fraction of each mode kept: 1 keeps it, 0 integrates it out."""

    def chosen_for(self, theory: Any) -> AbstractCutoff:
        """The cutoff to use for `theory`: itself, unless it asks more than the eigenvalues."""
        return self


class SharpCutoff(AbstractCutoff):
    """Keep the modes whose eigenvalue is at least `scale`; `scale=0` keeps all."""

    scale: Scalars

    def weights(self, eigenvalues):
        return jnp.where(eigenvalues >= self.scale, 1.0, 0.0).astype(eigenvalues.dtype)


class RankCutoff(AbstractCutoff):
    """Keep the `rank` modes of greatest eigenvalue; the spectrum must be in descending order."""

    rank: int | np.ndarray | Array

    def weights(self, eigenvalues):
        kept = jnp.arange(eigenvalues.shape[0]) < self.rank
        return jnp.where(kept, 1.0, 0.0).astype(eigenvalues.dtype)


class SmoothCutoff(AbstractCutoff):
    r"""Logistic in :math:`\log \lambda`: :math:`w = [1 + (s / \lambda)^{1/\Delta}]^{-1}` with scale
    :math:`s` and `width` :math:`\Delta`; sharp as the width goes to zero. Differentiable."""

    scale: Scalars
    width: Scalars = 0.1

    def weights(self, eigenvalues):
        positive = eigenvalues > 0
        logs = jnp.log(jnp.where(positive, eigenvalues, 1.0)) - jnp.log(self.scale)
        return jnp.where(positive, jax.nn.sigmoid(logs / self.width), 0.0)


class LitimCutoff(AbstractCutoff):
    r"""Modes above `scale` whole, those below by their ratio to it, :math:`w = \min(1, \lambda /
    s)` (the optimized regulator of Litim 2001, hep-th/0103195)."""

    scale: Scalars

    def weights(self, eigenvalues):
        return jnp.minimum(1.0, eigenvalues / self.scale)


class LearnabilityCutoff(AbstractCutoff):
    r"""The smallest :math:`\kappa` whose first eliminated mode has learnability below `threshold`,

    .. math:: \frac{n \lambda_{\kappa+1}}{\sigma_\kappa^2 + n \lambda_{\kappa+1}} < T,
        \qquad \sigma_\kappa^2 = \sigma^2 + \sum_{q > \kappa} \lambda_q + \text{tail},

    scanned upward from :math:`\kappa = 0` (docs/science/wilsonian.md, section 6; arXiv:2405.06008,
    eq. 37). If no mode meets it, all are kept. The spectrum must be in descending order, and
    `ridge` is the bare one: it counts every mode's variance anew, also of modes integrated out
    before. Modes of the sample decouple: for them `renormalizes` is False and
    :math:`\sigma_\kappa^2` stays bare.
    """

    threshold: Scalars
    ridge: Scalars
    n_samples: Scalars
    tail: Scalars = 0.0
    renormalizes: bool = eqx.field(static=True, default=True)

    def learnabilities(self, eigenvalues: Float[Numbers, " modes"]) -> Float[Array, " modes"]:
        """Learnability of mode k as the first eliminated one, at the ridge it then helps make."""
        return self._learnabilities(jnp, eigenvalues)

    def _learnabilities(self, numpy: Any, eigenvalues: Any) -> Any:
        ridge = self.ridge + self.tail
        if self.renormalizes:
            ridge = ridge + numpy.cumsum(eigenvalues[::-1])[::-1]
        return learned_fraction(numpy, eigenvalues, ridge, self.n_samples)

    @jax.jit
    def rank(self, eigenvalues: Float[Numbers, " modes"]) -> Array:
        """How many modes are kept."""
        below = self.learnabilities(eigenvalues) < self.threshold
        return jnp.where(jnp.any(below), jnp.argmax(below), eigenvalues.shape[0])

    def rank_on_host(self, eigenvalues: np.ndarray) -> int:
        """:meth:`rank` of NumPy's numbers: nothing is compiled anew for every number of modes."""
        below = self._learnabilities(np, eigenvalues) < self.threshold
        return int(np.argmax(below)) if np.any(below) else len(eigenvalues)

    def weights(self, eigenvalues):
        return RankCutoff(self.rank(eigenvalues)).weights(eigenvalues)
