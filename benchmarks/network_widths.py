"""How the kernels of finite networks tend to those of infinite ones, for every layer.

    python benchmarks/network_widths.py                 # all of the law tests; hours
    python benchmarks/network_widths.py relu conv_gap --draws 2000

For each network of tests/network_instances.py, at every width, the mean over random networks of
the NNGP (given the features that the last layer reads) and of the NTK, minus the kernel of the
infinite network. The bias of the mean is fitted by a power of the width; the theory is -1. Printed
beside it are the largest deviation at the largest width, in standard errors, and after the 1/width
term is taken out by Richardson's extrapolation, in standard errors too: below 4 if the limit is
right. A slope is printed where the bias is at least 4 standard errors at two widths.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from network_instances import NETWORKS, inputs
from test_network_layers import finite_kernels, infinite_kernels

BATCH = 200  # networks drawn at a time


def mean_and_error(build, shape, kinds, width, draws):
    """Of both kernels of `draws` networks of one width, entry by entry."""
    network, X = build(width), inputs(shape)
    batches = [
        finite_kernels(network, X, BATCH, kinds, seed=1000 * width + batch)
        for batch in range(-(-draws // BATCH))
    ]
    found = {k: np.concatenate([np.asarray(b[k]) for b in batches]) for k in kinds}
    exact = {k: np.asarray(v) for k, v in infinite_kernels(network, X, kinds).items()}
    return {
        k: (v.mean(0) - exact[k], v.std(0, ddof=1) / len(v) ** 0.5, np.abs(exact[k]).max())
        for k, v in found.items()
    }


def slope(widths, biases, errors):
    """Power of the width in the bias, by weighted least squares, at the clearest entry."""
    clear = np.abs(biases) > 4 * errors
    counts = clear.sum(axis=0)
    entry = np.unravel_index(
        np.argmax(np.where(counts >= 2, np.abs(biases[0]) / errors[0], -1)), counts.shape
    )
    use = clear[(slice(None), *entry)]
    if use.sum() < 2:
        return None
    bias, error = (array[(slice(None), *entry)][use] for array in (biases, errors))
    x = np.log(np.asarray(widths)[use])
    fit, covariance = np.polyfit(x, np.log(np.abs(bias)), 1, w=np.abs(bias) / error, cov="unscaled")
    return fit[0], covariance[0, 0] ** 0.5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="networks (default: all)")
    parser.add_argument("--draws", type=int, default=4000, help="networks at the smallest width")
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32, 64])
    options = parser.parse_args()
    if unknown := set(options.names) - set(NETWORKS):
        parser.error(f"unknown networks {sorted(unknown)}; choose from {', '.join(NETWORKS)}.")
    print(f"{'network':22s}{'kernel':8s}{'power of the width':>22s}{'widest':>9s}{'limit':>8s}")
    for name in options.names or NETWORKS:
        build, shape, kinds = NETWORKS[name]
        results = [
            # The noise of a mean falls as (width draws)^-1/2.
            mean_and_error(build, shape, kinds, width, options.draws)
            for width in options.widths
        ]
        for kind in kinds:
            biases, errors = (np.array([r[kind][i] for r in results]) for i in (0, 1))
            scale = results[0][kind][2]
            errors = errors + 1e-9 * scale  # entries that do not fluctuate
            fitted = slope(options.widths, biases, errors)
            power = "bias below the noise"
            if fitted is not None:
                power = f"{fitted[0]:.2f} +- {fitted[1]:.2f}"
            widest = np.max(np.abs(biases[-1]) / errors[-1])
            n, m = options.widths[-1], options.widths[-2]
            limit = (n * biases[-1] - m * biases[-2]) / (n - m)
            noise = np.hypot(n * errors[-1], m * errors[-2]) / (n - m)
            deviation = np.max(np.abs(limit) / noise)
            print(f"{name:22s}{kind:8s}{power:>22s}{widest:9.1f}{deviation:8.1f}", flush=True)


if __name__ == "__main__":
    with jax.enable_x64(True):
        main()
