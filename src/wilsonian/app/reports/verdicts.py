"""Verdicts on a run, each a sentence that its held-out rows bear out: how large the error is, also
beside known methods, whether the intervals hold what they promise, whether anything was learned."""

from __future__ import annotations

import numpy as np

from wilsonian.app.runs.calibration import wilson_interval
from wilsonian.app.runs.records import RunRecord
from wilsonian.support.axes import shorten
from wilsonian.support.number_text import format_count, format_number, format_percent

LONGEST_NAME = 100  # characters of a name of the user's in a sentence
CLEAR = 2.0  # standard errors


def error_sentence(record: RunRecord) -> str:
    """The error on held-out rows and what it means: the first thing to know."""
    metrics, target = record.metrics, shorten(record.target, LONGEST_NAME)
    if record.test_rows == 0 or not metrics:
        return "No rows were held out, so the predictions are not tested here."
    if record.task == "classification":
        if "error_rate" not in metrics:
            return f"{format_count(record.test_rows, 'row')} were held out."
        wrong = round(metrics["error_rate"] * record.test_rows)
        share = format_percent(metrics["error_rate"], 2)
        if wrong == 0:
            return f"All {format_count(record.test_rows, 'held-out row')} get the right class."
        verb = "gets" if wrong == 1 else "get"
        return (
            f"{wrong:,} of {format_count(record.test_rows, 'held-out row')} {verb} the wrong class "
            f"({share})."
        )
    if "rmse" not in metrics:
        return f"{format_count(record.test_rows, 'row')} were held out."
    sentence = f"Predictions of {target} are typically off by {format_number(metrics['rmse'])}"
    if "relative_rmse" in metrics:
        share = format_percent(metrics["relative_rmse"])
        sentence += f": {share} of what always predicting the mean would be"
    return sentence + "."


def nothing_learned(record: RunRecord) -> bool:
    """Whether the held-out rows cannot tell the predictions from a constant."""
    gain, error = record.metrics.get("gain"), record.metrics.get("gain_error")
    return gain is not None and error is not None and gain <= CLEAR * error


def nothing_sentence(record: RunRecord) -> str:
    """That nothing was learned, if that is so."""
    if not nothing_learned(record):
        return ""
    constant = "always predicting the mean"
    if record.task == "classification":
        constant = "stating for every row how frequent each class is"
    if record.metrics["gain"] > 0:
        return (
            f"That is better than {constant}, but by no more than chance may give in "
            f"{format_count(record.test_rows, 'held-out row')}: they bear out nothing yet."
        )
    return (
        f"On the held-out rows that is no better than {constant}: nothing was learned that they "
        "bear out."
    )


def baseline_sentence(record: RunRecord) -> str:
    """Known methods beside the model."""
    ours = record.metrics.get("error_rate" if record.task == "classification" else "rmse")
    if not record.baselines or ours is None:
        return ""
    form = (lambda e: format_percent(e, 2)) if record.task == "classification" else format_number
    what = "are wrong in" if record.task == "classification" else "are off by"
    named = [f"{form(error)} ({name})" for name, error in record.baselines.items()]
    beside = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    best = min(record.baselines, key=lambda name: record.baselines[name])
    sentence = f"On the same rows and columns known methods {what} {beside}"
    if record.baselines[best] < ours:
        return f"{sentence}: {best} does better here."
    if record.baselines[best] == ours:
        return f"{sentence}: {best} does as well here."
    return f"{sentence}: none does better here."


def interval_judged(record: RunRecord, level: int = 95) -> str:
    """Whether the intervals of one level are "as promised", "too narrow" or "too wide": a promise
    within the 95% interval of what so few rows can tell is kept. Empty if it was not measured."""
    return _judged(record.metrics.get(f"coverage_{level}"), record.test_rows, level)


def _judged(held: float | None, rows: int, level: int) -> str:
    if held is None or not rows:
        return ""
    low, high = wilson_interval(np.array([held]), np.array([rows]))
    if low[0] <= level / 100 <= high[0]:
        return "as promised"
    return f"too {'narrow' if held < level / 100 else 'wide'}"


def interval_verdict(record: RunRecord, level: int = 95) -> str:
    """That in a sentence."""
    judged = interval_judged(record, level)
    held = format_percent(record.metrics.get(f"coverage_{level}", np.nan))
    return judged and f"The {level}% intervals hold {held} of the held-out rows: {judged}."


def incomplete_verdict(record: RunRecord, level: int = 95) -> str:
    """The same of the held-out rows that lack values."""
    metrics = record.metrics
    rows, held = int(metrics.get("incomplete_rows", 0)), metrics.get(f"coverage_{level}_incomplete")
    judged = _judged(held, rows, level)
    return judged and (
        f"Of the {format_count(rows, 'held-out row')} that lack values they hold "
        f"{format_percent(float(held or 0))}: {judged}; the typical error there is "
        f"{format_number(metrics['rmse_incomplete'])}."
    )


def bounds_verdict(record: RunRecord) -> str:
    """A doubt where learning ended at a bound of its search."""
    if "at their bounds" not in record.convergence:
        return ""
    return (
        "Doubt: hyperparameters ended at the bounds of their search, so the prior is not one that "
        "these rows determine; look at the convergence below, and at columns that say little."
    )


def confidence_verdict(record: RunRecord) -> str:
    """Whether the stated confidence of the classes is what comes true."""
    metrics = record.metrics
    if not {"confidence", "accuracy"} <= set(metrics) or not record.test_rows:
        return ""
    stated, right = metrics["confidence"], metrics["accuracy"]
    low, high = wilson_interval(np.array([right]), np.array([record.test_rows]))
    sentence = (
        f"The predicted class is stated with {format_percent(stated)} confidence on average and "
        f"is right in {format_percent(right)}"
    )
    if low[0] <= stated <= high[0]:
        return f"{sentence}: as promised."
    return f"{sentence}: too {'sure of itself' if stated > right else 'cautious'}."


def evidence_sentence(record: RunRecord) -> str:
    """Why fewer modes may have a higher evidence than those kept, with what it costs."""
    flow, kept = record.flow, record.spectrum.kept
    evidence = np.asarray(flow.evidence, float)
    numbers = np.asarray(flow.kept)
    if not np.isfinite(evidence).any() or kept not in numbers:
        return ""
    best = int(np.argmax(np.where(np.isfinite(evidence), evidence, -np.inf)))
    own = int(np.flatnonzero(numbers == kept)[0])
    gap = float(evidence[best] - evidence[own])
    if numbers[best] >= kept or not gap > 1:
        return ""
    sentence = (
        f"The evidence is highest at {int(numbers[best]):,} modes, {format_number(gap)} nats above "
        f"the {kept:,} kept. The cutoff asks which modes these rows can teach, not which the "
        "target needs: in the weaker of them the kernel expects more of the target than is "
        "there, which costs evidence"
    )
    if flow.test_error is None or not np.isfinite(flow.test_error[[best, own]]).all():
        return sentence + "."
    form = format_percent if record.task == "classification" else format_number
    there, here = (form(float(flow.test_error[place])) for place in (best, own))
    return (
        f"{sentence}; the held-out error is {there} there and {here} here "
        f"(--cutoff {int(numbers[best])} fits with those modes only)."
    )


def verdicts(record: RunRecord) -> list[str]:
    """What follows the error, a sentence each."""
    judged = confidence_verdict if record.task == "classification" else interval_verdict
    found = [nothing_sentence(record), baseline_sentence(record), judged(record)]
    found += [incomplete_verdict(record), bounds_verdict(record)]
    return [sentence for sentence in found if sentence]
