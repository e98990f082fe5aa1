r"""Likelihoods: what an output says about a label, in nats, and the square root of its curvature.

Of outputs :math:`f`, (points, outputs), a likelihood knows its negative logarithm, and a factor
:math:`S` of the curvature of the model's own labels, :math:`H = S S^T` per point: the Fisher
metric of the parameters is then :math:`\sum_t J_t^T S_t S_t^T J_t` (docs/science/information.md,
section 1). Labels enter only through the score :math:`q`, :math:`S q = \partial_f \mathrm{NLL}`.
"""

from __future__ import annotations

import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled, full_products

DRAWS = 200  # standard normals per point by which class probabilities are averaged


class AbstractLikelihood(eqx.Module):
    """Law of a label given the outputs at its input. All sizes in nats."""

    @abc.abstractmethod
    def labels(self, y: Any, points: int, outputs: int) -> Array:
        """`y` as the array the other methods read. Raises ValueError if it cannot be one."""

    @abc.abstractmethod
    def nll(self, f: Float[Array, "n k"], y: Array) -> Float[Array, " n"]:
        """Negative log likelihood of every label."""

    @abc.abstractmethod
    def factor(self, f: Float[Array, "n k"], c: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """:math:`S c` at every point."""

    @abc.abstractmethod
    def transposed(self, f: Float[Array, "n k"], v: Float[Array, "n k"]) -> Float[Array, "n k"]:
        """:math:`S^T v` at every point."""

    @abc.abstractmethod
    def scores(self, f: Float[Array, "n k"], y: Array) -> Float[Array, "n k"]:
        r""":math:`q` with :math:`S q = \partial_f \mathrm{NLL}`, so that the gradient of the summed
        loss is :math:`A^T q`."""

    @abc.abstractmethod
    def predictive(
        self, mean: Float[Array, "n k"], covariance: Float[Array, "n k k"]
    ) -> Float[Array, "n k"]:
        """What is predicted when the outputs are Gaussian: their mean, or class probabilities."""

    @abc.abstractmethod
    def predictive_nll(
        self, mean: Float[Array, "n k"], covariance: Float[Array, "n k k"], y: Array
    ) -> Float[Array, " n"]:
        """Negative log density of every label when the outputs are Gaussian."""

    def all_transposed(
        self, f: Float[Array, "n k"], matrices: Float[Array, "n k columns"]
    ) -> Float[Array, "n k columns"]:
        """:math:`S^T` applied to every column."""
        return jax.vmap(lambda v: self.transposed(f, v), in_axes=2, out_axes=2)(matrices)

    def all_factored(
        self, f: Float[Array, "n k"], matrices: Float[Array, "n k columns"]
    ) -> Float[Array, "n k columns"]:
        """:math:`S` applied to every column."""
        return jax.vmap(lambda v: self.factor(f, v), in_axes=2, out_axes=2)(matrices)


class Regression(AbstractLikelihood):
    r"""Gaussian labels, :math:`y = f + N(0, R)`: `noise_variance` is one number, one per output
    (outputs,), or a covariance (outputs, outputs). :math:`H = R^{-1}`, :math:`S = L^{-T}` with
    :math:`R = L L^T`. Raises ValueError unless the noise is positive definite."""

    noise_variance: float | Float[Array, "..."]

    def __check_init__(self):
        try:
            noise = np.asarray(self.noise_variance, float)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "`noise_variance` must be numbers: one, one per output, or a covariance; got "
                f"{self.noise_variance!r}."
            ) from error
        if noise.ndim > 2 or (noise.ndim == 2 and noise.shape[0] != noise.shape[1]):
            raise ValueError(
                f"`noise_variance` has shape {noise.shape}; pass one number, one per "
                "output, or a square covariance."
            )
        if noise.ndim == 2 and not np.allclose(noise, noise.T):
            raise ValueError("`noise_variance` is no symmetric matrix; pass a covariance.")
        values = np.linalg.eigvalsh(noise) if noise.ndim == 2 else noise
        if not np.all(np.isfinite(noise)) or not np.all(values > 0):
            raise ValueError(
                f"`noise_variance` must be positive, got {np.min(values):.3g} at least; pass "
                "the variance of a label about the function, e.g. the mean squared residual."
            )

    def _lower(self, outputs: int, dtype: Any) -> Array:
        noise = jnp.asarray(self.noise_variance, dtype)
        if noise.ndim == 2:
            return jnp.linalg.cholesky(noise)
        return jnp.diag(jnp.sqrt(jnp.broadcast_to(noise, (outputs,))))

    @full_products
    def covariance(self, outputs: int, dtype: Any = float) -> Array:
        """:math:`R` as a matrix."""
        lower = self._lower(outputs, dtype)
        return lower @ lower.T

    def labels(self, y, points, outputs):
        sizes = np.shape(np.asarray(self.noise_variance))
        if sizes and sizes[0] != outputs:
            raise ValueError(
                f"`noise_variance` is of {sizes[0]} outputs and the network has {outputs}; pass "
                "one variance per output."
            )
        y = np.asarray(y, float)
        y = y[:, None] if y.ndim == 1 else y.reshape(len(y), -1) if y.ndim else y
        if y.shape != (points, outputs):
            raise ValueError(
                f"`y` has shape {y.shape} for {points} points and {outputs} outputs; pass "
                "(points, outputs), or (points,) of a single output."
            )
        if not np.all(np.isfinite(y)):
            raise ValueError("`y` holds NaN or infinity; drop those points.")
        return y

    def nll(self, f, y):
        residual = self.transposed(f, f - y)
        lower = self._lower(f.shape[1], f.dtype)
        constant = jnp.sum(jnp.log(jnp.diagonal(lower))) + f.shape[1] * math.log(2 * math.pi) / 2
        return 0.5 * jnp.sum(residual**2, axis=1) + constant

    def _inverse(self, f):
        return jnp.linalg.inv(self._lower(f.shape[1], f.dtype))

    def factor(self, f, c):
        return jnp.dot(c, self._inverse(f), precision="highest")

    def transposed(self, f, v):
        return jnp.dot(v, self._inverse(f).T, precision="highest")

    def scores(self, f, y):
        return self.transposed(f, f - y)

    def predictive(self, mean, covariance):
        return mean

    @compiled
    def predictive_nll(self, mean, covariance, y):
        total = covariance + self.covariance(mean.shape[1], mean.dtype)
        lower = jnp.linalg.cholesky(total)
        residual = jax.vmap(lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True))(
            lower, y - mean
        )
        logs = jnp.sum(jnp.log(jnp.diagonal(lower, axis1=1, axis2=2)), axis=1)
        constant = mean.shape[1] * math.log(2 * math.pi) / 2
        return 0.5 * jnp.sum(residual**2, axis=1) + logs + constant


