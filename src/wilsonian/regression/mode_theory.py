"""Regression from sufficient statistics under a cutoff: in modes, everything is diagonal."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.information import learnability
from wilsonian.core.ridge_theory import AbstractRidgeTheory
from wilsonian.core.ridges import AbstractRidge
from wilsonian.core.roots import golden_section
from wilsonian.core.spectrum import Spectrum
from wilsonian.core.types import Scalar


class ModeTheory(AbstractRidgeTheory):
    r"""Regression from sufficient statistics, in modes that are orthonormal on the training points.

    With :math:`\Phi^T \Phi = n I` everything is diagonal: evidence and predictor at any cutoff cost
    one operation per mode and never touch the data again. Targets may have several outputs, which
    share kernel and noise. Weighted samples count as repeated ones: n is the sum of weights.
    """

    spectrum: Spectrum
    ridge: AbstractRidge
    target_coefficients: Float[Array, "modes outputs"]  # mean of phi_k y under the data
    target_square: Float[Array, " outputs"]  # sum of y^2
    n_samples: Scalar

    def learnabilities(self) -> Float[Array, " modes"]:
        """Learned fraction of each kept mode, at the renormalized ridge."""
        return learnability(self.spectrum.kept_eigenvalues, self.ridge.mean(), self.n_samples)

    def coefficients(self) -> Float[Array, "modes outputs"]:
        """Posterior mean of the mode coefficients."""
        return self.learnabilities()[:, None] * self.target_coefficients

    def log_evidence(self, ridge: Scalar | None = None) -> Float[Array, ""]:
        """Log marginal likelihood of the targets in nats, summed over outputs; at another total
        ridge when one is given."""
        ridge = self.ridge.mean() if ridge is None else ridge
        signal = self.n_samples * self.spectrum.kept_eigenvalues
        explained = self.n_samples * jnp.sum(
            (signal / (ridge + signal))[:, None] * self.target_coefficients**2
        )
        outputs = self.target_square.shape[0]
        quadratic = (jnp.sum(self.target_square) - explained) / ridge
        log_determinant = jnp.sum(jnp.log1p(signal / ridge)) + self.n_samples * jnp.log(ridge)
        constant = self.n_samples * jnp.log(2 * jnp.pi)
        return -0.5 * (quadratic + outputs * (log_determinant + constant))

    @eqx.filter_jit
    def evidence_ridge(self) -> Float[Array, ""]:
        """The total ridge that maximizes the evidence of the kept modes: what the data say the
        renormalized ridge is. Golden-section search in its logarithm."""
        mean_square = jnp.sum(self.target_square) / self.n_samples / self.target_square.shape[0]
        low, high = jnp.log(1e-10 * mean_square), jnp.log(10 * mean_square)
        loss = lambda log_ridge: -self.log_evidence(jnp.exp(log_ridge))  # noqa: E731
        return jnp.exp(golden_section(loss, low, high, steps=50))

    def summary(self):
        return ModeSummary(
            jnp.sum(self.weights), self.ridge.mean(), self.log_evidence(), self.evidence_ridge()
        )


class ModeSummary(eqx.Module):
    """What a flow records of a :class:`ModeTheory`."""

    kept: Float[Array, "..."]
    ridge: Float[Array, "..."]
    log_evidence: Float[Array, "..."]
    evidence_ridge: Float[Array, "..."]
