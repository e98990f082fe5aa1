"""How much more likely than noise alone a prior may seem by chance."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from wilsonian.core.information import degrees_of_freedom
from wilsonian.core.precision import with_precision
from wilsonian.kernels import host_gram
from wilsonian.regression.learning.periods import nats_of_search
from wilsonian.regression.learning.starts import Start
from wilsonian.regression.sample import Sample

# Noise alone is kept unless some candidate gains more over it than chance, one time in 1 / CHANCE,
# gives the numbers it moved, by the chi-squared law of likelihood ratios (Wilks 1938).
CHANCE = 0.01


def nats_of_chance(start: Start, numbers: int, gain: float, sample: Sample) -> float:
    r"""What the best of priors with so many learned numbers gains from noise once in a hundred
    times, in nats (docs/science/learning.md, section 3), for a `start` that gained `gain`.

    Half the quantile of :math:`\chi^2`, and the logarithm of how many periods were searched. A
    prior that resolves more than half as many modes as there are rows joins close rows, and each
    row may resemble its neighbour by chance: the quantile is that of a chance so many times
    smaller. In float64: call it where that is enabled.
    """
    searched = nats_of_search(start.kernel, sample.X)
    rows = len(sample.X)
    once = chdtri(numbers, CHANCE) / 2 + searched
    each = chdtri(numbers, CHANCE / rows) / 2 + searched
    joins = once <= gain < each and resolved_modes(start, sample) > rows / 2
    return float(each if joins else once)


def resolved_modes(start: Start, sample: Sample) -> float:
    r"""Effective degrees of freedom :math:`\mathrm{tr}\, K (K + N)^{-1}` of the rows of a sample,
    N the noise of each over its weight; the mean over groups of outputs. In float64."""
    kernel = with_precision(start.kernel, float)
    gram = host_gram(kernel, sample.X, sample.X)
    known = 0.0 if sample.row_noise is None else sample.row_noise
    found = []
    for amplitude, noise in zip(start.amplitude, start.noise_variance, strict=True):
        roots = np.sqrt(sample.weights / (noise + known))
        values = np.linalg.eigvalsh(amplitude * gram * roots * roots[:, None])
        found.append(float(degrees_of_freedom(np.maximum(values, 0.0))))
    return float(np.mean(found))
