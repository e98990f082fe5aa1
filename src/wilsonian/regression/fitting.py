"""From a sample and a stream of rows to a fitted process: the one road that every fit takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np

from wilsonian.core.cutoffs import AbstractCutoff, LearnabilityCutoff, RankCutoff, SharpCutoff
from wilsonian.kernels import Kernel
from wilsonian.regression.diary import Diary
from wilsonian.regression.estimator_inputs import location_and_scale
from wilsonian.regression.input_dependent import InputDependentProcess
from wilsonian.regression.learning import Hyperparameters, Progress, learn_scale, silent
from wilsonian.regression.outputs import OutputProcesses, of_outputs
from wilsonian.regression.plan import Plan
from wilsonian.regression.preparation import Prepared, prepare, rank_of
from wilsonian.regression.reduced import Modes, ReducedProcess
from wilsonian.regression.sample import Sample
from wilsonian.regression.scale import learn_scale_of_rows
from wilsonian.regression.statistics import Block, Statistics, accumulate
from wilsonian.regression.uniform import UniformProcess

SCALE_ROWS = 4000  # their evidence sets amplitude and noise of an input-dependent ridge
Blocks = Callable[[int], Iterable[Block]]  # all training rows, from a block of that number on


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where a fit stands: what was prepared, and the statistics of the blocks read so far."""

    prepared: Prepared
    statistics: Statistics
    blocks: int


@dataclasses.dataclass(frozen=True)
class FittedProcess:
    """A fit that is done."""

    prepared: Prepared
    statistics: Statistics
    process: ReducedProcess | OutputProcesses
    convergence: str  # one sentence on what was learned, and how that went


def fit_process(
    kernel: Kernel,
    sample: Sample,
    blocks: Blocks,
    plan: Plan,
    random: np.random.Generator,
    *,
    rows: int,
    start: Standing | None = None,
    keep: Callable[[Standing, bool], None] = lambda standing, now: None,
    diary: Diary | None = None,
    progress: Progress = silent,
) -> FittedProcess:
    """Learn, stream and coarse grain: the reduced process of all `rows` training rows.

    `sample` is a uniform sample of them (or all), targets in their own units; hyperparameters and
    inducing points come from it. `blocks(i)` then runs through the rows from block i on; memory is
    bounded by rank^2 + block * rank. Learning takes from `diary` what it
    had finished with the same random numbers. A fit goes on from `start`, where an earlier one
    stood:
    `keep(standing, now)` is called before the first block, after every block, and when the fit is
    interrupted; `now` says that this state must be stored at once.

    Raises ValueError for a cutoff beyond the modes there are, and for a kernel that is not
    positive semidefinite.
    """
    with jax.enable_x64(True):
        if start is None:
            start = _prepared(kernel, sample, rows, plan, random, progress, diary)
        keep(start, True)
        standing = start
        arrays = _counted(blocks(start.blocks), sample)
        try:
            for sums in accumulate(start.prepared.features, start.statistics, arrays):
                standing = Standing(start.prepared, sums, standing.blocks + 1)
                progress("integrating", sums.rows, rows)
                keep(standing, False)
        except KeyboardInterrupt:
            keep(standing, True)
            raise
        return finish(standing.prepared, standing.statistics, sample, plan, blocks)


def _prepared(
    kernel: Kernel,
    sample: Sample,
    rows: int,
    plan: Plan,
    random: np.random.Generator,
    progress: Progress,
    diary: Diary | None,
) -> Standing:
    trust = _trust(sample.weights, sample.row_noise, sample)
    location, scale = location_and_scale(sample.y, trust, plan.normalize_y)
    known = None if sample.row_noise is None else sample.row_noise / scale[0] ** 2
    scaled = dataclasses.replace(sample, y=(sample.y - location) / scale, row_noise=known)
    prepared = prepare(kernel, scaled, rows, plan, random, progress, diary)
    # Targets are counted from the mean of the sample, so that a large one costs no digits.
    offset = trust @ sample.y / trust.sum()
    return Standing(prepared, Statistics.empty(prepared.features.rank, offset), 0)


def _trust(weights: np.ndarray, row_noise: np.ndarray | None, sample: Sample) -> np.ndarray:
    """What rows weigh in the mean and scale of the targets and in the modes' measure: where their
    noise is known, rows much noisier than the median row of the sample weigh little. The fit
    itself then takes every row at its own noise."""
    if row_noise is None or sample.row_noise is None:
        return weights
    order = np.argsort(sample.row_noise)
    half = np.searchsorted(np.cumsum(sample.weights[order]), 0.5 * sample.weights.sum())
    known = sample.row_noise
    usual = float(known[order][half]) or float(np.average(known, weights=sample.weights)) or 1.0
    unit = np.average(usual / (usual + sample.row_noise), weights=sample.weights)
    return weights * usual / (usual + row_noise) / unit


