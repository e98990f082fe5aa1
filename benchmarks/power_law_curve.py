"""The paper's experiment: error of a power-law kernel against n, on both sides of the crossover.

    python benchmarks/power_law_curve.py                    # five minutes
    python benchmarks/power_law_curve.py --most 320         # one minute

Eigenvalues k^-(1 + alpha) and a matched target (arXiv:2405.06008): the error falls as n^-alpha
while the modes that cannot be learned sum to more than the ridge, and as n^-(alpha / (1 + alpha))
once the bare ridge exceeds them (docs/science/wilsonian.md, section 4). Simulated is exact
regression on independent Gaussian features of the first 20,000 modes, all of them explicit; the
ridges share their draws. Beside it stand

- RG: modes of learnability below T integrated out, the rest by the deterministic equivalent (RG2 of
  docs/science/wilsonian.md, section 8), and the paper's own closed form, which evaluates the rest
  by the equivalent kernel (RG0);
- exponents fitted to the simulated errors on either side of the crossover, at least a factor of
  four, and of 64, away from it, weighted by their standard errors; the same fit to
  the RG prediction and to the deterministic equivalent of those 20,000 modes and of 10^7; the
  latter's local exponents at both ends.
"""

from __future__ import annotations

import argparse
import sys

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian import AveragedTheory
from wilsonian.theory.datasets import power_law
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.averaged_theories import compare_theories
from wilsonian.theory.learning_curves.scaling_law import ScalingLaw
from wilsonian.theory.learning_curves.simulate import simulate

ALPHA, MODES, THRESHOLD, FIRST_ORDER_THRESHOLD = 1.0, 20_000, 0.1, 0.5
RIDGES = (1e-3, 0.03, 1.0)
SIZES = (20, 40, 80, 160, 320, 640, 1280, 2560)
APART = (4.0, 64.0)  # factors that fits keep away from the crossover


