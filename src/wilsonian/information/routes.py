"""Routes to the spectrum of a network, and what each will cost before anything is computed."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.information.last_layer import last_layer_places
from wilsonian.information.trained_network import TrainedNetwork, check_network
from wilsonian.support.number_text import format_count

Route = Literal["last-layer", "dense", "dual", "lanczos"]
ROUTES: tuple[Route, ...] = ("last-layer", "dense", "dual", "lanczos")
MOST_PARAMETERS = 5_000  # of the routes that form the Fisher metric
MOST_DUAL = 12_000  # dressed outputs of the dual route
LANCZOS_MODES = 200
PLAIN = 10  # times cheaper, and a route is taken without a plan


@dataclasses.dataclass(frozen=True)
class RouteCost:
    """What one way to the spectrum takes."""

    route: Route
    operations: float  # multiplications and additions
    seconds: float
    bytes: float
    refusal: str  # empty: it can be gone

    @property
    def open(self) -> bool:
        return not self.refusal


@dataclasses.dataclass(frozen=True)
class Plan:
    """Routes to the spectrum of a network, with their costs; `chosen` is what `route="auto"`
    takes. `rate` is operations per second of a matrix product here, `memory` bytes there are."""

    parameters: int
    examples: int
    outputs: int
    routes: tuple[RouteCost, ...]
    chosen: Route | None
    rate: float
    memory: float
    counts_seconds: float  # of counts without modes

    def cost(self, route: Route) -> RouteCost:
        return next(cost for cost in self.routes if cost.route == route)

    def __str__(self) -> str:
        lines = [
            f"{format_count(self.parameters, 'parameter')}, "
            f"{format_count(self.examples, 'example')}, {format_count(self.outputs, 'output')}; "
            f"{self.rate / 1e9:.3g} Gflop/s, {_bytes(self.memory)} of memory"
        ]
        for cost in self.routes:
            mark = "->" if cost.route == self.chosen else "  "
            lines.append(
                f"{mark} {cost.route:10} {cost.operations:9.2g} operations "
                f"{_seconds(cost.seconds):>9} {_bytes(cost.bytes):>9}"
                + (f"  not possible: {cost.refusal}" if cost.refusal else "")
            )
        lines.append(f"   counts without modes: {_seconds(self.counts_seconds)}")
        return "\n".join(lines)


def plan(
    network: TrainedNetwork,
    *,
    modes: int | None = None,
    rate: float | None = None,
    memory: float | None = None,
) -> Plan:
    r"""Bytes, operations and seconds of every route to the spectrum of `network`.

    Last layer: :math:`F` from products of its q features, :math:`T K (K + 1) q^2 + 9 P^3`.
    Dense: :math:`F` from blocks of the Jacobian, :math:`2 T K P^2 + 9 P^3`. Dual: the dressed
    tangent kernel by structure, and :math:`9 (T K)^3`. Lanczos for `modes` directions: a JVP and a
    VJP over the data per step, six forward passes, and :math:`4 q T K` to reorthogonalize. `rate`
    in operations per second is measured on a small matrix product when left out; `memory` is the
    machine's.
    """
    check_network(network)
    with network.arithmetic():
        rate = _measured_rate(network.outputs.dtype) if rate is None else rate
        memory = _memory() if memory is None else memory
        forward, structured = network.function.operations(network.point, network.inputs)
    size, rows = network.size, network.examples * network.width
    word = np.dtype(network.precision).itemsize
    count = min(LANCZOS_MODES if modes is None else modes, rows)
    steps = min(2 * count + 40, rows)
    block = 32 * network.width * size * word
    product = 6 * forward * network.examples
    shared = last_layer_places(network) if size <= MOST_PARAMETERS else None
    found = [
        _cost(
            *(
                "last-layer",
                rows * size**2 * (1 + 1 / network.width) / network.width + 9.0 * size**3,
            ),
            *(5.0 * size**2 * word, rate, memory),
            shared is not None,
            "not the last layer of several outputs",
        ),
        _cost(
            *("dense", 2.0 * rows * size**2 + 9.0 * size**3),
            *(4.0 * size**2 * word + 2 * block, rate, memory),
            size <= MOST_PARAMETERS,
            f"{size:,} parameters are more than {MOST_PARAMETERS:,}",
        ),
        _cost(
            *("dual", structured + 9.0 * rows**3),
            *(_dual_bytes(size, rows, word), rate, memory),
            rows <= MOST_DUAL,
            f"{rows:,} dressed outputs are more than {MOST_DUAL:,}",
        ),
        _cost(
            *("lanczos", steps * (product + 4.0 * steps * rows)),
            *((steps + count) * rows * word + 8.0 * size * word, rate, memory),
            True,
            "",
        ),
    ]
    possible = [cost for cost in found if cost.open]
    # Lanczos gives the leading modes only: taken where nothing gives all of them.
    whole = [cost for cost in possible if cost.route != "lanczos"]
    best = min(whole or possible, key=lambda cost: cost.operations, default=None)
    return Plan(
        *(size, network.examples, network.width, tuple(found)),
        chosen=None if best is None else best.route,
        rate=rate,
        memory=memory,
        counts_seconds=8 * 50 * product / rate,
    )


def cheapest_route(network: TrainedNetwork) -> Route | None:
    """What :func:`plan` chooses, at once where it is plain: tracing the network for its operations
    takes longer than the spectrum of a small one."""
    size, rows = network.size, network.examples * network.width
    word = np.dtype(network.precision).itemsize
    # No other route gives every mode; or even a product of Jacobians costs far less than the
    # eigenvectors of F.
    plain = size > MOST_PARAMETERS or PLAIN * (2.0 * rows**2 * size + 9.0 * rows**3) < size**3
    if plain and rows <= MOST_DUAL and _dual_bytes(size, rows, word) <= _memory():
        return "dual"
    if size <= MOST_PARAMETERS and 9.0 * rows**3 > 2.0 * rows * size**2 + 9.0 * size**3:
        block = 32 * network.width * size * word
        if 5.0 * size**2 * word + 2 * block < _memory():
            return "dense" if last_layer_places(network) is None else "last-layer"
    return plan(network).chosen


def _dual_bytes(size: int, rows: int, word: int) -> float:
    return 5.0 * rows**2 * word + 2.0 * size * word


def _cost(
    route: Route,
    operations: float,
    needed: float,
    rate: float,
    memory: float,
    allowed: bool,
    reason: str,
) -> RouteCost:
    refusal = "" if allowed else reason
    if not refusal and needed > memory:
        refusal = f"{_bytes(needed)} do not fit in {_bytes(memory)}"
    return RouteCost(route, operations, operations / rate, needed, refusal)


@functools.cache
def _measured_rate(dtype: Any) -> float:
    matrix = jnp.ones((384, 384), dtype)
    product = jax.jit(lambda a: jnp.dot(a, a, precision="highest"))
    product(matrix).block_until_ready()
    best = np.inf
    for _ in range(3):
        begun = time.perf_counter()
        product(matrix).block_until_ready()
        best = min(best, time.perf_counter() - begun)
    return 2 * 384**3 / best


def _memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return 16e9


def _bytes(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def _seconds(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds:.2g} s" if seconds >= 1e-3 else "< 1 ms"
