"""The evidence of a reduced theory and its gradient, written out and evaluated by BLAS."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from wilsonian.support.row_threads import beside, by_rows
from wilsonian.support.triangles import (
    cholesky,
    inverted,
    square_lengths,
    times,
    times_transposed,
    times_transposed_and_square,
    transposed_square,
    transposed_times,
    weighted_square,
)

# Of the products' rounding, relative to the mean diagonal of the inducing points' kernel matrix:
# inducing points that move, or that were chosen for another kernel, can become dependent.
JITTER = 10
# Points that are nearly all dependent, of a kernel of few functions, can need more of it.
RAISED = (1.0, 1e2, 1e4)


@dataclasses.dataclass(frozen=True)
class EvidenceSlopes:
    """Log evidence in nats, summed over outputs, and its derivatives."""

    evidence: float  # NaN where a factorization does not exist; slopes are zero there
    gram: np.ndarray  # (rows, rank), in each entry of k(X, Z)
    square: np.ndarray  # (rank, rank), in k(Z, Z)
    diagonal: np.ndarray  # (rows,), in k(x, x)
    amplitude: np.ndarray  # (groups,), in the logarithm
    noise_variance: np.ndarray  # (groups,), in the logarithm


@dataclasses.dataclass(frozen=True)
class Factor:
    """The factor of the inducing points' kernel matrix, inverted: features are k(X, Z) W^T."""

    whitening: np.ndarray  # W = L^{-1}, (rank, rank), a lower triangle
    jitter: float  # of the mean diagonal


def factored(square: np.ndarray, dtype: Any) -> Factor | None:
    """Of k(Z, Z), for products of rows in the precision `dtype`; None where there is none."""
    for raised in RAISED:
        jitter = raised * JITTER * float(np.finfo(dtype).eps)
        lower = cholesky(with_jitter(square, jitter))
        if lower is not None:
            # A product by the inverse takes half the time of a solve, and errs no more: both by
            # the rounding of the factor.
            return Factor(inverted(lower), jitter)
    return None


def evidence_and_slopes(
    gram: np.ndarray,
    square: np.ndarray | Factor | None,
    diagonal: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    amplitude: np.ndarray,
    noise_variance: np.ndarray,
    *,
    row_noise: np.ndarray | None = None,
    input_dependent: bool = False,
) -> EvidenceSlopes:
    r"""The evidence of `evidence.inducing_evidence` and its derivatives
    (docs/science/learning.md, sections 1 and 2).

    With :math:`F = K L^{-T}`, :math:`L L^T = A`, one ridge :math:`\rho_i = \sigma^2 + v_i + a t_i`
    per row, :math:`D = \mathrm{diag}(w_i / \rho_i)`, :math:`M = F^T D F`, :math:`b = F^T D y`,
    :math:`P = (1 + a M)^{-1}` and :math:`\beta = P b`,

    .. math:: E = -\tfrac12 \Big[ y^T D y - a\, b \cdot \beta + p \log\det(1 + a M) + p \sum_i w_i
        \log 2 \pi \rho_i \Big]

    for the p outputs that share amplitude and noise. Everything follows from
    :math:`\partial E / \partial F = D\, [F (-p a P - a^2 \beta \beta^T) + a\, y \beta^T] -
    2\, \mathrm{diag}(\partial E / \partial t)\, F`.

    Shapes: `gram` k(X, Z) (rows, rank), `square` k(Z, Z) (rank, rank) or what :func:`factored` made
    of it, `diagonal` k(x, x) (rows,),
    `y` (rows, outputs), `weights` (rows,) counting rows, `amplitude` and `noise_variance` (1,) for
    all outputs or (outputs,), `row_noise` (rows,) known variances v added to the noise, in the
    squared units of `y`. `input_dependent` puts the unresolved variance t at each row, otherwise
    its mean at all. Products of rows run in the precision of `gram`, the rest in float64.
    """
    rows, rank = gram.shape
    dtype = gram.dtype
    factor = factored(square, dtype) if isinstance(square, np.ndarray) else square
    if factor is None:
        return undefined(gram, rank, amplitude)
    whitening = factor.whitening
    weights = np.asarray(weights, float)
    size = float(weights.sum())
    uniform = row_noise is None and not input_dependent
    known = 0.0 if row_noise is None else np.asarray(row_noise, float)
    diagonal, shared = np.asarray(diagonal, float), np.empty(0)
    tail: Any  # unresolved variance: its mean, or that of each row
    if uniform:
        features, shared = times_transposed_and_square(gram, whitening, weights)
        tail = max((weights @ diagonal - np.trace(shared)) / size, 0.0)
    else:
        features = times_transposed(gram, whitening)
        tail = diagonal - square_lengths(features, float)
        tail = np.maximum(tail, 0.0) if input_dependent else max(weights @ tail / size, 0.0)

    inner_slope: Any = 0.0
    mixing: Any = 0.0
    evidence = 0.0
    tail_slope = 0.0 if uniform or not input_dependent else np.zeros(rows)
    noise_slopes, amplitude_slopes = np.zeros(len(amplitude)), np.zeros(len(amplitude))
    gram_slope: Any = 0.0
    # A uniform ridge asks one product of all groups together, for sums of these.
    loading = np.zeros((rank, y.shape[1]))
    for group, outputs in enumerate(output_groups(len(amplitude), y.shape[1])):
        a, targets = float(amplitude[group]), np.asarray(y[:, outputs], float)
        count = targets.shape[1]
        ridge = float(noise_variance[group]) + known + a * tail
        precision = weights / ridge
        inner = (a / ridge) * shared if uniform else a * weighted_square(features, precision)
        cross = np.asarray(features.T @ (precision[:, None] * targets).astype(dtype), float)
        inner[np.diag_indices(rank)] += 1
        inner_lower = cholesky(inner)
        if inner_lower is None:
            return undefined(gram, rank, amplitude)
        inner_inverse = inverted(inner_lower)
        beta = inner_inverse.T @ (inner_inverse @ cross)
        quadratic = float(precision @ np.sum(targets**2, axis=1)) - a * float(np.sum(cross * beta))
        log_determinant = 2 * float(np.sum(np.log(np.diagonal(inner_lower))))
        log_determinant += float(np.sum(weights * np.log(2 * np.pi * ridge)))
        evidence -= 0.5 * (quadratic + count * log_determinant)

        explained = transposed_square(inner_inverse)  # P
        learned = count * (rank - np.trace(explained)) - a * float(np.sum(beta**2))
        load = a * beta
        if count > 1:
            explained *= count
        explained += load @ beta.T
        inner_slope = explained if group == 0 else inner_slope + explained
        if uniform:
            # Summed over rows: d E / d ridge.
            ridge_slope = (quadratic - count * size + learned) / (2 * ridge)
            part = (-a / ridge) * explained
            mixing = part if group == 0 else mixing + part
            loading[:, outputs] = load / ridge
        else:
            spread = times_transposed(features, inner_inverse)
            mean = np.asarray(features @ load.astype(dtype), float)
            excess = np.sum((targets - mean) ** 2, axis=1) - count * ridge
            excess += count * a * square_lengths(spread, float)
            ridge_slope = precision / (2 * ridge) * excess
            part = _pulled(whitening, features, -a * explained, load, targets)
            gram_slope = gram_slope + part * precision[:, None].astype(dtype)
        noise_slopes[group] = float(noise_variance[group]) * np.sum(ridge_slope)
        amplitude_slopes[group] = -0.5 * learned + a * np.sum(ridge_slope * tail)
        tail_slope = tail_slope + a * (ridge_slope if input_dependent else np.sum(ridge_slope))

    inner_slope[np.diag_indices(rank)] -= y.shape[1]
    # The unresolved variance t = k(x, x) - |f|^2 falls where features grow.
    at_rows = np.where(tail > 0, tail_slope, 0.0)
    if not input_dependent:
        at_rows = at_rows * weights / size
    if uniform:
        per_weight = float(np.where(tail > 0, tail_slope, 0.0)) / size
        shared *= 2 * per_weight
        inner_slope -= shared
        square_slope = beside(lambda: _square_slope(factor, inner_slope, dtype))
        mixing[np.diag_indices(rank)] -= 2 * per_weight
        even = weights[0] if np.all(weights == weights[0]) else 1.0
        targets = np.asarray(y, float)
        gram_slope = _pulled(whitening, features, mixing, loading, targets, even)
        if np.any(weights != even):
            gram_slope *= weights[:, None].astype(dtype)
    else:
        scaled = features * (-2 * at_rows[:, None]).astype(dtype)
        inner_slope += np.asarray(scaled.T @ features, float)
        gram_slope = gram_slope + scaled @ whitening.astype(dtype)
        square_slope = beside(lambda: _square_slope(factor, inner_slope, dtype))
    return EvidenceSlopes(
        evidence, gram_slope, square_slope(), at_rows, amplitude_slopes, noise_slopes
    )


