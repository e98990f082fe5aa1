"""A price list of 54,000 rows through `wilsonian fit`, beside histogram boosting.

    python benchmarks/price_list.py              # two minutes

The table has the shape of a list of cut stones: a weight, three ordered categories written as
text, five measures that nearly follow from the weight, and a price with a heavy right tail to which
the columns contribute by factors. `wilsonian fit` runs as a user types it, report included; its
time is that of the whole command. Boosting is scikit-learn's, with the categories as ordered
numbers, which it is told and we are not. Both are judged on 10,000 further rows.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

ROWS, TEST_ROWS = 54_000, 10_000
# Worst first, with the share of rows in each level.
CUTS = {"Fair": 0.03, "Good": 0.09, "Very Good": 0.22, "Premium": 0.26, "Ideal": 0.40}
COLORS = {"J": 0.05, "I": 0.10, "H": 0.15, "G": 0.21, "F": 0.18, "E": 0.18, "D": 0.13}
CLARITIES = {"I1": 0.014, "SI2": 0.17, "SI1": 0.24, "VS2": 0.23, "VS1": 0.15, "VVS2": 0.09}
CLARITIES |= {"VVS1": 0.07, "IF": 0.036}
COLUMNS = ("carat", "cut", "color", "clarity", "depth", "table", "x", "y", "z")


def levels(random: np.random.Generator, shares: dict[str, float], rows: int) -> np.ndarray:
    """The rank of each row's level, drawn by the shares."""
    weights = np.array(list(shares.values()))
    return random.choice(len(shares), size=rows, p=weights / weights.sum())


def price_list(rows: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns, categories as ranks, and prices: exp of a smooth function, ten per cent noise."""
    random = np.random.default_rng(seed)
    carat = np.clip(np.exp(random.normal(-0.38, 0.52, rows)), 0.2, 5.0)
    whole = random.random(rows) < 0.35  # stones are cut to just above a round weight
    carat = np.where(whole, np.ceil(carat / 0.25) * 0.25 + random.exponential(0.01, rows), carat)
    cut, color = levels(random, CUTS, rows), levels(random, COLORS, rows)
    clarity = levels(random, CLARITIES, rows)
    depth = 61.7 + (1.9 - 0.3 * cut) * random.normal(size=rows)
    table = 58.6 - 0.4 * cut + (2.4 - 0.3 * cut) * random.normal(size=rows)
    x = 6.47 * carat ** (1 / 3) * np.exp(-0.004 * (depth - 61.7) + 0.007 * random.normal(size=rows))
    y = x * np.exp(0.006 * random.normal(size=rows))
    z = depth / 100 * (x + y) / 2 * np.exp(0.004 * random.normal(size=rows))
    size = np.log(carat)
    quality = 0.06 * color + 0.09 * clarity
    log_price = 7.85 + 1.70 * size + quality * (1 + 0.25 * np.tanh(size)) + 0.02 * cut
    log_price += 0.08 * np.tanh((carat - 1.0) / 0.05) - 0.004 * np.abs(depth - 61.7) ** 1.5
    price = np.round(np.exp(log_price - 0.3 + 0.10 * random.normal(size=rows)))
    columns = (carat.round(2), cut, color, clarity, depth.round(1), table.round(0))
    columns += (x.round(2), y.round(2), z.round(2))
    return dict(zip(COLUMNS, columns, strict=True)), price


def write_list(path: Path, columns: dict[str, np.ndarray], price: np.ndarray) -> None:
    """As a CSV file with the categories' names."""
    names = {"cut": list(CUTS), "color": list(COLORS), "clarity": list(CLARITIES)}
    texts = [
        [names[name][rank] for rank in values] if name in names else values.tolist()
        for name, values in columns.items()
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "price"])
        writer.writerows(zip(*texts, price.astype(int).tolist(), strict=True))


def by_command(folder: Path, train: Path, test: Path) -> tuple[float, np.ndarray]:
    """Seconds of the fit and its report, and the predictions of the test rows."""
    wilsonian = [sys.executable, "-m", "wilsonian"]
    model, predictions = folder / "model", folder / "predictions.csv"
    fit = ["fit", str(train), "--target", "price", "--out", str(model)]
    started = time.perf_counter()
    subprocess.run([*wilsonian, *fit, "--report", str(folder / "report.html")], check=True)
    seconds = time.perf_counter() - started
    predict = ["predict", str(model), str(test), "--out", str(predictions)]
    subprocess.run([*wilsonian, *predict], check=True)
    with predictions.open(newline="") as file:
        return seconds, np.array([float(row["mean"]) for row in csv.DictReader(file)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the price list")
    parser.add_argument("--keep", type=Path, help="a folder for the tables, the model and the page")
    arguments = parser.parse_args()
    columns, price = price_list(arguments.rows, seed=0)
    test_columns, test_price = price_list(TEST_ROWS, seed=1)
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        train, test = folder / "prices.csv", folder / "more_prices.csv"
        write_list(train, columns, price)
        write_list(test, test_columns, test_price)
        seconds, predicted = by_command(folder, train, test)
    started = time.perf_counter()
    boosting = HistGradientBoostingRegressor(random_state=0)
    boosting.fit(np.column_stack(list(columns.values())), price)
    boosting_seconds = time.perf_counter() - started
    boosted = boosting.predict(np.column_stack(list(test_columns.values())))
    errors = [float(np.sqrt(np.mean((p - test_price) ** 2))) for p in (predicted, boosted)]
    print(f"prices from {price.min():,.0f} to {price.max():,.0f}, sd {price.std():,.0f}")
    print(f"wilsonian fit with its report: {seconds:.1f} s, RMSE {errors[0]:.1f}")
    print(f"histogram boosting: {boosting_seconds:.1f} s, RMSE {errors[1]:.1f}")
    print(f"RMSE over boosting's: {errors[0] / errors[1]:.3f}")


if __name__ == "__main__":
    main()
