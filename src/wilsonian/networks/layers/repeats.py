"""Blocks of layers that stand many times in a row: compiled once, not once each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax

from wilsonian.networks.layers.covariances import Scope

# Blocks of so many layers are looked for, standing so many times: below that a loop saves little
# compilation and keeps neighbouring layers from sharing one pass over memory.
LONGEST, LEAST = 8, 8


def blocks_in(layers: Sequence[Any], scopes: Sequence[Scope]) -> Iterator[tuple[int, int, int]]:
    """First layer, length and count of blocks in a row, all layers in their order; a layer that is
    in none is a block that stands once. `scopes` are those before and after every layer."""
    places = list(zip(map(_form, layers), scopes[:-1], scopes[1:], strict=True))
    start = 0
    while start < len(layers):
        found = start, 1, 1
        for length in range(1, LONGEST + 1):
            count = _count(places, start, length)
            if count >= LEAST:
                found = start, length, count
                break
        yield found
        start += found[1] * found[2]


def alike(left: Any, right: Any) -> bool:
    """Whether two trees differ in the values of their arrays alone."""
    return _form(left) == _form(right)


def _count(places: list[tuple], start: int, length: int) -> int:
    count, block = 1, places[start : start + length]
    while places[start + count * length : start + (count + 1) * length] == block:
        count += 1
    return count


def _form(tree: Any) -> tuple[Any, list]:
    """All but the values of the arrays. Python numbers, whose precision is that of what they meet,
    are like nothing else."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [
        (leaf.shape, leaf.dtype) if isinstance(leaf, jax.Array) else object() for leaf in leaves
    ]
