"""Handwritten digits by the NNGP of a deep ReLU network: exactly, and by a tenth of the modes.

    python benchmarks/mnist_networks.py --data ../shared/data     # n = 5,000; ten minutes

Ten-class regression on one-hot targets minus 0.1. Exactly: weight variance, bias variance and noise
maximize the evidence of `--learn-rows` training rows (all of them), and the posterior of all rows
predicts the 10,000 test images. Reduced: `ReducedGPRegressor` learns the same kernel, keeps n / 10
modes in the span of as many inducing points, and predicts by these alone and with the read-out of
what it eliminated (`ResidualCorrection`). Both are timed from the training rows to the means,
compilation included.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from uci import DEFAULT_DATA

from wilsonian import ReducedGPRegressor, ResidualCorrection
from wilsonian import networks as nn
from wilsonian.networks.dynamics import posterior


def load(folder: Path, n: int, test: int):
    """Pixels from 0 to 1 as rows, and labels: training and test."""
    with np.load(folder / "mnist.npz") as data:
        rows = [data[f"X_{part}"].reshape(-1, 784) / 255.0 for part in ("train", "test")]
        labels = [data[f"y_{part}"] for part in ("train", "test")]
    return rows[0], labels[0], rows[1][:test], labels[1][:test]


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(10)[labels] - 0.1


def network_kernel(weight_variance, bias_variance, depth: int):
    def dense(width):
        return nn.Dense(width, weight_variance=weight_variance, bias_variance=bias_variance)

    hidden = [layer for _ in range(depth) for layer in (dense(512), nn.Relu())]
    return nn.nngp(nn.serial(*hidden, dense(10)))


def learn(X: np.ndarray, y: np.ndarray, depth: int) -> tuple[np.ndarray, int]:
    """Weight variance, bias variance and noise of highest exact evidence, by L-BFGS-B."""

    @jax.jit
    def loss_and_slope(logs, X, y):
        def loss(logs):
            weight, bias, noise = jnp.exp(logs)
            gp = posterior(network_kernel(weight, bias, depth), X, y, noise)
            return -gp.log_evidence() / y.size

        return jax.value_and_grad(loss)(logs)

    found = scipy.optimize.minimize(
        lambda logs: tuple(np.asarray(a, float) for a in loss_and_slope(jnp.asarray(logs), X, y)),
        np.log([2.0, 0.1, 0.01]),
        jac=True,
        method="L-BFGS-B",
        bounds=np.log([[0.1, 20.0], [1e-5, 10.0], [1e-5, 1.0]]),
        options={"maxiter": 30},
    )
    return np.exp(found.x), found.nit


def exact(X, y, X_test, depth: int, few: int):
    """Means of the exact posterior, and a sentence on what was learned."""
    with jax.enable_x64(True):
        (weight, bias, noise), steps = learn(X[:few], y[:few], depth)
        gp = posterior(network_kernel(float(weight), float(bias), depth), X, y, noise)
        parts = [gp.predict(X_test[i : i + 2000]).mean for i in range(0, len(X_test), 2000)]
    learned = f"weight variance {weight:.3f}, bias variance {bias:.3g}, noise {noise:.3g}"
    return np.concatenate(parts), f"{steps} steps on {few:,} rows: {learned}"


def reduced(X, y, depth: int, modes: int, seed: int) -> ReducedGPRegressor:
    return ReducedGPRegressor(
        network_kernel(2.0, 0.1, depth),
        rank=modes,
        cutoff=None,
        normalize_y=False,
        dtype="float32",
        random_state=seed,
    ).fit(X, y)


class Clock:
    """Seconds and CPU seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def read(self) -> np.ndarray:
        return np.subtract((time.perf_counter(), time.process_time()), self.began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--learn-rows", type=int, help="of the exact evidence; all of them")
    parser.add_argument("--modes", type=int, nargs="+", help="kept; n / 10")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    n = arguments.rows
    pool, labels, X_test, y_test = load(arguments.data, n, arguments.test)
    X, y = pool[:n], one_hot(labels[:n])

    def accuracy(mean):
        return np.mean(mean.argmax(axis=1) == y_test)

    clock = Clock()
    mean, learned = exact(X, y, X_test, arguments.depth, arguments.learn_rows or n)
    whole, best = clock.read(), accuracy(mean)
    print(f"{n:,} rows, depth {arguments.depth}; exact: {learned}")
    print(f"exact                accuracy {best:.4f}  {whole[0]:6.1f} s  CPU {whole[1]:6.1f} s")
    for modes in arguments.modes or [n // 10]:
        clock = Clock()
        gp = reduced(X, y, arguments.depth, modes, arguments.seed)
        rows = [("alone", gp.predict(X_test), clock.read())]
        leading = ResidualCorrection.of(gp, X, y, max_steps=0, variance=False)
        rows.append(("read-out", leading.predict(X_test), clock.read()))
        for name, found, taken in rows:
            ratio = whole / taken
            lost = 100 * (best - accuracy(found))
            print(
                f"{modes:5d} modes, {name:8s} accuracy {accuracy(found):.4f}  {taken[0]:6.1f} s  "
                f"CPU {taken[1]:6.1f} s: {lost:.2f} points lost, {ratio[0]:.2f} (CPU "
                f"{ratio[1]:.2f}) times as fast",
                flush=True,
            )


if __name__ == "__main__":
    main()
