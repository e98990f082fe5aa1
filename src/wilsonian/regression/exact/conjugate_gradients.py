"""Linear equations of many right-hand sides, by preconditioned block conjugate gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

Operator = Callable[[np.ndarray], np.ndarray]  # (n, s) to (n, s): symmetric, positive definite

# Directions whose norm is less than this share of the others' are combinations of them.
DEPENDENT = 1e-10
# One cycle in the fast arithmetic lowers the residual by so much; then it is counted anew.
CYCLE = 1e-3
# A cycle that does not lower the true residual by this factor shows that the fast arithmetic is
# too coarse for these equations.
TOO_COARSE = 0.5


@dataclasses.dataclass(frozen=True)
class Solution:
    """Of `operator(vectors) = targets`, and how it went."""

    vectors: np.ndarray  # (n, p)
    residual: np.ndarray  # (n, p), targets - operator(vectors), counted anew at the end
    steps: int
    converged: bool


def solve(
    exact: Operator,
    fast: Operator,
    precondition: Operator,
    targets: np.ndarray,
    *,
    start: np.ndarray,
    tolerance: float,
    max_steps: int,
    watch: Callable[[int, float, np.ndarray], None] = lambda steps, norm, vectors: None,
) -> Solution:
    r"""Solve :math:`A \alpha = y` for targets (n, p) until each residual's norm is at most
    `tolerance` times its target's.

    Block conjugate gradients (O'Leary 1980, Linear Algebra Appl. 29, 293) in `fast` arithmetic,
    inside iterative refinement: the residual is counted with `exact`, the correction solved for
    with `fast`, and again. In one block :math:`R = Y - A X`, :math:`Z = P^{-1} R`, directions
    :math:`D` are :math:`Z` made A-orthogonal to the last ones and A-orthonormal among themselves
    (those that depend on the others are dropped, so that nothing breaks down),
    :math:`X \to X + D D^T R`.

    `watch` hears of every step: steps so far, largest relative residual, and the solution.
    """
    scale = np.linalg.norm(targets, axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    vectors, steps = start.copy(), 0
    residual = targets - exact(vectors)
    # A start from elsewhere may be worse than none.
    if np.linalg.norm(residual) > np.linalg.norm(targets):
        vectors, residual = np.zeros(start.shape), targets.copy()
    arithmetic = fast
    while True:
        relative = float(np.max(np.linalg.norm(residual, axis=0) / scale))
        if relative <= tolerance or steps >= max_steps:
            return Solution(vectors, residual, steps, relative <= tolerance)
        base = vectors

        def heard(done: int, norm: float, change: np.ndarray, base=base, before=steps) -> None:
            watch(before + done, norm, base + change)

        change, done = _cycle(
            arithmetic,
            precondition,
            residual,
            scale,
            max(tolerance * (0.95 if arithmetic is exact else 0.5), CYCLE * relative),
            max_steps - steps,
            heard,
        )
        vectors, steps = vectors + change, steps + done
        residual = targets - exact(vectors)
        left = float(np.max(np.linalg.norm(residual, axis=0) / scale))
        if left > TOO_COARSE * relative:
            if arithmetic is exact:  # as far as rounding lets us
                if left > relative:
                    vectors, residual = base, targets - exact(base)
                return Solution(vectors, residual, steps, False)
            arithmetic = exact
            if left > relative:
                vectors, residual = base, targets - exact(base)


def _cycle(
    operator: Operator,
    precondition: Operator,
    residual: np.ndarray,
    scale: np.ndarray,
    tolerance: float,
    max_steps: int,
    watch: Callable[[int, float, np.ndarray], None],
) -> tuple[np.ndarray, int]:
    """The solution for these right-hand sides, and steps taken."""
    vectors = np.zeros(residual.shape)
    directions = images = np.zeros((len(residual), 0))
    for step in range(1, max_steps + 1):
        new = precondition(residual)
        new = new - directions @ (images.T @ new)
        image = operator(new)
        transform = _orthonormal(new.T @ image)
        directions, images = new @ transform, image @ transform
        lengths = directions.T @ residual
        vectors = vectors + directions @ lengths
        residual = residual - images @ lengths
        norm = float(np.max(np.linalg.norm(residual, axis=0) / scale))
        watch(step, norm, vectors)
        if norm <= tolerance:
            break
    return vectors, step


def _orthonormal(products: np.ndarray) -> np.ndarray:
    """(s, k): combinations of s vectors with these inner products that are orthonormal."""
    norms = np.sqrt(np.maximum(np.diagonal(products), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(products / norms / norms[:, None])
    kept = values > DEPENDENT * values[-1]
    return vectors[:, kept] / np.sqrt(values[kept]) / norms[:, None]
