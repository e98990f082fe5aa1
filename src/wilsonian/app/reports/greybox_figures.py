"""The figures of a grey-box run's page."""

from __future__ import annotations

from typing import Any

import numpy as np

from wilsonian.app.reports.svg import Drawing
from wilsonian.app.runs.greybox import GreyboxRun
from wilsonian.greybox.simulators import name_channel
from wilsonian.support.axes import (
    ELIMINATED,
    FAINT,
    KEPT,
    MEASURED,
    REFERENCE,
    add_legend,
    format_ticks,
)

SHOWN_SIGNALS = 40
CHANNEL_COLORS = (KEPT, ELIMINATED, MEASURED)
DOTS: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 3}


def parameter_figures(run: GreyboxRun) -> list[Drawing]:
    """Intervals of each parameter, and the parameter along the residual's cutoff."""
    figures = []
    for number, name in enumerate(run.result):
        figures.append(_intervals(run, name, number))
        if name in run.sweeps:
            figures.append(_along(run, name, number))
    return figures


def _intervals(run: GreyboxRun, name: str, number: int) -> Drawing:
    found = run.result[name]
    truth = run.truth.get(name)
    shown = np.argsort((found.mean if truth is None else truth)[:SHOWN_SIGNALS])

    def draw(ax, scale):
        low, high = found.interval(0.9)[shown].T
        x = np.arange(len(shown)) if truth is None else truth[shown]
        zero = 0.0 if truth is None else x
        ax.vlines(x, low - zero, high - zero, color=KEPT, linewidth=1.4, label="90% interval")
        ax.plot(x, found.mean[shown] - zero, color=KEPT, label="posterior mean", **DOTS)
        if truth is not None:
            ax.axhline(0, color=REFERENCE, linewidth=1, linestyle="--", label="truth")
        ax.set_xlabel(f"true {name}" if truth is not None else "signal, sorted")
        ax.set_ylabel(f"inferred less true {name}" if truth is not None else name)
        format_ticks(ax.yaxis)
        return add_legend(ax)

    caption = f"{len(shown)} of the signals. An interval holds where its bar crosses zero."
    if truth is None:
        caption = f"{len(shown)} of the signals, sorted by their posterior mean."
    return Drawing(
        f"interval-{number}", f"{name}, signal by signal", caption, draw, None, ("linear",)
    )


def _along(run: GreyboxRun, name: str, number: int) -> Drawing:
    swept = run.sweeps[name]

    def draw(ax, scale):
        x, y = swept.kept, swept.estimate
        ax.fill_between(
            x, y - 1.645 * swept.sd, y + 1.645 * swept.sd, color=KEPT, alpha=0.18, linewidth=0,
            label="90% interval",
        )  # fmt: skip
        ax.plot(x, y, color=KEPT, linewidth=1.4, label=name)
        if name in run.truth:
            ax.axhline(run.truth[name][0], color=MEASURED, linewidth=1.2, label="truth")
        ax.set_xlabel("residual modes kept; the others raise the ridge")
        ax.set_ylabel(name)
        format_ticks(ax.yaxis)
        return add_legend(ax)

    caption = (
        "The first signal. At the left the whole residual is one uniform ridge; to the right its "
        "modes are kept one after the other. Where the curve is flat the rest does not matter."
    )
    return Drawing(f"cutoff-{number}", f"{name} along the cutoff", caption, draw, None, ("linear",))


def residual_figures(run: GreyboxRun) -> list[Drawing]:
    """Evidence of the candidates, and the learned sizes of a force's coefficients."""
    figures = [_evidence(run)]
    for name, found in run.model.residual_.items():
        if len(found["sd"]) > 4 and name != "start":
            figures.append(_spectrum(run, name, found["sd"]))
    return figures


def _evidence(run: GreyboxRun) -> Drawing:
    candidates = run.comparison.candidates[::-1]

    def draw(ax, scale):
        behind = np.array([c.behind for c in candidates])
        error = np.array([c.behind_error for c in candidates])
        place = np.arange(len(candidates))
        colors = [KEPT if c.name == run.residual else FAINT for c in candidates]
        ax.barh(place, behind, xerr=error, color=colors, ecolor=REFERENCE, height=0.6, zorder=2)
        ax.set_yticks(place, [c.name for c in candidates])
        ax.set_xlabel("nats per signal behind the best")
        if behind.max() > 100:
            ax.set_xscale("symlog", linthresh=1.0)
        ax.grid(False, axis="y")
        format_ticks(ax.xaxis)
        return ax

    caption = "Shorter is better; the blue bar is the residual asked for. Lines: standard error."
    return Drawing("evidence", "Evidence of each residual", caption, draw, None, ("linear",))


