"""Laws of the figures and of the tables behind them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from run_records import (
    RUNS,
    make_class_predictions,
    make_flow,
    make_regression_predictions,
    make_spectrum,
)
from scipy.stats import binomtest, norm
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix as reference_confusion_matrix

from wilsonian.app import figures as plots
from wilsonian.app.runs.calibration import (
    class_indices,
    confusion_matrix,
    interval_coverage,
    reliability_bins,
    wilson_interval,
)
from wilsonian.app.runs.records import PredictionRecord
from wilsonian.support.axes import sample_rows, spread, spread_evenly
from wilsonian.support.number_text import format_count, format_number, format_percent

FIGURES = {
    "spectrum": lambda ax, run: plots.plot_spectrum(ax, run.spectrum),
    "spectrum, linear": lambda ax, run: plots.plot_spectrum(ax, run.spectrum, scale="linear"),
    "ridge flow": lambda ax, run: plots.plot_ridge_flow(
        ax, run.flow, noise_variance=run.noise_variance, kept=run.spectrum.kept
    ),
    "ridge flow, linear": lambda ax, run: plots.plot_ridge_flow(ax, run.flow, scale="linear"),
    "evidence flow": lambda ax, run: plots.plot_evidence_flow(ax, run.flow, kept=3),
    "evidence flow, linear": lambda ax, run: plots.plot_evidence_flow(ax, run.flow, scale="linear"),
    "test error flow": lambda ax, run: plots.plot_test_error_flow(ax, run.flow),
    "predictions": lambda ax, run: plots.plot_predictions(ax, run.predictions, target=run.target),
    "calibration": lambda ax, run: plots.plot_calibration(ax, run.predictions),
}


def empty_axes():
    return Figure(figsize=(4, 3), dpi=50).add_subplot()


def lines_of(ax):
    return {line.get_label(): line for line in ax.lines}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_every_figure_of_every_run_is_drawn_on_the_axes_it_is_given(draw, run):
    ax = empty_axes()
    assert draw(ax, run) is ax
    assert ax.has_data() or ax.texts
    ax.figure.draw_without_rendering()  # a warning would be an error


def test_figures_leave_pyplot_and_the_settings_of_matplotlib_alone():
    script = """
import sys
from matplotlib import rcParams
before = rcParams.copy()  # dict() would resolve the backend, which imports pyplot
from test_plots import FIGURES, RUNS, empty_axes
from wilsonian.app.reports import report_html
for draw in FIGURES.values():
    draw(empty_axes(), RUNS["regression"])
report_html(RUNS["classification"])
assert rcParams.copy() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr


def _environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.mark.parametrize("kept", [0, 1, 20, 60])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_spectrum_colours_each_mode_by_its_side_of_the_cutoff(kept, scale):
    spectrum = make_spectrum(60, kept)
    lines = lines_of(plots.plot_spectrum(empty_axes(), spectrum, scale=scale))
    for label, side in (("kept modes", slice(None, kept)), ("eliminated modes", slice(kept, None))):
        expected = spectrum.eigenvalues[side]
        drawn = lines[label].get_ydata() if label in lines else []
        np.testing.assert_array_equal(drawn, expected)
    colours = {to_hex(lines[label].get_color()) for label in lines if "modes" in label}
    assert len(colours) == (kept > 0) + (kept < 60)


def test_eigenvalue_at_the_noise_per_mode_is_half_learned():
    spectrum = make_spectrum()  # its learnability is that of a ridge over rows of 0.01
    lines = lines_of(plots.plot_spectrum(empty_axes(), spectrum, noise_per_mode=0.01))
    above = spectrum.eigenvalues > lines["ridge / rows"].get_ydata()[0]
    np.testing.assert_array_equal(above, spectrum.learnability > 0.5)


def test_spectrum_notes_a_tail_only_when_there_is_one():
    spectrum = make_spectrum(tail=0.0123)
    share = format_percent(0.0123 / (0.0123 + spectrum.eigenvalues.sum()), 2)
    with_tail = plots.plot_spectrum(empty_axes(), spectrum)
    without = plots.plot_spectrum(empty_axes(), make_spectrum(tail=0.0))
    assert f"tail: 0.0123 ({share} of all)" in lines_of(with_tail)
    assert not any("tail" in label for label in lines_of(without))


