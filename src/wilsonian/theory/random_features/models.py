"""Random features of five kinds: linear, deep, projected, anisotropic, and nonlinear."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.types import Scalar
from wilsonian.theory.free_probability import (
    Deterministic,
    OrthogonalProjection,
    WhiteWishart,
    parameter,
)
from wilsonian.theory.random_features.theory import (
    AbstractRandomFeatures,
    Layer,
    Population,
    check_nonnegative,
)


def whole(value: Any) -> Any:
    """A width as an array, whole numbers being what can be drawn."""
    return np.asarray(value) if isinstance(value, int | np.integer) else value


class LinearRandomFeatures(AbstractRandomFeatures):
    r""":math:`F^T x + \eta`, entries of :math:`F` normal of variance :math:`1 / N`, so that the
    kernel of infinitely many features is :math:`x \cdot x'`:

    .. math:: \kappa_2 (1 - \mathrm{df}_1(\kappa_2) / N) = \kappa_1 + \tau^2 / N

    (docs/science/random-features.md, section 4; arXiv:2405.00592, section IV). `feature_noise`
    :math:`\tau^2` is the variance the noise :math:`\eta` adds to :math:`k(x, x)`: :math:`\tau^2 /
    N` in each feature.

    Raises ValueError unless `width` N is a positive whole number and the noise nonnegative.
    """

    population: Population
    width: int = eqx.field(converter=whole)
    feature_noise: Scalar = eqx.field(converter=parameter, default=0.0)

    def __check_init__(self):
        check_width("width", self.width)
        check_feature_noise(self.feature_noise)

    def layers(self):
        inputs = self.population.eigenvalues.shape[0]
        noise = self.feature_noise + self.population.lost_variance
        return (Layer(WhiteWishart(inputs / self.width), inputs, self.width, noise / self.width),)

    def draw(self, key):
        return white(key, self.population.eigenvalues.shape[0], int(self.width))

    def features(self, weights, inputs, key):
        return noisy(inputs @ weights, self.layers()[0].noise_variance, key)


class DeepRandomFeatures(AbstractRandomFeatures):
    r""":math:`F_L^T (\cdots (F_1^T x + \eta_1) \cdots) + \eta_L`, a linear network of random
    layers: :math:`\kappa_{\ell}` falls by :math:`1 - \mathrm{df}_1 / N_\ell` at every one
    (docs/science/random-features.md, section 4; arXiv:2405.00592, section IV). `feature_noise`
    enters at every layer.

    Raises ValueError unless `widths` are positive whole numbers, at least one.
    """

    population: Population
    widths: tuple[int, ...] = eqx.field(converter=lambda widths: tuple(map(whole, widths)))
    feature_noise: Scalar = eqx.field(converter=parameter, default=0.0)

    def __check_init__(self):
        if not self.widths:
            raise ValueError("`widths` is empty; pass the width of every layer, e.g. (200, 100).")
        for width in self.widths:
            check_width("widths", width)
        check_feature_noise(self.feature_noise)

    def layers(self):
        layers, inputs = [], self.population.eigenvalues.shape[0]
        for number, width in enumerate(self.widths):
            noise = self.feature_noise + (0.0 if number else self.population.lost_variance)
            layers.append(Layer(WhiteWishart(inputs / width), inputs, width, noise / width))
            inputs = width
        return tuple(layers)

    def draw(self, key):
        sizes = (self.population.eigenvalues.shape[0], *(int(width) for width in self.widths))
        keys = jax.random.split(key, len(self.widths))
        return [white(k, a, b) for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)]

    def features(self, weights, inputs, key):
        keys = jax.random.split(key, len(weights))
        for matrix, layer, layer_key in zip(weights, self.layers(), keys, strict=True):
            inputs = noisy(inputs @ matrix, layer.noise_variance, layer_key)
        return inputs


class ProjectedRandomFeatures(AbstractRandomFeatures):
    r""":math:`\sqrt{D / N}\,Q^T x + \eta` with :math:`Q` the first N columns of a random orthogonal
    matrix:

    .. math:: \kappa_2 \frac{1 - \mathrm{df}_1(\kappa_2) / N}{1 - \mathrm{df}_1(\kappa_2) / D} =
        \kappa_1 + \tau^2 / N

    (S-transform of a projection, docs/science/free-probability.md, section 2). With N = D it is
    ridge regression.

    Raises ValueError unless `width` is a positive whole number, at most the inputs.
    """

    population: Population
    width: int = eqx.field(converter=whole)
    feature_noise: Scalar = eqx.field(converter=parameter, default=0.0)

    def __check_init__(self):
        check_width("width", self.width)
        check_feature_noise(self.feature_noise)
        inputs = self.population.eigenvalues.shape[0]
        if not isinstance(self.width, jax.core.Tracer) and self.width > inputs:
            raise ValueError(
                f"`width` is {self.width}, but {inputs} inputs have no more orthogonal directions; "
                "take fewer features, or LinearRandomFeatures."
            )

    def layers(self):
        inputs = self.population.eigenvalues.shape[0]
        fraction = self.width / inputs
        noise = self.feature_noise + self.population.lost_variance
        projection = (1 / fraction) * OrthogonalProjection(fraction)
        return (Layer(projection, inputs, self.width, noise / self.width),)

    def draw(self, key):
        inputs = self.population.eigenvalues.shape[0]
        frame = jnp.linalg.qr(jax.random.normal(key, (inputs, int(self.width))))[0]
        return jnp.sqrt(inputs / self.width) * frame

    def features(self, weights, inputs, key):
        return noisy(inputs @ weights, self.layers()[0].noise_variance, key)


class AnisotropicRandomFeatures(AbstractRandomFeatures):
    r""":math:`F^T x + \eta` with :math:`F = A G B^{1/2}`: `input_scales`, the diagonal of :math:`A`
    in the eigenbasis of the inputs, weigh the directions that features look in, and
    `feature_variances`, the eigenvalues of :math:`B`, one per feature, make some features larger
    than others. :math:`G` is as in :class:`LinearRandomFeatures`.

    The resolvents see :math:`a_i^2 \lambda_i` in place of :math:`\lambda_i`, and :math:`B` is one
    more factor of the ridge,

    .. math:: \kappa_2 (1 - z / N)\,T_B(-z / N) = \kappa_1 + \tau^2 / N, \qquad
        z = \sum_i \frac{a_i^2 \lambda_i}{a_i^2 \lambda_i + \kappa_2}

    (structured Wishart; arXiv:2405.00592, sections III and IV).

    Raises ValueError unless there is one nonnegative scale per input and the variances are
    nonnegative, neither all zero.
    """

    population: Population
    input_scales: Float[np.ndarray, " modes"] = eqx.field(converter=parameter)
    feature_variances: Float[np.ndarray, " width"] = eqx.field(converter=parameter)
    feature_noise: Scalar = eqx.field(converter=parameter, default=0.0)

    def __check_init__(self):
        check_feature_noise(self.feature_noise)
        shape = self.population.eigenvalues.shape
        for name, values, size in (
            ("input_scales", self.input_scales, shape),
            ("feature_variances", self.feature_variances, None),
        ):
            if np.ndim(values) != 1 or (size is not None and np.shape(values) != size):
                wanted = "one number per input" if size else "one number per feature"
                raise ValueError(f"`{name}` has shape {np.shape(values)}; pass {wanted}.")
            if isinstance(values, jax.core.Tracer):
                continue
            values = np.asarray(values)
            if not np.all(np.isfinite(values)) or values.min() < 0 or values.max() == 0:
                raise ValueError(
                    f"`{name}` must be finite, nonnegative and not all zero, got values from "
                    f"{values.min():.3g} to {values.max():.3g}."
                )

    @property
    def width(self) -> int:
        return self.feature_variances.shape[0]

    def spectrum(self):
        eigenvalues, power = self.population.kept_eigenvalues, self.population.kept_power
        return jnp.asarray(self.input_scales) ** 2 * eigenvalues, power

    def layers(self):
        inputs, width = self.population.eigenvalues.shape[0], self.width
        # Eliminated modes are weighed as the kept ones are in the mean.
        gain = jnp.mean(jnp.asarray(self.input_scales) ** 2)
        lost = gain * self.population.lost_variance / width
        return (
            Layer(WhiteWishart(inputs / width), inputs, width, lost),
            Layer(Deterministic(self.feature_variances), width, width, self.feature_noise / width),
        )

    def draw(self, key):
        return white(key, self.population.eigenvalues.shape[0], self.width)

    def features(self, weights, inputs, key):
        first, second = jax.random.split(key)
        inner, outer = self.layers()
        mixed = noisy(
            (inputs * jnp.asarray(self.input_scales)) @ weights, inner.noise_variance, first
        )
        return noisy(
            mixed * jnp.sqrt(jnp.asarray(self.feature_variances)), outer.noise_variance, second
        )


class NonlinearRandomFeatures(AbstractRandomFeatures):
    r""":math:`(\sigma(w_j \cdot x) - \mu_0) / \sqrt N`, weights normal of variance :math:`1 /
    \mathrm{Tr}\,\Sigma`, so that :math:`w_j \cdot x` has mean square one. Gaussian equivalent:

    .. math:: \sigma(w \cdot x) - \mu_0 \to \mu_1\,w \cdot x + \mu_* g, \qquad
        \mu_1 = E\,\sigma(h) h, \quad \mu_*^2 = E\,\sigma(h)^2 - \mu_0^2 - \mu_1^2

    with h and g standard normal, g independent in every feature of every input (Mei and Montanari
    2022; Hu and Lu 2023; arXiv:2405.00592, section IV): linear features with gain :math:`\mu_1^2 /
    \mathrm{Tr}\,\Sigma` and feature noise :math:`\mu_*^2`. It holds as inputs, features and samples
    grow together and :math:`\mathrm{Tr}\,\Sigma^2 \ll (\mathrm{Tr}\,\Sigma)^2`; a spectrum with few
    large eigenvalues lets the nonlinear part be learned, which this theory counts as noise.

    `activation` takes and returns JAX arrays, elementwise. Raises ValueError if it is constant.
    """

    population: Population
    width: int = eqx.field(converter=whole)
    activation: Callable[[Array], Array] = eqx.field(static=True, default=jnp.tanh)
    feature_noise: Scalar = eqx.field(converter=parameter, default=0.0)

    def __check_init__(self):
        check_width("width", self.width)
        check_feature_noise(self.feature_noise)
        _, linear, residual = activation_coefficients(self.activation)
        if not np.isfinite(linear + residual) or linear**2 + residual**2 < 1e-20:
            raise ValueError(
                f"`activation` has linear coefficient {linear:.3g} and residual {residual:.3g}; "
                "pass a function that is finite and not constant, such as jnp.tanh."
            )

    def _gain(self) -> Array:
        """Preactivation variance of an input of unit variance."""
        population = self.population
        return 1 / (jnp.sum(population.kept_eigenvalues) + population.lost_variance)

    def layers(self):
        inputs = self.population.eigenvalues.shape[0]
        _, linear, residual = activation_coefficients(self.activation)
        gain = linear**2 * self._gain()
        noise = residual**2 + self.feature_noise + gain * self.population.lost_variance
        ensemble = gain * WhiteWishart(inputs / self.width)
        return (Layer(ensemble, inputs, self.width, noise / self.width),)

    def draw(self, key):
        inputs, width = self.population.eigenvalues.shape[0], int(self.width)
        return jnp.sqrt(self._gain()) * jax.random.normal(key, (inputs, width))

    def features(self, weights, inputs, key):
        first, second = jax.random.split(key)
        lost = self._gain() * self.population.lost_variance
        before = noisy(inputs @ weights, lost, first)
        mean = activation_coefficients(self.activation)[0]
        after = (self.activation(before) - mean) / jnp.sqrt(self.width)
        return noisy(after, self.feature_noise / self.width, second)


@functools.lru_cache(maxsize=64)  # asked for in compiled functions, where it cannot be computed
def activation_coefficients(activation: Callable[[Array], Array]) -> tuple[float, float, float]:
    r""":math:`\mu_0 = E\,\sigma(h)`, :math:`\mu_1 = E\,\sigma(h) h` and :math:`\mu_*`, the root
    mean square of what is neither, for standard normal :math:`h`.

    By the midpoint rule, 40,000 points between -10 and 10: exact to 10^-12 for smooth functions,
    to 10^-7 for one with a corner, whose Gauss-Hermite quadrature would only reach 10^-3.
    """
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        points = (np.arange(40_000) + 0.5) / 2000 - 10
        values = np.asarray(activation(jnp.asarray(points)), float)
    density = np.exp(-(points**2) / 2) / np.sqrt(2 * np.pi) / 2000
    mean, linear = density @ values, density @ (values * points)
    residual = density @ (values - mean - linear * points) ** 2
    return float(mean), float(linear), float(np.sqrt(residual))


def white(key: Array, inputs: int, width: int) -> Float[Array, "inputs width"]:
    """Normal weights of variance one over the width."""
    return jax.random.normal(key, (inputs, width)) / jnp.sqrt(width)


def noisy(features: Array, variance: Scalar, key: Array) -> Array:
    """Features with noise of a variance, new in every entry."""
    return features + jnp.sqrt(variance) * jax.random.normal(key, features.shape)


def check_width(name: str, width: Any) -> None:
    """Raise ValueError unless a width is a positive whole number."""
    if isinstance(width, jax.core.Tracer):
        return
    if np.ndim(width) != 0 or not 1 <= width < float("inf") or width != int(width):
        raise ValueError(f"`{name}` must be a whole number of features, at least 1, got {width}.")


def check_feature_noise(variance: Any) -> None:
    """Raise ValueError unless the noise of features is a variance."""
    if not isinstance(variance, jax.core.Tracer):
        check_nonnegative("feature_noise", variance, "it is a variance")
