"""Known methods on the same rows and columns, so that an error says something: scikit-learn's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

LARGEST_SAMPLE = 20_000  # rows a baseline is fitted to
BOOSTED_CLASSES = 3  # boosting grows trees for every class: beyond these it takes longer than we do


class Baselines:
    """Methods fitted to (a sample of) the training rows, and their errors on held-out rows.

    Regression: the training mean, ridge regression (penalty by leave-one-out) and histogram
    boosting; errors are root mean squares. Classification: the commonest class, logistic regression
    and, up to three classes, histogram boosting; errors are error rates. They work on one thread:
    on so few rows several wait for each other, busily, beside other work for seconds.
    """

    def __init__(self, X: np.ndarray, y: np.ndarray, classes: tuple[str, ...], seed: int) -> None:
        step = -(-len(X) // LARGEST_SAMPLE)
        X, y = X[::step], y[::step]
        self._classes = np.array(classes, dtype=object)
        self._predict: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
        self._losses: dict[str, float] = {}
        self._rows = 0
        constant = np.bincount(y).argmax() if classes else y.mean()
        name = "the commonest class" if classes else "the training mean"
        self._predict[name] = lambda X: np.full(len(X), constant)
        for name, model in _models(len(classes), seed).items():
            with warnings.catch_warnings(), threadpool_limits(1):
                # One that has not quite converged is a baseline all the same.
                warnings.simplefilter("ignore")
                try:
                    self._predict[name] = model.fit(X, y).predict
                except (ValueError, np.linalg.LinAlgError):  # it cannot be had for these rows
                    continue

    def add(self, X: np.ndarray, y: np.ndarray) -> None:
        """Held-out rows: inputs, and targets or labels as text. A thousand take hardly longer than
        one, a hundredth of a second."""
        self._rows += len(X)
        for name, predict in self._predict.items():
            with threadpool_limits(1):
                found = predict(X)
            wrong = self._classes[found] != y if len(self._classes) else (found - y) ** 2
            self._losses[name] = self._losses.get(name, 0.0) + float(np.sum(wrong))

    def errors(self) -> dict[str, float]:
        """Root-mean-square error or error rate of each; empty without held-out rows."""
        means = {name: loss / self._rows for name, loss in self._losses.items()}
        if len(self._classes):
            return means
        return {name: float(np.sqrt(mean)) for name, mean in means.items()}


def _models(classes: int, seed: int) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, RidgeCV

    if not classes:
        return {
            "ridge regression": RidgeCV(np.geomspace(1e-3, 1e5, 17)),
            "histogram boosting": HistGradientBoostingRegressor(random_state=seed),
        }
    found: dict[str, Any] = {"logistic regression": LogisticRegression(max_iter=200)}
    if classes <= BOOSTED_CLASSES:
        found["histogram boosting"] = HistGradientBoostingClassifier(random_state=seed)
    return found
