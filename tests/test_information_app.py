"""`wilsonian information`: files in, numbers and a page out, one sentence for what is wrong."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from wilsonian import networks
from wilsonian.app.cli.commands import app
from wilsonian.app.reports.information import information_html
from wilsonian.app.reports.information_text import information_sentences
from wilsonian.app.runs.information import InformationChoices, information_table
from wilsonian.information.prior import paths_of
from wilsonian.information.weight_files import read_weights, write_weights
from wilsonian.language.architecture import write_architecture


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small untrained network for two columns and three classes, and two tables."""
    folder = tmp_path_factory.mktemp("network")
    layers = networks.serial(networks.Dense(4), networks.Relu(), networks.Dense(3))
    parameters = layers.init(jax.random.key(0), (2,))
    write_architecture(layers, folder / "net.json", (2,))
    write_weights(parameters, folder / "weights.safetensors")
    random = np.random.RandomState(0)
    for name, rows in (("train.csv", 30), ("test.csv", 21)):
        lines = [f"{a},{b},{'abc'[k % 3]}" for k, (a, b) in enumerate(random.randn(rows, 2))]
        (folder / name).write_text("\n".join(["one,two,kind", *lines]) + "\n")
    kept = [line for line in lines if not line.endswith("c")]
    (folder / "two.csv").write_text("\n".join(["one,two,kind", *kept]) + "\n")
    return folder, parameters


@pytest.fixture(scope="module")
def run(files):
    folder, _ = files
    choices = InformationChoices(
        folder / "net.json",
        folder / "weights.safetensors",
        str(folder / "train.csv"),
        held_out=str(folder / "test.csv"),
        target="kind",
    )
    return information_table(choices)


def test_weights_come_back(files, tmp_path):
    folder, parameters = files
    assert paths_of(parameters) == ["0.bias", "0.weights", "2.bias", "2.weights"]
    back = read_weights(folder / "weights.safetensors", parameters)
    for left, right in zip(jax.tree.leaves(back), jax.tree.leaves(parameters), strict=True):
        np.testing.assert_array_equal(left, right)
    other = networks.serial(networks.Dense(5), networks.Relu(), networks.Dense(3))
    with pytest.raises(ValueError, match="was it trained with another"):
        read_weights(folder / "weights.safetensors", other.init(jax.random.key(0), (2,)))
    longer = [*parameters, {"bias": np.zeros(3)}]
    with pytest.raises(ValueError, match=r"lacks '3\.bias'"):
        read_weights(folder / "weights.safetensors", longer)
    with pytest.raises(ValueError, match="no safetensors file"):
        read_weights(folder / "train.csv", parameters)
    with pytest.raises(ValueError, match="cannot be read"):
        read_weights(tmp_path / "none", parameters)


def test_a_run_says_what_it_found(run):
    assert run.parameters == 4 * 3 + 3 * 5
    assert run.examples == 30
    assert run.prices.held_out.examples == 21
    assert run.informed == np.sum(run.information > 1)
    np.testing.assert_allclose(sum(run.shares.values()), run.degrees_of_freedom, rtol=1e-6)
    first, *_ = information_sentences(run)
    assert first.startswith(f"The data determined {run.informed} directions of 27")
    record = json.loads(json.dumps(run.record(), allow_nan=False))
    assert record["prices"]["kept"] == run.prices.kept.tolist()
    assert len(run.diagnostics) == 1  # it was not trained
    assert "not at the minimum" in run.diagnostics[0]


def test_the_page_has_every_part(run):
    page = information_html(run)
    assert page == information_html(run)
    for part in ("information-spectrum", "information-prices", "information-calibration"):
        assert f'id="{part}"' in page
    assert "Why to be careful" in page
    assert "not at the minimum" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_command(files, tmp_path):
    folder, _ = files
    report = tmp_path / "page.html"
    arguments = [str(folder / name) for name in ("net.json", "weights.safetensors", "train.csv")]
    done = CliRunner().invoke(
        app, ["information", *arguments, "--target", "kind", "--report", str(report)]
    )
    assert done.exit_code == 0, done.output
    assert "The data determined" in done.output
    assert report.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the architecture, the weights and the table"),
        (["net.json", "--demo"], "trains its own network"),
        (["none.json", "weights.safetensors", "train.csv"], "cannot be read"),
        (["net.json", "weights.safetensors", "digits"], "numeric columns"),
        (["net.json", "weights.safetensors", "train.csv", "--cost", "0"], "must be positive"),
        (["net.json", "weights.safetensors", "train.csv", "--scope", "conv"], "no parameter"),
        (["net.json", "weights.safetensors", "train.csv", "--noise-variance", "1"], "leave it out"),
        (["net.json", "weights.safetensors", "two.csv"], "2 classes and the network 3 outputs"),
    ],
)
def test_refusals(files, arguments, message):
    folder, _ = files
    placed = [str(folder / a) if "." in a else a for a in arguments]
    target = ["--target", "kind"] if {"train.csv", "two.csv"} & {*arguments} else []
    done = CliRunner().invoke(app, ["information", *placed, *target])
    assert done.exit_code != 0
    assert message in str(done.exception)


def test_importing_the_room_needs_no_torch():
    code = "import sys, wilsonian.information; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
