"""How much less is known of the target where inputs are missing: a noise variance for each column,
added in the rows that lack it."""

from __future__ import annotations

import jax
import numpy as np
import scipy.optimize

from wilsonian.app.tables.encoding import Encoding
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.support.number_text import format_number

ROWS = 4000  # of the sample, at most
LEAST_ROWS = 10  # that lack a column, for a variance of its own; rarer columns share one
FOLDS = 5
NEGLIGIBLE = 0.02  # of the variance left in complete rows


def missing_variances(encoding: Encoding, X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    r"""Variance of the target, its units squared, that the lack of each marked column of
    `encoding.markers` leaves unexplained.

    Where inputs lack, the best prediction is a mean over what they might have been, and the target
    scatters about it by the variance of the regression function over that: more than in complete
    rows, by an amount that does not depend much on the method of regression. So residuals of
    cross-validated histogram boosting, :math:`r_i`, are taken to be normal with variance
    :math:`v_0 + \sum_j v_j m_{ij}`, :math:`m` the markers, and the variances to be those of
    greatest likelihood, none negative (docs/science/learning.md, section 7). Zero where that is
    next to nothing beside :math:`v_0`.
    """
    step = -(-len(X) // ROWS)
    X, y = X[::step], y[::step]
    if len(X) < 4 * FOLDS:
        return np.zeros(len(encoding.markers))
    return _told_apart(encoding, X, _residuals(X, y, seed) ** 2)


def refined_variances(
    encoding: Encoding,
    process: ReducedProcess,
    X: np.ndarray,
    y: np.ndarray,
    row_noise: np.ndarray | None,
) -> np.ndarray:
    r"""The same from a process that was fitted with first guesses. At a row of ridge :math:`\rho_i`
    whose latent function has posterior variance :math:`s_i`, the residual left out is
    :math:`r_i / (1 - h_i)` of variance :math:`\rho_i / (1 - h_i)`, :math:`h_i = s_i / \rho_i`: so
    :math:`r_i^2 / (1 - h_i)` is :math:`\rho_i` on average, the variance of what the row lacks
    included. The trees' guess counts more where their own error does."""
    step = -(-len(X) // ROWS)
    X, y = X[::step], y[::step]
    scale = float(process.modes.target_scale[0])
    noise = 0.0 if row_noise is None else row_noise[::step] / scale**2
    with jax.enable_x64(True):
        mean, variance = process.moments(X)
        learned = np.sum((process.features(X) @ process.root) ** 2, axis=1)
    # What is no posterior variance of kept modes is the ridge's: lost modes and noise.
    ridge = np.maximum(variance - learned, 0.0) + process.noise_variance + noise
    left = np.clip(1 - learned / ridge, 1e-6, 1.0)
    return _told_apart(encoding, X, (y - mean[:, 0]) ** 2 / left)


def _told_apart(encoding: Encoding, X: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """A variance for each marker out of squares whose mean is that of the rows."""
    marked = X[:, encoding.markers] > 0
    rare = marked.sum(axis=0) < LEAST_ROWS
    design = marked[:, ~rare].astype(float)
    if rare.any():
        design = np.column_stack([design, marked[:, rare].sum(axis=1)])
    variances = np.zeros(len(encoding.markers))
    if not design.any():
        return variances
    found = _mixed_variances(squares, design)
    if not found[0] > 0:
        return variances
    # A variance from n squares is known to 2 / n of its square; what is predicted with it is
    # likeliest at 1 + 2 / n times it.
    unsure = (found[0] + found[1:]) * 2 / np.maximum(design.sum(axis=0), 1.0)
    each = np.where(found[1:] > NEGLIGIBLE * found[0], found[1:] + unsure, 0.0)
    variances[~rare] = each[: int((~rare).sum())]
    if rare.any():
        variances[rare] = each[-1]
    return variances


def _residuals(X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Of boosting, each row predicted without it."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    model = HistGradientBoostingRegressor(
        max_iter=100, min_samples_leaf=5 if len(X) < 500 else 20, random_state=seed
    )
    return y - cross_val_predict(model, X, y, cv=folds)


def _mixed_variances(squares: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Maximum likelihood of `squares` as those of normal numbers of variance v_0 + design @ v:
    least squares weighted by the inverse square of the variance, until it stands still."""
    matrix = np.column_stack([np.ones(len(squares)), design])
    variance = np.full(len(squares), squares.mean())
    found = np.zeros(matrix.shape[1])
    for _ in range(50):
        root = 1 / np.maximum(variance, 1e-12 * squares.mean())
        before, (found, _) = found, scipy.optimize.nnls(matrix * root[:, None], squares * root)
        variance = matrix @ found
        if np.allclose(found, before, rtol=1e-6):
            break
    return found


def missing_sentences(encoding: Encoding) -> list[str]:
    """What was done about it; nothing for labels, which have no variance."""
    if not encoding.missing_variances:
        return []
    stated = [
        f"{encoding.feature_names[place]!r} {format_number(variance)}"
        for place, variance in zip(encoding.markers, encoding.missing_variances, strict=True)
        if variance > 0
    ]
    if not stated:
        return []
    shown = ", ".join(stated[:12]) + (f" and {len(stated) - 12} more" if len(stated) > 12 else "")
    return [
        "Rows with missing values are less sure: what they lack leaves a variance of its own in "
        f"the target ({shown}), which adds to the noise there."
    ]
