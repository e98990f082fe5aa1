"""The evidence of rows that are their own inducing points: one factorization, and its inverse."""

from __future__ import annotations

import numpy as np

from wilsonian.regression.learning.evidence_gradient import (
    JITTER,
    EvidenceSlopes,
    output_groups,
    undefined,
    with_jitter,
)
from wilsonian.support.triangles import cholesky, inverted, transposed_square


def exact_evidence_and_slopes(
    square: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    amplitude: np.ndarray,
    noise_variance: np.ndarray,
    *,
    row_noise: np.ndarray | None = None,
) -> EvidenceSlopes:
    r"""What `evidence_gradient.evidence_and_slopes` gives where inducing points are the rows: the
    log evidence of Gaussian-process regression (Rasmussen and Williams 2006, equations 2.30 and
    5.9), at a ninth of the products.

    With :math:`S = a K + N`, :math:`N = \mathrm{diag}(\rho_i / w_i)`, :math:`\rho_i = \sigma^2 +
    v_i` and :math:`\beta = S^{-1} y`,

    .. math:: E = -\tfrac12 \Big[ y^T \beta + p \log\det S - p \sum_i \log N_i + p \sum_i w_i
        \log 2 \pi \rho_i \Big], \qquad \frac{\partial E}{\partial K} = -\tfrac a2 \left[ p S^{-1} -
        \beta \beta^T \right].

    Nothing is unresolved, so that one ridge or one for each row are the same. `square` is k(X, X)
    (rows, rows), in float64; the rest as there.
    """
    rows = len(square)
    known = 0.0 if row_noise is None else np.asarray(row_noise, float)
    slope, evidence = np.zeros((rows, rows)), 0.0
    noise_slopes, amplitude_slopes = np.zeros(len(amplitude)), np.zeros(len(amplitude))
    gram = with_jitter(square, JITTER * float(np.finfo(float).eps))
    for group, outputs in enumerate(output_groups(len(amplitude), y.shape[1])):
        a, targets = float(amplitude[group]), np.asarray(y[:, outputs], float)
        count = targets.shape[1]
        ridge = np.full(rows, float(noise_variance[group])) + known
        noise = ridge / weights
        covariance = a * gram
        covariance[np.diag_indices(rows)] += noise
        lower = cholesky(covariance)
        if lower is None:
            return undefined(np.zeros((rows, 0)), rows, amplitude)
        whitening = inverted(lower)
        beta = whitening.T @ (whitening @ targets)
        inverse = transposed_square(whitening)
        log_determinant = 2 * float(np.sum(np.log(np.diagonal(lower)))) - np.sum(np.log(noise))
        log_determinant += float(np.sum(weights * np.log(2 * np.pi * ridge)))
        quadratic = float(np.sum(targets * beta))
        evidence -= 0.5 * (quadratic + count * log_determinant)

        square_length = np.sum(beta**2, axis=1)
        curvature = count * np.diagonal(inverse) - square_length  # of the rows' own noise
        by_row = -0.5 * (curvature / weights + count * (weights - 1) / ridge)
        noise_slopes[group] = float(noise_variance[group]) * float(np.sum(by_row))
        learned = count * rows - quadratic - float(np.sum(curvature * noise))
        amplitude_slopes[group] = -0.5 * learned
        slope -= 0.5 * a * (count * inverse - beta @ beta.T)
    return EvidenceSlopes(
        evidence, np.zeros((rows, 0)), slope, np.zeros(rows), amplitude_slopes, noise_slopes
    )
