"""Known noise of every row: the exact process with it, units, counts, and what is refused."""

import json

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from test_cli import run

from wilsonian import RBF, ReducedGPRegressor, ResidualCorrection, load_model, save_model
from wilsonian.app.runs.fit import Choices, fit_table
from wilsonian.app.runs.model import load_run

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


# The column of a table.

TABLE = {
    "x": X[:, 0],
    "v": VARIANCE,
    "e": np.sqrt(VARIANCE),
    "gap": np.where(np.arange(80) == 7, np.nan, VARIANCE),
    "low": VARIANCE - 1,
    "word": np.full(80, "much"),
    "label": np.where(X[:, 0] > 0, "b", "a"),
    "y": Y,
}
NOISY = ("--learn", "none", "--kernel", "rbf:length_scale=0.5", "--noise-variance", "0.1")


def write(path, columns):
    cells = zip(*(map(str, TABLE[name]) for name in columns), strict=True)
    lines = [",".join(columns), *map(",".join, cells)]
    path.write_text("\n".join(lines).replace("nan", "") + "\n")
    return path


def test_a_column_of_a_table_is_the_array_of_fit(tmp_path):
    table = write(tmp_path / "t.csv", ["x", "v", "y"])
    parameters = {"optimizer": None, "noise_variance": 0.1}
    choices = Choices(
        str(table),
        target="y",
        kernel="rbf:length_scale=0.5",
        parameters=parameters,
        noise_column="v",
        block_size=32,
    )
    ours = fit_table(choices)
    held = np.flatnonzero(np.isin(Y, ours.record.predictions.true))
    kept = np.setdiff1d(np.arange(80), held)
    mean, scale = X[kept].mean(), X[kept].std()
    twin = ReducedGPRegressor(RBF(0.5), **parameters)
    twin.fit((X[kept] - mean) / scale, Y[kept], None, VARIANCE[kept])
    assert ours.encoding.feature_names == ["x"]
    assert ours.record.known_noise == pytest.approx(VARIANCE[kept].mean())
    # Held-out labels are stated with their own known noise.
    _, std = twin.predict((X[held] - mean) / scale, return_std=True, include_noise=True)
    np.testing.assert_allclose(
        ours.record.predictions.std, np.sqrt(std**2 + VARIANCE[held]), rtol=1e-5
    )
    new = (NEW - mean) / scale
    # Inducing points are drawn otherwise; all eighty rows' functions are spanned.
    np.testing.assert_allclose(ours.estimator.predict(new), twin.predict(new), atol=1e-5)
    assert ours.estimator.log_marginal_likelihood_value_ == pytest.approx(
        twin.log_marginal_likelihood_value_, abs=1e-4
    )


def test_on_the_command_line_it_is_streamed_saved_and_reported(tmp_path, capsys):
    table = write(tmp_path / "t.csv", ["x", "v", "y"])
    errors = write(tmp_path / "e.csv", ["x", "e", "y"])
    common = ["--target", "y", *NOISY, "--seed", "3", "--json", "--block-size", "32"]
    found = []
    for arguments in (
        [table, "--noise-column", "v", "--out", tmp_path / "m", "--report", tmp_path / "r.html"],
        [errors, "--noise-column", "e", "--noise-as", "error"],
    ):
        assert run("fit", *arguments, *common) == 0
        found.append(json.loads(capsys.readouterr().out)["record"])
    notes = " ".join(found[0]["notes"])
    assert "'v' is the known noise of each row's 'y', a variance in its units squared" in notes
    assert "a standard error in its units" in " ".join(found[1]["notes"])
    assert found[0]["metrics"]["nlpd"] == pytest.approx(found[1]["metrics"]["nlpd"], rel=1e-9)
    page = (tmp_path / "r.html").read_text()
    assert "beside the known noise of each row" in page
    model = load_run(tmp_path / "m")
    assert model.encoding.outcome.noise == "v"
    # Predicting needs no such column; what is stated is the noise common to all rows.
    (tmp_path / "new.csv").write_text("x\n0.5\n")
    assert run("predict", tmp_path / "m", tmp_path / "new.csv") == 0
    assert capsys.readouterr().out.startswith('"mean","std"\n')


@pytest.mark.parametrize(
    ("columns", "arguments", "sentence"),
    [
        (["x", "gap", "y"], ["--noise-column", "gap"], "'gap' holds no value in row 8"),
        (["x", "low", "y"], ["--noise-column", "low"], "'low' holds -"),
        (["x", "word", "y"], ["--noise-column", "word"], "holds text, not numbers"),
        (["x", "v", "y"], ["--noise-column", "x", "--columns", "x"], "cannot also be the target"),
        (["x", "v", "y"], ["--noise-column", "w"], "has no column 'w'"),
        (["x", "v", "label"], ["--noise-column", "v"], "is a label, which has no noise variance"),
    ],
)
def test_a_column_that_cannot_be_meant_is_refused(columns, arguments, sentence, tmp_path, capsys):
    table = write(tmp_path / "t.csv", columns)
    arguments = ["--include" if a == "--columns" else a for a in arguments]
    assert (
        run("fit", table, "--target", columns[-1], *NOISY, *arguments, "--test-fraction", "0") == 2
    )
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_precisions_are_doubted(tmp_path, capsys):
    TABLE["p"] = 1 / VARIANCE
    table = write(tmp_path / "t.csv", ["x", "p", "y"])
    assert run("fit", table, "--target", "y", "--noise-column", "p", *NOISY, "--json") == 0
    notes = " ".join(json.loads(capsys.readouterr().out)["record"]["notes"])
    assert "or precisions, of which it must be the inverse" in notes
    with pytest.raises(ValueError, match="pass noise_variance_per_row=1/weights"):
        ReducedGPRegressor().fit(X, Y, sample_weight=1e-6 / VARIANCE)
