"""Class labels of a reduced Gaussian process: latents with a logistic or softmax likelihood."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np

from wilsonian.regression.classification.laplace import Latents, Rows, find_mode_in_passes
from wilsonian.regression.classification.link import expected_probabilities
from wilsonian.regression.classification.scaled import Labels, Sampled, assembled, steepness
from wilsonian.regression.processes.reduced import ReducedProcess

# Rows, classes as probabilities and sample weights, of all training rows.
Blocks = Callable[[], Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]]]


@dataclasses.dataclass(frozen=True)
class LabelProcess:
    r"""Posterior of latent functions :math:`f_c(x) = b_c + s\, g(x) \cdot W_c` of the kept or of
    all resolved modes :math:`g` (of the kernel, its amplitude set to one), given class labels; one
    latent for two classes, of the second against the first.

    The modes that are eliminated are independent noise in each label's latent. Of
    variance :math:`v`, it renormalizes the slope of the link, :math:`f \to f / \sqrt{1 + \pi v /
    8}`, in learning, in leaving out and in prediction alike. Where the ridge is uniform that is one
    factor for all, which the scale, chosen last, contains; where it is not, the link is steeper or
    flatter by what :math:`s^2 K_>(x, x)` differs from its mean.
    """

    process: ReducedProcess
    scale: float  # s
    spread: float  # share of the latents' posterior variance that probabilities average over
    latents: Latents
    resolved: bool = False  # all modes of the inducing points, not only those that are kept

    @classmethod
    def fit(
        cls,
        process: ReducedProcess,
        labels: Labels,
        blocks: Blocks | None = None,
        *,
        resolved: bool = False,
    ) -> tuple[LabelProcess, np.ndarray]:
        """From labelled rows; or from a uniform sample of the rows behind `blocks`, every call of
        which runs through all of them. Also the log losses (rows,), in nats, of the labels with one
        repetition of their row left out.

        Scale and spread minimize these. The spread is there because the mode of a skewed posterior
        lies nearer to zero than its mean: with all of the variance, probabilities far from one half
        are too timid (Rasmussen and Williams 2006, sec. 3.7.2)."""
        sample = Sampled(*unit_features(process, labels.X, resolved)[:2], labels)
        best = sample.best_scale()
        if blocks is None:
            latents = sample.posterior(best)
            return cls(process, best.scale, best.spread, latents, resolved), best.losses

        def designs() -> Iterator[Rows]:
            for inputs, targets, counts in blocks():
                counts = np.ones(len(inputs)) if counts is None else counts
                features, noise, _ = unit_features(process, inputs, resolved)
                yield assembled(features, noise, best.scale), targets, counts

        latents = find_mode_in_passes(designs, best.mean)
        return cls(process, best.scale, best.spread, latents, resolved), best.losses

    def probabilities(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (rows, classes) of all classes, latents integrated out, and the share
        (rows,) of a row's prior variance that no training row is near enough to know."""
        features, noise, excess = unit_features(self.process, X, self.resolved)
        design = assembled(features, noise, self.scale)
        far = self.scale**2 * excess * steepness(noise, self.scale) ** 2
        variance = self.latents.variances(design) + far[:, None]
        chances = expected_probabilities(self.latents.means(design), self.spread * variance)
        with jax.enable_x64(True):
            unknown = self.process.diagonal(X) - self.process.largest_lost / self.process.amplitude
        return chances, np.clip(excess / np.where(unknown > 0, unknown, np.inf), 0.0, 1.0)


def unit_features(
    process: ReducedProcess, X: np.ndarray, resolved: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (rows, kept or inducing points), and what they miss: noise, counted from its mean
    over the data, and excess (rows,), of a kernel of unit amplitude."""
    with jax.enable_x64(True):
        if resolved:
            features = process.features(X)
            missed = process.modes.features.unresolved(X, features)
            largest = process.largest_lost / process.amplitude
            noise = np.minimum(missed, largest)
            return features, noise - process.modes.tail, missed - noise
        noise, excess = process.lost_variances(X)
        features = process.kept_features(X) / np.sqrt(process.amplitude)
        mean = process.mean_lost()
        return features, (noise - mean) / process.amplitude, excess / process.amplitude
