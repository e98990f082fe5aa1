r"""The free scalar field as a network: momentum shells are information shells.

Whitened mode amplitudes of a free scalar of mass m on a torus of side L (or under uniform inputs)
have Fisher information per sample :math:`\lambda(p) = \sigma_a^2 / (V \sigma^2 (p^2 + m^2))`, so
that infrared modes are stiff and an information cutoff is a momentum cutoff; and cos-nets draw
such fields at any width, non-Gaussian at a finite one (docs/science/information.md, section 4).
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate
import scipy.special
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import AbstractTheory
from wilsonian.core.information import degrees_of_freedom, nats
from wilsonian.core.types import Scalar
from wilsonian.networks.layers.cosine_network import FreeField, ball_volume

Amplitudes = Literal["gaussian", "signs"]


class TorusField(AbstractTheory):
    r"""A free scalar on a torus of side `side` in d dimensions, observed at `n_samples` points with
    label noise of variance `noise_variance`: modes :math:`p = 2 \pi j / L`, :math:`|j_i| \le`
    `highest`.

    `eigenvalues` are per sample, :math:`\lambda(p)`: a cutoff at :math:`\Lambda` keeps momenta up
    to :meth:`cutoff_momentum`. `field_variance` is :math:`\sigma_a^2`. Made by
    :func:`torus_field`.
    """

    momenta: Any  # (modes, d), by rising length
    kept_weights: Any  # (modes,)
    side: float = eqx.field(static=True)
    mass: float = eqx.field(static=True)
    field_variance: float = eqx.field(static=True)
    noise_variance: float = eqx.field(static=True)
    n_samples: float = eqx.field(static=True)

    @property
    def volume(self) -> float:
        return self.side ** self.momenta.shape[1]

    @property
    def eigenvalues(self):
        squared = jnp.sum(jnp.asarray(self.momenta) ** 2, axis=1)
        return self.field_variance / (self.volume * self.noise_variance * (squared + self.mass**2))

    @property
    def weights(self):
        return self.kept_weights

    def absorb(self, kept, lost):
        return eqx.tree_at(lambda theory: theory.kept_weights, self, kept)

    def summary(self):
        information = self.n_samples * self.eigenvalues * self.kept_weights
        return TorusSummary(
            jnp.sum(self.kept_weights), degrees_of_freedom(information), nats(information)
        )

    def kernel(self, distance: Float[Array, "... d"]) -> Float[Array, "..."]:
        r"""Prior covariance of the kept modes, :math:`\frac{\sigma_a^2}V \sum_p w_p \frac{\cos p
        \cdot r}{p^2 + m^2}`."""
        strengths = self.noise_variance * self.eigenvalues * self.kept_weights
        return jnp.cos(jnp.asarray(distance) @ jnp.asarray(self.momenta).T) @ strengths

    def posterior_kernel(self, distance: Float[Array, "... d"]) -> Float[Array, "..."]:
        """Covariance of what uniform data leave, removed modes at their prior: a free scalar of
        mass :meth:`effective_mass` below the cutoff and of the bare mass above it."""
        information = self.n_samples * self.eigenvalues * self.kept_weights
        strengths = self.noise_variance * self.eigenvalues / (1 + information)
        return jnp.cos(jnp.asarray(distance) @ jnp.asarray(self.momenta).T) @ strengths

    def cutoff_momentum(self, scale: Scalar) -> float:
        r""":math:`k_c(\Lambda) = \sqrt{\sigma_a^2 / (V \sigma^2 \Lambda) - m^2}`; zero where
        nothing has so much information."""
        squared = self.field_variance / (self.volume * self.noise_variance * scale) - self.mass**2
        return math.sqrt(max(squared, 0.0))

    @property
    def effective_mass_squared(self) -> float:
        r""":math:`m_{\rm eff}^2 = m^2 + \sigma_a^2 \varrho / \sigma^2` at data density
        :math:`\varrho = T / V`."""
        density = self.n_samples / self.volume
        return self.mass**2 + self.field_variance * density / self.noise_variance

    @property
    def natural_cutoff_momentum(self) -> float:
        """Where the data stop to determine modes, :math:`k_c(1 / T)`."""
        return self.cutoff_momentum(1 / self.n_samples)


class TorusSummary(eqx.Module):
    """What a flow records of a :class:`TorusField`."""

    kept: Float[Array, "..."]
    degrees_of_freedom: Float[Array, "..."]
    nats: Float[Array, "..."]


def torus_field(
    *,
    dimension: int,
    side: float,
    mass: float,
    noise_variance: float,
    n_samples: float,
    highest: int,
    field_variance: float = 1.0,
) -> TorusField:
    """A :class:`TorusField` with every mode kept. Raises ValueError for sizes that are not
    positive."""
    positive = {
        "side": side,
        "mass": mass,
        "noise_variance": noise_variance,
        "n_samples": n_samples,
        "field_variance": field_variance,
    }
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f"`{name}` must be positive, got {value!r}.")
    if dimension < 1 or highest < 0:
        raise ValueError(
            f"`dimension` must be positive and `highest` not negative, got {dimension}, {highest}."
        )
    axis = range(-highest, highest + 1)
    momenta = 2 * np.pi / side * np.array(list(itertools.product(axis, repeat=dimension)), float)
    momenta = momenta[np.argsort(np.sum(momenta**2, axis=1), kind="stable")]
    whole = np.ones(len(momenta))
    return TorusField(*(momenta, whole, side, mass), *(field_variance, noise_variance, n_samples))


def information_shell(field: TorusField, low: float, high: float) -> tuple[float, float]:
    r"""Momenta whose information per sample lies in :math:`[\Lambda_1, \Lambda_2)`: from
    :math:`k_c(\Lambda_2)` to :math:`k_c(\Lambda_1)`. Raises ValueError unless 0 < low < high."""
    if not 0 < low < high:
        raise ValueError(f"a shell needs 0 < low < high, got {low!r} and {high!r}.")
    return field.cutoff_momentum(high), field.cutoff_momentum(low)


def fourth_cumulant(momenta: FreeField, dimension: int, amplitudes: Amplitudes) -> float:
    r"""Excess fourth cumulant of a cos-net's output at a point, :math:`N \kappa_4 / K^2 = \frac32
    \mu_4 r - 3` with :math:`\mu_4 = E a^4 / \sigma_a^4` (3 for Gaussian read-outs, 1 for signs)
    and :math:`r = E A^4 / (E A^2)^2` over the momenta."""
    fourth = {"gaussian": 3.0, "signs": 1.0}.get(amplitudes)
    if fourth is None:
        raise ValueError(f"`amplitudes` must be 'gaussian' or 'signs', got {amplitudes!r}.")
    spread = 1.0
    if momenta.sampling == "uniform":
        mass, low, high = float(momenta.mass), momenta.lowest, momenta.cutoff
        first, second = (
            scipy.integrate.quad(
                lambda p, power=power: p ** (dimension - 1) / (p**2 + mass**2) ** power,
                *(low, high),
                epsabs=0,
                epsrel=1e-13,
                limit=200,
            )[0]
            for power in (1, 2)
        )
        shell = (high**dimension - low**dimension) / dimension
        spread = shell * second / first**2
    return 1.5 * fourth * spread - 3


def kernel_spread(
    momenta: FreeField, distance: float, dimension: int, *, phases: bool = False
) -> float:
    r"""Relative standard deviation, times :math:`\sqrt N`, of the empirical kernel of N cosine
    features at a distance: :math:`\frac1N \sum A^2 \cos p r`, or with random `phases`
    :math:`\frac1N \sum 2 A^2 \cos(p x + b) \cos(p z + b)`."""
    kernel = float(_exact_kernel(momenta, distance, dimension))
    mass, low, high = float(momenta.mass), momenta.lowest, momenta.cutoff

    def average(function) -> float:
        """Mean over momenta of a function of p and the mean of cos^2 over directions."""
        value, _ = scipy.integrate.quad(
            lambda p: p ** (dimension - 1) * function(p), low, high, epsrel=1e-11, limit=400
        )
        return value

    def squared_cosine(p: float) -> float:
        return (1 + _plane_wave(2 * p * distance, dimension)) / 2

    # The second moment of cos(px + b) cos(pz + b), doubled and squared, has 1/2 more.
    extra = 0.5 if phases else 0.0
    if momenta.sampling == "uniform":
        shell = (high**dimension - low**dimension) / dimension
        whole = shell * float(momenta.variance) * dimension * ball_volume(dimension)
        second = average(
            lambda p: (squared_cosine(p) + extra) * (whole / (p**2 + mass**2)) ** 2 / shell
        )
    else:
        whole = float(momenta.variance_at_a_point(dimension))
        norm = average(lambda p: 1 / (p**2 + mass**2))
        second = average(lambda p: (squared_cosine(p) + extra) / (p**2 + mass**2)) / norm
        second *= whole**2
    return math.sqrt(second - kernel**2) / kernel


def _exact_kernel(momenta: FreeField, distance: float, dimension: int) -> np.ndarray:
    with jax.enable_x64(True):
        return np.asarray(momenta.kernel(jnp.asarray(float(distance) ** 2), dimension))


def _plane_wave(t: float, dimension: int) -> float:
    """Mean of cos(t n_1) over unit vectors."""
    if dimension == 1:
        return math.cos(t)
    if dimension == 2:
        return float(scipy.special.j0(t))
    if dimension == 3:
        return float(np.sinc(t / np.pi))
    order = dimension / 2 - 1
    return float(math.gamma(dimension / 2) * (2 / t) ** order * scipy.special.jv(order, t))
