"""Spectra of many millions of modes in a few thousand nodes, with a bound on what that costs."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
import scipy.special
from jaxtyping import Array, Float

from wilsonian.datasets import check_positive, prescribed

TOLERANCE = 1e-8
TAIL_RANGE = 1e-16  # an endless power law is followed through this factor in its eigenvalue
MODES_PER_BIN = 8.0  # of a power law; where bins would hold fewer, its modes are listed


class BinnedSpectrum(eqx.Module):
    r"""Nodes :math:`(\Lambda_b, m_b, p_b)` whose sums stand for those over the modes,

    .. math:: \sum_k f(\lambda_k) \simeq \sum_b m_b f(\Lambda_b), \qquad
        \sum_k y_k^2 f(\lambda_k) \simeq \sum_b p_b f(\Lambda_b) .

    Eigenvalues fall into bins :math:`c (1 \pm r)`. In each, a two-point Gauss rule of its
    eigenvalues, and another of its target power, keep the moments :math:`\sum \lambda^j`,
    :math:`j = 0, \dots, 3`: number of modes, trace and total power are exact, and bins of one or
    two modes altogether. Elsewhere a two-point rule errs by at most :math:`r^4 \max |f''''| / 96`
    of its mass (:math:`f` as a function of :math:`\lambda / c`). For :math:`f = L`, :math:`1 - L`
    and their products, :math:`L = \lambda / (\lambda + \kappa)`, this is at *every* :math:`\kappa`
    at most

    .. math:: \tfrac54 r^4 (1 + r)^2 / (1 - r)^6

    of the sum itself (worst for :math:`(1 - L)^2`, whose fourth derivative reaches 120 times it).
    `tolerance` is that bound. The error it leaves in a learning curve is a few tolerances over
    :math:`1 - \gamma`.
    """

    eigenvalues: Float[Array, " nodes"]  # descending
    multiplicity: Float[Array, " nodes"]  # modes a node stands for
    target_power: Float[Array, " nodes"]  # y_k^2 a node stands for
    tail: float | Array = 0.0  # trace of modes too small to resolve

    @classmethod
    def of(
        cls,
        eigenvalues: Any,
        target_power: Any = None,
        *,
        tail: float = 0.0,
        tolerance: float = TOLERANCE,
    ) -> BinnedSpectrum:
        """Bin `eigenvalues` (modes,), descending, and with them `target_power` (modes,), the
        squared target coefficients (zero when left out). `tail` is the trace of modes that are not
        among them. Power of modes of eigenvalue zero stays: one node, never learned.

        Raises ValueError when an eigenvalue is negative, not finite or out of order, all are zero,
        the lengths differ, or `tolerance` is not between 1e-14 and 0.1.
        """
        half_width = half_width_of(tolerance)
        values = check_eigenvalues(eigenvalues)
        power = check_target_power(target_power, values)
        resolved = np.count_nonzero(values)
        zero_power = float(np.sum(power[resolved:]))
        values, power = values[:resolved], power[:resolved]
        # Descending, so that every bin is a run of consecutive modes.
        width = math.log1p(half_width) - math.log1p(-half_width)
        index = np.floor(np.log(values[0] / values) / width)
        starts = np.flatnonzero(np.diff(index, prepend=-1))
        centres = values[0] * np.exp(-width * index[starts]) / (1 + half_width)
        deviations = values / np.repeat(centres, np.diff(starts, append=resolved)) - 1
        moments = np.empty((2, 4, len(starts)))
        for mass, total in zip((np.ones(resolved), power), moments, strict=True):
            for order in range(4):
                total[order] = np.add.reduceat(mass, starts)
                mass = mass * deviations
        return _from_moments(centres, moments, half_width, zero_power, tail)

    @classmethod
    def power_law(
        cls,
        exponent: float,
        *,
        scale: float = 1.0,
        target_exponent: float | None = None,
        target_scale: float = 1.0,
        first: int = 1,
        last: float = math.inf,
        tolerance: float = TOLERANCE,
    ) -> BinnedSpectrum:
        r"""Modes :math:`\lambda_i = a\, i^{-b}`, :math:`y_i^2 = c\, i^{-d}` for :math:`i` from
        `first` to `last`, without listing them: moments of a bin are differences of Hurwitz zeta
        functions, :math:`\sum_{i = i_0}^{i_1 - 1} i^{-s} = \zeta(s, i_0) - \zeta(s, i_1)`.

        :math:`b` is `exponent`, :math:`a` `scale`, :math:`d` `target_exponent` (no target when
        left out) and :math:`c` `target_scale`. An endless spectrum is followed through sixteen
        decades of its eigenvalue; the trace below is tail, the power below is never learned.

        Raises ValueError when an exponent does not exceed one, a scale or `first` is not positive,
        `last` precedes `first`, or `tolerance` is not between 1e-14 and 0.1.
        """
        check_positive(scale=scale, target_scale=target_scale, first=first)
        for name, value in (("exponent", exponent), ("target_exponent", target_exponent)):
            if value is not None and not 1 < value < math.inf:
                raise ValueError(
                    f"`{name}` must be finite and exceed 1, got {value}: the sum over an endless "
                    "tail would not converge."
                )
        if not last >= first:
            raise ValueError(f"`last` must not precede `first`, got {last} and {first}.")
        half_width = half_width_of(tolerance)
        width = math.log1p(half_width) - math.log1p(-half_width)
        decay = 2.0 if target_exponent is None else target_exponent
        target_scale = 0.0 if target_exponent is None else target_scale
        few = math.ceil(MODES_PER_BIN * exponent / width)  # here a bin holds that many modes
        start = int(min(last + 1, max(first, few)))
        end = min(last + 1, start * TAIL_RANGE ** (-1 / exponent))
        ratio = math.exp(width / exponent)
        steps = max(0, math.ceil(math.log(end / start) / math.log(ratio)))
        edges = np.minimum(np.floor(start * ratio ** np.arange(steps + 1.0)), end)
        lower, upper = edges[:-1], edges[1:]
        # A bin whose edge indices were rounded may be a little wider than the tolerance allows.
        centres = (lower**-exponent + upper**-exponent) / 2
        raw = np.array(
            [
                [
                    (_power_sum(s + order * exponent, lower, upper)) / centres**order
                    for order in range(4)
                ]
                for s in (0.0, decay)
            ]
        )
        # About the centre: the differences lose no more than the square of a bin's width.
        shift = np.array([[1, 0, 0, 0], [-1, 1, 0, 0], [1, -2, 1, 0], [-1, 3, -3, 1]])
        moments = np.einsum("jk,akb->ajb", shift, raw)
        moments[1] *= target_scale
        left = _power_sum(exponent, end, last + 1) * scale
        left_power = _power_sum(decay, end, last + 1) * target_scale
        binned = _from_moments(scale * centres, moments, half_width, left_power, left)
        if start <= first:
            return binned
        index = np.arange(first, start, dtype=float)
        listed = cls.of(scale * index**-exponent, target_scale * index**-decay, tolerance=tolerance)
        return listed.joined(binned)

    def joined(self, other: BinnedSpectrum) -> BinnedSpectrum:
        """The modes of both: a measured spectrum, say, and a power law for what follows."""
        columns = [
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("eigenvalues", "multiplicity", "target_power")
        ]
        order = np.argsort(-columns[0], kind="stable")
        return BinnedSpectrum(*(column[order] for column in columns), self.tail + other.tail)

    def trace(self) -> float:
        r""":math:`\sum_k \lambda_k`, tail included."""
        return float(self.multiplicity @ self.eigenvalues + self.tail)


def half_width_of(tolerance: float) -> float:
    """Half width r of the bins whose error is at most `tolerance`."""
    if not 1e-14 <= tolerance <= 0.1:
        raise ValueError(f"`tolerance` must lie between 1e-14 and 0.1, got {tolerance}; try 1e-8.")
    half_width = (0.8 * tolerance) ** 0.25
    for _ in range(50):  # the correction is near one: the iteration contracts
        half_width = (0.8 * tolerance * (1 - half_width) ** 6 / (1 + half_width) ** 2) ** 0.25
    return half_width


def power_law_degrees_of_freedom(
    kappa: Any, exponent: float, *, scale: float = 1.0, after: float = 0.5
) -> np.ndarray:
    r"""The integral that stands for an endless power law's degrees of freedom,

    .. math:: \int_M^\infty \frac{dx}{1 + \kappa x^b / a} = \frac{a M^{1 - b}}{\kappa (b - 1)}\,
        {}_2F_1\big(1, 1 - \tfrac1b; 2 - \tfrac1b; -\tfrac{a}{\kappa M^b}\big),

    :math:`M` `after`. For the sum over :math:`i > M - 1/2` it is right to a relative :math:`b^2 /
    24 M^2`; from :math:`M = 0` on it is :math:`I_2 (a / \kappa)^{1/b}`, :math:`I_2 = (\pi / b) /
    \sin(\pi / b)` (science notes, section 4).

    Raises ValueError unless `exponent` exceeds one.
    """
    if not exponent > 1:
        raise ValueError(f"`exponent` must exceed 1, got {exponent}: the integral diverges.")
    kappa = np.asarray(kappa, float)
    if after == 0:
        angle = math.pi / exponent
        return angle / math.sin(angle) * (scale / kappa) ** (1 / exponent)
    ratio = scale / (kappa * after**exponent)
    b = 1 / exponent
    return ratio * after / (exponent - 1) * scipy.special.hyp2f1(1.0, 1 - b, 2 - b, -ratio)


def check_eigenvalues(eigenvalues: Any) -> np.ndarray:
    """`eigenvalues` in double precision; see :func:`~wilsonian.datasets.prescribed` for what
    raises ValueError."""
    with jax.enable_x64(True):
        return np.asarray(prescribed(eigenvalues))


def check_target_power(target_power: Any, eigenvalues: np.ndarray) -> np.ndarray:
    """`target_power` as an array beside `eigenvalues`, zero when None.

    Raises ValueError when lengths differ, or a power is negative or not finite.
    """
    if target_power is None:
        return np.zeros_like(eigenvalues)
    power = np.asarray(target_power, float)
    if power.shape != eigenvalues.shape:
        raise ValueError(
            f"`target` has shape {power.shape} and `eigenvalues` {eigenvalues.shape}; pass one "
            "squared coefficient per mode, and power outside the modes as `unresolved_target`."
        )
    if not np.all(np.isfinite(power)) or np.min(power) < 0:
        raise ValueError(
            "`target` holds squared coefficients, finite and at least zero, got values from "
            f"{power.min():.3g} to {power.max():.3g}; square the coefficients."
        )
    return power


def _power_sum(s: float, lower: Any, upper: Any) -> Any:
    r""":math:`\sum_{i = lower}^{upper - 1} i^{-s}`."""
    if s == 0:
        return np.asarray(upper, float) - lower
    below = scipy.special.zeta(s, lower)
    return below - np.where(np.isinf(upper), 0.0, scipy.special.zeta(s, np.minimum(upper, 1e300)))


def _from_moments(
    centres: np.ndarray, moments: np.ndarray, half_width: float, zero_power: float, tail: float
) -> BinnedSpectrum:
    """Gauss rules of every bin, in descending order; `moments` is (count or power, order, bins) of
    the deviations from the centre, in its units."""
    places, counts, powers = [np.zeros(1)], [np.zeros(1)], [np.full(1, zero_power)]
    for which, moment in enumerate(moments):
        for place, weight in _gauss_rule(moment, half_width):
            held = weight > 0
            places.append((centres * (1 + place))[held])
            counts.append(weight[held] if which == 0 else np.zeros(held.sum()))
            powers.append(weight[held] if which == 1 else np.zeros(held.sum()))
    if zero_power == 0:
        places[0] = counts[0] = powers[0] = np.zeros(0)
    columns = [np.concatenate(parts) for parts in (places, counts, powers)]
    order = np.argsort(-columns[0], kind="stable")
    return BinnedSpectrum(*(column[order] for column in columns), float(tail))


def _gauss_rule(moments: np.ndarray, half_width: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Two nodes and weights with the given moments (4, bins); one node where there is no spread."""
    mass = moments[0]
    mean, second, third = moments[1:] / np.where(mass > 0, mass, 1.0)
    variance = second - mean**2
    spread_out = variance > 1e-14 * half_width**2
    deviation = np.sqrt(np.where(spread_out, variance, 1.0))
    skewness = (third - 3 * mean * second + 2 * mean**3) / deviation**3
    half = np.where(spread_out, skewness / 2, 0.0)
    root = np.sqrt(1 + half**2)
    up, down = half + root, half - root
    deviation = np.where(spread_out, deviation, 0.0)
    share = np.where(spread_out, (1 - half / root) / 2, 1.0)
    return [(mean + deviation * up, mass * share), (mean + deviation * down, mass * (1 - share))]