def test_ridge_flow_draws_what_is_finite_and_the_bare_noise():
    flow = make_flow(evidence_ridge=np.where(np.arange(61) == 5, np.nan, 0.2))
    lines = lines_of(plots.plot_ridge_flow(empty_axes(), flow, noise_variance=0.05, kept=12))
    np.testing.assert_array_equal(lines["predicted ridge"].get_ydata(), flow.ridge)
    assert 5 not in lines["ridge of highest evidence"].get_xdata()
    assert set(lines["bare noise"].get_ydata()) == {0.05}
    assert set(lines["cutoff: 12 kept"].get_xdata()) == {12}


def test_evidence_flow_is_zero_at_its_highest_cutoff_and_negative_elsewhere():
    flow = make_flow(evidence=-((np.arange(61) - 17.0) ** 2) - 40)
    lines = lines_of(plots.plot_evidence_flow(empty_axes(), flow))
    assert "highest: −40 at 17 kept" in lines
    below = lines["log evidence"].get_ydata()
    assert below[17] == 0
    assert np.all(np.delete(below, 17) < 0)


def test_predictions_show_each_row_once_on_its_side_of_the_interval():
    predictions = make_regression_predictions(150)
    lines = lines_of(plots.plot_predictions(empty_axes(), predictions))
    outside = np.abs(predictions.true - predictions.mean) > 1.96 * predictions.std
    assert len(lines["outside"].get_xdata()) == outside.sum()
    assert len(lines["truth inside the 95% interval"].get_xdata()) == (~outside).sum()


def test_many_predictions_are_sampled():
    lines = lines_of(plots.plot_predictions(empty_axes(), make_regression_predictions(50_000)))
    drawn = sum(len(line.get_xdata()) for label, line in lines.items() if label[0] != "_")
    assert drawn == plots.DRAWN_ROWS


@pytest.mark.parametrize("name", ["$", "$\\frac{", "a_b^c", "<b>&", "温度", "two\nlines"])
@pytest.mark.filterwarnings("ignore:Glyph .* missing")
def test_names_are_never_read_as_mathematics(name):
    ax = plots.plot_predictions(empty_axes(), make_regression_predictions(), target=name)
    ax.figure.draw_without_rendering()
    assert ax.get_xlabel() == f"true {name}"
    classes = make_class_predictions(classes=(name, "other"))
    ax = plots.plot_predictions(empty_axes(), classes)
    ax.figure.draw_without_rendering()
    assert name in [text.get_text() for text in ax.get_yticklabels()]


@pytest.mark.parametrize(
    "image",
    [np.array([[-1.0, 0.5]]), np.zeros((3, 3)), np.full((2, 2), np.nan), np.ones((4, 4, 3))],
    ids=["one-sided", "zero", "nan", "channels"],
)
def test_mode_has_colours_symmetric_about_zero(image):
    ax = plots.plot_mode(empty_axes(), image)
    low, high = ax.images[0].get_clim()
    assert low == -high < 0


def test_channels_of_a_mode_stand_side_by_side():
    image = np.random.default_rng(0).normal(size=(4, 5, 3))
    drawn = plots.plot_mode(empty_axes(), image).images[0].get_array()
    assert drawn.shape == (4, 3 * 5 + 2)
    np.testing.assert_array_equal(drawn[:, 6:11], image[..., 1])


def test_mode_of_another_shape_says_what_it_saw():
    with pytest.raises(ValueError, match=r"got \(5,\)"):
        plots.plot_mode(empty_axes(), np.ones(5))


def test_coverage_of_gaussian_errors_agrees_with_scipy():
    random = np.random.default_rng(0)
    std = np.exp(random.normal(size=2000))
    honest = PredictionRecord(std * random.normal(size=2000), np.zeros(2000), std)
    levels = np.array([0.5, 0.9, 0.95])
    twin = [np.mean(norm.cdf(np.abs(honest.true) / std) * 2 - 1 <= level) for level in levels]
    np.testing.assert_allclose(interval_coverage(honest, levels), twin)
    np.testing.assert_allclose(interval_coverage(honest, levels), levels, atol=0.03)
    proud = dataclasses.replace(honest, std=std / 2)
    assert np.all(interval_coverage(proud, levels) < levels - 0.1)


