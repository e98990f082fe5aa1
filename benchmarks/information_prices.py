"""Are prices right where they claim to be? 24 networks, resets, scopes and cutoffs.

MLPs and CNNs on digits, MNIST, CIFAR-10 and UCI sets, three seeds each, at
the minimum with a standard normal prior (NTK scaling). For every cutoff: predicted and measured
cost on the training set, where the flag looks, and on held-out examples, where it does not.

    python benchmarks/information_prices.py [--data FOLDER] [--seeds N]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from datasets import load
from sklearn.datasets import load_breast_cancer, load_digits

from wilsonian import information

CUTOFFS = (0.03, 0.1, 0.3, 1.0, 3.0)
TRAINED, HELD_OUT = 400, 400


def dense(p, name, x):
    return p[f"W{name}"] @ x * (2 / len(x)) ** 0.5 + p[f"b{name}"]


def mlp(activation):
    return lambda p, x: dense(p, "2", activation(dense(p, "1", x)))


def cnn(p, x):
    rows = jax.lax.conv_general_dilated(
        x.reshape(1, 1, 8, 8), p["W0"] * (2 / 9) ** 0.5, (2, 2), "VALID"
    )
    return dense(p, "1", jax.nn.relu(rows.ravel() + jnp.repeat(p["b0"], 9)))


def shapes_of_mlp(inputs, hidden, outputs):
    return {"W1": (hidden, inputs), "b1": (hidden,), "W2": (outputs, hidden), "b2": (outputs,)}


def settings(folder):
    """Name: (data, function, shapes, likelihood)."""
    X, y = load_digits(return_X_y=True)
    digits = X / 8 - 1, y
    found = {
        "digits MLP": (digits, mlp(jax.nn.relu), shapes_of_mlp(64, 16, 10), None),
        "digits CNN": (
            *(digits, cnn),
            {"W0": (6, 1, 3, 3), "b0": (6,), "W1": (10, 54), "b1": (10,)},
            None,
        ),
    }
    X, y = load_breast_cancer(return_X_y=True)
    cancer = (X - X.mean(0)) / X.std(0), y
    found["breast cancer MLP"] = (cancer, mlp(jnp.tanh), shapes_of_mlp(30, 16, 2), None)
    with np.load(folder / "mnist.npz") as stored:
        X, y = stored["X_train"][:4000].reshape(-1, 28, 28) / 255.0, stored["y_train"][:4000]
    X = X.reshape(-1, 7, 4, 7, 4).mean((2, 4)).reshape(len(X), -1)
    mnist = (X - X.mean()) / X.std(), y.astype(int)
    found["MNIST 7x7 MLP"] = (mnist, mlp(jnp.tanh), shapes_of_mlp(49, 16, 10), None)
    with np.load(folder / "cifar10_subset_jpeg.npz") as stored:
        X, y = stored["X_train"][:3000].astype(float), stored["y_train"][:3000]
    X = X.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4, 5)).reshape(len(X), -1)
    cifar = (X - X.mean()) / X.std(), y.astype(int)
    found["CIFAR-10 8x8 CNN"] = (cifar, *found["digits CNN"][1:])
    for name, noise in (("energy", 0.01), ("kin8nm", 0.1), ("concrete", 0.1)):
        split = load(name, folder)
        data = split.X, split.y
        shapes = shapes_of_mlp(data[0].shape[1], 20, 1)
        found[f"{name} MLP"] = (data, mlp(jnp.tanh), shapes, noise)
    return found


def minimum(function, start, X, y, likelihood):
    with jax.enable_x64(True):
        leaves, structure = jax.tree.flatten(start)
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
        X, y = jnp.asarray(X), jnp.asarray(y)

        def unflat(vector):
            parts = jnp.split(vector, ends)
            shaped = [p.reshape(leaf.shape) for p, leaf in zip(parts, leaves, strict=True)]
            return jax.tree.unflatten(structure, shaped)

        @jax.jit
        @jax.value_and_grad
        def loss(vector):
            outputs = jax.vmap(lambda x: function(unflat(vector), x))(X)
            return jnp.sum(likelihood.nll(outputs, y)) + vector @ vector / 2

        found = scipy.optimize.minimize(
            lambda v: tuple(np.asarray(part, float) for part in loss(v)),
            np.concatenate([np.ravel(leaf) for leaf in leaves]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 1000, "maxfun": 2000, "maxcor": 30, "ftol": 0, "gtol": 1e-3},
        )
        return jax.tree.map(np.asarray, unflat(jnp.asarray(found.x)))


def within(predicted, measured, error):
    """Measured within a factor of two of the prediction, or within a standard error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = predicted / measured
    return ((ratio >= 0.5) & (ratio <= 2)) | (np.abs(predicted - measured) <= error)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    choices = parser.parse_args()
    rows = []
    for name, (data, function, shapes, noise) in settings(choices.data).items():
        for seed in range(choices.seeds):
            begun = time.process_time()
            random = np.random.RandomState(seed)
            order = random.permutation(len(data[0]))[: TRAINED + HELD_OUT]
            X, y = data[0][order], data[1][order]
            y = y if noise is None else y[:, None]
            trained = min(TRAINED, 2 * len(X) // 3)
            held_out = X[trained:], y[trained:]
            X, y = X[:trained], y[:trained]
            likelihood = information.Softmax() if noise is None else information.Regression(noise)
            start = {key: random.randn(*shape) for key, shape in shapes.items()}
            parameters = minimum(function, start, X, y, likelihood)
            for scope in ("all", "last-layer"):
                net = information.network(
                    *(function, X, y),
                    parameters=parameters,
                    likelihood=likelihood,
                    prior=1.0,
                    scope=scope,
                )
                spectrum = information.spectrum(net, route="dense")
                for reset in ("mean", "prior"):
                    prices = spectrum.resetting(reset).prices(
                        held_out, scales=CUTOFFS, calibration=False, draws=2
                    )
                    loss = net.loss(net.evaluate(held_out[0]), held_out[1])
                    rows.append((name, seed, scope, reset, prices, loss.std() / len(loss) ** 0.5))
            print(
                f"{name} {seed}: {net.size} / {sum(v.size for v in parameters.values())} "
                f"parameters, {time.process_time() - begun:.0f} CPU s",
                flush=True,
            )
    print("\nscope, reset: cutoffs; passed by the flag; of these right on training, on held-out")
    print("examples; of those off by more than two (and an error) refused; all right if unflagged")
    keys = [(s, r) for s in ("all", "last-layer") for r in ("mean", "prior")]
    for scope, reset in [*keys, ("every", "every")]:
        chosen = [row for row in rows if scope == "every" or (row[2] == scope and row[3] == reset)]
        pairs = [row[4:] for row in chosen]
        valid = np.concatenate([p.valid for p, _ in pairs])
        right = np.concatenate(
            [within(p.predicted, p.measured, p.standard_error) for p, _ in pairs]
        )
        outside = np.concatenate([within(p.predicted, p.held_out.measured, e) for p, e in pairs])
        print(
            f"{scope:10} {reset:6}: {len(valid):4d}; {valid.mean():4.0%}; "
            f"{right[valid].mean():5.1%}, {outside[valid].mean():5.1%}; "
            f"{(~valid)[~right].mean() if (~right).any() else np.nan:5.1%}; {right.mean():5.1%}"
        )


if __name__ == "__main__":
    main()
