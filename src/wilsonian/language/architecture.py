"""Architectures as JSON, both ways: data only, so that reading one runs nothing.

.. code-block:: json

    {"input_shape": [8, 8, 1],
     "layers": [{"layer": "Conv", "width": 64, "window_shape": [3, 3], "weight_variance": 2},
                {"repeat": 3, "layers": [{"layer": "Residual", "layers": [
                    {"layer": "Relu"}, {"layer": "Conv", "width": 64, "window_shape": [3, 3]}]}]},
                {"layer": "GlobalAvgPool"}, {"layer": "Dense", "width": 1}]}

A layer has the name and the options of its class; `Parallel` has `branches`, each a layer or a list
of layers, and a `join`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.language.kernel_vocabulary import short_text
from wilsonian.networks.layers import activations, attention, convolution, more_activations, pooling
from wilsonian.networks.layers.branches import Parallel, residual
from wilsonian.networks.layers.cosine_network import (
    AbstractMomenta,
    CosineFeatures,
    FreeField,
    GaussianMomenta,
)
from wilsonian.networks.layers.layer import AbstractLayer, Dense, Serial
from wilsonian.networks.layers.normalization import Dropout, LayerNorm
from wilsonian.networks.layers.signals import ArchitectureError
from wilsonian.support.files import atomic_write
from wilsonian.support.strict_json import parse_json

LARGEST = 2**20  # bytes of a file
MOST_LAYERS = 1000
DEEPEST = 20  # layers inside layers

Document = dict[str, Any]
Network = tuple[AbstractLayer, tuple[int, ...] | None]

_LAYERS: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(activations.Relu, activations.LeakyRelu, activations.Abs, activations.Erf),
        *(activations.Sign, activations.Step),
        *(more_activations.Gelu, more_activations.Sine, more_activations.Cosine),
        *(more_activations.RBF, more_activations.Exponential, more_activations.Polynomial),
        *(more_activations.Hermite, more_activations.Identity),
        *(Dense, convolution.Conv, convolution.LocallyConnected),
        *(pooling.AvgPool, pooling.SumPool, pooling.GlobalAvgPool, pooling.Flatten),
        *(LayerNorm, Dropout, attention.GlobalSelfAttention, attention.PositionEmbedding),
        *(CosineFeatures, Parallel, Serial),
    )
}
_MOMENTA: dict[str, type] = {cls.__name__: cls for cls in (FreeField, GaussianMomenta)}
_LISTS = {"Serial": "layers", "Parallel": "branches", "Residual": "layers"}


def read_architecture(path: str | os.PathLike[str]) -> Network:
    """The network in a JSON file, and its `input_shape` (None if it is not given there).

    Raises ArchitectureError, one sentence that names the layer, for a file that holds none.
    """
    place = os.fspath(path)
    try:
        if (size := Path(path).stat().st_size) > LARGEST:
            raise ArchitectureError(f"{place!r} has {size:,} bytes, too many for an architecture.")
        raw = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ArchitectureError(
            f"the architecture {place!r} cannot be read ({reason}); give a JSON file."
        ) from error
    try:
        return parse_architecture(parse_json(raw))
    except ValueError as error:
        raise ArchitectureError(f"{place!r} holds no architecture: {error}") from error


def write_architecture(
    network: AbstractLayer,
    path: str | os.PathLike[str],
    input_shape: tuple[int, ...] | None = None,
) -> Path:
    """Write a network to a JSON file, whole or not at all. Raises ArchitectureError for a layer
    made of a function, which is code, and FileError where nothing can be written."""
    text = json.dumps(architecture_document(network, input_shape), indent=1, allow_nan=False)
    return atomic_write(path, text + "\n")


def parse_architecture(document: Any) -> Network:
    """The network that a document (of dictionaries, lists, numbers and strings) describes."""
    if not isinstance(document, dict) or "layers" not in document:
        raise ArchitectureError('expected {"layers": [...]}, a list of layers by name.')
    if strange := set(document) - {"layers", "input_shape"}:
        raise ArchitectureError(
            f"unknown entry {short_text(min(strange))}; an architecture has layers and input_shape."
        )
    shape = document.get("input_shape")
    if shape is not None:
        if not (isinstance(shape, list) and shape and all(_whole(size) for size in shape)):
            raise ArchitectureError(
                f"`input_shape` must be a list of sizes such as [8, 8, 1], got {short_text(shape)}."
            )
        shape = tuple(shape)
    layers = _Reader().layers(document["layers"], 0)
    return Serial(tuple(layers)), shape


def architecture_document(
    network: AbstractLayer, input_shape: tuple[int, ...] | None = None
) -> Document:
    """The document that :func:`parse_architecture` reads back to the same network, its numbers
    with every bit. Raises ArchitectureError for a layer that is code."""
    top = network.layers if type(network) is Serial else (network,)
    document: Document = {"layers": [_written(layer) for layer in top]}
    if input_shape is not None:
        document["input_shape"] = list(input_shape)
    return document


def _written(layer: Any) -> Document:
    names: dict[str, type] = _MOMENTA if isinstance(layer, AbstractMomenta) else _LAYERS
    name = type(layer).__name__
    if names.get(name) is not type(layer):
        raise ArchitectureError(
            "it is code, which a file cannot hold; keep to the activations and layers with a name.",
            getattr(layer, "name", name),
        )
    document: Document = {"layer": name}
    names_of_fields = (field.name for field in dataclasses.fields(names[name]))
    return document | {field: _plain(getattr(layer, field)) for field in names_of_fields}


def _plain(value: Any) -> Any:
    if isinstance(value, AbstractLayer | AbstractMomenta):
        return _written(value)
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, str | int):
        return value
    return float(np.asarray(value))


class _Reader:
    """Builds layers, and counts them: a short text must not ask for endless ones."""

    def __init__(self) -> None:
        self.count = 0

    def layers(self, entries: Any, depth: int) -> list[AbstractLayer]:
        if not isinstance(entries, list):
            raise ArchitectureError(f"expected a list of layers, got {short_text(entries)}.")
        if depth > DEEPEST:
            raise ArchitectureError(f"layers are nested deeper than {DEEPEST} levels.")
        made: list[AbstractLayer] = []
        for index, entry in enumerate(entries):
            try:
                made += self.entry(entry, depth)
            except ArchitectureError as error:
                raise error.within(f"layer {index + 1}") from None
        return made

    def entry(self, entry: Any, depth: int) -> list[AbstractLayer]:
        """One layer, or several copies of a block."""
        if not isinstance(entry, dict):
            raise ArchitectureError(
                f'expected a layer such as {{"layer": "Relu"}}, got {short_text(entry)}.'
            )
        if "repeat" not in entry:
            return [self.layer(entry, depth)]
        times = entry["repeat"]
        if set(entry) != {"repeat", "layers"} or not _whole(times) or times > MOST_LAYERS:
            raise ArchitectureError(
                f'expected {{"repeat": 3, "layers": [...]}}, got {short_text(entry)}.'
            )
        return [layer for _ in range(times) for layer in self.layers(entry["layers"], depth + 1)]

    def layer(self, entry: Document, depth: int) -> AbstractLayer:
        self.count += 1
        if self.count > MOST_LAYERS:
            raise ArchitectureError(f"there are more than {MOST_LAYERS:,} layers.")
        options = dict(entry)
        name = _known(options.pop("layer", None), [*_LAYERS, "Residual"], "layer")
        if name == "Residual":
            _check_options(name, options, ["layers"])
            return residual(*self.block(name, options, depth))
        cls = _LAYERS[name]
        fields = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        _check_options(name, options, list(fields))
        if name in _LISTS:
            options[_LISTS[name]] = tuple(self.block(name, options, depth))
        if name == "CosineFeatures":
            options["momenta"] = self.momenta(options.get("momenta"))
        return _built(name, cls, fields, options)

    def block(self, name: str, options: Document, depth: int) -> list[AbstractLayer]:
        entries = options.get(_LISTS[name])
        if name != "Parallel" or not isinstance(entries, list):
            return self.layers(entries, depth + 1)
        branches: list[AbstractLayer] = []
        for index, entry in enumerate(entries):
            try:
                listed = entry if isinstance(entry, list) else [entry]
                made = self.layers(listed, depth + 1)
            except ArchitectureError as error:
                raise error.within(f"branch {index + 1}") from None
            branches.append(made[0] if len(made) == 1 else Serial(tuple(made)))
        return branches

    def momenta(self, entry: Any) -> AbstractMomenta:
        options = dict(entry) if isinstance(entry, dict) else {}
        name = _known(options.pop("layer", None), list(_MOMENTA), "law of momenta")
        cls = _MOMENTA[name]
        fields = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        _check_options(name, options, list(fields))
        return _built(name, cls, fields, options)


def _built(name: str, cls: type, fields: dict[str, str], options: Document) -> Any:
    for key, value in options.items():
        options[key] = _checked(name, key, fields[key], value)
    try:
        return cls(**options)
    except TypeError as error:  # an option without a default is missing
        required = str(error).partition("argument")[2].lstrip("s: ")
        raise ArchitectureError(f"it lacks {required}.", name) from error
    except ArchitectureError:
        raise
    except ValueError as error:
        raise ArchitectureError(str(error), name) from error


def _checked(name: str, key: str, annotation: str, value: Any) -> Any:
    """A value of JSON as the option wants it; what it means is checked by the layer."""
    if isinstance(value, tuple | AbstractMomenta):  # built already
        return value
    if value is None:
        good = "None" in annotation
    elif isinstance(value, list):
        good = "tuple" in annotation and all(_number(entry) for entry in value)
    elif annotation.startswith(("float", "Scalar")):
        good = _number(value)
    elif annotation.startswith("int"):
        good = _whole(value)
    else:
        good = isinstance(value, str) and not annotation.startswith("tuple")
    if not good:
        raise ArchitectureError(f"`{key}` cannot be {short_text(value)}.", name)
    return tuple(value) if isinstance(value, list) else value


def _check_options(name: str, options: Document, known: list[str]) -> None:
    for key in options:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            listed = f"options are {', '.join(known)}" if known else "it has no options"
            raise ArchitectureError(f"unknown option {short_text(key)}{hint}; {listed}.", name)


def _known(name: Any, names: list[str], kind: str) -> str:
    by_letters = {known.lower(): known for known in names}
    letters = name.lower() if isinstance(name, str) else ""
    if letters in by_letters:
        return by_letters[letters]
    close = difflib.get_close_matches(letters[:40], by_letters, 1)
    hint = f" (did you mean {by_letters[close[0]]!r}?)" if close else ""
    raise ArchitectureError(
        f"unknown {kind} {short_text(name)}{hint}; known are {', '.join(names)}."
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _finite(value)


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer above the largest float
        return False


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31
