"""Ensembles on disk: one folder, versioned, every file whole, a run that was cut off goes on.

A folder holds ``ensemble.json`` (version, theory, settings, list of blocks with their checksums),
``fields-00000.npy`` and so on, ``log_weights-00000.npy`` for weighted draws, and ``state.npz`` of
chains that can go on. The list is rewritten after each block, so what it names is complete.
Nothing in a folder is ever executed. NPZ, HDF5 and xarray are for other programs.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.fields.actions import AbstractFieldTheory
from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.lattice import check_fields
from wilsonian.fields.theories import theory_from_parameters
from wilsonian.support.files import StrPath, atomic_path, atomic_write
from wilsonian.support.strict_json import parse_json, render_json

FORMAT, VERSION = "wilsonian-ensemble", 1
INDEX, STATE = "ensemble.json", "state.npz"


def _array_bytes(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _read_array(path: Path, checksum: str | None) -> np.ndarray:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(
            f"{str(path)!r} is missing from the ensemble; copy the folder again."
        ) from error
    if checksum is not None and hashlib.sha256(raw).hexdigest() != checksum:
        raise ValueError(
            f"{str(path)!r} is truncated or damaged: its checksum is not the one that the ensemble "
            "lists; copy it again, or delete the folder and sample anew."
        )
    return np.load(io.BytesIO(raw), allow_pickle=False)


class EnsembleWriter:
    """Blocks of fields into a folder; opens one that is there when theory and settings agree."""

    def __init__(self, folder: StrPath, theory: AbstractFieldTheory, settings: dict[str, Any]):
        self.folder = Path(folder)
        self.theory = theory
        self.index: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "theory": theory.parameters(),
            "settings": settings,
            "how": {},
            "chains": 0,
            "blocks": [],
        }
        if (self.folder / INDEX).exists():
            found = read_index(self.folder)
            for part in ("theory", "settings"):
                if found[part] != self.index[part]:
                    raise ValueError(
                        f"{str(self.folder)!r} holds an ensemble with {part} {found[part]}, not "
                        f"{self.index[part]}; choose another folder."
                    )
            self.index = found
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise ValueError(
                f"{str(self.folder)!r} is not empty and holds no ensemble; choose another name."
            )
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_index()

    @property
    def count(self) -> int:
        """Fields written so far."""
        return int(sum(block["count"] for block in self.index["blocks"]))

    def append(
        self,
        fields: np.ndarray,
        log_weights: np.ndarray | None = None,
        *,
        chains: int = 0,
        how: dict[str, Any] | None = None,
        state: dict[str, np.ndarray] | None = None,
    ) -> None:
        """Write a block, and the state to go on from; then name both in the list."""
        number = len(self.index["blocks"])
        block: dict[str, Any] = {"count": len(fields)}
        for name, values in (("fields", fields), ("log_weights", log_weights)):
            if values is None:
                continue
            raw = _array_bytes(np.asarray(values))
            file = f"{name}-{number:05d}.npy"
            atomic_write(self.folder / file, raw)
            block[name] = {"file": file, "sha256": hashlib.sha256(raw).hexdigest()}
        if state is not None:
            # Named by its block: a cut between the two files leaves the earlier state in place.
            buffer = io.BytesIO()
            np.savez(buffer, **state)  # type: ignore[arg-type]
            atomic_write(self.folder / f"{number:05d}-{STATE}", buffer.getvalue())
        self.index["blocks"].append(block)
        self.index["chains"] = chains
        self.index["how"] = how or {}
        self._write_index()
        if state is not None and number:
            (self.folder / f"{number - 1:05d}-{STATE}").unlink(missing_ok=True)

    def state(self) -> dict[str, np.ndarray] | None:
        """What the last block's chains go on from."""
        number = len(self.index["blocks"]) - 1
        path = self.folder / f"{number:05d}-{STATE}"
        if number < 0 or not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{str(path)!r}, from which the chains go on, is truncated or damaged; copy the "
                "folder again, or sample into a new one."
            ) from error

    def _write_index(self) -> None:
        atomic_write(self.folder / INDEX, render_json(self.index))


