"""Probabilities of classes: log loss and expected calibration error on held-out rows.

Three sets of scikit-learn's, split at random (70 % to learn from, standardized), and three tables
made of known probabilities, tested on 20,000 fresh rows; beside logistic regression on the same
columns and scikit-learn's GaussianProcessClassifier (RBF, learned; up to --gpc-rows rows). Means
over --seeds splits, and the standard error of our difference from the better of the others over
all test rows of all splits (known probabilities: over splits).

    python benchmarks/probabilities.py --seeds 3
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
import scipy.special
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from wilsonian import ReducedGPClassifier

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def bundled(load: Callable) -> Callable[[int], Split]:
    def split(seed: int) -> Split:
        X, y = load(return_X_y=True)
        X, unseen, y, truth = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
        spread = X.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        return (X - X.mean(axis=0)) / spread, y, (unseen - X.mean(axis=0)) / spread, truth

    return split


def made(rows: int, inputs: Callable, probability: Callable) -> Callable[[int], Split]:
    def split(seed: int) -> Split:
        random = np.random.default_rng(seed)
        X, unseen = inputs(random, rows), inputs(random, 20_000)
        draw = lambda X: (random.random(len(X)) < probability(X)).astype(int)  # noqa: E731
        return X, draw(X), unseen, draw(unseen)

    return split


def two_text_columns(random: np.random.Generator, rows: int) -> np.ndarray:
    """Two columns of two levels each, one-hot."""
    levels = random.integers(0, 2, size=(rows, 2))
    return np.hstack([np.eye(2)[levels[:, 0]], np.eye(2)[levels[:, 1]]])


CELLS = np.array([[0.91, 0.64], [0.31, 0.04]])
TABLES: dict[str, Callable[[int], Split]] = {
    "wine": bundled(load_wine),
    "breast_cancer": bundled(load_breast_cancer),
    "digits": bundled(load_digits),
    ".3 and .8, repeated": made(
        600,
        lambda random, rows: random.integers(0, 2, size=(rows, 1)).astype(float),
        lambda X: np.where(X[:, 0] > 0, 0.8, 0.3),
    ),
    ".91 .64 .31 .04, text": made(
        1000, two_text_columns, lambda X: CELLS[X[:, 1].astype(int), X[:, 3].astype(int)]
    ),
    "smooth": made(
        1000,
        lambda random, rows: random.normal(size=(rows, 2)),
        lambda X: scipy.special.expit(2 * np.sin(2 * X[:, 0]) + X[:, 1]),
    ),
}


def methods(gpc_rows: int) -> dict[str, Callable]:
    def gpc(X, y):
        if len(X) > gpc_rows:
            return None
        kernel = ConstantKernel(1.0) * RBF(np.sqrt(X.shape[1]))
        return GaussianProcessClassifier(kernel, random_state=0).fit(X, y)

    return {
        "ours": lambda X, y: ReducedGPClassifier(random_state=0).fit(X, y),
        "regression": lambda X, y: ReducedGPClassifier(likelihood="regression", random_state=0).fit(
            X, y
        ),
        "logistic": lambda X, y: LogisticRegression(max_iter=5000).fit(X, y),
        "GPC": gpc,
    }


def row_losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-300))


def calibration_error(probabilities: np.ndarray, truth: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error of the chosen class over bins of confidence."""
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(np.sum((confidence - hit)[bin_of == k])) for k in range(bins)]
    return float(sum(gaps) / len(truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--gpc-rows", type=int, default=1000)
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    competitors = methods(arguments.gpc_rows)
    print(f"{'':22} " + " ".join(f"{name:>15}" for name in competitors) + "   ours - best other")
    for table in arguments.tables:
        losses: dict[str, list[np.ndarray]] = {name: [] for name in competitors}
        errors: dict[str, list[float]] = {name: [] for name in competitors}
        for seed in range(arguments.seeds):
            X, y, unseen, truth = TABLES[table](seed)
            for name, fit in competitors.items():
                model = fit(X, y)
                if model is not None:
                    chances = model.predict_proba(unseen)
                    losses[name].append(row_losses(chances, truth))
                    errors[name].append(calibration_error(chances, truth))
        cells = [
            f"{np.mean(np.concatenate(losses[name])):7.4f}/{np.mean(errors[name]):.4f} "
            if losses[name]
            else f"{'not run':>15}"
            for name in competitors
        ]
        others = [name for name in ("logistic", "GPC") if losses[name]]
        best = min(others, key=lambda name: np.mean(np.concatenate(losses[name])))
        gaps = np.concatenate(losses["ours"]) - np.concatenate(losses[best])
        print(
            f"{table:22} {' '.join(cells)}  {gaps.mean():+.4f} +- "
            f"{gaps.std() / np.sqrt(len(gaps)):.4f} ({best})",
            flush=True,
        )


if __name__ == "__main__":
    main()
