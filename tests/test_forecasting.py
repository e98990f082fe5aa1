"""The forecast against problems of known spectrum and noise, and its parts against twins."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from wilsonian import RBF, Linear
from wilsonian.theory.forecast import forecast
from wilsonian.theory.forecast.curve_shapes import FlooredPowerLaw, PowerLaw
from wilsonian.theory.forecast.curve_witness import CurveWitness
from wilsonian.theory.forecast.figure import plot_forecast
from wilsonian.theory.forecast.pooling import THEORY, Departures, LeftOut, Pool, leave_out
from wilsonian.theory.forecast.population_spectrum import population_spectrum
from wilsonian.theory.forecast.subsamples import MeasuredErrors, is_wrong, measure_subsamples
from wilsonian.theory.forecast.target_law import TargetPrior, _Posterior, fit_target_law
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum

MODES, NOISE = 300, 0.1
EIGENVALUES = np.arange(1.0, MODES + 1) ** -1.5


def draw(rows, random, eigenvalues=EIGENVALUES):
    """Inputs whose linear kernel has these eigenvalues in the population."""
    return random.standard_normal((rows, len(eigenvalues))) * np.sqrt(eigenvalues)


WEIGHTS = np.random.default_rng(0).choice([-1.0, 1.0], MODES)  # v_k^2 = lambda_k exactly


def labelled(rows, seed):
    """Inputs and labels of a matched target with noise; no draw depends on another."""
    random = np.random.default_rng(seed)
    X = draw(rows, random)
    return X, X @ WEIGHTS + np.sqrt(NOISE) * random.standard_normal(rows)


def truth(n, ridge):
    """Error of kernel ridge regression, of two draws: 2 % apart."""
    errors = []
    for seed in (30, 40):
        X, y = labelled(n, seed)
        X_test, y_test = labelled(2000, seed + 1)
        model = Ridge(alpha=ridge, fit_intercept=False, solver="cholesky").fit(X, y - y.mean())
        errors.append(np.mean((model.predict(X_test) + y.mean() - y_test) ** 2))
    return np.mean(errors)


@pytest.fixture(scope="module")
def found():
    X, y = labelled(300, 1)
    unlabelled, _ = labelled(300, 2)
    return X, y, unlabelled, forecast(X, y, Linear(), to=[300, 600, 2400], unlabelled=unlabelled)


def test_the_population_spectrum_has_no_bias():
    """Degrees of freedom of 250 points against the sums over the 2,000 modes they come from; the
    eigenvalues of the matrix over their number are off by four times as much and more."""
    eigenvalues = np.arange(1.0, 2001) ** -1.5
    random = np.random.default_rng(1)
    ours, plain = [], []
    kappas = np.geomspace(8e-4, 1e-2, 5)  # down to where 250 points show the spectrum
    exact = [np.sum((eigenvalues / (eigenvalues + k)) ** 2) for k in kappas]
    for _ in range(4):
        X = draw(250, random, eigenvalues)
        values = np.linalg.eigvalsh(X @ X.T)[::-1]
        found = population_spectrum(values)
        spectrum = found.spectrum
        np.testing.assert_allclose(spectrum.trace(), values.sum() / 250, rtol=1e-3)
        learned = [spectrum.eigenvalues / (spectrum.eigenvalues + k) for k in kappas]
        ours.append([share**2 @ spectrum.multiplicity for share in learned])
        plain.append([np.sum((values / 250 / (values / 250 + k)) ** 2) for k in kappas])
        assert 1.4 < found.tail_exponent < 1.75
    # Four draws of 250 points: their degrees of freedom spread by 1 to 2 %.
    np.testing.assert_allclose(np.mean(ours, axis=0), exact, rtol=0.02)
    assert np.max(np.abs(np.mean(plain, axis=0) / exact - 1)) > 0.05


def test_eigenvalues_at_their_ranks():
    X = draw(400, np.random.default_rng(2))
    found = population_spectrum(np.maximum(np.linalg.eigvalsh(X @ X.T)[::-1], 0.0))
    ranks = np.array([3, 10, 30, 100])
    # A mode's place among 160 bins, and sqrt(2 / 400) of sampling.
    np.testing.assert_allclose(found.eigenvalue_at(ranks), ranks**-1.5, rtol=0.3)


def test_too_few_modes_are_refused():
    with pytest.raises(ValueError, match="has rank 3"):
        population_spectrum(np.array([3.0, 2.0, 1.0, *np.zeros(50)]))


def test_subsamples_and_left_out_rows_against_explicit_fits():
    random = np.random.default_rng(3)
    X, y = random.standard_normal((30, 3)), random.standard_normal((30, 2))
    with jax.enable_x64(True):
        gram = np.asarray(RBF(2.0)(X))
    measured = measure_subsamples(gram, y, np.random.default_rng(0))
    assert measured.n.tolist() == [8, 10, 13, 18, 24, 30]
    ridge = measured.ridge[measured.best()[-1]]
    for row in (0, 17):
        kept = np.arange(30) != row
        model = KernelRidge(alpha=ridge, kernel="precomputed").fit(
            gram[np.ix_(kept, kept)], (y - y.mean(axis=0))[kept]
        )
        residual = (y - y.mean(axis=0))[row] - model.predict(gram[row, kept][None])[0]
        np.testing.assert_allclose(measured.residuals[row], residual, rtol=1e-9)
    # The first subsample of the first size, again.
    order = np.random.default_rng(0).permutation(30)
    errors = []
    again = np.random.default_rng(0)
    for _ in range(6):
        order = again.permutation(30)
        rows, others = order[:8], order[8:]
        model = KernelRidge(alpha=measured.ridge[2], kernel="precomputed")
        model.fit(gram[np.ix_(rows, rows)], y[rows] - y[rows].mean(axis=0))
        scores = model.predict(gram[np.ix_(others, rows)]) + y[rows].mean(axis=0)
        errors.append(np.mean((scores - y[others]) ** 2))
    np.testing.assert_allclose(measured.error[0, 2], np.mean(errors), rtol=1e-9)


def test_classes_are_read_by_sign_or_by_the_greatest_score():
    assert is_wrong(np.array([[0.2], [-0.1]]), np.array([[1.0], [1.0]])).tolist() == [False, True]
    scores = np.array([[0.1, 0.3, 0.2], [0.5, 0.1, 0.4]])
    assert is_wrong(scores, np.eye(3)[[1, 2]]).tolist() == [False, True]


@pytest.fixture(scope="module")
def posterior(found):
    X, y, unlabelled, _ = found
    everything = np.vstack([X, unlabelled])
    values, vectors = np.linalg.eigh(everything @ everything.T)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    population = population_spectrum(values)
    targets = (y - y.mean())[:, None]
    measured = measure_subsamples(X @ X.T, targets, np.random.default_rng(0))
    modes = np.sqrt(len(values)) * vectors[: len(X)]
    # A prior that is off: steeper than the truth's k^-1.5, and noise half as much again.
    prior = TargetPrior(np.arange(1.0, len(values) + 1) ** -1.8, 1.5 * NOISE / np.mean(targets**2))
    return population, modes, targets, measured, prior


def test_the_posterior_has_the_gradient_of_its_differences(posterior):
    theory = _Posterior.of(*posterior)
    random = np.random.default_rng(4)
    place = theory.start() + 0.1 * random.standard_normal(len(theory.start()))
    loss, slope = theory.loss_and_slope(place)
    assert loss == pytest.approx(theory.loss(place))
    steps = 1e-5 * np.eye(len(place))
    numeric = [(theory.loss(place + s) - theory.loss(place - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(slope, numeric, atol=1e-6 * np.max(np.abs(slope)))
    assert np.min(np.linalg.eigvalsh(theory.information(place))) > 0


def test_the_law_finds_power_and_noise(posterior):
    """The mean of the draws against the truth; total power by itself is known to sqrt(2 / 400)."""
    law = fit_target_law(*posterior, np.random.default_rng(0))
    assert law.effective_draws > 30
    power = law.power.sum(axis=1)
    assert np.quantile(power, 0.02) < np.sum(EIGENVALUES) < np.quantile(power, 0.98)
    assert np.quantile(law.noise_variance, 0.02) < NOISE < np.quantile(law.noise_variance, 0.98)


def test_the_forecast_holds_at_eight_times_the_pilot(found):
    *_, result = found
    table = result.table
    for place, n in enumerate(table.n):
        error = truth(int(n), table.ridge[place])
        assert table.error.lower[place] < error < table.error.upper[place]
        assert table.error.median[place] == pytest.approx(error, rel=0.25)
    assert np.all(np.diff(table.error.median) < 0)
    assert result.floor.lower < NOISE < result.floor.upper
    # And the band says something: it does not reach the error of knowing nothing.
    assert table.error.upper[-1] < 0.3 * result.variance


def test_the_gain_is_that_of_the_table(found):
    *_, result = found
    table = result.table  # at 300 and 600
    expected = 1 - table.error.median[1] / table.error.median[0]
    assert table.gain.median[0] == pytest.approx(expected, abs=0.02)


def test_the_ridge_is_the_best_in_expectation(found):
    *_, result = found
    n = result.table.n
    best = result.theory.label_error(n, result.table.ridge)
    for factor in (0.7, 1.4):
        assert np.all(result.theory.label_error(n, factor * result.table.ridge) > best)


def test_the_posterior_knows_no_units(posterior):
    """Targets ten times as large have a hundred times the power and the same share of noise: their
    density is another by the factor of a change of variables, the same everywhere."""
    population, modes, targets, measured, prior = posterior
    theory = _Posterior.of(*posterior)
    larger = dataclasses.replace(measured, error=100 * measured.error)
    other = _Posterior.of(population, modes, 10 * targets, larger, prior)
    shift = np.append(np.full(len(theory.start()) - 1, np.log(100)), 0.0)
    np.testing.assert_allclose(other.start(), theory.start() + shift, rtol=1e-12)
    random, factor = np.random.default_rng(5), theory.temper * targets.size * np.log(10)
    for _ in range(3):
        place = theory.start() + random.standard_normal(len(shift))
        assert other.loss(place + shift) - theory.loss(place) == pytest.approx(factor, rel=1e-9)
        # Had the noise units of its own, it would be another density.
        assert other.loss(place + shift + shift[0] * (shift == 0)) - theory.loss(place) != (
            pytest.approx(factor, rel=1e-3)
        )


def test_units_and_seeds(found):
    """Errors scale as the target's square; a constant added to it changes nothing; equal seeds
    give equal forecasts. At a ridge of the user's own."""
    X, y, unlabelled = found[0][:120], found[1][:120], found[2][:120]
    options = {"to": 640, "unlabelled": unlabelled, "ridge": 0.3}
    first = forecast(X, y, Linear(), random_state=5, **options).table
    again, other = (
        forecast(X, 10 * y - 3, Linear(), random_state=seed, **options).table.error
        for seed in (5, 6)
    )
    # Rounding may tip a few of the 200 resampled draws, here three, each of which moves the median
    # by a draw. Near it draws of a normal logarithm lie sqrt(2 pi) / 200 of its deviation apart.
    deviation = np.log(first.error.upper / first.error.lower) / (2 * 1.645)
    few = 3 * (2 * np.pi) ** 0.5 / 200 * deviation
    assert np.abs(np.log(again.median / (100 * first.error.median))) < few < 0.02
    assert np.abs(np.log(other.median / (100 * first.error.median))) > few
    assert first.ridge == [0.3]
    assert forecast(X, y, Linear(), random_state=5, **options).table.error.upper == (
        first.error.upper
    )


