"""MNIST, larger and not at a minimum: information of the last layer of 784-128-10, three seeds.

The network of docs/science/information.md, section 9: 101,770 parameters, Adam with weight decay
for 12 epochs on 10,000 images; 1,290 weights in the last layer, whose price is exact but for the
softmax.

    python benchmarks/information_mnist.py [--data FOLDER] [--seeds N]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian import information

TRAINED, HIDDEN, EPOCHS, BATCH, RATE = 10_000, 128, 12, 100, 0.03
SCALES = (2 / 784) ** 0.5, (2 / HIDDEN) ** 0.5
BIAS = 0.1


def data(folder):
    with np.load(folder / "mnist.npz") as stored:
        X, y = stored["X_train"][:TRAINED], stored["y_train"][:TRAINED]
        X_test, y_test = stored["X_test"], stored["y_test"]
    X, X_test = (np.reshape(x, (len(x), -1)) / 255.0 for x in (X, X_test))
    mean, spread = X.mean(), X.std()
    return ((X - mean) / spread, y.astype(int)), ((X_test - mean) / spread, y_test.astype(int))


def network(p, x):
    hidden = jax.nn.relu(SCALES[0] * (p["W1"] @ x) + BIAS * p["b1"])
    return SCALES[1] * (p["W2"] @ hidden) + BIAS * p["b2"]


def trained(seed, X, y):
    """Adam on the mean loss with |theta|^2 / 2T, its rate falling linearly to zero."""
    random = np.random.RandomState(seed)
    shapes = {"W1": (HIDDEN, 784), "b1": (HIDDEN,), "W2": (10, HIDDEN), "b2": (10,)}
    start = {name: jnp.asarray(random.randn(*shape), jnp.float32) for name, shape in shapes.items()}
    orders = np.concatenate([random.permutation(TRAINED) for _ in range(EPOCHS)])
    batches = jnp.asarray(orders.reshape(-1, BATCH))
    X, y = jnp.asarray(X, jnp.float32), jnp.asarray(y)

    @jax.jit
    def run(state, X, y):
        def loss(p, rows):
            logs = jax.nn.log_softmax(jax.vmap(lambda x: network(p, x))(X[rows]))
            penalty = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p)) / (2 * TRAINED)
            return -jnp.mean(jnp.take_along_axis(logs, y[rows][:, None], axis=1)) + penalty

        def step(state, both):
            p, first, second = state
            count, rows = both
            g = jax.grad(loss)(p, rows)
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, g)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, g)
            rate = RATE * (1 - count / len(batches))

            def moved(p, m, v):
                m, v = m / (1 - 0.9 ** (count + 1)), v / (1 - 0.999 ** (count + 1))
                return p - rate * m / (jnp.sqrt(v) + 1e-8)

            return (jax.tree.map(moved, p, first, second), first, second), None

        counts = jnp.arange(len(batches), dtype=jnp.float32)
        return jax.lax.scan(step, state, (counts, batches))[0][0]

    zero = jax.tree.map(jnp.zeros_like, start)
    return jax.tree.map(np.asarray, run((start, zero, zero), X, y))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    choices = parser.parse_args()
    (X, y), (X_test, y_test) = data(choices.data)
    for seed in range(choices.seeds):
        begun = time.process_time()
        parameters = trained(seed, X, y)
        net = information.network(
            *(network, X, y),
            parameters=parameters,
            likelihood="softmax",
            prior=1.0,
            scope="last-layer",
        )
        trained_for = time.process_time() - begun
        spectrum = information.spectrum(net)
        counts = [spectrum.count_above(c) for c in (10, 1, 0.3)]
        prices = spectrum.prices((X_test, y_test), scales=(1.0, 10.0), calibration=False)
        held_out = prices.held_out
        print(
            f"\nseed {seed}: test accuracy {held_out.trained_accuracy:.4f}; {net.size} weights, "
            f"route {spectrum.route}; above 10, 1, .3: {counts}; d_eff "
            f"{spectrum.degrees_of_freedom:.1f}; |g+z|/|z| {spectrum.stationarity:.2f}; "
            f"{trained_for:.0f} + {time.process_time() - begun - trained_for:.0f} CPU s"
        )
        print(prices)
        print(
            f"c = 1: quadratic {prices.quadratic[0]:.4f}, predicted {prices.predicted[0]:.4f}, "
            f"true {prices.measured[0]:.4f}, test {held_out.measured[0]:.4f}, accuracy "
            f"{held_out.accuracy[0]:.4f}"
        )
        drawn = spectrum.resetting("prior").prices(scales=(1.0,), calibration=False)
        print(f"prior draws: {drawn.predicted[0]:.4f}, true {drawn.measured[0]:.4f}", flush=True)


if __name__ == "__main__":
    main()
