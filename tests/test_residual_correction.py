"""The read-out of eliminated modes: leading order against its formula, solved against dense GPs."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest
import scipy.stats
from sklearn.exceptions import NotFittedError

from wilsonian import (
    RBF,
    FromFunction,
    Matern52,
    ReducedGPClassifier,
    ReducedGPRegressor,
    Rescaled,
    ResidualCorrection,
    load_model,
    save_model,
)
from wilsonian.regression.exact import preconditioner
from wilsonian.regression.exact.conjugate_gradients import solve
from wilsonian.regression.exact.kernel_products import KernelMatrix
from wilsonian.regression.exact.whole_scale import scale_of_whole
from wilsonian.regression.sample import Sample

ROWS, NOISE = 120, 0.05
RANDOM = np.random.default_rng(0)
X, X_NEW = RANDOM.standard_normal((ROWS, 3)), RANDOM.standard_normal((40, 3))
Y = np.column_stack([np.sin(2 * X[:, 0]) * X[:, 1], X[:, 2] ** 2])
Y = 3 + 2 * Y + 0.1 * RANDOM.standard_normal(Y.shape)
KERNEL = RBF(1.3)


def fitted(y=Y, **options):
    options = {
        "rank": ROWS,
        "noise_variance": NOISE,
        "optimizer": None,
        "random_state": 0,
    } | options
    return ReducedGPRegressor(KERNEL, **options).fit(X, y)


@pytest.fixture(scope="module")
def grams():
    with jax.enable_x64(True):
        return np.asarray(KERNEL(X)), np.asarray(KERNEL(X_NEW, X))


def exact(grams, y=Y):
    gram, across = grams
    mean, scale = y.mean(axis=0), y.std(axis=0)
    return mean + scale * (
        across @ np.linalg.solve(gram + NOISE * np.eye(ROWS), (y - mean) / scale)
    )


@pytest.mark.parametrize("ridge", ["uniform", "input-dependent"])
def test_the_read_out_is_its_formula(grams, ridge):
    """All of it in matrices: the kept kernel is that of the greatest modes in the inducing points'
    span, and the dual vector solves with it and the renormalized ridge."""
    inducing_points, kept = 50, 15
    model = fitted(cutoff=kept, ridge=ridge, inducing_points=X[:inducing_points])
    gram, across = grams
    root = np.linalg.cholesky(
        gram[:inducing_points, :inducing_points] + 1e-12 * np.eye(inducing_points)
    )
    features, new = (
        np.linalg.solve(root, matrix[:, :inducing_points].T).T for matrix in (gram, across)
    )
    top = np.linalg.eigh(features.T @ features)[1][:, -kept:]
    features, new = features @ top, new @ top
    lost = np.diagonal(gram) - np.sum(features**2, axis=1)
    noise = NOISE + (np.full(ROWS, lost.mean()) if ridge == "uniform" else lost)
    mean, scale = Y.mean(axis=0), Y.std(axis=0)
    dual = np.linalg.solve(features @ features.T + np.diag(noise), (Y - mean) / scale)
    # The jitter of the inducing points is rounding, amplified by the least of their eigenvalues.
    np.testing.assert_allclose(
        model.predict(X_NEW), mean + scale * (new @ (features.T @ dual)), atol=1e-6
    )
    found = ResidualCorrection.of(model, X, Y, max_steps=0).predict(X_NEW)
    np.testing.assert_allclose(found, mean + scale * (across @ dual), atol=1e-6)


def test_with_every_mode_kept_nothing_is_left_to_read_out(grams):
    model = fitted(cutoff=None)
    found = ResidualCorrection.of(model, X, Y, max_steps=0).predict(X_NEW)
    np.testing.assert_allclose(found, model.predict(X_NEW), atol=1e-6)
    np.testing.assert_allclose(found, exact(grams), atol=1e-5)


def test_the_read_out_takes_the_posterior_mean_nearer_to_the_exact_one(grams):
    """By a third or more: measured 0.30 to 0.52 of the plain distance."""
    for threshold in (0.5, 0.2, 0.05):
        model = fitted(threshold=threshold, rank=ROWS // 2)
        read = ResidualCorrection.of(model, X, Y, max_steps=0).predict(X_NEW)
        plain, with_it = (
            np.sqrt(np.mean((guess - exact(grams)) ** 2)) for guess in (model.predict(X_NEW), read)
        )
        assert with_it < 2 / 3 * plain


def test_weights_count_rows():
    weights = RANDOM.integers(1, 3, ROWS)
    one = Y[:, 0]
    options = {
        "rank": 40,
        "noise_variance": NOISE,
        "optimizer": None,
        "cutoff": 20,
        "inducing_points": X[:40],
    }
    model = ReducedGPRegressor(KERNEL, **options).fit(X, one, sample_weight=weights)
    repeated = np.repeat(X, weights, axis=0), np.repeat(one, weights)
    found = ResidualCorrection.of(model, X, one, weights, max_steps=0).predict(X_NEW)
    assert found.shape == (40,)
    np.testing.assert_allclose(
        found, ResidualCorrection.of(model, *repeated, max_steps=0).predict(X_NEW), rtol=1e-8
    )


BAD = {
    "columns": ((X[:, :2], Y), "2 columns and the model 3"),
    "outputs": ((X, Y[:, 0]), "1 outputs and the model 2"),
    "lengths": ((X[:50], Y), "50 rows and `y` 120"),
    "NaN": ((np.full_like(X, np.nan), Y), "contains NaN"),
}


@pytest.mark.parametrize("name", BAD)
def test_rows_of_another_model_are_refused(name):
    rows, sentence = BAD[name]
    model = fitted(cutoff=5)
    with pytest.raises(ValueError, match=sentence):
        ResidualCorrection.of(model, *rows)


def test_new_rows_and_unfitted_models_are_refused():
    with pytest.raises(NotFittedError):
        ResidualCorrection.of(ReducedGPRegressor(KERNEL), X, Y)
    with pytest.raises(ValueError, match="1 columns and the model 3"):
        ResidualCorrection.of(fitted(cutoff=5), X, Y).predict(X_NEW[:, :1])


# Solved ------------------------------------------------------------------------------------------

SOLVED = {
    "exact": True,
    "rank": 24,
    "noise_variance": NOISE,
    "optimizer": None,
    "random_state": 0,
}


def dense(X, y, new, noise, amplitude=1.0, kernel=KERNEL):
    """Mean and latent standard deviation of a Gaussian process by Cholesky, targets scaled by
    their plain moments."""
    with jax.enable_x64(True):
        gram, across = amplitude * np.asarray(kernel(X)), amplitude * np.asarray(kernel(new, X))
    mean, scale = y.mean(axis=0), y.std(axis=0)
    inverse = np.linalg.inv(gram + np.diag(np.broadcast_to(noise, len(X))))
    explained = np.einsum("ij,jk,ik->i", across, inverse, across)
    return mean + scale * (across @ inverse @ ((y - mean) / scale)), np.sqrt(amplitude - explained)


def tight(monkeypatch):
    monkeypatch.setattr("wilsonian.regression.exact.residual_correction.TOLERANCE", 1e-9)
    monkeypatch.setattr("wilsonian.regression.exact.residual_correction.NOISE_SHARE", 0.0)


def test_solved_it_is_the_dense_process():
    model = fitted(rank=24)
    correction = ResidualCorrection.of(model, X, Y, tolerance=1e-9)
    mean, std = correction.predict(X_NEW, return_std=True)
    exact_mean, exact_std = dense(X, Y, X_NEW, NOISE)
    assert correction.converged
    assert correction.steps > 1
    np.testing.assert_allclose(mean, exact_mean, atol=1e-7)
    np.testing.assert_allclose(std, exact_std[:, None] * Y.std(axis=0), rtol=1e-6)
    assert np.abs(model.predict(X_NEW) - exact_mean).max() > 0.1  # it had something to do


def test_the_residual_bounds_what_is_left():
    """Both bounds hold at every number of steps, and the one at the rows is within a factor of
    ten of what it bounds: it is not empty."""
    model, exact_mean = fitted(rank=24), dense(X, Y, X, NOISE)[0]
    new_mean = dense(X, Y, X_NEW, NOISE)[0]
    for steps in (1, 3, 6):
        found = ResidualCorrection.of(model, X, Y, tolerance=1e-9, max_steps=steps, variance=False)
        left = np.sqrt(np.mean((found.predict(X) - exact_mean) ** 2, axis=0))
        assert found.steps == steps
        assert not found.converged
        assert np.all(left <= found.residual)
        assert np.all(left >= found.residual / 10)
        farthest = np.abs(found.predict(X_NEW) - new_mean).max(axis=0) / Y.std(axis=0)
        assert np.all(farthest <= found.parts[0].bound())


def test_by_neighbours_the_variance_is_hardly_above_the_exact_one(monkeypatch):
    """A variational bound: never below (but for single precision), within a percent at 120
    neighbours of 500 rows, exact with all of them."""
    random = np.random.default_rng(1)
    rows = random.standard_normal((500, 3))
    y = np.sin(2 * rows[:, 0]) + 0.1 * random.standard_normal(500)
    kernel, new = Matern52(1.5), X_NEW
    exact_std = dense(rows, y, new, NOISE, kernel=kernel)[1] * y.std()
    monkeypatch.setattr("wilsonian.regression.exact.corrected_outputs.DENSE_ROWS", 100)
    model = ReducedGPRegressor(kernel, **SOLVED | {"exact": False}).fit(rows, y)
    found = ResidualCorrection.of(model, rows, y, neighbours=120)
    ratio = found.predict(new, return_std=True)[1] / exact_std
    assert np.all(ratio > 1 - 1e-5)
    assert np.mean(ratio) < 1.01
    few = dataclasses.replace(found.parts[0], neighbours=4)
    assert np.mean(np.sqrt(few.variance(new)) * y.std() / exact_std) > 1.02
    assert model.predict(new, return_std=True)[1].mean() > 1.2 * exact_std.mean()


def test_weights_and_known_noise_are_noise_of_the_rows(monkeypatch):
    tight(monkeypatch)
    weights = np.random.default_rng(2).integers(1, 4, ROWS)
    one, known = Y[:, 0], np.random.default_rng(3).uniform(0, 1, ROWS)
    weighted = ReducedGPRegressor(KERNEL, **SOLVED).fit(X, one, weights)
    rows = np.repeat(np.arange(ROWS), weights)
    with jax.enable_x64(True):
        mean, std = dense(X[rows], one[rows], X_NEW, NOISE)
    found = weighted.predict(X_NEW, return_std=True)
    np.testing.assert_allclose(found[0], mean, atol=1e-6)
    np.testing.assert_allclose(found[1], std * one[rows].std(), rtol=1e-6)
    by_row = ReducedGPRegressor(KERNEL, normalize_y=False, **SOLVED)
    by_row.fit(X, one, noise_variance_per_row=known)
    with jax.enable_x64(True):
        gram, across = np.asarray(KERNEL(X)), np.asarray(KERNEL(X_NEW, X))
    exact_mean = across @ np.linalg.solve(gram + np.diag(NOISE + known), one)
    np.testing.assert_allclose(by_row.predict(X_NEW), exact_mean, atol=1e-6)


def test_outputs_of_their_own_scale_are_solved_each_and_stored(tmp_path, monkeypatch):
    tight(monkeypatch)
    monkeypatch.setattr("wilsonian.regression.exact.corrected_outputs.DENSE_ROWS", 100)
    model = ReducedGPRegressor(KERNEL, **SOLVED | {"optimizer": "l-bfgs-b"}, learn="scale")
    model.fit(X, Y)
    for output, part in enumerate(model.correction_.parts):
        mean = dense(X, Y[:, output], X_NEW, part.noise_variance, part.amplitude)[0]
        np.testing.assert_allclose(model.predict(X_NEW)[:, output], mean, atol=1e-6)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    for ours, theirs in zip(
        loaded.predict(X_NEW, return_std=True), model.predict(X_NEW, return_std=True), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    with pytest.raises(ValueError, match="use `fit`"):
        model.partial_fit(X, Y)
    with pytest.raises(ValueError, match="no covariances"):
        model.predict(X_NEW, return_cov=True)
    assert model.coarse_grained(3).correction_ is None


def test_leaving_out_is_leaving_out(monkeypatch):
    tight(monkeypatch)
    one = Y[:, 0]
    model = ReducedGPRegressor(KERNEL, normalize_y=False, **SOLVED).fit(X, one)
    with jax.enable_x64(True):
        means, variances = model.correction_.leave_one_out(X[:5], one[:5, None], np.ones(5))
        gram = np.asarray(KERNEL(X))
    for row in range(5):
        others = np.delete(np.arange(ROWS), row)
        weights = np.linalg.solve(
            gram[np.ix_(others, others)] + NOISE * np.eye(119), gram[others, row]
        )
        np.testing.assert_allclose(means[row, 0], weights @ one[others], atol=1e-6)
        np.testing.assert_allclose(variances[row], 1 - weights @ gram[others, row], rtol=1e-5)


def test_classes_are_read_out_too():
    labels = np.where(np.sin(2 * X[:, 0]) * X[:, 1] > 0, "up", "down")
    options = {"rank": 16, "optimizer": None, "random_state": 0}
    exact_model = ReducedGPClassifier(KERNEL, exact=True, **options).fit(X, labels)
    plain = ReducedGPClassifier(KERNEL, likelihood="regression", **options).fit(X, labels)
    assert exact_model.leave_one_out_log_loss_ < plain.leave_one_out_log_loss_
    assert exact_model.inverse_temperature_ is not None
    new = np.where(np.sin(2 * X_NEW[:, 0]) * X_NEW[:, 1] > 0, "up", "down")
    assert exact_model.score(X_NEW, new) >= plain.score(X_NEW, new)
    with pytest.raises(ValueError, match="needs likelihood='regression' or 'auto'"):
        ReducedGPClassifier(exact=True, likelihood="logistic").fit(X, labels)


def test_products_of_tiles_are_those_of_the_matrix(monkeypatch):
    monkeypatch.setattr("wilsonian.regression.exact.kernel_products.TILE", 32)
    monkeypatch.setattr("wilsonian.regression.exact.kernel_products.WIDE", 2)
    vectors = np.random.default_rng(0).standard_normal((ROWS, 3))
    matrix = KernelMatrix(KERNEL, X)
    with jax.enable_x64(True):
        whole, across = np.asarray(KERNEL(X)), np.asarray(KERNEL(X_NEW, X))
        found = matrix.product(vectors, np.float64), matrix.across(X_NEW, vectors, np.float64)
    np.testing.assert_allclose(found[0], whole @ vectors, atol=1e-12)
    np.testing.assert_allclose(found[1], across @ vectors, atol=1e-12)


def test_gradients_survive_dependent_columns_and_coarse_arithmetic():
    """Two equal right-hand sides, and a fast operator that is wrong by more than half: solved by
    the exact one."""
    random = np.random.default_rng(0)
    root = random.standard_normal((50, 50))
    matrix, targets = root @ root.T + np.eye(50), random.standard_normal((50, 1))
    found = solve(
        lambda v: matrix @ v,
        lambda v: np.diag(np.diagonal(matrix)) @ v,
        lambda v: v,
        np.hstack([targets, targets]),
        start=np.zeros((50, 2)),
        tolerance=1e-8,
        max_steps=400,
    )
    assert found.converged
    exact_vectors = np.linalg.solve(matrix, targets)
    np.testing.assert_allclose(found.vectors, np.hstack([exact_vectors] * 2), atol=1e-5)


def test_a_preconditioner_solves_its_own_equations(monkeypatch):
    """Against the dense inverse, in blocks that do not fill up; rounding in single precision is in
    the features, not in the solution. What the features leave is a positive part of the kernel."""
    monkeypatch.setattr(preconditioner, "BLOCK", 50)
    monkeypatch.setattr(preconditioner, "FIRST_RANK", 15)
    ridge = np.random.default_rng(1).uniform(1e-3, 2e-3, ROWS)
    vectors = np.random.default_rng(2).standard_normal((ROWS, 2))
    with jax.enable_x64(True):
        gram = np.asarray(KERNEL(X))
        features, lost = preconditioner.nystrom_features(KERNEL, X, 30, 0.0)
        few, more = preconditioner.nystrom_features(KERNEL, X, 100, 0.1)
    kept = features.astype(float) @ features.T.astype(float)
    assert features.shape == (ROWS, 30)
    np.testing.assert_allclose(lost, np.mean(np.diagonal(gram - kept)), atol=1e-6)
    assert np.linalg.eigvalsh(gram - kept)[0] > -1e-6
    found = preconditioner.preconditioner(features, ridge)(vectors)
    np.testing.assert_allclose(
        found, np.linalg.solve(kept + np.diag(ridge), vectors), rtol=1e-8, atol=1e-8
    )
    assert few.shape[1] in (15, 30, 60)  # doubled until enough, not all that it may be
    assert more < 0.1


def test_more_modes_in_the_preconditioner_take_fewer_steps():
    """At least a third fewer for twice the modes (in theory half)."""
    random = np.random.default_rng(3)
    rows, kernel = random.standard_normal((600, 4)), Matern52(4.0)
    with jax.enable_x64(True):
        matrix = np.asarray(kernel(rows)) + 1e-4 * np.eye(600)
        targets, steps = np.sin(rows @ np.array([[1.0], [2.0], [0.5], [0.0]])), []
        for rank in (50, 100, 200):
            features, lost = preconditioner.nystrom_features(kernel, rows, rank, 0.0)
            found = solve(
                lambda v: matrix @ v,
                lambda v: matrix @ v,
                preconditioner.preconditioner(features, np.full(600, 1e-4 + lost)),
                targets,
                start=np.zeros((600, 1)),
                tolerance=1e-6,
                max_steps=1000,
            )
            assert found.converged
            steps.append(found.steps)
    assert steps[1] < 2 / 3 * steps[0]
    assert steps[2] < 2 / 3 * steps[1]


def test_steps_end_where_the_noise_hides_what_is_left():
    """Without a tolerance: a twentieth of the noise's standard deviation, whatever the units."""
    found = ResidualCorrection.of(fitted(rank=24), X, Y)
    assert found.converged
    assert np.all(found.residual <= 0.05 * np.sqrt(NOISE) * Y.std(axis=0))
    assert found.steps < ResidualCorrection.of(fitted(rank=24), X, Y, tolerance=1e-9).steps
    wide = 4 * (Y - Y.mean(axis=0)) / Y.std(axis=0)
    own_units = fitted(wide, rank=24, normalize_y=False)
    assert np.all(ResidualCorrection.of(own_units, X, wide).residual <= 0.05 * np.sqrt(NOISE))
    exact_mean = dense(X, Y, X, NOISE)[0]
    left = np.sqrt(np.mean((found.predict(X) - exact_mean) ** 2, axis=0))
    assert np.all(left <= found.residual)


