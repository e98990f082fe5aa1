"""Small networks at their minimum on eight sets, for the benchmarks of prices and calibration.

MLPs and CNNs on digits, breast cancer, MNIST, CIFAR-10 and UCI sets, trained on 400 examples with a
standard normal prior (NTK scaling) by L-BFGS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from datasets import load
from network_minimum import minimum
from sklearn.datasets import load_breast_cancer, load_digits

from wilsonian import information

TRAINED, HELD_OUT = 400, 400


@dataclasses.dataclass(frozen=True)
class Setting:
    """A set with the network for it; `noise` is the variance of a label, None of classes."""

    data: tuple[np.ndarray, np.ndarray]
    function: Callable
    shapes: dict[str, tuple[int, ...]]
    noise: float | None


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network at its minimum, its examples and as many that it has not seen."""

    setting: Setting
    parameters: dict[str, np.ndarray]
    X: np.ndarray
    y: np.ndarray
    held_out: tuple[np.ndarray, np.ndarray]

    def network(self, scope: str) -> information.TrainedNetwork:
        return information.network(
            *(self.setting.function, self.X, self.y),
            parameters=self.parameters,
            likelihood=likelihood_of(self.setting),
            prior=1.0,
            scope=scope,
        )


def likelihood_of(setting: Setting) -> Any:
    return information.Softmax() if setting.noise is None else information.Regression(setting.noise)


def trained(setting: Setting, seed: int) -> Trained:
    """The network of a setting; the seed draws examples and start."""
    random = np.random.RandomState(seed)
    X, y = setting.data
    order = random.permutation(len(X))[: TRAINED + HELD_OUT]
    X, y = X[order], y[order]
    y = y if setting.noise is None else y[:, None]
    count = min(TRAINED, 2 * len(X) // 3)
    start = {key: random.randn(*shape) for key, shape in setting.shapes.items()}
    parameters = minimum(
        *(setting.function, start, X[:count], y[:count]),
        likelihood_of(setting),
        steps=1000,
        slope=1e-3,
    )
    return Trained(setting, parameters, X[:count], y[:count], (X[count:], y[count:]))


def dense(p, name, x):
    return p[f"W{name}"] @ x * (2 / len(x)) ** 0.5 + p[f"b{name}"]


def mlp(activation):
    return lambda p, x: dense(p, "2", activation(dense(p, "1", x)))


def cnn(p, x):
    rows = jax.lax.conv_general_dilated(
        x.reshape(1, 1, 8, 8), p["W0"] * (2 / 9) ** 0.5, (2, 2), "VALID"
    )
    return dense(p, "1", jax.nn.relu(rows.ravel() + jnp.repeat(p["b0"], 9)))


SHAPES_OF_CNN = {"W0": (6, 1, 3, 3), "b0": (6,), "W1": (10, 54), "b1": (10,)}


def shapes_of_mlp(inputs, hidden, outputs):
    return {"W1": (hidden, inputs), "b1": (hidden,), "W2": (outputs, hidden), "b2": (outputs,)}


def settings(folder: Path) -> dict[str, Setting]:
    """By name."""
    X, y = load_digits(return_X_y=True)
    digits = X / 8 - 1, y
    found = {
        "digits MLP": Setting(digits, mlp(jax.nn.relu), shapes_of_mlp(64, 16, 10), None),
        "digits CNN": Setting(digits, cnn, SHAPES_OF_CNN, None),
    }
    X, y = load_breast_cancer(return_X_y=True)
    cancer = (X - X.mean(0)) / X.std(0), y
    found["breast cancer MLP"] = Setting(cancer, mlp(jnp.tanh), shapes_of_mlp(30, 16, 2), None)
    with np.load(folder / "mnist.npz") as stored:
        X, y = stored["X_train"][:4000].reshape(-1, 28, 28) / 255.0, stored["y_train"][:4000]
    X = X.reshape(-1, 7, 4, 7, 4).mean((2, 4)).reshape(len(X), -1)
    mnist = (X - X.mean()) / X.std(), y.astype(int)
    found["MNIST 7x7 MLP"] = Setting(mnist, mlp(jnp.tanh), shapes_of_mlp(49, 16, 10), None)
    with np.load(folder / "cifar10_subset_jpeg.npz") as stored:
        X, y = stored["X_train"][:3000].astype(float), stored["y_train"][:3000]
    X = X.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4, 5)).reshape(len(X), -1)
    cifar = (X - X.mean()) / X.std(), y.astype(int)
    found["CIFAR-10 8x8 CNN"] = Setting(cifar, cnn, SHAPES_OF_CNN, None)
    for name, noise in (("energy", 0.01), ("kin8nm", 0.1), ("concrete", 0.1)):
        split = load(name, folder)
        data = split.X, split.y
        shapes = shapes_of_mlp(data[0].shape[1], 20, 1)
        found[f"{name} MLP"] = Setting(data, mlp(jnp.tanh), shapes, noise)
    return found
