r"""The inverse flow by diffusion: a channel run backwards in momentum space, with path weights.

Step from a to an earlier b, with :math:`\hat\phi_0 = E[\phi_0|\phi_a]` and
:math:`v^{-1} = \Sigma_b^{-1} + M_{ab}^2/\Sigma_{ab}`:

.. math:: \phi_b = v\Big(\frac{M_b}{\Sigma_b}\hat\phi_0 + \frac{M_{ab}}{\Sigma_{ab}}\phi_a\Big)
   + N\Big(0,\; v + \Big(\frac{vM_b}{\Sigma_b}\Big)^2 P_a\Big)

with P the posterior variance per mode, measured. Exact for Gaussian fields at any step; never
Euler, whose rates differ by eighty; never without P, without which spectra come out 20 % low.
Weights compare the path with the channel's own (docs/science/exact-rg.md, "Diffusion").
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.core.precision import full_products
from wilsonian.fields.actions import AbstractFieldTheory, compiled_action
from wilsonian.fields.channel import Channel
from wilsonian.fields.lattice import check_fields
from wilsonian.fields.mode_basis import (
    ModeBasis,
    Spread,
    momentum_average,
    symmetric_modes,
    to_real_modes,
)
from wilsonian.fields.posterior_mean import ZeroMode, features

Progress = Callable[[str, float], None]
BATCH = 256


@dataclasses.dataclass(frozen=True, eq=False)
class ReverseStep:
    """One step backwards; arrays over the lattice's modes."""

    wiener: np.ndarray  # M_a C_0 / C_a
    weights: np.ndarray  # of the features
    reach: np.ndarray  # largest filtered field of the fit, in units of the fine field's rms
    zero_mode: ZeroMode
    from_fine: np.ndarray  # v M_b / Sigma_b
    from_coarse: np.ndarray  # v M_ab / Sigma_ab
    variance: np.ndarray
    multiplier: np.ndarray  # M_ab, forwards
    noise: np.ndarray  # Sigma_ab

    def arrays(self) -> dict[str, Array]:
        """For compiled functions, float32."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "zero_mode"
        }
        values |= {"zero_nodes": self.zero_mode.nodes, "zero_means": self.zero_mode.means}
        return {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}


@dataclasses.dataclass(frozen=True, eq=False)
class DiffusionFlow:
    """A fitted reverse channel; the start is the Gaussian law of the channel's last time."""

    theory: AbstractFieldTheory
    steps: list[ReverseStep]  # from the last time to zero
    final_spectrum: np.ndarray  # C_T, of modes
    scale: float
    symmetric: bool
    trained_on: int
    method: str = "diffusion"

    def weighted(
        self, key: jax.Array, count: int, progress: Progress | None = None, first: int = 0
    ) -> tuple[Array, np.ndarray]:
        """(fields (count, *shape), log weights of their paths), from draw number `first` on."""
        fields, logs = [], []
        basis, run = ModeBasis(self.theory.shape), self._run()
        deviation = jnp.asarray(np.sqrt(self.final_spectrum), jnp.float32)
        for start in range(first - first % BATCH, first + count, BATCH):
            part = jax.random.fold_in(key, start)
            shape = (BATCH, *self.theory.shape)
            modes = jax.random.normal(part, shape, jnp.float32) * deviation
            total = -self._end_density(modes)
            for number, step in enumerate(self._arrays()):
                modes, change = run(modes, step, jax.random.fold_in(part, number + 1), None)
                total += np.asarray(change, float)
            drawn = basis.to_fields(modes)
            total -= np.asarray(compiled_action(self.theory)(drawn), float)
            keep = slice(max(first - start, 0), first + count - start)
            fields.append(np.asarray(drawn)[keep])
            logs.append(total[keep])
            if progress is not None:
                progress("drawing", min((start + BATCH - first) / count, 1.0))
        return jnp.asarray(np.concatenate(fields)), np.concatenate(logs)

    def log_weights_of(self, fields: Array, key: jax.Array) -> np.ndarray:
        """Log weights of given fields, each along one path of the channel."""
        check_fields(fields, self.theory.shape)
        basis, run = ModeBasis(self.theory.shape), self._run()
        logs = []
        for start in range(0, len(fields), BATCH):
            rows = jnp.asarray(fields[start : start + BATCH], jnp.float32)
            keep = len(rows)
            rows = jnp.pad(rows, [(0, BATCH - keep)] + [(0, 0)] * len(self.theory.shape))
            total = -np.asarray(compiled_action(self.theory)(rows), float)
            modes = basis.to_modes(rows)
            for number, step in reversed(list(enumerate(self._arrays()))):
                part = jax.random.fold_in(jax.random.fold_in(key, start), number)
                noise = jax.random.normal(part, modes.shape, modes.dtype)
                coarse = step["multiplier"] * modes + jnp.sqrt(step["noise"]) * noise
                _, change = run(coarse, step, part, modes)
                total += np.asarray(change, float)
                modes = coarse
            total -= self._end_density(modes)
            logs.append(total[:keep])
        return np.concatenate(logs)

    def posterior_mean(self, number: int, fields: Array) -> Array:
        """The learned mean of the fine field given coarse ones at the start of a step."""
        basis = ModeBasis(self.theory.shape)
        modes = basis.to_modes(jnp.asarray(fields, jnp.float32))
        mean = _mean_alone(basis, self.symmetric, modes, self._arrays()[number], self.scale)
        return basis.to_fields(mean)

    def _arrays(self) -> list[dict[str, Array]]:
        if "stored" not in self.__dict__:
            object.__setattr__(self, "stored", [step.arrays() for step in self.steps])
        return self.__dict__["stored"]

    def _end_density(self, modes: Array) -> np.ndarray:
        axes = tuple(range(1, modes.ndim))
        squares = modes**2 / jnp.asarray(self.final_spectrum, jnp.float32)
        constant = 0.5 * np.log(2 * np.pi * self.final_spectrum).sum()
        return -0.5 * np.asarray(squares.sum(axes), float) - constant

    def _run(self):  # type: ignore[no-untyped-def]
        return functools.partial(
            _step, ModeBasis(self.theory.shape), self.symmetric, jnp.asarray(self.scale)
        )


