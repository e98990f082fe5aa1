"""Weight matrices whose Jacobian is an outer product, found by following a function's operations.

The empirical tangent kernel needs inner products of Jacobians only. Where a matrix `W` enters one
matrix product, `y = W a`, its Jacobian is :math:`\\partial f_o / \\partial y \\otimes a`; inner
products of such need both factors and never the Jacobian itself (Novak et al. 2022, section 5).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal
from jaxtyping import Array

# Operations of a matrix with nothing but numbers, under which inner products of Jacobians stay
# what they are: rearrangements, and multiplications by one number, which is carried along.
_REARRANGEMENTS = {"transpose", "reshape", "squeeze", "expand_dims", "copy"}
_SCALINGS = {"mul", "div"}
_CALLS = {"jit", "pjit", "closed_call"}


@dataclasses.dataclass(frozen=True)
class Site:
    """One matrix product that one weight matrix enters, and nothing else does."""

    features_in: int
    features_out: int
    places: int  # at which the same matrix is applied to one point
    shape: tuple[int, ...]  # of the product
    weight_first: bool
    contracted: tuple[tuple[int, ...], tuple[int, ...]]

    def separated(self, into: Array, back: Array) -> tuple[Array, Array]:
        """What goes in as (places, d), and what comes back, (o, *shape), as (o, places, h)."""
        of_input = self.contracted[1 if self.weight_first else 0]
        into = jnp.moveaxis(into, of_input, range(-len(of_input), 0))
        into = into.reshape(self.places, self.features_in)
        first, last = self.features_out, self.places
        if not self.weight_first:
            first, last = last, first
        back = back.reshape(back.shape[0], first, last)
        return into, jnp.swapaxes(back, 1, 2) if self.weight_first else back


@dataclasses.dataclass(frozen=True)
class _Weight:
    """A leaf of the parameters on its way to a matrix product."""

    value: Any
    leaf: int
    scale: Any  # the number it has been multiplied by


class _Trace:
    """What one evaluation of the function saw."""

    def __init__(self, shifts: dict[int, Array] | None = None) -> None:
        self.shifts = shifts or {}  # added to the products of these leaves
        self.products: dict[int, list[Site | None]] = {}  # None: used in some other way
        self.inputs: dict[int, tuple[Any, Any]] = {}  # what the weight met, and its scale


@dataclasses.dataclass(frozen=True)
class WeightSites:
    """The structure of a function of parameters and one point. Made by :func:`find_sites`."""

    function: Callable[[Any, Array], Array]
    found: dict[int, Site]  # by leaf of the parameters

    def factors(
        self, parameters: Any, x: Array
    ) -> tuple[list[tuple[Array, Array, Array]], list[Array]]:
        """Of every site what goes in, (places, d), what comes back, (o, places, h), and its scale;
        and the Jacobians (o, *shape) of all other leaves."""
        leaves, structure = jax.tree.flatten(parameters)
        closed = jax.make_jaxpr(
            lambda leaves, x: self.function(jax.tree.unflatten(structure, leaves), x)
        )(leaves, x)
        others = [i for i in range(len(leaves)) if i not in self.found]

        def shifted(shifts, moved):
            whole = [moved.get(i, leaf) for i, leaf in enumerate(leaves)]
            trace = _Trace(shifts)
            (result,) = _evaluate(
                closed, [*map(_Weight, whole, range(len(whole)), _ones(whole)), x], trace
            )
            return _plain(result, trace), trace.inputs

        shifts = {i: jnp.zeros(site.shape, leaves[i].dtype) for i, site in self.found.items()}
        (back, rest), inputs = jax.jacrev(shifted, (0, 1), has_aux=True)(
            shifts, {i: leaves[i] for i in others}
        )
        factors = [
            (*site.separated(inputs[i][0], back[i]), jnp.asarray(inputs[i][1]))
            for i, site in self.found.items()
        ]
        return factors, [rest[i] for i in others]


def find_sites(function: Callable[[Any, Array], Array], parameters: Any, x: Array) -> WeightSites:
    """The weight matrices of `function(parameters, x)` that enter one matrix product each."""
    leaves, structure = jax.tree.flatten(parameters)
    closed = jax.make_jaxpr(lambda leaves, x: function(jax.tree.unflatten(structure, leaves), x))(
        leaves, x
    )
    trace = _Trace()

    def run(leaves, x):
        weights = map(_Weight, leaves, range(len(leaves)), _ones(leaves))
        return [_plain(value, trace) for value in _evaluate(closed, [*weights, x], trace)]

    jax.eval_shape(run, leaves, x)
    found = {
        leaf: uses[0]
        for leaf, uses in sorted(trace.products.items())
        if len(uses) == 1 and uses[0] is not None
    }
    return WeightSites(function, found)


def _ones(leaves: list) -> list[Array]:
    return [jnp.ones((), leaf.dtype) for leaf in leaves]


def _plain(value: Any, trace: _Trace) -> Any:
    """The array behind `value`; a weight that is used this way has no structure to exploit."""
    if isinstance(value, _Weight):
        trace.products.setdefault(value.leaf, []).append(None)
        return value.value
    return value


def _evaluate(closed: ClosedJaxpr, arguments: list, trace: _Trace) -> list:
    """The operations of `closed` one by one, with weights followed to their products."""
    jaxpr = closed.jaxpr
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom):
        return atom.val if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        weights = [value for value in inputs if isinstance(value, _Weight)]
        name = equation.primitive.name
        if name in _CALLS and weights:
            results = _evaluate(equation.params["jaxpr"], inputs, trace)
        elif len(weights) == 1 and (special := _special(equation, inputs, weights[0], trace)):
            results = special
        else:
            plain = [_plain(value, trace) for value in inputs]
            results = _apply(equation, plain)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: Any, inputs: list) -> list:
    """One operation, bound as JAX's own interpreter of jaxprs does."""
    parameters, functions = equation.primitive.get_bind_params(equation.params), ()
    if isinstance(parameters, tuple):  # before JAX 0.10
        functions, parameters = parameters
    result = equation.primitive.bind(*functions, *inputs, **parameters)
    return result if equation.primitive.multiple_results else [result]


