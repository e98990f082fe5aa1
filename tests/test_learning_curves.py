"""Learning curves: reference values, SciPy and closed forms as twins, limits, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers import load_benchmark

from wilsonian import AveragedTheory, Eigenfunctions, Linear, Spectrum, coarse_grain
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum
from wilsonian.theory.learning_curves.deterministic_equivalent import SelfConsistentCutoff
from wilsonian.theory.learning_curves.scaling_law import ScalingLaw

MODES = 400
EIGENVALUES = np.arange(1.0, MODES + 1) ** -1.5
TARGET = np.arange(1.0, MODES + 1) ** -2.0
NOISE = 0.05
SIZES = np.array([1.0, 7.0, 60.0, 399.0, 400.0, 401.0, 3000.0])[:, None]
RIDGES = np.array([0.0, 1e-6, 1e-2, 1.0, 300.0])


@pytest.fixture(scope="module")
def curve():
    return LearningCurve(EIGENVALUES, TARGET, NOISE)


def by_scipy(eigenvalues, target, noise, n, ridge):
    """(kappa, E_g, E_tr) by Brent's method on n = df_1 + ridge / kappa, in log kappa; the formulas
    are written as in docs/science/learning-curves.md, section 1, without the library."""

    def excess(log_kappa):
        kappa = np.exp(log_kappa)
        return np.sum(eigenvalues / (eigenvalues + kappa)) + ridge / kappa - n

    high = np.log((np.sum(eigenvalues) + ridge) / n) + 1e-9
    kappa = np.exp(scipy.optimize.brentq(excess, -80.0, high, xtol=1e-14, rtol=1e-14))
    learned = eigenvalues / (eigenvalues + kappa)
    gamma = np.sum(learned**2) / n
    error = (np.sum((1 - learned) ** 2 * target) + noise) / (1 - gamma)
    return kappa, error - noise, (ridge / (n * kappa)) ** 2 * error


def test_reference_values_to_all_printed_digits():
    """docs/science/wilsonian.md, section 7."""
    for row in load_benchmark("science_tables").SECTION_7:
        eigenvalues = np.arange(1.0, row.modes + 1) ** -(1 + row.alpha)
        curve = LearningCurve(eigenvalues, eigenvalues)
        result = curve.equivalent(row.points, row.ridge)
        for measured, printed in (
            (result.effective_ridge, row.effective_ridge),
            (result.overfitting, row.gamma),
            (result.bias, row.bias),
            (result.test_error, row.test_error),
            (result.posterior_variance, row.posterior_variance),
        ):
            assert abs(measured - printed) <= 0.5001e-8, (measured, printed)


def test_scipy_finds_the_same(curve):
    result = curve.equivalent(SIZES, RIDGES)
    assert result.test_error.shape == (len(SIZES), len(RIDGES))
    for (i, j), ours in np.ndenumerate(result.test_error):
        n, ridge = SIZES[i, 0], RIDGES[j]
        if ridge == 0 and n >= MODES:
            continue  # kappa is zero; see the tests of the threshold
        kappa, error, train = by_scipy(EIGENVALUES, TARGET, NOISE, n, ridge)
        # The twin's 1 - gamma loses digits near the threshold; ours does not.
        rtol = 1e-9 if n < 399 or ridge > 0.001 else 1e-5
        np.testing.assert_allclose(result.kappa[i, j], kappa, rtol=rtol)
        np.testing.assert_allclose(ours, error, rtol=rtol)
        np.testing.assert_allclose(result.train_error[i, j], train, rtol=rtol, atol=1e-15)


def test_the_comparison_can_fail():
    _, right, _ = by_scipy(EIGENVALUES, TARGET, NOISE, 60.0, 1e-2)
    _, wrong, _ = by_scipy(EIGENVALUES, TARGET, NOISE, 60.0, 1.01e-2)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(wrong, right, rtol=1e-5)


def test_coarse_graining_by_learnability_is_the_deterministic_equivalent(curve):
    """One cut with weights lambda / (lambda + kappa) leaves the ridge n kappa; weights by the
    ridge of the moment, recut until nothing changes, come to the same; and so does a curve."""
    with jax.enable_x64(True):
        for n, ridge in ((7.0, 1e-2), (60.0, 1e-6), (300.0, 1.0)):
            theory = AveragedTheory.of(EIGENVALUES, TARGET, ridge, n, NOISE)
            cut = coarse_grain(theory, SelfConsistentCutoff(ridge, n))
            np.testing.assert_allclose(cut.ridge, curve.effective_ridge(n, ridge), rtol=1e-12)
            np.testing.assert_allclose(cut.weights, curve.learnability(n, ridge), rtol=1e-12)
            assert abs(curve.test_error(n, ridge) - theory.test_error()) < 1e-12
        running = ridge
        for _ in range(200):
            learned = n * EIGENVALUES / (running + n * EIGENVALUES)
            running = theory.absorb(kept=learned, lost=1 - learned).ridge
        np.testing.assert_allclose(running, cut.ridge, rtol=1e-12)


# Limits.


def test_flat_spectrum_in_closed_form():
    """Hastie, Montanari, Rosset and Tibshirani (2022), isotropic features, ridgeless: before, at
    and after the interpolation threshold."""
    modes, power = 50, 2.0
    for noise in (0.0, 0.3):
        curve = LearningCurve(np.full(modes, 0.7), np.full(modes, power / modes), noise)
        for n in (1.0, 25.0, 49.0, 49.999):
            expected = power * (1 - n / modes) + noise * n / (modes - n)
            np.testing.assert_allclose(curve.test_error(n, 0.0), expected, rtol=1e-9)
            np.testing.assert_allclose(curve.kappa(n, 0.0), 0.7 * (modes / n - 1), rtol=1e-9)
            assert curve.train_error(n, 0.0) == 0
        for n in (50.001, 51.0, 400.0):
            expected = noise * modes / (n - modes)
            np.testing.assert_allclose(curve.test_error(n, 0.0), expected, rtol=1e-9)
            np.testing.assert_allclose(
                curve.train_error(n, 0.0), noise * (1 - modes / n), rtol=1e-9
            )
            assert curve.effective_ridge(n, 0.0) == 0
        threshold = curve.equivalent(50.0, 0.0)
        assert threshold.test_error == (np.inf if noise else 0)
        assert threshold.train_error == 0


def test_small_ridges_tend_to_no_ridge(curve):
    """On both sides of the threshold, and at it the noise's share grows as ridge^{-1/2}."""
    for n in (60.0, 390.0, 410.0, 3000.0):
        limit = curve.equivalent(n, 0.0)
        near = curve.equivalent(n, 1e-13)
        for name in ("test_error", "label_error", "overfitting", "posterior_variance", "variance"):
            np.testing.assert_allclose(
                getattr(near, name), getattr(limit, name), rtol=1e-5, atol=1e-9
            )
        np.testing.assert_allclose(near.train_error, limit.train_error, rtol=1e-5, atol=1e-12)
    errors = curve.test_error(MODES, [1e-14, 1e-16, 1e-18])
    np.testing.assert_allclose(errors[1:] / errors[:-1], 10.0, rtol=0.01)


