"""Infinite networks: another library's numbers, quadrature, finite wide networks, and corners."""

import functools
import itertools
from pathlib import Path

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from wilsonian import ArcCosine, ErfNetwork

pytestmark = pytest.mark.double_precision
# A few dozen roundings of float64, for numbers of order one.
assert_close = functools.partial(helpers.assert_close, rtol=1e-12, atol=1e-14)

NETWORKS = {"relu": ArcCosine, "erf": ErfNetwork}
KINDS = ("nngp", "ntk")
each_network = pytest.mark.parametrize("activation", NETWORKS)
each_kind = pytest.mark.parametrize("kind", KINDS)


@jax.jit
def grams(kernels, X, Z):
    """Of several kernels, in one compilation."""
    return [kernel(X, Z) for kernel in kernels]


X = np.random.default_rng(0).normal(size=(5, 4))
Z = np.vstack([X[:1], -X[1:2], np.random.default_rng(1).normal(size=(2, 4))])

# Another library: neural-tangents 0.6.5 in float64. Its weights are standard deviations.

REFERENCE = Path(__file__).parent / "references" / "neural_tangents" / "kernels.npz"
REFERENCES = {
    "relu_depth1": ArcCosine(1, weight_variance=1.5**2, bias_variance=0.05**2),
    "relu_depth3": ArcCosine(3, weight_variance=2.0, bias_variance=0.1**2),
    "relu_depth10": ArcCosine(10, weight_variance=2.0, bias_variance=0.0),
    "erf_depth1": ErfNetwork(1, weight_variance=1.5**2, bias_variance=0.05**2),
    "erf_depth3": ErfNetwork(3, weight_variance=1.5**2, bias_variance=0.05**2),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_neural_tangents_says_the_same(name):
    network = REFERENCES[name]
    parameters = network.weight_variance, network.bias_variance
    kernels = [type(network)(network.depth, kind, *parameters) for kind in KINDS]
    with np.load(REFERENCE) as reference:
        both = np.vstack([reference["X"], reference["Z"]])
        for kind, gram in zip(KINDS, grams(kernels, reference["X"], both), strict=True):
            expected = np.hstack([reference[f"{name}/{kind}_xx"], reference[f"{name}/{kind}"]])
            assert_close(gram, expected, rtol=1e-11)


# Quadrature: the recursion of the class's docstring in NumPy, its expectations by integrals.


def relu_moments(x_variance, z_variance, covariance):
    """Both expectations in polar coordinates, arc by arc between the kinks."""
    root = np.linalg.cholesky([[x_variance, covariance], [covariance, z_variance]])
    starts = np.arctan2(-root[:, 0], root[:, 1])  # where one of both begins or ends
    kinks = np.sort(np.concatenate([starts, starts + np.pi]) % (2 * np.pi))

    def mean(function):
        def integrand(angle):
            return function(*(root @ [np.cos(angle), np.sin(angle)]))

        arcs = itertools.pairwise([*kinks, kinks[0] + 2 * np.pi])
        pieces = [scipy.integrate.quad(integrand, *arc, epsabs=1e-13)[0] for arc in arcs]
        return sum(pieces) / (2 * np.pi)

    # The mean of the squared radius is two.
    return 2 * mean(lambda u, v: max(u, 0) * max(v, 0)), mean(lambda u, v: (u > 0) * (v > 0))


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)


def erf_moments(x_variance, z_variance, covariance):
    """Both expectations by Gauss-Hermite quadrature, exact to rounding for functions as smooth."""
    root = np.linalg.cholesky([[x_variance, covariance], [covariance, z_variance]])
    u = root[0, 0] * NODES[:, None]
    v = root[1, 0] * NODES[:, None] + root[1, 1] * NODES
    weights = np.outer(WEIGHTS, WEIGHTS) / (2 * np.pi)
    moment = np.sum(weights * scipy.special.erf(u) * scipy.special.erf(v))
    return moment, np.sum(weights * 4 / np.pi * np.exp(-(u**2) - v**2))


def erf_variance(variance):
    return np.sum(WEIGHTS * scipy.special.erf(variance**0.5 * NODES) ** 2) / (2 * np.pi) ** 0.5


MOMENTS = {
    "relu": (relu_moments, lambda variance: variance / 2),  # by symmetry
    "erf": (erf_moments, erf_variance),
}


def recursion(activation, depth, kind, weight_variance, bias_variance, x, z):
    def layer(moment):
        return weight_variance * moment + bias_variance

    gram = layer(np.array([[x @ x, x @ z], [z @ x, z @ z]]) / len(x))
    tangent = gram[0, 1]
    moments, variance = MOMENTS[activation]
    for _ in range(depth):
        (q, k), (_, r) = gram
        off, derivative = moments(q, r, k)
        on = [variance(q) for q in (q, r)]
        gram = layer(np.array([[on[0], off], [off, on[1]]]))
        tangent = gram[0, 1] + weight_variance * derivative * tangent
    return gram[0, 1] if kind == "nngp" else tangent


