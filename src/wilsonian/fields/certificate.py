r"""A certificate for weighted draws: what they say of themselves, and what data say of them.

Draws alone cannot show a peak that the sampler never visits; data of the theory do, through the
weights of held-out fields. So both are asked (docs/science/exact-rg.md, "Certificate"):

- ESS of the draws, share of the largest weight, log Z and its error;
- from data: variance of log w, the ESS that data imply, 1 / (mean w · mean 1/w), log Z as
  −log mean 1/w, and the share of data that the sampler hardly ever makes;
- identities: Schwinger-Dyson = 1, magnetization = 0, observables and spectrum against the data's.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import logsumexp

from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.lattice import power_spectrum, shell_average
from wilsonian.fields.observables import NAMES, Measured
from wilsonian.fields.weights import WeightSummary, independence_metropolis, summarize_weights

LOWEST_ESS = 0.05
SELDOM = 6.0  # a field whose weight is e^6 times the mean is one the sampler hardly makes
WORST_PULL = 4.5


@dataclasses.dataclass(frozen=True)
class DataWeights:
    """What held-out fields of the theory say of the sampler."""

    count: int
    log_weight_variance: float  # infinite when a field has no density at all
    effective_fraction: float  # ESS / N that they imply
    log_partition_function: float
    log_partition_error: float
    seldom_share: float  # of fields that the sampler hardly ever makes


@dataclasses.dataclass(frozen=True)
class Identity:
    """One comparison with a number that is known."""

    name: str
    measured: Measured
    expected: Measured

    @property
    def pull(self) -> float:
        return self.measured.pull(self.expected)


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate:
    """The whole of it; `refusals` is empty when the draws can be trusted."""

    draws: WeightSummary
    acceptance: float  # of independence Metropolis
    data: DataWeights | None
    identities: tuple[Identity, ...]
    spectrum_momenta: np.ndarray
    spectrum_ratio: np.ndarray  # draws over data, by shells; empty without data
    refusals: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        return not self.refusals

    def __str__(self) -> str:
        return certificate_text(self)


def data_weights(log_weights: np.ndarray, draws: WeightSummary) -> DataWeights:
    """Summary of the log weights of data; plus infinity is a field the sampler cannot make."""
    logs = np.asarray(log_weights, float)
    reachable = logs[np.isfinite(logs)]
    inverse = logsumexp(-reachable) - np.log(len(logs)) if len(reachable) else -np.inf
    seldom = float((logs - draws.log_partition_function > SELDOM).mean())
    if len(reachable) < len(logs):
        variance, fraction = float("inf"), 0.0
    else:
        variance = float(logs.var())
        fraction = float(np.exp(-inverse - (logsumexp(logs) - np.log(len(logs)))))
    spread = np.exp(-reachable - inverse)
    error = float(spread.std() / np.sqrt(max(len(logs), 1))) if len(reachable) else float("inf")
    return DataWeights(len(logs), variance, fraction, float(-inverse), error, seldom)


def certify(
    draw: Ensemble, data: Ensemble | None = None, data_log_weights: np.ndarray | None = None
) -> Certificate:
    """Certificate of weighted draws; `data` are fields of the theory, `data_log_weights` theirs.

    ValueError when the draws carry no weights, or the data are of another theory.
    """
    if draw.log_weights is None:
        raise ValueError(
            "the draws carry no weights, and nothing certifies them; use `check_ensemble` for "
            "fields of a Markov chain."
        )
    if data is not None:
        check_same_theory(draw, data)
    summary = summarize_weights(draw.log_weights)
    _, acceptance = independence_metropolis(draw.log_weights, seed=0)
    seen = None if data_log_weights is None else data_weights(data_log_weights, summary)
    identities = list(own_identities(draw))
    momenta, ratio = np.zeros(0), np.zeros(0)
    if data is not None:
        identities += against(draw, data)
        momenta, ours = shell_average(
            power_spectrum(draw.fields, draw.theory.shape, draw.weights())
        )
        _, theirs = shell_average(power_spectrum(data.fields, draw.theory.shape))
        ratio = ours / theirs
    if seen is not None:
        identities.append(
            Identity(
                "log Z of draws and of data",
                Measured(summary.log_partition_function, summary.log_partition_error),
                Measured(seen.log_partition_function, seen.log_partition_error),
            )
        )
    refusals = _refusals(summary, seen, identities)
    return Certificate(summary, acceptance, seen, tuple(identities), momenta, ratio, refusals)


def check_same_theory(draw: Ensemble, data: Ensemble) -> None:
    ours, theirs = draw.theory.parameters(), data.theory.parameters()
    if ours != theirs:
        raise ValueError(
            f"the draws are of {ours} and the data of {theirs}; compare ensembles of one theory."
        )


def own_identities(ensemble: Ensemble) -> list[Identity]:
    """Schwinger-Dyson and the symmetry of sign, which need nothing to compare with."""
    rows = ensemble.fields
    share = ensemble.weights() * len(ensemble)
    magnetization = rows.reshape(len(rows), -1).mean(1, dtype=float)
    groups = ensemble.groups()
    number = int(groups.max()) + 1
    sums, mass = (np.bincount(groups, w, number) for w in (share * magnetization, share))
    left = (sums.sum() - sums) / (mass.sum() - mass)
    error = float(np.sqrt((number - 1) / number * ((left - left.mean()) ** 2).sum()))
    mean = Measured(float(sums.sum() / mass.sum()), error)
    exact = Measured(0.0, 0.0)
    identity = ensemble.observables()["schwinger_dyson"]
    return [
        Identity("<phi dS/dphi> = 1", identity, Measured(1.0, 0.0)),
        Identity("<M> = 0", mean, exact),
    ]


def against(draw: Ensemble, data: Ensemble) -> list[Identity]:
    """Observables of both, but for those that `own_identities` already holds."""
    ours, theirs = draw.observables(), data.observables()
    return [
        Identity(label, ours[name], theirs[name])
        for name, label in NAMES.items()
        if name != "schwinger_dyson"
    ]


def check_ensemble(ensemble: Ensemble) -> tuple[Identity, ...]:
    """Identities that any ensemble, anyone's, must satisfy. Passing them is no certificate."""
    return tuple(own_identities(ensemble))


