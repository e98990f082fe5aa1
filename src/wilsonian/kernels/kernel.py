"""What a kernel is: a frozen record, batched, closed under sums, products and scalings."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled, full_products
from wilsonian.core.types import Scalar, is_number

AnyArray = TypeVar("AnyArray", Array, np.ndarray)


def inner_product(x: Float[Array, " d"], z: Float[Array, " d"]) -> Float[Array, ""]:
    """Inner product that two `vmap`s turn into one GEMM, in full precision on every device."""
    return jnp.dot(x, z, precision=jax.lax.Precision.HIGHEST)


def safe_sqrt(value: Float[Array, "..."]) -> Float[Array, "..."]:
    """Square root whose derivative at zero is zero instead of infinite."""
    positive = value > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, value, 1.0)), 0.0)


def check_points(X: Any, name: str) -> Array:
    """`X` as a two-dimensional floating-point array.

    Raises ValueError when it is not (points, columns).
    """
    X = jnp.asarray(X)
    if X.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (points, columns), got {X.shape}; "
            "reshape one column with x[:, None], images with x.reshape(len(x), -1)."
        )
    return X if jnp.issubdtype(X.dtype, jnp.inexact) else X.astype(float)


def check_widths(X: Array, Z: Array) -> None:
    """Raise ValueError when two sets of points differ in columns."""
    if X.shape[1] != Z.shape[1]:
        raise ValueError(
            f"`X` has {X.shape[1]} columns and `Z` has {Z.shape[1]}; pass the same columns."
        )


def divided(
    X: Float[AnyArray, "... d"], length_scale: Any, name: str = "length_scale"
) -> Float[AnyArray, "... d"]:
    """`X / length_scale`, of JAX or of NumPy as `X` is. Raises ValueError unless there is one
    length scale, or one per column (broadcasting would turn one column and three length scales into
    three columns)."""
    shape = jnp.shape(length_scale)
    if shape not in ((), X.shape[-1:]):
        raise ValueError(
            f"`{name}` has shape {shape} for points with {X.shape[-1]} columns; pass one "
            f"number, or an array with one {name.replace('_', ' ')} per column."
        )
    return X / length_scale


def map_rows(function: Callable, X: Float[Array, "n d"], block_size: int) -> Array:
    """`function` of consecutive blocks of rows of `X`, its results stacked again."""
    rows = X.shape[0]
    if rows <= block_size:
        return function(X)
    blocks = -(-rows // block_size)
    # The last block is filled up with copies of the last row, whose results are dropped.
    filled = jnp.pad(X, ((0, blocks * block_size - rows), (0, 0)), mode="edge")
    results = jax.lax.map(function, filled.reshape(blocks, block_size, -1))
    return results.reshape(blocks * block_size, *results.shape[2:])[:rows]


class Kernel(eqx.Module):
    r"""A positive semidefinite function of two points.

    A subclass writes :meth:`evaluate` for one pair; calling the kernel batches it. Formulas are
    written with :func:`inner_product` and :func:`squared_distance`, so that batching yields a
    matrix product and never an (n, m, d) array.
    """

    @abc.abstractmethod
    def evaluate(self, x: Float[Array, " d"], z: Float[Array, " d"]) -> Float[Array, ""]:
        """The kernel of one pair of points."""

    @property
    def shift_invariant(self) -> bool:
        """Whether `k(x + a, z + a) = k(x, z)`: where inputs are counted from does not matter."""
        return False

    def gram(self, X: Float[Array, "n d"], Z: Float[Array, "m d"]) -> Float[Array, "n m"]:
        """Kernel matrix between two checked sets of points."""
        return jax.vmap(lambda x: jax.vmap(lambda z: self.evaluate(x, z))(Z))(X)

    def diagonal(self, X: Float[Array, "n d"]) -> Float[Array, " n"]:
        """`k(x, x)` for every row of `X`, without the matrix."""
        return jax.vmap(lambda x: self.evaluate(x, x))(X)

    def __call__(self, X: Any, Z: Any = None) -> Float[Array, "n m"]:
        """Kernel matrix `k(X, Z)`; `k(X, X)` when `Z` is left out.

        Raises ValueError if the inputs are not two-dimensional or their widths differ.
        """
        X = check_points(X, "X")
        Z = X if Z is None else check_points(Z, "Z")
        check_widths(X, Z)
        return self.gram(X, Z)

    @full_products
    def product(
        self, X: Any, Z: Any, V: Float[Array, "m k"], block_size: int = 4096
    ) -> Float[Array, "n k"]:
        """`k(X, Z) @ V` in blocks of rows of `X`: memory grows with `block_size`, not with n."""
        X, Z = check_points(X, "X"), check_points(Z, "Z")
        check_widths(X, Z)
        return map_rows(lambda block: self.gram(block, Z) @ V, X, block_size)

    def __add__(self, other: Any) -> Kernel:
        return Sum(self, as_kernel(other))

    __radd__ = __add__

    def __mul__(self, other: Any) -> Kernel:
        return Scaled(self, other) if is_number(other) else Product(self, as_kernel(other))

    __rmul__ = __mul__


class Sum(Kernel):
    """Sum of two kernels."""

    left: Kernel
    right: Kernel

    @property
    def shift_invariant(self) -> bool:
        return self.left.shift_invariant and self.right.shift_invariant

    def evaluate(self, x, z):
        return self.left.evaluate(x, z) + self.right.evaluate(x, z)

    def gram(self, X, Z):
        return self.left.gram(X, Z) + self.right.gram(X, Z)

    def diagonal(self, X):
        return self.left.diagonal(X) + self.right.diagonal(X)


class Product(Kernel):
    """Product of two kernels (Schur: positive semidefinite again)."""

    left: Kernel
    right: Kernel

    @property
    def shift_invariant(self) -> bool:
        return self.left.shift_invariant and self.right.shift_invariant

    def evaluate(self, x, z):
        return self.left.evaluate(x, z) * self.right.evaluate(x, z)

    def gram(self, X, Z):
        return self.left.gram(X, Z) * self.right.gram(X, Z)

    def diagonal(self, X):
        return self.left.diagonal(X) * self.right.diagonal(X)


class Scaled(Kernel):
    """`variance` times a kernel."""

    kernel: Kernel
    variance: Scalar = 1.0

    @property
    def shift_invariant(self) -> bool:
        return self.kernel.shift_invariant

    def evaluate(self, x, z):
        return self.variance * self.kernel.evaluate(x, z)

    def gram(self, X, Z):
        return self.variance * self.kernel.gram(X, Z)

    def diagonal(self, X):
        return self.variance * self.kernel.diagonal(X)


class Constant(Kernel):
    """The same covariance between all pairs of points."""

    variance: Scalar = 1.0

    @property
    def shift_invariant(self) -> bool:
        return True

    def evaluate(self, x, z):
        return jnp.asarray(self.variance, x.dtype)


class Rescaled(Kernel):
    r"""A kernel on inputs divided column by column: :math:`k(x / \ell, z / \ell)`.

    Gives any kernel automatic relevance determination (ARD).
    """

    kernel: Kernel
    length_scale: Scalar | Float[Array, " d"] = 1.0

    @property
    def shift_invariant(self) -> bool:
        return self.kernel.shift_invariant

    def evaluate(self, x, z):
        return self.kernel.evaluate(divided(x, self.length_scale), divided(z, self.length_scale))

    def gram(self, X, Z):
        return self.kernel.gram(divided(X, self.length_scale), divided(Z, self.length_scale))

    def diagonal(self, X):
        return self.kernel.diagonal(divided(X, self.length_scale))


def call_on_host(function: Callable, shape: jax.ShapeDtypeStruct, *arrays: Array) -> Array:
    """`function` of NumPy arrays, which compiled code may call, but not differentiate.

    JAX may call back from a thread that knows nothing of `jax.enable_x64(True)` in ours and would
    round float64 on the way out and back. So numbers travel as bytes.
    """

    dtypes = [array.dtype for array in arrays]

    def run(*raw):
        numbers = [np.asarray(r).view(dtype)[..., 0] for r, dtype in zip(raw, dtypes, strict=True)]
        with jax.enable_x64(jax.config.jax_enable_x64 or shape.dtype == np.float64):
            result = np.asarray(function(*numbers), shape.dtype, order="C")
        return result[..., None].view(np.uint8)

    @jax.custom_jvp
    def call(*arrays):
        raw = [jax.lax.bitcast_convert_type(array, np.uint8) for array in arrays]
        result = jax.ShapeDtypeStruct((*shape.shape, shape.dtype.itemsize), np.uint8)
        result = jax.pure_callback(run, result, *raw, vmap_method="sequential")
        return jax.lax.bitcast_convert_type(result, shape.dtype)

    @call.defjvp
    def derivative(primals, tangents):
        raise ValueError(
            "a kernel function that runs on the host has no derivative; write it in JAX and pass "
            "FromFunction(function, traceable=True)."
        )

    return call(*arrays)


class FromFunction(Kernel):
    """Any `f(X, Z) -> Gram` as a kernel: a JAX or NumPy function, or a scikit-learn kernel.

    Its hyperparameters stay as they are: learning moves only amplitude and noise around it.
    A function that is not traceable by JAX runs on the host.
    """

    function: Callable[[Any, Any], Any] = eqx.field(static=True)
    traceable: bool = eqx.field(static=True, default=False)

    def evaluate(self, x, z):
        return self.gram(x[None], z[None])[0, 0]

    def gram(self, X, Z):
        shape = jax.ShapeDtypeStruct((X.shape[0], Z.shape[0]), X.dtype)

        def checked(X, Z):
            gram = self.function(X, Z)
            if np.shape(gram) != shape.shape:
                raise ValueError(
                    f"the kernel function returned shape {np.shape(gram)} for inputs of "
                    f"{len(X)} and {len(Z)} points; it must return {shape.shape}."
                )
            return gram

        return checked(X, Z) if self.traceable else call_on_host(checked, shape, X, Z)

    def diagonal(self, X):
        if hasattr(self.function, "diag"):  # scikit-learn's kernels
            return call_on_host(self.function.diag, jax.ShapeDtypeStruct(X.shape[:1], X.dtype), X)
        return map_rows(lambda block: jnp.diagonal(self.gram(block, block)), X, block_size=64)


@compiled
def compiled_gram(kernel: Kernel, X: Any, Z: Any) -> Float[Array, "n m"]:
    """`kernel.gram`, compiled once per kernel, number of points and precision."""
    return kernel.gram(X, Z)


@compiled
def compiled_diagonal(kernel: Kernel, X: Any) -> Float[Array, " n"]:
    """`kernel.diagonal`, compiled likewise."""
    return kernel.diagonal(X)


def as_kernel(kernel: Any) -> Kernel:
    """`kernel` as a :class:`Kernel`: one of ours unchanged, a number as :class:`Constant`, a
    callable or scikit-learn kernel wrapped by :class:`FromFunction`.

    Raises TypeError for anything else.
    """
    if isinstance(kernel, Kernel):
        return kernel
    if is_number(kernel):
        return Constant(kernel)
    if callable(kernel):
        return FromFunction(kernel)
    raise TypeError(
        f"expected a kernel, got {type(kernel).__name__}; pass a wilsonian kernel such as "
        "Matern52(), a scikit-learn kernel, or a function f(X, Z) returning the Gram matrix."
    )
