"""How the kernels of finite networks tend to those of infinite ones, for every layer.

    python benchmarks/network_widths.py                 # every network; half an hour
    python benchmarks/network_widths.py relu conv_gap --numbers 1e9 --draws 1000000

For each network of tests/network_instances.py, at every width, the mean over random networks of
the NNGP (given the features that the last layer reads) and of the NTK, minus the kernel of the
infinite network. Theory: the bias of the mean falls as 1 / width. Entries of a kernel fluctuate
together, and far more than they are biased; what is followed through the widths is therefore one
combination of them, that of clearest bias (covariance^-1 bias) in a pilot run of other networks.
Widths have independent draws, so that for the bias b_n with its standard errors

- power: of b_n = b n^p, fitted to all widths;
- chi2: of b_n = b / n, the theory to its first order, and of b / n + c / n^2;
- limit: the largest deviation of any entry, in standard errors, once the 1 / width term is taken
  out by Richardson's extrapolation from the two largest widths: below 4 if the limit is right.

A power is printed where the bias at the smallest width exceeds 6 standard errors: a choice by
larger widths would favour biases that seem to fall slowly. At the end, the laws over all networks
together; the one p of n^p (b + c / n), b and c for each, that fits them all best; and the mean of
their powers, which scatter around it as far as next orders differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jax
import numpy as np
import scipy.optimize
import scipy.stats

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from network_instances import NETWORKS, inputs
from test_network_layers import finite_kernels, infinite_kernels

AT_ONCE = 1_000_000  # random numbers
ORDERS = ((1,), (1, 2))  # of 1 / width, in the laws that are tested
CLEAR = 6.0  # standard errors
FLOOR = 1e-4  # entries, and combinations of them, that fluctuate less than others by this are left


def deviations(build, shape, kinds, width, numbers, most, seed):
    """Kernels of random networks less that of the infinite one, over its largest entry (which may
    grow with the width), (draws, entries) by kind; single precision, whose rounding is far below
    any standard error here."""
    network, X = build(width), inputs(shape)
    parameters = jax.eval_shape(lambda key: network.init(key, shape), jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    batch = int(np.clip(AT_ONCE // count, 4, 500))
    draws = batch * max(2, round(min(most, numbers / count) / batch))

    def in_batches(function):
        return jax.jit(lambda keys: jax.lax.map(function, keys.reshape(-1, batch)))

    found = finite_kernels(network, X.astype(np.float32), draws, kinds, seed, in_batches)
    with jax.enable_x64(True):
        exact = {k: np.asarray(v) for k, v in infinite_kernels(network, X, kinds).items()}
    upper = np.triu_indices(len(X))
    flat = {k: np.asarray(v, float).reshape(draws, *exact[k].shape) for k, v in found.items()}
    return {k: (flat[k] - exact[k])[:, *upper] / np.abs(exact[k]).max() for k in kinds}


def clearest(sample):
    """Combination of entries whose mean, in this sample, is clearest above its noise."""
    spread = sample.std(axis=0)
    used = spread > FLOOR * max(spread.max(), FLOOR)
    weights = np.zeros(sample.shape[1])
    if used.any():
        unit = sample[:, used] / spread[used]
        values, vectors = np.linalg.eigh(unit.T @ unit / len(unit))
        kept = values > FLOOR * values[-1]
        mean = vectors[:, kept].T @ unit.mean(axis=0)
        weights[used] = vectors[:, kept] @ (mean / values[kept]) / spread[used]
    return weights


def power(widths, bias, error):
    """Power of the width, and its standard error, by least squares."""
    found, covariance = scipy.optimize.curve_fit(
        lambda n, first, exponent: first * n**exponent,
        widths,
        bias,
        [bias[0] * widths[0], -1.0],
        error,
        absolute_sigma=True,
    )
    return found[1], covariance[1, 1] ** 0.5


def misfit(widths, bias, error, orders):
    """Chi-squared of a bias that is a sum over `orders` of coefficient / width^order."""
    design = widths[:, None] ** -np.array(orders, float) / error[:, None]
    rest = bias / error - design @ np.linalg.lstsq(design, bias / error)[0]
    return float(rest @ rest)


def common_power(widths, cases):
    """One p for all of `cases`, (bias, error) each with b and c of its own in n^p (b + c / n): p,
    the interval in which chi-squared is at most one more (within -4 and 0), and chi-squared."""

    def total(exponent):
        return sum(misfit(widths, *case, (exponent, exponent + 1)) for case in cases)

    best = scipy.optimize.minimize_scalar(total, bounds=(0.2, 3.0), method="bounded")
    least, most = (
        scipy.optimize.brentq(lambda p: total(p) - best.fun - 1, *sorted((best.x, far)))
        if total(far) > best.fun + 1
        else far
        for far in (0.0, 4.0)
    )
    return -best.x, -most, -least, best.fun


def scattered_mean(values):
    """Of pairs (value, standard error) that scatter by more than their errors: mean, its standard
    error, and the scatter (DerSimonian and Laird 1986)."""
    value, error = np.array(values).T
    weights = 1 / error**2
    mean = np.sum(weights * value) / np.sum(weights)
    excess = np.sum(weights * (value - mean) ** 2) - (len(value) - 1)
    scatter = max(0.0, excess / (np.sum(weights) - np.sum(weights**2) / np.sum(weights)))
    weights = 1 / (error**2 + scatter)
    return np.sum(weights * value) / np.sum(weights), np.sum(weights) ** -0.5, scatter**0.5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="networks (default: all)")
    parser.add_argument(
        "--numbers", type=float, default=5e7, help="random numbers for each network and width"
    )
    parser.add_argument("--draws", type=int, default=200_000, help="at most so many networks")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if unknown := set(options.names) - set(NETWORKS):
        parser.error(f"unknown networks {sorted(unknown)}; choose from {', '.join(NETWORKS)}.")
    if len(options.widths) < 3:
        parser.error("a law in the width takes at least three widths.")
    widths = np.array(sorted(options.widths), float)
    names = ("network", "kernel", "bias / standard error", "power", "chi2", "limit")
    print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    cases, limits = [], []
    for name in options.names or NETWORKS:
        build, shape, kinds = NETWORKS[name]
        how = (options.numbers, options.draws)
        drawn = [
            deviations(build, shape, kinds, int(n), *how, options.seed + 1000 * int(n))
            for n in widths
        ]
        clear = []
        for kind in kinds:
            samples = [one[kind] for one in drawn]
            # The pilot: a third of the networks of the smallest width, which are then left out.
            third = len(samples[0]) // 3
            weights = clearest(samples[0][:third])
            samples[0] = samples[0][third:]
            bias, error = np.array([
                ((s @ weights).mean(), (s @ weights).std(ddof=1) / len(s) ** 0.5) for s in samples
            ]).T  # fmt: skip
            seen = bias / np.maximum(error, 1e-300)
            row = "bias below the noise | "
            if abs(seen[0]) > CLEAR:
                clear.append((abs(seen[0]), bias, error))
                row = "{:.2f} ± {:.2f} | ".format(*power(widths, bias, error))
                row += ", ".join(f"{misfit(widths, bias, error, one):.1f}" for one in ORDERS)
            m, n = widths[-2:]
            mean = [s.mean(axis=0) for s in samples[-2:]]
            noise = [s.std(axis=0, ddof=1) / len(s) ** 0.5 + 1e-6 for s in samples[-2:]]
            limit = (n * mean[1] - m * mean[0]) / np.hypot(n * noise[1], m * noise[0])
            limits.append(float(np.max(np.abs(limit))))
            at_widths = ", ".join(f"{one:.1f}" for one in seen)
            print(f"| {name} | {kind} | {at_widths} | {row} | {limits[-1]:.1f} |", flush=True)
        if clear:  # both kernels are of the same networks: the clearer one counts
            cases.append(max(clear, key=lambda one: one[0])[1:])
        jax.clear_caches()
    print(f"\n{len(limits)} kernels; limit: largest {max(limits):.1f} standard errors")
    if cases:
        print(f"bias clear in {len(cases)} networks, in the clearer kernel of each:")
        for orders in (*ORDERS, (0.5, 1.5)):
            total = sum(misfit(widths, *case, orders) for case in cases)
            freedom = len(cases) * (len(widths) - len(orders))
            law = " + ".join(f"n^-{one:g}" for one in orders)
            chance = scipy.stats.chi2.sf(total, freedom)
            print(f"  {law}: chi2 {total:.1f} of {freedom} (p = {chance:.2g})")
        found, least, most, total = common_power(widths, cases)
        freedom = len(cases) * (len(widths) - 2) - 1
        print(f"  n^p (b + c / n): p = {found:.2f}, chi2 {total:.1f} of {freedom}; ", end="")
        print(f"one more from {least:.2f} to {most:.2f}")
    if len(cases) > 1:
        mean, error, scatter = scattered_mean([power(widths, *case) for case in cases])
        print(f"  powers: mean {mean:.2f} ± {error:.2f}, scatter {scatter:.2f}")


if __name__ == "__main__":
    main()
