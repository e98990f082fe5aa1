"""Spectra of kernels on points: the kernel again, compiled, differentiated, and refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close

from wilsonian import RBF, Matern32, Spectrum, as_population, dense_spectrum

pytestmark = [pytest.mark.double_precision, pytest.mark.strict_ranks]

POINTS = 20


def test_a_dense_spectrum_is_the_kernel():
    X = jnp.asarray(np.random.default_rng(4).normal(size=(POINTS, 2)))
    modes = dense_spectrum(Matern32(0.7), X)
    spectrum = modes.spectrum(X)
    assert modes.measure == "sample"
    assert as_population(modes).measure == "population"
    assert_close(spectrum.gram(), Matern32(0.7)(X), atol=1e-10)
    assert_close(spectrum.modes.T @ spectrum.modes / POINTS, jnp.eye(POINTS), atol=1e-10)
    # Elsewhere modes and tail share the variance; with fewer modes the tail has more.
    Z = X[:7] + 0.3
    few = dense_spectrum(Matern32(0.7), X, rank=5).spectrum(Z)
    assert few.eigenvalues.shape == (5,)
    assert_close(few.diagonal(), jnp.ones(7))
    assert_close(few.eigenvalues, spectrum.eigenvalues[:5])
    assert jnp.all(few.tail > modes.spectrum(Z).tail)


def test_a_dense_spectrum_compiles_when_its_rank_is_given():
    X = jnp.asarray(np.random.default_rng(4).normal(size=(POINTS, 2)))

    def gram(length_scale, rank):
        return dense_spectrum(RBF(length_scale), X, rank).spectrum(X).gram()

    # A kernel this smooth resolves fewer than twenty modes: the rest are zero.
    compiled = jax.jit(gram, static_argnums=1)
    assert dense_spectrum(RBF(40.0), X).eigenvalues.shape[0] < POINTS
    assert_close(compiled(40.0, POINTS), gram(40.0, None), atol=1e-9)
    assert_close(compiled(1.0, 5), gram(1.0, 5), atol=1e-9)
    with pytest.raises(ValueError, match=r"pass `rank`"):
        compiled(1.0, None)


def test_bad_kernels_and_ranks_get_their_sentence():
    X = jnp.asarray(np.random.default_rng(4).normal(size=(POINTS, 2)))
    with pytest.raises(ValueError, match=r"not positive semidefinite"):
        dense_spectrum(lambda X, Z: -np.asarray(X) @ np.asarray(Z).T, X)
    with pytest.raises(ValueError, match=r"returned 400 values that are NaN"):
        dense_spectrum(lambda X, Z: np.full((len(X), len(Z)), np.nan), X)
    with pytest.raises(ValueError, match=r"`rank` must be positive, got 0"):
        dense_spectrum(RBF(), X, rank=0)


def test_eigenvalues_differentiate_in_the_length_scale():
    pool = jnp.asarray(np.random.default_rng(5).uniform(-2, 2, (10, 1)))

    def third(length_scale):
        return dense_spectrum(Matern32(length_scale), pool).eigenvalues[2]

    difference = (third(0.8 + 1e-5) - third(0.8 - 1e-5)) / 2e-5
    assert abs(difference) > 1e-3
    assert_close(jax.grad(third)(0.8), difference, rtol=1e-6)


def test_spectra_of_unlike_shapes_get_their_sentence():
    with pytest.raises(ValueError, match=r"one eigenvalue per column"):
        Spectrum.of(jnp.ones(3), jnp.ones((5, 4)))
    with pytest.raises(ValueError, match=r"`tail` has shape \(4,\)"):
        Spectrum.of(jnp.ones(4), jnp.ones((5, 4)), jnp.ones(4))
