"""More activations in closed form: GELU, sinusoids, exponentials and polynomials."""

from __future__ import annotations

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.networks.layers.activations import AbstractActivation, Numbers
from wilsonian.networks.layers.angles import arcsine, correlation


class Identity(AbstractActivation):
    """No change, whatever comes in: a branch that skips layers."""

    def signal(self, signal):
        return signal

    def needs(self, scope, *, own):
        return scope

    def propagate(self, state, scope, own):
        return state

    def __call__(self, x):
        return x

    def moments(self, x_variance, z_variance, covariance):
        return covariance, jnp.ones_like(covariance)

    def second_moment(self, variance):
        return variance

    def slope_moment(self, variance):
        return jnp.ones_like(variance)


class Gelu(AbstractActivation):
    r"""Gaussian error linear unit, :math:`u \Phi(u)` with the exact normal distribution function.

    With :math:`D = (1 + q_x)(1 + q_z) - k^2`, :math:`J = 1 / 2 \pi \sqrt D`,
    :math:`I = E[\Phi \Phi] = \frac14 + \frac1{2\pi} \arcsin\frac{k}{\sqrt{(1 + q_x)(1 + q_z)}}`
    and :math:`S = (1 + q_x)^{-1} + (1 + q_z)^{-1}` (by parts, :math:`E[u f] = q_x E[\partial_u f]
    + k E[\partial_v f]`; Tsuchida et al. 2021),

    .. math::
        E[\phi \phi] = k I + J [q_x q_z - k^2 + k^2 S], \quad
        E[\phi' \phi'] = I + k J [S + 1 / D] .
    """

    def __call__(self, x):
        return jax.nn.gelu(x, approximate=False)

    def moments(self, x_variance, z_variance, covariance):
        # In units of the variances plus one, which may be large, with the squared sine for
        # q_x q_z - k^2, which cancels:  D = d / s_x s_z, s = 1 / (1 + q).
        x_share, z_share = 1 / (1 + x_variance), 1 / (1 + z_variance)
        x_root, z_root = jnp.sqrt(x_share), jnp.sqrt(z_share)
        _, squared_sine = correlation(x_variance, z_variance, covariance)
        apart = (x_variance * x_share) * (z_variance * z_share) * squared_sine
        scaled = covariance * x_root * z_root  # k / sqrt((1 + q_x)(1 + q_z)), at most one
        cosine = jnp.sqrt(x_share + z_share * (1 - x_share) + apart)  # sqrt(d)
        both = 0.25 + arcsine(scaled, cosine) / (2 * jnp.pi)  # I
        inverse = 1 / (2 * jnp.pi * cosine)  # J sqrt((1 + q_x)(1 + q_z))
        shares = x_share + z_share
        x_norm, z_norm = (1 + x_variance) * x_root, (1 + z_variance) * z_root
        moment = covariance * both + inverse * x_norm * (apart + scaled**2 * shares) * z_norm
        slope = both + scaled * inverse * (shares + x_share * (z_share / cosine**2))
        return moment, slope

    def second_moment(self, variance):
        return self.moments(variance, variance, variance)[0]

    def slope_moment(self, variance):
        return self.moments(variance, variance, variance)[1]


class AbstractSinusoid(AbstractActivation):
    r"""A wave, :math:`\phi(u) = A \sin(\omega u + p)`,

    .. math::
        E[\phi \phi] &= \frac{A^2}{2} [e^{-\omega^2 E(u - v)^2 / 2}
        - \cos 2p\; e^{-\omega^2 E(u + v)^2 / 2}], \\
        E[\phi' \phi'] &= \frac{A^2 \omega^2}{2} [e^{-\omega^2 E(u - v)^2 / 2}
        + \cos 2p\; e^{-\omega^2 E(u + v)^2 / 2}] .
    """

    @property
    @abc.abstractmethod
    def wave(self) -> tuple[float, float, float]:
        r"""Amplitude :math:`A`, frequency :math:`\omega` and phase :math:`p`."""

    def __call__(self, x):
        amplitude, frequency, phase = self.wave
        return amplitude * jnp.sin(frequency * x + phase)

    def moments(self, x_variance, z_variance, covariance):
        amplitude, frequency, phase = self.wave
        x_half, z_half = frequency**2 / 2 * x_variance, frequency**2 / 2 * z_variance
        scaled = frequency**2 * covariance
        nearer = jnp.exp(-(x_half - scaled + z_half))
        farther = jnp.exp(-(x_half + scaled + z_half))
        # Their difference as a hyperbolic sine where it would cancel.
        small = jnp.abs(scaled) < 0.5
        sinh = jnp.exp(-x_half) * jnp.exp(-z_half) * jnp.sinh(jnp.where(small, scaled, 0.0))
        odd, even = jnp.where(small, sinh, (nearer - farther) / 2), (nearer + farther) / 2
        double = round(math.cos(2 * phase), 15)
        odds, evens = amplitude**2 * (1 + double) / 2, amplitude**2 * (1 - double) / 2
        return odds * odd + evens * even, frequency**2 * (odds * even + evens * odd)

    def second_moment(self, variance):
        return self.moments(variance, variance, variance)[0]

    def slope_moment(self, variance):
        return self.moments(variance, variance, variance)[1]


class Sine(AbstractSinusoid):
    r"""Sine, :math:`A \sin(\omega u + p)`."""

    amplitude: float = eqx.field(static=True, default=1.0)
    frequency: float = eqx.field(static=True, default=1.0)
    phase: float = eqx.field(static=True, default=0.0)

    @property
    def wave(self):
        return self.amplitude, self.frequency, self.phase


