"""Hyperparameters, and the log evidence of a reduced theory as a function of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled, with_precision
from wilsonian.core.types import Scalar
from wilsonian.kernels import Kernel
from wilsonian.kernels.host_grams import gram_and_pull, has_host_form
from wilsonian.kernels.learnable import learnable
from wilsonian.regression.learning.evidence_gradient import (
    JITTER,
    EvidenceSlopes,
    Factor,
    evidence_and_slopes,
    factored,
)
from wilsonian.regression.learning.exact_evidence import exact_evidence_and_slopes
from wilsonian.regression.sample import Sample
from wilsonian.support.row_threads import beside

# k(X, Z), k(Z, Z) or its factor, k(x, x)
Grams = tuple[np.ndarray, np.ndarray | Factor | None, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """A prior (kernel times amplitude), a noise variance, and how they were come by."""

    kernel: Kernel
    amplitude: np.ndarray  # (1,) for all outputs, or (outputs,)
    noise_variance: np.ndarray  # likewise
    converged: bool
    message: str  # one sentence


class Candidate(eqx.Module):
    """Hyperparameters as an optimizer moves them: positive numbers by their logarithms."""

    log_kernel: Any  # the kernel's learnable leaves, None elsewhere
    log_amplitude: Any  # (1,) for all outputs, or (outputs,)
    log_noise_variance: Any  # likewise
    inducing_points: Any  # (rank, d)

    @classmethod
    def of(
        cls, kernel: Kernel, amplitude: Any, noise_variance: Any, inducing_points: Any
    ) -> tuple[Candidate, Any]:
        """A candidate, and the part of the kernel that stays fixed."""
        moved, fixed = eqx.partition(kernel, learnable(kernel))
        logs = jax.tree.map(lambda leaf: np.log(np.asarray(leaf, float)), moved)
        amplitude, noise_variance = np.atleast_1d(amplitude), np.atleast_1d(noise_variance)
        scale = np.log(amplitude.astype(float)), np.log(noise_variance.astype(float))
        return cls(logs, *scale, np.asarray(inducing_points)), fixed

    def kernel(self, fixed: Any) -> Kernel:
        return eqx.combine(jax.tree.map(jnp.exp, self.log_kernel), fixed)

    def on_host(self, fixed: Any) -> Kernel:
        """:meth:`kernel` of NumPy's numbers."""
        return eqx.combine(jax.tree.map(np.exp, self.log_kernel), fixed)


def inducing_evidence(
    kernel: Kernel,
    amplitude: Scalar | Float[Array, " groups"],
    noise_variance: Scalar | Float[Array, " groups"],
    inducing_points: Float[Array, "rank d"],
    X: Float[Array, "rows d"],
    y: Float[Array, "rows outputs"],
    weights: Float[Array, " rows"],
    row_noise: Float[Array, " rows"] | None = None,
    *,
    input_dependent: bool = False,
) -> Float[Array, ""]:
    r"""Log evidence, in nats, of the theory of all modes of the inducing points with the rest
    integrated out: :math:`y \sim N(0, a F F^T + R)`, :math:`F = K_{XZ} L^{-T}`, :math:`L L^T =
    K_{ZZ}`.

    The ridge :math:`R` is uniform, :math:`\sigma^2 + c` with :math:`c` the mean of the unresolved
    diagonal :math:`a K_>(x, x)`; or input-dependent, :math:`\sigma^2 + a K_>(x, x)`: the likelihood
    of FITC (Snelson and Ghahramani 2006). Known variances of the rows, `row_noise`, are added to
    it. Amplitude and noise are one for all outputs, or one for each. Differentiable in everything
    but the weights, which count rows. Products run in the precision of `X`, factorizations in JAX's
    widest enabled one.

    On the host `evidence_gradient.evidence_and_slopes` evaluates the same by BLAS, with its
    gradient written out.
    """
    rank = inducing_points.shape[0]
    square = kernel.gram(inducing_points, inducing_points).astype(float)
    jitter = JITTER * jnp.finfo(X.dtype).eps * jnp.mean(jnp.diagonal(square))
    lower = jnp.linalg.cholesky(square + jitter * jnp.eye(rank))
    # One inverse and a matrix product: a triangular solve with many right-hand sides and its
    # derivative are several times slower.
    whitening = jax.scipy.linalg.solve_triangular(lower, jnp.eye(rank), lower=True).T
    features = kernel.gram(X, inducing_points) @ whitening.astype(X.dtype)
    tail = jnp.maximum(kernel.diagonal(X) - jnp.sum(features**2, axis=1), 0.0)
    if not input_dependent:
        tail = jnp.full_like(tail, weights @ tail / jnp.sum(weights))
    if row_noise is None:
        row_noise = jnp.zeros_like(tail)
    amplitude, noise_variance = jnp.atleast_1d(amplitude), jnp.atleast_1d(noise_variance)
    groups = amplitude.shape[0]

    def of_group(targets, amplitude, noise_variance):
        ridge = noise_variance + row_noise + amplitude * tail
        precision = (weights / ridge)[:, None].astype(X.dtype)
        inner = (amplitude * ((features * precision).T @ features)).astype(float) + jnp.eye(rank)
        inner_lower = jnp.linalg.cholesky(inner)
        cross = (jnp.sqrt(amplitude) * (features.T @ (precision * targets))).astype(float)
        explained = jax.scipy.linalg.solve_triangular(inner_lower, cross, lower=True)
        quadratic = jnp.sum(precision * targets**2) - jnp.sum(explained**2)
        log_determinant = 2 * jnp.sum(jnp.log(jnp.diagonal(inner_lower)))
        log_determinant += weights @ jnp.log(2 * jnp.pi * ridge)
        return -0.5 * (quadratic + targets.shape[1] * log_determinant)

    targets = jnp.reshape(y.T, (groups, -1, y.shape[0])).swapaxes(1, 2)
    return jnp.sum(jax.vmap(of_group)(targets, amplitude, noise_variance))


