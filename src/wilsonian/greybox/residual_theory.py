r"""The residual as a sector of modes: coarse grained like any other theory, ridge and all.

At one linearization of the simulator the signal is :math:`e = G \delta + r + \varepsilon` with the
parameters' shift :math:`\delta` and the residual :math:`r \sim N(0, J S J^T)`. The residual's
modes are the eigenvectors of :math:`J S J^T`; those that a cutoff drops renormalize the ridge.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import AbstractTheory, flow
from wilsonian.core.cutoffs import SharpCutoff
from wilsonian.core.ridges import AbstractRidge, UniformRidge
from wilsonian.core.spectrum import Spectrum


class Shift(eqx.Module):
    """What a theory of the residual says of the parameters."""

    estimate: Float[Array, " parameters"]
    sd: Float[Array, " parameters"]
    kept: Float[Array, ""]  # modes, by weight
    ridge: Float[Array, ""]  # mean over the signal


class ResidualTheory(AbstractTheory):
    """Generalized least squares for parameters whose residual has kept modes and a ridge."""

    spectrum: Spectrum
    ridge: AbstractRidge
    directions: Float[Array, "points parameters"]
    error: Float[Array, " points"]
    information: Float[Array, "parameters parameters"]  # of the prior
    pull: Float[Array, " parameters"]  # gradient of the prior

    @classmethod
    def of(
        cls,
        jacobian: Float[Array, "points modes"],
        scale: Float[Array, " modes"],
        noise: float,
        directions: Float[Array, "points parameters"],
        error: Float[Array, " points"],
        ridge: type[AbstractRidge] | None = None,
        information: Float[Array, "parameters parameters"] | None = None,
        pull: Float[Array, " parameters"] | None = None,
    ) -> ResidualTheory:
        """From the linearization: derivative by the residual's coefficients and by the parameters,
        prior scales, noise, and what the simulator leaves over at the expansion point."""
        points, k = directions.shape
        left, singular, _ = jnp.linalg.svd(jacobian * scale, full_matrices=False)
        spectrum = Spectrum.of(singular**2 / points, left * points**0.5)
        start = UniformRidge(jnp.asarray(noise) ** 2) if ridge is None else ridge
        none = jnp.zeros((k, k)), jnp.zeros(k)
        return cls(
            spectrum,
            start,
            directions,
            error,
            none[0] if information is None else information,
            none[1] if pull is None else pull,
        )

    @property
    def eigenvalues(self):
        return self.spectrum.eigenvalues

    @property
    def weights(self):
        return self.spectrum.weights

    def absorb(self, kept, lost):
        ridge = self.ridge.absorb(self.spectrum.weighted(lost))
        return eqx.tree_at(
            lambda theory: (theory.spectrum, theory.ridge),
            self,
            (self.spectrum.weighted(kept), ridge),
        )

    def covariance(self) -> Float[Array, "points points"]:
        """Of the signal, at given parameters."""
        return self.spectrum.gram() + self.ridge.matrix(self.error.shape[0])

    def summary(self) -> Shift:
        factor = jax.scipy.linalg.cho_factor(self.covariance(), lower=True)
        solved = jax.scipy.linalg.cho_solve(factor, self.directions)
        covariance = jnp.linalg.inv(self.directions.T @ solved + self.information)
        estimate = covariance @ (solved.T @ self.error + self.pull)
        sd = jnp.sqrt(jnp.diag(covariance))
        return Shift(estimate, sd, jnp.sum(self.weights), self.ridge.mean())


def cutoff_sweep(theory: ResidualTheory) -> tuple[Shift, np.ndarray]:
    """The parameters at every cutoff, from nothing kept to all: one entry for each number of kept
    modes, and the learnability of the last mode kept, at the bare ridge."""
    values = theory.eigenvalues
    edges = jnp.concatenate([2 * values[:1] + 1.0, values])
    found = flow(theory, SharpCutoff(edges))
    signal = np.asarray(values) * theory.error.shape[0]
    bare = float(theory.ridge.mean())
    return found, np.concatenate([[1.0], signal / (signal + bare)])
