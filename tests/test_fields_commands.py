"""`wilsonian rg` and the report of an ensemble."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from wilsonian import fields
from wilsonian.app.cli.commands import app
from wilsonian.app.reports.fields import FieldsReport, fields_html


def run(*arguments):
    return CliRunner().invoke(app, ["rg", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("rg") / "ensemble"
    page = path.parent / "r.html"
    result = run(
        *("sample", "phi4", "--size", 4, "--kappa", 0.27, "--lam", 0.022, "--n", 600),
        *("--data", 2048, "--out", path, "--report", page),
    )
    assert result.exit_code == 0, result.output
    assert "TRUSTED" in result.output
    assert "per independent field" in result.output
    return path


def test_the_page_says_at_a_look_whether_to_trust(folder):
    page = (folder.parent / "r.html").read_text()
    assert "These draws can be trusted" in page
    for heading in ("Can it be trusted?", "Spectra along the flow", "Log weights", "Magnetization"):
        assert heading in page
    assert "http://" not in re.sub(r"xmlns(:\w+)?=\"[^\"]*\"", "", page)


def test_couplings_along_the_flow(folder):
    result = run("flow", folder, "--times", "0,0.3,1", "--plot", folder.parent / "flow.png")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()[1:4]]
    assert [row[0] for row in rows] == ["0", "0.3", "1"]
    assert abs(float(rows[0][1]) - float(rows[0][2])) < 1e-3  # nothing has flowed yet
    assert (folder.parent / "flow.png").stat().st_size > 1000


def test_anyones_ensemble_is_checked(folder, tmp_path):
    result = run("check", folder)
    assert result.exit_code == 0, result.output
    assert "dropped peak" in result.output
    theory = fields.Phi4((4, 4), 0.27, 0.022)
    rng = np.random.default_rng(0)
    wrong = fields.Ensemble(theory, rng.normal(size=(500, 4, 4)).astype(np.float32))
    fields.export_npz(wrong, tmp_path / "wrong.npz")
    refused = run("check", tmp_path / "wrong.npz", "--report", tmp_path / "wrong.html")
    assert refused.exit_code == 3
    assert "REFUSED" in refused.output
    assert "do not use these fields" in (tmp_path / "wrong.html").read_text()


def test_coarse_fields_are_refined(folder, tmp_path):
    source = fields.load_ensemble(folder)
    np.savez(tmp_path / "coarse.npz", fields=fields.decimate(source.fields[:50], 2))
    result = run("refine", tmp_path / "coarse.npz", "--data", 2048, "--out", tmp_path / "fine")
    assert result.exit_code == 0, result.output
    fine = fields.load_ensemble(tmp_path / "fine")
    np.testing.assert_array_equal(
        fields.decimate(fine.fields, 2), fields.decimate(source.fields[:50], 2)
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sample", "phi4", "--size", "4", "--lam", "-1"), "unbounded below"),
        (("flow", "nowhere"), "holds no ensemble.json"),
        (("check", "nowhere.npz"), "no file"),
        (("refine", "nowhere.npz"), "no NPZ file"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words):
    result = run(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, ValueError)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)


def test_times_out_of_order_are_refused(folder):
    result = run("flow", folder, "--times", "1,0.3")
    assert "out of order" in str(result.exception)
    assert "with commas" in str(run("flow", folder, "--times", "a,b").exception)


def test_equal_reports_give_equal_pages(folder):
    source = fields.load_ensemble(folder)
    report = FieldsReport(source, fields.certify(source))
    assert fields_html(report) == fields_html(report)
