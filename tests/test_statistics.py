"""Statistics of rows by BLAS against JAX; the flow by sums against the core's verb."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from wilsonian import RBF, RankCutoff, ReducedGPRegressor, flow
from wilsonian.regression import statistics
from wilsonian.regression.statistics import InducingFeatures

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((80, 2))
Y = np.column_stack([np.sin(2 * X[:, 0]), X[:, 1] ** 2]) + 0.3 * RANDOM.standard_normal((80, 2))


@pytest.mark.parametrize("rank", [20, 80])  # modes of the population, and of the sample
def test_it_is_coarse_graining_at_every_cutoff(rank):
    options = {"noise_variance": 0.1, "optimizer": None, "per_output": None, "random_state": 0}
    process = ReducedGPRegressor(RBF(0.7), rank=rank, **options).fit(X, Y).process_
    with jax.enable_x64(True):
        whole = process.modes.theory(process.amplitude, process.noise_variance)
        cutoffs = RankCutoff(np.arange(len(process.modes.eigenvalues) + 1))
        twin = jax.jit(flow)(whole, cutoffs)
    found = process.flow
    for name in ("kept", "ridge", "log_evidence"):
        np.testing.assert_allclose(getattr(found, name), getattr(twin, name), rtol=1e-12)
    # A search by values alone finds a maximum to the root of their rounding.
    np.testing.assert_allclose(found.evidence_ridge, twin.evidence_ridge, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_of_a_block_by_blas_are_those_of_jax(dtype):
    random = np.random.default_rng(1)
    X, y = random.standard_normal((256, 2)).astype(dtype), random.standard_normal((256, 2))
    roots = np.sqrt(random.uniform(0, 2, 256)).astype(dtype)
    total = np.full((20, 20), 3.0)
    with jax.enable_x64(True):
        features = InducingFeatures.of(RBF(0.7), X[:20].astype(float), dtype)
        for blas, twin, kept in zip(
            statistics._products_on_host(features, total, X, y.astype(dtype), roots),
            statistics._products(features, total, X, y.astype(dtype), roots),
            (float, dtype, dtype, dtype, dtype),  # sums over blocks in double precision
            strict=True,
        ):
            assert blas.dtype == kept
            # Sums of 256 terms; the whitening amplifies what their rounding differs by.
            atol = 1e3 * np.finfo(dtype).eps * np.abs(twin).max()
            np.testing.assert_allclose(blas, twin, atol=float(atol))


def test_the_largest_unresolved_variance_is_that_of_the_rows_that_weigh_anything():
    random = np.random.default_rng(2)
    X, y = random.standard_normal((300, 2)), random.standard_normal((300, 1))
    with jax.enable_x64(True):
        features = InducingFeatures.of(RBF(0.7), X[:20], float)
        unresolved = features.unresolved(X, features.at(X))
        weights = np.ones(300)
        weights[np.argmax(unresolved)] = 0.0
        sums = statistics.Statistics.empty(20, np.zeros(1))
        for rows in (slice(0, 150), slice(150, 300)):
            sums = sums.add(features, X[rows], y[rows], weights[rows])
    wanted = np.sort(unresolved)[-2]
    assert unresolved.max() > wanted + 1e-6
    np.testing.assert_allclose(sums.largest_unresolved, wanted, rtol=1e-9)
