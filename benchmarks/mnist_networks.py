"""Handwritten digits by the NNGP of a deep ReLU network: exactly, and by a tenth of the modes.

    python benchmarks/mnist_networks.py --data ../shared/data     # n = 5,000; three minutes

Ten-class regression on one-hot targets minus 0.1. Weight variance, bias variance and noise maximize
the exact evidence of a subset; then the exact posterior of all n training rows, and the reduced
process with the same kernel that keeps n / 10 modes (and others, to see what the modes between are
worth), predict the 10,000 test images. All are timed from the training rows to means and standard
deviations, compilation included. The learnability of the last mode kept says whether a cutoff
leaves out what n rows could have taught.
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

from wilsonian import ReducedGPRegressor
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--learn-rows", type=int, default=600)
    parser.add_argument("--modes", type=int, nargs="+", help="kept; n / 10 and n / 5")
    arguments = parser.parse_args()
    n = arguments.rows
    pool, labels, X_test, y_test = load(arguments.data, n, arguments.test)
    X, y = pool[:n], one_hot(labels[:n])
    with jax.enable_x64(True):
        began = time.perf_counter()
        few = slice(0, arguments.learn_rows)
        (weight, bias, noise), steps = learn(X[few], y[few], arguments.depth)
    print(f"{n:,} rows, depth {arguments.depth}; learned on {arguments.learn_rows} rows ", end="")
    print(
        f"in {steps} steps, {time.perf_counter() - began:.0f} s: weight variance {weight:.3f}, ",
        end="",
    )
    print(f"bias variance {bias:.3g}, noise {noise:.3g}", flush=True)
    kernel = network_kernel(float(weight), float(bias), arguments.depth)

    def exact(X, y, X_test):
        with jax.enable_x64(True):
            gp = posterior(kernel, X, y, noise)
            parts = [gp.predict(X_test[i : i + 2000]) for i in range(0, len(X_test), 2000)]
            return tuple(
                np.concatenate([np.asarray(getattr(p, name)) for p in parts])
                for name in ("mean", "variance")
            )

    def reduced(modes):
        gp = ReducedGPRegressor(
            kernel,
            noise=float(noise),
            rank=min(2 * modes, n),
            cutoff=modes,
            learn="scale",
            normalize_y=False,
            dtype="float32",
            random_state=0,
        ).fit(X, y)
        mean, _ = gp.predict(X_test, return_std=True)
        eigenvalue = n * gp.amplitude_ * gp.process_.modes.eigenvalues[modes - 1]
        return mean, eigenvalue / (gp.ridge_ + eigenvalue)

    def timed(run, *arguments):
        began, cpu = time.perf_counter(), time.process_time()
        mean, rest = run(*arguments)
        seconds = np.array([time.perf_counter() - began, time.process_time() - cpu])
        return np.mean(mean.argmax(1) == y_test), rest, seconds

    accuracy, _, seconds = timed(exact, X, y, X_test)
    print(f"exact       accuracy {accuracy:.4f}  {seconds[0]:7.2f} s  CPU {seconds[1]:7.2f} s")
    for modes in arguments.modes or (n // 10, n // 5):
        found, last, taken = timed(reduced, modes)
        ratio = seconds / taken
        print(
            f"{modes:5d} modes accuracy {found:.4f}  {taken[0]:7.2f} s  CPU {taken[1]:7.2f} s: "
            f"{100 * (accuracy - found):.2f} points lost, {ratio[0]:.2f} (CPU {ratio[1]:.2f}) "
            f"times as fast, last mode's learnability {last:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
