"""NPZ files: arrays by name, read whole once their declared sizes are known to be sane."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from wilsonian.app.tables.blocks import ArrayTable, TableError

LARGEST = 8 << 30  # bytes of all arrays together; what is larger belongs in Parquet


def open_npz(path: Path, identity: tuple[Any, ...] = ()) -> ArrayTable:
    """The table in an NPZ file. Raises TableError for a damaged, pickled or oversized one, the last
    before anything of it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, archive)
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except TableError:
        raise
    except Exception as error:  # NumPy and zlib raise many kinds for a file that is damaged
        hint = "it holds Python objects: save plain arrays"
        if "Object arrays" not in str(error):
            hint = "write it again with numpy.savez"
        raise TableError(f"{path} is not a readable NPZ file; {hint}.") from error
    return array_table(str(path), held, identity)


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    total = 0
    for member in archive.infolist():
        with archive.open(member) as file:
            declared = _declared_bytes(file)
        total += max(declared, member.file_size)
        # The header and its padding come to less than 64 KiB.
        if not 0 <= member.file_size - declared <= 1 << 16:
            raise TableError(
                f"{path} is not a readable NPZ file: {member.filename!r} declares {declared:,} "
                f"bytes of values and holds {member.file_size:,}; write it again with numpy.savez."
            )
        if total > LARGEST:
            raise TableError(
                f"{path} unpacks to more than {LARGEST >> 30} GiB; write such a table as Parquet, "
                "which is read in blocks."
            )


def _declared_bytes(file: IO[bytes]) -> int:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded")
    return math.prod(shape) * dtype.itemsize


def array_table(
    name: str, arrays: Mapping[str, np.ndarray], identity: tuple[Any, ...] = ()
) -> ArrayTable:
    """A table from arrays as an NPZ file holds them (see `open_table`)."""
    arrays, properties = dict(arrays), dict[str, Any](identity=identity)
    X, y = arrays.pop("X", None), arrays.pop("y", None)
    matrix_names: list[str] = []
    if X is not None:
        if not 2 <= X.ndim <= 4:
            raise TableError(f"X in {name} must be (rows, columns) or images, got {X.shape}.")
        matrix_names = [f"x{column}" for column in range(int(np.prod(X.shape[1:])))]
        if X.ndim > 2:
            properties |= {"image_shape": X.shape[1:], "image_columns": tuple(matrix_names)}
        X = X.reshape(len(X), len(matrix_names))
    if y is not None and y.ndim == 2 and y.shape[1] > 1:
        targets = [f"y{column}" for column in range(y.shape[1])]
        arrays |= dict(zip(targets, y.T, strict=True))
        properties |= {"default_target": targets[0], "other_targets": tuple(targets[1:])}
    elif y is not None:
        arrays["y"] = y.reshape(-1) if y.ndim == 2 else y
        properties["default_target"] = "y"
    shapes = {key: a.shape for key, a in arrays.items()} | ({} if X is None else {"X": X.shape})
    lengths = {shape[0] if shape else 0 for shape in shapes.values()}
    if any(a.ndim != 1 for a in arrays.values()) or len(lengths) != 1:
        seen = ", ".join(f"{key} {shape}" for key, shape in shapes.items()) or "no arrays"
        raise TableError(
            f"{name} must hold X and y, or one-dimensional columns, of one length, got {seen}; "
            "save those only."
        )
    return ArrayTable(name, arrays, X, matrix_names, **properties)