def test_binned_modes_reach_the_threshold_too():
    """Multiplicities add up with rounding; the number of modes is still met."""
    curve = LearningCurve(np.repeat([2.0, 1.0, 0.3], 3333), np.ones(9999), 0.1)
    assert len(curve.nodes.eigenvalues) < 20
    result = curve.equivalent([9999.0, 2 * 9999.0], 0.0)
    assert np.all(result.effective_ridge == 0)
    assert result.test_error[0] == np.inf
    np.testing.assert_allclose(result.test_error[1], 0.1, rtol=1e-10)


def test_heavy_ridge_learns_nothing(curve):
    result = curve.equivalent(60.0, 1e12)
    np.testing.assert_allclose(result.test_error, TARGET.sum(), rtol=1e-8)
    np.testing.assert_allclose(result.train_error, TARGET.sum() + NOISE, rtol=1e-8)
    np.testing.assert_allclose(result.posterior_variance, EIGENVALUES.sum(), rtol=1e-8)


# Laws.


def test_parts_add_up(curve):
    result = curve.equivalent(SIZES, RIDGES)
    finite = np.isfinite(result.test_error)
    np.testing.assert_allclose(
        (result.bias + result.variance)[finite], result.test_error[finite], rtol=1e-9
    )
    np.testing.assert_allclose(
        result.label_error[finite], result.test_error[finite] + NOISE, rtol=1e-12
    )
    gap = result.label_error - result.train_error
    np.testing.assert_array_equal(result.generalization_gap, gap)
    for (i, j), error in np.ndenumerate(result.test_error):
        if finite[i, j]:
            modes = curve.mode_error(SIZES[i, 0], RIDGES[j])
            np.testing.assert_allclose(modes.sum(), error, rtol=1e-9)


