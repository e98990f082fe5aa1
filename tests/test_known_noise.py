"""Known noise of every row: the exact process with it, units, counts, and what is refused."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor, kernels

from wilsonian import RBF, ReducedGPRegressor, ResidualCorrection, load_model, save_model

RANDOM = np.random.default_rng(4)
X = np.sort(RANDOM.uniform(-2, 2, (80, 1)), axis=0)
VARIANCE = np.where(np.arange(80) % 4 == 0, 1e-4, RANDOM.uniform(0.5, 4.0, 80))
Y = np.sin(2 * X[:, 0]) + np.sqrt(VARIANCE) * RANDOM.normal(size=80)
NEW = np.linspace(-2.5, 2.5, 9)[:, None]
FIXED = {"optimizer": None, "amplitude": 1.7, "noise_variance": 0.1, "cutoff": None}


def test_with_every_mode_kept_it_is_the_exact_process():
    parameters = {**FIXED, "rank": len(X), "normalize_y": False}
    ours = ReducedGPRegressor(RBF(0.6), **parameters).fit(X, Y, noise_variance_per_row=VARIANCE)
    twin = GaussianProcessRegressor(1.7 * kernels.RBF(0.6), alpha=0.1 + VARIANCE, optimizer=None)
    twin.fit(X, Y)
    mean, std = ours.predict(NEW, return_std=True)
    twin_mean, twin_std = twin.predict(NEW, return_std=True)
    # Inducing points of a smooth kernel are dependent to rounding: the jitter shows.
    np.testing.assert_allclose(mean, twin_mean, atol=1e-6)
    np.testing.assert_allclose(std, twin_std, atol=1e-6)
    evidence = twin.log_marginal_likelihood_value_
    assert ours.log_marginal_likelihood_value_ == pytest.approx(evidence, abs=1e-5)
    assert ours.noise_variance_ == pytest.approx(0.1)


def test_learning_sees_the_known_noise():
    blind = ReducedGPRegressor(random_state=0).fit(X, Y)
    model = ReducedGPRegressor(random_state=0).fit(X, Y, noise_variance_per_row=VARIANCE)
    truth = np.sin(2 * X[:, 0])
    error = np.sqrt(np.mean((model.predict(X) - truth) ** 2))
    assert error < 0.15
    assert error < 0.5 * np.sqrt(np.mean((blind.predict(X) - truth) ** 2))
    # Nothing but the known noise is in these targets.
    assert model.noise_variance_ < 0.02
    mean, std = model.predict(X, return_std=True)
    assert np.mean(np.abs(mean - truth) < 2 * std) > 0.8


def test_units_do_not_matter():
    model = ReducedGPRegressor(random_state=0).fit(X, Y, None, VARIANCE)
    scaled = ReducedGPRegressor(random_state=0).fit(X, 1e3 * Y, None, 1e6 * VARIANCE)
    np.testing.assert_allclose(scaled.predict(NEW), 1e3 * model.predict(NEW), rtol=1e-3, atol=1)
    assert model.log_marginal_likelihood_value_ == pytest.approx(
        scaled.log_marginal_likelihood_value_, abs=0.05
    )


def test_a_count_repeats_the_row_and_its_noise():
    counts = RANDOM.integers(0, 4, len(X))
    fit = lambda *rows: ReducedGPRegressor(  # noqa: E731
        RBF(0.6), inducing_points=X[::4], **FIXED
    ).fit(*rows)
    weighted = fit(X, Y, counts, VARIANCE)
    rows = np.repeat(np.arange(len(X)), counts)
    repeated = fit(X[rows], Y[rows], None, VARIANCE[rows])
    np.testing.assert_allclose(weighted.predict(NEW), repeated.predict(NEW), rtol=1e-8, atol=1e-8)
    assert weighted.log_marginal_likelihood_value_ == pytest.approx(
        repeated.log_marginal_likelihood_value_, rel=1e-9
    )


def test_it_is_saved_and_refused_where_it_cannot_be_used(tmp_path):
    model = ReducedGPRegressor(RBF(0.6), rank=20, **FIXED)
    model.fit(X, Y, noise_variance_per_row=VARIANCE)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(NEW), model.predict(NEW))
    with pytest.raises(ValueError, match="only a uniform ridge flows"):
        loaded.coarse_grained(3)
    with pytest.raises(ValueError, match="use `fit` with all rows"):
        model.partial_fit(X, Y)
    with pytest.raises(ValueError, match="pass it as `noise_variance_per_row`"):
        ResidualCorrection.of(model, X, Y)


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (VARIANCE[:5], r"must have shape \(80,\)"),
        (-VARIANCE, r"finite and not negative"),
        (np.full(80, np.nan), r"finite and not negative"),
    ],
)
def test_what_is_no_variance_is_refused(known, sentence):
    with pytest.raises(ValueError, match=sentence):
        ReducedGPRegressor().fit(X, Y, noise_variance_per_row=known)
    with pytest.raises(ValueError, match="is of one output"):
        ReducedGPRegressor().fit(X, np.stack([Y, Y], 1), noise_variance_per_row=VARIANCE)
