"""Simulation of the averaged theory's model, and cross-validation: twins on single data sets, and
the theory within standard errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from threadpoolctl import threadpool_limits

from wilsonian import Matern52
from wilsonian.theory.datasets import Sign, VarianceCorrelated, regression_problem
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.cross_validation import gcv
from wilsonian.theory.learning_curves.simulate import Estimate, simulate

POINTS = 100
DRAWS = 90
NOISE = 0.1
RIDGES = np.array([0.0, 1e-3, 0.1, 3.0, 1000.0])
MODE = np.arange(1.0, 401)
POWER_LAW = MODE**-1.5
# Filled up with zeros to one length, so that one program is compiled for all.
SPECTRA = {
    "many modes": POWER_LAW,
    "few modes": np.where(MODE <= 65, POWER_LAW, 0.0),  # without a ridge, least squares
    "as many modes as points": np.where(MODE <= POINTS, 1.0, 0.0),  # the interpolation threshold
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Eigensolvers of small matrices: threads would only wait for each other, longer the busier
    the machine is."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def measured():
    """By name: the simulation, and the theory's record at the same ridges."""
    results = {}
    for name, eigenvalues in SPECTRA.items():
        # At the threshold the mean error without a ridge is infinite, and single data sets with
        # one of order 1 / n scatter as widely.
        ridges = np.maximum(RIDGES, 1.0) if name == "as many modes as points" else RIDGES
        simulation = simulate(
            eigenvalues, POINTS, ridges, noise_variance=NOISE, draws=DRAWS, random_state=1
        )
        curve = LearningCurve(eigenvalues, eigenvalues, NOISE)
        results[name] = simulation, curve.equivalent(POINTS, ridges), curve, ridges
    return results


def assert_measured(estimate, expected, gamma, sigmas=4.0):
    """`expected` within `sigmas` standard errors, and what the deterministic equivalent leaves out:
    corrections of order one over the number of points, amplified as a change of the ridge is, by
    1 / (1 - gamma)."""
    finite = 1.5 / (POINTS * (1 - np.asarray(gamma)))
    allowed = sigmas * estimate.standard_error + finite * np.abs(expected) + 1e-12
    assert np.all(np.abs(estimate.mean - expected) <= allowed), (estimate.mean, expected, allowed)


COLUMNS = [
    ("test_error", "test_error"),
    ("train_error", "train_error"),
    ("effective_ridge", "effective_ridge"),
    ("posterior_variance", "posterior_variance"),
    ("cross_validation", "label_error"),
]


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize(("column", "of_theory"), COLUMNS)
def test_the_theory_is_what_is_measured(measured, name, column, of_theory):
    simulation, theory, _, _ = measured[name]
    assert_measured(getattr(simulation, column), getattr(theory, of_theory), theory.overfitting)


@pytest.mark.parametrize("name", SPECTRA)
def test_cross_validation_sees_the_test_error(measured, name):
    """GCV on the very data sets, from ridgeless to heavy and at the interpolation threshold."""
    simulation, theory, _, ridges = measured[name]
    expected = simulation.test_error.mean + NOISE
    spread = np.hypot(
        simulation.cross_validation.standard_error, simulation.test_error.standard_error
    )
    both = Estimate(simulation.cross_validation.mean, spread)
    assert_measured(both, expected, theory.overfitting)
    # It estimates the error where the training error says nothing.
    light = ridges < 1
    assert np.all(theory.train_error[light] < 0.7 * theory.label_error[light])


@pytest.mark.parametrize("name", SPECTRA)
def test_modes_are_what_is_measured(measured, name):
    simulation, _, curve, ridges = measured[name]
    for estimate, expected in (
        (simulation.mode_mean, curve.mode_mean(POINTS, ridges)),
        (simulation.mode_variance, curve.mode_variance(POINTS, ridges)),
    ):
        assert estimate.mean.shape == (len(ridges), len(curve.eigenvalues))
        deviation = estimate.deviation(expected)[-3:, :60]  # of three different ridges
        assert np.sqrt(np.mean(deviation**2)) < 1.4
        assert np.max(np.abs(deviation)) < 6.5  # some hundred of them, variances skewed


def test_the_comparison_can_fail(measured):
    simulation, theory, curve, ridges = measured["many modes"]
    gamma = theory.overfitting
    quiet = LearningCurve(curve.eigenvalues, curve.target_power, 0.5 * NOISE)
    with pytest.raises(AssertionError):
        assert_measured(simulation.test_error, quiet.test_error(POINTS, ridges), gamma)
    with pytest.raises(AssertionError):
        assert_measured(simulation.test_error, curve.test_error(0.9 * POINTS, ridges), gamma)


