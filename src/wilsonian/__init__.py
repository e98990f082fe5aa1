"""Which directions of a learning problem the data can resolve, and the theory of the rest."""

__version__ = "0.1.0"  # ahead of the imports: model files carry it

from wilsonian.classifier import ReducedGPClassifier
from wilsonian.flow import (
    LearnabilityCutoff,
    RankCutoff,
    SharpCutoff,
    SmoothCutoff,
    coarse_grain,
    flow,
    learnability,
)
from wilsonian.forecasts import forecast
from wilsonian.free_probability import renormalized_ridge
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
from wilsonian.kernels.fully_connected import ArcCosine, ErfNetwork
from wilsonian.learning_curves import LearningCurve
from wilsonian.learning_curves.averaged_theories import compare_theories, ridge_flow
from wilsonian.learning_curves.binned_spectrum import BinnedSpectrum
from wilsonian.learning_curves.cross_validation import gcv
from wilsonian.learning_curves.deterministic_equivalent import SelfConsistentCutoff
from wilsonian.learning_curves.scaling_law import ScalingLaw
from wilsonian.non_gaussian.cumulants import (
    conditional_expectation,
    conditional_moments,
    joint_cumulant,
)
from wilsonian.non_gaussian.diagnostics import diagnose_features, error_shift
from wilsonian.non_gaussian.input_dependent import (
    ReweightedTheory,
    RidgeField,
    conditional_ridge,
    effective_target,
)
from wilsonian.non_gaussian.loss_flow import renormalized_loss
from wilsonian.non_gaussian.self_consistent import (
    FeatureMoments,
    error_field,
    self_consistent_ridge,
)
from wilsonian.random_features import Population
from wilsonian.random_features.models import (
    AnisotropicRandomFeatures,
    DeepRandomFeatures,
    LinearRandomFeatures,
    NonlinearRandomFeatures,
    ProjectedRandomFeatures,
)
from wilsonian.random_features.simulation import random_feature_simulation
from wilsonian.read_out import ReadOut
from wilsonian.regressor import ReducedGPRegressor
from wilsonian.ridges import (
    BareRidge,
    DressedRidge,
    FullRidge,
    InputDependentRidge,
    UniformRidge,
    effective_ridge,
)
from wilsonian.simulate import simulate
from wilsonian.spectrum import Eigenfunctions, Spectrum, as_population, dense_spectrum
from wilsonian.storage.gram_store import store_gram
from wilsonian.storage.saving import load_model, save_model
from wilsonian.wilson import AveragedTheory, ModeTheory, PointTheory

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
    "ReadOut",
    "ReducedGPClassifier",
    "ReducedGPRegressor",
    "Rescaled",
    "ReweightedTheory",
    "RidgeField",
    "ScalingLaw",
    "SelfConsistentCutoff",
    "SharpCutoff",
    "SmoothCutoff",
    "Spectrum",
    "UniformRidge",
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
