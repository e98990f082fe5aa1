"""Depth as a flow: fixed points of wide networks, how fast layers reach them, the edge of chaos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.networks.layers.activations import AbstractActivation
from wilsonian.networks.layers.layer import AbstractLayer
from wilsonian.networks.layers.quadrature import GaussHermite

Activation = AbstractActivation | Callable[[Any], Any]
Phase = Literal["ordered", "critical", "chaotic", "divergent"]

SMALLEST, LARGEST = 1e-12, 1e12  # variances beyond these count as zero and infinite
NODES = 100  # of the quadrature for functions without closed form
CRITICAL = 1e-6  # a slope this close to one is one: a depth scale of a million layers


class Criticality(eqx.Module):
    r"""Where the layers of a wide network flow to, and how fast (see :func:`criticality`)."""

    weight_variance: float
    bias_variance: float
    variance: float  # q*, of the preactivations; zero and infinity are possible
    correlation: float  # c*, between two inputs, at the stable fixed point
    chi_1: float  # slope of the correlation map at identical inputs
    variance_depth: float  # xi_q, in layers; infinite where nothing decays
    correlation_depth: float  # xi_c
    phase: Phase


class DepthFlow(eqx.Module):
    """Variance of one input and correlation of two of equal norm, layer by layer."""

    variance: Float[np.ndarray, " layers"]  # of the preactivations, the first layer's ahead
    correlation: Float[np.ndarray, " layers"]


def criticality(
    activation: Activation, weight_variance: float, bias_variance: float = 0.0
) -> Criticality:
    r"""Phase and depth scales of a deep fully connected network (Poole et al. 2016; Schoenholz et
    al. 2017), from the maps of one layer,

    .. math::
        V(q) &= v_w E[\phi(u)^2] + v_b, \qquad u \sim N(0, q), \\
        C(c) &= (v_w E[\phi(u) \phi(v)] + v_b) / q^*, \qquad \mathrm{corr}(u, v) = c.

    The fixed point :math:`q^* = V(q^*)` is the one that layers reach from variance one (which
    matters to activations such as ReLU, whose critical network keeps any variance). There
    :math:`\chi_1 = C'(1) = v_w E[\phi'(u)^2]` decides: below one all inputs become alike
    (ordered, :math:`c^* = 1`), above one similar ones part (chaotic, :math:`c^* < 1`); within
    1e-6 of one it is called critical. Where no finite :math:`q^*` exists (ReLU above weight
    variance two, or at two with a bias) variances diverge; then :math:`c^* = 1` and the depth
    scales are infinite. Deviations decay as :math:`e^{-l / \xi}` with
    :math:`\xi_q = -1 / \log |V'(q^*)|` and :math:`\xi_c = -1 / \log |C'(c^*)|`.

    `activation` is one of the network's, or any function of arrays, whose expectations are then
    taken by Gauss-Hermite quadrature with 100 nodes: to rounding if it is smooth, to a few digits
    if it has kinks.

    Raises TypeError for what is no activation, ValueError for negative or infinite variances.
    """
    activation = checked_activation(activation)
    weight = _variance(weight_variance, "weight_variance")
    bias = _variance(bias_variance, "bias_variance")
    with jax.enable_x64(True):
        variance = _fixed_variance(activation, weight, bias)
        at = min(max(variance, SMALLEST), LARGEST)
        _, variance_slope, chi_1 = (float(a) for a in variance_map(activation, weight, bias, at))
        correlation, slope = 1.0, chi_1
        if variance > LARGEST:
            phase: Phase = "divergent"
        elif abs(chi_1 - 1) <= CRITICAL:
            phase = "critical"
        elif chi_1 < 1:
            phase = "ordered"
        else:
            phase = "chaotic"
            correlation = _fixed_correlation(activation, weight, bias, at)
            slope = float(_correlation_map(activation, weight, bias, at, correlation)[1])
    endless = phase == "divergent"
    return Criticality(
        *(weight, bias, variance, correlation, chi_1),
        variance_depth=np.inf if endless else _depth_scale(variance_slope),
        correlation_depth=np.inf if endless else _depth_scale(slope),
        phase=phase,
    )


def edge_of_chaos(activation: Activation, bias_variance: float = 0.0) -> float:
    r"""Weight variance at which :math:`\chi_1 = 1` for a given bias variance.

    Both follow from :math:`q^*`: :math:`v_w = 1 / E[\phi'^2]` and :math:`v_b = q^* - v_w
    E[\phi^2]` (Hayou et al. 2019, section 2.2). Where several points have this bias variance, the
    one of smallest :math:`q^*` whose fixed point layers reach from variance one is returned.

    Raises TypeError for what is no activation, ValueError where there is no such point: ReLU is
    critical without bias only, at weight variance two; GELU from bias variance 0.173 on.
    """
    activation, bias = checked_activation(activation), _variance(bias_variance, "bias_variance")
    grid = np.geomspace(SMALLEST, LARGEST, 400)

    def excess(variance):
        with jax.enable_x64(True):
            return _edge(activation, variance)[1] - bias

    found = excess(grid)
    crossed = np.flatnonzero(np.sign(found[1:]) * np.sign(found[:-1]) < 0)
    fixed = [_root(lambda q: float(excess(np.array(q))), grid[i], grid[i + 1]) for i in crossed]
    # At zero variance, as of all odd functions without bias, or at any variance, as of ReLU, zero
    # bias is met to rounding only.
    if bias == 0 and abs(found[0]) <= 1e-11 * SMALLEST:
        fixed = [SMALLEST, *fixed]
    for variance in fixed:
        with jax.enable_x64(True):
            weight = float(_edge(activation, np.array(variance))[0])
        if criticality(activation, weight, bias).phase == "critical":
            return weight
    name = getattr(activation, "name", type(activation).__name__)
    raise ValueError(
        f"{name} has no edge of chaos at bias variance {bias:g} that layers reach "
        "from variance one; try another bias variance, larger for GELU, zero for ReLU."
    )


def depth_flow(
    activation: Activation,
    weight_variance: float,
    bias_variance: float = 0.0,
    *,
    depth: int = 50,
    variance: float = 1.0,
    correlation: float = 0.5,
) -> DepthFlow:
    """The exact flow through `depth` layers, from preactivations of the first that have this
    `variance` for both of two inputs and this `correlation` between them.

    Raises TypeError for what is no activation, ValueError for variances that are negative or
    infinite, and a correlation outside [-1, 1].
    """
    activation = checked_activation(activation)
    weight = _variance(weight_variance, "weight_variance")
    bias = _variance(bias_variance, "bias_variance")
    variance = _variance(variance, "variance")
    if not abs(correlation) <= 1:
        raise ValueError(f"`correlation` must lie between -1 and 1, got {correlation}.")
    with jax.enable_x64(True):
        start = jnp.asarray(variance), jnp.asarray(correlation * variance)
        both = np.asarray(weight), np.asarray(bias)
        variances, covariances = _layers(activation, *both, start, depth)
    variances, covariances = np.asarray(variances), np.asarray(covariances)
    safe = np.where(variances > 0, variances, 1.0)
    return DepthFlow(variances, np.clip(covariances / safe, -1.0, 1.0))


@compiled
def _layers(activation, weight, bias, start, depth):
    def layer(state, _):
        variance, covariance = state
        moment, _ = activation.moments(variance, variance, covariance)
        following = (
            weight * activation.second_moment(variance) + bias,
            weight * moment + bias,
        )
        return following, following

    _, flow = jax.lax.scan(layer, start, None, length=depth)
    return jax.tree.map(lambda first, rest: jnp.append(first, rest), start, flow)


def variance_map(
    activation: AbstractActivation, weight: Any, bias: Any, variance: Any
) -> tuple[Array, Array, Array]:
    """V(q), V'(q) and chi_1 at an array of variances."""
    # As arrays: compiled code would be specific to Python's numbers.
    return _variance_map(activation, *map(np.asarray, (weight, bias, variance)))


