"""Trained PyTorch modules: their outputs and derivatives by torch.func, all else as for JAX.

Needs the extra `wilsonian[torch]`. Arrays cross the border by DLPack as contiguous copies on the
CPU; the module given is never changed.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.information.functions import AbstractFunction
from wilsonian.information.likelihoods import as_likelihood
from wilsonian.information.prior import Scope, as_prior, named_scope
from wilsonian.information.trained_network import (
    Precision,
    TrainedNetwork,
    as_inputs,
    as_labels,
    checked_outputs,
    whitened,
)

BLOCK_BYTES = 2**28  # of Jacobians in memory at a time


class TorchFunction(AbstractFunction):
    """Of a PyTorch module in evaluation mode. `scales` are by parameter name; parameters that are
    not among them are fixed in the module."""

    module: Any = eqx.field(static=True)
    width: int = eqx.field(static=True)
    scales: dict[str, Any]

    def _call(self, function: Any, shapes: Any, u: Any, *arguments: Any) -> Any:
        """`function` of torch tensors, called from compiled code; its results as arrays."""
        parameters = jax.tree.map(jnp.multiply, u, self.scales)

        sent = (parameters, *arguments)
        kinds = jax.tree.map(lambda a: str(a.dtype), sent)

        def run(*halves):
            arrays = jax.tree.map(lambda a, kind: np.array(a).view(kind)[..., 0], halves, kinds)
            results = function(*_tensors(arrays))
            return jax.tree.map(lambda t: _in_halves(t.detach().numpy()), results)

        received = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct((*s.shape, s.dtype.itemsize // 4), np.uint32), shapes
        )
        halves = jax.tree.map(_in_halves_of_jax, sent)
        found = jax.pure_callback(run, received, *halves, vmap_method="sequential")
        return jax.tree.map(_from_halves, found, shapes)

    def _outputs(self, parameters: Any, X: Any) -> Any:
        from torch.func import functional_call

        return functional_call(self.module, parameters, (X,)).reshape(len(X), -1)

    def _shape(self, u: Any, X: Any, *more: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((len(X), self.width, *more), jax.tree.leaves(u)[0].dtype)

    def many(self, u, X):
        return self._call(self._outputs, self._shape(u, X), u, X)

    def push(self, u, X, v):
        import torch

        def both(parameters, X, v):
            return torch.func.jvp(lambda p: self._outputs(p, X), (parameters,), (v,))

        shape = self._shape(u, X)
        v = jax.tree.map(jnp.multiply, v, self.scales)
        return self._call(both, (shape, shape), u, X, v)

    def pull(self, u, X):
        import torch

        def backward(parameters, X, c):
            return torch.func.vjp(lambda p: self._outputs(p, X), parameters)[1](c)[0]

        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), u)

        def back(c):
            slopes = self._call(backward, shapes, u, X, c)
            return jax.tree.map(jnp.multiply, slopes, self.scales)

        return self.many(u, X), back

    def _jacobian(self, parameters: Any, X: Any, scales: Any) -> Any:
        """(n, k, p) in torch, whitened."""
        import torch

        def of_point(p, x):
            return self._outputs(p, x[None])[0]

        slopes = torch.func.vmap(torch.func.jacrev(of_point), in_dims=(None, 0))(parameters, X)
        parts = [slopes[name] * scales[name] for name in sorted(slopes)]
        return torch.cat([part.reshape(len(X), self.width, -1) for part in parts], dim=2)

    def jacobian(self, u, X):
        size = sum(leaf.size for leaf in jax.tree.leaves(u))
        return self._call(self._jacobian, self._shape(u, X, size), u, X, self.scales)

    def tangent_kernel(self, u, X, Z):
        import torch

        same = Z is None
        Z = X if same else Z

        def gram(parameters, X, Z, scales):
            size = sum(leaf.numel() for leaf in parameters.values())
            step = max(1, int(BLOCK_BYTES / (8 * size * self.width)))
            rows = []
            for i in range(0, len(X), step):
                left = self._jacobian(parameters, X[i : i + step], scales)
                right = (
                    left if same and j == i else self._jacobian(parameters, Z[j : j + step], scales)
                    for j in range(0, len(Z), step)
                )
                rows.append(torch.cat([torch.einsum("nkp,mlp->nmkl", left, r) for r in right], 1))
            return torch.cat(rows)

        shape = self._shape(u, X)
        whole = jax.ShapeDtypeStruct((len(X), len(Z), self.width, self.width), shape.dtype)
        return _called(self, gram, whole, u, X, Z)

    def tangent_diagonal(self, u, X):
        import torch

        def squares(parameters, X, scales):
            size = sum(leaf.numel() for leaf in parameters.values())
            step = max(1, int(BLOCK_BYTES / (8 * size * self.width)))
            blocks = (
                self._jacobian(parameters, X[i : i + step], scales) for i in range(0, len(X), step)
            )
            return torch.cat([torch.einsum("nkp,nlp->nkl", block, block) for block in blocks])

        return _called(self, squares, self._shape(u, X, self.width), u, X)

    def operations(self, u, X):
        size = sum(leaf.size for leaf in jax.tree.leaves(u))
        forward = 2.0 * size  # of a dense layer; a convolution takes more
        rows = len(X) * self.width
        return forward, 2 * forward * rows + 2.0 * rows**2 * size

    def rebuilt(self, u, kinds):
        module = copy.deepcopy(self.module)
        named = dict(module.named_parameters())
        moved = jax.tree.map(jnp.multiply, u, self.scales)
        for name, value in _tensors(moved).items():
            named[name].data.copy_(value)
        import torch

        # All parameters of one module have the precision of the first.
        return module.to(getattr(torch, kinds[0]))


def _called(function: TorchFunction, gram: Any, shapes: Any, u: Any, *points: Any) -> Any:
    return function._call(gram, shapes, u, *points, function.scales)


# JAX calls back on threads of its own, where `jax.enable_x64(True)` does not hold and it would cut
# arrays of 64 bits to 32: they cross the border as pairs of whole numbers of 32.


def _in_halves_of_jax(array: Any) -> Any:
    halves = jax.lax.bitcast_convert_type(array, jnp.uint32)
    return halves if array.dtype.itemsize == 8 else halves[..., None]


def _in_halves(array: np.ndarray) -> np.ndarray:
    array = np.ascontiguousarray(array)
    return array[..., None].view(np.uint32)


def _from_halves(halves: Any, shape: Any) -> Any:
    halves = halves if shape.dtype.itemsize == 8 else halves[..., 0]
    return jax.lax.bitcast_convert_type(halves, shape.dtype)


def _tensors(tree: Any) -> Any:
    import torch

    return jax.tree.map(lambda a: torch.from_dlpack(np.array(a, order="C")), tree)


def from_torch(
    module: Any,
    data: Any,
    *,
    likelihood: Any,
    noise_variance: Any = None,
    weight_decay: float | None = None,
    prior: Any = None,
    scope: Scope = "all",
    precision: Precision = "float64",
) -> TrainedNetwork:
    """A trained PyTorch module as information sees it; arguments as of :func:`network`.

    `data` is a pair of inputs and labels (arrays or tensors), or a loader of such pairs, read once
    in its order. The module must be in evaluation mode: batch normalization then has fixed
    statistics, and dropout is off. Works on a copy on the CPU, in `precision`. `"last-layer"` is
    the last `torch.nn.Linear` to be registered. Cut networks come back as modules.

    Raises ImportError without PyTorch; ValueError for a module in training mode, and as
    :func:`network`.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("PyTorch is not installed; pip install 'wilsonian[torch]'.") from error
    noisy = [name for name, part in module.named_modules() if part.training]
    if noisy:
        raise ValueError(
            f"the module is in training mode ({noisy[0] or 'as a whole'}), where dropout and batch "
            "statistics make it no function of its parameters; pass module.eval()."
        )
    _load_forward_derivatives()
    examples, y = _examples(data)
    kind = str(next(module.parameters()).dtype).removeprefix("torch.")
    module = copy.deepcopy(module).to(device="cpu", dtype=getattr(torch, precision))
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    likelihood = as_likelihood(likelihood, noise_variance)
    dtype = np.dtype(precision)
    context = jax.enable_x64(True) if precision == "float64" else contextlib.nullcontext()
    with context:
        every = {
            name: jnp.array(jnp.from_dlpack(value.contiguous()), dtype)
            for name, value in module.named_parameters()
        }
        X = as_inputs(examples, dtype)
        with torch.no_grad():
            width = module(_tensors(X[:1])).numel()
        inside = _inside(module, every, scope)
        build = functools.partial(TorchFunction, module, width)
        outputs = checked_outputs(build(jax.tree.map(lambda _: 1.0, inside)), inside, X)
        labels = as_labels(likelihood, y, len(X), width, dtype)
        return whitened(
            *(build, inside, None, X, labels, likelihood, outputs),
            prior=as_prior(prior, weight_decay, len(X)),
            precision=precision,
            scope=scope,
            kinds=(kind,) * len(inside),
        )