class Softmax(AbstractLikelihood):
    r"""Classes from logits. :math:`H = \mathrm{diag}(p) - p p^T = S S^T` of rank K - 1 with
    :math:`S = \mathrm{diag}(\sqrt p) (1 - \sqrt p \sqrt p^T)`: a shift of all logits says nothing.

    Probabilities under Gaussian logits are averaged over `draws` normals, the same at every point.
    """

    draws: int = eqx.field(static=True, default=DRAWS)
    seed: int = eqx.field(static=True, default=7)

    def labels(self, y, points, outputs):
        y = np.asarray(y)
        if y.shape != (points,):
            raise ValueError(
                f"`y` has shape {y.shape} for {points} points; pass one class index per point."
            )
        if outputs < 2:
            raise ValueError(
                "softmax needs a logit per class, and the network has one output; give it two, or "
                "use regression."
            )
        numeric = np.issubdtype(y.dtype, np.number) and np.all(np.isfinite(y))
        whole = y.astype(int) if numeric else None
        if whole is None or np.any(whole != y) or whole.min() < 0 or whole.max() >= outputs:
            shown = f"{y.min()} to {y.max()}" if numeric else f"{y[0]!r} among them"
            raise ValueError(
                f"labels must be class indices from 0 to {outputs - 1}, got {shown}; encode them "
                "first (sklearn.preprocessing.LabelEncoder)."
            )
        return whole

    def nll(self, f, y):
        logs = jax.nn.log_softmax(f, axis=1)
        return -jnp.take_along_axis(logs, y[:, None], axis=1)[:, 0]

    def factor(self, f, c):
        p = jax.nn.softmax(f, axis=1)
        root = jnp.sqrt(p)
        return root * c - p * jnp.sum(root * c, axis=1, keepdims=True)

    def transposed(self, f, v):
        p = jax.nn.softmax(f, axis=1)
        return jnp.sqrt(p) * (v - jnp.sum(p * v, axis=1, keepdims=True))

    def scores(self, f, y):
        p = jax.nn.softmax(f, axis=1)
        residual = p - jax.nn.one_hot(y, f.shape[1], dtype=f.dtype)
        # p may underflow, and then only a wrong label still has a residual there.
        return residual / jnp.sqrt(jnp.maximum(p, jnp.finfo(f.dtype).tiny))

    @full_products
    def probabilities(self, mean, covariance):
        """Class probabilities averaged over Gaussian logits."""
        classes = mean.shape[1]
        normals = np.random.RandomState(self.seed).standard_normal((self.draws, classes))
        # A covariance of rank below the number of classes is usual (nothing may be left of it).
        scale = jnp.trace(covariance, axis1=1, axis2=2)[:, None, None] / classes
        jitter = (1e-9 * scale + 1e-30) * jnp.eye(classes, dtype=mean.dtype)
        lower = jnp.linalg.cholesky(covariance + jitter)
        lower = jnp.where(jnp.isfinite(lower), lower, 0.0)
        return jax.lax.map(
            lambda point: jnp.mean(
                jax.nn.softmax(point[0] + jnp.asarray(normals, mean.dtype) @ point[1].T, axis=1),
                axis=0,
            ),
            (mean, lower),
            batch_size=64,
        )

    @compiled
    def predictive(self, mean, covariance):
        return self.probabilities(mean, covariance)

    @compiled
    def predictive_nll(self, mean, covariance, y):
        p = self.probabilities(mean, covariance)
        chosen = jnp.take_along_axis(p, y[:, None], axis=1)[:, 0]
        return -jnp.log(jnp.maximum(chosen, jnp.finfo(mean.dtype).tiny))


def as_likelihood(likelihood: Any, noise_variance: Any = None) -> AbstractLikelihood:
    """`"softmax"`, `"regression"` (with its `noise_variance`), or a likelihood as it is.

    Raises ValueError for anything else, and for regression without noise.
    """
    if isinstance(likelihood, AbstractLikelihood):
        if noise_variance is not None:
            raise ValueError(
                "`noise_variance` goes with likelihood='regression'; the likelihood has its own."
            )
        return likelihood
    if likelihood == "softmax":
        if noise_variance is not None:
            raise ValueError("softmax has no `noise_variance`; leave it out, or use regression.")
        return Softmax()
    if likelihood == "regression":
        if noise_variance is None:
            raise ValueError(
                "regression needs `noise_variance`, the variance of a label about the function; "
                "the mean squared residual of the network is a start."
            )
        return Regression(noise_variance)
    raise ValueError(
        f"`likelihood` must be 'softmax', 'regression' or a likelihood, got {likelihood!r}."
    )
