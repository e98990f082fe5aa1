"""A forecast from a measured learning curve of any model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from wilsonian.theory.forecast.curve_diagnostics import curve_diagnostics
from wilsonian.theory.forecast.curve_points import CurvePoints, curve_points
from wilsonian.theory.forecast.curve_records import Candidate, CurveForecast, LeftOut
from wilsonian.theory.forecast.curve_shapes import SHAPES, CurveShape
from wilsonian.theory.forecast.records import Band
from wilsonian.theory.forecast.tempering import tempered_draws

DRAWS = 1000
CURVE_SIZES = 40
LEAST_CHECKED = 4  # sizes: with so few, those left after the last would be hardly a curve
LARGEST_SIZE = 1e15
LEVEL_SPREAD = 1.0  # of the logarithm of the last error about the last one measured
SCATTER, SCATTER_SPREAD = 0.02, 1.6  # relative, of one measurement without a standard error
UNDERRATED_SPREAD = 0.4  # of the logarithm by which standard errors are wrong
LEAST_SCATTER = 1e-5
LAW_ERROR = 0.01  # relative, per factor of two beyond the last size: no shape is a law of nature


def forecast_curve(
    n: Any,
    error: Any,
    standard_error: Any = None,
    *,
    to: Any,
    draws: int = DRAWS,
    check: bool = True,
    random_state: Any = 0,
    progress: Callable[[str, int, int], None] = lambda stage, done, of: None,
) -> CurveForecast:
    r"""The error at larger sample sizes `to`, from errors measured at sizes `n`, of any model.

    The candidates are power laws (plain, with floor, with floor and onset) and the averaged
    theory's own shapes (at the best ridge, at one ridge); `docs/science/forecast.md`, section 7.
    Each has a posterior over its parameters, drawn from its prior by tempering, and an evidence;
    median and bands are of the draws of all, as many of each as its evidence says. They hold the
    expected error: one more measurement scatters about it.

    `n`, `error` and `standard_error` are (points,). Errors may be mean squared, rates or losses,
    if they would fall to zero or to a floor, and need be positive. Without standard errors the
    scatter about the curve is learned with it; repeated sizes then say most. Repeated sizes are
    merged, their order is free. `draws` are those of each candidate. `check` forecasts the last
    quarter of the sizes from those before, which takes as long again.

    Raises ValueError for fewer than three different sizes, values that are not positive and
    finite, and sizes asked for below the largest one measured.
    """
    points = curve_points(n, error, standard_error)
    sizes = _sizes(to, points)
    random = np.random.default_rng(random_state)
    fitted = _Fitted.of(points, draws, random, progress)
    fine_n = np.geomspace(points.n[0], max(sizes[-1], 2 * points.n[-1]), CURVE_SIZES)
    errors, doubled = fitted.mixed(sizes), fitted.mixed(2 * sizes)
    band = Band.of(errors)
    test, left_out = None, [np.nan] * len(SHAPES)
    count = len(points.n) - max(len(points.n) // 4, 1)
    if check and len(points.n) > LEAST_CHECKED:
        earlier = _Fitted.of(points.before(count), draws, random, progress, last=points.n[-1])
        test = _left_out(earlier, points, count, random)
        left_out = [float(np.median(one)) for one in earlier.each(points.n[-1:])]
    candidates = [
        Candidate(shape.name, float(weight), evidence, Band.of(one), without)
        for shape, weight, evidence, one, without in zip(
            fitted.shapes,
            fitted.weights,
            fitted.evidences,
            fitted.each(sizes),
            left_out,
            strict=True,
        )
    ]
    result = CurveForecast(
        n=sizes,
        median=band.median,
        lower=band.lower,
        upper=band.upper,
        gain=Band.of(1 - doubled / errors),
        floor=Band.of(fitted.floors()),
        candidates=tuple(sorted(candidates, key=lambda one: -one.weight)),
        fine_n=fine_n,
        fine=Band.of(fitted.mixed(fine_n)),
        points=points,
        scatter=float(np.exp(np.median(fitted.log_scatter()))),
        left_out=test,
        diagnostics=(),
    )
    return dataclasses.replace(result, diagnostics=curve_diagnostics(result))


@dataclasses.dataclass(frozen=True)
class _Fitted:
    """Posterior draws of every candidate. Columns: level, scatter, then the shape's own."""

    points: CurvePoints
    shapes: tuple[CurveShape, ...]
    draws: tuple[np.ndarray, ...]
    evidences: tuple[float, ...]
    chosen: tuple[np.ndarray, ...]  # of each candidate, the draws that the mixture takes
    growth: tuple[np.ndarray, ...]  # logarithm by which each of its draws departs per doubling

    @classmethod
    def of(
        cls,
        points: CurvePoints,
        draws: int,
        random: np.random.Generator,
        progress: Callable[[str, int, int], None],
        last: float | None = None,
    ) -> _Fitted:
        places = np.log(points.n / points.n[-1])
        shapes = tuple(shape(-float(places[0])) for shape in SHAPES)
        stage = "weighing the candidates" if last is None else "checking on the last sizes"
        found, evidences = [], []
        for place, shape in enumerate(shapes):
            progress(stage, place, len(shapes))

            def log_likelihood(columns: np.ndarray, shape: CurveShape = shape) -> np.ndarray:
                level, scatter = _level(columns, points), _log_scatter(columns, points)
                curve = shape.log_error(columns[:, 2:], places)
                return points.log_likelihood(curve, level, scatter)

            one, evidence = tempered_draws(log_likelihood, 2 + shape.dimensions, draws, random)
            found.append(one)
            evidences.append(evidence)
        weights = scipy.special.softmax(np.array(evidences))
        owners = np.searchsorted(np.cumsum(weights), (np.arange(2 * draws) + 0.5) / (2 * draws))
        counts = np.bincount(np.minimum(owners, len(shapes) - 1), minlength=len(shapes))
        chosen = tuple(random.permutation(2 * draws)[:count] % draws for count in counts)
        growth = tuple(LAW_ERROR * random.standard_normal(draws) for _ in shapes)
        return cls(points, shapes, tuple(found), tuple(evidences), chosen, growth)

    @property
    def weights(self) -> np.ndarray:
        return scipy.special.softmax(np.array(self.evidences))

    def each(self, n: np.ndarray) -> list[np.ndarray]:
        """Errors (draws, sizes) of every candidate."""
        places = np.log(n / self.points.n[-1])
        beyond = np.maximum(places, 0) / np.log(2)
        return [
            np.exp(
                _level(one, self.points)[:, None]
                + shape.log_error(one[:, 2:], places)
                + growth[:, None] * beyond
            )
            for shape, one, growth in zip(self.shapes, self.draws, self.growth, strict=True)
        ]

    def mixed(self, n: np.ndarray) -> np.ndarray:
        """Errors of all, in the same order at every call."""
        pairs = zip(self.each(n), self.chosen, strict=True)
        return np.vstack([errors[taken] for errors, taken in pairs])

    def floors(self) -> np.ndarray:
        return np.concatenate(
            [
                np.exp(_level(one, self.points) + shape.log_floor(one[:, 2:]))[taken]
                for shape, one, taken in zip(self.shapes, self.draws, self.chosen, strict=True)
            ]
        )

    def log_scatter(self) -> np.ndarray:
        pairs = zip(self.draws, self.chosen, strict=True)
        return np.concatenate([_log_scatter(one, self.points)[taken] for one, taken in pairs])