def test_learnability_is_conserved(curve):
    """At most n modes are learned, exactly n without a ridge (Simon et al. 2023)."""
    learned = curve.learnability(SIZES, RIDGES)
    assert learned.shape == (len(SIZES), len(RIDGES), MODES)
    total = learned.sum(axis=-1)
    np.testing.assert_allclose(total, curve.equivalent(SIZES, RIDGES).degrees_of_freedom)
    assert np.all(total[:, 1:] < SIZES)
    np.testing.assert_allclose(total[:, 0], np.minimum(SIZES[:, 0], MODES), rtol=1e-10)
    assert np.all(np.diff(learned, axis=0) >= -1e-12)
    assert np.all(np.diff(learned, axis=1) <= 1e-12)


def test_modes_by_their_formulas(curve):
    learned, error = curve.learnability(60, 0.01), curve.label_error(60, 0.01)
    np.testing.assert_allclose(curve.mode_mean(60, 0.01), learned * np.sqrt(TARGET))
    np.testing.assert_allclose(curve.mode_variance(60, 0.01), learned**2 * error / 60)
    np.testing.assert_allclose(curve.variance(60, 0.01), curve.mode_variance(60, 0.01).sum())


def test_modes_too_small_to_list_are_a_tail():
    """A thousand equal modes beyond the list: a tail acts as they do, in every error, once they
    are too small to learn."""
    small, power = 1e-6, 3e-5
    listed = LearningCurve(
        np.append(EIGENVALUES[:50], np.full(5000, small)),
        np.append(TARGET[:50], np.full(5000, power)),
        NOISE,
        tolerance=0,
    )
    tail = LearningCurve(
        *(EIGENVALUES[:50], TARGET[:50], NOISE), tail=5000 * small, unresolved_target=5000 * power
    )
    left, right = (c.equivalent([10.0, 40.0], [0.0, 0.01]) for c in (listed, tail))
    for name in ("effective_ridge", "test_error", "label_error", "posterior_variance"):
        # Of each, n lambda / (n kappa) < 1e-2 is learned.
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=0.02)
    # Without a ridge of its own the interpolant still fits every label.
    assert right.train_error[0] == 0
    np.testing.assert_allclose(left.train_error[1], right.train_error[1], rtol=0.03)


def test_power_outside_the_modes_is_noise_and_error(curve):
    outside = LearningCurve(EIGENVALUES, TARGET, NOISE, unresolved_target=0.2)
    noisy = LearningCurve(EIGENVALUES, TARGET, NOISE + 0.2)
    expected = noisy.label_error(60, RIDGES)
    np.testing.assert_allclose(outside.label_error(60, RIDGES), expected, rtol=1e-12)
    np.testing.assert_allclose(outside.test_error(60, RIDGES), expected - NOISE, rtol=1e-12)


