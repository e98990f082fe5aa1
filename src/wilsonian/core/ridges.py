"""Ridges: the noise a regression runs with, and how it absorbs modes that are integrated out."""

from __future__ import annotations

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.core.effective_ridge import effective_ridge
from wilsonian.core.spectrum import Spectrum
from wilsonian.core.types import Numbers, Scalar


class AbstractRidge(eqx.Module):
    """The noise variance a theory regresses with, and what it becomes as modes are lost."""

    @abc.abstractmethod
    def absorb(self, lost: Spectrum) -> AbstractRidge:
        """The ridge after the modes (and the tail) of `lost` are integrated out."""

    @abc.abstractmethod
    def matrix(self, points: int) -> Float[Array, "points points"]:
        """Noise covariance on the training points."""

    @abc.abstractmethod
    def mean(self) -> Float[Array, ""]:
        """Its mean over the training points."""


class BareRidge(AbstractRidge):
    r""":math:`\sigma^2`, whatever is lost. Exact for modes of the *sample*, which decouple
    (docs/science/wilsonian.md, section 9); for modes of the population this is plain truncation."""

    value: Scalar

    def absorb(self, lost):
        return self

    def matrix(self, points):
        return self.value * jnp.eye(points)

    def mean(self):
        return jnp.asarray(self.value)


class UniformRidge(AbstractRidge):
    r""":math:`\sigma^2 + c`, :math:`c = \sum_{q > \kappa} \lambda_q` (paper eqs. 33-34): exact at
    first order for independent features of any law."""

    value: Scalar

    def absorb(self, lost):
        return UniformRidge(self.value + lost.trace())

    def matrix(self, points):
        return self.value * jnp.eye(points)

    def mean(self):
        return jnp.asarray(self.value)


class InputDependentRidge(AbstractRidge):
    r""":math:`\sigma^2(x) = \sigma^2 + K_>(x, x)` at each training point: needed when the variances
    of eliminated features depend on the input (docs/science/non-gaussian.md, section 1)."""

    values: Float[Numbers, " points"]

    def absorb(self, lost):
        return InputDependentRidge(self.values + lost.diagonal())

    def matrix(self, points):
        return jnp.diag(self.values)

    def mean(self):
        return jnp.mean(self.values)


class DressedRidge(AbstractRidge):
    r"""Self-consistent ridge, :math:`\sigma_{\rm eff}^2 = \sigma^2 + \sum_q \lambda_q / (1 + n
    \lambda_q / \sigma_{\rm eff}^2)` over everything lost so far (docs/science/wilsonian.md, section
    4).

    It remembers the lost eigenvalues, because each step dresses all of them anew; so steps
    compose. The tail has no resolved eigenvalue: it counts undressed.
    """

    bare: Scalar
    n_samples: Scalar
    lost: Scalar | Float[Numbers, " modes"] = 0.0  # eigenvalues integrated out so far
    tail: Scalar = 0.0

    def absorb(self, lost):
        eigenvalues = self.lost + lost.kept_eigenvalues
        tail = self.tail + jnp.mean(lost.tail)
        return DressedRidge(self.bare, self.n_samples, eigenvalues, tail)

    def matrix(self, points):
        return self.mean() * jnp.eye(points)

    def mean(self):
        return effective_ridge(jnp.atleast_1d(self.lost), self.bare + self.tail, self.n_samples)


class FullRidge(AbstractRidge):
    r""":math:`\sigma^2 + K_>` as a matrix: nothing is approximated, so mean and evidence of the
    theory do not depend on the cutoff. For tests and small data. Of the tail only the diagonal is
    known, and enters."""

    values: Float[Numbers, "points points"]

    def absorb(self, lost):
        return FullRidge(self.values + lost.gram())

    def matrix(self, points):
        return self.values

    def mean(self):
        return jnp.mean(jnp.diagonal(self.values))
