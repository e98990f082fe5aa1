"""The evidence's own gradient against automatic differentiation and finite differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.stats import multivariate_normal
from sklearn.gaussian_process.kernels import Matern

from wilsonian import RBF, Matern12, Matern32, Matern52, RationalQuadratic
from wilsonian.core.precision import with_precision
from wilsonian.kernels.host_grams import gram_and_pull, has_host_form
from wilsonian.kernels.kernel import Constant
from wilsonian.regression.learning.evidence import (
    Candidate,
    differentiated,
    inducing_evidence,
    loss_and_gradient,
)
from wilsonian.regression.learning.evidence_gradient import evidence_and_slopes
from wilsonian.regression.learning.scale import evidence_of_modes
from wilsonian.regression.processes.modes import Modes
from wilsonian.regression.sample import Sample

RANDOM = np.random.default_rng(0)
ROWS, RANK, COLUMNS, OUTPUTS = 60, 12, 3, 2
X = RANDOM.normal(size=(ROWS, COLUMNS))
Y = np.stack([np.sin(X[:, 0]) + X[:, 1], RANDOM.normal(size=ROWS)], axis=1)
POINTS = X[:RANK] + 0.1 * RANDOM.normal(size=(RANK, COLUMNS))
COUNTS = RANDOM.integers(1, 4, ROWS).astype(float)
VARIANCES = RANDOM.uniform(0.01, 2.0, ROWS)
SHARED = {"amplitude": [1.3], "noise_variance": [0.2]}
APART = {"amplitude": [1.3, 0.4], "noise_variance": [0.2, 0.9]}
CASES = {
    "uniform": (SHARED, np.ones(ROWS), None, False),
    "uniform, counts": (SHARED, COUNTS, None, False),
    "uniform, per output": (APART, COUNTS, None, False),
    "input-dependent": (SHARED, COUNTS, None, True),
    "input-dependent, per output": (APART, COUNTS, None, True),
    "known noise": (SHARED, COUNTS, VARIANCES, False),
    "known noise, input-dependent, per output": (APART, COUNTS, VARIANCES, True),
}


ON_HOST = 0.7 * Matern52(np.array([1.0, 1.5, 2.5])) + RBF(0.8)


def problem(case, dtype=float, kernel=ON_HOST):
    scale, weights, row_noise, input_dependent = CASES[case]
    kernel = with_precision(kernel, dtype)
    candidate, fixed = Candidate.of(kernel, *scale.values(), POINTS)
    data = Sample(X, Y, weights, row_noise)
    return *with_precision((candidate, fixed, data), dtype), input_dependent


def flat(tree):
    return np.asarray(ravel_pytree(tree)[0])


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_automatic_differentiation_gives(case):
    with jax.enable_x64(True):
        candidate, fixed, data, input_dependent = problem(case)
        loss, gradient = loss_and_gradient(candidate, fixed, data, input_dependent, True)
        twin, twin_gradient = differentiated(candidate, fixed, data, input_dependent)
        ours, other = flat(gradient), flat(twin_gradient)
        held = loss_and_gradient(candidate, fixed, data, input_dependent, False)[1]
    assert loss == pytest.approx(float(twin), rel=1e-12)
    np.testing.assert_allclose(ours, other, rtol=0, atol=1e-10 * np.abs(other).max())
    assert not np.any(held.inducing_points)
    np.testing.assert_allclose(held.log_noise_variance, gradient.log_noise_variance, rtol=1e-12)


def test_kernels_without_a_form_on_the_host_go_through_jax():
    kernel = RationalQuadratic(np.array([1.0, 1.5, 2.5])) * Matern52(2.0)
    assert has_host_form(with_precision(ON_HOST, float), X, POINTS)
    assert not has_host_form(with_precision(kernel, float), X, POINTS)
    assert not has_host_form(with_precision(ON_HOST, float), 1e150 * X, POINTS)  # squares overflow
    with jax.enable_x64(True):
        candidate, fixed, data, _ = problem("uniform", kernel=kernel)
        loss, gradient = loss_and_gradient(candidate, fixed, data, False, True)
        twin, twin_gradient = differentiated(candidate, fixed, data, False)
        ours, other = flat(gradient), flat(twin_gradient)
    assert loss == pytest.approx(float(twin), rel=1e-12)
    np.testing.assert_allclose(ours, other, rtol=0, atol=1e-10 * np.abs(other).max())


def _gram_and_slopes(kernel, points, slopes):
    twin, pull = jax.vjp(lambda k, Z: k.gram(X, Z), kernel, points)
    return twin, pull(slopes)


def test_every_form_on_the_host_is_its_kernel():
    """Matrix and slopes against JAX, also at points that coincide."""
    kernel = Constant(0.2) + RBF(1.1) + Matern12(np.array([0.7, 2.0, 1.3])) + 2.0 * Matern32(0.9)
    kernel = with_precision(kernel + 0.3 * Matern52(np.array([1.0, 3.0, 0.5])), float)
    points, slopes = np.concatenate([X[:3], POINTS]), RANDOM.normal(size=(ROWS, 3 + RANK))
    matrix, pull = gram_and_pull(kernel, X, points)
    ours, moved = pull(slopes, True)
    with jax.enable_x64(True):
        # Compiled as one: step by step every operation would be.
        twin, pulled = jax.jit(_gram_and_slopes)(kernel, points, slopes)
        theirs, moved_twin = pulled
        np.testing.assert_allclose(matrix, np.asarray(twin), rtol=0, atol=1e-13)
        np.testing.assert_allclose(flat(ours), flat(theirs), rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(moved, np.asarray(moved_twin), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("dtype", "shift", "bound"), [(float, 1e9, 1e-12), ("f", 1e4, 1e-5)])
def test_columns_far_apart_in_length_scales_do_not_drown_the_others(dtype, shift, bound):
    """A category learned as such: squares of its coordinates round by more than other distances."""
    category = RANDOM.integers(0, 3, ROWS)[:, None]
    inputs = np.hstack([X, shift * category]).astype(dtype)
    matrix, _ = gram_and_pull(with_precision(Matern52(), dtype), inputs, inputs)
    twin = Matern(nu=2.5)(X) * (category == category.T)
    np.testing.assert_allclose(matrix, twin, rtol=0, atol=bound)


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_finite_differences_give(case):
    with jax.enable_x64(True):
        candidate, fixed, data, input_dependent = problem(case)
        vector, unravel = ravel_pytree(candidate)
        gradient = loss_and_gradient(candidate, fixed, data, input_dependent, True)[1]
        gradient = flat(gradient)
        loss = lambda v: loss_and_gradient(unravel(v), fixed, data, input_dependent, True)[0]  # noqa: E731
        direction = np.random.default_rng(1).normal(size=vector.size)
        step = 1e-5
        slope = (loss(vector + step * direction) - loss(vector - step * direction)) / (2 * step)
    # A central difference is off by a step squared, and by rounding over a step.
    assert float(gradient @ direction) == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("case", ["uniform, per output", "input-dependent", "known noise"])
def test_single_precision_is_close_to_double(case):
    with jax.enable_x64(True):
        double = loss_and_gradient(*problem(case), True)
        single = loss_and_gradient(*problem(case, np.float32), True)
        ours, other = flat(single[1]), flat(double[1])
    assert single[0] == pytest.approx(double[0], rel=1e-5)
    # Rounding (6e-8) through the condition number of the inducing points' matrix.
    np.testing.assert_allclose(ours, other, rtol=0, atol=1e-3 * np.abs(other).max())
    assert not np.array_equal(ours, other)


@pytest.mark.parametrize("case", ["known noise", "known noise, input-dependent, per output"])
def test_known_noise_is_the_density_of_the_targets(case):
    """The evidence with every row as an inducing point is a multivariate normal's."""
    scale, _, row_noise, input_dependent = CASES[case]
    with jax.enable_x64(True):
        kernel = with_precision(Matern52(1.2), float)
        arguments = {k: np.array(v) for k, v in scale.items()}
        evidence = inducing_evidence(
            kernel,
            **arguments,
            inducing_points=X,
            X=X,
            y=Y,
            weights=np.ones(ROWS),
            row_noise=row_noise,
            input_dependent=input_dependent,
        )
        gram = np.asarray(kernel.gram(X, X))
        slopes = evidence_and_slopes(
            gram, gram, np.ones(ROWS), Y, np.ones(ROWS), **arguments, row_noise=row_noise
        )
    twin = 0.0
    for q in range(OUTPUTS):
        a, s = (np.resize(arguments[name], OUTPUTS)[q] for name in ("amplitude", "noise_variance"))
        covariance = a * gram + np.diag(s + row_noise)
        twin += multivariate_normal(np.zeros(ROWS), covariance).logpdf(Y[:, q])
    assert float(evidence) == pytest.approx(twin, rel=1e-9)
    assert slopes.evidence == pytest.approx(twin, rel=1e-9)