def test_binning_changes_nothing_visible():
    modes = np.arange(1.0, 30_001)
    eigenvalues, target = modes**-1.3, modes**-1.8
    binned = LearningCurve(eigenvalues, target, 0.01)
    whole = LearningCurve(eigenvalues, target, 0.01, tolerance=0)
    assert len(binned.nodes.eigenvalues) < 2000
    assert len(whole.nodes.eigenvalues) == 30_001
    sizes, ridges = np.array([3.0, 300.0, 2e4])[:, None], np.array([0.0, 1e-3, 10.0])
    left, right = binned.equivalent(sizes, ridges), whole.equivalent(sizes, ridges)
    for name in ("effective_ridge", "test_error", "train_error", "overfitting"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=1e-8)
    assert binned.learnability(300.0, 1e-3).shape == (30_000,)


# Derivatives.


def test_derivatives_are_limits_of_differences(curve):
    with jax.enable_x64(True):

        @jax.jit
        def error(eigenvalues, target, noise, n, ridge):
            return LearningCurve(eigenvalues, target, noise).test_error(n, ridge)

        point = tuple(map(jnp.asarray, (EIGENVALUES, TARGET, NOISE, 60.0, 1e-2)))
        np.testing.assert_allclose(error(*point), curve.test_error(60.0, 1e-2), rtol=1e-12)
        gradients = jax.grad(error, argnums=(0, 1, 2, 3, 4))(*point)
        random = np.random.default_rng(0)
        for place, gradient in enumerate(gradients):
            direction = jnp.asarray(random.normal(size=np.shape(gradient))) * point[place]
            step = 1e-5
            up, down = (
                error(*(p + s * direction if i == place else p for i, p in enumerate(point)))
                for s in (step, -step)
            )
            slope = jnp.sum(gradient * direction)
            np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-6)


def test_local_exponents(curve):
    sizes = np.array([10.0, 100.0, 1000.0])
    for exponent in (0.0, 1.0):
        slopes = curve.local_exponent(sizes, 1e-3, ridge_exponent=exponent)
        step = 1e-4
        up, down = (
            curve.test_error(sizes * np.exp(s), 1e-3 * np.exp(exponent * s)) for s in (step, -step)
        )
        np.testing.assert_allclose(slopes, np.log(up / down) / (2 * step), rtol=1e-6)


# Ridges and crossovers.


def test_optimal_ridge_of_a_matched_target_is_the_noise():
    """Bayes: the posterior mean with the right prior is the best there is."""
    for noise in (1e-3, 0.1, 5.0):
        curve = LearningCurve(EIGENVALUES, EIGENVALUES, noise)
        np.testing.assert_allclose(curve.optimal_ridge([3.0, 60.0, 3000.0]), noise, rtol=1e-7)


def test_optimal_ridge_is_the_best_of_many():
    target = np.arange(1.0, MODES + 1) ** -1.1
    curve = LearningCurve(EIGENVALUES, target, NOISE)
    sizes = np.array([5.0, 60.0, 800.0])
    best = curve.optimal_ridge(sizes)
    many = np.append(0.0, np.geomspace(1e-8, 1e4, 300))
    least = curve.test_error(sizes[:, None], many).min(axis=1)
    assert np.all(curve.test_error(sizes, best) <= least * (1 + 1e-12))
    np.testing.assert_allclose(curve.test_error(sizes, best), least, rtol=1e-3)


def test_optimal_ridges_at_the_ends():
    """Noiseless and easy: none helps. Nothing but noise: the more the better."""
    easy = LearningCurve(EIGENVALUES, EIGENVALUES**3, 0.0)
    assert easy.optimal_ridge(60.0) == 0
    assert LearningCurve(EIGENVALUES, 0 * TARGET, 1.0).optimal_ridge(60.0) == np.inf


