"""`wilsonian forecast --curve` as its user types it."""

from __future__ import annotations

import json
import re

import pytest
from helpers import run

POINTS = """n,error,standard_error
50,0.412,0.02
100,0.331,0.014
200,0.262,0.010
400,0.214,0.008
800,0.176,0.006
1600,0.149,0.005
"""


@pytest.fixture
def curve(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(POINTS)
    return path


def test_a_curve_is_forecast_with_picture_csv_and_report(curve, tmp_path, capsys):
    plot, csv, report = tmp_path / "f.png", tmp_path / "f.csv", tmp_path / "f.html"
    files = ["--plot", plot, "--csv", csv, "--report", report]
    assert run("forecast", "--curve", curve, "--to", "20000,3200", *files) == 0
    printed = capsys.readouterr().out
    assert "With 20,000 samples the error is forecast to be 0.0" in printed
    assert "the last size measured, 1,600, has 0.149" in printed
    assert "Of 7 candidates the most credible is the" in printed
    assert "Careful" not in printed
    assert plot.read_bytes().startswith(b"\x89PNG")
    lines = [line.split(",") for line in csv.read_text().splitlines()]
    assert lines[0] == ["kind", "n", "error", "lower", "upper"]
    kinds = [line[0] for line in lines[1:]]
    assert [kinds.count(kind) for kind in ("measured", "curve", "forecast")] == [6, 40, 2]
    assert float(lines[-1][3]) < float(lines[-1][2]) < float(lines[-1][4])
    page = report.read_text()
    assert "Nothing in the curve speaks against this forecast." in page
    assert page.count("<svg") == 2
    assert page.count("power law with floor and onset") == 1
    assert "https:" not in page
    first = page
    assert run("forecast", "--curve", curve, "--to", "20000,3200", "--report", report, "-q") == 0
    assert report.read_text() == first


def test_columns_are_found_by_name_or_by_place(tmp_path, capsys):
    path = tmp_path / "sweep.csv"
    path.write_text("run;Loss;Train size\na;0,4;100\nb;0,3;200\nc;0,25;400\nd;0,26;400\n")
    assert run("forecast", "--curve", path, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["points"]["n"] == [100, 200, 400]
    assert record["points"]["error"] == pytest.approx([0.4, 0.3, 0.255])
    assert record["n"] == [800, 1600, 3200, 6400]
    assert sum(one["weight"] for one in record["candidates"]) == pytest.approx(1)
    notes = " ".join(record["notes"])
    assert "sample sizes from 'Train size', errors from 'Loss'" in notes
    assert "Not used: 'run'" in notes
    assert "4 points of 3 sizes" in notes
    path.write_text("a,b\n100,.4\n400,.3\n200,.33\n")
    assert run("forecast", "--curve", path, "--to", 800) == 0
    assert "sorted by their size" in capsys.readouterr().out


def test_names_in_the_file_are_escaped_on_the_page(tmp_path):
    path, report = tmp_path / "a.csv", tmp_path / "a.html"
    path.write_text("n,error,<script>alert(1)</script>\n100,.4,1\n200,.3,2\n400,.25,3\n")
    assert run("forecast", "--curve", path, "--report", report, "--quiet") == 0
    assert "<script>alert" not in report.read_text()


BAD = {
    "both": (["house.csv"], None, "a table or --curve, not both: got 'house.csv'"),
    "kernel": (["--kernel", "rbf", "--no-learn"], None, "--kernel, --learn are about the table"),
    "below": (["--to", "100"], None, "asks for 100 samples and the curve is measured up to 1,600"),
    "no number": (["--to", "many"], None, "--to must be a number, got 'many'"),
    "picture": (["--plot", "curve.txt"], None, "pictures are"),
    "few": ([], "n,error\n100,.4\n200,.3\n", "2 different sample sizes"),
    "negative": ([], "n,error\n1,.4\n2,-.3\n3,.1\n", "`error` holds -0.3 at n = 2"),
    "names": ([], "n,b,c,d\n1,.4,1,1\n", "no column that is known to hold errors"),
    "gap": ([], "n,error\n1,.4\n2,\n3,.1\n", "no value of 'error' in row 2"),
    "text": ([], "n,error\n1,low\n2,high\n3,low\n", "'error'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(name, curve, capsys):
    arguments, text, sentence = BAD[name]
    if text is not None:
        curve.write_text(text)
    assert run("forecast", *arguments, "--curve", curve) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert re.search(sentence, error)


def test_neither_table_nor_curve_is_one_sentence(capsys):
    assert run("forecast") == 2
    assert "give the table of a pilot, or --curve" in capsys.readouterr().err