@each_network
def test_the_recursion_by_quadrature_says_the_same(activation):
    # Small weights, for which 80 nodes resolve an erf.
    cases = [(depth, kind, 0.8, 0.1) for depth in (1, 2, 3) for kind in KINDS]
    found = grams([NETWORKS[activation](*case) for case in cases], X[:2], Z[2:])
    for case, gram in zip(cases, found, strict=True):
        expected = [[recursion(activation, *case, x, z) for z in Z[2:]] for x in X[:2]]
        assert_close(gram, expected, rtol=1e-10)


def test_expected_slopes_are_the_chance_that_both_units_are_on():
    kernel = ArcCosine()
    for covariance in (-0.9, -0.2, 0.0, 0.5, 1.1):
        both = [[1.0, covariance], [covariance, 1.5]]
        chance = scipy.stats.multivariate_normal(cov=both).cdf([0.0, 0.0])
        assert_close(kernel.activation.moments(1.0, 1.5, covariance)[1], chance, rtol=1e-6)


def test_one_layer_has_its_closed_form():
    # Cho and Saul 2009, eq. 6, and Williams 1997, eq. 11, with unit vectors and v_w = d.
    angle = 0.7
    x, z = np.array([[1.0, 0.0]]), np.array([[np.cos(angle), np.sin(angle)]])
    relu = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
    relu_slope = (np.pi - angle) / np.pi * np.cos(angle)
    erf = 4 / np.pi * np.arcsin(2 * np.cos(angle) / 3)
    erf_slope = 8 / np.pi / np.sqrt(9 - 4 * np.cos(angle) ** 2) * np.cos(angle)
    kernels = [network(1, kind, 2.0) for network in NETWORKS.values() for kind in KINDS]
    expected = [relu, relu + relu_slope, erf, erf + erf_slope]
    assert_close(np.ravel(grams(kernels, x, z)), expected)


# Finite networks: their average over initializations tends to the kernels.

PHI = {"relu": jax.nn.relu, "erf": jax.scipy.special.erf}
INPUTS = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.8]])
WEIGHT_VARIANCE, BIAS_VARIANCE = 1.7, 0.2


def initialize(key, sizes):
    shapes = [((m, n), (m,)) for n, m in itertools.pairwise(sizes)]
    keys = jax.random.split(key, 2 * len(shapes))
    return [
        (jax.random.normal(keys[2 * i], weights), jax.random.normal(keys[2 * i + 1], biases))
        for i, (weights, biases) in enumerate(shapes)
    ]


def network(parameters, x, activation):
    """The docstring's network of one input: its output, and what its last layer reads."""
    for index, (weights, biases) in enumerate(parameters):
        hidden = PHI[activation](x) if index else x
        scale = (WEIGHT_VARIANCE / len(hidden)) ** 0.5
        x = scale * weights @ hidden + BIAS_VARIANCE**0.5 * biases
    return x[0], hidden


def finite_kernels(activation, depth, width, draws):
    """NNGP (draws, 2, 2) of the last hidden layer and NTK (draws, 2, 2) of finite networks."""

    def one(key):
        parameters = initialize(key, [INPUTS.shape[1], *depth * [width], 1])
        hidden = jax.vmap(lambda x: network(parameters, x, activation)[1])(INPUTS)
        nngp = WEIGHT_VARIANCE * hidden @ hidden.T / width + BIAS_VARIANCE
        slopes = jax.jacobian(lambda p: jax.vmap(lambda x: network(p, x, activation)[0])(INPUTS))(
            parameters
        )
        flat = [slope.reshape(len(INPUTS), -1) for slope in jax.tree.leaves(slopes)]
        return nngp, sum(slope @ slope.T for slope in flat)

    keys = jax.random.split(jax.random.key(3), draws)
    return jax.jit(lambda keys: jax.lax.map(one, keys))(keys)


@each_network
def test_wide_networks_have_these_kernels_on_average(activation):
    depth, width, draws = 2, 256, 60
    for kind, found in zip(KINDS, finite_kernels(activation, depth, width, draws), strict=True):
        kernel = NETWORKS[activation](depth, kind, WEIGHT_VARIANCE, BIAS_VARIANCE)(INPUTS)
        standard_error = found.std(axis=0) / draws**0.5
        # Networks of finite width are off by order 1 / width; here by less than their noise.
        assert np.all(np.abs(found.mean(axis=0) - kernel) < 4 * standard_error)
        assert np.all(standard_error < 0.04 * np.abs(kernel).max())  # sharp enough to fail


# Laws.


@pytest.mark.parametrize("depth", [1, 12])
def test_he_initialization_keeps_the_variance(depth):
    variance = 2 * np.sum(X**2, axis=1) / X.shape[1]
    kernels = [ArcCosine(depth, kind) for kind in KINDS]  # weight variance 2, no bias
    nngp, ntk = (np.diagonal(gram) for gram in grams(kernels, X, X))
    assert_close(nngp, variance)
    # Each layer adds as much again to the tangent kernel.
    assert_close(ntk, (depth + 1) * variance)


