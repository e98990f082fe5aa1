r"""Couplings of a field along the flow of a channel, from its moments at the start.

With :math:`\chi_t = M_t(0)^2\chi_0 + \Sigma_t(0)` and :math:`\chi_{4,t} = M_t(0)^4 \chi_{4,0}`
exactly, the whole flow of

.. math:: g_R = -\frac{\chi_4}{\chi^2 \xi^d}, \qquad U = -\frac{\chi_4}{3 V \chi^2}, \qquad
          \xi^2 = \frac{C(0)/C(p_1) - 1}{4 \sin^2(\pi/L)}

follows from the moments at t = 0, so flowed fields are a check of it
(docs/science/exact-rg.md, "Couplings along the flow").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from wilsonian.fields.channel import Channel, check_times


@dataclasses.dataclass(frozen=True)
class Couplings:
    """Couplings at one time, in lattice units."""

    susceptibility: float  # chi = C(0)
    first_momentum: float  # C(p_1), mean over the axes
    fourth_cumulant: float  # chi_4 = V^3 (<M^4> - 3 <M^2>^2)
    correlation_length: float  # second moment; nan when C(p_1) exceeds C(0)
    binder: float  # U = 1 - <M^4> / 3 <M^2>^2
    renormalized_coupling: float  # g_R

    @classmethod
    def of(
        cls,
        susceptibility: float,
        first_momentum: float,
        fourth_cumulant: float,
        shape: Sequence[int],
    ) -> Couplings:
        """From the three numbers that determine them; sides of the lattice must be equal."""
        side, dimension = shape[0], len(shape)
        volume = float(np.prod(shape))
        squared = (susceptibility / first_momentum - 1) / (4 * np.sin(np.pi / side) ** 2)
        length = float(np.sqrt(squared)) if squared > 0 else float("nan")
        binder = -fourth_cumulant / (3 * volume * susceptibility**2)
        return cls(
            susceptibility,
            first_momentum,
            fourth_cumulant,
            length,
            binder,
            -fourth_cumulant / (susceptibility**2 * length**dimension),
        )

    @classmethod
    def from_fields(cls, fields: np.ndarray, weights: np.ndarray | None = None) -> Couplings:
        """Measured on fields (count, *lattice), with weights when they are given."""
        moments, shape = _moments(fields)
        share = np.full(len(fields), 1 / len(fields)) if weights is None else weights / sum(weights)
        return cls._of_means(moments @ share, shape)

    @classmethod
    def _of_means(cls, means: np.ndarray, shape: Sequence[int]) -> Couplings:
        second, fourth, first = (float(mean) for mean in means)
        volume = float(np.prod(shape))
        return cls.of(volume * second, first, volume**3 * (fourth - 3 * second**2), shape)


def _moments(fields: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    """(M^2, M^4 and the power at the first momentum of each field (3, count), the lattice)."""
    rows = np.asarray(fields, float)
    shape = rows.shape[1:]
    if len(set(shape)) > 1:
        raise ValueError(f"the lattice {shape} has unequal sides; couplings need equal ones.")
    magnetization = rows.mean(tuple(range(1, rows.ndim)))
    return np.stack([magnetization**2, magnetization**4, first_momentum_power(rows)]), shape


def coupling_errors(
    fields: np.ndarray, weights: np.ndarray | None = None, groups: int = 64
) -> Couplings:
    """Standard errors of :meth:`Couplings.from_fields`, by jackknife over runs of fields.

    Twenty groups would know their own error to 16 %, and three of it would be passed once in a
    hundred; runs of at least two fields. ValueError for fewer than 16 fields.
    """
    count = len(fields)
    groups = min(groups, count // 2)
    if groups < 8:
        raise ValueError(f"{count} fields are too few to tell their error; pass 16 or more.")
    moments, shape = _moments(fields)
    share = np.ones(count) if weights is None else np.asarray(weights, float)
    group = np.arange(count) * groups // count
    sums = np.stack([np.bincount(group, share * values) for values in moments])
    mass = np.bincount(group, share)
    means = (sums.sum(1)[:, None] - sums) / (mass.sum() - mass)
    left = np.array([dataclasses.astuple(Couplings._of_means(column, shape)) for column in means.T])
    spread = np.sqrt((groups - 1) / groups * ((left - left.mean(0)) ** 2).sum(0))
    return Couplings(*(float(value) for value in spread))


def first_momentum_power(fields: np.ndarray) -> np.ndarray:
    r""":math:`|\phi(p_1)|^2` of each field, mean over the lattice's axes."""
    shape = fields.shape[1:]
    volume = float(np.prod(shape))
    powers = []
    for axis, side in enumerate(shape):
        others = tuple(k + 1 for k in range(len(shape)) if k != axis)
        profile = fields.sum(others) if others else fields
        wave = np.exp(2j * np.pi * np.arange(side) / side)
        powers.append(np.abs(profile @ wave) ** 2 / volume)
    return np.mean(powers, 0)


def coupling_flow(start: Couplings, channel: Channel, times: Sequence[float]) -> list[Couplings]:
    """Couplings at rising times, by their exact laws from those at the start."""
    check_times(times)
    first = tuple(1 if axis == 0 else 0 for axis in range(len(channel.shape)))
    zero = tuple(0 for _ in channel.shape)
    flowed = []
    for time in times:
        kernel = channel.kernel(0, time)
        multiplier, noise = kernel.multiplier, kernel.noise_variance
        flowed.append(
            Couplings.of(
                float(multiplier[zero] ** 2 * start.susceptibility + noise[zero]),
                float(multiplier[first] ** 2 * start.first_momentum + noise[first]),
                float(multiplier[zero] ** 4 * start.fourth_cumulant),
                channel.shape,
            )
        )
    return flowed
