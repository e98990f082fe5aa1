"""What one kernel matrix and its labels say about the error at new points, held-out data unseen."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.spectrum import check_finite_gram, check_semidefinite
from wilsonian.kernels import Kernel


class GeneralizedCrossValidation(eqx.Module):
    """Estimates from the training set, one per ridge."""

    label_error: Float[Array | np.ndarray, "..."]  # of a new noisy label, mean over outputs
    train_error: Float[Array | np.ndarray, "..."]
    kappa: Float[Array | np.ndarray, "..."]  # 1 / tr (K + ridge)^{-1}
    effective_ridge: Float[Array | np.ndarray, "..."]  # n kappa
    degrees_of_freedom: Float[Array | np.ndarray, "..."]  # tr K (K + ridge)^{-1}


def gcv(gram: Any, y: Any, ridge: Any, *, X: Any = None) -> GeneralizedCrossValidation:
    r"""Generalized cross-validation (Golub, Heath and Wahba 1979), also known as the kernel
    alignment risk estimator (Jacot et al. 2020, KARE),

    .. math:: \widehat{E_g} = \frac{\tfrac1n y^T (K + \delta)^{-2} y}
        {\big(\tfrac1n \mathrm{tr} (K + \delta)^{-1}\big)^2}, \qquad
        \hat\kappa = \frac{1}{\mathrm{tr} (K + \delta)^{-1}} .

    `gram` is the kernel matrix (n, n) of the training points, or a kernel together with the points
    `X` (n, d); `y` (n,) or (n, outputs) their labels; `ridge` one or an array, at least zero. One
    eigendecomposition serves all. Without a ridge the limit is given, both where the matrix has
    full rank and where it has not. Noise of the labels is part of the error, as in
    :meth:`LearningCurve.label_error`.

    Raises ValueError when the matrix is not square, not finite or not positive semidefinite, the
    lengths differ, or a ridge is negative or not finite.
    """
    with jax.enable_x64(True):
        if isinstance(gram, Kernel):
            if X is None:
                raise ValueError("`X` is missing: a kernel needs the points; pass X=(n, d).")
            gram = gram(jnp.asarray(X, float))
        gram, y, ridge = (np.asarray(value, float) for value in (gram, y, ridge))
        if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
            raise ValueError(f"`gram` must be square, got shape {gram.shape}; pass kernel(X, X).")
        if y.ndim not in (1, 2) or len(y) != len(gram):
            raise ValueError(
                f"`y` has shape {y.shape} and `gram` {gram.shape}; pass one label per row."
            )
        bad = ~((ridge >= 0) & np.isfinite(ridge))
        if np.any(bad):
            raise ValueError(f"`ridge` must be at least zero and finite, got {ridge[bad].flat[0]}.")
        check_finite_gram(gram)
        values, vectors = np.linalg.eigh((gram + gram.T) / 2)
        check_semidefinite(values / len(values))
        rotated = vectors.T @ y.reshape(len(y), -1)
        power = jnp.asarray(np.mean(rotated**2, axis=1))
        spectrum = jnp.asarray(values)
        result = jax.vmap(lambda r: from_eigenvalues(spectrum, power, r))(jnp.ravel(ridge))
    return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(ridge.shape), result)


def from_eigenvalues(
    values: Float[Array, " n"],
    power: Float[Array, " n"],
    ridge: Float[Array, ""],
    present: Float[Array, " n"] | None = None,
) -> GeneralizedCrossValidation:
    r"""The estimates from the eigenvalues of the kernel matrix and the squared labels along its
    eigenvectors. `present` is zero for entries that are padding."""
    present = jnp.ones_like(values) if present is None else present
    points = jnp.sum(present)
    values = resolved(values, present)
    total = values + ridge
    least = jnp.min(jnp.where(present > 0, total, jnp.inf))
    # Relative to the least of them, so that the limit of no ridge needs no case of its own.
    inverse = present * jnp.where(total > 0, least / jnp.where(total > 0, total, 1.0), 1.0)
    trace, quadratic = jnp.sum(inverse), jnp.sum(inverse**2 * power)
    shrunk = jnp.where(least > 0, ridge / jnp.where(least > 0, least, 1.0), 1.0)
    return GeneralizedCrossValidation(
        label_error=points * quadratic / trace**2,
        train_error=shrunk**2 * quadratic / points,
        kappa=least / trace,
        effective_ridge=points * least / trace,
        degrees_of_freedom=points - shrunk * trace,
    )


def resolved(values: Float[Array, " n"], present: Float[Array, " n"]) -> Float[Array, " n"]:
    """Eigenvalues with rounding errors set to zero."""
    largest = jnp.max(jnp.where(present > 0, values, 0.0))
    floor = jnp.finfo(values.dtype).eps * values.shape[0] * largest
    return jnp.where((present > 0) & (values > floor), values, 0.0)
