"""The effective ridge: its equation, twins, derivatives and limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from wilsonian import effective_ridge
from wilsonian.core.effective_ridge import solve_effective_ridge
from wilsonian.theory.datasets import power_law

pytestmark = [pytest.mark.double_precision, pytest.mark.strict_ranks]


@settings(max_examples=60, deadline=None)
@given(
    eigenvalues=st.lists(st.floats(0, 1e6), min_size=8, max_size=8),
    log_ridge=st.floats(-12, 6),
    log_size=st.floats(0, 8),
)
def test_it_solves_its_equation(eigenvalues, log_ridge, log_size):
    eigenvalues, ridge, size = jnp.array(eigenvalues), 10.0**log_ridge, 10.0**log_size
    value = effective_ridge(eigenvalues, ridge, size)
    assert ridge <= value <= (ridge + jnp.sum(eigenvalues)) * (1 + 1e-12)
    right = ridge + jnp.sum(eigenvalues * value / (value + size * eigenvalues))
    assert_close(value, right, rtol=1e-10, atol=0)


@pytest.mark.parametrize("modes", [1, 300, 100_000])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_brent_finds_the_same(modes, alpha):
    """Brent's method in the logarithm, from ridge 1e-12 to 1e6 and one to ten million points."""
    eigenvalues = np.asarray(power_law(modes, alpha))
    value_of = jax.jit(jax.value_and_grad(effective_ridge, argnums=(1, 2)))
    for ridge in (1e-12, 1e-3, 1.0, 1e6):
        for size in (1.0, 30.0, 2e3, 1e7):

            def excess(log_value, ridge=ridge, size=size):
                value = np.exp(log_value)
                return np.log(ridge + np.sum(eigenvalues * value / (value + size * eigenvalues)))

            low, high = np.log(ridge) - 1e-6, np.log(ridge + eigenvalues.sum()) + 1e-6
            root = scipy.optimize.brentq(lambda u: excess(u) - u, low, high, xtol=1e-14, rtol=1e-14)
            value, (by_ridge, by_size) = value_of(jnp.asarray(eigenvalues), ridge, size)
            assert_close(value, np.exp(root), rtol=1e-9, atol=0)
            learned = size * eigenvalues / (np.exp(root) + size * eigenvalues)
            gamma = np.sum(learned**2) / size
            assert_close(by_ridge, 1 / (1 - gamma), rtol=1e-7)
            unlearned = np.exp(root) / (np.exp(root) + size * eigenvalues)
            lost_by_size = np.sum(eigenvalues * learned * unlearned) / size
            assert_close(by_size, -lost_by_size / (1 - gamma), rtol=1e-7, atol=1e-30)


def test_derivatives_are_limits_of_differences():
    eigenvalues = power_law(40, 0.5)
    arguments = (eigenvalues, jnp.asarray(0.01), jnp.asarray(15.0))
    gradients = jax.grad(effective_ridge, argnums=(0, 1, 2))(*arguments)
    for position, step in ((1, 1e-6), (2, 1e-4)):
        up, down = (
            effective_ridge(
                *(a + sign * step if i == position else a for i, a in enumerate(arguments))
            )
            for sign in (1, -1)
        )
        assert_close(gradients[position], (up - down) / (2 * step), rtol=1e-6)
    for mode in (0, 17, 39):
        up, down = (effective_ridge(eigenvalues.at[mode].add(s), 0.01, 15.0) for s in (1e-7, -1e-7))
        assert_close(gradients[0][mode], (up - down) / 2e-7, rtol=1e-6)
    second = jax.grad(jax.grad(effective_ridge, argnums=1), argnums=1)(*arguments)
    first = [jax.grad(effective_ridge, 1)(eigenvalues, 0.01 + s, 15.0) for s in (1e-6, -1e-6)]
    assert_close(second, (first[0] - first[1]) / 2e-6, rtol=1e-5)


def test_without_a_ridge():
    """Zero up to as many modes as points; beyond, closed forms. Slopes stay finite."""
    assert effective_ridge(jnp.ones(5), 0.0, 5) == 0
    assert effective_ridge(jnp.ones(5), 0, 10) == 0
    assert effective_ridge(jnp.zeros(5), 0.0, 10) == 0
    assert effective_ridge(jnp.zeros(5), 0.3, 10) == 0.3
    assert effective_ridge(jnp.array([1.0, 1.0, 0.0, 0.0]), 0.0, 2) == 0
    assert_close(effective_ridge(jnp.ones(5), 0.0, 3), 2.0)  # p - n for a flat spectrum
    assert_close(jax.grad(effective_ridge, 1)(jnp.ones(5), 0.0, 10.0), 2.0)  # 1 / (1 - p / n)
    gradient = jax.grad(effective_ridge)(jnp.array([1.0, 0.5, 0.0]), 0.0, 10.0)
    assert_close(gradient, [0.0, 0.0, 1 / (1 - 0.2)])
    # Power law, n << p: kappa = (I_2 / n)^b, here 3 % off (docs/science/wilsonian.md, section 4).
    b, size = 2.0, 30
    integral = (np.pi / b) / np.sin(np.pi / b)
    value = effective_ridge(power_law(100_000, b - 1), 0.0, size)
    assert_close(value, size * (integral / size) ** b, rtol=0.04)


def test_single_precision():
    eigenvalues = power_law(3000, 0.5)
    expected = effective_ridge(eigenvalues, 1e-3, 300)
    with jax.enable_x64(False):
        value = effective_ridge(jnp.asarray(np.asarray(eigenvalues), jnp.float32), 1e-3, 300)
        assert value.dtype == jnp.float32
    assert_close(value, expected, rtol=1e-5)


def test_one_data_set_has_nearly_the_same():
    """Twin: n / tr (K + sigma^2)^{-1} of kernel matrices of random features."""
    eigenvalues = power_law(2000, 0.5)
    scaled = np.sqrt(np.asarray(eigenvalues))
    measured = []
    for seed in range(4):
        features = np.random.default_rng(seed).normal(size=(200, 2000)) * scaled
        values = np.linalg.eigvalsh(features @ features.T)
        measured.append(200 / np.sum(1 / (values + 0.1)))
    # One draw scatters by one percent.
    assert_close(effective_ridge(eigenvalues, 0.1, 200), np.mean(measured), rtol=0.02)


def test_the_solution_says_how_it_was_found():
    solution = solve_effective_ridge(power_law(300, 0.7), 1e-3, 100)
    assert solution.residual < 1e-13
    assert 0 < solution.steps < 20
