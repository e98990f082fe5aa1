"""Inference as an inverse flow, and the equation of the exact renormalization group."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import polygamma

from wilsonian.fields.bayesian_flow import (
    BernoulliInference,
    GaussianInference,
    GridInference,
    PoissonInference,
)
from wilsonian.fields.exact_flow import ScalarFlow
from wilsonian.fields.inference_backwards import Erasure, localise
from wilsonian.fields.scalar_law import ScalarLaw, double_well


@pytest.fixture(scope="module")
def flow():
    return ScalarFlow(double_well())


@pytest.fixture(scope="module")
def gaussian():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 3))
    prior, fisher = b @ b.T + np.eye(3), a @ a.T + np.eye(3)
    return GaussianInference(rng.normal(size=3), prior, fisher, rng.normal(size=3))


def grid_of_a_gaussian():
    nodes = np.linspace(-12, 12, 4001)
    return GridInference(nodes, -((nodes - 1.2) ** 2) / 4, nodes**2 / (2 * 0.49))


def test_the_law_of_one_over_data_on_a_grid():
    grid = grid_of_a_gaussian()
    twice = [2 * t * grid.mean(grid.divergence, t) for t in (1, 5, 1000)]
    assert_allclose(twice, [0.9170174675, 0.9853498861, 0.9999313736], atol=1e-9)
    exact = GaussianInference(
        np.array([1.2]), np.array([[0.5]]), np.array([[1 / 0.49]]), np.array([0.0])
    )
    for amount in (0.0, 1.0, 5.0, 1000.0):
        mean, covariance = exact.posterior(amount)
        density = stats.norm.pdf(grid.nodes, mean[0], np.sqrt(covariance[0, 0]))
        gap = grid.nodes[1] - grid.nodes[0]
        assert gap * np.abs(grid.posterior(amount) - density).sum() < 1e-12


def test_the_law_of_one_over_data_for_coins():
    coins = BernoulliInference(2, 3, 0.3)
    twice = [2 * t * coins.mean_divergence(t) for t in (10, 100, 1000)]
    assert_allclose(twice, [0.7084049346, 0.9603167205, 0.9958823752], atol=1e-8)


# Central differences of order eight: at steps of a thousandth to a hundredth only rounding is left.
NEIGHBOURS = np.array([-4, -3, -2, -1, 1, 2, 3, 4])
STENCIL = np.array([3, -32, 168, -672, 672, -168, 32, -3]) / 840


def slope(function, at, step):
    values = np.array([function(at + k * step) for k in NEIGHBOURS])
    return np.tensordot(STENCIL, values, 1) / step


@pytest.mark.parametrize("amount", [10.0, 100.0, 1000.0])
def test_the_mean_divergence_falls_by_its_variance(amount):
    expected = {10: -2.5123427e-3, 100: -4.6111563e-5, 1000: -4.9589099e-7}[int(amount)]
    coins = BernoulliInference(2, 3, 0.3)
    # Var of p log x + (1-p) log(1-x) under the Beta law, by trigamma functions
    a, b = coins.posterior(amount)
    whole = polygamma(1, a + b)
    variance = 0.3**2 * polygamma(1, a) + 0.7**2 * polygamma(1, b) - whole
    assert_allclose(-variance, expected, rtol=2e-8)  # half of the last digit of the table
    falls = slope(coins.mean_divergence, amount, 0.02 * amount)
    assert_allclose(falls, -variance, rtol=1e-9)
    p = np.linspace(0, 1, 400_003)[1:-1]
    divergence = 0.3 * np.log(0.3 / p) + 0.7 * np.log(0.7 / (1 - p))
    grid = GridInference(p, stats.beta.logpdf(p, 2, 3), divergence)
    assert_allclose(-grid.covariance(divergence, divergence, amount), expected, rtol=2e-7)


@pytest.mark.parametrize(
    "family",
    [BernoulliInference(2, 3, 0.3), PoissonInference(2.0, 1.5, 0.7)],
    ids=["coins", "counts"],
)
def test_log_evidence_is_minus_the_integral_of_the_divergence(family):
    nodes, weights = np.polynomial.legendre.leggauss(60)
    amounts = 10 * (nodes + 1)
    integral = 10 * weights @ [family.mean_divergence(t) for t in amounts]
    assert_allclose(family.log_evidence(20.0), -integral, rtol=1e-10)


def test_log_evidence_on_a_grid():
    grid = grid_of_a_gaussian()
    nodes, weights = np.polynomial.legendre.leggauss(60)
    integral = 2 * weights @ [grid.mean(grid.divergence, 2 * (x + 1)) for x in nodes]
    assert_allclose(grid.log_evidence(4.0), -integral, rtol=1e-9)


def test_the_gaussian_moves_by_its_equations(gaussian):
    for speed, part in zip(gaussian.speed(2.0), (0, 1), strict=True):
        measured = slope(lambda amount, part=part: gaussian.posterior(amount)[part], 2.0, 0.02)
        assert_allclose(measured, speed, rtol=0, atol=1e-10)


def test_erasure_ends_at_the_prior(gaussian):
    mean, covariance = Erasure(gaussian).moments(50.0)
    assert_allclose(mean, gaussian.prior_mean, rtol=0, atol=1e-10)
    assert_allclose(covariance, np.linalg.inv(gaussian.prior_precision), rtol=0, atol=1e-10)


def test_paths_of_erasure_are_draws_of_the_prior(gaussian):
    theta = Erasure(gaussian).sample(50.0, 20_000, 10, seed=1)
    prior = np.linalg.inv(gaussian.prior_precision)
    pulls = (theta.mean(0) - gaussian.prior_mean) / np.sqrt(np.diag(prior) / 20_000)
    assert np.abs(pulls).max() < 4
    assert_allclose(np.cov(theta.T), prior, atol=4 * 1.5 * prior.max() / np.sqrt(20_000))


def test_localisation_draws_the_prior_and_needs_the_posterior_variance():
    law, amounts = double_well(count=301), np.geomspace(1e-3, 400, 100)
    draws = localise(law, amounts, 60_000, seed=0)
    # noise of variance s = 1/400 adds s, and 6 s <x^2> + 3 s^2
    second = law.moment(2) + 1 / 400
    fourth = law.moment(4) + 6 * law.moment(2) / 400 + 3 / 400**2
    assert_allclose([second, fourth], [0.76974 + 1 / 400, 1.06967], atol=1e-5)
    assert abs((draws**2).mean() / second - 1) < 0.01
    assert abs((draws**4).mean() / fourth - 1) < 0.01  # Monte Carlo .5 % here, .3 % above
    euler = localise(law, amounts, 60_000, seed=0, posterior_variance=False)
    assert (euler**2).mean() / (0.76974 + 1 / 400) < 0.97


@pytest.mark.parametrize(
    ("precision", "nats", "half_mmse"),
    [
        (0.3, 0.103841, 0.312214),
        (1.0, 0.283947, 0.213729),
        (3.0, 0.584120, 0.108841),
        (10.0, 1.028411, 0.040600),
    ],
)
def test_information_grows_by_half_the_error_left(precision, nats, half_mmse):
    law = double_well()
    information, mmse = law.information(precision)
    assert abs(information - nats) < 1e-6
    assert abs(mmse / 2 - half_mmse) < 1e-6
    ahead, back = (law.information(precision * (1 + s))[0] for s in (1e-3, -1e-3))
    assert_allclose((ahead - back) / (2e-3 * precision), mmse / 2, rtol=1e-5)


def test_scores_by_the_table_and_both_ways(flow):
    field = np.array([0.3, 1.1])
    table = {
        0.05: [0.4755679567, -1.3032301421],
        0.5: [-0.3616759465, -1.8054624346],
        2.0: [-0.5938544271, -2.1782772612],
    }
    for time, expected in table.items():
        channel = flow.channel(time)
        tweedie = flow.law.score(field, *channel)
        assert_allclose(tweedie, expected, atol=1e-8)
        assert_allclose(flow.law.target_score(field, *channel), tweedie, atol=1e-8)


def test_the_curvature_of_the_action_is_a_posterior_variance(flow):
    field, step = np.linspace(-2, 2, 9), 1e-4
    ahead, here, back = (flow.action(field + s, 0.4) for s in (step, 0, -step))
    curvature = flow.law.action_curvature(field, *flow.channel(0.4))
    assert_allclose((ahead - 2 * here + back) / step**2, curvature, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("time", "fisher", "divergence", "residual"),
    [
        (0.1, -0.54068887, 0.08730918, 7.3e-7),
        (0.5, -0.04927611, 0.01085310, 2.4e-9),
        (1.0, -0.00532731, 0.00131787, 1.2e-9),
    ],
)
def test_the_equation_of_the_flow(flow, time, fisher, divergence, residual):
    field = np.linspace(-2.99, 2.99, 61)
    assert np.abs(flow.action_residual(field, time)).max() < residual
    assert np.abs(flow.density_residual(field, time)).max() < 5e-8
    entropy, information = flow.relative_entropy(time)
    assert_allclose([entropy, -information / 2], [divergence, fisher], atol=1e-7)
    step = 1e-4
    slope = flow.relative_entropy(time + step)[0] - flow.relative_entropy(time - step)[0]
    assert_allclose(slope / (2 * step), fisher, rtol=1e-6)


def test_the_check_of_the_equation_can_fail(flow):
    wrong = ScalarFlow(flow.law, rate=1.0, omega=1.0)
    object.__setattr__(wrong, "channel", lambda time: (np.exp(-time), (1 - np.exp(-time)) / 2))
    assert np.abs(wrong.action_residual(np.linspace(-2, 2, 9), 0.5)).max() > 0.1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BernoulliInference(2, 3, 0.3).posterior(-1), "0 upwards"),
        (lambda: localise(double_well(count=301), np.array([1.0, 0.5]), 3, 0), "must rise"),
        (lambda: double_well(coupling=-1), "positive one"),
        (lambda: ScalarLaw.of(lambda x: -(x**2) / 50, lambda x: -x / 25), "larger `reach`"),
        (lambda: GridInference(np.array([1.0, 0.0]), np.zeros(2), np.zeros(2)), "must rise"),
        (lambda: ScalarFlow(double_well()).channel(0.0), "positive times"),
        (lambda: double_well().information(0.0), "must be positive"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