def loss_and_gradient(
    candidate: Candidate,
    fixed: Any,
    sample: Sample,
    input_dependent: bool,
    move_inducing_points: bool,
) -> tuple[float, Candidate]:
    """Negative log evidence per row and output, and its gradient. Where there is an accelerator by
    automatic differentiation on it, on the host, and for small matrices of a kernel with a form
    there, by the evidence's own gradient and one vector-Jacobian product through the kernel; at
    less cost where the inducing points are the rows and stay put."""
    kernel = candidate.on_host(fixed)
    points = np.asarray(candidate.inducing_points)
    on_host = has_host_form(kernel, sample.X, points)
    if not on_host and jax.default_backend() != "cpu":
        loss, gradient = differentiated(candidate, fixed, sample, input_dependent)
        if not move_inducing_points:
            none = jnp.zeros_like(gradient.inducing_points)
            gradient = eqx.tree_at(lambda c: c.inducing_points, gradient, none)
        return float(loss), gradient
    data = (
        np.asarray(sample.y),
        np.asarray(sample.weights),
        np.exp(np.asarray(candidate.log_amplitude, float)),
        np.exp(np.asarray(candidate.log_noise_variance, float)),
    )
    if on_host and not move_inducing_points and np.array_equal(points, sample.X):
        square, pull = _square_on_host(kernel, candidate)
        slopes = exact_evidence_and_slopes(square, *data, row_noise=sample.row_noise)
    else:
        if on_host:
            grams, pull = _grams_on_host(kernel, candidate, sample.X, move_inducing_points)
        else:
            grams, pull = _grams_by_jax(candidate, fixed, sample.X, move_inducing_points)
        slopes = evidence_and_slopes(
            *grams, *data, row_noise=sample.row_noise, input_dependent=input_dependent
        )
    log_kernel, moved = pull(slopes)
    dtype = np.asarray(candidate.log_amplitude).dtype
    scale = -1 / (float(np.sum(sample.weights, dtype=float)) * sample.y.shape[1])
    moved = moved if move_inducing_points else np.zeros_like(points)
    gradient = Candidate(log_kernel, slopes.amplitude, slopes.noise_variance, moved)
    gradient = jax.tree.map(lambda slope: np.asarray(slope * scale, dtype), gradient)
    return slopes.evidence * scale, gradient


