"""Figures of depth as a flow: the phase diagram of an activation, and correlations by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from wilsonian.networks.criticality import (
    Activation,
    checked_activation,
    criticality,
    depth_flow,
    variance_map,
)
from wilsonian.support.axes import ELIMINATED, FAINT, KEPT, REFERENCE, add_legend, format_ticks
from wilsonian.support.number_text import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STARTS = (0.99, 0.8, 0.5, 0.2, 0.0)


def plot_phase_diagram(
    ax: Axes,
    activation: Activation,
    *,
    largest_weight_variance: float = 4.0,
    largest_bias_variance: float = 0.5,
    slopes: Sequence[float] = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5),
) -> Axes:
    r"""Edge of chaos in the plane of weight and bias variance, and lines of equal :math:`\chi_1`.

    A fixed point :math:`q^*` of slope :math:`\chi_1` lies at :math:`v_w = \chi_1 / E[\phi'^2]`,
    :math:`v_b = q^* - v_w E[\phi^2]`; drawn where it is stable, :math:`|V'(q^*)| \le 1`.
    """
    activation = checked_activation(activation)
    variance = np.geomspace(1e-8, 1e4, 2000)
    with jax.enable_x64(True):
        found = variance_map(activation, 1.0, 0.0, variance)
    second, change, slope = (np.asarray(a) for a in found)
    for chi in sorted((*slopes, 1.0)):
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = chi / slope
            # Zero bias is met to rounding only.
            bias = np.where(np.abs(b := variance - weight * second) < 1e-12 * variance, 0.0, b)
        stable = np.abs(weight * change) <= 1 + 1e-9
        within = stable & (bias >= 0) & (bias <= largest_bias_variance)
        within &= weight <= largest_weight_variance
        if not within.any():
            continue
        weight, bias = np.where(within, weight, np.nan), np.where(within, bias, np.nan)
        if chi == 1:
            marker: dict[str, Any] = (
                {"marker": "o", "clip_on": False} if np.nanmax(bias) == 0 else {}
            )  # ReLU: a point
            ax.plot(weight, bias, color="black", linewidth=2, label="edge of chaos", **marker)
            continue
        ax.plot(weight, bias, color=KEPT if chi < 1 else ELIMINATED, linewidth=1)
        last = np.flatnonzero(within)[np.argmax(bias[within])]
        ax.annotate(
            format_number(chi),
            (weight[last], bias[last]),
            xytext=(0, -9),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=KEPT if chi < 1 else ELIMINATED,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    ax.plot([], [], color=KEPT, linewidth=1, label="ordered, at its slope χ₁")
    ax.plot([], [], color=ELIMINATED, linewidth=1, label="chaotic, at its slope χ₁")
    ax.set_xlim(0, largest_weight_variance)
    ax.set_ylim(0, largest_bias_variance)
    format_ticks(ax.xaxis)
    format_ticks(ax.yaxis)
    ax.set_xlabel("weight variance")
    ax.set_ylabel("bias variance")
    return add_legend(ax)


def plot_depth_flow(
    ax: Axes,
    activation: Activation,
    weight_variance: float,
    bias_variance: float = 0.0,
    *,
    depth: int = 30,
    correlations: Sequence[float] = STARTS,
) -> Axes:
    """Correlation of two inputs by layer, from several starting ones, with the fixed point and
    the exponential approach that the depth scale predicts for the last of them."""
    found = criticality(activation, weight_variance, bias_variance)
    layers = np.arange(depth + 1)
    start = found.variance if 0 < found.variance < np.inf else 1.0
    flow = None
    for correlation in correlations:
        flow = depth_flow(
            *(activation, weight_variance, bias_variance),
            depth=depth,
            variance=start,
            correlation=correlation,
        )
        style: dict[str, Any] = {"color": FAINT if correlation != correlations[-1] else KEPT}
        ax.plot(layers, flow.correlation, marker="o", markersize=3, linewidth=1.2, **style)
    ax.plot([], [], color=FAINT, marker="o", markersize=3, linewidth=1.2, label="correlation")
    label = f"fixed point {format_number(found.correlation)} ({found.phase})"
    ax.axhline(found.correlation, color=REFERENCE, linewidth=1, linestyle="--", label=label)
    if flow is not None and 0 < found.correlation_depth < np.inf:
        # Through the middle layer: the first ones are not yet in the linear regime.
        middle = depth // 2
        gap = flow.correlation[middle] - found.correlation
        decay = np.exp(-(layers - middle) / found.correlation_depth)
        values = found.correlation + gap * decay
        shown = np.abs(values) <= 1
        label = f"depth scale {format_number(found.correlation_depth)} layers"
        ax.plot(
            layers[shown],
            values[shown],
            color=ELIMINATED,
            linestyle=":",
            linewidth=1.8,
            label=label,
        )
    ax.set_ylim(min(-0.03, ax.get_ylim()[0]), 1.03)
    format_ticks(ax.xaxis)
    format_ticks(ax.yaxis)
    ax.set_xlabel("layer")
    ax.set_ylabel("correlation of two inputs")
    return add_legend(ax)
