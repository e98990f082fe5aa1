r"""Random-feature regression on average: its error, and what of it features, data and noise make.

N random features of an input are regressed on with P samples and ridge :math:`\delta` on the Gram
matrix (:math:`\lambda = \delta / P` on the mean squared loss). Source: Atanasov, Zavatone-Veth and
Pehlevan, arXiv:2405.00592, sections IV and V; the general form below is derived here.

**Layers.** Features of layer :math:`\ell` have covariance
:math:`C_\ell = F_\ell^T C_{\ell-1} F_\ell + s_\ell^2`, with :math:`C_0 = \Sigma` that of the inputs
and :math:`F_\ell F_\ell^T` in free position to it. For any one ridge, with :math:`d_\ell` the
dimension of the layer's input,

.. math:: F_\ell (C_\ell + \kappa)^{-1} F_\ell^T \simeq (C_{\ell-1} + \kappa')^{-1}, \qquad
    \kappa + s_\ell^2 = \kappa' T_\ell(-z' / d_\ell), \qquad
    z = z' + \frac{s_\ell^2}{\kappa + s_\ell^2} (N_\ell - z'),

where :math:`z = \mathrm{Tr}\,C_\ell (C_\ell + \kappa)^{-1}` and :math:`z'` are the degrees of
freedom on either side and :math:`T = 1 / S`. Everything is explicit from the innermost ridge
:math:`u` outward: :math:`z(u) = \mathrm{df}_1(u)`, through the layers to :math:`\kappa_1(u)` and
:math:`z_0(u)`, and at last to the data, :math:`\lambda = \kappa_1 (1 - z_0 / P)`.

**Error.** At fixed features this is ridge regression. With :math:`b = \mathrm{Cov}(\text{features},
y)` and :math:`G(\kappa_1) = E y^2 - b^T (C + \kappa_1)^{-1} b \simeq \sum_i v_i^2 u / (\lambda_i +
u)` its error on infinite data is :math:`B = G - \kappa_1\,dG/d\kappa_1`, and on P samples

.. math:: E_g = \frac{d\kappa_1}{d\lambda} (B + \sigma_\varepsilon^2), \qquad
    \Big(\frac{d\kappa_1}{d\lambda}\Big)^{-1} = 1 - \mathrm{df}_2 / P, \qquad
    E_{tr} = \Big(\frac{\lambda}{\kappa_1}\Big)^2 E_g .

Averaged over features the predictor is kernel ridge regression at :math:`u`; averaged over both,
its error is :math:`\sum_i v_i^2 u^2 / (\lambda_i + u)^2`. These are the formulas of
docs/science/random-features.md, section 2, for every chain of layers.
"""

from __future__ import annotations

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import AbstractTheory
from wilsonian.core.information import learnability
from wilsonian.core.precision import compiled
from wilsonian.core.roots import golden_section, root_or_zero
from wilsonian.core.types import Scalar
from wilsonian.theory.free_probability import AbstractEnsemble, check_spectrum, parameter


class Population(eqx.Module):
    r"""What is regressed on: inputs of covariance eigenvalues :math:`\lambda_i`, a linear target of
    power :math:`v_i^2` in each, label noise :math:`\sigma_\varepsilon^2`; and what was cut off."""

    eigenvalues: Float[np.ndarray, " modes"]
    target_power: Float[np.ndarray, " modes"]
    label_noise: Scalar = eqx.field(converter=parameter)
    weights: Float[np.ndarray, " modes"]  # kept fraction of each mode
    lost_variance: Scalar = eqx.field(converter=parameter)  # sum of eigenvalues eliminated

    @classmethod
    def of(cls, eigenvalues: Any, target_power: Any, label_noise: float = 0.0) -> Population:
        r"""A population with every mode kept; `target_power` is :math:`v_i^2 = \lambda_i w_i^2`.

        Raises ValueError unless eigenvalues and powers are finite, nonnegative and equally many,
        the eigenvalues not all zero, and the noise a nonnegative number.
        """
        check_spectrum(eigenvalues)
        values, power = np.asarray(eigenvalues, float), np.asarray(target_power, float)
        if power.shape != values.shape:
            raise ValueError(
                f"`eigenvalues` has shape {values.shape} and `target_power` {power.shape}; pass "
                "one squared coefficient per eigenvalue."
            )
        if not np.all(np.isfinite(power)) or power.min() < 0:
            raise ValueError(
                "`target_power` must be finite and nonnegative, got values from "
                f"{power.min():.3g} to {power.max():.3g}; pass squared coefficients."
            )
        check_nonnegative("label_noise", label_noise, "it is a variance")
        return cls(values, power, label_noise, np.ones_like(values), 0.0)

    @property
    def kept_eigenvalues(self) -> Array:
        return jnp.asarray(self.weights) * self.eigenvalues

    @property
    def kept_power(self) -> Array:
        return jnp.asarray(self.weights) * self.target_power

    def absorb(self, kept: Any, lost: Any) -> Population:
        """Eliminated modes become variance of the features, their target label noise."""
        return Population(
            self.eigenvalues,
            self.target_power,
            self.label_noise + jnp.sum(lost * self.target_power),
            kept,
            self.lost_variance + jnp.sum(lost * self.eigenvalues),
        )


