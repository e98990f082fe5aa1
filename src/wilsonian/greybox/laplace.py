r"""Evidence of a signal at given parameters, the residual integrated out by Gauss-Newton.

.. math:: C(z) = \sigma^2 + J S J^T, \quad \hat w = w_0 + S J^T C^{-1} e, \quad
    \log p(x|z) = -\tfrac12 e^T C^{-1} e - \tfrac12 \log\det 2 \pi C, \quad
    e = x - F(z, \hat w) + J (\hat w - w_0)

A per-sample amplitude :math:`\tau` multiplies the scales of forces and output errors; it takes few
values, with weights (docs/science/grey-box.md, section 3).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.marginalization import marginal_information, normalization, whiten
from wilsonian.core.precision import full_products
from wilsonian.greybox.assembly import Assembly

WIDEST = 6.0  # prior scales that a start or a feature may move in the Gauss-Newton steps
LOWEST = -1e30  # log evidence where the simulator gave no finite number
CHUNK_BYTES = 48 * 2**20
MOST_PAIRS = 512  # of signal and point in one call


class Hyperparameters(eqx.Module):
    """What the population shares."""

    mean: Float[Array, " coefficients"]
    log_variance: Float[Array, " groups"]
    noise: Float[Array, " channels"]  # standard deviation
    amplitudes: Float[Array, " amplitudes"]
    log_weights: Float[Array, " amplitudes"]

    def scale(self, assembly: Assembly) -> Float[Array, " coefficients"]:
        """Prior standard deviation of each coefficient at amplitude one."""
        layout = assembly.layout
        if not layout.count:
            return jnp.zeros(0)
        return jnp.exp(self.log_variance[layout.group] / 2) * jnp.asarray(layout.shape**0.5)


class Evidence(NamedTuple):
    """At one point of parameter space, for one signal; averages over amplitudes are posterior.
    JAX arrays inside compiled functions; outside NumPy arrays, with axes for signals and points."""

    log_evidence: Any  # (amplitudes,), with the weights of the amplitudes
    coefficients: Any  # (modes,) the linearization moved to
    mean: Any  # (modes,) posterior mean
    signal: Any  # (modes,) E mu_k^2, mu the posterior mean in prior scales
    learnability: Any  # (modes,) E L_k
    noise_signal: Any  # (channels,) sum of squares of the whitened noise
    noise_freedom: Any  # (channels,) trace of C^-1, whitened


def over_amplitudes(
    jacobian: Array,
    scale: Array,
    noise: Array,
    error: Array,
    amplitudes: Array,
    log_weights: Array,
    amplified: np.ndarray,
    channels: int,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Log evidence of each amplitude, and averages over amplitudes of: posterior mean (in prior
    scales), its square, learnability, and the two sums of the noise.

    Equals :func:`wilsonian.core.marginalization.marginalize` at each amplitude; the products that
    amplitudes share are formed once.
    """
    points, modes = jacobian.shape
    whitened, error = whiten(jacobian, scale, noise), error / noise
    constant = normalization(noise)
    observed = jnp.isfinite(noise)
    stretch = jnp.where(jnp.asarray(amplified), amplitudes[:, None], 1.0)  # (amplitudes, modes)
    if modes < points:
        gram, projected, square = whitened.T @ whitened, whitened.T @ error, error @ error
        matrix = jnp.eye(modes) + stretch[:, :, None] * gram * stretch[:, None, :]
        factor = jnp.linalg.cholesky(matrix)
        right = stretch * projected
        eye = jnp.broadcast_to(jnp.eye(modes), matrix.shape)
        half = jax.lax.linalg.triangular_solve(factor, eye, left_side=True, lower=True)
        first = jnp.einsum("aij,aj->ai", half, right)
        mu = jnp.einsum("aji,aj->ai", half, first)  # B^-1 b = S^-1/2 w
        quadratic = square - jnp.sum(first**2, 1)
        learned = 1.0 - jnp.sum(half**2, 1)
        alpha = error - (stretch * mu) @ whitened.T
        spread = jnp.einsum("im,ajm->aij", whitened, half * stretch[:, None, :])
        diagonal = 1.0 - jnp.sum(spread**2, 2)
    else:
        a, f = whitened[:, amplified], whitened[:, ~amplified]
        base = jnp.eye(points) + f @ f.T
        covariance = base + amplitudes[:, None, None] ** 2 * (a @ a.T)
        factor = jnp.linalg.cholesky(covariance)
        eye = jnp.broadcast_to(jnp.eye(points), covariance.shape)
        half = jax.lax.linalg.triangular_solve(factor, eye, left_side=True, lower=True)
        first = jnp.einsum("aij,j->ai", half, error)
        alpha = jnp.einsum("aji,aj->ai", half, first)
        quadratic = jnp.sum(first**2, 1)
        mu = (alpha @ whitened) * stretch
        diagonal = jnp.sum(half**2, 1)
    half_log_det = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)), axis=1)
    log_evidence = -0.5 * quadratic - half_log_det - constant + log_weights
    weights = jax.nn.softmax(jnp.where(jnp.isfinite(log_evidence), log_evidence, LOWEST))
    if modes < points:
        learnability = weights @ learned
    else:
        # One product for all amplitudes: diag(A^T (sum_a p_a tau_a^2 C_a^-1) A).
        inverse = jnp.einsum("aki,akj->aij", half, half)
        plain = jnp.einsum("a,aij->ij", weights, inverse)
        stretched = jnp.einsum("a,aij->ij", weights * amplitudes**2, inverse)
        learnability = jnp.zeros(modes)
        learnability = learnability.at[np.flatnonzero(amplified)].set(
            jnp.sum(a * (stretched @ a), 0)
        )
        learnability = learnability.at[np.flatnonzero(~amplified)].set(jnp.sum(f * (plain @ f), 0))
    by_channel = lambda values: jnp.sum(  # noqa: E731
        jnp.where(observed, weights @ values, 0.0).reshape(channels, -1), axis=1
    )
    return (
        log_evidence,
        jnp.sum(weights[:, None] * mu * stretch, 0),
        weights @ mu**2,
        learnability,
        by_channel(alpha**2),
        by_channel(diagonal),
    )


