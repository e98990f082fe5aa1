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
from jaxtyping import Array, Float

from wilsonian.information import products, tangent
from wilsonian.information.trained_network import TrainedNetwork

BLOCK = 32  # points whose Jacobian is in memory at a time


class AbstractModes(eqx.Module):
    """Orthonormal directions of whitened parameters, of positive information, descending."""

    information: eqx.AbstractVar[Float[Array, " modes"]]

    @abc.abstractmethod
    def coordinates(self, network: TrainedNetwork, v: Any) -> Float[Array, " modes"]:
        """:math:`v_A \\cdot v` of whitened parameters `v`."""

    @abc.abstractmethod
    def combine(self, network: TrainedNetwork, c: Float[Array, " modes"]) -> Any:
        """:math:`\\sum_A c_A v_A` as parameters."""

    @abc.abstractmethod
    def gradients(self, network: TrainedNetwork) -> Float[Array, " modes"]:
        """:math:`g_A`, the slope of the summed loss."""

    @abc.abstractmethod
    def on_data(self, network: TrainedNetwork) -> Float[Array, "n k modes"]:
        """:math:`u_A = A v_A / \\sqrt{k_A}` at the training points, orthonormal."""

    @abc.abstractmethod
    def outputs(self, network: TrainedNetwork, X: Array) -> Float[Array, "n k modes"]:
        """:math:`J_* v_A`: what a unit step along every mode does to the outputs at `X`."""

    @abc.abstractmethod
    def by_leaf(self, network: TrainedNetwork) -> Float[Array, "leaves modes"]:
        """Which fraction of every mode lies in every parameter leaf; columns sum to one."""


class ParameterModes(AbstractModes):
    """Modes as vectors of parameters, (P, modes): for few parameters."""

    information: Float[Array, " modes"]
    vectors: Float[Array, "p modes"]

    def coordinates(self, network, v):
        return _contract(self.vectors.T, products.flat(v))

    def combine(self, network, c):
        return products.unflat(network, _contract(self.vectors, c))

    def gradients(self, network):
        return self.coordinates(network, products.gradient(network))

    def on_data(self, network):
        rows = _dressed_steps(
            network.function, network.likelihood, network.point, network.inputs, self.vectors
        )
        return rows / jnp.sqrt(self.information)

    def outputs(self, network, X):
        return _steps(network.function, network.point, X, self.vectors)

    def by_leaf(self, network):
        parts, start = [], 0
        for leaf in jax.tree.leaves(network.point):
            parts.append(jnp.sum(self.vectors[start : start + leaf.size] ** 2, axis=0))
            start += leaf.size
        return jnp.stack(parts)


class DataModes(AbstractModes):
    """Modes as vectors of the dressed outputs at the training points, (TK, modes)."""

    information: Float[Array, " modes"]
    vectors: Float[Array, "tk modes"]

    def coordinates(self, network, v):
        row = products.push(network, v).reshape(-1)
        return _contract(self.vectors.T, row) / jnp.sqrt(self.information)

    def combine(self, network, c):
        column = _contract(self.vectors, c / jnp.sqrt(self.information))
        return products.pull(network, column.reshape(network.examples, network.width))

    def gradients(self, network):
        # g = A^T q, hence v_A . g = u_A . A A^T q / sqrt(k) = sqrt(k) u_A . q: no product.
        return jnp.sqrt(self.information) * _contract(
            self.vectors.T, products.scores(network).reshape(-1)
        )

    def on_data(self, network):
        return self.vectors.reshape(network.examples, network.width, -1)

    def outputs(self, network, X):
        cross = tangent.cross_kernel(network, X)
        return _contract(cross, self.vectors) / jnp.sqrt(self.information)

    def by_leaf(self, network):
        columns = self.vectors / jnp.sqrt(self.information)
        columns = columns.T.reshape(-1, network.examples, network.width)
        return _leaf_shares(
            network.function, network.likelihood, network.point, network.inputs, columns
        ).T


@jax.jit
def _contract(matrix, vector):
    return jnp.dot(matrix, vector, precision="highest")


@eqx.filter_jit
def _steps(function, u, X, vectors):
    def of_block(points):
        return _contract(function.jacobian(u, points), vectors)

    return products.map_points(of_block, X, BLOCK)


@eqx.filter_jit
def _dressed_steps(function, likelihood, u, X, vectors):
    def of_block(points):
        return _contract(products.dressed_jacobian(function, likelihood, u, points), vectors)

    return products.map_points(of_block, X, BLOCK)


@eqx.filter_jit
def _leaf_shares(function, likelihood, u, X, columns):
    f, back = function.pull(u, X)

    def shares(column):
        vector = back(likelihood.factor(f, column))
        return jnp.stack([jnp.sum(leaf**2) for leaf in jax.tree.leaves(vector)])

    return jax.lax.map(shares, columns)