@pytest.mark.parametrize("poisson", [False, True])
def test_a_draw_is_regression_on_that_data_set(poisson):
    """scikit-learn's kernel ridge and dense inverses on the same draws."""
    eigenvalues, coefficients = np.arange(1.0, 41) ** -1.2, np.linspace(1.0, -1.0, 40)
    ridges, draws = np.array([0.01, 2.0]), 3
    simulation = simulate(
        *(eigenvalues, 25, ridges),
        coefficients=coefficients,
        noise_variance=0.3,
        draws=draws,
        random_state=5,
        poisson=poisson,
    )
    sizes = np.full(draws, 25)
    if poisson:
        sizes = np.random.default_rng(5).poisson(25, draws)
    assert len(set(sizes)) == (3 if poisson else 1)
    rows = []
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(5), draws)
        for key, size in zip(keys, sizes, strict=True):
            problem = regression_problem(
                key, eigenvalues, int(sizes.max()), coefficients=coefficients, label_noise=0.3
            )
            features = np.asarray(problem.spectrum.modes)[:size]
            targets = np.asarray(problem.targets)[:size]
            gram = (features * eigenvalues) @ features.T
            for ridge in ridges:
                model = KernelRidge(alpha=ridge, kernel="precomputed").fit(gram, targets)
                fitted = eigenvalues * (features.T @ model.dual_coef_)
                inverse = np.linalg.inv(gram + ridge * np.eye(size))
                learned = (features * eigenvalues) @ (features * eigenvalues).T
                rows.append(
                    (
                        np.sum((fitted - coefficients) ** 2),
                        np.mean((gram @ model.dual_coef_ - targets) ** 2),
                        size / np.trace(inverse),
                        eigenvalues.sum() - np.trace(inverse @ learned),
                        size * np.sum((inverse @ targets) ** 2) / np.trace(inverse) ** 2,
                        fitted,
                    )
                )
    for place, name in enumerate(column for column, _ in COLUMNS):
        values = np.array([row[place] for row in rows]).reshape(draws, 2)
        estimate = getattr(simulation, name)
        np.testing.assert_allclose(estimate.mean, values.mean(axis=0), rtol=1e-9)
        error = values.std(axis=0, ddof=1) / np.sqrt(draws)
        np.testing.assert_allclose(estimate.standard_error, error, rtol=1e-7)
    fitted = np.array([row[5] for row in rows]).reshape(draws, 2, 40)
    np.testing.assert_allclose(simulation.mode_mean.mean, fitted.mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(
        simulation.mode_variance.mean, fitted.var(axis=0, ddof=1), rtol=1e-7, atol=1e-12
    )


def test_ridgeless_is_the_minimum_norm_interpolant():
    """NumPy's least squares, in features scaled by the kernel."""
    eigenvalues = np.arange(1.0, 41) ** -1.2
    simulation = simulate(eigenvalues, 25, [0.0, 1.0], draws=3, random_state=3)
    assert simulation.train_error.mean[0] == 0
    errors = []
    with jax.enable_x64(True):
        for key in jax.random.split(jax.random.key(3), 3):
            problem = regression_problem(key, eigenvalues, 25)
            scaled = np.asarray(problem.spectrum.modes) * np.sqrt(eigenvalues)
            fitted = np.linalg.lstsq(scaled, np.asarray(problem.targets), rcond=None)[0]
            errors.append(np.sum((np.sqrt(eigenvalues) * (fitted - 1)) ** 2))
    np.testing.assert_allclose(simulation.test_error.mean[0], np.mean(errors), rtol=1e-8)


def test_seeds_and_batches():
    eigenvalues, call = POWER_LAW[:40], {"noise_variance": 0.1, "draws": 3}
    first = simulate(eigenvalues, 25, [0.0, 0.1], random_state=0, **call)
    batched = simulate(eigenvalues, 25, [0.0, 0.1], random_state=0, at_once=2, **call)
    other = simulate(eigenvalues, 25, [0.0, 0.1], random_state=1, **call)
    for name in ("test_error", "mode_mean", "mode_variance"):
        left, right = getattr(first, name), getattr(batched, name)
        np.testing.assert_allclose(left.mean, right.mean, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(left.standard_error, right.standard_error, rtol=1e-6, atol=1e-8)
    assert np.all(first.test_error.mean != other.test_error.mean)


def test_independent_features_of_another_law():
    """The theory is universal over them, not over correlated variances."""
    ridges = np.array([1e-3, 0.1])
    theory = LearningCurve(POWER_LAW, POWER_LAW).equivalent(POINTS, ridges)
    simulation = simulate(POWER_LAW, POINTS, ridges, law=Sign(), draws=30)
    assert_measured(simulation.test_error, theory.test_error, theory.overfitting)


def test_correlated_variances_break_the_theory():
    law = VarianceCorrelated("step", unaffected=30)
    ridges = np.array([1e-3, 0.1])
    theory = LearningCurve(POWER_LAW, POWER_LAW).equivalent(POINTS, ridges)
    simulation = simulate(POWER_LAW, POINTS, ridges, law=law, draws=30)
    with pytest.raises(AssertionError):
        assert_measured(simulation.test_error, theory.test_error, theory.overfitting)


def test_estimates():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(400, 2))
    estimate = Estimate.of(values)
    np.testing.assert_allclose(estimate.standard_error, 2.0 / 20, rtol=0.1)
    assert np.all(np.abs(estimate.deviation(3.0)) < 4)
    np.testing.assert_allclose(estimate.deviation(estimate.mean), 0.0)
    assert Estimate(np.zeros(1), np.zeros(1)).deviation(0.0) == 0


# Cross-validation.


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    X = random.normal(size=(40, 3))
    y = np.sin(X[:, 0]) + 0.1 * random.normal(size=40)
    with jax.enable_x64(True):
        return X, y, np.asarray(Matern52(1.5)(jnp.asarray(X)))


def test_gcv_by_its_formula(data):
    X, y, gram = data
    ridges = np.array([[1e-3, 0.1], [1.0, 50.0]])
    result = gcv(gram, y, ridges)
    assert result.label_error.shape == (2, 2)
    for place, ridge in np.ndenumerate(ridges):
        inverse = np.linalg.inv(gram + ridge * np.eye(40))
        expected = np.mean((inverse @ y) ** 2) / (np.trace(inverse) / 40) ** 2
        np.testing.assert_allclose(result.label_error[place], expected, rtol=1e-9)
        np.testing.assert_allclose(result.kappa[place], 1 / np.trace(inverse), rtol=1e-10)
        np.testing.assert_allclose(result.effective_ridge[place], 40 / np.trace(inverse))
        residual = ridge * inverse @ y
        np.testing.assert_allclose(result.train_error[place], np.mean(residual**2), rtol=1e-9)
        freedom = np.trace(gram @ inverse)
        np.testing.assert_allclose(result.degrees_of_freedom[place], freedom, rtol=1e-9)
    by_kernel = gcv(Matern52(1.5), y, ridges, X=X)
    np.testing.assert_allclose(by_kernel.label_error, result.label_error, rtol=1e-10)
    both = gcv(gram, np.stack([y, 3 * y], axis=1), 0.1)
    np.testing.assert_allclose(both.label_error, 5 * gcv(gram, y, 0.1).label_error)


def test_gcv_is_near_leave_one_out(data):
    """Leave-one-out by its own formula; they differ by the spread of the leverages."""
    _, y, gram = data
    for ridge in (0.3, 3.0):
        inverse = np.linalg.inv(gram + ridge * np.eye(40))
        left_out = np.mean((inverse @ y / np.diagonal(inverse)) ** 2)
        np.testing.assert_allclose(gcv(gram, y, ridge).label_error, left_out, rtol=0.3)


def test_gcv_without_a_ridge(data):
    """The limit of small ridges, for full and for deficient rank."""
    _, y, gram = data
    random = np.random.default_rng(1)
    features = random.normal(size=(40, 7))
    for matrix, near in ((gram, 1e-9), (features @ features.T, 1e-9)):
        limit, close = gcv(matrix, y, 0.0), gcv(matrix, y, near)
        for name in ("label_error", "train_error", "kappa", "degrees_of_freedom"):
            left, right = getattr(limit, name), getattr(close, name)
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-8)
    residual = y - features @ np.linalg.lstsq(features, y, rcond=None)[0]
    np.testing.assert_allclose(
        gcv(features @ features.T, y, 0.0).label_error,
        np.mean(residual**2) / (1 - 7 / 40) ** 2,
        rtol=1e-9,
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: simulate([1.0, -1.0], 5, 0.1), "nonnegative"),
        (lambda: simulate([1.0, 2.0], 5, 0.1), "descending"),
        (lambda: simulate([1.0], 0, 0.1), "`n` must be positive"),
        (lambda: simulate([1.0], 2.5, 0.1), "whole number"),
        (lambda: simulate([1.0], 5, -0.1), "`ridge` must be"),
        (lambda: simulate([1.0], 5, 0.1, noise_variance=-1.0), "`noise_variance` is a variance"),
        (lambda: simulate([1.0], 5, 0.1, draws=1), "`draws` must be at least 2"),
        (lambda: simulate([1.0], 5, 0.1, coefficients=[1.0, 2.0]), "one number per mode"),
        (lambda: gcv(np.ones((2, 3)), [1, 2], 0.1), "square"),
        (lambda: gcv(np.eye(2), [1, 2, 3], 0.1), "one label per row"),
        (lambda: gcv(np.eye(2), [1, 2], -0.1), "`ridge` must be at least zero"),
        (lambda: gcv(np.full((2, 2), np.nan), [1, 2], 0.1), "NaN"),
        (lambda: gcv(np.diag([1.0, -1.0]), [1, 2], 0.1), "not positive semidefinite"),
        (lambda: gcv(Matern52(), [1, 2], 0.1), "`X` is missing"),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
