r"""Numbers measured on fields, with errors from groups that are independent of each other.

.. math:: |M|,\quad V\langle M^2\rangle,\quad V(\langle M^2\rangle - \langle|M|\rangle^2),\quad
   U = 1 - \frac{\langle M^4\rangle}{3\langle M^2\rangle^2},\quad \xi,\quad S/V,\quad
   \langle\phi\,\partial S/\partial\phi\rangle

the last being one for every theory (Schwinger-Dyson). Errors by jackknife over groups: of chains
for HMC, of batches for weighted draws, never the formula for independent equal weights.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.fields.actions import AbstractFieldTheory
from wilsonian.fields.couplings import first_momentum_power

GROUPS = 32
NAMES = {
    "magnetization": "|M|",
    "susceptibility": "V <M^2>",
    "connected_susceptibility": "V (<M^2> - <|M|>^2)",
    "binder": "U",
    "correlation_length": "xi",
    "action_density": "S/V",
    "schwinger_dyson": "<phi dS/dphi>",
    "field_squared": "<phi^2>",
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """A number and its standard error."""

    value: float
    error: float

    def pull(self, other: Measured | float) -> float:
        """Difference in standard errors; infinite when both are exact and differ."""
        value, error = (other, 0.0) if isinstance(other, float) else (other.value, other.error)
        total = float(np.hypot(self.error, error))
        if total == 0:
            return 0.0 if self.value == value else float("inf")
        return (self.value - value) / total


def per_field(theory: AbstractFieldTheory, fields: np.ndarray) -> dict[str, np.ndarray]:
    """What is averaged: one row per field, float64."""
    rows = np.asarray(fields)
    axes = tuple(range(1, rows.ndim))
    action, identity = _action_and_identity(theory, rows)
    magnetization = rows.mean(axes, dtype=float)
    return {
        "magnetization": magnetization,
        "action": action,
        "identity": identity,
        "field_squared": (rows.astype(float) ** 2).mean(axes),
        "first_momentum": first_momentum_power(rows),
    }


@functools.lru_cache(maxsize=16)
def _compiled_both(theory: AbstractFieldTheory):  # type: ignore[no-untyped-def]
    axes = tuple(range(1, 1 + len(theory.shape)))

    @jax.jit
    def both(fields: jax.Array) -> tuple[jax.Array, jax.Array]:
        return theory.action(fields), (fields * theory.force(fields)).mean(axes)

    return both


def _action_and_identity(
    theory: AbstractFieldTheory, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    axes = tuple(range(1, rows.ndim))
    both = _compiled_both(theory)
    actions, identities = [], []
    width = min(1024, len(rows))
    for start in range(0, len(rows), width):
        part = rows[start : start + width]
        full = np.pad(part, [(0, width - len(part))] + [(0, 0)] * len(axes))
        action, identity = both(jnp.asarray(full, jnp.float32))
        actions.append(np.asarray(action, float)[: len(part)])
        identities.append(np.asarray(identity, float)[: len(part)])
    return np.concatenate(actions), np.concatenate(identities)


def observables(
    values: dict[str, np.ndarray],
    shape: tuple[int, ...],
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> dict[str, Measured]:
    """Means of :func:`per_field`'s rows, with `weights`, errors by jackknife over `groups`.

    `groups` numbers the independent group of each row (default: 32 runs of neighbours).
    """
    count = len(values["magnetization"])
    share = np.ones(count) if weights is None else np.asarray(weights, float)
    if groups is None:
        groups = np.arange(count) * min(GROUPS, count) // count
    number = int(groups.max()) + 1
    m = values["magnetization"]
    columns = np.stack(
        [
            np.abs(m),
            m**2,
            m**4,
            values["first_momentum"],
            values["action"],
            values["identity"],
            values["field_squared"],
        ]
    )
    sums = np.stack([np.bincount(groups, share * column, number) for column in columns])
    mass = np.bincount(groups, share, number)

    whole = _numbers(sums.sum(1) / mass.sum(), shape)
    others = (sums.sum(1)[:, None] - sums) / (mass.sum() - mass)
    left = np.stack([_numbers(others[:, k], shape) for k in range(number)])
    spread = ((left - left.mean(0)) ** 2).sum(0)
    error = np.sqrt((number - 1) / number * spread)
    return {
        name: Measured(float(a), float(b)) for name, a, b in zip(NAMES, whole, error, strict=True)
    }


def _numbers(means: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    absolute, second, fourth, first, action, identity, square = means
    volume = float(np.prod(shape))
    # The second-moment length is of the first momentum, averaged over axes of equal length.
    squared = (volume * second / first - 1) / (4 * np.sin(np.pi / shape[0]) ** 2)
    return np.array(
        [
            absolute,
            volume * second,
            volume * (second - absolute**2),
            1 - fourth / (3 * second**2),
            np.sqrt(max(squared, 0.0)),
            action / volume,
            identity,
            square,
        ]
    )
