"""Is a model calibrated? By the truth where it is known, by its own simulations where not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import scipy.special
import scipy.stats

from wilsonian.greybox.metrics import ParameterScore, quantile_strata, score


@dataclasses.dataclass(frozen=True)
class SimulatedRanks:
    """Ranks of parameters drawn from the prior in posteriors of signals simulated from them.

    Uniform when the algorithm is right. This says nothing of whether the residual is.
    """

    ranks: dict[str, np.ndarray]
    distance: dict[str, float]  # Kolmogorov
    p_value: dict[str, float]
    count: int


def calibrate(
    model: Any,
    X: Any = None,
    truth: Mapping[str, np.ndarray] | None = None,
    *,
    strata: Mapping[str, np.ndarray] | None = None,
    simulations: int = 200,
    seed: int = 0,
) -> dict[str, ParameterScore] | SimulatedRanks:
    """With `truth`, coverage of every parameter it names, on the signals `X`; without,
    simulation-based calibration with the hyper-parameters as fitted (the starts and missing
    values of `X` are used when the simulator reads its start off a signal).

    Raises ValueError when a name is not a parameter, or signals are needed and missing.
    """
    if truth is None:
        return simulated_ranks(model, X, simulations, seed)
    strange = set(truth) - set(model.physics.parameters.names)
    if strange:
        raise ValueError(
            f"{sorted(strange)[0]!r} is no parameter; there are "
            f"{', '.join(model.physics.parameters.names)}."
        )
    found = model.infer(X)
    chosen = quantile_strata(np.asarray(X)) if strata is None else strata
    return {name: score(found[name], values, chosen) for name, values in truth.items()}


def simulate(model: Any, count: int, seed: int, X: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Parameters from the prior (count, parameters), and signals with residual and noise
    (count, channels, times) under the fitted population."""
    model._check_fitted()
    random = np.random.default_rng(seed)
    with jax.enable_x64(True):
        assembly, hyper = model.assembly_, model.hyperparameters_
        quantiles = random.random((count, assembly.parameter_count))
        physical = model.physics.parameters.at_quantile(quantiles)
        zeta = model.physics.parameters.unbounded(physical)
        scale = np.asarray(hyper.scale(assembly))
        shares = scipy.special.softmax(np.asarray(hyper.log_weights))
        tau = np.asarray(hyper.amplitudes)[random.choice(len(shares), count, p=shares)]
        stretch = np.where(assembly.layout.amplified, tau[:, None], 1.0)
        w = np.asarray(hyper.mean) + scale * stretch * random.normal(size=(count, len(scale)))
        base = np.zeros((count, assembly.size))
        if X is not None:
            signals = model._prepare(X).flat
            base = signals[random.integers(0, len(signals), count)]
        clean = model.engine_.predict(base, zeta, w)
        noise = np.repeat(np.asarray(hyper.noise), assembly.times)
        noisy = clean + noise * random.normal(size=clean.shape)
    return physical, noisy.reshape(count, assembly.channels, assembly.times)


def simulated_ranks(model: Any, X: Any, simulations: int = 200, seed: int = 0) -> SimulatedRanks:
    """Simulation-based calibration; simulations that are not finite are left out."""
    physical, signals = simulate(model, simulations, seed, X)
    fine = np.isfinite(signals).all(axis=(1, 2))
    with jax.enable_x64(True):
        read = model._prepare(signals[fine])
        result = model._result(read, model._explore(read), 50)
    names = model.physics.parameters.names
    ranks = {name: result[name].rank(physical[fine, i]) for i, name in enumerate(names)}
    tests = {name: scipy.stats.kstest(rank, "uniform") for name, rank in ranks.items()}
    return SimulatedRanks(
        ranks,
        {name: float(test.statistic) for name, test in tests.items()},
        {name: float(test.pvalue) for name, test in tests.items()},
        int(fine.sum()),
    )
