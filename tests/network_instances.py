"""Networks that between them hold every layer, activation, join and parameterization."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from wilsonian import networks as nn

VECTORS, IMAGES, SEQUENCES = (4,), (4, 4, 2), (5, 2)


def dense(width, **more):
    return nn.Dense(width, **{"weight_variance": 1.5, "bias_variance": 0.1, **more})


def conv(width, window=(3, 3), **more):
    return nn.Conv(width, window, **{"weight_variance": 1.6, "bias_variance": 0.1, **more})


def two_layers(activation):
    def build(n):
        return nn.serial(dense(n), activation, dense(n), activation, dense(1))

    return build


def images(*layers):
    """Of functions of the width, a layer each; the rest as they are."""

    def build(n):
        made = [
            layer(n) if callable(layer) and not isinstance(layer, nn.AbstractLayer) else layer
            for layer in layers
        ]
        return nn.serial(*made)

    return build


ACTIVATIONS = {
    "relu": nn.Relu(),
    "leaky_relu": nn.LeakyRelu(0.2),
    "abs": nn.Abs(),
    "erf": nn.Erf(),
    "gelu": nn.Gelu(),
    "sine": nn.Sine(1.2, 0.8, 0.3),
    "cosine": nn.Cosine(),
    "rbf": nn.RBF(0.4),
    "exponential": nn.Exponential(0.5, 0.3),
    "polynomial": nn.Polynomial([0.1, 0.4, 0.1]),
    "hermite": nn.Hermite([0.1, 0.5, 0.2]),
    "sign": nn.Sign(),
    "step": nn.Step(),
    "identity": nn.Identity(),
    "hermite_expansion": nn.HermiteExpansion(jnp.tanh, terms=24, nodes=64),
    "gauss_hermite": nn.GaussHermite(jnp.sin, nodes=20),
}
R, E = nn.Relu(), nn.Erf()

# name: (network of a width, input shape, kinds)
BOTH = ("nngp", "ntk")
NETWORKS = {
    **{name: (two_layers(one), VECTORS, BOTH) for name, one in ACTIVATIONS.items()},
    "standard": (
        lambda n: nn.serial(
            dense(n, parameterization="standard"),
            R,
            dense(n, parameterization="standard", bias_variance=None),
            R,
            dense(1, parameterization="standard"),
        ),
        VECTORS,
        BOTH,
    ),
    "mean_field": (
        lambda n: nn.serial(dense(n), E, dense(n), E, dense(1, parameterization="mean-field")),
        VECTORS,
        BOTH,
    ),
    "residual": (
        lambda n: nn.serial(dense(n), nn.residual(R, dense(n)), R, dense(1)),
        VECTORS,
        BOTH,
    ),
    "product": (
        lambda n: nn.serial(
            dense(n),
            nn.parallel(nn.serial(R, dense(n)), nn.serial(E, dense(n)), join="product"),
            dense(1),
        ),
        VECTORS,
        BOTH,
    ),
    "concatenate": (
        lambda n: nn.serial(
            dense(n),
            nn.parallel(nn.serial(R, dense(n), E), nn.serial(E, dense(2 * n)), join="concatenate"),
            dense(1),
        ),
        VECTORS,
        BOTH,
    ),
    "layer_norm": (
        lambda n: nn.serial(dense(n), nn.LayerNorm(), R, dense(n), nn.LayerNorm(), dense(1)),
        VECTORS,
        BOTH,
    ),
    "dropout": (
        lambda n: nn.serial(dense(n), R, nn.Dropout(0.2), dense(n), E, dense(1)),
        VECTORS,
        BOTH,
    ),
    "conv_flatten": (images(conv, R, conv, E, nn.Flatten(), dense(1)), IMAGES, BOTH),
    "conv_gap": (
        images(lambda n: conv(n, strides=2), R, conv, R, nn.GlobalAvgPool(), dense(1)),
        IMAGES,
        BOTH,
    ),
    "conv_valid_circular": (
        images(
            lambda n: conv(n, (2, 2), padding="VALID"),
            E,
            lambda n: conv(n, padding="CIRCULAR"),
            nn.LayerNorm("all"),
            R,
            nn.Flatten(),
            dense(1),
        ),
        IMAGES,
        BOTH,
    ),
    "conv_standard": (
        images(
            lambda n: conv(n, parameterization="standard"),
            R,
            nn.AvgPool((2, 2)),
            lambda n: conv(n, parameterization="standard"),
            R,
            nn.Flatten(),
            dense(1),
        ),
        IMAGES,
        BOTH,
    ),
    "sum_pool_same": (
        images(
            conv,
            R,
            nn.SumPool((3, 2), (2, 1), "SAME"),
            lambda n: dense(n, weight_variance=0.1),
            E,
            nn.GlobalAvgPool(),
            dense(1),
        ),
        IMAGES,
        BOTH,
    ),
    "locally_connected": (
        images(
            lambda n: nn.LocallyConnected(n, (3, 3), weight_variance=1.6, bias_variance=0.1),
            R,
            nn.GlobalAvgPool(),
            dense(1),
        ),
        IMAGES,
        BOTH,
    ),
    "sequences": (
        images(
            lambda n: conv(n, (3,)),
            E,
            nn.AvgPool((2,), 1, "CIRCULAR"),
            lambda n: nn.LocallyConnected(n, (2,), 2, "VALID", bias_variance=0.2),
            nn.Flatten(),
            dense(1),
        ),
        SEQUENCES,
        BOTH,
    ),
    "conv_residual_pool": (
        images(
            conv, lambda n: nn.residual(R, conv(n)), nn.AvgPool((2, 2)), R, nn.Flatten(), dense(1)
        ),
        IMAGES,
        BOTH,
    ),
    "image_embedding": (
        images(
            lambda n: nn.image_embedding(n, (2, 2), position_variance=0.3, bias_variance=0.1),
            E,
            nn.GlobalAvgPool(),
            dense(1),
        ),
        IMAGES,
        BOTH,
    ),
    "attention_linear": (
        images(
            lambda n: nn.image_embedding(n, (2, 2), position_variance=0.3),
            lambda n: nn.GlobalSelfAttention(n, n // 8, n, 8, query_variance=1.5),
            E,
            nn.GlobalAvgPool(),
            dense(1),
        ),
        IMAGES,
        ("nngp",),
    ),
    "attention_root": (  # sums of squares over positions are biased by positions / width
        images(
            lambda n: nn.image_embedding(8 * n, (2, 2), position_variance=0.3),
            lambda n: nn.GlobalSelfAttention(
                n, 4 * n, 16, 8, "root", query_variance=0.5, output_variance=0.2
            ),
            E,
            nn.Flatten(),
            dense(1),
        ),
        IMAGES,
        ("nngp",),
    ),
    "cosine_network": (
        lambda n: nn.serial(
            nn.CosineFeatures(n, nn.FreeField(3.0, mass=1.0)), nn.Dense(1, bias_variance=None)
        ),
        VECTORS,
        BOTH,
    ),
    "gaussian_momenta": (
        lambda n: nn.serial(nn.CosineFeatures(n, nn.GaussianMomenta(1.5)), dense(1)),
        VECTORS,
        BOTH,
    ),
}


def inputs(shape, seed=0):
    """Three inputs, the third close to the first."""
    X = np.random.default_rng(seed).normal(size=(3, *shape))
    X[2] = 0.9 * X[0] + 0.3 * X[2]
    return X
