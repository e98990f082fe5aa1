"""Pictures of features: on the axes they are given, with the Gaussian of the data."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from wilsonian.theory.non_gaussian.plots import (
    plot_conditional_ridge,
    plot_feature,
    plot_feature_pair,
    plot_feature_pairs,
)

RANDOM = np.random.default_rng(0)
MODES = RANDOM.normal(size=(3000, 3)) * [1.0, 1.0, 2.0]
MODES[:, 2] *= np.where(MODES[:, 0] > 0, 1.9, 0.1) ** 0.5


def empty_axes(*shape):
    return Figure(figsize=(4, 3), dpi=50).subplots(*shape, squeeze=False)


def lines_of(ax, label):
    return [line.get_xydata() for line in ax.lines if line.get_label() == label]


def test_pairs_fill_the_lower_triangle():
    axes = empty_axes(3, 3)
    assert plot_feature_pairs(axes, MODES) is axes
    for row, column in np.ndindex(3, 3):
        assert axes[row, column].has_data() == (row >= column)
    assert axes[2, 0].get_xlabel() == "mode 1"
    assert axes[2, 0].get_ylabel() == "mode 3"
    axes[0, 0].figure.draw_without_rendering()  # a warning would be an error


def test_ellipses_are_those_of_the_covariance():
    ax = empty_axes()[0, 0]
    assert plot_feature_pair(ax, MODES[:, 0], MODES[:, 0] + MODES[:, 1]) is ax
    pairs = np.column_stack([MODES[:, 0], MODES[:, 0] + MODES[:, 1]])
    inverse = np.linalg.inv(np.cov(pairs.T))
    ellipses = lines_of(ax, "_Gaussian")
    assert len(ellipses) == 3
    for radius, ellipse in enumerate(ellipses, start=1):
        centred = ellipse - pairs.mean(axis=0)
        distance = np.einsum("ij,jk,ik->i", centred, inverse, centred)
        np.testing.assert_allclose(distance, radius**2, rtol=1e-9)


def test_the_root_mean_square_bends_where_variances_are_correlated():
    for second, ratio in ((1, 1.0), (2, 19**0.5)):
        ax = empty_axes()[0, 0]
        plot_feature_pair(ax, MODES[:, 0], MODES[:, second])
        line = lines_of(ax, "_root mean square")[1]
        assert len(line) == 10
        # Ten pieces of 300 points: each root mean square is known to 4 %.
        np.testing.assert_allclose(line[-1, 1] / line[0, 1], ratio, rtol=0.25)


def test_a_histogram_says_its_kurtosis():
    ax = empty_axes()[0, 0]
    plot_feature(ax, RANDOM.choice([-1.0, 1.0], size=1000), name="sign $x")
    assert ax.texts[0].get_text() == "kurtosis \N{MINUS SIGN}2.0"
    assert ax.get_xlabel() == "sign $x"
    ax.figure.draw_without_rendering()
    density = lines_of(ax, "_Gaussian")[0]
    assert 0.3 < np.max(density[:, 1]) < 0.41
    areas = sum(patch.get_width() * patch.get_height() for patch in ax.patches)
    np.testing.assert_allclose(areas, 1.0)


def test_the_conditional_ridge_is_drawn_with_its_errors():
    ax = empty_axes()[0, 0]
    local = 1 + MODES[:, 0] ** 2
    assert plot_conditional_ridge(ax, MODES[:, 0], local, local, 0.1 * local, name="mode $1") is ax
    labels = ax.get_legend_handles_labels()[1]
    assert "uniform ridge" in labels
    assert len(ax.collections) == 1
    ax.figure.draw_without_rendering()


def test_figures_without_data_say_so():
    for draw in (
        lambda ax: plot_feature(ax, np.ones(50)),
        lambda ax: plot_feature_pair(ax, np.ones(50), MODES[:50, 0]),
        lambda ax: plot_conditional_ridge(ax, *[np.full(5, np.nan)] * 4),
    ):
        ax = empty_axes()[0, 0]
        draw(ax)
        assert ax.texts
        ax.figure.draw_without_rendering()


def test_axes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"m by m axes"):
        plot_feature_pairs(empty_axes(2, 2), MODES)
    with pytest.raises(ValueError, match=r"`names` has 2 entries for 3 modes"):
        plot_feature_pairs(empty_axes(3, 3), MODES, names=["a", "b"])
