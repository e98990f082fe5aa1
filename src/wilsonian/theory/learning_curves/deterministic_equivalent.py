"""The deterministic equivalent: regression averaged over data sets, from a spectrum alone."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.cutoffs import AbstractCutoff
from wilsonian.core.effective_ridge import effective_ridge
from wilsonian.core.information import learnability
from wilsonian.core.types import Scalar
from wilsonian.theory.averaged import AveragedTheory, quotient
from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum

Values = Array | np.ndarray  # NumPy's outside compiled functions


class SelfConsistentCutoff(AbstractCutoff):
    r"""Keep of every mode what is learned of it, :math:`w = \lambda / (\lambda + \kappa)`, at the
    scale :math:`\kappa` where what is lost renormalizes the ridge to :math:`n \kappa` itself,

    .. math:: \sigma^2 + \sum_k (1 - w_k) \lambda_k = n \kappa .

    Coarse graining by it *is* the deterministic equivalent of learning-curve theory
    (docs/science/learning-curves.md, section 1; arXiv:2405.00592): the ridge it leaves is the
    effective one.
    """

    ridge: Scalar
    n_samples: Scalar
    multiplicity: Scalar | Float[Array, " modes"] = 1.0

    def weights(self, eigenvalues):
        ridge = effective_ridge(eigenvalues, self.ridge, self.n_samples, self.multiplicity)
        return learnability(eigenvalues, ridge, self.n_samples)


class DeterministicEquivalent(eqx.Module):
    r"""Regression averaged over data sets, at each sample size and ridge (arrays of one shape).

    :math:`L_k = \lambda_k / (\lambda_k + \kappa)`; formulas in docs/science/learning-curves.md,
    section 1.
    """

    effective_ridge: Float[Values, "..."]  # n kappa = n / tr (K + sigma^2)^{-1}
    kappa: Float[Array, "..."]
    degrees_of_freedom: Float[Values, "..."]  # sum of L_k
    overfitting: Float[Values, "..."]  # gamma = sum of L_k^2 / n
    bias: Float[Values, "..."]  # sum of (1 - L_k)^2 y_k^2
    variance: Float[Values, "..."]  # gamma (E_g + noise), over data sets and label noise
    test_error: Float[Values, "..."]  # E_g, of the noiseless target
    label_error: Float[Values, "..."]  # E_g + noise, of a new noisy label
    train_error: Float[Values, "..."]  # of the noisy training labels
    posterior_variance: Float[Values, "..."]  # mean over inputs, tail included

    @property
    def generalization_gap(self) -> Float[Values, "..."]:
        """Error of a new noisy label less that of the training labels."""
        return self.label_error - self.train_error


def averaged_theory(
    nodes: BinnedSpectrum, noise_variance: Scalar, n: Scalar, ridge: Scalar
) -> AveragedTheory:
    """The averaged theory of the nodes of a spectrum; its tail is absorbed in the ridge."""
    values, power, counts = (
        jnp.asarray(column)
        for column in (nodes.eigenvalues, nodes.target_power, nodes.multiplicity)
    )
    return AveragedTheory.of(values, power, ridge + nodes.tail, n, noise_variance, counts)


def deterministic_equivalent(
    theory: AveragedTheory, effective_ridge: Float[Array, ""], tail: Scalar = 0.0
) -> DeterministicEquivalent:
    """The record of a theory, `tail` of whose ridge is modes of the kernel."""
    bias, rigidity = theory.bias(effective_ridge), theory.rigidity(effective_ridge)
    gamma = theory.overfitting(effective_ridge)
    label_error = quotient(bias + theory.label_noise, rigidity)
    test_error = quotient(bias + gamma * theory.label_noise, rigidity)
    # Without ridge and with spare points: delta / (n kappa) tends to 1 - rank / n.
    value = jnp.where(effective_ridge > 0, effective_ridge, 1.0)
    shrinkage = jnp.where(effective_ridge > 0, (theory.ridge - tail) / value, rigidity)
    return DeterministicEquivalent(
        effective_ridge=effective_ridge,
        kappa=effective_ridge / theory.n_samples,
        degrees_of_freedom=theory.degrees_of_freedom(effective_ridge),
        overfitting=gamma,
        bias=bias,
        variance=quotient(gamma * (bias + theory.label_noise), rigidity),
        test_error=test_error,
        label_error=label_error,
        train_error=shrinkage * quotient(shrinkage * (bias + theory.label_noise), rigidity),
        posterior_variance=theory.posterior_variance(effective_ridge) + tail,
    )