def _special(equation: Any, inputs: list, weight: _Weight, trace: _Trace) -> list | None:
    """What becomes of a weight that is rearranged, scaled or multiplied; None if anything else."""
    name = equation.primitive.name
    plain = [value.value if isinstance(value, _Weight) else value for value in inputs]
    if name in _REARRANGEMENTS:
        (value,) = _apply(equation, plain)
        return [_Weight(value, weight.leaf, weight.scale)]
    if name in _SCALINGS and (name == "mul" or inputs[0] is weight):
        other = plain[1] if inputs[0] is weight else plain[0]
        if jnp.ndim(other) == 0:
            (value,) = _apply(equation, plain)
            scale = weight.scale * other if name == "mul" else weight.scale / other
            return [_Weight(value, weight.leaf, scale)]
    if name == "dot_general":
        (contracted, batch) = equation.params["dimension_numbers"]
        if batch[0]:
            return None
        first = inputs[0] is weight
        shape = equation.outvars[0].aval.shape
        of_weight = contracted[0 if first else 1]
        features_in = math.prod(weight.value.shape[axis] for axis in of_weight)
        features_out = weight.value.size // features_in
        site = Site(
            features_in,
            features_out,
            math.prod(shape) // features_out,
            shape,
            first,
            (tuple(contracted[0]), tuple(contracted[1])),
        )
        trace.products.setdefault(weight.leaf, []).append(site)
        (value,) = _apply(equation, plain)
        if weight.leaf in trace.shifts:
            trace.inputs[weight.leaf] = (plain[1 if first else 0], weight.scale)
            value = value + trace.shifts[weight.leaf]
        return [value]
    return None