def _load_forward_derivatives() -> None:
    """Torch compiles a part of them at their first use, with a deprecation warning of its own."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        one = torch.ones(1)
        torch.func.jvp(torch.tanh, (one,), (one,))


def _inside(module: Any, every: dict[str, Any], scope: Scope) -> dict[str, Any]:
    import torch

    if scope == "all":
        return every
    if scope in ("last-layer", "last"):
        linear = [
            name for name, part in module.named_modules() if isinstance(part, torch.nn.Linear)
        ]
        if not linear:
            raise ValueError(
                "the module has no torch.nn.Linear and hence no last layer; name its parameters."
            )
        chosen = [f"{linear[-1]}.{end}" if linear[-1] else end for end in ("weight", "bias")]
        return {name: every[name] for name in chosen if name in every}
    flags = named_scope(every, scope)
    return {name: every[name] for name, on in zip(sorted(every), flags, strict=True) if on}


def _examples(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels as NumPy arrays."""
    if isinstance(data, (tuple, list)) and len(data) == 2:
        pairs = [data]
    else:
        pairs = [tuple(pair) for pair in data]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError("`data` must be a pair (inputs, labels), or a loader of such pairs.")
    columns = [[_array(part) for part in column] for column in zip(*pairs, strict=True)]
    X, y = (np.concatenate(column) for column in columns)
    return (X.astype(np.int32) if X.dtype.itemsize < 4 else X), y


def _array(part: Any) -> np.ndarray:
    """A tensor, wherever it is and whatever is derived from it, or what NumPy makes of it."""
    return np.asarray(part.detach().cpu() if hasattr(part, "detach") else part)
