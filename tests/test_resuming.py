"""What an interruption leaves is said and kept; nothing starts over silently; one fit at a time."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import pytest
from test_cli import FAST, run
from test_cli import long_choices as choices_of

from wilsonian.app.runs import checkpoints
from wilsonian.app.runs.checkpoints import checkpoint_folder, interruption
from wilsonian.app.runs.fit import fit_table
from wilsonian.app.runs.locks import one_at_a_time
from wilsonian.app.tables import open_table
from wilsonian.regression.exact.residual_correction import STAGE
from wilsonian.support.files import FileError


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    import pyarrow as pa
    import pyarrow.parquet

    random = np.random.default_rng(1)
    X = random.normal(size=(600, 2))
    y = np.sin(2 * X[:, 0]) + 0.3 * X[:, 1] ** 2 + 0.1 * random.normal(size=600)
    columns = {"a": X[:, 0], "b": X[:, 1], "y": y}
    path = tmp_path_factory.mktemp("resuming") / "t.parquet"
    pa.parquet.write_table(pa.table(columns), path)
    return path


def choices(table):
    return choices_of(table, rank=20, learn="scale")


def interrupt_in(wanted):
    def progress(stage, done, of, told=""):
        if stage == wanted and done:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("stage", ["sampling", "integrating", "testing"])
def test_a_fit_goes_on_from_where_the_sentence_says(table, tmp_path, stage):
    straight = fit_table(choices(table))
    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit_table(choices(table), out, progress=interrupt_in(stage))
    said = interruption(stage, 500, out)
    assert "goes on with --resume" in said
    stages = []
    resumed = fit_table(choices(table), out, resume=True, progress=lambda *a: stages.append(a[0]))
    assert "reading" not in stages  # as every sentence promises
    if "rows that are integrated" in said or "all rows integrated" in said:
        assert any("finished blocks" in note for note in resumed.record.notes)
    if "all rows integrated" in said:
        assert "integrating" not in stages
    assert resumed.record.metrics == pytest.approx(straight.record.metrics, rel=1e-12)


def test_the_residual_correction_is_resumed_stored_and_told(table, tmp_path, capsys):
    """From the command line: interrupted after a step, resumed from there, and used by predict."""
    out, taken = tmp_path / "model", []
    exact = choices_of(table, rank=20, learn="scale", exact=True)
    with pytest.raises(KeyboardInterrupt):
        fit_table(exact, out, progress=interrupt_in(STAGE))
    assert "steps of the residual correction" in interruption(STAGE, 1, out)
    run_ = fit_table(exact, out, resume=True, progress=lambda *a: taken.append(a[0]))
    assert "integrating" not in taken
    correction = run_.estimator.correction_
    assert correction is not None
    assert correction.converged
    assert run_.record.correction.startswith("The equations of all")
    plain = fit_table(choices(table))
    assert run_.record.metrics["rmse"] < plain.record.metrics["rmse"]
    assert run("predict", out, table, "--out", tmp_path / "p.npz", "--quiet") == 0
    predicted = np.load(tmp_path / "p.npz")["mean"]
    (block,) = run_.predict(open_table(str(table)))
    np.testing.assert_allclose(predicted, block["mean"], rtol=1e-12)
    (without,) = plain.predict(open_table(str(table)))
    assert np.abs(without["mean"] - predicted).max() > 1e-3
    assert run("info", out) == 0
    assert "with the kept modes alone" in capsys.readouterr().out


LEARNED, MOVED = "learning hyperparameters", "moving inducing points"


@pytest.mark.parametrize(("stage", "calls"), [(LEARNED, 25), (MOVED, 15)])
def test_learning_goes_on_from_what_it_had_finished(table, tmp_path, monkeypatch, stage, calls):
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    all_of_it = choices_of(table, rank=20, learn="all", move_inducing_points=True)
    told = []
    straight = fit_table(all_of_it, progress=lambda *a: told.append(a))
    runs = {said[3].split(":")[0] for said in told if said[0] == LEARNED and len(said) > 3}
    assert len(runs) > 2
    assert all("log evidence" in said[3] for said in told if said[0] == MOVED)
    count = [0]

    def interrupted(at, done, of, told=""):
        count[0] += at == stage
        if count[0] == calls:
            raise KeyboardInterrupt

    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit_table(all_of_it, out, progress=interrupted)
    said = interruption(stage, 3, out)
    assert said.startswith("Interrupted; the fit goes on with --resume, with the columns read")
    again = []
    resumed = fit_table(all_of_it, out, resume=True, progress=lambda *a: again.append(a))
    # Not one step that was finished is done again, and the end is the same to the last bit: 1e-12
    # only allows for the BLAS.
    before = sum(said[0] == stage for said in told)
    assert sum(said[0] == stage for said in again) < before
    if stage == MOVED:
        assert {said[3] for said in again if said[0] == LEARNED and len(said) > 3} == set()
        assert min(said[1] for said in again if said[0] == MOVED) == calls
    assert any("pieces of the learning done" in note for note in resumed.record.notes)
    assert resumed.record.metrics == pytest.approx(straight.record.metrics, rel=1e-12)


def test_nothing_to_resume_is_said_and_nothing_starts_over(table, tmp_path, capsys):
    arguments = ["fit", table, "--target", "y", *FAST, "--out", tmp_path / "m", "--resume"]
    assert run(*arguments) == 2
    assert "There is nothing to resume" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
    assert run(*arguments[:-1], "--quiet") == 0
    assert run(*arguments) == 2  # done is not interrupted


def test_what_is_not_kept_is_said(tmp_path):
    assert "nothing is kept" in interruption("integrating", 5, None)
    out = tmp_path / "m"
    assert "start the fit again, without --resume" in interruption("reading", 5, out)
    checkpoint_folder(out).mkdir()
    assert "500 rows" in interruption("integrating", 500, out)


def hold(path, held, done):
    with one_at_a_time(path):
        held.set()
        done.wait(60)


def test_a_second_fit_to_one_place_is_refused_while_the_first_runs(table, tmp_path):
    out = tmp_path / "model"
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    first = context.Process(target=hold, args=(out, held, done))
    first.start()
    assert held.wait(60)
    with pytest.raises(FileError, match="another fit is writing there now; wait until it is done"):
        fit_table(choices(table), out)
    with one_at_a_time(tmp_path / "other"):
        pass
    first.kill()  # however it ends
    first.join()
    with one_at_a_time(out):
        assert threading.active_count() >= 1
    assert list(tmp_path.iterdir()) == []
