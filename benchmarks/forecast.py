"""The forecast held against labels that it never saw, beside power laws fitted to the same pilot.

    python benchmarks/forecast.py                      # 6 sets x 3 kernels: 20 minutes on one core
    python benchmarks/forecast.py --sets elevators --kernels rbf
    for s in 0 1 2; do python benchmarks/forecast.py --seed $s --out f$s.json; done  # 54 cases
    python benchmarks/forecast.py --summary f0.json f1.json f2.json  # by set, nothing is run
    python benchmarks/forecast.py --sets tuning --factors 4,16  # what the bands were chosen on

With --out it goes on after the cases stored there.
A pilot of 500 labelled rows, the inputs of all training rows, and a forecast for 16 times as many
labels. The truth is exact kernel ridge regression on 8,000 training rows (or all there are) at the
ridge that the forecast names, its mean squared error measured on held-out rows. Kernels are as
given, with length scale sqrt(columns), before and after. The two rivals are fitted to the errors of
the pilot's own subsamples, at the best ridge of each: E = a n^-b, and E = a n^-b + c.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import scipy.linalg
import scipy.optimize
import sklearn.datasets
from datasets import load

from wilsonian import RBF, ArcCosine, Matern52
from wilsonian.kernels import Kernel
from wilsonian.support.files import atomic_write
from wilsonian.theory.forecast import forecast

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SETS = ("mnist", "cifar10", "kin40k", "protein", "power_plant", "elevators")
# On these the constants of wilsonian.theory.forecast were chosen; never on the six above.
TUNING = (
    *("kin8nm", "pol", "naval", "parkinsons", "skillcraft", "sml", "keggundirected"),
    *("pumadyn32nm", "digits"),
)
LARGEST, TESTED = 8000, 4000
DIGITS = 1400  # of 1,797 to train on
IMAGES = {"mnist": "mnist.npz", "cifar10": "cifar10_subset_jpeg.npz"}


def kernels(columns: int) -> dict[str, Kernel]:
    scale = float(np.sqrt(columns))
    return {
        "matern52": Matern52(scale),
        "rbf": RBF(scale),
        "nngp": ArcCosine(depth=3, bias_variance=0.1),
    }


@dataclasses.dataclass(frozen=True)
class Case:
    """One set and kernel at one sample size; errors are mean squared, labels' noise included."""

    set: str
    kernel: str
    seed: int
    labels: int
    n: int
    truth: float
    truth_error: float  # its standard error, from the squared errors of the test rows
    forecast: float
    lower: float
    upper: float
    power_law: float
    power_law_with_floor: float
    true_rate: float  # error rates of the classes; NaN in regression
    rate: float
    rate_lower: float
    rate_upper: float
    diagnostics: int
    seconds: float  # of the forecast

    def errors(self) -> list[float]:
        """Relative errors of the forecast and of its rivals."""
        guesses = (self.forecast, self.power_law, self.power_law_with_floor)
        return [guess / self.truth - 1 for guess in guesses]

    def covered(self) -> bool:
        return self.lower <= self.truth <= self.upper


def data(name: str, folder: Path):
    """Training and test rows, scaled as for a fit: inputs, targets; and whether of classes."""
    if name == "digits":
        digits = sklearn.datasets.load_digits()
        order = np.random.default_rng(0).permutation(len(digits.target))
        X, y = digits.data[order], digits.target[order]
        X, X_test, y, y_test = X[:DIGITS], X[DIGITS:], y[:DIGITS], y[DIGITS:]
    elif name in IMAGES:
        with np.load(folder / IMAGES[name]) as stored:
            X, X_test = (
                stored[key].reshape(len(stored[key]), -1).astype(float)
                for key in ("X_train", "X_test")
            )
            y, y_test = stored["y_train"], stored["y_test"]
    else:
        split = load(name, folder)
        return split.X, split.y, split.X_test, split.y_test, False
    X, X_test = X - X.mean(axis=0), X_test - X.mean(axis=0)
    scale = np.sqrt(np.mean(X**2))
    return X / scale, y.astype(int), X_test / scale, y_test.astype(int), True


def measured(kernel: Kernel, X, targets, X_test, test_targets, ridge: float):
    """Test error with its standard error, and error rate, of kernel ridge regression."""
    mean = targets.mean(axis=0)
    with jax.enable_x64(True):
        gram = np.array(kernel(X))
        gram.flat[:: len(X) + 1] += ridge
        factor = scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        scores = mean + np.asarray(
            kernel.product(X_test, X, scipy.linalg.cho_solve(factor, targets - mean))
        )
    wrong = np.nan
    if targets.shape[1] > 1:
        wrong = float(np.mean(scores.argmax(axis=1) != test_targets.argmax(axis=1)))
    square = np.mean((test_targets - scores) ** 2, axis=1)
    return float(square.mean()), float(square.std() / len(square) ** 0.5), wrong


