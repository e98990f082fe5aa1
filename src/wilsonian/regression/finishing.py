"""The last step of a fit, once all rows are counted: scale, cutoff, posterior."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable

import numpy as np

from wilsonian.core.cutoffs import AbstractCutoff, LearnabilityCutoff, RankCutoff, SharpCutoff
from wilsonian.regression.exact import ResidualCorrection
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.plan import Plan
from wilsonian.regression.preparation import Prepared
from wilsonian.regression.processes.input_dependent import InputDependentProcess
from wilsonian.regression.processes.modes import Modes
from wilsonian.regression.processes.outputs import OutputProcesses, of_outputs
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.processes.uniform import UniformProcess
from wilsonian.regression.sample import Sample
from wilsonian.regression.statistics import Block, Statistics

Blocks = Callable[[int], Iterable[Block]]  # all training rows, from a block of that number on


class ContradictedWarning(UserWarning):
    """The targets contradict the noise that was given, and predictions rest on rounding."""


@dataclasses.dataclass(frozen=True)
class FittedProcess:
    """A fit that is done."""

    prepared: Prepared
    statistics: Statistics
    process: ReducedProcess | OutputProcesses
    convergence: str  # one sentence on what was learned, and how that went
    correction: ResidualCorrection | None = None  # of all rows, if eliminated modes are read out
    doubt: str = ""  # one sentence, where the targets contradict the prior

    def warn(self) -> None:
        """Give the doubt, if there is one, to who called the estimator."""
        if self.doubt:
            warnings.warn(self.doubt, ContradictedWarning, stacklevel=3)


def finish(
    prepared: Prepared,
    statistics: Statistics,
    sample: Sample,
    plan: Plan,
    blocks: Blocks,
) -> FittedProcess:
    """Last step, once all rows are in `statistics`: scale, cutoff, posterior. `sample` is some of
    the rows; an input-dependent ridge reads all `blocks` once more. In float64: call it where that
    is enabled."""
    modes = Modes.of(
        prepared.features, statistics, normalize=plan.normalize_y, measure=prepared.measure
    )
    learned = prepared.hyperparameters
    groups, parts, lost = len(learned.amplitude), [], statistics.largest_unresolved
    for group in range(groups):
        own = slice(group, group + 1)
        columns = own if groups > 1 else slice(None)
        scale = dataclasses.replace(
            learned, amplitude=learned.amplitude[own], noise_variance=learned.noise_variance[own]
        )
        few = dataclasses.replace(sample, y=sample.y[:, columns])
        rows = (block._replace(y=block.y[:, columns]) for block in blocks(0))
        part = _process(of_outputs(modes, columns), scale, few, plan, rows, lost)
        parts.append(part)
    process = parts[0] if len(parts) == 1 else OutputProcesses(tuple(parts))
    doubt = max((part.doubt for part in parts), key=len)
    message = f"{learned.message} {doubt}".rstrip()
    return FittedProcess(prepared, statistics, process, message, doubt=doubt)


def _process(
    modes: Modes,
    hyperparameters: Hyperparameters,
    sample: Sample,
    plan: Plan,
    blocks: Iterable[Block],
    largest_unresolved: float,
) -> ReducedProcess:
    """The process of outputs that share one amplitude and noise."""
    by_row = plan.input_dependent or sample.row_noise is not None
    hyperparameters = plan.learner.after(modes, hyperparameters, sample, by_row)
    amplitude = float(hyperparameters.amplitude[0])
    noise_variance = float(hyperparameters.noise_variance[0])
    usual = noise_variance
    if sample.row_noise is not None:  # the one noise of as much information in all
        each = noise_variance + sample.row_noise / modes.target_scale[0] ** 2
        usual = 1 / float(np.average(1 / each, weights=sample.weights))
    cutoff = resolve_cutoff(modes, amplitude, usual, plan)
    lost = amplitude * largest_unresolved
    uniform = UniformProcess.of(modes, amplitude, noise_variance, cutoff, lost)
    return InputDependentProcess.of(uniform, blocks) if by_row else uniform


def resolve_cutoff(
    modes: Modes, amplitude: float, noise_variance: float, plan: Plan
) -> AbstractCutoff:
    """The plan's cutoff for these modes.

    Raises ValueError if it asks for more modes than there are.
    """
    count, cutoff = len(modes.eigenvalues), plan.cutoff
    if cutoff is None:
        return RankCutoff(np.asarray(count))
    if isinstance(cutoff, AbstractCutoff):
        return cutoff
    if isinstance(cutoff, str) and cutoff == "auto":
        population = modes.measure == "population"
        rule = LearnabilityCutoff(
            plan.threshold, noise_variance, modes.n_samples, amplitude * modes.tail, population
        )
        return RankCutoff(np.asarray(rule.rank_on_host(amplitude * modes.eigenvalues)))
    if isinstance(cutoff, int | np.integer):
        if cutoff > count:
            raise ValueError(
                f"`cutoff` keeps {cutoff} modes, but {count} are resolved; pass 0 to {count}, or "
                "raise `rank`."
            )
        return RankCutoff(np.asarray(cutoff))
    return SharpCutoff(float(cutoff))
