"""Posterior of several parameters: joint Gauss-Newton, then importance resampling."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats
from jaxtyping import Array

from wilsonian.core.marginalization import whiten
from wilsonian.core.precision import full_products
from wilsonian.greybox.assembly import Assembly
from wilsonian.greybox.grid_posterior import Points
from wilsonian.greybox.laplace import Engine, Evidence, Hyperparameters, in_chunks, noise_of
from wilsonian.greybox.pareto import pareto_shape

SEARCH = 16  # points of the prior that are tried first
FREEDOM = 6.0  # of the Student-t proposal
WORST = 0.7  # Pareto shape above which the proposal is fitted again


@dataclasses.dataclass
class JointState:
    """Modes found, to start from when the hyper-parameters have moved a little."""

    zeta: np.ndarray  # (samples, parameters)
    coefficients: np.ndarray
    center: np.ndarray | None = None
    covariance: np.ndarray | None = None


def find_mode(
    assembly: Assembly,
    hyper: Hyperparameters,
    signal: Array,
    observed: Array,
    zeta: Array,
    w: Array,
    iterations: Array,
) -> tuple[Array, Array, Array]:
    r"""Levenberg-Marquardt in :math:`(\zeta, w)`; returns both and the covariance of
    :math:`\zeta`, coefficients integrated out,
    :math:`(G^T C^{-1} G - \nabla^2 \log p(\zeta))^{-1}`."""
    noise, scale = noise_of(assembly, observed, hyper.noise), hyper.scale(assembly)
    log_prior = assembly.physics.parameters.log_prior
    safe = jnp.where(scale > 0, scale, 1.0)
    k, m = len(zeta), assembly.layout.count

    def model(zeta, w):
        value, jacobian, directions = assembly.linearize(signal, zeta, w)
        misfit = (signal - value) / noise
        prior = jnp.where(scale > 0, (w - hyper.mean) / safe, 0.0)
        cost = 0.5 * misfit @ misfit + 0.5 * prior @ prior - log_prior(zeta)
        return value, jacobian, directions, jnp.where(jnp.isfinite(cost), cost, jnp.inf)

    def information(jacobian, directions, error):
        """G^T C^-1 G, G^T C^-1 e, and the pieces of w's answer."""
        white, g, e = whiten(jacobian, scale, noise), directions / noise[:, None], error / noise
        both = jnp.concatenate([g, e[:, None]], axis=1)
        if m < assembly.size:
            factor = jnp.linalg.cholesky(jnp.eye(m) + white.T @ white)
            answer = jax.scipy.linalg.cho_solve((factor, True), white.T @ both)  # (m, k + 1)
            solved = both - white @ answer
        else:
            factor = jnp.linalg.cholesky(jnp.eye(assembly.size) + white @ white.T)
            solved = jax.scipy.linalg.cho_solve((factor, True), both)
            answer = white.T @ solved
        return g.T @ solved[:, :k], g.T @ solved[:, k], answer

    def curvature(zeta):
        return -jax.hessian(log_prior)(zeta)

    def body(_, carry):
        zeta, w, kept, damping = carry
        value, jacobian, directions, cost = kept
        error = signal - value + jacobian @ (w - hyper.mean)
        fisher, pull, answer = information(jacobian, directions, error)
        hessian = fisher + curvature(zeta)
        hessian = hessian + damping * jnp.diag(jnp.diag(hessian)) + 1e-12 * jnp.eye(k)
        step = jnp.linalg.solve(hessian, pull + jax.grad(log_prior)(zeta))
        step = step / jnp.maximum(1.0, jnp.max(jnp.abs(step)) / 2.0)
        tried_zeta = zeta + step
        tried_w = hyper.mean + scale * jnp.clip(answer[:, k] - answer[:, :k] @ step, -30.0, 30.0)
        tried = model(tried_zeta, tried_w)
        better = tried[3] < cost
        pick = lambda new, old: jnp.where(better, new, old)  # noqa: E731
        kept = jax.tree.map(pick, tried, kept)
        damping = jnp.where(better, damping / 5, jnp.maximum(damping, 1e-3) * 6)
        return pick(tried_zeta, zeta), pick(tried_w, w), kept, damping

    begin = (zeta, w, model(zeta, w), jnp.asarray(1e-3))
    zeta, w, kept, _ = jax.lax.fori_loop(0, iterations, body, begin)
    fisher, _, _ = information(kept[1], kept[2], jnp.zeros(assembly.size))
    covariance = jnp.linalg.inv(fisher + curvature(zeta) + 1e-12 * jnp.eye(k))
    return zeta, w, covariance


@functools.lru_cache(maxsize=8)
def _finder(assembly: Assembly):
    one = full_products(functools.partial(find_mode, assembly))
    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0, 0, 0, None)))


