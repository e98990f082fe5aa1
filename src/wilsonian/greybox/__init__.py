"""Simulators that explain signals only partly: their parameters, with intervals that hold."""

from wilsonian.greybox.calibration import calibrate
from wilsonian.greybox.comparison import compare
from wilsonian.greybox.hybrid import HybridVAE
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
    "HybridVAE",
    "Modes",
    "Normal",
    "Positive",
    "SectorModel",
    "White",
    "calibrate",
    "compare",
    "method_of_lines",
]
