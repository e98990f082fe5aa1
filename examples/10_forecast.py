"""Forecast from 200 labelled digits what 1,200 would achieve, and label them to see."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge

from wilsonian import Matern52
from wilsonian.theory.forecast import forecast

X, y = load_digits(return_X_y=True)
X = (X - X.mean()) / X.std()
order = np.random.default_rng(0).permutation(len(X))
X, y = X[order], y[order]
kernel, labels = Matern52(length_scale=8.0), 200

found = forecast(
    X[:labels], y[:labels], kernel, to=[400, 1200], unlabelled=X[labels:], task="classification"
)
print(f"{labels} labels, {len(X)} images; left out one by one: ", end="")
print(f"error {found.measured.least()[-1]:.4f}, rate {found.measured.least_wrong()[-1]:.1%}\n")
print("labels   forecast error (90% band)    measured   forecast error rate (90% band)  measured")
table, targets = found.table, np.eye(10)[y]
for k, n in enumerate(table.n.astype(int)):
    # For comparison, kernel ridge regression on that many labels at the ridge of the forecast.
    gram = np.asarray(kernel(X), float)
    model = KernelRidge(alpha=table.ridge[k], kernel="precomputed")
    model.fit(gram[:n, :n], targets[:n] - targets[:n].mean(axis=0))
    scores = model.predict(gram[n:, :n]) + targets[:n].mean(axis=0)
    error, rate = table.error, table.error_rate
    print(
        f"{n:6,}   {error.median[k]:.4f} ({error.lower[k]:.4f} to {error.upper[k]:.4f})"
        f"{np.mean((scores - targets[n:]) ** 2):12.4f}   "
        f"{rate.median[k]:.1%} ({rate.lower[k]:.1%} to {rate.upper[k]:.1%})"
        f"{np.mean(scores.argmax(axis=1) != y[n:]):18.1%}"
    )
print(f"\none more factor of two would remove {table.gain.median[-1]:.0%} of the error")
print(*found.diagnostics, sep="\n")
