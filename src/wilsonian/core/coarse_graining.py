"""One verb for every theory: split its modes at a cutoff, let the lost renormalize the kept."""

from __future__ import annotations

import abc
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from wilsonian.core.cutoffs import AbstractCutoff
from wilsonian.core.spectrum import Spectrum
from wilsonian.core.types import Numbers


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
    def absorb(
        self: Theory, kept: Float[Numbers, " modes"], lost: Float[Numbers, " modes"]
    ) -> Theory:
        """The theory of the kept fractions, renormalized by the lost ones."""

    @abc.abstractmethod
    def summary(self) -> PyTree[Array]:
        """What a flow records of the theory at each cutoff."""


class AbstractSpectralTheory(AbstractTheory):
    """A theory whose modes and weights are those of its spectrum."""

    spectrum: eqx.AbstractVar[Spectrum]

    @property
    def eigenvalues(self):
        return self.spectrum.eigenvalues

    @property
    def weights(self):
        return self.spectrum.weights


Theory = TypeVar("Theory", bound=AbstractTheory)


def coarse_grain(theory: Theory, cutoff: AbstractCutoff) -> Theory:
    """Integrate out what `cutoff` drops; return the theory of what is left.

    Weights are functions of the bare eigenvalues and never grow, so that for every family of
    cutoffs ordered by scale two steps equal one.
    """
    cutoff = cutoff.chosen_for(theory)
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
