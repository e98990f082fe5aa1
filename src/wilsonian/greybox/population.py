r"""Hyper-parameters from a population of signals, the parameters of each unknown.

Variances follow the fixed-point form of expectation maximization: with
:math:`\mu_k` the posterior mean of a coefficient in prior scales and :math:`\mathcal L_k` its
learnability, both averaged over samples and their posteriors,

.. math:: S_g \leftarrow S_g \Big( \frac{\sum_{k \in g} \langle \mu_k^2 \rangle}
    {\sum_{k \in g} \langle \mathcal L_k \rangle} \Big)^{\rho}

It stands still where EM does, :math:`\langle (\hat w - w_0)^2 + \mathrm{Var} \rangle = S`;
:math:`\rho = 1/2` never lowers the evidence (a minorization, Zhou et al. 2019), and near zero
variance it goes geometrically where EM stalls. The noise obeys the same formula with the trace of
:math:`C^{-1}` below.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import scipy.special

from wilsonian.greybox.grid_posterior import (
    Axis,
    Points,
    explore,
    lay,
    next_range,
    points_of,
    posterior_on,
    warm_start,
)
from wilsonian.greybox.joint_posterior import JointState, explore_jointly
from wilsonian.greybox.laplace import Engine, Hyperparameters

SAFE, BOLD = 0.5, 0.9  # exponents of the first two steps and of the others
SMALLEST = 1e-12  # variance, against where the group started
EM_POINTS = 24
EM_DRAWS = 32  # a power of two: they are quasi-random


@dataclasses.dataclass
class Population:
    """Signals and what is remembered of each between steps."""

    signals: np.ndarray
    observed: np.ndarray
    start: np.ndarray  # (samples, coefficients)
    grid: np.ndarray | None = None
    coefficients: np.ndarray | None = None  # (samples, points, coefficients)
    joint: JointState | None = None


def expectation(engine: Engine, hyper: Hyperparameters, people: Population) -> Points:
    """Posterior of every signal under `hyper`; later calls start from where the last one ended."""
    if engine.assembly.parameter_count > 1:
        points, people.joint = explore_jointly(
            engine,
            hyper,
            people.signals,
            people.observed,
            people.start,
            draws=EM_DRAWS,
            earlier=people.joint,
        )
        return points
    axis = Axis(next(iter(engine.assembly.physics.parameters.members.values())))
    if people.grid is None or people.coefficients is None:
        points, grid = explore(
            engine, hyper, people.signals, people.observed, people.start, fine=EM_POINTS
        )
    else:
        grid = people.grid
        found = engine.evidence(
            hyper,
            people.signals,
            people.observed,
            axis.unbounded(grid)[..., None],
            people.coefficients,
            1,
        )
        weight, total = posterior_on(grid, axis, found)
        points = points_of(grid, axis, found, weight, total)
    low, high, _ = next_range(grid, points.log_weight, axis)
    people.grid = lay(low, high, grid.shape[1])
    people.coefficients = warm_start(people.grid, grid, points.evidence.coefficients)
    return points


def maximization(
    engine: Engine,
    hyper: Hyperparameters,
    points: Points,
    start_variance: np.ndarray,
    *,
    exponent: float,
    learn_noise: bool,
) -> Hyperparameters:
    """The next hyper-parameters."""
    layout, found = engine.assembly.layout, points.evidence
    weight = np.exp(points.log_weight)
    average = lambda values: np.einsum("np,npk->k", weight, values) / len(weight)  # noqa: E731
    mean = np.array(hyper.mean)
    log_variance = np.array(hyper.log_variance)
    if layout.count:
        learned_mean = average(found.mean)
        mean = np.where(layout.learns_mean, learned_mean, mean)
        # Around the new mean: the old deviations less their own mean.
        scale = np.asarray(hyper.scale(engine.assembly))
        with np.errstate(divide="ignore", invalid="ignore"):
            drift = np.where(scale > 0, (learned_mean - np.asarray(hyper.mean)) / scale, 0.0)
        signal = average(found.signal) - np.where(layout.learns_mean, drift**2, 0.0)
        tops = np.bincount(layout.group, np.maximum(signal, 0.0), layout.groups)
        bottoms = np.bincount(layout.group, average(found.learnability), layout.groups)
        ratio = np.where(bottoms > 0, tops / np.where(bottoms > 0, bottoms, 1.0), 1.0)
        log_variance = log_variance + exponent * np.log(np.clip(ratio, 1e-4, 1e4))
        floor = np.log(start_variance * SMALLEST)
        log_variance = np.clip(log_variance, floor, np.log(start_variance) + 40)
    noise = np.array(hyper.noise)
    if learn_noise:
        ratio = average(found.noise_signal) / average(found.noise_freedom)
        noise = noise * np.clip(ratio, 1e-2, 1e2) ** (exponent / 2)
    log_weights = np.array(hyper.log_weights)
    if len(log_weights) > 1:
        by_amplitude = scipy.special.softmax(found.log_evidence, axis=2)
        shares = np.einsum("np,npa->a", weight, by_amplitude) / len(weight)
        shares = (shares + 1e-3) / np.sum(shares + 1e-3)
        log_weights = np.log(shares)
    return Hyperparameters(
        jnp.asarray(mean),
        jnp.asarray(log_variance),
        jnp.asarray(noise),
        hyper.amplitudes,
        jnp.asarray(log_weights),
    )
