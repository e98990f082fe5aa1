"""Weights of a network in a safetensors file, named by where they stand: `0.weights`, `2.bias`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from wilsonian.information.prior import paths_of
from wilsonian.support.files import atomic_write


def write_weights(parameters: Any, path: str | os.PathLike[str]) -> Path:
    """Write the parameters to a safetensors file, whole or not at all. Raises FileError where
    nothing can be written."""
    arrays = [np.ascontiguousarray(leaf) for leaf in jax.tree.leaves(parameters)]
    named = dict(zip(paths_of(parameters), arrays, strict=True))
    return atomic_write(path, safetensors.numpy.save(named))


def read_weights(path: str | os.PathLike[str], like: Any) -> Any:
    """Parameters from a safetensors file, with the structure of `like` (what the network's
    `init` makes, or its shapes). Reading runs nothing.

    Raises ValueError, one sentence that names the array, for a file that does not hold them.
    """
    place = os.fspath(path)
    try:
        arrays = safetensors.numpy.load(Path(path).read_bytes())
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"the weights {place!r} cannot be read ({reason}).") from error
    except Exception as error:
        raise ValueError(
            f"{place!r} is no safetensors file ({error}); write it with "
            "wilsonian.information.weight_files.write_weights."
        ) from error
    names, (leaves, structure) = paths_of(like), jax.tree.flatten(like)
    for name, leaf in zip(names, leaves, strict=True):
        if name not in arrays:
            found = ", ".join(sorted(arrays)[:6])
            raise ValueError(f"{place!r} lacks {name!r}; it holds {found}.")
        if arrays[name].shape != leaf.shape:
            raise ValueError(
                f"{name!r} in {place!r} has shape {arrays[name].shape}, and the architecture "
                f"wants {leaf.shape}; was it trained with another?"
            )
        if not np.all(np.isfinite(arrays[name])):
            raise ValueError(f"{name!r} in {place!r} holds NaN or infinity; training diverged.")
    if strange := sorted(set(arrays) - set(names)):
        raise ValueError(f"{place!r} holds {strange[0]!r}, which the architecture does not have.")
    return jax.tree.unflatten(structure, [arrays[name] for name in names])
