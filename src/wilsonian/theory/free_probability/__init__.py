"""Free probability: spectra of large random matrices, their products and sums, and ridges."""

from wilsonian.theory.free_probability.ensemble import (
    AbstractEnsemble,
    FreeProduct,
    FreeSum,
    Scaled,
    Shifted,
    check_number,
    check_spectrum,
    elementwise,
    parameter,
    r_from_t,
    t_from_r,
)
from wilsonian.theory.free_probability.laws import (
    Deterministic,
    Identity,
    Inverse,
    OrthogonalProjection,
    WhiteWishart,
)
from wilsonian.theory.free_probability.ridge import renormalized_ridge

__all__ = [
    "AbstractEnsemble",
    "Deterministic",
    "FreeProduct",
    "FreeSum",
    "Identity",
    "Inverse",
    "OrthogonalProjection",
    "Scaled",
    "Shifted",
    "WhiteWishart",
    "check_number",
    "check_spectrum",
    "elementwise",
    "parameter",
    "r_from_t",
    "renormalized_ridge",
    "t_from_r",
]
