"""Infinite networks: an architecture's NNGP and NTK kernels, and the finite network itself."""

from wilsonian.interoperability import from_neural_tangents
from wilsonian.networks.activations import (
    Abs,
    AbstractActivation,
    Erf,
    LeakyRelu,
    Relu,
    Sign,
    Step,
)
from wilsonian.networks.architecture import read_architecture, write_architecture
from wilsonian.networks.attention import (
    GlobalSelfAttention,
    PositionEmbedding,
    image_embedding,
)
from wilsonian.networks.branches import Parallel, parallel, residual
from wilsonian.networks.convolution import Conv, LocallyConnected
from wilsonian.networks.cosine_network import (
    AbstractMomenta,
    CosineFeatures,
    FreeField,
    GaussianMomenta,
)
from wilsonian.networks.kernel import NetworkKernel, nngp, nngp_and_ntk, ntk
from wilsonian.networks.layers import AbstractLayer, Dense, Serial, serial
from wilsonian.networks.more_activations import (
    RBF,
    Cosine,
    Exponential,
    Gelu,
    Hermite,
    Identity,
    Polynomial,
    Sine,
)
from wilsonian.networks.normalization import Dropout, LayerNorm
from wilsonian.networks.pooling import AvgPool, Flatten, GlobalAvgPool, SumPool
from wilsonian.networks.quadrature import GaussHermite, HermiteExpansion
from wilsonian.networks.signals import ArchitectureError

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
    "Dense",
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
    "Relu",
    "Serial",
    "Sign",
    "Sine",
    "Step",
    "SumPool",
    "from_neural_tangents",
    "image_embedding",
    "nngp",
    "nngp_and_ntk",
    "ntk",
    "parallel",
    "read_architecture",
    "residual",
    "serial",
    "write_architecture",
]
