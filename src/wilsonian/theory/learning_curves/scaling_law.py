"""Power-law spectra and targets: exponents and closed forms that a learning curve tends to."""

from __future__ import annotations

import math

import equinox as eqx
import numpy as np
from jaxtyping import Float

from wilsonian.theory.datasets import check_positive
from wilsonian.theory.learning_curves.binned_spectrum import (
    TOLERANCE,
    BinnedSpectrum,
    power_law_degrees_of_freedom,
)
from wilsonian.theory.learning_curves.deterministic_equivalent import Values


class ScalingLaw(eqx.Module):
    r"""Modes :math:`\lambda_i = a\, i^{-\alpha}` and target :math:`y_i^2 = c\, i^{-(2 \alpha r +
    1)}`: capacity :math:`\alpha` and source :math:`r` (docs/science/learning-curves.md, section 3;
    arXiv:2405.00592). A target matched to the kernel, :math:`y_i^2 = \lambda_i`, has :math:`r =
    (\alpha - 1) / 2 \alpha`.

    Raises ValueError unless capacity exceeds one and source and scales are positive.
    """

    capacity: float = eqx.field(static=True)
    source: float = eqx.field(static=True)
    scale: float = eqx.field(static=True, default=1.0)
    target_scale: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        check_positive(source=self.source, scale=self.scale, target_scale=self.target_scale)
        if not 1 < self.capacity < math.inf:
            raise ValueError(
                f"`capacity` must be finite and exceed 1, got {self.capacity}: the kernel's "
                "variance would be infinite."
            )

    @classmethod
    def matched(cls, capacity: float, scale: float = 1.0) -> ScalingLaw:
        r"""The target whose power is the kernel's own eigenvalues."""
        return cls(capacity, (capacity - 1) / (2 * capacity), scale, scale)

    def spectrum(
        self, last: float | int = math.inf, *, first: int = 1, tolerance: float | int = TOLERANCE
    ) -> BinnedSpectrum:
        """The modes from `first` to `last`, for a :class:`LearningCurve`."""
        return BinnedSpectrum.power_law(
            self.capacity,
            scale=self.scale,
            target_exponent=2 * self.capacity * self.source + 1,
            target_scale=self.target_scale,
            first=first,
            last=last,
            tolerance=tolerance,
        )

    def error_exponents(self, ridge_exponent: float = math.inf) -> tuple[float, float]:
        r"""Exponents of n in the error the target leaves and in the one the noise adds,

        .. math:: E_g \sim n^{-2 \alpha_* \min(r, 1)} + \sigma_\varepsilon^2\,
            n^{-(1 - \alpha_* / \alpha)}, \qquad \alpha_* = \min(\ell, \alpha),

        for a ridge :math:`n^{-\ell}` on the covariance, :math:`\delta \propto n^{1 - \ell}`;
        ridgeless when left out. The slower decides once n is large.
        """
        limited = min(ridge_exponent, self.capacity)
        return -2 * limited * min(self.source, 1.0), -(1 - limited / self.capacity)

    def ridgeless_kappa(self, n: Values | float) -> np.ndarray | float:
        r""":math:`\kappa = a (I_2 / n)^\alpha` without a ridge, for an endless spectrum and n well
        above one; :math:`I_2 = (\pi / \alpha) / \sin(\pi / \alpha)` (docs/science/wilsonian.md,
        section 4)."""
        modes = power_law_degrees_of_freedom(1.0, self.capacity, after=0.0)
        return self.scale * (modes / np.asarray(n, float)) ** self.capacity

    def crossover(self, ridge: Values | float) -> Float[np.ndarray, "..."]:
        r"""The n at which the ridgeless :math:`n \kappa` equals `ridge`, :math:`n_\times = (a
        I_2^\alpha / \delta)^{1 / (\alpha - 1)}`: exponents change there (docs/science/wilsonian.md,
        section 4)."""
        return (self.ridgeless_kappa(1.0) / np.asarray(ridge, float)) ** (1 / (self.capacity - 1))
