"""The command as its user types it: what it prints, writes, and answers to bad input."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from helpers import run

from wilsonian import load_model
from wilsonian.app.runs.checkpoints import checkpoint_folder
from wilsonian.app.runs.fit import Choices, fit_table, load_run
from wilsonian.app.tables import open_table

FAST = ["--learn", "none", "--kernel", "matern52:length_scale=3", "--noise-variance", "0.1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def house(folder):
    """A table with numbers, a category and missing values; the target is their known function."""
    random = np.random.default_rng(0)
    rows = 400
    size, age = random.normal(100, 20, rows), random.uniform(0, 50, rows)
    city = np.array(["north", "south"])[random.integers(0, 2, rows)]
    noise = 5 * random.normal(size=rows)
    price = 3 * size - 2 * age + 40 * (city == "north") + noise
    age = [
        None if gap else value for gap, value in zip(random.random(rows) < 0.05, age, strict=True)
    ]
    table = pa.table({"size": size, "age": age, "city": city, "price": price})
    pyarrow.csv.write_csv(table, folder / "house.csv")
    return folder / "house.csv"


@pytest.fixture(scope="module")
def model(folder, house):
    """A model of the house prices, learned."""
    few = ["--rank", "100", "--out", folder / "model"]  # a nearly linear function needs no more
    assert run("fit", house, "--target", "price", *few, "--quiet") == 0
    return folder / "model"


def test_fit_prints_what_was_learned_and_writes_model_and_report(tmp_path, capsys):
    report, out = tmp_path / "report.html", tmp_path / "model"
    assert run("fit", "digits", *FAST, "--rank", "100", "--report", report, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "100 modes are kept; 1,437 rows teach them as far as" in printed
    assert "Accuracy" in printed
    assert "What do the modes look like?" in report.read_text()
    record = load_run(out).record
    assert record.metrics["accuracy"] > 0.9  # a linear classifier reaches 0.95
    assert record.test_rows == 360


def test_a_learned_model_finds_the_noise_it_was_given(model):
    record = load_run(model).record
    # Noise of standard deviation 5; five per cent of the ages are missing, which costs up to 30.
    assert 4 < record.metrics["rmse"] < 15
    assert 0.85 <= record.metrics["coverage_95"] <= 1


def test_predict_writes_mean_and_std_per_row_in_every_format(model, house, tmp_path):
    expected = np.concatenate([b["mean"] for b in load_run(model).predict(open_table(house))])
    for suffix in ("csv", "parquet", "npz"):
        out = tmp_path / f"predictions.{suffix}"
        assert run("predict", model, house, "--out", out, "--quiet") == 0
        table = open_table(out)
        (block,) = table.blocks(table.column_names, 1000)
        assert table.column_names == ["mean", "std"]
        np.testing.assert_allclose(block.column("mean"), expected, rtol=1e-12)
        assert np.all(block.column("std") > 0)
    truth = next(open_table(house).blocks(["price"], 1000)).column("price")
    assert np.corrcoef(truth, expected)[0, 1] > 0.97


def test_predict_prints_csv_without_out(model, house, capfdbinary):
    assert run("predict", model, house) == 0
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert lines[0] == '"mean","std"'
    assert len(lines) == 401


def test_classes_are_predicted_with_probabilities(tmp_path):
    assert run("fit", "iris", *FAST, "--out", tmp_path / "model", "--quiet") == 0
    (block,) = load_run(tmp_path / "model").predict(open_table("iris"))
    names = ["probability_setosa", "probability_versicolor", "probability_virginica"]
    np.testing.assert_allclose(sum(block[name] for name in names), 1.0, rtol=1e-12)
    assert set(block["class"]) == {"setosa", "versicolor", "virginica"}


def test_flow_as_table_json_csv_and_picture(model, tmp_path, capsys):
    csv, plot = tmp_path / "flow.csv", tmp_path / "flow.png"
    assert run("flow", model, "--csv", csv, "--plot", plot) == 0
    printed = capsys.readouterr().out
    record = load_run(model).record
    assert f"* {record.spectrum.kept} " in printed
    assert plot.read_bytes().startswith(b"\x89PNG")
    table = open_table(csv)
    (block,) = table.blocks(["kept", "ridge", "test_error"], 5000)
    np.testing.assert_array_equal(block.column("ridge"), record.flow.ridge)
    (here,) = np.flatnonzero(block.column("kept") == record.spectrum.kept)
    at_cutoff = block.column("test_error")[here]
    assert at_cutoff == pytest.approx(record.metrics["rmse"], rel=1e-9)
    assert run("flow", model, "--json") == 0
    assert json.loads(capsys.readouterr().out)["kept"] == block.column("kept").tolist()


def test_info_and_fit_print_json(model, house, capsys):
    assert run("info", model, "--json") == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["target"] == "price"
    assert run("fit", house, "--target", "price", *FAST, "--json") == 0
    assert json.loads(capsys.readouterr().out)["record"]["rows"] == 320
    assert run("info", model) == 0
    assert "320 training rows" in capsys.readouterr().out


def test_the_estimator_inside_is_loaded_from_python(model):
    estimator = load_model(model)
    assert estimator.predict(np.zeros((1, estimator.n_features_in_))).shape == (1,)


def test_equal_seeds_give_equal_models(house, tmp_path):
    results = []
    for name in "ab":
        run("fit", house, "--target", "price", *FAST, "--out", tmp_path / name, "--quiet")
        results.append((tmp_path / name / "arrays.safetensors").read_bytes())
    assert results[0] == results[1]


BAD = {
    "missing file": (["fit", "nowhere.csv"], 2, "there is no file nowhere.csv"),
    "unknown target": (["fit", "{house}", "--target", "prize"], 2, "did you mean 'price'"),
    "no target": (["fit", "{house}"], 2, "pass --target"),
    "kernel": (["fit", "iris", "--kernel", "matern53"], 2, "did you mean 'matern52'"),
    "rank": (["fit", "iris", "--rank", "0"], 2, "`rank` must be a positive integer"),
    "rank word": (["fit", "iris", "--rank", "many"], 2, "--rank must be auto or a number"),
    "cutoff": (["fit", "diabetes", "--cutoff", "-4"], 2, "`cutoff` must be"),
    "cutoff count": (["fit", "diabetes", *FAST, "--cutoff", "4000"], 2, "keeps 4000 modes"),
    "threshold": (["fit", "iris", "--threshold", "3"], 2, "learnability between 0 and 1"),
    "noise": (
        ["fit", "iris", "--noise-variance", "-1"],
        2,
        "`noise_variance` must be a positive number",
    ),
    "test fraction": (["fit", "iris", "--test-fraction", "1.5"], 2, "below 1, got 1.5"),
    "block size": (["fit", "iris", "--block-size", "0"], 2, "`block_size` must be positive"),
    "seed": (["fit", "iris", "--seed", "-1"], 2, "must not be negative"),
    "resume alone": (["fit", "iris", "--resume"], 2, "--resume needs --out"),
    "unwritable": (["fit", "iris", "--out", "/nowhere/model"], 1, "does not exist"),
    "report": (["fit", "iris", "--report", "/nowhere/r.html"], 1, "does not exist"),
    "class ridge": (["fit", "iris", "--ridge", "input-dependent"], 2, "uniform ridge"),
    "no model": (["info", "nowhere"], 2, "there is no such folder"),
    "other columns": (["predict", "{model}", "iris"], 2, "lacks 'size'"),
    "prediction file": (["predict", "{model}", "{house}", "--out", "p.txt"], 2, "choose one"),
    "picture": (["flow", "{model}", "--plot", "flow.gif"], 2, "pictures are .png"),
    "option": (["fit", "iris", "--kernle", "rbf"], 2, "No such option"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence_and_an_exit_code(name, house, model, capsys):
    arguments, code, sentence = BAD[name]
    assert run(*[a.format(house=house, model=model) for a in arguments]) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("Error: ")
    assert "Traceback" not in error


def test_a_table_of_too_few_rows_is_refused(tmp_path, capsys):
    (tmp_path / "one.csv").write_text("x,y\n1,2\n")
    assert run("fit", tmp_path / "one.csv", "--target", "y", "--test-fraction", "0") == 2
    assert "1 training row" in capsys.readouterr().err


def test_a_tampered_model_is_refused(model, tmp_path, capsys):
    copy = tmp_path / "model"
    copy.mkdir()
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    text = (copy / "model.json").read_text()
    (copy / "model.json").write_text(text.replace('"price"', '"prize"'))
    assert run("info", copy) == 2
    assert "was changed after it was saved" in capsys.readouterr().err


# Interruption -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_table(folder):
    random = np.random.default_rng(1)
    X = random.normal(size=(6000, 3))
    y = np.sin(X).sum(axis=1) + 0.1 * random.normal(size=6000)
    names = ["a", "b", "c", "y"]
    pyarrow.parquet.write_table(pa.table([*X.T, y], names=names), folder / "long.parquet")
    return folder / "long.parquet"


def long_choices(table, **changes):
    parameters = {"rank": 50, "learn": "scale", "noise_variance": 0.05}
    return Choices(str(table), "y", block_size=500, parameters=parameters | changes)


def interrupt_after(blocks):
    """A progress callback that interrupts the third pass like Ctrl-C does."""
    seen = []

    def progress(stage, done, of):
        if stage == "integrating":
            seen.append(done)
            if len(seen) == blocks:
                raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("blocks", [1, 5, 11])
def test_a_resumed_fit_gives_the_same_model(long_table, tmp_path, blocks):
    straight = fit_table(long_choices(long_table), tmp_path / "straight")
    out = tmp_path / "resumed"
    with pytest.raises(KeyboardInterrupt):
        fit_table(long_choices(long_table), out, progress=interrupt_after(blocks))
    assert not out.exists()
    assert checkpoint_folder(out).is_dir()
    stages = []
    resumed = fit_table(
        long_choices(long_table), out, resume=True, progress=lambda *a: stages.append(a)
    )
    assert not checkpoint_folder(out).exists()
    done = [done for stage, done, _ in stages if stage == "integrating"]
    assert len(done) == 12 - blocks  # finished blocks are not read again
    assert "learning hyperparameters" not in {stage for stage, *_ in stages}
    # The same sums in the same order: equal to the last bit, so 1e-12 only allows for the BLAS.
    for name in ("noise_variance", "ridge"):
        assert getattr(resumed.record, name) == pytest.approx(
            getattr(straight.record, name), rel=1e-12
        )
    assert resumed.record.metrics == pytest.approx(straight.record.metrics, rel=1e-12)


def test_resuming_another_fit_is_refused_and_a_new_one_starts_anew(long_table, tmp_path):
    out = tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit_table(long_choices(long_table), out, progress=interrupt_after(3))
    with pytest.raises(ValueError, match=r"that fit had another rank; repeat its command"):
        fit_table(long_choices(long_table, rank=60), out, resume=True)
    fit_table(long_choices(long_table, rank=60), out)
    assert not checkpoint_folder(out).exists()
    assert load_run(out).record.rank == 60


def test_a_killed_command_leaves_a_state_to_resume_from(long_table, tmp_path):
    out = tmp_path / "model"
    command = [sys.executable, "-m", "wilsonian", "fit", long_table, "--target", "y"]
    command += ["--rank", "200", "--learn", "scale", "--block-size", "4", "--out", out]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(3000):
        if (checkpoint_folder(out) / "model.json").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130, process.communicate()
    assert b"--resume" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert not out.exists()
    assert checkpoint_folder(out).is_dir()
