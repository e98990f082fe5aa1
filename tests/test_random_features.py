"""Random features: closed forms, limits, laws, and regression on drawn features.

The table of docs/science/random-features.md is in `benchmarks/random_features.py`, with the
variants that are simulated there at three sizes and here at a small one.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers import assert_close, load_benchmark
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from wilsonian import AveragedTheory, SharpCutoff, coarse_grain
from wilsonian.theory.random_features import Population
from wilsonian.theory.random_features.models import (
    AnisotropicRandomFeatures,
    DeepRandomFeatures,
    LinearRandomFeatures,
    NonlinearRandomFeatures,
    ProjectedRandomFeatures,
    activation_coefficients,
)
from wilsonian.theory.random_features.plots import plot_error_parts, plot_phase_diagram
from wilsonian.theory.random_features.scaling_regimes import (
    REGIMES,
    scaling_exponent,
    scaling_regimes,
)
from wilsonian.theory.random_features.simulation import random_feature_simulation

benchmark = load_benchmark("random_features")
INPUTS = 30
EIGENVALUES = np.arange(1.0, INPUTS + 1) ** -1.3
POWER = EIGENVALUES * np.arange(1.0, INPUTS + 1) ** -0.6
POPULATION = Population.of(EIGENVALUES, POWER, 0.05)
VARIANTS = {
    "linear": LinearRandomFeatures(POPULATION, 20),
    "feature noise": LinearRandomFeatures(POPULATION, 20, 0.3),
    "deep": DeepRandomFeatures(POPULATION, (40, 25, 30)),
    "deep, noisy": DeepRandomFeatures(POPULATION, (40, 25), 0.2),
    "projected": ProjectedRandomFeatures(POPULATION, 20),
    "projected, noisy": ProjectedRandomFeatures(POPULATION, 20, 0.2),
    "anisotropic": AnisotropicRandomFeatures(
        POPULATION, np.linspace(0.5, 1.5, INPUTS), np.linspace(0.2, 1.8, 20)
    ),
    "nonlinear": NonlinearRandomFeatures(POPULATION, 20, jax.nn.relu),
}
each_variant = pytest.mark.parametrize("name", VARIANTS)


# docs/science/random-features.md, sections 1 and 2.


@pytest.mark.parametrize("row", benchmark.PRINTED, ids=lambda row: "-".join(map(str, row[:3])))
def test_the_printed_table_to_all_digits(row):
    for value, printed in zip(benchmark.printed_theory(*row[:3]), row[3], strict=True):
        digits = len(printed.partition(".")[2])
        assert abs(value - float(printed)) <= 0.5000001 * 10.0**-digits, (value, printed)


def closed_form(eigenvalues, power, noise, samples, width, ridge):
    """docs/science/random-features.md, sections 1 and 2, for linear features, the ridge by Brent's
    method; `ridge` is lambda. Test error, bias, bias + V_F, bias + V_X, training error."""

    def kappas(log_value):
        value = np.exp(log_value)
        z = np.sum(eigenvalues / (eigenvalues + value))
        return value * (1 - z / width), value, z

    def excess(log_value):
        first, _, z = kappas(log_value)
        return first * (1 - z / samples) if min(1 - z / width, 1 - z / samples) > 0 else -1.0

    root = scipy.optimize.brentq(lambda u: excess(u) - ridge, -60, 10, xtol=1e-14, rtol=1e-14)
    first, second, z = kappas(root)
    q = np.sum(eigenvalues**2 / (eigenvalues + second) ** 2)
    rest = second / (eigenvalues + second)
    features = rest - first * eigenvalues / (eigenvalues + second) ** 2 * width / (width - q)
    numerator = np.sum(features * power)
    denominator = 1 - (q * (width - 2 * z) + z**2) / (samples * (width - q))
    test = (numerator + noise) / denominator
    bias = np.sum(rest**2 * power)
    return test, bias, numerator, bias / (1 - q / samples), (ridge / first) ** 2 * test


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(3, 200),
    width=st.integers(3, 200),
    log_ridge=st.floats(-7, 1),
    noise=st.floats(0, 1),
)
def test_linear_features_have_the_closed_form(samples, width, log_ridge, noise):
    ridge = 10.0**log_ridge
    population = Population.of(EIGENVALUES, POWER, noise)
    parts = LinearRandomFeatures(population, width).decompose(samples, samples * ridge)
    ours = (
        parts.test_error,
        parts.bias,
        parts.bias + parts.feature_variance,
        parts.bias + parts.data_variance,
        parts.train_error,
    )
    # Near the interpolation threshold the error amplifies the rounding of the root.
    assert_close(
        ours, closed_form(EIGENVALUES, POWER, noise, samples, width, ridge), rtol=1e-5, atol=1e-9
    )


# Laws of every variant.


STEP = 1e-4


@pytest.fixture(scope="module")
def decomposed():
    """Of every variant, over samples and ridges from none to heavy."""
    samples = np.array([[5.0], [17.0], [50.0]])
    ridge = np.array([0.0, 1e-3, 0.1, 0.1 * (1 - STEP), 0.1 * (1 + STEP), 10.0])
    return {name: model.decompose(samples, ridge) for name, model in VARIANTS.items()}


@each_variant
def test_the_parts_add_up_and_are_not_negative(name, decomposed):
    parts = decomposed[name]
    assert parts.test_error.shape == (3, 6)
    assert_close(parts.total(), parts.test_error, rtol=1e-10, atol=0)
    for field in dataclasses.fields(parts):
        assert np.all(getattr(parts, field.name) >= -1e-12), field.name


@each_variant
def test_ensembles_keep_what_features_do_not_make(name, decomposed):
    parts = decomposed[name]
    assert_close(parts.ensemble_error(1), parts.test_error)
    kernel = parts.label_noise + parts.bias + parts.data_variance + parts.noise_variance
    assert_close(parts.ensemble_error(1e15), kernel)
    assert np.all(parts.ensemble_error(4) <= parts.test_error)


@each_variant
def test_the_error_is_a_derivative(name, decomposed):
    r"""Noise, new and trained on, is amplified by d kappa_1 / d lambda: by differences."""
    parts = decomposed[name]
    slope = (parts.data_ridge[1, 4] - parts.data_ridge[1, 3]) / (2 * STEP * 0.1 / 17)
    noise = parts.label_noise + parts.noise_variance + parts.feature_noise_variance
    assert_close(noise[1, 2] / 0.05, slope, rtol=1e-6)


# Limits with a theory of their own.


def averaged(samples, ridge, noise=0.05):
    """Kernel ridge regression on all inputs."""
    with jax.enable_x64(True):
        theory = AveragedTheory.of(EIGENVALUES, POWER, ridge, samples, noise)
        return float(theory.test_error()) + noise


def test_many_features_are_kernel_regression():
    many = 10**9
    wide = LinearRandomFeatures(POPULATION, many).test_error(17, 0.1)
    assert_close(wide, averaged(17.0, 0.1), rtol=1e-6)
    deep = DeepRandomFeatures(POPULATION, (many, many, many)).test_error(17, 0.1)
    assert_close(deep, averaged(17.0, 0.1), rtol=1e-6)
    # Their noise is a ridge.
    noisy = LinearRandomFeatures(POPULATION, many, 0.3).test_error(17, 0.1)
    assert_close(noisy, averaged(17.0, 0.4), rtol=1e-6)


def test_all_projections_are_ridge_regression():
    whole = ProjectedRandomFeatures(POPULATION, INPUTS).test_error(17, 0.1)
    assert_close(whole, averaged(17.0, 0.1))


def test_variants_contain_each_other():
    linear = LinearRandomFeatures(POPULATION, 20, 0.3).test_error(17, 0.1)
    plain = AnisotropicRandomFeatures(POPULATION, np.ones(INPUTS), np.ones(20), 0.3)
    assert_close(plain.test_error(17, 0.1), linear)
    assert_close(DeepRandomFeatures(POPULATION, (20,), 0.3).test_error(17, 0.1), linear)
    # Order of the layers does not matter without noise.
    orders = [
        DeepRandomFeatures(POPULATION, widths).test_error(17, 0.1)
        for widths in ((40, 25, 30), (25, 30, 40))
    ]
    assert_close(*orders)
    # A linear activation is linear features in units of the trace.
    same = NonlinearRandomFeatures(POPULATION, 20, lambda x: 3 * x + 1, 9 * 0.3 / EIGENVALUES.sum())
    assert_close(same.test_error(17, 0.1 * 9 / EIGENVALUES.sum()), linear, rtol=1e-9)
    # Scales of features are a ridge's; scales of inputs too.
    scaled = AnisotropicRandomFeatures(POPULATION, 2 * np.ones(INPUTS), 3 * np.ones(20))
    assert_close(scaled.test_error(17, 1.2), VARIANTS["linear"].test_error(17, 0.1))


def test_without_a_ridge():
    """Least squares on all inputs: noise / (1 - D / P), nothing else; fewer features than samples
    or than inputs: the limit of small ridges."""
    parts = LinearRandomFeatures(POPULATION, 60).decompose(90, 0.0)
    assert_close(parts.test_error, 0.05 / (1 - INPUTS / 90))
    assert_close(parts.bias, 0)
    for samples, width in ((15, 22), (22, 15), (50, 15), (15, 50)):
        model = LinearRandomFeatures(POPULATION, width)
        limit, small = model.test_error(samples, [0.0, 1e-9])
        assert_close(limit, small, rtol=1e-5)


def test_interpolation_threshold():
    """The error peaks where samples meet features, and without a ridge diverges."""
    model = LinearRandomFeatures(POPULATION, 20)
    near = model.test_error([10, 19.99, 20.01, 40], 0.0)
    assert near[1] > 20 * near[0]
    assert near[2] > 20 * near[3]
    assert model.test_error(20, 0.1) < 1
    parts = model.decompose(20, 0.0)
    assert parts.test_error == np.inf
    assert parts.train_error == 0
    assert np.isfinite(parts.bias + parts.feature_variance)
    assert 0 < model.optimal_ridge(20) < 10


@pytest.mark.parametrize("members", [1, 5])
def test_the_optimal_ridge_is_where_a_search_finds_it(members):
    model = VARIANTS["linear"]
    best = model.optimal_ridge(17, members)
    found = scipy.optimize.minimize_scalar(
        lambda u: float(model.ensemble_error(17, np.exp(u), members)),
        bracket=(-4, -2),
        options={"xtol": 1e-9},
    )
    assert_close(np.log(best), found.x, atol=1e-5)


def test_the_optimal_ridge_of_a_prior_is_its_noise():
    """Target of a standard normal prior, many features: Bayes' ridge, the label noise."""
    population = Population.of(EIGENVALUES, EIGENVALUES, 0.05)
    assert_close(LinearRandomFeatures(population, 10**9).optimal_ridge(17), 0.05, rtol=1e-4)
    noiseless = Population.of(EIGENVALUES, POWER)
    assert LinearRandomFeatures(noiseless, 10**9).optimal_ridge(100) == 0


