"""Pictures of the law of features: pairs of modes, and the Gaussian of the same covariance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wilsonian.support.axes import (
    ELIMINATED,
    FAINT,
    KEPT,
    add_legend,
    format_ticks,
    sample_rows,
    spread_evenly,
    write_note,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

DRAWN_POINTS = 1500
RADII = (1.0, 2.0, 3.0)  # of the ellipses, in standard deviations


def plot_feature(ax: Axes, values: np.ndarray, *, name: str = "feature") -> Axes:
    """Histogram of one mode and the Gaussian of its mean and variance; a note gives its excess
    kurtosis, zero for a Gaussian."""
    values = _finite(values)[:, 0]
    if len(values) < 2 or values.std() == 0:
        return write_note(ax, f"{name} is constant")
    low, high = _range(values)
    edges = np.linspace(low, high, int(np.clip(np.sqrt(len(values)), 10, 60)) + 1)
    ax.hist(values, bins=edges.tolist(), density=True, color=FAINT, label="_values")
    center, width = values.mean(), values.std()
    grid = np.linspace(low, high, 200)
    standard = (grid - center) / width
    density = np.exp(-(standard**2) / 2) / (width * np.sqrt(2 * np.pi))
    kurtosis = np.mean(((values - center) / width) ** 4) - 3
    ax.plot(grid, density, color=ELIMINATED, linewidth=1.4, label="_Gaussian")
    # Inside: a legend above would squeeze the panels of a table of pairs.
    text = f"kurtosis {kurtosis:+.1f}".replace("-", "\N{MINUS SIGN}")
    ax.set_ylim(top=1.25 * ax.get_ylim()[1])
    ax.text(0.5, 0.98, text, transform=ax.transAxes, ha="center", va="top", fontsize=8)
    ax.set_xlim(low, high)
    ax.set_yticks([])
    _few_ticks(ax.xaxis)
    ax.set_xlabel(name, parse_math=False)
    return ax


def plot_feature_pair(
    ax: Axes,
    first: np.ndarray,
    second: np.ndarray,
    *,
    names: Sequence[str] = ("first feature", "second feature"),
) -> Axes:
    r"""Values of two modes at the same points, over ellipses of one to three standard deviations of
    the Gaussian of the same mean and covariance.

    Modes are uncorrelated, so the ellipses are nearly circles; what the points do otherwise is not
    Gaussian. The dashed lines are the Gaussian's :math:`\pm\sqrt{E[\phi_2^2]}`, the solid ones the
    root mean square of the second mode in tenths of the points along the first: where they bend,
    :math:`\mathrm{Cov}(\phi_1^2, \phi_2^2)` or :math:`\mathrm{Cov}(\phi_1, \phi_2^2)` is not zero.
    """
    pairs = _finite(first, second)
    if len(pairs) < 10 or np.any(pairs.std(axis=0) == 0):
        return write_note(ax, f"{names[0]} or {names[1]} is constant")
    shown = pairs[sample_rows(len(pairs), DRAWN_POINTS)]
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markeredgewidth": 0}
    ax.plot(*shown.T, **dots, color=KEPT, markersize=2.2, alpha=0.35, label="_points")
    angle = np.linspace(0, 2 * np.pi, 121)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    spread, axes = np.linalg.eigh(np.cov(pairs.T))
    root = axes * np.sqrt(np.maximum(spread, 0.0))
    for radius in RADII:
        ellipse = pairs.mean(axis=0)[:, None] + radius * root @ circle
        ax.plot(*ellipse, color=ELIMINATED, linewidth=1.0, label="_Gaussian")
    # One line of root mean squares, mirrored; as many points in each of its pieces.
    tenths = np.array_split(pairs[np.argsort(pairs[:, 0], kind="stable")], 10)
    along = np.array([tenth[:, 0].mean() for tenth in tenths])
    size = np.array([np.sqrt(np.mean(tenth[:, 1] ** 2)) for tenth in tenths])
    overall = np.sqrt(np.mean(pairs[:, 1] ** 2))
    for sign in (-1, 1):
        ax.plot(along, sign * size, color="black", linewidth=1.3, label="_root mean square")
        ax.axhline(sign * overall, color="black", linewidth=0.7, linestyle="--", label="_overall")
    for axis, values, limits in (
        (ax.xaxis, pairs[:, 0], ax.set_xlim),
        (ax.yaxis, pairs[:, 1], ax.set_ylim),
    ):
        limits(*_range(values))
        _few_ticks(axis)
    ax.set_xlabel(names[0], parse_math=False)
    ax.set_ylabel(names[1], parse_math=False)
    return ax


def plot_feature_pairs(axes: Any, modes: np.ndarray, *, names: Sequence[str] | None = None) -> Any:
    """All pairs of `modes` (points, m) on an (m, m) array of axes, as in the paper: each mode by
    itself on the diagonal, pairs below it, the upper triangle empty.

    Raises ValueError when the axes are not one for each pair of modes.
    """
    modes = np.asarray(modes, float)
    count = modes.shape[1] if modes.ndim == 2 else 0
    if not count or np.shape(axes) != (count, count):
        raise ValueError(
            f"`axes` has shape {np.shape(axes)} and `modes` {modes.shape}; pass (points, m) values "
            "of modes and m by m axes, as of `figure.subplots(m, m, squeeze=False)`."
        )
    names = [f"mode {k + 1}" for k in range(count)] if names is None else names
    if len(names) != count:
        raise ValueError(f"`names` has {len(names)} entries for {count} modes.")
    for row, column in np.ndindex(count, count):
        ax = axes[row, column]
        if row == column:
            plot_feature(ax, modes[:, row], name=names[row])
        elif row > column:
            pair = (names[column], names[row])
            plot_feature_pair(ax, modes[:, column], modes[:, row], names=pair)
        else:
            ax.set_axis_off()
        if row < count - 1:
            ax.set_xlabel("")
        if 0 < column < row:
            ax.set_ylabel("")
    return axes


def plot_conditional_ridge(
    ax: Axes,
    feature: np.ndarray,
    local_ridge: np.ndarray,
    expected: np.ndarray,
    error: np.ndarray,
    *,
    name: str = "kept feature",
) -> Axes:
    r"""The ridge :math:`\sigma^2 + K_>(x, x)` at points and its expectation given kept features,
    with two standard errors, along one of those."""
    feature, local, expected, error = _finite(feature, local_ridge, expected, error).T
    if not len(feature):
        return write_note(ax, "no points")
    order = np.argsort(feature, kind="stable")
    shown = order[np.sort(sample_rows(len(order), DRAWN_POINTS))]
    dots: dict[str, Any] = {"linestyle": "none", "marker": "o", "markeredgewidth": 0}
    ax.plot(
        *(feature[shown], local[shown]),
        **dots,
        color=FAINT,
        markersize=2.5,
        label="ridge at inputs",
    )
    drawn = order[spread_evenly(len(order), 60)]
    bars = {"yerr": 2 * error[drawn], "linestyle": "none", "marker": "o", "markersize": 3}
    label = "given kept features, ±2 s.e."
    ax.errorbar(feature[drawn], expected[drawn], **bars, linewidth=1, color=KEPT, label=label)
    ax.axhline(local.mean(), color=ELIMINATED, linewidth=1.4, linestyle="--", label="uniform ridge")
    ax.set_xlim(*_range(feature))
    ax.set_ylim(bottom=0)
    format_ticks(ax.xaxis)
    format_ticks(ax.yaxis)
    ax.set_xlabel(name, parse_math=False)
    ax.set_ylabel("ridge")
    return add_legend(ax)


def _finite(*columns: np.ndarray) -> np.ndarray:
    """Columns side by side, without the rows that hold a value that is not finite."""
    table = np.stack([np.asarray(column, float).ravel() for column in columns], axis=1)
    return table[np.isfinite(table).all(axis=1)]


def _few_ticks(axis: Axis) -> None:
    """Few ticks: panels are small."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    format_ticks(axis)


def _range(values: np.ndarray) -> tuple[float, float]:
    """All but the outermost thousandths."""
    low, high = np.quantile(values, [0.001, 0.999])
    gap = 0.08 * (high - low) or 1.0
    return float(low - gap), float(high + gap)
