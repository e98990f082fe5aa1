"""What starting costs: nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import wilsonian

HEAVY = ("jax", "scipy", "sklearn", "equinox", "pyarrow", "matplotlib", "optax")


def imported_by(code: str, *arguments: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has imported after running `code`."""
    program = (
        f"import sys; sys.argv = ['wilsonian', *{list(arguments)!r}]\n"
        f"try:\n    {code}\nexcept SystemExit: pass\n"
        f"sys.stderr.write(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("import wilsonian", ()),
        ("import wilsonian.app.cli as c; c.main()", ("--version",)),
        ("import wilsonian.app.cli as c; c.main()", ("--help",)),
        ("import wilsonian.app.cli as c; c.main()", ("fit", "--help")),
        ("import wilsonian.app.cli as c; c.main()", ("forecast", "--help")),
        ("import wilsonian.app.cli as c; c.main()", ("predict", "--help")),
    ],
)
def test_nothing_heavy_is_imported_to_start(code, arguments):
    assert imported_by(code, *arguments) == set()


def test_the_check_can_fail():
    assert "jax" in imported_by("import wilsonian; wilsonian.Matern52")


def test_commands_do_without_pandas_and_others_keep_it():
    """A user's simulator, which a command loads, may import it."""
    program = (
        "import sys\n"
        "from wilsonian.app import cli\n"
        "with cli._without_pandas():\n"
        "    import sklearn.base\n"
        "    sys.stderr.write(str('pandas' in sys.modules))\n"
        "    import pandas\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "False")


def test_the_version_takes_no_time():
    # Processor seconds of the child, in a fresh interpreter: the wall clock counts other people's
    # work. Budget .3 s; an empty interpreter takes .02.
    import resource

    def spent():
        return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])

    before, started = spent(), time.monotonic()
    done = subprocess.run([sys.executable, "-m", "wilsonian", "--version"], capture_output=True)
    assert done.stdout.decode() == f"wilsonian {wilsonian.__version__}\n"
    assert spent() - before < 0.3, f"{time.monotonic() - started:.2f} s by the clock"


def test_the_oldest_typer_allowed_serves_every_command(tmp_path):
    """With the newest click that it takes; the other tests have the newest typer."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    (bound,) = (r for r in project["project"]["dependencies"] if r.startswith("typer"))
    oldest = bound.replace(">=", "==")
    assert oldest != bound
    install = ["pip", "install", "--quiet", "--no-compile", "--no-deps"]
    install += ["--target", str(tmp_path), oldest, "click"]
    if subprocess.run([sys.executable, "-m", *install], capture_output=True).returncode:
        pytest.skip(f"{oldest} cannot be installed here")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    program = (
        "import sys, typer, wilsonian.app.cli.commands as c\n"
        f"assert typer.__version__ == {oldest.split('==')[1]!r} + '.0', typer.__version__\n"
        "for given in sys.argv[1:]:\n"
        "    sys.argv = ['wilsonian', *given.split()]\n"
        "    try: c.run()\n"
        "    except SystemExit as stop: print('exit', stop.code)\n"
    )
    asked = {
        "fit --help": 0,
        "forecast --help": 0,
        "rg sample --help": 0,
        "fit": 2,
        "fit x.csv --task none": 2,
        "fit no_such.csv --seed -1": 2,
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *asked], env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert [*map(int, re.findall(r"^exit (\d+)$", done.stdout, re.M))] == [*asked.values()]


def test_every_public_name_is_found_and_typed():
    """Names promised, names found when asked for, and names a type checker sees are the same."""
    tree = ast.parse(inspect.getsource(wilsonian))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*typed, "__version__"} == set(wilsonian.__all__)
    for name, module in typed.items():
        assert getattr(wilsonian, name) is getattr(importlib.import_module(module), name)
        assert name in dir(wilsonian)
    assert wilsonian.kernels.Matern52 is wilsonian.Matern52
    with pytest.raises(AttributeError, match="has no attribute 'Matern53'"):
        _ = wilsonian.Matern53
