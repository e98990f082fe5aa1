"""Figures of random-feature theory: phase diagram of scaling regimes, and parts of the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wilsonian.support.axes import (
    ELIMINATED,
    FAINT,
    KEPT,
    MEASURED,
    REFERENCE,
    add_legend,
    format_ticks,
    tidy_log_axis,
)
from wilsonian.theory.random_features.scaling_regimes import REGIMES, scaling_exponent
from wilsonian.theory.random_features.theory import ErrorDecomposition

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES = dict(zip(REGIMES, (KEPT, ELIMINATED, MEASURED, "#cc79a7", REFERENCE), strict=True))
RESOLUTION = 241


def plot_phase_diagram(
    ax: Axes, capacity: float, source: float, *, noise_exponent: float = np.inf
) -> Axes:
    r"""Scaling regimes over features :math:`N = P^q` and ridge :math:`\lambda = P^{-\ell}`, with
    contours of the exponent of the error (see
    :func:`~wilsonian.theory.random_features.scaling_regimes.scaling_exponent`).

    Raises ValueError as that function does.
    """
    from matplotlib.colors import ListedColormap

    features = np.linspace(0.0, 2.0, RESOLUTION)
    ridge = np.linspace(0.0, 1.5 * capacity, RESOLUTION)
    grid = np.meshgrid(features, ridge)
    exponent, names = scaling_exponent(capacity, source, *grid, noise_exponent)
    number = np.vectorize(REGIMES.index)(names)
    extent = (0.0, 2.0, 0.0, 1.5 * capacity)
    ax.imshow(
        number,
        cmap=ListedColormap([SHADES[name] for name in REGIMES]),
        vmin=-0.5,
        vmax=len(REGIMES) - 0.5,
        origin="lower",
        extent=extent,
        aspect="auto",
        interpolation="none",
        alpha=0.35,
    )
    ax.grid(visible=False)
    if np.ptp(exponent) > 1e-6:
        levels = np.linspace(exponent.min(), exponent.max(), 8)[1:-1]
        lines = ax.contour(*grid, exponent, levels=levels, colors=REFERENCE, linewidths=0.8)
        # Labels in the middle of the lines: by default some end up cut at the frame.
        paths = [path for paths in lines.allsegs for path in paths if len(path) > RESOLUTION / 4]
        middles = [tuple(path[len(path) // 2]) for path in paths]
        ax.clabel(lines, fmt=lambda level: f"{level:.2g}", fontsize=8, manual=middles)
    for index, name in enumerate(REGIMES):
        if np.any(number == index):
            style: dict[str, Any] = {"color": SHADES[name], "alpha": 0.35}
            ax.plot([], [], linestyle="none", marker="s", markersize=9, label=name, **style)
    ax.set_xlim(extent[:2])
    ax.set_ylim(extent[2:])
    format_ticks(ax.xaxis)
    format_ticks(ax.yaxis)
    ax.set_xlabel("log features / log samples")
    ax.set_ylabel("log (1 / ridge) / log samples")
    return add_legend(ax)


def plot_error_parts(ax: Axes, x: Any, parts: ErrorDecomposition, label: str) -> Axes:
    """The parts of the test error, above the label noise, against `x`, whose name is `label`:
    the number of samples, the ridge or whatever the theory was evaluated over.

    Raises ValueError unless there is one error for each `x`, and all are positive.
    """
    x = np.asarray(x, float)
    total = np.asarray(parts.test_error - parts.label_noise, float)
    if x.ndim != 1 or total.shape != x.shape:
        raise ValueError(f"`x` has shape {x.shape} and the errors {total.shape}; pass one for one.")
    if not np.all(x > 0):
        raise ValueError(f"`x` must be positive for a logarithmic axis, got {x.min():g}.")
    series = (
        (total, "error above the label noise", REFERENCE, "-"),
        (parts.bias, "squared bias", KEPT, "-"),
        (parts.feature_variance, "variance: features", ELIMINATED, "-"),
        (parts.data_variance, "variance: data", MEASURED, "-"),
        (parts.feature_data_variance, "features and data", "#cc79a7", "-"),
        (parts.noise_variance, "noise", FAINT, "-"),
        (parts.feature_noise_variance, "noise and features", FAINT, "--"),
    )
    for values, name, color, line in series:
        shown = np.asarray(values, float) > 1e-9 * total
        if np.any(shown):
            drawn = np.where(shown, values, np.nan)
            ax.plot(x, drawn, color=color, linestyle=line, linewidth=1.4, label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(x.min(), x.max())
    tidy_log_axis(ax.xaxis)
    tidy_log_axis(ax.yaxis)
    ax.set_xlabel(label, parse_math=False)
    ax.set_ylabel("mean squared error")
    return add_legend(ax)
