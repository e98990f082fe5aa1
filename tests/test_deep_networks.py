"""Deep networks: blocks of layers in a row are one loop, whatever stands in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wilsonian import networks as nn
from wilsonian.networks.layers.repeats import LEAST

pytestmark = pytest.mark.double_precision

DEPTH = 40
WEIGHTS = np.linspace(1.9, 2.1, DEPTH)
X = np.random.default_rng(0).normal(size=(12, 3))


def relu_network():
    blocks = [
        (nn.Dense(64, weight_variance=float(w), bias_variance=0.1), nn.Relu()) for w in WEIGHTS
    ]
    return nn.serial(*sum(blocks, ()), nn.Dense(1))


def by_hand(X):
    """NNGP and NTK of `relu_network` in float64 (Cho and Saul 2009; Jacot et al. 2018)."""
    K, theta = X @ X.T / X.shape[1], np.zeros((len(X), len(X)))
    for weight in (*WEIGHTS, None):
        scale, bias = (1.0, 0.0) if weight is None else (weight, 0.1)
        K, theta = scale * K + bias, scale * theta + scale * K + bias
        if weight is None:
            return K, theta
        norm = np.sqrt(np.outer(np.diag(K), np.diag(K)))
        angle = np.arccos(np.clip(K / norm, -1, 1))
        np.fill_diagonal(angle, 0.0)
        slope = (np.pi - angle) / (2 * np.pi)
        K, theta = norm * np.sin(angle) / (2 * np.pi) + slope * K, slope * theta


def test_forty_layers_are_the_recursion_by_hand():
    nngp, ntk = by_hand(X)
    found = nn.nngp_and_ntk(relu_network(), jnp.asarray(X, jnp.float32))
    # Forty layers of rounding, 6e-8 each; the angle of near points loses half of the digits.
    np.testing.assert_allclose(found[0], nngp, rtol=2e-5)
    np.testing.assert_allclose(found[1], ntk, rtol=2e-4)


def test_forty_layers_in_double_precision():
    found = nn.nngp_and_ntk(relu_network(), X)
    for actual, expected in zip(found, by_hand(X), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-9)  # as above, from 1e-16


def test_depth_compiles_nothing_more():
    def size(depth):
        network = nn.serial(*depth * (nn.Dense(4, weight_variance=2.0), nn.Erf()), nn.Dense(1))
        return str(jax.make_jaxpr(nn.ntk(network).gram)(X[:2], X[:2])).count("= sqrt")

    assert 0 < size(2 * LEAST) == size(5 * LEAST) < size(LEAST - 1)


def test_blocks_of_images_between_pairs_of_positions():
    """A loop of eight blocks is two nets of four in a row, which are too short for one."""
    blocks = [
        (nn.Conv(4, (3,), weight_variance=1 + 0.1 * index), nn.LayerNorm(), nn.Erf())
        for index in range(LEAST)
    ]
    end = nn.GlobalAvgPool(), nn.Dense(1)
    halves = [nn.serial(*sum(half, ())) for half in (blocks[:4], blocks[4:])]
    images = jnp.asarray(X[:4, :, None])
    one, two = (
        nn.ntk(nn.serial(*layers, *end))(images) for layers in (sum(blocks, ()), tuple(halves))
    )
    np.testing.assert_allclose(one, two, rtol=1e-5)
