"""Class probabilities from latent functions: the logistic and softmax links, and their means over
Gaussian latents."""

from __future__ import annotations

import functools

import numpy as np
import scipy.special
from scipy.stats import qmc

# Weights and slopes of the mixture of normal distribution functions that is the logistic function
# to 2.2e-9 everywhere (Monahan and Stefanski 1992, "Normal scale mixture approximations to F*(z)",
# k = 8): its mean over a Gaussian is a sum of eight normal distribution functions.
MIXTURE = np.array(
    [
        (0.003246343272134, 1.365340806296348),
        (0.051517477033972, 1.059523971016916),
        (0.195077912673858, 0.830791313765644),
        (0.315569823632818, 0.650732166639391),
        (0.274149576158423, 0.508135425366489),
        (0.131076880695470, 0.396313345166341),
        (0.027912418727972, 0.308904252267995),
        (0.001449567805354, 0.238212616409306),
    ]
)
DRAWS = 256  # pairs of opposite points that a mean over several latents is usually taken at
NUMBERS_AT_ONCE = 2**18  # of latents at those points


def probabilities(latents: np.ndarray) -> np.ndarray:
    """Link of latents (rows, 1), of which there is one for two classes: the probability of the
    second, (rows, 1); or of one latent per class, (rows, classes): softmax."""
    if latents.shape[1] == 1:
        return scipy.special.expit(latents)
    return scipy.special.softmax(latents, axis=1)


def negative_log_likelihood(latents: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of every row (rows,), in nats; `targets` are probabilities as :func:`probabilities` has
    them, of a label 0 or 1."""
    if latents.shape[1] == 1:
        return (np.logaddexp(0.0, latents) - targets * latents)[:, 0]
    return scipy.special.logsumexp(latents, axis=1) - np.einsum("ij,ij->i", latents, targets)


def slope(extra_variance: np.ndarray) -> np.ndarray:
    r"""What independent Gaussian noise of variance :math:`v` in a latent makes of a link: its mean
    is the link at :math:`f / \sqrt{1 + \pi v / 8}` (MacKay 1992). The modes that a cutoff
    eliminates are such noise, so they renormalize the link as they do a ridge."""
    return 1 / np.sqrt(1 + np.pi / 8 * extra_variance)


def expected_probabilities(
    mean: np.ndarray, variance: np.ndarray, draws: int = DRAWS
) -> np.ndarray:
    """Probabilities of all classes (rows, classes), averaged over independent Gaussian latents of
    these means and variances, (rows, 1) or (rows, classes): for two classes within 3e-9, for more
    over `draws` pairs of fixed quasi-random points."""
    if not np.any(variance):  # one point is enough
        sides = [-mean, mean] if mean.shape[1] == 1 else [mean]
        return np.hstack([probabilities(side) for side in sides])
    if mean.shape[1] == 1:
        second = _logistic_mean(mean[:, 0], variance[:, 0])
        return np.column_stack([_logistic_mean(-mean[:, 0], variance[:, 0]), second])
    points = _points(mean.shape[1], draws)
    points = np.concatenate([points, -points])
    rows = max(1, NUMBERS_AT_ONCE // points.size)
    result = np.empty(mean.shape)
    for start in range(0, len(mean), rows):
        part = slice(start, start + rows)
        latents = np.sqrt(variance[part])[:, None, :] * points
        latents += mean[part, None, :]
        latents -= latents.max(axis=2, keepdims=True)
        np.exp(latents, out=latents)
        total = np.matmul(1 / latents.sum(axis=2)[:, None, :], latents)[:, 0]
        result[part] = total / total.sum(axis=1, keepdims=True)
    return result


def _logistic_mean(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    weights, slopes = MIXTURE.T
    scaled = slopes / np.sqrt(1 + slopes**2 * variance[:, None])
    mixed = scipy.special.ndtr(mean[:, None] * scaled) @ weights
    # Below zero the logistic function is convex: spread only raises it. The mixture's tail is too
    # light below 1e-9.
    return np.where(mean < 0, np.maximum(mixed, scipy.special.expit(mean)), mixed)


@functools.cache
def _points(latents: int, draws: int) -> np.ndarray:
    """Quasi-random standard normal points (draws, latents): Sobol's, moved to the middle of their
    cells."""
    cells = qmc.Sobol(latents, scramble=False).random(draws)
    return scipy.special.ndtri(cells + 0.5 / draws)
