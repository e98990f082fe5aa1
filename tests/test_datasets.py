"""Prescribed spectra and feature laws: formulas, distributions, and the errors' sentences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from wilsonian.theory.datasets import (
    Gaussian,
    Laplace,
    Sign,
    StudentT,
    VarianceCorrelated,
    exponential,
    matched_target,
    power_law,
    prescribed,
    regression_problem,
)

pytestmark = [pytest.mark.double_precision, pytest.mark.strict_ranks]

LAWS = [
    Gaussian(),
    Sign(),
    Laplace(),
    StudentT(9.0),
    VarianceCorrelated("linear", 0.3),
    VarianceCorrelated("linear", 0.9, 2),
    VarianceCorrelated("log-normal"),
    VarianceCorrelated("step"),
    VarianceCorrelated("hidden"),
]


def draw(law, points=100_000, modes=3, seed=0):
    return np.asarray(law.draw(jax.random.key(seed), points, modes))


def check_standardized(features):
    """Means zero, covariance one: to five standard errors, which the features themselves give."""
    products = features[:, :, None] * features[:, None, :]
    for values, expected in ((features, 0.0), (products, np.eye(features.shape[1]))):
        error = values.std(axis=0) / len(values) ** 0.5
        assert np.all(np.abs(values.mean(axis=0) - expected) <= 5 * error + 1e-12)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_every_law_is_standardized(law):
    features = draw(law)
    assert features.shape == (100_000, 3)
    assert features.dtype == np.float64
    check_standardized(features)
    np.testing.assert_array_equal(features, draw(law))
    assert np.any(features != draw(law, seed=1))


def test_the_check_of_standardization_can_fail():
    with pytest.raises(AssertionError):
        check_standardized(1.02 * draw(Gaussian()))


@pytest.mark.parametrize(
    ("law", "twin"),
    [
        (Gaussian(), scipy.stats.norm()),
        (Laplace(), scipy.stats.laplace(scale=0.5**0.5)),
        (StudentT(3.0), scipy.stats.t(3, scale=(1 / 3) ** 0.5)),
        (StudentT(5.0), scipy.stats.t(5, scale=(3 / 5) ** 0.5)),
    ],
    ids=["normal", "Laplace", "t3", "t5"],
)
def test_independent_laws_are_those_of_scipy(law, twin):
    assert scipy.stats.kstest(draw(law, points=20_000, modes=2)[:, 1], twin.cdf).pvalue > 0.01


def test_signs_are_signs():
    assert set(np.unique(draw(Sign()))) == {-1.0, 1.0}


@pytest.mark.parametrize("variance", ["linear", "log-normal", "step", "hidden"])
def test_correlated_variances_are_correlated_where_they_should_be(variance):
    features = draw(VarianceCorrelated(variance, 0.9, 2), modes=4)
    first, unaffected, left, right = (features**2).T
    assert abs(np.corrcoef(first, unaffected)[0, 1]) < 0.02
    assert np.corrcoef(left, right)[0, 1] > 0.1
    given_first = abs(np.corrcoef(left, features[:, 0])[0, 1]) + np.corrcoef(left, first)[0, 1]
    assert (given_first > 0.1) == (variance != "hidden")


def test_the_step_sets_the_variance():
    features = draw(VarianceCorrelated("step"))
    positive = features[:, 0] > 0
    np.testing.assert_allclose(np.var(features[positive, 1]), 1.9, rtol=0.03)
    np.testing.assert_allclose(np.var(features[~positive, 1]), 0.1, rtol=0.03)


def test_spectra_are_their_formulas():
    np.testing.assert_allclose(power_law(3, 0.5), [1.0, 2**-1.5, 3**-1.5])
    np.testing.assert_allclose(exponential(3, 0.7), np.exp([0.0, -0.7, -1.4]))
    np.testing.assert_array_equal(prescribed([3, 1, 1, 0]), [3.0, 1.0, 1.0, 0.0])


def test_a_problem_is_its_equation():
    eigenvalues = exponential(6, 0.5)
    problem = regression_problem(jax.random.key(1), eigenvalues, 50_000, label_noise=0.3)
    np.testing.assert_array_equal(problem.coefficients, matched_target(eigenvalues))
    np.testing.assert_array_equal(problem.spectrum.eigenvalues, eigenvalues)
    np.testing.assert_array_equal(problem.spectrum.tail, np.zeros(50_000))
    noise = problem.targets - problem.spectrum.modes @ problem.coefficients
    np.testing.assert_allclose(np.var(noise), 0.3, rtol=0.05)
    given = jnp.arange(6.0)
    noiseless = regression_problem(
        jax.random.key(1), eigenvalues, 20, law=Sign(), coefficients=given
    )
    np.testing.assert_allclose(noiseless.targets, noiseless.spectrum.modes @ given)
    assert noiseless.squared_error(given) == 0
    assert noiseless.squared_error(given + 1) == 6


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: power_law(0, 0.5), r"`modes` must be positive and finite, got 0"),
        (lambda: power_law(3, 0.0), r"`alpha` must be positive and finite, got 0.0"),
        (lambda: exponential(3, float("nan")), r"`rate` must be positive and finite, got nan"),
        (lambda: prescribed([]), r"must be one list of numbers, got shape \(0,\)"),
        (lambda: prescribed([[1.0]]), r"must be one list of numbers, got shape \(1, 1\)"),
        (lambda: prescribed([1.0, np.inf]), r"must be finite, nonnegative and not all zero"),
        (lambda: prescribed([1.0, -0.1]), r"got values from -0.1 to 1"),
        (lambda: prescribed([0.0, 0.0]), r"not all zero"),
        (lambda: prescribed([2.0, 1.0, 1.5]), r"number 3 \(1.5\) exceeds number 2 \(1\)"),
        (lambda: StudentT(2.0), r"`degrees_of_freedom` must exceed 2, got 2.0"),
        (lambda: VarianceCorrelated("quadratic"), r"must be one of linear, .* got 'quadratic'"),
        (lambda: VarianceCorrelated("linear", 1.1), r"`strength` must lie between 0 and 1"),
        (lambda: VarianceCorrelated(unaffected=0), r"`unaffected` must be at least 1, got 0"),
        (lambda: regression_problem(None, jnp.ones(3), 0), r"`points` must be positive"),
        (
            lambda: regression_problem(None, jnp.ones(3), 2, label_noise=-1.0),
            r"`label_noise` is a variance, at least zero, got -1.0",
        ),
        (
            lambda: regression_problem(None, jnp.ones(3), 2, coefficients=jnp.ones(2)),
            r"one number per mode",
        ),
    ],
)
def test_impossible_arguments_get_their_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
