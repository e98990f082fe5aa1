r"""Last layers, whose Fisher metric is a sum of products over the examples.

Where output k is :math:`f_k = h \cdot w_k` of features h that all outputs share, the Jacobian is
:math:`J_t = 1 \otimes h_t^T` and

.. math:: F = \sum_t H_t \otimes h_t h_t^T,

:math:`K (K + 1) / 2` products of (T, q) matrices instead of one of (TK, Kq) (docs/science/
information.md, section 7).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from wilsonian.core.precision import compiled
from wilsonian.information.products import map_points
from wilsonian.information.trained_network import TrainedNetwork

PROBES = 3  # points at which a layer is recognized; all are checked where it is used
ROUNDING = 64  # units of rounding by which features may differ between outputs
BLOCK = 64  # points whose Jacobian is in memory at a time


def last_layer_places(network: TrainedNetwork) -> Int[np.ndarray, "k q"] | None:
    """Where the weight of every output and feature stands among the flat parameters in the scope;
    None if the scope is no last layer with shared features, or has one output."""
    width, leaves = network.width, jax.tree.leaves(network.point)
    if width == 1 or not all(width in leaf.shape for leaf in leaves):
        return None
    rows = np.linspace(0, network.examples - 1, min(PROBES, network.examples)).astype(int)
    with network.arithmetic():
        few = jnp.asarray(np.asarray(network.inputs)[rows])
        slopes = np.asarray(_jacobian(network.function, network.point, few))
    tolerance = ROUNDING * np.finfo(slopes.dtype).eps * np.max(np.abs(slopes))
    found, start = [], 0
    for leaf in leaves:
        places = start + np.arange(leaf.size).reshape(leaf.shape)
        axes = [axis for axis, size in enumerate(leaf.shape) if size == width]
        trials = [np.moveaxis(places, axis, 0).reshape(width, -1) for axis in axes]
        good = [trial for trial in trials if _deviation(slopes[..., trial]) <= tolerance]
        if not good:
            return None
        found.append(good[0])
        start += leaf.size
    return np.concatenate(found, axis=1)


def last_layer_fisher(
    network: TrainedNetwork, places: Int[np.ndarray, "k q"]
) -> Float[np.ndarray, "p p"]:
    """:math:`F` of a last layer with its weights at the `places`.

    Raises ValueError if some training point shows that it is none.
    """
    features, off = _features(network.function, network.point, network.inputs, places)
    off, largest = np.asarray(off), np.max(np.abs(np.asarray(features)))
    if np.max(off) > ROUNDING * np.finfo(off.dtype).eps * largest:
        raise ValueError(
            "the outputs do not share their features at every training point, so this is no last "
            "layer; use route='dense'."
        )
    width, count = places.shape
    first, second = np.triu_indices(width)
    products = _weighted_squares(network.likelihood, network.outputs, features, first, second)
    fisher = np.empty((width * count, width * count), products.dtype)
    for k, l, product in zip(first, second, np.asarray(products), strict=True):  # noqa: E741
        fisher[np.ix_(places[k], places[l])] = product
        fisher[np.ix_(places[l], places[k])] = product
    return fisher


@compiled
def _jacobian(function: Any, u: Any, X: Array) -> Array:
    return function.jacobian(u, X)


def _deviation(blocks: Any) -> Any:
    """Largest entry by which (..., k, k', q) differs from a unit matrix times features."""
    features = blocks[..., :1, :1, :]
    unit = np.eye(blocks.shape[-2])[:, :, None]
    return abs(blocks - unit * features).max()


@compiled
def _features(function, u, X, places):
    def of_block(points):
        slopes = function.jacobian(u, points)[..., places]
        return slopes[:, 0, 0], jnp.full(len(points), _deviation(slopes))

    return map_points(of_block, X, BLOCK)


@compiled
def _weighted_squares(likelihood, outputs, features, first, second):
    points, width = outputs.shape
    unit = jnp.broadcast_to(jnp.eye(width, dtype=outputs.dtype), (points, width, width))
    curvature = likelihood.all_factored(outputs, likelihood.all_transposed(outputs, unit))
    weights = jnp.moveaxis(curvature, 0, 2)[first, second]

    def square(weight):
        return jnp.dot((features * weight[:, None]).T, features, precision="highest")

    return jax.lax.map(square, weights)
