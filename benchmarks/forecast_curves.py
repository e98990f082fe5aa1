"""Forecasts from measured curves of known laws: how often the band holds the truth, how far off.

    python benchmarks/forecast_curves.py              # 60 seeds of 8 laws, with and without errors

Seven sizes from 50 to 3,200, errors with 3 % of noise, forecasts for 2, 4 and 16 times the last.
The logarithm and the stretched exponential are no candidate's.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from wilsonian.theory.forecast import forecast_curve

SIZES = np.geomspace(50, 3200, 7)
TO = np.array([6400, 12800, 51200])
NOISE = 0.03
LAWS = {
    "2 n^-.4": lambda n: 2 * n**-0.4,
    "n^-.1": lambda n: n**-0.1,
    "5 n^-.7 + .1": lambda n: 5 * n**-0.7 + 0.1,
    ".3": lambda n: 0.3 + 0 * n,
    "3 (n+300)^-.6 + .02": lambda n: 3 * (n + 300) ** -0.6 + 0.02,
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
        for name, law in LAWS.items():
            started, held, missed, doubted = time.process_time(), np.zeros(len(TO)), [], 0
            for seed in range(asked.seeds):
                random = np.random.default_rng(seed)
                error = law(SIZES) * np.exp(NOISE * random.standard_normal(len(SIZES)))
                spread = NOISE * error if known else None
                found = forecast_curve(
                    SIZES, error, spread, to=TO, draws=asked.draws, random_state=seed
                )
                held += (found.lower <= law(TO)) & (law(TO) <= found.upper)
                missed.append(np.abs(found.median / law(TO) - 1))
                doubted += any("the curve turns" in doubt for doubt in found.diagnostics)
            each = (time.process_time() - started) / asked.seeds
            within = " ".join(f"{share:.2f}" for share in held / asked.seeds)
            off = " ".join(f"{100 * share:.1f}" for share in np.median(missed, axis=0))
            print(
                f"{name} | {'given' if known else 'none'} | {within} | {off} | {each:.2f} "
                f"(the curve turns: {doubted})",
                flush=True,
            )


if __name__ == "__main__":
    main()
