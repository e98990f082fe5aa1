"""A learning curve before training: error, best ridge and crossover, beside simulation."""

import numpy as np

from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.simulate import simulate

# A kernel's eigenvalues, the target's squared coefficients in its modes, and noisy labels.
modes = np.arange(1, 501)
eigenvalues, target, noise = modes**-1.5, 0.5 * modes**-1.8, 0.05
theory = LearningCurve(eigenvalues, target, noise)

ridge = 0.01
print(f"At ridge {ridge} the ridge starts to matter beyond n = {theory.crossover(ridge):.0f}.")
print("    n   slope   best ridge   error there   modes learned")
for n in (30, 100, 300, 1000, 10000):
    best = theory.optimal_ridge(n)
    learned = theory.equivalent(n, best).degrees_of_freedom
    print(
        f"{n:5d}{theory.local_exponent(n, ridge):8.2f}{best:13.3f}"
        f"{theory.test_error(n, best):14.4f}{learned:16.1f}"
    )

# For comparison, regression on 40 data sets of 100 points each, at several ridges.
ridges = np.array([0.0, 0.01, 0.3, 10.0])
measured = simulate(
    eigenvalues, 100, ridges, coefficients=np.sqrt(target), noise_variance=noise, draws=40
).test_error
print("ridge   predicted at n = 100   measured")
for row in zip(
    ridges, theory.test_error(100, ridges), measured.mean, measured.standard_error, strict=True
):
    print("{:5.2f}{:23.4f}   {:.4f} +- {:.4f}".format(*row))
