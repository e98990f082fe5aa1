r"""Outputs as a function of whitened parameters, and all derivatives of them that are asked for.

:math:`u \mapsto f(\Sigma_0^{1/2} u, x)`, u in units of the prior's standard deviation. What differs
between JAX and other libraries is here; nothing else in the room differentiates a network.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.information.trees import cast_to, times
from wilsonian.networks.empirical import empirical_ntk, empirical_ntk_costs


class AbstractFunction(eqx.Module):
    """Flat outputs of a network as a function of the whitened parameters in the scope."""

    @abc.abstractmethod
    def many(self, u: Any, X: Array) -> Float[Array, "n k"]:
        """Outputs at points along the first axis."""

    @abc.abstractmethod
    def push(self, u: Any, X: Array, v: Any) -> tuple[Float[Array, "n k"], Float[Array, "n k"]]:
        """Outputs, and :math:`J v`."""

    @abc.abstractmethod
    def pull(self, u: Any, X: Array) -> tuple[Float[Array, "n k"], Callable[[Array], Any]]:
        r"""Outputs, and the map :math:`c \mapsto J^T c`."""

    @abc.abstractmethod
    def jacobian(self, u: Any, X: Array) -> Float[Array, "n k p"]:
        """Jacobian at the points `X` with flat parameters; for few of them."""

    @abc.abstractmethod
    def tangent_kernel(self, u: Any, X: Array, Z: Array | None) -> Float[Array, "n m k k"]:
        r""":math:`J(x) J(z)^T` of all pairs."""

    @abc.abstractmethod
    def tangent_diagonal(self, u: Any, X: Array) -> Float[Array, "n k k"]:
        r""":math:`J(x) J(x)^T`."""

    @abc.abstractmethod
    def operations(self, u: Any, X: Array) -> tuple[float, float]:
        """Of a forward pass at one point, and of the tangent kernel of `X`; estimated."""

    @abc.abstractmethod
    def rebuilt(self, u: Any, kinds: tuple[str, ...]) -> Any:
        """The network's own parameters, or the network, in the precisions `kinds`."""


class JaxFunction(AbstractFunction):
    """Of a function of JAX. Leaves outside the scope are `fixed`."""

    network: Callable | None  # None: the parameters are the network
    fixed: Any
    scales: Any
    batched: bool = eqx.field(static=True)

    def parameters(self, u: Any) -> Any:
        return eqx.combine(jax.tree.map(jnp.multiply, u, self.scales), self.fixed)

    def __call__(self, u: Any, x: Array) -> Float[Array, " k"]:
        """Flat outputs at one point."""
        if self.batched:
            return self.many(u, x[None])[0]
        return jnp.ravel(self._whole(u)(x))

    def many(self, u, X):
        whole = self._whole(u)
        outputs = whole(X) if self.batched else jax.vmap(whole)(X)
        return outputs.reshape(len(X), -1)

    def _whole(self, u: Any) -> Callable:
        parameters = self.parameters(u)
        if self.network is None:
            return parameters
        network = self.network
        return lambda x: network(parameters, x)

    def push(self, u, X, v):
        return jax.jvp(lambda u: self.many(u, X), (u,), (v,))

    def pull(self, u, X):
        f, back = jax.vjp(lambda u: self.many(u, X), u)
        return f, lambda c: back(c)[0]

    def jacobian(self, u, X):
        def of_point(x):
            slopes = jax.jacrev(lambda u: self(u, x))(u)
            width = jax.tree.leaves(slopes)[0].shape[0]
            return jnp.concatenate(
                [slope.reshape(width, -1) for slope in jax.tree.leaves(slopes)], axis=1
            )

        return jax.vmap(of_point)(X)

    def tangent_kernel(self, u, X, Z):
        return empirical_ntk(self, X, Z, parameters=u, outputs="full", method="structured")

    def tangent_diagonal(self, u, X):
        return _diagonal(self, u, X)

    def operations(self, u, X):
        shapes = jax.eval_shape(lambda: (u, X[0]))
        analysis = jax.jit(lambda u, x: self(u, x)).lower(*shapes).cost_analysis()
        size = sum(leaf.size for leaf in jax.tree.leaves(u))
        forward = float((analysis or {}).get("flops", 0.0)) or 2.0 * size
        costs = empirical_ntk_costs(self, X, parameters=u, outputs="full")
        return forward, costs["structured"]

    def rebuilt(self, u, kinds):
        whole = eqx.combine(times(u, self.scales), self.fixed)
        moved, fixed = eqx.partition(whole, eqx.is_inexact_array)
        leaves, structure = jax.tree.flatten(moved)
        cast = [cast_to(leaf, kind) for leaf, kind in zip(leaves, kinds, strict=True)]
        return eqx.combine(jax.tree.unflatten(structure, cast), fixed)


@compiled
def _diagonal(function, u, X):
    def at(x):
        pair = empirical_ntk(function, x[None], parameters=u, outputs="full", method="structured")
        return pair[0, 0]

    return jax.lax.map(at, X, batch_size=64)
