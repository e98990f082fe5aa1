r"""Named parameters in physical units, moved freely through bijections and never clamped.

A clamp has no gradient at its ends; :math:`z = a + (b - a)\,\mathrm{sigmoid}(\zeta)` always has.
NumPy arrays give NumPy arrays: JAX would compile a program for every shape of grid.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float


def library_of(value: Any) -> Any:
    """NumPy where it can work on the value, else JAX's."""
    return np if isinstance(value, np.ndarray | np.generic | float | int) else jnp


def log_sigmoid(value: Any) -> Any:
    on_host = library_of(value) is np
    return scipy.special.log_expit(value) if on_host else jax.nn.log_sigmoid(value)


def log_normal(value: Any) -> Any:
    """Log density of the standard normal."""
    return -0.5 * value**2 - 0.5 * np.log(2 * np.pi)


class AbstractParameter(eqx.Module):
    r"""One parameter: its prior, and its bijection from :math:`\zeta \in R`."""

    @abc.abstractmethod
    def physical(self, unbounded: Any) -> Any:
        r""":math:`z(\zeta)`."""

    @abc.abstractmethod
    def unbounded(self, physical: Any) -> Any:
        r""":math:`\zeta(z)`."""

    @abc.abstractmethod
    def log_prior(self, unbounded: Any) -> Any:
        r"""Log density of :math:`\zeta`: that of z plus :math:`\log |dz/d\zeta|`."""

    @abc.abstractmethod
    def at_quantile(self, probability: Any) -> np.ndarray:
        """Physical value that the prior stays below with this probability."""

    @property
    @abc.abstractmethod
    def spread(self) -> float:
        """Standard deviation of the prior, physical units."""


class Bounded(AbstractParameter):
    r"""Flat on :math:`[a, b]`, with the logistic function s:
    :math:`\log|dz/d\zeta| = \log(b - a) + \log s(\zeta) + \log s(-\zeta)`.

    Raises ValueError when the bounds are reversed or not finite.
    """

    low: float
    high: float

    def __check_init__(self):
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"bounds ({self.low:g}, {self.high:g}) are not a range; give the smaller first, "
                f"e.g. ({min(self.low, self.high):g}, {max(self.low, self.high):g}), both finite."
            )

    def physical(self, unbounded):
        sigmoid = scipy.special.expit if library_of(unbounded) is np else jax.nn.sigmoid
        return self.low + (self.high - self.low) * sigmoid(unbounded)

    def unbounded(self, physical):
        fraction = (physical - self.low) / (self.high - self.low)
        library = library_of(physical)
        return library.log(fraction) - library.log1p(-fraction)

    def log_prior(self, unbounded):
        return log_sigmoid(unbounded) + log_sigmoid(-unbounded)

    def at_quantile(self, probability):
        return self.low + (self.high - self.low) * np.asarray(probability, float)

    @property
    def spread(self):
        return (self.high - self.low) / 12**0.5


class Positive(AbstractParameter):
    r"""Log-normal: :math:`z = m e^{s \zeta}` with `median` m, `log_spread` s and
    :math:`\zeta \sim N(0, 1)`."""

    median: float
    log_spread: float = 1.0

    def __check_init__(self):
        if not (self.median > 0 and self.log_spread > 0):
            raise ValueError(
                f"Positive({self.median:g}, {self.log_spread:g}): the median and the spread of the "
                "logarithm must be positive; try Positive(1.0)."
            )

    def physical(self, unbounded):
        return self.median * library_of(unbounded).exp(self.log_spread * unbounded)

    def unbounded(self, physical):
        return library_of(physical).log(physical / self.median) / self.log_spread

    def log_prior(self, unbounded):
        return log_normal(unbounded)

    def at_quantile(self, probability):
        return self.physical(scipy.special.ndtri(np.asarray(probability, float)))

    @property
    def spread(self):
        variance = self.log_spread**2
        return float(self.median * np.exp(variance / 2) * np.sqrt(np.expm1(variance)))


class Normal(AbstractParameter):
    r"""Any real number: :math:`z = m + s \zeta`, :math:`\zeta \sim N(0, 1)`."""

    mean: float = 0.0
    spread_: float = 1.0

    def __check_init__(self):
        if not self.spread_ > 0:
            raise ValueError(f"Normal: the spread must be positive, got {self.spread_:g}; try 1.0.")

    def physical(self, unbounded):
        return self.mean + self.spread_ * unbounded

    def unbounded(self, physical):
        return (physical - self.mean) / self.spread_

    def log_prior(self, unbounded):
        return log_normal(unbounded)

    def at_quantile(self, probability):
        return self.physical(scipy.special.ndtri(np.asarray(probability, float)))

    @property
    def spread(self):
        return self.spread_


class Parameters:
    """Named parameters in order, together one vector.

    Raises ValueError for a value that is neither a pair of bounds nor a parameter.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        if not isinstance(named, Mapping):
            raise ValueError(
                f"`parameters` must map names to bounds, got {named!r}; try {{'omega': (0.1, 2)}}."
            )
        self.members = {name: _parameter(name, value) for name, value in named.items()}
        self.names = tuple(self.members)

    def __len__(self) -> int:
        return len(self.names)

    def physical(self, unbounded: Float[Array, " parameters"]) -> dict[str, Array]:
        """The dictionary that a simulator is given."""
        pairs = enumerate(self.members.items())
        return {name: parameter.physical(unbounded[i]) for i, (name, parameter) in pairs}

    def physical_array(self, unbounded: Any) -> Any:
        """Physical values (..., parameters), in order along the last axis."""
        columns = [p.physical(unbounded[..., i]) for i, p in enumerate(self.members.values())]
        return _stacked(columns) if columns else unbounded

    def unbounded(self, physical: Any) -> Any:
        """The inverse of :meth:`physical_array`."""
        columns = [p.unbounded(physical[..., i]) for i, p in enumerate(self.members.values())]
        return _stacked(columns) if columns else physical

    def log_prior(self, unbounded: Any) -> Any:
        r"""Log density of :math:`\zeta` (..., parameters), summed over parameters."""
        terms = [p.log_prior(unbounded[..., i]) for i, p in enumerate(self.members.values())]
        return sum(terms, start=library_of(unbounded).zeros(unbounded.shape[:-1]))

    def at_quantile(self, probability: Any) -> np.ndarray:
        """Physical values at quantiles of the prior, one column for each parameter."""
        probability = np.asarray(probability, float)
        columns = [p.at_quantile(probability[..., i]) for i, p in enumerate(self.members.values())]
        return np.stack(columns, axis=-1) if columns else probability

    @property
    def spread(self) -> np.ndarray:
        return np.array([p.spread for p in self.members.values()])

    def describe(self) -> dict[str, str]:
        """For people and model files."""
        return {name: repr(parameter) for name, parameter in self.members.items()}


def _stacked(columns: list[Any]) -> Any:
    return library_of(columns[0]).stack(columns, axis=-1)


def _parameter(name: str, value: Any) -> AbstractParameter:
    if isinstance(value, AbstractParameter):
        return value
    try:
        low, high = (float(end) for end in value)
    except (TypeError, ValueError):
        raise ValueError(
            f"parameter {name!r} is {value!r}; give its bounds as a pair, e.g. (0.1, 2.0), or "
            "Positive(...) or Normal(...)."
        ) from None
    try:
        return Bounded(low, high)
    except ValueError as error:
        raise ValueError(f"parameter {name!r}: {error}") from None
