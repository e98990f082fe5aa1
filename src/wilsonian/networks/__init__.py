"""Infinite networks: an architecture's NNGP and NTK kernels, and the finite network itself."""

from wilsonian.networks.activations import (
    Abs,
    AbstractActivation,
    Erf,
    LeakyRelu,
    Relu,
    Sign,
    Step,
)
from wilsonian.networks.branches import Parallel, parallel, residual
from wilsonian.networks.convolution import Conv, LocallyConnected
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
from wilsonian.networks.signals import ArchitectureError

__all__ = [
    "RBF",
    "Abs",
    "AbstractActivation",
    "AbstractLayer",
    "ArchitectureError",
    "AvgPool",
    "Conv",
    "Cosine",
    "Dense",
    "Dropout",
    "Erf",
    "Exponential",
    "Flatten",
    "Gelu",
    "GlobalAvgPool",
    "Hermite",
    "Identity",
    "LayerNorm",
    "LeakyRelu",
    "LocallyConnected",
    "NetworkKernel",
    "Parallel",
    "Polynomial",
    "Relu",
    "Serial",
    "Sign",
    "Sine",
    "Step",
    "SumPool",
    "nngp",
    "nngp_and_ntk",
    "ntk",
    "parallel",
    "residual",
    "serial",
]