def power_laws(n: np.ndarray, error: np.ndarray, to: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two rivals' errors at sizes `to`, by least squares of the logarithm."""
    slope, level = np.polyfit(np.log(n), np.log(error), 1)

    def curve(parameters, n):
        start, decay, floor = parameters
        return np.exp(start - np.exp(decay) * np.log(n / n[0])) + np.exp(floor)

    best = min(
        (
            scipy.optimize.least_squares(
                lambda p: np.log(curve(p, n) / error),
                [np.log(error[0] * (1 - share)), np.log(0.5), np.log(error[-1] * share)],
                bounds=([-50, -6, -50], [50, 2, 50]),
            )
            for share in (0.01, 0.3, 0.8)
        ),
        key=lambda found: found.cost,
    )
    start, decay, floor = best.x
    floored = np.exp(start - np.exp(decay) * np.log(to / n[0])) + np.exp(floor)
    return np.exp(level + slope * np.log(to)), floored


def run(
    name: str, kernel_name: str, folder: Path, labels: int, seed: int, factors: list[int]
) -> list[Case]:
    X, y, X_test, y_test, classes = data(name, folder)
    random = np.random.default_rng(seed)
    order = random.permutation(len(X))[: max(LARGEST, 10_000)]
    X, y = X[order], y[order]
    tested = random.permutation(len(X_test))[:TESTED]
    X_test, y_test = X_test[tested], y_test[tested]
    kernel = kernels(X.shape[1])[kernel_name]
    sizes = np.unique(np.minimum([labels * factor for factor in factors], min(len(X), LARGEST)))
    started = time.perf_counter()
    found = forecast(
        X[:labels],
        y[:labels],
        kernel,
        to=sizes,
        unlabelled=X[labels:],
        task="classification" if classes else "regression",
        random_state=seed,
    )
    seconds = time.perf_counter() - started
    laws = power_laws(found.measured.n.astype(float), found.measured.least(), sizes.astype(float))
    targets, test_targets = (
        (np.eye(10)[y], np.eye(10)[y_test]) if classes else (y[:, None], y_test[:, None])
    )
    table, cases = found.table, []
    for place, n in enumerate(sizes):
        truth, truth_error, wrong = measured(
            kernel, X[:n], targets[:n], X_test, test_targets, table.ridge[place]
        )
        rates = [np.nan] * 3
        if table.error_rate is not None:
            band = table.error_rate
            rates = [float(part[place]) for part in (band.median, band.lower, band.upper)]
        cases.append(
            Case(
                name,
                kernel_name,
                seed,
                labels,
                int(n),
                truth,
                truth_error,
                *(
                    float(getattr(table.error, part)[place])
                    for part in ("median", "lower", "upper")
                ),
                float(laws[0][place]),
                float(laws[1][place]),
                wrong,
                *rates,
                len(found.diagnostics),
                seconds,
            )
        )
    return cases


def row(case: Case) -> str:
    errors = " | ".join(f"{100 * error:+.0f} %" for error in case.errors())
    rate = ""
    if np.isfinite(case.rate):
        rate = (
            f"{case.rate:.3f} ({case.rate_lower:.3f}-{case.rate_upper:.3f}) / {case.true_rate:.3f}"
        )
    return (
        f"| {case.set} | {case.kernel} | {case.n:,} | {case.truth:.4g} ± {case.truth_error:.2g} "
        f"| {case.forecast:.4g} "
        f"| {case.lower:.4g}-{case.upper:.4g} | {'yes' if case.covered() else 'NO'} | {errors} "
        f"| {rate} | {case.diagnostics} |"
    )


def summary(cases: list[Case]) -> str:
    """Per distance from the pilot: median absolute relative errors, and coverage."""
    lines = []
    last = {(case.set, case.kernel): case for case in cases}
    groups = {"all sizes": cases, "largest n": list(last.values())}
    for factor in sorted({case.n // case.labels for case in cases if case.n % case.labels == 0}):
        groups[f"{factor} x pilot"] = [c for c in cases if c.n == factor * c.labels]
    for label, group in groups.items():
        errors = np.abs([case.errors() for case in group])
        medians = np.median(errors, axis=0)
        means = np.mean(errors, axis=0)
        lines.append(
            f"{label}: {len(group)} cases; median (mean) relative error of the forecast "
            f"{medians[0]:.1%} ({means[0]:.1%}), power law {medians[1]:.1%} ({means[1]:.1%}), "
            f"power law with floor {medians[2]:.1%} ({means[2]:.1%}); the 90 % band covers "
            f"{np.mean([case.covered() for case in group]):.0%}"
        )
    return "\n".join(lines)


def by_set(cases: list[Case]) -> str:
    """Mean absolute relative errors of every set, mean and median of all, and truths held."""
    lines = ["| set | cases | forecast | power law | with floor | bands hold |", "|---" * 6 + "|"]

    def line(label: str, group: list[Case], average: Callable) -> str:
        off = average(np.abs([case.errors() for case in group]), axis=0)
        held = sum(case.covered() for case in group)
        parts = [label, len(group), *(f"{one:.1%}" for one in off), f"{held} of {len(group)}"]
        return f"| {' | '.join(map(str, parts))} |"

    for name in dict.fromkeys(case.set for case in cases):
        lines.append(line(name, [case for case in cases if case.set == name], np.mean))
    lines += [line("all: mean", cases, np.mean), line("all: median", cases, np.median)]
    return "\n".join(lines)


def split_check(name: str, folder: Path, n: int) -> str:
    """Whether the test rows are as hard as the training rows: the error of one regression on both,
    the latter left out one by one. A forecast can only know the latter."""
    X, y, X_test, y_test, classes = data(name, folder)
    order = np.random.default_rng(0).permutation(len(X))[:n]
    X, y = X[order], y[order]
    targets, held = (
        (np.eye(10)[y], np.eye(10)[y_test]) if classes else (y[:, None], y_test[:, None])
    )
    kernel = kernels(X.shape[1])["matern52"]
    with jax.enable_x64(True):
        gram, across = np.array(kernel(X)), np.array(kernel(X_test[:TESTED], X))
    inverse = np.linalg.inv(gram + 0.01 * np.mean(np.diagonal(gram)) * np.eye(len(X)))
    dual = inverse @ (targets - targets.mean(axis=0))
    missed = {
        "left out of training": dual / np.diagonal(inverse)[:, None],
        "test rows": held[:TESTED] - targets.mean(axis=0) - across @ dual,
    }
    parts = []
    for label, residual in missed.items():
        square = np.mean(residual**2, axis=1)
        top = np.sort(square)[-max(len(square) // 200, 1) :].sum() / square.sum()
        error = square.std() / len(square) ** 0.5
        parts.append(
            f"{label} {square.mean():.4f} ± {error:.4f} (half a percent of the rows makes up "
            f"{top:.0%})"
        )
    return f"{name}, {len(X):,} rows: mean squared error {', '.join(parts)}"


HEADER = (
    "| set | kernel | n | truth | forecast | 90 % band | covers | forecast off | power law off "
    "| with floor off | error rate: forecast (band) / truth | doubts |\n" + "|---" * 12 + "|"
)


def stored(path: Path | None, labels: int, seed: int, factors: list[int]) -> list[Case]:
    """The cases of an earlier run of the same pilot. Exits where they are of another."""
    if path is None or not path.exists():
        return []
    cases = [Case(**case) for case in json.loads(path.read_text())]
    for case in cases:
        known = case.n in [min(labels * factor, LARGEST) for factor in factors] or case.n < LARGEST
        if (case.labels, case.seed) != (labels, seed) or not known:
            raise SystemExit(
                f"{path} holds cases of {case.labels} labels, seed {case.seed}, n = {case.n}; "
                "name another --out."
            )
    return cases


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    split = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument(
        "--sets", type=split, default=list(SETS), help="names, or the nine of `tuning`"
    )
    parser.add_argument("--kernels", type=split, default=list(kernels(1)))
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--factors", type=split, default=["16"], help="times the pilot")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the cases as JSON, or go on from them")
    parser.add_argument("--split-check", type=int, metavar="N", help="only: are test rows harder?")
    parser.add_argument("--summary", type=Path, nargs="+", help="only: of cases stored by --out")
    arguments = parser.parse_args(argv)
    if arguments.sets == ["tuning"]:
        arguments.sets = list(TUNING)
    if arguments.summary:
        texts = [path.read_text() for path in arguments.summary]
        print(by_set([Case(**case) for text in texts for case in json.loads(text)]))
        return 0
    if arguments.split_check:
        for name in arguments.sets:
            print(split_check(name, arguments.data, arguments.split_check), flush=True)
        return 0
    factors = [int(factor) for factor in arguments.factors]
    cases = stored(arguments.out, arguments.labels, arguments.seed, factors)
    print("\n".join([HEADER, *map(row, cases)]), flush=True)
    done = {(case.set, case.kernel) for case in cases}
    for kernel in arguments.kernels:
        for name in arguments.sets:
            if (name, kernel) in done:
                continue
            new = run(name, kernel, arguments.data, arguments.labels, arguments.seed, factors)
            print("\n".join(map(row, new)), flush=True)
            cases += new
            if arguments.out:
                text = json.dumps([dataclasses.asdict(case) for case in cases])
                atomic_write(arguments.out, text)
    print(f"\n{summary(cases)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