def noise_of(assembly: Assembly, observed: Array, noise: Array) -> Array:
    """Noise of each entry, infinite where nothing was observed."""
    return jnp.where(observed, jnp.repeat(noise, assembly.times), jnp.inf)


def _bounded(assembly: Assembly, moved: Array) -> Array:
    # Far outside its prior a friction turns into an explosion before the next step can correct it.
    keep = jnp.asarray(assembly.layout.amplified)
    return jnp.where(keep, moved, jnp.clip(moved, -WIDEST, WIDEST))


def gauss_newton(
    assembly: Assembly,
    hyper: Hyperparameters,
    signal: Array,
    observed: Array,
    zeta: Array,
    start: Array,
    iterations: int | Array,
) -> Evidence:
    """Move the coefficients from `start` by so many steps, then read everything off the last
    linearization."""
    noise = noise_of(assembly, observed, hyper.noise)
    scale, m = hyper.scale(assembly), assembly.layout.count
    amplified = assembly.layout.amplified

    def linear(w):
        value, jacobian, _ = assembly.linearize(signal, zeta, w)
        return jacobian, signal - value + jacobian @ (w - hyper.mean)

    def body(_, carry):
        w = carry[0]
        jacobian, error = linear(w)
        white, e = whiten(jacobian, scale, noise), error / noise
        if m < assembly.size:
            factor = jnp.linalg.cholesky(jnp.eye(m) + white.T @ white)
            moved = jax.scipy.linalg.cho_solve((factor, True), white.T @ e)
        else:
            factor = jnp.linalg.cholesky(jnp.eye(assembly.size) + white @ white.T)
            moved = white.T @ jax.scipy.linalg.cho_solve((factor, True), e)
        following = hyper.mean + scale * _bounded(assembly, moved)
        following = jnp.where(jnp.all(jnp.isfinite(following)), following, w)
        return following, jacobian, error

    blank = (start, jnp.zeros((assembly.size, m)), jnp.zeros(assembly.size))
    w, jacobian, error = jax.lax.fori_loop(0, iterations, body, blank)
    logs, mu, square, learned, noise_square, freedom = over_amplitudes(
        jacobian,
        scale,
        noise,
        error,
        hyper.amplitudes,
        hyper.log_weights,
        amplified,
        assembly.channels,
    )
    fine = jnp.all(jnp.isfinite(error)) & jnp.all(jnp.isfinite(jacobian))
    logs = jnp.where(fine & jnp.isfinite(logs), logs, LOWEST)
    return Evidence(logs, w, hyper.mean + scale * mu, square, learned, noise_square, freedom)