def output_groups(groups: int, outputs: int) -> list[slice]:
    """Columns of the targets that share one amplitude and noise."""
    if groups not in (1, outputs):
        raise ValueError(f"{groups} noise variances for {outputs} outputs; pass 1 or {outputs}.")
    return [slice(0, outputs)] if groups == 1 else [slice(q, q + 1) for q in range(outputs)]


def with_jitter(square: np.ndarray, jitter: float) -> np.ndarray:
    """With `jitter` of the mean diagonal added to the diagonal, in float64."""
    square = np.array(square, float)
    square[np.diag_indices(len(square))] += jitter * np.mean(np.diagonal(square))
    return square


def _square_slope(factor: Factor, inner_slope: np.ndarray, dtype: Any) -> np.ndarray:
    """-W^T S W / 2 for a symmetric S, and what the jitter adds to it: in the precision of the
    products of rows, whose rounding it shares."""
    whitening = factor.whitening.astype(dtype)
    slope = transposed_times(whitening, times(inner_slope.astype(dtype), whitening))
    slope = np.multiply(slope, -0.5, dtype=float)
    slope[np.diag_indices(len(slope))] += factor.jitter * np.trace(slope) / len(slope)
    return slope


def _pulled(
    whitening: Any, features: Any, mix: Any, load: Any, targets: Any, factor: float = 1.0
) -> np.ndarray:
    """(rows, rank): (F mix + y load^T) W times a factor, the slope in F seen from K; `mix` is
    symmetric."""
    dtype = features.dtype
    mix = times(mix.astype(dtype), whitening.astype(dtype))
    mix *= dtype.type(factor)
    load = (factor * (whitening.T @ load)).T.astype(dtype)
    targets = targets.astype(dtype)
    slope = np.empty_like(features)

    def pull(rows: slice) -> None:
        np.matmul(features[rows], mix, out=slope[rows])
        for target, of_target in zip(targets.T, load, strict=True):
            slope[rows] += target[rows, None] * of_target

    by_rows(pull, len(features))
    return slope


def undefined(gram: np.ndarray, rank: int, amplitude: np.ndarray) -> EvidenceSlopes:
    """Where a factorization does not exist."""
    groups = np.zeros(len(amplitude))
    zeros = np.zeros_like(gram), np.zeros((rank, rank)), np.zeros(len(gram))
    return EvidenceSlopes(float("nan"), *zeros, groups, groups.copy())
