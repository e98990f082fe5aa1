"""Forecasts from measured curves of known laws: how often the band holds the truth, how far off.

    python benchmarks/forecast_curves.py              # 60 seeds of 10 laws, with and without errors

Seven sizes from 50 to 3,200, errors with 3 % of noise, forecasts for 2, 4 and 16 times the last.
Two laws are averaged theories of kernel ridge regression, sums over the modes of a power-law
spectrum. The logarithm and the stretched exponential are no candidate's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import jax
import numpy as np

from wilsonian.theory.forecast import forecast_curve
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum

SIZES = np.geomspace(50, 3200, 7)
TO = np.array([6400, 12800, 51200])
NOISE = 0.03
NOBODYS = ("1 / log n", ".5 exp(-sqrt(n/300)) + .1")


def averaged_theory(
    exponent: float, target_exponent: float, noise_variance: float, ridge: float | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Expected error with noise of a power-law spectrum, at the best ridge of every n or at one."""
    with jax.enable_x64(True):
        spectrum = BinnedSpectrum.power_law(exponent, target_exponent=target_exponent)
        curve = LearningCurve(spectrum, noise_variance=noise_variance)

    def error(n: np.ndarray) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(curve.label_error(n, ridge or curve.optimal_ridge(n)))

    return error


LAWS = {
    "2 n^-.4": lambda n: 2 * n**-0.4,
    "n^-.1": lambda n: n**-0.1,
    "5 n^-.7 + .1": lambda n: 5 * n**-0.7 + 0.1,
    ".3": lambda n: 0.3 + 0 * n,
    "3 (n+300)^-.6 + .02": lambda n: 3 * (n + 300) ** -0.6 + 0.02,
    "theory, best ridge": averaged_theory(2.0, 1.8, 0.05, None),
    "theory, one ridge": averaged_theory(1.5, 2.0, 0.01, 1e-2),
    "1 / log n": lambda n: 1 / np.log(n),
    ".5 exp(-n/800) + .1": lambda n: 0.5 * np.exp(-n / 800) + 0.1,
    ".5 exp(-sqrt(n/300)) + .1": lambda n: 0.5 * np.exp(-np.sqrt(n / 300)) + 0.1,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--draws", type=int, default=400)
    asked = parser.parse_args()
    print("law | standard errors | within the 90 % band | median error % | CPU s a forecast")
    for known in (True, False):
        shares = {}
        for name, law in LAWS.items():
            measured, truth = law(SIZES), law(TO)
            started, held, missed, doubted = time.process_time(), np.zeros(len(TO)), [], 0
            for seed in range(asked.seeds):
                random = np.random.default_rng(seed)
                error = measured * np.exp(NOISE * random.standard_normal(len(SIZES)))
                spread = NOISE * error if known else None
                found = forecast_curve(
                    SIZES, error, spread, to=TO, draws=asked.draws, random_state=seed
                )
                held += (found.lower <= truth) & (truth <= found.upper)
                missed.append(np.abs(found.median / truth - 1))
                doubted += any("the curve turns" in doubt for doubt in found.diagnostics)
            each = (time.process_time() - started) / asked.seeds
            shares[name] = held / asked.seeds
            within = " ".join(f"{share:.2f}" for share in shares[name])
            off = " ".join(f"{100 * share:.1f}" for share in np.median(missed, axis=0))
            print(
                f"{name} | {'given' if known else 'none'} | {within} | {off} | {each:.2f} "
                f"(the curve turns: {doubted})",
                flush=True,
            )
        own = np.mean([share for name, share in shares.items() if name not in NOBODYS], axis=0)
        whole = " ".join(f"{share:.3f}" for share in own)
        print(f"all candidates' laws | {'given' if known else 'none'} | {whole} |", flush=True)


if __name__ == "__main__":
    main()