def test_a_start_worse_than_none_is_left():
    random = np.random.default_rng(4)
    root, targets = random.standard_normal((40, 40)), random.standard_normal((40, 1))
    matrix = root @ root.T + np.eye(40)

    def steps(start):
        options = {"start": start, "tolerance": 1e-6, "max_steps": 200}
        found = solve(matrix.dot, matrix.dot, lambda v: v, targets, **options)
        np.testing.assert_allclose(matrix @ found.vectors, targets, atol=1e-5)
        return found.steps

    answer = np.linalg.solve(matrix, targets)
    assert steps(answer) == 0
    assert steps(answer + 1e6) == steps(np.zeros((40, 1))) > 10


def test_the_whole_process_has_the_scale_of_its_own_evidence(monkeypatch):
    """A maximum of the dense evidence, and of a bounded noise the best amplitude; the reduced
    theory explains noise by what it eliminated, and interpolates."""
    random, kernel = np.random.default_rng(5), Matern52()
    rows = random.standard_normal((300, 2))
    y = (rows.sum(axis=1) + 0.1 * random.standard_normal(300))[:, None] / np.sqrt(2)
    with jax.enable_x64(True):
        sample = Sample(rows, y, np.ones(300))
        amplitude, noise, _ = scale_of_whole(kernel, sample, 0.0)
        bounded = scale_of_whole(kernel, sample, 0.02)[:2]
        gram = np.asarray(kernel(rows))

    def evidence(amplitude, noise):
        covariance = amplitude * gram + noise * np.eye(300)
        return scipy.stats.multivariate_normal(np.zeros(300), covariance).logpdf(y[:, 0])

    best = evidence(amplitude, noise)
    for factor in (0.95, 1.05):
        assert evidence(amplitude * factor, noise) < best
        assert evidence(amplitude, noise * factor) < best
        assert evidence(bounded[0] * factor, 0.02) < evidence(*bounded)
    assert bounded[1] == pytest.approx(0.02)
    assert noise == pytest.approx(0.005, rel=0.3)  # 300 squares scatter by 8 percent; fits by more


