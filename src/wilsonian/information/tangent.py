r"""Tangent kernels of a whitened network, dressed by the likelihood: the dual of its Fisher metric.

:math:`G = A A^T = S^T \Theta S`, (TK, TK), has the nonzero eigenvalues of :math:`F = A^T A`. It
comes from the structured tangent kernel, which never forms a Jacobian of a weight matrix
(docs/science/information.md, section 7).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.information.trained_network import TrainedNetwork


def dressed_gram(network: TrainedNetwork) -> Float[Array, "tk tk"]:
    """:math:`G = A A^T` of the training points."""
    theta = network.function.tangent_kernel(network.point, network.inputs, None)
    return _dressed(network.likelihood, network.outputs, theta)


def cross_kernel(network: TrainedNetwork, X: Array) -> Float[Array, "n k tk"]:
    """:math:`J_* A^T`: outputs at the points `X` against the dressed ones of the training set."""
    theta = network.function.tangent_kernel(network.point, X, network.inputs)
    return _half_dressed(network.likelihood, network.outputs, theta)


def tangent_kernel(network: TrainedNetwork, X: Array, Z: Array) -> Float[Array, "n m k k"]:
    """Bare tangent kernel between two sets of points, all pairs of outputs."""
    return network.function.tangent_kernel(network.point, X, Z)


def tangent_diagonal(network: TrainedNetwork, X: Array) -> Float[Array, "n k k"]:
    """Bare tangent kernel of every point with itself."""
    return network.function.tangent_diagonal(network.point, X)


@compiled
def _dressed(likelihood: Any, outputs: Array, theta: Array) -> Array:
    n, m, k, _ = theta.shape
    # Columns, then rows: (n, k, m k) with S^T on k, and its transpose once more.
    half = likelihood.all_transposed(outputs, jnp.moveaxis(theta, 2, 1).reshape(n, k, m * k))
    half = jnp.moveaxis(half.reshape(n, k, m, k), (2, 3), (0, 1)).reshape(m, k, n * k)
    gram = likelihood.all_transposed(outputs, half).reshape(m * k, n * k)
    return (gram + gram.T) / 2


@compiled
def _half_dressed(likelihood: Any, outputs: Array, theta: Array) -> Array:
    n, m, k, _ = theta.shape
    rows = jnp.moveaxis(theta, (1, 3), (0, 1)).reshape(m, k, n * k)
    rows = likelihood.all_transposed(outputs, rows)  # (m, k of training, n k)
    return jnp.moveaxis(rows.reshape(m * k, n, k), 0, 2)
