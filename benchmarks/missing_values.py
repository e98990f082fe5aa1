"""Coverage of 90 % intervals on complete and on incomplete held-out rows, values missing at random
and not.

    python benchmarks/missing_values.py --data ../shared/data --share 0.1 0.3 --repeats 2

Three columns of each table, those most correlated with the target, lose a share of their values:
in rows at random, or (not at random) in rows drawn by the missing value itself, the larger the
likelier.
Half of the rows are held out. Beside it ridge regression on the same encoding. A cell's line comes
after every split and is of all so far.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from wilsonian.app.runs.fit import Choices, fit_table
from wilsonian.app.runs.records import RunRecord

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
UCI = ("concrete", "airfoil", "wine_red")
BLANKED = 3


def tables(folder: Path, rows: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, inputs and target of six tables of at most so many rows."""
    random = np.random.default_rng(0)
    X = random.normal(size=(rows, 5))
    X[:, 1] = 0.7 * X[:, 0] + 0.7 * X[:, 1]  # what is missing can partly be known from the rest
    noise = random.normal(size=rows)
    yield "linear", X, X @ [2.0, 1.0, 1.0, 0.0, 0.5] + noise
    yield "smooth", X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + X[:, 3] + 0.2 * noise
    data = load_diabetes()
    yield "diabetes", data.data[:rows], data.target[:rows]
    for name in UCI:
        with np.load(folder / f"uci_{name}.npz") as stored:
            chosen = np.random.default_rng(1).permutation(len(stored["y"]))[:rows]
            yield name, stored["X"][chosen].astype(float), stored["y"][chosen].astype(float)


def blanked(
    X: np.ndarray, y: np.ndarray, share: float, at_random: bool, random: np.random.Generator
) -> np.ndarray:
    """With a share of the values of three columns missing (NaN)."""
    correlation = [abs(np.corrcoef(np.argsort(np.argsort(x)), y)[0, 1]) for x in X.T]
    X = X.copy()
    for column in np.argsort(correlation)[-BLANKED:]:
        keys = random.random(len(X))
        if not at_random:  # an exponential race: the top tenth leaves about nine times as often
            place = np.argsort(np.argsort(X[:, column])) / len(X)
            keys = random.exponential(size=len(X)) / np.exp(3 * place)
        X[np.argsort(keys)[: int(share * len(X))], column] = np.nan
    return X


def fitted(values: np.ndarray, y: np.ndarray, seed: int) -> RunRecord:
    """What `wilsonian fit` makes of half of the rows, and says of the other half."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        with path.open("w", newline="") as file:
            write = csv.writer(file)
            write.writerow([*(f"x{j}" for j in range(values.shape[1])), "y"])
            for row, target in zip(values, y, strict=True):
                write.writerow(["" if np.isnan(v) else repr(float(v)) for v in row] + [target])
        return fit_table(Choices(str(path), "y", test_fraction=0.5, seed=seed)).record


def shown(cell: str, records: list[RunRecord]) -> list[tuple[float, float]]:
    """Print what several splits say of a cell; coverages of complete and of incomplete rows, each
    with its standard error were the rows independent."""
    metrics = [record.metrics for record in records]
    tested = sum(record.test_rows for record in records)
    lacking = sum(int(found["incomplete_rows"]) for found in metrics)
    rows = np.array([found["incomplete_rows"] for found in metrics])
    whole = np.array([record.test_rows for record in records]) - rows
    held = []
    for name, weights in (("complete", whole), ("incomplete", rows)):
        share = float(np.average([m[f"coverage_90_{name}"] for m in metrics], weights=weights))
        held.append((share, float(np.sqrt(share * (1 - share) / weights.sum()))))
    ours = np.sqrt(np.mean([found["rmse"] ** 2 for found in metrics]))
    ridge = np.sqrt(np.mean([record.baselines["ridge regression"] ** 2 for record in records]))
    doubts = sum("at their bounds" in record.convergence for record in records)
    (complete, error), (incomplete, more) = held
    print(
        f"{cell} | {complete:.3f} +- {error:.3f}  {incomplete:.3f} +- {more:.3f} "
        f"({lacking} of {tested}) | {ours:.4g} {ridge:.4g} | {doubts or ''}",
        flush=True,
    )
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--share", type=float, nargs="+", default=[0.05, 0.15, 0.3])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=1, help="splits, each with other gaps")
    parser.add_argument("--first", type=int, default=0, help="number of the first split")
    parser.add_argument("--tables", nargs="+", default=[])
    parser.add_argument("--distinct", action="store_true", help="drop rows that repeat another one")
    arguments = parser.parse_args()
    print(
        "table share missing | 90 % hold: complete  incomplete (rows) | RMSE ours ridge | at bounds"
    )
    records: dict[str, list[RunRecord]] = defaultdict(list)
    held: dict[str, list[tuple[float, float]]] = {}
    for seed in range(arguments.first, arguments.first + arguments.repeats):
        for name, X, y in tables(arguments.data, arguments.rows):
            if arguments.tables and name not in arguments.tables:
                continue
            if arguments.distinct:
                kept = np.sort(np.unique(np.column_stack([X, y]), axis=0, return_index=True)[1])
                X, y = X[kept], y[kept]
            for share in arguments.share:
                for at_random in (True, False):
                    random = np.random.default_rng(2 + seed)
                    values = blanked(X, y, share, at_random, random)
                    cell = f"{name:9} {share:.2f} {'random' if at_random else 'not':6}"
                    records[cell].append(fitted(values, y, seed))
                    held[cell] = shown(cell, records[cell])
    print("Of so many cells, 90 % intervals hold .85 to .95, and so within two standard errors:")
    for which, name in enumerate(("complete", "incomplete")):
        found = np.array([cell[which] for cell in held.values()])
        off = np.maximum(0.85 - found[:, 0], found[:, 0] - 0.95)
        within, nearly = np.sum(off <= 0), np.sum(off <= 2 * found[:, 1])
        print(f"{name:10} {within} and {nearly} of {len(found)}, mean {found[:, 0].mean():.3f}")


if __name__ == "__main__":
    main()