def test_draws_of_the_error_are_the_learning_curve(found):
    """Independent sums: the median draw's error against LearningCurve for a law of one draw."""
    *_, result = found
    nodes = result.theory.nodes
    curve = LearningCurve(
        BinnedSpectrum(nodes.eigenvalues[:-1], nodes.multiplicity[:-1], nodes.target_power[:-1]),
        noise_variance=result.theory.noise_variance,
    )
    error = curve.label_error(result.table.n, result.table.ridge)
    (theory,) = (one for one in result.witnesses if one.name == THEORY)
    # The mean law's error lies near the median of the draws, by far less than the band.
    np.testing.assert_allclose(theory.error.median, error, rtol=0.1)


def measured_as(curve):
    """Errors of a pilot of 400 that lie on a curve exactly."""
    n = np.array([50, 80, 130, 200, 320, 400])
    error = np.repeat(curve(n)[:, None], 2, axis=1)
    return MeasuredErrors(n, np.ones(2), error, np.nan * error, np.full(6, 0.02), np.ones((400, 1)))


def test_a_power_law_goes_on_as_it_began():
    """Also where its exponent is twice what the prior expects; and the law with a floor knows of
    one, which a power law cannot."""
    n = np.array([6400.0])
    power = measured_as(lambda n: 3 * n**-1.0)
    found = CurveWitness.of(PowerLaw, power).mean(n)
    # The prior pulls the exponent by a percent of itself, log 16 = 2.8 times that in the error.
    np.testing.assert_allclose(found, np.log(3 / n), atol=0.05)
    floored = measured_as(lambda n: 8 / n + 0.1)
    with_floor = np.exp(CurveWitness.of(FlooredPowerLaw, floored).mean(n))
    assert 0.07 < with_floor < 0.13
    assert np.exp(CurveWitness.of(PowerLaw, floored).mean(n)) < 0.06