def find_modes(engine, hyper, signals, observed, zeta, w, iterations):
    """`find_mode` for many signals, NumPy in and out."""
    run = _finder(engine.assembly)
    return in_chunks(lambda *rows: run(hyper, *rows, iterations), signals, observed, zeta, w)


def halton(count: int, dimensions: int) -> np.ndarray:
    """Evenly spread points of the unit cube, the same every time."""
    return scipy.stats.qmc.Halton(dimensions, scramble=True, rng=0).random(count)


def _student(count: int, dimensions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard Student-t vectors and their log densities."""
    cube = scipy.stats.qmc.Sobol(dimensions + 1, scramble=True, rng=seed).random(count)
    cube = np.clip(cube, 1e-9, 1 - 1e-9)
    normal = scipy.special.ndtri(cube[:, :dimensions])
    chi = scipy.stats.chi2.ppf(cube[:, dimensions], FREEDOM)
    drawn = normal * np.sqrt(FREEDOM / chi)[:, None]
    density = scipy.stats.multivariate_t(np.zeros(dimensions), np.eye(dimensions), FREEDOM)
    return drawn, np.atleast_1d(density.logpdf(drawn))


def explore_jointly(
    engine: Engine,
    hyper: Hyperparameters,
    signals: np.ndarray,
    observed: np.ndarray,
    start: np.ndarray,
    *,
    draws: int = 256,
    seed: int = 0,
    earlier: JointState | None = None,
    rounds: int = 3,
) -> tuple[Points, JointState]:
    """Posterior draws with importance weights. The proposal is a Student-t at the mode; where the
    Pareto shape of the weights is bad, it is fitted to them and drawn again."""
    parameters = engine.assembly.physics.parameters
    samples, k = len(signals), len(parameters)
    if earlier is None:
        quantiles = parameters.at_quantile(halton(SEARCH, k))
        search = parameters.unbounded(quantiles)
        points = np.broadcast_to(search, (samples, SEARCH, k))
        begin = np.repeat(start[:, None], SEARCH, axis=1)
        found = engine.evidence(hyper, signals, observed, np.array(points), begin, 2)
        prior = parameters.log_prior(points)
        best = (scipy.special.logsumexp(found.log_evidence, axis=2) + prior).argmax(axis=1)
        rows = np.arange(samples)
        zeta, w, steps = np.array(points)[rows, best], found.coefficients[rows, best], 25
    else:
        zeta, w, steps = earlier.zeta, earlier.coefficients, 4
    zeta, w, covariance = find_modes(engine, hyper, signals, observed, zeta, w, steps)
    state = JointState(zeta, w)
    center = zeta
    t, log_t = _student(draws, k, seed)
    result: Evidence | None = None
    logs = np.zeros((samples, draws))
    unbounded, k_hat = np.zeros((samples, draws, k)), np.zeros(samples)
    waiting = np.arange(samples)
    for round_ in range(rounds):
        factor = np.linalg.cholesky(_positive(covariance[waiting]))
        unbounded[waiting] = center[waiting][:, None] + np.einsum("nij,pj->npi", factor, t)
        log_proposal = log_t - np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(1)[:, None]
        begin = np.repeat(w[waiting][:, None], draws, axis=1)
        found = engine.evidence(
            hyper, signals[waiting], observed[waiting], unbounded[waiting], begin, 2
        )
        prior = parameters.log_prior(unbounded[waiting])
        logs[waiting] = (
            scipy.special.logsumexp(found.log_evidence, axis=2) + prior - log_proposal
        ) - np.log(draws)
        if result is None:
            result = found._replace(**{n: np.array(v) for n, v in found._asdict().items()})
        else:
            for stored, value in zip(result, found, strict=True):
                stored[waiting] = value
        k_hat[waiting] = [pareto_shape(row) for row in logs[waiting]]
        bad = waiting[k_hat[waiting] > WORST]
        if not len(bad) or round_ == rounds - 1 or draws < 64:
            break
        weights = scipy.special.softmax(logs[bad] / (2.0 if round_ == 0 else 1.0), axis=1)
        center = center.copy()
        center[bad] = np.einsum("np,npk->nk", weights, unbounded[bad])
        off = unbounded[bad] - center[bad][:, None]
        covariance = covariance.copy()
        covariance[bad] = np.einsum("np,npi,npj->nij", weights, off, off)
        waiting = bad
    assert result is not None
    total = scipy.special.logsumexp(logs, axis=1)
    physical = parameters.physical_array(unbounded)
    weight = logs - total[:, None]
    return Points(unbounded, physical, weight, total, result, None, k_hat), state


def _positive(covariance: np.ndarray) -> np.ndarray:
    """Nudged to be positive definite, and no wider than a logistic prior."""
    values, vectors = np.linalg.eigh((covariance + covariance.transpose(0, 2, 1)) / 2)
    values = np.clip(np.nan_to_num(values, nan=1.0), 1e-14, 6.0)
    return np.einsum("nij,nj,nkj->nik", vectors, values, vectors)