def test_crossover():
    """By its definition, and for a long power law by the closed form; slopes on either side."""
    law = ScalingLaw.matched(2.0)
    curve = LearningCurve(law.spectrum())
    ridges = np.array([1e-4, 1e-3])
    crossover = curve.crossover(ridges)
    np.testing.assert_allclose(curve.effective_ridge(crossover, 0.0), ridges, rtol=1e-9)
    np.testing.assert_allclose(crossover, law.crossover(ridges), rtol=1e-2)
    below = curve.local_exponent(crossover[0] / 100, ridges[0])
    above = curve.local_exponent(crossover[0] * 1e5, ridges[0])
    np.testing.assert_allclose(below, -1.0, atol=0.02)  # alpha
    np.testing.assert_allclose(above, -0.5, atol=0.02)  # alpha / (1 + alpha)
    assert curve.crossover(0.0) == np.inf
    assert curve.crossover(10.0) == 0


@pytest.mark.parametrize(("capacity", "source"), [(1.5, 0.25), (2.0, 0.7), (1.5, 1.8)])
@pytest.mark.parametrize("ridge_exponent", [0.7, 1.2, np.inf])
def test_scaling_laws(capacity, source, ridge_exponent):
    """Local exponents of signal and noise far out tend to the stated ones."""
    law = ScalingLaw(capacity, source)
    spectrum = law.spectrum()
    signal, noise = law.error_exponents(ridge_exponent)
    n = 1e9
    ridge = n ** (1 - ridge_exponent) if np.isfinite(ridge_exponent) else 0.0
    along = {"ridge_exponent": 1 - ridge_exponent} if ridge else {}
    bare = LearningCurve(spectrum)
    # Corrections are of relative order n^{ridge_exponent / capacity - 1}.
    np.testing.assert_allclose(bare.local_exponent(n, ridge, **along), signal, atol=0.03)
    step = 1.2
    pure = LearningCurve(
        BinnedSpectrum(
            spectrum.eigenvalues, spectrum.multiplicity, 0 * spectrum.target_power, spectrum.tail
        ),
        noise_variance=1.0,
    )
    ends = [
        pure.test_error(m, ridge * (m / n) ** (1 - ridge_exponent) if ridge else 0.0)
        for m in (n / step, n * step)
    ]
    np.testing.assert_allclose(np.log(ends[1] / ends[0]) / (2 * np.log(step)), noise, atol=0.03)


def test_ridgeless_closed_form():
    law = ScalingLaw.matched(2.0)
    curve = LearningCurve(law.spectrum())
    np.testing.assert_allclose(curve.kappa(1000.0, 0.0), law.ridgeless_kappa(1000.0), rtol=2e-3)
    integral = (np.pi / 2) / np.sin(np.pi / 2)
    np.testing.assert_allclose(curve.test_error(1000.0, 0.0), integral**2 / 1000, rtol=2e-3)
    np.testing.assert_allclose(1 - curve.equivalent(1000.0, 0.0).overfitting, 0.5, rtol=2e-3)


# What goes in and comes out.


def test_every_kind_of_spectrum(curve):
    expected = curve.test_error(60.0, 0.01)
    binned = BinnedSpectrum.of(EIGENVALUES, TARGET, tolerance=1e-12)
    np.testing.assert_allclose(
        LearningCurve(binned, noise_variance=NOISE).test_error(60, 0.01), expected
    )
    with jax.enable_x64(True):
        spectrum = Spectrum.averaged(EIGENVALUES, tail=0.3)
    with_tail = LearningCurve(EIGENVALUES, TARGET, NOISE, tail=0.3).test_error(60.0, 0.01)
    measured = LearningCurve(spectrum, TARGET, NOISE).test_error(60.0, 0.01)
    np.testing.assert_allclose(measured, with_tail, rtol=1e-12)
    with jax.enable_x64(True):
        functions = Eigenfunctions(
            Linear(), jnp.eye(3), jnp.eye(3)[:, :2], jnp.array([0.5, 0.2]), "population"
        )
    curve = LearningCurve(functions, [1.0, 1.0])
    np.testing.assert_allclose(curve.nodes.tail, 1 - 0.7, rtol=1e-6)