def test_the_level_of_a_curve_is_integrated_out():
    """Posterior mean of the exponent against a quadrature over the level, too."""
    random = np.random.default_rng(11)
    measured = measured_as(lambda n: n**-0.6 * np.exp(0.05 * random.standard_normal(6)))
    place = np.log(measured.n / 400)
    slope, level = np.meshgrid(np.linspace(-3, 3, 801), np.linspace(-0.2, 0.2, 201), indexing="ij")
    line = np.log(measured.least()[-1]) + level[..., None]
    line = line - 0.5 * np.exp(0.8 * slope)[..., None] * place
    loss = 0.5 * np.sum((np.log(measured.least()) - line) ** 2, axis=2) / 0.03**2 + slope**2 / 2
    weight = np.exp(loss.min() - loss)
    exact = np.sum(weight * (line[..., -1] - 0.5 * np.exp(0.8 * slope) * np.log(16)))
    ours = CurveWitness.of(PowerLaw, measured).mean(np.array([6400.0]))
    np.testing.assert_allclose(ours, exact / weight.sum(), rtol=1e-6)


def test_a_pool_weighs_by_what_was_missed_and_errs_together():
    none = LeftOut(np.zeros((0, 4)), np.zeros(4), 100)
    np.testing.assert_allclose(none.weights(), [0.5, 0.25, 0.125, 0.125])
    # Twenty times the least miss there is: it counts 1 / (1 + 400) of what it did.
    missed = np.zeros((4, 4))
    missed[:, 0] = [1.0, -1.0, 1.0, -1.0]
    left = LeftOut(missed, np.zeros(4), 100)
    weights = left.weights()
    assert weights[0] / weights[1] == pytest.approx(2 / 401)
    np.testing.assert_allclose(left.root_mean_square(), [1, 0, 0, 0])
    random = np.random.default_rng(12)
    logs = random.standard_normal((2, 4000)) * np.array([[0.1], [0.4]])
    pool = Pool.of(np.array([0.75, 0.25]), logs, random)
    # Spreads add up, as of errors that go together, and not in squares (.125).
    assert np.std(pool.mix(logs[:, :, None])) == pytest.approx(0.175, rel=0.05)