def read_index(folder: StrPath) -> dict[str, Any]:
    """The list of an ensemble's folder; ValueError with the reason when it is none."""
    path = Path(folder) / INDEX
    try:
        index = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(
            f"{str(folder)!r} holds no {INDEX}; give the folder of an ensemble."
        ) from error
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}; copy the folder again.") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError(f"{str(path)!r} is not the list of an ensemble; give another folder.")
    if index.get("version") != VERSION:
        raise ValueError(
            f"{str(path)!r} has version {index.get('version')}, and this program reads {VERSION}; "
            "use a newer wilsonian."
        )
    if missing := {"theory", "settings", "how", "chains", "blocks"} - set(index):
        raise ValueError(
            f"{str(path)!r} was changed: it lacks {', '.join(sorted(missing))}; copy the folder "
            "again."
        )
    return index


def save_ensemble(ensemble: Ensemble, folder: StrPath) -> None:
    """A whole ensemble as a new folder."""
    writer = EnsembleWriter(folder, ensemble.theory, {})
    if writer.count:
        raise ValueError(f"{str(folder)!r} holds an ensemble already; choose another folder.")
    writer.append(ensemble.fields, ensemble.log_weights, chains=ensemble.chains, how=ensemble.how)


def load_ensemble(folder: StrPath, theory: AbstractFieldTheory | None = None) -> Ensemble:
    """The ensemble of a folder. `theory` serves actions of a user, and must have the same numbers.

    ValueError for folders that hold none, damaged files, and another theory.
    """
    index = read_index(folder)
    if theory is None:
        theory = theory_from_parameters(index["theory"])
    elif theory.parameters() != index["theory"]:
        raise ValueError(
            f"{str(folder)!r} is an ensemble of {index['theory']}, not of {theory.parameters()}."
        )
    if not index["blocks"]:
        raise ValueError(f"{str(folder)!r} holds no fields yet; let the run that made it go on.")
    parts: dict[str, list[np.ndarray]] = {"fields": [], "log_weights": []}
    for block in index["blocks"]:
        for name, values in parts.items():
            if name in block:
                values.append(
                    _read_array(Path(folder) / block[name]["file"], block[name]["sha256"])
                )
    log_weights = np.concatenate(parts["log_weights"]) if parts["log_weights"] else None
    return Ensemble(
        theory, np.concatenate(parts["fields"]), log_weights, index["chains"], index["how"]
    )


def export_npz(ensemble: Ensemble, path: StrPath) -> None:
    """Fields, weights and, as JSON, theory and settings, in one compressed NPZ file."""
    arrays = {"fields": ensemble.fields, "about": np.array(_about(ensemble))}
    if ensemble.log_weights is not None:
        arrays["log_weights"] = ensemble.log_weights
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def import_npz(path: StrPath, theory: AbstractFieldTheory | None = None) -> Ensemble:
    """An ensemble of an NPZ file: ours, or anyone's with `fields` in it and the `theory` given.

    Nothing in it is executed. ValueError for truncated files, other contents, another theory.
    """
    arrays = _read_npz(path)
    about = str(arrays["about"]) if "about" in arrays else "{}"
    return _assemble(str(path), arrays["fields"], arrays.get("log_weights"), about, theory)


def import_coarse(path: StrPath) -> np.ndarray:
    """Coarse fields (count, side, side) of an NPZ file, or of an ensemble's folder, to refine.

    ValueError for other shapes, numbers that are not finite, weights, and truncated files.
    """
    if Path(path).is_dir():
        ensemble = load_ensemble(path)
        arrays = {"fields": ensemble.fields}
        if ensemble.log_weights is not None:
            arrays["log_weights"] = ensemble.log_weights
    else:
        arrays = _read_npz(path)
    if "log_weights" in arrays:
        raise ValueError(
            f"{str(path)!r} carries weights, which refined fields would lose; give fields of equal "
            "weight, such as those of `--method hmc`."
        )
    fields = arrays["fields"]
    if fields.ndim != 3 or fields.dtype.kind not in "fiu" or 0 in fields.shape:
        raise ValueError(
            f"`fields` of {str(path)!r} has shape {fields.shape} and type {fields.dtype}; coarse "
            "fields are numbers of shape (count, side, side)."
        )
    check_fields(fields, fields.shape[1:])
    return fields


