"""Length scales too short for any two values of a column to be told from strangers."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import numpy as np

from wilsonian.kernels import Kernel
from wilsonian.kernels.formulas import AbstractStationary
from wilsonian.kernels.host_grams import PROFILES
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.sample import Sample

# Of the smallest step between values of a column. So much shorter, rows that differ there are
# uncorrelated, to 2e-9 by the cusp's exponential and 4e-20 by the others.
SHORTEST = 0.05


def no_shorter_than_steps(found: Hyperparameters, sample: Sample) -> Hyperparameters:
    """Hyperparameters whose length scales tell no less and round no more than those `found`.

    A column of few values (subjects, batches) may be learned as a category: its length scale then
    falls without end, the evidence being flat, and the rounding of distances in units of it drowns
    those of all other columns. Kernels whose correlations fall exponentially have none shorter than
    `SHORTEST` of the column's smallest step; others are as they were.
    """
    least = SHORTEST * smallest_steps(sample.X)

    def lengthened(part: Kernel) -> Kernel:
        if not isinstance(part, AbstractStationary) or type(part) not in PROFILES:
            return part
        scale = np.asarray(part.length_scale)
        longer = np.maximum(scale, least if scale.ndim else np.min(least))
        return eqx.tree_at(lambda k: k.length_scale, part, longer)

    kernel = jax.tree.map(lengthened, found.kernel, is_leaf=lambda node: type(node) in PROFILES)
    return dataclasses.replace(found, kernel=kernel)


def smallest_steps(X: np.ndarray) -> np.ndarray:
    """(columns,), the smallest difference between two values of each column that is more than
    rounding; zero for a column of one value."""
    steps = np.diff(np.sort(X, axis=0), axis=0)
    rounding = 8 * np.finfo(X.dtype).eps * np.max(np.abs(X), axis=0, initial=0.0)
    smallest = np.min(steps, axis=0, initial=np.inf, where=steps > rounding)
    return np.where(np.isfinite(smallest), smallest, 0.0)
