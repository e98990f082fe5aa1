"""From a trained network to the spectrum of its Fisher information, by one of four routes."""

from __future__ import annotations

import time
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.core.precision import compiled
from wilsonian.information import pricing, products, tangent
from wilsonian.information.arguments import checked_count
from wilsonian.information.fisher_spectrum import FisherSpectrum
from wilsonian.information.lanczos import leading_pairs
from wilsonian.information.last_layer import last_layer_fisher, last_layer_places
from wilsonian.information.likelihoods import Regression
from wilsonian.information.modes import BLOCK, AbstractModes, DataModes, ParameterModes
from wilsonian.information.routes import LANCZOS_MODES, ROUTES, Route, cheapest_route, plan
from wilsonian.information.trained_network import TrainedNetwork, check_network

MOST_COLUMNS = 16  # of a step of Lanczos


def spectrum(
    network: TrainedNetwork,
    *,
    route: Route | Literal["auto"] = "auto",
    modes: int | None = None,
    seed: int = 0,
) -> FisherSpectrum:
    r"""Information in every direction of a trained network (docs/science/information.md, 1 and 7).

    Eigenvalues :math:`k_A` of the total Fisher metric in whitened parameters: the signal to noise
    of direction A, which the data determine if :math:`k_A > 1`. `route` is one of :func:`plan`'s,
    by default the cheapest that gives every mode; `modes` bounds their number on the route
    `"lanczos"`, which gives the leading ones.

    Raises ValueError for gradients that are not finite, and MemoryError, before starting, where
    no route fits.
    """
    begun = time.perf_counter()
    if route != "auto" and route not in ROUTES:
        raise ValueError(f"`route` must be 'auto' or one of {', '.join(ROUTES)}, got {route!r}.")
    if modes is not None:
        modes = checked_count("modes", modes)
    check_network(network)
    with network.arithmetic():
        if route == "auto":
            chosen = cheapest_route(network)
            if chosen is None:
                raise MemoryError(f"no route to the spectrum fits:\n{plan(network, modes=modes)}")
            route = chosen
        found, unresolved = _FOUND[route](network, modes, seed)
        return _finished(network, found, unresolved, route, begun)


def _dense(network: TrainedNetwork, modes: int | None, seed: int) -> tuple[AbstractModes, float]:
    fisher = products.dense_fisher(
        *(network.function, network.likelihood, network.point, network.inputs),
        *(jnp.ones(network.examples, network.outputs.dtype), BLOCK),
    )
    values, vectors = eigenpairs(fisher)
    return ParameterModes(values, vectors), 0.0


def _last_layer(
    network: TrainedNetwork, modes: int | None, seed: int
) -> tuple[AbstractModes, float]:
    places = last_layer_places(network)
    if places is None:
        raise ValueError(
            "route='last-layer' needs the last layer of several outputs as the scope; pass "
            "scope='last-layer' to network(...), or another route."
        )
    return ParameterModes(*eigenpairs(last_layer_fisher(network, places))), 0.0


def _dual(network: TrainedNetwork, modes: int | None, seed: int) -> tuple[AbstractModes, float]:
    values, vectors = eigenpairs(tangent.dressed_gram(network))
    return DataModes(values, vectors), 0.0


def _lanczos(network: TrainedNetwork, modes: int | None, seed: int) -> tuple[AbstractModes, float]:
    size = network.examples * network.width
    count = min(LANCZOS_MODES if modes is None else modes, size)
    found = leading_pairs(
        lambda columns: products.square(network, columns),
        *(size, count),
        block=_block(network, count),
        seed=seed,
        tolerance=1e-10 if network.precision == "float64" else 1e-5,
        dtype=network.outputs.dtype,
    )
    count = _resolved(found.values, size)
    chosen = DataModes(found.values[:count], found.vectors[:, :count])
    missing = information_trace(network) - float(np.sum(chosen.information))
    complete = found.exhausted or count < len(found.values)
    return chosen, 0.0 if complete else max(missing, 0.0)


def _block(network: TrainedNetwork, modes: int) -> int:
    """Columns per step: one more for every 50 modes, and as many as an eigenvalue's multiplicity
    may be, which in regression is the number of outputs (a shared read-out)."""
    copies = network.width if isinstance(network.likelihood, Regression) else 1
    return min(max(copies, -(-modes // 50)), MOST_COLUMNS)


_FOUND = {"last-layer": _last_layer, "dense": _dense, "dual": _dual, "lanczos": _lanczos}


def information_trace(network: TrainedNetwork) -> float:
    r"""Exact :math:`\mathrm{tr} F = \sum_t \mathrm{tr}\, S_t^T \Theta(x_t, x_t) S_t`."""
    theta = tangent.tangent_diagonal(network, network.inputs)
    return float(_dressed_trace(network.likelihood, network.outputs, theta))


@compiled
def _dressed_trace(likelihood: Any, outputs: Array, theta: Array) -> Array:
    half = likelihood.all_transposed(outputs, theta)
    whole = likelihood.all_transposed(outputs, jnp.swapaxes(half, 1, 2))
    return jnp.sum(jnp.trace(whole, axis1=1, axis2=2))


def eigenpairs(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs above rounding, descending."""
    check_finite(matrix)
    values, vectors = (np.asarray(part) for part in _descending(matrix))
    count = _resolved(values, len(matrix))
    return values[:count], vectors[:, :count]


@jax.jit
def _descending(matrix: Array) -> tuple[Array, Array]:
    values, vectors = jnp.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1]


def _resolved(values: np.ndarray, size: int) -> int:
    """How many of descending eigenvalues are above rounding."""
    return int(np.sum(values > np.finfo(values.dtype).eps * size * max(values[0], 0.0)))


def check_finite(matrix: Any) -> None:
    """Raise ValueError if derivatives of a network were not finite."""
    if not np.all(np.isfinite(np.asarray(matrix))):
        raise ValueError(
            "the network's derivatives hold NaN or infinity at some training points; look for "
            "square roots or logarithms of zero in it, and for weights that have diverged."
        )


def _finished(
    network: TrainedNetwork, modes: AbstractModes, unresolved: float, route: Route, begun: float
) -> FisherSpectrum:
    found = products.at_point(network)
    check_finite(found.pushed)
    if isinstance(modes, DataModes):
        slopes, whitened = modes.of_scores(found.scores), modes.of_pushed(found.pushed)
    else:
        slopes = modes.coordinates(network, found.slope)
        whitened = modes.coordinates(network, found.whitened)
    check_finite(slopes)
    gradient, squared = pricing.totals(
        found.scores, modes.information, slopes, whitened, found.pushed
    )
    information = np.append(modes.information, modes.information.dtype.type(unresolved))
    away, length = float(found.away), float(found.length)
    nowhere = np.zeros_like(whitened)
    terms = pricing.MoveTerms(gradient, squared, information, -gradient, squared, nowhere)
    return FisherSpectrum(
        network=network,
        modes=modes,
        information=np.append(modes.information, np.zeros_like(information[:1])),
        kept_weights=np.ones_like(information),
        whitened=whitened,
        slopes=slopes,
        terms=terms,
        others=network.size - len(modes.information),
        unresolved=unresolved,
        stationarity=away / length if length > 0 else away,
        route=route,
        seconds=time.perf_counter() - begun,
    )