def _spectrum(run: GreyboxRun, name: str, sd: np.ndarray) -> Drawing:
    number = (len(sd) - 1) // 2
    length = float(np.ptp(run.times))
    cosines = len(sd) == 2 * number + 1 and name == "force"

    def draw(ax, scale):
        if cosines:
            frequency = np.arange(1, number + 1) / (2 * length)
            ax.plot(frequency, sd[1 : number + 1], color=KEPT, label="cosines", linewidth=1.4)
            ax.plot(frequency, sd[number + 1 :], color=ELIMINATED, label="sines", linewidth=1.4)
            ax.set_xlabel("frequency (cycles per unit of time)")
        else:
            ax.plot(np.arange(1, len(sd) + 1), sd, color=KEPT, label=name, linewidth=1.4)
            ax.set_xlabel("mode")
        ax.set_ylabel("standard deviation")
        format_ticks(ax.yaxis)
        return add_legend(ax)

    caption = "Learned from the population: how large each coefficient of the residual is."
    title = f"What the {name} looks like"
    return Drawing(f"spectrum-{name}", title, caption, draw, None, ("linear",))


def signal_figures(run: GreyboxRun) -> list[Drawing]:
    """Two signals with the simulator's part and the whole fit."""
    size = np.sqrt(np.nanmean((run.signals - run.result.physics) ** 2, axis=(1, 2)))
    order = np.argsort(size)
    places = [int(order[len(order) // 2]), int(order[-1])]
    titles = ["A typical signal", "The signal with the largest residual"]
    return [
        _signal(run, place, title, number)
        for number, (place, title) in enumerate(zip(places, titles, strict=True))
    ]


def _signal(run: GreyboxRun, place: int, title: str, number: int) -> Drawing:
    spread = np.nanstd(run.signals[place], axis=1)
    shown = np.sort(np.argsort(-spread)[: len(CHANNEL_COLORS)])  # the liveliest channels
    many = len(shown) > 1

    def draw(ax, scale):
        for color, channel in zip(CHANNEL_COLORS, shown, strict=False):
            name = name_channel(run.model.physics, int(channel)) if many else ""
            color = color if many else KEPT
            observed = color if many else MEASURED
            ax.plot(
                run.times, run.signals[place, channel], color=observed,
                label=f"{name}, observed" if many else "observed", **DOTS,
            )  # fmt: skip
            ax.plot(
                run.times, run.result.fitted[place, channel], color=color, linewidth=1.4,
                label="" if many else "with the residual",
            )  # fmt: skip
            ax.plot(
                run.times, run.result.physics[place, channel], linewidth=1.4, linestyle="--",
                color=color if many else ELIMINATED, label="" if many else "simulator alone",
            )  # fmt: skip
        ax.set_xlabel("time")
        ax.set_ylabel("signal")
        format_ticks(ax.yaxis)
        return add_legend(ax)

    caption = (
        f"Signal {place + 1}. The simulator alone starts from the same state with the same "
        "parameters, without the residual."
    )
    if many:
        caption += " Solid: with the residual; dashed: the simulator alone."
    return Drawing(f"signal-{number}", title, caption, draw, None, ("linear",))


def calibration_figures(run: GreyboxRun) -> list[Drawing]:
    """Coverage against the promise, and the PIT histogram (simulated ranks without truth)."""
    figures = []
    if run.scores:
        figures.append(_coverage(run))
        values = {name: found.pit for name, found in run.scores.items()}
    else:
        ranks = run.ranks.ranks if run.ranks is not None else {}
        values = {name: np.histogram(r, bins=10, range=(0, 1))[0] for name, r in ranks.items()}
    for number, (name, counts) in enumerate(values.items()):
        figures.append(_histogram(name, counts, number, bool(run.scores)))
    return figures


def _coverage(run: GreyboxRun) -> Drawing:
    colors = [KEPT, ELIMINATED, MEASURED, REFERENCE]

    def draw(ax, scale):
        ax.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1, linestyle="--", label="as promised")
        for color, (name, found) in zip(colors, run.scores.items(), strict=False):
            c = found.coverage
            ax.errorbar(
                c.levels, c.share, 2 * c.error, color=color, marker="o", markersize=4,
                linewidth=1, label=name,
            )  # fmt: skip
        ax.set_xlabel("promised")
        ax.set_ylabel("share of true values inside")
        return add_legend(ax)

    caption = "Bars: two standard errors. Above the line intervals are too wide, below too narrow."
    return Drawing("coverage", "Coverage", caption, draw, None, ("linear",))


def _histogram(name: str, counts: np.ndarray, number: int, known: bool) -> Drawing:
    def draw(ax, scale):
        total = counts.sum()
        ax.bar(np.arange(10) / 10 + 0.05, counts, width=0.09, color=KEPT, zorder=2)
        level, spread = total / 10, np.sqrt(total * 0.09)
        ax.axhline(level, color=REFERENCE, linewidth=1, linestyle="--")
        low, high = max(level - 2 * spread, 0.0), level + 2 * spread
        ax.axhspan(low, high, color=FAINT, alpha=0.3, linewidth=0, zorder=0)
        ax.set_xlabel(f"posterior probability below the {'true' if known else 'drawn'} {name}")
        ax.set_ylabel("signals")
        format_ticks(ax.yaxis)
        return ax

    caption = (
        "Flat, within the band, when calibrated; a hump in the middle means intervals too wide, "
        "a bowl too narrow."
    )
    title = f"PIT of {name}" if known else f"Simulated ranks of {name}"
    return Drawing(f"pit-{number}", title, caption, draw, None, ("linear",))
