"""Eigenfunctions of a kernel that can be evaluated anywhere, and its exact eigendecomposition."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.precision import full_products
from wilsonian.core.spectrum import (
    Measure,
    Spectrum,
    check_finite_gram,
    check_semidefinite,
    eigenvalue_floor,
)
from wilsonian.kernels.kernel import Kernel, as_kernel, check_points


class Eigenfunctions(eqx.Module):
    r"""Eigenfunctions of a kernel that can be evaluated anywhere,
    :math:`\phi_k(x) = \sum_j k(x, z_j) P_{jk}`.

    `measure` says whose modes they are. Modes of the *population* (analytic, of a pool much larger
    than the training set, or of inducing points far fewer than the training points) renormalize the
    ridge when they are integrated out. Eigenvectors of the Gram matrix of the very *sample* that is
    regressed on decouple exactly from each other, and integrating some out leaves the ridge of the
    others as it is (docs/science/wilsonian.md, section 9).
    """

    kernel: Kernel
    inducing_points: Float[Array, "points d"]
    projection: Float[Array, "points modes"]
    eigenvalues: Float[Array, " modes"]
    measure: Measure = eqx.field(static=True)

    def modes(self, X: Any) -> Float[Array, "points modes"]:
        """Values of all eigenfunctions at the rows of `X`."""
        return self.kernel.product(X, self.inducing_points, self.projection)

    @full_products
    def spectrum(self, X: Any) -> Spectrum:
        """The spectrum seen at the rows of `X`, with the tail left at each."""
        modes = self.modes(X)
        resolved = modes**2 @ self.eigenvalues
        tail = jnp.maximum(self.kernel.diagonal(check_points(X, "X")) - resolved, 0.0)
        return Spectrum.of(self.eigenvalues, modes, tail)


def dense_spectrum(kernel: Any, X: Any, rank: int | None = None) -> Eigenfunctions:
    r"""Exact eigendecomposition of :math:`K / N` on the N rows of `X`.

    Modes continue off the points by Nystrom, :math:`\phi_k(x) = k(x, X) u_k / (\sqrt N
    \lambda_k)`. The result is marked as the spectrum of the *sample* `X`; to regress on other,
    far fewer points drawn from the same law, pass it through :func:`as_population`.

    Differentiable in the kernel's parameters. To compile it give `rank`: values are then not
    checked, and modes below rounding are zero instead of left out.

    Raises ValueError if the kernel is not positive semidefinite on `X`, or `rank` is not positive.
    """
    if rank is not None and rank < 1:
        raise ValueError(f"`rank` must be positive, got {rank}; leave it out to keep every mode.")
    kernel, X = as_kernel(kernel), check_points(X, "X")
    gram = kernel(X)
    compiled = isinstance(jax.lax.stop_gradient(gram), jax.core.Tracer)
    if compiled and rank is None:
        raise ValueError(
            "how many modes the data resolve is not known in a compiled function; pass `rank`."
        )
    if not compiled:
        check_finite_gram(gram)
    values, vectors = jnp.linalg.eigh((gram + gram.T) / (2 * len(X)))
    values, vectors = values[::-1], vectors[:, ::-1]
    count = len(X) if rank is None else min(rank, len(X))
    resolved = values > eigenvalue_floor(values)
    if not compiled:
        check_semidefinite(values)
        count = min(count, int(jnp.sum(resolved)))
    values, vectors, resolved = values[:count], vectors[:, :count], resolved[:count]
    values = jnp.where(resolved, values, 0.0)
    inverse = jnp.where(resolved, 1 / jnp.where(resolved, values, 1.0), 0.0)
    projection = vectors * inverse[None, :] / jnp.sqrt(len(X))
    return Eigenfunctions(kernel, X, projection, values, "sample")


def as_population(eigenfunctions: Eigenfunctions) -> Eigenfunctions:
    """The same eigenfunctions, declared to be those of the population: right when the points they
    were computed on far outnumber, or are independent of, the points that are regressed on."""
    return Eigenfunctions(
        eigenfunctions.kernel,
        eigenfunctions.inducing_points,
        eigenfunctions.projection,
        eigenfunctions.eigenvalues,
        "population",
    )
