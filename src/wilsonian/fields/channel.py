r"""Coarse graining of fields as a noisy channel: `Channel`, and `ChannelKernel` between two times.

The precision of the channel is the amount of data that the coarse field is about the fine one,
:math:`T = M^2/\Sigma`; its inverse is the Bayesian time :math:`\tau`
(docs/science/exact-rg.md, "Dictionary").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.core.information import degrees_of_freedom, nats
from wilsonian.fields.lattice import check_fields, check_shape, filter_fields, white_noise
from wilsonian.fields.schemes import AbstractScheme, make_scheme


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelKernel:
    r"""The channel between two times: :math:`\phi_b = M \phi_a + \sqrt{\Sigma}\,\xi` per mode."""

    multiplier: np.ndarray  # M, shape of the lattice
    noise_variance: np.ndarray  # Sigma, likewise

    def then(self, following: ChannelKernel) -> ChannelKernel:
        r"""First this, then `following`: :math:`M_{ac} = M_{ab}M_{bc}`,
        :math:`\Sigma_{ac} = M_{bc}^2\Sigma_{ab} + \Sigma_{bc}`."""
        return ChannelKernel(
            self.multiplier * following.multiplier,
            following.multiplier**2 * self.noise_variance + following.noise_variance,
        )

    def bayesian_time(self) -> np.ndarray:
        r""":math:`\tau = \Sigma/M^2`, one over the amount of data about each mode."""
        with np.errstate(divide="ignore", over="ignore"):
            return self.noise_variance / self.multiplier**2

    def signal_to_noise(self, spectrum: np.ndarray) -> np.ndarray:
        r""":math:`C_0 M^2/\Sigma` of each mode; above one a mode is relevant (stiff)."""
        with np.errstate(divide="ignore"):
            return np.asarray(spectrum) * self.multiplier**2 / self.noise_variance

    def information(self, spectrum: np.ndarray) -> np.ndarray:
        r"""Nats about each mode, :math:`\frac12\log(1 + C_0 M^2/\Sigma)`.

        Exact for a free field. Of all laws with this spectrum the Gaussian one has the most
        information, so for any other the sum over modes is an upper bound.
        """
        return 0.5 * np.log1p(self.signal_to_noise(spectrum))

    def nats(self, spectrum: np.ndarray) -> float:
        """Information of all modes together, by the core's formula; infinite without noise."""
        with jax.enable_x64(True):
            return float(nats(jnp.asarray(self.signal_to_noise(spectrum))))

    def degrees_of_freedom(self, spectrum: np.ndarray) -> float:
        r"""Modes that the coarse field has learned, :math:`\sum_p C_0 M^2/C_b`.

        Each term is the core's learnability of an eigenvalue :math:`C_0(p)` from one sample at a
        ridge equal to the Bayesian time :math:`\tau(p)`.
        """
        with jax.enable_x64(True):
            return float(degrees_of_freedom(jnp.asarray(self.signal_to_noise(spectrum))))

    def resolved_modes(self, spectrum: np.ndarray) -> int:
        """Modes that the coarse field still determines: those with more than half a nat."""
        return int((self.information(spectrum) > 0.5).sum())

    def two_point(self, spectrum: np.ndarray) -> np.ndarray:
        r""":math:`C_b = M^2 C_a + \Sigma`, exact for every initial theory."""
        return self.multiplier**2 * np.asarray(spectrum) + self.noise_variance

    def cumulant(self, values: np.ndarray | float, momenta: Sequence[Sequence[int]]) -> np.ndarray:
        r"""Connected n-point function, n > 2: :math:`G_b = \prod_i M(p_i)\,G_a`.

        `momenta` are the n places in the array of modes, as ``[(0, 0), (1, 0), ...]``. ValueError
        for fewer than three.
        """
        if len(momenta) < 3:
            raise ValueError(
                f"{len(momenta)} momenta were given; for two points use `two_point`, which adds "
                "the noise."
            )
        factors = [self.multiplier[tuple(place)] for place in momenta]
        return np.prod(factors) * np.asarray(values)

    def apply(self, fields: np.ndarray | Array, key: jax.Array) -> Array:
        """Coarse fields of given fields, (count, *lattice) -> the same, noise from `key`."""
        fields = jnp.asarray(fields)
        if not jnp.issubdtype(fields.dtype, jnp.floating):
            fields = fields.astype(float)
        sides = self.multiplier.shape
        check_fields(fields, sides)
        rows = fields.reshape(-1, *sides)
        noise = white_noise(key, rows.shape[0], sides, rows.dtype.name)
        flowed = filter_fields(rows, self.multiplier)
        flowed += filter_fields(noise, np.sqrt(self.noise_variance))
        return flowed.reshape(fields.shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Channel:
    """A coarse graining scheme on a lattice of 1 to 4 dimensions.

    `scheme` is "carosso", "polchinski" or "rgdm"; `z` gives the zero mode a rate (a mass, in
    units of the inverse spacing squared), `omega` is the strength of the noise, `mass_squared`
    the mass of the free field that "polchinski" keeps (default `z`), and `scale` the cutoff
    :math:`\\Lambda_0` of "rgdm". Raises ValueError for values no channel can be made of.
    """

    scheme: str
    shape: tuple[int, ...]
    z: float = 0.0
    omega: float = 1.0
    mass_squared: float | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape(self.shape))
        self.law()

    def law(self) -> AbstractScheme:
        """The scheme's formulas on this lattice."""
        return make_scheme(
            self.scheme, self.shape, self.z, self.omega, self.mass_squared, self.scale
        )

    def kernel(self, start: float, stop: float) -> ChannelKernel:
        """The channel from one time to a later one; ValueError when they are out of order."""
        if not (np.isfinite(start) and np.isfinite(stop) and 0 <= start <= stop):
            raise ValueError(
                f"the times are {start} and {stop}; pass 0 <= start <= stop, since a channel "
                "cannot be undone (sample an `InverseFlow` instead)."
            )
        law = self.law()
        return ChannelKernel(law.multiplier(start, stop), law.noise_variance(start, stop))

    def multiplier(self, time: float) -> np.ndarray:
        """What is left of each mode, M, at a time."""
        return self.kernel(0, time).multiplier

    def noise_variance(self, time: float) -> np.ndarray:
        r"""Noise on each mode, :math:`\Sigma`, at a time."""
        return self.kernel(0, time).noise_variance

    def bayesian_time(self, time: float) -> np.ndarray:
        r""":math:`\tau_t(p) = \Sigma/M^2 = \int_0^t 2B/M^2`: one over the amount of data."""
        return self.kernel(0, time).bayesian_time()

    def information(self, time: float, spectrum: np.ndarray) -> np.ndarray:
        """Nats that the field at `time` carries about each mode of a field with `spectrum`."""
        return self.kernel(0, time).information(spectrum)

    def two_point(self, time: float, spectrum: np.ndarray) -> np.ndarray:
        r"""Spectrum at a time, :math:`M^2 C_0 + \Sigma`."""
        return self.kernel(0, time).two_point(spectrum)

    def flow(
        self, fields: np.ndarray | Array, times: Sequence[float], key: jax.Array
    ) -> list[Array]:
        """The fields at rising times, each coarse grained from the one before (one path)."""
        check_times(times)
        flowed, before = [], 0.0
        for part, time in zip(jax.random.split(key, len(times)), times, strict=True):
            fields = self.kernel(before, time).apply(fields, part)
            flowed.append(fields)
            before = time
        return flowed


