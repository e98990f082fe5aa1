"""When a forecast from a measured curve should not be trusted, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wilsonian.support.number_text import format_number, format_percent

if TYPE_CHECKING:
    from wilsonian.theory.forecast.curve_records import CurveForecast

FEW_SIZES = 5
SHORT_RANGE = 8.0  # last size over first
FAR = 16.0  # sizes asked for over the last measured
WIDE = 4.0  # upper end of the band over the lower
UNDERRATED = 1.6  # scatter over the standard errors given
BEYOND = 1.6  # half-widths of a 90 % band: one good curve in a hundred lies so far off
FLAT = 2.0  # standard errors that the fall over the whole range stays within
RISE = 3.0  # standard errors of a rise between neighbours that is no scatter
DISAGREEMENT = 1.5  # between candidates that both count
COUNTS = 0.1  # weight of a candidate that does


def curve_diagnostics(forecast: CurveForecast) -> tuple[str, ...]:
    """What speaks against a forecast; nothing, if nothing does."""
    points, found = forecast.points, []
    n, error = points.n, points.error
    spread = own_spread(forecast)
    if len(n) < FEW_SIZES:
        found.append(
            f"The curve has {len(n)} sizes: they hardly tell one shape from another, and the bands "
            f"rest on the prior; measure {FEW_SIZES} or more."
        )
    if n[-1] < SHORT_RANGE * n[0]:
        found.append(
            f"The sizes span a factor of {format_number(n[-1] / n[0], 2)} only: a floor and a "
            "slowing fall look alike over so short a range; measure smaller sizes too, which is "
            "cheap."
        )
    if forecast.n[-1] > FAR * n[-1]:
        found.append(
            f"{forecast.n[-1]:,.0f} samples are {forecast.n[-1] / n[-1]:,.0f} times the largest "
            "size measured; so far ahead the forecast rests on the shapes of the candidates."
        )
    if points.standard_error is None:
        if np.all(points.repeats == 1):
            found.append(
                "No standard errors were given: the scatter of the points about the curve, "
                f"{format_percent(forecast.scatter, 2)}, stands for them; several runs per size "
                "would show it."
            )
    elif forecast.scatter > UNDERRATED:
        found.append(
            "The points scatter about every candidate "
            f"{format_number(forecast.scatter, 2)} times more than their standard errors say: "
            "these may leave out the choice of training rows, or the model changed along the curve."
        )
    rises = np.log(error[1:] / error[:-1]) / np.hypot(spread[1:], spread[:-1])
    if np.any(rises > RISE):
        place = int(np.argmax(rises))
        found.append(
            f"The error rises from {format_number(error[place])} at {n[place]:,g} to "
            f"{format_number(error[place + 1])} at {n[place + 1]:,g} samples, by more than its "
            "scatter: no candidate rises (a peak of double descent, or the model was changed?)."
        )
    fall = np.log(error[0] / error[-1]) / np.hypot(spread[0], spread[-1])
    if fall < FLAT:
        found.append(
            f"The curve is flat: from {n[0]:,g} to {n[-1]:,g} samples the error falls by less than "
            "its scatter; nothing measured shows that more data help."
        )
    found += _of_the_check(forecast) + _of_the_candidates(forecast)
    if forecast.upper[-1] > WIDE * forecast.lower[-1]:
        found.append(
            f"At {forecast.n[-1]:,.0f} samples the band spans a factor of "
            f"{format_number(forecast.upper[-1] / forecast.lower[-1], 2)}: the points do not tell "
            "a floor from what more data would still teach."
        )
    return tuple(found)


def own_spread(forecast: CurveForecast) -> np.ndarray:
    """Relative standard error of each point, (sizes,): as given, or as learned."""
    points = forecast.points
    if points.relative is None:
        return forecast.scatter / np.sqrt(points.repeats)
    return points.relative


def _of_the_check(forecast: CurveForecast) -> list[str]:
    check = forecast.left_out
    if check is None:
        return []
    measured, band = check.measured[-1], check.error
    end = band.upper[-1] if measured > band.median[-1] else band.lower[-1]
    if abs(np.log(measured / band.median[-1])) <= BEYOND * abs(np.log(end / band.median[-1])):
        return []
    return [
        f"Without the last {'sizes' if len(check.n) > 1 else 'size'} the error at "
        f"{check.n[-1]:,g} samples would have been forecast at {format_number(band.median[-1])} "
        f"({format_number(band.lower[-1])} to {format_number(band.upper[-1])}), and it is "
        f"{format_number(measured)}: the curve turns in a way that its earlier points do not show."
    ]


def _of_the_candidates(forecast: CurveForecast) -> list[str]:
    counting = [one for one in forecast.candidates if one.weight > COUNTS]
    low = min(counting, key=lambda one: one.error.median[-1])
    high = max(counting, key=lambda one: one.error.median[-1])
    if high.error.median[-1] < DISAGREEMENT * low.error.median[-1]:
        return []
    return [
        f"The candidates part: at {forecast.n[-1]:,.0f} samples the {low.name} "
        f"({format_percent(low.weight, 2)} of the weight) says "
        f"{format_number(low.error.median[-1])}, the {high.name} "
        f"({format_percent(high.weight, 2)}) {format_number(high.error.median[-1])}."
    ]
