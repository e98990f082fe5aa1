"""Infinite networks: another library's numbers, quadrature, finite wide networks, and corners."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from wilsonian import ArcCosine, ErfNetwork

NETWORKS = {"relu": ArcCosine, "erf": ErfNetwork}
KINDS = ("nngp", "ntk")
each_network = pytest.mark.parametrize("activation", NETWORKS)
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def assert_close(actual, expected, rtol=1e-12, atol=1e-14):
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=rtol, atol=atol)


def test_assert_close_can_fail():
    with pytest.raises(AssertionError):
        assert_close(np.ones(3), (1 + 1e-11) * np.ones(3))


X = np.random.default_rng(0).normal(size=(5, 4))
Z = np.vstack([X[:1], -X[1:2], np.random.default_rng(1).normal(size=(2, 4))])

# Another library: neural-tangents 0.6.5 in float64. Its weights are standard deviations.

REFERENCE = Path(__file__).parents[2] / "shared" / "reference" / "networks.npz"
REFERENCES = {
    "relu_depth1": ArcCosine(1, weight_variance=1.5**2, bias_variance=0.05**2),
    "relu_depth3": ArcCosine(3, weight_variance=2.0, bias_variance=0.1**2),
    "relu_depth10": ArcCosine(10, weight_variance=2.0, bias_variance=0.0),
    "erf_depth1": ErfNetwork(1, weight_variance=1.5**2, bias_variance=0.05**2),
    "erf_depth3": ErfNetwork(3, weight_variance=1.5**2, bias_variance=0.05**2),
}


@pytest.mark.skipif(
    not REFERENCE.exists(),
    reason=f"the reference values of neural-tangents are not distributed; put them at {REFERENCE}",
)
@each_kind
@pytest.mark.parametrize("name", REFERENCES)
def test_neural_tangents_says_the_same(name, kind):
    network = REFERENCES[name]
    kernel = type(network)(network.depth, kind, network.weight_variance, network.bias_variance)
    with np.load(REFERENCE) as reference:
        left, right = reference["X"], reference["Z"]
        # Formulas agree to rounding; its NTK of ReLU knows angles between equal inputs to
        # sqrt(eps), 1e-8 per layer.
        tolerance = 1e-6 if kind == "ntk" else 1e-10
        assert_close(kernel(left, right), reference[f"{name}/{kind}"], rtol=tolerance)
        assert_close(kernel(left), reference[f"{name}/{kind}_xx"], rtol=tolerance)


# Quadrature: the recursion of the class's docstring in NumPy, its expectations by integrals.


def relu_moments(x_variance, z_variance, covariance):
    """Both expectations in polar coordinates, where the Gaussian's radius integrates to one."""
    root = np.linalg.cholesky([[x_variance, covariance], [covariance, z_variance]])
    kinks = [
        angle % (2 * np.pi) for row in root for angle in np.arctan2(-row[0], row[1]) + [0, np.pi]
    ]

    def mean(function, power):
        def integrand(angle):
            u, v = root @ [np.cos(angle), np.sin(angle)]
            return function(u, v)

        whole, _ = scipy.integrate.quad(
            integrand, 0, 2 * np.pi, points=kinks, epsabs=1e-13, epsrel=1e-13, limit=200
        )
        return whole * (2 if power else 1) / (2 * np.pi)  # the radius to the 2 has mean 2

    return mean(lambda u, v: max(u, 0) * max(v, 0), 2), mean(lambda u, v: (u > 0) * (v > 0), 0)


NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)


def erf_moments(x_variance, z_variance, covariance):
    """Both expectations by Gauss-Hermite quadrature, exact to rounding for functions as smooth."""
    root = np.linalg.cholesky([[x_variance, covariance], [covariance, z_variance]])
    u = root[0, 0] * NODES[:, None]
    v = root[1, 0] * NODES[:, None] + root[1, 1] * NODES
    weights = np.outer(WEIGHTS, WEIGHTS) / (2 * np.pi)
    moment = np.sum(weights * scipy.special.erf(u) * scipy.special.erf(v))
    return moment, np.sum(weights * 4 / np.pi * np.exp(-(u**2) - v**2))


