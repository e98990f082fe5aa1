"""Which directions of a learning problem the data can resolve, and the theory of the rest."""

__version__ = "0.1.0"  # ahead of the imports: model files carry it

from wilsonian.averaged_theories import compare_theories, ridge_flow
from wilsonian.binned_spectrum import BinnedSpectrum
from wilsonian.classifier import ReducedGPClassifier
from wilsonian.cross_validation import gcv
from wilsonian.deterministic_equivalent import SelfConsistentCutoff
from wilsonian.feature_cumulants import (
    conditional_expectation,
    conditional_moments,
    joint_cumulant,
)
from wilsonian.feature_diagnostics import diagnose_features, error_shift
from wilsonian.flow import (
    LearnabilityCutoff,
    RankCutoff,
    SharpCutoff,
    SmoothCutoff,
    coarse_grain,
    flow,
    learnability,
)
from wilsonian.forecasting import forecast
from wilsonian.free_probability import renormalized_ridge
from wilsonian.gram_store import store_gram
from wilsonian.input_dependent import (
    ReweightedTheory,
    RidgeField,
    conditional_ridge,
    effective_target,
)
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
from wilsonian.learning_curves import LearningCurve
from wilsonian.loss_flow import renormalized_loss
from wilsonian.network_kernels import ArcCosine, ErfNetwork
from wilsonian.random_feature_models import (
    AnisotropicRandomFeatures,
    DeepRandomFeatures,
    LinearRandomFeatures,
    NonlinearRandomFeatures,
    ProjectedRandomFeatures,
)
from wilsonian.random_feature_simulation import random_feature_simulation
from wilsonian.random_features import Population
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
from wilsonian.saving import load_model, save_model
from wilsonian.scaling_law import ScalingLaw
from wilsonian.self_consistent import FeatureMoments, error_field, self_consistent_ridge
from wilsonian.simulate import simulate
from wilsonian.spectrum import Eigenfunctions, Spectrum, as_population, dense_spectrum
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
