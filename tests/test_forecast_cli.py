"""`wilsonian forecast` as its user types it."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from helpers import run

from wilsonian.app.runs.forecast import ForecastChoices, forecast_table

FIXED = ["--kernel", "matern52:length_scale=5", "--no-learn"]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A table whose last 150 rows have no price."""
    random = np.random.default_rng(0)
    size, age = random.normal(100, 20, 300), random.uniform(0, 50, 300)
    price = 3 * size - 2 * age + 5 * random.normal(size=300)
    column = pa.array(price, mask=np.arange(300) >= 150)
    table = pa.table({"size": size, "age": age, "price": column})
    path = tmp_path_factory.mktemp("forecast") / "house.csv"
    pyarrow.csv.write_csv(table, path)
    return path


def test_classes_are_forecast_with_picture_csv_and_report(tmp_path, capsys):
    plot, csv, report = tmp_path / "f.png", tmp_path / "f.csv", tmp_path / "f.html"
    files = ["--plot", plot, "--csv", csv, "--report", report]
    assert run("forecast", "breast_cancer", *FIXED, "--labels", 100, "--to", "200,800", *files) == 0
    printed = capsys.readouterr().out
    assert "a pilot of 100 labels and 569 inputs" in printed
    assert "With 800 labels the error rate is forecast to be" in printed
    assert "One more factor of two beyond 800" in printed
    assert "It is pooled of 4 witnesses; most weight has the" in printed
    assert plot.read_bytes().startswith(b"\x89PNG")
    lines = csv.read_text().splitlines()
    assert lines[0].startswith("n,ridge,error,error_lower,error_upper,gain")
    rows = [line.split(",") for line in lines[1:]]
    assert [float(row[0]) for row in rows if row[-1] == "1"] == [200.0, 800.0]
    # The whole curve that is drawn, in order, from the smallest subsample to beyond.
    sizes = [float(row[0]) for row in rows]
    assert sizes == sorted(sizes)
    assert len(sizes) > 20
    assert sizes[0] < 100
    assert all(len(row) == len(lines[0].split(",")) for row in rows)
    page = report.read_text()
    assert "What would more labels buy?" in page
    assert page.count("<svg") == 4  # error rate and error, each on two scales
    assert "measured" in page
    assert page.count("power law with floor") == 1
    assert "https:" not in page


def test_rows_without_a_target_lend_their_inputs(house, capsys):
    choices = ["--target", "price", "--kernel", "matern52:length_scale=2", "--no-learn"]
    assert run("forecast", house, *choices, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["labels"], record["inputs"]) == (150, 300)
    assert record["table"]["n"] == [300, 600, 1200, 2400]
    assert record["task"] == "regression"
    assert record["table"]["error_rate"] is None
    # The noise has variance 25; the target's is thousands.
    assert record["floor"]["lower"] < 25 < record["table"]["error"]["upper"][-1]
    assert record["table"]["error"]["median"][-1] < 100


def test_quiet_prints_nothing(house, capsys, tmp_path):
    arguments = ["--target", "price", "--kernel", "linear", "--no-learn", "--to", 300]
    assert run("forecast", house, *arguments, "--quiet", "--csv", tmp_path / "a.csv") == 2
    # A linear kernel of two columns has two modes.
    assert "has rank 2" in capsys.readouterr().err
    arguments[3] = "matern32:length_scale=2"
    assert run("forecast", house, *arguments, "--quiet", "--csv", tmp_path / "a.csv") == 0
    assert capsys.readouterr().out == ""


def test_the_kernel_is_learned_on_the_pilot_and_progress_is_shown(house):
    stages = []
    found = forecast_table(
        ForecastChoices(str(house), target="price", to=(300,)),
        lambda stage, done, of: stages.append(stage),
    )
    assert found.forecast.kernel.length_scale != 1.0
    assert list(dict.fromkeys(stages)) == [
        "reading",
        "sampling",
        "learning hyperparameters",
        "learning the target's prior",
        "decomposing the kernel",
        "measuring subsamples",
        "fitting the target",
        "weighing the witnesses",
    ]


def test_the_page_of_a_fit_gains_the_forecast(house, tmp_path, capsys):
    report = tmp_path / "fit.html"
    options = ["--target", "price", "--kernel", "matern52:length_scale=2", "--learn", "none"]
    assert run("fit", house, *options, "--report", report, "--forecast", "--quiet") == 0
    page = report.read_text()
    assert "What would more labels buy?" in page
    assert "How good are the predictions?" in page
    assert run("fit", house, *options, "--forecast") == 2
    assert "--forecast needs --report" in capsys.readouterr().err


def test_a_refused_forecast_costs_neither_the_fit_nor_its_page(tmp_path, capsys):
    """Fifteen labels are fewer than a forecast takes, and enough for a fit."""
    random, table, page = np.random.default_rng(1), tmp_path / "few.csv", tmp_path / "fit.html"
    x = random.normal(size=15)
    pyarrow.csv.write_csv(pa.table({"x": x, "y": x + 0.1 * random.normal(size=15)}), table)
    model = tmp_path / "model"
    fixed = ["--target", "y", "--kernel", "matern52:length_scale=2", "--learn", "none"]
    assert run("fit", table, *fixed, "--report", page, "--forecast", "--out", model) == 0
    said = "No forecast was made: the pilot has 15 labels; a forecast needs at least 20"
    printed = capsys.readouterr()
    assert printed.out.count(said) == 1
    assert printed.err == ""
    assert page.read_text().count(said) == 1
    assert "How good are the predictions?" in page.read_text()
    assert run("info", model) == 0
    # What no fit accepts is refused still, before the page is written.
    page.unlink()
    assert run("fit", table, *fixed, "--report", page, "--forecast", "--noise-variance", "-1") == 2
    assert not page.exists()


BAD = {
    "few labels": (["--labels", 3], "--labels must be at least 20, got 3"),
    "too many labels": (["--labels", 200], "asks for 200 and .* has 150 rows"),
    "smaller": (["--to", "100"], "asks for 100 samples and the pilot has 150"),
    "absurd": (["--to", "1e15"], "at most 1,000,000,000"),
    "no number": (["--to", "many"], "--to must be a number, got 'many'"),
    "seed": (["--seed", "-1"], "--seed must not be negative"),
    "picture": (["--plot", "curve.txt"], "pictures are"),
    "kernel": (["--kernel", "matern53"], "matern53"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(name, house, capsys):
    arguments, sentence = BAD[name]
    assert run("forecast", house, "--target", "price", *FIXED, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert re.search(sentence, error)
