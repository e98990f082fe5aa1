"""Empirical kernels: three ways and an explicit Jacobian say the same of every network."""

import functools
import itertools

import equinox as eqx
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wilsonian import ArcCosine
from wilsonian.networks.empirical import empirical_nngp, empirical_ntk, empirical_ntk_costs
from wilsonian.networks.structured import find_sites

pytestmark = pytest.mark.double_precision
# Three ways sum the same few hundred products, each in an order of its own.
assert_close = functools.partial(helpers.assert_close, rtol=1e-11, atol=1e-12)

METHODS = ("jacobian", "products", "structured")
random = np.random.default_rng(0)


def normal(*shape):
    return random.normal(size=shape)


class Perceptron(eqx.Module):
    """An Equinox module with biases, an activation and a number that is not differentiated."""

    layers: list
    count: int = 3

    def __init__(self, key):
        first, second, third = jax.random.split(key, 3)
        self.layers = [
            eqx.nn.Linear(4, 6, key=first),
            eqx.nn.LayerNorm(6),
            eqx.nn.Linear(6, 5, key=second),
            eqx.nn.Linear(5, 3, use_bias=False, key=third),
        ]

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = jax.nn.gelu(layer(x))
        return self.layers[-1](x) / self.count


def scaled(parameters, X):
    """A batch through NTK-parameterized layers, one of them used twice, in nested compilations."""
    hidden = jax.jit(jax.nn.relu)(jnp.sqrt(2 / X.shape[1]) * X @ parameters["in"])
    hidden = jnp.tanh(hidden @ (parameters["twice"] / 2) + jnp.sqrt(0.1) * parameters["bias"])
    hidden = jax.jit(lambda w, h: h @ w)(parameters["twice"], hidden)
    return jnp.exp(parameters["gain"]) * hidden @ (0.3 * parameters["out"]).T


def attention(parameters, x):
    """Weights applied at every position of a sequence, and a tensor contracted over two axes."""
    values = x @ parameters["values"]
    scores = jax.nn.softmax((x @ parameters["queries"]) @ values.T)
    return jnp.einsum("ph,phk->k", jnp.sin(scores @ values), parameters["read_out"])


def convolution(parameters, x):
    hidden = jax.lax.conv(x[None], parameters[0], (1, 1), "SAME")[0]
    return jnp.mean(jax.nn.relu(hidden), (1, 2)) @ parameters[1]


NETWORKS = {
    "equinox": (Perceptron(jax.random.key(0)), None, False, (4,)),
    "scaled": (
        scaled,
        {"in": normal(4, 5), "twice": normal(5, 5), "bias": normal(5), "gain": np.array(0.2),
         "out": normal(2, 5)},
        True,
        (4,),
    ),
    "attention": (
        attention,
        {"values": normal(3, 4), "queries": normal(3, 4), "read_out": normal(5, 4, 2)},
        False,
        (5, 3),
    ),
    "convolution": (convolution, [normal(3, 2, 3, 3), normal(3, 2)], False, (2, 4, 4)),
}  # fmt: skip
STRUCTURED = {"equinox": 3, "scaled": 2, "attention": 3, "convolution": 1}
each_network = pytest.mark.parametrize("name", NETWORKS)


@functools.cache
def case(name):
    """Arguments of the network, points, and the explicit kernel (n, m, o, o) in NumPy."""
    network, parameters, batched, shape = NETWORKS[name]
    with jax.enable_x64(True):
        network = jax.tree.map(
            lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, network
        )
        parameters = jax.tree.map(jnp.asarray, parameters)
        points = np.random.default_rng(1).normal(size=(5, *shape))
        whole = network if parameters is None else parameters
        moved, fixed = eqx.partition(whole, eqx.is_inexact_array)

        def function(moved, x):
            whole = eqx.combine(moved, fixed)
            if parameters is None:
                return whole(x)
            return network(whole, x[None])[0] if batched else network(whole, x)

        slopes = jax.jit(jax.vmap(jax.jacfwd(function), (None, 0)))(moved, points)
        flat = np.concatenate(
            [np.asarray(s).reshape(5, s.shape[1], -1) for s in jax.tree.leaves(slopes)], axis=2
        )
    options = {"parameters": parameters, "batched": batched}
    return network, options, points[:3], points[2:], np.einsum("iop,jqp->ijoq", flat, flat)


@functools.cache
def kernels(name):
    """Every way, mean and full, in one compilation."""
    network, options, X, Z, _ = case(name)
    arrays, rest = eqx.partition((network, options["parameters"]), eqx.is_array)

    @jax.jit
    def run(arrays, X, Z):
        network, parameters = eqx.combine(arrays, rest)
        choices = [(method, outputs) for method in METHODS for outputs in ("mean", "full")]
        return {
            "/".join(choice): empirical_ntk(
                *(network, X, Z),
                **(options | {"parameters": parameters}),
                method=choice[0],
                outputs=choice[1],
            )
            for choice in choices
        }

    with jax.enable_x64(True):
        return run(arrays, X, Z)


@each_network
@pytest.mark.parametrize("method", METHODS)
def test_every_way_is_the_explicit_jacobian_times_its_transpose(name, method):
    explicit = case(name)[-1]
    assert_close(kernels(name)[f"{method}/full"], explicit[:3, 2:])
    mean = np.einsum("ijoo->ij", explicit[:3, 2:]) / explicit.shape[2]
    assert_close(kernels(name)[f"{method}/mean"], mean)


