"""Spectra of many millions of modes in a few thousand nodes, with a bound on what that costs."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
import scipy.special
from jaxtyping import Array, Float

from wilsonian.core.types import Scalar
from wilsonian.theory.datasets import check_positive, prescribed

TOLERANCE = 1e-8
TAIL_RANGE = 1e-16  # an endless power law is followed through this factor in its eigenvalue
MODES_PER_BIN = 8.0  # of a power law; where bins would hold fewer, its modes are listed


class BinnedSpectrum(eqx.Module):
    r"""Nodes :math:`(\Lambda_b, m_b, p_b)` whose sums stand for those over the modes,

    .. math:: \sum_k f(\lambda_k) \simeq \sum_b m_b f(\Lambda_b), \qquad
        \sum_k y_k^2 f(\lambda_k) \simeq \sum_b p_b f(\Lambda_b) .

    Eigenvalues fall into bins :math:`c (1 \pm r)`. In each, a three-point Gauss rule of its
    eigenvalues, and another of its target power, keep the moments :math:`\sum \lambda^j`,
    :math:`j = 0, \dots, 5`: number of modes, trace and total power are exact, and bins of up to
    three modes altogether. Elsewhere such a rule errs by at most :math:`\max |f^{(6)}| / 6! \cdot
    (r^3 / 4)^2` of its mass (:math:`f` as a function of :math:`\lambda / c`; :math:`r^3 / 4` is how
    small a cubic can be). For :math:`f = L`, :math:`1 - L` and their products, :math:`L = \lambda /
    (\lambda + \kappa)`, this is at *every* :math:`\kappa` at most

    .. math:: \tfrac7{16} r^6 (1 + r)^2 / (1 - r)^8

    of the sum itself (worst for :math:`(1 - L)^2`, whose sixth derivative reaches 7! times it).
    `tolerance` is that bound. The error it leaves in a learning curve is a few tolerances over
    :math:`1 - \gamma`.
    """

    eigenvalues: Float[Array | np.ndarray, " nodes"]  # descending
    multiplicity: Float[Array | np.ndarray, " nodes"]  # modes a node stands for
    target_power: Float[Array | np.ndarray, " nodes"]  # y_k^2 a node stands for
    tail: Scalar = 0.0  # trace of modes too small to resolve

    @classmethod
    def of(
        cls,
        eigenvalues: Any,
        target_power: Any = None,
        *,
        tail: float = 0.0,
        tolerance: float | int = TOLERANCE,
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
        deviations /= half_width
        moments = np.empty((2, 6, len(starts)))
        for mass, total in zip((np.ones(resolved), power), moments, strict=True):
            for order in range(6):
                total[order] = np.add.reduceat(mass, starts)
                mass = mass * deviations
        return _from_moments(centres, moments, half_width, zero_power, tail)

    @classmethod
    def power_law(
        cls,
        exponent: float | int,
        *,
        scale: float | int = 1.0,
        target_exponent: float | int | None = None,
        target_scale: float | int = 1.0,
        first: int = 1,
        last: float | int = math.inf,
        tolerance: float | int = TOLERANCE,
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
        centres = (lower**-exponent + (upper - 1) ** -exponent) / 2
        raw = [
            [_power_sum(s + order * exponent, lower, upper) / centres**order for order in range(6)]
            for s in (0.0, decay)
        ]
        # Moments about the centre; the differences lose digits that a narrow bin does not need.
        shift = scipy.special.comb(*np.ogrid[:6, :6]) * (-1.0) ** np.add(*np.ogrid[:6, :6])
        moments = np.einsum("jk,akb->ajb", shift, raw)
        moments /= half_width ** np.arange(6.0)[:, None]
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
        values, counts, powers = (
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("eigenvalues", "multiplicity", "target_power")
        )
        order = np.argsort(-values, kind="stable")
        tail = self.tail + other.tail
        return BinnedSpectrum(values[order], counts[order], powers[order], tail)

    def trace(self) -> float:
        r""":math:`\sum_k \lambda_k`, tail included."""
        return float(self.multiplicity @ self.eigenvalues + self.tail)


def half_width_of(tolerance: float | int) -> float:
    """Half width r of the bins whose error is at most `tolerance`."""
    if not 1e-14 <= tolerance <= 0.1:
        raise ValueError(f"`tolerance` must lie between 1e-14 and 0.1, got {tolerance}; try 1e-8.")
    half_width = 0.0
    for _ in range(50):  # contracts: the correction is near one
        correction = (1 - half_width) ** 8 / (1 + half_width) ** 2
        half_width = (16 / 7 * tolerance * correction) ** (1 / 6)
    return half_width


def power_law_degrees_of_freedom(
    kappa: Any, exponent: float | int, *, scale: float | int = 1.0, after: float | int = 0.5
) -> np.ndarray | np.floating:
    r"""The integral that stands for an endless power law's degrees of freedom,

    .. math:: \int_M^\infty \frac{dx}{1 + \kappa x^b / a} = \frac{a M^{1 - b}}{\kappa (b - 1)}\,
        {}_2F_1\big(1, 1 - \tfrac1b; 2 - \tfrac1b; -\tfrac{a}{\kappa M^b}\big),

    :math:`M` `after`. For the sum over :math:`i > M - 1/2` it is right to a relative :math:`b^2 /
    24 M^2`; from :math:`M = 0` on it is :math:`I_2 (a / \kappa)^{1/b}`, :math:`I_2 = (\pi / b) /
    \sin(\pi / b)` (docs/science/wilsonian.md, section 4).

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
    """`eigenvalues` in double precision; see :func:`~wilsonian.theory.datasets.prescribed` for what
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
    """Gauss rules of every bin, in descending order. `moments` is (count or power, order, bins), of
    the distances from the centres in half widths."""
    places, shares = gauss_rules(np.moveaxis(moments, 1, 0).reshape(6, -1))
    masses = shares * moments[:, 0].reshape(-1, 1)
    values = np.tile(centres, 2)[:, None] * (1 + half_width * places)
    counted = np.repeat([True, False], 3 * len(centres)).reshape(values.shape)
    held = masses > 0
    columns = [
        values[held],
        np.where(counted, masses, 0.0)[held],
        np.where(counted, 0.0, masses)[held],
    ]
    if zero_power > 0:
        columns = [np.append(c, v) for c, v in zip(columns, (0, 0, zero_power), strict=True)]
    order = np.argsort(-columns[0], kind="stable")
    values, counts, powers = (column[order] for column in columns)
    return BinnedSpectrum(values, counts, powers, float(tail))


def gauss_rules(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Three-point Gauss rules of measures on [-1, 1] from their moments of order 0 to 5 (6, rules):
    nodes and shares of the mass (rules, 3). Of a measure of fewer points, surplus nodes have no
    share.

    By orthogonal polynomials and the Jacobi matrix (Golub and Welsch 1969).
    """
    m = moments / np.where(moments[0] > 0, moments[0], 1.0)
    rounding = 1e-12
    first = m[1]
    norm = m[2] - first**2  # of the monic orthogonal polynomial of degree one
    two = norm > rounding
    norm = np.where(two, norm, 1.0)
    second = np.where(two, (m[3] - 2 * first * m[2] + first**2 * m[1]) / norm, 0.0)
    # That of degree two, x^2 + b x + c, and its square by power of x.
    b = -first - second
    c = first * second - norm
    square = (c * c, 2 * b * c, b * b + 2 * c, 2 * b, np.ones_like(b))
    last_norm = sum(factor * m[power] for power, factor in enumerate(square))
    three = two & (last_norm > rounding)
    last_norm = np.where(three, last_norm, 1.0)
    third = sum(factor * m[power + 1] for power, factor in enumerate(square)) / last_norm
    jacobi = np.zeros((moments.shape[1], 3, 3))
    jacobi[:, 0, 0], jacobi[:, 1, 1] = first, second
    jacobi[:, 2, 2] = np.where(three, third, 0.0)
    jacobi[:, 1, 0] = np.where(two, np.sqrt(norm), 0.0)
    jacobi[:, 2, 1] = np.where(three, np.sqrt(last_norm / norm), 0.0)
    nodes, vectors = np.linalg.eigh(jacobi)
    return nodes, vectors[:, 0, :] ** 2
