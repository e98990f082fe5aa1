"""Accuracy, calibration and time on UCI regression sets against GPyTorch and scikit-learn.

Every fit runs in a process of its own, one after another, on the same cores and as many threads:
thread pools do not meet, peak memory is each method's own, and compilation counts. With `--out` a
benchmark goes on after the runs that are stored there (of the same options: name another file for
other ones).
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import NAMES, file_of, load
from methods import METHODS

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PACKAGES = ("numpy", "scipy", "scikit-learn", "jax", "torch", "gpytorch", "wilsonian")
QUICK_SETS, QUICK_RANK = ("concrete", "energy"), 64
Case = tuple[str, str, int, int]  # set, method, split and seed


@dataclasses.dataclass(frozen=True)
class Run:
    """One method on one set. Errors with `_std` and NLPD are in training standard deviations."""

    set: str
    method: str
    split: int
    seed: int
    rows: int
    columns: int
    rank: int
    rmse_std: float
    rmse: float
    nlpd: float  # per test point, in nats
    fit_seconds: float
    predict_seconds: float  # all test rows, mean and standard deviation, first call
    cpu_seconds: float  # of fit and predict, over threads
    peak_megabytes: float  # of the process, libraries and data included
    variants: dict[str, tuple[float, float]]  # RMSE / std and NLPD of other predictions of the fit
    notes: dict[str, Any]

    @property
    def seconds(self) -> float:
        return self.fit_seconds + self.predict_seconds


def score(y: np.ndarray, mean: np.ndarray, std: np.ndarray) -> tuple[float, float]:
    """RMSE, and mean negative log density of `y` under independent Gaussians."""
    error = y - mean
    nlpd = 0.5 * (error / std) ** 2 + np.log(std) + 0.5 * np.log(2 * np.pi)
    return float(np.sqrt(np.mean(error**2))), float(np.mean(nlpd))


def run_one(
    name: str,
    method: str,
    folder: Path,
    rank: int,
    number: int,
    seed: int,
    quick: bool,
    rows: int | None = None,
) -> Run:
    """Fit and test on the stored split of that number in this process, on some of the training
    rows if `rows` are fewer."""
    split = load(name, folder, number)
    if rows is not None and rows < len(split.X):
        few = np.sort(np.random.default_rng(seed).permutation(len(split.X))[:rows])
        split = dataclasses.replace(split, X=split.X[few], y=split.y[few])
    rank = min(rank, len(split.X))
    fit = METHODS[method](rank, seed, quick)
    cpu, start = time.process_time(), time.perf_counter()
    predict, notes = fit(split.X, split.y)
    fitted = time.perf_counter()
    mean, std = predict(split.X_test)
    done, cpu = time.perf_counter(), time.process_time() - cpu

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    rmse, nlpd = score(split.y_test, mean, std)
    variants = {
        label: score(split.y_test, *other(split.X_test))
        for label, other in notes.pop("variants", {}).items()
    }
    return Run(
        set=name,
        method=method,
        split=number,
        seed=seed,
        rows=len(split.X),
        columns=split.X.shape[1],
        rank=rank,
        rmse_std=rmse,
        rmse=rmse * split.target_std,
        nlpd=nlpd,
        fit_seconds=fitted - start,
        predict_seconds=done - fitted,
        cpu_seconds=cpu,
        peak_megabytes=peak,
        variants=variants,
        notes=notes,
    )


def run_apart(
    name: str, method: str, split: int, seed: int, arguments: argparse.Namespace
) -> Run | None:
    """`run_one` in a fresh process; None if it failed, which is said on stderr."""
    threads = str(arguments.threads)
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    # glibc returns large blocks to the system at once; keeping them saves page faults, about a
    # quarter of SGPR's time on kin40k, and costs peak memory. The same for every method.
    memory = {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}
    flags = ["--sets", name, "--methods", method, "--data", arguments.data, "--threads", threads]
    flags += ["--rank", arguments.rank, "--here", split, seed]
    flags += ["--quick"] if arguments.quick else []
    flags += [] if arguments.rows is None else ["--rows", arguments.rows]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, flags)],
        env={**os.environ, **limits, **memory},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{name}, {method}: failed ({done.returncode}): {last}", file=sys.stderr)
        return None
    run = Run(**json.loads(done.stdout.splitlines()[-1]))
    print(
        f"{name}, {method}, split {split}, seed {seed}: RMSE {run.rmse_std:.4f}, "
        f"NLPD {run.nlpd:.4f}, {run.seconds:.1f} s",
        file=sys.stderr,
    )
    return run


def table(runs: list[Run], other: str) -> str:
    """Markdown: means over splits and seeds, the spread of the RMSE over seeds (mean over splits of
    the standard deviation), and ratios to the method `other` on the same splits and seeds."""
    lines = [
        "| set | rows x columns | method | runs | RMSE / std | spread over seeds | RMSE | NLPD "
        f"| seconds | CPU s | peak MB | RMSE / {other}'s | NLPD - {other}'s | time / {other}'s "
        f"| CPU / {other}'s |",
        "|" + "---|" * 15,
    ]
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.set, run.method), []).append(run)
    for (name, method), of in groups.items():
        base = {(run.split, run.seed): run for run in groups.get((name, other), [])}
        pairs = [(r, base[r.split, r.seed]) for r in of if (r.split, r.seed) in base]
        versus = "| | | | |"
        if method != other and pairs:
            ours, theirs = zip(*pairs, strict=True)
            versus = (
                f"| {_mean(ours, 'rmse_std') / _mean(theirs, 'rmse_std'):.3f} "
                f"| {_mean(ours, 'nlpd') - _mean(theirs, 'nlpd'):+.3f} "
                f"| {_mean(ours, 'seconds') / _mean(theirs, 'seconds'):.2f} "
                f"| {_mean(ours, 'cpu_seconds') / _mean(theirs, 'cpu_seconds'):.2f} |"
            )
        by_split: dict[int, list[float]] = {}
        for run in of:
            by_split.setdefault(run.split, []).append(run.rmse_std)
        spread = float(np.mean([np.std(values) for values in by_split.values()]))
        lines.append(
            f"| {name} | {of[0].rows} x {of[0].columns} | {method} | {len(of)} "
            f"| {_mean(of, 'rmse_std'):.4f} | {spread:.4f} | {_mean(of, 'rmse'):.4g} "
            f"| {_mean(of, 'nlpd'):.4f} | {_mean(of, 'seconds'):.1f} "
            f"| {_mean(of, 'cpu_seconds'):.1f} | {_mean(of, 'peak_megabytes'):.0f} {versus}"
        )
    variants: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        for label, scores in run.variants.items():
            variants.setdefault(f"{run.set}, {run.method}, {label}", []).append(scores)
    if variants:
        lines += ["", "Other variances of the same fits:", ""]
    for label, found in variants.items():
        rmse, nlpd = np.mean(found, axis=0)
        lines.append(f"- {label}: RMSE / std {rmse:.4f}, NLPD {nlpd:.4f}")
    return "\n".join(lines)


def _mean(runs: Sequence[Run], name: str) -> float:
    return float(np.mean([getattr(run, name) for run in runs]))


def environment(threads: int) -> str:
    """One line: processor, threads, load, versions."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [x for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
        cpu = names[0].split(":")[1].strip() if names else cpu
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"{cpu}, {os.cpu_count()} cores, {threads} threads, load {os.getloadavg()[0]:.1f} at the "
        f"start; Python {platform.python_version()}, {', '.join(versions)}"
    )


