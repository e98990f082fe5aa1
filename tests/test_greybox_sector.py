"""The sector model: exact linear twins, a population whose truth is known, what bad input says."""

import copy
import dataclasses
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from wilsonian import greybox as gb
from wilsonian.greybox import tasks
from wilsonian.greybox.calibration import simulate
from wilsonian.greybox.metrics import coverage, score
from wilsonian.greybox.pareto import pareto_shape
from wilsonian.greybox.residual_theory import sweep
from wilsonian.kernels import Matern32
from wilsonian.support.model_files import ModelFileError

T = np.linspace(0, 1, 30)
PHI = 0.5 * np.stack([T, T**2], axis=1)
WAVE = np.sin(2 * np.pi * T)
X = 1.3 * WAVE + PHI @ [0.4, -0.2] + 0.05 * np.sin(7 * np.arange(30))


def wave(z):
    return z["z"] * jnp.sin(2 * jnp.pi * jnp.linspace(0, 1, 30))


def linear_model(**options):
    physics = gb.Function(wave, {"z": (-5.0, 5.0)}, times=T)
    options = {"noise": 0.05, "max_steps": 0, **options}
    return gb.SectorModel(physics, [gb.Modes(PHI, scale=1.0)], **options)


@pytest.fixture(scope="module")
def linear():
    return linear_model().fit(np.stack([X, -X]))


def infer(model, X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gb.ConfoundedWarning)
        return model.infer(X, **options)


def test_the_linear_example_through_the_model(linear):
    found = infer(linear, np.stack([X, -X]))["z"]
    np.testing.assert_allclose(found.mean, [1.3095676, -1.3095676], atol=1e-6)
    np.testing.assert_allclose(found.sd, 0.0162212, atol=1e-6)
    np.testing.assert_allclose(found.confounding, 0.3447475, atol=1e-4)
    normal = scipy.stats.norm(1.3095676, 0.0162212)
    np.testing.assert_allclose(found.interval(0.9)[0], normal.interval(0.9), atol=3e-5)
    np.testing.assert_allclose(found.samples.mean(axis=1)[0], 1.3095676, atol=1e-4)
    assert found.rank([1.3095676, 9.0]) == pytest.approx([0.5, 1.0], abs=1e-3)


def test_both_informations_are_one_factorization(linear):
    """Two batched ones in one program wait for each other on two cores, for ever: the pendulum's
    task once stood still there, while every small test passed."""
    engine, size = linear.engine_, linear.assembly_.size
    modes, batch = linear.assembly_.layout.count, 32
    shapes = ((size, modes), (size, 1), (size,), (1,), ())
    with jax.enable_x64(True):
        arguments = [jax.ShapeDtypeStruct((batch, *shape), jnp.float64) for shape in shapes]
        program = engine._information.lower(linear.hyperparameters_, *arguments).as_text()
    assert len(re.findall(r"@lapack_\w?potrf|stablehlo.cholesky", program)) == 1


def test_evidence_is_the_integral_over_the_prior(linear):
    C = 0.05**2 * np.eye(30) + PHI @ PHI.T
    grid = np.linspace(1.0, 1.6, 2001)
    logs = scipy.stats.multivariate_normal(np.zeros(30), C).logpdf(X - grid[:, None] * WAVE)
    twin = np.log(np.trapezoid(np.exp(logs - logs.max()), grid) / 10) + logs.max()
    assert linear.log_evidence(X[None])[0] == pytest.approx(twin, abs=1e-4)


def test_missing_values_are_left_out(linear):
    gaps = np.where(np.arange(30) % 4 == 1, np.nan, X)
    seen = ~np.isnan(gaps)
    C = 0.05**2 * np.eye(seen.sum()) + PHI[seen] @ PHI[seen].T
    solved = np.linalg.solve(C, WAVE[seen])
    found = infer(linear, np.stack([gaps, X]))["z"]
    information = WAVE[seen] @ solved
    assert found.mean[0] == pytest.approx(solved @ X[seen] / information, abs=1e-5)
    assert found.sd[0] == pytest.approx(information**-0.5, rel=1e-3)


def test_simulated_ranks_are_uniform_and_can_fail(linear):
    found = linear.calibrate(simulations=200, seed=1)
    assert found.count == 200
    assert found.p_value["z"] > 0.01
    other = copy.copy(linear)
    other.hyperparameters_ = dataclasses.replace(other.hyperparameters_, noise=jnp.array([0.1]))
    _, signals = simulate(other, 200, 1)
    truth = np.random.default_rng(1).random((200, 1))[:, 0] * 10 - 5
    ranks = infer(linear, signals)["z"].rank(truth)
    assert scipy.stats.kstest(ranks, "uniform").pvalue < 0.01  # twice the noise is noticed


