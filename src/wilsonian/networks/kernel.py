"""Kernels of infinite networks: one pass over blocks of a Gram matrix, half of it if square."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.kernels import Kernel, check_points, check_widths
from wilsonian.networks.layers.covariances import Covariances, CrossPass, OwnPass, Scope, of_inputs
from wilsonian.networks.layers.layer import AbstractLayer
from wilsonian.networks.layers.signals import Signal

Kind = Literal["nngp", "ntk"]
KINDS = ("nngp", "ntk")

# Numbers in one block of covariances. Images: what stays in a cache; rows: what leaves a square
# Gram matrix enough blocks that its upper half is little more than half of it.
IMAGE_BLOCK = 2**20
ROW_BLOCK = 2**18


class NetworkKernel(Kernel):
    r"""The kernel of an infinite network: its NNGP, :math:`K(x, z) = E[f(x) f(z)]` at
    initialization, or its NTK, :math:`\Theta(x, z) = E[\nabla f(x) \cdot \nabla f(z)]`; see
    :func:`nngp` and :func:`ntk`. Weight and bias variances are its hyperparameters."""

    network: AbstractLayer
    kind: Kind = eqx.field(static=True, default="nngp")
    input_shape: tuple[int, ...] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if not isinstance(self.network, AbstractLayer):
            raise TypeError(
                f"`network` must be made of layers, such as serial(Dense(512), Relu(), Dense(1)), "
                f"got {type(self.network).__name__}."
            )
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be 'nngp' or 'ntk', got {self.kind!r}.")
        if self.input_shape is not None:
            self.network.signal(Signal(self.input_shape))

    def evaluate(self, x, z):
        return self.gram(x[None], z[None])[0, 0]

    def gram(self, X, Z):
        grams = _grams(self._network(X), self._images(X), self._images(Z), Z is X, self.kind)
        return grams[self.kind]

    def diagonal(self, X):
        return _diagonal(self._network(X), self._images(X), self.kind)

    def __call__(self, X: Any, Z: Any = None) -> Float[Array, "n m"]:
        """Kernel matrix `k(X, Z)`; `k(X, X)` when `Z` is left out.

        Images are taken as (n, *input_shape), or as rows if the kernel knows its `input_shape`.
        Raises ValueError for other shapes.
        """
        kernel, X = self._rows(X, "X")
        right = X if Z is None else kernel._rows(Z, "Z")[1]
        check_widths(X, right)
        return kernel.gram(X, right)

    def product(self, X, Z, V, block_size=4096):
        kernel, X = self._rows(X, "X")
        _, Z = kernel._rows(Z, "Z")
        return super(NetworkKernel, kernel).product(X, Z, V, block_size)

    def _rows(self, X: Any, name: str) -> tuple[NetworkKernel, Array]:
        """Points as rows, and the kernel that knows their shape."""
        X = jnp.asarray(X)
        if X.ndim < 3:
            return self, check_points(X, name)
        shape = X.shape[1:] if self.input_shape is None else self.input_shape
        if X.shape[1:] != shape:
            raise ValueError(
                f"`{name}` has inputs of shape {X.shape[1:]}, the kernel's are {shape}; pass "
                "(n, *input_shape), or rows."
            )
        return NetworkKernel(self.network, self.kind, shape), check_points(
            X.reshape(len(X), -1), name
        )

    def _images(self, X: Array) -> Array:
        shape = X.shape[1:] if self.input_shape is None else self.input_shape
        if math.prod(shape) != X.shape[1]:
            raise ValueError(
                f"points have {X.shape[1]} columns, which are no inputs of shape {shape}; flatten "
                f"images to {math.prod(shape)} columns."
            )
        return X.reshape(len(X), *shape)

    def _network(self, X: Array) -> AbstractLayer:
        """The network with hyperparameters that are arrays in the precision of `X`: compiled code
        then serves all their values."""
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, X.dtype), self.network)


def nngp(network: AbstractLayer, input_shape: tuple[int, ...] | None = None) -> NetworkKernel:
    r"""Covariance :math:`E[f(x) f(z)]` of the outputs of `network` at initialization, in the limit
    of infinitely many channels (Neal 1996; Lee et al. 2018).

    `input_shape`, (*positions, channels), lets rows of a table be read as images. Raises
    ArchitectureError, naming the layer, for layers that do not fit: at once if `input_shape` is
    given, at the first kernel matrix if not. TypeError for what is no network.
    """
    return NetworkKernel(network, "nngp", _shape(input_shape))


def ntk(network: AbstractLayer, input_shape: tuple[int, ...] | None = None) -> NetworkKernel:
    r"""Kernel :math:`E[\nabla f(x) \cdot \nabla f(z)]` of the gradient flow of `network`, per
    output, in the limit of infinitely many channels (Jacot et al. 2018). As :func:`nngp`."""
    return NetworkKernel(network, "ntk", _shape(input_shape))


def nngp_and_ntk(network: AbstractLayer, X: Any, Z: Any = None) -> tuple[Array, Array]:
    """Both kernel matrices, (n, m) each, in one pass; of `X` with itself when `Z` is left out.

    `X` holds rows (n, features) or images (n, *positions, channels). Raises as :func:`nngp`.
    """
    kernel, X = NetworkKernel(network, "ntk")._rows(X, "X")
    right = X if Z is None else kernel._rows(Z, "Z")[1]
    check_widths(X, right)
    both = kernel._images(X), kernel._images(right)
    grams = _grams(kernel._network(X), *both, right is X, "both")
    return grams["nngp"], grams["ntk"]


def _shape(shape: Any) -> tuple[int, ...] | None:
    if shape is None:
        return None
    return (int(shape),) if isinstance(shape, int | np.integer) else tuple(map(int, shape))


def _results(state: Covariances, kind: str) -> dict[str, Array]:
    """The kernels asked for; a network without weights has a tangent kernel of zero."""
    found = {}
    if kind in ("nngp", "both"):
        found["nngp"] = state.covariance
    if kind in ("ntk", "both"):
        zero = jnp.zeros_like(state.covariance)
        found["ntk"] = zero if state.tangent is None else state.tangent
    return found


def _check_output(network: AbstractLayer, X: Array) -> None:
    signal = network.signal(Signal(X.shape[1:]))
    if signal.spatial:
        raise network.error(
            f"the network ends in images of shape {signal.shape}, and a kernel is of vectors; end "
            "it with Flatten or GlobalAvgPool and a Dense."
        )


def _sizes(network: AbstractLayer, X: Array, scope: Scope, own: bool) -> int:
    """Numbers that a block holds for every pair of inputs (for every input, in its own pass)."""
    positions = math.prod(X.shape[1:-1])
    return positions**2 if network.needs(scope, own=own) is Scope.PAIRS else positions


def _own(network: AbstractLayer, X: Array, scope: Scope, tangent: bool, kind: str) -> Any:
    """What a pass over inputs with themselves keeps, and the kernels in `scope`."""
    needed = network.needs(scope, own=True)
    if needed is Scope.NOTHING:
        return [], {}

    def run(X):
        own = OwnPass()
        state = network.propagate(of_inputs(X, None, needed, tangent), scope, own)
        return own.records, {} if scope is Scope.NOTHING else _results(state, kind)

    size = _sizes(network, X, scope, True)
    block = max(1, IMAGE_BLOCK // size)
    if len(X) <= block or size == 1:
        return run(X)
    return jax.tree.map(
        lambda array: array[:, 0], jax.lax.map(lambda x: run(x[None]), X, batch_size=block)
    )


@compiled
def _diagonal(network: AbstractLayer, X: Array, kind: str) -> Array:
    _check_output(network, X)
    _, results = _own(network, X, Scope.POSITIONS, kind == "ntk", kind)
    return results[kind]


@compiled
def _grams(network: AbstractLayer, X: Array, Z: Array, square: bool, kind: str) -> dict[str, Array]:
    """Kernel matrices of two batches, block by block; `square` if they are the same."""
    _check_output(network, X)
    tangent = kind != "nngp"
    needed = network.needs(Scope.POSITIONS, own=False)
    size = _sizes(network, X, Scope.POSITIONS, False)
    records = _own(network, X, Scope.NOTHING, False, kind)[0]
    z_records = records if square else _own(network, Z, Scope.NOTHING, False, kind)[0]

    def block(X, x_records, Z, z_records, identical):
        own = CrossPass(x_records, z_records, identical)
        state = network.propagate(of_inputs(X, Z, needed, tangent), Scope.POSITIONS, own)
        return _results(state, kind)

    if size == 1 and not (square and len(X) ** 2 > 4 * ROW_BLOCK):
        identical = jnp.eye(len(X), dtype=bool) if square else None
        return block(X, records, Z, z_records, identical)
    numbers = ROW_BLOCK if size == 1 else IMAGE_BLOCK
    side = max(1, math.isqrt(numbers // size))
    return blocks_of(block, X, records, Z, z_records, square, side)


def blocks_of(
    block: Callable, X: Array, x_records: Any, Z: Array, z_records: Any, square: bool, side: int
) -> dict[str, Array]:
    """Matrices from their blocks of about `side` rows and columns; of a square symmetric one only
    the blocks on and above the diagonal are computed."""
    (rows, x_side), (columns, z_side) = _split(len(X), side), _split(len(Z), side)
    x_parts = jax.tree.map(lambda a: _stacked(a, rows, x_side), (X, x_records))
    z_parts = jax.tree.map(lambda a: _stacked(a, columns, z_side), (Z, z_records))
    first, second = np.triu_indices(rows) if square else np.indices((rows, columns)).reshape(2, -1)

    def one(place):
        i, j = place
        (x, x_records), (z, z_records) = (
            jax.tree.map(lambda a: a[i], x_parts),
            jax.tree.map(lambda a: a[j], z_parts),
        )
        identical = (i == j) & jnp.eye(x_side, dtype=bool) if square else None
        return block(x, x_records, z, z_records, identical)

    def put(matrices, place):
        corner = place[0] * x_side, place[1] * z_side

        def with_block(matrix, block):
            if square:
                matrix = jax.lax.dynamic_update_slice(matrix, block.T, corner[::-1])
            return jax.lax.dynamic_update_slice(matrix, block, corner)

        # While the block is in the cache: blocks gathered later cost as much again.
        return jax.tree.map(with_block, matrices, one(place)), None

    places = jnp.asarray(first), jnp.asarray(second)
    shape = rows * x_side, columns * z_side
    parts = jax.eval_shape(one, (first[0], second[0]))
    empty = {name: jnp.zeros(shape, part.dtype) for name, part in parts.items()}
    matrices, _ = jax.lax.scan(put, empty, places)
    return {name: matrix[: len(X), : len(Z)] for name, matrix in matrices.items()}


def _split(count: int, side: int) -> tuple[int, int]:
    """Blocks of nearly equal size: how many, and their side."""
    blocks = -(-count // side)
    return blocks, -(-count // blocks)


def _stacked(array: Array, blocks: int, side: int) -> Array:
    """Blocks of rows; the last is filled up with copies of the last row."""
    missing = blocks * side - len(array)
    padded = jnp.pad(array, ((0, missing), *[(0, 0)] * (array.ndim - 1)), mode="edge")
    return padded.reshape(blocks, side, *array.shape[1:])
