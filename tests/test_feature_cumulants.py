"""Cumulants, conditional expectations, the ridge as a function of kept features, and their flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from wilsonian import (
    RankCutoff,
    ReducedGPRegressor,
    SmoothCutoff,
    Spectrum,
    coarse_grain,
    flow,
    spectrum_at,
)
from wilsonian.theory.datasets import (
    Gaussian,
    Laplace,
    Sign,
    StudentT,
    VarianceCorrelated,
    power_law,
)
from wilsonian.theory.non_gaussian.cumulants import (
    conditional_expectation,
    conditional_moments,
    hermite_basis,
    joint_cumulant,
)
from wilsonian.theory.non_gaussian.diagnostics import diagnose_features, error_shift
from wilsonian.theory.non_gaussian.input_dependent import (
    ReweightedTheory,
    RidgeField,
    conditional_ridge,
    effective_target,
)

pytestmark = pytest.mark.double_precision

POINTS, MODES, KEPT = 4000, 40, 4
LAWS = {
    "linear": VarianceCorrelated("linear", 0.5, KEPT),
    "log-normal": VarianceCorrelated("log-normal", unaffected=KEPT),
    "step": VarianceCorrelated("step", unaffected=KEPT),
}


@pytest.fixture(scope="module")
def spectra():
    draws = {name: law.draw(jax.random.key(2), POINTS, MODES) for name, law in LAWS.items()}
    return {name: Spectrum.of(power_law(MODES, 0.5), modes) for name, modes in draws.items()}


def assert_within(value, expected, error, sigmas=5.0):
    """Within standard errors; five, because many numbers are compared."""
    distance = np.abs(np.asarray(value) - np.asarray(expected)) / np.asarray(error)
    assert np.all(distance < sigmas), distance.max()


# Cumulants.


def test_cumulants_are_those_of_scipy():
    x = np.random.default_rng(0).exponential(size=500) + 3
    for order, exact in ((2, 1.0), (3, 2.0), (4, 6.0)):
        found = joint_cumulant(*[x] * order)
        # The unbiased k-statistic differs by a relative part of order 1/N.
        np.testing.assert_allclose(found.value, scipy.stats.kstat(x, order), rtol=0.03)
        assert_within(found.value, exact, found.standard_error)


def test_standard_errors_of_cumulants_are_their_spread():
    """Over 400 samples of 300: a spread is known to 3.5 %, and the errors fluctuate, too."""
    random = np.random.default_rng(1)
    z = random.exponential(size=(300, 400)) - 1
    g = random.normal(size=(300, 400)) * np.sqrt(1 + 0.5 * z)
    for parts in ((g, g, z), (g, g, z, z)):
        found = joint_cumulant(*parts)
        errors = np.sqrt(np.mean(np.asarray(found.standard_error) ** 2))
        np.testing.assert_allclose(np.std(np.asarray(found.value)), errors, rtol=0.15)
        # Independent shuffles of the factors have no joint cumulant.
        nothing = joint_cumulant(*parts[:-1], random.permuted(parts[-1], axis=0))
        assert abs(np.mean(np.asarray(nothing.value))) < 0.1 * abs(np.mean(np.asarray(found.value)))


@pytest.mark.parametrize(("name", "third", "fourth"), [("linear", 0, 1), ("log-normal", 1, 1)])
def test_cumulants_of_correlated_variances(spectra, name, third, fourth):
    """E[S z] and E[S (z^2 - 1)]: 0 and 2 a; 1 and 1."""
    modes = spectra[name].modes
    lost, first = modes[:, KEPT:, None], modes[:, None, :KEPT]
    expected = np.zeros(KEPT)
    expected[0] = third
    found = joint_cumulant(lost, lost, first)
    assert_within(found.value, np.tile(expected, (MODES - KEPT, 1)), found.standard_error)
    expected[0] = fourth
    found = joint_cumulant(lost, lost, first, first)
    assert_within(found.value, np.tile(expected, (MODES - KEPT, 1)), found.standard_error)


# Conditional expectations.


def test_the_basis_is_orthonormal_for_gaussian_features():
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    basis = np.asarray(hermite_basis(jnp.asarray(grid), 2))
    np.testing.assert_allclose((basis.T * weights) @ basis, np.eye(6), atol=1e-12)


def test_edgeworth_coefficients_are_the_cumulants(spectra):
    modes = spectra["log-normal"].modes
    found = conditional_expectation(modes[:, 10:12] ** 2, modes[:, :2], method="edgeworth")
    # The features are standardized on the sample, exactly; those of cumulants are not.
    standard = (modes[:, :2] - found.center) @ found.whitening
    lost = modes[:, 10:12, None] - jnp.mean(modes[:, 10:12, None], axis=0)
    third = joint_cumulant(lost, lost, standard[:, None, :]).value
    np.testing.assert_allclose(found.coefficients[1:3].T, third, atol=0.02)
    raw = jnp.mean(modes[:, 10:12] ** 2, axis=0)
    diagonal = jnp.mean(modes[:, 10:12, None] ** 2 * (standard**2 - 1)[:, None], axis=0) / 2**0.5
    np.testing.assert_allclose(found.coefficients[0], raw)
    np.testing.assert_allclose(found.coefficients[np.array([3, 5])].T, diagonal)


@pytest.mark.parametrize("method", ["edgeworth", "regression"])
def test_conditional_squares_of_the_linear_law(spectra, method):
    """Of degree two, so both estimators see all of it."""
    modes = spectra["linear"].modes
    found = conditional_expectation(modes[:, KEPT : KEPT + 5] ** 2, modes[:, :KEPT], method=method)
    at = jnp.zeros((3, KEPT)).at[:, 0].set(jnp.array([-1.0, 0.5, 2.0])).at[2, 1].set(1.0)
    expected = 1 + 0.5 * (at[:, :1] ** 2 - 1)
    error = found.standard_error(at)
    assert_within(found(at), np.tile(expected, 5), error)
    assert jnp.max(error) < 0.6
    with pytest.raises(AssertionError):
        assert_within(1.2 * found(at), np.tile(expected, 5), 0.2 * error)


@pytest.mark.parametrize("method", ["edgeworth", "regression"])
def test_standard_errors_of_expectations_are_their_spread(method):
    """Over 200 samples of 500 points; a spread is known to 5 %."""
    random = np.random.default_rng(4)
    z = random.normal(size=(200, 500))
    values = (random.normal(size=z.shape) ** 2) * (1 + 0.5 * (z**2 - 1))
    at = jnp.array([[-1.5], [0.3]])
    found = [
        conditional_expectation(jnp.asarray(v)[:, None], jnp.asarray(x)[:, None], method=method)
        for v, x in zip(values, z, strict=True)
    ]
    spread = np.std([f(at) for f in found], axis=0, ddof=1)
    stated = np.sqrt(np.mean([f.standard_error(at) ** 2 for f in found], axis=0))
    np.testing.assert_allclose(spread, stated, rtol=0.25)


def test_regression_handles_features_that_are_not_gaussian():
    """Signs and a constant: no Hermite polynomials, fewer of them than columns."""
    random = np.random.default_rng(5)
    sign = random.choice([-1.0, 1.0], size=2000)
    kept = jnp.asarray(np.stack([np.ones(2000), sign, random.normal(size=2000)], axis=1))
    values = jnp.asarray(2 + sign + 0.5 * kept[:, 2] + 0.1 * random.normal(size=2000))[:, None]
    found = conditional_expectation(values, kept)
    assert found.whitening.shape == (3, 2)
    at = jnp.array([[1.0, 1.0, 0.0], [1.0, -1.0, 2.0]])
    assert_within(found(at)[:, 0], [3.0, 2.0], found.standard_error(at)[:, 0])


# The ridge as a function of kept features.


def test_conditional_ridge_is_the_conditional_variance(spectra):
    for name, variance in (("linear", lambda z: 1 + 0.5 * (z**2 - 1)), ("step", None)):
        spectrum = spectra[name]
        ridge = conditional_ridge(spectrum, KEPT, 0.3, features=2)
        left = float(jnp.sum(spectrum.eigenvalues[KEPT:]))
        at = jnp.array([[-1.0, 0.0], [1.5, 1.0]])
        if variance is not None:
            expected = 0.3 + left * variance(at[:, 0])
            assert_within(ridge(at), expected, ridge.standard_error(at))
        else:
            assert ridge(jnp.array([[-5.0, 0.0]]))[0] == 0.3  # a line through a step goes below
            assert ridge(jnp.array([[1.0, 0.0]]))[0] > 0.3 + left
        # Least squares keep the mean where nothing is floored.
        local = 0.3 + spectrum.modes[:, KEPT:] ** 2 @ spectrum.eigenvalues[KEPT:]
        fitted = 0.3 + ridge.lost(spectrum.modes[:, :2])[:, 0]
        np.testing.assert_allclose(jnp.mean(fitted), jnp.mean(local), rtol=1e-12)


def test_the_ridge_adds_up_from_the_conditional_squares(spectra):
    """By both estimators, which are linear; and conditional means vanish in these laws."""
    spectrum = spectra["linear"]
    for method in ("regression", "edgeworth"):
        ridge = conditional_ridge(spectrum, KEPT, 0.3, features=2, method=method)
        moments = conditional_moments(spectrum.modes, KEPT, features=2, method=method)
        at = spectrum.modes[:300, :2]
        total = moments.square(at) @ np.asarray(spectrum.eigenvalues[KEPT:])
        np.testing.assert_allclose(ridge(at), 0.3 + np.maximum(total, 0), rtol=1e-10)
        assert_within(moments.mean(at[:5]), 0.0, moments.mean.standard_error(at[:5]))


@pytest.mark.parametrize("name", LAWS)
def test_the_flow_of_the_ridge_obeys_its_laws(spectra, name):
    field = RidgeField.of(spectra[name], 0.3, features=3)
    whole = coarse_grain(field, RankCutoff(MODES))
    np.testing.assert_allclose(whole.values, field.values, rtol=1e-12)
    np.testing.assert_allclose(field.values, 0.3)
    once = coarse_grain(field, RankCutoff(2))
    again = coarse_grain(once, RankCutoff(2))
    np.testing.assert_allclose(again.values, once.values, rtol=1e-10)
    steps = coarse_grain(coarse_grain(field, RankCutoff(20)), RankCutoff(3))
    twice = coarse_grain(steps, RankCutoff(2))
    np.testing.assert_allclose(twice.values, once.values, rtol=1e-10)
    # And with the estimate in one step; its floor is never reached in the linear law.
    if name == "linear":
        twin = conditional_ridge(spectra[name], 2, 0.3)(spectra[name].modes[:, :2])
        np.testing.assert_allclose(once.values, twin, rtol=1e-9)
    # Once the feature that sets the variances is lost, the ridge is uniform, and the mean stays.
    none = coarse_grain(once, RankCutoff(0))
    expected = 0.3 + jnp.mean(spectra[name].modes ** 2 @ spectra[name].eigenvalues)
    np.testing.assert_allclose(none.values, expected, rtol=1e-10)
    smooth = coarse_grain(coarse_grain(field, SmoothCutoff(0.01, 0.5)), SmoothCutoff(0.1, 0.5))
    direct = coarse_grain(field, SmoothCutoff(0.1, 0.5))
    np.testing.assert_allclose(smooth.values, direct.values, rtol=1e-10)


def test_a_step_without_the_expectation_is_another(spectra):
    """The check of the laws can fail: forgetting to marginalize the lost feature."""
    field = RidgeField.of(spectra["linear"], 0.3, features=3)
    stopped = coarse_grain(field, RankCutoff(1))
    forgetful = stopped.values + stopped.spectrum.weighted(stopped.weights).diagonal()
    assert jnp.std(forgetful) > 0.1
    assert jnp.std(coarse_grain(stopped, RankCutoff(0)).values) < 1e-10


def test_the_flow_records_mean_and_spread(spectra):
    spectrum = spectra["linear"]
    field = RidgeField.of(spectrum, 0.3, features=3)
    record = flow(field, RankCutoff(jnp.array([MODES, 10, 1, 0])))
    np.testing.assert_array_equal(record.kept, [MODES, 10, 1, 0])
    for k, rank in enumerate((MODES, 10, 1, 0)):
        values = coarse_grain(field, RankCutoff(rank)).values
        np.testing.assert_allclose(record.mean[k], jnp.mean(values), rtol=1e-12)
        np.testing.assert_allclose(
            record.spread[k], jnp.std(values) / jnp.mean(values), rtol=1e-6, atol=1e-12
        )
    # More variance is lost, and more of it depends on the first feature, until that is lost.
    deviation = record.spread * record.mean
    assert deviation[0] < deviation[1] < deviation[2]
    assert record.spread[3] < 1e-10
    assert jnp.all(jnp.diff(record.mean) > 0)


# Reweighting.


@pytest.fixture(scope="module")
def reweighted(spectra):
    modes = spectra["step"].modes.at[:, 1].set(1.0)  # a constant mode mixes with the first
    spectrum = Spectrum.of(spectra["step"].eigenvalues, modes)
    ridge = 0.05 + spectrum.modes[:, 10:] ** 2 @ spectrum.eigenvalues[10:]
    target = spectrum.modes[:, :10] @ jnp.arange(1.0, 11.0)
    return ReweightedTheory.of(spectrum, 10, ridge, target, 200.0)


def test_a_reweighted_loss_is_the_kernel_diagonalized_in_the_reweighted_measure(reweighted):
    coefficients = reweighted.coefficients()
    anew = reweighted.rediagonalized()
    weights = reweighted.point_weights()
    gram = (anew.modes * weights[:, None]).T @ anew.modes / POINTS
    np.testing.assert_allclose(gram, np.eye(10), atol=1e-10)
    ridge = reweighted.mean_ridge()
    learned = anew.eigenvalues / (anew.eigenvalues + ridge / 200.0)
    projected = anew.modes.T @ (weights * reweighted.target) / POINTS
    np.testing.assert_allclose(
        anew.modes @ (learned * projected), reweighted.modes @ coefficients, rtol=1e-9, atol=1e-10
    )
    # The kernel is the same one.
    np.testing.assert_allclose(
        (anew.modes[:5] * anew.eigenvalues) @ anew.modes[:5].T,
        (reweighted.modes[:5] * reweighted.eigenvalues) @ reweighted.modes[:5].T,
        atol=1e-10,
    )
    # Against the formula, and against weighted ridge regression on all points.
    W, Y = np.asarray(reweighted.weight_matrix()), np.arange(1.0, 11.0)
    prior = np.diag(1 / np.asarray(reweighted.eigenvalues))
    np.testing.assert_allclose(coefficients, np.linalg.solve(prior + 200 * W, 200 * W @ Y))
    rows = np.sqrt(200.0 / POINTS / np.asarray(reweighted.ridge))
    stacked = np.vstack([np.asarray(reweighted.modes) * rows[:, None], np.sqrt(prior)])
    labels = np.concatenate([np.asarray(reweighted.target) * rows, np.zeros(10)])
    np.testing.assert_allclose(coefficients, np.linalg.lstsq(stacked, labels, rcond=None)[0])
    # Modes mix: a uniform ridge would not.
    assert np.max(np.abs(W - np.diag(np.diag(W)))) > 0.05 * np.max(np.diag(W))


def test_a_uniform_ridge_does_not_mix_modes(spectra):
    spectrum = spectra["linear"]
    orthonormal = jnp.linalg.qr(spectrum.modes[:, :6])[0] * POINTS**0.5
    spectrum = Spectrum.of(spectrum.eigenvalues[:6], orthonormal)
    theory = ReweightedTheory.of(
        spectrum, 6, jnp.full(POINTS, 0.4), orthonormal @ jnp.ones(6), 50.0
    )
    learned = 50 * spectrum.eigenvalues / (50 * spectrum.eigenvalues + 0.4)
    np.testing.assert_allclose(theory.coefficients(), learned, rtol=1e-10)
    np.testing.assert_allclose(theory.rediagonalized().eigenvalues, spectrum.eigenvalues)


def test_the_effective_target_knows_conditional_means():
    """phi_q = a (phi_1^2 - 1) / sqrt 2 + sqrt(1 - a^2) g: uncorrelated with phi_1, not independent
    of it."""
    random = np.random.default_rng(6)
    g, a = random.normal(size=(20_000, 3)), 0.8
    third = a * (g[:, 0] ** 2 - 1) / 2**0.5 + (1 - a**2) ** 0.5 * g[:, 2]
    spectrum = Spectrum.of(power_law(3, 0.5), jnp.asarray(np.column_stack([g[:, :2], third])))
    coefficients = jnp.array([1.0, 0.5, 2.0])
    found = effective_target(spectrum, coefficients, 2)
    expected = g[:, 0] + 0.5 * g[:, 1] + 2 * a * (g[:, 0] ** 2 - 1) / 2**0.5
    # Six coefficients, each with an error of 2 * .6 / sqrt(20,000), times polynomials of size 2.
    assert np.sqrt(np.mean((np.asarray(found.values) - expected) ** 2)) < 3 * 1.2 * (6 / 2e4) ** 0.5
    np.testing.assert_allclose(jnp.mean(found.noise_variance), 4 * (1 - a**2), rtol=0.05)
    assert jnp.std(found.noise_variance) < 0.1
    # kappa_{q11} / 2 (phi_1^2 - 1) is the same function.
    cumulant = joint_cumulant(third, g[:, 0], g[:, 0])
    assert_within(cumulant.value, 2**0.5 * a, cumulant.standard_error)
    # Regressing on the kept part of the target alone misses it.
    plain = g[:, 0] + 0.5 * g[:, 1]
    assert np.std(np.asarray(found.values) - plain) > 1


# Diagnosis.


@pytest.mark.parametrize("law", [Gaussian(), Sign(), Laplace(), StudentT(5.0)], ids=repr)
def test_independent_features_are_harmless_whatever_their_kurtosis(law):
    spectrum = Spectrum.of(power_law(200, 0.5), law.draw(jax.random.key(5), 1000, 200))
    found = diagnose_features(spectrum, 10, 0.05)
    assert not found.matters
    assert abs(found.significance) < 4
    assert found.sentence().startswith("A uniform ridge is right")
    kurtosis = {"Gaussian": 0.0, "Sign": -2.0, "Laplace": 3.0, "StudentT": 6.0}[type(law).__name__]
    assert abs(found.kurtosis - kurtosis) < 0.2 + 0.4 * max(kurtosis, 0)


@pytest.mark.parametrize("variance", ["linear", "log-normal", "step", "hidden"])
def test_correlated_variances_are_harmful(variance):
    law = VarianceCorrelated(variance, 0.6, 10)
    spectrum = Spectrum.of(power_law(200, 0.5), law.draw(jax.random.key(5), 2000, 200))
    found = diagnose_features(spectrum, 10, 0.05)
    assert found.matters
    assert found.sentence().startswith("Use an input-dependent ridge")
    relative = {"linear": 0.72, "log-normal": np.e - 1, "step": 0.81, "hidden": np.e - 1}[variance]
    share = float(jnp.sum(spectrum.eigenvalues[10:])) / found.ridge
    if variance in ("linear", "step"):  # the sampling error of the others is itself uncertain
        assert_within(found.collective, relative * share**2, found.collective_error)
    assert (found.explained > 10 * found.explained_error) == (variance != "hidden")
    assert found.weight_shift > 0.05
    whole = diagnose_features(spectrum, 10, 0.05, threshold=10.0)
    assert not whole.matters
    assert whole.sentence().startswith("A uniform ridge is nearly right")


def test_a_fitted_estimator_is_diagnosed_at_rows_of_its_inputs():
    """The modes at the training rows are orthonormal, and with the tail they are the kernel."""
    X = np.random.default_rng(9).standard_normal((200, 2))
    gp = ReducedGPRegressor("rbf", rank=20, optimizer=None, random_state=0).fit(X, X[:, 0])
    spectrum = spectrum_at(gp, X)
    # In single precision, over 200 rows.
    overlap = np.asarray(spectrum.modes.T @ spectrum.modes) / 200
    np.testing.assert_allclose(overlap, np.eye(20), atol=1e-5)
    assert float(spectrum.trace()) == pytest.approx(
        float(np.mean(gp.amplitude_)) * float(np.var(X[:, 0])), rel=1e-5
    )
    assert float(spectrum.tail.mean()) == pytest.approx(gp.spectrum_.tail, rel=1e-3)
    found = diagnose_features(spectrum, 5, float(gp.noise_variance_))
    assert found.points == 200
    with pytest.raises(ValueError, match=r"SpectrumRecord does not; .* wilsonian.spectrum_at"):
        diagnose_features(gp.spectrum_, 5, 0.1)


def test_the_shift_of_the_error_is_the_consequence():
    """The step law: uniform theory errs twofold here, more in `benchmarks/non_gaussian.py`."""
    eigenvalues = power_law(200, 0.5)
    target = jnp.where(jnp.arange(200) < 10, eigenvalues**0.5, 0.0)
    shifts = {
        name: error_shift(
            Spectrum.of(eigenvalues, law.draw(jax.random.key(8), 2000, 200)),
            *(1, 0.01, 200, target),
        )
        for name, law in (("none", Laplace()), ("step", VarianceCorrelated("step", unaffected=10)))
    }
    # Fluctuations of single features and of the pool: of order 1/n, and of the root of 2/2000.
    assert abs(shifts["none"]) < 0.1
    assert shifts["step"] < -0.4


def test_the_null_of_the_diagnosis_is_that_of_permutations():
    """The stated variance is exact over permutations: 300 of them know it to 8 %."""
    modes = np.asarray(StudentT(9.0).draw(jax.random.key(6), 200, 30))
    eigenvalues = power_law(30, 0.5)
    found = diagnose_features(Spectrum.of(eigenvalues, jnp.asarray(modes)), 2, 0.05)
    random = np.random.default_rng(7)
    parts = modes[:, 2:] ** 2 * np.asarray(eigenvalues[2:]) / found.ridge
    alone = parts.var(axis=0, ddof=1).sum()
    shuffled = [random.permuted(parts, axis=0).sum(axis=1).var(ddof=1) - alone for _ in range(300)]
    assert abs(np.mean(shuffled)) < 4 * found.null_error / 300**0.5
    np.testing.assert_allclose(np.std(shuffled), found.null_error, rtol=0.25)


# What is refused.


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda s: joint_cumulant(jnp.ones(3)), r"two to four features, got 1"),
        (lambda s: joint_cumulant(jnp.ones(3), jnp.ones(4)), r"share a first axis"),
        (
            lambda s: conditional_expectation(jnp.ones((9, 1)), jnp.ones((8, 1))),
            r"one row per point",
        ),
        (
            lambda s: conditional_expectation(s.modes[:50], s.modes[:50, :9]),
            r"50 points are too few for the 55 polynomials",
        ),
        (
            lambda s: conditional_expectation(s.modes, s.modes, method="kernel"),
            r"'regression' or 'edgeworth', got 'kernel'",
        ),
        (lambda s: conditional_expectation(s.modes, s.modes, degree=3), r"1 or 2, got 3"),
        (
            lambda s: conditional_expectation(s.modes.at[0, 0].set(jnp.nan), s.modes[:, :2]),
            r"1 values that are NaN",
        ),
        (
            lambda s: conditional_expectation(s.modes, s.modes[:, :2])(s.modes),
            r"one column for each of the 2 features",
        ),
        (lambda s: conditional_moments(s.modes, 40), r"got features=40, kept=40 and"),
        (lambda s: conditional_ridge(s, 5, 0.1, features=6), r"got features=6, kept=5"),
        (lambda s: effective_target(s, jnp.ones(3), 2), r"one number for each of the 40 modes"),
        (lambda s: RidgeField.of(s, 0.1, features=0), r"do not carry"),
        (
            lambda s: ReweightedTheory.of(s, 41, jnp.ones(POINTS), jnp.ones(POINTS), 9),
            r"between 1 and the 40 modes, got 41",
        ),
        (
            lambda s: ReweightedTheory.of(s, 4, jnp.ones(3), jnp.ones(POINTS), 9),
            r"one value for each of the 4000 points",
        ),
        (lambda s: diagnose_features(s, 40, 0.1), r"`kept` must lie between 0 and 39, got 40"),
        (lambda s: diagnose_features(s, 4, 0.0), r"`ridge` must be positive"),
        (
            lambda s: diagnose_features(Spectrum.of(jnp.ones(2), jnp.ones((9, 2))), 1, 0.1),
            r"9 points are too few",
        ),
    ],
)
def test_impossible_arguments_get_their_sentence(call, sentence, spectra):
    with pytest.raises(ValueError, match=sentence):
        call(spectra["linear"])
