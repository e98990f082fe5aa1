"""Learning curves of images with ReLU NNGP kernels, predicted and measured; the paper's experiment.

    python benchmarks/images_learning_curve.py --plot docs/learning_curve_images.png
    python benchmarks/images_learning_curve.py --pool 4000 --sets mnist     # smaller and faster

Images: from one eigendecomposition of the kernel on a pool of N labelled images the deterministic
equivalent predicts the mean squared error at every n and ridge. In terms of what the pool shows at
the same kappa (its generalized cross-validation error, which is free of the bias of eigenvalues and
target coefficients of a finite matrix),

    E(n) = GCV_N(kappa) (1 - df_2(kappa) / N) / (1 - df_2(kappa) / n).

Measured is exact kernel ridge regression on n images of the pool drawn without replacement, tested
on images *outside* the pool: with training points that are independent draws of the same law, there
are no duplicates, and no test point was trained on (science notes, section 6.6).

The paper's experiment (arXiv:2405.06008): lambda_k = k^-(1 + alpha), matched target; mean squared
error against n, simulated and by the RG prediction at a stated threshold T, with local exponents on
both sides of the crossover, where theory has alpha and alpha / (1 + alpha).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian import ArcCosine, AveragedTheory, LearnabilityCutoff, coarse_grain
from wilsonian.datasets import power_law
from wilsonian.learning_curves import LearningCurve
from wilsonian.simulate import simulate

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = {"mnist": "mnist.npz", "cifar10": "cifar10_subset_jpeg.npz"}
SIZES = (50, 100, 200, 400, 800, 1600, 3200, 8000)
RIDGES = (1e-3, 1e-2)  # in units of the kernel's mean diagonal


def images(name: str, folder: Path, pool: int, tested: int, seed: int):
    """Pool and test images, flat and in units of their root mean square, with their classes."""
    with np.load(folder / FILES[name]) as stored:
        X = np.concatenate([stored["X_train"], stored["X_test"]])
        y = np.concatenate([stored["y_train"], stored["y_test"]]).astype(int)
    order = np.random.default_rng(seed).permutation(len(X))[: pool + tested]
    X, y = X[order].reshape(len(order), -1).astype(np.float64), y[order]
    X -= X[:-tested].mean(axis=0)
    X /= np.sqrt(np.mean(X[:-tested] ** 2))
    return X[:-tested], y[:-tested], X[-tested:], y[-tested:]


def targets_of(y: np.ndarray) -> dict[str, np.ndarray]:
    """Odd against even, and one output per class less 0.1."""
    return {"odd-even": np.where(y % 2, 1.0, -1.0)[:, None], "10 classes": np.eye(10)[y] - 0.1}


class Pool:
    """What the kernel matrix of a pool and its labels predict for other sizes."""

    def __init__(self, gram: np.ndarray) -> None:
        values, self.vectors = np.linalg.eigh(gram)
        self.values = np.maximum(values, 1e-15 * values[-1])
        ridges = np.geomspace(1e-12, 10.0, 400) * values[-1]
        inverse = 1 / (self.values + ridges[:, None])
        self.inverse, self.points = inverse, len(values)
        self.kappa = 1 / inverse.sum(axis=1)
        self.freedom = (self.values * inverse).sum(axis=1)
        # df_2 = df_1 + kappa d df_1 / d kappa, by the chain rule through the ridge.
        slope = -(self.values * inverse**2).sum(axis=1) / ((inverse**2).sum(axis=1) * self.kappa**2)
        self.second = self.freedom + self.kappa * slope

    def error(self, targets: np.ndarray, n: int, ridge: float) -> float:
        """Predicted mean squared error at n points."""
        power = np.mean((self.vectors.T @ targets) ** 2, axis=1)
        gcv = (self.inverse**2 @ power) * self.kappa**2 * self.points
        left = gcv * (1 - self.second / self.points)
        reached = self.freedom + ridge / self.kappa  # n at each kappa, falling
        kappa = np.exp(np.interp(-np.log(n), -np.log(reached), np.log(self.kappa)))
        at = lambda values: np.interp(np.log(kappa), np.log(self.kappa), values)  # noqa: E731
        return float(at(left) / (1 - at(self.second) / n))


def image_rows(name: str, arguments: argparse.Namespace) -> list[tuple]:
    """(set, target, ridge, n, predicted, measured, standard error over draws)."""
    X, y, X_test, y_test = images(
        name, arguments.data, arguments.pool[name], arguments.tested, arguments.seed
    )
    kernel = ArcCosine(depth=arguments.depth)
    with jax.enable_x64(True):
        gram, across = np.asarray(kernel(X)), np.asarray(kernel(X_test, X))
    pool, scale = Pool(gram), float(np.mean(np.diagonal(gram)))
    random, rows = np.random.default_rng(arguments.seed), []
    kinds, tests = targets_of(y), targets_of(y_test)
    for n in [n for n in SIZES if n <= len(X)]:
        repeats = max(1, min(10, 2000 // n))
        found: dict[tuple, list[float]] = {}
        for _ in range(repeats):
            drawn = random.choice(len(X), n, replace=False)
            values, vectors = np.linalg.eigh(gram[np.ix_(drawn, drawn)])
            for kind, targets in kinds.items():
                turned, seen = vectors.T @ targets[drawn], across[:, drawn] @ vectors
                for share in RIDGES:
                    weights = turned / (values + share * scale)[:, None]
                    error = np.mean((tests[kind] - seen @ weights) ** 2)
                    found.setdefault((kind, share), []).append(float(error))
        for (kind, share), errors in found.items():
            predicted = pool.error(kinds[kind], n, share * scale)
            spread = np.std(errors, ddof=1) / repeats**0.5 if repeats > 1 else np.nan
            rows.append((name, kind, share, n, predicted, float(np.mean(errors)), spread))
            print(
                f"| {name} | {kind} | {share:g} | {n:,} | {predicted:.5g} | {np.mean(errors):.5g} "
                f"| {spread:.2g} | {predicted / np.mean(errors) - 1:+.1%} |",
                flush=True,
            )
    return rows


def paper_rows(alpha: float, ridge: float, threshold: float, draws: int) -> list[tuple]:
    """(n, simulated, standard error, exact theory, RG prediction, exponent at constant ridge)."""
    modes = 3000
    with jax.enable_x64(True):
        eigenvalues = np.asarray(power_law(modes, alpha))
    curve = LearningCurve(eigenvalues, eigenvalues)
    crossing = float(curve.crossover(ridge))
    print(
        f"\nalpha {alpha}, ridge {ridge}, T {threshold}: crossover at n = {crossing:.0f}; "
        f"exponents {alpha:.3f} below, {alpha / (1 + alpha):.3f} above (asymptotically)\n"
    )
    print("| n | n / crossover | simulated | DE | RG, T | RG / simulated | -d log E / d log n |")
    print("|---" * 7 + "|")
    rows = []
    for n in np.unique(np.geomspace(max(crossing / 30, 8), 1000, 9).astype(int)):
        simulated = simulate(eigenvalues, int(n), ridge, draws=draws).test_error
        with jax.enable_x64(True):
            whole = AveragedTheory.of(jnp.asarray(eigenvalues), jnp.asarray(eigenvalues), ridge, n)
            reduced = coarse_grain(whole, LearnabilityCutoff(threshold, ridge, n))
            # The eliminated target comes back as noise, and counts as error.
            predicted = float(reduced.test_error() + reduced.label_noise)
        mean, error = (
            float(np.ravel(simulated.mean)[0]),
            float(np.ravel(simulated.standard_error)[0]),
        )
        exponent = -float(curve.local_exponent(float(n), ridge))
        exact = float(curve.test_error(float(n), ridge))
        rows.append((n, mean, error, exact, predicted, exponent))
        print(
            f"| {n:,} | {n / crossing:.2f} | {mean:.5f} ± {error:.5f} | {exact:.5f} "
            f"| {predicted:.5f} | {predicted / mean:.3f} | {exponent:.3f} |",
            flush=True,
        )
    return rows


def draw_figure(rows: list[tuple], paper: list[tuple], pools: dict[str, int], path: Path) -> None:
    """Images left and middle, the paper's experiment right."""
    from matplotlib.figure import Figure

    from wilsonian.plots.axes import (
        ELIMINATED,
        KEPT,
        MEASURED,
        REFERENCE,
        add_legend,
        tidy_log_axis,
    )

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, kind in zip(axes, ("odd-even", "10 classes"), strict=False):
        for name, color in (("mnist", KEPT), ("cifar10", ELIMINATED)):
            chosen = [r for r in rows if r[0] == name and r[1] == kind and r[2] == RIDGES[0]]
            if chosen:
                n, predicted, measured = (np.array([r[i] for r in chosen]) for i in (3, 4, 5))
                ax.plot(n, predicted, color=color, linewidth=1.4, label=f"{name}: predicted")
                ax.plot(n, measured, "o", color=color, markersize=4.5, label=f"{name}: measured")
                ax.axvline(pools[name] / 5, color=color, linewidth=0.8, linestyle=":")
        ax.set_ylabel(f"mean squared error, {kind}")
        ax.set_xlabel("training images (dotted: a fifth of the pool)")
    ax = axes[-1]
    n, simulated, _, exact, predicted, _ = map(np.array, zip(*paper, strict=True))
    ax.plot(n, exact, color=REFERENCE, linewidth=1.2, label="deterministic equivalent")
    ax.plot(n, predicted, color=KEPT, linewidth=1.4, linestyle="--", label="RG, T = 0.1")
    ax.plot(n, simulated, "o", color=MEASURED, markersize=4.5, label="simulated")
    ax.set_ylabel("mean squared error, power-law spectrum")
    ax.set_xlabel("samples")
    for ax in axes:
        ax.set_xscale("log")
        ax.set_yscale("log")
        tidy_log_axis(ax.xaxis)
        tidy_log_axis(ax.yaxis)
        add_legend(ax)
    figure.savefig(path, dpi=120)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(FILES))
    parser.add_argument("--pool", type=int, default=10_000, help="CIFAR-10 has 6,000 to give")
    parser.add_argument("--tested", type=int, default=1000)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=40, help="of the paper's experiment")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args(argv)
    arguments.pool = {"mnist": arguments.pool, "cifar10": min(arguments.pool, 6000)}
    paper = paper_rows(0.5, 0.1, 0.1, arguments.draws)
    print("\n| set | target | ridge | n | predicted | measured | ± | off |\n" + "|---" * 8 + "|")
    rows = [row for name in arguments.sets for row in image_rows(name, arguments)]
    within = [row for row in rows if row[3] <= arguments.pool[row[0]] / 5]
    errors = np.abs([row[4] / row[5] - 1 for row in within])
    print(
        f"\nup to a fifth of the pool: {len(within)} points, largest error {errors.max():.1%}, "
        f"median {np.median(errors):.1%}; {np.mean(errors < 0.1):.0%} within 10 %"
    )
    if arguments.plot:
        draw_figure(rows, paper, arguments.pool, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
