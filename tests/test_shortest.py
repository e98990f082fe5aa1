"""Length scales too short to mean more."""

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern

from wilsonian import RBF, Matern52, RationalQuadratic
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.learning.shortest import no_shorter_than_steps, smallest_steps
from wilsonian.regression.sample import Sample

RANDOM = np.random.default_rng(0)
X = np.stack([0.5 * RANDOM.integers(0, 4, 30), RANDOM.normal(size=30), np.full(30, 7.0)], axis=1)
SAMPLE = Sample(X, RANDOM.normal(size=(30, 1)), np.ones(30))


def lengthened(kernel):
    found = Hyperparameters(kernel, np.ones(1), np.ones(1), True, "")
    return no_shorter_than_steps(found, SAMPLE).kernel


def test_steps_are_between_values_that_differ_by_more_than_rounding():
    twin = np.sort(X[:, 1])
    assert smallest_steps(X) == pytest.approx([0.5, np.diff(twin).min(), 0.0])
    assert smallest_steps(np.array([[1.0], [1.0 + 2e-16], [1.25]])) == pytest.approx([0.25])


def test_a_category_is_one_all_the_same():
    kernel = lengthened(2.0 * Matern52(np.array([1e-9, 0.8, 1e-9])) + RBF(1.5))
    short, smooth = kernel.left.kernel.length_scale, kernel.right.length_scale
    np.testing.assert_allclose(short, [0.025, 0.8, 1e-9])
    assert float(smooth) == 1.5
    limit = Matern([1e-9, 0.8, 1.0], nu=2.5)(X)
    np.testing.assert_allclose(Matern([0.025, 0.8, 1.0], nu=2.5)(X), limit, rtol=0, atol=1e-15)


def test_correlations_without_an_exponential_tail_stay():
    scale = np.array([1e-9, 1.0, 1.0])
    assert np.array_equal(lengthened(RationalQuadratic(scale, 1.0)).length_scale, scale)