def _refusals(
    draws: WeightSummary, data: DataWeights | None, identities: list[Identity]
) -> tuple[str, ...]:
    said = []
    if draws.effective_fraction < LOWEST_ESS:
        said.append(
            f"ESS/N of the draws is {draws.effective_fraction:.3f}; fit on more fields, or on "
            "fields of this theory."
        )
    if data is not None:
        if data.seldom_share > max(0.002, 3 / data.count):
            said.append(
                f"{data.seldom_share:.1%} of the data are fields that the sampler hardly ever "
                "makes: it drops a part of the law, and its own ESS cannot see that."
            )
        elif data.effective_fraction < 0.5 * draws.effective_fraction:
            said.append(
                f"data imply an ESS/N of {data.effective_fraction:.3f} where the draws show "
                f"{draws.effective_fraction:.3f}: the sampler misses a part of the law."
            )
    for identity in identities:
        if not abs(identity.pull) < WORST_PULL:
            said.append(
                f"{identity.name}: {identity.measured.value:.5g} against "
                f"{identity.expected.value:.5g}, {identity.pull:+.1f} standard errors apart."
            )
    return tuple(said)


def certificate_text(certificate: Certificate) -> str:
    """The certificate for people, one thing per line."""
    draws, data = certificate.draws, certificate.data
    lines = [
        f"draws              {draws.count}",
        f"ESS/N              {draws.effective_fraction:.4f}",
        f"largest weight     {draws.largest_share:.2e} of all",
        f"Metropolis         {certificate.acceptance:.3f} accepted",
        f"log Z              {draws.log_partition_function:.4f} ± {draws.log_partition_error:.4f}",
    ]
    if data is not None:
        lines += [
            f"held-out fields    {data.count}",
            f"var log w there    {data.log_weight_variance:.4f}",
            f"ESS/N they imply   {data.effective_fraction:.4f}",
        ]
    for identity in certificate.identities:
        ours, theirs = identity.measured, identity.expected
        lines.append(
            f"{identity.name:<27}{ours.value:>11.5g} ± {ours.error:<9.2g} against "
            f"{theirs.value:>11.5g} ± {theirs.error:<9.2g} pull {identity.pull:+.1f}"
        )
    if len(certificate.spectrum_ratio):
        low, high = certificate.spectrum_ratio.min(), certificate.spectrum_ratio.max()
        lines.append(f"spectrum           {low:.3f} to {high:.3f} of the data's, by shells")
    lines += ["TRUSTED"] if certificate.trusted else [f"REFUSED: {r}" for r in certificate.refusals]
    return "\n".join(lines)