def test_bands_widen_by_what_the_pool_missed():
    """Laws that depart by a random walk, of which four misses are known: bands hold nine walks in
    ten where laws are as bad as the prior says, more where they are three times better, and four in
    five where three times worse."""
    random, weights = np.random.default_rng(3), np.array([0.4, 0.3, 0.2, 0.1])
    prior = (5 / 125) ** 0.5
    walks = Departures.of(2000, random)
    band = np.quantile(walks.at(np.array([-1.0, 0.0, 1.0, 4.0])), 0.95, axis=0)
    np.testing.assert_allclose(band, [0, 0, 1.645, 3.29], rtol=0.01)
    for spread, least, most in (
        (prior / 3, 0.95, 1.0),
        (prior, 0.85, 0.92),
        (3 * prior, 0.7, 0.85),
    ):
        held = 0
        for _ in range(2000):
            missed = np.zeros((4, 4))
            missed[:, 0] = spread * random.standard_normal(4) / weights[0]
            left = LeftOut(missed, np.zeros(4), 125)
            departed = spread * random.standard_normal(4).sum()
            held += abs(departed) < left.law_error(weights) * band[-1]
        assert least < held / 2000 < most
    # The next step is of the same walks: a gain depends on it alone.
    step = walks.at(np.array([3.0]), more=True)
    assert step.std() == pytest.approx(2, rel=0.05)
    assert (step - walks.at(np.array([3.0]))).std() == pytest.approx(1, rel=0.01)
    # Misses of two witnesses that cancel are none of the pool's.
    opposed = LeftOut(np.array([[1.0, -1, 0, 0]] * 4), np.zeros(4), 10**9)
    assert opposed.law_error(np.array([0.5, 0.5, 0, 0])) < 1e-3 < opposed.law_error(np.eye(4)[0])


def test_left_out_rows_tell_a_right_theory_from_a_wrong_one(posterior, found):
    population, modes, targets, measured, prior = posterior
    X, _, _, result = found
    known = population, modes, X @ X.T, targets, prior, measured
    left = leave_out(*known, result.theory, np.random.default_rng(0))
    assert left.missed.shape == (4, 4)
    # The theory is exact here: what it misses is what 75 and 300 labels know of their error.
    assert left.root_mean_square()[0] < 0.5 * (2 / 75 + 2 / 300) ** 0.5 * 1.5
    noisy = eqx.tree_at(lambda theory: theory.noise_variance, result.theory, 5 * NOISE)
    wrong = leave_out(*known, noisy, np.random.default_rng(0))
    assert wrong.own[0] > 0.5
    assert wrong.weights()[0] < left.weights()[0] / 3
    np.testing.assert_array_equal(wrong.missed, left.missed)
    assert sum(one.weight for one in result.witnesses) == pytest.approx(1)


