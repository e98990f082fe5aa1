"""Self-consistent ridge and error at every input, for features whose variances are correlated."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from wilsonian.core.precision import compiled
from wilsonian.core.quadrature import gauss_hermite
from wilsonian.core.spectrum import Spectrum
from wilsonian.core.types import Scalar


class FeatureMoments(eqx.Module):
    r"""What the theory knows of the law of the features, on inputs of given probability.

    The first `kept` modes by their values :math:`\phi_k(x)`; of the others, which are taken to be
    uncorrelated given the input, only the second moments :math:`E[\phi_q^2 | x]`. These are the
    `squares` themselves, or where `loadings` are given a few functions of the input that all share,
    `squares @ loadings`. What no mode resolves is the `tail`.
    """

    kept_eigenvalues: Float[Array, " kept"]
    modes: Float[Array, "points kept"]
    lost_eigenvalues: Float[Array, " lost"]
    squares: Float[Array, "points terms"]
    loadings: Float[Array, "terms lost"] | None
    tail: Float[Array, " points"]
    probabilities: Float[Array, " points"]

    @classmethod
    def of(cls, spectrum: Spectrum, kept: int) -> FeatureMoments:
        r"""From the modes of the population at points drawn from it, all equally likely.

        Kept modes mix through their sampled correlations, with a relative error of a few times
        their number over the number of points; the others, whose squares enter one by one, with one
        of the order of the inverse root of the number of points. Weights of the spectrum apply.

        Raises ValueError unless `kept` lies between zero and the number of modes, and is below the
        number of points.
        """
        points, modes = spectrum.modes.shape
        if not 0 <= kept <= modes or kept >= points:
            raise ValueError(
                f"`kept` must lie between 0 and the {modes} modes, below the {points} points, "
                f"got {kept}; a mode beyond it still counts, by its square."
            )
        eigenvalues = spectrum.kept_eigenvalues
        return cls(
            eigenvalues[:kept],
            spectrum.modes[:, :kept],
            eigenvalues[kept:],
            spectrum.modes[:, kept:] ** 2,
            None,
            spectrum.tail,
            jnp.full(points, 1 / points, spectrum.modes.dtype),
        )

    @classmethod
    def of_common_variance(
        cls,
        eigenvalues: Float[Array, " modes"],
        variance: Callable[[Array], Array],
        unaffected: int,
        *,
        hidden: bool = False,
        nodes: int = 128,
    ) -> FeatureMoments:
        r"""Features :math:`\phi_q = \sqrt{S(z)} g_q` for :math:`q >` `unaffected`, the others
        standard normal, with :math:`z` the first of them, or `hidden` (as
        :class:`wilsonian.theory.datasets.VarianceCorrelated`), by Gauss-Hermite quadrature over
        :math:`z`.

        Raises ValueError unless at least one mode is unaffected and the variance is nonnegative
        with mean one.
        """
        if not 1 <= unaffected <= len(eigenvalues):
            raise ValueError(
                f"`unaffected` must lie between 1 and the {len(eigenvalues)} modes, "
                f"got {unaffected}."
            )
        points, probabilities = gauss_hermite(nodes)
        eigenvalues = jnp.asarray(eigenvalues)
        values = np.asarray(variance(jnp.asarray(points, eigenvalues.dtype)))
        mean = float(probabilities @ values)
        if not (np.all(values >= 0) and abs(mean - 1) < 1e-3):
            raise ValueError(
                f"`variance` must be nonnegative with mean one, got values from "
                f"{values.min():.3g} and mean {mean:.5g}; divide it by its mean."
            )
        kept = 0 if hidden else 1
        affected = np.arange(len(eigenvalues)) >= unaffected
        dtype = eigenvalues.dtype
        return cls(
            eigenvalues[:kept],
            jnp.asarray(points[:, None][:, :kept], dtype),
            eigenvalues[kept:],
            jnp.asarray(np.stack([np.ones(nodes), values], axis=1), dtype),
            jnp.asarray(np.stack([~affected, affected])[:, kept:], dtype),
            jnp.zeros(nodes, dtype),
            jnp.asarray(probabilities, dtype),
        )

    def averaged(self, weights: Float[Array, " points"]) -> tuple[Array, Array]:
        r""":math:`\int d\mu\, w\, \phi_k \phi_{k'}` of kept modes and :math:`\int d\mu\, w\,
        \phi_q^2` of the others."""
        weights = self.probabilities * weights
        lost = weights @ self.squares
        kept = (self.modes * weights[:, None]).T @ self.modes
        return kept, lost if self.loadings is None else lost @ self.loadings

    def quadratic(
        self, kept: Float[Array, "kept kept"], lost: Float[Array, " lost"]
    ) -> Float[Array, " points"]:
        r""":math:`\phi^T M \phi` at each input, with `kept` the block of :math:`M` on kept modes
        and `lost` its diagonal on the others."""
        lost = lost if self.loadings is None else self.loadings @ lost
        return jnp.sum((self.modes @ kept) * self.modes, axis=1) + self.squares @ lost


class SelfConsistentRidge(eqx.Module):
    r"""The ridge :math:`\sigma_{\rm eff}^2(x) = \sigma^2 + V(x)` and the posterior covariance it is
    consistent with (see :func:`self_consistent_ridge`)."""

    moments: FeatureMoments
    values: Float[Array, " points"]
    kept_covariance: Float[Array, "kept kept"]  # C, posterior covariance of kept coefficients
    lost_variance: Float[Array, " lost"]  # its diagonal on the others
    kept_weights: Float[Array, "kept kept"]  # W_eff
    lost_weights: Float[Array, " lost"]
    ridge: Scalar
    n_samples: Scalar
    residual: Float[Array, ""]  # largest |log| of right over left side of the equation
    steps: Int[Array, ""]

    def mean(self) -> Float[Array, ""]:
        r""":math:`\int d\mu\, \sigma_{\rm eff}^2(x)`."""
        return self.moments.probabilities @ self.values

    def posterior_variance(self) -> Float[Array, ""]:
        r""":math:`\int d\mu\, V(x)`: posterior variance at a new input."""
        return self.mean() - self.ridge


class ErrorField(eqx.Module):
    r"""Squared error of the posterior mean, averaged over data sets, at every input (see
    :func:`error_field`)."""

    values: Float[Array, " points"]  # E(x), free of the noise of a test label
    bias: Float[Array, " points"]  # squared error of the averaged predictor
    test_error: Float[Array, ""]  # their mean over inputs
    training_error: Float[Array, ""]  # of a training label, noise included
    kept_coefficients: Float[Array, " kept"]  # of the averaged predictor
    lost_coefficients: Float[Array, " lost"]
    residual: Float[Array, ""]
    steps: Int[Array, ""]


def self_consistent_ridge(
    moments: FeatureMoments,
    ridge: Scalar,
    n_samples: Scalar,
    *,
    tolerance: float | None = None,
    max_steps: int = 10_000,
) -> SelfConsistentRidge:
    r"""Solve (docs/science/non-gaussian.md, section 6)

    .. math::
        \sigma_{\rm eff}^2(x) &= \sigma^2 + \phi(x)^T C \phi(x), \\
        C &= (\Lambda^{-1} + n W_{\rm eff})^{-1}, \qquad
        W_{\rm eff} = \int d\mu\, \phi \phi^T / \sigma_{\rm eff}^2(x)

    over all modes. The right side grows with :math:`\sigma_{\rm eff}^2`, and by less than in
    proportion: a standard interference function (Yates 1995), whose solution is unique and reached
    from any start. From :math:`\sigma^2 + K(x, x)` it is reached from above. For features of
    constant variance it is :func:`wilsonian.effective_ridge`.

    `tolerance` bounds the last relative change, a hundred roundings when left out; the record says
    what was reached in how many steps.

    Raises ValueError unless ridge and sample size are positive.
    """
    for name, value in (("ridge", ridge), ("n_samples", n_samples)):
        if not isinstance(value, jax.core.Tracer) and not 0 < float(value) < np.inf:
            raise ValueError(f"`{name}` must be positive and finite, got {value}.")
    dtype = moments.modes.dtype
    bound = 100 * float(jnp.finfo(dtype).eps) if tolerance is None else tolerance
    bare, size = jnp.asarray(ridge, dtype), jnp.asarray(n_samples, dtype)
    return _solve_ridge(moments, bare, size, jnp.asarray(bound, dtype), jnp.asarray(max_steps))


@compiled
def _solve_ridge(moments, ridge, n_samples, tolerance, max_steps):
    root = jnp.sqrt(moments.kept_eigenvalues)
    prior = moments.lost_eigenvalues
    identity = jnp.eye(root.shape[0], dtype=root.dtype)

    def posterior(values):
        kept, lost = moments.averaged(1 / values)
        # Symmetric with unit diagonal at least: well conditioned also where eigenvalues vanish.
        factor = jax.scipy.linalg.cho_factor(identity + n_samples * root[:, None] * kept * root)
        covariance = root[:, None] * jax.scipy.linalg.cho_solve(factor, identity) * root
        return covariance, prior / (1 + n_samples * prior * lost), kept, lost

    def renormalized(values):
        covariance, variance, _, _ = posterior(values)
        return ridge + moments.tail + moments.quadratic(covariance, variance)

    def step(state):
        values, _, count = state
        following = renormalized(values)
        return following, jnp.max(jnp.abs(jnp.log(following / values))), count + 1

    def unfinished(state):
        return (state[1] > tolerance) & (state[2] < max_steps)

    everything = moments.quadratic(jnp.diag(moments.kept_eigenvalues), prior)
    start = (ridge + moments.tail + everything, jnp.asarray(jnp.inf, root.dtype), jnp.asarray(0))
    values, residual, steps = jax.lax.while_loop(unfinished, step, start)
    return SelfConsistentRidge(
        moments, values, *posterior(values), ridge, n_samples, residual, steps
    )


def error_field(
    theory: SelfConsistentRidge,
    coefficients: Float[Array, " modes"],
    label_noise: Scalar = 0.0,
    *,
    lost_share: bool = True,
    tolerance: float | None = None,
    max_steps: int = 10_000,
) -> ErrorField:
    r"""Squared error at every input for the target :math:`\sum_k y_k \phi_k` with label noise
    :math:`\sigma_\varepsilon^2` (docs/science/non-gaussian.md, section 6):

    .. math::
        E(x) &= b(x) + \phi^T C\, N\, C \phi, \qquad
        N = n \int d\mu\, \frac{E + \sigma_\varepsilon^2}{\sigma_{\rm eff}^4}\, \phi \phi^T, \\
        b(x) &= (\phi^T (y - \bar f))^2, \qquad \bar f = C\, n W_{\rm eff}\, y .

    `coefficients` are those of the kept modes and then of the others. Sums run over all modes: an
    eliminated one, known by its second moment, adds :math:`E[\phi_q^2 | x]\, [(y_q - \bar f_q)^2 +
    C_q^2 N_q]`. `lost_share=False` leaves out the term in :math:`C_q^2 N_q`, for comparison. With
    target and noise drawn from prior and ridge, :math:`E(x) = V(x)`. The error at a training point
    is :math:`(E + \sigma_\varepsilon^2) \sigma^4 / \sigma_{\rm eff}^4`.

    Raises ValueError unless there is one coefficient per mode and the noise is nonnegative.
    """
    moments = theory.moments
    kept = moments.kept_eigenvalues.shape[0]
    modes = kept + moments.lost_eigenvalues.shape[0]
    if jnp.shape(coefficients) != (modes,):
        raise ValueError(
            f"`coefficients` has shape {jnp.shape(coefficients)}; pass one number for each of the "
            f"{modes} modes."
        )
    if not isinstance(label_noise, jax.core.Tracer) and not 0 <= float(label_noise) < np.inf:
        raise ValueError(f"`label_noise` is a variance, at least zero, got {label_noise}.")
    dtype = theory.values.dtype
    bound = 100 * float(jnp.finfo(dtype).eps) if tolerance is None else tolerance
    target = jnp.asarray(coefficients, dtype)
    noise_variance, share = jnp.asarray(label_noise, dtype), jnp.asarray(lost_share, dtype)
    return _solve_error(
        theory, target, noise_variance, share, jnp.asarray(bound, dtype), jnp.asarray(max_steps)
    )


@compiled
def _solve_error(theory, target, noise_variance, lost_share, tolerance, max_steps):
    moments, size = theory.moments, theory.n_samples
    kept = moments.kept_eigenvalues.shape[0]
    covariance, variance = theory.kept_covariance, theory.lost_variance
    kept_mean = size * covariance @ (theory.kept_weights @ target[:kept])
    lost_mean = size * variance * theory.lost_weights * target[kept:]
    kept_left, lost_left = target[:kept] - kept_mean, target[kept:] - lost_mean
    bias = moments.quadratic(jnp.outer(kept_left, kept_left), lost_left**2)
    squared = theory.values**2

    def fed_back(error):
        kept_noise, lost_noise = moments.averaged(size * (error + noise_variance) / squared)
        lost = lost_share * variance**2 * lost_noise
        return bias + moments.quadratic(covariance @ kept_noise @ covariance, lost)

    def step(state):
        error, _, count = state
        following = fed_back(error)
        scale = jnp.maximum(jnp.max(following), jnp.finfo(following.dtype).tiny)
        return following, jnp.max(jnp.abs(following - error)) / scale, count + 1

    def unfinished(state):
        return (state[1] > tolerance) & (state[2] < max_steps)

    start = (bias, jnp.asarray(jnp.inf, bias.dtype), jnp.asarray(0))
    error, residual, steps = jax.lax.while_loop(unfinished, step, start)
    probabilities = moments.probabilities
    training = probabilities @ ((error + noise_variance) * theory.ridge**2 / squared)
    return ErrorField(
        error, bias, probabilities @ error, training, kept_mean, lost_mean, residual, steps
    )