class Layer(eqx.Module):
    r"""One random map: `ensemble` is the law of :math:`F F^T` on its `inputs` dimensions,
    `noise_variance` the variance :math:`s^2` it adds to each of its `width` features, anew for
    every input."""

    ensemble: AbstractEnsemble
    inputs: Scalar = eqx.field(converter=parameter)
    width: Scalar = eqx.field(converter=parameter)
    noise_variance: Scalar = eqx.field(converter=parameter)

    def outward(self, ridge: Array, freedom: Array) -> tuple[Array, Array]:
        r"""Ridge :math:`\kappa` and degrees of freedom :math:`z` outside, from those within."""
        total = ridge * self.ensemble.t_transform(-freedom / self.inputs)
        share = jnp.where(
            self.noise_variance > 0, self.noise_variance / jnp.where(total > 0, total, 1.0), 0.0
        )
        return total - self.noise_variance, freedom + share * (self.width - freedom)


class ErrorDecomposition(eqx.Module):
    r"""Mean squared error on new, noisy labels and its parts; they add up to :attr:`test_error`.

    Variances are those of the predictor as features, data and training noise are drawn: main
    effects, then interactions. Noise has no main effect (its sign is as likely as its opposite):
    `noise_variance` is what averaging over features leaves of it.
    """

    test_error: Float[Any, "..."]
    train_error: Float[Any, "..."]
    label_noise: Float[Any, "..."]
    bias: Float[Any, "..."]  # squared error of the predictor averaged over everything
    feature_variance: Float[Any, "..."]  # V_F: with infinite data at ridge kappa_1
    data_variance: Float[Any, "..."]  # V_X: with infinitely many features
    noise_variance: Float[Any, "..."]  # V_eps
    feature_data_variance: Float[Any, "..."]  # V_FX
    feature_noise_variance: Float[Any, "..."]  # V_Feps
    data_ridge: Float[Any, "..."]  # kappa_1, felt by the features

    def total(self) -> Float[Any, "..."]:
        """Sum of the parts."""
        return self.label_noise + self.bias + self.averaged_out() + self.shared()

    def shared(self) -> Float[Any, "..."]:
        """Variance that an ensemble over features cannot remove."""
        return self.data_variance + self.noise_variance

    def averaged_out(self) -> Float[Any, "..."]:
        """Variance that falls as one over the members of an ensemble over features."""
        return self.feature_variance + self.feature_data_variance + self.feature_noise_variance

    def ensemble_error(self, members: Any) -> Float[Any, "..."]:
        """Test error of the mean of `members` predictors of the same data, each with features of
        its own."""
        return self.label_noise + self.bias + self.shared() + self.averaged_out() / members