def test_several_parameters_by_importance_draws():
    """A line with Gaussian priors: posterior and evidence are known exactly."""
    design = np.stack([np.ones(30), T], axis=1)

    def line(z):
        return jnp.asarray(design) @ jnp.stack([z["level"], z["slope"]])

    priors = {"level": gb.Normal(0.5, 2.0), "slope": gb.Normal(-1.0, 3.0)}
    model = gb.SectorModel(
        gb.Function(line, priors, times=T), [gb.Modes(WAVE[:, None], scale=0.7)], noise=0.1,
        max_steps=0,
    )  # fmt: skip
    signals = np.random.default_rng(0).normal(size=(3, 30))
    found = infer(model.fit(signals), signals)
    C = 0.01 * np.eye(30) + 0.49 * np.outer(WAVE, WAVE)
    prior = np.diag([4.0, 9.0])
    inverse = np.linalg.inv(C)
    covariance = np.linalg.inv(design.T @ inverse @ design + np.linalg.inv(prior))
    pull = signals @ inverse @ design + np.linalg.inv(prior) @ [0.5, -1.0]
    mean, sd = pull @ covariance, np.sqrt(np.diag(covariance))
    for i, name in enumerate(priors):
        # 256 quasi-random draws: errors of a few hundredths of a standard deviation.
        np.testing.assert_allclose(found[name].mean, mean[:, i], atol=0.05 * sd[i])
        np.testing.assert_allclose(found[name].sd, sd[i], rtol=0.1)
    whole = scipy.stats.multivariate_normal(design @ [0.5, -1.0], C + design @ prior @ design.T)
    np.testing.assert_allclose(found.log_evidence, whole.logpdf(signals), atol=0.05)
    assert np.all(found.k_hat < 0.5)


@pytest.mark.parametrize("shape", [0.2, 0.8])
def test_the_pareto_shape_of_pareto_weights(shape):
    drawn = scipy.stats.genpareto(shape).rvs(4000, random_state=0)
    # The estimate of 190 tail weights has an error of about (1 + k) / 14.
    assert pareto_shape(np.log(drawn)) == pytest.approx(shape, abs=0.25)


TRAIN = tasks.draw_oscillator(301, 100, 50)
TEST = tasks.draw_oscillator(302, 300, 120)


@pytest.fixture(scope="module")
def oscillator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "state"
    model = gb.SectorModel(tasks.oscillator_physics(), [tasks.friction()])
    return model.fit(TRAIN.signals, checkpoint=folder), folder


def test_a_population_teaches_its_residual(oscillator):
    model, _ = oscillator
    found = model.residual_["friction"]
    true = TRAIN.drawn["beta"]
    assert found["mean"][0] == pytest.approx(true.mean(), abs=0.03)
    assert found["sd"][0] == pytest.approx(true.std(), abs=0.03)
    assert model.history_[-1].noise[0] == pytest.approx(0.02, rel=0.05)
    assert model.converged_
    assert np.all(np.diff([step.log_evidence for step in model.history_]) > -0.05)


def test_intervals_hold_and_errors_are_small(oscillator):
    model, _ = oscillator
    scores = model.calibrate(TEST.signals, {"omega": TEST.drawn["omega"]})
    found = scores["omega"]
    # 120 signals: a binomial error of 0.027 on the notes' 0.900; their error is 0.0028.
    assert found.coverage.share[2] == pytest.approx(0.9, abs=0.08)
    assert found.mean_error < 1.3 * 0.0028
    assert found.pit_p > 0.01
    assert set(found.strata) == {"small signals", "middling signals", "large signals"}


def test_evidence_picks_the_residual_over_none(oscillator):
    model, _ = oscillator
    none = gb.SectorModel(tasks.oscillator_physics()).fit(TRAIN.signals)
    compared = gb.compare(TRAIN.signals, [none, model], references=False)
    assert compared.best.name == "friction"
    assert compared.candidates[1].behind > 30
    assert "friction" in str(compared)
    omega = infer(none, TEST.signals)["omega"]
    assert coverage(omega.rank(TEST.drawn["omega"])).share[2] < 0.7


def test_a_stored_model_says_the_same(oscillator, tmp_path):
    model, _ = oscillator
    model.save(tmp_path / "model", note="a test")
    again = gb.SectorModel(tasks.oscillator_physics(), [tasks.friction()])
    again.load(tmp_path / "model")
    again.engine_ = model.engine_  # compiled already
    some = TEST.signals[:4]
    np.testing.assert_array_equal(again.infer(some)["omega"].mean, model.infer(some)["omega"].mean)
    assert again.history_ == model.history_
    for other in (
        gb.SectorModel(tasks.oscillator_physics()),
        gb.SectorModel(tasks.pendulum_physics(), [tasks.friction()]),
    ):
        with pytest.raises(ModelFileError, match="build the model as it was fitted"):
            other.load(tmp_path / "model")


