"""Kernels as scikit-learn has them, and kernel functions of neural-tangents as ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from sklearn.gaussian_process.kernels import Hyperparameter
from sklearn.gaussian_process.kernels import Kernel as SklearnBase

from wilsonian.core.precision import compiled, with_precision
from wilsonian.kernels.kernel import FromFunction, as_kernel
from wilsonian.kernels.learnable import learnable


class SklearnKernel(SklearnBase):
    """A kernel of ours as one of scikit-learn: for `GaussianProcessRegressor(kernel)`, which learns
    its positive hyperparameters within `limits` unless they are `fixed`, and for
    `KernelRidge(kernel=...)` and `SVR(kernel=...)`. It can be cloned, pickled, and combined with
    scikit-learn's own kernels.

    Its `theta` are the logarithms of the kernel's positive hyperparameters, in the order of its
    fields, and its gradients are exact. NumPy arrays go in and come out, in float64 whatever JAX's
    setting.

    Parameters
    ----------
    kernel : Kernel
    fixed : bool, default False
        Keep the hyperparameters as they are.
    limits : pair of numbers, default 1e-5 and 1e5
        Smallest and largest hyperparameter.
    """

    def __init__(
        self, kernel: Any, fixed: bool = False, limits: tuple[float, float] = (1e-5, 1e5)
    ) -> None:
        self.kernel, self.fixed = kernel, fixed
        self.limits = limits

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"kernel": self.kernel, "fixed": self.fixed, "limits": self.limits}

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        with jax.enable_x64(True):
            moved, rest = self._parts()
            X = _points(X)
            if not eval_gradient:
                Y = None if Y is None else _points(Y)
                return np.array(_gram(moved, rest, X, Y))
            if Y is not None:
                raise ValueError("`eval_gradient` needs `Y` left out, as scikit-learn does.")
            gram = np.array(_gram(moved, rest, X, None))
            if self.fixed:
                return gram, np.empty((*gram.shape, 0))
            return gram, np.array(_slopes(moved, rest, X))

    def diag(self, X: Any) -> np.ndarray:
        with jax.enable_x64(True):
            return np.array(_diagonal(*self._parts(), _points(X)))

    def is_stationary(self) -> bool:
        return False

    def _parts(self) -> tuple[Any, Any]:
        kernel = with_precision(as_kernel(self.kernel), float)
        return eqx.partition(kernel, learnable(kernel))

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        count = ravel_pytree(self._parts()[0])[0].size
        if not count:
            return []
        bounds = "fixed" if self.fixed else self.limits
        return [Hyperparameter("parameters", "numeric", bounds, count)]

    @property
    def n_dims(self) -> int:
        return self.theta.size

    @property
    def theta(self) -> np.ndarray:
        with jax.enable_x64(True):
            vector, _ = ravel_pytree(self._parts()[0])
            return np.zeros(0) if self.fixed else np.log(np.asarray(vector, float))

    @theta.setter
    def theta(self, theta: np.ndarray) -> None:
        if self.fixed:
            return
        with jax.enable_x64(True):
            moved, rest = self._parts()
            _, unravel = ravel_pytree(moved)
            learned = unravel(jnp.exp(jnp.asarray(theta, float)))
            self.kernel = with_precision(eqx.combine(learned, rest), float)

    @property
    def bounds(self) -> np.ndarray:
        return np.tile(np.log(np.asarray(self.limits, float)), (self.n_dims, 1))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SklearnKernel)
            and (self.fixed, tuple(self.limits)) == (other.fixed, tuple(other.limits))
            and bool(eqx.tree_equal(*(with_precision(k.kernel, float) for k in (self, other))))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        # On one line: scikit-learn prints it inside sums and products.
        return f"SklearnKernel({eqx.tree_pformat(self.kernel, width=10**6, short_arrays=False)})"


def _points(X: Any) -> jax.Array:
    return jnp.asarray(np.asarray(X, float))


@compiled
def _gram(moved: Any, rest: Any, X: jax.Array, Z: jax.Array | None) -> jax.Array:
    kernel = eqx.combine(moved, rest)
    return kernel(X) if Z is None else kernel(X, Z)


@compiled
def _slopes(moved: Any, rest: Any, X: jax.Array) -> jax.Array:
    """Derivatives in the logarithms of the hyperparameters, (n, n, parameters)."""
    vector, unravel = ravel_pytree(moved)
    return jax.jacfwd(lambda log: _gram(unravel(jnp.exp(log)), rest, X, None))(jnp.log(vector))


@compiled
def _diagonal(moved: Any, rest: Any, X: jax.Array) -> jax.Array:
    return eqx.combine(moved, rest).diagonal(X)


@dataclasses.dataclass(frozen=True)
class _NeuralTangents:
    """`kernel_fn(x1, x2, get)` as a function of two sets of rows."""

    kernel_fn: Callable
    get: str
    input_shape: tuple[int, ...] | None

    def __call__(self, X: Any, Z: Any) -> Any:
        shape = X.shape[1:] if self.input_shape is None else self.input_shape
        images = [A.reshape(len(A), *shape) for A in (X, Z)]
        return self.kernel_fn(images[0], None if Z is X else images[1], self.get)


def from_neural_tangents(
    kernel_fn: Callable,
    get: Literal["nngp", "ntk"] = "nngp",
    *,
    input_shape: tuple[int, ...] | None = None,
    traceable: bool = True,
) -> FromFunction:
    """The `kernel_fn` of a neural-tangents network, `kernel_fn(x1, x2, get)`, as a kernel.

    `input_shape` lets rows be read as images, (height, width, channels). A function that JAX
    cannot trace (one that calls a process with an older JAX, or is wrapped by `nt.batch`) runs on
    the host with `traceable=False`. Raises ValueError for another `get`, TypeError for what is no
    function.
    """
    if get not in ("nngp", "ntk"):
        raise ValueError(f"`get` must be 'nngp' or 'ntk', got {get!r}.")
    if not callable(kernel_fn):
        raise TypeError(
            f"`kernel_fn` must be a function kernel_fn(x1, x2, get), got "
            f"{type(kernel_fn).__name__}; pass the third of what stax.serial returns."
        )
    shape = None if input_shape is None else tuple(input_shape)
    return FromFunction(_NeuralTangents(kernel_fn, get, shape), traceable)