def test_a_count_is_that_many_rows():
    with jax.enable_x64(True):
        candidate, fixed, data, _ = problem("uniform, counts")
        repeat = lambda rows: np.repeat(rows, COUNTS.astype(int), axis=0)  # noqa: E731
        once = Sample(repeat(data.X), repeat(data.y), np.ones(int(COUNTS.sum())))
        for input_dependent in (False, True):
            loss, gradient = loss_and_gradient(candidate, fixed, data, input_dependent, True)
            twin, twin_gradient = loss_and_gradient(candidate, fixed, once, input_dependent, True)
            ours, other = flat(gradient), flat(twin_gradient)
            assert loss == pytest.approx(twin, rel=1e-12)
            np.testing.assert_allclose(ours, other, rtol=0, atol=1e-11)


def test_the_evidence_of_modes_is_that_of_their_theory_with_its_slopes():
    eigenvalues, coefficients = np.array([2.0, 0.7, 0.01]), RANDOM.normal(size=(3, OUTPUTS))
    units = np.zeros(OUTPUTS), np.ones(OUTPUTS)
    square = np.array([400.0, 500.0])
    modes = Modes(None, None, eigenvalues, 0.3, coefficients, square, *units, 50.0, "population")
    with jax.enable_x64(True):
        theory = lambda logs: modes.theory(*jnp.exp(logs)).log_evidence()  # noqa: E731
        twin, slopes = jax.value_and_grad(theory)(jnp.log(jnp.array([1.3, 0.2])))
    ours = evidence_of_modes(modes, 1.3, 0.2)
    assert ours[0] == pytest.approx(float(twin), rel=1e-12)
    np.testing.assert_allclose(ours[1], slopes, rtol=1e-11)


