"""The reduced Gaussian process: predictions from the modes that a cutoff keeps."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from wilsonian.kernels import compiled_gram
from wilsonian.regression.processes.modes import Modes, ModeTheory
from wilsonian.regression.processes.records import FlowRecord, SpectrumRecord

# Targets whose standardized squares are this many times what the prior expects contradict it: where
# rows nearly coincide, what is predicted then hangs on the rounding of their distances.
CONTRADICTED = 1e4


@dataclasses.dataclass(frozen=True)
class Flow:
    """A theory at a ladder of cutoffs, targets scaled."""

    kept: np.ndarray  # (cutoffs,), number of modes
    ridge: np.ndarray  # its mean over the data
    log_evidence: np.ndarray  # nats, summed over outputs
    evidence_ridge: np.ndarray  # the one ridge that the evidence of the kept modes prefers


@dataclasses.dataclass(frozen=True)
class ReducedProcess(abc.ABC):
    r"""Posterior of a coarse-grained Gaussian process, in features of the inducing points.

    .. math:: \bar f(x) = f(x) \cdot m, \qquad
        \mathrm{Var} f(x) = |f(x) R|^2 + \text{lost variance at } x .

    A theory of a uniform ridge knows the lost variance as its mean :math:`c`; at a point where the
    variance that no mode resolves exceeds everything seen in training (far from the data) the
    excess is added, up to :math:`K_>(x, x)`, so that the prior's uncertainty returns there. A
    theory of the sample, or of an input-dependent ridge, uses :math:`K_>(x, x)` itself.
    """

    modes: Modes
    amplitude: float
    noise_variance: float  # variance, targets scaled
    theory: ModeTheory  # coarse grained
    mean_weights: np.ndarray  # (rank, outputs)
    root: np.ndarray  # (rank, kept), kept posterior covariance is root @ root.T
    kept_root: np.ndarray  # (rank, kept), kept kernel is features @ kept_root @ kept_root.T ...
    uniform_lost: float | None  # c, where the ridge is uniform
    # Largest variance that no mode resolves seen in training. Not the largest K_>(x, x): that
    # changes with the cutoff, and could not be found without the data.
    largest_lost: float

    @property
    def kept(self) -> int:
        return self.kept_root.shape[1]

    def features(self, X: np.ndarray) -> np.ndarray:
        """Whitened features of the inducing points, (rows, rank)."""
        return self.modes.features.at(X)

    def diagonal(self, X: np.ndarray) -> np.ndarray:
        """`k(x, x)` of the kernel of unit amplitude, (rows,)."""
        return self.modes.features.diagonal(X)

    def kept_features(self, X: np.ndarray) -> np.ndarray:
        """(rows, kept): the kept kernel, targets scaled, is their product with themselves."""
        return self.features(X) @ self.kept_root

    def lost_kernel(self, X: np.ndarray) -> np.ndarray:
        """:math:`K_>(x, x)`: prior variance that the kept modes do not carry, targets scaled."""
        diagonal = self.amplitude * self.diagonal(X)
        kept = self.kept_features(X)
        return np.maximum(diagonal - np.einsum("ij,ij->i", kept, kept), 0.0)

    def ridge_at(self, X: np.ndarray) -> np.ndarray:
        r""":math:`\sigma^2 + K_>(x, x)` at the rows of `X`: the ridge of an input-dependent theory,
        targets scaled."""
        return self.noise_variance + self.lost_kernel(X)

    def mean(self, X: np.ndarray) -> np.ndarray:
        """Posterior mean (rows, outputs), in the target's units."""
        return self.modes.target_mean + self.modes.target_scale * (
            self.features(X) @ self.mean_weights
        )

    def moments(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean (rows, outputs) in the target's units, and the variance (rows,) of the
        latent function with targets scaled."""
        features = self.features(X)
        mean = self.modes.target_mean + self.modes.target_scale * (features @ self.mean_weights)
        spread = features @ self.root
        lost = sum(self._lost_variances(X, features))
        return mean, np.einsum("ij,ij->i", spread, spread) + lost

    def mean_lost(self) -> float:
        """Mean over the data of the prior variance that was cut, targets scaled."""
        lost = (1 - np.asarray(self.theory.weights)) @ self.modes.eigenvalues
        return float(self.amplitude * (lost + self.modes.tail))

    def lost_variances(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Variances (rows,) that what was cut adds to a prediction, targets scaled: as noise, as it
        did in training, and the excess of inputs farther from the inducing points than any row
        seen in training."""
        return self._lost_variances(X, self.features(X))

    def _lost_variances(self, X: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept = features @ self.kept_root
        diagonal = self.amplitude * self.diagonal(X)
        lost = np.maximum(diagonal - np.einsum("ij,ij->i", kept, kept), 0.0)
        unresolved = self.amplitude * self.modes.features.unresolved(X, features)
        excess = np.maximum(unresolved - self.largest_lost, 0.0)
        if self.uniform_lost is None:
            excess = np.minimum(excess, lost)
            return lost - excess, excess
        noise = np.full(len(X), self.uniform_lost)
        return noise, np.maximum(np.minimum(excess, lost - noise), 0.0)

    def leave_one_out(
        self, X: np.ndarray, y: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Means (rows, outputs), in the target's units, and variances (rows,) of the latent
        function, targets scaled, at training rows had one repetition of each been left out: one of
        :math:`w` (all of a row of less weight). With the posterior variance :math:`s` of what was
        kept, ridge :math:`\sigma_c^2` and :math:`h = \min(w, 1) s / \sigma_c^2` the mean is
        :math:`y - (y - \bar f) / (1 - h)`, the variance :math:`s / (1 - h)` and that of what was
        cut (Rasmussen and Williams 2006, sec. 5.4.2). For a uniform ridge."""
        features = self.features(X)
        spread = features @ self.root
        variance = np.einsum("ij,ij->i", spread, spread)
        once = np.minimum(weights, 1.0)
        rest = np.maximum(1 - once * variance / float(self.theory.ridge.mean()), 1e-10)
        lost = sum(self._lost_variances(X, features))
        return y - (y - self.mean(X)) / rest[:, None], variance / rest + lost

    def covariance(self, X: np.ndarray) -> np.ndarray:
        """Posterior covariance (rows, rows) of the latent function, targets scaled; its diagonal
        is the variance of :meth:`moments`."""
        features = self.features(X)
        kept, spread = features @ self.kept_root, features @ self.root
        points = self.modes.features.near(X)
        gram = compiled_gram(self.modes.features.kernel, points, points)
        prior = self.amplitude * np.asarray(gram, float)
        lost = prior - kept @ kept.T
        diagonal = np.maximum(np.diagonal(lost), 0.0)
        wanted = self.moments(X)[1] - np.einsum("ij,ij->i", spread, spread)
        # Where a uniform theory calls the lost variance smaller than K_> is here, K_> is scaled
        # down as a whole: replacing its diagonal alone could leave it indefinite.
        shrink = np.sqrt(np.minimum(wanted / np.where(diagonal > 0, diagonal, np.inf), 1.0))
        lost = shrink[:, None] * lost * shrink
        lost[np.diag_indices_from(lost)] = wanted
        return spread @ spread.T + lost

    @functools.cached_property
    @abc.abstractmethod
    def flow(self) -> Flow:
        """The theory at a ladder of cutoffs, from no mode kept to all."""

    @abc.abstractmethod
    def mean_ridge(self) -> float:
        """Ridge of the kept modes, its mean over the data, targets scaled."""

    @abc.abstractmethod
    def log_evidence(self) -> float:
        """Log marginal likelihood of the targets, scaled, in nats, summed over outputs."""

    @abc.abstractmethod
    def learnabilities(self) -> np.ndarray:
        """Learnability of every resolved mode at the fitted ridge."""

    @abc.abstractmethod
    def means_along_flow(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """For each output, the posterior means (rows, cutoffs) of the theories of :attr:`flow`, in
        the target's units."""

    def basis(self, X: np.ndarray) -> np.ndarray:
        """All resolved modes at the rows of `X`, (rows, modes); orthonormal on the data seen."""
        return self.features(X) @ (self.modes.rotation / np.sqrt(self.modes.eigenvalues))

    def expected_loss(self) -> float:
        r"""Expected rise in mean squared error, targets scaled, from what was cut: under the prior
        an eliminated mode costs :math:`\lambda_q` instead of :math:`\lambda_q (1 - L_q)`. Of
        unresolved modes only the trace is known; each is at most as learnable as the last resolved
        one, so their share is an upper bound."""
        learned = self.learnabilities()
        lost = (1 - np.asarray(self.theory.weights)) * self.modes.eigenvalues
        tail = self.modes.tail * (learned[-1] if len(learned) else 1.0)
        return float(self.amplitude * (lost @ learned + tail))

    @functools.cached_property
    def doubt(self) -> str:
        r"""A sentence where the mean over rows of :math:`y^T (K + \rho)^{-1} y`, one if the prior
        is right, says that kernel and noise cannot both be; else nothing. Learning never ends
        there."""
        modes, ridge = self.modes, self.mean_ridge()
        weights = np.asarray(self.theory.weights)
        signal = modes.n_samples * self.amplitude * weights * modes.eigenvalues
        power = modes.n_samples * np.sum(modes.coefficients**2, axis=1)
        rest = (modes.target_square.sum() - power.sum()) / ridge
        size = modes.n_samples * len(modes.target_square)
        misfit = float(rest + np.sum(power / (ridge + signal))) / size
        if misfit < CONTRADICTED:
            return ""
        return (
            f"The targets contradict a noise variance of {self.noise_variance:.3g} under this "
            f"kernel: they are {misfit**0.5:,.0f} times as rough as it expects, as where rows "
            "nearly coincide and their targets do not. Predictions then rest on rounding: raise "
            "`noise_variance`, or let it be learned."
        )

    def flow_record(self, unit: float) -> FlowRecord:
        """The flow in the target's units; `unit` is its squared scale."""
        summary = self.flow
        ridge = np.asarray(summary.ridge)
        eigenvalues = np.append(self.modes.eigenvalues, 0.0)[summary.kept.round().astype(int)]
        signal = self.modes.n_samples * self.amplitude * eigenvalues
        return FlowRecord(
            kept=np.asarray(summary.kept).round().astype(int),
            ridge=ridge * unit,
            evidence_ridge=np.asarray(summary.evidence_ridge) * unit,
            learnability=signal / (ridge + signal),
            evidence=np.asarray(summary.log_evidence),
        )

    def spectrum_record(self, unit: float, threshold: float) -> SpectrumRecord:
        """The spectrum in the target's units; `unit` is its squared scale."""
        modes = self.modes
        return SpectrumRecord(
            eigenvalues=self.amplitude * modes.eigenvalues * unit,
            learnability=self.learnabilities(),
            target_power=np.mean((modes.coefficients * modes.target_scale) ** 2, axis=1),
            kept=self.kept,
            tail=self.amplitude * modes.tail * unit,
            threshold=threshold,
        )
