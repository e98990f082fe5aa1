"""Gaussian-process regression under a cutoff: how its ridge absorbs the modes integrated out."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jaxtyping import Array, Float

from wilsonian.flow import AbstractTheory, learnability
from wilsonian.kernels import Scalar
from wilsonian.ridges import AbstractRidge, effective_ridge
from wilsonian.spectrum import Spectrum


class PointTheory(AbstractTheory):
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

    @property
    def eigenvalues(self):
        return self.spectrum.eigenvalues

    @property
    def weights(self):
        return self.spectrum.weights

    def absorb(self, kept, lost):
        ridge = self.ridge.absorb(self.spectrum.weighted(lost))
        return PointTheory(self.spectrum.weighted(kept), ridge, self.targets)

    def covariance(self) -> Float[Array, "points points"]:
        """Covariance of the targets."""
        return self.spectrum.gram() + self.ridge.matrix(self.targets.shape[0])

    def coefficients(self, *, read_out: bool = False) -> Float[Array, " modes"]:
        r"""Posterior mean of the mode coefficients, :math:`\bar f_k = w_k \lambda_k \phi_k^T C^{-1}
        y`. With `read_out` eliminated modes are estimated to leading order from the reduced
        theory's residual, :math:`\bar f_q = \lambda_q \phi_q^T C^{-1} y` (science notes, sec. 3).
        """
        factor = jax.scipy.linalg.cho_factor(self.covariance(), lower=True)
        dual = jax.scipy.linalg.cho_solve(factor, self.targets)
        scale = self.eigenvalues if read_out else self.spectrum.kept_eigenvalues
        return scale * (self.spectrum.modes.T @ dual)

    def posterior_covariance(self) -> Float[Array, "modes modes"]:
        r"""Posterior covariance of the kept coefficients, :math:`\Lambda - \Lambda \Phi^T C^{-1}
        \Phi \Lambda`."""
        kept = self.spectrum.kept_eigenvalues
        factor = jax.scipy.linalg.cho_factor(self.covariance(), lower=True)
        scaled = self.spectrum.modes * kept
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


class ModeTheory(AbstractTheory):
    r"""Regression from sufficient statistics, in modes that are orthonormal on the training points.

    With :math:`\Phi^T \Phi = n I` everything is diagonal: evidence and predictor at any cutoff cost
    one operation per mode and never touch the data again. Targets may have several outputs, which
    share kernel and noise. Weighted samples count as repeated ones: n is the sum of weights.
    """

    spectrum: Spectrum
    ridge: AbstractRidge
    target_coefficients: Float[Array, "modes outputs"]  # mean of phi_k y under the data
    target_square: Float[Array, " outputs"]  # sum of y^2
    sample_size: Scalar

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

    def learnabilities(self) -> Float[Array, " modes"]:
        """Learned fraction of each kept mode, at the renormalized ridge."""
        return learnability(self.spectrum.kept_eigenvalues, self.ridge.mean(), self.sample_size)

    def coefficients(self) -> Float[Array, "modes outputs"]:
        """Posterior mean of the mode coefficients."""
        return self.learnabilities()[:, None] * self.target_coefficients

    def log_evidence(self, ridge: Scalar | None = None) -> Float[Array, ""]:
        """Log marginal likelihood of the targets in nats, summed over outputs; at another total
        ridge when one is given."""
        ridge = self.ridge.mean() if ridge is None else ridge
        signal = self.sample_size * self.spectrum.kept_eigenvalues
        explained = self.sample_size * jnp.sum(
            (signal / (ridge + signal))[:, None] * self.target_coefficients**2
        )
        outputs = self.target_square.shape[0]
        quadratic = (jnp.sum(self.target_square) - explained) / ridge
        log_determinant = jnp.sum(jnp.log1p(signal / ridge)) + self.sample_size * jnp.log(ridge)
        constant = self.sample_size * jnp.log(2 * jnp.pi)
        return -0.5 * (quadratic + outputs * (log_determinant + constant))

    @eqx.filter_jit
    def evidence_ridge(self) -> Float[Array, ""]:
        """The total ridge that maximizes the evidence of the kept modes: what the data say the
        renormalized ridge is. Golden-section search in its logarithm."""
        mean_square = jnp.sum(self.target_square) / self.sample_size / self.target_square.shape[0]
        low, high = jnp.log(1e-10 * mean_square), jnp.log(10 * mean_square)
        golden = (jnp.sqrt(5.0) - 1) / 2

        def shrink(_, bracket):
            low, high = bracket
            left, right = high - golden * (high - low), low + golden * (high - low)
            rising = self.log_evidence(jnp.exp(left)) < self.log_evidence(jnp.exp(right))
            return jnp.where(rising, left, low), jnp.where(rising, high, right)

        low, high = jax.lax.fori_loop(0, 50, shrink, (low, high))
        return jnp.exp((low + high) / 2)

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


class AveragedTheory(AbstractTheory):
    r"""Regression averaged over data sets, from the spectrum and the target's coefficients alone.

    Eliminated modes add their eigenvalues to the ridge, and the eliminated part of the *target*
    re-enters as label noise, :math:`\sigma_\varepsilon^2 + \sum_{q > \kappa} y_q^2` (science
    notes, section 3). An entry may stand for several modes of one eigenvalue: `multiplicity` says
    how many, and `target_power` is theirs together.
    """

    spectrum_eigenvalues: Float[Array, " modes"]
    kept_weights: Float[Array, " modes"]
    target_power: Float[Array, " modes"]  # y_k^2
    ridge: Scalar
    label_noise: Scalar
    sample_size: Scalar
    multiplicity: Scalar | Float[Array, " modes"] = 1.0

    @classmethod
    def of(
        cls,
        eigenvalues: Float[Array, " modes"],
        target_power: Float[Array, " modes"],
        ridge: Scalar,
        sample_size: Scalar,
        label_noise: Scalar = 0.0,
        multiplicity: Scalar | Float[Array, " modes"] = 1.0,
    ) -> AveragedTheory:
        """A theory with every mode kept.

        Raises ValueError when eigenvalues and target power differ in shape.
        """
        eigenvalues, target_power = jnp.asarray(eigenvalues), jnp.asarray(target_power)
        if eigenvalues.shape != target_power.shape:
            raise ValueError(
                f"`eigenvalues` has shape {eigenvalues.shape} and `target_power` "
                f"{target_power.shape}; pass one squared coefficient per mode."
            )
        weights = jnp.ones_like(eigenvalues)
        return cls(
            *(eigenvalues, weights, target_power, ridge, label_noise, sample_size, multiplicity)
        )

    @property
    def eigenvalues(self):
        return self.spectrum_eigenvalues

    @property
    def weights(self):
        return self.kept_weights

    @property
    def kept_eigenvalues(self) -> Float[Array, " modes"]:
        return self.kept_weights * self.spectrum_eigenvalues

    def absorb(self, kept, lost):
        return AveragedTheory(
            self.spectrum_eigenvalues,
            kept,
            self.target_power,
            self.ridge + jnp.sum(self.multiplicity * lost * self.spectrum_eigenvalues),
            self.label_noise + jnp.sum(lost * self.target_power),
            self.sample_size,
            self.multiplicity,
        )

    def effective_ridge(self) -> Float[Array, ""]:
        """The ridge once the kept modes, too, are integrated out self-consistently."""
        return effective_ridge(
            self.kept_eigenvalues, self.ridge, self.sample_size, self.multiplicity
        )

    def kernel_error(self) -> Float[Array, ""]:
        r"""Equivalent-kernel estimate of the mean squared error on the kept target,
        :math:`\sum_k (1 - L_k)^2 y_k^2` at the bare learnability."""
        return self.bias(self.ridge)

    # The effective ridge solves an equation: who has solved it already passes it in.

    def test_error(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        r"""Mean squared error on the kept target by the deterministic equivalent (science notes,
        section 4); the whole target's adds the power of the eliminated modes.

        .. math:: E_g = \frac{\sum_k (1 - L_k)^2 y_k^2 + \gamma \sigma_\varepsilon^2}{1 - \gamma}
        """
        value = self.effective_ridge() if effective_ridge is None else effective_ridge
        noise = self.overfitting(value) * self.label_noise
        return quotient(self.bias(value) + noise, self.rigidity(value))

    def bias(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        """Squared error of the predictor averaged over data sets."""
        unlearned = self.unlearned(effective_ridge)
        return jnp.sum(self.kept_weights * unlearned**2 * self.target_power)

    def learnabilities(self, effective_ridge: Scalar | None = None) -> Float[Array, " modes"]:
        """Learned fraction of each kept mode at the effective ridge."""
        value = self.effective_ridge() if effective_ridge is None else effective_ridge
        return learnability(self.kept_eigenvalues, value, self.sample_size)

    def unlearned(self, effective_ridge: Scalar | None = None) -> Float[Array, " modes"]:
        """What is missing to a learnability of one, without cancellation."""
        value = self.effective_ridge() if effective_ridge is None else effective_ridge
        total = value + self.sample_size * self.kept_eigenvalues
        return jnp.where(total > 0, value / jnp.where(total > 0, total, 1.0), 1.0)

    def degrees_of_freedom(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        r""":math:`\mathrm{df}_1 = \sum_k L_k`: how many modes are learned, n at most."""
        return jnp.sum(self.multiplicity * self.learnabilities(effective_ridge))

    def overfitting(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        r""":math:`\gamma = \sum_k L_k^2 / n`: the share of the error that is variance."""
        learned = self.learnabilities(effective_ridge)
        return jnp.sum(self.multiplicity * learned**2) / self.sample_size

    def rigidity(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        r""":math:`1 - \gamma = \sigma^2 / \sigma_{\rm eff}^2 + \sum_k L_k (1 - L_k) / n`, without
        the cancellation of the left side where it is small: at the interpolation threshold."""
        value = self.effective_ridge() if effective_ridge is None else effective_ridge
        learned = self.learnabilities(value)
        half = jnp.sum(self.multiplicity * learned * self.unlearned(value)) / self.sample_size
        ratio = self.ridge / jnp.where(value > 0, value, 1.0)
        # No ridge and no more modes than points: all of them are learned, the rest is spare.
        spare = 1 - jnp.sum(self.multiplicity * learned) / self.sample_size
        spare = jnp.where(spare > 1e3 * jnp.finfo(spare.dtype).eps, spare, 0.0)
        return half + jnp.where(value > 0, ratio, spare)

    def posterior_variance(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        """Mean posterior variance of the kept part."""
        variances = self.kept_eigenvalues * self.unlearned(effective_ridge)
        return jnp.sum(self.multiplicity * variances)

    def summary(self):
        return AveragedSummary(
            jnp.sum(self.kept_weights),
            jnp.asarray(self.ridge),
            self.effective_ridge(),
            jnp.asarray(self.label_noise),
            self.test_error(),
        )


class AveragedSummary(eqx.Module):
    """What a flow records of an :class:`AveragedTheory`."""

    kept: Float[Array, "..."]
    ridge: Float[Array, "..."]
    effective_ridge: Float[Array, "..."]
    label_noise: Float[Array, "..."]
    test_error: Float[Array, "..."]


def quotient(numerator: Float[Array, ""], denominator: Float[Array, ""]) -> Float[Array, ""]:
    """Their ratio; zero for 0 / 0, which is what an error without a source is at any threshold."""
    safe = jnp.where(numerator > 0, denominator, 1.0)
    return jnp.where(numerator > 0, numerator / safe, 0.0)
