"""Regression on given points under a cutoff, in the space of the points."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Float

from wilsonian.core.ridge_theory import AbstractRidgeTheory
from wilsonian.core.ridges import AbstractRidge
from wilsonian.core.spectrum import Spectrum


class PointTheory(AbstractRidgeTheory):
    r"""Regression on given points: targets :math:`\sim N(0, \Phi \Lambda_< \Phi^T + R)` with the
    kept modes and one of the ridges.

    Everything is computed in the space of the n points, so any number of modes is affordable.
    """

    spectrum: Spectrum
    ridge: AbstractRidge
    targets: Float[Array, " points"]

    @classmethod
    def of(
        cls, spectrum: Spectrum, ridge: AbstractRidge, targets: Float[Array, " points"]
    ) -> PointTheory:
        """The theory of a spectrum on the training points; the tail, which has no modes to keep,
        is absorbed at once.

        Raises ValueError when targets and modes differ in length.
        """
        if targets.shape != spectrum.tail.shape:
            raise ValueError(
                f"`targets` has shape {targets.shape}, the spectrum is known on "
                f"{spectrum.tail.shape[0]} points; pass one target per point."
            )
        whole = spectrum.weighted(spectrum.weights)
        return cls(whole, ridge.absorb(spectrum.unresolved()), targets)

    def covariance(self) -> Float[Array, "points points"]:
        """Covariance of the targets."""
        return self.spectrum.gram() + self.ridge.matrix(self.targets.shape[0])

    def coefficients(self, *, residual_correction: bool = False) -> Float[Array, " modes"]:
        r"""Posterior mean of the mode coefficients, :math:`\bar f_k = w_k \lambda_k \phi_k^T C^{-1}
        y`. With `residual_correction` eliminated modes are estimated to leading order from the
        reduced theory's residual, :math:`\bar f_q = \lambda_q \phi_q^T C^{-1} y`
        (docs/science/wilsonian.md, section 3).
        """
        factor = jax.scipy.linalg.cho_factor(self.covariance(), lower=True)
        dual = jax.scipy.linalg.cho_solve(factor, self.targets)
        scale = self.eigenvalues if residual_correction else self.spectrum.kept_eigenvalues
        return scale * (self.spectrum.modes.T @ dual)

    def posterior_covariance(self) -> Float[Array, "modes modes"]:
        r"""Posterior covariance of the kept coefficients, :math:`\Lambda - \Lambda \Phi^T C^{-1}
        \Phi \Lambda`."""
        kept = self.spectrum.kept_eigenvalues
        factor = jax.scipy.linalg.cho_factor(self.covariance(), lower=True)
        scaled = self.spectrum.modes * kept[None, :]
        return jnp.diag(kept) - scaled.T @ jax.scipy.linalg.cho_solve(factor, scaled)

    def log_evidence(self) -> Float[Array, ""]:
        """Log marginal likelihood of the targets, in nats."""
        lower = jnp.linalg.cholesky(self.covariance())
        whitened = jax.scipy.linalg.solve_triangular(lower, self.targets, lower=True)
        points = self.targets.shape[0]
        log_determinant = 2 * jnp.sum(jnp.log(jnp.diagonal(lower)))
        return -0.5 * (whitened @ whitened + log_determinant + points * jnp.log(2 * jnp.pi))

    def summary(self):
        kept = jnp.sum(self.weights)
        ridge = self.ridge.mean()
        return PointSummary(kept, ridge, self.spectrum.trace(), self.log_evidence())


class PointSummary(eqx.Module):
    """What a flow records of a :class:`PointTheory`."""

    kept: Float[Array, "..."]  # number of modes kept (fractions added)
    ridge: Float[Array, "..."]  # mean over the points
    trace: Float[Array, "..."]  # of the kept modes
    log_evidence: Float[Array, "..."]
