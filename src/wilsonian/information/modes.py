r"""Modes of a Fisher metric, :math:`F v_A = k_A v_A`, held on the parameters' side or the data's.

On the data side :math:`v_A = A^T u_A / \sqrt{k_A}` is never stored: its coordinate of a vector is
one JVP over the data, a combination of modes one VJP, whatever their number (docs/science/
information.md, section 7).
"""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled, full_products
from wilsonian.information import products, tangent
from wilsonian.information.trained_network import TrainedNetwork
from wilsonian.support.trees import raveled, unraveled

BLOCK = 32  # points whose Jacobian is in memory at a time


class AbstractModes(eqx.Module):
    """Orthonormal directions of whitened parameters, of positive information, descending. Their
    arrays are NumPy's, which keeps float64 where JAX is asked without it."""

    information: eqx.AbstractVar[Float[np.ndarray, " modes"]]

    @abc.abstractmethod
    def coordinates(self, network: TrainedNetwork, v: Any) -> Float[np.ndarray, " modes"]:
        """:math:`v_A \\cdot v` of whitened parameters `v`."""

    @abc.abstractmethod
    def combine(self, network: TrainedNetwork, c: Float[np.ndarray, " modes"]) -> Any:
        """:math:`\\sum_A c_A v_A` as parameters."""

    @abc.abstractmethod
    def on_data(self, network: TrainedNetwork) -> Float[np.ndarray, "n k modes"]:
        """:math:`u_A = A v_A / \\sqrt{k_A}` at the training points, orthonormal."""

    @abc.abstractmethod
    def outputs(self, network: TrainedNetwork, X: Array) -> Float[Array, "n k modes"]:
        """:math:`J_* v_A`: what a unit step along every mode does to the outputs at `X`."""

    @abc.abstractmethod
    def by_leaf(self, network: TrainedNetwork) -> Float[np.ndarray, "leaves modes"]:
        """Which fraction of every mode lies in every parameter leaf; columns sum to one."""


class ParameterModes(AbstractModes):
    """Modes as vectors of parameters, (P, modes): for few parameters."""

    information: Float[np.ndarray, " modes"]
    vectors: Float[np.ndarray, "p modes"]

    @full_products
    def coordinates(self, network, v):
        return self.vectors.T @ raveled(v)

    @full_products
    def combine(self, network, c):
        return unraveled(self.vectors @ c, network.point)

    def on_data(self, network):
        rows = _dressed_steps(
            network.function, network.likelihood, network.point, network.inputs, self.vectors
        )
        return np.asarray(rows) / np.sqrt(self.information)

    def outputs(self, network, X):
        return _steps(network.function, network.point, X, self.vectors)

    def by_leaf(self, network):
        parts, start = [], 0
        for leaf in jax.tree.leaves(network.point):
            parts.append(np.sum(self.vectors[start : start + leaf.size] ** 2, axis=0))
            start += leaf.size
        return np.stack(parts)


class DataModes(AbstractModes):
    """Modes as vectors of the dressed outputs at the training points, (TK, modes)."""

    information: Float[np.ndarray, " modes"]
    vectors: Float[np.ndarray, "tk modes"]

    def coordinates(self, network, v):
        return self.of_pushed(products.push(network, v))

    def of_pushed(self, pushed: Float[Array, "n k"]) -> Float[np.ndarray, " modes"]:
        """Coordinates of a vector from :math:`A v`."""
        return self.vectors.T @ np.ravel(np.asarray(pushed)) / np.sqrt(self.information)

    def combine(self, network, c):
        column = self.vectors @ (c / np.sqrt(self.information))
        return products.pull(network, column.reshape(network.examples, network.width))

    def of_scores(self, scores: Float[Array, "n k"]) -> Float[np.ndarray, " modes"]:
        """Coordinates of :math:`g = A^T q`: :math:`v_A \\cdot g = u_A \\cdot A A^T q / \\sqrt{k_A}
        = \\sqrt{k_A}\\, u_A \\cdot q`, without a product over the data."""
        return np.sqrt(self.information) * (self.vectors.T @ np.ravel(np.asarray(scores)))

    def on_data(self, network):
        return self.vectors.reshape(network.examples, network.width, -1)

    def outputs(self, network, X):
        return _scaled(tangent.cross_kernel(network, X), self.vectors, self.information)

    def by_leaf(self, network):
        columns = self.vectors / np.sqrt(self.information)
        columns = columns.T.reshape(-1, network.examples, network.width)
        shares = _leaf_shares(
            network.function, network.likelihood, network.point, network.inputs, columns
        )
        return np.asarray(shares).T


def _contract(matrix, vector):
    return jnp.dot(matrix, vector, precision="highest")


@jax.jit
@full_products
def _scaled(cross, vectors, information):
    return _contract(cross, vectors) / jnp.sqrt(information)


@compiled
def _steps(function, u, X, vectors):
    def of_block(points):
        return _contract(function.jacobian(u, points), vectors)

    return products.map_points(of_block, X, BLOCK)


@compiled
def _dressed_steps(function, likelihood, u, X, vectors):
    def of_block(points):
        return _contract(products.dressed_jacobian(function, likelihood, u, points), vectors)

    return products.map_points(of_block, X, BLOCK)


@compiled
def _leaf_shares(function, likelihood, u, X, columns):
    f, back = function.pull(u, X)

    def shares(column):
        vector = back(likelihood.factor(f, column))
        return jnp.stack([jnp.sum(leaf**2) for leaf in jax.tree.leaves(vector)])

    return jax.lax.map(shares, columns)
