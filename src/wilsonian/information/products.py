r"""Products with the square root of the Fisher metric, :math:`F = A^T A`, :math:`A_t = S_t^T J_t`.

`push` is :math:`A v`, one derivative forward over the data (JVP); `pull` is :math:`A^T c`, one
backward (VJP). Everything large is done with these two; who calls them can count them.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.information.trained_network import TrainedNetwork

BLOCK_BYTES = 2**28  # of parameters in memory at a time, in products with several columns

_counter: contextvars.ContextVar[dict[str, int] | None] = contextvars.ContextVar(
    "products", default=None
)


@contextlib.contextmanager
def count_products() -> Iterator[dict[str, int]]:
    """Counts of `jvp` and `vjp` over the data in the block: `with count_products() as counts`."""
    counts = {"jvp": 0, "vjp": 0}
    token = _counter.set(counts)
    try:
        yield counts
    finally:
        _counter.reset(token)


def _count(name: str, times: int = 1) -> None:
    counts = _counter.get()
    if counts is not None:
        counts[name] += times


def push(network: TrainedNetwork, v: Any) -> Float[Array, "n k"]:
    """:math:`A v` at the training points."""
    _count("jvp")
    return _push(network.function, network.likelihood, network.point, network.inputs, v)


def pull(network: TrainedNetwork, c: Float[Array, "n k"]) -> Any:
    """:math:`A^T c`, parameters."""
    _count("vjp")
    return _pull(network.function, network.likelihood, network.point, network.inputs, c)


def square(network: TrainedNetwork, columns: Float[Array, "nk count"]) -> Float[Array, "nk count"]:
    """:math:`A A^T` applied to every column, so many at a time as their parameters fit."""
    count = columns.shape[1]
    for name in ("jvp", "vjp"):
        _count(name, count)
    together = max(1, int(BLOCK_BYTES / (network.size * columns.dtype.itemsize)))
    return _square(
        *(network.function, network.likelihood, network.point, network.inputs),
        *(columns, min(together, count)),
    )


def push_outputs(network: TrainedNetwork, X: Array, v: Any) -> Float[Array, "n k"]:
    """:math:`J v` at the points `X`: the linearised change of the outputs."""
    _count("jvp")
    return _push_outputs(network.function, network.point, X, v)


class AtPoint(NamedTuple):
    """First derivatives of the loss where the parameters are, and the parameters in them."""

    scores: Float[Array, "n k"]  # q
    pushed: Float[Array, "n k"]  # A z
    slope: Any  # g = A^T q
    whitened: Any  # z
    away: Float[Array, ""]  # |g + z|
    length: Float[Array, ""]  # |z|


def at_point(network: TrainedNetwork) -> AtPoint:
    """One product each way."""
    for name in ("jvp", "vjp"):
        _count(name)
    return _at_point(
        *(network.function, network.likelihood, network.point, network.prior_point),
        *(network.inputs, network.labels),
    )


@compiled
def _at_point(function, likelihood, u, origin, X, labels):
    z = jax.tree.map(jnp.subtract, u, origin)
    f, back = function.pull(u, X)
    q = likelihood.scores(f, labels)
    slope = back(likelihood.factor(f, q))
    pairs = list(zip(jax.tree.leaves(slope), jax.tree.leaves(z), strict=True))
    away, length = (
        jnp.sqrt(sum(jnp.sum((a + b) ** 2) for a, b in pairs)),
        jnp.sqrt(sum(jnp.sum(b**2) for _, b in pairs)),
    )
    pushed = likelihood.transposed(f, function.push(u, X, z)[1])
    return AtPoint(q, pushed, slope, z, away, length)


def gradient(network: TrainedNetwork) -> Any:
    """Gradient of the summed loss in whitened parameters, :math:`A^T q`."""
    return pull(network, scores(network))


def scores(network: TrainedNetwork) -> Float[Array, "n k"]:
    return _scores(network.likelihood, network.outputs, network.labels)


@compiled
def _scores(likelihood, outputs, labels):
    return likelihood.scores(outputs, labels)


@compiled
def _push(function, likelihood, u, X, v):
    f, change = function.push(u, X, v)
    return likelihood.transposed(f, change)


@compiled
def _pull(function, likelihood, u, X, c):
    f, back = function.pull(u, X)
    return back(likelihood.factor(f, c))


@compiled
def _square(function, likelihood, u, X, columns, together):
    f, back = function.pull(u, X)

    def of_column(column):
        v = back(likelihood.factor(f, column.reshape(f.shape)))
        return likelihood.transposed(f, function.push(u, X, v)[1]).reshape(-1)

    return jax.lax.map(of_column, columns.T, batch_size=together).T


@compiled
def _push_outputs(function, u, X, v):
    return function.push(u, X, v)[1]


# Dense: for few parameters only, in blocks of points.


@compiled
def dense_fisher(
    function: Any, likelihood: Any, u: Any, X: Array, weights: Array, block: int
) -> Float[Array, "p p"]:
    """:math:`F = A^T A` from blocks of A; every point counted `weights` times."""
    size = sum(leaf.size for leaf in jax.tree.leaves(u))
    points, weights = blocks(X, block), blocks(weights, block, fill=0.0)

    def add(total, both):
        points, weights = both
        rows = dressed_jacobian(function, likelihood, u, points)
        rows = (rows * jnp.sqrt(weights)[:, None, None]).reshape(-1, size)
        return total + jnp.dot(rows.T, rows, precision="highest"), None

    empty = jnp.zeros((size, size), jax.tree.leaves(u)[0].dtype)
    return jax.lax.scan(add, empty, (points, weights))[0]


def dressed_jacobian(function: Any, likelihood: Any, u: Any, X: Array) -> Float[Array, "n k p"]:
    """:math:`A_t = S_t^T J_t` at the points `X`."""
    return likelihood.all_transposed(function.many(u, X), function.jacobian(u, X))


@compiled
def map_points(kernel: Any, X: Array, block: int) -> Any:
    """`kernel(block of points)` for consecutive blocks, results stacked along the points."""
    results = jax.lax.map(kernel, blocks(X, block))
    return jax.tree.map(lambda r: r.reshape(-1, *r.shape[2:])[: len(X)], results)


def blocks(X: Array, size: int, fill: float | None = None) -> Array:
    """Consecutive blocks of rows; the last filled up with copies of the last row, or `fill`."""
    size = min(size, len(X))
    count = -(-len(X) // size)
    missing = count * size - len(X)
    widths = ((0, missing), *((0, 0) for _ in X.shape[1:]))
    if fill is None:
        filled = jnp.pad(X, widths, mode="edge")
    else:
        filled = jnp.pad(X, widths, constant_values=fill)
    return filled.reshape(count, size, *X.shape[1:])
