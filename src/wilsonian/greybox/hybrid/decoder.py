"""From latents to signals: physics alone, with the inner net, with the outer net, with both."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.greybox.hybrid.encoder import Sizes
from wilsonian.greybox.hybrid.networks import Dense
from wilsonian.greybox.simulators import ODE, no_basis
from wilsonian.greybox.tracing import as_vector


class Decodings(NamedTuple):
    """Four readings of the same latents, (batch, size) each."""

    physics: Array  # x_P
    inner: Array  # x_PA
    outer: Array  # x_PB
    both: Array  # x_PAB


class ODEDecoder(eqx.Module):
    """A known vector field, an inner net added to its last state, and an outer net added to the
    signal."""

    inner: Dense | None
    outer: Dense | None
    physics: ODE = eqx.field(static=True)
    inner_count: int = eqx.field(static=True)
    detach: bool = eqx.field(static=True)

    def __init__(self, physics: ODE, states, size, d_inner, d_outer, sizes: Sizes, detach, random):
        self.physics, self.inner_count, self.detach = physics, d_inner, detach
        self.inner = Dense([d_inner + states + 1, *sizes.inner, 1], random) if d_inner else None
        d_p = len(physics.parameters)
        width = d_p + d_inner + d_outer
        self.outer = Dense([width, *sizes.outer, size], random) if d_outer else None

    def start(self, x: Array, shape: tuple[int, int]) -> Array:
        """The start that the physics reads off one signal."""
        signal = x if shape[0] == 1 else x.reshape(shape)
        return self.physics.start_state(signal, {})

    def _run(self, z: Array, auxiliary: Array | None, start: Array) -> Array:
        names = self.physics.parameters.names
        frozen = jax.lax.stop_gradient if self.detach else (lambda value: value)
        known = {name: frozen(z[i]) for i, name in enumerate(names)}

        def field(t, y, force, nothing):
            total = as_vector(self.physics.field(t, frozen(y), known), len(start))
            if auxiliary is not None:
                inputs = jnp.concatenate([auxiliary, y, jnp.reshape(t, (1,))])
                total = total.at[-1].add(self.inner(inputs)[0])
            return total

        states = self.physics.states(start, field, jnp.zeros((0, 0)), no_basis)
        return jax.vmap(lambda y: as_vector(self.physics.observe(y)))(states).T.reshape(-1)

    def simulate(self, z: Array, start: Array) -> Array:
        """Physics alone, one signal."""
        return self._run(z, None, start)

    def __call__(self, z: Array, auxiliary: Array, start: Array) -> Decodings:
        alone = self._run(z, None, start)
        inner = alone
        if self.inner is not None:
            inner = self._run(z, auxiliary[: self.inner_count], start)
        added = jnp.zeros_like(alone)
        if self.outer is not None:
            told = jax.lax.stop_gradient(z) if self.detach else z
            added = self.outer(jnp.concatenate([told, auxiliary]))
        return Decodings(alone, inner, alone + added, inner + added)


class HamiltonianDecoder(eqx.Module):
    r"""Learned mechanics, :math:`\dot q = \partial_p H`, :math:`\dot p = -\partial_q H` with H a
    network of (q, p, z_P), started by a network of the latents, and an outer net."""

    energy: Dense
    begin: Dense
    outer: Dense
    channels: int = eqx.field(static=True)
    times: int = eqx.field(static=True)
    step: float = eqx.field(static=True)
    detach: bool = eqx.field(static=True)

    def __init__(self, channels, times, d_p, d_a, sizes: Sizes, step, detach, random):
        self.channels, self.times, self.step, self.detach = channels, times, step, detach
        self.energy = Dense([2 * channels + d_p, *sizes.hamiltonian, 1], random)
        self.begin = Dense([d_a, 64, 2 * channels], random)
        self.outer = Dense([d_p + d_a, *sizes.outer, channels * times], random)

    def start(self, x: Array, shape: tuple[int, int]) -> Array:
        return jnp.zeros(0)

    def path(self, z: Array, begin: Array) -> Array:
        r"""(times, 2 channels), by :math:`y_{i+1} = y_i + h (\tfrac32 v_i - \tfrac12 v_{i-1})`
        (Adams and Bashforth, second order; the first step is Euler's). H does not separate, so no
        leapfrog."""
        frozen = jax.lax.stop_gradient if self.detach else (lambda value: value)
        c, h = self.channels, self.step

        def velocity(y):
            y, told = frozen(y), frozen(z)
            slope = jax.grad(lambda y: self.energy(jnp.concatenate([y, told]))[0])(y)
            return jnp.concatenate([slope[c:], -slope[:c]])

        def step(carry, weights):
            y, before = carry
            now = velocity(y)
            return (y + h * (weights[0] * now - weights[1] * before), now), y

        weights = jnp.tile(jnp.array([1.5, 0.5]), (self.times, 1)).at[0].set(jnp.array([1.0, 0.0]))
        return jax.lax.scan(step, (begin, jnp.zeros_like(begin)), weights)[1]

    def energy_drift(self, z: Array, auxiliary: Array) -> Array:
        """Largest change of H along the path, against its start."""
        path = self.path(z, self.begin(auxiliary))
        energies = jax.vmap(lambda y: self.energy(jnp.concatenate([y, z]))[0])(path)
        return jnp.max(jnp.abs(energies - energies[0]))

    def simulate(self, z: Array, start: Array) -> Array:
        """No physics without auxiliary latents."""
        return jnp.zeros(self.channels * self.times)

    def __call__(self, z: Array, auxiliary: Array, start: Array) -> Decodings:
        alone = self.path(z, self.begin(auxiliary))[:, : self.channels].T.reshape(-1)
        told = jax.lax.stop_gradient(z) if self.detach else z
        added = self.outer(jnp.concatenate([told, auxiliary]))
        return Decodings(alone, alone, alone + added, alone + added)


class NetDecoder(eqx.Module):
    """No physics at all: the baseline of equal width."""

    outer: Dense

    def __init__(self, d_p, d_a, size, sizes: Sizes, random):
        self.outer = Dense([d_p + d_a, *sizes.outer, size], random)

    def start(self, x: Array, shape: tuple[int, int]) -> Array:
        return jnp.zeros(0)

    def simulate(self, z: Array, start: Array) -> Array:
        return jnp.zeros(self.outer.biases[-1].shape)

    def __call__(self, z: Array, auxiliary: Array, start: Array) -> Decodings:
        added = self.outer(jnp.concatenate([z, auxiliary]))
        nothing = jnp.zeros_like(added)
        return Decodings(nothing, nothing, added, added)


def parameter_count(model: eqx.Module) -> int:
    """Numbers that are trained."""
    return int(sum(np.size(leaf) for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array))))
