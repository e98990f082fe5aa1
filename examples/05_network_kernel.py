"""Kernels of infinitely wide ReLU networks, beside a wide one, and the digits learned with them."""

import jax
import jax.numpy as jnp
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from wilsonian import ArcCosine, ReducedGPClassifier

X, y = load_digits(return_X_y=True)
X = X / 16 * 2
X, X_test, y, y_test = train_test_split(X, y, train_size=600, test_size=400, random_state=0)
WIDTH = 256
nngp, ntk = ArcCosine(depth=2, kind="nngp"), ArcCosine(depth=2, kind="ntk")


def network(weights, x):
    """Two hidden ReLU layers and a linear read-out, weights of variance 2 / width."""
    for layer in weights[:-1]:
        x = jax.nn.relu(jnp.sqrt(2 / len(x)) * layer @ x)
    return (jnp.sqrt(2 / len(x)) * weights[-1] @ x)[0]


@jax.jit
def products(key, x, z, width=WIDTH):
    """Product of a network's gradients at x and at z: by its read-out weights, and by all."""
    shapes = [(width, 64), (width, width), (1, width)]
    keys = jax.random.split(key, 3)
    weights = [jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]
    at_x, at_z = jax.grad(network)(weights, x), jax.grad(network)(weights, z)
    layers = [jnp.vdot(a, b) for a, b in zip(at_x, at_z, strict=True)]
    return layers[-1], sum(layers)  # given the hidden layers, the first is the outputs' covariance


x, z = jnp.asarray(X[0]), jnp.asarray(X[1])
keys = jax.random.split(jax.random.key(0), 30)
residual_correction, gradients = jax.lax.map(lambda key: products(key, x, z), keys)
for name, kernel, measured in (("NNGP", nngp, residual_correction), ("NTK", ntk, gradients)):
    error = measured.std() / len(keys) ** 0.5
    print(f"{name:4s} k(x, z) = {kernel(X[:1], X[1:2])[0, 0]:.3f}; ", end="")
    print(f"networks of width {WIDTH}: {measured.mean():.3f} +- {error:.3f}")

for name, kernel in (("NNGP", nngp), ("NTK", ntk)):
    model = ReducedGPClassifier(kernel, learn="scale", rank=150, random_state=0).fit(X, y)
    score = model.score(X_test, y_test)
    print(f"{name:4s} {model.n_modes_:3d} modes, digits read correctly: {score:.1%}")
# For comparison, a support vector machine.
print(f"SVC (RBF),      digits read correctly: {SVC(C=10).fit(X, y).score(X_test, y_test):.1%}")
