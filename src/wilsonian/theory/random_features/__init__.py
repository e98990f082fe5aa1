"""Random-feature regression: its theory, five kinds of features, its simulation and regimes."""

from wilsonian.theory.random_features.theory import (
    AbstractRandomFeatures,
    ErrorDecomposition,
    Layer,
    Population,
    check_members,
    check_nonnegative,
    check_settings,
)

__all__ = [
    "AbstractRandomFeatures",
    "ErrorDecomposition",
    "Layer",
    "Population",
    "check_members",
    "check_nonnegative",
    "check_settings",
]