def check_times(times: Sequence[float]) -> None:
    """Raise ValueError unless the times rise, starting at zero or later."""
    values = np.asarray(times, float)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"the times are {times}; pass at least one finite time.")
    if values[0] < 0 or (np.diff(values) < 0).any():
        raise ValueError(
            f"the times {[float(v) for v in values]} are out of order; pass them rising "
            "from 0, as 0,0.3,1,3."
        )


def carosso_from_box(
    shape: Sequence[int], box: float, mass_squared: float, omega: float
) -> tuple[Channel, float]:
    r"""The Carosso channel and the factor of its times for the convention of a physical box.

    There the transform is divided by V, momenta are
    :math:`\hat p^2 = (2N/L)^2 \sum \sin^2(\pi n/N)` in a box of side L, and the field is the same.
    Returns (channel, factor) with ``our time = factor * their time``,
    :math:`z = (L/N)^2 m^2`, :math:`\Omega = V (L/N)^2 \Omega'`. With :math:`\Omega' = 1/L^2` in two
    dimensions :math:`\Omega = 1`. Raises ValueError unless all sides are equal.
    """
    sides = check_shape(shape)
    if len(set(sides)) > 1 or not box > 0:
        raise ValueError(f"`shape` is {sides}, `box` {box}; a box has equal, positive sides.")
    spacing = box / sides[0]
    volume = float(np.prod(sides))
    ours = Channel("carosso", sides, z=spacing**2 * mass_squared, omega=volume * spacing**2 * omega)
    return ours, 1 / spacing**2