class AbstractRandomFeatures(AbstractTheory):
    """Regression on random features of a population. A final class says which layers its features
    are made of, and how to draw them (for the simulation)."""

    population: eqx.AbstractVar[Population]

    @abc.abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """From the inputs outward."""

    @abc.abstractmethod
    def draw(self, key: Array) -> Any:
        """Random weights of one set of features, as arrays."""

    @abc.abstractmethod
    def features(
        self, weights: Any, inputs: Float[Array, "points modes"], key: Array
    ) -> Float[Array, "points width"]:
        """Features of inputs; `key` draws the noise that is new for every input."""

    def spectrum(self) -> tuple[Array, Array]:
        """Eigenvalues and target power that infinitely many features see: the population's,
        unless weights prefer some directions."""
        return self.population.kept_eigenvalues, self.population.kept_power

    @property
    def eigenvalues(self):
        return jnp.asarray(self.population.eigenvalues)

    @property
    def weights(self):
        return jnp.asarray(self.population.weights)

    def absorb(self, kept, lost):
        r"""The theory of the kept modes: eliminated ones of :math:`\lambda_q \ll u` act on the
        features as noise of variance :math:`\sum_q \lambda_q`, on the labels as noise of their
        power (docs/science/random-features.md, section 3)."""
        return eqx.tree_at(lambda model: model.population, self, self.population.absorb(kept, lost))

    def summary(self):
        return jnp.sum(self.weights), self.population.lost_variance, self.population.label_noise

    def chain(self, value: Array) -> tuple[Array, Array, Array, Array]:
        r""":math:`\kappa_1`, :math:`z_0` and :math:`G` at the innermost ridge, and the smallest
        ridge on the way: negative where no ridge outside reaches so far in."""
        eigenvalues, power = self.spectrum()
        learned = learnability(eigenvalues, value, 1.0)
        ridge, freedom, smallest = value, jnp.sum(learned), value
        for layer in self.layers():
            ridge, freedom = layer.outward(ridge, freedom)
            smallest = jnp.minimum(smallest, ridge)
        return ridge, freedom, jnp.sum((1 - learned) * power), smallest

    def effective_ridge(self, samples: Scalar, ridge: Scalar) -> Array:
        r"""The innermost ridge :math:`u`, felt by the inputs. Differentiable, in the caller's
        precision; zero without a ridge when samples and features outnumber the inputs."""

        def bare(value):
            data_ridge, freedom, _, smallest = self.chain(value)
            return jnp.where(smallest < 0, smallest, data_ridge * (1 - freedom / samples))

        return root_or_zero(bare, ridge / samples, jnp.max(self.spectrum()[0]))

    def decompose_at(self, value: Array, samples: Scalar) -> ErrorDecomposition:
        """Everything at a given innermost ridge; the outer one follows from it."""
        one = jnp.ones_like(value)
        (data_ridge, freedom, rest, _), slopes = jax.jvp(self.chain, (value,), (one,))
        data_slope, freedom_slope, rest_slope, _ = slopes
        learned_data = 1 - freedom / samples
        bare_slope = data_slope * learned_data - data_ridge * freedom_slope / samples
        # d kappa_1 / d lambda, infinite where as many samples as features meet no ridge.
        regular = bare_slope > 1e3 * jnp.finfo(value.dtype).eps * data_slope
        amplified = jnp.where(regular, data_slope / jnp.where(regular, bare_slope, 1.0), jnp.inf)
        infinite_data = rest - data_ridge * rest_slope / data_slope
        eigenvalues, power = self.spectrum()
        learned = learnability(eigenvalues, value, 1.0)
        bias = jnp.sum((1 - learned) ** 2 * power)
        overfitting = jnp.sum(learned**2) / samples
        label_noise = self.population.label_noise
        test_error = amplified * (infinite_data + label_noise)
        data_variance = bias * overfitting / (1 - overfitting)
        noise_variance = label_noise * overfitting / (1 - overfitting)
        return ErrorDecomposition(
            test_error,
            jnp.where(regular, learned_data**2 * test_error, 0.0),
            label_noise * one,
            bias,
            infinite_data - bias,
            data_variance,
            noise_variance,
            amplified * infinite_data - infinite_data - data_variance,
            label_noise * (amplified - 1) - noise_variance,
            data_ridge,
        )

    def decompose(self, samples: Any, ridge: Any) -> ErrorDecomposition:
        """Test error and its parts for every (broadcast) number of samples and ridge on the Gram
        matrix, as NumPy arrays in double precision whatever the setting.

        Raises ValueError unless samples are positive and ridges nonnegative numbers.
        """
        samples, ridge = check_settings(samples, ridge)
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, _decompose(self, samples, ridge))

    def test_error(self, samples: Any, ridge: Any) -> Float[Any, "..."]:
        """Mean squared error on new noisy labels; see :meth:`decompose`."""
        return self.decompose(samples, ridge).test_error

    def train_error(self, samples: Any, ridge: Any) -> Float[Any, "..."]:
        """Mean squared error on the training labels; see :meth:`decompose`."""
        return self.decompose(samples, ridge).train_error

    def ensemble_error(self, samples: Any, ridge: Any, members: int) -> Float[Any, "..."]:
        """Test error of the mean of `members` predictors of the same data, each with features of
        its own. Raises ValueError unless there is at least one."""
        check_members(members)
        return self.decompose(samples, ridge).ensemble_error(members)

    def optimal_ridge(self, samples: float, members: int = 1) -> float:
        """The ridge (on the Gram matrix) of least test error of an ensemble of `members`; zero
        when every ridge hurts. A scan of the innermost ridge, refined by golden sections.

        Raises ValueError unless `samples` is positive and there is at least one member.
        """
        check_members(members)
        count, _ = check_settings(samples, 0.0)
        with jax.enable_x64(True):
            return float(count * _optimal_ridge(self, count, parameter(members)))