# Coarse graining.


def test_coarse_graining_makes_lost_modes_noise():
    model = LinearRandomFeatures(POPULATION, 20)
    cutoff = float(EIGENVALUES[19])
    with jax.enable_x64(True):
        same = coarse_grain(model, SharpCutoff(0.0))
        twice = coarse_grain(coarse_grain(model, SharpCutoff(cutoff / 2)), SharpCutoff(cutoff))
        once = coarse_grain(model, SharpCutoff(cutoff))
    assert_close(same.test_error(10, 4.0), model.test_error(10, 4.0))
    assert_close(twice.test_error(10, 4.0), once.test_error(10, 4.0))
    assert_close(once.population.lost_variance, EIGENVALUES[20:].sum())
    # Modes too small to be learned: the error moves by .2 %, and by 6 % if they are forgotten.
    error, reduced = model.test_error(10, 4.0), once.test_error(10, 4.0)
    assert abs(reduced / error - 1) < 0.005
    forgotten = Population.of(EIGENVALUES[:20], POWER[:20], 0.05)
    assert abs(LinearRandomFeatures(forgotten, 20).test_error(10, 4.0) / error - 1) > 0.04


# Regression on drawn features and data.

SIZE, BLOCKS = 32, 100  # few blocks would misjudge the error of skewed parts
SIMULATED = ("deep, noisy", "projected", "anisotropic", "feature noise", "nonlinear, tanh")
each_simulated = pytest.mark.parametrize("name", SIMULATED)


