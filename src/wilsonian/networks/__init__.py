"""Infinite networks: an architecture's NNGP and NTK kernels, and the finite network itself."""

from wilsonian.kernels.interoperability import from_neural_tangents
from wilsonian.networks.criticality import (
    Criticality,
    DepthFlow,
    criticality,
    depth_flow,
    edge_of_chaos,
)
from wilsonian.networks.dynamics import (
    GradientFlow,
    Posterior,
    Prediction,
    gradient_flow,
    posterior,
)
from wilsonian.networks.empirical import empirical_nngp, empirical_ntk, empirical_ntk_costs
from wilsonian.networks.kernel import NetworkKernel, nngp, nngp_and_ntk, ntk
from wilsonian.networks.layers.activations import (
    Abs,
    AbstractActivation,
    Erf,
    LeakyRelu,
    Relu,
    Sign,
    Step,
)
from wilsonian.networks.layers.attention import (
    GlobalSelfAttention,
    PositionEmbedding,
    image_embedding,
)
from wilsonian.networks.layers.branches import Parallel, parallel, residual
from wilsonian.networks.layers.convolution import Conv, LocallyConnected
from wilsonian.networks.layers.cosine_network import (
    AbstractMomenta,
    CosineFeatures,
    FreeField,
    GaussianMomenta,
)
from wilsonian.networks.layers.layer import AbstractLayer, Dense, Serial, serial
from wilsonian.networks.layers.more_activations import (
    RBF,
    Cosine,
    Exponential,
    Gelu,
    Hermite,
    Identity,
    Polynomial,
    Sine,
)
from wilsonian.networks.layers.normalization import Dropout, LayerNorm
from wilsonian.networks.layers.pooling import AvgPool, Flatten, GlobalAvgPool, SumPool
from wilsonian.networks.layers.quadrature import GaussHermite, HermiteExpansion
from wilsonian.networks.layers.signals import ArchitectureError
from wilsonian.networks.phase_plots import plot_depth_flow, plot_phase_diagram

__all__ = [
    "RBF",
    "Abs",
    "AbstractActivation",
    "AbstractLayer",
    "AbstractMomenta",
    "ArchitectureError",
    "AvgPool",
    "Conv",
    "Cosine",
    "CosineFeatures",
    "Criticality",
    "Dense",
    "DepthFlow",
    "Dropout",
    "Erf",
    "Exponential",
    "Flatten",
    "FreeField",
    "GaussHermite",
    "GaussianMomenta",
    "Gelu",
    "GlobalAvgPool",
    "GlobalSelfAttention",
    "GradientFlow",
    "Hermite",
    "HermiteExpansion",
    "Identity",
    "LayerNorm",
    "LeakyRelu",
    "LocallyConnected",
    "NetworkKernel",
    "Parallel",
    "Polynomial",
    "PositionEmbedding",
    "Posterior",
    "Prediction",
    "Relu",
    "Serial",
    "Sign",
    "Sine",
    "Step",
    "SumPool",
    "criticality",
    "depth_flow",
    "edge_of_chaos",
    "empirical_nngp",
    "empirical_ntk",
    "empirical_ntk_costs",
    "from_neural_tangents",
    "gradient_flow",
    "image_embedding",
    "nngp",
    "nngp_and_ntk",
    "ntk",
    "parallel",
    "plot_depth_flow",
    "plot_phase_diagram",
    "posterior",
    "residual",
    "serial",
]
