"""Regression averaged over data sets under a cutoff, from the spectrum and the target alone."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import AbstractTheory
from wilsonian.core.effective_ridge import effective_ridge
from wilsonian.core.information import learnability
from wilsonian.core.types import Scalar


class AveragedTheory(AbstractTheory):
    r"""Regression averaged over data sets, from the spectrum and the target's coefficients alone.

    Eliminated modes add their eigenvalues to the ridge, and the eliminated part of the *target*
    re-enters as label noise, :math:`\sigma_\varepsilon^2 + \sum_{q > \kappa} y_q^2`
    (docs/science/wilsonian.md, section 3). An entry may stand for several modes of one eigenvalue:
    `multiplicity` says how many, and `target_power` is theirs together.
    """

    spectrum_eigenvalues: Float[Array, " modes"]
    kept_weights: Float[Array, " modes"]
    target_power: Float[Array, " modes"]  # y_k^2
    ridge: Scalar
    label_noise: Scalar
    n_samples: Scalar
    multiplicity: Scalar | Float[Array, " modes"] = 1.0

    @classmethod
    def of(
        cls,
        eigenvalues: Any,  # (modes,)
        target_power: Any,  # (modes,)
        ridge: Scalar,
        n_samples: Scalar,
        label_noise: Scalar = 0.0,
        multiplicity: Any = 1.0,  # one, or (modes,)
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
            *(eigenvalues, weights, target_power, ridge, label_noise, n_samples, multiplicity)
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
            self.n_samples,
            self.multiplicity,
        )

    def effective_ridge(self) -> Float[Array, ""]:
        """The ridge once the kept modes, too, are integrated out self-consistently."""
        return effective_ridge(self.kept_eigenvalues, self.ridge, self.n_samples, self.multiplicity)

    def kernel_error(self) -> Float[Array, ""]:
        r"""Equivalent-kernel estimate of the mean squared error on the kept target,
        :math:`\sum_k (1 - L_k)^2 y_k^2` at the bare learnability."""
        return self.bias(self.ridge)

    # The effective ridge solves an equation: who has solved it already passes it in.

    def test_error(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        r"""Mean squared error on the kept target by the deterministic equivalent
        (docs/science/wilsonian.md, section 4); the whole target's adds the power of the eliminated
        modes.

        .. math:: E_g = \frac{\sum_k (1 - L_k)^2 y_k^2 + \gamma \sigma_\varepsilon^2}{1 - \gamma}
        """
        value = self.effective_ridge() if effective_ridge is None else effective_ridge
        noise_variance = self.overfitting(value) * self.label_noise
        return quotient(self.bias(value) + noise_variance, self.rigidity(value))

    def bias(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        """Squared error of the predictor averaged over data sets."""
        unlearned = self.unlearned(effective_ridge)
        return jnp.sum(self.kept_weights * unlearned**2 * self.target_power)

    def learnabilities(self, effective_ridge: Scalar | None = None) -> Float[Array, " modes"]:
        """Learned fraction of each kept mode at the effective ridge."""
        value = self.effective_ridge() if effective_ridge is None else effective_ridge
        return learnability(self.kept_eigenvalues, value, self.n_samples)

    def unlearned(self, effective_ridge: Scalar | None = None) -> Float[Array, " modes"]:
        """What is missing to a learnability of one, without cancellation."""
        value = self.effective_ridge() if effective_ridge is None else effective_ridge
        total = value + self.n_samples * self.kept_eigenvalues
        return jnp.where(total > 0, value / jnp.where(total > 0, total, 1.0), 1.0)

    def degrees_of_freedom(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        r""":math:`\mathrm{df}_1 = \sum_k L_k`: how many modes are learned, n at most."""
        return jnp.sum(self.multiplicity * self.learnabilities(effective_ridge))

    def overfitting(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        r""":math:`\gamma = \sum_k L_k^2 / n`: the share of the error that is variance."""
        learned = self.learnabilities(effective_ridge)
        return jnp.sum(self.multiplicity * learned**2) / self.n_samples

    def rigidity(self, effective_ridge: Scalar | None = None) -> Float[Array, ""]:
        r""":math:`1 - \gamma = \sigma^2 / \sigma_{\rm eff}^2 + \sum_k L_k (1 - L_k) / n`, without
        the cancellation of the left side where it is small: at the interpolation threshold."""
        value = self.effective_ridge() if effective_ridge is None else effective_ridge
        learned = self.learnabilities(value)
        half = jnp.sum(self.multiplicity * learned * self.unlearned(value)) / self.n_samples
        ratio = self.ridge / jnp.where(value > 0, value, 1.0)
        # No ridge and no more modes than points: all of them are learned, the rest is spare.
        spare = 1 - jnp.sum(self.multiplicity * learned) / self.n_samples
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
