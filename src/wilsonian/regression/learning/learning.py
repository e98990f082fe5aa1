"""Learning a kernel's hyperparameters: several starts, named candidates, the null model beside
them."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.kernels import Kernel
from wilsonian.kernels.formulas import AbstractStationary
from wilsonian.kernels.learnable import (
    has_length_scale,
    kept_as_given,
    learnable,
    length_scaled,
)
from wilsonian.regression.learning.ascent import Run, maximize
from wilsonian.regression.learning.chance import nats_of_chance
from wilsonian.regression.learning.diary import Diary, Progress, silent
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.learning.starts import (
    AMPLITUDE_RANGE,
    Start,
    null_evidence,
    starting_kernels,
    starts_of,
)
from wilsonian.regression.sample import Sample, column_spread
from wilsonian.support.row_threads import by_parts, shared_rows

# Starts are compared, and followed for a few iterations, on this many rows and inducing points;
# what leads there is followed to the end on all rows of the sample.
SCOUT_ROWS, SCOUT_RANK, SCOUTS, SCOUT_ITERATIONS = 500, 200, 8, 15
SHAKEN = 12  # further kernels, the most likely one times log-normal factors, that are compared
COARSE_SHAKEN, COARSE_SCOUTS = 4, 3  # of both, for what is refined while inducing points move
SCOUT_MARGIN = 5.0  # nats behind the best scout, at which another is not followed
# Nats that each further number must gain to be preferred: Akaike's price.
PRICE = 1.0
# A second length scale per column, a rough part that one product of columns would call noise,
# starts at these shares of the first one's variance and this many spreads of the column times
# sqrt(d), beside where one scale came to, and beside one of FIRST_SCALE of them with the given
# amplitude and noise. The best two after some iterations on all rows are followed: the valleys are
# long.
SECOND_SCALES, FIRST_SCALE = ((0.03, 0.5), (0.01, 0.2)), 0.35
SECOND_ITERATIONS, SECOND_TOLERANCE = 12, 1e-7
# A gain over noise alone of fewer nats than this has many tops about as high, some of which have
# noise alone as their best neighbour in amplitude: so many more starts are drawn, all their numbers
# at random, and the best few followed.
WEAK, DRAWN, LOOKED_AGAIN, COARSE_LOOKED_AGAIN = 20.0, 24, 6, 2
STAGE = "learning hyperparameters"


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search came to."""

    best: Run
    candidates: dict[str, Run]  # the best of every kind that was tried, by name
    starts: int
    runs: int


def learn(
    kernel: Kernel,
    sample: Sample,
    *,
    amplitude: float,
    noise_variance: float,
    ard: bool,
    rank: int,
    groups: int,
    restarts: int,
    input_dependent: bool,
    max_iterations: int,
    random: np.random.Generator,
    second_scale: bool = False,
    coarse: bool = False,
    progress: Progress = silent,
    diary: Diary | None = None,
) -> Hyperparameters:
    """Maximize the reduced log evidence of `sample` over kernel, amplitude and noise; these two are
    one each for all outputs (`groups` 1), or one for every output. The prior that
    :func:`search` finds, or noise alone if that is as likely.
    """
    with shared_rows():
        found = search(
            kernel,
            sample,
            scale=(np.full(groups, amplitude), np.full(groups, noise_variance)),
            ard=ard,
            rank=rank,
            restarts=restarts,
            input_dependent=input_dependent,
            max_iterations=max_iterations,
            random=random,
            second_scale=second_scale,
            coarse=coarse,
            progress=progress,
            diary=Diary() if diary is None else diary,
        )
    return judged(found, sample, rank)