def test_where_no_factor_exists_the_evidence_is_undefined():
    square = -np.eye(RANK)
    gram = np.ones((ROWS, RANK))
    arguments = {k: np.array(v) for k, v in SHARED.items()}
    slopes = evidence_and_slopes(gram, square, np.ones(ROWS), Y, np.ones(ROWS), **arguments)
    assert np.isnan(slopes.evidence)
    assert not np.any(slopes.gram)
    with pytest.raises(ValueError, match=r"3 noise variances for 2 outputs"):
        evidence_and_slopes(
            gram, np.eye(RANK), np.ones(ROWS), Y, np.ones(ROWS), np.ones(3), np.ones(3)
        )


@pytest.mark.parametrize("case", CASES)
def test_rows_that_are_their_own_inducing_points_take_one_factorization(case):
    """The evidence of Gaussian-process regression and its slopes, as of inducing points in another
    order (which go the other way), but for the jitter."""
    with jax.enable_x64(True):
        candidate, fixed, data, input_dependent = problem(case)
        order = np.random.default_rng(1).permutation(ROWS)
        at_rows = dataclasses.replace(candidate, inducing_points=X)
        shuffled = dataclasses.replace(candidate, inducing_points=X[order])
        loss, gradient = loss_and_gradient(at_rows, fixed, data, input_dependent, False)
        twin, twin_gradient = loss_and_gradient(shuffled, fixed, data, input_dependent, False)
    assert loss == pytest.approx(twin, rel=1e-10)
    ours, other = flat(gradient), flat(twin_gradient)
    np.testing.assert_allclose(ours, other, rtol=0, atol=1e-9 * np.abs(other).max())
    assert np.any(other)