def _read_npz(path: StrPath) -> dict[str, np.ndarray]:
    try:
        with Path(path).open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("one array alone")
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {str(path)!r}; check the name.") from error
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{str(path)!r} is truncated or no NPZ file; copy it again, or write it with np.savez."
        ) from error
    if "fields" not in arrays:
        raise ValueError(
            f"{str(path)!r} holds {sorted(arrays)}; store the fields as `fields`, (count, *sides)."
        )
    return arrays


def export_hdf5(ensemble: Ensemble, path: StrPath) -> None:
    """The same as HDF5 (needs h5py): datasets `fields`, `log_weights`, attribute `about`."""
    h5py = _optional("h5py")
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("fields", data=ensemble.fields, compression="gzip")
        if ensemble.log_weights is not None:
            file.create_dataset("log_weights", data=ensemble.log_weights)
        file.attrs["about"] = _about(ensemble)


def import_hdf5(path: StrPath, theory: AbstractFieldTheory | None = None) -> Ensemble:
    """An ensemble of an HDF5 file with a dataset `fields` (needs h5py)."""
    h5py = _optional("h5py")
    if not Path(path).is_file():
        raise ValueError(f"there is no file {str(path)!r}; check the name.")
    try:
        with h5py.File(path, "r") as file:
            fields = np.asarray(file["fields"])
            weights = np.asarray(file["log_weights"]) if "log_weights" in file else None
            about = str(file.attrs.get("about", "{}"))
    except (OSError, KeyError) as error:
        raise ValueError(f"{str(path)!r} is truncated, or has no dataset `fields`.") from error
    return _assemble(str(path), fields, weights, about, theory)


def to_xarray(ensemble: Ensemble) -> Any:
    """An xarray Dataset (needs xarray), which writes zarr and netCDF by itself."""
    xarray = _optional("xarray")
    names = ["draw", *(f"x{axis}" for axis in range(len(ensemble.theory.shape)))]
    data = {"fields": (names, ensemble.fields)}
    if ensemble.log_weights is not None:
        data["log_weights"] = (["draw"], ensemble.log_weights)
    return xarray.Dataset(data, attrs={"about": _about(ensemble)})


def from_xarray(dataset: Any, theory: AbstractFieldTheory | None = None) -> Ensemble:
    """The ensemble of a Dataset of :func:`to_xarray`, or of anyone's with a variable `fields`, its
    first dimension the draws; as `xarray.open_zarr` and `open_dataset` give it."""
    if "fields" not in dataset:
        raise ValueError(
            f"the dataset holds {sorted(map(str, dataset.data_vars))}; name the fields `fields`."
        )
    weights = np.asarray(dataset["log_weights"]) if "log_weights" in dataset else None
    about = str(dataset.attrs.get("about", "{}"))
    return _assemble("the dataset", np.asarray(dataset["fields"]), weights, about, theory)


def _about(ensemble: Ensemble) -> str:
    about = {
        "theory": ensemble.theory.parameters(),
        "chains": ensemble.chains,
        "how": ensemble.how,
    }
    return json.dumps(about, allow_nan=False)


def _assemble(
    path: str,
    fields: np.ndarray,
    log_weights: np.ndarray | None,
    described: str,
    theory: AbstractFieldTheory | None,
) -> Ensemble:
    try:
        about = parse_json(described.encode())
        stored, how = about.get("theory"), dict(about.get("how", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"`about` of {path!r} is no JSON of ours; leave it out and pass `theory`."
        ) from error
    if fields.dtype.kind not in "fiu":
        raise ValueError(f"`fields` of {path!r} is of type {fields.dtype}; store real numbers.")
    if theory is None:
        if stored is None:
            raise ValueError(f"{path!r} does not say of which theory it is; pass `theory`.")
        theory = theory_from_parameters(stored)
    elif stored is not None and stored != theory.parameters():
        raise ValueError(f"{path!r} is of {stored}, not of {theory.parameters()}.")
    return Ensemble(theory, fields, log_weights, about.get("chains", 0), how)


def _optional(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"this needs {name}; install it with `pip install wilsonian[lattice]`."
        ) from error