@pytest.fixture(scope="module")
def simulated():
    """Of every variant of the benchmark at a small size: theory and simulation."""
    cases = {}
    for name in SIMULATED:
        model, samples, ridge = benchmark.setting(name, SIZE)
        simulation = random_feature_simulation(
            model, samples, ridge, blocks=BLOCKS, feature_draws=3, data_draws=3, test_points=250
        )
        cases[name] = (model.decompose(samples, ridge), simulation)
    return cases


@each_simulated
def test_theory_is_within_three_standard_errors(name, simulated):
    theory, simulation = simulated[name]
    deviation = simulation.deviation(theory)
    for part in ("test_error", "bias", "feature_variance", "data_variance"):
        assert abs(getattr(deviation, part)) < 3, part
    # What scatters less than theory's own correction, of relative order 1 / SIZE.
    rest = ("train_error", "data_ridge", "noise_variance", "feature_noise_variance")
    for part in (*rest, "feature_data_variance"):
        mean, expected = getattr(simulation.mean, part), getattr(theory, part)
        error = getattr(simulation.standard_error, part)
        assert abs(mean - expected) < 3 * error + 1.5 / SIZE * expected, part
    assert_close(simulation.mean.total(), simulation.mean.test_error)
    assert_close(simulation.blocks.ensemble_error(1), simulation.blocks.test_error)


