"""Where learning starts: kernels of several scales, each at the amplitudes and noises that its
evidence likes best, and the model without any signal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.linalg

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel, host_diagonal, host_gram
from wilsonian.kernels.learnable import has_length_scale, length_scaled, parts_with, per_column
from wilsonian.regression.inducing_points import randomly_pivoted_cholesky
from wilsonian.regression.learning.evidence_gradient import evidence_and_slopes, output_groups
from wilsonian.regression.learning.periods import with_starting_periods
from wilsonian.regression.sample import Sample, column_spread

# Bounds of amplitude and noise, as factors of the targets' mean square.
AMPLITUDE_RANGE = (1e-4, 1e5)
NOISE_RANGE = (1e-8, 1e1)
# Length scales set from the data, in units of the columns' spread times sqrt(d).
LENGTH_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
# Signal to noise (n eigenvalue amplitude / ridge of the first mode) that a profile runs through.
SIGNALS = np.logspace(-2, 10, 97)


@dataclasses.dataclass(frozen=True)
class Start:
    """A prior to start from, and its log evidence in nats, summed over outputs."""

    kernel: Kernel
    amplitude: np.ndarray  # (groups,)
    noise_variance: np.ndarray  # (groups,)
    evidence: float


def starting_kernels(kernel: Kernel, sample: Sample, ard: bool) -> list[Kernel]:
    r"""The kernel as given and, if it has length scales, with these set from the data to the
    columns' standard deviations times :math:`\sqrt d` times each of `LENGTH_SCALES`; if it has
    periods, each with every choice of `periods.with_starting_periods`.
    With `ard` scalar length scales and periods become one per column."""
    X = sample.X
    if ard:
        kernel = per_column(kernel, X.shape[1])
    spread = column_spread(X)

    def from_data(kernel, factor):
        wound = factor * np.sqrt(X.shape[1])  # on circles of radius one
        each = wound * spread
        one = float(np.exp(np.mean(np.log(each))))
        return length_scaled(kernel, lambda scale: each if np.ndim(scale) else one, wound)

    kernel = with_precision(kernel, float)
    if not parts_with(kernel, has_length_scale):
        return [kernel]
    scaled = [
        from_data(start, factor)
        for start in with_starting_periods(kernel, sample)
        for factor in LENGTH_SCALES
    ]
    return [kernel, *(with_precision(each, float) for each in scaled)]


def null_evidence(sample: Sample) -> float:
    """Log evidence in nats of the model without signal: noise alone, with each output's mean square
    for its variance; with known variances of rows the best noise beside them."""
    if sample.row_noise is None:
        size = sample.weights.sum()
        variance = sample.mean_squares()
        return -0.5 * float(size * np.sum(np.log(2 * np.pi * variance) + 1))
    grid = np.append(0.0, np.logspace(-6, 1, 141))[:, None] * sample.mean_squares()
    # Rows known without any noise have some all the same.
    least = NOISE_RANGE[0] * sample.mean_squares()
    total = np.maximum(grid[:, None, :] + sample.row_noise[:, None], least)
    # (noises, rows, outputs)
    logs = sample.weights[:, None] * (sample.y**2 / total + np.log(2 * np.pi * total))
    return -0.5 * float(logs.sum(axis=1).min(axis=0).sum())


def starts_of(
    kernel: Kernel, sample: Sample, rank: int, groups: int, random: np.random.Generator
) -> list[Start]:
    """The kernel at every local maximum of the evidence in amplitude and noise: with one group of
    outputs at up to two, with several at the best of each."""
    chosen = randomly_pivoted_cholesky(kernel, sample.X, rank, random)
    points = sample.X[chosen.indices]
    profiles = []
    for columns in output_groups(groups, sample.y.shape[1]):
        part = dataclasses.replace(sample, y=sample.y[:, columns])
        if sample.row_noise is None:
            found = _profile(part, chosen.factor, float(sample.weights @ chosen.residual))
        else:
            found = _grid(kernel, part, points)
        profiles.append(sorted(found, key=lambda each: -each[0]))
    if groups == 1:
        return [
            Start(kernel, np.array([a]), np.array([noise]), evidence)
            for evidence, a, noise in profiles[0][:2]
        ]
    best = np.array([profile[0] for profile in profiles])
    return [Start(kernel, best[:, 1], best[:, 2], float(best[:, 0].sum()))]


def _profile(sample: Sample, factor: np.ndarray, lost: float) -> Iterator[tuple[float, ...]]:
    r"""(evidence, amplitude, noise) at the local maxima of the evidence of a uniform ridge, in
    closed form along :math:`\alpha` = amplitude / ridge (docs/science/learning.md, section 3)."""
    weights, size, count = sample.weights, sample.weights.sum(), sample.y.shape[1]
    values, vectors = scipy.linalg.eigh((factor * weights[:, None]).T @ factor)
    values = np.maximum(values, 0.0)
    cross = np.sum((vectors.T @ (factor.T @ (weights[:, None] * sample.y))) ** 2, axis=1)
    square = float(np.sum(weights @ sample.y**2))
    tail = max(lost / size, 0.0)
    scale = square / (size * count)
    # The noise left of the ridge is positive.
    alpha = SIGNALS / max(values[-1], 1e-300)
    alpha = alpha[alpha * tail < 1 - 1e-6] if tail > 0 else alpha
    if not len(alpha):
        return
    signal = alpha[:, None] * values
    ridge = (square - np.sum(alpha[:, None] * cross / (1 + signal), axis=1)) / (size * count)
    ridge = np.maximum(ridge, NOISE_RANGE[0] * scale)
    evidence = size * (np.log(2 * np.pi * ridge) + 1) + np.sum(np.log1p(signal), axis=1)
    evidence *= -0.5 * count
    padded = np.concatenate([[-np.inf], evidence, [-np.inf]])
    for peak in np.flatnonzero((evidence >= padded[:-2]) & (evidence > padded[2:])):
        amplitude = np.clip(alpha[peak] * ridge[peak], *(scale * np.array(AMPLITUDE_RANGE)))
        noise = ridge[peak] - amplitude * tail
        yield evidence[peak], amplitude, np.clip(noise, *(scale * np.array(NOISE_RANGE)))


def _grid(kernel: Kernel, sample: Sample, points: np.ndarray) -> Iterator[tuple[float, ...]]:
    """(evidence, amplitude, noise) on a coarse grid, for rows of known variances."""
    grams = (
        host_gram(kernel, sample.X, points),
        host_gram(kernel, points, points),
        host_diagonal(kernel, sample.X),
    )
    scale = sample.mean_square()
    for amplitude in (0.1, 1.0, 10.0):
        for noise in (1e-3, 0.05, 0.5):
            scales = np.array([amplitude * scale]), np.array([noise * scale])
            known = sample.row_noise
            found = evidence_and_slopes(*grams, sample.y, sample.weights, *scales, row_noise=known)
            if np.isfinite(found.evidence):
                yield found.evidence, amplitude * scale, noise * scale
