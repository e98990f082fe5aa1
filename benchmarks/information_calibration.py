"""Calibration under a cutoff, beside laplace-torch's defaults, on eight sets.

The networks of information_networks.py (a minimum with a standard normal prior, 400 examples), last
layers and whole networks. Held-out examples are halved: one half chooses a data weight, the other
is scored, in nats per label. Theirs is the last layer of the same network with Kronecker factors
and everything else at its default (prior precision 1, noise 1, probit); the same with the prior
precision and noise it finds by marginal likelihood.

    python benchmarks/information_calibration.py [--data FOLDER]  # needs torch and laplace-torch
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import jax
import numpy as np
import torch
from information_networks import settings, trained

from wilsonian import SharpCutoff, coarse_grain, information
from wilsonian.information.calibration import negative_log_density
from wilsonian.information.predictive import law_of_outputs

WEIGHTS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


def density(spectrum, X, y):
    """Held-out nats per label of the linearised predictive."""
    net = spectrum.network
    with net.arithmetic():
        law = law_of_outputs(spectrum, net.checked_inputs(X))
        return negative_log_density(net.likelihood, *law, net.checked_labels(y, len(X)))


def theirs(net, X, y, X_new, y_new, noise, tuned):
    """Nats per label of laplace-torch on the features of our network's last layer, whose prior
    precision is one in its parametrization and ours."""
    from laplace import Laplace
    from torch.utils.data import DataLoader, TensorDataset

    weight, bias = (np.asarray(leaf, float) for leaf in jax.tree.leaves(net.point))
    outputs, width = weight.shape
    with net.arithmetic():
        features, new = (
            torch.from_numpy(
                np.array(net.function.jacobian(net.point, net.checked_inputs(Z))[:, 0, :width])
            )
            for Z in (X, X_new)
        )
    module = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(width, outputs)).double()
    with torch.no_grad():
        module[1].weight.copy_(torch.from_numpy(weight))
        module[1].bias.copy_(torch.from_numpy(bias))
    labels = torch.from_numpy(np.asarray(y))
    kind = "classification" if noise is None else "regression"
    fitted = Laplace(module, kind)
    if tuned and noise is not None:
        fitted.sigma_noise = noise**0.5
    fitted.fit(DataLoader(TensorDataset(features, labels), batch_size=len(labels)))
    if tuned:
        fitted.optimize_prior_precision()
    found = fitted(new)
    if noise is None:
        p = found.detach().numpy()[np.arange(len(y_new)), y_new]
        return float(-np.log(np.maximum(p, 1e-300)).mean())
    mean, variance = found[0].detach().numpy(), found[1].detach().numpy()[:, 0]
    variance = variance + float(fitted.sigma_noise) ** 2
    return float(np.mean(0.5 * ((y_new - mean) ** 2 / variance + np.log(2 * np.pi * variance))))


def main():
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    choices = parser.parse_args()
    heads = ["MAP", "uncut", "c=.1", "c=1", "weighted", "w"]
    print(" " * 20 + "whole network".center(48) + "last layer".center(48) + "laplace-torch")
    print(" " * 20 + 2 * "".join(f"{head:>8}" for head in heads) + "   default   tuned")
    wins = np.zeros((2, 2), int)
    worst = 0.0
    for name, setting in settings(choices.data).items():
        begun = time.process_time()
        found = trained(setting, 0)
        (X_new, y_new), noise = found.held_out, setting.noise
        scored, choosing = (X_new[1::2], y_new[1::2]), (X_new[::2], y_new[::2])
        cells, ours = [], []
        for scope in ("all", "last-layer"):
            net = found.network(scope)
            spectrum = information.spectrum(net)
            alone = float(net.loss(net.evaluate(scored[0]), scored[1]).mean())
            uncut = density(spectrum, *scored)
            # Removed directions keep their trained value and their prior variance.
            cut = [
                density(coarse_grain(spectrum.resetting("keep"), SharpCutoff(c)), *scored)
                for c in (0.1, 1.0)
            ]
            tried = [density(spectrum.counting_data(w), *choosing) for w in WEIGHTS]
            best = WEIGHTS[int(np.argmin(tried))]
            weighted = density(spectrum.counting_data(best), *scored)
            cells.append(
                "".join(f"{value:8.3f}" for value in (alone, uncut, *cut, weighted)) + f"{best:8g}"
            )
            ours.append((uncut, weighted))
            worst = max(worst, cut[0] - uncut)
        other = [theirs(net, found.X, found.y, *scored, noise, t) for t in (False, True)]
        wins += [[pair[1] < o for o in other] for pair in ours]
        print(
            f"{name:20}"
            + "".join(cells)
            + "".join(f"{value:9.3f}" for value in other)
            + f"   {time.process_time() - begun:.0f} CPU s",
            flush=True,
        )
    print(f"largest rise by the cutoff at .1: {worst:.4f} nats per label")
    print(
        f"of 8 sets, weighted better than theirs (default, tuned): whole {wins[0]}, last {wins[1]}"
    )


if __name__ == "__main__":
    main()
