"""What the numbers of a run say, in sentences a practitioner can act on."""

from __future__ import annotations

import dataclasses

import numpy as np

from wilsonian.app.reports.verdicts import LONGEST_NAME, interval_judged, nothing_learned
from wilsonian.app.runs.calibration import class_indices
from wilsonian.app.runs.records import RunRecord
from wilsonian.support.axes import shorten
from wilsonian.support.number_text import format_count, format_number, format_percent

GLOSSARY = {
    "Mode": (
        "One pattern over the inputs, from the kernel: the prediction is a weighted sum of "
        "modes. Its eigenvalue says how strongly the kernel expects it in the target."
    ),
    "Learnability": (
        "The fraction of a mode's weight that this many rows recover from this much noise: 1 is "
        "learned, 0 is left at the prior."
    ),
    "Cutoff": (
        "The modes in front of it are kept. Those behind it are eliminated: too weak to be "
        "learned from these rows, they act on the rest like additional noise."
    ),
    "Ridge": (
        "The noise variance the kept modes are fitted with: the noise of the target, plus the "
        "eigenvalues of everything eliminated. That sum is the renormalized ridge."
    ),
    "Measure": (
        "What the modes are modes of. Of the population: the distribution the rows come from; "
        "eliminated modes then raise the ridge. Of the sample: the training rows themselves; these "
        "modes decouple, and eliminating some changes nothing for the others."
    ),
    "Whole modes": (
        "The learnabilities of the kept modes added up, also called degrees of freedom: half a "
        "mode learned twice counts as one."
    ),
    "Evidence": (
        "The probability of the training targets under the model, as a logarithm in nats. A "
        "difference of a few nats is a clear preference."
    ),
}


@dataclasses.dataclass(frozen=True)
class Headline:
    """One number of the report with its name and its meaning."""

    label: str
    value: str
    meaning: str


def learned_sentence(record: RunRecord) -> str:
    """How many modes are kept, and how much of them the rows teach."""
    spectrum = record.spectrum
    total, kept = len(spectrum.eigenvalues), spectrum.kept
    sentence = f"{kept:,} of {format_count(total, 'mode')} {'is' if kept == 1 else 'are'} kept"
    learned = float(np.sum(spectrum.learnability[:kept]))
    rows = format_count(record.rows, "row")
    if kept == 0 or not np.isfinite(learned):
        return f"{sentence}; {rows} teach none." if kept == 0 else f"{sentence}."
    if nothing_learned(record):
        return f"{sentence}, but what {rows} taught in them is not borne out by the held-out rows."
    # Learnabilities add up to what the rows determine: the degrees of freedom.
    return f"{sentence}; {rows} teach them as far as {format_number(learned)} whole modes."


def cutoff_sentence(record: RunRecord) -> str:
    """What became of the modes that are not learned."""
    spectrum = record.spectrum
    eliminated = len(spectrum.eigenvalues) - spectrum.kept
    if eliminated == 0 and not spectrum.tail > 0:
        return "No mode is eliminated, so the ridge is the bare noise."
    if eliminated == 0:
        lost = (
            "Every resolved mode is learnable; only the unresolved tail beyond them is eliminated"
        )
    else:
        which = "Every mode" if spectrum.kept == 0 else format_count(eliminated, "further mode")
        verb = "are" if spectrum.kept and eliminated > 1 else "is"
        lost = (
            f"{which} {verb} too weak for these rows to teach "
            f"(learnability below {format_number(spectrum.threshold)})"
        )
    noise, ridge = format_number(record.noise_variance), format_number(record.ridge)
    if record.measure == "sample":
        stays = f"the ridge stays the noise, {noise}"
        if ridge != noise:
            stays = f"only what no mode resolves raises the ridge, from {noise} to {ridge}"
        return (
            f"{lost}. These are modes of the training rows themselves, which decouple: eliminating "
            f"some leaves the others as they were, and {stays}."
        )
    if ridge == noise:
        return (
            f"{lost}; what is left out acts like noise, far too little to move the ridge, {noise}."
        )
    return f"{lost}; what is left out acts like noise and raises the ridge from {noise} to {ridge}."


def headlines(record: RunRecord) -> list[Headline]:
    """The numbers at the top: quality of the predictions first, then the theory, then the cost."""
    quality = _class_quality if record.task == "classification" else _regression_quality
    return [*quality(record), *_theory(record), _time(record)]


