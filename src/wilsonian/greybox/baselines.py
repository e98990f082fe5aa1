"""What any model of signals must beat: the mean, principal components, physics alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from wilsonian.greybox.sector_model import SectorModel
from wilsonian.greybox.simulators import Simulator


def mean_signal(X_train: Any, X_test: Any) -> float:
    """Squared error per signal of the training mean."""
    train, test = _flat(X_train), _flat(X_test)
    return float(np.mean(np.sum((test - train.mean(axis=0)) ** 2, axis=1)))


def principal_components(X_train: Any, X_test: Any, counts: list[int]) -> dict[int, float]:
    """Squared error per signal of the first `counts` principal components."""
    train, test = _flat(X_train), _flat(X_test)
    center = train.mean(axis=0)
    _, _, components = np.linalg.svd(train - center, full_matrices=False)
    off, errors = test - center, {}
    for count in counts:
        kept = components[:count]
        errors[count] = float(np.mean(np.sum((off - off @ kept.T @ kept) ** 2, axis=1)))
    return errors


def physics_alone(physics: Simulator, X_train: Any, X_test: Any, noise: float | None = None):
    """The simulator with nothing beside it: squared error per signal, and its posterior (that of
    least squares, with the noise learned where it is not given)."""
    model = SectorModel(physics, noise=noise).fit(X_train)
    result = model.infer(X_test)
    off = _flat(X_test) - result.fitted.reshape(len(result.fitted), -1)
    return float(np.mean(np.sum(off**2, axis=1))), result


def _flat(X: Any) -> np.ndarray:
    return np.asarray(X, float).reshape(len(X), -1)
