"""Every layer and activation against finite networks, and the errors of networks that are none."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_instances import IMAGES, NETWORKS, VECTORS, inputs

from wilsonian import networks as nn

pytestmark = pytest.mark.double_precision


def finite_kernels(network, X, draws, kinds, seed=0, compiled=lambda f: f):
    """NNGP given the features that the last layer reads, and NTK, of networks drawn at random."""
    hidden, last = nn.serial(*network.layers[:-1]), network.layers[-1]
    drops = any(isinstance(layer, nn.Dropout) for layer in network.layers)

    def one(key):
        key, mask = jax.random.split(key)
        params = network.init(key, X.shape[1:])
        # `serial` hands one key to each of its layers; the last is not random.
        keys = jax.random.split(mask, len(network.layers))
        features = X
        for layer, own, k in zip(hidden.layers, params, keys, strict=False):
            features = layer.apply(own, features, key=k if drops else None)
        width = features.shape[-1]
        bias = 0.0 if last.bias_variance is None else last.bias_variance
        found = {"nngp": last.variance(width) * features @ features.T / width + bias}
        if "ntk" in kinds:
            output = lambda p: network.apply(p, X, key=mask if drops else None)[:, 0]  # noqa: E731
            slopes = jax.tree.leaves(jax.jacrev(output)(params))
            flat = [slope.reshape(len(X), -1) for slope in slopes]
            found["ntk"] = sum(slope @ slope.T for slope in flat)
        return found

    keys = jax.random.split(jax.random.key(seed, impl="rbg"), draws)
    if X.ndim > 2:  # many small convolutions at once are grouped ones, for which XLA has slow loops
        return jax.lax.map(one, keys)
    # Not compiled as a whole: the operations are compiled once each and serve all networks.
    return compiled(jax.vmap(one))(keys)


def infinite_kernels(network, X, kinds):
    # Small operations of dense networks likewise.
    dense = X.ndim == 2
    with jax.disable_jit() if dense else contextlib.nullcontext():
        compiled = (lambda f: f) if dense else jax.jit
        if "ntk" in kinds:
            nngp, ntk = compiled(lambda X: nn.nngp_and_ntk(network, X))(X)
            return {"nngp": nngp, "ntk": ntk}
        return {"nngp": compiled(lambda X: nn.nngp(network)(X))(X)}


@pytest.mark.parametrize("name", NETWORKS)
def test_wide_networks_have_these_kernels_on_average(name):
    build, shape, kinds = NETWORKS[name]
    width, draws = (128, 80) if len(shape) == 1 else (24, 36)
    network, X = build(width), inputs(shape)
    finite, exact = finite_kernels(network, X, draws, kinds), infinite_kernels(network, X, kinds)
    for kind in kinds:
        found = np.asarray(finite[kind])
        error = np.abs(found.mean(axis=0) - exact[kind])
        standard_error = found.std(axis=0, ddof=1) / draws**0.5
        # Finite width moves the mean by order 1 / width, which here is less than the noise; the
        # fall of this error is measured by benchmarks/network_widths.py.
        scale = np.abs(exact[kind]).max()
        assert np.all(error < 4 * standard_error + 1e-12 * scale), (kind, error / standard_error)
        assert np.all(standard_error < 0.08 * scale)  # sharp enough to fail


def test_the_comparison_can_fail():
    network, X = NETWORKS["relu"][0](128), inputs(VECTORS)
    wrong = NETWORKS["leaky_relu"][0](128)
    found = np.asarray(finite_kernels(network, X, 80, ("nngp",))["nngp"])
    exact = infinite_kernels(wrong, X, ("nngp",))["nngp"]
    # A slope of 0.2 below zero adds 0.04 to a factor of one per layer, twice its own noise.
    assert not np.all(np.abs(found.mean(0) - exact) < 4 * found.std(0) / 80**0.5)


def test_the_error_falls_as_one_over_the_width():
    # With kernels of width n off by b / n, (n K_n - m K_m) / (n - m) is off by order n^-2 only.
    build, shape, kinds = NETWORKS["gelu"]
    X, draws = inputs(shape), {8: 2000, 32: 500}
    exact = infinite_kernels(build(8), X, kinds)
    drawn = {n: finite_kernels(build(n), X, d, kinds, n, jax.jit) for n, d in draws.items()}
    for kind in kinds:
        found = {n: np.asarray(kernels[kind]) for n, kernels in drawn.items()}
        mean = {n: np.mean(k, axis=0) for n, k in found.items()}
        error = {n: np.std(k, axis=0) / len(k) ** 0.5 for n, k in found.items()}
        bias = (mean[8] - exact[kind]) * 8
        extrapolated = (32 * mean[32] - 8 * mean[8]) / 24
        noise = np.hypot(32 * error[32], 8 * error[8]) / 24
        # Order n^-2 is at most the first order once more over n.
        assert np.all(np.abs(extrapolated - exact[kind]) < 4 * noise + np.abs(bias) / 8 / 32)


# Errors name the layer.

R, FLATTEN = nn.Relu(), nn.Flatten()
D, C = nn.Dense(8), nn.Conv(8, (3, 3))
BAD = {
    "different branches": (
        lambda: nn.serial(D, nn.parallel(nn.Dense(4), nn.Dense(5)), D),
        VECTORS,
        r"^layer 2 \(parallel, join='sum'\): its branches end in different shapes, \(4,\), \(5,\);",
    ),
    "concatenated features": (
        lambda: nn.serial(D, nn.parallel(D, nn.serial(R, D), join="concatenate"), R, D),
        VECTORS,
        r"^layer 3 \(Relu\): its expectations are over Gaussian .*, but it reads concatenated fea",
    ),
    "two activations": (
        lambda: nn.serial(D, nn.Erf(), R, D),
        VECTORS,
        r"^layer 3 \(Relu\): .* but it reads the features of a Erf; put a Dense",
    ),
    "activation of inputs": (lambda: nn.serial(R, D), VECTORS, r"^layer 1 \(Relu\): .*raw inputs"),
    "pooled vectors": (
        lambda: nn.serial(D, nn.AvgPool((2, 2)), D),
        VECTORS,
        r"^layer 2 \(AvgPool\(\(2, 2\)\)\): its window \(2, 2\) slides over images .* vectors \(8,",
    ),
    "averaged vectors": (
        lambda: nn.serial(D, nn.GlobalAvgPool(), D),
        VECTORS,
        r"^layer 2 \(GlobalAvgPool\): it averages over positions, but it reads vectors",
    ),
    "convolution of vectors": (lambda: nn.serial(C, FLATTEN, D), VECTORS, r"^layer 1 \(Conv\(8"),
    "attention on vectors": (
        lambda: nn.serial(D, nn.GlobalSelfAttention(8)),
        VECTORS,
        r"^layer 2 \(GlobalSelfAttention\): it attends to positions, but",
    ),
    "window too large": (
        lambda: nn.serial(nn.Conv(8, (5, 5), padding="VALID"), FLATTEN, D),
        IMAGES,
        r"^layer 1 \(Conv\(8, \(5, 5\)\)\): its window \(5, 5\) does not fit into \(4, 4\)",
    ),
    "deep inside": (
        lambda: nn.serial(C, nn.residual(nn.serial(R, C, nn.AvgPool((2,))))),
        IMAGES,
        r"^layer 2, branch 2, layer 3 \(AvgPool\(\(2,\)\)\): ",
    ),
    "normalized features": (
        lambda: nn.serial(D, R, nn.LayerNorm(), D),
        VECTORS,
        r"^layer 3 \(LayerNorm\): it normalizes Gaussian pre-activations",
    ),
    "correlated sum": (
        lambda: nn.serial(D, nn.parallel(R, nn.Erf()), D),
        VECTORS,
        r"^layer 2 \(parallel, join='sum'\): branches 1 and 2 are correlated",
    ),
    "correlated product": (
        lambda: nn.serial(D, nn.parallel(R, nn.Erf(), join="product"), D),
        VECTORS,
        r"^layer 2 \(parallel, join='product'\): branches 1 and 2 are correlated",
    ),
    "images as a result": (lambda: nn.serial(C), IMAGES, "^serial: the network ends in images"),
    "no tangent": (
        lambda: nn.serial(C, nn.GlobalSelfAttention(8), FLATTEN, D),
        IMAGES,
        "^layer 2 .GlobalSelfAttention.: it has no rule for tangent kernels",
    ),
    "cosines inside": (
        lambda: nn.serial(D, nn.CosineFeatures(8, nn.GaussianMomenta())),
        VECTORS,
        r"^layer 2 \(CosineFeatures\): it reads vectors of raw inputs",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_architectures_name_the_layer(name):
    build, shape, sentence = BAD[name]
    with pytest.raises(nn.ArchitectureError, match=sentence):
        nn.ntk(build(), shape)(np.ones((2, *shape)))


CONSTRUCTED = {
    "negative variance": (lambda: nn.Dense(4, weight_variance=-1.0), "^Dense: `weight_variance` m"),
    "no number": (lambda: nn.Conv(4, (3, 3), bias_variance=np.nan), r"^Conv\(4, .*`bias_variance`"),
    "width": (lambda: nn.Dense(0), "^Dense: `width` must be a whole number of at least 1, got 0"),
    "window": (lambda: nn.Conv(4, (0, 3)), "`window_shape` must be"),
    "no window": (lambda: nn.AvgPool(2), r"^AvgPool\(2\): its window must have one to three axes"),
    "axes": (lambda: nn.Conv(4, (3, 3), (1, 1, 1)), "its window .* and its strides .* differ"),
    "padding": (lambda: nn.AvgPool((2, 2), padding="same"), "`padding` must be one of SAME, VALID"),
    "join": (lambda: nn.parallel(D, join="add"), "`join` must be one of sum, product, concatenate"),
    "parameterization": (lambda: nn.Dense(4, parameterization="mup"), "`parameterization` must be"),
    "rate": (lambda: nn.Dropout(1.0), "^Dropout: `rate` must be a probability below one, got 1.0"),
    "scaling": (lambda: nn.GlobalSelfAttention(4, scaling="sqrt"), "`scaling` must be"),
    "no layer": (lambda: nn.serial(D, jnp.tanh), "^layer 2: expected a layer such as"),
    "no branch": (lambda: nn.parallel(D, jnp.tanh), r"^branch 2 \(parallel.*expected a layer"),
}


@pytest.mark.parametrize("name", CONSTRUCTED)
def test_bad_layers_name_themselves(name):
    build, sentence = CONSTRUCTED[name]
    with pytest.raises(nn.ArchitectureError, match=sentence):
        build()


def test_initialization_checks_the_architecture_too():
    with pytest.raises(nn.ArchitectureError, match=r"^layer 2 \(AvgPool"):
        nn.serial(D, nn.AvgPool((2, 2))).init(jax.random.key(0), VECTORS)


def test_a_branch_may_skip_layers_only_once():
    # h + h is 2 h, four times the variance and not twice: refused rather than wrong.
    with pytest.raises(nn.ArchitectureError, match="branches 1 and 2 are correlated"):
        nn.nngp(nn.serial(D, nn.parallel(nn.Identity(), nn.Identity())), VECTORS)
    # But a residual block inside a branch counts as what it is.
    block = nn.residual(R, D)
    with pytest.raises(nn.ArchitectureError, match="branches 1 and 2 are correlated"):
        nn.nngp(nn.serial(D, nn.parallel(block, nn.Identity())), VECTORS)
    nn.nngp(nn.serial(D, nn.residual(nn.serial(block, R, D)), R, D), VECTORS)


@pytest.mark.parametrize(
    ("fits", "given", "sentence"),
    [
        ((4, 4, 1), (16,), r"layer 1"),  # flat rows, which the kernel accepts
        ((4, 4, 1), (5, 5, 3), r"layer \d.*parameters are not for inputs of shape"),
    ],
)
def test_inputs_that_do_not_fit_the_parameters_get_a_sentence(fits, given, sentence):
    network = nn.serial(nn.Conv(3, (3, 3)), nn.Relu(), nn.Flatten(), nn.Dense(1))
    params = network.init(jax.random.key(0), fits)
    with pytest.raises(nn.ArchitectureError, match=sentence):
        network.apply(params, jnp.ones((2, *given)))


def test_vectors_of_another_width_get_a_sentence():
    network = nn.serial(nn.Dense(3), nn.Relu(), nn.Dense(1))
    params = network.init(jax.random.key(0), (4,))
    with pytest.raises(nn.ArchitectureError, match=r"layer 1 .*not for inputs of shape \(5,\)"):
        network.apply(params, jnp.ones((2, 5)))
