"""Periodic data: periods found from the data, learned, told apart from chance, and said."""

import jax
import numpy as np
import pytest
from sklearn.gaussian_process.kernels import ExpSineSquared

from wilsonian import Periodic, ReducedGPRegressor, spectral_mixture
from wilsonian.kernels.learnable import has_period, kept_as_given, parts_with
from wilsonian.language.kernel_text import parse_kernel
from wilsonian.regression.learning.periods import lines, nats_of_search, with_starting_periods
from wilsonian.regression.sample import Sample


def sample(X, y):
    return Sample(X, np.reshape(y, (len(X), -1)), np.ones(len(X)))


RANDOM = np.random.default_rng(2)
TIME = np.sort(RANDOM.uniform(0, 40, 60))
NOISE = RANDOM.normal(size=60)


def pulse(t):
    """Repeats every 3.7, with several harmonics, on a trend."""
    return np.exp(2 * np.cos(2 * np.pi * t / 3.7)) / 4


@pytest.mark.parametrize("scale", [1.0, 86_400.0])
def test_lines_are_found_at_unequal_distances_in_any_unit_and_far_from_zero(scale):
    wave = np.sin(2 * np.pi * TIME / 3.7) + 0.05 * TIME + 0.3 * NOISE
    X = np.stack([RANDOM.normal(size=60), scale * (1e5 + TIME)], axis=1)
    first = lines(sample(X, wave))[0]
    assert first.column == 1
    # A period is known to about period^2 / range / signal to noise: one percent here.
    assert first.period == pytest.approx(3.7 * scale, rel=0.02)


def test_every_periodic_part_starts_at_a_line_and_columns_beside_it_are_smooth():
    X = np.stack([TIME, RANDOM.uniform(0, 1, 60)], axis=1)
    data = sample(X, np.sin(2 * np.pi * TIME / 3.7) + np.sin(2 * np.pi * TIME / 1.9))
    kernel = spectral_mixture(2, np.ones(2), np.ones(2)) + Periodic(1.0, np.ones(2))
    starts = with_starting_periods(kernel, data)
    assert starts[0] is kernel
    found = [part.period for part in parts_with(starts[1], has_period)]
    assert sorted([found[0][0], found[1][0]]) == pytest.approx([1.9, 3.7], rel=0.02)
    assert all(period[1] > np.ptp(X[:, 1]) for period in found)
    assert with_starting_periods(parse_kernel("rbf"), data) == [parse_kernel("rbf")]


@pytest.fixture(scope="module")
def fitted():
    target = pulse(TIME) + 0.02 * TIME + 0.05 * NOISE
    return ReducedGPRegressor("periodic + linear", random_state=0).fit(TIME[:, None], target)


def test_a_period_is_learned_from_a_start_that_knows_nothing_of_it(fitted):
    (part,) = parts_with(fitted.kernel_, has_period)
    assert float(part.period[0]) == pytest.approx(3.7, rel=2e-3)
    # Two periods beyond the data; the noise is .05, and a kernel of distances knows nothing there.
    later = np.linspace(41, 48, 50)
    mean, std = fitted.predict(later[:, None], return_std=True)
    error = mean - pulse(later) - 0.02 * later
    assert np.sqrt(np.mean(error**2)) < 0.1
    assert np.mean(np.abs(error) < 2 * std) > 0.8


def test_noise_has_no_period():
    model = ReducedGPRegressor("periodic + linear", random_state=0).fit(TIME[:, None], NOISE)
    assert "no signal was found" in model.convergence_
    # The best of so many frequencies gains the logarithm of their number from noise alone.
    assert nats_of_search(parse_kernel("periodic"), TIME[:, None]) == pytest.approx(np.log(120))
    assert nats_of_search(parse_kernel("rbf"), TIME[:, None]) == 0


def test_numbers_that_are_not_learned_are_said():
    wave = np.sin(2 * np.pi * TIME / 3.7)
    model = ReducedGPRegressor(ExpSineSquared(1.0, 3.7), max_iterations=2, random_state=0)
    model.fit(TIME[:, None], wave)
    sentence = model.convergence_
    assert sentence.startswith(
        "The numbers inside ExpSineSquared(length_scale=1, periodicity=3.7) stay as given"
    )
    assert "Of amplitude and noise alone: L-BFGS-B" in sentence
    assert kept_as_given(parse_kernel("periodic*rbf + linear")) == ""
    assert "the function cosines" in kept_as_given(parse_kernel("rbf") + cosines)


def cosines(X, Z):
    return np.cos(X @ Z.T)


def test_with_a_precision_of_its_own():
    # Phases of timestamps: only differences matter.
    with jax.enable_x64(True):
        X = 1.7e9 + 86_400 * TIME[:, None]
        gram = np.asarray(Periodic(1.0, 3 * 86_400.0)(X))
        near = np.asarray(Periodic(1.0, 3.0)(TIME[:, None]))
    # A timestamp of 1.7e9 has digits down to 2e-7 of 2.6e5: 1e-12, times slopes of about ten.
    np.testing.assert_allclose(gram, near, atol=1e-10)
