"""Activations: closed forms beside quadrature, derivatives in the corners, and stated errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from network_instances import ACTIVATIONS

from wilsonian import networks as nn
from wilsonian.networks.layers.angles import arctan

pytestmark = pytest.mark.double_precision

each = pytest.mark.parametrize("name", ACTIVATIONS)
KINKED = ("relu", "leaky_relu", "abs", "sign", "step")
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(100)
WEIGHTS = WEIGHTS / (2 * np.pi) ** 0.5
PAIRS = np.array(
    [[0.8, 0.5, 0.3], [1.2, 1.2, -1.0], [0.3, 1.6, -0.1], [0.9, 0.4, 0.0], [1.0, 1.0, 0.999]]
)  # both variances and the covariance


def by_arcs(function, x_variance, z_variance, covariance, degree):
    """E of a function of two Gaussians that is homogeneous of this degree with kinks where one is
    zero: arc by arc between the kinks, by the mean of the radius to that power."""
    root = np.linalg.cholesky([[x_variance, covariance], [covariance, z_variance]])
    starts = np.arctan2(-root[:, 0], root[:, 1])
    kinks = np.sort(np.concatenate([starts, starts + np.pi]) % (2 * np.pi))
    ends = [*kinks[1:], kinks[0] + 2 * np.pi]

    def integrand(angle):
        return function(*(root @ [np.cos(angle), np.sin(angle)]))

    total = sum(
        scipy.integrate.quad(integrand, a, b, epsabs=1e-13)[0]
        for a, b in zip(kinks, ends, strict=True)
    )
    return total / (2 * np.pi) * (2 if degree == 2 else 1)


def kinked(name):
    """The function and its slope in NumPy, both homogeneous, and the degree of the product."""
    above, below = {"relu": (1, 0), "leaky_relu": (1, 0.2), "abs": (1, -1)}.get(name, (0, 0))
    if name in ("sign", "step"):
        low = -1.0 if name == "sign" else 0.0
        return (lambda u: 1.0 if u > 0 else low), (lambda u: 0.0), 0
    return (
        (lambda u: above * u if u > 0 else below * u),
        (lambda u: above if u > 0 else below),
        2,
    )


def expected_moments(name, x_variance, z_variance, covariance):
    if name in KINKED:
        function, slope, degree = kinked(name)
        pair = x_variance, z_variance, covariance
        return (
            by_arcs(lambda u, v: function(u) * function(v), *pair, degree),
            by_arcs(lambda u, v: slope(u) * slope(v), *pair, 0),
        )
    activation = ACTIVATIONS[name]
    u = x_variance**0.5 * NODES[:, None] + 0 * NODES
    rest = (z_variance - covariance**2 / x_variance) ** 0.5
    v = covariance / x_variance**0.5 * NODES[:, None] + rest * NODES
    weights = np.outer(WEIGHTS, WEIGHTS)
    slope = jax.vmap(jax.grad(lambda x: activation(x)))
    slopes = [np.asarray(slope(w.ravel())).reshape(w.shape) for w in (u, v)]
    values = [np.asarray(activation(w)) for w in (u, v)]
    return np.sum(weights * values[0] * values[1]), np.sum(weights * slopes[0] * slopes[1])


@each
def test_closed_forms_are_what_quadrature_says(name):
    found = np.array(ACTIVATIONS[name].moments(*PAIRS.T)).T
    expected = np.array([expected_moments(name, *pair) for pair in PAIRS])
    # The expansion has few terms, on purpose, for a function with poles.
    tolerance = 2e-3 if name == "hermite_expansion" else 1e-10
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_the_comparison_can_fail():
    found = nn.Gelu().moments(*PAIRS[0])[0]
    wrong = nn.Gelu().moments(*(PAIRS[0] * (1 + 1e-9)))[0]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(wrong, found, rtol=1e-10, atol=1e-10)


@each
def test_moments_of_identical_inputs_are_second_moments(name):
    activation = ACTIVATIONS[name]
    q = jnp.array([0.0, 1e-6, 0.3, 1.0, 2.5])
    moment, slope = activation.moments(q, q, q)
    # An angle of Step and Sign is known to rounding, and zero has no angle.
    np.testing.assert_allclose(activation.second_moment(q), moment, rtol=1e-12, atol=1e-14)
    compared = slice(1, None) if name in KINKED else slice(None)
    np.testing.assert_allclose(
        activation.slope_moment(q)[compared], slope[compared], rtol=1e-12, atol=1e-14
    )


@each
def test_derivatives_are_finite_at_identical_opposite_and_zero_inputs(name):
    activation = ACTIVATIONS[name]
    largest = 10.0 if name in ("exponential", "polynomial", "hermite") else 1e6
    pairs = [(q, q, sign * q) for q in (1e-9, 1.0, largest) for sign in (1, -1)]
    pairs += [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)]
    points = jnp.array(pairs)
    slopes = jax.vmap(jax.jacfwd(lambda p: jnp.stack(activation.moments(*p))))(points)
    assert np.all(np.isfinite(slopes))


@each
def test_the_derivative_in_the_covariance_is_the_moment_of_the_slopes(name):
    # Price 1958: d E[phi phi] / d k = E[phi' phi'].
    if name in ("sign", "step"):
        pytest.skip("its slope is zero by convention")
    activation = ACTIVATIONS[name]
    x, z, k = jnp.array(PAIRS[:4]).T
    derivative = jax.vmap(jax.grad(lambda k, x, z: activation.moments(x, z, k)[0]))(k, x, z)
    slope = activation.moments(x, z, k)[1]
    # With 24 terms both sides miss other terms.
    rtol = 1e-3 if name == "hermite_expansion" else 1e-10
    np.testing.assert_allclose(derivative, slope, rtol=rtol, atol=1e-14)


@each
def test_single_precision(name):
    activation = ACTIVATIONS[name]
    with jax.enable_x64(False):
        found = activation.moments(*jnp.asarray(PAIRS.T, jnp.float32))
        assert all(moment.dtype == np.float32 for moment in found)
    exact = activation.moments(*jnp.asarray(PAIRS.T.astype(np.float32), float))
    for single, double in zip(found, exact, strict=True):
        # A few units of rounding; sharp angles lose a root of them, as 1 - rho is rounded.
        np.testing.assert_allclose(single, double, rtol=2e-6, atol=2e-5 if name in KINKED else 2e-6)


def test_the_arctangent_is_accurate_in_both_precisions():
    t = np.linspace(-1, 1, 20001)
    assert np.max(np.abs(arctan(jnp.asarray(t)) - np.arctan(t))) < 3e-16
    single = arctan(jnp.asarray(t, jnp.float32))
    exact = np.arctan(t.astype(np.float32).astype(float))
    assert np.max(np.abs(single - exact)) < 1.2e-7
    slope = jax.vmap(jax.grad(arctan))(jnp.asarray(t))
    np.testing.assert_allclose(slope, 1 / (1 + t**2), rtol=1e-15)


def test_steps_count_quadrants():
    for x, z, k in PAIRS:
        chance = scipy.stats.multivariate_normal(cov=[[x, k], [k, z]]).cdf([0.0, 0.0])
        np.testing.assert_allclose(nn.Step().moments(x, z, k)[0], chance, rtol=1e-6)


def test_normalized_hermite_polynomials_have_powers_as_kernels():
    coefficients = [0.3, -0.5, 0.2, 0.7]
    k = jnp.linspace(-1, 1, 7)
    found, _ = nn.Hermite(coefficients).moments(jnp.ones(7), jnp.ones(7), k)
    np.testing.assert_allclose(found, sum(c**2 * k**j for j, c in enumerate(coefficients)))


def test_expansions_state_their_error():
    # At correlation one the bound is the error; elsewhere it is more.
    q = jnp.array([0.3, 1.0, 2.0])
    for function, exact in ((jax.nn.relu, nn.Relu()), (nn.Gelu(), nn.Gelu())):
        for terms in (12,):
            expansion = nn.HermiteExpansion(function, terms=terms, nodes=200)
            bounds = expansion.error_bounds(q)
            assert bounds[0].shape == q.shape
            for correlation in (1.0, -0.4):
                pair = q, q, correlation * q
                found, right = expansion.moments(*pair), exact.moments(*pair)
                for moment, true, bound in zip(found, right, bounds, strict=True):
                    # Across a kink quadrature itself errs, like 1 / nodes.
                    kink = 0.03 if function is jax.nn.relu else 1e-12
                    assert np.all(np.abs(moment - true) <= bound + kink * true + 1e-13)
    assert np.all(nn.HermiteExpansion(nn.Gelu(), 32, 200).error_bounds(q[:2])[0] < 1e-8)


def test_expansion_and_quadrature_agree_on_smooth_functions():
    x, z, k = jnp.array(PAIRS).T / 4
    quadrature = nn.GaussHermite(jnp.tanh, nodes=60).moments(x, z, k)
    expansion = nn.HermiteExpansion(jnp.tanh, terms=60, nodes=120).moments(x, z, k)
    for left, right in zip(quadrature, expansion, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-9)


def test_quadrature_of_a_closed_form_and_its_slopes():
    x, z, k = jnp.array(PAIRS[:4]).T
    quadrature, exact = nn.GaussHermite(nn.Sine(), nodes=32), nn.Sine()

    @jax.jit
    def slopes(x, z, k):
        return [
            jax.vmap(jax.grad(lambda *p, a=a: a.moments(*p)[0], (0, 1, 2)))(x, z, k)
            for a in (quadrature, exact)
        ]

    for left, right in zip(*slopes(x, z, k), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-12)


def test_counts_that_are_none_name_the_activation():
    with pytest.raises(nn.ArchitectureError, match=r"^HermiteExpansion\(tanh\): `terms` must be"):
        nn.HermiteExpansion(jnp.tanh, terms=0)
    with pytest.raises(nn.ArchitectureError, match=r"^GaussHermite\(function\): `function` must"):
        nn.GaussHermite(3)


@pytest.mark.parametrize("coefficients", [[], [np.nan], [1.0, np.inf]])
def test_coefficients_that_are_none_get_their_sentence(coefficients):
    for polynomial in (nn.Polynomial, nn.Hermite):
        with pytest.raises(ValueError, match=r"^`coefficients` must be one or more"):
            polynomial(coefficients)
