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

__all__ = [
    "RBF",
    "Abs",
    "AbstractActivation",
    "Cosine",
    "Erf",
    "Exponential",
    "Gelu",
    "Hermite",
    "Identity",
    "LeakyRelu",
    "Polynomial",
    "Relu",
    "Sign",
    "Sine",
    "Step",
]