@compiled
def _decompose(model: AbstractRandomFeatures, samples: Array, ridge: Array) -> ErrorDecomposition:
    def one(samples, ridge):
        return model.decompose_at(model.effective_ridge(samples, ridge), samples)

    shape = jnp.broadcast_shapes(samples.shape, ridge.shape)
    flat = (jnp.broadcast_to(value, shape).ravel() for value in (samples, ridge))
    return jax.tree.map(lambda leaf: leaf.reshape(shape), jax.vmap(one)(*flat))


@compiled
def _optimal_ridge(model: AbstractRandomFeatures, samples: Any, members: Any) -> Array:
    def error(log_ridge):
        return model.decompose_at(jnp.exp(log_ridge), samples).ensemble_error(members)

    scale = jnp.max(model.spectrum()[0])
    ridgeless = model.effective_ridge(samples, jnp.zeros(()))
    least = jnp.maximum(ridgeless, 1e-12 * scale)
    low = jnp.log(least) + 1e-9
    grid = jnp.linspace(low, jnp.log(1e6 * (scale + least)), 400)
    best = jnp.argmin(jax.lax.map(error, grid))
    ends = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, 399)]
    value = jnp.exp(golden_section(error, *ends, steps=60))
    data_ridge, freedom, _, _ = model.chain(value)
    without = model.decompose_at(ridgeless, samples).ensemble_error(members)
    least_error = error(jnp.log(value))
    rounding = 1e-12 * (least_error + jnp.sum(model.spectrum()[1]))
    helps = least_error + rounding < without
    return jnp.where(helps, data_ridge * (1 - freedom / samples), 0.0)


def check_settings(samples: Any, ridge: Any) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of samples and ridges as arrays. Raises ValueError for what is not one."""
    samples, ridge = np.asarray(samples, float), np.asarray(ridge, float)
    if not np.all(np.isfinite(samples)) or not np.all(samples > 0):
        raise ValueError(f"`samples` must be positive and finite, got {samples.min():g}.")
    if not np.all(np.isfinite(ridge)) or not np.all(ridge >= 0):
        raise ValueError(
            f"`ridge` must be finite and at least 0, got {ridge.min():g}; it is added to the "
            "diagonal of the Gram matrix."
        )
    return samples, ridge


def check_nonnegative(name: str, value: Any, meaning: str) -> None:
    """Raise ValueError unless `value` is one finite number, at least zero."""
    if np.ndim(value) != 0 or not 0 <= value < float("inf"):
        raise ValueError(f"`{name}` must be finite and at least 0, got {value}; {meaning}.")


def check_members(members: Any) -> None:
    """Raise ValueError unless an ensemble has a member."""
    if not members >= 1:
        raise ValueError(f"`members` must be at least 1, got {members}.")
