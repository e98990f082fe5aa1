"""Every example runs as a reader would run it: to its end, with a result, without a warning.

They run inside the worker, each in a namespace of its own: a process for each would spend more on
importing JAX than on the example. No script may change JAX's settings.
"""

import runpy
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def run(script, folder, capture, monkeypatch):
    """Run a script as `python -W error script` would, in a folder that must stay empty."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [str(script)])
    before = settings()
    capture.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            runpy.run_path(str(script), run_name="__main__")
        except (Exception, SystemExit) as stop:
            raise AssertionError(f"{script.name} stopped: {stop!r}") from stop
    printed = capture.readouterr()
    assert printed.err == ""
    assert printed.out.strip()
    assert not list(folder.iterdir())
    assert settings() == before


def settings():
    """What JAX is set to for every thread: asked in a new one, out of reach of a test's contexts.
    `values` holds settings without an attribute as they are, others as they were at the start."""

    def asked():
        return {name: getattr(jax.config, name, each) for name, each in jax.config.values.items()}

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asked).result()


def test_the_examples_are_found():
    assert [path.name[:2] for path in EXAMPLES] == [f"{k + 1:02d}" for k in range(len(EXAMPLES))]
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(script, tmp_path, capfd, monkeypatch):
    run(script, tmp_path, capfd, monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "print(1); raise SystemExit(3)",
        "print(1); import warnings; warnings.warn('old')",
        "import sys; print(1); print('look', file=sys.stderr)",
        "import os; print(1); os.write(2, b'look')",
        "print()",
        "print(1); open('left_behind', 'w').close()",
        "print(1); 1 / 0",
        "print(1); import jax; jax.config.update('jax_enable_x64', not jax.config.jax_enable_x64)",
    ],
)
def test_the_check_can_fail(text, tmp_path, capfd, monkeypatch):
    folder, script = tmp_path / "folder", tmp_path / "script.py"
    folder.mkdir()
    script.write_text(text)
    before = settings()["jax_enable_x64"]
    try:
        with pytest.raises(AssertionError):
            run(script, folder, capfd, monkeypatch)
    finally:
        jax.config.update("jax_enable_x64", before)
