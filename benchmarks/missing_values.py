"""Coverage of 90 % intervals on complete and on incomplete held-out rows, values missing at random
and not.

    python benchmarks/missing_values.py --data ../shared/data --share 0.1 0.3

Three columns of each table, those most correlated with the target, lose a share of their values:
in rows at random, or (not at random) in rows drawn by the missing value itself, the larger the
likelier.
Half of the rows are held out. Beside it ridge regression on the same encoding.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from wilsonian.app.runs.fit import Choices, fit_table

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


def blanked(X: np.ndarray, y: np.ndarray, share: float, at_random: bool) -> np.ndarray:
    """With a share of the values of three columns missing (NaN)."""
    random = np.random.default_rng(2)
    correlation = [abs(np.corrcoef(np.argsort(np.argsort(x)), y)[0, 1]) for x in X.T]
    X = X.copy()
    for column in np.argsort(correlation)[-BLANKED:]:
        keys = random.random(len(X))
        if not at_random:  # an exponential race: the top tenth leaves about nine times as often
            place = np.argsort(np.argsort(X[:, column])) / len(X)
            keys = random.exponential(size=len(X)) / np.exp(3 * place)
        X[np.argsort(keys)[: int(share * len(X))], column] = np.nan
    return X


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--share", type=float, nargs="+", default=[0.05, 0.15, 0.3])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--tables", nargs="+", default=[])
    parser.add_argument("--distinct", action="store_true", help="drop rows that repeat another one")
    arguments = parser.parse_args()
    print("table share missing | 90 % hold: complete incomplete (rows) | RMSE ours ridge | doubts")
    for name, X, y in tables(arguments.data, arguments.rows):
        if arguments.tables and name not in arguments.tables:
            continue
        if arguments.distinct:
            kept = np.sort(np.unique(np.column_stack([X, y]), axis=0, return_index=True)[1])
            X, y = X[kept], y[kept]
        for share in arguments.share:
            for at_random in (True, False):
                values = blanked(X, y, share, at_random)
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "table.csv"
                    with path.open("w", newline="") as file:
                        write = csv.writer(file)
                        write.writerow([*(f"x{j}" for j in range(X.shape[1])), "y"])
                        for row, target in zip(values, y, strict=True):
                            write.writerow(
                                ["" if np.isnan(v) else repr(float(v)) for v in row] + [target]
                            )
                    record = fit_table(
                        Choices(str(path), "y", test_fraction=0.5, parameters={"max_rank": 256})
                    ).record
                found = record.metrics
                where = "random" if at_random else "not"
                print(
                    f"{name:9} {share:.2f} {where:6} | {found['coverage_90_complete']:.3f} "
                    f"{found['coverage_90_incomplete']:.3f} ({found['incomplete_rows']:.0f}) | "
                    f"{found['rmse']:.4g} {record.baselines['ridge regression']:.4g} | "
                    f"{'at bounds' if 'at their bounds' in record.convergence else ''}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
