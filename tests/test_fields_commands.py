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
        *("sample", "phi4", "--size", 4, "--kappa", 0.27, "--lam", 0.022, "--n", 4096),
        *("--data", 10_000, "--out", path, "--report", page),
    )
    assert result.exit_code == 0, result.output
    assert "TRUSTED" in result.output
    assert "per independent field" in result.output
    return path


def test_the_free_energy_of_four_squared_is_the_transfer_matrixs(folder):
    summary = fields.summarize_weights(fields.load_ensemble(folder).log_weights)
    error = summary.log_partition_error / 16
    assert summary.effective_fraction > 0.98
    assert error < 1e-4
    assert abs(summary.log_partition_function / 16 - 0.75687800) < 3 * error


def test_the_same_command_goes_on_with_the_fit_that_is_there(folder):
    before = fields.load_ensemble(folder)
    known = ("sample", "phi4", "--size", 4, "--kappa", 0.27, "--lam", 0.022)
    result = run(*known, "--n", 4200, "--out", folder)
    assert result.exit_code == 0, result.output
    after = fields.load_ensemble(folder)
    assert len(after) == 4200
    np.testing.assert_array_equal(after.fields[:4096], before.fields)
    other = run("sample", "phi4", "--size", 4, "--kappa", 0.25, "--out", folder)
    assert "choose another folder" in str(other.exception)
    method = run(*known, "--method", "diffusion", "--flow", folder / "flow")
    assert "by decimation, not by diffusion" in str(method.exception)


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
    assert "held-out fields" in result.output  # of the flow that is stored beside the draws
    fields.export_npz(fields.load_ensemble(folder), tmp_path / "alone.npz")
    assert "dropped peak" in run("check", tmp_path / "alone.npz").output
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
    command = ("refine", tmp_path / "coarse.npz", "--flow", folder, "--out", tmp_path / "fine")
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "not empty" in str(run(*command).exception)
    fine = fields.load_ensemble(tmp_path / "fine")
    np.testing.assert_array_equal(
        fields.decimate(fine.fields, 2), fields.decimate(source.fields[:50], 2)
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sample", "phi4", "--size", "4", "--lam", "-1"), "unbounded below"),
        (("sample", "phi4", "--size", "12"), "power of two"),
        (("sample", "phi4", "--size", "16", "--dimension", "3"), "diffusion"),
        (("sample", "phi4", "--size", "1"), "at least 2 sites"),
        (("sample", "phi4", "--size", "4", "--dimension", "5"), "1 to 4 sides"),
        (("sample", "phi4", "--size", "4", "--kappa", "nan"), "finite"),
        (("sample", "phi4", "--size", "4", "--lam", "0", "--kappa", ".3"), "unstable"),
        (("sample", "free", "--size", "4", "--mass-squared", "0"), "positive one"),
        (("sample", "phi4", "--size", "4", "--n", "0"), "at least one"),
        (("flow", "nowhere"), "holds no ensemble.json"),
        (("check", "nowhere.npz"), "no file"),
        (("refine", "nowhere.npz"), "no file"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words):
    result = run(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, ValueError)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)


def test_coarse_fields_that_cannot_be_refined_are_refused_before_the_work(tmp_path):
    hole = np.zeros((4, 4, 4), np.float32)
    hole[0, 0, 0] = np.nan
    cases = {
        "shape": (np.zeros((4, 4)), "count, side, side"),
        "words": (np.full((2, 4, 4), "a"), "count, side, side"),
        "none": (np.zeros((0, 4, 4)), "count, side, side"),
        "holes": (hole, "NaN"),
        "three": (np.zeros((2, 3, 3)), "power of two"),
        "long": (np.zeros((2, 4, 8)), "do not fit"),
    }
    for name, (values, words) in cases.items():
        np.savez(tmp_path / f"{name}.npz", fields=values)
        result = run("refine", tmp_path / f"{name}.npz")
        assert isinstance(result.exception, ValueError), name
        assert words in str(result.exception), name
    few = ("refine", tmp_path / "good.npz", "--proposals", "1")
    np.savez(tmp_path / "good.npz", fields=np.zeros((2, 4, 4)))
    assert "2 or more" in str(run(*few).exception)
    assert "give 2, 4" in str(run(*few[:2], "--spacing", "1").exception)
    np.save(tmp_path / "bare.npy", np.zeros((2, 4, 4)))
    assert "no NPZ file" in str(run("refine", tmp_path / "bare.npy").exception)


def test_times_out_of_order_are_refused(folder):
    result = run("flow", folder, "--times", "1,0.3")
    assert "out of order" in str(result.exception)
    assert "with commas" in str(run("flow", folder, "--times", "a,b").exception)
    assert "zero mode" in str(run("flow", folder, "--scheme", "polchinski", "--z", 0).exception)
    assert "positive" in str(run("flow", folder, "--omega", 0).exception)


def test_equal_reports_give_equal_pages(folder):
    source = fields.load_ensemble(folder)
    report = FieldsReport(source, fields.certify(source))
    assert fields_html(report) == fields_html(report)