class Cosine(AbstractSinusoid):
    r"""Cosine, :math:`A \cos(\omega u)`."""

    amplitude: float = eqx.field(static=True, default=1.0)
    frequency: float = eqx.field(static=True, default=1.0)

    @property
    def wave(self):
        return self.amplitude, self.frequency, math.pi / 2


class RBF(AbstractSinusoid):
    r"""The wave whose kernel is a squared exponential,
    :math:`\sqrt2 \sin(\sqrt{2\gamma} u + \pi/4)` with
    :math:`E[\phi \phi] = e^{-\gamma E(u - v)^2}` (random features of Rahimi and Recht 2007)."""

    gamma: float = eqx.field(static=True, default=1.0)

    @property
    def wave(self):
        return math.sqrt(2), math.sqrt(2 * self.gamma), math.pi / 4


class Exponential(AbstractActivation):
    r"""Exponential, :math:`A e^{r u}`, with :math:`E[\phi \phi] = A^2 e^{r^2 E(u + v)^2 / 2}`."""

    amplitude: float = eqx.field(static=True, default=1.0)
    rate: float = eqx.field(static=True, default=1.0)

    def __call__(self, x):
        return self.amplitude * jnp.exp(self.rate * x)

    def moments(self, x_variance, z_variance, covariance):
        half = self.rate**2 / 2
        exponent = half * x_variance + 2 * half * covariance + half * z_variance
        moment = self.amplitude**2 * jnp.exp(exponent)
        return moment, self.rate**2 * moment

    def second_moment(self, variance):
        return self.amplitude**2 * jnp.exp(2 * self.rate**2 * variance)

    def slope_moment(self, variance):
        return self.rate**2 * self.second_moment(variance)


class AbstractPolynomial(AbstractActivation):
    r"""Polynomials: :math:`E[\phi(u) \phi(v)] = \sum_m \frac{k^m}{m!} E[\phi^{(m)}(u)]
    E[\phi^{(m)}(v)]`, a finite sum (Price 1958, by Taylor expansion in :math:`k`)."""

    @abc.abstractmethod
    def mean_slopes(self, variance: Numbers) -> list[Numbers]:
        r""":math:`E[\phi^{(m)}(u)]` for :math:`m = 0, 1, ...` up to the degree."""

    def moments(self, x_variance, z_variance, covariance):
        x_means, z_means = self.mean_slopes(x_variance), self.mean_slopes(z_variance)

        def total(x_means, z_means):
            value = jnp.zeros_like(covariance)
            for m in reversed(range(len(x_means))):  # Horner's rule in the covariance
                value = covariance / (m + 1) * value + x_means[m] * z_means[m]
            return value

        return total(x_means, z_means), total(x_means[1:], z_means[1:])

    def second_moment(self, variance):
        return self.moments(variance, variance, variance)[0]

    def slope_moment(self, variance):
        return self.moments(variance, variance, variance)[1]


class Polynomial(AbstractPolynomial):
    r"""Polynomial, :math:`\sum_j c_j u^j`, from its coefficients, constant first."""

    coefficients: tuple[float, ...] = eqx.field(static=True, converter=tuple)

    def __check_init__(self):
        _check_coefficients(self.coefficients)

    def __call__(self, x):
        return jnp.polyval(jnp.asarray(self.coefficients[::-1], x.dtype), x)

    def mean_slopes(self, variance):
        # Of u^j, E[u^(j-m)] j! / (j-m)!, with E[u^2i] = (2i)! / (2^i i!) q^i.
        return _sums(self.coefficients, variance)


class Hermite(AbstractPolynomial):
    r"""Normalized Hermite polynomials, :math:`\sum_j c_j He_j(u) / \sqrt{j!}` with
    :math:`He_2(u) = u^2 - 1`. At unit variances :math:`E[\phi \phi] = \sum_j c_j^2 k^j`."""

    coefficients: tuple[float, ...] = eqx.field(static=True, converter=tuple)

    def __check_init__(self):
        _check_coefficients(self.coefficients)

    def _scaled(self) -> list[float]:
        return [c / math.sqrt(math.factorial(j)) for j, c in enumerate(self.coefficients)]

    def __call__(self, x):
        powers = np.polynomial.hermite_e.herme2poly(self._scaled())
        return jnp.polyval(jnp.asarray(powers[::-1], x.dtype), x)

    def mean_slopes(self, variance):
        # As for powers, because He_j' = j He_(j-1), and E[He_2i(u)] = (2i)! / (2^i i!) (q - 1)^i.
        return _sums(self._scaled(), variance - 1)


def _check_coefficients(coefficients: tuple[float, ...]) -> None:
    if not coefficients or not np.all(np.isfinite(coefficients)):
        raise ValueError(
            "`coefficients` must be one or more finite numbers, the constant first, got "
            f"{coefficients!r}."
        )


def _sums(coefficients, base: Numbers) -> list[Numbers]:
    """For every m, the sum over i of c_(m+2i) (m+2i)! / (2^i i!) base^i."""
    degree = len(coefficients) - 1
    means = []
    for m in range(degree + 1):
        value = jnp.zeros_like(base)
        for i in reversed(range((degree - m) // 2 + 1)):
            j = m + 2 * i
            factor = coefficients[j] * math.factorial(j) / (2**i * math.factorial(i))
            value = base * value + factor
        means.append(value)
    return means
