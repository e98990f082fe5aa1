"""What an interruption leaves is said and kept; nothing starts over silently; one fit at a time."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import pytest
from test_cli import FAST, run
from test_cli import long_choices as choices_of

from wilsonian.app.runs import fit as fits
from wilsonian.app.runs.checkpoints import checkpoint_folder, interruption
from wilsonian.app.runs.fit import fit_table
from wilsonian.app.runs.locks import one_at_a_time
from wilsonian.app.tables import open_table
from wilsonian.regression.residual_correction import STAGE
from wilsonian.support.files import FileError


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    import pyarrow as pa
    import pyarrow.parquet

    random = np.random.default_rng(1)
    X = random.normal(size=(600, 2))
    columns = {"a": X[:, 0], "b": X[:, 1], "y": X.sum(axis=1) + 0.1 * random.normal(size=600)}
    path = tmp_path_factory.mktemp("resuming") / "t.parquet"
    pa.parquet.write_table(pa.table(columns), path)
    return path


def choices(table):
    return choices_of(table, rank=20, learn="scale")


def interrupt_in(wanted):
    def progress(stage, done, of):
        if stage == wanted:
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


def test_learning_starts_again_as_the_sentence_says(table, tmp_path, monkeypatch):
    out = tmp_path / "model"
    begun = []

    def interrupted(*arguments, **options):
        begun.append(options["start"])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fits, "fit_process", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_table(choices(table), out)
    said = interruption("learning hyperparameters", 3, out)
    assert said.startswith("Interrupted; the fit goes on with --resume, with the columns read;")
    run_ = fit_table(choices(table), out, resume=True)
    assert begun == [None]
    assert any("learned again" in note for note in run_.record.notes)


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
