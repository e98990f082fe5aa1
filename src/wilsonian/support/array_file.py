"""Named arrays in one safetensors file, written piece by piece and checked before it is opened."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

TYPES = {"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64"} | {
    f"{name}{bits}": f"{letter}{bits}"
    for name, letter in (("int", "I"), ("uint", "U"))
    for bits in (8, 16, 32, 64)
}


class ArrayFileError(ValueError):
    """What is wrong with an array or with the file, as half a sentence."""


def check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ArrayFileError for the first array that cannot be stored with every bit."""
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.name not in TYPES:
            seen = getattr(array, "dtype", type(array).__name__)
            raise ArrayFileError(f"arrays[{name!r}] is of type {seen}; use {', '.join(TYPES)}.")
        # The format keeps the first name for itself, and holds names as UTF-8.
        if (
            name == "__metadata__"
            or str(name) != name
            or name != name.encode(errors="replace").decode()
        ):
            raise ArrayFileError(f"arrays[{name!r}] has a name that cannot be stored; rename it.")


def write_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Write a new file and return its size and SHA-256.

    Writes what `safetensors.numpy.save_file` does, but never holds a copy of more than one array,
    follows the umask and raises plain OSErrors.
    """
    # Wide types first, so that every array is aligned.
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    ordered = [arrays[name] for name in names]
    header: dict[str, Any] = {}
    end = 0
    for name, array in zip(names, ordered, strict=True):
        start = end
        end += array.nbytes
        header[name] = {
            "dtype": TYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with file.open("xb") as opened:
        for piece in _pieces(struct.pack("<Q", len(text)) + text, ordered):
            digest.update(piece)
            opened.write(piece)
    return {"bytes": 8 + len(text) + end, "sha256": digest.hexdigest()}


def _pieces(header: bytes, arrays: list[np.ndarray]) -> Iterator[bytes | memoryview]:
    yield header
    for array in arrays:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        yield little.reshape(-1).view(np.uint8).data


def read_arrays(file: Path, size: int, sha256: str) -> dict[str, np.ndarray]:
    """The arrays of a file that has this size and SHA-256, else ArrayFileError."""
    found = file.stat().st_size
    with file.open("rb") as opened:
        same = found == size and hashlib.file_digest(opened, "sha256").hexdigest() == sha256
        opened.seek(0)
        start = opened.read(8)
    if not same:
        # Safetensors start with the length of their header, which a pickle would put absurdly high.
        claimed = int.from_bytes(start, "little")
        if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05" and claimed > found:
            raise ArrayFileError("is a pickle, which can run programs and is never opened")
        if found != size:
            cut = "is cut short: it " if found < size else ""
            raise ArrayFileError(f"{cut}has {found:,} bytes instead of {size:,}")
        raise ArrayFileError("was changed after it was saved (its checksum differs)")
    try:
        return safetensors.numpy.load_file(file)
    except OSError:
        raise
    except Exception as error:  # its own SafetensorError, KeyError for a type NumPy lacks, ...
        raise ArrayFileError(f"is damaged ({error})") from error