def search(
    kernel: Kernel,
    sample: Sample,
    *,
    scale: tuple[np.ndarray, np.ndarray],
    ard: bool,
    rank: int,
    restarts: int,
    input_dependent: bool,
    max_iterations: int,
    random: np.random.Generator,
    second_scale: bool,
    coarse: bool,
    progress: Progress,
    diary: Diary,
) -> Found:
    """The highest log evidence that several runs find.

    Every kernel of :func:`wilsonian.regression.learning.starts.starting_kernels` starts at its best
    amplitudes and noises; the given ones (`scale`) are one more start. The best few are followed
    for some iterations of SciPy's L-BFGS-B on a part of the rows, and the leaders of those to the
    end, on all. Beside them stands the kernel whose length scales keep their proportions, one
    number for all columns; where it ends they are set free. The best run goes on from inducing
    points chosen for where it came to. With `second_scale` a sum of two such kernels starts from
    there, and `restarts` further runs from the best multiplied by log-normal factors. `coarse` is
    for what is refined later: the leader alone, in single precision, and less of a second look.
    """
    progress(STAGE, 0, max_iterations)
    options: dict[str, Any] = {"input_dependent": input_dependent, "random": random}
    few = sample.draw(SCOUT_ROWS, random)
    few_rank, groups = min(rank, SCOUT_RANK, len(few.X)), len(scale[0])
    starts = []
    kernels = starting_kernels(kernel, sample, ard)
    for each in kernels:
        starts += starts_of(each, few, few_rank, groups, random)
    starts.sort(key=lambda start: -start.evidence)
    plain, freedom = starts[0], _freedom(starts[0].kernel)
    shaken_starts, scouts_sent = (COARSE_SHAKEN, COARSE_SCOUTS) if coarse else (SHAKEN, SCOUTS)
    for _ in range(shaken_starts if freedom > 1 else 0):
        shaken = _shaken(plain, random).kernel
        starts += starts_of(with_precision(shaken, float), few, few_rank, groups, random)
    starts.sort(key=lambda start: -start.evidence)
    runs: dict[str, Run] = {}
    single = coarse and not _offset(sample)

    def follow(name: str, start: Start, **more: Any) -> Run:
        def watch(done: int, evidence: float) -> None:
            told = f"{name}: log evidence {evidence:,.1f}"
            progress(STAGE, min(done, max_iterations), max_iterations, told)

        def run() -> Run:
            asked = {"max_iterations": max_iterations, "watch": watch, **options, **more}
            if single:
                found = maximize(start, sample, rank, dtype=np.float32, **asked)
                if np.isfinite(found.evidence):
                    return found  # else the noise is below the rounding
            return maximize(start, sample, rank, **asked)

        runs[name] = diary.once(name, random, run)
        return runs[name]

    given = Start(kernels[0], *scale, -np.inf)
    scouted = [*_unlike(starts, scouts_sent), given]
    tied = None
    if not coarse and _tied_differs(plain.kernel):
        tied = follow(ONE_SCALE, plain, tied=True)
        scouted.append(tied.start)
    scouts = _side_by_side(scouted, few, few_rank, max_iterations=SCOUT_ITERATIONS, **options)
    # A part of the rows may mislead about those that are close.
    least = scouts[0].evidence - SCOUT_MARGIN
    followed = 1 if coarse else 3 if few is sample else 2
    leaders = _unlike([run.start for run in scouts if run.evidence >= least], followed)
    if tied is not None:
        leaders = _unlike([*leaders, tied.start], followed + 1)
    for index, start in enumerate(leaders):
        follow(f"run {index + 1} of {len(leaders)}", start)
    best = max(runs.values(), key=lambda run: run.evidence)
    if best.evidence < null_evidence(sample) + WEAK:
        again = [_drawn(plain.kernel, sample, groups, random) for _ in range(DRAWN)]
        scouts = _side_by_side(again, few, few_rank, max_iterations=SCOUT_ITERATIONS, **options)
        starts += again
        count = COARSE_LOOKED_AGAIN if coarse else LOOKED_AGAIN
        for index, start in enumerate(_unlike([run.start for run in scouts], count)):
            follow(f"second look, run {index + 1} of {count}", start)
        best = max(runs.values(), key=lambda run: run.evidence)
    for index in range(restarts):
        follow(f"restart {index + 1} of {restarts}", _shaken(best.start, random))
    best = max(runs.values(), key=lambda run: run.evidence)
    if not coarse and rank < len(sample.X):
        for index in range(POLISHED):
            best = max(best, follow(f"polish {index + 1}", best.start), key=lambda r: r.evidence)
    candidates = {SCALES if tied is not None else "the kernel": best}
    if tied is not None:
        candidates[ONE_SCALE] = tied
    if second_scale and isinstance(best.start.kernel, AbstractStationary):
        fresh = dataclasses.replace(given, kernel=_from_data(given.kernel, sample, FIRST_SCALE))
        seconds = [
            _with_second(best.start, sample, *SECOND_SCALES[0]),
            *(_with_second(fresh, sample, *second) for second in SECOND_SCALES),
        ]
        begun = _side_by_side(seconds, sample, rank, max_iterations=SECOND_ITERATIONS, **options)
        ends = [
            follow(f"{TWO_SCALES}, run {index + 1} of 2", run.start, tolerance=SECOND_TOLERANCE)
            for index, run in enumerate(begun[:2])
        ]
        second = max(ends, key=lambda run: run.evidence)
        candidates[TWO_SCALES] = second
        more = _freedom(second.start.kernel) - _freedom(best.start.kernel)
        if second.evidence > best.evidence + PRICE * more:
            best = second
    return Found(best, candidates, len(starts) + 1, len(runs))


