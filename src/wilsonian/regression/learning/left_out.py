"""How rows scatter about what the others say of them, hyperparameters learned without them too."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from wilsonian.kernels import host_diagonal, host_gram
from wilsonian.regression.learning.ascent import maximize
from wilsonian.regression.learning.evidence_gradient import JITTER, with_jitter
from wilsonian.regression.learning.starts import Start
from wilsonian.regression.sample import Sample
from wilsonian.support.triangles import cholesky

FOLDS = 5


def squares_left_out(
    start: Start, sample: Sample, *, max_iterations: int, random: np.random.Generator
) -> np.ndarray:
    r"""Squared errors (rows,) of rows left out, over the variances that they were stated to have:
    :math:`z_i^2 = (y_i - \bar f_{-I}(x_i))^2 / (s_{-I}^2(x_i) + \rho_i)` with :math:`I` the fold of
    row i, one of FOLDS, and everything of :math:`-I` from the other rows: exact posterior, and
    kernel, amplitude and noise that go up the evidence of these rows from `start`, where all rows
    came to.

    One on average where nothing was learned. Leaving rows out of the posterior alone has one on
    average at the top of the evidence as well, since that asked for it; what is above one here is
    what learning takes for signal by chance (docs/science/learning.md, section 7). The targets of
    `sample` are of one output, scaled; rows count once. In float64: call it under
    `jax.enable_x64(True)`. Takes FOLDS times as many iterations of rows^3 operations.
    """
    fold = random.permutation(len(sample.X)) % FOLDS
    squares = np.zeros(len(sample.X))
    known = np.zeros(len(sample.X)) if sample.row_noise is None else sample.row_noise
    for left in range(FOLDS):
        out, rest = np.flatnonzero(fold == left), np.flatnonzero(fold != left)
        part = sample.rows(rest)
        end = maximize(
            start,
            part,
            len(rest),
            input_dependent=True,
            max_iterations=max_iterations,
            random=random,
        ).start
        amplitude, noise = float(end.amplitude[0]), float(end.noise_variance[0])
        gram = amplitude * np.asarray(host_gram(end.kernel, sample.X, part.X), float)
        prior = amplitude * np.asarray(host_diagonal(end.kernel, sample.X[out]), float)
        own = with_jitter(gram[rest], JITTER * float(np.finfo(float).eps))
        own[np.diag_indices_from(own)] += noise + known[rest]
        lower = cholesky(own)
        if (
            lower is None
        ):  # as at the start, where the evidence does not exist: nothing is known of these
            squares[out] = 1.0
            continue
        solved = scipy.linalg.solve_triangular(
            lower, np.column_stack([part.y, gram[out].T]), lower=True
        )
        error = sample.y[out, 0] - solved[:, 1:].T @ solved[:, 0]
        variance = prior - np.sum(solved[:, 1:] ** 2, axis=0) + noise + known[out]
        squares[out] = error**2 / np.maximum(variance, noise)
    return squares
