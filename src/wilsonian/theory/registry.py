"""Every theory that a cutoff acts on, and the laws of coarse graining that it claims.

The laws are run over all of them in the tests; a theory that is not listed here fails one.
"""

from __future__ import annotations

import enum

from wilsonian.core.coarse_graining import AbstractTheory
from wilsonian.greybox.residual_theory import ResidualTheory
from wilsonian.information.fisher_spectrum import FisherSpectrum
from wilsonian.information.free_scalar import TorusField
from wilsonian.information.kernel_information import KernelInformation
from wilsonian.regression.processes.modes import ModeTheory
from wilsonian.regression.processes.point_theory import PointTheory
from wilsonian.theory.averaged import AveragedTheory
from wilsonian.theory.non_gaussian.input_dependent import RidgeField
from wilsonian.theory.random_features.models import (
    AnisotropicRandomFeatures,
    DeepRandomFeatures,
    LinearRandomFeatures,
    NonlinearRandomFeatures,
    ProjectedRandomFeatures,
)


class Law(enum.StrEnum):
    """What coarse graining may promise."""

    IDENTITY = "cutting nothing changes nothing"
    COMPOSITION = "two steps equal one"
    CONSERVATION = "kept and lost add up"


EVERY_LAW = frozenset(Law)
# Of points and modes, conservation is the ridge's to keep: one that forgets what is lost (bare) or
# dresses it (dressed) says so, and is left out of that law where the laws are run.
CLAIMS: dict[type[AbstractTheory], frozenset[Law]] = {
    PointTheory: EVERY_LAW,
    ModeTheory: EVERY_LAW,
    AveragedTheory: EVERY_LAW,
    ResidualTheory: EVERY_LAW,
    RidgeField: EVERY_LAW,
    LinearRandomFeatures: EVERY_LAW,
    DeepRandomFeatures: EVERY_LAW,
    ProjectedRandomFeatures: EVERY_LAW,
    AnisotropicRandomFeatures: EVERY_LAW,
    NonlinearRandomFeatures: EVERY_LAW,
    # What is kept and lost there is information, in nats.
    FisherSpectrum: EVERY_LAW,
    KernelInformation: EVERY_LAW,
    TorusField: EVERY_LAW,
}