def test_noise_is_doubted():
    random = np.random.default_rng(6)
    X, y = draw(120, random), random.standard_normal(120)
    result = forecast(X, y, Linear(), to=[240])
    assert any("next to nothing" in doubt for doubt in result.diagnostics)
    assert result.table.error.lower[0] < 1.0 < result.table.error.upper[0]
    small = forecast(X[:40], y[:40], Linear(), to=[4000])
    assert any("pilot is small" in doubt for doubt in small.diagnostics)
    assert any("100 times the pilot" in doubt for doubt in small.diagnostics)


def test_a_clean_problem_is_not_doubted(found):
    *_, result = found
    assert result.diagnostics == ()


def test_classes_have_an_error_rate():
    random = np.random.default_rng(7)
    X = draw(120, random)
    labels = np.where(X[:, 0] + 0.3 * X[:, 1] > 0, "yes", "no")
    result = forecast(X, labels, Linear(), to=[120, 600])
    rate = result.table.error_rate
    assert result.task == "classification"
    measured = result.measured.least_wrong()
    assert rate.lower[0] <= measured[-1] <= rate.upper[0]
    # At five times the pilot, by classifying new rows as the forecast says.
    fresh = np.random.default_rng(70)
    wrong = []
    for _ in range(4):
        rows, new = draw(600, fresh), draw(4000, fresh)
        targets, truth = (np.where(x[:, 0] + 0.3 * x[:, 1] > 0, 1.0, -1.0) for x in (rows, new))
        model = KernelRidge(alpha=result.table.ridge[1], kernel="linear")
        scores = model.fit(rows, targets - targets.mean()).predict(new) + targets.mean()
        wrong.append(np.mean(np.sign(scores) != truth))
    assert rate.lower[1] < np.mean(wrong) < rate.upper[1]
    # And the band says something: guessing, or half of what was measured, is outside.
    assert not rate.lower[1] < np.mean(wrong) / 2 < rate.upper[1] < 0.2


def test_plots(found):
    from matplotlib.figure import Figure

    *_, result = found
    for scale in ("log", "linear"):
        ax = plot_forecast(Figure().add_subplot(), result, scale=scale)
        assert ax.get_xlabel() == "labelled rows"
    with pytest.raises(ValueError, match="no error rate"):
        plot_forecast(Figure().add_subplot(), result, quantity="error_rate")


X_SMALL, Y_SMALL = np.random.default_rng(8).standard_normal((2, 60, 4))
GOOD = {"X": X_SMALL, "y": Y_SMALL[:, 0], "to": [100]}
BAD = {
    "three points": ({"X": X_SMALL[:3], "y": Y_SMALL[:3, 0]}, "3 labels; a forecast needs"),
    "constant": ({"y": np.ones(60)}, "target is constant over the 60 labels"),
    "one class": ({"y": np.array(["a"] * 60)}, "one class only"),
    "every row a class": ({"y": np.arange(60).astype(str)}, "60 classes in 60 labels"),
    "smaller than the pilot": ({"to": [30]}, "asks for 30 samples and the pilot has 60"),
    "absurd size": ({"to": [1e12]}, "at most 1,000,000,000, got 1e"),
    "NaN size": ({"to": [np.nan]}, "got nan"),
    "no size": ({"to": []}, "got shape"),
    "lengths": ({"y": Y_SMALL[:50, 0]}, "60 rows and `y` 50"),
    "NaN target": ({"y": np.full(60, np.nan)}, "pass rows without a label as `unlabelled`"),
    "NaN input": ({"X": np.full((60, 4), np.nan)}, "`X` holds NaN"),
    "flat input": ({"X": X_SMALL[:, 0]}, r"must have shape \(points, columns\)"),
    "columns": ({"unlabelled": X_SMALL[:, :2]}, "`unlabelled` has 2 columns and `X` 4"),
    "task": ({"task": "guess"}, "auto, regression or classification"),
    "ridge": ({"ridge": -1.0}, "`ridge` must be at least zero"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence(name):
    change, sentence = BAD[name]
    with pytest.raises(ValueError, match=sentence):
        forecast(**(GOOD | {"kernel": RBF(2.0)} | change))


def test_the_record_is_frozen(found):
    *_, result = found
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.labels = 3
