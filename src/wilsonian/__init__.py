"""Which directions of a learning problem the data can resolve, and the theory of the rest.

A name is imported, and JAX and SciPy with it, when it is first asked for: `import wilsonian` and
`wilsonian --help` cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wilsonian.support.version import __version__

if TYPE_CHECKING:
    from wilsonian.core.coarse_graining import coarse_grain, flow
    from wilsonian.core.cutoffs import (
        LearnabilityCutoff,
        LitimCutoff,
        RankCutoff,
        SharpCutoff,
        SmoothCutoff,
    )
    from wilsonian.core.effective_ridge import effective_ridge
    from wilsonian.core.information import learnability
    from wilsonian.core.ridges import (
        BareRidge,
        DressedRidge,
        FullRidge,
        InputDependentRidge,
        UniformRidge,
    )
    from wilsonian.core.spectrum import Spectrum
    from wilsonian.kernels import (
        RBF,
        Constant,
        Cosine,
        FromFunction,
        Kernel,
        Linear,
        Matern12,
        Matern32,
        Matern52,
        Periodic,
        Polynomial,
        RationalQuadratic,
        Rescaled,
        locally_periodic,
        spectral_mixture,
    )
    from wilsonian.kernels.eigenfunctions import Eigenfunctions, as_population, dense_spectrum
    from wilsonian.kernels.gram_store import store_gram
    from wilsonian.networks.fully_connected import ArcCosine, ErfNetwork
    from wilsonian.regression.classification.classifier import ReducedGPClassifier
    from wilsonian.regression.exact.residual_correction import ResidualCorrection
    from wilsonian.regression.processes.modes import ModeTheory
    from wilsonian.regression.processes.point_theory import PointTheory
    from wilsonian.regression.regressor import ReducedGPRegressor
    from wilsonian.regression.saving.estimators import load_model, save_model
    from wilsonian.regression.separate_outputs import SeparateOutputsRegressor
    from wilsonian.regression.spectrum_at import spectrum_at
    from wilsonian.support.compilations import keep_compilations
    from wilsonian.theory.averaged import AveragedTheory
    from wilsonian.theory.forecast import forecast
    from wilsonian.theory.free_probability import renormalized_ridge
    from wilsonian.theory.learning_curves import LearningCurve
    from wilsonian.theory.learning_curves.averaged_theories import compare_theories, ridge_flow
    from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum
    from wilsonian.theory.learning_curves.cross_validation import gcv
    from wilsonian.theory.learning_curves.deterministic_equivalent import SelfConsistentCutoff
    from wilsonian.theory.learning_curves.scaling_law import ScalingLaw
    from wilsonian.theory.learning_curves.simulate import simulate
    from wilsonian.theory.non_gaussian.cumulants import (
        conditional_expectation,
        conditional_moments,
        joint_cumulant,
    )
    from wilsonian.theory.non_gaussian.diagnostics import diagnose_features, error_shift
    from wilsonian.theory.non_gaussian.input_dependent import (
        ReweightedTheory,
        RidgeField,
        conditional_ridge,
        effective_target,
    )
    from wilsonian.theory.non_gaussian.loss_flow import renormalized_loss
    from wilsonian.theory.non_gaussian.self_consistent import (
        FeatureMoments,
        error_field,
        self_consistent_ridge,
    )
    from wilsonian.theory.random_features import Population
    from wilsonian.theory.random_features.models import (
        AnisotropicRandomFeatures,
        DeepRandomFeatures,
        LinearRandomFeatures,
        NonlinearRandomFeatures,
        ProjectedRandomFeatures,
    )
    from wilsonian.theory.random_features.simulation import random_feature_simulation

# Where each name is defined.
_NAMES: dict[str, tuple[str, ...]] = {
    "wilsonian.core.coarse_graining": ("coarse_grain", "flow"),
    "wilsonian.core.cutoffs": (
        "LearnabilityCutoff",
        "LitimCutoff",
        "RankCutoff",
        "SharpCutoff",
        "SmoothCutoff",
    ),
    "wilsonian.core.effective_ridge": ("effective_ridge",),
    "wilsonian.core.information": ("learnability",),
    "wilsonian.core.ridges": (
        "BareRidge",
        "DressedRidge",
        "FullRidge",
        "InputDependentRidge",
        "UniformRidge",
    ),
    "wilsonian.core.spectrum": ("Spectrum",),
    "wilsonian.kernels": (
        "RBF",
        "Constant",
        "Cosine",
        "FromFunction",
        "Kernel",
        "Linear",
        "Matern12",
        "Matern32",
        "Matern52",
        "Periodic",
        "Polynomial",
        "RationalQuadratic",
        "Rescaled",
        "locally_periodic",
        "spectral_mixture",
    ),
    "wilsonian.kernels.eigenfunctions": ("Eigenfunctions", "as_population", "dense_spectrum"),
    "wilsonian.kernels.gram_store": ("store_gram",),
    "wilsonian.networks.fully_connected": ("ArcCosine", "ErfNetwork"),
    "wilsonian.regression.classification.classifier": ("ReducedGPClassifier",),
    "wilsonian.regression.processes.modes": ("ModeTheory",),
    "wilsonian.regression.processes.point_theory": ("PointTheory",),
    "wilsonian.regression.regressor": ("ReducedGPRegressor",),
    "wilsonian.regression.separate_outputs": ("SeparateOutputsRegressor",),
    "wilsonian.regression.exact.residual_correction": ("ResidualCorrection",),
    "wilsonian.regression.saving.estimators": ("load_model", "save_model"),
    "wilsonian.regression.spectrum_at": ("spectrum_at",),
    "wilsonian.support.compilations": ("keep_compilations",),
    "wilsonian.theory.averaged": ("AveragedTheory",),
    "wilsonian.theory.forecast": ("forecast",),
    "wilsonian.theory.free_probability": ("renormalized_ridge",),
    "wilsonian.theory.learning_curves": ("LearningCurve",),
    "wilsonian.theory.learning_curves.averaged_theories": ("compare_theories", "ridge_flow"),
    "wilsonian.theory.learning_curves.binned_spectrum": ("BinnedSpectrum",),
    "wilsonian.theory.learning_curves.cross_validation": ("gcv",),
    "wilsonian.theory.learning_curves.deterministic_equivalent": ("SelfConsistentCutoff",),
    "wilsonian.theory.learning_curves.scaling_law": ("ScalingLaw",),
    "wilsonian.theory.non_gaussian.cumulants": (
        "conditional_expectation",
        "conditional_moments",
        "joint_cumulant",
    ),
    "wilsonian.theory.non_gaussian.diagnostics": ("diagnose_features", "error_shift"),
    "wilsonian.theory.non_gaussian.input_dependent": (
        "ReweightedTheory",
        "RidgeField",
        "conditional_ridge",
        "effective_target",
    ),
    "wilsonian.theory.non_gaussian.loss_flow": ("renormalized_loss",),
    "wilsonian.theory.non_gaussian.self_consistent": (
        "FeatureMoments",
        "error_field",
        "self_consistent_ridge",
    ),
    "wilsonian.theory.random_features": ("Population",),
    "wilsonian.theory.random_features.models": (
        "AnisotropicRandomFeatures",
        "DeepRandomFeatures",
        "LinearRandomFeatures",
        "NonlinearRandomFeatures",
        "ProjectedRandomFeatures",
    ),
    "wilsonian.theory.random_features.simulation": ("random_feature_simulation",),
    "wilsonian.theory.learning_curves.simulate": ("simulate",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
_ROOMS = {
    "app",
    "core",
    "fields",
    "greybox",
    "information",
    "kernels",
    "language",
    "networks",
    "regression",
    "support",
    "theory",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"wilsonian.{name}")
    raise AttributeError(f"module 'wilsonian' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})


__all__ = [
    "RBF",
    "AnisotropicRandomFeatures",
    "ArcCosine",
    "AveragedTheory",
    "BareRidge",
    "BinnedSpectrum",
    "Constant",
    "Cosine",
    "DeepRandomFeatures",
    "DressedRidge",
    "Eigenfunctions",
    "ErfNetwork",
    "FeatureMoments",
    "FromFunction",
    "FullRidge",
    "InputDependentRidge",
    "Kernel",
    "LearnabilityCutoff",
    "LearningCurve",
    "Linear",
    "LinearRandomFeatures",
    "LitimCutoff",
    "Matern12",
    "Matern32",
    "Matern52",
    "ModeTheory",
    "NonlinearRandomFeatures",
    "Periodic",
    "PointTheory",
    "Polynomial",
    "Population",
    "ProjectedRandomFeatures",
    "RankCutoff",
    "RationalQuadratic",
    "ReducedGPClassifier",
    "ReducedGPRegressor",
    "Rescaled",
    "ResidualCorrection",
    "ReweightedTheory",
    "RidgeField",
    "ScalingLaw",
    "SelfConsistentCutoff",
    "SeparateOutputsRegressor",
    "SharpCutoff",
    "SmoothCutoff",
    "Spectrum",
    "UniformRidge",
    "__version__",
    "as_population",
    "coarse_grain",
    "compare_theories",
    "conditional_expectation",
    "conditional_moments",
    "conditional_ridge",
    "dense_spectrum",
    "diagnose_features",
    "effective_ridge",
    "effective_target",
    "error_field",
    "error_shift",
    "flow",
    "forecast",
    "gcv",
    "joint_cumulant",
    "keep_compilations",
    "learnability",
    "load_model",
    "locally_periodic",
    "random_feature_simulation",
    "renormalized_loss",
    "renormalized_ridge",
    "ridge_flow",
    "save_model",
    "self_consistent_ridge",
    "simulate",
    "spectral_mixture",
    "spectrum_at",
    "store_gram",
]