def _regression_quality(record: RunRecord) -> list[Headline]:
    metrics, found = record.metrics, []
    if "rmse" in metrics:
        meaning = f"root-mean-square error, in units of {shorten(record.target, LONGEST_NAME)}"
        if "relative_rmse" in metrics:
            meaning += (
                f"; {format_percent(metrics['relative_rmse'])} of the training target's "
                "standard deviation"
            )
        found.append(Headline("Typical error", format_number(metrics["rmse"]), meaning))
    if "r2" in metrics:
        meaning = "share of the target's variance that is predicted (R²); 100% is perfect"
        found.append(Headline("Variance explained", format_percent(metrics["r2"]), meaning))
    levels = [level for level in (95, 90, 50) if f"coverage_{level}" in metrics]
    if levels:
        hold = [format_percent(metrics[f"coverage_{level}"]) for level in levels]
        others = [f"{h} in the {level}%" for h, level in zip(hold[1:], levels[1:], strict=True)]
        judged = interval_judged(record, levels[0])
        meaning = f"of the true values lie in their {levels[0]}% interval"
        meaning += f" ({judged})" if judged else ""
        meaning += f", {', '.join(others)} interval" if others else ""
        found.append(Headline("Interval coverage", hold[0], meaning))
    if "nlpd" in metrics:
        meaning = (
            "mean negative log density of the truth (NLPD), nats; lower is better, "
            "and it punishes errors that were not announced"
        )
        found.append(Headline("Log score", format_number(metrics["nlpd"]), meaning))
    return found


def _class_quality(record: RunRecord) -> list[Headline]:
    metrics, found = record.metrics, []
    wrong = ""
    if "error_rate" in metrics:
        count = round(metrics["error_rate"] * record.test_rows)
        wrong = f"{count:,} of {format_count(record.test_rows, 'row')} get the wrong class"
    if "accuracy" in metrics:
        meaning = wrong or "of the held-out rows get the right class"
        if len(record.predictions.true):
            true, _, _ = class_indices(record.predictions)
            commonest = np.bincount(true).max() / len(true)
            meaning += f"; always naming the commonest class gets {format_percent(commonest)}"
        found.append(Headline("Accuracy", format_percent(metrics["accuracy"]), meaning))
    elif wrong:
        found.append(Headline("Error rate", format_percent(metrics["error_rate"]), wrong))
    if "calibration_error" in metrics:
        meaning = "mean gap between stated confidence and accuracy; 0% is honest"
        value = format_percent(metrics["calibration_error"])
        found.append(Headline("Calibration error", value, meaning))
    if "log_loss" in metrics:
        meaning = "mean negative log probability of the true class, nats; lower is better"
        if len(record.predictions.classes) > 1:
            guess = format_number(np.log(len(record.predictions.classes)))
            meaning += f"; equal probabilities get {guess}"
        found.append(Headline("Log loss", format_number(metrics["log_loss"]), meaning))
    if "brier" in metrics:
        meaning = "squared error of the class probabilities (Brier score); 0 is perfect"
        found.append(Headline("Brier score", format_number(metrics["brier"]), meaning))
    return found


def _theory(record: RunRecord) -> list[Headline]:
    bound, rmse = record.expected_loss, record.metrics.get("rmse", 0.0)
    meaning = "expected rise in mean squared error from leaving the eliminated modes out, at most"
    value = format_number(bound)
    if rmse > 0:
        meaning += f": {format_percent(bound / rmse**2, 2)} of the held-out error"
    if rmse > 0 and not bound <= rmse**2:
        # A bound above all of the error bounds nothing.
        value, meaning = "unknown", "the bound on it exceeds the whole held-out error"
    loss = Headline("Price of the cutoff", value, meaning)
    meaning = "variance of the noise that the fit finds in the target"
    if record.known_noise > 0:
        meaning += f", beside the known noise of each row ({format_number(record.known_noise)} on "
        meaning += "average)"
    if record.task == "regression" and record.noise_variance > 0:
        meaning += f"; its standard deviation is {format_number(np.sqrt(record.noise_variance))}"
    noise_variance = Headline("Noise", format_number(record.noise_variance), meaning)
    added = record.ridge - record.noise_variance
    meaning = f"the noise, plus {format_number(added)} from all that is eliminated"
    if record.measure == "sample":
        meaning = f"the noise, plus {format_number(added)} from what no mode of the rows resolves"
    ridge = Headline("Renormalized ridge", format_number(record.ridge), meaning)
    return [loss, noise_variance, ridge]


def _time(record: RunRecord) -> Headline:
    minutes, seconds = divmod(record.seconds, 60)
    text = f"{format_number(record.seconds)} s"
    if minutes >= 2:
        text = f"{int(minutes):,} min {int(seconds)} s"
    return Headline("Time", text, f"for this run, random seed {record.seed}")