def test_relu_networks_without_bias_are_homogeneous():
    kernels = [ArcCosine(2, kind) for kind in KINDS]
    expected = np.array(grams(kernels, X, Z))
    for factor in (1e-12, 3.0, 1e12):
        assert_close(grams(kernels, factor * X, Z), factor * expected, atol=1e-14 * factor)


def test_erf_networks_without_bias_are_odd():
    kernels = [ErfNetwork(2, kind) for kind in KINDS]
    assert_close(grams(kernels, -X, Z), -np.array(grams(kernels, X, Z)))


@each_network
def test_the_tangent_kernel_exceeds_the_covariance(activation):
    # By a positive semidefinite matrix: the gradients of all layers but the last.
    nngp, ntk = grams([NETWORKS[activation](2, kind) for kind in KINDS], X, X)
    assert np.linalg.eigvalsh(ntk - nngp)[0] > 0


# Corners. (Of whole kernels, with their hyperparameters, in test_kernels.py.)


@each_network
@pytest.mark.parametrize("variance", [1e-9, 1.0, 1e9])
def test_moments_have_finite_slopes_at_identical_opposite_and_zero_inputs(activation, variance):
    kernel = NETWORKS[activation]()
    slopes = jax.jit(jax.jacfwd(kernel.activation.moments, (0, 1, 2)))
    for covariance in (variance, -variance):
        assert np.all(np.isfinite(jax.tree.leaves(slopes(variance, variance, covariance))))
    for pair in ((0.0, variance), (variance, 0.0), (0.0, 0.0)):
        assert np.all(np.isfinite(jax.tree.leaves(slopes(*pair, 0.0))))


@each_network
def test_moments_of_identical_inputs_are_second_moments(activation):
    kernel = NETWORKS[activation]()
    for variance in (0.0, 1e-9, 1.0, 1e9):
        variance = jnp.asarray(variance)
        moment, _ = kernel.activation.moments(variance, variance, variance)
        assert_close(moment, kernel.activation.second_moment(variance))


@each_network
def test_the_gradient_at_identical_inputs_is_right(activation):
    # The covariance is smooth there: k(x, z) with z fixed, by central differences.
    kernel = NETWORKS[activation](2, "nngp", 1.5, 0.1)
    x, along = np.array([1.0, 2.0, 3.0]), np.array([0.3, -1.0, 0.5])

    @jax.jit
    def value_and_slope(size):
        return jax.value_and_grad(lambda size: kernel.evaluate(x + size * along, x))(size)

    difference = (value_and_slope(1e-4)[0] - value_and_slope(-1e-4)[0]) / 2e-4
    # A third derivative that jumps leaves an error of order h.
    assert_close(value_and_slope(0.0)[1], difference, rtol=1e-4)


@each_network
def test_inputs_know_themselves_in_single_precision(activation):
    many = np.random.default_rng(2).normal(size=(50, 300))
    kernels = [NETWORKS[activation](4, kind, 2.0, 0.1) for kind in KINDS]
    expected = [np.diagonal(gram) for gram in grams(kernels, many, many)]
    with jax.enable_x64(False):
        found = [np.diagonal(gram) for gram in grams(kernels, many, many)]
    # Without a floor for angles the NTK would be off by sqrt(eps), 3e-4.
    assert_close(found, expected, rtol=5e-6)


@each_network
def test_inputs_of_any_size_work_in_single_precision(activation):
    @jax.jit
    def grams_and_slopes(X):
        kernels = [NETWORKS[activation](1, kind) for kind in KINDS]
        total = jax.grad(lambda X: sum(jnp.sum(kernel(X)) for kernel in kernels))
        return [kernel(X) for kernel in kernels], total(X)

    for size in (1e-12, 1e-4, 1e4, 1e8):
        expected, _ = grams_and_slopes(size * X)
        with jax.enable_x64(False):
            found, slope = grams_and_slopes(size * X)
            assert jnp.all(jnp.isfinite(slope))
        for gram, exact in zip(found, expected, strict=True):
            assert gram.dtype == np.float32
            assert_close(gram, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


# Errors.


@each_network
@pytest.mark.parametrize("depth", [0, -1, 1.0, "1", None])
def test_depths_that_are_none_get_their_sentence(activation, depth):
    sentence = rf"^`depth` counts hidden layers and must be at least 1, got {depth!r}\.$"
    with pytest.raises(ValueError, match=sentence):
        NETWORKS[activation](depth)


@each_network
@pytest.mark.parametrize("kind", ["NTK", "gp", None])
def test_kinds_that_are_none_get_their_sentence(activation, kind):
    with pytest.raises(ValueError, match=rf"^`kind` must be 'nngp' or 'ntk', got {kind!r}\.$"):
        NETWORKS[activation](kind=kind)