def test_confusion_matrix_agrees_with_scikit_learn():
    predictions = make_class_predictions()
    counts, names = confusion_matrix(predictions)
    twin = reference_confusion_matrix(predictions.true, predictions.mean, labels=names)
    np.testing.assert_array_equal(counts, twin)


def test_reliability_agrees_with_scikit_learn():
    predictions = make_class_predictions(500)
    rows, confidence, accuracy = reliability_bins(predictions).T
    right = predictions.true == predictions.mean
    twin = calibration_curve(right, predictions.probabilities.max(axis=1), n_bins=10)
    filled = rows > 0
    np.testing.assert_allclose(accuracy[filled], twin[0])
    np.testing.assert_allclose(confidence[filled], twin[1])
    assert rows.sum() == 500


def test_wilson_interval_agrees_with_scipy():
    for right, count in ((0, 1), (1, 1), (3, 7), (99, 100), (40, 360)):
        twin = binomtest(right, count).proportion_ci(0.95, method="wilson")
        ends = wilson_interval(np.array([right / count]), np.array([count]))
        np.testing.assert_allclose(np.ravel(ends), [twin.low, twin.high], atol=1e-12)


@pytest.mark.parametrize(
    ("true", "classes", "expected"),
    [
        (["b", "a"], ("a", "b"), [1, 0]),
        ([1, 0], ("a", "b"), [1, 0]),
        ([1.0, 0.0], ("a", "b"), [1, 0]),
        ([2, 1], ("1", "2"), [1, 0]),
        ([2.0, 1.0], ("1", "2"), [1, 0]),
        (["b", "new"], ("a", "b"), [1, 2]),
        ([True, False], ("False", "True"), [1, 0]),
    ],
)
def test_labels_are_names_or_positions(true, classes, expected):
    predictions = PredictionRecord(np.array(true), np.array(true), None, None, classes)
    np.testing.assert_array_equal(class_indices(predictions)[0], expected)


@given(st.integers(1, 5000), st.integers(1, 600))
def test_thinning_keeps_both_ends_and_the_limit(count, limit):
    for thinned in (spread(count, max(limit, 2)), spread_evenly(count, max(limit, 2))):
        assert thinned[0] == 0
        assert thinned[-1] == count - 1
        assert len(thinned) <= max(limit, 2)
        assert np.all(np.diff(thinned) > 0)
    rows = sample_rows(count, limit)
    assert len(rows) == min(count, limit)
    np.testing.assert_array_equal(rows, sample_rows(count, limit))


@given(st.floats(1e-12, 1e12), st.sampled_from([-1, 1]), st.integers(2, 6))
def test_formatted_numbers_read_back(value, sign, digits):
    text = format_number(sign * value, digits)
    superscripts = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")
    mantissa, _, power = text.partition("×10")
    if text.lstrip("−").startswith("10") and any(c in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹" for c in text):
        mantissa, power = text.split("10")[0] + "1", text.split("10", 1)[1]
    read = float(mantissa.translate(superscripts).replace(",", ""))
    read *= 10.0 ** int(power.translate(superscripts) or 0)
    assert read == pytest.approx(sign * value, rel=0.51 * 10.0 ** (1 - digits))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1437, "1,437"),
        (0.1, "0.1"),
        (-0.0126, "−0.0126"),
        (1e-5, "10⁻⁵"),
        (-2.5e-9, "−2.5×10⁻⁹"),
        (9.999, "10"),
        (0.0, "0"),
        (np.nan, "not available"),
        (-np.inf, "−∞"),
    ],
)
def test_format_number(value, text):
    assert format_number(value) == text


def test_percentages_and_counts():
    assert format_percent(0.9534) == "95.3%"
    assert format_percent(np.nan) == "not available"
    assert [format_count(n, "row") for n in (0, 1, 1437)] == ["0 rows", "1 row", "1,437 rows"]


@pytest.mark.parametrize(("low", "high"), [(0.12010, 0.12034), (1000.1, 1000.4), (0.0, 3e8)])
def test_neighbouring_ticks_have_different_labels(low, high):
    flow = make_flow(test_error=np.linspace(low, high, 61))
    ax = plots.plot_test_error_flow(empty_axes(), flow)
    ax.figure.draw_without_rendering()
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert len(set(labels)) == len(labels)
