"""Figures of a run, one per function: each draws a plain record on the axes it is given.

Matplotlib is imported late and no global setting of it is touched; text that comes from the
user's table is never read as mathematical markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wilsonian.app.figures.flow_lines import draw_flow, finish_flow
from wilsonian.app.runs.calibration import (
    confusion_matrix,
    interval_coverage,
    is_classification,
    reliability_bins,
    wilson_interval,
)
from wilsonian.app.runs.records import PredictionRecord
from wilsonian.regression.processes.records import FlowRecord, SpectrumRecord
from wilsonian.support.axes import (
    ELIMINATED,
    FAINT,
    KEPT,
    MEASURED,
    REFERENCE,
    Scale,
    add_legend,
    format_ticks,
    mark_cutoff,
    sample_rows,
    shorten,
    spread,
    spread_evenly,
    tidy_log_axis,
    write_note,
)
from wilsonian.support.number_text import format_number, format_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN_POINTS = 600  # of one series: beyond it the page grows and the picture does not change
DRAWN_ROWS = 1000
SHADE = "73"  # opacity of a whole class in the confusion matrix, of 255 in hexadecimal


def plot_spectrum(
    ax: Axes,
    spectrum: SpectrumRecord,
    *,
    noise_per_mode: float | None = None,
    scale: Scale = "log",
) -> Axes:
    """Eigenvalues and target power per mode, coloured by the side of the cutoff they lie on.

    `noise_per_mode`, the ridge over the number of rows, is what noise alone leaves in the
    coefficient of a mode; a mode of that eigenvalue has learnability one half.
    """
    count, kept = len(spectrum.eigenvalues), spectrum.kept
    if count == 0:
        return write_note(ax, "no modes were resolved")
    drawn = spread(count, DRAWN_POINTS)
    mode = drawn + 1
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o"}

    def series(values: np.ndarray, rows: np.ndarray, **style: Any) -> None:
        x, y = mode[rows], np.asarray(values, float)[drawn][rows]
        if scale == "log":
            x, y = x[y > 0], y[y > 0]
        if len(x):
            ax.plot(x, y, **dots, **style)

    eigenvalues = spectrum.eigenvalues
    series(spectrum.target_power, mode > 0, color=FAINT, markersize=2.5, label="target power")
    series(eigenvalues, mode <= kept, color=KEPT, markersize=3.5, label="kept modes")
    series(eigenvalues, mode > kept, color=ELIMINATED, markersize=3.5, label="eliminated modes")
    if spectrum.tail > 0:
        share = spectrum.tail / (spectrum.tail + float(np.sum(eigenvalues)))
        note = f"tail: {format_number(spectrum.tail)} ({format_percent(share, 2)} of all)"
        ax.plot([], [], color=ELIMINATED, linestyle="none", marker=">", markersize=4, label=note)
    if noise_per_mode is not None and noise_per_mode > 0:
        style: dict[str, Any] = {"color": REFERENCE, "linewidth": 1.4, "linestyle": ":"}
        ax.axhline(noise_per_mode, label="ridge / rows", **style)
    mark_cutoff(ax, kept + 0.5, f"cutoff: {kept:,} kept")
    if scale == "log":
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlim(0.4 if kept == 0 else 0.75, 1.3 * count)
        # Target power may vanish by accident; the eigenvalues decide what is worth seeing.
        positive = eigenvalues[eigenvalues > 0]
        if len(positive):
            ax.set_ylim(bottom=max(ax.get_ylim()[0], float(positive.min()) / 100))
        tidy_log_axis(ax.xaxis)
        tidy_log_axis(ax.yaxis)
    else:
        ax.set_xlim(0.5 - 0.03 * count, 0.5 + 1.03 * count)
        format_ticks(ax.xaxis)
        format_ticks(ax.yaxis)
    ax.set_xlabel("mode, largest eigenvalue first")
    ax.set_ylabel("eigenvalue, target power")
    return add_legend(ax)


def plot_ridge_flow(
    ax: Axes,
    flow: FlowRecord,
    *,
    noise_variance: float | None = None,
    kept: int | None = None,
    scale: Scale = "log",
) -> Axes:
    """Predicted and evidence-chosen ridge against the number of kept modes."""
    if not len(flow.kept):
        return write_note(ax, "no flow was recorded")
    logarithmic = scale == "log"
    draw_flow(ax, flow, flow.ridge, KEPT, "predicted ridge", positive=logarithmic)
    draw_flow(
        ax,
        flow,
        flow.evidence_ridge,
        ELIMINATED,
        "ridge of highest evidence",
        positive=logarithmic,
        linestyle="none",
        markerfacecolor="none",
        markersize=5,
    )
    if (
        noise_variance is not None
        and np.isfinite(noise_variance)
        and (noise_variance > 0 or not logarithmic)
    ):
        ax.axhline(
            noise_variance, color=REFERENCE, linewidth=1.4, linestyle=":", label="bare noise"
        )
    if logarithmic and ax.lines:
        ax.set_yscale("log")
        tidy_log_axis(ax.yaxis)
    else:
        format_ticks(ax.yaxis)
    ax.set_ylabel("ridge (target²)")
    return finish_flow(ax, flow, kept, scale)


def plot_evidence_flow(
    ax: Axes, flow: FlowRecord, *, kept: int | None = None, scale: Scale = "log"
) -> Axes:
    """Log evidence of the reduced theory, below its highest value, against kept modes."""
    evidence = np.asarray(flow.evidence, float)
    if not np.isfinite(evidence).any():
        return write_note(ax, "no evidence was recorded")
    best = int(np.argmax(np.where(np.isfinite(evidence), evidence, -np.inf)))
    below = evidence - evidence[best]
    draw_flow(ax, flow, below, KEPT, "log evidence")
    ax.plot(
        [flow.kept[best]],
        [0.0],
        linestyle="none",
        marker="*",
        markersize=11,
        color=MEASURED,
        label=f"highest: {format_number(evidence[best], 4)} at {int(flow.kept[best]):,} kept",
    )
    lowest = float(np.min(below[np.isfinite(below)]))
    if scale == "log" and lowest < -10:
        # One nat is the difference that starts to matter; below it the axis is linear.
        ax.set_yscale("symlog", linthresh=1.0)
        ax.set_ylim(top=1.0)
        ax.set_yticks([0.0, *(-(10.0 ** np.arange(np.floor(np.log10(-lowest)) + 1)))])
        ax.yaxis.set_ticks([], minor=True)
    format_ticks(ax.yaxis)
    ax.set_ylabel("log evidence below highest (nats)")
    return finish_flow(ax, flow, kept, scale)


def plot_test_error_flow(
    ax: Axes,
    flow: FlowRecord,
    *,
    kept: int | None = None,
    quantity: str = "held-out error",
    scale: Scale = "log",
) -> Axes:
    """Error on held-out rows against the number of kept modes."""
    if flow.test_error is None or not np.isfinite(flow.test_error).any():
        return write_note(ax, "no held-out rows to measure the error on")
    draw_flow(ax, flow, flow.test_error, MEASURED, "held-out error")
    format_ticks(ax.yaxis)
    ax.set_ylabel(quantity, parse_math=False)
    return finish_flow(ax, flow, kept, scale)


def plot_predictions(ax: Axes, predictions: PredictionRecord, *, target: str = "target") -> Axes:
    """Held-out predictions against the truth; a confusion matrix when they are classes."""
    if len(predictions.true) == 0:
        return write_note(ax, "no held-out rows")
    if is_classification(predictions):
        return _plot_confusion(ax, predictions)
    rows = sample_rows(len(predictions.true), DRAWN_ROWS)
    true, mean = (np.asarray(v, float)[rows] for v in (predictions.true, predictions.mean))
    half = 1.96 * np.asarray(predictions.std, float)[rows]
    inside = np.abs(true - mean) <= half
    for chosen, color, label in (
        (inside, KEPT, "truth inside the 95% interval"),
        (~inside, ELIMINATED, "outside"),
    ):
        if chosen.any():
            x, y, bar = true[chosen], mean[chosen], half[chosen]
            ax.vlines(x, y - bar, y + bar, color=color, linewidth=0.7, alpha=0.25)
            ax.plot(
                x,
                y,
                linestyle="none",
                marker="o",
                markersize=2.8,
                markeredgewidth=0,
                alpha=0.8,
                color=color,
                label=label,
            )
    finite = np.concatenate([true, mean])
    finite = finite[np.isfinite(finite)]
    ends = [finite.min(), finite.max()] if len(finite) else []
    ax.plot(ends, ends, color=REFERENCE, linewidth=1, linestyle="--", label="_perfect")
    format_ticks(ax.xaxis)
    format_ticks(ax.yaxis)
    ax.set_xlabel(f"true {target}", parse_math=False)
    ax.set_ylabel(f"predicted {target}", parse_math=False)
    return add_legend(ax)


def plot_calibration(ax: Axes, predictions: PredictionRecord) -> Axes:
    """Stated against observed probability: of central intervals, or of the predicted class."""
    if len(predictions.true) == 0:
        return write_note(ax, "no held-out rows")
    classes = is_classification(predictions)
    if classes and predictions.probabilities is None:
        return write_note(ax, "no class probabilities were recorded")
    ax.plot([0, 1], [0, 1], color=REFERENCE, linewidth=1, linestyle="--", label="_perfect")
    if classes:
        _plot_reliability(ax, predictions)
    else:
        _plot_coverage(ax, predictions)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    return add_legend(ax)


def plot_mode(ax: Axes, image: np.ndarray) -> Axes:
    """One mode as a picture, blue below zero and red above; channels stand side by side."""
    image = np.asarray(image, float)
    if image.ndim == 3:
        gap = np.full((image.shape[0], 1), np.nan)
        channels = [np.hstack([image[..., c], gap]) for c in range(image.shape[-1])]
        image = np.hstack(channels)[:, :-1]
    if image.ndim != 2:
        raise ValueError(
            f"a mode must be (height, width) or (height, width, channel), got {image.shape}."
        )
    finite = np.abs(image[np.isfinite(image)])
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    ax.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="none")
    ax.set_axis_off()
    ax.grid(visible=False)
    return ax


def _plot_coverage(ax: Axes, predictions: PredictionRecord) -> None:
    levels = np.append(np.arange(0.05, 0.96, 0.05), 0.99).round(2)
    spread_of_count = 2 * np.sqrt(levels * (1 - levels) / len(predictions.true))
    ax.fill_between(
        levels,
        np.clip(levels - spread_of_count, 0, 1),
        np.clip(levels + spread_of_count, 0, 1),
        color=FAINT,
        alpha=0.35,
        linewidth=0,
        label="chance for this many rows",
    )
    ax.plot(
        levels,
        interval_coverage(predictions, levels),
        color=KEPT,
        marker="o",
        markersize=3.5,
        linewidth=1.2,
        label="held-out rows",
    )
    ax.set_xlabel("stated probability of the interval")
    ax.set_ylabel("rows inside the interval")


def _plot_reliability(ax: Axes, predictions: PredictionRecord) -> None:
    rows, confidence, accuracy = reliability_bins(predictions).T
    width = 1 / len(rows)
    centres = (np.arange(len(rows)) + 0.5) * width
    ax.bar(centres, rows / rows.sum(), 0.9 * width, color=FAINT, alpha=0.5, label="share of rows")
    for centre, count in zip(centres, rows, strict=True):
        if count:
            height = count / rows.sum()
            inside = height > 0.9
            ax.text(
                centre,
                height - 0.02 if inside else height + 0.01,
                f"{int(count):,}",
                ha="center",
                va="top" if inside else "bottom",
                fontsize="x-small",
            )
    filled = rows > 0
    x, y = confidence[filled], accuracy[filled]
    low, high = wilson_interval(y, rows[filled])
    ax.vlines(x, low, high, color=KEPT, linewidth=1, alpha=0.6)
    # Unconnected: a line through bins of a few rows each would draw the noise.
    ax.plot(x, y, color=KEPT, marker="o", markersize=4.5, linestyle="none", label="accuracy")
    ax.set_xlabel("stated confidence in the predicted class")
    ax.set_ylabel("predicted class is right")


def _plot_confusion(ax: Axes, predictions: PredictionRecord) -> Axes:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    counts, names = confusion_matrix(predictions)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # Transparent at zero, so that the page behind shows through in light and dark alike.
    # Never opaque, so that the ink of the counts stands out on every shade, in both.
    shades = LinearSegmentedColormap.from_list("share", [KEPT + "00", KEPT + SHADE])
    # A square-root scale: one row in a hundred is still seen.
    ax.imshow(share, cmap=shades, norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="none")
    ax.grid(visible=False)
    few = len(names) <= 12
    ticks = np.arange(len(names)) if few else spread_evenly(len(names), 10)
    shown = [shorten(names[tick]) for tick in ticks]
    slanted = max(len(name) for name in shown) * len(shown) > 40
    turn: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(ticks, shown, parse_math=False, **(turn if slanted else {}))
    ax.set_yticks(ticks, shown, parse_math=False)
    ax.tick_params(length=0)
    if few:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ax.text(column, row, f"{count:,}", ha="center", va="center", fontsize="small")
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return ax
