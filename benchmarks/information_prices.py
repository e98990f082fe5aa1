"""Are prices right where they claim to be? 24 networks, resets, scopes and cutoffs.

The networks of information_networks.py, three seeds each. For every cutoff: predicted and measured
cost on the training set, where the flag looks, and on held-out examples, where it does not.

    python benchmarks/information_prices.py [--data FOLDER] [--seeds N]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from information_networks import settings, trained

from wilsonian import information

CUTOFFS = (0.03, 0.1, 0.3, 1.0, 3.0)


def within(predicted, measured, error):
    """Measured within a factor of two of the prediction, or within a standard error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = predicted / measured
    return ((ratio >= 0.5) & (ratio <= 2)) | (np.abs(predicted - measured) <= error)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    choices = parser.parse_args()
    rows = []
    for name, setting in settings(choices.data).items():
        for seed in range(choices.seeds):
            begun = time.process_time()
            found = trained(setting, seed)
            held_out = found.held_out
            for scope in ("all", "last-layer"):
                net = found.network(scope)
                spectrum = information.spectrum(net, route="dense")
                for reset in ("mean", "prior"):
                    prices = spectrum.resetting(reset).prices(
                        held_out, scales=CUTOFFS, calibration=False, draws=2
                    )
                    loss = net.loss(net.evaluate(held_out[0]), held_out[1])
                    rows.append((name, seed, scope, reset, prices, loss.std() / len(loss) ** 0.5))
            print(
                f"{name} {seed}: {net.size} / {sum(v.size for v in found.parameters.values())} "
                f"parameters, {time.process_time() - begun:.0f} CPU s",
                flush=True,
            )
    print("\nscope, reset: cutoffs; passed by the flag; of these right on training, on held-out")
    print("examples; of those off by more than two (and an error) refused; all right if unflagged")
    keys = [(s, r) for s in ("all", "last-layer") for r in ("mean", "prior")]
    for scope, reset in [*keys, ("every", "every")]:
        chosen = [row for row in rows if scope == "every" or (row[2] == scope and row[3] == reset)]
        pairs = [row[4:] for row in chosen]
        valid = np.concatenate([p.valid for p, _ in pairs])
        right = np.concatenate(
            [within(p.predicted, p.measured, p.standard_error) for p, _ in pairs]
        )
        outside = np.concatenate([within(p.predicted, p.held_out.measured, e) for p, e in pairs])
        print(
            f"{scope:10} {reset:6}: {len(valid):4d}; {valid.mean():4.0%}; "
            f"{right[valid].mean():5.1%}, {outside[valid].mean():5.1%}; "
            f"{(~valid)[~right].mean() if (~right).any() else np.nan:5.1%}; {right.mean():5.1%}"
        )


if __name__ == "__main__":
    main()
