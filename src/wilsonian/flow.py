"""One verb for every theory: split its modes at a cutoff, let the lost renormalize the kept."""

from __future__ import annotations

import abc
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from wilsonian.kernels import Scalar


class AbstractCutoff(eqx.Module):
    """Which fraction of each mode is kept, decided from its bare eigenvalue."""

    @abc.abstractmethod
    def weights(self, eigenvalues: Float[Array, " modes"]) -> Float[Array, " modes"]:
        """Fraction of each mode kept: 1 keeps it, 0 integrates it out."""


class SharpCutoff(AbstractCutoff):
    """Keep the modes whose eigenvalue is at least `scale`; `scale=0` keeps all."""

    scale: Scalar

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

    scale: Scalar
    width: Scalar = 0.1

    def weights(self, eigenvalues):
        positive = eigenvalues > 0
        logs = jnp.log(jnp.where(positive, eigenvalues, 1.0)) - jnp.log(self.scale)
        return jnp.where(positive, jax.nn.sigmoid(logs / self.width), 0.0)


class LearnabilityCutoff(AbstractCutoff):
    r"""The smallest :math:`\kappa` whose first eliminated mode has learnability below `threshold`,

    .. math:: \frac{n \lambda_{\kappa+1}}{\sigma_\kappa^2 + n \lambda_{\kappa+1}} < T,
        \qquad \sigma_\kappa^2 = \sigma^2 + \sum_{q > \kappa} \lambda_q + \text{tail},

    scanned upward from :math:`\kappa = 0` (science notes, section 6; paper eq. 37). If no mode
    meets it, all are kept. The spectrum must be in descending order, and `ridge` is the bare one:
    it counts every mode's variance anew, also of modes integrated out before. Modes of the sample
    decouple: for them `renormalizes` is False and :math:`\sigma_\kappa^2` stays bare.
    """

    threshold: Scalar
    ridge: Scalar
    sample_size: Scalar
    tail: Scalar = 0.0
    renormalizes: bool = eqx.field(static=True, default=True)

    def learnabilities(self, eigenvalues: Float[Array, " modes"]) -> Float[Array, " modes"]:
        """Learnability of mode k as the first eliminated one, at the ridge it then helps make."""
        ridge = self.ridge + self.tail
        if self.renormalizes:
            ridge = ridge + jnp.cumsum(eigenvalues[::-1])[::-1]
        return learnability(eigenvalues, ridge, self.sample_size)

    def rank(self, eigenvalues: Float[Array, " modes"]) -> Array:
        """How many modes are kept."""
        below = self.learnabilities(eigenvalues) < self.threshold
        return jnp.where(jnp.any(below), jnp.argmax(below), eigenvalues.shape[0])

    def weights(self, eigenvalues):
        return RankCutoff(self.rank(eigenvalues)).weights(eigenvalues)


@jax.jit
def learnability(
    eigenvalues: Float[Array, "..."], ridge: Scalar | Float[Array, "..."], sample_size: Scalar
) -> Float[Array, "..."]:
    r"""Fraction of a mode's coefficient that n samples teach,
    :math:`n \lambda / (\sigma^2 + n \lambda)` (paper eq. 37); zero for a mode of no variance,
    whatever the ridge."""
    signal = sample_size * eigenvalues
    total = ridge + signal
    return jnp.where(total > 0, signal / jnp.where(total > 0, total, 1.0), 0.0)


class AbstractTheory(eqx.Module):
    """What a cutoff acts on: modes with weights, and a way to absorb what is lost."""

    @property
    @abc.abstractmethod
    def eigenvalues(self) -> Float[Array, " modes"]:
        """Bare eigenvalues, descending."""

    @property
    @abc.abstractmethod
    def weights(self) -> Float[Array, " modes"]:
        """Fraction of each mode not integrated out yet."""

    @abc.abstractmethod
    def absorb(self: Theory, kept: Float[Array, " modes"], lost: Float[Array, " modes"]) -> Theory:
        """The theory of the kept fractions, renormalized by the lost ones."""

    @abc.abstractmethod
    def summary(self) -> PyTree[Array]:
        """What a flow records of the theory at each cutoff."""


Theory = TypeVar("Theory", bound=AbstractTheory)


def coarse_grain(theory: Theory, cutoff: AbstractCutoff) -> Theory:
    """Integrate out what `cutoff` drops; return the theory of what is left.

    Weights are functions of the bare eigenvalues and never grow, so that for every family of
    cutoffs ordered by scale two steps equal one.
    """
    kept = jnp.minimum(theory.weights, cutoff.weights(theory.eigenvalues))
    return theory.absorb(kept=kept, lost=theory.weights - kept)


def flow(theory: AbstractTheory, cutoffs: AbstractCutoff) -> PyTree[Array]:
    """Summaries of `theory` coarse grained from the start to each of `cutoffs`: one cutoff some of
    whose fields carry a leading axis, e.g. `SharpCutoff(jnp.geomspace(1e-4, 1, 50))`; scalar
    fields are shared by all.

    Raises ValueError when no field has an axis, or the axes differ in length.
    """
    lengths = {np.shape(leaf)[0] for leaf in jax.tree.leaves(cutoffs) if np.ndim(leaf)}
    if len(lengths) != 1:
        raise ValueError(
            f"the fields of `cutoffs` have leading axes of lengths {sorted(lengths)}; pass one "
            "array of cutoffs, e.g. SharpCutoff(jnp.geomspace(1e-4, 1, 50))."
        )
    # NumPy arrays are cutoffs as much as JAX's, and a scalar array is as constant as a float.
    cutoffs = jax.tree.map(lambda leaf: jnp.asarray(leaf) if np.ndim(leaf) else leaf, cutoffs)
    over_cutoffs = eqx.filter_vmap(
        lambda cutoff: coarse_grain(theory, cutoff).summary(),
        in_axes=lambda leaf: 0 if np.ndim(leaf) else None,
    )
    return over_cutoffs(cutoffs)