MOMENTS = {"relu": relu_moments, "erf": erf_moments}


def recursion(activation, depth, kind, weight_variance, bias_variance, x, z):
    def layer(moment):
        return weight_variance * moment + bias_variance

    gram = layer(np.array([[x @ x, x @ z], [z @ x, z @ z]]) / len(x))
    tangent = gram[0, 1]
    moments = MOMENTS[activation]
    for _ in range(depth):
        (q, k), (_, r) = gram
        off, derivative = moments(q, r, k)
        # A variance is the moment of a pair that is nearly one: extrapolated to its end.
        on = [
            2 * moments(s, s, s * (1 - 1e-9))[0] - moments(s, s, s * (1 - 2e-9))[0] for s in (q, r)
        ]
        gram = layer(np.array([[on[0], off], [off, on[1]]]))
        tangent = gram[0, 1] + weight_variance * derivative * tangent
    return gram[0, 1] if kind == "nngp" else tangent


@each_network
@each_kind
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_recursion_by_quadrature_says_the_same(activation, kind, depth):
    # Small weights, for which 80 nodes resolve an erf.
    parameters = depth, kind, 0.8, 0.1
    gram = NETWORKS[activation](*parameters)(X[:2], Z[2:])
    expected = [[recursion(activation, *parameters, x, z) for z in Z[2:]] for x in X[:2]]
    assert_close(gram, expected, rtol=1e-8)


def test_expected_slopes_are_the_chance_that_both_units_are_on():
    kernel = ArcCosine()
    for covariance in (-0.9, -0.2, 0.0, 0.5, 1.1):
        both = [[1.0, covariance], [covariance, 1.5]]
        chance = scipy.stats.multivariate_normal(cov=both).cdf([0.0, 0.0])
        assert_close(kernel.moments(1.0, 1.5, covariance)[1], chance, rtol=1e-6)


def test_one_layer_has_its_closed_form():
    # Cho and Saul 2009, eq. 6, and Williams 1997, eq. 11, with unit vectors and v_w = d.
    angle = 0.7
    x, z = np.array([[1.0, 0.0]]), np.array([[np.cos(angle), np.sin(angle)]])
    relu = (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi
    assert_close(ArcCosine(1, "nngp", 2.0)(x, z), [[relu]])
    slope = (np.pi - angle) / np.pi * np.cos(angle)
    assert_close(ArcCosine(1, "ntk", 2.0)(x, z), [[relu + slope]])
    erf = 2 * 2 / np.pi * np.arcsin(2 * np.cos(angle) / 3)
    assert_close(ErfNetwork(1, "nngp", 2.0)(x, z), [[erf]])
    slope = 2 * 4 / np.pi / np.sqrt(9 - 4 * np.cos(angle) ** 2) * np.cos(angle)
    assert_close(ErfNetwork(1, "ntk", 2.0)(x, z), [[erf + slope]])


# Finite networks: their average over initializations tends to the kernels.

PHI = {"relu": jax.nn.relu, "erf": jax.scipy.special.erf}
INPUTS = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.8]])
WEIGHT_VARIANCE, BIAS_VARIANCE = 1.7, 0.2


def initialize(key, sizes):
    shapes = [((m, n), (m,)) for n, m in zip(sizes[:-1], sizes[1:], strict=True)]
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
@pytest.mark.parametrize("depth", [1, 2])
def test_wide_networks_have_these_kernels_on_average(activation, depth):
    width, draws = 256, 200
    for kind, found in zip(KINDS, finite_kernels(activation, depth, width, draws), strict=True):
        kernel = NETWORKS[activation](depth, kind, WEIGHT_VARIANCE, BIAS_VARIANCE)(INPUTS)
        standard_error = found.std(axis=0) / draws**0.5
        # Networks of finite width are off by order 1 / width; here by less than their noise.
        assert np.all(np.abs(found.mean(axis=0) - kernel) < 4 * standard_error)
        assert np.all(standard_error < 0.02 * np.abs(kernel).max())  # sharp enough to fail