def test_numpy_comes_out_in_double_precision(curve):
    before = jax.config.jax_enable_x64
    error = curve.test_error(60, 0.01)
    assert isinstance(error, np.ndarray)
    assert error.dtype == np.float64
    assert error.shape == ()
    assert curve.test_error([10, 20, 30], 0.1).shape == (3,)
    assert curve.mode_error([10, 20, 30], 0.1).shape == (3, MODES)
    assert jax.config.jax_enable_x64 == before
    # Whole numbers and single precision in, the same out.
    single = LearningCurve(EIGENVALUES.astype(np.float32), TARGET, NOISE)
    np.testing.assert_allclose(single.test_error(np.int32(60), 0.01), error, rtol=1e-6)


def test_it_runs_inside_transformations(curve):
    sizes = jnp.array([10.0, 60.0])
    errors = jax.jit(jax.vmap(lambda n: curve.test_error(n, 0.01)))(sizes)
    assert isinstance(errors, jax.Array)
    np.testing.assert_allclose(errors, curve.test_error([10, 60], 0.01), rtol=1e-4)
    learned = jax.jit(lambda n: curve.learnability(n, 0.01))(sizes)
    np.testing.assert_allclose(learned, curve.learnability([10, 60], 0.01), rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LearningCurve([1.0, -0.1], [1, 1]), "nonnegative"),
        (lambda: LearningCurve([0.5, 1.0], [1, 1]), "descending order, but number 2"),
        (lambda: LearningCurve([1.0, np.nan], [1, 1]), "finite"),
        (lambda: LearningCurve([0.0, 0.0], [1, 1]), "not all zero"),
        (lambda: LearningCurve([[1.0]], [1]), "one list of numbers"),
        (lambda: LearningCurve([1.0, 0.5], [1.0]), r"shape \(1,\)"),
        (lambda: LearningCurve([1.0, 0.5], [1.0, -1.0]), "squared coefficients"),
        (lambda: LearningCurve([1.0, 0.5], [1.0, np.nan]), "squared coefficients"),
        (lambda: LearningCurve([1.0, 0.5]), "`target` is missing"),
        (lambda: LearningCurve([1.0], [1.0], -0.1), "`noise_variance` must be at least zero"),
        (lambda: LearningCurve([1.0], [1.0], np.nan), "`noise_variance` must be at least zero"),
        (lambda: LearningCurve([1.0], [1.0], tail=-1.0), "`tail` must be at least zero"),
        (lambda: LearningCurve([1.0], [1.0], unresolved_target=-1.0), "`unresolved_target`"),
        (lambda: LearningCurve(BinnedSpectrum.of([1.0]), [1.0]), "brings the target's power"),
        (lambda: LearningCurve([1.0], [1.0]).test_error(0, 0.1), "`n` must be positive"),
        (lambda: LearningCurve([1.0], [1.0]).test_error([5, np.nan], 0.1), "`n` must be positive"),
        (lambda: LearningCurve([1.0], [1.0]).test_error(5, -0.1), "`ridge` must be at least zero"),
        (lambda: LearningCurve([1.0], [1.0]).test_error(5, np.inf), "`ridge` must be at least"),
        (lambda: LearningCurve([1.0], [1.0]).optimal_ridge(-3), "`n` must be positive"),
        (lambda: LearningCurve([1.0], [1.0]).crossover(-3), "`ridge` must be at least zero"),
        (lambda: ScalingLaw(1.0, 0.5), "`capacity` must be finite and exceed 1"),
        (lambda: ScalingLaw(2.0, -0.5), "`source` must be positive"),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