POLISHED = 1
ONE_SCALE, SCALES = "one length scale", "one length scale per column"
TWO_SCALES = "two length scales per column"


def _side_by_side(
    starts: list[Start], sample: Sample, rank: int, *, random: np.random.Generator, **options: Any
) -> list[Run]:
    """A run from each start, one beside the other, with random numbers of its own: the most likely
    first."""
    seeds = random.integers(2**63, size=len(starts))

    def run(number: int) -> Run:
        with jax.enable_x64(True):  # which is said thread by thread
            own = np.random.default_rng(seeds[number])
            return maximize(starts[number], sample, rank, random=own, **options)

    return sorted(by_parts(run, range(len(starts))), key=lambda run: -run.evidence)


def _offset(sample: Sample) -> bool:
    """Whether single precision would lose what columns far from zero say."""
    return bool(np.max(np.abs(sample.X) / column_spread(sample.X)) > 1e3)


def _tied_differs(kernel: Kernel) -> bool:
    """Whether a kernel has arrays whose entries can move apart, and these are length scales."""
    moved = jax.tree.leaves(eqx.partition(kernel, learnable(kernel))[0])
    parts = jax.tree.leaves(kernel, is_leaf=has_length_scale)
    scales = [part.length_scale for part in parts if has_length_scale(part)]
    arrays = sum(np.size(leaf) > 1 for leaf in moved)
    return 0 < arrays == sum(np.size(scale) > 1 for scale in scales)


def _drawn(kernel: Kernel, sample: Sample, groups: int, random: np.random.Generator) -> Start:
    """A start drawn log-uniformly: length scales from .1 to 10 times the columns' spread times
    sqrt(d), amplitude from .01 to 10 and noise from .01 to 2 times the targets' mean square."""
    factors = np.exp(random.uniform(np.log(0.1), np.log(10), sample.X.shape[1]))
    scale = sample.mean_squares() if groups > 1 else np.array([sample.mean_square()])
    amplitude, noise = np.exp(random.uniform(np.log(0.01), np.log([[10.0], [2.0]]), (2, groups)))
    return Start(_from_data(kernel, sample, factors), amplitude * scale, noise * scale, -np.inf)


def _from_data(kernel: Kernel, sample: Sample, factor: float | np.ndarray) -> Kernel:
    """A kernel with length scales set to the columns' spread times sqrt(d) `factor`, which may be
    one per column."""
    scale = factor * np.sqrt(sample.X.shape[1]) * column_spread(sample.X)
    one = np.exp(np.mean(np.log(scale)))
    return length_scaled(kernel, lambda given: scale if np.ndim(given) else one)


