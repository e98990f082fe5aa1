"""Fitted estimators as plain data, and in model folders (see `wilsonian.support.model_files`)."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.utils.validation import check_is_fitted

from wilsonian.core.cutoffs import (
    AbstractCutoff,
    LearnabilityCutoff,
    RankCutoff,
    SharpCutoff,
    SmoothCutoff,
)
from wilsonian.kernels import as_kernel
from wilsonian.language.kernel_text import format_kernel, parse_kernel
from wilsonian.regression.classification.classifier import ReducedGPClassifier
from wilsonian.regression.finishing import FittedProcess
from wilsonian.regression.processes.outputs import OutputProcesses, parts_of
from wilsonian.regression.processes.reduced import ReducedProcess
from wilsonian.regression.regressor import ReducedGPRegressor
from wilsonian.regression.saving.parts import (
    correction_state,
    predictions_state,
    restore_correction,
    restore_predictions,
)
from wilsonian.regression.saving.processes import (
    Arrays,
    Document,
    prepared_state,
    process_state,
    restore_prepared,
    restore_process,
    restore_statistics,
    statistics_state,
    under,
)
from wilsonian.regression.saving.separate import restore_separate, separate_state
from wilsonian.regression.separate_outputs import SeparateOutputsRegressor
from wilsonian.support.model_files import ModelFileError, read_folder, write_folder

# What parameters were called by version 0.1.0; names inside the files are those still.
RENAMED = {
    "noise": "noise_variance",
    "move_landmarks": "move_inducing_points",
    "sample_size": "n_samples",
}

Estimator = ReducedGPRegressor | ReducedGPClassifier | SeparateOutputsRegressor

ESTIMATORS: dict[str, Any] = {c.__name__: c for c in (ReducedGPRegressor, ReducedGPClassifier)}
CUTOFFS: dict[str, type[AbstractCutoff]] = {
    cls.__name__: cls for cls in (RankCutoff, SharpCutoff, SmoothCutoff, LearnabilityCutoff)
}


def save_model(estimator: Estimator, path: str | os.PathLike[str]) -> Path:
    """Write a fitted estimator of ours (regressor, classifier, separate outputs) to a folder of
    one JSON and one safetensors file, whole or not at all.

    Raises FileError where nothing can be written, KernelTextError for a kernel that is a function
    (data cannot hold it), and NotFittedError.
    """
    document, arrays = estimator_state(estimator)
    return write_folder(path, "model", {"estimator": document}, arrays)


def load_model(path: str | os.PathLike[str]) -> Estimator:
    """The estimator in a folder of :func:`save_model` or `wilsonian fit --out`; nothing is
    executed. A model of the command line takes encoded columns; `wilsonian.app.runs.fit.load_run`
    also gives their encoding.

    Raises ModelFileError, one sentence, for a folder that is missing, damaged or not ours.
    """
    document, arrays = read_folder(path, "model")
    with understood(path):
        return restore_estimator(document["estimator"], arrays)


class understood:  # noqa: N801 (reads as a phrase: with understood(path))
    """Turns what goes wrong in reading a well-formed folder of strange content into one error."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, ModelFileError):
            return
        if isinstance(error, KeyError | TypeError | ValueError | AttributeError | IndexError):
            raise ModelFileError(
                f"Cannot load {self.path!r}: its contents do not make a model ({error}); save it "
                "again with this version of wilsonian."
            ) from error


def estimator_state(estimator: Estimator) -> tuple[Document, Arrays]:
    """A fitted estimator as a JSON document and named arrays."""
    if isinstance(estimator, SeparateOutputsRegressor):
        document, arrays = separate_state(estimator, estimator_state)
        return {**document, **_names(estimator)}, arrays
    check_is_fitted(estimator)
    parameters, arrays = _parameters(estimator)
    document = {"type": type(estimator).__name__, "parameters": parameters}
    regressor = estimator
    if isinstance(estimator, ReducedGPClassifier):
        regressor = estimator.regressor_
        classes = estimator.classes_
        document["classes"] = {"dtype": classes.dtype.str, "values": classes.tolist()}
        document["inverse_temperature"] = estimator.inverse_temperature_
        document["leave_one_out_log_loss"] = estimator.leave_one_out_log_loss_
        more, latents = predictions_state(estimator.labels_, estimator.columns_)
        document, arrays = {**document, **more, "shares": estimator.shares_}, arrays | latents
    fitted, more = _regressor_state(regressor)
    return {**document, **_names(estimator), "fitted": fitted}, {**arrays, **more}


