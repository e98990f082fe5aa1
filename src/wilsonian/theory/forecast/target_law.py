"""The power of a target in every mode, as a smooth law of its rank fitted to few labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special

from wilsonian.theory.forecast.population_spectrum import PopulationSpectrum
from wilsonian.theory.forecast.subsamples import MeasuredErrors
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum

BINS = 30  # of eigenvalues, in which the power per mode is one number on the labelled points
KNOT_DISTANCE = 1.0  # in the logarithm of a mode's rank
BEYOND = 2.5  # the last knot's distance beyond the sample's last mode; a power law from there
# Standard deviations from the prior: of the law's slope overall, of its bends between knots, and
# of the noise's logarithm. All numbers here were chosen on sets other than those of
# benchmarks/forecast.py.
SLOPE_SPREAD, BEND, NOISE_SPREAD = 0.3, 0.3, 0.4
LEAST_NOISE = 1e-3  # of the variance, that the prior takes for the noise
TRUSTED = 0.6  # share of the sample's modes whose prior power the law is drawn through
ROUGHNESS = 0.3  # of that curve's bends, against the logarithms it is drawn through
# Independent labels that the likelihood counts as: real features are not Gaussian.
LABELS_WORTH = 50.0
SHARED_ERROR, OWN_ERROR = 0.05, 0.1  # relative, of the theory: at all sizes alike, and at each
POWER_SPREAD = 0.15  # of the logarithm of the power that modes and noise add up to
FARTHEST = 200.0  # logarithm of a power that overflows in no product
PROPOSAL_FREEDOM = 5  # of the Student law that the posterior is sampled from

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class TargetPrior:
    """What a Gaussian process of learned kernel expects of a target, before any one label."""

    power: np.ndarray  # (m,) of each of the sample's modes, up to a common factor
    noise_variance: float  # variance, over that of the targets


@dataclasses.dataclass(frozen=True)
class TargetLaw:
    """Draws from the posterior of a target's power; `nodes` are those of the spectrum."""

    power: np.ndarray  # (draws, nodes) target power of the modes a node stands for, per output
    noise_variance: np.ndarray  # (draws,) variance that no mode carries, per output
    effective_draws: float  # independent draws that the weighted ones are worth


def fit_target_law(
    population: PopulationSpectrum,
    modes: np.ndarray,
    targets: np.ndarray,
    measured: MeasuredErrors,
    prior: TargetPrior,
    random: np.random.Generator,
    *,
    draws: int = 200,
    rounds: int = 3,
    progress: Progress = lambda done, of: None,
) -> TargetLaw:
    r"""Posterior of the target's power per mode :math:`v_k^2` and of the noise, from labels.

    With :math:`\log v_k^2` piecewise linear in :math:`\log k`, two things are weighed:

    - the likelihood of the labels of the n points as Gaussians, :math:`y \sim N(0, \sum_k
      v_k^2 \phi_k \phi_k^T + \sigma_\varepsilon^2)`, to the power that makes it
      worth 50 labels (real features are not Gaussian, and more would drown what follows);
    - the errors `measured` by subsamples of the pilot, against those of the deterministic
      equivalent, :math:`E = [\sum_k (1 - L_k)^2 v_k^2 + \sigma_\varepsilon^2] / (1 - \gamma)`.

    The `prior` is what a kernel learned from the labels makes of the target: the power that it
    gives the modes of *this* kernel, :math:`\mathrm{diag}(U^T K_* U) / m`, up to a random walk of
    slopes, and its noise, log-normal. Powers follow the rank k and not the eigenvalue, since how
    rough a target is has nothing to do with how fast the spectrum of the kernel falls. Beyond the
    sample's modes the law goes on as a power of k: what the labels cannot tell comes from there
    and widens the posterior. Modes beyond the sample's act on the points as noise, and count as
    target. The posterior is sampled by importance, in `rounds` that each adapt the proposal
    (Cornuet et al. 2012), from its mode and Fisher information.

    `modes` (n, m) are the sample's eigenvectors times sqrt(m) at the labelled points, in the order
    of the spectrum; `targets` (n, outputs), centred.
    """
    posterior = _Posterior.of(population, modes, targets, measured, prior)
    mode = posterior.mode(300)
    parameters, effective = _sample(posterior, mode, random, draws, rounds, progress)
    power = population.spectrum.multiplicity * np.exp(parameters[:, :-1] @ posterior.at_nodes.T)
    return TargetLaw(power, posterior.variance * np.exp(parameters[:, -1]), effective)