def _level(columns: np.ndarray, points: CurvePoints) -> np.ndarray:
    """Logarithm of the error at the largest size."""
    return np.log(points.error[-1]) + LEVEL_SPREAD * columns[:, 0]


def _log_scatter(columns: np.ndarray, points: CurvePoints) -> np.ndarray:
    if points.standard_error is not None:
        return UNDERRATED_SPREAD * columns[:, 1]
    return np.log(LEAST_SCATTER + SCATTER * np.exp(SCATTER_SPREAD * columns[:, 1]))


def _left_out(
    earlier: _Fitted, points: CurvePoints, count: int, random: np.random.Generator
) -> LeftOut:
    n, measured = points.n[count:], points.error[count:]
    errors = earlier.mixed(n)
    own = np.exp(earlier.log_scatter())[:, None]
    own = own / np.sqrt(points.repeats) if points.relative is None else own * points.relative
    scatter = own[:, count:] * random.standard_normal(errors.shape)
    return LeftOut(n, measured, Band.of(errors * np.exp(scatter)))


def _sizes(to: Any, points: CurvePoints) -> np.ndarray:
    try:
        sizes = np.atleast_1d(np.asarray(to, float))
    except (TypeError, ValueError):
        raise ValueError(f"`to` must be sample sizes, got {str(to)[:60]}.") from None
    bad = ~(np.isfinite(sizes) & (sizes <= LARGEST_SIZE))
    if sizes.ndim != 1 or not len(sizes) or np.any(bad):
        seen = f"{sizes[bad].flat[0]:g}" if np.any(bad) else f"shape {sizes.shape}"
        raise ValueError(
            f"`to` must be sample sizes of at most {LARGEST_SIZE:g}, got {seen}; try a few times "
            f"the largest size measured, {points.n[-1]:,.0f}."
        )
    if sizes.min() < points.n[-1]:
        raise ValueError(
            f"`to` asks for {sizes.min():,g} samples and the curve is measured up to "
            f"{points.n[-1]:,g}; ask for that many or more."
        )
    return np.sort(sizes)