def measure(most: int = SIZES[-1], seed: int = 0) -> list[dict]:
    """One record for each ridge and n, printed as it comes."""
    with jax.enable_x64(True):
        eigenvalues = np.asarray(power_law(MODES, ALPHA))
    print(f"\nalpha {ALPHA:g}, {MODES:,} modes; RG at T = {THRESHOLD:g}, RG0 at T = ", end="")
    print(f"{FIRST_ORDER_THRESHOLD:g}; DE: deterministic equivalent\n")
    names = ("ridge", "n", "n / crossover", "draws", "simulated", "RG", "RG / simulated")
    print("| " + " | ".join([*names, "RG0 / simulated", "DE / simulated"]) + " |")
    print("|---" * (len(names) + 2) + "|")
    rows = []
    for n in [n for n in SIZES if n <= most]:
        draws = int(np.clip(10_000 // n, 5, 250))
        simulated = simulate(eigenvalues, n, RIDGES, draws=draws, random_state=seed + n).test_error
        for ridge, mean, error in zip(
            RIDGES, simulated.mean, simulated.standard_error, strict=True
        ):
            with jax.enable_x64(True):
                values = jnp.asarray(eigenvalues)
                whole = AveragedTheory.of(values, values, ridge, n)
            theories = compare_theories(whole, [THRESHOLD, FIRST_ORDER_THRESHOLD])
            row = {
                "ridge": ridge,
                "n": n,
                "simulated": float(mean),
                "error": float(error),
                "renormalized": float(theories.second_order[0]),
                "first_order": float(theories.first_order[1]),
                "exact": float(theories.deterministic_equivalent),
            }
            rows.append(row)
            crossover = float(ScalingLaw.matched(1 + ALPHA).crossover(ridge))
            print(
                f"| {ridge:g} | {n:,} | {n / crossover:.3g} | {draws} | {mean:.5g} ± {error:.2g} "
                f"| {row['renormalized']:.5g} | {row['renormalized'] / mean:.3f} ± "
                f"{row['renormalized'] * error / mean**2:.3f} | {row['first_order'] / mean:.3f} "
                f"| {row['exact'] / mean:.3f} |",
                flush=True,
            )
    return rows


def fitted(rows: list[dict], name: str) -> tuple[float, float]:
    """Exponent of n in -log(error), by least squares weighted as the simulation deserves."""
    n, values, mean, error = (
        np.array([row[key] for row in rows], float) for key in ("n", name, "simulated", "error")
    )
    fit, covariance = np.polyfit(np.log(n), -np.log(values), 1, w=mean / error, cov="unscaled")
    return float(fit[0]), float(covariance[0, 0] ** 0.5)


def sides(rows: list[dict], apart: float) -> list[tuple[str, float, float, float, list[dict]]]:
    """(side, ridge, crossover, asymptotic exponent, rows there) where a slope can be fitted."""
    found = []
    for ridge in RIDGES:
        crossover = float(ScalingLaw.matched(1 + ALPHA).crossover(ridge))
        of_ridge = [row for row in rows if row["ridge"] == ridge]
        below = [row for row in of_ridge if row["n"] < crossover / apart]
        above = [row for row in of_ridge if row["n"] > crossover * apart]
        found.append(("below", ridge, crossover, ALPHA, below))
        found.append(("above", ridge, crossover, ALPHA / (1 + ALPHA), above))
    return [one for one in found if len(one[-1]) >= 3]


def print_exponents(rows: list[dict]) -> None:
    endless = LearningCurve(ScalingLaw.matched(1 + ALPHA).spectrum(1e7))
    names = ("ridge", "crossover", "side", "n", "simulated", "RG", f"DE, {MODES:,} modes")
    print(
        "\n| " + " | ".join([*names, "DE, 10^7 modes", "its local exponents", "asymptotic"]) + " |"
    )
    print("|---" * 10 + "|")
    for apart in APART:
        for side, ridge, crossover, asymptotic, chosen in sides(rows, apart):
            n = np.array([row["n"] for row in chosen], float)
            of_endless = endless.test_error(n, ridge)
            chosen = [
                row | {"endless": float(one)} for row, one in zip(chosen, of_endless, strict=True)
            ]
            slope, error = fitted(chosen, "simulated")
            first, last = -endless.local_exponent(n[[0, -1]], ridge)
            print(
                f"| {ridge:g} | {crossover:.3g} | {side} | {n[0]:,.0f} to {n[-1]:,.0f} "
                f"| {slope:.3f} ± {error:.3f} | {fitted(chosen, 'renormalized')[0]:.3f} "
                f"| {fitted(chosen, 'exact')[0]:.3f} "
                f"| {fitted(chosen, 'endless')[0]:.3f} | {first:.3f} to {last:.3f} "
                f"| {asymptotic:.3f} |"
            )


def draw(ax, rows: list[dict]) -> None:
    """Simulated errors, predictions, and guide lines of both exponents."""
    from wilsonian.support.axes import (
        ELIMINATED,
        KEPT,
        MEASURED,
        REFERENCE,
        add_legend,
        tidy_log_axis,
    )

    for ridge, color in zip(RIDGES, (KEPT, MEASURED, ELIMINATED), strict=True):
        n, mean, error, predicted = (
            np.array([row[key] for row in rows if row["ridge"] == ridge])
            for key in ("n", "simulated", "error", "renormalized")
        )
        ax.plot(n, predicted, color=color, linewidth=1.5, label=f"RG, ridge {ridge:g}")
        ax.errorbar(n, mean, 2 * error, fmt="o", markersize=4, linewidth=1, color=color)
        crossover = float(ScalingLaw.matched(1 + ALPHA).crossover(ridge))
        if n[0] < crossover < n[-1]:
            ax.axvline(crossover, color=color, linewidth=0.8, linestyle=":")
    ax.plot([], [], "o", color=REFERENCE, markersize=4, label="simulated")
    ax.set_xscale("log")
    ax.set_yscale("log")
    guides = (
        (RIDGES[0], 0.55, ALPHA, f"slope -{ALPHA:g}"),
        (RIDGES[-1], 1.5, ALPHA / (1 + ALPHA), f"slope -{ALPHA / (1 + ALPHA):.2g}"),
    )
    for ridge, shift, exponent, text in guides:
        side = "below" if ridge == RIDGES[0] else "above"
        chosen = next(
            one[-1] for one in sides(rows, APART[0]) if one[0] == side and one[1] == ridge
        )
        n = np.array([chosen[0]["n"], chosen[-1]["n"]], float)
        anchor = chosen[len(chosen) // 2]
        line = shift * anchor["simulated"] * (n / anchor["n"]) ** -exponent
        ax.plot(n, line, color=REFERENCE, linewidth=1, linestyle="--")
        middle = float(np.sqrt(n[0] * n[1])), float(np.sqrt(line[0] * line[1]))
        offset, place = ((-6, -10), "right") if shift < 1 else ((6, 4), "left")
        ax.annotate(
            text, middle, xytext=offset, textcoords="offset points", ha=place, color=REFERENCE
        )
    tidy_log_axis(ax.xaxis)
    tidy_log_axis(ax.yaxis)
    ax.set_xlabel("samples (dotted: crossovers)")
    ax.set_ylabel("mean squared error, power-law spectrum")
    add_legend(ax)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=SIZES[-1], help="largest n")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    print_exponents(measure(arguments.most, arguments.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
