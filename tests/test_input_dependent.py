"""The theory of a ridge at every input: its own evidence, flow and prices, against dense twins."""

import jax
import numpy as np
import pytest
import scipy.stats

from wilsonian import RBF, ReducedGPRegressor, load_model, save_model

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 2))
Y = np.stack([np.sin(X[:, 0]) + 0.3 * RANDOM.normal(size=60), X[:, 1] ** 2], axis=1)
POINTS = X[:12]
OPTIONS = {
    "inducing_points": POINTS,
    "normalize_y": False,
    "random_state": 0,
    "per_output": None,
}
NOISE, AMPLITUDE, KEPT = 0.2, 1.5, 5


def fitted(**options):
    fixed = {"optimizer": None, "noise_variance": NOISE, "amplitude": AMPLITUDE}
    return ReducedGPRegressor(
        RBF(1.0), ridge="input-dependent", **{**OPTIONS, **fixed, **options}
    ).fit(X, Y)


def dense_modes():
    """Kept kernel and unresolved diagonal of the Nystrom modes, by dense linear algebra."""
    kernel = lambda A, B: np.exp(-0.5 * np.sum((A[:, None] - B) ** 2, axis=-1))  # noqa: E731
    root = np.linalg.cholesky(kernel(POINTS, POINTS) + 1e-15 * np.eye(12))
    features = np.linalg.solve(root, kernel(POINTS, X)).T
    vectors = np.linalg.eigh(features.T @ features)[1][:, ::-1]
    return features @ vectors


def covariance(kept):
    modes = dense_modes()[:, :kept]
    lost = 1.0 - np.sum(modes**2, axis=1)
    return AMPLITUDE * modes @ modes.T + np.diag(NOISE + AMPLITUDE * lost), lost


def dense_evidence(kept):
    law = scipy.stats.multivariate_normal(np.zeros(60), covariance(kept)[0])
    return sum(law.logpdf(column) for column in Y.T)


def test_the_evidence_is_that_of_the_gaussian_at_every_cutoff():
    model = fitted(cutoff=KEPT)
    # The inducing points' kernel matrix has a condition number of 1e6: 1e-9 of the evidence.
    assert model.log_marginal_likelihood_value_ == pytest.approx(dense_evidence(KEPT), rel=1e-8)
    assert model.log_marginal_likelihood() == model.log_marginal_likelihood_value_
    assert {0, 1, 2, 4, KEPT, 8, 12} == set(model.flow_.kept.tolist())
    for kept, evidence, ridge in zip(
        model.flow_.kept, model.flow_.evidence, model.flow_.ridge, strict=True
    ):
        assert evidence == pytest.approx(dense_evidence(kept), rel=1e-8)
        assert ridge == pytest.approx(NOISE + AMPLITUDE * covariance(kept)[1].mean(), rel=1e-8)
    uniform = ReducedGPRegressor(
        RBF(1.0), **OPTIONS, optimizer=None, noise_variance=NOISE, amplitude=AMPLITUDE, cutoff=KEPT
    ).fit(X, Y)
    assert abs(uniform.log_marginal_likelihood_value_ - dense_evidence(KEPT)) > 0.1  # another


def test_predictions_along_the_flow_are_those_of_the_dense_posterior():
    model = fitted(cutoff=KEPT)
    with jax.enable_x64(True):
        along = np.stack(list(model.process_.means_along_flow(X)), axis=-1)
    for place, kept in enumerate(model.flow_.kept):
        modes = dense_modes()[:, :kept]
        twin = AMPLITUDE * modes @ modes.T @ np.linalg.solve(covariance(kept)[0], Y)
        np.testing.assert_allclose(along[:, place], twin, rtol=1e-6, atol=1e-8)
        if kept == KEPT:
            np.testing.assert_allclose(model.predict(X), twin, rtol=1e-6, atol=1e-8)


def test_a_mode_is_as_learnable_as_the_ridge_where_it_lives_allows():
    model = fitted(cutoff=KEPT)
    ridge = NOISE + AMPLITUDE * covariance(KEPT)[1]
    signal = AMPLITUDE * np.sum(dense_modes() ** 2 / ridge[:, None], axis=0)
    np.testing.assert_allclose(
        model.spectrum_.learnability, signal / (1 + signal), rtol=1e-5, atol=1e-8
    )


def test_amplitude_and_noise_are_where_its_own_evidence_is_greatest():
    model = fitted(optimizer="l-bfgs-b", learn="scale", cutoff=None)
    best = model.log_marginal_likelihood_value_
    amplitude, noise = model.amplitude_, model.process_.noise_variance
    for factors in ((1.05, 1), (1 / 1.05, 1), (1, 1.05), (1, 1 / 1.05)):
        given = {"amplitude": amplitude * factors[0], "noise_variance": noise * factors[1]}
        assert fitted(cutoff=None, **given).log_marginal_likelihood_value_ < best


def test_a_stored_model_keeps_its_own_account(tmp_path):
    model = fitted(cutoff=KEPT)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.log_marginal_likelihood_value_ == model.log_marginal_likelihood_value_
    assert loaded.expected_loss_ == model.expected_loss_
    np.testing.assert_array_equal(loaded.flow_.evidence, model.flow_.evidence)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_evidence_elsewhere_needs_the_data():
    with pytest.raises(ValueError, match=r"needs the data again"):
        fitted(cutoff=KEPT).log_marginal_likelihood(amplitude=2.0)
