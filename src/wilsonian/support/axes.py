"""Axes, ticks, thinning and colours shared by the figures."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np

from wilsonian.support.number_text import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Scale = Literal["log", "linear"]

# Okabe and Ito's palette, which colour-blind readers can tell apart.
KEPT, ELIMINATED, MEASURED = "#0072b2", "#d55e00", "#009e73"
REFERENCE, FAINT = "#6b7280", "#b4bac4"


def spread(count: int, limit: int) -> np.ndarray:
    """At most `limit` of `count` positions with both ends, denser at the start."""
    if count <= limit:
        return np.arange(count)
    return np.unique(np.geomspace(1, count, limit).round().astype(int)) - 1


def spread_evenly(count: int, limit: int) -> np.ndarray:
    """At most `limit` of `count` positions with both ends, equally far apart."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(int))


def sample_rows(count: int, limit: int) -> np.ndarray:
    """At most `limit` of `count` rows, the same ones every time.

    Drawn, not strided: a table sorted in periods would show one phase of them.
    """
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, limit, replace=False))


def shorten(name: str, longest: int = 14) -> str:
    """`name` with its middle left out when it is too long for a tick label."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[: half - 1]}…{name[-half:]}"


def write_note(ax: Axes, sentence: str) -> Axes:
    """An empty figure that says why it is empty."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center")
    return ax


def add_legend(ax: Axes) -> Axes:
    """Legend above the axes, where it hides no data."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=2,
            frameon=False,
            fontsize=9,
            handlelength=1.4,
            columnspacing=1.2,
            borderaxespad=0.2,
            labelspacing=0.3,
        )
    return ax


def format_ticks(axis: Axis, plain: range = range(-4, 7)) -> None:
    """Tick labels as plain text, with the digits that tell neighbouring ticks apart; where one of
    those in view has its power of ten written out, all have."""

    from matplotlib.ticker import Formatter

    # Matplotlib asks for the labels of the same ticks many times over while it draws.
    @functools.lru_cache(maxsize=8)
    def style(ticks: tuple[float, ...], low: float, high: float) -> tuple[int, range]:
        seen = [tick for tick in ticks if low <= tick <= high and tick != 0]
        mixed = any(math.floor(math.log10(abs(tick)) + 1e-9) not in plain for tick in seen)
        written_out = range(0) if mixed else plain
        for digits in range(3, 12):
            if len({format_number(tick, digits, written_out) for tick in ticks}) == len(ticks):
                break
        return digits, written_out

    class Text(Formatter):
        def format_ticks(self, values: Iterable[float]) -> list[str]:
            ticks = tuple(np.unique(np.asarray(values, float)).tolist())
            digits, written_out = style(ticks, *sorted(axis.get_view_interval()))
            return [format_number(value, digits, written_out) for value in values]

        def __call__(self, value: float, pos: int | None = None) -> str:
            return self.format_ticks([*axis.get_majorticklocs(), value])[-1]

    axis.set_major_formatter(Text())


def tidy_log_axis(axis: Axis) -> None:
    """Plain-text ticks on a logarithmic axis, also where it spans less than a decade."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else np.inf
    if decades < 0.8:
        axis.set_major_locator(MaxNLocator(5))
        axis.set_ticks([], minor=True)
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2 else (1.0,)))
    # Where only powers of ten are labelled they read best as powers.
    format_ticks(axis, plain=range(-2, 4) if decades >= 2 else range(-4, 7))
    axis.set_minor_formatter(NullFormatter())


def mark_cutoff(ax: Axes, position: float, label: str) -> None:
    """A dashed vertical line."""
    ax.axvline(position, color=REFERENCE, linewidth=1, linestyle="--", label=label)
