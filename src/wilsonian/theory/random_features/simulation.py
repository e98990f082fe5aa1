r"""Random-feature regression on drawn features and data: the twin of its theory, with errors.

A block crosses a few draws of features with a few draws of data. Products of the residuals of two
predictors that share both draws, one, or none estimate every part of the error without bias
(analysis of variance with U-statistics); training noise is averaged over exactly, as predictors
are linear in it. Blocks are independent, so their scatter is the standard error.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.theory.random_features.models import NonlinearRandomFeatures
from wilsonian.theory.random_features.theory import (
    AbstractRandomFeatures,
    ErrorDecomposition,
    check_settings,
)


class RandomFeatureSimulation(eqx.Module):
    """Means over blocks, their standard errors, and the blocks themselves (leading axis)."""

    mean: ErrorDecomposition
    standard_error: ErrorDecomposition
    blocks: ErrorDecomposition

    def deviation(self, theory: ErrorDecomposition) -> ErrorDecomposition:
        """Mean less theory, in standard errors."""

        def one(mean, error, expected):
            # What does not vary has an error of rounding, and no deviation.
            varies = error > 1e-12 * np.abs(mean)
            return np.where(varies, (mean - expected) / np.where(varies, error, 1.0), 0.0)

        return jax.tree.map(one, self.mean, self.standard_error, theory)


def random_feature_simulation(
    model: AbstractRandomFeatures,
    samples: int,
    ridge: float,
    *,
    random_state: int = 0,
    blocks: int = 32,
    feature_draws: int = 4,
    data_draws: int = 4,
    test_points: int = 1000,
) -> RandomFeatureSimulation:
    r"""Regress on `blocks` times `feature_draws` times `data_draws` drawn sets of features and of
    `samples` normal inputs, at `ridge` on the Gram matrix, in double precision.

    Predictors linear in the inputs are tested on :math:`\sqrt D` times each basis vector: the mean
    square over them is that over the population. Nonlinear ones are tested on `test_points` normal
    inputs per block. Noise of features is drawn anew for training and test inputs. Variances are
    skewed: with fewer than some 30 blocks of small draws their errors are misjudged.

    Raises ValueError unless samples and draws are whole numbers (at least two of each draw and of
    blocks, for variances to be estimated), and the ridge is nonnegative, positive where samples and
    features outnumber the inputs.
    """
    check_settings(samples, ridge)
    for name, value, least in (
        ("samples", samples, 1),
        ("blocks", blocks, 2),
        ("feature_draws", feature_draws, 2),
        ("data_draws", data_draws, 2),
        ("test_points", test_points, 1),
    ):
        if np.ndim(value) != 0 or value < least or value != int(value):
            raise ValueError(f"`{name}` must be a whole number, at least {least}, got {value}.")
    layers = model.layers()
    inputs = model.population.eigenvalues.shape[0]
    thin = min(inputs, *(int(layer.width) for layer in layers))
    noisy = any(float(layer.noise_variance) > 0 for layer in layers)
    if ridge == 0 and not noisy and thin < min(samples, int(layers[-1].width)):
        raise ValueError(
            f"`ridge` is 0, but {samples} samples of {int(layers[-1].width)} features have rank "
            f"{thin}: many predictors fit alike; pass a small ridge such as 1e-8."
        )
    with jax.enable_x64(True):
        design = _Design(model, int(samples), float(ridge), feature_draws, data_draws, test_points)
        keys = jax.random.split(jax.random.key(random_state), blocks)
        values = jax.jit(lambda keys: jax.lax.map(design.block, keys))(keys)
        values = jax.tree.map(np.asarray, values)
    mean = jax.tree.map(lambda leaf: leaf.mean(axis=0), values)
    error = jax.tree.map(lambda leaf: leaf.std(axis=0, ddof=1) / blocks**0.5, values)
    return RandomFeatureSimulation(mean, error, values)


class _Design(eqx.Module):
    """What every block has in common."""

    model: AbstractRandomFeatures
    samples: int
    ridge: float
    feature_draws: int
    data_draws: int
    test_points: int

    def block(self, key: Array) -> ErrorDecomposition:
        """The parts of the error from one crossed design."""
        population = self.model.population
        feature_key, data_key, test_key, noise_key = jax.random.split(key, 4)
        modes = population.eigenvalues.shape[0]
        if isinstance(self.model, NonlinearRandomFeatures):
            test = jax.random.normal(test_key, (self.test_points, modes))
        else:
            test = jnp.sqrt(modes) * jnp.eye(modes)
        data = jax.random.normal(data_key, (self.data_draws, self.samples, modes))
        weights = jax.vmap(self.model.draw)(jax.random.split(feature_key, self.feature_draws))
        keys = jax.random.split(noise_key, (self.feature_draws, self.data_draws + 1))
        scale = jnp.sqrt(population.kept_eigenvalues)

        def with_features(drawn):
            weights, keys = drawn
            test_features = self.model.features(weights, test * scale, keys[0])

            def with_data(drawn):
                points, key = drawn
                features = self.model.features(weights, points * scale, key)
                return self.regress(features, test_features, points, test)

            return jax.lax.map(with_data, (data, keys[1:]))

        results = jax.lax.map(with_features, (weights, keys))
        return self.decompose(*results)

    def regress(self, features, test_features, points, test):
        """Test residuals without noise, the map from noise to test predictions, the training
        error and kappa_1 of one predictor."""
        noise_variance, target = (
            self.model.population.label_noise,
            jnp.sqrt(self.model.population.kept_power),
        )
        samples, width = features.shape
        labels = points @ target
        if samples <= width:
            gram = features @ features.T + self.ridge * jnp.eye(samples)
            inverse = jax.scipy.linalg.cho_solve(
                jax.scipy.linalg.cho_factor(gram, lower=True), jnp.eye(samples)
            )
            smoother = (test_features @ features.T) @ inverse
            left = self.ridge * inverse
            data_ridge = 1 / jnp.trace(inverse)
        else:
            covariance = features.T @ features + self.ridge * jnp.eye(width)
            solution = jax.scipy.linalg.cho_solve(
                jax.scipy.linalg.cho_factor(covariance, lower=True), features.T
            )
            smoother = test_features @ solution
            left = jnp.eye(samples) - features @ solution
            data_ridge = self.ridge / jnp.trace(left)
        train_error = (jnp.sum((left @ labels) ** 2) + noise_variance * jnp.sum(left**2)) / samples
        return smoother @ labels - test @ target, smoother, train_error, data_ridge

    def decompose(self, residuals, smoothers, train_error, data_ridge) -> ErrorDecomposition:
        """Unbiased estimates from residuals (features, data, points) and smoothers (..., samples)
        of a block."""
        features, data, points = residuals.shape
        pairs = jnp.einsum("abt,cdt->abcd", residuals, residuals) / points
        both = jnp.einsum("abab->", pairs)
        same_features = jnp.einsum("abad->", pairs)
        same_data = jnp.einsum("abcb->", pairs)
        everything = jnp.sum(pairs)
        total = both / (features * data)
        by_features = (same_features - both) / (features * data * (data - 1))
        by_data = (same_data - both) / (features * (features - 1) * data)
        none = (everything - same_features - same_data + both) / (
            features * (features - 1) * data * (data - 1)
        )
        noise_variance = self.model.population.label_noise
        own = jnp.sum(smoothers**2)
        summed = jnp.sum(jnp.sum(smoothers, axis=0) ** 2)
        noise_total = noise_variance * own / (features * data * points)
        noise_shared = noise_variance * (summed - own) / (features * (features - 1) * data * points)
        return ErrorDecomposition(
            test_error=total + noise_total + noise_variance,
            train_error=jnp.mean(train_error),
            label_noise=jnp.asarray(noise_variance),
            bias=none,
            feature_variance=by_features - none,
            data_variance=by_data - none,
            noise_variance=noise_shared,
            feature_data_variance=total - by_features - by_data + none,
            feature_noise_variance=noise_total - noise_shared,
            data_ridge=jnp.mean(data_ridge),
        )
