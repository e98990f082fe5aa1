"""When a forecast should not be trusted, in sentences that say why and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wilsonian.support.number_text import format_count, format_number, format_percent
from wilsonian.theory.forecast.population_spectrum import PopulationSpectrum
from wilsonian.theory.forecast.target_law import TargetLaw

if TYPE_CHECKING:
    from wilsonian.theory.forecast.records import Forecast

FEW_LABELS = 100
FAR = 64  # times the pilot; the forecast was held against measurements up to sixteen times
OUTSIDE = 0.25  # share of the forecast error that modes below the resolved ones make up
MISFIT = 0.05  # of the power law of the spectrum's tail, relative
WIDE = 4.0  # upper end of the band over the lower
FEW_DRAWS = 30.0
DISAGREEMENT = 1.3
APART, COUNTS = 2.0, 0.15  # between witnesses of so much weight
NOTHING = 0.95  # of the variance left by the pilot's best fit


def diagnostics(
    forecast: Forecast, population: PopulationSpectrum, law: TargetLaw
) -> tuple[str, ...]:
    """What speaks against a forecast; nothing, if nothing does."""
    found, table = [], forecast.table
    measured, labels = forecast.measured, forecast.labels
    least = float(measured.least()[-1])
    last, farthest = -1, float(table.n[-1])
    if labels < FEW_LABELS:
        found.append(
            f"The pilot is small: {format_count(labels, 'label')} leave much to the prior; with "
            f"{FEW_LABELS} or more the bands narrow."
        )
    if least > NOTHING * forecast.variance:
        found.append(
            "From this pilot the kernel explains next to nothing of the target "
            f"({format_percent(max(1 - least / forecast.variance, 0.0), 2)} of its variance): the "
            "target may be noise, or another kernel or other columns may be needed."
        )
    if farthest > FAR * labels:
        found.append(
            f"{farthest:,.0f} samples are {farthest / labels:,.0f} times the pilot; forecasts were "
            "tested up to 16 times, and beyond rest on laws that nothing in the data confirms."
        )
    kappa = float(forecast.theory.kappa(farthest, table.ridge[last]))
    below = population.spectrum.eigenvalues < population.resolved
    share = np.median(law.power[:, below].sum(axis=1)) / table.error.median[last]
    if share > OUTSIDE:
        found.append(
            f"The target lies partly outside the modes that {population.points:,} inputs resolve: "
            f"of the error at {farthest:,.0f} samples, {format_percent(min(share, 1.0), 2)} is "
            "power in the extrapolated tail, which looks like noise at this size; give more "
            "unlabelled inputs."
        )
    if kappa < population.resolved and population.tail_misfit > MISFIT:
        found.append(
            "The tail of the spectrum is no power law (off by "
            f"{format_percent(population.tail_misfit, 2)} where it is fitted), and "
            f"{farthest:,.0f} samples reach into it; give more unlabelled inputs."
        )
    if population.points < 2 * min(labels, population.points) and kappa < population.resolved:
        found.append(
            f"The spectrum is known from {format_count(population.points, 'input')} only, and "
            f"{farthest:,.0f} samples resolve more: modes beyond are extrapolated; unlabelled "
            "inputs, which cost nothing, would show them."
        )
    upper, lower = table.error.upper[last], table.error.lower[last]
    if upper > WIDE * lower:
        found.append(
            f"At {farthest:,.0f} samples the band spans a factor of "
            f"{format_number(upper / lower, 2)}: these labels do not tell noise from what more "
            "data would still teach."
        )
    heard = [one for one in forecast.witnesses if one.weight > COUNTS]
    said = [(float(one.error.median[last]), one.name) for one in heard]
    if max(said)[0] > APART * min(said)[0]:
        (less, first), (more, second) = min(said), max(said)
        found.append(
            f"The witnesses disagree: at {farthest:,.0f} samples the {first} expects "
            f"{format_number(less)}, the {second} {format_number(more)}, and the pilot does not "
            "tell which is right; label more rows, or forecast less far."
        )
    at_pilot = float(forecast.theory.label_error(labels, measured.ridge[measured.best()[-1]]))
    ratio = at_pilot / least
    if not 1 / DISAGREEMENT < ratio < DISAGREEMENT:
        found.append(
            f"At the pilot's own size theory and leave-one-out disagree ({format_number(at_pilot)} "
            f"against {format_number(least)}): a few rows may dominate the error, or the kernel's "
            "features are far from Gaussian."
        )
    if law.effective_draws < FEW_DRAWS:
        found.append(
            "The posterior was sampled poorly "
            f"({law.effective_draws:.0f} independent draws); another seed may move the bands."
        )
    return tuple(found)