def _counted(blocks: Iterable[Block], sample: Sample) -> Iterator[Block]:
    for block in blocks:
        X, y, weights, known = block
        if known is None:
            yield block
        else:
            weights = np.ones(len(X)) if weights is None else weights
            yield Block(X, y, _trust(weights, known, sample), known)


def finish(
    prepared: Prepared,
    statistics: Statistics,
    sample: Sample,
    plan: Plan,
    blocks: Blocks,
    largest_lost: float = 0.0,
) -> FittedProcess:
    """Last step, once all rows are in `statistics`: scale, cutoff, posterior. `sample` is
    some of the rows, `largest_lost` their largest unresolved variance so far (unit amplitude); an
    input-dependent ridge reads all `blocks` once more. In float64: call it where that is enabled.
    """
    modes = Modes.of(
        prepared.features, statistics, normalize=plan.normalize_y, measure=prepared.measure
    )
    learned = prepared.hyperparameters
    parts = []
    for group, columns in enumerate(sample.groups(len(learned.amplitude))):
        own = slice(group, group + 1)
        scale = dataclasses.replace(
            learned, amplitude=learned.amplitude[own], noise_variance=learned.noise_variance[own]
        )
        few = dataclasses.replace(sample, y=sample.y[:, columns])
        rows = (block._replace(y=block.y[:, columns]) for block in blocks(0))
        part = _process(of_outputs(modes, columns), scale, few, plan, rows)
        parts.append(part.with_lost_range(sample.X[: 4 * plan.block_size], largest_lost))
    process = parts[0] if len(parts) == 1 else OutputProcesses(tuple(parts))
    return FittedProcess(prepared, statistics, process, learned.message)


def _process(
    modes: Modes,
    hyperparameters: Hyperparameters,
    sample: Sample,
    plan: Plan,
    blocks: Iterable[Block],
) -> ReducedProcess:
    """The process of outputs that share one amplitude and noise."""
    by_row = plan.input_dependent or sample.row_noise is not None
    if plan.learn is not None and by_row:
        hyperparameters = set_scale_of_rows(modes, hyperparameters, sample)
    elif plan.learn is not None:
        hyperparameters = set_scale(modes, hyperparameters)
    amplitude = float(hyperparameters.amplitude[0])
    noise_variance = float(hyperparameters.noise_variance[0])
    usual = noise_variance
    if sample.row_noise is not None:  # the one noise of as much information in all
        each = noise_variance + sample.row_noise / modes.target_scale[0] ** 2
        usual = 1 / float(np.average(1 / each, weights=sample.weights))
    cutoff = resolve_cutoff(modes, amplitude, usual, plan)
    uniform = UniformProcess.of(modes, amplitude, noise_variance, cutoff)
    return InputDependentProcess.of(uniform, blocks) if by_row else uniform


def set_scale(modes: Modes, hyperparameters: Hyperparameters) -> Hyperparameters:
    """Amplitude and noise by the evidence of all rows."""
    mean_square = float(np.mean(modes.target_square) / modes.n_samples)
    return learn_scale(modes.theory, hyperparameters, mean_square)


def set_scale_of_rows(
    modes: Modes, hyperparameters: Hyperparameters, sample: Sample
) -> Hyperparameters:
    """Amplitude and noise by the evidence of a ridge at each of the sample's first rows: what the
    other rows would add to it has no sufficient statistics."""
    size = min(len(sample.X), SCALE_ROWS)
    y = (sample.y[:size] - modes.target_mean) / modes.target_scale
    known = sample.row_noise
    if known is not None:
        known = known[:size] / modes.target_scale[0] ** 2
    few = Sample(sample.X[:size], y, sample.weights[:size], known)
    return learn_scale_of_rows(hyperparameters, modes.features.inducing_points, few)


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
        return RankCutoff(np.asarray(rank_of(rule, amplitude * modes.eigenvalues)))
    if isinstance(cutoff, int | np.integer):
        if cutoff > count:
            raise ValueError(
                f"`cutoff` keeps {cutoff} modes, but {count} are resolved; pass 0 to {count}, or "
                "raise `rank`."
            )
        return RankCutoff(np.asarray(cutoff))
    return SharpCutoff(float(cutoff))
