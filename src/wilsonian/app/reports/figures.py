"""Which figures a report has, what to read from each, and what a pointer finds in it."""

from __future__ import annotations

import numpy as np

from wilsonian.app import figures as plots
from wilsonian.app.reports import alternatives
from wilsonian.app.reports.svg import Describe, Draw, Drawing
from wilsonian.app.runs.calibration import (
    confusion_matrix,
    interval_coverage,
    is_classification,
    reliability_bins,
)
from wilsonian.app.runs.records import PredictionRecord, RunRecord
from wilsonian.regression.processes.records import FlowRecord
from wilsonian.support.axes import Scale, shorten, spread
from wilsonian.support.number_text import format_count, format_number, format_percent

SHOWN_MODES = 24
RIDGE_CAPTIONS = {
    "population": (
        "The line is predicted and the circles are found from the data alone: where they agree, "
        "the eliminated modes do act like noise."
    ),
    "sample": (
        "Flat, as it should be: modes of the training rows decouple, and cutting some leaves the "
        "noise of the others as it was. The circles are the noise that the targets would seem to "
        "have if only the modes to the left could explain them: above the line while signal is cut "
        "away, and near it once all of it is kept."
    ),
}
BOTH: tuple[Scale, ...] = ("log", "linear")


def all_figures(record: RunRecord) -> list[Drawing]:
    """Every figure of the page of a run."""
    kinds = quality_figures, spectrum_figures, flow_figures, mode_figures
    return [drawing for kind in kinds for drawing in kind(record)]


def quality_figures(record: RunRecord) -> list[Drawing]:
    """How good the held-out predictions are; none without held-out rows."""
    predictions = record.predictions
    if len(predictions.true) == 0:
        return []
    if is_classification(predictions):
        return _class_figures(predictions)
    target = shorten(record.target, 40)
    drawn = min(len(predictions.true), plots.DRAWN_ROWS)
    sampled = "" if drawn == len(predictions.true) else f" ({drawn:,} rows drawn at random)"
    return [
        Drawing(
            "predictions",
            "Predicted against true",
            "Each bar is a 95% interval, and 19 in 20 should cross the dashed line; a stretch of "
            f"points that lies off the line as a whole is a systematic error{sampled}.",
            lambda ax, _: plots.plot_predictions(ax, predictions, target=target),
            _describe_predictions(predictions),
            alt=alternatives.predictions(predictions),
        ),
        Drawing(
            "calibration",
            "Are the intervals honest?",
            "On the dashed line the stated probabilities are right; below it the model is too "
            "sure of itself, above it too cautious.",
            lambda ax, _: plots.plot_calibration(ax, predictions),
            _describe_coverage(predictions),
            alt=alternatives.coverage(predictions),
        ),
    ]


def spectrum_figures(record: RunRecord) -> list[Drawing]:
    """The spectrum with its cutoff."""
    spectrum = record.spectrum

    def describe(mode: float, _: float) -> str:
        index = round(mode) - 1
        return "\n".join(
            [
                f"mode {index + 1:,}",
                f"eigenvalue {format_number(spectrum.eigenvalues[index])}",
                f"learnability {format_number(spectrum.learnability[index])}",
                f"target power {format_number(spectrum.target_power[index])}",
            ]
        )

    drawn = len(spread(len(spectrum.eigenvalues), plots.DRAWN_POINTS))
    thinned = "" if drawn == len(spectrum.eigenvalues) else f" ({drawn:,} of the modes are drawn)"
    return [
        Drawing(
            "spectrum",
            "Spectrum of the kernel",
            "A mode is learned when its eigenvalue stands clear of the dotted line, which is what "
            "noise alone leaves in a mode; grey far above that line and right of the cutoff is "
            f"signal that these rows cannot teach{thinned}.",
            lambda ax, scale: plots.plot_spectrum(
                ax, spectrum, noise_per_mode=record.ridge / max(record.rows, 1), scale=scale
            ),
            describe,
            BOTH,
            alt=alternatives.spectrum(spectrum),
        )
    ]


def flow_figures(record: RunRecord) -> list[Drawing]:
    """What other cutoffs would have done."""
    flow, kept = record.flow, record.spectrum.kept
    describe = _describe_flow(flow)
    found = [
        Drawing(
            "ridge-flow",
            "Ridge at every cutoff",
            RIDGE_CAPTIONS[record.measure],
            lambda ax, scale: plots.plot_ridge_flow(
                ax, flow, noise_variance=record.noise_variance, kept=kept, scale=scale
            ),
            describe,
            BOTH,
            alt=alternatives.flow(flow, "ridge", kept),
        ),
        Drawing(
            "evidence-flow",
            "Evidence at every cutoff",
            "Where the curve is flat, further modes explain the training targets no better; a fall "
            "at the right says that the kernel expects more of the target in them than is there.",
            lambda ax, scale: plots.plot_evidence_flow(ax, flow, kept=kept, scale=scale),
            describe,
            BOTH,
            alt=alternatives.flow(flow, "evidence", kept),
        ),
    ]
    if flow.test_error is not None:
        classes = record.task == "classification"
        quantity = "error rate" if classes else f"RMSE of {shorten(record.target, 40)}"
        found.append(
            Drawing(
                "test-error-flow",
                "Held-out error at every cutoff",
                "Past the cutoff the curve should be flat: modes kept beyond it no longer "
                "improve predictions of new rows.",
                lambda ax, scale: plots.plot_test_error_flow(
                    ax, flow, kept=kept, quantity=f"held-out {quantity}", scale=scale
                ),
                describe,
                BOTH,
                alt=alternatives.flow(flow, "test_error", kept),
            )
        )
    return found


