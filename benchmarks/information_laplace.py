"""Beside laplace-torch: predictive variances of the same networks, and what they take.

    python benchmarks/information_laplace.py [hidden units ...]  # needs torch and laplace-torch

Whole networks where their P x P matrix fits, and last layers, linearised, full covariance, prior
variance one. Ours goes by the data side from 10^4 parameters on, which needs no such matrix.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import torch

from wilsonian import information

EXAMPLES, NEW, CLASSES = 150, 20, 10
LARGEST_FULL = 12_000  # of theirs: 1.2 GB a matrix in float64


def module_of(hidden):
    torch.manual_seed(0)
    layers = torch.nn.Linear(64, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, CLASSES)
    return torch.nn.Sequential(*layers).double().eval()


def in_jax(module):
    import jax.numpy as jnp

    weights = {name: p.detach().numpy() for name, p in module.named_parameters()}

    def network(p, x):
        hidden = jnp.tanh(p["0.weight"] @ x + p["0.bias"])
        return p["2.weight"] @ hidden + p["2.bias"]

    return network, weights


def timed(function):
    """Result, and the CPU seconds of a second call (the first compiles and loads)."""
    function()
    begun = time.process_time()
    return function(), time.process_time() - begun


def theirs(module, X, y, new, subset):
    from laplace import Laplace
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(X, y), batch_size=EXAMPLES)
    structure = {"subset_of_weights": subset, "hessian_structure": "full", "prior_precision": 1.0}

    def run():
        fitted = Laplace(module, "classification", **structure)
        fitted.fit(loader)
        return fitted._glm_predictive_distribution(new)[1].detach().numpy()

    return timed(run)


def main(sizes):
    warnings.simplefilter("ignore")
    random = np.random.RandomState(0)
    X, y, new = random.randn(EXAMPLES, 64), random.randint(0, 10, EXAMPLES), random.randn(NEW, 64)
    tensors = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(new)
    print("parameters scope       route   ours CPU s  theirs CPU s  ratio  largest relative error")
    for hidden in sizes:
        module = module_of(hidden)
        network, weights = in_jax(module)
        size = sum(w.size for w in weights.values())
        for scope, subset in (("all", "all"), ("last-layer", "last_layer")):
            inside = size if scope == "all" else (hidden + 1) * CLASSES
            net = information.network(
                *(network, X, y),
                parameters=weights,
                likelihood="softmax",
                prior=1.0,
                scope=scope,
            )

            def ours(net=net):
                spectrum = information.spectrum(net)
                return spectrum.predict(new, return_std=True)[1] ** 2, spectrum.route

            (variances, route), seconds = timed(ours)
            if inside > LARGEST_FULL:
                why = f"needs {inside**2 * 8 / 1e9:.3g} GB a matrix"
                print(f"{inside:10,} {scope:11} {route:7} {seconds:10.2f}  {why}", flush=True)
                continue
            covariance, their_seconds = theirs(module, *tensors, subset)
            other = np.einsum("nkk->nk", covariance)
            error = np.max(np.abs(variances / other - 1))
            print(
                f"{inside:10,} {scope:11} {route:7} {seconds:10.2f} {their_seconds:13.2f} "
                f"{seconds / their_seconds:6.2f}  {error:.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [13, 130, 1300, 13_000])
