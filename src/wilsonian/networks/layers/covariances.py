"""Covariances of the features of two batches, as they pass from layer to layer.

Only what a net needs is tracked. Between positions of images it is either the covariance of each
position with itself (Flatten needs no more) or that of all pairs (pooling and attention do). The
variances of single inputs, which nonlinearities divide by, are found in a pass of their own over
each batch, so that no Gram matrix of them exists and blocks of a Gram do not repeat them.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Numbers = Float[Array, "..."]


class Scope(enum.IntEnum):
    """Which covariances between the positions of two inputs are asked for."""

    NOTHING = 0
    POSITIONS = 1  # of each position with the same one
    PAIRS = 2  # of each position with every one


class Covariances(eqx.Module):
    r"""Per channel, the covariance :math:`E[h_s(x) h_{s'}(z)]` and the tangent kernel
    :math:`\Theta_{s s'}(x, z)` of the features :math:`h` of a layer.

    Axes: one of the batch (inputs with themselves) or two (of two batches); then the positions.
    Pairs of positions are interleaved, (height, height', width, width'), so that a convolution
    acts on one pair of axes after the other.
    """

    covariance: Numbers
    tangent: Numbers | None  # None before the first weights, or when nobody asks for it
    channels: int = eqx.field(static=True)
    spatial: tuple[int, ...] = eqx.field(static=True)
    paired: bool = eqx.field(static=True)
    tracks_tangent: bool = eqx.field(static=True)

    @property
    def batch_axes(self) -> int:
        return self.covariance.ndim - len(self.spatial) * (1 + self.paired)

    def changed(self, **changes: Any) -> Covariances:
        fields = dict(vars(self))
        return Covariances(**{**fields, **changes})

    def mapped(self, function: Callable[[Numbers], Numbers], **changes: Any) -> Covariances:
        """A linear map of both."""
        tangent = None if self.tangent is None else function(self.tangent)
        return self.changed(covariance=function(self.covariance), tangent=tangent, **changes)

    def scoped(self, scope: Scope) -> Covariances:
        """Only the positions with themselves, if no more is asked for."""
        if not self.paired or scope is Scope.PAIRS:
            return self
        return self.mapped(lambda array: same_positions(array, self.batch_axes), paired=False)


def same_positions(pairs: Numbers, batch_axes: int) -> Numbers:
    """Of interleaved pairs of positions, those of a position with itself."""
    for _ in range((pairs.ndim - batch_axes) // 2):
        # The diagonal moves to the end, and the next pair of axes takes its place.
        pairs = jnp.diagonal(pairs, axis1=batch_axes, axis2=batch_axes + 1)
    return pairs


def position_identity(spatial: tuple[int, ...], dtype: Any) -> Numbers:
    """One for a position with itself and zero else, as interleaved pairs."""
    identity = jnp.ones((), dtype)
    for size in spatial:
        identity = identity[..., None, None] * jnp.eye(size, dtype=dtype)
    return identity


def as_matrix(pairs: Numbers, spatial: tuple[int, ...]) -> Numbers:
    """Interleaved pairs of positions as matrices, (..., positions, positions)."""
    batch, axes = pairs.ndim - 2 * len(spatial), len(spatial)
    firsts = [batch + 2 * axis for axis in range(axes)]
    order = [*range(batch), *firsts, *(axis + 1 for axis in firsts)]
    size = math.prod(spatial)
    return pairs.transpose(order).reshape(*pairs.shape[:batch], size, size)


def from_matrix(matrices: Numbers, spatial: tuple[int, ...]) -> Numbers:
    """What :func:`as_matrix` rearranged."""
    batch, axes = matrices.ndim - 2, len(spatial)
    unfolded = matrices.reshape(*matrices.shape[:batch], *spatial, *spatial)
    order = [batch + axis + half * axes for axis in range(axes) for half in (0, 1)]
    return unfolded.transpose(*range(batch), *order)


def of_inputs(
    X: Float[Array, " n *shape"], Z: Float[Array, " m *shape"] | None, scope: Scope, tangent: bool
) -> Covariances:
    """Second moments of two batches, or (`Z` None) of each input with itself, per channel."""
    *spatial, channels = X.shape[1:]
    first, second = "abcdef"[: len(spatial)], "ABCDEF"[: len(spatial)]
    paired = scope is Scope.PAIRS and bool(spatial)
    interleaved = "".join(map("".join, zip(first, second, strict=True)))
    right, result = (second, interleaved) if paired else (first, first)
    batches = "n,n,n" if Z is None else "n,m,nm"
    left_batch, right_batch, batch = batches.split(",")
    covariance = jnp.einsum(
        f"{left_batch}{first}z,{right_batch}{right}z->{batch}{result}",
        X,
        X if Z is None else Z,
        precision=jax.lax.Precision.HIGHEST,
    )
    return Covariances(covariance / channels, None, channels, tuple(spatial), paired, tangent)


# What a block of layers does: (block, state, pass) to a state.
Step = Callable[[Any, Covariances, Any], Covariances]


class OwnPass:
    """A pass over inputs with themselves: what layers read of single inputs is kept here."""

    def __init__(self) -> None:
        self.records: list[Numbers] = []

    def repeated(self, step: Step, blocks: list[Any], state: Covariances) -> Covariances:
        """`state` after one block after the other, blocks that differ in their numbers alone."""

        def one(state, block):
            own = OwnPass()
            return step(block, state, own), own.records

        state, records = jax.lax.scan(one, state, _stacked(blocks))
        for index in range(len(blocks)):
            self.records += [record[index] for record in records]
        return state

    def variances(self, state: Covariances) -> tuple[Numbers, Numbers]:
        """Variance at either position of each pair that `state` holds, ready to broadcast."""
        own = state.scoped(Scope.POSITIONS).covariance
        self.records.append(own)
        return _broadcast(own, own, state)

    def pairs(self, state: Covariances) -> tuple[Numbers, Numbers]:
        """Covariances of all positions of either input, (batch, positions, positions)."""
        own = as_matrix(state.covariance, state.spatial)
        self.records.append(own)
        return own, own

    def same(self, state: Covariances) -> Bool[Array, "..."] | None:
        """Where `state` holds a unit's variance."""
        if not state.paired:
            return jnp.ones((), bool)
        return position_identity(state.spatial, state.covariance.dtype) > 0


