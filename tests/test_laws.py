"""Laws of coarse graining, for every theory, ridge and cutoff; and the twins of their numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from helpers import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from wilsonian import (
    AveragedTheory,
    BareRidge,
    DressedRidge,
    FullRidge,
    InputDependentRidge,
    LearnabilityCutoff,
    Matern32,
    ModeTheory,
    PointTheory,
    RankCutoff,
    SharpCutoff,
    SmoothCutoff,
    Spectrum,
    UniformRidge,
    as_population,
    coarse_grain,
    dense_spectrum,
    flow,
    learnability,
)
from wilsonian.regression.learning.evidence import inducing_evidence
from wilsonian.theory.datasets import power_law

pytestmark = [pytest.mark.double_precision, pytest.mark.strict_ranks]

POINTS, MODES, RIDGE = 20, 12, 0.1


# Theories: a random population spectrum with a tail, on a few points.


def random_spectrum(points=POINTS, modes=MODES, scale=1.0, seed=0):
    random = np.random.default_rng(seed)
    features = jnp.asarray(random.normal(size=(points, modes)))
    tail = jnp.asarray(0.05 * scale * random.random(points))
    return Spectrum.of(scale * power_law(modes, 0.5), features, tail)


def random_targets(points=POINTS, scale=1.0, seed=1):
    return jnp.asarray(scale**0.5 * np.random.default_rng(seed).normal(size=points))


RIDGES = {
    "bare": lambda ridge, points: BareRidge(ridge),
    "uniform": lambda ridge, points: UniformRidge(ridge),
    "input-dependent": lambda ridge, points: InputDependentRidge(jnp.full(points, ridge)),
    "dressed": lambda ridge, points: DressedRidge(ridge, points),
    "full": lambda ridge, points: FullRidge(ridge * jnp.eye(points)),
}


def point_theory(ridge, points=POINTS, modes=MODES, scale=1.0):
    spectrum = random_spectrum(points, modes, scale)
    start = RIDGES[ridge](RIDGE * scale, points)
    return PointTheory.of(spectrum, start, random_targets(points, scale))


def orthonormal_modes():
    """Modes that are orthonormal on the points, with two outputs."""
    random = np.random.default_rng(2)
    modes = np.linalg.qr(random.normal(size=(POINTS, MODES)))[0] * POINTS**0.5
    return jnp.asarray(modes), jnp.asarray(random.normal(size=(POINTS, 2)))


def mode_theory(ridge):
    modes, targets = orthonormal_modes()
    return ModeTheory(
        Spectrum.averaged(power_law(MODES, 0.5)),
        RIDGES[ridge](RIDGE, POINTS),
        modes.T @ targets / POINTS,
        jnp.sum(targets**2, axis=0),
        POINTS,
    )


def averaged_theory():
    eigenvalues = power_law(MODES, 0.5)
    return AveragedTheory.of(eigenvalues, eigenvalues**1.5, RIDGE, POINTS, label_noise=0.2)


THEORIES = {
    **{f"points-{ridge}": lambda ridge=ridge: point_theory(ridge) for ridge in RIDGES},
    **{
        f"modes-{ridge}": lambda ridge=ridge: mode_theory(ridge)
        for ridge in ("bare", "uniform", "dressed")
    },
    "averaged": averaged_theory,
}
# Each family by (nothing cut, a short step, a long step, everything cut).
CUTOFFS = {
    "sharp": [SharpCutoff(scale) for scale in (0.0, 0.1, 0.4, 2.0)],
    "rank": [RankCutoff(rank) for rank in (MODES, 8, 3, 0)],
    "smooth": [SmoothCutoff(scale, 0.5) for scale in (1e-200, 0.1, 0.4, 1e200)],
    "learnability": [LearnabilityCutoff(t, RIDGE, POINTS) for t in (0.0, 0.78, 0.85, 1.0)],
}
every_theory = pytest.mark.parametrize("name", THEORIES)
every_cutoff = pytest.mark.parametrize("family", CUTOFFS)


def check_identity(theory, nothing, **tolerance):
    assert_close(coarse_grain(theory, nothing), theory, **tolerance)
    assert_close(coarse_grain(theory, nothing).summary(), theory.summary(), **tolerance)


def check_composition(theory, short, long, **tolerance):
    once = coarse_grain(theory, long)
    assert_close(coarse_grain(coarse_grain(theory, short), long), once, **tolerance)
    # What is integrated out does not come back.
    assert_close(coarse_grain(once, short), once, **tolerance)
    assert_close(coarse_grain(once, long).summary(), once.summary(), **tolerance)


def whole_of(theory):
    """What kept and lost modes must add up to: all the variance a theory speaks of."""
    if isinstance(theory, AveragedTheory):
        lost = theory.ridge, theory.label_noise
        kept = jnp.sum(theory.kept_eigenvalues), jnp.sum(theory.weights * theory.target_power)
        return jnp.stack(kept) + jnp.stack(lost)
    if isinstance(theory.ridge, FullRidge):
        return theory.covariance()
    if isinstance(theory.ridge, InputDependentRidge):
        return jnp.diagonal(theory.covariance())
    if isinstance(theory.ridge, DressedRidge):  # it remembers what was lost before dressing it
        ridge = theory.ridge
        return theory.spectrum.trace() + jnp.sum(ridge.lost) + ridge.tail + ridge.bare
    return theory.spectrum.trace() + theory.ridge.mean()


def check_kept_plus_lost(theory, cutoff, **tolerance):
    reduced = coarse_grain(theory, cutoff)
    assert_close(whole_of(reduced), whole_of(theory), **tolerance)


@every_theory
@every_cutoff
def test_cutting_nothing_changes_nothing(name, family):
    check_identity(THEORIES[name](), CUTOFFS[family][0])


@every_theory
@every_cutoff
def test_two_steps_equal_one(name, family):
    _, short, long, everything = CUTOFFS[family]
    theory = THEORIES[name]()
    weights = [coarse_grain(theory, cutoff).weights for cutoff in (short, long)]
    assert 0 < jnp.sum(weights[1]) < jnp.sum(weights[0]) < MODES  # the steps are steps
    check_composition(theory, short, long)
    check_composition(theory, long, everything)


@every_theory
@every_cutoff
def test_kept_plus_lost_is_the_whole(name, family):
    theory = THEORIES[name]()
    for cutoff in CUTOFFS[family][1:]:
        reduced = coarse_grain(theory, cutoff)
        assert_close(reduced.weights, cutoff.weights(theory.eigenvalues))
        if not isinstance(theory, AveragedTheory):
            lost = theory.spectrum.weighted(theory.weights - reduced.weights)
            whole = theory.spectrum.weighted(theory.weights)
            for part_of in (Spectrum.gram, Spectrum.diagonal, Spectrum.trace):
                assert_close(part_of(reduced.spectrum) + part_of(lost), part_of(whole))
        if "bare" in name:  # it forgets what is lost, by intention
            assert_close(reduced.ridge, theory.ridge)
        else:
            check_kept_plus_lost(theory, cutoff)


@every_theory
def test_the_laws_hold_in_single_precision(name):
    """1e-5: a hundred roundings of float32, for numbers of order one."""
    single = {"rtol": 1e-5, "atol": 1e-7}
    with jax.enable_x64(False):
        theory, (nothing, short, long, _) = THEORIES[name](), CUTOFFS["smooth"]
        assert theory.eigenvalues.dtype == jnp.float32
        check_identity(theory, nothing, **single)
        check_composition(theory, short, long, **single)
        if "bare" not in name:
            check_kept_plus_lost(theory, long, **single)


def check_cutoff_invariance(theory, cutoff):
    reduced = coarse_grain(theory, cutoff)
    assert_close(reduced.log_evidence(), theory.log_evidence(), rtol=1e-8)
    kept = reduced.weights
    assert_close(reduced.coefficients(), kept * theory.coefficients(), rtol=1e-8, atol=1e-10)
    residual_correction = reduced.coefficients(residual_correction=True)
    assert_close(residual_correction, theory.coefficients(), rtol=1e-8, atol=1e-10)


@every_cutoff
def test_the_full_theory_does_not_depend_on_the_cutoff(family):
    for cutoff in CUTOFFS[family]:
        check_cutoff_invariance(point_theory("full"), cutoff)


class StepwiseDressedRidge(UniformRidge):
    """A tempting mistake: each step dresses what it loses by the ridge that it starts from."""

    def absorb(self, lost):
        dressed = lost.kept_eigenvalues / (1 + POINTS * lost.kept_eigenvalues / self.value)
        return StepwiseDressedRidge(self.value + jnp.sum(dressed))


class JitteredRidge(UniformRidge):
    """Adds a jitter whenever it absorbs."""

    def absorb(self, lost):
        return JitteredRidge(self.value + lost.trace() + 1e-9)


def test_each_law_can_fail():
    def with_ridge(ridge):
        return PointTheory.of(random_spectrum(), ridge, random_targets())

    nothing, short, long, _ = CUTOFFS["sharp"]
    with pytest.raises(AssertionError):
        check_identity(with_ridge(JitteredRidge(RIDGE)), nothing)
    with pytest.raises(AssertionError):
        check_composition(with_ridge(StepwiseDressedRidge(RIDGE)), short, long)
    for forgetful in (BareRidge(RIDGE), StepwiseDressedRidge(RIDGE)):
        with pytest.raises(AssertionError):
            check_kept_plus_lost(with_ridge(forgetful), long)
    for approximate in ("bare", "uniform", "input-dependent", "dressed"):
        with pytest.raises(AssertionError):
            check_cutoff_invariance(point_theory(approximate), long)


@every_cutoff
def test_ridges_are_ordered(family):
    """Dressed modes lend less than their variance; the diagonal has the uniform ridge as mean."""
    for cutoff in CUTOFFS[family][1:]:
        means = {
            name: float(coarse_grain(point_theory(name), cutoff).ridge.mean()) for name in RIDGES
        }
        assert means["bare"] < means["dressed"] < means["uniform"]
        assert_close(means["input-dependent"], means["full"])


def test_everything_dressed_is_the_effective_ridge_of_the_average():
    averaged = averaged_theory()
    spectrum = Spectrum.averaged(averaged.eigenvalues)
    dressed = DressedRidge(RIDGE, POINTS).absorb(spectrum)
    assert_close(dressed.mean(), averaged.effective_ridge())
    # Midway, too: dressing the lost modes first and the kept ones after changes nothing.
    lost = spectrum.weighted(SharpCutoff(0.3).weights(spectrum.eigenvalues))
    kept = spectrum.weighted(1 - lost.weights)
    assert_close(DressedRidge(RIDGE, POINTS).absorb(lost).absorb(kept).mean(), dressed.mean())


# Cutoffs and flows.


def test_weights_of_cutoffs():
    eigenvalues = jnp.array([4.0, 2.0, 1.0, 0.5, 0.0])
    assert_close(SharpCutoff(1.0).weights(eigenvalues), [1.0, 1, 1, 0, 0])
    assert_close(RankCutoff(2).weights(eigenvalues), [1.0, 1, 0, 0, 0])
    assert_close(SmoothCutoff(1.0, 0.5).weights(eigenvalues), [16 / 17, 4 / 5, 1 / 2, 1 / 5, 0.0])
    # The sharp cutoff is the limit; at the scale itself half stays.
    assert_close(SmoothCutoff(1.0, 1e-3).weights(eigenvalues), [1.0, 1, 0.5, 0, 0])


def test_the_learnability_cutoff_scans_upward():
    """Twin: the rule written out, for thresholds and ridges of many sizes."""
    eigenvalues = np.asarray(power_law(200, 0.7))
    for ridge in (0.0, 1e-4, 0.1, 10.0):
        for threshold in (0.01, 0.1, 0.3, 0.5, 0.9):
            for renormalizes in (True, False):
                cutoff = LearnabilityCutoff(threshold, ridge, 50.0, 0.01, renormalizes)
                expected = len(eigenvalues)
                for kept in range(len(eigenvalues)):
                    lost = eigenvalues[kept:].sum() if renormalizes else 0.0
                    signal = 50 * eigenvalues[kept]
                    if signal / (ridge + 0.01 + lost + signal) < threshold:
                        expected = kept
                        break
                assert int(cutoff.rank(jnp.asarray(eigenvalues))) == expected
                assert cutoff.rank_on_host(eigenvalues) == expected


def test_learnability_of_nothing_is_zero():
    assert_close(learnability(jnp.array([0.0, 1.0]), 0.0, 10), [0.0, 1.0])
    gradient = jax.grad(lambda ridge: jnp.sum(learnability(jnp.array([0.0, 1.0]), ridge, 10)))(0.0)
    assert jnp.isfinite(gradient)


FLOWS = {
    "sharp": SharpCutoff(np.geomspace(0.01, 2.0, 5)),
    "rank": RankCutoff(np.arange(0, MODES + 1, 3)),
    "smooth": SmoothCutoff(np.geomspace(0.01, 2.0, 5), np.array(0.3)),
    "learnability": LearnabilityCutoff(np.linspace(0.05, 0.95, 4), RIDGE, POINTS),
}


@pytest.mark.parametrize(
    ("name", "family"),
    [(name, "smooth") for name in THEORIES]
    + [
        (name, family)
        for name in ("points-full", "averaged")
        for family in FLOWS
        if family != "smooth"
    ],
)
def test_a_flow_is_its_steps(name, family):
    theory, cutoffs = THEORIES[name](), FLOWS[family]
    steps = len(jax.tree.leaves(cutoffs)[0])  # 1e-6: an optimum is known to the root of rounding
    flowed = flow(theory, cutoffs)

    for index in range(steps):
        one = jax.tree.map(lambda leaf, i=index: leaf[i] if np.ndim(leaf) else leaf, cutoffs)
        step = coarse_grain(theory, one).summary()
        assert_close(jax.tree.map(lambda leaf, i=index: leaf[i], flowed), step, rtol=1e-6)


def test_a_flow_compiles():
    theory, cutoffs = point_theory("dressed"), SmoothCutoff(np.geomspace(0.01, 2.0, 5))
    assert_close(eqx.filter_jit(flow)(theory, cutoffs), flow(theory, cutoffs))


@pytest.mark.parametrize("cutoffs", [SharpCutoff(0.1), SmoothCutoff(jnp.ones(3), jnp.ones(4))])
def test_a_flow_without_one_axis_gets_its_sentence(cutoffs):
    with pytest.raises(ValueError, match=r"leading axes of lengths .* pass one array"):
        flow(averaged_theory(), cutoffs)


# Twins of the theories' own numbers.


@pytest.mark.parametrize("ridge", RIDGES)
@pytest.mark.parametrize("cutoff", [SharpCutoff(0.0), SmoothCutoff(0.2, 0.5)], ids=["all", "some"])
def test_point_theory_is_a_multivariate_normal(ridge, cutoff):
    theory = coarse_grain(point_theory(ridge), cutoff)
    covariance = np.asarray(theory.covariance())
    twin = scipy.stats.multivariate_normal(cov=covariance).logpdf(np.asarray(theory.targets))
    assert_close(theory.log_evidence(), twin)
    # In the space of modes: precision of prior and data added.
    features = np.asarray(theory.spectrum.modes)
    noise = np.linalg.inv(np.asarray(theory.ridge.matrix(POINTS)))
    precision = features.T @ noise @ features + np.diag(1 / theory.spectrum.kept_eigenvalues)
    posterior = np.linalg.inv(precision)
    assert_close(theory.posterior_covariance(), posterior, rtol=1e-8)
    assert_close(theory.coefficients(), posterior @ features.T @ noise @ theory.targets, rtol=1e-8)


@pytest.mark.parametrize("ridge", ["bare", "uniform", "dressed"])
@every_cutoff
def test_mode_theory_is_point_theory_where_modes_are_orthonormal(ridge, family):
    modes, targets = orthonormal_modes()
    spectrum = Spectrum.of(power_law(MODES, 0.5), modes)
    ours = coarse_grain(mode_theory(ridge), CUTOFFS[family][1])
    twins = [
        coarse_grain(
            PointTheory.of(spectrum, RIDGES[ridge](RIDGE, POINTS), column), CUTOFFS[family][1]
        )
        for column in targets.T
    ]
    assert_close(ours.log_evidence(), sum(twin.log_evidence() for twin in twins))
    assert_close(ours.coefficients(), jnp.stack([twin.coefficients() for twin in twins], axis=1))


def test_the_evidence_ridge_maximizes_the_evidence():
    theory = coarse_grain(mode_theory("uniform"), RankCutoff(5))
    twin = scipy.optimize.minimize_scalar(
        lambda log_ridge: -theory.log_evidence(jnp.exp(log_ridge)), bounds=(-8, 4), method="bounded"
    )
    assert_close(theory.evidence_ridge(), np.exp(twin.x), rtol=1e-4)


@pytest.mark.parametrize("ridge", ["uniform", "input-dependent"])
def test_point_theory_is_the_inducing_point_evidence(ridge):
    """A chain of other formulas for the same number: modes of inducing points, tail absorbed."""
    random = np.random.default_rng(3)
    X, targets = jnp.asarray(random.normal(size=(POINTS, 2))), random_targets()
    kernel = Matern32(1.5)
    spectrum = dense_spectrum(kernel, X[:6]).spectrum(X)
    theory = PointTheory.of(spectrum, RIDGES[ridge](RIDGE, POINTS), targets)
    twin = inducing_evidence(
        *(kernel, 1.0, RIDGE, X[:6], X, targets[:, None], jnp.ones(POINTS)),
        input_dependent=ridge == "input-dependent",
    )
    assert_close(theory.log_evidence(), twin, rtol=1e-8)


def test_theories_of_unlike_shapes_get_their_sentence():
    with pytest.raises(ValueError, match=r"`targets` has shape \(3,\), .* on 20 points"):
        PointTheory.of(random_spectrum(), BareRidge(RIDGE), jnp.ones(3))
    with pytest.raises(ValueError, match=r"one squared coefficient per mode"):
        AveragedTheory.of(jnp.ones(3), jnp.ones(4), 0.1, 10)


# Scales and shapes.


@settings(max_examples=15, deadline=None)
@given(
    ridge=st.sampled_from(sorted(RIDGES)),
    shape=st.sampled_from([(1, 6), (6, 1), (7, 4)]),
    log_scale=st.floats(-8, 8),
    rank=st.integers(0, 9),
)
def test_units_of_the_target_change_nothing(ridge, shape, log_scale, rank):
    points, modes = shape
    scale = 10.0**log_scale
    unit, scaled = (
        coarse_grain(point_theory(ridge, points, modes, s), RankCutoff(rank)) for s in (1.0, scale)
    )
    assert_close(scaled.ridge.mean(), scale * unit.ridge.mean(), rtol=1e-8, atol=0)
    coefficients = unit.coefficients(residual_correction=True)
    assert coefficients.shape == (modes,)
    assert_close(
        scaled.coefficients(residual_correction=True) / scale**0.5, coefficients, rtol=1e-6
    )
    shift = 0.5 * points * np.log(scale)
    assert_close(scaled.log_evidence() + shift, unit.log_evidence(), rtol=1e-7, atol=1e-7)


# Derivatives against central differences.


def check_derivative(function, at, step=1e-5, rtol=1e-5):
    difference = (function(at + step) - function(at - step)) / (2 * step)
    assert abs(difference) > 1e-4  # something to differentiate
    assert_close(jax.grad(function)(at), difference, rtol=rtol)


def test_check_derivative_can_fail():
    @jax.custom_jvp
    def slightly_wrong(x):
        return x**2

    slightly_wrong.defjvp(lambda primals, tangents: (primals[0] ** 2, 2.001 * tangents[0]))
    with pytest.raises(AssertionError):
        check_derivative(slightly_wrong, 1.0)


@pytest.mark.parametrize("ridge", RIDGES)
def test_evidence_differentiates_in_length_scale_noise_and_cutoff(ridge):
    random = np.random.default_rng(5)
    pool = jnp.asarray(random.uniform(-2, 2, (10, 1)))
    X = jnp.asarray(random.uniform(-2, 2, (POINTS, 1)))
    targets = jnp.sin(2 * X[:, 0]) + 0.1 * random_targets()

    @jax.jit
    @jax.value_and_grad
    def evidence(parameters):
        length_scale, noise, scale = parameters
        spectrum = as_population(dense_spectrum(Matern32(length_scale), pool, 10)).spectrum(X)
        theory = PointTheory.of(spectrum, RIDGES[ridge](noise, POINTS), targets)
        return coarse_grain(theory, SmoothCutoff(scale, 0.5)).log_evidence()

    at = jnp.array([0.8, 0.05, 0.05])
    gradient = evidence(at)[1]
    steps = 1e-6 * jnp.eye(3)
    differences = jnp.array([(evidence(at + s)[0] - evidence(at - s)[0]) / 2e-6 for s in steps])
    assert_close(gradient, differences, rtol=1e-5, atol=1e-6)
    assert jnp.all(jnp.abs(gradient[:2]) > 1e-2)
    # Only of the full theory the evidence does not depend on the cutoff.
    assert (abs(gradient[2]) < 1e-8) == (ridge == "full")


@pytest.mark.parametrize("name", ["modes-bare", "modes-uniform", "modes-dressed", "averaged"])
def test_summaries_differentiate_in_noise_and_cutoff(name):
    def summary(noise=RIDGE, scale=0.2):
        theory = THEORIES[name]()
        if isinstance(theory, AveragedTheory):
            theory = eqx.tree_at(lambda theory: theory.ridge, theory, noise)
            return coarse_grain(theory, SmoothCutoff(scale, 0.5)).test_error()
        ridge = RIDGES[name.partition("-")[2]](noise, POINTS)
        theory = eqx.tree_at(lambda theory: theory.ridge, theory, ridge)
        return coarse_grain(theory, SmoothCutoff(scale, 0.5)).log_evidence()

    check_derivative(lambda value: summary(noise=value), RIDGE)
    check_derivative(lambda value: summary(scale=value), 0.2)
