"""Ridges: the noise a regression runs with, and how it absorbs modes that are integrated out."""

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
    lost: Scalar | Float[Array, " modes"] = 0.0  # eigenvalues integrated out so far
    tail: Scalar = 0.0

    def absorb(self, lost):
        eigenvalues = self.lost + lost.kept_eigenvalues
        tail = self.tail + jnp.mean(lost.tail)
        return DressedRidge(self.bare, self.sample_size, eigenvalues, tail)

    def matrix(self, points):
        return self.mean() * jnp.eye(points)

    def mean(self):
        return effective_ridge(self.lost, self.bare + self.tail, self.sample_size)


class FullRidge(AbstractRidge):
    r""":math:`\sigma^2 + K_>` as a matrix: nothing is approximated, so mean and evidence of the
    theory do not depend on the cutoff. For tests and small data. Of the tail only the diagonal is
    known, and enters."""

    values: Float[Array, "points points"]

    def absorb(self, lost):
        return FullRidge(self.values + lost.gram())

    def matrix(self, points):
        return self.values

    def mean(self):
        return jnp.mean(jnp.diagonal(self.values))


@jax.jit  # compiled once per shape: an eager loop would be compiled at every call
def effective_ridge(
    eigenvalues: Float[Array, " modes"],
    ridge: Scalar,
    sample_size: Scalar,
    multiplicity: Scalar | Float[Array, " modes"] = 1.0,
) -> Float[Array, ""]:
    r"""Solution :math:`s` of :math:`s = \sigma^2 + \sum_q m_q \lambda_q s / (s + n \lambda_q)`,
    :math:`m_q` the `multiplicity` of each eigenvalue (one when left out).

    The right side is increasing and concave, so there is one positive solution, between
    :math:`\sigma^2` and :math:`\sigma^2 + \sum_q m_q \lambda_q`; Newton's method finds it in doubly
    logarithmic coordinates, where both limits are straight lines. Equals :math:`n \kappa` of
    learning-curve theory (Canatar et al. 2021, eq. 4). With a zero ridge and at most n positive
    eigenvalues the solution is zero.

    Differentiable, also there: :math:`\partial s / \partial \sigma^2 = 1 / (1 - \gamma)`,
    :math:`\gamma = \sum_q m_q [\lambda_q / (s + n \lambda_q)]^2 n` (science notes, section 4).
    """
    dtype = jnp.result_type(eigenvalues, ridge, sample_size, multiplicity, 1.0)
    eigenvalues, ridge, sample_size, multiplicity = (
        jnp.asarray(value, dtype) for value in (eigenvalues, ridge, sample_size, multiplicity)
    )
    tiny = 1e6 * jnp.finfo(dtype).tiny

    def renormalized(value, eigenvalues, ridge, sample_size):
        total = value + sample_size * eigenvalues
        share = jnp.where(total > 0, value / jnp.where(total > 0, total, 1.0), 1.0)
        return ridge + jnp.sum(multiplicity * eigenvalues * share)

    def solve(*_):
        def step(state):
            low, high, current, _, count = state
            value = jnp.exp(current)
            right, slope = jax.value_and_grad(renormalized)(value, eigenvalues, ridge, sample_size)
            excess = jnp.log(right) - current
            low, high = jnp.where(excess > 0, current, low), jnp.where(excess > 0, high, current)
            newton = current + excess / (1 - slope * value / right)
            # A step to the very edge of the bracket is how Newton's method ends: it is inside.
            inside = (newton >= low) & (newton <= high)
            following = jnp.where(inside, newton, (low + high) / 2)
            return low, high, following, jnp.abs(following - current), count + 1

        def unfinished(state):
            _, _, current, change, count = state
            rounding = 4 * jnp.finfo(dtype).eps * jnp.maximum(jnp.abs(current), 1.0)
            return (change > rounding) & (count < 200)

        low = jnp.log(jnp.maximum(ridge, tiny))
        high = jnp.log(jnp.maximum(ridge + jnp.sum(multiplicity * eigenvalues), tiny))
        start = (low, high, high, jnp.asarray(jnp.inf, dtype), 0)
        value = jnp.exp(jax.lax.while_loop(unfinished, step, start)[2])
        rank = jnp.sum(multiplicity * (eigenvalues > 0))
        # Multiplicities add up with rounding.
        vanishes = (ridge <= 0) & (rank <= sample_size * (1 + 1e3 * jnp.finfo(dtype).eps))
        # One more iteration of the equation itself removes the rounding of the logarithm.
        return jnp.where(vanishes, 0.0, renormalized(value, eigenvalues, ridge, sample_size))

    return jax.lax.custom_root(
        lambda value: renormalized(value, eigenvalues, ridge, sample_size) - value,
        jnp.zeros((), dtype),
        solve,
        lambda tangent, right: right / tangent(jnp.ones_like(right)),
    )
