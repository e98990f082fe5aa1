"""Fit a small table, and compare with exact Gaussian-process regression."""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from wilsonian import Matern52, ReducedGPRegressor

X, y = load_diabetes(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0)
scaler = StandardScaler().fit(X)
X, X_test = scaler.transform(X), scaler.transform(X_test)


def report(name, mean, std):
    """Root-mean-square error, and how often the 90% interval of a new label holds it."""
    rmse = np.sqrt(np.mean((y_test - mean) ** 2))
    coverage = np.mean(np.abs(y_test - mean) < 1.645 * std)
    print(f"{name:34s} RMSE {rmse:.2f}   90% interval holds {coverage:.0%}")


# One length scale for all columns, as the exact regression below has it.
model = ReducedGPRegressor(Matern52(3.0), ard=False, random_state=0).fit(X, y)
print(f"{len(X)} rows; {model.n_modes_} modes kept of the {model.rank_} that were resolved.")
report(
    "wilsonian, modes integrated out", *model.predict(X_test, return_std=True, include_noise=True)
)

# For comparison, every mode of the same kernel, its hyperparameters learned anew.
kernel = ConstantKernel() * Matern(3.0, nu=2.5) + WhiteKernel(0.1)
exact = GaussianProcessRegressor(kernel, normalize_y=True).fit(X, y)
report("scikit-learn, exact", *exact.predict(X_test, return_std=True))