def likeliest_law(
    population: PopulationSpectrum,
    modes: np.ndarray,
    targets: np.ndarray,
    measured: MeasuredErrors,
    prior: TargetPrior,
) -> LearningCurve:
    """The learning curve of the posterior's mode; arguments as of :func:`fit_target_law`."""
    posterior = _Posterior.of(population, modes, targets, measured, prior)
    _, power, noise_variance = posterior.powers(posterior.mode(100))
    spectrum = population.spectrum
    law = BinnedSpectrum(spectrum.eigenvalues, spectrum.multiplicity, power)
    return LearningCurve(law, noise_variance=noise_variance)


@dataclasses.dataclass(frozen=True)
class _Posterior:
    """Of the parameters: log v^2 at the knots, and log of the noise over the targets' variance."""

    grams: np.ndarray  # (bins, n n) of the modes in a bin
    at_bins: np.ndarray  # (bins, knots) log v^2 there, from the knots
    at_nodes: np.ndarray  # (nodes, knots)
    counts: np.ndarray  # (nodes,) modes
    beyond: np.ndarray  # (nodes,) mask: no mode of the sample
    mean: np.ndarray  # (knots,) prior mean, up to a constant
    precision: np.ndarray  # (knots, knots) prior precision
    targets: np.ndarray
    temper: float  # weight of the labels' likelihood
    unlearned: np.ndarray  # (errors, nodes) what is left of each node's power, 1 / (1 - gamma) in
    inflation: np.ndarray  # (errors,) 1 / (1 - gamma)
    seen: np.ndarray  # (errors,) logarithms of measured errors
    certainty: np.ndarray  # (errors, errors) their precision
    log_noise_variance: float  # the prior's, over the variance

    @classmethod
    def of(
        cls,
        population: PopulationSpectrum,
        modes: np.ndarray,
        targets: np.ndarray,
        measured: MeasuredErrors,
        prior: TargetPrior,
    ) -> _Posterior:
        count = modes.shape[1]
        logs = np.log(population.eigenvalue_at(np.arange(1, count + 1)))
        edges = np.linspace(logs[-1], logs[0], BINS + 1)
        index = np.clip(np.searchsorted(edges, logs, side="right") - 1, 0, BINS - 1)
        held = [np.flatnonzero(index == b) for b in range(BINS) if np.any(index == b)]
        grams = np.stack([(modes[:, k] @ modes[:, k].T).ravel() for k in held])
        centres = np.array([logs[k].mean() for k in held])
        values = -np.log(population.spectrum.eigenvalues)
        # Places in the spectrum by minus the logarithm of the rank, ascending with the eigenvalue.
        nodes = -np.log(np.maximum(population.modes_above(), 0.5))
        centres = np.interp(-centres, values, nodes)
        lowest, top = -(np.log(count) + BEYOND), float(nodes[0])
        number = max(int(np.ceil((top - lowest) / KNOT_DISTANCE)) + 1, 4)
        knots = np.linspace(lowest, top, number)
        distance = knots[1] - knots[0]
        bends, steps = (np.diff(np.eye(number), order, axis=0) for order in (2, 1))
        precision = bends.T @ bends / (BEND * distance) ** 2
        precision += steps.T @ steps / (number - 1) / (SLOPE_SPREAD * distance) ** 2
        at_bins = _interpolation(centres, knots)
        trusted = [row for row, k in enumerate(held) if k[-1] < TRUSTED * count]
        mean = np.linalg.lstsq(*_prior_curve(prior, held, at_bins, trusted, bends / distance))[0]
        return cls(
            grams,
            at_bins,
            _interpolation(nodes, knots),
            np.asarray(population.spectrum.multiplicity),
            values > -logs[-1],
            mean,
            precision,
            targets,
            min(LABELS_WORTH / targets.size, 1.0),
            *_measured_errors(population, measured),
            float(np.log(max(prior.noise_variance, LEAST_NOISE))),
        )

    @property
    def variance(self) -> float:
        return float(np.mean(self.targets**2))

    def start(self) -> np.ndarray:
        """The prior's mean, scaled to carry most of the variance."""
        whole = self.counts @ np.exp(self.at_nodes @ self.mean)
        noise_variance = min(self.log_noise_variance, np.log(0.5))
        return np.append(
            self.mean + np.log((1 - np.exp(noise_variance)) * self.variance / whole), noise_variance
        )

    def mode(self, steps: int) -> np.ndarray:
        """The likeliest parameters."""
        return scipy.optimize.minimize(
            self.loss_and_slope,
            self.start(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps},
        ).x

    def loss_and_slope(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative log posterior and its gradient."""
        return self._evaluate(parameters, slope=True)

    def loss(self, parameters: np.ndarray) -> float:
        return self._evaluate(parameters, slope=False)[0]

    def _evaluate(self, parameters: np.ndarray, slope: bool) -> tuple[float, np.ndarray]:
        y, outputs = self.targets, self.targets.shape[1]
        per_mode, power, noise_variance = self.powers(parameters)
        nothing = np.zeros_like(parameters)
        try:
            lower = np.linalg.cholesky(self._covariance(per_mode, power, noise_variance))
        except np.linalg.LinAlgError:
            return 1e10, nothing
        dual = scipy.linalg.cho_solve((lower, True), y, check_finite=False)
        loss = 0.5 * np.sum(y * dual) + outputs * np.sum(np.log(np.diagonal(lower)))
        away = parameters[:-1] - self.mean
        excess = np.log((np.sum(power) + noise_variance) / self.variance)
        over = max(parameters[-1], 0.0)  # noise above the variance
        unlike = (parameters[-1] - self.log_noise_variance) / NOISE_SPREAD
        loss = self.temper * loss + 0.5 * away @ self.precision @ away
        errors = self.unlearned @ power + self.inflation * noise_variance
        missed = np.log(errors) - self.seen
        loss += 0.5 * missed @ self.certainty @ missed
        loss += 0.5 * (excess / POWER_SPREAD) ** 2 + 0.5 * (over / 0.1) ** 2 + 0.5 * unlike**2
        if not slope:
            return float(loss), nothing
        inverse = scipy.linalg.cho_solve((lower, True), np.eye(len(y)), check_finite=False)
        residual = 0.5 * self.temper * (outputs * inverse - dual @ dual.T)
        diagonal = np.trace(residual)
        pull = excess / POWER_SPREAD**2 / (np.sum(power) + noise_variance)
        gradient = self.at_bins.T @ (per_mode * (self.grams @ residual.ravel()))
        slopes = self.certainty @ missed / errors
        on_power = diagonal * self.beyond + pull + slopes @ self.unlearned
        gradient += self.at_nodes.T @ (power * on_power)
        gradient += self.precision @ away
        last = noise_variance * (diagonal + pull + slopes @ self.inflation) + over / 0.01
        last += unlike / NOISE_SPREAD
        return float(loss), np.append(gradient, last)

    def information(self, parameters: np.ndarray) -> np.ndarray:
        """Fisher information of the labels and precision of the prior, positive definite."""
        points, outputs = self.targets.shape
        per_mode, power, noise_variance = self.powers(parameters)
        inverse = np.linalg.inv(self._covariance(per_mode, power, noise_variance))
        moved = (per_mode[:, None] * self.at_bins).T @ self.grams
        moved = moved.reshape(-1, points, points)
        moved[:, np.arange(points), np.arange(points)] += (
            self.at_nodes[self.beyond].T @ power[self.beyond]
        )[:, None]
        scores = np.stack([inverse @ one for one in moved] + [inverse * noise_variance])
        transposed = scores.transpose(0, 2, 1).reshape(len(scores), -1)
        fisher = self.temper * outputs / 2 * scores.reshape(len(scores), -1) @ transposed.T
        fisher[:-1, :-1] += self.precision
        whole = np.append(self.at_nodes.T @ power, noise_variance) / (
            np.sum(power) + noise_variance
        )
        fisher += np.outer(whole, whole) / POWER_SPREAD**2
        errors = self.unlearned @ power + self.inflation * noise_variance
        moves = np.hstack(
            [(self.unlearned * power) @ self.at_nodes, (self.inflation * noise_variance)[:, None]]
        )
        moves /= errors[:, None]
        fisher += moves.T @ self.certainty @ moves
        fisher[-1, -1] += 1 / NOISE_SPREAD**2
        return (fisher + fisher.T) / 2

    def powers(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Power of one mode in each bin, of all modes of each node, and the noise."""
        logs = np.clip(parameters, -FARTHEST, FARTHEST)
        power = self.counts * np.exp(np.minimum(self.at_nodes @ logs[:-1], FARTHEST))
        per_mode = np.exp(np.minimum(self.at_bins @ logs[:-1], FARTHEST))
        return per_mode, power, self.variance * float(np.exp(logs[-1]))

    def _covariance(
        self, per_mode: np.ndarray, power: np.ndarray, noise_variance: float
    ) -> np.ndarray:
        points = len(self.targets)
        covariance = (per_mode @ self.grams).reshape(points, points)
        covariance.flat[:: points + 1] += noise_variance + np.sum(power[self.beyond])
        return covariance


def _measured_errors(
    population: PopulationSpectrum, measured: MeasuredErrors
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What the deterministic equivalent makes of power and noise where errors were measured, and
    these: the last four fields of `_Posterior`."""
    best = measured.best()
    places = [
        (size, ridge)
        for size in range(len(measured.n))
        for ridge in range(best[size] - 1, best[size] + 2)
        if 0 <= ridge < len(measured.ridge)
    ]
    sizes, ridges = np.array(places).T
    theory = LearningCurve(population.spectrum)
    kappa = theory.kappa(measured.n[sizes], measured.ridge[ridges])
    spectrum = population.spectrum
    learned = spectrum.eigenvalues / (spectrum.eigenvalues + kappa[:, None])
    overfitting = learned**2 @ spectrum.multiplicity / measured.n[sizes]
    inflation = 1 / (1 - np.minimum(overfitting, 0.95))
    # Errors of one pilot go up and down together; each has its own, and the theory's.
    shared = measured.spread[-1] ** 2 + SHARED_ERROR**2
    covariance = shared + np.diag(measured.spread[sizes] ** 2 + OWN_ERROR**2)
    return (
        (1 - learned) ** 2 * inflation[:, None],
        inflation,
        np.log(measured.error[sizes, ridges]),
        np.linalg.inv(covariance),
    )


def _prior_curve(
    prior: TargetPrior,
    held: list[np.ndarray],
    at_bins: np.ndarray,
    trusted: list[int],
    bends: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares problem of the smooth curve through the prior's power in the trusted bins."""
    least = 1e-12 * np.sum(prior.power)
    logs = np.log([max(float(np.mean(prior.power[k])), least) for k in held])
    weights = np.sqrt([min(len(k), 20) for k in held])
    design = np.vstack([(weights[:, None] * at_bins)[trusted], ROUGHNESS * bends])
    return design, np.append((weights * logs)[trusted], np.zeros(len(bends)))


def _interpolation(places: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Matrix of linear interpolation from values at `knots`, also beyond their ends."""
    index = np.clip(np.searchsorted(knots, places) - 1, 0, len(knots) - 2)
    share = (places - knots[index]) / (knots[index + 1] - knots[index])
    matrix = np.zeros((len(places), len(knots)))
    rows = np.arange(len(places))
    matrix[rows, index], matrix[rows, index + 1] = 1 - share, share
    return matrix


def _sample(
    posterior: _Posterior,
    centre: np.ndarray,
    random: np.random.Generator,
    draws: int,
    rounds: int,
    progress: Progress,
) -> tuple[np.ndarray, float]:
    """Parameters resampled by their weights, and how many independent draws they are worth."""
    laplace = _definite_inverse(posterior.information(centre))
    covariance, size = laplace, len(centre)
    proposals: list[tuple[np.ndarray, np.ndarray]] = []
    drawn, losses = np.zeros((0, size)), np.zeros(0)
    for turn in range(rounds):
        lower = _root(covariance)
        proposals.append((centre, lower))
        scale = np.sqrt(PROPOSAL_FREEDOM / random.chisquare(PROPOSAL_FREEDOM, (draws, 1)))
        new = centre + scale * random.standard_normal((draws, size)) @ lower.T
        for done, parameters in enumerate(new):
            loss = posterior.loss(parameters)
            losses = np.append(losses, loss if np.isfinite(loss) else 1e10)
            progress(turn * draws + done + 1, rounds * draws)
        drawn = np.vstack([drawn, new])
        logs = -losses - np.logaddexp.reduce([_log_student(drawn, *p) for p in proposals])
        weights = scipy.special.softmax(logs)
        # Flattened until there are points enough for a covariance.
        for power in np.linspace(1.0, 0.1, 19):
            flat = scipy.special.softmax(power * logs)
            if 1 / np.sum(flat**2) > 3 * size:
                break
        centre = flat @ drawn
        away = drawn - centre
        covariance = 0.8 * (flat[:, None] * away).T @ away + 0.2 * laplace
    chosen = random.choice(len(drawn), draws, p=weights)
    return drawn[chosen], float(1 / np.sum(weights**2))


def _definite_inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a positive definite matrix whose least eigenvalues may be rounding."""
    values, vectors = scipy.linalg.eigh(matrix)
    floor = np.finfo(float).eps * len(values) * values[-1]
    return (vectors / np.maximum(values, floor)) @ vectors.T


def _root(covariance: np.ndarray) -> np.ndarray:
    """Lower factor of a covariance that rounding may have left indefinite."""
    values, vectors = scipy.linalg.eigh(covariance)
    values = np.maximum(values, max(1e-9, 1e-12 * values[-1]))
    (upper,) = scipy.linalg.qr((vectors * np.sqrt(values)).T, mode="r")
    return upper.T * np.where(np.diagonal(upper) < 0, -1.0, 1.0)


def _log_student(points: np.ndarray, centre: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Log density up to a constant of the multivariate Student law, scale lower lower^T."""
    white = scipy.linalg.solve_triangular(lower, (points - centre).T, lower=True)
    square = np.sum(white**2, axis=0)
    power = (PROPOSAL_FREEDOM + len(centre)) / 2
    return -power * np.log1p(square / PROPOSAL_FREEDOM) - np.sum(np.log(np.diagonal(lower)))