def mode_figures(record: RunRecord) -> list[Drawing]:
    """Pictures of the leading modes; none when the inputs are no images."""
    if record.mode_images is None:
        return []
    found = []
    for index, image in enumerate(record.mode_images[:SHOWN_MODES]):
        height, width = image.shape[:2]
        aspect = height / max(width * (image.shape[2] if image.ndim == 3 else 1), 1)
        caption = ""
        if index < len(record.spectrum.eigenvalues):
            eigenvalue = format_number(record.spectrum.eigenvalues[index])
            learnability = format_number(record.spectrum.learnability[index], 2)
            caption = f"eigenvalue {eigenvalue}, learnability {learnability}"
        found.append(
            Drawing(
                f"mode-{index + 1}",
                f"Mode {index + 1}",
                caption,
                _draw_mode(image),
                size=(2.0, float(np.clip(2.0 * aspect, 0.5, 4.0))),
                alt=f"A picture of {height} by {width} pixels; {caption}",
            )
        )
    return found


def _draw_mode(image: np.ndarray) -> Draw:
    return lambda ax, _: plots.plot_mode(ax, image)


def _class_figures(predictions: PredictionRecord) -> list[Drawing]:
    counts, names = confusion_matrix(predictions)
    found = [
        Drawing(
            "predictions",
            "Which classes are confused",
            "A row is a true class and its colour is the share of that class; anything off the "
            "diagonal is a mistake.",
            lambda ax, _: plots.plot_predictions(ax, predictions),
            lambda column, row: (
                f"true {names[int(row)]}\npredicted {names[int(column)]}\n"
                f"{format_count(int(counts[int(row), int(column)]), 'row')}"
                if counts[int(row), int(column)]
                else ""
            ),
            alt=alternatives.confusion(counts, names),
        )
    ]
    if predictions.probabilities is not None:
        table = reliability_bins(predictions)

        def describe(confidence: float, _: float) -> str:
            rows, stated, right = table[np.nanargmin(np.abs(table[:, 1] - confidence))]
            return (
                f"{format_count(int(rows), 'row')}\nstated {format_percent(stated)}\n"
                f"right {format_percent(right)}"
            )

        found.append(
            Drawing(
                "calibration",
                "Is the confidence honest?",
                "On the dashed line a stated 80% is right 8 times in 10; below it the model is "
                "too sure of itself, above it too cautious; the lines are 95% intervals and the "
                "grey bars count the rows.",
                lambda ax, _: plots.plot_calibration(ax, predictions),
                describe,
                alt=alternatives.reliability(table),
            )
        )
    return found


def _describe_coverage(predictions: PredictionRecord) -> Describe:
    def describe(level: float, _: float) -> str:
        (inside,) = interval_coverage(predictions, np.array([level]))
        return f"{format_percent(level)} intervals\nhold {format_percent(inside)} of the rows"

    return describe


def _describe_predictions(predictions: PredictionRecord) -> Describe:
    columns = (predictions.true, predictions.mean, predictions.std)
    true, mean, std = (np.asarray(column, float).tolist() for column in columns)
    std_of = {(t, m): s for t, m, s in zip(true, mean, std, strict=True)}

    def describe(x: float, y: float) -> str:
        half = format_number(1.96 * std_of.get((x, y), np.nan))
        return f"true {format_number(x, 4)}\npredicted {format_number(y, 4)} ± {half} (95%)"

    return describe


def _describe_flow(flow: FlowRecord) -> Describe:
    names = {
        "ridge": "predicted ridge",
        "evidence_ridge": "ridge of highest evidence",
        "evidence": "log evidence",
        "learnability": "learnability of the next mode",
        "test_error": "held-out error",
    }
    columns = flow.columns()

    def describe(kept: float, _: float) -> str:
        index = int(np.argmin(np.abs(np.asarray(flow.kept) - kept)))
        lines = [format_count(int(flow.kept[index]), "mode") + " kept"]
        for column, name in names.items():
            if column in columns:
                lines.append(f"{name}: {format_number(columns[column][index], 4)}")
        return "\n".join(lines)

    return describe
