"""Beside laplace-torch and curvlinops: the same networks and data, what they find and take.

    python benchmarks/information_laplace.py [hidden units ...]  # needs torch, laplace-torch

64-hidden-100-outputs networks of about 2,000, 6,000, 10^5 and 10^6 parameters on 150 points, prior
variance one, float64, linearised predictive of 20 points. Theirs with the full covariance of all
parameters or of the last layer where its P x P matrix fits; of a regression also in function space
(exact there; of classes it is not). Then the 50 leading eigenvalues beside curvlinops' operator in
SciPy's eigensolver. CPU seconds are of a second call, without compilation and loading; memory is
the rise of the resident size during it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings

import jax.numpy as jnp
import numpy as np
import torch

from wilsonian import information

EXAMPLES, NEW, FEATURES, CLASSES = 150, 20, 100, 10
LARGEST_FULL = 8_000  # parameters of theirs: half a gigabyte a matrix, and several of them
NOISE = 0.1
MODES = 50


def module_of(hidden, outputs):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        *(torch.nn.Linear(64, hidden), torch.nn.Tanh()),
        *(torch.nn.Linear(hidden, FEATURES), torch.nn.Tanh()),
        torch.nn.Linear(FEATURES, outputs),
    ).double()


def in_jax(module):
    weights = {name: p.detach().numpy() for name, p in module.named_parameters()}

    def network(p, x):
        hidden = jnp.tanh(p["0.weight"] @ x + p["0.bias"])
        features = jnp.tanh(p["2.weight"] @ hidden + p["2.bias"])
        return p["4.weight"] @ features + p["4.bias"]

    return network, weights


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measured(function):
    """Result, CPU seconds and bytes of a second call."""
    function()
    peak, running = [resident()], threading.Event()

    def watch():
        while not running.wait(0.005):
            peak.append(resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.process_time()
    result = function()
    seconds = time.process_time() - begun
    running.set()
    watcher.join()
    return result, seconds, max(peak) - peak[0]


def theirs(module, X, y, new, likelihood, subset, structure):
    from laplace import Laplace
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(X, y), batch_size=EXAMPLES)
    options = {"n_subset": EXAMPLES} if structure == "gp" else {}
    if likelihood == "regression":
        options["sigma_noise"] = NOISE**0.5

    def run():
        fitted = Laplace(
            *(module, likelihood),
            subset_of_weights=subset,
            hessian_structure=structure,
            prior_precision=1.0,
            **options,
        )
        fitted.fit(loader)
        if structure == "gp":
            return fitted(new, pred_type="gp")[1].detach().numpy()
        return fitted._glm_predictive_distribution(new)[1].detach().numpy()

    covariance, seconds, space = measured(run)
    return np.einsum("nkk->nk", covariance.reshape(NEW, -1, covariance.shape[-1])), seconds, space


def beside_laplace(hidden, likelihood):
    classes = likelihood == "softmax"
    random = np.random.RandomState(0)
    outputs = CLASSES if classes else 1
    X, new = random.randn(EXAMPLES, 64), random.randn(NEW, 64)
    y = random.randint(0, 10, EXAMPLES) if classes else random.randn(EXAMPLES, 1)
    tensors = [torch.from_numpy(array) for array in (X, y, new)]
    module = module_of(hidden, outputs).eval()
    network, weights = in_jax(module)
    size = sum(w.size for w in weights.values())
    for scope, subset in (("all", "all"), ("last-layer", "last_layer")):
        inside = size if scope == "all" else (FEATURES + 1) * outputs
        net = information.network(
            *(network, X, y),
            parameters=weights,
            likelihood=likelihood,
            noise_variance=None if classes else NOISE,
            prior=1.0,
            scope=scope,
        )

        def ours(net=net):
            spectrum = information.spectrum(net)
            return spectrum.predict(new, return_std=True)[1] ** 2, spectrum.route

        (variances, route), seconds, space = measured(ours)
        start = (
            f"{size:9,} {inside:9,} {likelihood:10} {route:10} {seconds:6.2f} {space / 1e6:7.0f}"
        )
        structures = ["full"] if inside <= LARGEST_FULL else []
        # In function space theirs drops what classes have in common, so it is exact for numbers.
        structures += [] if classes or scope == "last-layer" else ["gp"]
        if not structures:
            print(f"{start}   full: needs {inside**2 * 8 / 1e9:,.3g} GB a matrix", flush=True)
        for structure in structures:
            other, their_seconds, their_space = theirs(
                *(module, *tensors, "classification" if classes else likelihood),
                *(subset, structure),
            )
            error = np.max(np.abs(variances / other - 1))
            print(
                f"{start}   {structure:4} {their_seconds:7.2f} {their_space / 1e6:7.0f} "
                f"{seconds / their_seconds:6.2f}  {error:.1e}",
                flush=True,
            )


def beside_curvlinops(hidden):
    from curvlinops import GGNLinearOperator
    from scipy.sparse.linalg import eigsh

    random = np.random.RandomState(0)
    X, y = random.randn(EXAMPLES, 64), random.randint(0, 10, EXAMPLES)
    module = module_of(hidden, CLASSES).eval()
    network, weights = in_jax(module)
    data = [(torch.from_numpy(X), torch.from_numpy(y))]
    loss = torch.nn.CrossEntropyLoss(reduction="sum")

    def other():
        operator = GGNLinearOperator(
            *(module, loss, list(module.parameters()), data), check_deterministic=False
        )
        return eigsh(operator.to_scipy(), k=MODES, tol=1e-8, return_eigenvectors=True)[0][::-1]

    net = information.network(network, X, y, parameters=weights, likelihood="softmax", prior=1.0)
    values, their_seconds, their_space = measured(other)
    for route in ("lanczos", "dual"):
        ours, seconds, space = measured(
            lambda route=route: information.spectrum(net, route=route, modes=MODES).information
        )
        error = np.max(np.abs(ours[:MODES] / values - 1))
        print(
            f"{net.size:9,} {route:8} {seconds:6.2f} {space / 1e6:6.0f}   {their_seconds:6.2f} "
            f"{their_space / 1e6:6.0f} {seconds / their_seconds:6.2f}  {error:.1e}",
            flush=True,
        )


def main(sizes):
    warnings.simplefilter("ignore")
    print("                             ours                     laplace-torch")
    print(
        "   parameters  in scope likelihood route   CPU s   MB        CPU s   MB  ratio  rel. error"
    )
    for hidden in sizes:
        for likelihood in ("softmax", "regression"):
            beside_laplace(hidden, likelihood)
    print(f"\n{MODES} leading modes: parameters, ours (CPU s, MB), curvlinops; ratio, rel. error")
    for hidden in sizes:
        beside_curvlinops(hidden)


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [6, 30, 600, 6000])