# Laws.


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_he_initialization_keeps_the_variance(depth):
    kernel = ArcCosine(depth)  # weight variance 2, no bias
    variance = 2 * np.sum(X**2, axis=1) / X.shape[1]
    assert_close(kernel.diagonal(jnp.asarray(X)), variance)
    assert_close(np.diagonal(kernel(X)), variance)
    # Each layer adds as much again to the tangent kernel.
    tangent = (depth + 1) * variance
    assert_close(ArcCosine(depth, "ntk").diagonal(jnp.asarray(X)), tangent)


@each_kind
def test_relu_networks_without_bias_are_homogeneous(kind):
    kernel = ArcCosine(2, kind)
    for factor in (1e-12, 3.0, 1e12):
        assert_close(kernel(factor * X, Z), factor * kernel(X, Z), atol=1e-14 * factor)


@each_kind
def test_erf_networks_without_bias_are_odd(kind):
    kernel = ErfNetwork(2, kind)
    assert_close(kernel(-X, Z), -kernel(X, Z))


@each_network
def test_the_tangent_kernel_exceeds_the_covariance(activation):
    # By a positive semidefinite matrix: the gradients of all layers but the last.
    nngp, ntk = (NETWORKS[activation](3, kind)(X) for kind in KINDS)
    assert np.linalg.eigvalsh(ntk - nngp)[0] > 0


# Corners.

CORNERS = np.array([[1.0, 2, 3], [1, 2, 3], [-1, -2, -3], [2, 4, 6], [0, 0, 0], [3, -1, 0]])


@each_network
@each_kind
@pytest.mark.parametrize("bias_variance", [0.0, 0.1])
def test_gradients_are_finite_at_identical_opposite_and_zero_inputs(
    activation, kind, bias_variance
):
    def gram(weight_variance, bias_variance, X, Z):
        kernel = NETWORKS[activation](3, kind, weight_variance, bias_variance)
        return kernel(X, Z)

    slopes = jax.jit(jax.jacrev(gram, (0, 1, 2, 3)))
    for slope in slopes(1.5, bias_variance, jnp.asarray(CORNERS), jnp.asarray(CORNERS)):
        assert jnp.all(jnp.isfinite(slope))


@each_network
def test_the_gradient_at_identical_inputs_is_right(activation):
    # The covariance is smooth there: k(x, z) with z fixed, by central differences.
    kernel = NETWORKS[activation](2, "nngp", 1.5, 0.1)
    x = jnp.asarray(CORNERS[0])
    along = jnp.asarray([0.3, -1.0, 0.5])
    slope = jax.grad(lambda x: kernel.evaluate(x, jnp.asarray(CORNERS[1])))(x) @ along
    near = [kernel.evaluate(x + size * along, x) for size in (1e-4, -1e-4)]
    # A third derivative that jumps leaves an error of order h.
    assert_close(slope, (near[0] - near[1]) / 2e-4, rtol=1e-4)


@each_network
@each_kind
def test_inputs_know_themselves_in_single_precision(activation, kind):
    kernel = NETWORKS[activation](3, kind)
    many = np.random.default_rng(2).normal(size=(50, 300))
    expected = np.asarray(kernel.diagonal(jnp.asarray(many)))
    with jax.enable_x64(False):
        # Without a floor for angles the NTK's would be off by sqrt(eps), 3e-4.
        assert_close(np.diagonal(kernel(many)), expected, rtol=5e-6)
        assert_close(kernel.diagonal(jnp.asarray(many)), expected, rtol=5e-6)


@each_network
@each_kind
@pytest.mark.parametrize("size", [1e-12, 1e4, 1e12])
def test_inputs_of_any_size_work_in_single_precision(activation, kind, size):
    kernel = NETWORKS[activation](1, kind)
    expected = np.asarray(kernel(size * X, size * X))
    with jax.enable_x64(False):
        gram = np.asarray(kernel(size * X, size * X))
        slope = jax.grad(lambda X: jnp.sum(kernel(X)))(jnp.asarray(size * X))
    assert_close(gram, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert np.all(np.isfinite(slope))


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
