"""Gram matrices on disk: equal to those in memory, resumed, and refused if they are another's."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from wilsonian import RBF, ArcCosine, FromFunction, Matern32
from wilsonian import networks as nn
from wilsonian.kernels.gram_store import kernel_identity, store_gram
from wilsonian.support.files import FileError

random = np.random.default_rng(0)
X, Z = random.normal(size=(23, 4)), random.normal(size=(14, 4))
KERNEL = ArcCosine(2, "ntk", 2.0, 0.1)


def exact(kernel=KERNEL, *points):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(kernel.gram)(*(points or (X, X))))


@pytest.mark.parametrize("tile_size", [1, 5, 23, 1000])
def test_tiles_are_the_whole_matrix(tmp_path, tile_size):
    stored = store_gram(KERNEL, X, tmp_path / "k.npy", precision="float64", tile_size=tile_size)
    np.testing.assert_allclose(stored.matrix, exact(), rtol=1e-12)
    assert stored.error == 0.0
    np.testing.assert_array_equal(stored.matrix, stored.matrix.T)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.npy", "k.npy.json"]
    np.testing.assert_array_equal(np.load(tmp_path / "k.npy"), np.asarray(stored))


def test_two_sets_of_points_have_a_rectangle(tmp_path):
    calls = []
    stored = store_gram(
        *(KERNEL, X, tmp_path / "k.npy", Z),
        precision="float64",
        tile_size=10,
        progress=lambda done, of: calls.append((done, of)),
    )
    np.testing.assert_allclose(stored.matrix, exact(KERNEL, X, Z), rtol=1e-12)
    assert calls == [(done, 6) for done in range(1, 7)]


def test_halves_of_symmetric_matrices_are_computed_once(tmp_path):
    calls = []
    store_gram(KERNEL, X, tmp_path / "k.npy", tile_size=5, progress=lambda *of: calls.append(of))
    assert calls[-1] == (15, 15)  # of 25 tiles


def test_the_stated_error_of_single_precision_is_honest(tmp_path):
    many = np.random.default_rng(1).normal(size=(60, 30))
    stored = store_gram(KERNEL, many, tmp_path / "k.npy")
    assert stored.matrix.dtype == np.float32
    full = exact(
        KERNEL, many.astype(np.float32).astype(float), many.astype(np.float32).astype(float)
    )
    scale = np.sqrt(np.outer(np.diagonal(full), np.diagonal(full)))
    found = np.max(np.abs(stored.matrix - full) / scale)
    # All rows are in the sample; compiled for other shapes the last bits differ.
    assert 0 < found < 2 * stored.error < 1e-4
    assert json.loads((tmp_path / "k.npy.json").read_text())["error"] == stored.error


def test_kernels_of_networks_are_stored(tmp_path):
    net = nn.serial(nn.Dense(8, weight_variance=2.0), nn.Relu(), nn.Dense(1))
    stored = store_gram(nn.nngp(net), X, tmp_path / "k.npy", precision="float64", tile_size=12)
    np.testing.assert_allclose(stored.matrix, exact(nn.nngp(net)), rtol=1e-12)


# Interruption.


class InterruptionError(Exception):
    pass


def interrupt_after(count):
    def progress(done, of):
        if done == count:
            raise InterruptionError

    return progress


def test_an_interrupted_matrix_is_resumed_after_its_last_tile(tmp_path):
    path, calls = tmp_path / "k.npy", []
    with pytest.raises(InterruptionError):
        store_gram(KERNEL, X, path, tile_size=5, progress=interrupt_after(6))
    assert not path.exists()
    assert json.loads((tmp_path / "k.npy.json").read_text())["finished"] == 6
    stored = store_gram(KERNEL, X, path, tile_size=5, progress=lambda done, of: calls.append(done))
    assert calls == list(range(7, 16))
    whole = store_gram(KERNEL, X, tmp_path / "whole.npy", tile_size=5)
    np.testing.assert_array_equal(stored.matrix, whole.matrix)


def test_what_was_finished_is_kept_and_not_computed_again(tmp_path):
    path = tmp_path / "k.npy"
    with pytest.raises(InterruptionError):
        store_gram(KERNEL, X, path, tile_size=5, progress=interrupt_after(6))
    partial = np.lib.format.open_memmap(tmp_path / "k.npy.partial", mode="r+")
    partial[0, 0] = 7.0  # in the first tile: a mark that computing it again would remove
    partial.flush()
    assert store_gram(KERNEL, X, path, tile_size=5).matrix[0, 0] == 7.0
    # A finished one is opened, and computed anew on demand only.
    calls = []
    again = store_gram(KERNEL, X, path, tile_size=5, progress=lambda *of: calls.append(of))
    assert again.matrix[0, 0] == 7.0
    assert not calls
    anew = store_gram(KERNEL, X, path, tile_size=5, overwrite=True)
    assert anew.matrix[0, 0] != 7.0


def test_another_matrix_is_refused_by_what_differs(tmp_path):
    path = tmp_path / "k.npy"
    with pytest.raises(InterruptionError):
        store_gram(KERNEL, X, path, tile_size=5, progress=interrupt_after(2))
    changes = {
        "kernel": dict(kernel=ArcCosine(2, "ntk", 2.0, 0.2)),
        "inputs": dict(X=X + 1e-3),
        "other inputs": dict(Z=Z),
        "tile size": dict(tile_size=6),
        "precision, inputs": dict(precision="float64"),  # sorted: inputs first
    }
    for name, change in changes.items():
        name = ", ".join(sorted(name.split(", ")))
        sentence = rf"is a Gram matrix with another {name}; pass overwrite=True to replace it, or"
        arguments = {"kernel": KERNEL, "X": X, "path": path, "tile_size": 5}
        with pytest.raises(ValueError, match=sentence):
            store_gram(**{**arguments, **change})
    (tmp_path / "k.npy.json").write_text("{")
    with pytest.raises(ValueError, match=r"^Cannot tell whose Gram matrix .* is: .* is missing or"):
        store_gram(KERNEL, X, path, tile_size=5)


def test_a_file_of_unknown_origin_is_not_overwritten(tmp_path):
    path = tmp_path / "k.npy"
    path.write_text("precious")
    with pytest.raises(ValueError, match=r"^Cannot tell whose Gram matrix"):
        store_gram(KERNEL, X, path)
    assert path.read_text() == "precious"


def test_kernels_are_told_apart():
    def first(X, Z):
        return X @ Z.T

    def second(X, Z):
        return X @ Z.T

    net = nn.serial(nn.Dense(8, weight_variance=2.0), nn.Relu(), nn.Dense(1))
    other = nn.serial(nn.Dense(8, weight_variance=2.1), nn.Relu(), nn.Dense(1))
    kernels = [
        *(RBF(1.0), RBF(2.0), RBF(1.0) + Matern32(), FromFunction(first), FromFunction(second)),
        *(nn.nngp(net), nn.ntk(net), nn.nngp(other)),
    ]
    identities = [kernel_identity(kernel) for kernel in kernels]
    assert len(set(identities)) == len(kernels)
    assert identities == [kernel_identity(kernel) for kernel in kernels]


# Several devices, in a process that has them.

SCRIPT = """
import sys
import jax, numpy as np
from wilsonian import ArcCosine
from wilsonian.kernels.gram_store import store_gram
assert len(jax.devices()) == 3
X = np.random.default_rng(0).normal(size=(23, 4))
stored = store_gram(ArcCosine(2, "ntk", 2.0, 0.1), X, sys.argv[1], tile_size=5, precision="float64")
np.save(sys.argv[2], stored.matrix)
"""


def test_tiles_are_dealt_over_devices(tmp_path):
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=3", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "k.npy", tmp_path / "copy.npy"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "copy.npy"), exact(), rtol=1e-12)


# Errors.


def test_mistakes_get_their_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"^`tile_size` must be a positive whole number, got 0\.$"):
        store_gram(KERNEL, X, tmp_path / "k.npy", tile_size=0)
    with pytest.raises(ValueError, match=r"^`precision` must be 'float32' or 'float64', got 'f'"):
        store_gram(KERNEL, X, tmp_path / "k.npy", precision="f")
    with pytest.raises(ValueError, match=r"^`X` must have shape \(points, columns\), got \(23,\)"):
        store_gram(KERNEL, X[:, 0], tmp_path / "k.npy")
    with pytest.raises(FileError, match=r"the folder .* does not exist"):
        store_gram(KERNEL, X, tmp_path / "nowhere" / "k.npy")
