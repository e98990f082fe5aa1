"""Rows with missing values: the variance that they leave is found, stated, saved and reported."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.special
import scipy.stats

from wilsonian.app.reports.verdicts import bounds_verdict, incomplete_verdict
from wilsonian.app.runs.fit import Choices, fit_table
from wilsonian.app.runs.missing import (
    _mixed_variances,
    _told_apart,
    missing_sentences,
    missing_variances,
)
from wilsonian.app.runs.model import load_run
from wilsonian.app.runs.repeated_rows import repeated_sentences
from wilsonian.app.tables import open_table

ROWS = 400
RANDOM = np.random.default_rng(5)
FIRST, SECOND = RANDOM.normal(size=(2, ROWS))
LEVEL = np.where(RANDOM.random(ROWS) < 0.5, "p", "q")
LACKS = RANDOM.random(ROWS) < 0.3, RANDOM.random(ROWS) < 0.2
Y = 3 * FIRST + 2 * (LEVEL == "p") + SECOND + 0.3 * RANDOM.normal(size=ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("missing")
    lines = ["a,b,c,y"]
    for row in range(ROWS):
        a = "" if LACKS[0][row] else f"{FIRST[row]:.6f}"
        c = "" if LACKS[1][row] else LEVEL[row]
        lines.append(f"{a},{SECOND[row]:.6f},{c},{Y[row]:.6f}")
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    return folder


def choices(folder):
    parameters = {"max_rank": 64, "second_scale": False, "search": "coarse"}
    path = str(folder / "t.csv")
    return Choices(path, "y", kernel="rbf", parameters=parameters, test_fraction=0.5)


@pytest.fixture(scope="module")
def run(folder):
    return fit_table(choices(folder), folder / "model")


def test_variances_of_normal_numbers_are_told_apart():
    random = np.random.default_rng(0)
    marks = random.random((4000, 2)) < 0.3
    variance = 0.5 + marks @ [2.0, 0.0]
    found = _mixed_variances(variance * random.normal(size=4000) ** 2, marks.astype(float))
    # A variance from 1,200 normal numbers is known to sqrt(2 / 1200), 4 percent; three times that.
    np.testing.assert_allclose(found, [0.5, 2.0, 0.0], atol=0.3)
    assert found[2] < 0.1


def test_a_variance_from_few_rows_is_as_wide_as_its_uncertainty_asks():
    """Ten rows lack a value: a normal interval of their variance as found holds what Student's law
    of ten degrees of freedom gives it, .87 of new rows."""
    random, held, bare = np.random.default_rng(0), [], []
    marks = np.zeros((300, 1))
    marks[:10] = 1.0
    encoding = SimpleNamespace(markers=[0])
    for _ in range(200):
        squares = random.normal(size=300) ** 2 * (1 + 3 * marks[:, 0])
        (variance,) = _told_apart(encoding, marks, squares)
        for stated, found in ((held, 1 + variance), (bare, _mixed_variances(squares, marks).sum())):
            stated.append(scipy.special.erf(1.645 * (found / 4 / 2) ** 0.5))
    # Standard deviation of one term is .06: three standard errors of the mean are .013.
    assert np.mean(bare) == pytest.approx(2 * scipy.stats.t(10).cdf(1.645) - 1, abs=0.015)
    assert np.mean(held) == pytest.approx(0.9, abs=0.015)


def test_what_a_missing_column_leaves_is_its_own_variance(run):
    encoding = run.encoding
    assert [encoding.feature_names[place] for place in encoding.markers] == [
        "a (missing)",
        "c=(missing)",
    ]
    # 3 a has variance 9; 2 (c = p), one. From 50 rows a variance is known to a fifth.
    assert encoding.missing_variances[0] == pytest.approx(9, rel=0.5)
    assert encoding.missing_variances[1] < 3
    assert any("'a (missing)'" in note and "adds to the noise" in note for note in run.record.notes)


def test_intervals_hold_on_complete_and_on_incomplete_rows(run):
    metrics = run.record.metrics
    assert 60 < metrics["incomplete_rows"] < 120
    # About a hundred rows each: a standard error of .03.
    for rows in ("complete", "incomplete"):
        assert 0.8 < metrics[f"coverage_90_{rows}"] <= 0.99
    assert incomplete_verdict(run.record, 90).endswith(
        f"the typical error there is {metrics['rmse_incomplete']:.3g}."
    )
    blind = dataclasses.replace(run.encoding, missing_variances=())
    assert blind.missing_noise(np.ones((2, len(blind.feature_names)))) is None
    assert missing_sentences(blind) == []


def test_variances_are_as_wide_as_rows_left_out_of_the_learning_scatter(folder, run, monkeypatch):
    """And what an interrupted fit keeps is from before that was asked: it is done once."""
    assert not any("left out of the learning" in note for note in run.record.notes)
    monkeypatch.setattr("wilsonian.app.runs.fit.scatter_left_out", lambda *told: 1.44)

    def interrupt(stage, *told):
        if stage == "testing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_table(choices(folder), folder / "wide", progress=interrupt)
    wide = fit_table(choices(folder), folder / "wide", resume=True).record
    assert any("scatter by 1.44 times the variance" in note for note in wide.notes)
    np.testing.assert_allclose(wide.predictions.mean, run.record.predictions.mean, rtol=1e-9)
    np.testing.assert_allclose(wide.predictions.std, 1.2 * run.record.predictions.std, rtol=1e-9)


def test_labels_are_learned_beside_missing_values(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=80)
    lines = [f"{'' if i % 5 == 0 else x[i]},{'p' if x[i] > 0 else 'q'}" for i in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    parameters = {"learn": "scale", "rank": 8}
    record = fit_table(Choices(str(tmp_path / "t.csv"), "y", parameters=parameters)).record
    assert record.task == "classification"
    # A fifth of the rows are guessed.
    assert record.metrics["error_rate"] < 0.4


def test_the_variance_is_saved_and_stated_for_new_rows(folder, run):
    (folder / "new.csv").write_text("a,b,c\n0.1,0.2,p\n,0.2,p\n")
    table = open_table(folder / "new.csv")
    stds = []
    for model in (run, load_run(folder / "model")):
        (block,) = model.predict(table)
        stds.append(block["std"])
    np.testing.assert_array_equal(*stds)
    assert stds[0][1] ** 2 - stds[0][0] ** 2 > 0.8 * run.encoding.missing_variances[0]


def test_where_nothing_more_is_lost_nothing_is_added(run):
    # The column says nothing of this target.
    encoding = dataclasses.replace(run.encoding, missing_variances=())
    wide = np.zeros((ROWS, len(encoding.feature_names)))
    wide[:, encoding.markers] = np.stack(LACKS, axis=1)
    wide[:, 1] = SECOND
    noise = missing_variances(encoding, wide, SECOND + RANDOM.normal(size=ROWS), 0)
    # v_0 is one and known to a tenth; what is found is within three standard errors of nothing.
    assert np.all(noise < 0.4)


def test_stored_variances_are_checked(run):
    for wrong in ((1.0,), (1.0, -1.0), (1.0, float("nan"))):
        with pytest.raises(ValueError, match="fit again"):
            dataclasses.replace(run.encoding, missing_variances=wrong)


def test_a_prior_at_its_bounds_is_doubted(run):
    record = dataclasses.replace(run.record, convergence="..., 2 parameters at their bounds.")
    assert bounds_verdict(record).startswith("Doubt: hyperparameters ended at the bounds")
    assert bounds_verdict(run.record) == ""


def test_rows_that_repeat_others_are_said_unless_they_are_measurements():
    X, y = RANDOM.normal(size=(50, 3)), RANDOM.normal(size=50)
    copied = np.append(np.arange(50), [3, 3, 7])
    assert repeated_sentences(X, y) == []
    (said,) = repeated_sentences(X[copied], y[copied])
    assert said.startswith("5.66% of the rows repeat an earlier one to the last digit")
    # Equal inputs whose targets mostly differ are measured anew, and may agree now and then.
    again = np.tile(np.arange(10), 20)
    assert repeated_sentences(X[again], RANDOM.integers(0, 99, size=200).astype(float)) == []
