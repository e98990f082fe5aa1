r"""The law of one colour's sites given the known ones, fitted by concave maximum likelihood.

.. math:: \log q(z|\text{past}) = \sum_{k=1}^4\theta_k z^k - \tfrac12 z^2 - \log Z,
          \qquad z = (\phi-\mu)/\sigma

:math:`\mu` is a linear regression and :math:`\theta_k` linear in the features, so the likelihood is
concave and Newton's method needs no learning rate. First on some rows with the whole Hessian; then
on all rows, where the Hessian of some rows stays good enough and only gradients are summed.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import full_products
from wilsonian.fields.decimation.density import GRID, SPACING, WINDOW
from wilsonian.fields.decimation.features import (
    CLIP,
    all_features,
    feature_counts,
    first_features,
)

BLOCK = 8192  # rows per compiled call
ORDERS = (1, 2, 3, 4)
POWERS = np.stack([GRID**k for k in range(2 * max(ORDERS) + 1)])  # (9, nodes)


@dataclasses.dataclass(frozen=True, eq=False)
class Conditional:
    """A fitted colour: plain arrays, so it can be stored and moved between lattices."""

    weights: np.ndarray  # of the scaled features, all theta_k in a row
    scales: np.ndarray  # of the features
    mean_weights: np.ndarray  # of the scaled first features
    mean_scales: np.ndarray
    sigma: float
    lowest: np.ndarray  # theta_k are clipped to what training saw, (4,)
    highest: np.ndarray
    log_likelihood: float  # per row, of phi, on the rows of the fit
    steps: int
    rows: int

    def arrays(self) -> dict[str, Array]:
        """What compiled functions need."""
        return {
            "weights": jnp.asarray(self.weights, jnp.float32),
            "scales": jnp.asarray(self.scales, jnp.float32),
            "mean_weights": jnp.asarray(self.mean_weights, jnp.float32),
            "mean_scales": jnp.asarray(self.mean_scales, jnp.float32),
            "sigma": jnp.asarray(self.sigma, jnp.float32),
            "lowest": jnp.asarray(self.lowest, jnp.float32),
            "highest": jnp.asarray(self.highest, jnp.float32),
        }


def _mean(rows: Array, arrays: dict[str, Array]) -> Array:
    scaled = first_features(rows) / arrays["mean_scales"][:, None]
    return jnp.clip(arrays["mean_weights"] @ scaled, -CLIP, CLIP)


def _thetas(rows: Array, mean: Array, arrays: dict[str, Array]) -> tuple[Array, list[Array]]:
    """(theta (4, rows), scaled features of each)."""
    blocks = all_features(rows, mean)
    cuts = np.cumsum([len(block) for block in blocks])[:-1]
    scales = jnp.split(arrays["scales"], cuts)
    scaled = [block / scale[:, None] for block, scale in zip(blocks, scales, strict=True)]
    weights = jnp.split(arrays["weights"], cuts)
    return jnp.stack([w @ a for w, a in zip(weights, scaled, strict=True)]), scaled


@jax.jit
@full_products
def log_values(rows: Float[Array, "inputs rows"], arrays: dict[str, Array]) -> tuple[Array, Array]:
    """(mean, log density of z at the nodes up to a constant), for drawing."""
    mean = _mean(rows, arrays)
    theta, _ = _thetas(rows, mean, arrays)
    theta = jnp.clip(theta, arrays["lowest"][:, None], arrays["highest"][:, None])
    powers = jnp.asarray(POWERS[1:5], jnp.float32)
    quadratic = jnp.asarray(0.5 * GRID**2 + WINDOW, jnp.float32)
    return mean, powers.T @ theta - quadratic[:, None]


@functools.partial(jax.jit, static_argnames="hessian")
@full_products
def _likelihood(
    rows: Array, values: Array, mask: Array, arrays: dict[str, Array], hessian: bool
) -> tuple[Array, Array, Array]:
    """Sums over a block: log likelihood of z, its gradient, and minus its Hessian."""
    mean = _mean(rows, arrays)
    z = (values - mean) / arrays["sigma"]
    theta, scaled = _thetas(rows, mean, arrays)
    powers = jnp.asarray(POWERS, jnp.float32)
    logs = powers[1:5].T @ theta - 0.5 * powers[2][:, None]
    top = logs.max(0)
    density = jnp.exp(logs - top)
    moments = powers @ density
    total = moments[0]
    moments = moments / total
    log_z = jnp.log(total * SPACING) + top
    own = jnp.stack([z, z**2, z**3, z**4])
    likelihood = (((theta * own).sum(0) - 0.5 * z**2 - log_z) * mask).sum()
    gradient = [scaled[i] @ ((own[i] - moments[k]) * mask) for i, k in enumerate(ORDERS)]
    flat = jnp.concatenate(gradient)
    if not hessian:
        return likelihood, flat, jnp.zeros((1, 1))
    grid = [[None] * 4 for _ in range(4)]  # type: list[list[Any]]
    for i, k in enumerate(ORDERS):
        for j, m in enumerate(ORDERS[: i + 1]):
            covariance = (moments[k + m] - moments[k] * moments[m]) * mask
            grid[i][j] = (scaled[i] * covariance) @ scaled[j].T
            grid[j][i] = grid[i][j].T
    return likelihood, flat, jnp.block(grid)


@jax.jit
@full_products
def _first_sums(rows: Array, values: Array, mask: Array) -> tuple[Array, Array, Array]:
    """Normal equations of the mean: (features squared, features times values, values squared)."""
    features = first_features(rows) * mask
    return features @ features.T, features @ values, (values * values * mask).sum()


@jax.jit
@full_products
def _squares(rows: Array, mask: Array, arrays: dict[str, Array]) -> Array:
    blocks = all_features(rows, _mean(rows, arrays))
    return jnp.concatenate([(block * block) @ mask for block in blocks])


@jax.jit
@full_products
def _theta_only(rows: Array, arrays: dict[str, Array]) -> Array:
    return _thetas(rows, _mean(rows, arrays), arrays)[0]


class _Blocks:
    """Rows cut into blocks of one shape, the last one padded with masked rows."""

    def __init__(self, rows: np.ndarray, values: np.ndarray):
        self.count = rows.shape[1]
        self.rows, self.values = rows, values

    def __iter__(self):  # type: ignore[no-untyped-def]
        for start in range(0, self.count, BLOCK):
            rows, values = self.rows[:, start : start + BLOCK], self.values[start : start + BLOCK]
            missing = BLOCK - rows.shape[1]
            mask = np.ones(BLOCK, np.float32)
            if missing:
                rows = np.pad(rows, ((0, 0), (0, missing)))
                values, mask = np.pad(values, (0, missing)), mask.copy()
                mask[-missing:] = 0
            yield rows, values, mask

    def part(self, count: int) -> _Blocks:
        return _Blocks(self.rows[:, :count], self.values[:count])


def _sum(parts: Any) -> list[np.ndarray]:
    """Sums over blocks in float64."""
    total: list[np.ndarray] | None = None
    for part in parts:
        arrays = [np.asarray(value, np.float64) for value in part]
        total = arrays if total is None else [a + b for a, b in zip(total, arrays, strict=True)]
    assert total is not None
    return total


def fit_conditional(
    rows: np.ndarray,
    values: np.ndarray,
    rng: np.random.Generator,
    *,
    ridge: float = 1e-6,
    some: int = 32_768,
    more: int = 262_144,
) -> Conditional:
    """Fit a colour: `rows` (inputs, rows), `values` the fields there.

    `ridge` is relative, on features scaled to unit mean square. `some` rows, taken at random,
    serve Newton steps, `more` the Hessian of the last steps, all rows their gradients.
    """
    data = _Blocks(rows, values)
    chosen = rng.choice(data.count, min(more, data.count), replace=False)
    subset = _Blocks(rows[:, chosen], values[chosen])
    count = data.count
    square, cross, energy = _sum(_first_sums(*block) for block in data)
    mean_scales = np.sqrt(np.diag(square) / count) + 1e-12
    square = square / np.outer(mean_scales, mean_scales) + 1e-6 * count * np.eye(len(square))
    mean_weights = np.linalg.solve(square, cross / mean_scales)
    left = energy - 2 * mean_weights @ (cross / mean_scales)
    left += mean_weights @ (square - 1e-6 * count * np.eye(len(square))) @ mean_weights
    sigma = float(np.sqrt(max(left, 1e-12 * energy) / count))
    size = sum(feature_counts())
    fitted = Conditional(
        np.zeros(size),
        np.ones(size),
        mean_weights,
        mean_scales,
        sigma,
        np.full(4, -np.inf),
        np.full(4, np.inf),
        0.0,
        0,
        count,
    )
    (squares,) = _sum((_squares(r, m, fitted.arrays()),) for r, _, m in subset)
    fitted = dataclasses.replace(fitted, scales=np.sqrt(squares / subset.count) + 1e-12)
    return _newton(data, subset, fitted, ridge, some)


def _newton(
    data: _Blocks, subset: _Blocks, fitted: Conditional, ridge: float, some: int
) -> Conditional:
    weights, steps, fixed = fitted.weights, 0, fitted.arrays()

    def evaluate(part: _Blocks, weights: np.ndarray, hessian: bool) -> list[np.ndarray]:
        arrays = {**fixed, "weights": jnp.asarray(weights, jnp.float32)}
        sums = _sum(_likelihood(*block, arrays, hessian) for block in part)
        return [value / part.count for value in sums]

    first = subset.part(some)
    penalty = np.eye(len(weights)) * ridge
    likelihood, gradient, curvature = evaluate(first, weights, True)
    for _ in range(25):
        step = np.linalg.solve(curvature + penalty, gradient - ridge * weights)
        length, found = 1.0, None
        while length > 1e-3:
            found = evaluate(first, weights + length * step, True)
            if np.isfinite(found[0]) and found[0] >= likelihood - 1e-7:
                break
            length, found = 0.4 * length, None
        if found is None:
            break
        gain = found[0] - likelihood
        weights, (likelihood, gradient, curvature) = weights + length * step, found
        steps += 1
        if gain < 1e-5:
            break
    if data.count > some:
        _, _, curvature = evaluate(subset, weights, True)
        likelihood, gradient, _ = evaluate(data, weights, False)
        for _ in range(8):
            pull = gradient - ridge * weights
            step = np.linalg.solve(curvature + penalty, pull)
            if pull @ step * data.count < 2:  # a nat of all rows: far below the parameters' noise
                break
            for length in (1.0, 0.5, 0.25, 0.1, 0.0):
                better, slope, _ = evaluate(data, weights + length * step, False)
                if np.isfinite(better) and better > likelihood:
                    break
            if length == 0.0:
                break
            weights, likelihood, gradient = weights + length * step, better, slope
            steps += 1
    fitted = dataclasses.replace(
        fitted,
        weights=weights,
        steps=steps,
        log_likelihood=float(likelihood - np.log(fitted.sigma)),
    )
    arrays = fitted.arrays()
    theta = np.concatenate([np.asarray(_theta_only(r, arrays)) for r, _, _ in subset], 1)
    low, high = np.quantile(theta[:, : subset.count], [1e-4, 1 - 1e-4], axis=1)
    return dataclasses.replace(fitted, lowest=low, highest=high)