def test_a_fit_goes_on_from_where_it_stood(oscillator):
    model, folder = oscillator
    again = gb.SectorModel(tasks.oscillator_physics(), [tasks.friction()])
    again._prepare(TRAIN.signals)
    again.engine_ = model.engine_
    again.assembly_ = model.assembly_
    steps = []
    again.fit(TRAIN.signals, checkpoint=folder, progress=lambda *step: steps.append(step[1]))
    assert steps[0] == len(model.history_)  # the last step of the first fit, once more
    assert again.evidence_ == pytest.approx(model.evidence_, abs=0.05)
    with pytest.raises(ModelFileError, match="other signals"):
        again.fit(TRAIN.signals[:20], checkpoint=folder)


def test_the_cutoff_of_the_residual(oscillator):
    model, _ = oscillator
    found = sweep(model, TEST.signals[0])["omega"]
    whole = model.infer(TEST.signals[:1])["omega"]
    assert found.kept.tolist() == [0, 1]
    # With all modes kept it is the posterior, up to its linearization.
    assert found.estimate[-1] == pytest.approx(whole.mean[0], abs=0.3 * whole.sd[0])
    assert found.sd[-1] == pytest.approx(whole.sd[0], rel=0.1)
    assert found.sd[0] > found.sd[-1]
    assert found.ridge[0] > found.ridge[-1]


def test_gaussian_process_residuals_are_the_kernel():
    columns, shape = gb.GaussianProcess(Matern32(length_scale=0.3)).columns(T)
    gram = np.asarray(Matern32(length_scale=0.3)(T[:, None]))
    np.testing.assert_allclose((columns * shape) @ columns.T, gram, atol=1e-6)


def test_scores_refuse_what_does_not_fit(linear):
    found = infer(linear, X[None])["z"]
    with pytest.raises(ValueError, match="truths; give one"):
        score(found, [1.0, 2.0])
    with pytest.raises(ValueError, match="level"):
        found.interval(1.5)
    with pytest.raises(ValueError, match="empty"):
        coverage([])
    with pytest.raises(ValueError, match="no parameter"):
        linear.calibrate(X[None], {"y": [1.0]})
    with pytest.raises(KeyError, match="there are z"):
        infer(linear, X[None])["y"]


def decay(field, **options):
    return gb.ODE(field, {"a": (0.5, 2.0)}, (1.0,), np.arange(10) * 0.1, **options)


GOOD = np.exp(-np.outer([0.6, 1.0, 1.5], np.arange(10) * 0.1))
BLOWN = decay(lambda t, y, z: 1e6 * z["a"] * y**3)
BAD = {
    "returned NaN": (decay(lambda t, y, z: jnp.log(-z["a"] * y)), GOOD),
    "narrow the bounds": (BLOWN, GOOD),
    "shorter": (decay(lambda t, y, z: -z["a"] * y), GOOD[:, :8]),
    "constant": (decay(lambda t, y, z: -z["a"] * y), np.ones((3, 10))),
    "one signal": (decay(lambda t, y, z: -z["a"] * y), GOOD[:1]),
    "infinite": (decay(lambda t, y, z: -z["a"] * y), np.full((3, 10), np.inf)),
    "no observed": (decay(lambda t, y, z: -z["a"] * y), np.full((3, 10), np.nan)),
    "channels": (decay(lambda t, y, z: -z["a"] * y), np.ones((3, 2, 10))),
    "one number for each": (decay(lambda t, y, z: (y[0], y[0])), GOOD),
}


@pytest.mark.parametrize("sentence", BAD)
def test_bad_input_is_one_sentence(sentence):
    physics, signals = BAD[sentence]
    model = gb.SectorModel(physics, [gb.White()], noise=0.1)
    with pytest.raises(ValueError, match=sentence) as caught:
        model.fit(signals)
    assert "\n" not in str(caught.value)


def test_a_confounded_residual_is_said_so(linear):
    with pytest.warns(gb.ConfoundedWarning, match="depends on what was assumed"):
        linear.infer(X[None])


def test_options_are_checked():
    with pytest.raises(ValueError, match="amplitude"):
        linear_model(amplitude="big").fit(np.stack([X, -X]))
    with pytest.raises(ValueError, match="noise"):
        linear_model(noise=-1.0).fit(np.stack([X, -X]))
    with pytest.raises(ValueError, match="call `fit` first"):
        linear_model().infer(X[None])
    with pytest.raises(ValueError, match="called alike"):
        gb.SectorModel(tasks.pendulum_physics(), [gb.Force(), gb.Force()]).fit(np.ones((2, 50)))
    with pytest.raises(ValueError, match="is empty"):
        gb.compare(X[None], [])
