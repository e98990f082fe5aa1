"""A fitted sector model as a folder of JSON and safetensors; nothing of the user's code is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.greybox.assembly import describe
from wilsonian.greybox.laplace import Hyperparameters
from wilsonian.support.model_files import ModelFileError, read_folder, write_folder

FIELDS = ("mean", "log_variance", "noise", "amplitudes", "log_weights")


@dataclasses.dataclass(frozen=True)
class FitStep:
    """One step of the fit."""

    log_evidence: float  # mean per signal, nats
    noise: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class FitState:
    """Where a fit stands."""

    digest: str  # of the signals
    hyper: Hyperparameters
    history: list[FitStep]


def _arrays(hyper: Hyperparameters) -> dict[str, np.ndarray]:
    return {name: np.asarray(getattr(hyper, name), np.float64) for name in FIELDS}


def _hyperparameters(arrays: dict[str, np.ndarray]) -> Hyperparameters:
    return Hyperparameters(*(jnp.asarray(arrays[name]) for name in FIELDS))


def write_state(folder: str | Path, state: FitState) -> None:
    """Keep where a fit stands, whole or not at all."""
    history = [[step.log_evidence, list(step.noise)] for step in state.history]
    document = {"type": "grey-box fit", "signals": state.digest, "history": history}
    write_folder(folder, "checkpoint", document, _arrays(state.hyper))


def read_state(folder: str | Path, digest: str, like: Hyperparameters) -> FitState | None:
    """Where the fit of the same signals stood; None if there is nothing yet.

    Raises ModelFileError when the folder belongs to other signals or another model.
    """
    if not Path(folder).exists():
        return None
    document, arrays = read_folder(folder, "checkpoint")
    same = document.get("type") == "grey-box fit" and document.get("signals") == digest
    same = same and all(
        name in arrays and arrays[name].shape == np.shape(getattr(like, name)) for name in FIELDS
    )
    if not same:
        raise ModelFileError(
            f"Cannot resume from {str(folder)!r}: that fit had other signals or another residual; "
            "repeat it as it was, or choose a new folder."
        )
    history = [FitStep(evidence, tuple(noise)) for evidence, noise in document["history"]]
    return FitState(digest, _hyperparameters(arrays), history)


def save(model: Any, folder: str | Path, **about: Any) -> Path:
    """Write the fitted model; `about` is kept beside it (JSON)."""
    model._check_fitted()
    document = {
        "type": "grey-box sector model",
        "physics": model.physics.name,
        "parameters": model.physics.parameters.describe(),
        "residual": describe(model.residual),
        "terms": list(model.assembly_.layout.terms),
        "amplitude": model.amplitude,
        "channels": model.assembly_.channels,
        "evidence": float(model.evidence_),
        "converged": bool(model.converged_),
        "history": [[step.log_evidence, list(step.noise)] for step in model.history_],
        "about": about,
    }
    arrays = {**_arrays(model.hyperparameters_), "times": model.physics.times}
    arrays["example"] = model.example_
    return write_folder(folder, "model", document, arrays)


def read_about(folder: str | Path) -> dict[str, Any]:
    """The document of a saved model."""
    document, _ = read_folder(folder, "model")
    if document.get("type") != "grey-box sector model":
        raise ModelFileError(f"Cannot load {str(folder)!r}: it holds no grey-box model; give one.")
    return document


def load(model: Any, folder: str | Path) -> Any:
    """Fill `model`, built from the same simulator and residual, with what was learned.

    Raises ModelFileError when the folder belongs to another simulator or residual.
    """
    document = read_about(folder)
    _, arrays = read_folder(folder, "model")
    expected = {
        "parameters": model.physics.parameters.describe(),
        "residual": describe(model.residual),
        "amplitude": model.amplitude,
    }
    for name, value in expected.items():
        if document[name] != value:
            raise ModelFileError(
                f"Cannot load {str(folder)!r}: its {name} is {document[name]!r} and yours is "
                f"{value!r}; build the model as it was fitted."
            )
    if not np.array_equal(arrays["times"], model.physics.times):
        raise ModelFileError(f"Cannot load {str(folder)!r}: its times differ; use the same times.")
    with jax.enable_x64(True):
        model._prepare(arrays["example"][None])
        model.hyperparameters_ = _hyperparameters(arrays)
    model.evidence_, model.converged_ = document["evidence"], document["converged"]
    model.history_ = tuple(FitStep(e, tuple(n)) for e, n in document["history"])
    return model
