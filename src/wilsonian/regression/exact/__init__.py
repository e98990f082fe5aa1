"""Eliminated modes read out of all training rows: to a tolerance, the exact posterior."""

from wilsonian.regression.exact.residual_correction import ResidualCorrection, solve_parts

__all__ = ["ResidualCorrection", "solve_parts"]
