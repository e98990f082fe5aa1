"""Figures of the averaged theory show what they say: lines hold the theory's own numbers."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from wilsonian.theory.learning_curves import LearningCurve, plots
from wilsonian.theory.learning_curves.simulate import Estimate

EIGENVALUES = np.arange(1.0, 61) ** -1.5
SIZES = np.geomspace(3, 300, 9)
MEASURED = ([10.0, 30.0], Estimate(np.array([0.5, 0.3]), np.array([0.05, 0.02])))


@pytest.fixture(scope="module")
def curve():
    return LearningCurve(EIGENVALUES, EIGENVALUES, 0.05, unresolved_target=0.01, tail=0.02)


def empty_axes():
    return Figure(figsize=(4, 3), dpi=50).add_subplot()


def lines_of(ax):
    return {line.get_label(): line for line in ax.lines}


def test_learning_curve(curve):
    ax = plots.plot_learning_curve(empty_axes(), curve, SIZES, 0.1, measured=MEASURED)
    lines = lines_of(ax)
    np.testing.assert_allclose(lines["test error"].get_ydata(), curve.test_error(SIZES, 0.1))
    parts = lines["bias"].get_ydata() + lines["variance"].get_ydata()
    np.testing.assert_allclose(parts, lines["test error"].get_ydata())
    assert len(ax.texts) == 3
    slope = curve.local_exponent(SIZES[2], 0.1)
    assert ax.texts[0].get_text().replace("−", "-") == f"slope {slope:.2g}"
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert len(ax.containers) == 1
    ax.figure.savefig("/dev/null", format="svg")


def test_local_exponents(curve):
    ridges = [1e-3, 0.1]
    ax = plots.plot_local_exponents(empty_axes(), curve, SIZES, ridges, reference=[-1.0])
    slopes = curve.local_exponent(SIZES[:, None], np.array(ridges))
    for line, expected in zip((ax.lines[0], lines_of(ax)["ridge 0.1"]), slopes.T, strict=True):
        np.testing.assert_allclose(line.get_ydata(), expected)
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    inside = [n for n in curve.crossover(ridges) if SIZES[0] <= n <= SIZES[-1]]
    np.testing.assert_allclose(marks, inside)
    ax.figure.savefig("/dev/null", format="svg")


def test_theories(curve):
    ax = plots.plot_theories(empty_axes(), curve, SIZES, 0.1, threshold=0.3, measured=MEASURED)
    lines = lines_of(ax)
    expected = curve.test_error(SIZES, 0.1)
    np.testing.assert_allclose(lines["self-consistent"].get_ydata(), expected, rtol=1e-9)
    second = lines["second order, T = 0.3"].get_ydata()
    assert np.all(np.abs(second / expected - 1) < 0.25)
    assert np.all(lines["equivalent kernel"].get_ydata() < expected)
    ax.figure.savefig("/dev/null", format="svg")


def test_learnability(curve):
    ax = plots.plot_learnability(empty_axes(), curve, [10.0, 1000.0], 0.1)
    line = lines_of(ax)["10 samples"]
    np.testing.assert_allclose(line.get_ydata(), curve.learnability(10.0, 0.1))
    assert len(ax.lines) == 4
    ax.figure.savefig("/dev/null", format="svg")
