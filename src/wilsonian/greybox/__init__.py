"""Simulators that explain signals only partly: their parameters, with intervals that hold."""

from wilsonian.greybox.parameters import Bounded, Normal, Positive
from wilsonian.greybox.residuals import Feature, Force, GaussianProcess, Modes, White
from wilsonian.greybox.sector_model import ConfoundedWarning, SectorModel
from wilsonian.greybox.simulators import ODE, Function, Grid, method_of_lines

__all__ = [
    "ODE",
    "Bounded",
    "ConfoundedWarning",
    "Feature",
    "Force",
    "Function",
    "GaussianProcess",
    "Grid",
    "Modes",
    "Normal",
    "Positive",
    "SectorModel",
    "White",
    "method_of_lines",
]
