"""Directions beside single weights: loss after at the same number of kept ones, on digits.

The 64-32-10 network of docs/science/information.md, section 9, at its minimum. Kept are the
directions of most information, or the weights of largest magnitude, damage (optimal brain damage)
or diagonal Fisher information, everything else at zero; or the same weights after the others were
moved to repair it. Rise of the loss in nats per example, training and held out.

    python benchmarks/information_pruning.py [seeds ...]
"""

from __future__ import annotations

import sys
import time

import numpy as np
from information_digits import data, minimum, network

from wilsonian import RankCutoff, coarse_grain, information

KEPT = (1200, 800, 500, 300, 200)
SCORES = ("magnitude", "damage", "fisher")


def main(seeds):
    for seed in seeds:
        begun = time.process_time()
        (X, y), held_out = data(seed)
        parameters, _ = minimum(seed, X, y)
        net = information.network(
            network, X, y, parameters=parameters, likelihood="softmax", prior=1.0
        )
        spectrum = information.spectrum(net, route="dense")
        before = net.loss().mean()
        outside = net.loss(net.evaluate(held_out[0]), held_out[1]).mean()

        def rises(point, before=before, outside=outside, net=net, held_out=held_out):
            new = net.loss(net.evaluate(held_out[0], point), held_out[1]).mean() - outside
            return f"{net.loss(net.evaluate(net.inputs, point)).mean() - before:8.4f} {new:7.4f}"

        print(f"\nseed {seed}: loss {before:.4f}, held out {outside:.4f}; {net.size} weights")
        heads = ["directions", *SCORES, *(f"{score}, repaired" for score in SCORES)]
        print("  kept " + "".join(f"{head:>22}" for head in heads))
        for kept in KEPT:
            cells = [rises(coarse_grain(spectrum, RankCutoff(kept)).point())]
            pruned = [
                information.prune(spectrum, 1 - kept / net.size, score=score) for score in SCORES
            ]
            assert all(np.sum(~p.removed) == kept for p in pruned)
            cells += [rises(p.pruned_point) for p in pruned] + [rises(p.point) for p in pruned]
            print(f"{kept:6d} " + "".join(f"{cell:>22}" for cell in cells), flush=True)
        print(f"{time.process_time() - begun:.0f} CPU s")


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [0, 1, 2])
