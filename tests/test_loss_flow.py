"""Flow of any loss: closed forms, its semigroup, and processes small enough to integrate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from wilsonian.theory.non_gaussian.loss_flow import (
    quartic_spread_loss,
    renormalized_loss,
    spread_loss,
)

pytestmark = pytest.mark.double_precision

V = np.linspace(-4, 4, 17)


def quadratic(v):
    return v**2 / (2 * 0.3)


def student(v):
    return 2.5 * jnp.log1p(v**2 / 4)


def logistic(v):
    return 3 * jax.nn.softplus(-v - 1)


def test_a_quadratic_loss_becomes_that_of_the_renormalized_ridge():
    expected = V**2 / (2 * (0.3 + 0.2)) + 0.5 * np.log1p(0.2 / 0.3)
    np.testing.assert_allclose(renormalized_loss(quadratic, 0.2)(V), expected, rtol=1e-10)
    np.testing.assert_allclose(renormalized_loss(quadratic, 0.0)(V), quadratic(V), rtol=1e-12)


@pytest.mark.parametrize("loss", [student, logistic], ids=["student", "logistic"])
def test_the_flow_is_its_integral_and_composes(loss):
    once = renormalized_loss(loss, 0.7)
    for v in (-2.0, 0.3):
        twin = scipy.integrate.quad(
            lambda z, v=v: np.exp(-float(loss(v + z))) * scipy.stats.norm.pdf(z, 0, 0.7**0.5),
            *(-10, 10),
        )[0]
        np.testing.assert_allclose(once(v), -np.log(twin), rtol=1e-7)
    twice = renormalized_loss(renormalized_loss(loss, 0.3), 0.4)
    np.testing.assert_allclose(twice(V), once(V), rtol=1e-6)
    assert np.max(np.abs(once(V) - loss(V))) > 0.05
    # A heat equation for the likelihood: d/dc e^{-l} = e^{-l}'' / 2.
    likelihood = lambda c, v: jnp.exp(-renormalized_loss(loss, c)(v))  # noqa: E731
    change = (likelihood(0.701, V) - likelihood(0.699, V)) / 0.002
    curvature = jax.vmap(jax.grad(jax.grad(lambda v: likelihood(0.7, v))))(jnp.asarray(V)) / 2
    np.testing.assert_allclose(change, curvature, atol=1e-6)


@pytest.mark.parametrize("loss", [student, logistic], ids=["student", "logistic"])
def test_the_reduced_process_has_the_evidence_and_mean_of_the_whole(loss):
    """Two labels by quadrature. Equal where eliminated modes leave a multiple of the identity, and
    nearly so for many Gaussian features, by the root of their number."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    first, labels = np.array([[1.0], [-0.4]]), np.array([0.8, -0.2])

    def posterior(loss, covariance):
        """Log evidence, and mean of the kept mode's coefficient, by regression on the values."""
        values = jnp.asarray(grid @ np.linalg.cholesky(covariance + 1e-13 * np.eye(2)).T)
        density = weights * np.exp(-np.asarray(loss(values - labels)).sum(axis=1))
        mean = density @ np.asarray(values) / density.sum()
        return np.log(density.sum()), first.T @ np.linalg.pinv(covariance) @ mean

    kept, variance = first @ first.T, 0.5
    reduced = posterior(renormalized_loss(loss, variance), kept)
    whole = posterior(loss, kept + variance * np.eye(2))
    np.testing.assert_allclose(reduced[0], whole[0], rtol=1e-6)
    # The kept mode's mean given the values v is first.T @ K^{-1} v in either process.
    np.testing.assert_allclose(reduced[1], whole[1], rtol=1e-4)
    error = {}
    for count in (20, 2000):
        draws = [np.random.default_rng(seed).normal(size=(2, count)) for seed in range(12)]
        exact = [posterior(loss, kept + g @ g.T * variance / count)[0] for g in draws]
        error[count] = np.sqrt(np.mean((reduced[0] - np.array(exact)) ** 2))
    assert error[2000] < 0.3 * error[20]  # a tenth, give or take
    truncated = posterior(loss, kept)[0]
    assert abs(truncated - np.mean(exact)) > 5 * error[2000]


def test_a_spread_of_ridges_makes_a_loss_of_heavy_tails():
    ridges = jnp.asarray(scipy.stats.gamma.ppf((np.arange(2000) + 0.5) / 2000, 4.0) / 4.0)
    # Mixture of Gaussians, without the normalization, by Monte Carlo of another kind.
    direct = -np.log(np.mean(np.exp(-(V[:, None] ** 2) / 2 / np.asarray(ridges)), axis=1))
    np.testing.assert_allclose(spread_loss(V, ridges), direct, rtol=1e-12)
    same = jnp.full(5, 0.7)
    np.testing.assert_allclose(spread_loss(V, same), V**2 / 1.4, rtol=1e-12)
    slope = jax.grad(lambda v: spread_loss(v, ridges))
    assert slope(4.0) < 0.75 * 4.0 / jnp.mean(ridges)  # an outlier counts less
    # At quadratic order the weight is the harmonic one.
    curvature = jax.grad(slope)(0.0)
    np.testing.assert_allclose(curvature, jnp.mean(1 / ridges), rtol=1e-10)


def test_the_quartic_correction_is_the_leading_one():
    """What is left falls as the variance to the power of the third moment, 3/2, or faster."""
    left = []
    for spread in (0.1, 0.01):
        ridges = 0.5 * (1 + spread * jnp.array([-1.0, 1.0]))
        v = jnp.linspace(0, 1.5, 7)
        exact = spread_loss(v, ridges)
        corrected = quartic_spread_loss(v, 0.5, (0.5 * spread) ** 2)
        left.append(float(jnp.max(jnp.abs(exact - corrected))))
        assert left[-1] < 0.1 * float(jnp.max(jnp.abs(exact - v**2)))
    assert left[1] < 2e-4 * left[0]  # symmetric ridges: fourth order in the spread
    assert quartic_spread_loss(0.0, 0.5, 0.1) == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: renormalized_loss(student, -0.1), r"at least zero, got -0.1"),
        (lambda: renormalized_loss(student, float("nan")), r"at least zero, got nan"),
        (lambda: renormalized_loss(student, 0.1, nodes=0), r"`nodes` must be positive, got 0"),
    ],
)
def test_impossible_arguments_get_their_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
