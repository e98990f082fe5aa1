"""`wilsonian greybox`: a bundled task, a simulator of the user's, a stored model, the page."""

import functools
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from wilsonian.app.cli.commands import app
from wilsonian.app.runs import greybox_beside
from wilsonian.app.runs.greybox import read_physics, read_residual, read_signal_file
from wilsonian.greybox import tasks

MINE = """
import numpy as np
from wilsonian import greybox as gb

physics = gb.ODE(
    lambda t, y, z: (y[1], -(z["omega"] ** 2) * y[0]),
    {"omega": (0.8, 3.2)},
    lambda x: (x[0], 0.0),
    np.arange(24) * 0.1,
    solver="euler",  # a quarter of the stages to compile
    steps=10,
)


def damping(t, y, z):
    return (0.0, -y[1])


number = 3
"""


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("greybox")
    (folder / "mine.py").write_text(MINE)
    data = tasks.draw_oscillator(301, 40, 20)
    signals = data.signals[:, :24]
    np.savez(folder / "runs.npz", signals=signals, omega=data.drawn["omega"])
    np.save(folder / "runs.npy", signals)
    # test_greybox_hybrid.py trains the whole network; this one takes half as long to compile.
    small = functools.partial(
        greybox_beside.HybridVAE, attention=None, posterior="gaussian", inner=0
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greybox_beside, "HybridVAE", small)
        result = run(
            "greybox", f"{folder / 'mine.py'}:physics", folder / "runs.npz", "--residual",
            "feature:damping", "--train", 12, "--test", 16, "--max-steps", 4,
            "--out", folder / "model", "--report",
            folder / "page.html", "--autoencoder", 1,
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_a_simulator_of_ones_own(files):
    folder, output = files
    assert "coverage" in output
    for name in ("damping", "force", "none"):  # never a candidate alone
        assert name in output
    page = (folder / "page.html").read_text()
    assert page.count("<svg") >= 7
    for words in ("Which residual?", "Do the intervals hold?", "along the cutoff", "PIT"):
        assert words in page
    # Never the autoencoder without its intervals and the permutation test, nor without baselines.
    beside = page[page.index("What stands beside it?") :]
    for name in ("mean signal", "4 principal components", "simulator alone", "hybrid autoencoder"):
        assert name in beside
    assert "its network without physics" in beside
    row = beside[beside.index("hybrid autoencoder") :].split("</tr>")[0]
    assert re.search(r"<td>[+-][0-9.e-]+</td><td>[0-9.]+%</td>", row)
    assert not (folder / "model.partial").exists()


def test_a_stored_model_infers_only_with_the_file_named(files):
    folder, _ = files
    out = folder / "parameters.csv"
    refused = run("greybox-infer", folder / "model", folder / "runs.npy", "--out", out)
    assert isinstance(refused.exception, ValueError)
    assert "no code is run unless you name it" in str(refused.exception)
    named = f"{folder / 'mine.py'}:physics"
    arguments = ("greybox-infer", folder / "model", folder / "runs.npy", "--physics", named)
    result = run(*arguments, "--out", out)
    assert result.exit_code == 0, result.output
    table = np.genfromtxt(out, delimiter=",", names=True)
    truth = np.load(folder / "runs.npz")["omega"]
    assert len(table) == 20
    # 24 of the 40 times: the notes' .0028 in the mean, and a range of 2.
    assert np.median(np.abs(table["omega"] - truth)) < 0.015
    assert np.all(table["omega_low"] < table["omega_high"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nothing", "no bundled task"),
        ("missing.py:physics", "there is no file"),
        ("{mine}:number", "make it a greybox.ODE"),
    ],
)
def test_wrong_simulators_are_one_sentence(files, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_physics(text.format(mine=files[0] / "mine.py"))


def test_residuals_as_text(files):
    physics, module = read_physics(f"{files[0] / 'mine.py'}:physics")
    terms = read_residual("feature:damping,force:tied,smooth:0.5,white", physics, module)
    assert [term.name for term in terms] == ["damping", "force", "smooth", "white"]
    assert read_residual("none", physics, module) == []
    assert [term.name for term in read_residual("", physics, module)] == ["force"]
    names = [t.name for t in read_residual("", tasks.pendulum_physics(), None, "pendulum")]
    assert names == ["friction", "force"]
    for text in ("magic", "feature:absent"):
        with pytest.raises(ValueError, match=r"known|no feature"):
            read_residual(text, physics, module)


def test_signal_files(files, tmp_path):
    folder = files[0]
    signals, truth = read_signal_file(str(folder / "runs.npz"), ["omega"])
    assert signals.shape == (20, 24)
    assert truth["omega"].shape == (20,)
    assert read_signal_file(str(folder / "runs.npy"), [])[0].shape == (20, 24)
    np.savez(tmp_path / "two.npz", a=np.ones((2, 3)), b=np.ones((2, 3)))
    with pytest.raises(ValueError, match="call the signals"):
        read_signal_file(str(tmp_path / "two.npz"), [])
    (tmp_path / "text.npz").write_text("nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        read_signal_file(str(tmp_path / "text.npz"), [])
