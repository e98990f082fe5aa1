"""Rows that arrive in pieces: each updates the model, and the end equals one fit of them all."""

import numpy as np
from sklearn.datasets import make_friedman1

from wilsonian import RBF, ReducedGPRegressor

X, y = make_friedman1(n_samples=3000, n_features=6, noise=1.0, random_state=0)
X, X_test, y, y_test = X[:2000], X[2000:], y[:2000], y[2000:]


def rmse(model):
    return np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2))


# The first rows choose inducing points and kernel; the model keeps sums over rows, never the rows.
model = ReducedGPRegressor(RBF(np.ones(6)), rank=200, random_state=0)
for start in range(0, 2000, 500):
    model.partial_fit(X[start : start + 500], y[start : start + 500])
    print(f"{start + 500:5d} rows: {model.n_modes_:3d} modes, RMSE {rmse(model):.4f}")

# For comparison, one fit of all rows with those inducing points and that kernel.
whole = ReducedGPRegressor(
    model.kernel_,
    inducing_points=model.prepared_.features.inducing_points,
    learn="scale",
    random_state=0,
).fit(X, y)
print(f" one fit: {whole.n_modes_:3d} modes, RMSE {rmse(whole):.4f}")
difference = np.abs(model.predict(X_test) - whole.predict(X_test)).max()
print(f"greatest difference of a prediction: {difference:.1e} (targets spread by {np.std(y):.1f})")
