r"""Three coarse graining schemes as noisy channels, mode by mode.

.. math:: \phi_t = M_t \phi_0 + \sqrt{\Sigma_t}\, \xi, \qquad
          \dot M = -A M, \quad \dot\Sigma = -2 A \Sigma + 2 B

One convention for all: unit lattice spacing, orthonormal transforms, time from 0 (nothing done)
upwards, :math:`t = \ln(\Lambda_0/\Lambda)` up to a scheme's own origin
(docs/science/exact-rg.md, "The channel").
"""

from __future__ import annotations

import abc
import dataclasses

import numpy as np

from wilsonian.fields.lattice import momenta_squared


class AbstractScheme(abc.ABC):
    """What a channel does to each mode; every array has the shape of the lattice."""

    @abc.abstractmethod
    def multiplier(self, start: float, stop: float) -> np.ndarray:
        r"""What is left of a mode, :math:`M_{ab}`."""

    @abc.abstractmethod
    def noise_variance(self, start: float, stop: float) -> np.ndarray:
        r"""Variance of the noise added, :math:`\Sigma_{ab}`."""

    @abc.abstractmethod
    def generator(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Rate A of decay and strength 2B of the noise at a time."""

    @abc.abstractmethod
    def final_variance(self) -> np.ndarray:
        """Variance of each mode at infinite time; ValueError when the zero mode has none."""


@dataclasses.dataclass(frozen=True, eq=False)
class CarossoScheme(AbstractScheme):
    r"""Heat flow with noise: :math:`M = e^{-kt}`, :math:`\Sigma = \Omega(1-M^2)/2k`,
    :math:`k = \hat p^2 + z`; it ends at :math:`N(0, \Omega/2k)`."""

    shape: tuple[int, ...]
    z: float
    omega: float

    @property
    def rate(self) -> np.ndarray:
        return momenta_squared(self.shape) + self.z

    def multiplier(self, start: float, stop: float) -> np.ndarray:
        return np.exp(-self.rate * (stop - start))

    def noise_variance(self, start: float, stop: float) -> np.ndarray:
        step = 2 * (stop - start)
        safe = np.where(self.rate > 0, self.rate, 1.0)
        grown = -np.expm1(-safe * step) / (2 * safe)
        return self.omega * np.where(self.rate > 0, grown, step / 2)

    def generator(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        return self.rate, np.full(self.shape, self.omega)

    def final_variance(self) -> np.ndarray:
        _needs_z(self.z, "carosso")
        return self.omega / (2 * self.rate)


@dataclasses.dataclass(frozen=True, eq=False)
class PolchinskiScheme(AbstractScheme):
    r"""Cutoff :math:`K_t = e^{-(\hat p^2+z)t}` on the propagator
    :math:`G = \Omega/(\hat p^2+m^2)`: :math:`M = K_t/K_s`, :math:`\Sigma = M (K_s - K_t) G`.

    The free field of mass m stays :math:`K_t G`.
    """

    shape: tuple[int, ...]
    z: float
    omega: float
    mass_squared: float

    def _cutoff(self, time: float) -> np.ndarray:
        return np.exp(-(momenta_squared(self.shape) + self.z) * time)

    @property
    def propagator(self) -> np.ndarray:
        return self.omega / (momenta_squared(self.shape) + self.mass_squared)

    def multiplier(self, start: float, stop: float) -> np.ndarray:
        return self._cutoff(stop - start)

    def noise_variance(self, start: float, stop: float) -> np.ndarray:
        rate = momenta_squared(self.shape) + self.z
        lost = -np.expm1(-rate * (stop - start))  # 1 - K_t/K_s without cancellation
        return self.multiplier(start, stop) * self._cutoff(start) * lost * self.propagator

    def generator(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        rate = momenta_squared(self.shape) + self.z
        return rate, rate * self._cutoff(time) * self.propagator

    def final_variance(self) -> np.ndarray:
        return np.zeros(self.shape)


@dataclasses.dataclass(frozen=True, eq=False)
class RenormalizingDiffusionScheme(AbstractScheme):
    r"""One Bayesian time for all modes: :math:`M^2 = \Lambda_t^2/(k+\Lambda_t^2)`,
    :math:`\Sigma = \Omega/(k+\Lambda_t^2)`, so :math:`M^2/\Sigma = \Lambda_t^2/\Omega`,
    :math:`k = \hat p^2 + z`.

    Here :math:`\Lambda_t^2 = \Lambda_0^2/(e^{2t}-1)`: nothing is done at t = 0, and
    :math:`t = \ln(\Lambda_0/\Lambda)` once :math:`e^{2t} \gg 1`.
    """

    shape: tuple[int, ...]
    z: float
    omega: float
    scale: float  # Lambda_0

    @property
    def rate(self) -> np.ndarray:
        return momenta_squared(self.shape) + self.z

    def _elapsed(self, time: float) -> np.ndarray:
        return np.expm1(2 * time) / self.scale**2  # 1/Lambda^2

    def multiplier(self, start: float, stop: float) -> np.ndarray:
        before, after = (1 + self.rate * self._elapsed(time) for time in (start, stop))
        return np.sqrt(before / after)

    def noise_variance(self, start: float, stop: float) -> np.ndarray:
        gained = self._elapsed(stop) - self._elapsed(start)
        return self.omega * gained / (1 + self.rate * self._elapsed(stop))

    def generator(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        growth = np.exp(2 * time) / self.scale**2
        left = 1 / (1 + self.rate * self._elapsed(time))
        return self.rate * growth * left, 2 * self.omega * growth * left

    def final_variance(self) -> np.ndarray:
        _needs_z(self.z, "rgdm")
        return self.omega / self.rate


def _needs_z(z: float, scheme: str) -> None:
    if not z > 0:
        raise ValueError(
            f"the scheme {scheme!r} with z = {z:g} has no law for the zero mode at the end of the "
            "flow; pass a positive `z`, such as 0.5."
        )


def make_scheme(
    name: str,
    shape: tuple[int, ...],
    z: float,
    omega: float,
    mass_squared: float | None,
    scale: float,
) -> AbstractScheme:
    """The scheme called `name`; ValueError for what no channel can be made of."""
    values = {"z": z, "omega": omega, "scale": scale, "mass_squared": mass_squared or 0.0}
    for label, value in values.items():
        if not np.isfinite(value) or value < 0:
            raise ValueError(f"`{label}` is {value}; it must be finite and not negative.")
    if not omega > 0 or not scale > 0:
        raise ValueError(f"`omega` is {omega} and `scale` {scale}; both must be positive.")
    if name == "carosso":
        return CarossoScheme(shape, z, omega)
    if name == "rgdm":
        return RenormalizingDiffusionScheme(shape, z, omega, scale)
    if name == "polchinski":
        mass = z if mass_squared is None else mass_squared
        if not z > 0 or not mass > 0:
            raise ValueError(
                f"the scheme 'polchinski' with z = {z:g} and mass_squared = {mass:g} never "
                "integrates out the zero mode, or has no propagator for it; pass positive values."
            )
        return PolchinskiScheme(shape, z, omega, mass)
    raise ValueError(f"the scheme {name!r} is not known; use 'carosso', 'polchinski' or 'rgdm'.")
