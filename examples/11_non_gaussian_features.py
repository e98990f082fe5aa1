"""Features whose variances move together: noticed, and their error predicted at every input."""

import jax
import jax.numpy as jnp

from wilsonian import AveragedTheory, PointTheory, Spectrum, UniformRidge
from wilsonian.theory.datasets import Laplace, VarianceCorrelated, matched_target, power_law
from wilsonian.theory.non_gaussian.diagnostics import diagnose_features
from wilsonian.theory.non_gaussian.self_consistent import (
    FeatureMoments,
    error_field,
    self_consistent_ridge,
)

MODES, KEPT, POINTS, RIDGE, DRAWS = 500, 20, 200, 0.01, 60
eigenvalues = power_law(MODES, 0.5)
correlated = VarianceCorrelated("step", unaffected=KEPT)  # by the sign of the first feature

print("Kurtosis is no harm, correlated variances are:")
for law in (Laplace(), correlated):
    features = law.draw(jax.random.key(0), 1000, MODES)
    print(" ", diagnose_features(Spectrum.of(eigenvalues, features), KEPT, RIDGE).sentence())

# The target lies in the first modes; the others are in the way, more at some inputs than at others.
target = jnp.where(jnp.arange(MODES) < KEPT, matched_target(eigenvalues), 0.0)
moments = FeatureMoments.of_common_variance(eigenvalues, lambda z: jnp.where(z > 0, 1.9, 0.1), KEPT)
theory = self_consistent_ridge(moments, RIDGE, POINTS)
field = error_field(theory, target)
uniform = AveragedTheory.of(eigenvalues, target**2, RIDGE, POINTS).test_error()
positive = moments.probabilities * (moments.modes[:, 0] > 0) * 2
negative = moments.probabilities * (moments.modes[:, 0] < 0) * 2


@jax.jit
def measure(key):
    """Squared error by mode of the exact regression on one drawn training set."""
    features = correlated.draw(key, POINTS, MODES)
    points = PointTheory.of(
        Spectrum.of(eigenvalues, features), UniformRidge(RIDGE), features @ target
    )
    return (points.coefficients() - target) ** 2


squares = jnp.stack([measure(key) for key in jax.random.split(jax.random.key(1), DRAWS)])
affected = jnp.arange(MODES) >= KEPT
print(f"\nMean squared error of {POINTS} points, {theory.steps} steps to the fixed point")
print("                          predicted   measured")
for label, predicted, scale in (
    ("self-consistent", field.test_error, 1.0),
    ("  first feature positive", positive @ field.values, 1.9),
    ("  first feature negative", negative @ field.values, 0.1),
    ("uniform ridge", uniform, 1.0),
):
    errors = squares @ jnp.where(affected, scale, 1.0)  # what S is at such inputs
    error = errors.std() / DRAWS**0.5
    print(f"{label:26}{predicted:9.3g}{errors.mean():11.3g} +- {error:.1g}")
