"""Whether learning finds the evidence that many random restarts find, down to weak signals.

Synthetic draws, signal to noise from .05 to 100, 50 to 2,000 rows, 1 to 20 columns, of a smooth, a
rough, a linear or no function. The twin is the best of random restarts of the same optimizer on the
same rows and as many inducing points, one length scale per column: length scales, amplitude and
noise log-uniform over wide ranges. Compared is the evidence of all rows, without a cutoff, at the
hyperparameters that each run came to: one of 512 inducing points differs by several nats from one
draw of them to the next. It is compared before it is judged whether there is a signal at all; what
that judgement says is counted apart: pure noise called noise, signals called noise.

    python benchmarks/weak_signals.py --plot docs/weak_signals.png   # 40 draws, 30 restarts: hours
    python benchmarks/weak_signals.py --draws 12 --restarts 6 --rows 400
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import cdist

from wilsonian import Matern52
from wilsonian.core.precision import with_precision
from wilsonian.kernels import host_gram
from wilsonian.regression.learning.ascent import maximize
from wilsonian.regression.learning.diary import Diary, silent
from wilsonian.regression.learning.exact_evidence import exact_evidence_and_slopes
from wilsonian.regression.learning.learners import ALL_ROWS, LEARNING_RANK
from wilsonian.regression.learning.learning import Found, judged, search
from wilsonian.regression.learning.starts import AMPLITUDE_RANGE, Start, null_evidence
from wilsonian.regression.sample import Sample
from wilsonian.support.row_threads import shared_rows

KINDS = ("smooth", "rough", "linear", "none")


@dataclasses.dataclass(frozen=True)
class Draw:
    """One synthetic set."""

    kind: str
    ratio: float  # variance of the signal over that of the noise
    X: np.ndarray
    y: np.ndarray


def draw(index: int, most_rows: int) -> Draw:
    """The set of that number: kinds take turns, the rest is log-uniform."""
    random = np.random.default_rng([2026, index])
    kind = KINDS[index % len(KINDS)]
    ratio = float(np.exp(random.uniform(np.log(0.05), np.log(100))))
    rows = min(round(np.exp(random.uniform(np.log(50), np.log(2000)))), most_rows)
    columns = round(np.exp(random.uniform(0, np.log(20))))
    X = random.normal(size=(rows, columns))
    if kind == "linear":
        signal = X @ random.normal(size=columns)
    elif kind == "none":
        signal, ratio = np.zeros(rows), 0.0
    else:
        scale = np.sqrt(columns) * (1.5 if kind == "smooth" else 0.4)
        distance = cdist(X, X) / scale
        gram = np.exp(-(distance**2) / 2) if kind == "smooth" else np.exp(-distance)
        signal = np.linalg.cholesky(gram + 1e-8 * np.eye(rows)) @ random.normal(size=rows)
    if ratio:
        signal *= np.sqrt(ratio) / signal.std()
    return Draw(kind, ratio, X, signal + random.normal(size=rows))


def evidence_of(start: Start, sample: Sample) -> float:
    """Log evidence of all rows, each its own inducing point."""
    square = host_gram(start.kernel, sample.X, sample.X)
    scale = start.amplitude, start.noise_variance
    found = exact_evidence_and_slopes(square, sample.y, sample.weights, *scale)
    return found.evidence


def restarts_of(sample: Sample, rank: int, count: int, seed: int) -> list[float]:
    """Evidence where runs from random starts ended."""
    random, columns = np.random.default_rng(seed), sample.X.shape[1]
    found = []
    for _ in range(count):
        scales = np.exp(random.uniform(np.log(0.1), np.log(10), columns)) * np.sqrt(columns)
        amplitude, noise = np.exp(random.uniform(np.log(0.01), np.log([10.0, 2.0])))
        kernel = with_precision(Matern52(scales), float)
        start = Start(kernel, np.array([amplitude]), np.array([noise]), -np.inf)
        run = maximize(
            start,
            sample,
            rank,
            input_dependent=False,
            max_iterations=100,
            random=random,
        )
        found.append(evidence_of(run.start, sample))
    return found


def search_of(sample: Sample, rank: int) -> tuple[Found, bool]:
    """What the default search finds, and whether noise alone is kept."""
    found = search(
        with_precision(Matern52(), float),
        sample,
        scale=(np.array([1.0]), np.array([0.01])),
        ard=True,
        rank=rank,
        restarts=0,
        input_dependent=False,
        max_iterations=100,
        random=np.random.default_rng(0),
        second_scale=False,  # the restarts have one
        coarse=False,
        progress=silent,
        diary=Diary(),
    )
    kept = judged(found, sample, rank)
    return found, bool(kept.amplitude[0] < 1.1 * AMPLITUDE_RANGE[0] * sample.mean_square())


def plot(lines: list[dict[str, Any]], path: Path) -> None:
    """Nats behind the best restart, by its gain over noise alone."""
    figure, axes = plt.subplots(figsize=(6.4, 4))
    for kind in KINDS:
        of = [line for line in lines if line["kind"] == kind]
        gain = [max(line["best restart"] - line["noise alone"], 0.1) for line in of]
        axes.plot(gain, [line["behind"] for line in of], "o", label=kind, alpha=0.8)
    axes.axhline(1, color="0.5", lw=1, ls="--")
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xlabel("gain of the best restart over noise alone, nats")
    axes.set_ylabel("evidence behind the best restart, nats")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print one line of JSON per draw, and the shares at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--restarts", type=int, default=30)
    parser.add_argument("--rows", type=int, default=2000, help="most rows of a draw")
    parser.add_argument("--plot", type=Path, help="write the figure here")
    arguments = parser.parse_args()
    lines = []
    for index in range(arguments.first, arguments.first + arguments.draws):
        each = draw(index, arguments.rows)
        y = ((each.y - each.y.mean()) / each.y.std())[:, None]
        sample = Sample(each.X, y, np.ones(len(y)))
        rank = min(LEARNING_RANK, max(ALL_ROWS, len(y) // 2), len(y))
        started = time.process_time()
        with jax.enable_x64(True), shared_rows():
            found, noise = search_of(sample, rank)
            seconds = time.process_time() - started
            evidence = evidence_of(found.best.start, sample)
            best = max(restarts_of(sample, rank, arguments.restarts, index))
        line = {
            "draw": index,
            "kind": each.kind,
            "ratio": round(each.ratio, 3),
            "shape": each.X.shape,
            "evidence": round(evidence, 2),
            "noise alone": round(null_evidence(sample), 2),
            "best restart": round(best, 2),
            "behind": round(best - evidence, 2),
            "called noise": noise,
            "cpu seconds": round(seconds, 1),
            "of the restarts": round(time.process_time() - started - seconds, 1),
        }
        lines.append(line)
        print(json.dumps(line), flush=True)
    none = [line for line in lines if line["kind"] == "none"]
    within = np.mean([line["behind"] <= 1 for line in lines])
    missed = [line for line in lines if line["kind"] != "none" and line["called noise"]]
    print(
        f"within 1 nat of the best of {arguments.restarts} restarts: "
        f"{within:.3f} of {len(lines)} draws; pure noise "
        f"called noise: {sum(line['called noise'] for line in none)} of {len(none)}; signals "
        f"called noise: {len(missed)} of {len(lines) - len(none)}"
    )
    if arguments.plot is not None:
        plot(lines, arguments.plot)


if __name__ == "__main__":
    main()
