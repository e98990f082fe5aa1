"""Processes, and what they were made from, as plain data."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.core.cutoffs import AbstractCutoff
from wilsonian.core.precision import with_precision
from wilsonian.language.kernel_text import format_kernel, parse_kernel
from wilsonian.regression.fitting import Prepared
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.processes.input_dependent import InputDependentProcess
from wilsonian.regression.processes.modes import Modes
from wilsonian.regression.processes.reduced import Flow, ReducedProcess
from wilsonian.regression.processes.uniform import UniformProcess
from wilsonian.regression.statistics import InducingFeatures, Statistics

Document = dict[str, Any]
Arrays = dict[str, np.ndarray]

_LADDER_ARRAYS = ("kept", "ridge", "log_evidence", "evidence_ridge")
_MODE_ARRAYS = (
    "rotation",
    "eigenvalues",
    "coefficients",
    "target_square",
    "target_mean",
    "target_scale",
)


class StoredWeights(AbstractCutoff):
    """The weights that a cutoff gave when the model was fitted."""

    kept: Any  # (modes,)

    def weights(self, eigenvalues):
        return jnp.asarray(self.kept, eigenvalues.dtype)


def under(prefix: str, arrays: Arrays) -> dict[str, Any]:
    """Those whose names begin with `prefix`, by the rest of their names."""
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def prepared_state(prepared: Prepared) -> tuple[Document, Arrays]:
    """Features and hyperparameters as plain data."""
    learned = prepared.hyperparameters
    document = {
        "kernel": format_kernel(learned.kernel),
        "amplitude": [float(value) for value in learned.amplitude],
        "noise": [float(value) for value in learned.noise_variance],
        "converged": bool(learned.converged),
        "message": learned.message,
        "measure": prepared.measure,
        "rank_status": prepared.rank_status,
        "compiled": prepared.features.compiled,
    }
    features = prepared.features
    return document, {
        "landmarks": np.asarray(features.inducing_points),
        "whitening": np.asarray(features.whitening),
        "origin": features.origin,
    }


def restore_prepared(document: Document, arrays: Arrays) -> Prepared:
    """What :func:`prepared_state` took apart."""
    inducing_points, whitening = arrays["landmarks"], arrays["whitening"]
    if inducing_points.ndim != 2 or whitening.shape != (len(inducing_points), len(inducing_points)):
        raise ValueError(
            f"inducing points {inducing_points.shape} do not fit weights {whitening.shape}"
        )
    kernel = parse_kernel(document["kernel"])
    learned = Hyperparameters(
        with_precision(kernel, float),
        np.atleast_1d(np.asarray(document["amplitude"], float)),
        np.atleast_1d(np.asarray(document["noise"], float)),
        document["converged"],
        document["message"],
    )
    # Models of before inputs were counted from an origin have none.
    origin = arrays.get("origin", np.zeros(inducing_points.shape[1]))
    if origin.shape != inducing_points.shape[1:]:
        raise ValueError(
            f"inducing points {inducing_points.shape} do not fit origin {origin.shape}"
        )
    kernel = with_precision(kernel, inducing_points.dtype)
    compiled = bool(document.get("compiled", "origin" not in arrays))
    features = InducingFeatures(kernel, inducing_points, whitening, origin, compiled)
    return Prepared(features, learned, document["measure"], document["rank_status"])


def statistics_state(statistics: Statistics) -> tuple[Document, Arrays]:
    """Sufficient statistics as plain data."""
    document, arrays = {}, {}
    for field in dataclasses.fields(statistics):
        value = getattr(statistics, field.name)
        if isinstance(value, np.ndarray):
            arrays[f"sum_{field.name}"] = value
        else:
            document[field.name] = value
    return document, arrays


def restore_statistics(document: Document, arrays: Arrays) -> Statistics:
    """What :func:`statistics_state` took apart."""
    return Statistics(**document, **under("sum_", arrays))


def process_state(process: ReducedProcess) -> tuple[Document, Arrays]:
    """One reduced process as plain data, but for what it was prepared from."""
    modes = process.modes
    document: Document = {
        "amplitude": float(process.amplitude),
        "noise": float(process.noise_variance),
        "tail": float(modes.tail),
        "sample_size": float(modes.n_samples),
        "uniform_lost": None if process.uniform_lost is None else float(process.uniform_lost),
        "largest_lost": float(process.largest_lost),
    }
    arrays = {name: getattr(modes, name) for name in _MODE_ARRAYS}
    arrays["weights"] = np.asarray(process.theory.weights)
    arrays["mean_weights"], arrays["root"] = process.mean_weights, process.root
    if isinstance(process, InputDependentProcess):
        document["input_dependent"] = {"evidence": process.evidence, "ridge": process.ridge}
        arrays["learned"], arrays["ladder_weights"] = process.learned, process.ladder_weights
        arrays |= {f"ladder_{n}": np.asarray(getattr(process.ladder, n)) for n in _LADDER_ARRAYS}
    return document, arrays


def restore_process(prepared: Prepared, document: Document, arrays: Arrays) -> ReducedProcess:
    """What :func:`process_state` took apart."""
    modes = Modes(
        features=prepared.features,
        tail=document["tail"],
        n_samples=document["sample_size"],
        measure=prepared.measure,
        **{name: arrays[name] for name in _MODE_ARRAYS},
    )
    with jax.enable_x64(True):
        process: ReducedProcess = UniformProcess.of(
            modes,
            document["amplitude"],
            document["noise"],
            StoredWeights(arrays["weights"]),
            document["largest_lost"],
        )
    process = dataclasses.replace(
        process,
        mean_weights=arrays["mean_weights"],
        root=arrays["root"],
        uniform_lost=document["uniform_lost"],
    )
    if "input_dependent" in document:  # models of 0.1.0 did not keep their own account
        process = InputDependentProcess(
            **{f.name: getattr(process, f.name) for f in dataclasses.fields(ReducedProcess)},
            **document["input_dependent"],
            learned=arrays["learned"],
            ladder=Flow(**{name: arrays[f"ladder_{name}"] for name in _LADDER_ARRAYS}),
            ladder_weights=arrays["ladder_weights"],
        )
    return process
