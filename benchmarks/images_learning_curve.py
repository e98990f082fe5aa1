"""Learning curves of images with ReLU NNGP kernels, predicted and measured.

    python benchmarks/images_learning_curve.py --store runs --plot docs/learning_curve_images.png
    python benchmarks/images_learning_curve.py --pool 4000 --sets mnist     # smaller and faster

From the kernel matrix of a pool of N labelled images the deterministic equivalent predicts the mean
squared error at every n and ridge. In terms of what the pool shows at the same kappa (its
generalized cross-validation error, which is free of the bias of eigenvalues and target coefficients
of a finite matrix),

    E(n) = GCV_N(kappa) (1 - df_2(kappa) / N) / (1 - df_2(kappa) / n).

Measured is exact kernel ridge regression on n images of the pool drawn without replacement, tested
on images *outside* the pool: with training points that are independent draws of the same law, there
are no duplicates, and no test point was trained on (docs/science/wilsonian.md, section 6). Standard
errors are over draws and over test images. Beyond a fifth of the pool the prediction
is no claim: at n = N it is the pool's own error.

The figure's third panel is the paper's experiment, see power_law_curve.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import power_law_curve
import scipy.linalg

from wilsonian import ArcCosine

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES = {"mnist": "mnist.npz", "cifar10": "cifar10_subset_jpeg.npz"}
AVAILABLE = {"mnist": 70_000, "cifar10": 7000}
SIZES = (50, 100, 200, 400, 800, 1600, 3200, 8000)
RIDGES = (1e-3, 1e-2)  # in units of the kernel's mean diagonal
CLAIMED = 0.2  # share of the pool up to which the prediction is one


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
        # Tridiagonal form has the eigenvalues and solves at any ridge; eigenvectors, which take
        # twice the time and memory, are not needed.
        work = int(scipy.linalg.lapack.dsytrd_lwork(len(gram), lower=1)[0])
        form, diagonal, beside, self.scales, failed = scipy.linalg.lapack.dsytrd(
            gram.T, lower=1, lwork=work
        )
        if failed:
            raise RuntimeError(f"LAPACK's dsytrd failed with {failed}.")
        self.reflectors, self.points = form[1:, :-1], len(gram)
        self.bands = np.stack([np.append(0.0, beside), diagonal])
        values = np.maximum(scipy.linalg.eigvalsh_tridiagonal(diagonal, beside), 0.0)
        self.ridges = np.geomspace(1e-12, 10.0, 400) * values[-1]
        inverse = 1 / (values + self.ridges[:, None])
        self.kappa = 1 / inverse.sum(axis=1)
        self.freedom = (values * inverse).sum(axis=1)
        # df_2 = df_1 + kappa d df_1 / d kappa, by the chain rule through the ridge.
        slope = -(values * inverse**2).sum(axis=1) / ((inverse**2).sum(axis=1) * self.kappa**2)
        self.second = self.freedom + self.kappa * slope

    def validation(self, targets: np.ndarray) -> np.ndarray:
        """Generalized cross-validation error at each of the ridges."""
        turned = targets.copy()
        turned[1:], _, failed = scipy.linalg.lapack.dormqr(
            "L", "T", self.reflectors, self.scales, targets[1:], lwork=64 * targets.shape[1]
        )
        if failed:
            raise RuntimeError(f"LAPACK's dormqr failed with {failed}.")
        dual = (
            scipy.linalg.solveh_banded(self.bands + np.array([[0.0], [ridge]]), turned)
            for ridge in self.ridges
        )
        norms = np.array([np.mean(np.sum(one**2, axis=0)) for one in dual])
        return norms * self.kappa**2 * self.points

    def error(self, validation: np.ndarray, n: int, ridge: float) -> float:
        """Predicted mean squared error at n points."""
        left = validation * (1 - self.second / self.points)
        reached = self.freedom + ridge / self.kappa  # n at each kappa, falling
        kappa = np.exp(np.interp(-np.log(n), -np.log(reached), np.log(self.kappa)))
        at = lambda values: np.interp(np.log(kappa), np.log(self.kappa), values)  # noqa: E731
        return float(at(left) / (1 - at(self.second) / n))


def blocks_of(kernel: ArcCosine, X: np.ndarray, Z: np.ndarray, rows: int = 1000) -> np.ndarray:
    """kernel(X, Z), with memory for a thousand rows beside it."""
    found = np.empty((len(X), len(Z)))
    with jax.enable_x64(True):
        for start in range(0, len(X), rows):
            found[start : start + rows] = kernel(X[start : start + rows], Z)
    return found


def measured(gram, across, targets, tests, n, repeats, ridges, random):
    """Squared errors (ridges, outputs) at n points, and their standard errors."""
    by_draw, by_image = [], 0.0
    for _ in range(repeats):
        drawn = random.choice(len(gram), n, replace=False)
        inner, seen = gram[np.ix_(drawn, drawn)], across[:, drawn]
        squared = []
        for ridge in ridges:
            factor = scipy.linalg.cho_factor(inner + ridge * np.eye(n), overwrite_a=True)
            squared.append((tests - seen @ scipy.linalg.cho_solve(factor, targets[drawn])) ** 2)
        by_draw.append(np.mean(squared, axis=1))
        by_image = by_image + np.array(squared) / repeats
    return by_draw, by_image


def image_rows(name: str, arguments: argparse.Namespace) -> list[list]:
    """[set, pool, target, ridge, n, predicted, measured, its standard error]."""
    pool_size = min(arguments.pool, AVAILABLE[name] - arguments.tested[name])
    X, y, X_test, y_test = images(
        name, arguments.data, pool_size, arguments.tested[name], arguments.seed
    )
    kernel = ArcCosine(depth=arguments.depth)
    gram, across = blocks_of(kernel, X, X), blocks_of(kernel, X_test, X)
    pool, scale = Pool(gram), float(np.mean(np.diagonal(gram)))
    kinds, tests = targets_of(y), targets_of(y_test)
    outputs = {kind: slice(0, 1) if kind == "odd-even" else slice(1, 11) for kind in kinds}
    together, tested = (np.hstack(list(one.values())) for one in (kinds, tests))
    validation = {kind: pool.validation(targets) for kind, targets in kinds.items()}
    random, rows = np.random.default_rng(arguments.seed), []
    for n in [n for n in SIZES if n <= len(X)]:
        repeats = max(4, min(40, 32_000 // n))
        ridges = scale * np.array(RIDGES)
        by_draw, by_image = measured(gram, across, together, tested, n, repeats, ridges, random)
        for kind, columns in outputs.items():
            for which, share in enumerate(RIDGES):
                draws = [float(one[which, columns].mean()) for one in by_draw]
                of_images = by_image[which, :, columns].mean(axis=-1)
                error = float(
                    np.hypot(
                        np.std(draws, ddof=1) / repeats**0.5,
                        np.std(of_images, ddof=1) / len(of_images) ** 0.5,
                    )
                )
                predicted, found = pool.error(validation[kind], n, ridges[which]), np.mean(draws)
                rows.append([name, len(X), kind, share, n, predicted, float(found), error])
                print(
                    f"| {name} | {kind} | {share:g} | {n:,} | {repeats} | {predicted:.5g} "
                    f"| {found:.5g} ± {error:.2g} | {predicted / found - 1:+.1%} "
                    f"± {error / found:.1%} |",
                    flush=True,
                )
    return rows


def draw_figure(rows: list[list], paper: list[dict], path: Path) -> None:
    """Images left and middle, the paper's experiment right."""
    from matplotlib.figure import Figure

    from wilsonian.support.axes import ELIMINATED, KEPT, add_legend, tidy_log_axis

    figure = Figure(figsize=(12.6, 4.4), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, kind in zip(axes, ("odd-even", "10 classes"), strict=False):
        for name, label, color in (("mnist", "MNIST", KEPT), ("cifar10", "CIFAR-10", ELIMINATED)):
            chosen = [r for r in rows if r[0] == name and r[2] == kind and r[3] == RIDGES[0]]
            if not chosen:
                continue
            n, predicted, found, error = (np.array([r[i] for r in chosen]) for i in (4, 5, 6, 7))
            fifth = CLAIMED * chosen[0][1]
            at_fifth = np.exp(np.interp(np.log(fifth), np.log(n), np.log(predicted)))
            inside = n <= fifth
            claimed = np.append(n[inside], fifth), np.append(predicted[inside], at_fifth)
            beyond = np.append(fifth, n[~inside]), np.append(at_fifth, predicted[~inside])
            ax.plot(*claimed, color=color, linewidth=1.5, label=f"{label}, predicted")
            ax.plot(*beyond, color=color, linewidth=1, linestyle="--", alpha=0.5)
            bars = {"fmt": "o", "markersize": 4, "linewidth": 1, "color": color}
            ax.errorbar(n, found, 2 * error, label=f"{label}, measured", **bars)
        ax.set_ylabel(f"mean squared error, {kind}")
        ax.set_xlabel("training images (dashed: beyond a fifth of the pool)")
        ax.set_xscale("log")
        ax.set_yscale("log")
        tidy_log_axis(ax.xaxis)
        tidy_log_axis(ax.yaxis)
        add_legend(ax)
    power_law_curve.draw(axes[-1], paper)
    figure.savefig(path, dpi=120)


def stored(folder: Path | None, name: str, measure: Callable[[], list]) -> list:
    """What `measure` returns; kept in a file of `folder`, and read where it is there."""
    file = folder and folder / f"{name}.json"
    if file and file.exists():
        return json.loads(file.read_text())
    found = measure()
    if file:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--sets", type=lambda text: text.split(","), default=list(FILES))
    parser.add_argument("--pool", type=int, default=10_000, help="CIFAR-10 has 6,000 to give")
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--store",
        type=Path,
        help="folder of what was measured and, whatever the options, is not again",
    )
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args(argv)
    arguments.tested = {"mnist": 4000, "cifar10": 1000}
    print("| set | target | ridge | n | draws | predicted | measured | off |\n" + "|---" * 8 + "|")
    rows = []
    for name in arguments.sets:
        rows += stored(arguments.store, name, lambda name=name: image_rows(name, arguments))
    claimed = [row for row in rows if row[4] <= CLAIMED * row[1]]
    off = np.array([row[5] / row[6] - 1 for row in claimed])
    worst = claimed[int(np.argmax(np.abs(off)))]
    print(
        f"\nup to a fifth of the pool: {len(claimed)} points, median {np.median(np.abs(off)):.1%}, "
        f"{np.count_nonzero(np.abs(off) < 0.1)} within 10 %; largest error "
        f"{worst[5] / worst[6] - 1:+.1%} ± {worst[7] / worst[6]:.1%}, at {worst[0]}, {worst[2]}, "
        f"ridge {worst[3]:g}, n = {worst[4]:,}"
    )
    if arguments.plot:
        paper = stored(arguments.store, "power_law", power_law_curve.measure)
        power_law_curve.print_exponents(paper)
        draw_figure(rows, paper, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