def _mean(
    basis: ModeBasis, modes: Array, step: dict[str, Array], scale: Any, symmetric: bool
) -> Array:
    filtered = modes * step["wiener"]
    zero = modes.reshape(len(modes), -1)[:, 0]
    zero_mean = jnp.interp(zero, step["zero_nodes"], step["zero_means"])
    # The zero mode's amplitude is sqrt(volume) times the mean field.
    mean_field = zero_mean / np.sqrt(np.prod(basis.shape))
    columns = features(basis, filtered, mean_field, scale, step["reach"], symmetric)
    return filtered + jnp.tensordot(step["weights"], columns, 1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _mean_alone(  # type: ignore[no-untyped-def]
    basis: ModeBasis, symmetric: bool, modes: Array, step, scale
) -> Array:
    return _mean(basis, modes, step, scale, symmetric)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _step(  # type: ignore[no-untyped-def]
    basis: ModeBasis, symmetric: bool, scale: Array, modes: Array, step, key: Array, given
):
    """(earlier modes, log N(later|earlier) - log q(earlier|later)); drawn unless `given`."""
    axes = tuple(range(1, modes.ndim))
    mean = step["from_fine"] * _mean(basis, modes, step, scale, symmetric)
    mean = mean + step["from_coarse"] * modes
    if given is None:
        noise = jax.random.normal(key, modes.shape, modes.dtype)
        earlier = mean + jnp.sqrt(step["variance"]) * noise
    else:
        earlier = given
    back = (earlier - mean) ** 2 / step["variance"] + jnp.log(step["variance"])
    forth = (modes - step["multiplier"] * earlier) ** 2 / step["noise"] + jnp.log(step["noise"])
    return earlier, 0.5 * (back - forth).sum(axes)


def flow_times(channel: Channel, steps: int, last: float) -> np.ndarray:
    """0 and `steps` times up to `last`, even in the logarithm, the first a fiftieth of 1/max k."""
    rate = channel.law().generator(0.0)[0].max()
    return np.concatenate([[0.0], np.geomspace(0.02 / rate, last, steps)])


def reverse_coefficients(
    channel: Channel, earlier: float, later: float, momenta: Spread, posterior: np.ndarray
) -> dict[str, np.ndarray]:
    """The step's arrays over modes, but for what is learned."""
    first, between = channel.kernel(0, earlier), channel.kernel(earlier, later)
    multiplier, noise = momenta(between.multiplier), momenta(between.noise_variance)
    before, variance = momenta(first.multiplier), momenta(first.noise_variance)
    if earlier == 0:
        zeros = np.zeros_like(multiplier)
        return {
            "from_fine": np.ones_like(multiplier),
            "from_coarse": zeros,
            "variance": posterior,
            "multiplier": multiplier,
            "noise": noise,
        }
    spread = 1 / (1 / variance + multiplier**2 / noise)
    from_fine = spread * before / variance
    return {
        "from_fine": from_fine,
        "from_coarse": spread * multiplier / noise,
        "variance": spread + from_fine**2 * posterior,
        "multiplier": multiplier,
        "noise": noise,
    }


def fit_diffusion(
    theory: AbstractFieldTheory,
    fields: np.ndarray | Array,
    seed: int = 0,
    *,
    channel: Channel | None = None,
    steps: int = 32,
    last: float = 7.0,
    most_fields: int = 8192,
    ridge: float = 1e-5,
    symmetric: bool = True,
    progress: Progress | None = None,
) -> DiffusionFlow:
    """Fit the reverse of `channel` (Carosso with z = .5 by default) to fields of the theory.

    `symmetric` keeps the features odd, for theories even in the field. ValueError for fewer than
    500 fields, NaN, and channels without a law at their end.
    """
    check_fields(fields, theory.shape)
    if len(fields) < 500:
        raise ValueError(f"{len(fields)} fields are too few to fit; pass 500 or more.")
    if channel is None:
        channel = Channel("carosso", theory.shape, z=0.5, omega=2 / theory.kinetic_stiffness())
    channel.law().final_variance()
    rng = np.random.default_rng(seed)
    rows = np.asarray(fields, np.float32)
    rows = rows[rng.permutation(len(rows))[:most_fields]]
    fit = _Fit(theory, channel, rows, ridge, symmetric, jax.random.key(seed))
    times = flow_times(channel, steps, last)
    fitted = []
    for number in range(steps, 0, -1):
        fitted.append(fit.step(float(times[number - 1]), float(times[number])))
        if progress is not None:
            progress("fitting steps", (steps - number + 1) / steps)
    final = fit.spread(channel.two_point(last, fit.spectrum))
    return DiffusionFlow(theory, fitted, final, fit.scale, symmetric, len(rows))


class _Fit:
    """What all steps share: the data's modes, score and spectrum."""

    def __init__(
        self,
        theory: AbstractFieldTheory,
        channel: Channel,
        rows: np.ndarray,
        ridge: float,
        symmetric: bool,
        key: jax.Array,
    ):
        self.channel, self.ridge, self.symmetric, self.key = channel, ridge, symmetric, key
        self.basis = ModeBasis(theory.shape)
        self.spread = to_real_modes(theory.shape)
        device = jnp.asarray(rows)
        self.modes = np.asarray(self.basis.to_modes(device))
        self.force = np.asarray(self.basis.to_modes(theory.force(device)))
        self.spectrum = momentum_average(self.modes, theory.shape, symmetric)
        self.scale = float(np.sqrt((rows**2).mean()))

    def step(self, earlier: float, later: float) -> ReverseStep:
        kernel = self.channel.kernel(0, later)
        multiplier, noise = self.spread(kernel.multiplier), self.spread(kernel.noise_variance)
        coarse_spectrum = self.spread(kernel.two_point(self.spectrum))
        wiener = multiplier * self.spread(self.spectrum) / coarse_spectrum
        zero = ZeroMode.of(
            self.modes.reshape(len(self.modes), -1)[:, 0].astype(float),
            float(multiplier.ravel()[0]),
            float(noise.ravel()[0]),
            self.symmetric,
        )
        key = jax.random.fold_in(self.key, int(later * 1e6))
        noise_draw = jax.random.normal(key, self.modes.shape, jnp.float32)
        coarse = multiplier * self.modes + np.sqrt(noise) * np.asarray(noise_draw)
        coarse = coarse.astype(np.float32)
        target = self._target(coarse, wiener, multiplier, noise)
        reach = self._reach(coarse, wiener)
        blank = {
            "zero_nodes": zero.nodes,
            "zero_means": zero.means,
            "wiener": wiener,
            "reach": reach,
        }
        arrays = {name: jnp.asarray(value, jnp.float32) for name, value in blank.items()}
        gram: Any = 0.0
        cross: Any = 0.0
        residual = target - wiener * coarse
        precision = 1 / (residual.reshape(len(residual), -1) ** 2).mean(0).reshape(wiener.shape)
        weight = jnp.asarray(precision / precision.mean(), jnp.float32)
        for start in range(0, len(coarse), BATCH):
            part = jnp.asarray(coarse[start : start + BATCH])
            left = jnp.asarray(residual[start : start + BATCH], jnp.float32)
            more = _normal_equations(
                self.basis, self.symmetric, part, left, weight, arrays, jnp.asarray(self.scale)
            )
            gram = gram + np.asarray(more[0], float)
            cross = cross + np.asarray(more[1], float)
        scales = np.sqrt(np.diag(gram)) + 1e-12
        system = gram / np.outer(scales, scales) + self.ridge * np.eye(len(scales))
        weights = np.linalg.solve(system, cross / scales) / scales
        arrays["weights"] = jnp.asarray(weights, jnp.float32)
        squared, count = np.zeros(wiener.shape), 0
        for start in range(0, len(coarse), BATCH):
            part = jnp.asarray(coarse[start : start + BATCH])
            fine = jnp.asarray(self.modes[start : start + BATCH])
            squared += np.asarray(
                _squared_error(
                    self.basis, self.symmetric, part, fine, arrays, jnp.asarray(self.scale)
                ),
                float,
            )
            count += len(part)
        posterior = symmetric_modes(squared / count, self.basis.shape)
        laws = reverse_coefficients(self.channel, earlier, later, self.spread, posterior)
        return ReverseStep(wiener=wiener, weights=weights, reach=reach, zero_mode=zero, **laws)

    def _reach(self, coarse: np.ndarray, wiener: np.ndarray) -> np.ndarray:
        """Largest filtered field, in units of the fine field's rms."""
        filters = jnp.asarray(wiener, jnp.float32)
        largest = [
            float(_largest(self.basis, jnp.asarray(coarse[start : start + BATCH]), filters))
            for start in range(0, len(coarse), BATCH)
        ]
        return np.array(max(largest) / self.scale)

    def _target(
        self, coarse: np.ndarray, wiener: np.ndarray, multiplier: np.ndarray, noise: np.ndarray
    ) -> np.ndarray:
        """Mix of the fine field and of what its score says, by their variances mode by mode."""
        by_score = (coarse - noise * self.force / multiplier) / multiplier
        guess = wiener * coarse
        first, second = self.modes - guess, by_score - guess
        one, two, both = (
            (a * b).mean(0) for a, b in ((first, first), (second, second), (first, second))
        )
        share = np.clip((two - both) / np.maximum(one + two - 2 * both, 1e-30), 0, 1)
        return np.where(share >= 1 - 1e-9, self.modes, share * self.modes + (1 - share) * by_score)


@functools.partial(jax.jit, static_argnums=0)
def _largest(basis: ModeBasis, coarse: Array, wiener: Array) -> Array:
    return jnp.abs(basis.to_fields(coarse * wiener)).max()


@functools.partial(jax.jit, static_argnums=(0, 1))
@full_products
def _normal_equations(  # type: ignore[no-untyped-def]
    basis: ModeBasis, symmetric: bool, coarse: Array, residual: Array, weight: Array, arrays, scale
):
    filtered = coarse * arrays["wiener"]
    zero = jnp.interp(
        coarse.reshape(len(coarse), -1)[:, 0], arrays["zero_nodes"], arrays["zero_means"]
    )
    mean_field = zero / np.sqrt(np.prod(basis.shape))
    columns = features(basis, filtered, mean_field, scale, arrays["reach"], symmetric)
    flat = columns.reshape(len(columns), -1)
    weighted = (columns * weight).reshape(len(columns), -1)
    return weighted @ flat.T, weighted @ residual.reshape(-1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _squared_error(  # type: ignore[no-untyped-def]
    basis: ModeBasis, symmetric: bool, coarse: Array, fine: Array, arrays, scale
):
    return ((fine - _mean(basis, coarse, arrays, scale, symmetric)) ** 2).sum(0)
