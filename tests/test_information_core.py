"""Degrees of freedom and nats of modes, against determinants, traces and each other."""

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.core.information import degrees_of_freedom, nats


def gaussian_channel():
    """A prior, a design and noise: signal to noise by mode, and the matrices they come from."""
    random = np.random.default_rng(0)
    design = random.normal(size=(9, 5))
    prior = np.diag(random.uniform(0.1, 3.0, 5))
    root = np.sqrt(prior)
    information = root @ design.T @ design @ root / 0.3
    return design, prior, np.linalg.eigvalsh(information)


def test_nats_are_what_an_observation_tells():
    """Mutual information of prior draws and noisy observations, by determinants of covariances."""
    design, prior, signal = gaussian_channel()
    covariance = design @ prior @ design.T + 0.3 * np.eye(9)
    told = (np.linalg.slogdet(covariance)[1] - 9 * np.log(0.3)) / 2
    with jax.enable_x64(True):
        np.testing.assert_allclose(nats(jnp.asarray(signal)), told, rtol=1e-12)


def test_degrees_of_freedom_are_the_trace_of_the_smoother():
    design, prior, signal = gaussian_channel()
    kernel = design @ prior @ design.T
    trace = np.trace(kernel @ np.linalg.inv(kernel + 0.3 * np.eye(9)))
    with jax.enable_x64(True):
        np.testing.assert_allclose(degrees_of_freedom(jnp.asarray(signal)), trace, rtol=1e-12)


def test_information_grows_by_half_the_degrees_of_freedom():
    """d nats / d log(signal to noise), with multiplicities."""
    signal, times = jnp.array([0.0, 0.1, 2.0, 1e4]), jnp.array([3.0, 2.0, 1.0, 7.0])
    with jax.enable_x64(True):
        slope = jax.grad(lambda log: nats(jnp.exp(log) * signal, times))(0.0)
        np.testing.assert_allclose(slope, degrees_of_freedom(signal, times) / 2, rtol=1e-6)
        assert nats(signal[1:2], times[1:2]) == 2 * nats(signal[1:2])
