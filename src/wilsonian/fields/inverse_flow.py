r"""Inverse flows behind one door: fit to fields of a theory, sample with exact weights, certify.

Two methods. "decimation" draws forgotten sites back, octave by octave, with a tractable density; it
is the strong sampler, for nearest-neighbour theories on squares of side 2^k. "diffusion" runs a
channel backwards in momentum space, for any theory on any lattice, and has weights of paths.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.fields.actions import AbstractFieldTheory
from wilsonian.fields.certificate import Certificate, certify, check_same_theory
from wilsonian.fields.decimation.flow import DecimationFlow, fit_decimation
from wilsonian.fields.diffusion import DiffusionFlow, fit_diffusion
from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.flow_files import sampler_from_state, sampler_state
from wilsonian.fields.refinement import Refinement, refine
from wilsonian.fields.theories import theory_from_parameters
from wilsonian.support.files import StrPath
from wilsonian.support.model_files import ModelFileError, read_folder, write_folder

Progress = Callable[[str, float], None]
Method = Literal["decimation", "diffusion"]
HELD_OUT = 2048


@dataclasses.dataclass(frozen=True, eq=False)
class InverseFlow:
    """A fitted inverse flow, and the fields that its fit did not see."""

    theory: AbstractFieldTheory
    sampler: DecimationFlow | DiffusionFlow
    held_out: Ensemble

    @classmethod
    def fit(
        cls,
        theory: AbstractFieldTheory,
        data: Ensemble,
        method: Method = "decimation",
        *,
        seed: int = 0,
        progress: Progress | None = None,
        **options: Any,
    ) -> InverseFlow:
        """Fit to `data`, fields of the theory with equal weights.

        The last tenth of them, at most 2048, is held out. `options` go to
        :func:`wilsonian.fields.decimation.flow.fit_decimation` or
        :func:`wilsonian.fields.diffusion.fit_diffusion`. ValueError for data of another theory,
        data with weights, and methods that are not known.
        """
        if data.theory.parameters() != theory.parameters():
            raise ValueError(
                f"the data are of {data.theory.parameters()}, not of {theory.parameters()}; fit to "
                "fields of the theory itself."
            )
        if data.log_weights is not None:
            raise ValueError(
                "the data carry weights; fit to fields of equal weight, such as those of `hmc`."
            )
        out = max(1, min(HELD_OUT, len(data) // 10))
        if data.chains:  # whole rounds, so that the chains stay whole
            out = -(-out // data.chains) * data.chains
        if len(data) - out < 1:
            raise ValueError(
                f"{len(data)} fields of {data.chains} chains leave none to fit to; take more."
            )
        training, rest = data.fields[:-out], data.fields[-out:]
        held_out = Ensemble(theory, rest, None, data.chains, data.how)
        if method == "decimation":
            sampler: Any = fit_decimation(theory, training, seed, progress=progress, **options)
        elif method == "diffusion":
            sampler = fit_diffusion(theory, training, seed, progress=progress, **options)
        else:
            raise ValueError(f"method {method!r} is not known; use 'decimation' or 'diffusion'.")
        return cls(theory, sampler, held_out)

    def save(self, folder: StrPath) -> Path:
        """Write the flow, with the fields held out, to a folder of one JSON and one safetensors
        file, whole or not at all. FileError where nothing can be written."""
        sampler, arrays = sampler_state(self.sampler)
        document = {
            "theory": self.theory.parameters(),
            "sampler": sampler,
            "held_out": {"chains": self.held_out.chains, "how": self.held_out.how},
        }
        return write_folder(folder, "flow", document, {**arrays, "held_out": self.held_out.fields})

    @classmethod
    def load(cls, folder: StrPath, theory: AbstractFieldTheory | None = None) -> InverseFlow:
        """The flow in a folder of :meth:`save`; nothing in it is executed.

        `theory` serves actions of a user, and must have the same numbers. ValueError for folders
        that hold none, are damaged, or are of another theory.
        """
        document, arrays = read_folder(folder, "flow")
        stored = document.get("theory", {})
        if theory is None:
            theory = theory_from_parameters(stored)
        elif theory.parameters() != stored:
            raise ModelFileError(
                f"{str(folder)!r} is a flow of {stored}, not of {theory.parameters()}; give the "
                "folder of another, or a new one."
            )
        sampler = sampler_from_state(theory, document["sampler"], arrays)
        about = document["held_out"]
        held_out = Ensemble(theory, arrays["held_out"], None, about["chains"], about["how"])
        return cls(theory, sampler, held_out)

    def sample(
        self, key: jax.Array, count: int, progress: Progress | None = None, *, first: int = 0
    ) -> Ensemble:
        """`count` independent draws with their log weights. ValueError for none.

        The draws of a key are numbered; with `first` those from that number on, so that a long
        run can be made, and go on, in parts.
        """
        if count < 1 or first < 0:
            raise ValueError(
                f"{count} draws from number {first} were asked for; ask for at least one, from 0."
            )
        fields, log_weights = self.sampler.weighted(key, count, progress, first)
        how = {"method": self.sampler.method, "trained_on": self.sampler.trained_on}
        return Ensemble(self.theory, np.asarray(fields), log_weights, 0, how)

    def refine(
        self,
        coarse: np.ndarray,
        key: jax.Array,
        proposals: int = 8,
        progress: Progress | None = None,
    ) -> Refinement:
        """Fine fields with given sites of spacing 2, 4, ...; see
        :func:`wilsonian.fields.refinement.refine`. ValueError for a flow by diffusion."""
        if not isinstance(self.sampler, DecimationFlow):
            raise ValueError('only method="decimation" conditions on coarse fields; fit that.')
        return refine(self.sampler, np.asarray(coarse), key, proposals, progress)

    def certify(
        self, draw: Ensemble, data: Ensemble | None = None, key: jax.Array | None = None
    ) -> Certificate:
        """Certificate of draws of this flow.

        Observables are compared with all of `data`; weights are of fields that the fit did not
        see. `key` is for the noise of a diffusion's paths.
        """
        check_same_theory(draw, self.held_out)
        key = jax.random.key(0) if key is None else key
        log_weights = self.sampler.log_weights_of(jnp.asarray(self.held_out.fields), key)
        return certify(draw, data or self.held_out, log_weights)
