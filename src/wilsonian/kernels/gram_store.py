"""Gram matrices larger than memory: computed in tiles, streamed to a .npy file, resumed."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.core.precision import compiled
from wilsonian.kernels import Kernel, as_kernel, check_points, check_widths
from wilsonian.support.files import StrPath, atomic_write, check_writable, refusal
from wilsonian.support.strict_json import parse_json, render_json

SECONDS_BETWEEN = 5.0  # at most so much work is lost when a run is killed outright
FORMAT = 1
CHECKED_ROWS = 64


@dataclasses.dataclass(frozen=True)
class StoredGram:
    """A Gram matrix on disk. `np.asarray(stored)` and, since its pages are writable in memory only,
    `torch.from_numpy(stored.matrix)` read it without a copy."""

    path: Path
    matrix: np.memmap  # (n, m); changes to it never reach the disk
    error: float  # largest |k - k_64| / sqrt(k(x, x) k(z, z)) over a sample of pairs; 0 in float64

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.matrix, dtype=dtype, copy=copy)


def store_gram(
    kernel: Any,
    X: Any,
    path: StrPath,
    Z: Any = None,
    *,
    precision: Literal["float32", "float64"] = "float32",
    tile_size: int = 1024,
    progress: Callable[[int, int], None] | None = None,
    devices: Sequence[jax.Device] | None = None,
    overwrite: bool = False,
) -> StoredGram:
    """Compute `kernel(X, Z)`, (n, m), into the file `path`, a memory-mapped .npy.

    Without `Z` the matrix is symmetric, and only the tiles on and above its diagonal are computed.
    Memory holds a few tiles per device, never the matrix. `devices` (all of JAX's if left out)
    take tiles in turn. `progress(done, of)` is called after every tile.

    The matrix grows in `path.partial` beside a small `path.json`, which says whose it is and how
    far it came; it takes its name when it is whole. Interrupted, the same call goes on after the
    last finished tile; finished, it opens the file. In float32 the `error` of the result, also in
    `path.json`, is measured against float64 on a sample of pairs.

    Raises ValueError if what is there belongs to another kernel, other inputs or other choices
    (unless `overwrite`), and FileError where it cannot be written.
    """
    path, kernel = Path(path), as_kernel(kernel)
    if precision not in ("float32", "float64"):
        raise ValueError(f"`precision` must be 'float32' or 'float64', got {precision!r}.")
    if not isinstance(tile_size, int) or tile_size < 1:
        raise ValueError(f"`tile_size` must be a positive whole number, got {tile_size!r}.")
    with jax.enable_x64(precision == "float64"):
        X = np.asarray(check_points(X, "X"), precision)
        Z_given, Z = Z is not None, X if Z is None else np.asarray(check_points(Z, "Z"), precision)
        check_widths(X, Z)
    tiles = _Tiles(len(X), len(Z), tile_size, symmetric=not Z_given)
    identity = {
        "kernel": kernel_identity(kernel),
        "inputs": _hash(X),
        "other inputs": _hash(Z) if Z_given else None,
        "precision": precision,
        "tile size": tile_size,
    }
    partial, notes = Path(f"{path}.partial"), Path(f"{path}.json")
    finished = 0 if overwrite else _finished(path, partial, notes, identity)
    if finished < len(tiles.places):
        check_writable(path)
        with jax.enable_x64(precision == "float64"):
            error = _error(kernel, X, Z, precision)
            note = {"format": FORMAT, "identity": identity, "tiles": len(tiles.places)}
            if not finished:
                notes.unlink(missing_ok=True)
                _create(partial, path, (len(X), len(Z)), precision)

            def write_note(done: int) -> None:
                atomic_write(notes, render_json({**note, "finished": done, "error": error}))

            _fill(kernel, X, Z, partial, tiles, finished, devices, progress, write_note)
        os.replace(partial, path)
    error = float(parse_json(notes.read_bytes())["error"])
    return StoredGram(path, np.load(path, mmap_mode="c"), error)


def kernel_identity(kernel: Kernel) -> str:
    """Text that two kernels share only if they are the same: their structure and the hash of
    their numbers. A function is known by its name only."""
    leaves, structure = jax.tree.flatten(kernel)
    numbers = [np.asarray(leaf) for leaf in leaves if eqx.is_array_like(leaf)]
    hashed = _hash(*numbers, *[n.astype(float) for n in numbers])
    rest = [leaf for leaf in leaves if not eqx.is_array_like(leaf)]
    text = re.sub(r" at 0x[0-9a-f]+", "", f"{structure} {rest}")  # addresses differ by process
    return f"{type(kernel).__name__} {hashlib.sha256(text.encode()).hexdigest()} {hashed}"


@dataclasses.dataclass(frozen=True)
class _Tiles:
    """Places (row, column) of tiles in the order in which they are computed."""

    rows: int
    columns: int
    size: int
    symmetric: bool

    @property
    def places(self) -> list[tuple[int, int]]:
        return [
            (i, j)
            for i in range(0, self.rows, self.size)
            for j in range(i if self.symmetric else 0, self.columns, self.size)
        ]


def _hash(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _finished(path: Path, partial: Path, notes: Path, identity: dict[str, Any]) -> int:
    """How many tiles of this very matrix are there; ValueError if something else is."""
    there = next((file for file in (partial, path) if file.exists()), None)
    if there is None:
        return 0
    advice = "pass overwrite=True to replace it, or choose another name"
    try:
        note = parse_json(notes.read_bytes())
        stored, done, of = note["identity"], int(note["finished"]), int(note["tiles"])
        known = note["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        if there is partial and isinstance(error, FileNotFoundError):
            return 0  # interrupted before the first tile
        raise ValueError(
            f"Cannot tell whose Gram matrix {str(there)!r} is: {str(notes)!r} is missing or "
            f"damaged; {advice}."
        ) from error
    differing = sorted(name for name in identity if stored.get(name) != identity[name])
    if differing or not known:
        raise ValueError(
            f"{str(there)!r} is a Gram matrix with another {', '.join(differing) or 'format'}; "
            f"{advice}."
        )
    return done if there is partial else of


def _create(partial: Path, path: Path, shape: tuple[int, int], precision: str) -> None:
    """An empty matrix whose place on the disk is taken: a full disk is found now, as an error, and
    not later, as a signal that ends the process."""
    partial.unlink(missing_ok=True)
    matrix = np.lib.format.open_memmap(partial, mode="w+", dtype=precision, shape=shape)
    del matrix
    try:
        if hasattr(os, "posix_fallocate"):
            with partial.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
    except OSError as error:
        partial.unlink(missing_ok=True)
        needed = shape[0] * shape[1] * np.dtype(precision).itemsize / 2**30
        raise refusal(
            path, f"it takes {needed:.2g} GiB, which the disk does not have", "choose another disk"
        ) from error


@compiled
def _tile(kernel: Kernel, X: Any, Z: Any, place: Any, size: int, diagonal: bool) -> Any:
    x = jax.lax.dynamic_slice_in_dim(X, place[0], size)
    # The same array twice: kernels of networks use that.
    z = x if diagonal else jax.lax.dynamic_slice_in_dim(Z, place[1], size)
    return kernel.gram(x, z)


def _fill(
    kernel: Kernel,
    X: np.ndarray,
    Z: np.ndarray,
    partial: Path,
    tiles: _Tiles,
    finished: int,
    devices: Sequence[jax.Device] | None,
    progress: Callable[[int, int], None] | None,
    write_note: Callable[[int], None],
) -> None:
    """Compute the tiles after the first `finished` ones into the file."""
    devices = jax.devices() if devices is None else devices
    size = min(tiles.size, max(tiles.rows, tiles.columns))

    def padded(points):  # whole tiles only: one compilation
        return np.pad(points, ((0, -len(points) % size), (0, 0)), mode="edge")

    inputs = padded(X), padded(Z)
    on_device = [jax.device_put((kernel_arrays(kernel), *inputs), device) for device in devices]
    rest = eqx.filter(kernel, eqx.is_array, inverse=True)
    matrix = np.lib.format.open_memmap(partial, mode="r+")
    places = tiles.places
    running: collections.deque[tuple[int, int, Any]] = collections.deque()
    done, written = finished, time.monotonic()

    def store() -> None:
        nonlocal done, written
        row, column, tile = running.popleft()
        values = np.asarray(tile)[: tiles.rows - row, : tiles.columns - column]
        if tiles.symmetric and row == column:  # products are symmetric to rounding only
            values = np.triu(values) + np.triu(values, 1).T
        matrix[row : row + size, column : column + size] = values
        if tiles.symmetric and row != column:
            matrix[column : column + size, row : row + size] = values.T
        done += 1
        if time.monotonic() - written > SECONDS_BETWEEN:
            matrix.flush()
            write_note(done)
            written = time.monotonic()
        if progress is not None:
            progress(done, len(places))

    try:
        for count, (row, column) in enumerate(places[finished:]):
            arrays, x, z = on_device[count % len(devices)]
            whole = eqx.combine(arrays, rest)
            diagonal = tiles.symmetric and row == column
            place = np.array(
                [row, column], np.int32
            )  # Python's numbers would be compiled into the code
            running.append((row, column, _tile(whole, x, z, place, size, diagonal)))
            # Work for every device while the oldest tile is being written.
            if len(running) > len(devices):
                store()
        while running:
            store()
    finally:
        with contextlib.suppress(ValueError):
            matrix.flush()
        write_note(done)


def kernel_arrays(kernel: Kernel) -> Any:
    """The arrays of a kernel, None elsewhere."""
    return eqx.filter(kernel, eqx.is_array)


def _error(kernel: Kernel, X: np.ndarray, Z: np.ndarray, precision: str) -> float:
    """Largest deviation of a sample from float64, in units of the standard deviations."""
    if precision == "float64":
        return 0.0
    random = np.random.default_rng(0)
    x, z = (
        P[np.sort(random.choice(len(P), min(CHECKED_ROWS, len(P)), replace=False))] for P in (X, Z)
    )
    gram, own = eqx.filter_jit(kernel.gram), eqx.filter_jit(kernel.diagonal)
    found = np.asarray(gram(jnp.asarray(x), jnp.asarray(z)), float)
    with jax.enable_x64(True):
        wide = jnp.asarray(x, float), jnp.asarray(z, float)
        exact, scale = np.asarray(gram(*wide)), np.sqrt(np.outer(own(wide[0]), own(wide[1])))
    return float(np.max(np.abs(found - exact) / np.where(scale > 0, scale, 1.0)))