def test_the_comparison_can_fail(simulated):
    """Simulations refuse a theory without their noise."""
    population = benchmark.population(SIZE)
    for name in ("feature noise", "deep, noisy"):
        _, samples, ridge = benchmark.setting(name, SIZE)
        wrong = LinearRandomFeatures(population, SIZE * 3 // 4).decompose(samples, ridge)
        assert abs(simulated[name][1].deviation(wrong).test_error) > 3, name


def test_simulations_repeat_by_seed():
    """And their blocks differ."""
    few = {"blocks": 2, "feature_draws": 2, "data_draws": 3, "random_state": 3}
    first, second = (
        random_feature_simulation(VARIANTS["linear"], 9, 0.1, **few).blocks.test_error
        for _ in range(2)
    )
    assert_close(first, second, rtol=0, atol=0)
    assert abs(first[0] - first[1]) > 1e-6


def test_activations_have_their_coefficients():
    root = 1 / np.sqrt(2 * np.pi)
    relu = activation_coefficients(jax.nn.relu)
    assert_close(np.array(relu), [root, 0.5, np.sqrt(0.25 - root**2)], rtol=1e-7)
    cubic = activation_coefficients(lambda h: h**3)  # 3 h + He_3, whose square has mean 6
    assert_close(np.array(cubic), [0, 3, np.sqrt(6)], rtol=1e-9, atol=1e-9)
    points, weights = np.polynomial.hermite_e.hermegauss(150)
    expected = weights @ (np.tanh(points) * points) / np.sqrt(2 * np.pi)
    assert_close(activation_coefficients(jnp.tanh)[1], expected, rtol=1e-8)


# Scaling regimes.


@pytest.mark.parametrize(
    ("capacity", "source", "features", "ridge", "regime"),
    [
        (1.5, 0.4, 2.0, np.inf, "data-limited"),
        (1.5, 0.4, 0.6, np.inf, "feature-limited"),
        (1.5, 0.8, 0.6, np.inf, "feature-limited"),
        (1.5, 0.4, 1.3, 0.6, "ridge-limited"),
        (1.5, 0.8, 1.2, np.inf, "feature-variance-limited"),
        (1.5, 0.8, 1.05, 1.2, "feature-variance-limited"),
    ],
)
def test_local_exponents_approach_the_regimes(capacity, source, features, ridge, regime):
    """Slope of the theory from 2,000 to 4,000 samples, 200,000 inputs: parts that fall only
    slightly faster still bend it, by less than 0.13."""
    index = np.arange(1.0, 200_001)
    population = Population.of(index**-capacity, index ** -(2 * capacity * source + 1))
    errors = [
        LinearRandomFeatures(population, int(P**features)).test_error(P, P * P**-ridge)
        for P in (2000.0, 4000.0)
    ]
    exponent, name = scaling_exponent(capacity, source, features, ridge)
    assert name == regime
    assert abs(np.log2(errors[0] / errors[1]) - exponent) < 0.13


def test_noise_limits():
    """Label noise that no sample averages out, and one that samples average out."""
    exponent, name = scaling_exponent(1.5, 0.4, [2.0, 0.1, 2.0], [9.0, 9.0, 0.3], 0.0)
    assert list(name) == ["noise-limited", "feature-limited", "ridge-limited"]
    assert_close(exponent, [0, 1.5 * 0.8 * 0.1, 2 * 0.4 * 0.3])
    rows = scaling_regimes(1.5, 0.4)
    assert {row.regime for row in rows} == set(REGIMES)
    parts = [
        LinearRandomFeatures(Population.of(EIGENVALUES, POWER, 0.1), 5).decompose(P, 1e-9)
        for P in (1e4, 2e4)
    ]
    noise = [float(part.noise_variance + part.feature_noise_variance) for part in parts]
    assert_close(noise[0] / noise[1], 2, rtol=1e-3)  # noise * N / P


def test_figures():
    figure = Figure()
    for axes in (
        plot_phase_diagram(figure.add_subplot(221), 1.5, 0.75),
        plot_phase_diagram(figure.add_subplot(222), 1.5, 0.4, noise_exponent=0.0),
    ):
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert len(names) >= 2
        assert set(names) <= set(REGIMES)
    samples = np.array([5.0, 17.0, 50.0])
    parts = VARIANTS["linear"].decompose(samples, 0.1)
    axes = plot_error_parts(figure.add_subplot(223), samples, parts, "samples")
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert_close(lines["squared bias"], parts.bias)
    assert_close(lines["error above the label noise"], parts.test_error - 0.05)
    figure.draw_without_rendering()
    with pytest.raises(ValueError, match="one for one"):
        plot_error_parts(axes, samples[:2], parts, "samples")
    with pytest.raises(ValueError, match="must be positive"):
        plot_error_parts(axes, samples - 5, parts, "samples")


# Bad input.

LINEAR = VARIANTS["linear"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Population.of([1.0, -1.0], [1.0, 1.0]), "nonnegative and not all zero"),
        (lambda: Population.of([1.0, np.nan], [1.0, 1.0]), "must be finite"),
        (lambda: Population.of(np.zeros(2), [1.0, 1.0]), "not all zero"),
        (lambda: Population.of([1.0, 0.5], [1.0]), "one squared coefficient per eigenvalue"),
        (lambda: Population.of([1.0, 0.5], [1.0, -0.1]), "pass squared coefficients"),
        (lambda: Population.of([1.0], [1.0], -0.1), "`label_noise` must be finite and at least 0"),
        (lambda: LinearRandomFeatures(POPULATION, 0), "whole number of features"),
        (lambda: LinearRandomFeatures(POPULATION, 2.5), "whole number of features"),
        (lambda: LinearRandomFeatures(POPULATION, 20, -1.0), "`feature_noise` must be finite"),
        (lambda: DeepRandomFeatures(POPULATION, ()), "`widths` is empty"),
        (lambda: DeepRandomFeatures(POPULATION, (3, -1)), "whole number of features"),
        (lambda: ProjectedRandomFeatures(POPULATION, 31), "no more orthogonal directions"),
        (
            lambda: AnisotropicRandomFeatures(POPULATION, np.ones(3), np.ones(20)),
            "one number per input",
        ),
        (
            lambda: AnisotropicRandomFeatures(POPULATION, np.ones(INPUTS), -np.ones(20)),
            "`feature_variances` must be finite",
        ),
        (lambda: NonlinearRandomFeatures(POPULATION, 20, jnp.ones_like), "not constant"),
        (lambda: LINEAR.decompose(0, 0.1), "`samples` must be positive"),
        (lambda: LINEAR.decompose([5, np.nan], 0.1), "`samples` must be positive"),
        (lambda: LINEAR.decompose(5, -0.1), "`ridge` must be finite and at least 0"),
        (lambda: LINEAR.optimal_ridge(-3), "`samples` must be positive"),
        (lambda: LINEAR.ensemble_error(5, 0.1, 0), "`members` must be at least 1"),
        (lambda: random_feature_simulation(LINEAR, 5.5, 0.1), "`samples` must be a whole number"),
        (lambda: random_feature_simulation(LINEAR, 5, 0.1, blocks=1), "`blocks` must be"),
        (
            lambda: random_feature_simulation(LinearRandomFeatures(POPULATION, 99), 99, 0.0),
            "many predictors fit alike",
        ),
        (lambda: scaling_exponent(0.9, 0.5, 1.0, 1.0), "`capacity` must exceed 1"),
        (lambda: scaling_exponent(1.5, 0.0, 1.0, 1.0), "`source` must be positive"),
        (lambda: scaling_exponent(1.5, 0.5, -1.0, 1.0), "`feature_exponent` must be at least 0"),
        (lambda: scaling_exponent(1.5, 0.5, 1.0, 1.0, -1.0), "`noise_exponent` must be at least"),
    ],
)
def test_bad_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)
