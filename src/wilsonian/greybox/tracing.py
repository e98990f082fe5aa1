"""A user's functions, traced once before anything is computed: what they return, and whether they
can return it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array

# Operations whose place may not exist; an entry that does is a plain `slice`.
INDEXING = ("dynamic_slice", "dynamic_update_slice", "gather", "scatter")


class WrongResultError(ValueError):
    """A user's function returned what cannot be used; the sentence lacks its subject."""


def as_vector(value: Any, length: int | None = None) -> Array:
    """What a user's function returned (a tuple, a number, an array), as one vector."""
    try:
        if isinstance(value, tuple | list):
            value = jnp.stack([jnp.asarray(item, float) for item in value])
        vector = jnp.atleast_1d(jnp.asarray(value, float))
    except (TypeError, ValueError):
        raise WrongResultError(
            f"returned {type(value).__name__} where numbers of one shape are needed; return a "
            "tuple of numbers or a one-dimensional array."
        ) from None
    if vector.ndim != 1 or (length is not None and vector.shape[0] != length):
        raise WrongResultError(
            f"returned shape {vector.shape} where "
            f"{'one number for each of ' + str(length) + ' states' if length else 'a vector'} "
            "is needed; return a tuple or a one-dimensional array."
        )
    return vector


def trial(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Trace a user's function once, on shapes only, and return what it would.

    Raises ValueError with its own error in one sentence, also where it takes an entry that does
    not exist, which JAX would replace by the nearest.
    """
    try:
        traced, found = jax.make_jaxpr(function, return_shape=True)(*arguments)
    except WrongResultError as error:
        raise ValueError(f"{what} {error}") from None
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{what} fails ({type(error).__name__}: {said}); write it with jax.numpy, without `if` "
            "on its arguments, and name parameters as they were given."
        ) from error
    if not any(word in str(traced) for word in INDEXING):
        return found
    missing = missing_entry(traced.jaxpr, traced.consts)
    if missing is not None:
        entry, size = missing
        raise ValueError(
            f"{what} takes entry {entry} of {size}; count from 0 to {size - 1}, or return more."
        )
    return found


def missing_entry(jaxpr: Jaxpr, constants: Any = (), arguments: Any = ()) -> tuple[int, int] | None:
    """The first index, known without the state, that lies outside its axis: index and length."""
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, constants, strict=False))
    known.update(zip(jaxpr.invars, arguments, strict=False))

    def length_of(place: Any) -> tuple[int, ...]:
        return getattr(place.aval, "shape", ())

    def value(place: Any) -> Any:
        return place.val if isinstance(place, Literal) else known.get(place)

    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        inputs = [value(place) for place in equation.invars]
        shape = length_of(equation.invars[0]) if equation.invars else ()
        axes, starts = range(len(shape)), []
        lengths: Sequence[int] = [1] * len(shape)
        if name == "dynamic_slice":
            starts, lengths = inputs[1:], parameters["slice_sizes"]
        elif name == "dynamic_update_slice":
            starts, lengths = inputs[2:], length_of(equation.invars[1])
        elif name == "gather" or name.startswith("scatter"):
            numbers = parameters["dimension_numbers"]
            if inputs[1] is not None and "CLIP" not in str(parameters["mode"]):
                starts = list(np.moveaxis(np.asarray(inputs[1]), -1, 0))
            if name == "gather":
                axes, sizes = numbers.start_index_map, parameters["slice_sizes"]
                lengths = [sizes[axis] for axis in axes]
            else:
                axes = numbers.scatter_dims_to_operand_dims
        elif all(item is not None and np.size(item) < 1000 for item in inputs):
            found = equation.primitive.bind(*inputs, **parameters)
            found = found if equation.primitive.multiple_results else [found]
            known.update(zip(equation.outvars, found, strict=True))
        for axis, start, length in zip(axes, starts, lengths, strict=False):
            if start is None:
                continue
            places, size = np.asarray(start), shape[axis]
            if np.any(places < 0):
                return int(places.min()) - size, size
            if np.any(places + length > size):
                return int(places.max()), size
        for inner in parameters.values():
            body = getattr(inner, "jaxpr", None)
            if not isinstance(body, Jaxpr):
                continue
            given = inputs if name == "jit" else ()
            if (missing := missing_entry(body, inner.consts, given)) is not None:
                return missing
    return None
