r"""Exact numbers of small lattices by transfer matrices: chains, squares of 2 to 4 sites a side.

.. math:: Z = \mathrm{Tr}\,T^L, \qquad
          T(c,c') = e^{-\frac12 S(c)-\frac12 S(c') + 2\kappa \sum_i c_i c'_i}

with S(c) the action inside a column. On a square the neighbouring columns factor over their
sites, so T is applied one site at a time; columns equal up to shifts, reflection and sign are
counted once (docs/science/exact-rg.md, "Exact anchors").
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np

from wilsonian.fields.actions import AbstractSiteTheory


@dataclasses.dataclass(frozen=True, eq=False)
class ExactMoments:
    """Exact numbers of a theory, no Monte Carlo."""

    log_partition_function: float
    second_moment: float  # <phi^2> of a site
    fourth_moment: float  # <phi^4>
    susceptibility: float  # sum over distances of <phi_0 phi_r>; nan on squares
    nodes: int  # per site


def exact_moments(theory: AbstractSiteTheory, nodes: int | None = None) -> ExactMoments:
    """Transfer matrix of a chain, or of a square lattice of side 2, 3 or 4.

    `nodes` per site: 200 on a chain, and 60, 18, 14 on squares of side 2, 3, 4. ValueError for
    other lattices.
    """
    if len(theory.shape) == 1:
        return _chain(theory, nodes or 200)
    if len(theory.shape) == 2 and len(set(theory.shape)) == 1 and theory.shape[0] <= 4:
        side = theory.shape[0]
        return _square(theory, nodes or {2: 60, 3: 18, 4: 14}[side])
    raise ValueError(
        f"no exact numbers for the lattice {theory.shape}; a transfer matrix serves chains and "
        "squares of side 2 to 4."
    )


def _chain(theory: AbstractSiteTheory, nodes: int) -> ExactMoments:
    (length,) = theory.shape
    points, weights = np.polynomial.legendre.leggauss(nodes)
    reach = _reach(theory)
    points, weights = reach * points, reach * weights
    site = -0.5 * theory.potential(points) + 0.5 * np.log(weights)
    matrix = np.exp(2 * theory.kappa * np.outer(points, points) + site[:, None] + site)
    values, vectors = np.linalg.eigh(matrix)
    top = values[-1]
    ratios = values / top
    log_partition = length * np.log(top) + np.log((ratios**length).sum())
    share = ratios**length / (ratios**length).sum()

    def moment(power: int) -> float:
        return float(share @ np.einsum("ik,i,ik->k", vectors, points**power, vectors))

    between = vectors.T @ (points[:, None] * vectors)  # <k|phi|l>
    norm = (ratios**length).sum()
    correlations = [
        float((ratios ** (length - r) @ between**2 @ ratios**r) / norm) for r in range(length)
    ]
    return ExactMoments(float(log_partition), moment(2), moment(4), sum(correlations), nodes)


def _reach(theory: AbstractSiteTheory) -> float:
    """Field beyond which the law is below e^-80 even with all neighbours equal to it."""
    grid = np.linspace(0.5, 60, 2000)
    uniform = theory.potential(grid) - 2 * len(theory.shape) * theory.kappa * grid**2
    beyond = np.nonzero(uniform - uniform.min() > 40)[0]
    return float(np.clip(grid[beyond[0]] if len(beyond) else 60, 2.0, 60.0))


def _square(theory: AbstractSiteTheory, nodes: int) -> ExactMoments:
    side = theory.shape[0]
    # Equidistant nodes: spectrally accurate for a law that is smooth and falls off.
    reach = _square_reach(theory, nodes)
    spacing = 2 * reach / nodes
    points = spacing * (np.arange(nodes) - (nodes - 1) / 2)
    bond = np.exp(2 * theory.kappa * np.outer(points, points))
    inside = _column_action(theory, points, side)
    half = np.exp(-0.5 * inside)  # D^(1/2), shape (nodes,) * side
    columns, orbits = _column_orbits(nodes, side)
    traces = np.empty(len(columns))
    for start in range(0, len(columns), 64):
        block = columns[start : start + 64]
        traces[start : start + 64] = _diagonal_of_power(block, bond, half, side)
    share = traces * orbits
    total = share.sum()
    values = points[columns]
    return ExactMoments(
        float(np.log(total) + theory.volume * np.log(spacing)),
        float(share @ (values**2).mean(1) / total),
        float(share @ (values**4).mean(1) / total),
        float("nan"),
        nodes,
    )


def _square_reach(theory: AbstractSiteTheory, nodes: int) -> float:
    """Half width of the nodes: the trade of spacing against cut-off tails, kept at .65 for 14."""
    return 0.5 * nodes * min(0.65, 2 * _reach(theory) / nodes)


def _column_action(theory: AbstractSiteTheory, points: np.ndarray, side: int) -> np.ndarray:
    axes = np.meshgrid(*[points] * side, indexing="ij")
    inside = sum(theory.potential(axis) for axis in axes)
    for i in range(side):
        inside = inside - 2 * theory.kappa * axes[i] * axes[(i + 1) % side]
    return np.asarray(inside)


@functools.cache
def _column_orbits(nodes: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """One column of each orbit under shifts, reflection and sign, and the orbit's size."""
    columns = np.array(list(itertools.product(range(nodes), repeat=side)), np.int16)
    code = nodes ** np.arange(side, dtype=np.int64)
    lowest = np.full(len(columns), np.iinfo(np.int64).max)
    for shift in range(side):
        for reflected in (columns, columns[:, ::-1]):
            moved = np.roll(reflected, shift, 1).astype(np.int64)
            for signed in (moved, nodes - 1 - moved):
                lowest = np.minimum(lowest, signed @ code)
    own, sizes = np.unique(lowest, return_counts=True)
    place = (own[:, None] // code) % nodes
    return place, sizes


def _diagonal_of_power(
    columns: np.ndarray, bond: np.ndarray, half: np.ndarray, side: int
) -> np.ndarray:
    """<c|T^L|c> of each column c: the product of T^(L//2) c and T^(L - L//2) c."""
    count = len(columns)
    start = half[tuple(columns.T)].reshape(count, *[1] * side)
    vector = np.ones((count, *[1] * side))
    for site in range(side):  # the bonds of a single column are an outer product
        shape = [count] + [-1 if k == site else 1 for k in range(side)]
        vector = vector * bond[columns[:, site]].reshape(shape)
    vector = vector * half * start  # T c
    powers = [vector]
    for _ in range(1, side - side // 2):
        vector = _bonds(vector * half, bond, side) * half
        powers.append(vector)
    first, second = powers[side // 2 - 1], powers[-1]
    return np.einsum("ck,ck->c", first.reshape(count, -1), second.reshape(count, -1))


def _bonds(vector: np.ndarray, bond: np.ndarray, side: int) -> np.ndarray:
    """All bonds to the next column: contract the last site and bring it to the front, in turn."""
    shape, count, nodes = vector.shape, vector.shape[0], len(bond)
    rows = vector.reshape(count, -1)
    for _ in range(side):
        rows = np.matmul(bond, rows.reshape(count, -1, nodes).transpose(0, 2, 1))
        rows = rows.reshape(count, -1)
    return rows.reshape(shape)
