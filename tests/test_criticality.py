"""Phases of deep networks: known critical points, closed forms, and the maps iterated by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close
from matplotlib.figure import Figure

from wilsonian.networks import AbstractActivation, Cosine, Erf, Gelu, LeakyRelu, Relu, Sine
from wilsonian.networks.criticality import criticality, depth_flow, edge_of_chaos
from wilsonian.networks.phase_plots import plot_depth_flow, plot_phase_diagram

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(100)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


class Tanh(AbstractActivation):
    """Without closed form: Gauss-Hermite quadrature."""

    def __call__(self, x):
        return jnp.tanh(x)

    def moments(self, x_variance, z_variance, covariance):
        def one(q, r, k):
            share = jnp.where(q > 0, k / jnp.sqrt(jnp.where(q > 0, q, 1.0)), 0.0)
            u = jnp.sqrt(q) * NODES[:, None]
            v = share * NODES[:, None] + jnp.sqrt(jnp.maximum(r - share**2, 0.0)) * NODES
            both = WEIGHTS[:, None] * WEIGHTS
            slopes = (1 - jnp.tanh(u) ** 2) * (1 - jnp.tanh(v) ** 2)
            return jnp.sum(both * jnp.tanh(u) * jnp.tanh(v)), jnp.sum(both * slopes)

        return jnp.vectorize(one)(x_variance, z_variance, covariance)

    def second_moment(self, variance):
        return jnp.tanh(jnp.sqrt(variance)[..., None] * NODES) ** 2 @ WEIGHTS

    def slope_moment(self, variance):
        return (1 - jnp.tanh(jnp.sqrt(variance)[..., None] * NODES) ** 2) ** 2 @ WEIGHTS


# Known critical points.


def test_relu_is_critical_at_weight_variance_two_without_bias_only():
    # He et al. 2015; Hayou et al. 2019.
    assert_close(edge_of_chaos(Relu()), 2.0)
    found = criticality(Relu(), 2.0)
    assert found.phase == "critical"
    assert_close((found.variance, found.correlation, found.chi_1), (1, 1, 1))
    assert found.variance_depth == found.correlation_depth == np.inf
    with pytest.raises(ValueError, match=r"^Relu has no edge of chaos at bias variance 0\.1 that"):
        edge_of_chaos(Relu(), 0.1)
    assert_close(edge_of_chaos(LeakyRelu(0.1)), 2 / 1.01)


def test_relu_has_its_closed_form():
    # V(q) = v_w q / 2 + v_b.
    found = criticality(Relu(), 1.5, 0.1)
    assert_close((found.variance, found.chi_1), (0.4, 0.75))
    assert_close([found.variance_depth, found.correlation_depth], 2 * [-1 / np.log(0.75)])
    assert found.phase == "ordered"
    assert criticality(Relu(), 1.5).variance == 0
    for weight, bias in ((2.5, 0.0), (2.5, 0.1), (2.0, 0.1)):
        found = criticality(Relu(), weight, bias)
        assert (found.phase, found.variance) == ("divergent", np.inf)


def test_the_edge_of_chaos_of_erf_has_its_closed_form():
    # chi_1 = v_w (4 / pi) (1 + 4 q)^-1/2 = 1 and q = v_w (2 / pi) arcsin(2 q / (1 + 2 q)) + v_b.
    assert_close(edge_of_chaos(Erf()), np.pi / 4, rtol=1e-9)
    for q in (0.3, 1.0, 7.0):
        weight = np.pi / 4 * np.sqrt(1 + 4 * q)
        bias = q - weight * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))
        assert_close(edge_of_chaos(Erf(), bias), weight)
        found = criticality(Erf(), weight, bias)
        assert found.phase == "critical"
        assert_close(found.variance, q)


def test_tanh_is_critical_where_the_papers_have_it():
    # Schoenholz et al. 2017, section 5: weight variance 1.76 at bias variance 0.05, to its digits.
    assert_close(edge_of_chaos(Tanh()), 1.0, rtol=1e-9)
    assert abs(edge_of_chaos(Tanh(), 0.05) - 1.76) < 0.005
    # A plain function, by the library's quadrature instead of this file's.
    assert_close(edge_of_chaos(jnp.tanh, 0.05), edge_of_chaos(Tanh(), 0.05), rtol=1e-7)


def test_gelu_is_critical_from_its_half_stable_point_on():
    # Roberts, Yaida and Hanin 2022, section 5.3.4: (C_b, C_W) = (0.173, 1.983), both slopes one.
    with pytest.raises(ValueError, match=r"^Gelu has no edge of chaos at bias variance 0\.17 "):
        edge_of_chaos(Gelu(), 0.17)
    assert abs(edge_of_chaos(Gelu(), 0.1732) - 1.983) < 0.002
    weight = edge_of_chaos(Gelu(), 0.173)
    assert criticality(Gelu(), weight, 0.173).variance_depth > 30  # nearly unstable


# The maps iterated by hand, in NumPy, for an activation with other closed forms.


def erf_layer(variance, covariance, weight, bias):
    second = 2 / np.pi * np.arcsin(2 * variance / (1 + 2 * variance))
    mixed = 2 / np.pi * np.arcsin(2 * covariance / (1 + 2 * variance))
    return weight * second + bias, weight * mixed + bias


@pytest.mark.parametrize(("weight", "bias"), [(3.0, 0.05), (1.0, 0.05), (2.0, 0.4)])
def test_iterated_layers_say_the_same(weight, bias):
    flow = depth_flow(Erf(), weight, bias, depth=60, variance=0.7, correlation=0.3)
    variance, covariance = 0.7, 0.21
    for layer in range(61):
        assert_close(flow.variance[layer], variance)
        assert_close(flow.correlation[layer], covariance / variance)
        variance, covariance = erf_layer(variance, covariance, weight, bias)


@pytest.mark.parametrize(("weight", "bias"), [(3.0, 0.05), (1.0, 0.05), (4.0, 0.4)])
def test_layers_reach_the_fixed_point_at_the_predicted_rate(weight, bias):
    found = criticality(Erf(), weight, bias)
    assert found.phase == ("ordered" if weight == 1.0 else "chaotic")
    variance, covariance, correlations, variances = 1.0, 0.5, [], []
    for _ in range(400):
        variance, covariance = erf_layer(variance, covariance, weight, bias)
        variances.append(variance)
        correlations.append(covariance / variance)
    # Far from the fixed point the approach is faster or slower; near it rounding enters.
    assert_close(variances[-1], found.variance)
    assert_close(correlations[-1], found.correlation, rtol=1e-9)
    for values, end, scale in (
        (variances, found.variance, found.variance_depth),
        (correlations, found.correlation, found.correlation_depth),
    ):
        gaps = np.abs(np.array(values) - end)
        late = np.flatnonzero(gaps > 1e-9)[-1]
        assert_close(np.log(gaps[late - 1] / gaps[late]), 1 / scale, rtol=1e-3)


def test_tanh_by_quadrature_flows_to_its_fixed_point():
    found = criticality(Tanh(), 3.0, 0.05)
    flow = depth_flow(Tanh(), 3.0, 0.05, depth=200)
    assert found.phase == "chaotic"
    assert_close(flow.variance[-1], found.variance, rtol=1e-9)
    assert_close(flow.correlation[-1], found.correlation, rtol=1e-6)


def test_the_slope_is_that_of_finite_networks():
    # chi_1 is the mean squared gain of a layer on a small perturbation (Poole et al. 2016, eq. 9).
    found = criticality(Erf(), 3.0, 0.05)
    width, draws = 400, 20
    random = np.random.default_rng(0)
    gains = []
    for _ in range(draws):
        h, change = found.variance**0.5 * random.normal(size=width), random.normal(size=width)
        slope = 2 / np.pi**0.5 * np.exp(-(h**2))
        layer = (3.0 / width) ** 0.5 * random.normal(size=(width, width))
        gains.append(np.sum((layer @ (slope * change)) ** 2) / np.sum(change**2))
    assert abs(np.mean(gains) - found.chi_1) < 4 * np.std(gains) / draws**0.5
    assert np.std(gains) / draws**0.5 < 0.05 * found.chi_1  # sharp enough to fail


def test_odd_activations_without_bias_decorrelate_to_zero():
    found = criticality(Sine(), 3.0)
    assert (found.phase, found.correlation) == ("chaotic", 0.0)


def test_a_map_that_falls_has_its_fixed_point_too():
    # q = v_w (1 + e^-2q) / 2 + v_b.
    found = criticality(Cosine(), 2.0, 0.1)
    assert_close(found.variance, 1 + np.exp(-2 * found.variance) + 0.1)


# Figures.


def test_the_phase_diagram_draws_the_edge():
    ax = plot_phase_diagram(Figure().subplots(), Erf())
    edge = next(line for line in ax.lines if line.get_label() == "edge of chaos")
    weight, bias = edge.get_data()
    place = np.nanargmin(np.abs(bias - 0.2))
    assert_close(weight[place], edge_of_chaos(Erf(), bias[place]), rtol=1e-8)
    levels = [text.get_text() for text in ax.texts]
    assert levels == ["0.5", "0.7", "0.9", "1.1", "1.3", "1.5"]


def test_the_depth_flow_is_drawn_with_its_fixed_point():
    ax = plot_depth_flow(Figure().subplots(), Erf(), 3.0, 0.05, correlations=(0.9, 0.1))
    found = criticality(Erf(), 3.0, 0.05)
    flow = depth_flow(Erf(), 3.0, 0.05, depth=30, variance=found.variance, correlation=0.1)
    assert_close(ax.lines[1].get_ydata(), flow.correlation)
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["correlation", "fixed point 0.191 (chaotic)", "depth scale 6.5 layers"]
    # The dotted line meets the layers once they are close to the fixed point.
    assert_close(ax.lines[-1].get_ydata()[-1], flow.correlation[-1], rtol=1e-2)


# Errors.


def test_mistakes_get_their_sentence():
    with pytest.raises(TypeError, match=r"^expected an activation, got float; pass one such"):
        criticality(1.0, 2.0)
    for bad in (-1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"^`weight_variance` must be finite and not neg"):
            criticality(Relu(), bad)
        with pytest.raises(ValueError, match=r"^`bias_variance` must be finite and not negative"):
            edge_of_chaos(Relu(), bad)
    with pytest.raises(ValueError, match=r"^`correlation` must lie between -1 and 1, got 1\.5\.$"):
        depth_flow(Relu(), 2.0, correlation=1.5)
