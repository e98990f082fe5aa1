r"""Counts of informed directions without their modes: stochastic Lanczos quadrature.

:math:`\mathrm{tr} f(F)` for :math:`f = [k > 1], k/(1+k), \frac12 \log(1 + k)` from products with
random signs, the leading modes taken out first: most of the noise is theirs (docs/science/
information.md, section 7; Ubaru, Chen and Saad 2017).
"""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from wilsonian.information import products
from wilsonian.information.arguments import checked_count
from wilsonian.information.computing import information_trace
from wilsonian.information.lanczos import leading_pairs, tridiagonal
from wilsonian.information.trained_network import TrainedNetwork, check_network


class Counts(eqx.Module):
    """Sums over all directions with standard errors over the probes; the trace is exact."""

    above_one: float
    above_one_error: float
    degrees_of_freedom: float
    degrees_of_freedom_error: float
    nats: float
    nats_error: float
    trace: float
    largest: float
    products: int  # pairs of a JVP and a VJP over the data


def counts(
    network: TrainedNetwork, *, probes: int = 8, steps: int = 50, deflate: int = 20, seed: int = 0
) -> Counts:
    """Directions with information above one, degrees of freedom and nats of `network`, from
    `probes` random vectors and `steps` products each, after `deflate` leading modes.

    Raises ValueError for fewer than two probes, which have no standard error.
    """
    check_network(network)
    probes, steps = checked_count("probes", probes, least=2), checked_count("steps", steps)
    deflate = checked_count("deflate", deflate, least=0)
    size = network.examples * network.width
    deflate = min(deflate, size // 2)

    def operator(columns):
        return products.square(network, columns)

    with network.arithmetic():
        dtype = network.outputs.dtype
        leading = leading_pairs(
            operator, size, max(deflate, 1), seed=seed, dtype=dtype, tolerance=1e-6
        )
        exact = _sums(leading.values, np.ones(len(leading.values)))
        random, rows, spent = np.random.default_rng(seed + 1), [], leading.steps
        for _ in range(probes):
            probe = random.choice([-1.0, 1.0], size).astype(dtype)
            for _ in range(2):
                probe = probe - leading.vectors @ (leading.vectors.T @ probe)
            length = float(np.linalg.norm(probe))
            if leading.exhausted or length < 1e-6 * size**0.5:
                rows.append(np.zeros(3))
                continue
            nodes, weights, taken = tridiagonal(
                operator,
                jnp.asarray(probe / length),
                min(steps, size),
                jnp.asarray(leading.vectors),
            )
            spent += taken
            rows.append(_sums(nodes, length**2 * weights))
        means, errors = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) / probes**0.5
        above, freedom, information = (float(value) for value in exact + means)
        above_error, freedom_error, information_error = (float(value) for value in errors)
        return Counts(
            above_one=above,
            above_one_error=above_error,
            degrees_of_freedom=freedom,
            degrees_of_freedom_error=freedom_error,
            nats=information,
            nats_error=information_error,
            trace=information_trace(network),
            largest=float(leading.values[0]),
            products=spent,
        )


def _sums(k: np.ndarray, weights: np.ndarray) -> np.ndarray:
    k = np.maximum(k, 0.0)
    parts = np.stack([k > 1, k / (1 + k), np.log1p(k) / 2])
    return parts @ weights
