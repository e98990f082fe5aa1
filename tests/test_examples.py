"""Every example runs as a reader would run it: to its end, with a result, without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def run(script, folder):
    """Run a script by itself, warnings being errors, in a folder that must stay empty."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.strip()
    assert not list(folder.iterdir())


def test_the_examples_are_found():
    assert [path.name[:2] for path in EXAMPLES] == [f"{k + 1:02d}" for k in range(len(EXAMPLES))]
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(script, tmp_path):
    run(script, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "print(1); raise SystemExit(3)",
        "print(1); import warnings; warnings.warn('old')",
        "import sys; print(1); print('look', file=sys.stderr)",
        "print()",
        "print(1); open('left_behind', 'w').close()",
    ],
)
def test_the_check_can_fail(text, tmp_path):
    folder, script = tmp_path / "folder", tmp_path / "script.py"
    folder.mkdir()
    script.write_text(text)
    with pytest.raises(AssertionError):
        run(script, folder)