def _square_on_host(
    kernel: Kernel, candidate: Candidate
) -> tuple[np.ndarray, Callable[[EvidenceSlopes], tuple[Any, Any]]]:
    points = np.asarray(candidate.inducing_points, float)
    square, pull = gram_and_pull(with_precision(kernel, float), points, points)
    return square, lambda slopes: (_in_logs(candidate, pull(slopes.square, False)[0]), None)


def _in_logs(candidate: Candidate, *slopes: Any) -> Any:
    """The sum of slopes in a kernel's numbers, as one in their logarithms."""
    return jax.tree.map(
        lambda log, *parts: None if log is None else sum(parts) * np.exp(log),
        candidate.log_kernel,
        *slopes,
        is_leaf=lambda leaf: leaf is None,
    )


def _grams_on_host(
    kernel: Kernel, candidate: Candidate, X: np.ndarray, move_inducing_points: bool
) -> tuple[Grams, Callable[[EvidenceSlopes], tuple[Any, Any]]]:
    points = np.asarray(candidate.inducing_points)

    # The small matrix is that of the points in float64: its factor divides everything else.
    def of_points() -> tuple[Any, Factor | None]:
        double = points.astype(float)
        square, pull = gram_and_pull(with_precision(kernel, float), double, double)
        return pull, factored(square, X.dtype)

    between_points = beside(of_points)
    gram, pull = gram_and_pull(kernel, X, points)
    pull_square, factor = between_points()
    one = with_precision(points[:1], X.dtype)
    variance, pull_diagonal = gram_and_pull(kernel, one, one)

    def pull_all(slopes):
        kernel_slope, moved = pull(slopes.gram, move_inducing_points)
        of_square, moved_square = pull_square(slopes.square, move_inducing_points)
        of_diagonal, _ = pull_diagonal(np.full((1, 1), np.sum(slopes.diagonal, dtype=float)), False)
        total = _in_logs(candidate, kernel_slope, of_square, of_diagonal)
        return total, moved + 2 * moved_square if move_inducing_points else None

    return (gram, factor, np.full(len(X), variance[0, 0])), pull_all


def _grams_by_jax(
    candidate: Candidate, fixed: Any, X: np.ndarray, move_inducing_points: bool
) -> tuple[Grams, Callable[[EvidenceSlopes], tuple[Any, Any]]]:
    moved = candidate.log_kernel, candidate.inducing_points
    grams, pull = _grams(moved, fixed, X, move_inducing_points)

    def pull_all(slopes):
        given = slopes.gram, slopes.square, slopes.diagonal
        given = tuple(np.asarray(s, g.dtype) for s, g in zip(given, grams, strict=True))
        pulled = _pull(pull, given)
        return pulled[0], pulled[1] if move_inducing_points else None

    return (np.asarray(grams[0]), np.asarray(grams[1]), np.asarray(grams[2])), pull_all


@compiled
def _grams(moved, fixed, X, move_inducing_points):
    """Kernel matrices that the evidence needs, and the map from their slopes to those of what made
    them: of the kernel's numbers, and of the inducing points if these move."""

    def grams(log_kernel, inducing_points):
        kernel = eqx.combine(jax.tree.map(jnp.exp, log_kernel), fixed)
        square = kernel.gram(inducing_points, inducing_points)
        return kernel.gram(X, inducing_points), square, kernel.diagonal(X)

    log_kernel, inducing_points = moved
    if move_inducing_points:
        return jax.vjp(grams, log_kernel, inducing_points)
    return jax.vjp(lambda log_kernel: grams(log_kernel, inducing_points), log_kernel)


@compiled
def _pull(pull, slopes):
    return pull(slopes)


@compiled
def differentiated(
    candidate: Candidate, fixed: Any, sample: Sample, input_dependent: bool
) -> tuple[Array, Candidate]:
    """:func:`loss_and_gradient` by automatic differentiation of :func:`inducing_evidence`."""

    def loss(candidate):
        evidence = inducing_evidence(
            candidate.kernel(fixed),
            jnp.exp(candidate.log_amplitude),
            jnp.exp(candidate.log_noise_variance),
            candidate.inducing_points,
            sample.X,
            sample.y,
            sample.weights,
            sample.row_noise,
            input_dependent=input_dependent,
        )
        return -evidence / (jnp.sum(sample.weights) * sample.y.shape[1])

    return jax.value_and_grad(loss)(candidate)
