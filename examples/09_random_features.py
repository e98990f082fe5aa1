"""The error of a linear network of random layers from theory, beside regression on drawn ones."""

import numpy as np

from wilsonian.theory.random_features import Population
from wilsonian.theory.random_features.models import DeepRandomFeatures, LinearRandomFeatures
from wilsonian.theory.random_features.simulation import random_feature_simulation

INPUTS, SAMPLES, RIDGE = 100, 40, 0.05
index = np.arange(1.0, INPUTS + 1)
population = Population.of(index**-1.3, index**-1.9, label_noise=0.05)

print(f"{INPUTS} inputs, {SAMPLES} samples, ridge {RIDGE}: test error, label noise included")
for width in (20, 40, 80, 1000):
    model = LinearRandomFeatures(population, width)
    error, best = model.test_error(SAMPLES, RIDGE), model.optimal_ridge(SAMPLES)
    print(f"{width:5d} features {error:.4f}", end="")
    print(f"; best ridge {best:.3f}, then {model.test_error(SAMPLES, best):.4f}", end="")
    print(f"; mean of ten networks {model.ensemble_error(SAMPLES, RIDGE, 10):.4f}")

model = DeepRandomFeatures(population, (80, 60))
theory = model.decompose(SAMPLES, RIDGE)
measured = random_feature_simulation(model, SAMPLES, RIDGE, blocks=20)
print("two layers of 80 and 60    theory   measured")
for part, name in (
    ("test_error", "test error"),
    ("train_error", "training error"),
    ("bias", "squared bias"),
    ("feature_variance", "variance: features"),
    ("data_variance", "variance: data"),
    ("feature_data_variance", "features and data"),
    ("noise_variance", "noise"),
    ("feature_noise_variance", "noise and features"),
):
    mean, error = getattr(measured.mean, part), getattr(measured.standard_error, part)
    print(f"  {name:20s} {getattr(theory, part):10.4f} {mean:10.4f} +- {error:.4f}")
