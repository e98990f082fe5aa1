"""Outputs with amplitudes and noises of their own: each as if it had been fitted alone."""

import numpy as np
import pytest

from wilsonian import RBF, ReducedGPRegressor, SeparateOutputsRegressor, load_model, save_model

RANDOM = np.random.default_rng(6)
X = RANDOM.uniform(-2, 2, (60, 2))
Y = np.stack([50 * np.sin(X[:, 0]), 0.01 * RANDOM.normal(size=60) + 3], axis=1)
NEW = RANDOM.uniform(-2.5, 2.5, (7, 2))
SCALE = {"learn": "scale", "kernel": RBF(1.0), "inducing_points": X[::3]}


@pytest.mark.parametrize("ridge", ["uniform", "input-dependent"])
def test_with_one_kernel_each_output_is_the_model_of_it_alone(ridge):
    both = ReducedGPRegressor(ridge=ridge, **SCALE).fit(X, Y)
    mean, std = both.predict(NEW, return_std=True)
    label = both.predict(NEW, return_std=True, include_noise=True)[1]
    covariance = both.predict(NEW, return_cov=True)[1]
    evidence = 0.0
    for q in range(2):
        alone = ReducedGPRegressor(ridge=ridge, **SCALE).fit(X, Y[:, q])
        own_mean, own_std = alone.predict(NEW, return_std=True)
        unit = Y[:, q].std()
        # The search for amplitude and noise ends where its tolerance lets it.
        np.testing.assert_allclose(mean[:, q], own_mean, atol=1e-5 * unit)
        np.testing.assert_allclose(std[:, q], own_std, atol=1e-5 * unit)
        own_label = alone.predict(NEW, return_std=True, include_noise=True)[1]
        np.testing.assert_allclose(label[:, q], own_label, atol=1e-5 * unit)
        own_covariance = alone.predict(NEW, return_cov=True)[1]
        np.testing.assert_allclose(covariance[..., q], own_covariance, atol=1e-5 * unit**2)
        assert both.noise_variance_[q] == pytest.approx(alone.noise_variance_, rel=1e-3)
        assert both.ridge_[q] == pytest.approx(alone.ridge_, rel=1e-3)
        assert both.amplitude_[q] == pytest.approx(alone.amplitude_, rel=1e-3)
        evidence += alone.log_marginal_likelihood_value_
    assert both.log_marginal_likelihood_value_ == pytest.approx(evidence, rel=1e-6)
    assert both.flow_.evidence[-1] <= np.max(both.flow_.evidence)


def test_a_smooth_output_is_not_spoiled_by_noise_beside_it():
    model = ReducedGPRegressor(random_state=0).fit(X, Y)
    shared = ReducedGPRegressor(random_state=0, per_output=None).fit(X, Y)
    truth = 50 * np.sin(NEW[:, 0])
    error = np.abs(model.predict(NEW)[:, 0] - truth).max()
    assert error < 0.05
    assert error < 0.02 * np.abs(shared.predict(NEW)[:, 0] - truth).max()
    # In the units of each output.
    assert model.noise_variance_[0] < 1e-3
    assert model.noise_variance_[1] == pytest.approx(1e-4, rel=0.5)
    assert model.ridge_.shape == model.amplitude_.shape == (2,)
    assert shared.noise_variance_.shape == (2,)
    assert np.ndim(shared.amplitude_) == 0


def test_the_same_model_by_other_routes(tmp_path):
    model = ReducedGPRegressor(**SCALE).fit(X, Y)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    for ours, twin in zip(
        loaded.predict(NEW, return_std=True), model.predict(NEW, return_std=True), strict=True
    ):
        np.testing.assert_allclose(ours, twin, rtol=1e-12)  # other strides round otherwise
    pieces = ReducedGPRegressor(**SCALE).partial_fit(X[:20], Y[:20]).partial_fit(X[20:], Y[20:])
    np.testing.assert_allclose(pieces.predict(NEW), model.predict(NEW), rtol=1e-4, atol=1e-4)
    assert loaded.log_marginal_likelihood() == pytest.approx(model.log_marginal_likelihood_value_)
    few = loaded.coarse_grained(3)
    assert few.n_modes_ == 3
    assert few.flow_.kept[-1] == len(X[::3])
    assert few.log_marginal_likelihood_value_ == pytest.approx(few.flow_.evidence[3])
    draws = model.sample_y(NEW, 3)
    assert draws.shape == (7, 2, 3)
    with pytest.raises(ValueError, match="`per_output` must be one of"):
        ReducedGPRegressor(per_output="kernel").fit(X, Y)


def test_separate_outputs_have_kernels_of_their_own(tmp_path):
    """One output varies with the first column alone, one, a million times larger, with the second,
    one is noise: each is the model of it alone, whose length scales tell the columns apart."""
    y = np.stack([np.sin(X[:, 0]), 1e6 * np.cos(2 * X[:, 1]), RANDOM.normal(size=len(X))], axis=1)
    options = {"random_state": 0, "second_scale": False, "max_iterations": 20}
    given = ReducedGPRegressor(**options)
    model = SeparateOutputsRegressor(given).fit(X, y)
    assert not hasattr(given, "process_")
    mean, std = model.predict(NEW, return_std=True)
    covariance = model.predict(NEW, return_cov=True)[1]
    assert covariance.shape == (len(NEW), len(NEW), 3)
    alone = ReducedGPRegressor(**options).fit(X, y[:, 1])
    own_mean, own_std = alone.predict(NEW, return_std=True)
    np.testing.assert_array_equal(mean[:, 1], own_mean)
    np.testing.assert_array_equal(std[:, 1], own_std)
    assert model.noise_variance_[1] == alone.noise_variance_
    unit = y.std(axis=0)
    np.testing.assert_allclose(np.diagonal(covariance).T / unit**2, (std / unit) ** 2, atol=1e-10)
    first, second, _ = (np.asarray(each.kernel_.length_scale) for each in model.estimators_)
    assert first[1] > 3 * first[0]
    assert second[0] > 3 * second[1]
    truth = np.stack([np.sin(NEW[:, 0]), 1e6 * np.cos(2 * NEW[:, 1])], axis=1)
    assert np.all(np.abs(mean[:, :2] - truth).max(axis=0) < 0.01 * y[:, :2].std(axis=0))
    assert model.noise_variance_[2] == pytest.approx(y[:, 2].var(), rel=0.3)
    lines = model.report().splitlines()
    assert [line.split(":")[0] for line in lines] == ["output 0", "output 1", "output 2"]
    assert "no signal was found" in lines[2]
    # Saved and loaded.
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict(NEW, return_std=True), (mean, std), rtol=1e-12)
    assert loaded.convergence_ == model.convergence_
    assert loaded.get_params()["regressor__max_iterations"] == 20
    # One output, and a constant one.
    one = SeparateOutputsRegressor(given.set_params(optimizer=None)).fit(X, y[:, 0])
    assert one.predict(NEW).shape == (len(NEW),)
    with pytest.raises(ValueError, match="constant in output 1"):
        one.fit(X, np.stack([y[:, 0], np.ones(len(X))], axis=1))
