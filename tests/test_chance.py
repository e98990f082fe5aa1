"""What noise alone gains by chance."""

import jax
import numpy as np
import pytest
from scipy.stats import chi2

from wilsonian import Matern52
from wilsonian.regression.learning.chance import nats_of_chance, resolved_modes
from wilsonian.regression.learning.starts import Start
from wilsonian.regression.sample import Sample


@pytest.fixture(scope="module")
def sample():
    random = np.random.default_rng(0)
    X, weights = np.sort(random.normal(size=(40, 1)), axis=0), random.uniform(0.5, 2, 40)
    return Sample(X, random.normal(size=(40, 2)), weights)


def prior(scale, amplitude, noise):
    return Start(Matern52(scale), np.array(amplitude), np.array(noise), 0.0)


def test_resolved_modes_are_the_trace_of_what_smooths_the_rows(sample):
    with jax.enable_x64(True):
        gram = np.asarray(Matern52(0.7).gram(sample.X, sample.X))
        found = resolved_modes(prior(0.7, [2.0, 0.3], [0.1, 0.4]), sample)
        hats = [
            a * gram @ np.linalg.inv(a * gram + np.diag(noise / sample.weights))
            for a, noise in ((2.0, 0.1), (0.3, 0.4))
        ]
        white = resolved_modes(prior(1e-9, [3.0], [1.0]), Sample(sample.X, sample.y, np.ones(40)))
    assert found == pytest.approx(np.mean([np.trace(hat) for hat in hats]), rel=1e-9)
    assert white == pytest.approx(40 * 3 / 4)  # k = 1 on the diagonal alone


def test_every_row_is_a_chance_of_its_own_where_rows_are_interpolated(sample):
    once, each = chi2.isf(0.01, 3) / 2, chi2.isf(0.01 / 40, 3) / 2
    smooth, rough = prior(1.0, [1.0], [1.0]), prior(0.01, [1.0], [0.01])
    with jax.enable_x64(True):
        assert resolved_modes(smooth, sample) < 20 < resolved_modes(rough, sample)
        assert nats_of_chance(smooth, 3, once + 1, sample) == pytest.approx(once)
        assert nats_of_chance(rough, 3, once + 1, sample) == pytest.approx(each)
        assert nats_of_chance(rough, 3, each + 1, sample) < each + 1  # a signal either way