def restore_estimator(document: Document, arrays: Arrays) -> Estimator:
    """The estimator that :func:`estimator_state` took apart.

    Raises ValueError for values that no fit gives: a checksum is no signature, and whoever changes
    a model can give it a right one.
    """
    if "separate" in document:
        return _named(restore_separate(document, arrays, restore_estimator), document)
    _check_values(document["fitted"], arrays)
    cls = ESTIMATORS[document["type"]]
    parameters = _renamed(document["parameters"])
    if document["type"] == "ReducedGPClassifier":
        parameters.setdefault("likelihood", "regression")  # version 0.1.0 had no other
    parameters["kernel"] = parameters["kernel"] and parse_kernel(parameters["kernel"])
    cutoff = parameters["cutoff"]
    if isinstance(cutoff, dict):
        fields = _renamed(cutoff)
        parameters["cutoff"] = CUTOFFS[fields.pop("type")](**fields)
    parameters["inducing_points"] = arrays.get("given_landmarks")
    estimator = cls(**parameters)
    regressor = estimator.regressor() if isinstance(estimator, ReducedGPClassifier) else estimator
    _restore_regressor(regressor, document["fitted"], arrays)
    if isinstance(estimator, ReducedGPClassifier):
        classes = document["classes"]
        estimator.restore(
            regressor,
            np.array(classes["values"], dtype=classes["dtype"]),
            **restore_predictions(document, arrays, regressor.process_),
            shares=document.get("shares"),
            inverse_temperature=document["inverse_temperature"],
            log_loss=document.get("leave_one_out_log_loss", np.nan),
        )
    return _named(estimator, document)


def _names(estimator: Estimator) -> Document:
    names = getattr(estimator, "feature_names_in_", None)
    return {"feature_names": None if names is None else [str(name) for name in names]}


def _named(estimator: Estimator, document: Document) -> Estimator:
    if document["feature_names"] is not None:
        estimator.feature_names_in_ = np.array(document["feature_names"], dtype=object)
    return estimator


def _check_values(document: Document, arrays: Arrays) -> None:
    for name, values in arrays.items():
        # The ladder of an input-dependent ridge and a flow may have gaps; nothing predicts by them.
        gaps = "ladder_" in name or name == "test_error"
        if values.dtype.kind == "f" and not gaps and not np.isfinite(values).all():
            raise ValueError(f"{name!r} holds values that are no finite numbers")
    for part in document.get("outputs", [document]):
        for name in ("amplitude", "noise"):
            values = np.asarray(part[name], float)
            if not (np.isfinite(values).all() and np.all(values > 0)):
                raise ValueError(f"{name!r} must be positive")


def _parameters(estimator: ReducedGPRegressor | ReducedGPClassifier) -> tuple[Document, Arrays]:
    parameters, arrays = estimator.get_params(deep=False), {}
    kernel, cutoff = parameters["kernel"], parameters["cutoff"]
    parameters["kernel"] = None if kernel is None else format_kernel(as_kernel(kernel))
    if isinstance(cutoff, AbstractCutoff):
        if type(cutoff).__name__ not in CUTOFFS:
            raise ModelFileError(
                f"a {type(cutoff).__name__} cannot be saved; use one of {', '.join(CUTOFFS)}."
            )
        fields = {f.name: getattr(cutoff, f.name) for f in dataclasses.fields(cutoff)}
        parameters["cutoff"] = {"type": type(cutoff).__name__, **fields}
    if parameters["inducing_points"] is not None:
        arrays["given_landmarks"] = np.asarray(parameters["inducing_points"], float)
    del parameters["inducing_points"]
    # A generator is state, not a choice: a copy of it in a file would repeat its draws.
    if not isinstance(parameters["random_state"], int | np.integer):
        parameters["random_state"] = None
    return {name: _plain(value) for name, value in parameters.items()}, arrays


def _renamed(parameters: Document) -> Document:
    return {RENAMED.get(name, name): value for name, value in parameters.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return value.item()
    return value


def _regressor_state(regressor: ReducedGPRegressor) -> tuple[Document, Arrays]:
    process = regressor.process_
    prepared, arrays = prepared_state(regressor.prepared_)
    statistics, sums = statistics_state(regressor.statistics_)
    document = {
        "prepared": prepared,
        "statistics": statistics,
        "target_dimensions": regressor.target_dimensions_,
        "convergence": regressor.convergence_,
    }
    arrays |= sums
    if regressor.correction_ is not None:
        document["correction"], more = correction_state(regressor.correction_)
        arrays |= more
    states: list[Document] = []
    if not isinstance(process, OutputProcesses):
        own, own_arrays = process_state(process)
        return document | own, arrays | own_arrays
    for number, part in enumerate(process.parts):
        own, own_arrays = process_state(part)
        states.append(own)
        arrays |= {f"output_{number}_{name}": array for name, array in own_arrays.items()}
    return document | {"outputs": states}, arrays


def _restore_regressor(regressor: ReducedGPRegressor, document: Document, arrays: Arrays) -> None:
    prepared = restore_prepared(document["prepared"], arrays)
    process: ReducedProcess | OutputProcesses
    if "outputs" in document:
        states = enumerate(document["outputs"])
        parts = (restore_process(prepared, own, under(f"output_{i}_", arrays)) for i, own in states)
        process = OutputProcesses(tuple(parts))
    else:
        process = restore_process(prepared, document, arrays)
    # Models of 0.1.0 do not say what of the variance at their rows was unresolved.
    lost = max(part.largest_lost / part.amplitude for part in parts_of(process))
    stored = {"largest_unresolved": lost, **document["statistics"]}
    statistics = restore_statistics(stored, arrays)
    correction = None
    if "correction" in document:
        correction = restore_correction(
            document["correction"], arrays, process, regressor.block_size
        )
    fitted = FittedProcess(prepared, statistics, process, document["convergence"], correction)
    regressor.adopt(fitted, document["target_dimensions"])
