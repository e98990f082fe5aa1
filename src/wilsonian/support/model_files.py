"""The folder of a model, a checkpoint or a flow of fields: `model.json`, `arrays.safetensors`.

All three hold data only, so loading runs nothing. `model.json` carries a document for people
and programs to read, the SHA-256 of the arrays and the SHA-256 of itself; a folder in which
anything was changed by accident is refused. A checksum is no signature: whoever means to change a
model can write a right one, so take models only from whom you trust. What the document and the
arrays mean is said elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.support.array_file import ArrayFileError, check_arrays, read_arrays, write_arrays
from wilsonian.support.files import atomic_folder, check_writable, refusal, set_aside
from wilsonian.support.strict_json import canonical_sha256, check_json, parse_json, render_json
from wilsonian.support.version import __version__

# 1: inputs as they are; 2: inducing points may be counted from an origin.
FORMAT_VERSION = 2
KINDS = ("model", "checkpoint", "flow")
DOCUMENT, ARRAYS = "model.json", "arrays.safetensors"
LARGEST_DOCUMENT = 64 * 2**20  # bytes

# What file managers leave behind counts as nothing of the user's.
_DATA = {DOCUMENT, ARRAYS}
_OURS = _DATA | {".DS_Store", "Thumbs.db", "desktop.ini"}
_BEGINNING = b'{\n "format": "wilsonian"'
_AGAIN = "restore it from a copy, or save it again"
_OTHER = f"give a folder that wilsonian saved, which holds {DOCUMENT} and {ARRAYS}"


class ModelFileError(ValueError):
    """A folder that cannot be loaded, or data that it cannot hold, in one sentence."""


def check_folder(path: str | os.PathLike[str], kind: str) -> None:
    """Raise now, before long work, the FileError that `write_folder` would raise at this place."""
    check_writable(path, folder=True)
    _check_replaceable(path, kind)


def write_folder(
    path: str | os.PathLike[str],
    kind: str,
    document: dict[str, Any],
    arrays: dict[str, np.ndarray],
) -> Path:
    """Write a folder of `kind` to `path`, whole or not at all, and return where it is.

    `document` holds what JSON can give back equal: dict with str keys, list, str, int, bool, None
    and finite float; NaN and infinity are refused, so store None or use an array. Arrays of bool,
    integers and floats of up to 64 bits come back with every bit, in C order. A folder at `path`
    is replaced only if it is empty or one of the same kind without further files.
    """
    _check_kind(kind)
    try:
        check_json(document, "document")
        check_arrays(arrays)
    except ValueError as error:
        raise ModelFileError(str(error)) from error
    check_folder(path, kind)
    with atomic_folder(path) as folder:
        content = {
            "format": "wilsonian",
            "kind": kind,
            "format_version": FORMAT_VERSION,
            "library_version": __version__,
            "document": document,
            "arrays": {"file": ARRAYS, **write_arrays(folder / ARRAYS, arrays)},
        }
        text = render_json({**content, "checksum": canonical_sha256(content)})
        if len(text) > LARGEST_DOCUMENT:
            raise ModelFileError(
                f"`document` takes {len(text):,} bytes, above the limit of {LARGEST_DOCUMENT:,}; "
                "move long lists of numbers to `arrays`."
            )
        (folder / DOCUMENT).write_bytes(text)
        _check_replaceable(path, kind)  # once more: the writing may have taken long
    return Path(path)


def read_folder(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The document and the arrays of a folder of `kind`, exactly as they were written.

    Raises ModelFileError, and nothing else, for a folder that is missing, damaged, of another
    kind or not ours.
    """
    _check_kind(kind)
    path = Path(path)
    try:
        if not path.is_dir():
            raise _missing(path)
        content = _read_document(path)
        if content["kind"] != kind:
            raise _broken(path, f"it holds a {content['kind']!r}, not a {kind!r}", f"give a {kind}")
        entry = content["arrays"]
        if not (path / ARRAYS).is_file():
            raise _broken(path, f"it holds no {ARRAYS}", _AGAIN)
        arrays = read_arrays(path / ARRAYS, entry["bytes"], entry["sha256"])
        return content["document"], arrays
    except ArrayFileError as error:
        raise _broken(path, f"{ARRAYS} {error}", _AGAIN) from error
    except OSError as error:
        what = f"{Path(error.filename or path).name} cannot be read ({error.strerror})"
        raise _broken(path, what, "check its permissions and the disk") from error


