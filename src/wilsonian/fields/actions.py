"""What a lattice theory is: an action, its force, and the numbers that name it."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class AbstractFieldTheory(abc.ABC):
    """A law of fields, exp(-action), on a lattice."""

    shape: tuple[int, ...]

    @abc.abstractmethod
    def action(self, fields: Float[Array, "..."]) -> Array:
        """Action of each field, (..., *lattice) -> (...)."""

    @abc.abstractmethod
    def kinetic_stiffness(self) -> float:
        r"""Factor c of :math:`\frac12 c\,\hat p^2|\phi(p)|^2` in the action, about."""

    @abc.abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Name and numbers of the theory, as kept beside its ensembles."""

    @property
    def volume(self) -> int:
        return int(np.prod(self.shape))

    def force(self, fields: Float[Array, "..."]) -> Array:
        r"""Gradient of the action, :math:`\partial S/\partial\phi`, the shape of `fields`."""
        return jax.grad(lambda values: self.action(values).sum())(fields)


class AbstractSiteTheory(AbstractFieldTheory):
    """Nearest neighbours with one coupling, and an even polynomial at each site."""

    kappa: float

    @property
    @abc.abstractmethod
    def coefficients(self) -> tuple[float, ...]:
        """c_1, c_2, ... of the potential."""

    def potential(self, values: Any) -> Any:
        """V, for arrays of NumPy or JAX."""
        squares, total = values * values, 0.0
        for coefficient in reversed(self.coefficients):
            total = (total + coefficient) * squares
        return total

    def potential_slope(self, values: Any) -> Any:
        """V', likewise."""
        squares, total = values * values, 0.0
        for order in range(len(self.coefficients), 0, -1):
            total = total * squares + 2 * order * self.coefficients[order - 1]
        return total * values

    def neighbours(self, fields: Float[Array, "..."]) -> Array:
        """Sum of the 2d neighbours of each site."""
        axes = range(-len(self.shape), 0)
        total = jnp.zeros_like(fields)
        for axis in axes:
            total += jnp.roll(fields, 1, axis) + jnp.roll(fields, -1, axis)
        return total

    def action(self, fields: Float[Array, "..."]) -> Array:
        axes = tuple(range(-len(self.shape), 0))
        bonds = sum(fields * jnp.roll(fields, -1, axis) for axis in axes)
        return (self.potential(fields) - 2 * self.kappa * bonds).sum(axes)

    def force(self, fields: Float[Array, "..."]) -> Array:
        return self.potential_slope(fields) - 2 * self.kappa * self.neighbours(fields)

    def kinetic_stiffness(self) -> float:
        return 2 * self.kappa


@functools.lru_cache(maxsize=16)
def compiled_action(theory: AbstractFieldTheory) -> Callable[[Array], Array]:
    """The theory's action, compiled once for all who ask (theories are compared by their numbers,
    actions of a user by identity)."""
    return jax.jit(theory.action)
