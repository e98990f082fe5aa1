r"""Posterior of latents given a signal: :math:`q(z_A|x)`, an unmixer, :math:`q(z_P|u)`."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.greybox.hybrid.networks import BatchGate, Dense, Tokens, zero_features
from wilsonian.greybox.hybrid.planar import planar_flow


class Sizes(NamedTuple):
    """Widths of a model's networks."""

    feature: tuple[int, ...] = (128, 128)
    features: int = 256
    heads: tuple[int, ...] = (64, 32)
    unmixer: tuple[int, ...] = (128, 128)
    inner: tuple[int, ...] = (64, 64)
    outer: tuple[int, ...] = (128, 128)
    hamiltonian: tuple[int, ...] = (128, 128)


class Draw(NamedTuple):
    """A sample of a batch's latents and its density."""

    z: Array  # (batch, d) after flow (and gate)
    mean: Array  # of the Gaussian it began as
    log_scale: Array
    log_q: Array  # (batch,) log density of z under q: Gaussian less log-determinants
    log_det: Array  # (batch,)


class Block(eqx.Module):
    """Feature, mean and log-variance heads, and planar layers amortised on the feature."""

    feature: Dense | Tokens
    mean: Dense
    log_variance: Dense
    flow: Dense | None
    gate: BatchGate | None
    d: int = eqx.field(static=True)
    layers: int = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        times: int,
        d: int,
        layers: int,
        sizes: Sizes,
        attention: str | None,
        random: np.random.Generator,
    ) -> None:
        self.d, self.layers = d, layers
        if attention == "tokens":
            self.feature = Tokens(channels, times, sizes.features, random)
        else:
            widths = [channels * times, *sizes.feature, sizes.features]
            self.feature = Dense(widths, random, activate_last=True)
        self.mean = Dense([sizes.features, *sizes.heads, d], random)
        self.log_variance = Dense([sizes.features, *sizes.heads, d], random)
        self.flow = Dense([sizes.features, layers * (2 * d + 1)], random) if layers else None
        self.gate = BatchGate(d, random) if attention == "batch" and d else None

    def heads(self, x: Float[Array, "batch size"], key: Array, corruption) -> tuple[Array, ...]:
        """Features, means and logs of standard deviations."""
        features = zero_features(jax.vmap(self.feature)(x), key, corruption)
        mean = jax.vmap(self.mean)(features)
        return features, mean, 0.5 * jnp.clip(jax.vmap(self.log_variance)(features), -20.0, 10.0)

    def __call__(self, x: Float[Array, "batch size"], key: Array, corruption, noisy=True) -> Draw:
        one, two = jax.random.split(key)
        features, mean, log_scale = self.heads(x, one, corruption)
        noise = jax.random.normal(two, mean.shape) if noisy else jnp.zeros(mean.shape)
        z = mean + jnp.exp(log_scale) * noise
        log_q = -jnp.sum(0.5 * noise**2 + log_scale + 0.5 * jnp.log(2 * jnp.pi), axis=1)
        log_det = jnp.zeros(len(x))
        if self.flow is not None and self.d:
            pieces = jax.vmap(self.flow)(features).reshape(len(x), self.layers, 2 * self.d + 1)
            u, w, b = pieces[..., : self.d], pieces[..., self.d : -1], pieces[..., -1]
            z, log_det = jax.vmap(planar_flow)(z, u, w, b)
        if self.gate is not None:
            z = self.gate(z)
        return Draw(z, mean, log_scale, log_q - log_det, log_det)


class Encoder(eqx.Module):
    """Both posteriors. The unmixer takes the residual off the signal, :math:`u = x +
    \\mathrm{MLP}(x, \\mu_A)`, before the physics is read."""

    auxiliary: Block
    unmixer: Dense
    physics: Block

    def __init__(self, channels, times, d_a, d_p, layers, sizes: Sizes, attention, random) -> None:
        self.auxiliary = Block(channels, times, d_a, layers[0], sizes, attention, random)
        size = channels * times
        self.unmixer = Dense([size + d_a, *sizes.unmixer, size], random)
        self.physics = Block(channels, times, d_p, layers[1], sizes, attention, random)

    def __call__(self, x, key, corruption=0.0, noisy=True) -> tuple[Draw, Array, Draw]:
        """Auxiliary draw, unmixed signal, physics draw (unbounded)."""
        one, two = jax.random.split(key)
        auxiliary = self.auxiliary(x, one, corruption, noisy)
        u = x + jax.vmap(self.unmixer)(jnp.concatenate([x, auxiliary.mean], axis=1))
        return auxiliary, u, self.physics(u, two, corruption, noisy)