def _broken(path: Path, what: str, advice: str) -> ModelFileError:
    return ModelFileError(f"Cannot load {str(path)!r}: {what}; {advice}.")


def _missing(path: Path) -> ModelFileError:
    if path.exists():
        return _broken(path, "it is a file, not a folder", _OTHER)
    if earlier := set_aside(path):
        what = f"it is gone, but an interrupted save left an earlier one in {str(earlier)!r}"
        return _broken(path, what, "rename that folder back")
    return _broken(path, "there is no such folder", _OTHER)


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(KINDS)}, got {kind!r}.")


def _check_replaceable(path: str | os.PathLike[str], kind: str) -> None:
    folder, advice = Path(path), "choose a new name"
    if not folder.is_dir():
        return
    try:
        names = os.listdir(folder)
        if strange := sorted(set(names) - _OURS):
            raise refusal(path, f"that folder holds other things, such as {strange[0]!r}", advice)
        found = _parsed(folder)[0]["kind"] if _DATA & set(names) else kind
    except (ModelFileError, PermissionError) as error:
        what = "that folder was not saved by wilsonian, or is damaged"
        raise refusal(path, what, f"{advice}, or delete it yourself") from error
    if found != kind:
        raise refusal(path, f"that folder holds a {found!r}, not a {kind!r}", advice)


def _parsed(folder: Path) -> tuple[dict[str, Any], bytes]:
    """What `model.json` holds, if it is JSON that says it is ours; nothing else is checked."""
    file = folder / DOCUMENT
    if not file.is_file():
        raise _broken(folder, f"it holds no {DOCUMENT}", _OTHER)
    if (size := file.stat().st_size) > LARGEST_DOCUMENT:
        raise _broken(folder, f"{DOCUMENT} has {size:,} bytes, too many to be ours", _OTHER)
    raw = file.read_bytes()
    try:
        content = parse_json(raw)
    except ValueError as error:
        if raw.startswith(_BEGINNING) or _BEGINNING.startswith(raw):
            what = f"{DOCUMENT} is cut short or damaged ({error})"
            raise _broken(folder, what, _AGAIN) from error
        raise _broken(folder, f"{DOCUMENT} is not JSON ({error})", _OTHER) from error
    if (
        not isinstance(content, dict)
        or content.get("format") != "wilsonian"
        or "kind" not in content
    ):
        raise _broken(folder, f"{DOCUMENT} was not saved by wilsonian", _OTHER)
    return content, raw


def _read_document(folder: Path) -> dict[str, Any]:
    content, raw = _parsed(folder)
    version = content.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        what = (
            f"it has format {version} of wilsonian {content.get('library_version')}, and this is "
            f"wilsonian {__version__}, which reads up to format {FORMAT_VERSION}"
        )
        raise _broken(folder, what, "upgrade with 'pip install --upgrade wilsonian'")
    try:
        rest = {key: value for key, value in content.items() if key != "checksum"}
        # The bytes are compared too: other spaces would leave the checksum as it is.
        same = content.get("checksum") == canonical_sha256(rest) and raw == render_json(content)
    except (ValueError, RecursionError):  # a number too large for a float
        same = False
    if not same:
        what = f"{DOCUMENT} was changed after it was saved (its checksum differs)"
        raise _broken(folder, what, _AGAIN)
    match content:
        case {
            "format_version": 1 | 2,
            "document": dict(),
            "arrays": {"file": "arrays.safetensors", "bytes": int(), "sha256": str()},
        }:
            return content
    raise _broken(folder, f"{DOCUMENT} lacks entries of its format", _OTHER)
