"""Small networks of the encoder and decoder."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

PATCH, WIDTH, HEADS, HIDDEN = 10, 64, 4, 128


def uniform(random: np.random.Generator, *shape: int, fan_in: int) -> Array:
    r""":math:`U(\pm 1/\sqrt{\text{fan-in}})`. NumPy draws what a network begins with: JAX would
    compile a program for each shape."""
    bound = max(fan_in, 1) ** -0.5
    return jnp.asarray(random.uniform(-bound, bound, shape).astype(np.float32))


class Dense(eqx.Module):
    r"""Layers with ELU between them (and after the last if asked); weights and biases
    :math:`U(\pm 1/\sqrt{\text{fan-in}})`."""

    weights: list[Array]
    biases: list[Array]
    activate_last: bool = eqx.field(static=True)

    def __init__(
        self, sizes: list[int], random: np.random.Generator, *, activate_last: bool = False
    ) -> None:
        self.weights, self.biases, self.activate_last = [], [], activate_last
        for fan_in, fan_out in itertools.pairwise(sizes):
            self.weights.append(uniform(random, fan_out, fan_in, fan_in=fan_in))
            self.biases.append(uniform(random, fan_out, fan_in=fan_in))

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = weight @ x + bias
            if i < last or self.activate_last:
                x = jax.nn.elu(x)
        return x


class Tokens(eqx.Module):
    """Feature of one signal by attention between its patches of 10 steps: one pre-norm block, then
    the mean over tokens. It never sees another sample."""

    embed: Dense
    position: Array
    queries: Array
    keys: Array
    values: Array
    out: Array
    mlp: Dense
    head: Dense
    channels: int = eqx.field(static=True)
    times: int = eqx.field(static=True)

    def __init__(
        self, channels: int, times: int, features: int, random: np.random.Generator
    ) -> None:
        tokens = -(-times // PATCH)
        self.channels, self.times = channels, times
        self.embed = Dense([channels * PATCH, WIDTH], random)

        def normal(scale: float, *shape: int) -> Array:
            return jnp.asarray(random.normal(0.0, scale, shape).astype(np.float32))

        self.position = normal(0.02, tokens, WIDTH)
        size, scale = WIDTH // HEADS, WIDTH**-0.5
        self.queries, self.keys, self.values = (normal(scale, HEADS, WIDTH, size) for _ in range(3))
        self.out = normal(scale, HEADS, size, WIDTH)
        self.mlp = Dense([WIDTH, HIDDEN, WIDTH], random)
        self.head = Dense([WIDTH, features], random)

    def __call__(self, x: Float[Array, " size"]) -> Float[Array, " features"]:
        tokens = self.position.shape[0]
        signal = x.reshape(self.channels, self.times)
        signal = jnp.pad(signal, ((0, 0), (0, tokens * PATCH - self.times)))
        patches = signal.reshape(self.channels, tokens, PATCH).transpose(1, 0, 2)
        h = jax.vmap(self.embed)(patches.reshape(tokens, -1)) + self.position
        h = h + self._attend(_normalized(h))
        h = h + jax.vmap(self.mlp)(_normalized(h))
        return jax.nn.elu(self.head(jnp.mean(h, axis=0)))

    def _attend(self, h: Array) -> Array:
        q, k, v = (jnp.einsum("tw,hws->hts", h, m) for m in (self.queries, self.keys, self.values))
        scores = jnp.einsum("hts,hus->htu", q, k) / q.shape[-1] ** 0.5
        return jnp.einsum("htu,hus,hsw->tw", jax.nn.softmax(scores, axis=-1), v, self.out)


def _normalized(h: Array) -> Array:
    centred = h - jnp.mean(h, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-6)


class BatchGate(eqx.Module):
    r"""The released layer, :math:`\tilde Z = Z + Z \odot \mathrm{softmax}(Z W_Q (Z W_K)^T /
    \sqrt d) Z W_V`: samples of a batch attend to each other, and no Jacobian is counted."""

    queries: Array
    keys: Array
    values: Array

    def __init__(self, d: int, random: np.random.Generator) -> None:
        draws = (uniform(random, d, d, fan_in=d) for _ in range(3))
        self.queries, self.keys, self.values = draws

    def __call__(self, z: Float[Array, "batch d"]) -> Float[Array, "batch d"]:
        scores = (z @ self.queries) @ (z @ self.keys).T / z.shape[1] ** 0.5
        return z + z * (jax.nn.softmax(scores, axis=-1) @ (z @ self.values))


def zero_features(
    features: Float[Array, "batch features"], key: Array, fraction: float | Array
) -> Float[Array, "batch features"]:
    """The papers' corruption: one common `fraction` of the features is zero in `fraction` of the
    samples. The number 0.0 leaves them as they are, and compiles nothing."""
    if isinstance(fraction, float) and fraction == 0.0:
        return features
    one, two = jax.random.split(key)
    samples = jax.random.uniform(one, (features.shape[0], 1)) < fraction
    columns = jax.random.uniform(two, (1, features.shape[1])) < fraction
    return jnp.where(samples & columns, 0.0, features)
