"""Split halves: how much of an information spectrum other examples of the same kind confirm."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.information.computing import spectrum
from wilsonian.information.trained_network import TrainedNetwork, check_network


class SplitHalves(eqx.Module):
    """Modes of one half of the examples, counted double; and the information that the other half,
    counted double, has in the same directions. Where the data decide both agree."""

    found: Float[np.ndarray, " modes"]  # k on the half whose modes they are
    confirmed: Float[np.ndarray, " modes"]  # k of those directions on the other half

    def count_above(self, scale: float = 1.0) -> int:
        """Modes above `scale` by half of the examples: beside that by all, as it grows with T."""
        return int(np.sum(self.found > scale))

    def ratio(self, low: float, high: float = np.inf) -> float:
        """Information confirmed over information found, among modes found in (low, high]; NaN if
        there are none."""
        inside = (self.found > low) & (self.found <= high)
        total = float(np.sum(self.found[inside]))
        return float(np.sum(self.confirmed[inside])) / total if total > 0 else float("nan")


def split_halves(network: TrainedNetwork, *, seed: int | None = None, **options) -> SplitHalves:
    """Eigenvectors from every second example (or a random half, with `seed`), eigenvalues from the
    others; `options` as of :func:`spectrum`. The top of a spectrum is trustworthy, its soft edge
    is not: below about one what a half does not resolve comes back larger (docs/science/
    information.md, section 7).

    Raises ValueError for fewer than four examples.
    """
    check_network(network)
    count = network.examples
    if count < 4:
        raise ValueError(f"two halves need at least four examples, got {count}.")
    order = np.arange(count) if seed is None else np.random.RandomState(seed).permutation(count)
    if seed is None:
        order = np.concatenate([order[::2], order[1::2]])
    half = (count + 1) // 2
    first, second = part_of(network, order[:half]), part_of(network, order[half:])
    one = spectrum(first, **options)
    with network.arithmetic():
        blocks = []
        for start in range(0, second.examples, 128):
            block = part_of(second, np.arange(start, min(start + 128, second.examples)))
            steps = one.modes.outputs(first, block.inputs)
            blocks.append(np.asarray(_information(block.likelihood, block.outputs, steps)))
    confirmed = np.sum(blocks, axis=0) * count / second.examples
    found = np.asarray(one.information[:-1]) * count / half
    return SplitHalves(found, confirmed)


@compiled
def _information(likelihood: Any, outputs: Array, steps: Array) -> Array:
    """Of the points whose outputs these are, in directions with those steps."""
    return jnp.sum(likelihood.all_transposed(outputs, steps) ** 2, axis=(0, 1))


def part_of(network: TrainedNetwork, rows: np.ndarray) -> TrainedNetwork:
    """The same network with some of its examples."""
    with network.arithmetic():
        whole = network.inputs, network.labels, network.outputs
        part = [jnp.asarray(np.asarray(array)[rows]) for array in whole]
        return eqx.tree_at(lambda n: (n.inputs, n.labels, n.outputs), network, part)
