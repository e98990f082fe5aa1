"""One table of ratios: accuracy and time beside other methods, the pass, and the command line.

    benchmarks/run --quick       # five minutes
    benchmarks/run               # the seven UCI sets as they are, and a million rows: hours

Time it on an idle machine; the load at the start is printed. SGPR is beside us where GPyTorch is
installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from million_rows import measured
from uci import DEFAULT_DATA, Run, arguments_of, environment, run_apart

QUICK_SETS, QUICK_ROWS, QUICK_RANK = ("concrete", "kin8nm"), 3000, 256
SETS = ("kin8nm", "power_plant", "protein", "kin40k", "elevators", "concrete", "energy")
OURS, BESIDE = ("wilsonian", "wilsonian-exact"), ("boosting", "sgpr")
# Seconds that a command should take at most, the second time it runs.
COMMANDS = {"--version": 0.3, "fit iris --quiet": 3.0, "fit digits --quiet": 8.0}

Line = tuple[str, str, str, float]  # what, ours, the other's, their ratio


def accuracies(quick: bool, data: Path) -> Iterator[Line]:
    """Errors and times over those of the others."""
    beside = [m for m in BESIDE if m != "sgpr" or importlib.util.find_spec("gpytorch")]
    flags = ["--data", str(data)]
    flags += ["--rank", str(QUICK_RANK), "--rows", str(QUICK_ROWS)] if quick else []
    arguments = arguments_of(flags)
    for name in QUICK_SETS if quick else SETS:
        found: dict[str, Run] = {}
        for method in (*OURS, *beside):
            run = run_apart(name, method, 0, 0, arguments)
            if run is not None:
                found[method] = run
        for ours in OURS:
            for other in (*beside, *(m for m in OURS[:1] if ours != m)):
                if ours in found and other in found:
                    one, two = found[ours], found[other]
                    label = f"{name}, {ours} over {other}"
                    pairs = (one.rmse_std, two.rmse_std), (one.seconds, two.seconds)
                    for what, (a, b) in zip(("RMSE", "seconds"), pairs, strict=True):
                        yield f"{label}: {what}", f"{a:.4g}", f"{b:.4g}", a / b


def passes(quick: bool) -> Iterator[Line]:
    """`wilsonian fit` on Parquet over the bare products."""
    sizes, rank = ((100_000,), 512) if quick else ((250_000, 1_000_000), 1024)
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            seconds, bare, memory = measured(rows, Path(folder), rank)
            label = f"{rows:,} rows from Parquet, rank {rank} ({memory:.2f} GB), over bare products"
            yield f"{label}: seconds", f"{seconds:.1f}", f"{bare:.1f}", seconds / bare


def commands() -> Iterator[Line]:
    """The command line, run twice, over what it should take the second time."""
    for command, wanted in COMMANDS.items():
        for _ in range(2):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "wilsonian", *command.split()], check=True)
            taken = time.perf_counter() - started
        label = f"wilsonian {command}, second run, over the budget"
        yield f"{label}: seconds", f"{taken:.2f}", f"{wanted:g}", taken / wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sets and sizes: five minutes")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of uci_*.npz")
    arguments = parser.parse_args()
    print(environment(os.cpu_count() or 1), end="\n\n")
    print("| what | ours | other | ratio |\n|---|---|---|---|", flush=True)
    parts = commands(), passes(arguments.quick), accuracies(arguments.quick, arguments.data)
    for part in parts:
        for what, ours, other, ratio in part:
            print(f"| {what} | {ours} | {other} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
