"""Inducing points: the Nystrom kernel again, the law of the pivots, and kernels of little or bad
rank."""

import numpy as np
import pytest
import scipy.stats

from wilsonian import RBF, FromFunction, Linear, Matern32
from wilsonian.regression.inducing_points import randomly_pivoted_cholesky
from wilsonian.regression.learning.moving import add_inducing_points
from wilsonian.regression.sample import column_spread

pytestmark = pytest.mark.double_precision


def points(rows, columns, seed):
    return np.random.default_rng(seed).normal(size=(rows, columns))


def test_the_factor_is_that_of_the_nystrom_kernel():
    pool, kernel = points(60, 2, 0), Matern32(0.8)
    chosen = randomly_pivoted_cholesky(kernel, pool, 20, np.random.default_rng(1), block_size=8)
    assert len(set(chosen.indices)) == 20
    gram, pivots = np.asarray(kernel(pool)), chosen.indices
    expected = gram[:, pivots] @ np.linalg.solve(gram[np.ix_(pivots, pivots)], gram[pivots])
    np.testing.assert_allclose(chosen.factor @ chosen.factor.T, expected, atol=1e-11)
    np.testing.assert_allclose(chosen.residual, np.diagonal(gram - expected), atol=1e-11)
    np.testing.assert_allclose(chosen.root, np.tril(chosen.root), atol=1e-11)
    assert not chosen.exhausted


def test_a_choice_goes_on_where_it_stopped():
    pool, kernel = points(60, 2, 2), Matern32(0.8)
    first = randomly_pivoted_cholesky(kernel, pool, 10, np.random.default_rng(3))
    more = randomly_pivoted_cholesky(kernel, pool, 30, np.random.default_rng(4), start=first)
    np.testing.assert_array_equal(more.indices[:10], first.indices)
    np.testing.assert_array_equal(more.factor[:, :10], first.factor)


def test_pivots_have_the_law_of_one_at_a_time_sampling():
    """First and second pivot of four points, against the law written down: proportional to the
    diagonal, then to what is left of it. Blocks with rejection must not change it."""
    pool = np.array([[0.0, 1.0], [0.3, 1.2], [1.5, 0.2], [-0.4, 0.5]])
    gram = pool @ pool.T + np.exp(-((pool[:, None] - pool) ** 2).sum(-1))
    kernel = Linear() + RBF(np.sqrt(0.5))
    np.testing.assert_allclose(kernel(pool), gram)
    first = np.diagonal(gram) / np.trace(gram)
    law = np.zeros((4, 4))
    for i in range(4):
        left = np.diagonal(gram) - gram[i] ** 2 / gram[i, i]
        left[i] = 0.0
        law[i] = first[i] * left / left.sum()
    random, draws = np.random.default_rng(5), 400
    counts = np.zeros((4, 4))
    for _ in range(draws):
        chosen = randomly_pivoted_cholesky(kernel, pool, 2, random, block_size=3)
        counts[tuple(chosen.indices)] += 1
    possible = law > 0
    assert counts[~possible].sum() == 0
    assert scipy.stats.chisquare(counts[possible], draws * law[possible]).pvalue > 1e-3
    # The test can tell: pivots drawn without regard to the first have another law.
    blind = np.outer(first, first)[possible]
    blind *= draws / blind.sum()
    assert scipy.stats.chisquare(counts[possible], blind).pvalue < 1e-3


def test_little_rank_is_exhausted_and_then_exact():
    pool = points(50, 3, 6)
    chosen = randomly_pivoted_cholesky(Linear(), pool, 20, np.random.default_rng(7))
    assert chosen.exhausted
    assert len(chosen.indices) == 3
    np.testing.assert_allclose(chosen.factor @ chosen.factor.T, pool @ pool.T, atol=1e-12)


@pytest.mark.parametrize("length_scale", [3.0, 30.0, 300.0])
def test_pivots_of_rounding_error_are_not_amplified(length_scale):
    """Smooth kernels run out of modes above rounding; a block of the next pivots is noise."""
    pool, kernel = points(400, 2, 8), RBF(length_scale)
    chosen = randomly_pivoted_cholesky(kernel, pool, 300, np.random.default_rng(9))
    assert chosen.exhausted
    np.testing.assert_allclose(chosen.factor @ chosen.factor.T, kernel(pool), atol=1e-10)


def test_a_kernel_that_is_not_semidefinite_is_refused():
    kernel = FromFunction(lambda X, Z: np.cos(X @ Z.T) + 2 * np.eye(len(X), len(Z)) - 1.5)
    with pytest.raises(ValueError, match=r"not positive semidefinite|must be finite, nonnegative"):
        randomly_pivoted_cholesky(kernel, points(40, 2, 10), 30, np.random.default_rng(11))


def test_a_column_that_is_constant_to_rounding_has_the_spread_of_the_others():
    X = points(100, 3, 12)
    X[:, 1] = 0.1 + 1e-16 * points(100, 1, 13)[:, 0]
    X[:, 2] = 7.0
    spread = column_spread(X)
    np.testing.assert_allclose(spread, np.full(3, X[:, 0].std()))
    np.testing.assert_array_equal(column_spread(np.ones((5, 2))), [1.0, 1.0])


def test_points_are_added_where_those_there_leave_most_unresolved():
    """Points that know one of two clusters are joined by points of the other alone."""
    here, there = 0.1 * points(30, 2, 8), 5 + points(30, 2, 9)
    pool, kernel = np.concatenate([here, there]), RBF(1.0)
    random = np.random.default_rng(10)
    given = here[:8] + 0.01
    more = add_inducing_points(kernel, given, pool, 20, random)
    np.testing.assert_array_equal(more[:8], given)
    assert len(np.unique(more, axis=0)) == 20
    assert np.all(more[8:].min(axis=1) > 1)
    exhausted = add_inducing_points(Linear(), given[:1], pool, 20, random)
    assert len(exhausted) == 2  # a linear kernel of two columns has no more