def test_length_scales_that_a_cutoff_made_too_long_are_shortened(tmp_path):
    """Targets of a known process: the stretch takes a wrong length scale near the true one, leaves
    the right one and kernels of other numbers alone, and predictions are those of the dense process
    with it, also from a stored model."""
    random = np.random.default_rng(6)
    rows, kernel = random.uniform(-3, 3, (300, 2)), Matern52(1.0)
    with jax.enable_x64(True):
        gram = np.asarray(kernel(rows)) + 0.01 * np.eye(300)
        y = (np.linalg.cholesky(gram) @ random.standard_normal(300))[:, None]
        sample = Sample(rows, y, np.ones(300))

        def stretch(kernel):
            found = scale_of_whole(kernel, sample, 0.0, learn_stretch=True)
            # Amplitude and noise are those of the length scales it came to.
            again = scale_of_whole(Rescaled(kernel, found.stretch), sample, 0.0)
            np.testing.assert_allclose(found[:2], again[:2], rtol=1e-6)
            return found.stretch

        assert stretch(kernel) == pytest.approx(1, abs=0.17)
        assert 2.5 * stretch(Matern52(2.5)) == pytest.approx(1, rel=0.3)
        assert stretch(FromFunction(lambda a, b: a @ b.T)) == 1
    model = ReducedGPRegressor(Matern52(2.5), **SOLVED | {"rank": 4, "exact": False})
    model.fit(rows, y[:, 0])
    model.optimizer = "l-bfgs-b"  # as if the few modes had learned this length scale
    model.correction_ = ResidualCorrection.of(model, rows, y[:, 0], tolerance=1e-9)
    (part,) = model.correction_.parts
    assert part.stretch < 0.6
    assert "of the cut theory's" in model.correction_.sentence()
    wanted = dense(
        rows, y, X_NEW[:, :2], part.noise_variance, part.amplitude, Matern52(2.5 * part.stretch)
    )
    save_model(model, tmp_path / "model")
    for found in (model, load_model(tmp_path / "model")):
        mean, std = found.predict(X_NEW[:, :2], return_std=True)
        np.testing.assert_allclose(mean, wanted[0][:, 0], atol=1e-5)
        np.testing.assert_allclose(std, wanted[1] * y.std(), rtol=1e-4)


def test_bad_options_get_a_sentence():
    model = fitted(cutoff=5)
    with pytest.raises(ValueError, match="`tolerance` lies between 0 and 1"):
        ResidualCorrection.of(model, X, Y, tolerance=0)
    with pytest.raises(ValueError, match="`neighbours` must be an integer"):
        ResidualCorrection.of(model, X, Y, neighbours=0)
    with pytest.raises(ValueError, match="`exact` must be one of"):
        ReducedGPRegressor(exact="yes").fit(X, Y)
