"""Regression on given points under a cutoff, in the space of the points."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.gaussian import GaussianTargets
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
        scale = self.eigenvalues if residual_correction else self.spectrum.kept_eigenvalues
        return scale * (self.spectrum.modes.T @ self._seen().dual)

    def posterior_covariance(self) -> Float[Array, "modes modes"]:
        r"""Posterior covariance of the kept coefficients, :math:`\Lambda - \Lambda \Phi^T C^{-1}
        \Phi \Lambda`."""
        kept = self.spectrum.kept_eigenvalues
        return jnp.diag(kept) - self._seen().reduction(self.spectrum.modes * kept[None, :])

    def log_evidence(self) -> Float[Array, ""]:
        """Log marginal likelihood of the targets, in nats."""
        return self._seen().log_evidence()

    def _seen(self) -> GaussianTargets:
        return GaussianTargets.of(self.covariance(), self.targets)

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
