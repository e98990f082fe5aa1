"""Networks with known information, shared by the tests of `wilsonian.information`."""

import jax.numpy as jnp
import numpy as np

from wilsonian import Kernel, information

# Reference R1 (docs/science/information.md, section 8): regression on 40 cosines.
COUNT, FEATURES, NOISE = 24, 40, 0.01
ORDERS = np.arange(1, FEATURES + 1)
VARIANCES = ORDERS**-1.5
INPUTS = -1 + (2 * np.arange(COUNT) + 1) / COUNT
TARGETS = np.sin(3 * INPUTS) + 0.3 * INPUTS**2
NEW = np.array([[0.3]])


def features(x):
    return jnp.cos(ORDERS * x + ORDERS**2 / 7)


def linear(parameters, x):
    return features(x[0]) @ parameters


def linear_map():
    """Parameters at the minimum of R1, by ridge regression."""
    matrix = np.cos(np.outer(INPUTS, ORDERS) + ORDERS**2 / 7)
    stiff = matrix.T @ matrix / NOISE + np.diag(1 / VARIANCES)
    return np.linalg.solve(stiff, matrix.T @ TARGETS / NOISE)


def linear_network(**options):
    return information.network(
        linear,
        INPUTS[:, None],
        TARGETS,
        likelihood="regression",
        noise_variance=NOISE,
        prior=information.Prior(VARIANCES),
        **{"parameters": linear_map(), **options},
    )


class LinearKernel(Kernel):
    """What R1's parameters make of two points under their prior."""

    def evaluate(self, x, z):
        return jnp.sum(VARIANCES * features(x[0]) * features(z[0]))


# Reference R2: three points, three classes.


def softmax_network():
    parameters = {
        "V": np.array([[np.cos(k + 2 * j + 1) for j in range(3)] for k in range(3)]),
        "b": np.array([0.1, 0.2, -0.1]),
        "w": np.array([0.5, -0.3, 0.8]),
    }
    return information.network(
        lambda p, x: p["V"] @ jnp.tanh(p["w"] * x[0] + p["b"]),
        np.array([[0.2], [-0.5], [1.0]]),
        np.array([0, 2, 1]),
        likelihood="softmax",
        prior=1.0,
        parameters=parameters,
    )
