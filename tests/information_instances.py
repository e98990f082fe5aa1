"""Networks with known information, shared by the tests of `wilsonian.information`."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special

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


def at_minimum(function, parameters, X, y, likelihood, steps=500):
    """Parameters at a minimum of the summed loss with a standard normal prior."""
    with jax.enable_x64(True):
        leaves, structure = jax.tree.flatten(parameters)
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
        X, y = jnp.asarray(X), jnp.asarray(y)

        def unflat(vector):
            parts = jnp.split(vector, ends)
            shaped = [p.reshape(leaf.shape) for p, leaf in zip(parts, leaves, strict=True)]
            return jax.tree.unflatten(structure, shaped)

        def loss(vector):
            outputs = jax.vmap(lambda x: function(unflat(vector), x))(X)
            return jnp.sum(likelihood.nll(outputs, y)) + vector @ vector / 2

        value = jax.jit(jax.value_and_grad(loss))
        found = scipy.optimize.minimize(
            lambda v: tuple(np.asarray(part, float) for part in value(jnp.asarray(v))),
            np.concatenate([np.ravel(leaf) for leaf in leaves]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 0, "gtol": 1e-8},
        )
        return jax.tree.map(np.asarray, unflat(jnp.asarray(found.x)))


# Reference of docs/science/information.md, section 9: digits, 64-32-10.


def digits_network(p, x):
    hidden = jax.nn.relu(p["W1"] @ x / 2 + p["b1"])
    return p["W2"] @ hidden / 2**0.5 + p["b2"]


def digits_minimum(X, y, seed, steps):
    """Its parameters after so many steps of L-BFGS, with derivatives by hand: in NumPy, since the
    tests compile without optimization."""
    random = np.random.RandomState(1000 + seed)
    start = {"W1": random.randn(32, 64), "b1": random.randn(32)}
    start |= {"W2": random.randn(10, 32), "b2": random.randn(10)}
    ends, hot = np.cumsum([leaf.size for leaf in start.values()])[:-1], np.eye(10)[y]

    def unflat(vector):
        parts = zip(start, np.split(vector, ends), strict=True)
        return {name: part.reshape(start[name].shape) for name, part in parts}

    def objective(vector):
        p = unflat(vector)
        z = X @ p["W1"].T / 2 + p["b1"]
        h = np.maximum(z, 0)
        f = h @ p["W2"].T / 2**0.5 + p["b2"]
        logs = f - scipy.special.logsumexp(f, axis=1, keepdims=True)
        u = np.exp(logs) - hot
        g = (u @ p["W2"] / 2**0.5) * (z > 0)
        slopes = [g.T @ X / 2, g.sum(0), u.T @ h / 2**0.5, u.sum(0)]
        slope = np.concatenate([np.ravel(part) for part in slopes])
        return vector @ vector / 2 - np.sum(hot * logs), slope + vector

    found = scipy.optimize.minimize(
        objective,
        np.concatenate([np.ravel(leaf) for leaf in start.values()]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 0, "gtol": 1e-4},
    )
    return unflat(found.x)
