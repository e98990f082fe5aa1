"""A table on disk through `wilsonian fit`, beside the matrix products it cannot do without.

    python benchmarks/million_rows.py            # 250,000 and 1,000,000 training rows, ~3 minutes

Writes Parquet files of 20 columns to a temporary folder, fits each with the command line (rank
1024, float32, kernel given, amplitude and noise by evidence) and measures its time and peak memory
as the operating system reports them. The alternative is the bare products of the same shapes on
the same threads, in a process of its own: inputs with inducing points, whitening, and the second
moment.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

COLUMNS, RANK, BLOCK = 20, 1024, 4096
TEST_FRACTION = 0.01

GEMMS = """
import sys, time, jax, jax.numpy as jnp
rows, columns, rank, block = map(int, sys.argv[1:])
key = jax.random.key(0)
X, Z = jax.random.normal(key, (block, columns)), jax.random.normal(key, (rank, columns))
W = jax.random.normal(key, (rank, rank)) / rank

@jax.jit
def step(X, total):
    features = (X @ Z.T) @ W
    return total + features.T @ features

total = step(X, jnp.zeros((rank, rank))).block_until_ready()
started = time.perf_counter()
for _ in range(round(rows / block)):
    total = step(X, total)
total.block_until_ready()
print(time.perf_counter() - started)
"""


def write_table(path: Path, rows: int) -> None:
    """A smooth function of 20 normal inputs with noise, float32, in row groups of 65,536."""
    random = np.random.default_rng(0)
    names = [f"x{column}" for column in range(COLUMNS)]
    schema = pa.schema([(name, pa.float32()) for name in [*names, "y"]])
    direction = random.normal(size=(COLUMNS, 3)) / np.sqrt(COLUMNS)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 65_536):
            X = random.normal(size=(min(65_536, rows - start), COLUMNS))
            y = np.sin(X @ direction).sum(axis=1) + 0.3 * random.normal(size=len(X))
            columns = [*X.T, y]
            writer.write_table(pa.table([c.astype(np.float32) for c in columns], schema=schema))


def fit(table: Path, folder: Path, rank: int) -> tuple[float, float]:
    """Seconds and peak gigabytes of one `wilsonian fit`."""
    command = [sys.executable, "-m", "wilsonian", "fit", str(table), "--target", "y"]
    command += ["--kernel", "matern52:length_scale=6", "--learn", "scale", "--rank", str(rank)]
    command += ["--precision", "float32", "--test-fraction", str(TEST_FRACTION)]
    command += ["--out", str(folder / f"model-{table.stem}"), "--quiet"]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"wilsonian fit ended with status {status}")
    return seconds, usage.ru_maxrss / 2**20


def measured(rows: int, folder: Path, rank: int = RANK) -> tuple[float, float, float]:
    """Seconds of a fit of so many training rows, of its bare products, and peak gigabytes."""
    table = folder / f"{rows}.parquet"
    write_table(table, round(rows / (1 - TEST_FRACTION)))
    seconds, memory = fit(table, folder, rank)
    shapes = [str(n) for n in (rows, COLUMNS, rank, BLOCK)]
    products = subprocess.run(
        [sys.executable, "-c", GEMMS, *shapes], check=True, capture_output=True, text=True
    )
    return seconds, float(products.stdout), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 1_000_000])
    sizes = parser.parse_args().rows
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        for rows in sizes:
            seconds[rows], bare, memory = measured(rows, Path(name))
            print(
                f"{rows:>9,} rows: fit {seconds[rows]:6.1f} s, bare products {bare:6.1f} s, "
                f"ratio {seconds[rows] / bare:.2f}, peak memory {memory:.2f} GB",
                flush=True,
            )
    if len(sizes) > 1:
        ratio = seconds[sizes[-1]] / seconds[sizes[0]]
        print(f"time {sizes[-1]:,} / {sizes[0]:,} rows: {ratio:.2f}")


if __name__ == "__main__":
    main()
