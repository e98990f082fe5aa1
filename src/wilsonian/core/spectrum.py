"""Spectrum of a kernel on a data measure: eigenvalues, modes at points, and what they leave out."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from wilsonian.core.precision import full_products
from wilsonian.core.types import Numbers, Scalar

Measure = Literal["population", "sample"]


class Spectrum(eqx.Module):
    r"""Mercer modes on a set of points, :math:`K(x, z) = \sum_k \lambda_k \phi_k(x) \phi_k(z)`
    plus a tail that no mode resolves.

    `weights` is the kept fraction of each mode; a kept mode has eigenvalue
    :math:`w_k \lambda_k`. Weights rather than slices keep shapes fixed under a changing cutoff.
    """

    eigenvalues: Float[Numbers, " modes"]  # bare, descending
    weights: Float[Numbers, " modes"]
    modes: Float[Numbers, "points modes"]  # phi_k(x_i), mean square one under the data measure
    tail: Float[Numbers, " points"]  # K(x_i, x_i) less what the modes carry

    @classmethod
    def of(
        cls,
        eigenvalues: Float[Numbers, "..."],  # shapes are checked below, in sentences
        modes: Float[Numbers, "..."],
        tail: Float[Numbers, "..."] | None = None,
    ) -> Spectrum:
        """A whole spectrum: every mode kept; `tail` zero when left out.

        Raises ValueError when the shapes do not fit together.
        """
        if modes.ndim != 2 or eigenvalues.shape != modes.shape[1:]:
            raise ValueError(
                f"`eigenvalues` has shape {eigenvalues.shape} and `modes` {modes.shape}; pass one "
                "eigenvalue per column of `modes`, and one row per point."
            )
        tail = jnp.zeros(modes.shape[0], modes.dtype) if tail is None else tail
        if tail.shape != modes.shape[:1]:
            raise ValueError(
                f"`tail` has shape {tail.shape} and `modes` {modes.shape}; pass one value per "
                "point, K(x, x) less what the modes carry there."
            )
        return cls(eigenvalues, jnp.ones_like(eigenvalues), modes, tail)

    @classmethod
    def averaged(cls, eigenvalues: Num[Numbers, " modes"], tail: Scalar = 0.0) -> Spectrum:
        """A spectrum known by its averages only: one typical point, where every mode is one."""
        eigenvalues = 1.0 * jnp.asarray(eigenvalues)  # integers, too
        modes = jnp.ones((1, eigenvalues.shape[0]), eigenvalues.dtype)
        return cls.of(eigenvalues, modes, jnp.full(1, tail, eigenvalues.dtype))

    def weighted(self, weights: Float[Numbers, " modes"]) -> Spectrum:
        """The same modes with other kept fractions, without the tail."""
        return Spectrum(self.eigenvalues, weights, self.modes, jnp.zeros_like(self.tail))

    def unresolved(self) -> Spectrum:
        """The tail alone."""
        return Spectrum(self.eigenvalues, jnp.zeros_like(self.weights), self.modes, self.tail)

    @property
    def kept_eigenvalues(self) -> Float[Array, " modes"]:
        return self.weights * self.eigenvalues

    def trace(self) -> Float[Array, ""]:
        r"""Mean variance :math:`\int d\mu\, K(x, x)`: the modes by their eigenvalues (their mean
        square is one under the measure), the tail by its mean over the points."""
        return jnp.sum(self.kept_eigenvalues) + jnp.mean(self.tail)

    @full_products
    def diagonal(self) -> Float[Array, " points"]:
        """`K(x_i, x_i)` at every point."""
        return self.modes**2 @ self.kept_eigenvalues + self.tail

    @full_products
    def gram(self) -> Float[Array, "points points"]:
        """Kernel matrix on the points; of the tail only the diagonal is known and entered."""
        return (self.modes * self.kept_eigenvalues[None, :]) @ self.modes.T + jnp.diag(self.tail)


def eigenvalue_floor(eigenvalues: Float[Numbers, " k"]) -> Scalar:
    """Smallest eigenvalue that a symmetric eigensolver tells from zero: relative to the largest,
    so that rescaling the kernel changes nothing."""
    return jnp.finfo(eigenvalues.dtype).eps * len(eigenvalues) * eigenvalues.max()


def check_finite_gram(gram: Any) -> None:
    """Raise ValueError if a kernel matrix holds NaN or infinity."""
    bad = int(jnp.sum(~jnp.isfinite(jax.lax.stop_gradient(gram))))
    if bad:
        raise ValueError(
            f"the kernel returned {bad} values that are NaN or infinite; check its parameters and "
            "the scale of the inputs (standardize them)."
        )


def check_semidefinite(eigenvalues: Any) -> None:
    """Raise ValueError if an eigenvalue is negative by more than the rounding of the largest."""
    eigenvalues = jax.lax.stop_gradient(eigenvalues)
    smallest, largest = float(jnp.min(eigenvalues)), float(jnp.max(eigenvalues))
    tolerance = 10 * len(eigenvalues) * float(jnp.finfo(eigenvalues.dtype).eps) * abs(largest)
    if smallest < -tolerance or largest <= 0:
        raise ValueError(
            f"the kernel is not positive semidefinite: its Gram matrix on {len(eigenvalues)} "
            f"points has eigenvalues (divided by their number) from {smallest:.3g} to "
            f"{largest:.3g}; use a valid kernel or add a `Constant`."
        )
