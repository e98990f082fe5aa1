"""How the kernels of finite networks tend to those of infinite ones, for every layer.

    python benchmarks/network_widths.py                 # every network; a quarter of an hour
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

A power is printed where the bias is at least 4 standard errors at the two smallest widths. At the
end the powers of all networks are averaged, weighted by their errors.
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
FLOOR = 1e-4  # entries, and combinations of them, that fluctuate less than others by this are left


def deviations(build, shape, kinds, width, numbers, most, seed):
    """Kernels of random networks less those of the infinite one, (draws, entries) by kind, and the
    size of the latter; single precision, whose rounding is far below any standard error here."""
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
    return {
        k: (
            np.asarray(found[k], float).reshape(draws, len(X), len(X))[:, *upper] - exact[k][upper],
            np.abs(exact[k]).max(),
        )
        for k in kinds
    }


def clearest(sample, scale):
    """Combination of entries whose mean, in this sample, is clearest above its noise."""
    spread = sample.std(axis=0)
    used = spread > FLOOR * max(spread.max(), scale * FLOOR)
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


def weighted_mean(values):
    """Of pairs (value, standard error): mean, its standard error, chi-squared."""
    value, error = np.array(values).T
    weights = 1 / error**2
    mean = np.sum(weights * value) / np.sum(weights)
    return mean, np.sum(weights) ** -0.5, np.sum(weights * (value - mean) ** 2)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="networks (default: all)")
    parser.add_argument(
        "--numbers", type=float, default=1e8, help="random numbers for each network and width"
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
    powers, misfits, limits = [], [], []
    for name in options.names or NETWORKS:
        build, shape, kinds = NETWORKS[name]
        how = (options.numbers, options.draws)
        drawn = [
            deviations(build, shape, kinds, int(n), *how, options.seed + 1000 * int(n))
            for n in widths
        ]
        for kind in kinds:
            samples = [one[kind][0] for one in drawn]
            # The pilot: a third of the networks of the smallest width, which are then left out.
            third = len(samples[0]) // 3
            weights = clearest(samples[0][:third], drawn[0][kind][1])
            samples[0] = samples[0][third:]
            bias, error = np.array([
                ((s @ weights).mean(), (s @ weights).std(ddof=1) / len(s) ** 0.5) for s in samples
            ]).T  # fmt: skip
            seen = bias / np.maximum(error, 1e-300)
            row = "bias below the noise | "
            if np.all(np.abs(seen[:2]) > 4):
                powers.append(power(widths, bias, error))
                misfits.append([misfit(widths, bias, error, one) for one in ORDERS])
                row = f"{powers[-1][0]:.3f} ± {powers[-1][1]:.3f} | "
                row += ", ".join(f"{one:.1f}" for one in misfits[-1])
            (m, n), scale = widths[-2:], drawn[0][kind][1]
            mean = [s.mean(axis=0) for s in samples[-2:]]
            noise = [s.std(axis=0, ddof=1) / len(s) ** 0.5 + 1e-6 * scale for s in samples[-2:]]
            limit = (n * mean[1] - m * mean[0]) / np.hypot(n * noise[1], m * noise[0])
            limits.append(float(np.max(np.abs(limit))))
            clear = ", ".join(f"{one:.1f}" for one in seen)
            print(f"| {name} | {kind} | {clear} | {row} | {limits[-1]:.1f} |", flush=True)
        jax.clear_caches()
    print(f"\n{len(limits)} kernels; limit: largest {max(limits):.1f} standard errors")
    if powers:
        mean, error, spread = weighted_mean(powers)
        print(
            f"bias clear in {len(powers)}: power {mean:.3f} ± {error:.3f}, chi2 about it "
            f"{spread:.1f} of {len(powers) - 1}; chi2 about -1 "
            f"{sum(((value + 1) / one) ** 2 for value, one in powers):.1f} of {len(powers)}"
        )
        for orders, total in zip(ORDERS, np.sum(misfits, axis=0), strict=True):
            freedom = len(powers) * (len(widths) - len(orders))
            law = " + ".join(f"1 / n^{one}" for one in orders)
            print(
                f"  {law}: chi2 {total:.1f} of {freedom} "
                f"(p = {scipy.stats.chi2.sf(total, freedom):.2g})"
            )


if __name__ == "__main__":
    main()
