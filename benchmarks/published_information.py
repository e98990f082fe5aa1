"""The published experiment of Bayesian renormalization (arXiv:2405.17538), with 60 networks.

Net 2-10-10-2000-1 without biases, only the read-out trained by plain SGD; last-layer weights of
small diagonal Fisher information are redrawn from their prior, at rising cutoffs. Here the Fisher
information is estimated from 10 points, as published, and from 200 and 2,000; the effect is
predicted beside it; and the same is done with eigenvectors (docs/science/information.md, 6). The
prediction is a mean over redraws: it is compared with one of them, as published, and with the mean
of 64, whose standard error says what one redraw can show.

    python benchmarks/published_information.py [networks]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import scipy.linalg

CUTOFFS = [1e-4, 5e-3, 7.5e-3, 0.01, 0.05, 0.075, 0.1, 0.5, 0.75, 1, 5, 7.5, 10, 50, 75, 100, 500]
CUTOFFS += [750, 1e3, 5e3, 7.5e3, 1e4, 5e4, 7.5e4, 1e5]
SHOWN = [1e-4, 0.01, 0.05, 0.5, 10]
POINTS = (10, 200, 2000)
EPOCHS, RATE, REDRAWS = 1000, 1e-6, 64
EIGEN_POINTS, EIGEN_CUTOFFS = (200, 400, 1000), (0.01, 1.0, 100.0)


def target(x):
    return (1 - x[:, 0]) ** 2 - (x[:, 1] - x[:, 0] ** 2) / 2


def trained(features, y, start):
    """1,000 epochs of SGD with batch one in fixed order, exactly, in the dual: an epoch is one
    triangular solve."""
    gram = features @ features.T
    lower = np.eye(len(y)) + 2 * RATE * np.tril(gram, -1)
    inverse = scipy.linalg.solve_triangular(lower, np.eye(len(y)), lower=True)
    dual, offset = np.zeros(len(y)), features @ start - y
    for _ in range(EPOCHS):
        dual -= 2 * RATE * (inverse @ (gram @ dual + offset))
    return start + features.T @ dual


def check_dual():
    """The dual epoch beside plain SGD, on a small problem."""
    random = np.random.RandomState(1)
    features, y, start = random.randn(7, 20), random.randn(7), random.randn(20)
    plain = start.copy()
    for _ in range(EPOCHS):
        for h, label in zip(features, y, strict=True):
            plain -= 2 * RATE * (h @ plain - label) * h
    np.testing.assert_allclose(trained(features, y, start), plain, rtol=1e-9)


def one_network(seed, data_seed):
    random, data = np.random.RandomState(seed), np.random.RandomState(data_seed)
    x, x_test = data.randn(200, 2) + 1, data.randn(200, 2) + 1
    more = data.randn(2000, 2) + 1
    w1, w2, w3 = random.randn(2, 10), random.randn(10, 10), random.randn(10, 2000)
    hidden = lambda x: np.maximum(np.maximum(x @ w1 @ w2, 0) @ w3, 0)  # noqa: E731
    h, h_test, h_more = hidden(x), hidden(x_test), hidden(more)
    theta = trained(h, target(x), random.randn(2000))
    y = target(x_test)
    before = np.mean((h_test @ theta - y) ** 2)
    others = np.random.RandomState(10_000 + seed)
    rows = {}
    for n in POINTS:
        seen = {10: h[:10], 200: h, 2000: h_more}[n]
        fisher, gone = np.mean(seen**2, axis=0), np.zeros(2000, bool)
        cut = np.repeat(theta[:, None], REDRAWS, axis=1)
        for cutoff in CUTOFFS:
            below = (fisher < cutoff) & ~gone
            cut[below, 0] = random.randn(below.sum())
            cut[below, 1:] = others.randn(below.sum(), REDRAWS - 1)
            gone |= below
            true = np.mean((h_test @ cut - y[:, None]) ** 2, axis=0)
            kept = np.where(gone, 0, theta)
            predicted = np.mean((h_test @ kept - y) ** 2) + np.mean(h_test[:, gone] ** 2, 0).sum()
            rows[n, cutoff] = (predicted, gone.mean(), *true)
    eigen = {}
    for n in EIGEN_POINTS:
        seen = h_more[:n]
        _, s, vt = np.linalg.svd(seen / np.sqrt(n), full_matrices=False)
        for cutoff in EIGEN_CUTOFFS:
            stiff = vt[s**2 >= cutoff]
            noise = random.randn(2000)
            cut = noise + stiff.T @ (stiff @ (theta - noise))
            eigen[n, cutoff] = (np.mean((h_test @ cut - y) ** 2), len(stiff))
    return before, rows, eigen


def main(count):
    check_dual()
    for data_seed in (0, 1):
        begun = time.process_time()
        nets = [one_network(100 * data_seed + seed, data_seed) for seed in range(count)]
        kept = [net for net in nets if net[0] < 1e3]
        base = np.array([net[0] for net in kept])
        print(
            f"\ndata draw {data_seed}: {len(kept)} networks ({count - len(kept)} dropped), test "
            f"MSE before {base.mean():.1f} ({base.std() / len(kept) ** 0.5:.1f}), median "
            f"{np.median(base):.1f}; {time.process_time() - begun:.0f} CPU s"
        )
        print(f"test MSE after / before (true / predicted: one redraw, mean of {REDRAWS}; removed)")
        print("  cutoff  " + "".join(f"{f'n={n}':>28}" for n in POINTS))
        ratios = {}
        for cutoff in CUTOFFS:
            cells = []
            for n in POINTS:
                predicted, gone, *true = np.mean([net[1][n, cutoff] for net in kept], axis=0)
                found = ratios[n, cutoff] = np.array(true) / predicted
                cells.append(
                    f"{true[0] / base.mean():8.3g} ({found[0]:4.2f}, {found.mean():4.2f}; "
                    f"{gone:4.0%})"
                )
            mark = " *" if cutoff in SHOWN else "  "
            print(f"{cutoff:9.3g}{mark}" + "".join(f"{cell:>28}" for cell in cells))
        for name, cutoffs in (("all cells", CUTOFFS), ("cells marked *", SHOWN)):
            # Without anything removed nothing is drawn, and the ratio is one.
            chosen = np.array([ratios[n, c] for n in POINTS for c in cutoffs])
            means, errors = chosen.mean(1), chosen.std(1, ddof=1) / REDRAWS**0.5
            distance = np.abs(means - 1) / np.maximum(errors, 1e-12)
            inside = np.mean((1 / chosen >= 0.75) & (1 / chosen <= 1.3))
            print(
                f"true / predicted, {name}: {chosen[:, 0].min():.2f} to {chosen[:, 0].max():.2f} "
                f"for one redraw; of {REDRAWS} single ones {inside:.1%} have predicted / true in "
                f"[.75, 1.3], {chosen.min():.2f} to {chosen.max():.2f}; their means "
                f"{means.min():.3f} to {means.max():.3f} with standard errors up to "
                f"{errors.max():.3f}, at most {distance.max():.1f} of them from one"
            )
        print("eigen shells: test MSE after / before (directions kept of 2,000)")
        for cutoff in EIGEN_CUTOFFS:
            cells = []
            for n in EIGEN_POINTS:
                true, stiff = np.mean([net[2][n, cutoff] for net in kept], axis=0)
                cells.append(f"{true / base.mean():8.3f} ({stiff:4.1f})")
            print(f"{cutoff:9.3g}  " + "".join(f"{cell:>28}" for cell in cells))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
