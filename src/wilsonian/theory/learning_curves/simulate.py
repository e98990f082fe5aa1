"""Exact regression on draws of the theory's own model: what the averaged theory is held against."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.theory.datasets import (
    AbstractFeatureLaw,
    Gaussian,
    check_positive,
    matched_target,
    regression_problem,
)
from wilsonian.theory.learning_curves.binned_spectrum import check_eigenvalues
from wilsonian.theory.learning_curves.cross_validation import from_eigenvalues, resolved


class Estimate(eqx.Module):
    """A mean over draws and its standard error, arrays of one shape."""

    mean: Float[Array | np.ndarray, "..."]
    standard_error: Float[Array | np.ndarray, "..."]

    @classmethod
    def of(cls, values: Any) -> Estimate:
        """Of independent draws, along the first axis."""
        values = np.asarray(values, float)
        return cls(values.mean(axis=0), values.std(axis=0, ddof=1) / len(values) ** 0.5)

    def deviation(self, expected: Any) -> np.ndarray:
        """How many standard errors the mean lies from `expected`; zero for two equal numbers."""
        difference = np.asarray(self.mean) - np.asarray(expected)
        error = np.asarray(self.standard_error)
        return np.where(difference == 0, 0.0, difference) / np.where(error > 0, error, 1e-300)


class Simulation(eqx.Module):
    """Averages over draws, one entry per ridge; those of modes have another axis (ridges, modes).

    Names are those of :class:`LearningCurve`.
    """

    test_error: Estimate  # of the noiseless target
    train_error: Estimate  # of the noisy training labels
    effective_ridge: Estimate  # n / tr (K + ridge)^{-1}
    posterior_variance: Estimate  # mean over inputs
    cross_validation: Estimate  # generalized (GCV): estimates the error of a new noisy label
    mode_mean: Estimate  # mean coefficient of each mode, sign included
    mode_variance: Estimate  # variance of each mode's coefficient over draws


def simulate(
    eigenvalues: Any,
    n: float | int,
    ridge: Any,
    *,
    coefficients: Any = None,
    noise_variance: float = 0.0,
    law: AbstractFeatureLaw | None = None,
    draws: int = 100,
    random_state: int = 0,
    poisson: bool = False,
    at_once: int = 1,
) -> Simulation:
    r"""Draw data sets of `n` points and regress on each exactly.

    Features follow `law` (:class:`~wilsonian.theory.datasets.Gaussian` when left out), targets are
    :math:`\sum_k y_k \phi_k(x_i) + \varepsilon_i` with the `coefficients` :math:`y_k`
    (:func:`~wilsonian.theory.datasets.matched_target` when left out; their squares are what
    :class:`LearningCurve` calls target) and noise of variance `noise_variance`. Every `ridge`, one
    or an array (ridges,), is applied to the same draws: one eigendecomposition serves all. A ridge
    of zero is the minimum-norm interpolant, or with fewer modes than points the least-squares fit.

    With `poisson` each data set has Poisson(`n`) points, none empty. `random_state` is the seed;
    `at_once` draws share a batch, which pays on accelerators and costs memory of `at_once` times
    n times modes. Standard errors of means are those over draws; of the modes' variance, from the
    fourth moment.

    Raises ValueError when eigenvalues are not those of a kernel, shapes differ, n or draws is too
    small, or a ridge or the noise is negative.
    """
    values = check_eigenvalues(eigenvalues)
    check_positive(n=n)
    if not poisson and n != int(n):
        raise ValueError(f"`n` must be a whole number of points, got {n}; or pass poisson=True.")
    if draws < 2:
        raise ValueError(f"`draws` must be at least 2 for a standard error, got {draws}.")
    ridges = np.asarray(ridge, float)
    if ridges.ndim > 1 or not np.all(np.isfinite(ridges)) or np.any(ridges < 0):
        raise ValueError(
            f"`ridge` must be one number or a list, at least zero and finite, got {ridge}."
        )
    if not 0 <= noise_variance < np.inf:
        raise ValueError(
            f"`noise_variance` is a variance, at least zero and finite, got {noise_variance}."
        )
    sizes = np.full(draws, int(n))
    if poisson:
        sizes = np.random.default_rng(random_state).poisson(n, draws).clip(1)
    at_once = max(1, min(at_once, draws))
    steps = -(-draws // at_once)
    present = (np.arange(steps * at_once) < draws).astype(float)
    with jax.enable_x64(True):
        target = matched_target(jnp.asarray(values)) if coefficients is None else coefficients
        keys = jax.random.split(jax.random.key(random_state), steps * at_once)
        blocks = jax.tree.map(
            lambda leaf: leaf.reshape(steps, at_once, *leaf.shape[1:]),
            (keys, jnp.asarray(np.resize(sizes, len(present))), jnp.asarray(present)),
        )
        # All of them arrays: numbers would be compiled in, one program for each.
        problem = (
            jnp.asarray(values),
            jnp.asarray(target, float),
            jnp.asarray(noise_variance, float),
        )
        ridge = jnp.asarray(np.atleast_1d(ridges))
        law = Gaussian() if law is None else law
        sums, each = _over_draws(problem, ridge, law, int(sizes.max()), blocks)
    scalars = jax.tree.map(
        lambda leaf: Estimate.of(np.reshape(leaf, (-1, len(ridge)))[:draws]), each
    )
    mean, variance = _mode_moments(np.asarray(sums) / draws, draws)
    mean = Estimate(mean.mean + np.asarray(target), mean.standard_error)
    test, train, effective, posterior, validation = scalars
    result = Simulation(test, train, effective, posterior, validation, mean, variance)
    return jax.tree.map(lambda leaf: leaf[0], result) if ridges.ndim == 0 else result


@compiled
def _over_draws(problem, ridges, law, points, blocks):
    """Sums over draws of the first four powers of the coefficients' errors (4, ridges, modes), and
    (test, train error, effective ridge, posterior variance, label error) of each draw."""

    def step(sums, block):
        keys, sizes, present = block
        error, scalars = jax.vmap(lambda *one: _one_draw(problem, ridges, law, points, *one))(
            keys, sizes
        )
        powers = error[None] ** jnp.arange(1, 5)[:, None, None, None]
        return sums + jnp.einsum("b,kbrm->krm", present, powers), scalars

    start = jnp.zeros((4, len(ridges), len(problem[0])))
    return jax.lax.scan(step, start, blocks)


def _one_draw(problem, ridges, law, points, key, size):
    eigenvalues, coefficients, noise_variance = problem
    drawn = regression_problem(
        key, eigenvalues, points, law=law, coefficients=coefficients, label_noise=noise_variance
    )
    used = jnp.arange(points) < size
    features = drawn.spectrum.modes * used[:, None]
    scaled = features * eigenvalues
    gram = scaled @ features.T
    # Points beyond this draw's number are set apart, with eigenvalues below all others.
    gram = jnp.where(used[:, None] & used, gram, jnp.diag(-1.0 * ~used))
    values, vectors = jnp.linalg.eigh(gram)
    present = (jnp.arange(points) >= points - size).astype(values.dtype)
    labels = vectors.T @ jnp.where(used, drawn.targets, 0.0)
    total = present * (resolved(values, present) + ridges[:, None])
    inverse = jnp.where(total > 0, 1 / jnp.where(total > 0, total, 1.0), 0.0)
    error = ((inverse * labels) @ vectors.T) @ scaled - coefficients
    learned = jnp.sum((vectors.T @ scaled) ** 2, axis=1)
    estimates = jax.vmap(lambda r: from_eigenvalues(values, labels**2, r, present))(ridges)
    return error, (
        jnp.sum(error**2, axis=1),
        estimates.train_error,
        estimates.effective_ridge,
        jnp.sum(eigenvalues) - inverse @ learned,
        estimates.label_error,
    )


def _mode_moments(powers: np.ndarray, draws: int) -> tuple[Estimate, Estimate]:
    """Mean and variance over draws, from the mean first four powers."""
    first, second, third, fourth = powers
    variance = np.maximum(second - first**2, 0.0)
    central = fourth - 4 * third * first + 6 * second * first**2 - 3 * first**4
    unbiased = variance * draws / (draws - 1)
    spread = np.sqrt(np.maximum(central - variance**2, 0.0) / draws)
    return Estimate(first, np.sqrt(unbiased / draws)), Estimate(unbiased, spread)
