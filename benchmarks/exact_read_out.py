"""Eliminated modes read out of all rows of a UCI set: errors and where the time goes.

The reduced model (Matern 5/2, at most `--rank` inducing points, all else default) is fitted to the
training rows of a stored split; then its residual correction is solved over the same rows, and both
predict the test rows. Histogram boosting is fitted to the same rows in the same run. Errors are in
training standard deviations, the negative log predictive density is per test row in those units.

    python benchmarks/exact_read_out.py --data ../shared/data --sets kin40k,protein
    python benchmarks/exact_read_out.py --data ../shared/data --sets kin40k --rows 3000 --dense

With `--dense` the same rows and hyperparameters go to scikit-learn's GaussianProcessRegressor, one
dense factorization, from whose mean and standard deviation the read-out's differ by so much.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from datasets import NAMES, Split, file_of, load
from methods import boosting
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from uci import DEFAULT_DATA, environment, score

from wilsonian import Matern52, ReducedGPRegressor, ResidualCorrection

Times = dict[str, tuple[float, float]]  # seconds and processor seconds of each part


@contextmanager
def clock(times: Times, part: str) -> Iterator[None]:
    start, cpu = time.perf_counter(), time.process_time()
    yield
    times[part] = time.perf_counter() - start, time.process_time() - cpu


class Steps:
    """Moments at which the first and the last step were done."""

    def __init__(self) -> None:
        self.first: tuple[float, float] | None = None
        self.last = (0.0, 0.0)

    def __call__(self, stage: str, done: int, of: int, told: str = "") -> None:
        print(f"  {stage}: {done}, {told}", file=sys.stderr, flush=True)
        if done:
            self.last = time.perf_counter(), time.process_time()
            self.first = self.first or self.last


def measure(split: Split, rank: int, seed: int) -> tuple[str, Times]:
    """Lines on the errors, and the times of all parts."""
    times: Times = {}
    with clock(times, "reduced model"):
        model = ReducedGPRegressor(Matern52(), max_rank=rank, random_state=seed)
        model.fit(split.X, split.y)
    reduced = model.predict(split.X_test, return_std=True, include_noise=True)
    steps = Steps()
    begun = time.perf_counter(), time.process_time()
    correction = ResidualCorrection.of(model, split.X, split.y, progress=steps)
    ended = time.perf_counter(), time.process_time()
    first = steps.first or ended
    one = [(b - a) / max(correction.steps - 1, 1) for a, b in zip(first, steps.last, strict=True)]
    times["set-up"] = first[0] - begun[0] - one[0], first[1] - begun[1] - one[1]
    times[f"{correction.steps} steps"] = one[0] * correction.steps, one[1] * correction.steps
    times["residual and variance"] = ended[0] - steps.last[0], ended[1] - steps.last[1]
    with clock(times, "predictions"):
        exact = correction.predict(split.X_test, return_std=True, include_noise=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    fit = boosting(rank, seed, False)
    with clock(times, "boosting"):
        trees = fit(split.X, split.y)[0](split.X_test)
    part = correction.parts[0]
    lines = [
        f"- {name}: RMSE {rmse:.4f}, NLPD {nlpd:.4f}"
        for name, found in (("kept modes", reduced), ("read out", exact), ("boosting", trees))
        for rmse, nlpd in [score(split.y_test, *found)]
    ]
    lines += [
        f"- {correction.sentence()}",
        f"- amplitude {part.amplitude:.3g}, noise {part.noise_variance:.3g} of the target's "
        f"variance; peak memory {peak:.0f} MB before boosting",
    ]
    return "\n".join(lines), times


def against_dense(split: Split, rank: int, seed: int) -> str:
    """Largest differences, over the test rows, from the dense process of the same prior."""
    model = ReducedGPRegressor(Matern52(), max_rank=rank, random_state=seed)
    model.fit(split.X, split.y)
    found = ResidualCorrection.of(model, split.X, split.y, tolerance=1e-9)
    mean, std = found.predict(split.X_test, return_std=True)
    part = found.parts[0]
    scales = np.asarray(part.process.modes.features.kernel.length_scale) * part.stretch
    prior = ConstantKernel(part.amplitude) * Matern(scales, nu=2.5)
    centre, spread = split.y.mean(), split.y.std()
    dense = GaussianProcessRegressor(prior, alpha=part.noise_variance, optimizer=None)
    dense.fit(split.X, (split.y - centre) / spread)
    exact, exact_std = dense.predict(split.X_test, return_std=True)
    return (
        f"- dense: means differ by at most {np.max(np.abs((mean - centre) / spread - exact)):.1e}, "
        f"standard deviations by {np.max(np.abs(std / spread / exact_std - 1)):.2%} "
        f"(in the mean {np.mean(std / spread / exact_std - 1):.2%})"
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of uci_*.npz")
    parser.add_argument(
        "--sets", type=lambda text: text.split(","), default=["kin40k"], help=",".join(NAMES)
    )
    parser.add_argument("--split", type=int, default=0, help="stored split")
    parser.add_argument("--rows", type=int, help="train on so many rows, drawn at random")
    parser.add_argument("--dense", action="store_true", help="compare with one factorization")
    parser.add_argument("--rank", type=int, default=512, help="inducing points at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="said in the first line only")
    arguments = parser.parse_args(argv)
    print(environment(arguments.threads), end="\n\n", flush=True)
    for name in arguments.sets:
        if not file_of(name, arguments.data).exists():
            parser.error(f"no {file_of(name, arguments.data)}; point --data at shared/data.")
        split = load(name, arguments.data, arguments.split)
        if arguments.rows is not None and arguments.rows < len(split.X):
            random = np.random.default_rng(arguments.seed)
            few = np.sort(random.permutation(len(split.X))[: arguments.rows])
            split = Split(split.X[few], split.y[few], split.X_test, split.y_test, split.target_std)
        lines, times = measure(split, arguments.rank, arguments.seed)
        print(f"{name}, {len(split.X)} x {split.X.shape[1]}, split {arguments.split}\n{lines}")
        if arguments.dense:
            print(against_dense(split, arguments.rank, arguments.seed))
        print("\n| part | seconds | CPU s |\n| --- | --- | --- |")
        for part, (seconds, cpu) in times.items():
            print(f"| {part} | {seconds:.1f} | {cpu:.1f} |")
        print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
