"""Ridges: the noise a regression runs with, and how it absorbs the modes that are integrated out."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.kernels import Scalar
from wilsonian.spectrum import Spectrum


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
    r""":math:`\sigma^2`, whatever is lost. Exact for modes of the *sample*, which decouple (science
    notes, section 9); for modes of the population this is plain truncation."""

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
    of eliminated features depend on the input (science notes, section 5)."""

    values: Float[Array, " points"]

    def absorb(self, lost):
        return InputDependentRidge(self.values + lost.diagonal())

    def matrix(self, points):
        return jnp.diag(self.values)

    def mean(self):
        return jnp.mean(self.values)


class DressedRidge(AbstractRidge):
    r"""Self-consistent ridge, :math:`\sigma_{\rm eff}^2 = \sigma^2 + \sum_q \lambda_q / (1 + n
    \lambda_q / \sigma_{\rm eff}^2)` over everything lost so far (science notes, section 4, F2).

    It remembers the lost eigenvalues, because each step dresses all of them anew; so steps
    compose. The tail has no resolved eigenvalue: it counts undressed.
    """

    bare: Scalar
    sample_size: Scalar
    lost: Float[Array, " modes"]
    tail: Scalar = 0.0

    def absorb(self, lost):
        lost_eigenvalues = self.lost + lost.kept_eigenvalues
        return DressedRidge(
            self.bare, self.sample_size, lost_eigenvalues, self.tail + jnp.mean(lost.tail)
        )

    def matrix(self, points):
        return self.mean() * jnp.eye(points)

    def mean(self):
        return effective_ridge(self.lost, self.bare + self.tail, self.sample_size)


class FullRidge(AbstractRidge):
    r""":math:`\sigma^2 + K_>` as a matrix: nothing is approximated, so mean and evidence of the
    theory do not depend on the cutoff. For tests and small data."""

    values: Float[Array, "points points"]

    def absorb(self, lost):
        return FullRidge(self.values + lost.gram())

    def matrix(self, points):
        return self.values

    def mean(self):
        return jnp.mean(jnp.diagonal(self.values))


def effective_ridge(
    eigenvalues: Float[Array, " modes"], ridge: Scalar, sample_size: Scalar
) -> Float[Array, ""]:
    r"""Solution :math:`s` of :math:`s = \sigma^2 + \sum_q \lambda_q / (1 + n \lambda_q / s)`.

    The equation is :math:`g(s) = 1` with :math:`g = \sigma^2 / s + \sum_q \lambda_q / (s + n
    \lambda_q)` convex and decreasing, so Newton's method from below is monotone and never leaves
    the bracket :math:`[\sigma^2, \sigma^2 + \sum_q \lambda_q]`; it is run in :math:`\log s`, where
    it also copes with twelve decades between bare ridge and tail. Differentiable. Equals
    :math:`n \kappa` of learning-curve theory (Canatar et al. 2021, eq. 4). With a zero ridge and at
    most n modes the solution is zero.
    """
    eigenvalues = jnp.asarray(eigenvalues)
    total = ridge + jnp.sum(eigenvalues)
    tiny = jnp.finfo(total.dtype).tiny

    def excess(log_ridge, eigenvalues, ridge, sample_size):
        value = jnp.exp(log_ridge)
        return ridge / value + jnp.sum(eigenvalues / (value + sample_size * eigenvalues)) - 1

    def solve(excess_of):
        slope_of = jax.grad(excess_of)
        low = jnp.log(jnp.maximum(ridge, tiny * 1e6))
        high = jnp.log(jnp.maximum(total, tiny * 1e6))

        def step(_, state):
            low, high, current = state
            value = excess_of(current)
            low, high = jnp.where(value > 0, current, low), jnp.where(value > 0, high, current)
            newton = current - value / slope_of(current)
            inside = (newton > low) & (newton < high)
            return low, high, jnp.where(inside, newton, (low + high) / 2)

        return jax.lax.fori_loop(0, 80, step, (low, high, high))[2]

    root = jax.lax.custom_root(
        lambda log_ridge: excess(log_ridge, eigenvalues, ridge, sample_size),
        jnp.log(jnp.maximum(total, tiny)),
        lambda function, _: solve(function),
        lambda tangent, right: right / tangent(jnp.ones_like(right)),
    )
    return jnp.exp(root)