class CrossPass:
    """A pass over two batches, which looks up what layers read of single inputs."""

    def __init__(
        self,
        x_records: Sequence[Numbers],
        z_records: Sequence[Numbers],
        identical: Bool[Array, "n m"] | None = None,
    ) -> None:
        self.records = iter(list(zip(x_records, z_records, strict=True)))
        self.identical = identical

    def repeated(self, step: Step, blocks: list[Any], state: Covariances) -> Covariances:
        """As that of :class:`OwnPass`, each block with its own records."""
        records = list(self.records)
        tried = self._with(records)
        jax.eval_shape(lambda state: step(blocks[0], state, tried), state)
        each = len(records) - len(list(tried.records))  # that one block reads
        self.records = iter(records[each * len(blocks) :])
        parts = [records[each * index : each * (index + 1)] for index in range(len(blocks))]

        def one(state, part):
            block, records = part
            return step(block, state, self._with(records)), None

        return jax.lax.scan(one, state, (_stacked(blocks), _stacked(parts)))[0]

    def _with(self, records: Sequence[tuple[Numbers, Numbers]]) -> CrossPass:
        x_records, z_records = zip(*records, strict=True) if records else ((), ())
        return CrossPass(x_records, z_records, self.identical)

    def variances(self, state: Covariances) -> tuple[Numbers, Numbers]:
        x, z = next(self.records)
        return _broadcast(x[:, None], z[None], state)

    def pairs(self, state: Covariances) -> tuple[Numbers, Numbers]:
        x, z = next(self.records)
        return x[:, None], z[None]

    def same(self, state: Covariances) -> Bool[Array, "..."] | None:
        if self.identical is None:
            return None
        axes = state.covariance.ndim - 2
        inputs = self.identical.reshape(*self.identical.shape, *axes * (1,))
        if not state.paired:
            return inputs
        return inputs & (position_identity(state.spatial, state.covariance.dtype) > 0)


Own = OwnPass | CrossPass


def _stacked(trees: Sequence[Any]) -> Any:
    """One tree whose every array holds those of `trees`."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _broadcast(x: Numbers, z: Numbers, state: Covariances) -> tuple[Numbers, Numbers]:
    """Variances (batch, *positions) at the first and at the second position of every pair."""
    if not state.paired:
        return x, z
    axes = len(state.spatial)
    return (
        jnp.expand_dims(x, [x.ndim - axes + 2 * axis + 1 for axis in range(axes)]),
        jnp.expand_dims(z, [z.ndim - axes + 2 * axis for axis in range(axes)]),
    )