def parameter_information(
    assembly: Assembly,
    hyper: Hyperparameters,
    jacobian: Array,
    directions: Array,
    observed: Array,
    zeta: Array,
    amplitude: Array,
) -> tuple[Array, Array]:
    r"""Information on the unbounded parameters with the residual known, and with it integrated out
    at the amplitude given; in both the start is integrated out, the prior's curvature added.
    `jacobian` and `directions` are those of the signal at `zeta`."""
    noise = noise_of(assembly, observed, hyper.noise)
    scale = hyper.scale(assembly)
    scale = scale * jnp.where(jnp.asarray(assembly.layout.amplified), amplitude, 1.0)
    of_start = jnp.arange(assembly.layout.count) < len(assembly.free)
    curvature = -jax.hessian(assembly.physics.parameters.log_prior)(zeta)
    # Both in one factorization: two of batches at once, in one program, can wait for each other's
    # thread on two cores for ever (jaxlib 0.10 deals a batch to the threads it runs on).
    known, integrated = jax.vmap(marginal_information, in_axes=(None, 0, None, None))(
        jacobian, jnp.stack([scale * of_start, scale]), noise, directions
    )
    return known + curvature, integrated + curvature


class Engine:
    """The compiled evidence of many signals at many points each; arrays in and out are NumPy's.

    `signals` (samples, size) hold numbers everywhere; `observed` says which were measured.
    """

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly
        state = max(assembly.states, 1)
        per_point = 8 * (assembly.layout.count + assembly.parameter_count + 2) * assembly.times
        self.per_point = max(per_point * max(state, assembly.channels), 8 * assembly.size**2 // 4)
        one_point = full_products(functools.partial(gauss_newton, assembly))
        self._evidence = jax.jit(jax.vmap(one_point, in_axes=(None, 0, 0, 0, 0, None)))
        middle = jnp.zeros(assembly.parameter_count)
        self._starts = jax.jit(jax.vmap(lambda signal: assembly.start(signal, middle)))
        # Compiled once for all that needs derivatives of a signal, or the signal alone.
        self._linear = jax.jit(jax.vmap(full_products(assembly.linearize)))
        one = full_products(functools.partial(parameter_information, assembly))
        self._information = jax.jit(jax.vmap(one, in_axes=(None, 0, 0, 0, 0, 0)))

    def evidence(
        self,
        hyper: Hyperparameters,
        signals: np.ndarray,
        observed: np.ndarray,
        zeta: np.ndarray,
        start: np.ndarray,
        iterations: int,
    ) -> Evidence:
        """`zeta` (samples, points, parameters), `start` (samples, points, coefficients)."""
        points = zeta.shape[1]
        total = zeta.shape[0] * points
        # Pairs of signal and point in chunks of one size: one compilation for all grids.
        chunk = int(np.clip(CHUNK_BYTES // self.per_point, 1, MOST_PAIRS))
        pieces = []
        for first in range(0, total, chunk):
            # The last chunk is filled up with its own last pair.
            row, point = np.divmod(np.minimum(np.arange(first, first + chunk), total - 1), points)
            piece = self._evidence(
                hyper, signals[row], observed[row], zeta[row, point], start[row, point], iterations
            )
            used = min(chunk, total - first)
            pieces.append([np.asarray(value)[:used] for value in piece])
        joined: list[Any] = [np.concatenate(values) for values in zip(*pieces, strict=True)]
        return Evidence(*(value.reshape(len(zeta), points, *value.shape[1:]) for value in joined))

    def starts(self, signals: np.ndarray) -> np.ndarray:
        """What the simulator reads off each signal, (samples, states)."""
        return in_chunks(self._starts, signals)[0]

    def linearize(self, signals: np.ndarray, zeta: np.ndarray, w: np.ndarray):
        """Noise-free signals (samples, size), their derivatives by the coefficients and by the
        unbounded parameters, one more axis each."""
        return in_chunks(self._linear, signals, zeta, w)

    def predict(self, signals: np.ndarray, zeta: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Noise-free signals (samples, size)."""
        return in_chunks(lambda *rows: self._linear(*rows)[0], signals, zeta, w)[0]

    def information(self, hyper, signals, observed, zeta, w, amplitude):
        """Two arrays (samples, parameters, parameters), see `parameter_information`."""

        def run(signals, observed, zeta, w, amplitude):
            _, jacobian, directions = self._linear(signals, zeta, w)
            return self._information(hyper, jacobian, directions, observed, zeta, amplitude)

        return in_chunks(run, signals, observed, zeta, w, amplitude)


def in_chunks(run: Any, *arguments: np.ndarray) -> tuple[np.ndarray, ...]:
    """`run` on 32 signals at a time, the last ones repeated to fill up; NumPy arrays out."""
    samples, chunk, pieces = len(arguments[0]), 32, []
    for first in range(0, samples, chunk):
        rows = np.minimum(np.arange(first, first + chunk), samples - 1)
        piece = run(*(values[rows] for values in arguments))
        piece = piece if isinstance(piece, tuple) else (piece,)
        pieces.append([np.asarray(value)[: min(chunk, samples - first)] for value in piece])
    return tuple(np.concatenate(values) for values in zip(*pieces, strict=True))
