"""Fitted inverse flows as plain data, for model folders (see `wilsonian.support.model_files`).

A folder holds ``model.json`` and ``arrays.safetensors``: the theory's numbers, every fitted colour
or step, and the fields that the fit did not see, so a flow that is read back certifies as before.
Reading runs no code; an action of the user's own has to be passed again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np

from wilsonian.fields.actions import AbstractFieldTheory, AbstractSiteTheory
from wilsonian.fields.decimation.conditional import Conditional
from wilsonian.fields.decimation.features import feature_counts
from wilsonian.fields.decimation.first_site import FirstSite
from wilsonian.fields.decimation.flow import DecimationFlow
from wilsonian.fields.decimation.geometry import check_side, colours_of
from wilsonian.fields.diffusion import DiffusionFlow, ReverseStep
from wilsonian.fields.posterior_mean import ZeroMode
from wilsonian.support.model_files import ModelFileError
from wilsonian.support.strict_json import canonical_sha256

Document = dict[str, Any]
Arrays = dict[str, np.ndarray]
COLOUR_NUMBERS = ("sigma", "log_likelihood", "steps", "rows")
COLOUR_ARRAYS = ("weights", "scales", "mean_weights", "mean_scales", "lowest", "highest")
STEP_ARRAYS = tuple(
    field.name for field in dataclasses.fields(ReverseStep) if field.name != "zero_mode"
)


def sampler_state(sampler: DecimationFlow | DiffusionFlow) -> tuple[Document, Arrays]:
    """(document, arrays) of a fitted sampler."""
    if isinstance(sampler, DecimationFlow):
        return _decimation_state(sampler)
    return _diffusion_state(sampler)


def sampler_from_state(
    theory: AbstractFieldTheory, document: Document, arrays: Arrays
) -> DecimationFlow | DiffusionFlow:
    """The sampler of :func:`sampler_state`; ModelFileError when it does not fit this program."""
    method = document.get("method")
    if method not in ("decimation", "diffusion"):
        raise ModelFileError(
            f"the stored flow is of the method {method!r}, which this wilsonian does not know; use "
            "a newer one."
        )
    try:
        if method == "decimation":
            return _decimation_of(theory, document, arrays)
        return _diffusion_of(theory, document, arrays)
    except (KeyError, TypeError) as error:
        raise ModelFileError(
            f"the stored flow lacks {error}, so it is of another version; fit it again."
        ) from error


def fingerprint(sampler: DecimationFlow | DiffusionFlow) -> str:
    """One short text for every number of a fitted sampler: draws of one fit carry the same one."""
    document, arrays = sampler_state(sampler)
    digest = hashlib.sha256(canonical_sha256(document).encode())
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()[:16]


def _decimation_state(flow: DecimationFlow) -> tuple[Document, Arrays]:
    fitted = [
        {"label": label, **{name: getattr(fit, name) for name in COLOUR_NUMBERS}}
        for label, fit in flow.fitted.items()
    ]
    document: Document = {
        "method": flow.method,
        "trained_on": flow.trained_on,
        "coarsest": flow.coarsest,
        "first_sigma": None if flow.first is None else flow.first.sigma,
        "fitted": fitted,
    }
    arrays = {
        f"{label}/{name}": np.asarray(getattr(fit, name))
        for label, fit in flow.fitted.items()
        for name in COLOUR_ARRAYS
    }
    if flow.first is not None:
        arrays["first/log_values"] = flow.first.log_values
    return document, arrays


def _decimation_of(
    theory: AbstractFieldTheory, document: Document, arrays: Arrays
) -> DecimationFlow:
    if not isinstance(theory, AbstractSiteTheory):
        raise ModelFileError(
            f"decimation is of nearest-neighbour theories, not of a {type(theory).__name__}; load "
            "the flow without `theory`."
        )
    colours = colours_of(check_side(theory.shape), document["coarsest"])
    fitted = {}
    for entry in document["fitted"]:
        values: dict[str, Any] = {name: entry[name] for name in COLOUR_NUMBERS}
        values |= {name: arrays[f"{entry['label']}/{name}"] for name in COLOUR_ARRAYS}
        fitted[entry["label"]] = Conditional(**values)
    needed = {colour.label for colour in colours if not colour.exact and colour.name != "top"}
    size = sum(feature_counts())
    if not needed <= set(fitted) or any(len(fit.weights) != size for fit in fitted.values()):
        raise ModelFileError(
            "the stored flow has other colours or features than this wilsonian draws; fit it again."
        )
    sigma = document["first_sigma"]
    first = None if sigma is None else FirstSite(arrays["first/log_values"], sigma)
    return DecimationFlow(
        theory, colours, first, fitted, document["trained_on"], document["coarsest"]
    )


def _diffusion_state(flow: DiffusionFlow) -> tuple[Document, Arrays]:
    document: Document = {
        "method": flow.method,
        "trained_on": flow.trained_on,
        "scale": flow.scale,
        "symmetric": flow.symmetric,
        "steps": len(flow.steps),
    }
    arrays: Arrays = {"final_spectrum": np.asarray(flow.final_spectrum)}
    for number, step in enumerate(flow.steps):
        arrays |= {
            f"{number}/{name}": np.asarray(getattr(step, name), np.float64) for name in STEP_ARRAYS
        }
        arrays[f"{number}/zero_nodes"] = step.zero_mode.nodes
        arrays[f"{number}/zero_means"] = step.zero_mode.means
    return document, arrays


def _diffusion_of(theory: AbstractFieldTheory, document: Document, arrays: Arrays) -> DiffusionFlow:
    steps = [
        ReverseStep(
            zero_mode=ZeroMode(arrays[f"{k}/zero_nodes"], arrays[f"{k}/zero_means"]),
            **{name: arrays[f"{k}/{name}"] for name in STEP_ARRAYS},
        )
        for k in range(document["steps"])
    ]
    return DiffusionFlow(
        theory,
        steps,
        arrays["final_spectrum"],
        document["scale"],
        document["symmetric"],
        document["trained_on"],
    )
