"""The last metre of the command line: other people's files, pipes, names, ids and interruptions."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from test_cli import FAST, run

from wilsonian.app.runs.model import load_run
from wilsonian.app.tables import open_table
from wilsonian.support.model_files import read_folder, write_folder


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    """A table as spreadsheets export it where the comma is the decimal mark, with an index, dates
    and a column of ids; its target is 10 for one level, plus the number."""
    random = np.random.default_rng(0)
    lines = [";Nr;Größe;Art;Tag;Preis"]
    for row in range(120):
        size, kind = random.normal(2, 1), ["ja", "nein", "true"][row % 3]
        price = 10 * (kind == "true") + size + 0.05 * random.normal()
        cells = [
            row,
            f"K{row:04d}",
            f"{size:.4f}",
            kind,
            f"{1 + row % 28:02d}.03.2026",
            f"{price:.4f}",
        ]
        lines.append(";".join(map(str, cells)).replace(".", ",").replace(",03,2026", ".03.2026"))
    path = tmp_path_factory.mktemp("german") / "preise.csv"
    path.write_bytes("\r\n".join([*lines, ""]).encode("latin-1"))
    return path


@pytest.fixture(scope="module")
def model(german):
    out = german.parent / "model"
    arguments = ["--target", "Preis", "--id", "Nr", "--dates", "drop", "--out", out, "--quiet"]
    assert run("fit", german, *FAST, *arguments) == 0
    return out


def test_a_german_export_is_fitted_and_predicted(german, model, tmp_path, capfdbinary):
    record = load_run(model).record
    assert record.reading.startswith("Read with semicolons between columns, decimal commas, WIN")
    assert record.metrics["r2"] > 0.9
    assert any("without a name, only counts the rows" in note for note in record.notes)
    assert any("'Tag' holds dates and is left out" in note for note in record.notes)
    # A new file of one row: 2,5 is no list of two numbers, true is a word, as at the fit.
    (tmp_path / "neu.csv").write_bytes("Nr;Größe;Art\r\nK1;2,5;true\r\n".encode("latin-1"))
    assert run("predict", model, tmp_path / "neu.csv") == 0
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert lines[0] == '"Nr","mean","std"'
    name, mean, std = lines[1].split(",")
    assert name == '"K1"'
    assert abs(float(mean) - 12.5) < 3 * float(std)


def test_what_training_never_showed_is_in_the_output_and_in_json(model, tmp_path, capsys):
    (tmp_path / "neu.csv").write_text("Nr;Größe;Art\nK1;2,5;true\nK2;2,5;vielleicht\n")
    out = tmp_path / "p.csv"
    assert run("predict", model, tmp_path / "neu.csv", "--out", out) == 0
    assert "1 row holds levels of 'Art' never seen in training." in capsys.readouterr().out
    assert run("predict", model, tmp_path / "neu.csv", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["unseen"] == [{"column": "Art", "sort": "level", "rows": 1}]
    assert answer["predictions"]["Nr"] == ["K1", "K2"]
    assert len(answer["predictions"]["mean"]) == answer["rows"] == 2


def test_options_go_before_the_models_dialect(model, tmp_path, capsys):
    (tmp_path / "new.csv").write_text("Nr;Größe;Art\nK1;1.500;ja\n")
    both = []
    for extra in ([], ["--decimal", "."]):
        assert run("predict", model, tmp_path / "new.csv", "--json", *extra) == 0
        both.append(json.loads(capsys.readouterr().out))
    assert "decimal commas" in both[0]["reading"]  # 1500
    assert "decimal points" in both[1]["reading"]  # 1.5
    assert abs(both[1]["predictions"]["mean"][0] - 1.5) < 1
    assert both[0]["predictions"]["std"][0] > 3 * both[1]["predictions"]["std"][0]


def test_a_table_comes_through_a_pipe_and_a_closed_pipe_is_no_error(model, german):
    command = [sys.executable, "-m", "wilsonian", "predict", str(model), "-"]
    text = german.read_bytes()
    header, rows = text.split(b"\r\n", 1)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdin.write(header + b"\r\n" + rows)
    process.stdin.close()
    process.stdout.close()  # nobody reads
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(120) == 0, error
    assert b"Traceback" not in error
    assert b"Exception" not in error


def test_an_empty_pipe_gets_its_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert run("fit", "-", "--target", "y") == 2
    assert "standard input is empty" in capsys.readouterr().err


def test_ctrl_c_while_libraries_are_imported_is_one_sentence(tmp_path):
    # What a shell runs behind its back ignores interrupts, and so would these.
    interrupted = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    for module in ("jax", "typer"):
        folder = tmp_path / f"only_{module}"
        folder.mkdir()
        (folder / f"{module}.py").write_text(interrupted)
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-m", "wilsonian", "fit", "iris"],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 130, done.stderr
        assert "Interrupted" in done.stderr
        assert "Traceback" not in done.stderr


def test_labels_that_a_spreadsheet_would_run_are_written_as_text(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=90)
    labels = np.array(["=1+1", "@SUM(A1)", "-2"])[(x > -0.5).astype(int) + (x > 0.5)]
    table = pa.table({"x": x, "=id": [f"={i}" for i in range(90)], "label": labels})
    pyarrow.csv.write_csv(table, tmp_path / "a.csv")
    arguments = ["--target", "label", "--id", "=id", "--out", tmp_path / "m", "--quiet"]
    arguments += ["--task", "classification"]
    assert run("fit", tmp_path / "a.csv", *FAST, *arguments) == 0
    assert (
        run("predict", tmp_path / "m", tmp_path / "a.csv", "--out", tmp_path / "p.csv", "-q") == 0
    )
    text = (tmp_path / "p.csv").read_text()
    lines = text.splitlines()
    assert lines[0].startswith('"\'=id","class","probability_')
    assert lines[1].startswith('"\'=0",')
    cells = {line.split(",")[1] for line in lines[1:]}
    assert cells == {'"\'=1+1"', '"\'@SUM(A1)"', '"-2"'}
    # Parquet runs nothing, and holds the labels as they are.
    out = tmp_path / "p.parquet"
    assert run("predict", tmp_path / "m", tmp_path / "a.csv", "--out", out, "-q") == 0
    (block,) = open_table(out).blocks(["class"], 1000)
    assert set(block.column("class")) == {"=1+1", "@SUM(A1)", "-2"}


def test_columns_with_commas_are_named_in_quotes_and_options_repeated(tmp_path):
    random = np.random.default_rng(0)
    table = pa.table({name: random.normal(size=40) for name in ("a, b", "c", "d")})
    table = table.append_column("y", table["c"])
    pyarrow.csv.write_csv(table, tmp_path / "a.csv")
    arguments = ["--target", "y", "--out", tmp_path / "m", "--quiet"]
    assert run("fit", tmp_path / "a.csv", *FAST, "--drop", '"a, b"', "--drop", "d", *arguments) == 0
    assert load_run(tmp_path / "m").encoding.input_columns == ["c"]


def test_what_is_typed_is_completed():
    """As the shell asks: the words so far and the place of the last, in the environment."""
    asked = {"COMP_WORDS": "wilsonian fit --categ", "COMP_CWORD": "2"}
    done = subprocess.run(
        [Path(sys.executable).with_name("wilsonian")],
        env={**os.environ, "_WILSONIAN_COMPLETE": "complete_bash", **asked},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["--categorical"], done.stderr


def test_the_console_says_what_became_of_columns_and_hints_at_classes(tmp_path, capsys):
    """Decisions for the user are said where the user is; a target of two numbers gets a hint."""
    random = np.random.default_rng(0)
    lines = [f"{i},{x:.3f},{int(x > 0)}" for i, x in enumerate(random.normal(size=60))]
    (tmp_path / "a.csv").write_text("\n".join([",x,y", *lines]) + "\n")
    assert run("fit", tmp_path / "a.csv", *FAST, "--target", "y") == 0
    printed = capsys.readouterr().out
    assert "The first column, without a name, only counts the rows and is left out." in printed
    hint = "Hint: 'y' is 0 or 1 in every row and is regressed as a number; --task classification"
    assert printed.count(hint) == 1
    classify = ["--task", "classification"]
    assert run("fit", tmp_path / "a.csv", *FAST, "--target", "y", *classify) == 0
    assert "Hint" not in capsys.readouterr().out
    # Classes that every row has for itself teach nothing, few or many.
    assert run("fit", tmp_path / "a.csv", *FAST, "--target", "x", *classify) == 2
    said = capsys.readouterr().err
    assert "'x' has 48 distinct labels in 48 rows" in said
    assert "or regress it with --task regression" in said
    (tmp_path / "two.csv").write_text("a,b\n1,2\n2,3\n")
    assert run("fit", tmp_path / "two.csv", "--target", "b") == 2
    assert "leaves 1 training row with a 'b'" in capsys.readouterr().err


@pytest.mark.parametrize("forged", ["weights", "mean_weights", "root", "landmarks", "amplitude"])
def test_a_forged_model_with_right_checksums_is_refused(model, tmp_path, forged, capsys):
    document, arrays = read_folder(model, "model")
    if forged in arrays:
        arrays[forged] = np.full_like(arrays[forged], np.nan)
    else:
        document["estimator"]["fitted"][forged] = -1.0
    write_folder(tmp_path / "forged", "model", document, arrays)
    assert run("info", tmp_path / "forged") == 2
    error = capsys.readouterr().err
    assert "its contents do not make a model" in error
    assert forged in error
