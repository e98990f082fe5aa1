"""What many tests use: comparisons of trees, the command line, and the benchmarks' tables."""

import functools
import importlib.util
import signal
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from wilsonian.app import cli
from wilsonian.regression.learning.learning import learn


def assert_close(actual, expected, rtol=1e-10, atol=1e-12):
    """Every array of two trees alike; a list is one array.

    The tolerance is for float64 numbers of order one behind a few hundred operations; a file whose
    numbers are better or worse than that binds its own, and says why."""
    actual, expected = (
        jax.tree.leaves(tree, is_leaf=lambda leaf: isinstance(leaf, list))
        for tree in (actual, expected)
    )
    assert len(actual) == len(expected)
    for left, right in zip(actual, expected, strict=True):
        np.testing.assert_allclose(np.asarray(left), np.asarray(right), rtol=rtol, atol=atol)


def run(*arguments):
    """Exit code of `wilsonian ...`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["wilsonian", *map(str, arguments)])
        patch.setattr(signal, "signal", lambda *_: None)
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return stop.value.code


def searched_coarsely(kernel, sample, rank):
    """Hyperparameters of a coarse search, one length scale per column."""
    with jax.enable_x64(True):
        return learn(
            kernel,
            sample,
            amplitude=1.0,
            noise_variance=0.1,
            ard=True,
            rank=rank,
            groups=1,
            restarts=0,
            input_dependent=False,
            max_iterations=100,
            random=np.random.default_rng(0),
            coarse=True,
        )


@functools.cache
def load_benchmark(name):
    """The module `benchmarks/<name>.py`, whose tables and measurements tests share."""
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def assert_printed(value, printed):
    """`value` rounds to the digits of `printed`."""
    allowed = (1 + 1e-6) * load_benchmark("science_tables").rounding(printed)
    assert abs(float(value) - float(printed)) <= allowed, (float(value), printed)
