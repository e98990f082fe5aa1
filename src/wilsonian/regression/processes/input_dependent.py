"""The reduced process of a ridge at every input: one more pass over the rows, evidence included."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np
import scipy.linalg

from wilsonian.regression.processes.reduced import Flow, ReducedProcess
from wilsonian.regression.processes.uniform import UniformProcess
from wilsonian.regression.statistics import Block


class RowSums:
    r"""Sums over rows at one cutoff: with kept features :math:`g(x) = f(x) R` and the ridge
    :math:`d(x) = \sigma^2 + K(x, x) - |g(x)|^2` they are :math:`\sum w g g^T / d`, :math:`\sum w g
    y / d`, :math:`\sum w y^2 / d`, :math:`\sum w \log d` and :math:`\sum w d`."""

    def __init__(self, root: np.ndarray, outputs: int) -> None:
        self.root = root  # (rank, kept)
        kept = root.shape[1]
        self.precision, self.cross = np.eye(kept), np.zeros((kept, outputs))
        self.square, self.log_ridge, self.ridge, self.weight = np.zeros(outputs), 0.0, 0.0, 0.0

    def add(
        self,
        features: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray,
        diagonal: np.ndarray,
        noise_variance: float | np.ndarray,
    ) -> np.ndarray:
        """Take in rows: features (rows, rank), scaled targets (rows, outputs), weights and
        `K(x, x)`, and one noise variance or one for each; returns their ridges."""
        kept = features @ self.root
        lost = np.maximum(diagonal - np.einsum("ij,ij->i", kept, kept), 0.0)
        ridge = noise_variance + lost
        weighted = kept * (weights / ridge)[:, None]
        self.precision += weighted.T @ kept
        self.cross += weighted.T @ y
        self.square += (weights / ridge) @ y**2
        self.log_ridge += float(weights @ np.log(ridge))
        self.ridge += float(weights @ ridge)
        self.weight += float(weights.sum())
        return ridge

    def mean_ridge(self) -> float:
        """Over the rows."""
        return self.ridge / self.weight

    def posterior(self) -> tuple[np.ndarray, np.ndarray, float]:
        r"""Mean weights (rank, outputs), posterior root (rank, kept) and log evidence,

        .. math:: -\tfrac12 \Big[ \sum_i \frac{w_i y_i^2}{d_i} - c^T P^{-1} c + p \log\det P + p
            \sum_i w_i \log 2 \pi d_i \Big], \qquad P = 1 + \sum_i \frac{w_i g_i g_i^T}{d_i} .
        """
        lower = np.linalg.cholesky(self.precision)
        mean = scipy.linalg.cho_solve((lower, True), self.cross)
        root = scipy.linalg.solve_triangular(lower, self.root.T, lower=True).T
        log_determinant = 2 * np.sum(np.log(np.diagonal(lower)))
        log_determinant += self.log_ridge + self.weight * np.log(2 * np.pi)
        explained = np.sum(self.cross * mean)
        evidence = -0.5 * (self.square.sum() - explained + len(self.square) * log_determinant)
        return self.root @ mean, root, float(evidence)


@dataclasses.dataclass(frozen=True)
class InputDependentProcess(ReducedProcess):
    r"""Posterior under :math:`\sigma^2(x) = \sigma^2 + K_>(x, x)` at each input (paper section on
    non-Gaussian features; docs/science/wilsonian.md), with its own evidence, flow and prices."""

    evidence: float
    ridge: float  # mean over the data
    learned: np.ndarray  # (modes,), learnabilities at this ridge
    ladder: Flow
    ladder_weights: np.ndarray  # (cutoffs, rank, outputs), posterior mean at each cutoff

    @classmethod
    def of(cls, uniform: UniformProcess, blocks: Iterable[Block]) -> InputDependentProcess:
        r"""From the uniform theory of the same modes, amplitude, noise and cutoff, and one pass
        over the training rows. Known variances of the rows are added to the noise."""
        modes, amplitude = uniform.modes, uniform.amplitude
        full_root = modes.rotation * np.sqrt(amplitude)
        outputs = len(modes.target_mean)
        own = RowSums(uniform.kept_root, outputs)
        ranks = ladder_of(len(modes.eigenvalues), uniform.kept)
        steps = [RowSums(full_root[:, :rank], outputs) for rank in ranks]
        signal = np.zeros(len(modes.eigenvalues))
        for X, y, given, known in blocks:
            features = uniform.features(X)
            diagonal = amplitude * uniform.diagonal(X)
            weights = np.ones(len(X)) if given is None else given
            scaled = (y - modes.target_mean) / modes.target_scale
            noise = uniform.noise_variance
            if known is not None:  # of one output
                noise = noise + known / modes.target_scale**2
            ridge = own.add(features, scaled, weights, diagonal, noise)
            for step in steps:
                step.add(features, scaled, weights, diagonal, noise)
            signal += (weights / ridge) @ (features @ full_root) ** 2
        mean_weights, root, evidence = own.posterior()
        posteriors = [step.posterior() for step in steps]
        ladder = Flow(
            kept=ranks,
            ridge=np.array([step.mean_ridge() for step in steps]),
            log_evidence=np.array([posterior[2] for posterior in posteriors]),
            evidence_ridge=np.asarray(uniform.flow.evidence_ridge)[ranks],
        )
        shared = {
            field.name: getattr(uniform, field.name)
            for field in dataclasses.fields(ReducedProcess)
            if field.name not in ("mean_weights", "root", "uniform_lost")
        }
        return cls(
            **shared,
            mean_weights=mean_weights,
            root=root,
            uniform_lost=None,
            evidence=evidence,
            ridge=own.mean_ridge(),
            # n lambda_k E[phi_k^2 / d] is the mode's signal to noise, n lambda_k / d if d is one.
            learned=signal / (1 + signal),
            ladder=ladder,
            ladder_weights=np.array([posterior[0] for posterior in posteriors]),
        )

    @functools.cached_property
    def flow(self):
        return self.ladder

    def mean_ridge(self):
        return self.ridge

    def log_evidence(self):
        return self.evidence

    def learnabilities(self):
        return self.learned

    def means_along_flow(self, X):
        features, modes = self.features(X), self.modes
        for output, (mean, scale) in enumerate(
            zip(modes.target_mean, modes.target_scale, strict=True)
        ):
            yield mean + scale * (features @ self.ladder_weights[:, :, output].T)


def ladder_of(modes: int, kept: int) -> np.ndarray:
    """Ranks at which the flow is followed: none, powers of two, the fitted cutoff, and all. Each
    costs a product of its own in the pass; doubling keeps their sum within that of the last."""
    powers = 2 ** np.arange(int(np.log2(max(modes, 1))) + 1)
    return np.unique([0, *powers, kept, modes])
