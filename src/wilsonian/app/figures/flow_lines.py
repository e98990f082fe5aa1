"""Lines of a flow: one of its columns against the modes kept, and the axis they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wilsonian.regression.processes.records import FlowRecord
from wilsonian.support.axes import Scale, add_legend, format_ticks, mark_cutoff, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN_CUTOFFS = 300


def draw_flow(
    ax: Axes,
    flow: FlowRecord,
    values: np.ndarray,
    color: str,
    label: str,
    *,
    positive: bool = False,
    **style: Any,
) -> None:
    """One column of the flow against the kept modes; nothing where it is not a number."""
    values = np.asarray(values, float)
    shown = np.isfinite(values) & ((values > 0) | (not positive))
    kept, values = np.asarray(flow.kept)[shown], values[shown]
    drawn = spread(len(kept), DRAWN_CUTOFFS)
    if len(drawn):
        usual: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linewidth": 1.2}
        ax.plot(kept[drawn], values[drawn], color=color, label=label, **(usual | style))


def finish_flow(ax: Axes, flow: FlowRecord, kept: int | None, scale: Scale) -> Axes:
    """Horizontal axis, mark at the chosen cutoff and legend of a figure of the flow."""
    if kept is not None:
        mark_cutoff(ax, kept, f"cutoff: {kept:,} kept")
    last = max(int(np.max(flow.kept)), kept or 0, 1)
    if scale == "log":
        # Zero kept modes belong to the flow: linear up to one mode, logarithmic beyond.
        ax.set_xscale("symlog", linthresh=1.0, linscale=0.4)
        powers = 10 ** np.arange(int(np.log10(last)) + 1)
        ticks = powers if last >= 30 else np.outer(powers, [1, 2, 5]).ravel()
        ax.set_xticks([0, *ticks[ticks <= 1.1 * last]])
        ax.set_xticks([], minor=True)
        ax.set_xlim(-0.3, 1.25 * last)
    else:
        ax.set_xlim(-0.04 * last, 1.04 * last)
    format_ticks(ax.xaxis)
    ax.set_xlabel("modes kept")
    return add_legend(ax)