@compiled
def _variance_map(activation, weight, bias, variance):
    second, slope = jax.jvp(activation.second_moment, (variance,), (jnp.ones_like(variance),))
    return weight * second + bias, weight * slope, weight * activation.slope_moment(variance)


def _correlation_map(
    activation: AbstractActivation, weight: Any, bias: Any, variance: Any, correlation: Any
) -> tuple[Array, Array]:
    """C(c) and its slope at an array of correlations."""
    variance = np.broadcast_to(variance, np.shape(correlation))
    return _compiled_map(activation, *map(np.asarray, (weight, bias, variance, correlation)))


@compiled
def _compiled_map(activation, weight, bias, variance, correlation):
    moment, slope = activation.moments(variance, variance, correlation * variance)
    return (weight * moment + bias) / variance, weight * slope


def _edge(activation: AbstractActivation, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias variance that are critical at the fixed points `variance`."""
    second, _, slope = (np.asarray(a) for a in variance_map(activation, 1.0, 0.0, variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = 1 / slope
        return weight, np.asarray(variance) - weight * second


def _fixed_variance(activation: AbstractActivation, weight: float, bias: float) -> float:
    """The fixed point on the side of one to which the first layer moves: zero and infinity if
    there is none before SMALLEST and LARGEST."""

    def excess(variance):
        return np.asarray(variance_map(activation, weight, bias, variance)[0]) - variance

    first = float(excess(1.0))
    if abs(first) <= 1e-13:
        return 1.0
    grid = np.geomspace(1.0, LARGEST if first > 0 else SMALLEST, 400)
    crossed = np.flatnonzero(excess(grid) * first <= 0)
    if not len(crossed):
        return np.inf if first > 0 else 0.0
    place = crossed[0]
    ends = grid[place - 1], grid[place]
    return _root(lambda q: float(excess(q)), *ends, xtol=1e-300, rtol=1e-14)


def _fixed_correlation(
    activation: AbstractActivation, weight: float, bias: float, variance: float
) -> float:
    """The stable fixed point below one in the chaotic phase. C is convex on [0, 1], because its
    Taylor coefficients are squares, and C(0) >= 0: there is just one."""

    def excess(correlation):
        found = _correlation_map(activation, weight, bias, variance, correlation)
        return np.asarray(found[0]) - correlation

    grid = 1 - np.geomspace(1.0, 1e-10, 200)
    crossed = np.flatnonzero(excess(grid) < 0)
    if not len(crossed):
        return 1.0
    if crossed[0] == 0:  # C(0) = 0, but for rounding
        return 0.0
    ends = grid[crossed[0] - 1], grid[crossed[0]]
    return _root(lambda c: float(excess(np.array(c))), *ends, xtol=1e-15)


def _root(excess: Callable[[float], float], low: float, high: float, **tolerances: float) -> float:
    """The root between two neighbours of a grid. One by one they may round otherwise than in the
    grid: where their signs are then the same, the excess is rounding, and the smaller one's place
    is the root."""
    ends = excess(low), excess(high)
    if ends[0] * ends[1] > 0:
        return float(low if abs(ends[0]) < abs(ends[1]) else high)
    return float(scipy.optimize.brentq(excess, low, high, **tolerances))


def _depth_scale(slope: float) -> float:
    """-1 / log |slope|; infinite where deviations do not decay."""
    slope = abs(slope)
    if slope >= 1 - CRITICAL:
        return np.inf
    return float(-1 / np.log(slope)) if slope > 0 else 0.0


def checked_activation(activation: Any) -> AbstractActivation:
    """`activation` with its expectations; TypeError for what is none."""
    if isinstance(activation, AbstractActivation):
        return activation
    if callable(activation) and not isinstance(activation, AbstractLayer | type):
        return GaussHermite(activation, NODES)
    raise TypeError(
        f"expected an activation, got {type(activation).__name__}; pass one such as Erf(), or a "
        "function of arrays such as jnp.tanh."
    )


def _variance(value: Any, name: str) -> float:
    if not 0 <= (number := float(value)) < np.inf:
        raise ValueError(f"`{name}` must be finite and not negative, got {value}.")
    return number
