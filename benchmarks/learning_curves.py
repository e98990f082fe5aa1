"""Time a learning curve of a million eigenvalues, beside SciPy's root finder in a loop.

    python benchmarks/learning_curves.py                  # 200 sample sizes by 50 ridges
    python benchmarks/learning_curves.py --eigenvalues 10000000

The loop is what one would write first: Brent's method on n = df_1(kappa) + ridge / kappa over all
eigenvalues, then the sums. It is timed on a few pairs and scaled up. Both are warm (the compiled
one has been compiled), on the same machine in the same run; the least of `--repeats` counts.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize

from wilsonian.theory.learning_curves import LearningCurve


def by_scipy(eigenvalues: np.ndarray, target: np.ndarray, noise: float, n: float, ridge: float):
    """Test error of the noiseless target, straightforwardly."""

    def excess(log_kappa):
        kappa = np.exp(log_kappa)
        return np.sum(eigenvalues / (eigenvalues + kappa)) + ridge / kappa - n

    # Between no eigenvalue learned and all of them.
    high = np.log((np.sum(eigenvalues) + ridge) / n) + 1e-6
    kappa = np.exp(scipy.optimize.brentq(excess, np.log(1e-16), high, xtol=1e-12, rtol=1e-12))
    learned = eigenvalues / (eigenvalues + kappa)
    gamma = np.sum(learned**2) / n
    return (np.sum((1 - learned) ** 2 * target) + gamma * noise) / (1 - gamma)


def least(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Shortest time of `repeats` calls, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--eigenvalues", type=int, default=1_000_000)
    parser.add_argument("--sizes", type=int, default=200)
    parser.add_argument("--ridges", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=6, help="of the SciPy loop, timed")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()

    eigenvalues = np.arange(1.0, arguments.eigenvalues + 1) ** -1.5
    target, noise = eigenvalues**1.2, 0.1
    sizes = np.geomspace(10, arguments.eigenvalues / 10, arguments.sizes)
    ridges = np.append(0.0, np.geomspace(1e-6, 10, arguments.ridges - 1))
    print(
        f"{arguments.eigenvalues:,} eigenvalues, {len(sizes)} sample sizes by {len(ridges)} ridges "
        f"(from 0 to {ridges[-1]:g})"
    )
    binning, curve = least(lambda: LearningCurve(eigenvalues, target, noise), arguments.repeats)
    first, _ = least(lambda: curve.test_error(sizes[:, None], ridges), 1)
    solving, errors = least(lambda: curve.test_error(sizes[:, None], ridges), arguments.repeats)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"wilsonian: binning {binning:.2f} s ({len(curve.nodes.eigenvalues):,} nodes), ", end="")
    print(f"solving {solving:.2f} s, together {binning + solving:.2f} s; ", end="")
    print(f"first call {first:.1f} s; peak memory of the process {memory:.2f} GiB")

    random = np.random.default_rng(0)
    rows = random.integers(len(sizes), size=arguments.pairs)
    columns = random.integers(len(ridges), size=arguments.pairs)
    each, worst = [], 0.0
    for row, column in zip(rows, columns, strict=True):
        n, ridge = sizes[row], ridges[column]
        seconds, error = least(
            lambda n=n, ridge=ridge: by_scipy(eigenvalues, target, noise, n, ridge), 2
        )
        each.append(seconds)
        worst = max(worst, abs(errors[row, column] / error - 1))
    loop = float(np.mean(each)) * errors.size
    print(f"SciPy loop: {np.mean(each):.3f} s a pair, so {loop:,.0f} s; ", end="")
    print(f"largest relative difference on {arguments.pairs} pairs {worst:.1e}")
    print(f"ratio: {loop / (binning + solving):,.0f}")


if __name__ == "__main__":
    main()
