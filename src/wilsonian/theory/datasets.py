"""Regression problems of a prescribed spectrum, with features of a prescribed law."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.spectrum import Spectrum
from wilsonian.core.types import Scalar

VarianceLaw = Literal["linear", "log-normal", "step", "hidden"]


def power_law(modes: int, alpha: float) -> Float[Array, " modes"]:
    r"""Eigenvalues :math:`\lambda_k = k^{-(1 + \alpha)}`, :math:`k = 1, \dots` (Howard et al.,
    arXiv:2405.06008; docs/science/wilsonian.md, section 4).

    Raises ValueError when `modes` or `alpha` is not positive: at :math:`\alpha \le 0` the kernel's
    variance grows without bound with the number of modes.
    """
    check_positive(modes=modes, alpha=alpha)
    return jnp.arange(1.0, modes + 1) ** -(1 + alpha)


def exponential(modes: int, rate: float) -> Float[Array, " modes"]:
    r"""Eigenvalues :math:`\lambda_k = e^{-r (k - 1)}`, :math:`k = 1, \dots`: those of
    :class:`~wilsonian.kernels.RBF` on normal inputs, up to a factor (Rasmussen and Williams 2006,
    eq. 4.41).

    Raises ValueError when `modes` or `rate` is not positive.
    """
    check_positive(modes=modes, rate=rate)
    return jnp.exp(-rate * jnp.arange(0.0, modes))


def prescribed(eigenvalues: Sequence[float] | Any) -> Float[Array, " modes"]:
    """`eigenvalues` as an array, checked to be those of a kernel.

    Raises ValueError unless they are one-dimensional, finite, nonnegative, not all zero, and in
    descending order (they are not sorted here: a target's coefficients follow the same order).
    """
    values = np.asarray(eigenvalues, float)
    if values.ndim != 1 or not values.size:
        raise ValueError(
            f"`eigenvalues` must be one list of numbers, got shape {values.shape}; "
            "flatten it, one number per mode."
        )
    if not np.all(np.isfinite(values)) or values.min() < 0 or values.max() == 0:
        raise ValueError(
            "`eigenvalues` must be finite, nonnegative and not all zero, got values from "
            f"{values.min():.3g} to {values.max():.3g}; clip rounding errors to zero."
        )
    if np.any(np.diff(values) > 0):
        place = int(np.argmax(np.diff(values) > 0))
        raise ValueError(
            f"`eigenvalues` must be in descending order, but number {place + 2} "
            f"({values[place + 1]:.3g}) exceeds number {place + 1} ({values[place]:.3g}); sort "
            "them, and the target's coefficients with them."
        )
    return jnp.asarray(values)


class AbstractFeatureLaw(eqx.Module):
    r"""Joint law of the features of one input. Every law has zero means, unit variances and no
    correlations, :math:`E[\phi_k \phi_q] = \delta_{kq}`: the eigenfunctions of some kernel."""

    @abc.abstractmethod
    def draw(self, key: Array, points: int, modes: int) -> Float[Array, "points modes"]:
        """Features of `points` independent inputs."""


class Gaussian(AbstractFeatureLaw):
    """Independent standard normal features."""

    def draw(self, key, points, modes):
        return jax.random.normal(key, (points, modes))


class Sign(AbstractFeatureLaw):
    """Independent features of value one or minus one, as of functions on the hypercube."""

    def draw(self, key, points, modes):
        return jax.random.rademacher(key, (points, modes), float)


class Laplace(AbstractFeatureLaw):
    r"""Independent features of density :math:`e^{-\sqrt2 |\phi|} / \sqrt2`."""

    def draw(self, key, points, modes):
        return jax.random.laplace(key, (points, modes)) / jnp.sqrt(2.0)


class StudentT(AbstractFeatureLaw):
    r"""Independent features :math:`t_\nu \sqrt{1 - 2 / \nu}`: heavy tails.

    Raises ValueError unless `degrees_of_freedom` exceeds two, where the variance is finite.
    """

    degrees_of_freedom: float = eqx.field(static=True, default=5.0)

    def __check_init__(self):
        if not self.degrees_of_freedom > 2:
            raise ValueError(
                f"`degrees_of_freedom` must exceed 2, got {self.degrees_of_freedom}: the features "
                "would have no variance; try 5."
            )

    def draw(self, key, points, modes):
        # Bailey's polar method (Math. Comp. 62, 779, 1994): exact, and ten times as fast as
        # `jax.random.t`, whose gamma variates are drawn by rejection.
        radius_key, angle_key = jax.random.split(key)
        uniform = 1 - jax.random.uniform(radius_key, (points, modes))  # zero excluded
        angle = 2 * jnp.pi * jax.random.uniform(angle_key, (points, modes))
        excess = jnp.expm1(-2 / self.degrees_of_freedom * jnp.log(uniform))
        return jnp.sqrt((self.degrees_of_freedom - 2) * excess) * jnp.cos(angle)


class VarianceCorrelated(AbstractFeatureLaw):
    r"""Features of a common random variance, :math:`\phi_q = \sqrt S g_q` for :math:`q >`
    `unaffected`, the others (at least the first) and all :math:`g_q` independent standard normal.

    Uncorrelated, but :math:`\mathrm{Cov}(\phi_q^2, \phi_{q'}^2) \ne 0`, so that integrating them
    out leaves a ridge that depends on the input (docs/science/non-gaussian.md, section 1).
    `variance` names the law of :math:`S`, :math:`E S = 1`:

    - `"linear"`: :math:`1 + a (\phi_1^2 - 1)` with :math:`a` the `strength`, between 0 and 1;
    - `"log-normal"`: :math:`e^{\phi_1 - 1/2}`;
    - `"step"`: 1.9 where :math:`\phi_1 > 0`, 0.1 elsewhere;
    - `"hidden"`: :math:`e^{h - 1/2}` with :math:`h` standard normal and no feature of its own.

    Raises ValueError for another name, a strength that lets :math:`S` turn negative, or less than
    one unaffected mode.
    """

    variance: VarianceLaw = eqx.field(static=True, default="linear")
    strength: float = eqx.field(static=True, default=0.9)
    unaffected: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if self.variance not in get_args(VarianceLaw):
            raise ValueError(
                f"`variance` must be one of {', '.join(get_args(VarianceLaw))}, "
                f"got {self.variance!r}."
            )
        if not 0 <= self.strength <= 1:
            raise ValueError(
                f"`strength` must lie between 0 and 1, got {self.strength}: the variance "
                "1 + strength (phi^2 - 1) would turn negative."
            )
        if self.unaffected < 1:
            raise ValueError(
                f"`unaffected` must be at least 1, got {self.unaffected}: the first feature sets "
                "the variance of the others."
            )

    def draw(self, key, points, modes):
        key, hidden_key = jax.random.split(key)
        features = jax.random.normal(key, (points, modes))
        scale = jnp.sqrt(self._variances(features[:, 0], hidden_key))
        return features.at[:, self.unaffected :].multiply(scale[:, None])

    def _variances(self, first: Float[Array, " points"], key: Array) -> Float[Array, " points"]:
        if self.variance == "linear":
            return 1 + self.strength * (first**2 - 1)
        if self.variance == "step":
            return jnp.where(first > 0, 1.9, 0.1)
        hidden = jax.random.normal(key, first.shape)
        return jnp.exp((hidden if self.variance == "hidden" else first) - 0.5)


class RegressionProblem(eqx.Module):
    r"""Noisy values of :math:`y(x) = \sum_k y_k \phi_k(x)` on points with known features."""

    spectrum: Spectrum  # population eigenvalues, features of the training points
    coefficients: Float[Array, " modes"]  # y_k
    targets: Float[Array, " points"]

    def squared_error(self, coefficients: Float[Array, " modes"]) -> Float[Array, ""]:
        r"""Mean squared error of :math:`\sum_k \bar f_k \phi_k` on the population,
        :math:`\sum_k (\bar f_k - y_k)^2`, free of label noise."""
        return jnp.sum((coefficients - self.coefficients) ** 2)


def matched_target(eigenvalues: Float[Array, " modes"]) -> Float[Array, " modes"]:
    r"""Coefficients :math:`y_k = \sqrt{\lambda_k}`: of the size a draw from the kernel's own
    Gaussian process has in the mean."""
    return jnp.sqrt(eigenvalues)


def regression_problem(
    key: Array,
    eigenvalues: Float[Array, " modes"],
    points: int,
    *,
    law: AbstractFeatureLaw | None = None,
    coefficients: Float[Array, " modes"] | None = None,
    label_noise: Scalar = 0.0,
) -> RegressionProblem:
    r"""Draw a training set: features by `law` (Gaussian when left out), targets

    .. math:: y_i = \sum_k y_k \phi_k(x_i) + \varepsilon_i, \qquad
        \varepsilon_i \sim N(0, \sigma_\varepsilon^2),

    with `coefficients` :math:`y_k` (:func:`matched_target` when left out) and `label_noise`
    :math:`\sigma_\varepsilon^2` (docs/science/wilsonian.md, section 2). The modes of the spectrum
    are those of the population, so that integrating some out renormalizes the ridge of the others.
    Compiles with `law` and `points` static.

    Raises ValueError when `points` is not positive, `label_noise` is negative, or there is not one
    coefficient per eigenvalue.
    """
    check_positive(points=points)
    if isinstance(label_noise, int | float) and not label_noise >= 0:
        raise ValueError(f"`label_noise` is a variance, at least zero, got {label_noise}.")
    eigenvalues = jnp.asarray(eigenvalues)
    coefficients = matched_target(eigenvalues) if coefficients is None else coefficients
    if eigenvalues.ndim != 1 or jnp.shape(coefficients) != eigenvalues.shape:
        raise ValueError(
            f"`eigenvalues` has shape {eigenvalues.shape} and `coefficients` "
            f"{jnp.shape(coefficients)}; pass one number per mode."
        )
    feature_key, noise_key = jax.random.split(key)
    law = Gaussian() if law is None else law
    features = law.draw(feature_key, points, eigenvalues.shape[0])
    noise = jnp.sqrt(label_noise) * jax.random.normal(noise_key, (points,))
    targets = features @ coefficients + noise
    return RegressionProblem(Spectrum.of(eigenvalues, features), coefficients, targets)


def check_positive(**values: float) -> None:
    """Raise ValueError naming the first of `values` that is not a positive finite number."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"`{name}` must be positive and finite, got {value}.")
