"""Figures of the averaged theory, one per function: curves, exponents, theories, learnabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.support.axes import (
    ELIMINATED,
    FAINT,
    KEPT,
    MEASURED,
    REFERENCE,
    add_legend,
    format_ticks,
    spread,
    tidy_log_axis,
)
from wilsonian.support.number_text import format_number
from wilsonian.theory.averaged import AveragedTheory
from wilsonian.theory.learning_curves.averaged_theories import compare_theories
from wilsonian.theory.learning_curves.learning_curve import LearningCurve
from wilsonian.theory.learning_curves.simulate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN_MODES = 400


def plot_learning_curve(
    ax: Axes,
    curve: LearningCurve,
    sizes: Any,
    ridge: Any,
    *,
    measured: tuple[Any, Estimate] | None = None,
    slopes: int = 3,
) -> Axes:
    """Test error with its bias and variance against the sample size, at a fixed `ridge` or one per
    size; local exponents are written at `slopes` places, and the noise is a dotted line.

    `measured` is sample sizes and an :class:`Estimate` of the test error there, drawn with two
    standard errors.
    """
    sizes = np.asarray(sizes, float)
    ridge = np.broadcast_to(np.asarray(ridge, float), sizes.shape)
    result = curve.equivalent(sizes, ridge)
    ax.plot(sizes, result.test_error, color=KEPT, linewidth=1.6, label="test error")
    ax.plot(sizes, result.bias, color=FAINT, linewidth=1.2, linestyle="--", label="bias")
    ax.plot(
        sizes, result.variance, color=ELIMINATED, linewidth=1.2, linestyle=":", label="variance"
    )
    if curve.noise_variance > 0:
        style: dict[str, Any] = {"color": REFERENCE, "linewidth": 1.2, "linestyle": ":"}
        ax.axhline(float(curve.noise_variance), label="label noise", **style)
    _finish_errors(ax, sizes, measured)
    rows = np.linspace(0, len(sizes) - 1, slopes + 2).round().astype(int)[1:-1]
    for row in rows:
        slope = curve.local_exponent(sizes[row], ridge[row])
        ax.annotate(
            f"slope {format_number(float(slope), 2)}",
            (sizes[row], result.test_error[row]),
            xytext=(4, 7),
            textcoords="offset points",
            fontsize="small",
            color=KEPT,
        )
    return add_legend(ax)


def _finish_errors(ax: Axes, sizes: np.ndarray, measured: tuple[Any, Estimate] | None) -> None:
    if measured is not None:
        places, estimate = measured
        bars: dict[str, Any] = {"fmt": "o", "markersize": 4, "linewidth": 1, "color": MEASURED}
        ax.errorbar(
            places, estimate.mean, 2 * estimate.standard_error, label="measured, 2 s.e.", **bars
        )
    finish_log_axes(ax, sizes, "samples", "squared error")


def plot_local_exponents(
    ax: Axes, curve: LearningCurve, sizes: Any, ridges: Any, *, reference: Any = ()
) -> Axes:
    """d log E / d log n against the sample size, one line per ridge, a mark at each crossover, and
    dashed lines at the exponents of `reference`."""
    sizes, ridges = np.asarray(sizes, float), np.atleast_1d(np.asarray(ridges, float))
    slopes = curve.local_exponent(sizes[:, None], ridges)
    crossovers = curve.crossover(ridges)
    for ridge, slope, crossover, color in zip(
        ridges, slopes.T, crossovers, shades(len(ridges)), strict=True
    ):
        ax.plot(sizes, slope, color=color, linewidth=1.5, label=f"ridge {format_number(ridge, 2)}")
        if sizes.min() <= crossover <= sizes.max():
            height = np.interp(np.log(crossover), np.log(sizes), slope)
            ax.plot([crossover], [height], marker="o", markersize=5, color=color)
    for value in np.atleast_1d(reference):
        ax.axhline(float(value), color=REFERENCE, linewidth=1, linestyle="--", label="_reference")
    ax.set_xscale("log")
    ax.set_xlim(sizes.min(), sizes.max())
    tidy_log_axis(ax.xaxis)
    format_ticks(ax.yaxis)
    ax.set_xlabel("samples")
    ax.set_ylabel("d log error / d log samples")
    return add_legend(ax)


def plot_theories(
    ax: Axes,
    curve: LearningCurve,
    sizes: Any,
    ridge: float,
    *,
    threshold: float = 0.2,
    measured: tuple[Any, Estimate] | None = None,
) -> Axes:
    """Test error by the averaged theories side by side against the sample size, modes below the
    learnability `threshold` integrated out. A tail or label noise of `curve` is in all of them,
    except that the equivalent kernel knows no noise."""
    sizes = np.asarray(sizes, float)
    columns = [compare_theories(whole_theory(curve, float(n), ridge), threshold) for n in sizes]
    lines = (
        ("equivalent kernel", "equivalent_kernel", FAINT, "-"),
        (f"first order, T = {threshold:g}", "first_order", ELIMINATED, "--"),
        (f"second order, T = {threshold:g}", "second_order", ELIMINATED, "-"),
        ("self-consistent", "deterministic_equivalent", KEPT, "-"),
    )
    for label, name, color, style in lines:
        values = [float(np.ravel(getattr(column, name))[0]) for column in columns]
        ax.plot(sizes, values, color=color, linestyle=style, linewidth=1.5, label=label)
    _finish_errors(ax, sizes, measured)
    return add_legend(ax)


def plot_learnability(ax: Axes, curve: LearningCurve, sizes: Any, ridge: float) -> Axes:
    """Learnability of each mode, one line per sample size: a stair that moves to ever smaller
    modes. Dotted, the same number of learned modes behind a sharp step."""
    sizes = np.atleast_1d(np.asarray(sizes, float))
    learned = curve.learnability(sizes, ridge)
    freedom = curve.equivalent(sizes, ridge).degrees_of_freedom
    drawn = spread(learned.shape[-1], DRAWN_MODES)
    for size, stair, count, color in zip(sizes, learned, freedom, shades(len(sizes)), strict=True):
        name = format_number(size, 3)
        ax.plot(drawn + 1, stair[drawn], color=color, linewidth=1.5, label=f"{name} samples")
        ax.plot([count + 0.5] * 2, [0, 1], color=color, linewidth=1, linestyle=":")
    ax.set_xscale("log")
    ax.set_xlim(0.9, 1.05 * learned.shape[-1])
    ax.set_ylim(0, 1.02)
    tidy_log_axis(ax.xaxis)
    format_ticks(ax.yaxis)
    ax.set_xlabel("mode, largest eigenvalue first")
    ax.set_ylabel("learnability")
    return add_legend(ax)


def whole_theory(curve: LearningCurve, n: float, ridge: float) -> AveragedTheory:
    """The averaged theory of the listed modes (cutoffs need them), tail and unresolved target
    absorbed."""
    unresolved = float(curve.nodes.target_power[-1])
    with jax.enable_x64(True):
        return AveragedTheory.of(
            jnp.append(jnp.asarray(curve.eigenvalues), 0.0),
            jnp.append(jnp.asarray(curve.target_power), unresolved),
            ridge + float(curve.nodes.tail),
            n,
            float(curve.noise_variance),
        )


def finish_log_axes(ax: Axes, sizes: np.ndarray, across: str, up: str) -> None:
    """Two logarithmic axes with plain ticks."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(sizes.min(), sizes.max())
    tidy_log_axis(ax.xaxis)
    tidy_log_axis(ax.yaxis)
    ax.set_xlabel(across)
    ax.set_ylabel(up)


def shades(count: int) -> list[Any]:
    """Colours of an ordered family: from faint to strong."""
    from matplotlib import colormaps

    return [colormaps["viridis"](place) for place in np.linspace(0.85, 0.1, count)]
