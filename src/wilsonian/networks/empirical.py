"""Empirical kernels: NTK and NNGP of a finite network as it is, by the cheapest of three ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.core.precision import compiled
from wilsonian.networks.structured import WeightSites, find_sites

Method = Literal["auto", "jacobian", "products", "structured"]
Outputs = Literal["mean", "full"]
Function = Callable[[Any, Array], Array]  # of parameters and one point


def empirical_ntk(
    network: Callable,
    X: Any,
    Z: Any = None,
    *,
    parameters: Any = None,
    batched: bool = False,
    outputs: Outputs = "mean",
    method: Method = "auto",
    block_size: int | None = None,
) -> Array:
    r"""Tangent kernel of a finite network at its present parameters (Jacot et al. 2018),

    .. math:: \Theta_{oo'}(x, z) = \partial_\theta f_o(x) \cdot \partial_\theta f_{o'}(z) .

    `network` is an Equinox module, called with one point and differentiated in its floating-point
    arrays; or, with `parameters`, a function `f(parameters, x)` of one point. With `batched` it is
    called with a batch of one and its first result is taken. Outputs of any shape are flattened.

    `outputs="mean"` returns the mean of the diagonal over outputs, (n, m), which tends to the
    infinite network's kernel; `"full"` all pairs of outputs, (n, m, o, o). Three ways give the
    same numbers (Novak et al. 2022): `"jacobian"` contracts both Jacobians; `"products"` pushes
    each output's gradient at z through the derivative at x; `"structured"` never forms the
    Jacobian of a weight matrix that enters one matrix product, since it is an outer product of
    what goes in and what comes back. `"auto"` takes the cheapest by :func:`empirical_ntk_costs`.

    With `block_size` b only b x b pairs of points are in memory at a time, and the derivatives at
    the points of `Z` are computed anew for each block of `X`.

    Raises TypeError for a network without parameters, ValueError for an unknown choice.
    """
    function, parameters = _function_of(network, parameters, batched)
    X, Z = _points(X), None if Z is None else _points(Z)
    _check_choice("outputs", outputs, ("mean", "full"))
    _check_choice("method", method, ("auto", "jacobian", "products", "structured"))
    if method == "auto":
        costs = _costs(function, parameters, X, X if Z is None else Z, outputs)
        method = min(costs, key=lambda name: costs[name])
    return _ntk(parameters, X, Z, function, outputs, method, block_size)


def empirical_nngp(
    network: Callable,
    X: Any,
    Z: Any = None,
    *,
    parameters: Any = None,
    batched: bool = False,
    outputs: Outputs = "mean",
) -> Array:
    r"""Products of a finite network's outputs, :math:`f_o(x) f_{o'}(z)`, whose mean over
    initializations is the NNGP (Lee et al. 2018).

    Arguments as of :func:`empirical_ntk`; the mean over many outputs is itself an estimate of the
    infinite network's kernel: :math:`\frac1o \sum_o f_o(x) f_o(z)`.
    """
    function, parameters = _function_of(network, parameters, batched)
    _check_choice("outputs", outputs, ("mean", "full"))
    X = _points(X)
    at_x = jax.vmap(lambda x: function(parameters, x))(X)
    at_z = at_x if Z is None else jax.vmap(lambda z: function(parameters, z))(_points(Z))
    if outputs == "full":
        return jnp.einsum("io,jp->ijop", at_x, at_z, precision="highest")
    return jnp.einsum("io,jo->ij", at_x, at_z, precision="highest") / at_x.shape[1]


def empirical_ntk_costs(
    network: Callable,
    X: Any,
    Z: Any = None,
    *,
    parameters: Any = None,
    batched: bool = False,
    outputs: Outputs = "mean",
) -> dict[Method, float]:
    r"""Multiplications and additions that each way of :func:`empirical_ntk` takes, estimated.

    With n and m points, o outputs, P parameters and a forward pass of F operations per point (by
    XLA's count), a product with a transposed or a plain Jacobian counts 2 F:

    .. math::
        \text{jacobian} &= (n + m)(1 + 2 o) F + 2 n m P r, \\
        \text{products} &= m (1 + 2 o) F + n m o \cdot 3 F, \\
        \text{structured} &= (n + m)(1 + 2 o) F + 2 n m [\textstyle\sum_W s_W^2 (r h_W + d_W + r)
        + r P_{\rm rest}],

    with r = o for the mean over outputs and r = o^2 for all pairs; a weight matrix W from d_W to
    h_W features that is applied at s_W places; and P_rest the parameters outside such matrices.
    After Novak et al. 2022, table 1. Memory is not counted: see `block_size`.
    """
    function, parameters = _function_of(network, parameters, batched)
    X = _points(X)
    return _costs(function, parameters, X, X if Z is None else _points(Z), outputs)


def _costs(
    function: Function, parameters: Any, X: Array, Z: Array, outputs: Outputs
) -> dict[Method, float]:
    n, m = len(X), len(Z)
    o = jax.eval_shape(lambda p, x: function(p, x), parameters, X[0]).size
    pairs = o if outputs == "mean" else o**2
    total = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    shapes = jax.eval_shape(lambda: (parameters, X[0]))
    # A closure: JAX would hash the module's arrays.
    analysis = jax.jit(lambda p, x: function(p, x)).lower(*shapes).cost_analysis()
    forward = float((analysis or {}).get("flops", 0.0)) or 2.0 * total
    sites = find_sites(function, parameters, X[0])
    by_site = sum(
        site.places**2 * (pairs * site.features_out + site.features_in + pairs)
        for site in sites.found.values()
    )
    rest = total - sum(site.features_in * site.features_out for site in sites.found.values())
    backward = (1 + 2 * o) * forward
    return {
        "jacobian": (n + m) * backward + 2.0 * n * m * total * pairs,
        "products": m * backward + 3.0 * n * m * o * forward,
        "structured": (n + m) * backward + 2.0 * n * m * (by_site + pairs * rest),
    }


@compiled
def _ntk(parameters, X, Z, function, outputs, method, block_size):
    sites = find_sites(function, parameters, X[0]) if method == "structured" else None

    def evaluate(X, Z):
        if sites is not None:
            return _by_structure(sites, parameters, X, Z, outputs)
        tile = _by_jacobians if method == "jacobian" else _by_products
        return tile(function, parameters, X, Z, outputs)

    Z = X if Z is None else Z
    if block_size is None:
        return evaluate(X, Z)
    n, m = len(X), len(Z)
    X, Z = _blocks(X, block_size), _blocks(Z, block_size)
    tiles = jax.lax.map(lambda x: jax.lax.map(lambda z: evaluate(x, z), Z), X)
    whole = jnp.swapaxes(tiles, 1, 2)  # (blocks, b, blocks, b, ...)
    whole = whole.reshape(len(X) * X.shape[1], len(Z) * Z.shape[1], *tiles.shape[4:])
    return whole[:n, :m]


def _blocks(X: Array, block_size: int) -> Array:
    """Consecutive blocks of rows; the last is filled up with copies of the last row."""
    size = min(block_size, len(X))
    blocks = -(-len(X) // size)
    filled = jnp.pad(X, ((0, blocks * size - len(X)), *((0, 0) for _ in X.shape[1:])), mode="edge")
    return filled.reshape(blocks, size, *X.shape[1:])


def _contract(left: Array, right: Array, outputs: Outputs) -> Array:
    """Inner products of (n, o, p) with (m, o, p) over p: their mean over o, or all pairs of o."""
    if outputs == "mean":
        flat = left.reshape(len(left), -1), right.reshape(len(right), -1)
        return jnp.dot(flat[0], flat[1].T, precision="highest") / left.shape[1]
    return jnp.einsum("iop,jqp->ijoq", left, right, precision="highest")


def _by_jacobians(
    function: Function, parameters: Any, X: Array, Z: Array, outputs: Outputs
) -> Array:
    def jacobians(points):
        slopes = jax.vmap(lambda x: jax.jacrev(function)(parameters, x))(points)
        return [slope.reshape(*slope.shape[:2], -1) for slope in jax.tree.leaves(slopes)]

    at_x = jacobians(X)
    at_z = at_x if Z is X else jacobians(Z)
    # Leaf by leaf: putting them side by side would copy the Jacobian.
    total: Any = 0.0  # keeps the precision of what is added
    for left, right in zip(at_x, at_z, strict=True):
        total = total + _contract(left, right, outputs)
    return total


def _by_products(
    function: Function, parameters: Any, X: Array, Z: Array, outputs: Outputs
) -> Array:
    def pair(z):
        # Gradients of every output at z, once; then their products with the derivative at x.
        gradients = jax.jacrev(function)(parameters, z)

        def at(x):
            _, push = jax.linearize(lambda p: function(p, x), parameters)
            if outputs == "mean":
                count = jax.tree.leaves(gradients)[0].shape[0]
                # One output after the other: their products side by side would be (o, P) again.
                row = jax.lax.map(
                    lambda o: push(jax.tree.map(lambda g: g[o], gradients))[o], jnp.arange(count)
                )
                return jnp.mean(row)
            return jax.lax.map(push, gradients).T  # (output at x, output at z)

        return jax.lax.map(at, X)

    return jnp.swapaxes(jax.lax.map(pair, Z), 0, 1)


def _by_structure(
    sites: WeightSites, parameters: Any, X: Array, Z: Array, outputs: Outputs
) -> Array:
    def pieces(points):
        return jax.vmap(lambda x: sites.factors(parameters, x))(points)

    factors_x, rest_x = pieces(X)
    factors_z, rest_z = (factors_x, rest_x) if Z is X else pieces(Z)
    total: Any = 0.0  # keeps the precision of what is added
    for left, right in zip(rest_x, rest_z, strict=True):
        left, right = (slope.reshape(*slope.shape[:2], -1) for slope in (left, right))
        total = total + _contract(left, right, outputs)
    for (into_x, back_x, scale_x), (into_z, back_z, scale_z) in zip(
        factors_x, factors_z, strict=True
    ):
        # into (n, places, d), back (n, o, places, h): inner products of outer products.
        inputs = jnp.einsum("isd,jtd->ijst", into_x, into_z, precision="highest")
        if outputs == "mean":
            cotangents = jnp.einsum("iosh,joth->ijst", back_x, back_z, precision="highest")
            part = jnp.sum(inputs * cotangents, (2, 3)) / back_x.shape[1]
        else:
            cotangents = jnp.einsum("iosh,jqth->ijoqst", back_x, back_z, precision="highest")
            part = jnp.einsum("ijst,ijoqst->ijoq", inputs, cotangents, precision="highest")
        scales = scale_x[:, None] * scale_z  # as the matrix was multiplied by at either point
        total = total + part * scales.reshape(*scales.shape, *(1,) * (part.ndim - 2))
    return total


class _OfOnePoint(eqx.Module):
    """A function of parameters (floating-point arrays, all of them) and one point, with flat
    outputs. A pytree, so that compiled code is found again at the next call."""

    network: Callable | None  # None: the parameters are the network
    fixed: Any
    batched: bool = eqx.field(static=True)

    def __call__(self, moved: Any, x: Array) -> Array:
        whole = eqx.combine(moved, self.fixed)
        point = x[None] if self.batched else x
        result = whole(point) if self.network is None else self.network(whole, point)
        return jnp.ravel(result[0] if self.batched else result)


def _function_of(network: Callable, parameters: Any, batched: bool) -> tuple[Function, Any]:
    moved, fixed = eqx.partition(
        network if parameters is None else parameters, eqx.is_inexact_array
    )
    if not jax.tree.leaves(moved):
        raise TypeError(
            "the network has no floating-point arrays to differentiate; pass an Equinox module, or "
            "a function f(parameters, x) and `parameters`."
        )
    return _OfOnePoint(None if parameters is None else network, fixed, batched), moved


def _points(X: Any) -> Array:
    X = jnp.asarray(X)
    if X.ndim == 0 or len(X) == 0:
        raise ValueError(f"`X` must hold points along its first axis, got shape {X.shape}.")
    return X if jnp.issubdtype(X.dtype, np.inexact) else X.astype(float)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}, got {value!r}.")