def _with_second(start: Start, sample: Sample, share: float, scale: float) -> Start:
    """A prior plus `share` of one of short length scales (docs/science/learning.md, section 5)."""
    both = start.kernel + share * _from_data(start.kernel, sample, scale)
    return dataclasses.replace(start, kernel=with_precision(both, float), evidence=-np.inf)


def _unlike(starts: list[Start], count: int) -> list[Start]:
    """Up to `count` of the starts in their order, leaving out those within a tenth of a nat and a
    tenth in noise of one before: they would lead to the same end."""
    kept: list[Start] = []
    for start in starts:
        if len(kept) < count and not any(
            abs(start.evidence - other.evidence) < 0.1
            and np.allclose(np.log(start.noise_variance), np.log(other.noise_variance), atol=0.1)
            for other in kept
        ):
            kept.append(start)
    return kept


def _shaken(start: Start, random: np.random.Generator) -> Start:
    """A start multiplied by log-normal factors."""

    def factor(leaf):
        return leaf * np.exp(random.normal(size=np.shape(leaf)))

    moved, rest = eqx.partition(start.kernel, learnable(start.kernel))
    kernel = eqx.combine(jax.tree.map(factor, moved), rest)
    return Start(kernel, factor(start.amplitude), factor(start.noise_variance), -np.inf)


def _freedom(kernel: Kernel, tied: bool = False) -> int:
    """How many numbers of a kernel are learned."""
    moved = jax.tree.leaves(eqx.partition(kernel, learnable(kernel))[0])
    return len(moved) if tied else sum(np.size(leaf) for leaf in moved)


def judged(found: Found, sample: Sample, rank: int) -> Hyperparameters:
    """The best run, or the null model where no candidate beats it by what chance may give, and a
    sentence saying what was compared."""
    null, rows = null_evidence(sample), float(sample.weights.sum())
    best = found.best
    groups = len(best.start.amplitude)
    gains, chances = {}, {}
    for name, run in found.candidates.items():
        numbers = _freedom(run.start.kernel, name == ONE_SCALE) + groups
        gains[name] = run.evidence - null
        chances[name] = nats_of_chance(run.start, numbers, gains[name], sample)
    gain = best.evidence - null
    kept = kept_as_given(best.start.kernel)
    rest = "the rest" if _freedom(best.start.kernel) else "amplitude and noise alone"
    told = f"{kept} Of {rest}: " if kept else ""
    told += (
        f"L-BFGS-B {'converged' if best.settled else 'stopped'} after {best.iterations} iterations "
        f"on {len(sample.X)} rows with {min(rank, len(sample.X))} inducing points, the best of "
        f"{found.runs} runs from {found.starts} starts: log evidence {best.evidence / rows:.4f} "
        f"per row, {gain:.1f} nats above that of noise alone"
    )
    start = best.start
    if not any(gains[name] >= chances[name] for name in gains):
        scale = sample.mean_squares() if groups > 1 else sample.mean_square()
        scale = np.atleast_1d(scale)
        most = chances[max(gains, key=lambda name: gains[name])]
        message = f"{told}; chance may give {most:.1f}. Noise alone was kept: no signal was found."
        return Hyperparameters(
            start.kernel, AMPLITUDE_RANGE[0] * scale, scale, best.settled, message
        )
    message = (
        told
        + (f", {best.at_bounds} parameters at their bounds" if best.at_bounds else "")
        + ("." if best.settled else f" ({best.complaint}).")
    )
    if len(gains) > 1:
        compared = ", ".join(f"{name} {value:,.1f}" for name, value in gains.items())
        message += f" Compared, in nats above noise alone: {compared}."
    return Hyperparameters(
        start.kernel, start.amplitude, start.noise_variance, best.settled, message
    )