@each_network
def test_weight_matrices_are_recognized(name):
    network, options, X, _, _ = case(name)
    moved, fixed = eqx.partition(
        network if options["parameters"] is None else options["parameters"], eqx.is_inexact_array
    )

    def function(moved, x):
        whole = eqx.combine(moved, fixed)
        if options["parameters"] is None:
            return whole(x)
        return network(whole, x[None])[0] if options["batched"] else network(whole, x)

    found = find_sites(function, moved, jnp.asarray(X[0])).found
    assert len(found) == STRUCTURED[name]
    for leaf, site in found.items():
        assert site.features_in * site.features_out == jax.tree.leaves(moved)[leaf].size
    if name == "attention":  # applied at five positions, twice, and once
        assert sorted(site.places for site in found.values()) == [1, 5, 5]


@pytest.mark.parametrize(("block_size", "outputs"), [(1, "full"), (2, "mean"), (100, "mean")])
def test_blocks_change_nothing(block_size, outputs):
    network, options, X, Z, _ = case("attention")
    blocks = jax.jit(
        lambda X, Z: empirical_ntk(
            *(network, X, Z), outputs=outputs, method="structured", block_size=block_size, **options
        )
    )
    assert_close(blocks(X, Z), kernels("attention")[f"structured/{outputs}"])


def test_leaving_the_second_points_out_means_the_first():
    network, options, X, _, explicit = case("attention")
    for method in ("jacobian", "structured"):
        full = empirical_ntk(network, X, outputs="full", method=method, **options)
        assert_close(full, explicit[:3, :3])


def test_nngp_is_the_product_of_outputs():
    network, _, X, Z, _ = case("equinox")
    at_x, at_z = (np.asarray(jax.vmap(network)(jnp.asarray(points))) for points in (X, Z))
    assert_close(
        empirical_nngp(network, X, Z, outputs="full"), np.einsum("io,jq->ijoq", at_x, at_z)
    )
    assert_close(empirical_nngp(network, X, Z), at_x @ at_z.T / 3)
    assert_close(empirical_nngp(network, X), at_x @ at_x.T / 3)


# The cost model, and what it chooses.


def layers(widths):
    """A linear network and its parameters."""
    weights = [np.ones((m, n)) / n for n, m in itertools.pairwise(widths)]
    return (lambda weights, x: functools.reduce(lambda h, w: w @ h, weights, x)), weights


def test_costs_are_those_of_the_stated_model():
    function, weights = layers((10, 20, 2))
    n, m, o, P, F = 7, 5, 2, 240, 2 * 240
    costs = empirical_ntk_costs(function, np.ones((n, 10)), np.ones((m, 10)), parameters=weights)
    assert costs == {
        "jacobian": (n + m) * (1 + 2 * o) * F + 2 * n * m * P * o,
        "products": m * (1 + 2 * o) * F + 3 * n * m * o * F,
        "structured": (n + m) * (1 + 2 * o) * F
        + 2 * n * m * ((2 * 20 + 10 + 2) + (2 * 2 + 20 + 2)),
    }


def test_the_cheapest_way_depends_on_the_network():
    def cheapest(function, points, parameters, outputs="mean"):
        costs = empirical_ntk_costs(function, points, parameters=parameters, outputs=outputs)
        return min(costs, key=costs.get)

    # A wide network: outer products. Many outputs, all pairs: vector products do not square them.
    function, weights = layers((10, 200, 200, 2))
    assert cheapest(function, np.ones((20, 10)), weights) == "structured"

    def elementwise(parameters, x):
        return jnp.sin(parameters) * x  # no matrix product to exploit

    many = np.ones(300)
    assert cheapest(elementwise, np.ones((20, 300)), many, "full") == "products"
    assert (
        cheapest(lambda p, x: jnp.sum(jnp.sin(p * x))[None], np.ones((20, 300)), many) == "jacobian"
    )
    found = empirical_ntk(elementwise, np.ones((2, 300)), parameters=many, outputs="full")
    assert_close(found[0, 1], np.cos(1.0) ** 2 * np.eye(300))


def test_wide_networks_have_the_infinite_kernel():
    # Many draws at one width; full size and both kernels in test_network_kernels.py.
    def network(weights, x):
        hidden = jax.nn.relu(jnp.sqrt(2 / 3) * weights[0] @ x)
        return jnp.sqrt(2 / 200) * weights[1] @ hidden

    X = np.random.default_rng(3).normal(size=(3, 3))

    def draw(key):
        keys = jax.random.split(key, 2)
        shapes = ((200, 3), (10, 200))
        weights = [jax.random.normal(k, s, float) for k, s in zip(keys, shapes, strict=True)]
        return jnp.stack(
            [
                empirical_ntk(network, X, parameters=weights, method="structured"),
                empirical_nngp(network, X, parameters=weights),
            ]
        )

    draws = jax.jit(lambda keys: jax.lax.map(draw, keys))(jax.random.split(jax.random.key(0), 99))
    error = np.std(draws, axis=0) / len(draws) ** 0.5
    exact = np.array([ArcCosine(1, kind)(X) for kind in ("ntk", "nngp")])
    assert np.all(np.abs(np.mean(draws, axis=0) - exact) < 4 * error)
    assert np.all(error < 0.06 * np.abs(exact).max((1, 2), keepdims=True))  # sharp enough to fail


# Errors.


def test_mistakes_get_their_sentence():
    network, options, X, _, _ = case("equinox")
    with pytest.raises(ValueError, match=r"^`method` must be one of auto, jacobian, products, st"):
        empirical_ntk(network, X, method="fast", **options)
    with pytest.raises(ValueError, match=r"^`outputs` must be one of mean, full, got 'trace'\.$"):
        empirical_ntk(network, X, outputs="trace", **options)
    with pytest.raises(TypeError, match=r"^the network has no floating-point arrays to differen"):
        empirical_ntk(jnp.sin, X)
    with pytest.raises(ValueError, match=r"^`X` must hold points along its first axis, got shape"):
        empirical_ntk(network, 1.0)
