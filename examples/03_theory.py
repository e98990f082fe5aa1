"""Predict ridge and test error from a spectrum alone, and measure both on simulated data."""

import jax
import jax.numpy as jnp

from wilsonian import AveragedTheory, PointTheory, RankCutoff, UniformRidge, coarse_grain
from wilsonian.theory.datasets import matched_target, power_law, regression_problem

MODES, POINTS, RIDGE, DRAWS = 400, 100, 0.05, 100
eigenvalues = power_law(MODES, 1.0)
theory = AveragedTheory.of(
    eigenvalues, matched_target(eigenvalues) ** 2, RIDGE, POINTS, label_noise=RIDGE
)


def drawn(key, kept):
    """The theory of one drawn training set, and the target's coefficients."""
    problem = regression_problem(key, eigenvalues, POINTS, label_noise=RIDGE)
    points = PointTheory.of(problem.spectrum, UniformRidge(RIDGE), problem.targets)
    return coarse_grain(points, RankCutoff(kept)), problem.coefficients


# Two programs: with two factorizations in one, the CPU runtime of jaxlib 0.10.2 can stop forever.
@jax.jit
def measured_ridge(key, kept):
    """Effective ridge, n over the trace of the inverse covariance."""
    points, _ = drawn(key, kept)
    return POINTS / jnp.trace(jnp.linalg.inv(points.covariance()))


@jax.jit
def measured_error(key, kept):
    """Squared error on the kept part of the target."""
    points, coefficients = drawn(key, kept)
    return points.weights @ (points.coefficients() - coefficients) ** 2


print(f"{POINTS} points, {MODES} modes, ridge {RIDGE}; measured: mean of {DRAWS} draws")
print("           ridge,            effective ridge      error on the kept target")
print("  kept  renormalized     predicted   measured      predicted   measured")
for kept in (400, 100, 50, 20, 10):
    predicted = coarse_grain(theory, RankCutoff(kept)).summary()
    keys = jax.random.split(jax.random.key(0), DRAWS)
    ridge = jax.vmap(measured_ridge, in_axes=(0, None))(keys, kept).block_until_ready()
    error = jax.vmap(measured_error, in_axes=(0, None))(keys, kept)
    print(
        f"{kept:6d}{predicted.ridge:14.4f}"
        f"{predicted.effective_ridge:14.4f}{ridge.mean():11.4f}"
        f"{predicted.test_error:15.4f}{error.mean():11.4f}"
        f" +- {error.std() / DRAWS**0.5:.4f}"
    )