def arguments_of(argv: list[str] | None) -> argparse.Namespace:
    split = lambda text: [part for part in text.split(",") if part]  # noqa: E731
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of uci_*.npz")
    parser.add_argument("--sets", type=split, help=f"of {','.join(NAMES)}; default all")
    parser.add_argument(
        "--methods",
        type=split,
        default=["wilsonian", "sgpr", "boosting"],
        help=f"of {','.join(METHODS)}; the first is what ratios are against",
    )
    parser.add_argument("--rank", type=int, help="inducing points at most; default 512")
    parser.add_argument("--splits", type=int, default=3, help="stored splits, from the first on")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each method on each split")
    parser.add_argument("--rows", type=int, help="train on so many rows, drawn at random")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small sets, rank, few steps")
    parser.add_argument("--out", type=Path, help="write the runs as JSON; go on from it")
    parser.add_argument("--here", nargs=2, type=int, help=argparse.SUPPRESS)  # split, seed
    arguments = parser.parse_args(argv)
    arguments.sets = arguments.sets or list(QUICK_SETS if arguments.quick else NAMES)
    if arguments.quick:
        arguments.splits = arguments.seeds = 1
    arguments.rank = arguments.rank or (QUICK_RANK if arguments.quick else 512)
    for name in arguments.sets:
        if not file_of(name, arguments.data).exists():
            parser.error(f"no {file_of(name, arguments.data)}; point --data at shared/data.")
    for method in arguments.methods:
        if method not in METHODS:
            parser.error(f"unknown method {method!r}; choose from {', '.join(METHODS)}.")
    return arguments


def stored_runs(path: Path | None) -> tuple[dict[Case, Run], list[str]]:
    """Runs that an earlier call wrote there, and the environments they ran in."""
    if path is None or not path.exists():
        return {}, []
    record = json.loads(path.read_text())
    runs = [Run(**each) for each in record["runs"]]
    return {(r.set, r.method, r.split, r.seed): r for r in runs}, record["environments"]


def main(argv: list[str] | None = None) -> int:
    arguments = arguments_of(argv)
    if arguments.here:
        if hasattr(os, "sched_setaffinity"):  # JAX counts the cores it may use, not OMP_NUM_THREADS
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
        [name], [method] = arguments.sets, arguments.methods
        run = run_one(
            name,
            method,
            arguments.data,
            arguments.rank,
            *arguments.here,
            arguments.quick,
            arguments.rows,
        )
        print(json.dumps(dataclasses.asdict(run)))
        return 0

    line = environment(arguments.threads)
    print(line, end="\n\n", flush=True)
    stored, lines = stored_runs(arguments.out)
    wanted = [
        (name, method, split, seed)
        for name in arguments.sets
        for split in range(arguments.splits)
        for seed in range(arguments.seeds)
        for method in arguments.methods
    ]
    runs: list[Run] = []
    for each in wanted:
        if each not in stored:
            measured = run_apart(*each, arguments)
            if measured is None:
                continue
            stored[each] = measured
        runs.append(stored[each])
        if arguments.out:  # after every run: an interrupted benchmark keeps what it measured
            record = {
                "environments": [*lines, line],
                "runs": [dataclasses.asdict(run) for run in stored.values()],
            }
            arguments.out.write_text(json.dumps(record, indent=1))
    if runs:
        print(table(runs, arguments.methods[0]))
    return 0 if len(runs) == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
