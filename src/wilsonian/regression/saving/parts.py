"""What a model folder holds beside the process: a residual correction, latents of class labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from wilsonian.regression.classification.column_process import ColumnProcess
from wilsonian.regression.classification.label_process import LabelProcess
from wilsonian.regression.classification.laplace import Latents
from wilsonian.regression.exact.corrected_outputs import CorrectedOutputs
from wilsonian.regression.exact.residual_correction import ResidualCorrection
from wilsonian.regression.processes.outputs import OutputProcesses, parts_of
from wilsonian.regression.processes.reduced import ReducedProcess

_ARRAYS = ("noise", "dual", "rotation", "shared", "residual")


def correction_state(correction: ResidualCorrection) -> tuple[dict[str, Any], dict[str, Any]]:
    """A JSON document and named arrays; the process is stored elsewhere."""
    arrays = {"correction_rows": correction.rows}
    parts = []
    for number, part in enumerate(correction.parts):
        arrays |= {f"correction_{number}_{name}": getattr(part, name) for name in _ARRAYS}
        parts.append(
            {
                "amplitude": float(part.amplitude),
                "noise_variance": float(part.noise_variance),
                "stretch": float(part.stretch),
                "neighbours": int(part.neighbours),
                "steps": int(part.steps),
                "converged": bool(part.converged),
            }
        )
    return {"parts": parts}, arrays


def restore_correction(
    document: dict[str, Any],
    arrays: dict[str, Any],
    process: ReducedProcess | OutputProcesses,
    block_size: int,
) -> ResidualCorrection:
    """What :func:`correction_state` took apart. Raises ValueError for arrays that do not fit."""
    rows, parts = arrays["correction_rows"], []
    for number, (part, own) in enumerate(zip(parts_of(process), document["parts"], strict=True)):
        found = {name: arrays[f"correction_{number}_{name}"] for name in _ARRAYS}
        own = {"stretch": 1.0} | own  # older models know none
        outputs = len(part.modes.target_mean)
        rotation, shared = found["rotation"], found["shared"]
        local = len(shared) > 0
        if (
            rows.shape[1] != part.modes.features.inducing_points.shape[1]
            or found["noise"].shape != (len(rows),)
            or found["dual"].shape != (len(rows), outputs)
            or found["residual"].shape != (outputs,)
            or len(rotation) != part.kept
            or (local and shared.shape != (len(rows), rotation.shape[1]))
            or not np.all(found["noise"] > 0)
            or not min(own["amplitude"], own["noise_variance"], own["stretch"]) > 0
        ):
            raise ValueError(f"the correction of {len(rows)} rows does not fit its process")
        parts.append(CorrectedOutputs(process=part, rows=rows, **found, **own))
    return ResidualCorrection(process, tuple(parts), block_size)


def latents_state(latents: Latents, prefix: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Latents of class labels as plain data; their arrays' names begin with `prefix`."""
    document = {"steps": int(latents.steps), "decrement": float(latents.decrement)}
    arrays = {"mean": latents.mean, "root": latents.root, "rest": latents.rest}
    return document, {f"{prefix}_{name}": array for name, array in arrays.items()}


def restore_latents(
    document: dict[str, Any], arrays: dict[str, np.ndarray], prefix: str, features: int
) -> Latents:
    """What :func:`latents_state` took apart."""
    mean, root, rest = (arrays[f"{prefix}_{name}"] for name in ("mean", "root", "rest"))
    leading = features - rest.shape[1]
    if len(mean) != features or root.shape != (mean.shape[1], leading, leading):
        raise ValueError(f"latents {mean.shape}, {root.shape} do not fit {features} features")
    return Latents(mean, root, rest, document["steps"], document["decrement"])


def predictions_state(
    labels: LabelProcess | None, columns: ColumnProcess | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Those latents of class labels that there are, as plain data."""
    document: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    if labels is not None:
        document["labels"], more = labels_state(labels)
        arrays |= more
    if columns is not None:
        document["columns"], more = columns_state(columns)
        arrays |= more
    return document, arrays


def restore_predictions(
    document: dict[str, Any],
    arrays: dict[str, np.ndarray],
    process: ReducedProcess | OutputProcesses,
) -> dict[str, Any]:
    """What :func:`predictions_state` took apart, by name."""
    return {
        "labels": restore_labels(document, arrays, process),
        "columns": restore_columns(document, arrays),
    }


def labels_state(labels: LabelProcess) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The latents of modes as plain data."""
    document, arrays = latents_state(labels.latents, "latent")
    own = {"scale": labels.scale, "spread": labels.spread, "resolved": labels.resolved}
    return {**document, **own}, arrays


def restore_labels(
    document: dict[str, Any],
    arrays: dict[str, np.ndarray],
    process: ReducedProcess | OutputProcesses,
) -> LabelProcess | None:
    """What :func:`labels_state` took apart, if the estimator's document holds it."""
    if "labels" not in document:
        return None
    labels, (process,) = document["labels"], parts_of(process)
    resolved = labels.get("resolved", False)
    count = process.modes.features.rank if resolved else process.kept
    latents = restore_latents(labels, arrays, "latent", count + 1)
    return LabelProcess(process, labels["scale"], labels["spread"], latents, resolved)


def columns_state(columns: ColumnProcess) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The latents of columns as plain data."""
    document, arrays = latents_state(columns.latents, "column_latent")
    own = {"column_centre": columns.centre, "column_map": columns.map}
    return {**document, "spread": float(columns.spread)}, {**arrays, **own}


def restore_columns(
    document: dict[str, Any], arrays: dict[str, np.ndarray]
) -> ColumnProcess | None:
    """What :func:`columns_state` took apart, if the estimator's document holds it."""
    if "columns" not in document:
        return None
    centre, map = arrays["column_centre"], arrays["column_map"]
    if map.ndim != 2 or centre.shape != (len(map),):
        raise ValueError(f"columns {centre.shape} do not fit their map {map.shape}")
    columns = document["columns"]
    latents = restore_latents(columns, arrays, "column_latent", map.shape[1] + 1)
    return ColumnProcess(centre, map, columns["spread"], latents)
