"""Which directions of a learning problem the data can resolve, and the theory of the rest."""

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
    FromFunction,
    Kernel,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Polynomial,
    RationalQuadratic,
    Rescaled,
)
from wilsonian.kernels.eigenfunctions import Eigenfunctions, as_population, dense_spectrum
from wilsonian.kernels.gram_store import store_gram
from wilsonian.networks.fully_connected import ArcCosine, ErfNetwork
from wilsonian.regression.classifier import ReducedGPClassifier
from wilsonian.regression.mode_theory import ModeTheory
from wilsonian.regression.point_theory import PointTheory
from wilsonian.regression.regressor import ReducedGPRegressor
from wilsonian.regression.residual_correction import ResidualCorrection
from wilsonian.regression.saving import load_model, save_model
from wilsonian.support.version import __version__
from wilsonian.theory.averaged import AveragedTheory
from wilsonian.theory.forecast import forecast
from wilsonian.theory.free_probability import renormalized_ridge
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.averaged_theories import compare_theories, ridge_flow
from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum
from wilsonian.theory.learning_curves.cross_validation import gcv
from wilsonian.theory.learning_curves.deterministic_equivalent import SelfConsistentCutoff
from wilsonian.theory.learning_curves.scaling_law import ScalingLaw
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
from wilsonian.theory.simulate import simulate

__all__ = [
    "RBF",
    "AnisotropicRandomFeatures",
    "ArcCosine",
    "AveragedTheory",
    "BareRidge",
    "BinnedSpectrum",
    "Constant",
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
    "learnability",
    "load_model",
    "random_feature_simulation",
    "renormalized_loss",
    "renormalized_ridge",
    "ridge_flow",
    "save_model",
    "self_consistent_ridge",
    "simulate",
    "store_gram",
]
