"""Compilations kept between runs: used again, bounded, whole, and never in the user's way."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from wilsonian.support import compilations
from wilsonian.support.compilations import SWITCH, cache_folder

PROGRAM = """
import {before}
from wilsonian.support.compilations import keep_compilations
keep_compilations()
import jax, jax.numpy as jnp
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones(8)).block_until_ready()
print(sum("cache_hits" in name for name in hits))
"""


def run(folder, before="sys", **extra):
    """Compilations that a fresh interpreter found in the cache."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment = {**kept, "XDG_CACHE_HOME": str(folder), **extra}
    program = PROGRAM.format(before=before)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def names(folder):
    return sorted(path.name for path in (folder / "wilsonian" / "compilations").iterdir())


def test_a_second_run_compiles_nothing_anew(tmp_path):
    assert run(tmp_path) == 0
    first = names(tmp_path)
    assert first  # and no folder of the run is left
    assert all(name.endswith("-cache") for name in first)
    assert run(tmp_path, before="jax") > 0  # in Python, where JAX is there already
    assert set(names(tmp_path)) >= set(first)


def test_it_can_be_switched_off_and_never_overrides_the_users_folder(tmp_path, monkeypatch):
    assert run(tmp_path, **{SWITCH: "off"}) == 0
    assert run(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine")) == 0
    assert not (tmp_path / "wilsonian").exists()
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv(SWITCH, "/elsewhere")
    assert str(cache_folder()) == "/elsewhere"
    monkeypatch.delenv(SWITCH)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert str(cache_folder()).endswith("/.cache/wilsonian/compilations")


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "wilsonian").write_text("a file in the way")
    assert run(tmp_path) == 0


@pytest.fixture
def kept(tmp_path):
    for age, name in ((5000, "oldest"), (3000, "middle"), (1000, "newest")):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (time.time() - age,) * 2)
    return tmp_path


def test_the_folder_is_bounded_and_swept(kept, monkeypatch):
    monkeypatch.setattr(compilations, "LARGEST", 200)
    for age, name in ((8 * 24 * 3600, "run-killed"), (10, "run-living")):
        (kept / name).mkdir()
        os.utime(kept / name, (time.time() - age,) * 2)
    compilations._sweep(kept)
    left = {path.name for path in kept.iterdir()}
    assert left == {"middle-cache", "newest-cache", "run-living"}


def test_a_run_gives_whole_files_and_keeps_what_others_gave(kept):
    own = kept / "run-1"
    own.mkdir()
    (own / "new-cache").write_bytes(b"new")
    (own / "newest-cache").write_bytes(b"another's of the same name")
    compilations._give(own, kept, os.getpid() + 1)  # a fork gives nothing
    assert own.exists()
    compilations._give(own, kept, os.getpid())
    assert (kept / "new-cache").read_bytes() == b"new"
    assert (kept / "newest-cache").read_bytes() == bytes(100)
    assert not own.exists()
