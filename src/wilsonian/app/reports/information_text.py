"""What a network's information says, in sentences and in rows of a table."""

from __future__ import annotations

import numpy as np

from wilsonian.app.reports.text import Headline
from wilsonian.app.runs.information import InformationRun
from wilsonian.information.validity import FEW_EXAMPLES
from wilsonian.support.number_text import format_count, format_number, format_percent

Rows = tuple[list[str], list[list[str]]]

GLOSSARY = {
    "Signal to noise k of a direction": "How much narrower the data make the law of the "
    "parameters along it than its prior was: the variance falls from 1 to 1 / (1 + k).",
    "Informed direction": "One with k above 1: the data say more about it than the prior.",
    "Nats": "Half the sum of log(1 + k): what the examples tell about the parameters.",
    "Cutoff": "Directions with less information are sent to the prior's mean; the others stay.",
    "Held out, nats, off by": "Of held-out examples: the rise of the loss; the predictive's nats "
    "per label; its calibration error (of classes in 15 bins, of numbers over nine intervals).",
    "Price": "Rise of the mean training loss by a cutoff, in nats per example.",
    "Linearised network": "Outputs as they change to first order in the parameters; there a "
    "cutoff is exact but for the likelihood's own curvature.",
}


def information_sentences(run: InformationRun) -> list[str]:
    """The findings, the most important first."""
    found = [
        f"The data determined {format_count(run.informed, 'direction')} of "
        f"{run.parameters:,}, {format_number(run.nats)} nats of information.",
        _kept_sentence(run),
    ]
    found.append(_honesty_sentence(run))
    if (calibration := _calibration_sentence(run)) is not None:
        found.append(calibration)
    found.append(_halves_sentence(run))
    return found


def _kept_sentence(run: InformationRun) -> str:
    if not run.nats > 0:
        return "There is no information to keep."
    share = format_percent(run.chosen_kept / run.parameters)
    need = "needs" if run.chosen_kept == 1 else "need"
    return (
        f"At {format_number(run.cost)} nats per example "
        f"{format_count(run.chosen_kept, 'direction')} {need} to be kept ({share}; cutoff k = "
        f"{format_number(run.chosen)}); they hold {format_percent(run.chosen_nats / run.nats)} of "
        "the information."
    )


def _honesty_sentence(run: InformationRun) -> str:
    prices = run.prices
    good = prices.scales[prices.valid]
    straight = prices.scales[prices.valid_linearised]
    if len(good) == len(prices.scales):
        return "Every predicted price agrees with what was measured on the network."
    network = (
        f"of the network itself they agree with the measured ones at {len(good)} of "
        f"{len(prices.scales)} cutoffs"
    )
    linear = f"of the linearised network at {len(straight)}"
    return f"Prices are predictions: {network}, {linear}; the others are marked as not valid."


def _calibration_sentence(run: InformationRun) -> str | None:
    held_out = run.prices.held_out
    if held_out is None or not np.isfinite(held_out.uncut_nll):
        return None
    best = int(np.argmin(held_out.weighted_nll))
    text = (
        f"On {format_count(held_out.examples, 'held-out example')} the trained parameters alone "
        f"have {format_number(held_out.trained_nll)} nats per label, with their uncertainty "
        f"{format_number(held_out.uncut_nll)}."
    )
    if held_out.uncut_nll > held_out.trained_nll + 0.01:
        text += (
            " The uncertainty of this prior is too wide here: counting every example "
            f"{format_number(held_out.data_weights[best])} times gives "
            f"{format_number(held_out.weighted_nll[best])}, chosen on these same examples."
        )
    return text


def _halves_sentence(run: InformationRun) -> str:
    halves, parts = run.halves, []
    for low, high, name in ((10.0, np.inf, "above 10"), (1.0, 10.0, "from 1 to 10")):
        ratio = halves.ratio(low, high)
        if np.isfinite(ratio):
            parts.append(f"{format_percent(ratio)} of it {name}")
    confirmed = " and ".join(parts)
    said = (
        f"Half of the examples, counted double, find {halves.count_above(1.0):,} informed "
        "directions"
    )
    return f"{said}; the other half confirms {confirmed}." if parts else f"{said}."


def information_headlines(run: InformationRun) -> list[Headline]:
    """The numbers at the top of the page."""
    few = int(np.sum(run.support < FEW_EXAMPLES))
    found = [
        Headline(
            "Informed directions",
            f"{run.informed:,}",
            f"of {run.parameters:,}: the data say more than the prior",
        ),
        Headline(
            "Information",
            f"{format_number(run.nats)} nats",
            f"in {format_number(run.degrees_of_freedom)} effective degrees of freedom",
        ),
        Headline(
            "Needed",
            f"{run.chosen_kept:,}",
            f"directions at a cost of {format_number(run.cost)} nats per example",
        ),
        Headline(
            "Distance from a minimum",
            format_number(run.stationarity, 2),
            "of the parameters' size, by which gradient and prior differ",
        ),
        Headline(
            "Carried by few",
            f"{few:,}",
            f"of the leading {len(run.support):,} directions rest on fewer than "
            f"{FEW_EXAMPLES} examples",
        ),
    ]
    held_out = run.prices.held_out
    if held_out is not None:
        label = "Accuracy" if run.task == "classification" else "R squared"
        form = format_percent if run.task == "classification" else format_number
        found.append(Headline(label, form(held_out.trained_accuracy), "on held-out examples"))
    return found


def price_rows(run: InformationRun) -> Rows:
    """The price list as a table."""
    prices, held_out = run.prices, run.prices.held_out
    names = ["Cutoff k", "Kept", "Nats lost", "Predicted", "Linearised", "Network", "Valid"]
    if held_out is not None:
        names += ["Held out", "Nats", "Off by"]
    rows = []
    for row in range(len(prices.scales)):
        cells = [
            format_number(prices.scales[row]),
            f"{int(prices.kept[row]):,}",
            format_number(prices.nats_lost[row]),
            format_number(prices.predicted[row], 2),
            format_number(prices.linearised[row], 2),
            format_number(prices.measured[row], 2),
            "yes" if prices.valid[row] else "no",
        ]
        if held_out is not None:
            cells += [
                format_number(held_out.measured[row], 2),
                format_number(held_out.nll[row]),
                format_number(held_out.calibration_error[row], 2),
            ]
        rows.append(cells)
    return names, rows
