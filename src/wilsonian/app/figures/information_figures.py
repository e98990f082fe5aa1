"""Figures of a network's information, one per function: each draws a plain record on its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wilsonian.information.halves import SplitHalves
from wilsonian.information.price_list import HeldOutPrices, PriceList
from wilsonian.information.validity import FEW_EXAMPLES
from wilsonian.support.axes import (
    ELIMINATED,
    FAINT,
    KEPT,
    MEASURED,
    REFERENCE,
    add_legend,
    format_ticks,
    spread,
    tidy_log_axis,
    write_note,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALLEST = 1e-4  # information that is still drawn


def plot_information(
    ax: Axes, information: np.ndarray, support: np.ndarray, halves: SplitHalves
) -> Axes:
    """Information of every direction by rank, with the natural cutoff, what the other half of the
    examples confirms, and modes that few examples carry."""
    shown = information[information > SMALLEST * 1e-2]
    if not len(shown):
        return write_note(ax, "No direction has any information.")
    rows = spread(len(shown), 400)
    ranks = np.arange(1, len(shown) + 1)
    informed = shown > 1
    confirmed = np.maximum(halves.confirmed[: len(shown)], SMALLEST)
    found = np.arange(1, len(confirmed) + 1)
    few = spread(len(confirmed), 300)
    label = "other half, same directions"
    ax.plot(found[few], confirmed[few], ".", color=FAINT, markersize=3, label=label, zorder=1)
    for mask, color, label in (
        (informed[rows], KEPT, "determined by the data"),
        (~informed[rows], ELIMINATED, "left to the prior"),
    ):
        if mask.any():
            seen = rows[mask]
            ax.plot(ranks[seen], shown[seen], ".", color=color, markersize=4, label=label)
    flagged = np.flatnonzero(support[: len(shown)] < FEW_EXAMPLES)
    if len(flagged):
        circle = ax.plot(flagged + 1, shown[flagged], "o", color=REFERENCE, label="few examples")
        circle[0].set_markerfacecolor("none")
    ax.axhline(1, color=REFERENCE, linewidth=1, linestyle="--")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(SMALLEST, 3 * shown[0])
    ax.set_xlabel("direction, by information")
    ax.set_ylabel("signal to noise k")
    tidy_log_axis(ax.xaxis)
    tidy_log_axis(ax.yaxis)
    return add_legend(ax)


def plot_prices(ax: Axes, prices: PriceList) -> Axes:
    """Cost of every cutoff in nats per example: predicted, linearised and measured."""
    smallest = 1e-6
    series = (
        (prices.predicted, KEPT, "-", "predicted"),
        (prices.linearised, MEASURED, "s", "linearised network"),
        (prices.measured, ELIMINATED, "o", "the network"),
    )
    for values, color, mark, label in series:
        above = np.where(values > smallest, values, np.nan)
        ax.plot(prices.scales, above, mark, color=color, markersize=5, label=label)
    wrong = ~prices.valid & (prices.measured > smallest)
    if wrong.any():
        label = "prediction not valid"
        where = prices.scales[wrong], prices.measured[wrong]
        ax.plot(*where, "x", color=REFERENCE, markersize=10, label=label)
    ax.axvline(1, color=REFERENCE, linewidth=1, linestyle="--")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("cutoff: directions with less information are removed")
    ax.set_ylabel("cost, nats per example")
    tidy_log_axis(ax.xaxis)
    tidy_log_axis(ax.yaxis)
    return add_legend(ax)


def plot_calibration_flow(ax: Axes, scales: np.ndarray, held_out: HeldOutPrices) -> Axes:
    """Negative log density of held-out labels under every cutoff, beside that before and that of
    the trained parameters alone."""
    ax.plot(scales, held_out.nll, "o-", color=KEPT, markersize=4, label="after the cutoff")
    for value, color, style, label in (
        (held_out.uncut_nll, REFERENCE, "--", "with its uncertainty, uncut"),
        (held_out.trained_nll, MEASURED, ":", "trained parameters alone"),
    ):
        ax.axhline(value, color=color, linestyle=style, linewidth=1.4, label=label)
    top = 2 * max(held_out.uncut_nll, held_out.trained_nll, 1e-3)
    lowest = min(held_out.uncut_nll, held_out.trained_nll, float(np.nanmin(held_out.nll)))
    ax.set_ylim(min(0.0, 1.1 * lowest), max(top, 1.1 * held_out.uncut_nll))
    ax.set_xscale("log")
    ax.set_xlabel("cutoff")
    ax.set_ylabel("held-out nats per label")
    tidy_log_axis(ax.xaxis)
    format_ticks(ax.yaxis)
    return add_legend(ax)


def plot_shares(ax: Axes, shares: dict[str, float], sizes: dict[str, int]) -> Axes:
    """Informed directions of every parameter beside how many it has."""
    names = list(shares)[-12:]
    places = np.arange(len(names))[::-1]
    counts = [sizes[name] for name in names]
    ax.barh(places, counts, color=FAINT, height=0.7, label="parameters")
    informed = [max(shares[name], 1e-3) for name in names]
    ax.barh(places, informed, color=KEPT, height=0.35, label="informed directions")
    ax.set_xscale("log")
    ax.set_xlim(left=min(0.5, 0.5 * min(informed)))
    ax.set_yticks(places, [name.strip(".") for name in names])
    ax.grid(visible=False, axis="y")
    tidy_log_axis(ax.xaxis)
    return add_legend(ax)
