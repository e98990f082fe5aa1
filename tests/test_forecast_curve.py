"""A forecast from a measured curve: candidates against the averaged theory, bands against laws."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from wilsonian.theory.forecast import CurveForecast, forecast_curve
from wilsonian.theory.forecast.curve_points import curve_points
from wilsonian.theory.forecast.curve_shapes import (
    SHAPES,
    BestRidge,
    DelayedPowerLaw,
    FixedRidge,
    FlooredPowerLaw,
)
from wilsonian.theory.forecast.tempering import tempered_draws
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum

SIZES = np.array([50.0, 100, 200, 400, 800, 1600])


def noisy(law, scatter, seed, n=SIZES):
    return law(n) * np.exp(scatter * np.random.default_rng(seed).standard_normal(len(n)))


# Twins of the shapes.


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_shapes_start_at_one_never_rise_and_end_at_their_floor(shape):
    found = shape(4.0)
    parameters = np.random.default_rng(0).standard_normal((200, found.dimensions))
    places = np.linspace(-4, 60, 161)
    log = found.log_error(parameters, places)
    np.testing.assert_allclose(log[:, 10], 0, atol=1e-9)  # place zero
    assert np.all(np.diff(log, axis=1) < 1e-9)
    floor = found.log_floor(parameters)
    assert np.all(log >= floor[:, None] - 1e-9)
    # What is far above its floor may be on its way; steep curves are there.
    far = found.log_error(parameters, np.array([1e4]))[:, 0]
    ended = np.isfinite(floor) & (np.abs(log[:, -1] - far) < 1e-6)
    np.testing.assert_allclose(far[ended], floor[ended], atol=1e-5)
    assert ended.sum() > 20 or shape.__name__ == "PowerLaw"


@pytest.mark.parametrize(
    ("shape", "ridge", "alpha", "decay", "noise"),
    [
        (BestRidge, None, 2.0, 1.8, 0.05),
        (FixedRidge, 1e-2, 1.5, 2.0, 0.01),
        (FixedRidge, 1e-2, 2.0, 2.0, 1e-4),
    ],
)
def test_the_theory_s_shapes_are_learning_curves_of_power_laws(shape, ridge, alpha, decay, noise):
    """Fitted to the deterministic equivalent of a discrete spectrum, the continuous closed form
    leaves half a thousandth (its sums are integrals) and finds exponent, capacity and noise."""
    n = np.geomspace(100, 25600, 9)
    with jax.enable_x64(True):
        spectrum = BinnedSpectrum.power_law(alpha, target_exponent=decay)
        curve = LearningCurve(spectrum, noise_variance=noise)
        chosen = curve.optimal_ridge(n) if ridge is None else ridge
        error = np.asarray(curve.label_error(n, chosen))
    places = np.log(n / n[-1])
    law = shape(-places[0])
    count = law.dimensions

    def missed(parameters):
        log = law.log_error(parameters[None, :count], places)[0] + parameters[count]
        return log - np.log(error / error[-1])

    found = scipy.optimize.least_squares(missed, np.zeros(count + 1))
    assert np.max(np.abs(found.fun)) < 5e-4
    exponent = 0.8 * np.exp(0.8 * found.x[0])
    assert exponent == pytest.approx(decay - 1, rel=0.03)
    floor = error[-1] * np.exp(law.log_floor(found.x[None, :count])[0] + found.x[count])
    assert floor == pytest.approx(noise, rel=0.04)
    if ridge is not None:
        assert 1 + np.exp(0.7 * found.x[2]) == pytest.approx(alpha, rel=0.02)


def test_an_onset_long_before_the_curve_is_a_floored_power_law():
    places, normal = np.linspace(-3, 2, 7), np.array([[0.3, -0.4]])
    delayed = np.append(normal, [[-30.0]], axis=1)
    delayed[0, 0] *= 0.8 / 1.2  # its exponent's prior is wider
    np.testing.assert_allclose(
        DelayedPowerLaw(3.0).log_error(delayed, places),
        FlooredPowerLaw(3.0).log_error(normal, places),
        atol=1e-9,
    )


def test_tempering_finds_a_gaussian_posterior_and_its_evidence():
    """One measurement y of each of two standard normals, with noise s: everything is known."""
    y, s = np.array([1.5, -0.5]), np.array([0.01, 0.5])

    def log_likelihood(z):
        return scipy.stats.norm.logpdf(y, z, s).sum(axis=1)

    draws, evidence = tempered_draws(log_likelihood, 2, 4000, np.random.default_rng(0))
    exact = scipy.stats.norm.logpdf(y, 0, np.sqrt(1 + s**2)).sum()
    # Five degrees of 4,000 draws, each off by about 1 / sqrt(4,000).
    assert evidence == pytest.approx(exact, abs=0.15)
    spread = s / np.sqrt(1 + s**2)
    assert np.all(np.abs(draws.mean(axis=0) - y / (1 + s**2)) < 0.1 * spread)
    np.testing.assert_allclose(draws.std(axis=0), spread, rtol=0.1)


def test_repeated_sizes_are_merged_without_loss():
    """The likelihood of merged points is that of all of them, up to what no parameter changes."""
    n, error = np.repeat([10.0, 20, 40], 3), 1 + 0.01 * np.arange(9.0)
    points = curve_points(n, error)
    assert points.repeats.tolist() == [3, 3, 3]
    np.testing.assert_allclose(points.error, [1.01, 1.04, 1.07])
    level, log_scatter = np.array([0.0, 0.05]), np.log([0.02, 0.05])
    curve = np.zeros((2, 3))
    whole = scipy.stats.norm.logpdf(np.log(error), level[:, None], np.exp(log_scatter)[:, None])
    ours = points.log_likelihood(curve, level, log_scatter)
    # Means of errors and of their logarithms differ by half the square of a scatter of 1 %.
    assert np.diff(ours)[0] == pytest.approx(np.diff(whole.sum(axis=1))[0], abs=0.05)
    weighed = curve_points([1, 1, 2, 3], [1.0, 2.0, 1.0, 1.0], [0.1, 0.2, 0.1, 0.1])
    assert weighed.error[0] == pytest.approx((100 * 1 + 25 * 2) / 125)
    assert weighed.standard_error[0] == pytest.approx(125**-0.5)


# Known laws.


def test_laws_without_noise_are_recovered():
    """To a tenth of a percent at four times the size, and the right candidate is the first."""
    for law, name in (
        (lambda n: 2 * n**-0.4, "power law"),
        (lambda n: 0.3 + 0 * n, "plateau"),
        (lambda n: 5 * n**-0.7 + 0.1, "power law with floor"),
        (lambda n: 0.5 * np.exp(-n / 400) + 0.1, "exponential with floor"),
    ):
        found = forecast_curve(
            SIZES, law(SIZES), 1e-4 * law(SIZES), to=6400, draws=300, check=False
        )
        assert found.candidates[0].name == name
        assert found.weights[name] > 0.5
        assert found.median[0] == pytest.approx(law(6400), rel=0.004)
        assert found.lower[0] < law(6400) < found.upper[0]
        assert found.upper[0] / found.lower[0] < 1.15  # the law's own error, 1 % per doubling
        assert sum(found.weights.values()) == pytest.approx(1)


def test_bands_hold_laws_drawn_from_the_prior_nine_times_in_ten():
    """A band of a posterior holds what the prior draws with exactly its probability. 60 laws of
    random candidates: 54 +- 2.3 within; fewer than 47 or all happens in 0.5 % of suites."""
    held, at = 0, np.array([6400.0])
    for seed in range(60):
        random = np.random.default_rng(seed)
        law = SHAPES[random.integers(len(SHAPES))](np.log(32))
        parameters = random.standard_normal((1, law.dimensions))
        log = law.log_error(parameters, np.log(np.append(SIZES, at) / SIZES[-1]))[0]
        truth = 0.2 * np.exp(log + np.append(np.zeros(6), 0.01 * 2 * random.standard_normal()))
        underrated = np.exp(0.4 * random.standard_normal())
        error = truth[:-1] * np.exp(0.03 * underrated * random.standard_normal(6))
        found = forecast_curve(
            SIZES, error, 0.03 * error, to=at, draws=100, check=False, random_state=seed
        )
        held += bool(found.lower[0] <= truth[-1] <= found.upper[0])
    assert 47 <= held <= 59


def test_the_order_the_unit_and_the_seed_do_not_matter():
    error = noisy(lambda n: n**-0.4 + 0.02, 0.02, 1)
    options = {"draws": 300, "check": False}
    one = forecast_curve(SIZES, error, 0.02 * error, to=[3200, 1600], **options)
    turned = SIZES[::-1], 1e6 * error[::-1], 2e4 * error[::-1]
    other = forecast_curve(*turned, to=[1600, 3200], **options)
    assert isinstance(one, CurveForecast)
    assert one.n.tolist() == [1600, 3200]
    np.testing.assert_allclose(other.median, 1e6 * one.median, rtol=1e-6)
    again = forecast_curve(SIZES, error, 0.02 * error, to=[3200, 1600], random_state=5, **options)
    np.testing.assert_allclose(again.median, one.median, rtol=0.02)


# Doubts.

FALLING = noisy(lambda n: n**-0.4, 0.02, 3)
DOUBTED = {
    "few": ((SIZES[:4], FALLING[:4]), "The curve has 4 sizes"),
    "short": ((SIZES[:3], FALLING[:3]), "span a factor of 4 only"),
    "no standard errors": ((SIZES, FALLING), "No standard errors were given"),
    "underrated": (
        (SIZES, noisy(lambda n: n**-0.4, 0.15, 2), 0.002 * FALLING),
        "times more than their standard errors",
    ),
    "rises": (
        (SIZES, [0.4, 0.3, 0.2, 0.5, 0.15, 0.1], np.full(6, 0.01)),
        "The error rises from 0.2 at 200 to 0.5 at 400",
    ),
    "flat": ((SIZES, noisy(lambda n: 0.3 + 0 * n, 0.03, 0)), "The curve is flat"),
    "turns": ((SIZES, [0.4, 0.3, 0.22, 0.16, 0.12, 0.2], np.full(6, 0.002)), "the curve turns"),
    "far": ((SIZES, FALLING), "62 times the largest size measured"),
}


@pytest.mark.parametrize("name", DOUBTED)
def test_what_speaks_against_a_forecast_is_said(name):
    points, sentence = DOUBTED[name]
    found = forecast_curve(*points, to=100_000, draws=200)
    assert any(sentence in doubt for doubt in found.diagnostics), found.diagnostics


def test_a_good_curve_is_not_doubted():
    found = forecast_curve(SIZES, FALLING, 0.02 * FALLING, to=6400, draws=400)
    assert found.diagnostics == ()


BAD = {
    "two": (([1, 2], [0.2, 0.1]), {}, "2 different sample sizes; a forecast needs at least 3"),
    "same": (([5, 5, 5], [0.2, 0.1, 0.1]), {}, "1 different sample size;"),
    "negative": (([1, 2, 3], [0.2, -0.1, 0.1]), {}, r"`error` holds -0.1 at n = 2 \(point 2\)"),
    "zero": (([1, 2, 3], [0.2, 0.1, 0]), {}, "too few test rows"),
    "nan": (([1, 2, 3], [0.2, np.nan, 0.1]), {}, "holds nan at n = 2"),
    "size": (([0, 2, 3], [0.2, 0.2, 0.1]), {}, r"`n` holds 0 \(point 1\)"),
    "lengths": (([1, 2, 3], [0.2, 0.1]), {}, "3 values and `error` 2"),
    "spread": (([1, 2, 3], [0.3, 0.2, 0.1], [0.1, 0.0, 0.1]), {}, "`standard_error` holds 0"),
    "spreads": (([1, 2, 3], [0.3, 0.2, 0.1], [0.1]), {}, "has 1 values"),
    "text": ((["a", "b", "c"], [0.3, 0.2, 0.1]), {}, "`n` must be numbers"),
    "below": (([1, 2, 30], [0.3, 0.2, 0.1]), {"to": 20}, "asks for 20 samples and .* up to 30"),
    "absurd": (([1, 2, 30], [0.3, 0.2, 0.1]), {"to": np.inf}, "`to` must be sample sizes of at"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(name):
    points, options, sentence = BAD[name]
    with pytest.raises(ValueError, match=sentence):
        forecast_curve(*points, **{"to": 100, **options})
