"""Digits: information, prices and calibration of a 64-32-10 network at its minimum, three seeds.

The reference of docs/science/information.md, section 9; its own minima (L-BFGS ends where its
rounding takes it, so the last digit moves from machine to machine).

    python benchmarks/information_digits.py [seeds ...]
    python benchmarks/information_digits.py --tight [seeds ...]  # weights of an eighth the variance
"""

from __future__ import annotations

import functools
import sys
import time

import jax
import numpy as np
import scipy.optimize
from sklearn.datasets import load_digits

from wilsonian import information

HIDDEN, TRAINED = 32, 1000
SCALES = 0.5, np.sqrt(0.5)  # sqrt(16 / 64), sqrt(16 / 32)
TIGHT = np.sqrt(2 / 64), np.sqrt(2 / 32)


def data(seed):
    X, y = load_digits(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(X))
    X, y = X[order] / 8 - 1, y[order]
    return (X[:TRAINED], y[:TRAINED]), (X[TRAINED:], y[TRAINED:])


def minimum(seed, X, y, scales=SCALES, steps=4000):
    """Parameters by L-BFGS from a standard normal start, and the loss there; NumPy, float64."""
    ends = np.cumsum([HIDDEN * 64, HIDDEN, 10 * HIDDEN])
    first, second = scales
    hot = np.eye(10)[y]

    def split(vector):
        w1, b1, w2, b2 = np.split(vector, ends)
        return w1.reshape(HIDDEN, 64), b1, w2.reshape(10, HIDDEN), b2

    def objective(vector):
        w1, b1, w2, b2 = split(vector)
        z = first * X @ w1.T + b1
        h = np.maximum(z, 0)
        f = second * h @ w2.T + b2
        top = f.max(1, keepdims=True)
        e = np.exp(f - top)
        total = e.sum(1, keepdims=True)
        loss = np.sum(np.log(total) + top) - f[np.arange(len(y)), y].sum()
        u = e / total - hot
        g = (second * u @ w2) * (z > 0)
        parts = [first * g.T @ X, g.sum(0), second * u.T @ h, u.sum(0)]
        slope = np.concatenate([part.ravel() for part in parts])
        return loss + vector @ vector / 2, slope + vector

    start = np.random.RandomState(1000 + seed).randn(ends[-1] + 10)
    found = scipy.optimize.minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 0, "gtol": 1e-4},
    )
    return dict(zip(("W1", "b1", "W2", "b2"), split(found.x), strict=True)), found.fun


def network(p, x, scales=SCALES):
    hidden = jax.nn.relu(scales[0] * (p["W1"] @ x) + p["b1"])
    return scales[1] * (p["W2"] @ hidden) + p["b2"]


def row(values, form):
    return " ".join(form.format(value) for value in values)


def main(seeds, scales):
    for seed in seeds:
        begun = time.process_time()
        (X, y), held_out = data(seed)
        parameters, objective = minimum(seed, X, y, scales)
        for scope in ("all", "last-layer"):
            net = information.network(
                *(functools.partial(network, scales=scales), X, y),
                parameters=parameters,
                likelihood="softmax",
                prior=1.0,
                scope=scope,
            )
            spectrum = information.spectrum(net)
            counts = [spectrum.count_above(c) for c in (100, 10, 1, 0.1, 0.01)]
            print(
                f"\nseed {seed}, {scope}: objective {objective:.2f}, loss {net.loss().mean():.4f}; "
                f"above 100, 10, 1, .1, .01: {counts} of {net.size}; d_eff "
                f"{spectrum.degrees_of_freedom:.1f}, {spectrum.nats:.1f} nats, trace "
                f"{spectrum.information.sum():.0f}, |g+z|/|z| {spectrum.stationarity:.2f}"
            )
            prices = spectrum.prices(held_out, scales=(0.1, 0.3, 1, 3, 10))
            print(prices)
            found = prices.held_out
            print("held out x1e-3, linearised:", row(1e3 * found.linearised, "{:8.3g}"))
            print("held out x1e-3, network:   ", row(1e3 * found.measured, "{:8.3g}"))
            print(
                "linearised / predicted:    ", row(prices.linearised / prices.predicted, "{:8.3f}")
            )
            print("valid linearised, network: ", prices.valid_linearised, prices.valid)
            if scope == "all":
                print("held-out accuracy, cut:    ", row(found.accuracy, "{:8.4f}"))
                print(
                    f"NLL, ECE: trained {found.trained_nll:.4f} "
                    f"{found.trained_calibration_error:.3f}; uncut {found.uncut_nll:.3f} "
                    f"{found.uncut_calibration_error:.3f}; data x 3, 10, 30, 100, 1000: "
                    f"{row(found.weighted_nll[1:], '{:.3f}')}"
                )
            for reset in ("prior", "keep"):
                drawn = spectrum.resetting(reset).prices(
                    held_out, scales=(0.1, 1), calibration=scope == "all"
                )
                print(
                    f"reset {reset}, c = .1, 1: predicted {row(drawn.predicted, '{:.4f}')} "
                    f"linearised {row(drawn.linearised, '{:.4f}')} network "
                    f"{row(drawn.measured, '{:.3f}')} NLL {row(drawn.held_out.nll, '{:.3f}')} ECE "
                    f"{row(drawn.held_out.calibration_error, '{:.3f}')} valid {drawn.valid}"
                )
            if scope == "all":
                support = spectrum.support()
                k = spectrum.information[:-1]
                bands = ((100, np.inf), (10, 100), (1, 10))
                medians = [np.median(support[(k > a) & (k <= b)]) for a, b in bands]
                halves = information.split_halves(net)
                ratios = [halves.ratio(a, b) for a, b in (*bands, (0.3, 1))]
                print(
                    f"median support above 100, 10, 1: {row(medians, '{:.0f}')}; halves find "
                    f"{halves.count_above(1)} above 1; confirmed / found {row(ratios, '{:.2f}')}"
                )
        print(f"{time.process_time() - begun:.0f} CPU s", flush=True)


if __name__ == "__main__":
    chosen = TIGHT if "--tight" in sys.argv else SCALES
    main([int(a) for a in sys.argv[1:] if a != "--tight"] or [0, 1, 2], chosen)
