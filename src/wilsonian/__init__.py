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
from wilsonian.network_kernels import ArcCosine, ErfNetwork
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
from wilsonian.spectrum import Eigenfunctions, Spectrum, as_population, dense_spectrum
from wilsonian.wilson import AveragedTheory, ModeTheory, PointTheory

__all__ = [
    "RBF",
    "ArcCosine",
    "AveragedTheory",
    "BareRidge",
    "Constant",
    "DressedRidge",
    "Eigenfunctions",
    "ErfNetwork",
    "FromFunction",
    "FullRidge",
    "InputDependentRidge",
    "Kernel",
    "LearnabilityCutoff",
    "Linear",
    "Matern12",
    "Matern32",
    "Matern52",
    "ModeTheory",
    "PointTheory",
    "Polynomial",
    "RankCutoff",
    "RationalQuadratic",
    "ReducedGPClassifier",
    "ReducedGPRegressor",
    "Rescaled",
    "SharpCutoff",
    "SmoothCutoff",
    "Spectrum",
    "UniformRidge",
    "as_population",
    "coarse_grain",
    "dense_spectrum",
    "effective_ridge",
    "flow",
    "learnability",
    "load_model",
    "save_model",
]
