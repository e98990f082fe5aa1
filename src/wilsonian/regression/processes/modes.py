"""Modes of the rows seen, and regression in them under a cutoff: everything is diagonal."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from wilsonian.core.information import learnability
from wilsonian.core.precision import compiled
from wilsonian.core.ridge_theory import AbstractRidgeTheory
from wilsonian.core.ridges import AbstractRidge, BareRidge, UniformRidge
from wilsonian.core.roots import golden_section
from wilsonian.core.spectrum import Measure, Spectrum, eigenvalue_floor
from wilsonian.core.types import Scalar
from wilsonian.regression.statistics import InducingFeatures, Statistics
from wilsonian.support.row_threads import one_thread_for


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

    @compiled
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


@dataclasses.dataclass(frozen=True)
class Modes:
    r"""Kernel modes orthonormal on the data behind some statistics,
    :math:`\phi_k(x) = f(x) \cdot u_k / \sqrt{\lambda_k}`, for a kernel of unit amplitude."""

    features: InducingFeatures
    rotation: np.ndarray  # (rank, modes), u_k
    eigenvalues: np.ndarray  # (modes,), descending
    tail: float  # mean diagonal that no mode resolves
    coefficients: np.ndarray  # (modes, outputs), mean of phi_k y, y centred and scaled
    target_square: np.ndarray  # (outputs,), sum of y^2, y centred and scaled
    target_mean: np.ndarray  # (outputs,), in the target's units
    target_scale: np.ndarray  # (outputs,)
    n_samples: float
    measure: Measure

    @classmethod
    def of(
        cls,
        features: InducingFeatures,
        statistics: Statistics,
        *,
        normalize: bool,
        measure: Measure,
    ) -> Modes:
        """Rayleigh-Ritz in the span of the inducing points: the modes diagonalize the second moment
        of the features. With `normalize` targets are counted from their mean in units of their
        standard deviation."""
        size = statistics.weight
        if normalize:
            shift = statistics.target / size
            square = statistics.target_square - size * shift**2
            scale = np.sqrt(np.maximum(square, 0.0) / size)
            # Constant to rounding: there is no scale to divide by.
            rounding = 4 * np.finfo(float).eps * np.abs(statistics.offset + shift)
            scale = np.where(scale > rounding, scale, 1.0)
            mean = statistics.offset + shift
        else:
            # The offset is put back: without normalization targets count from zero.
            shift, scale = -statistics.offset, np.ones(len(statistics.offset))
            mean = np.zeros(len(shift))
            square = statistics.target_square - 2 * shift * statistics.target + size * shift**2
        cross = (statistics.cross - np.outer(statistics.features, shift)) / scale
        with one_thread_for(len(statistics.gram)):
            values, vectors = scipy.linalg.eigh(statistics.gram / size)
        values, vectors = values[::-1], vectors[:, ::-1]
        count = int(np.sum(values > float(eigenvalue_floor(values))))
        values, vectors = values[:count], vectors[:, :count]
        coefficients = (vectors.T @ cross) / (size * np.sqrt(values)[:, None])
        tail = max((statistics.diagonal - np.trace(statistics.gram)) / size, 0.0)
        return cls(
            features,
            vectors,
            values,
            tail,
            coefficients,
            square / scale**2,
            mean,
            scale,
            size,
            measure,
        )

    def theory(self, amplitude: Any, noise_variance: Any) -> ModeTheory:
        """The theory of all resolved modes; the unresolved tail is absorbed into its ridge."""
        return _compiled_theory(*self.sums(amplitude, noise_variance))

    def sums(self, amplitude: Any, noise_variance: Any) -> tuple:
        """What :func:`theory_of` takes."""
        arrays = self.eigenvalues, self.tail, self.coefficients, self.target_square
        population = self.measure == "population"
        return *arrays, self.n_samples, amplitude, noise_variance, population


def theory_of(
    eigenvalues: Any,
    tail: Any,
    coefficients: Any,
    target_square: Any,
    n_samples: Any,
    amplitude: Any,
    noise_variance: Any,
    population: bool,
) -> ModeTheory:
    """:meth:`Modes.theory`, to be compiled."""
    spectrum = Spectrum.averaged(amplitude * eigenvalues)
    total = noise_variance + amplitude * tail
    ridge = UniformRidge(total) if population else BareRidge(total)
    return ModeTheory(spectrum, ridge, coefficients, target_square, n_samples)


_compiled_theory = jax.jit(theory_of, static_argnums=7)
