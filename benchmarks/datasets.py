"""A stored split of a UCI regression set, scaled with training statistics only."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

NAMES = ("kin8nm", "power_plant", "protein", "kin40k", "elevators", "concrete", "energy", "yacht")


@dataclasses.dataclass(frozen=True)
class Split:
    """Training and test rows in units of the training standard deviations, float64."""

    X: np.ndarray  # (rows, d)
    y: np.ndarray  # (rows,)
    X_test: np.ndarray
    y_test: np.ndarray
    target_std: float  # of the training targets, in the units of the file


def file_of(name: str, folder: Path) -> Path:
    return folder / f"uci_{name}.npz"


def load(name: str, folder: Path, split: int = 0) -> Split:
    """Read `uci_<name>.npz`; row `split` of its packed masks marks the test rows."""
    with np.load(file_of(name, folder)) as stored:
        X, y = stored["X"].astype(float), stored["y"].astype(float)
        masks = np.unpackbits(stored["test_mask_bits"], axis=1, count=len(y)).astype(bool)
    test = masks[split]
    center, spread = X[~test].mean(0), X[~test].std(0)
    X = (X - center) / np.where(spread > 0, spread, 1.0)
    mean, std = y[~test].mean(), y[~test].std()
    y = (y - mean) / std
    return Split(X[~test], y[~test], X[test], y[test], float(std))
