"""Whether learning finds the evidence that many random restarts find, down to weak signals.

Synthetic draws, signal to noise from .05 to 100, 50 to 2,000 rows, 1 to 20 columns, of a smooth, a
rough, a linear or no function. The twin is the best of random restarts of the same optimizer on the
same rows and inducing points: length scales, amplitude and noise log-uniform over wide ranges.
Pure noise counts as called noise if the predictions for new rows vary by less than a tenth of the
noise's standard deviation.

    python benchmarks/weak_signals.py                       # the 40 draws, 30 restarts: hours
    python benchmarks/weak_signals.py --draws 12 --restarts 6 --rows 400
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time

import jax
import numpy as np
from scipy.spatial.distance import cdist

from wilsonian import Matern52, ReducedGPRegressor
from wilsonian.core.precision import with_precision
from wilsonian.regression.ascent import maximize
from wilsonian.regression.sample import Sample
from wilsonian.regression.starts import Start, null_evidence

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


def restarts_of(sample: Sample, count: int, seed: int) -> list[float]:
    """Evidence of runs from random starts."""
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
            min(512, len(sample.X)),
            input_dependent=False,
            max_iterations=100,
            random=random,
        )
        found.append(run.start.evidence)
    return found


def main() -> None:
    """Print one line of JSON per draw, and the shares at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--restarts", type=int, default=30)
    parser.add_argument("--rows", type=int, default=2000, help="most rows of a draw")
    arguments = parser.parse_args()
    behind, quiet = [], []
    for index in range(arguments.draws):
        each = draw(index, arguments.rows)
        y = ((each.y - each.y.mean()) / each.y.std())[:, None]
        sample = Sample(each.X, y, np.ones(len(y)))
        started = time.process_time()
        model = ReducedGPRegressor(random_state=0, cutoff=None, max_rank=512).fit(each.X, each.y)
        seconds = time.process_time() - started
        with jax.enable_x64(True):
            null = null_evidence(sample)
            best = max([null, *restarts_of(sample, arguments.restarts, index)])
        gap = best - max(model.log_marginal_likelihood_value_, null)
        behind.append(gap)
        new = np.random.default_rng(index).normal(size=(500, each.X.shape[1]))
        wave = float(model.predict(new).std())
        if each.kind == "none":
            quiet.append(wave < 0.1)
        line = {
            "draw": index,
            "kind": each.kind,
            "ratio": round(each.ratio, 3),
            "shape": each.X.shape,
            "evidence": round(model.log_marginal_likelihood_value_, 2),
            "noise alone": round(null, 2),
            "best restart": round(best, 2),
            "behind": round(gap, 2),
            "prediction std": round(wave, 3),
            "cpu seconds": round(seconds, 1),
        }
        print(json.dumps(line), flush=True)
    print(
        f"within 1 nat of the best of {arguments.restarts} restarts: "
        f"{np.mean(np.array(behind) <= 1):.2f} of {len(behind)} draws; pure noise called noise: "
        f"{sum(quiet)} of {len(quiet)}"
    )


if __name__ == "__main__":
    main()
