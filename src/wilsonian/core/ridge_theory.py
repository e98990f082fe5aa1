"""A theory of a spectrum and a ridge: what most theories are, and how they absorb."""

from __future__ import annotations

import equinox as eqx

from wilsonian.core.coarse_graining import AbstractSpectralTheory
from wilsonian.core.ridges import AbstractRidge


class AbstractRidgeTheory(AbstractSpectralTheory):
    """Modes that are lost go into the ridge; everything else of the theory stays."""

    ridge: eqx.AbstractVar[AbstractRidge]

    def absorb(self, kept, lost):
        ridge = self.ridge.absorb(self.spectrum.weighted(lost))
        kept_spectrum = self.spectrum.weighted(kept)
        where = lambda theory: (theory.spectrum, theory.ridge)  # noqa: E731
        return eqx.tree_at(where, self, (kept_spectrum, ridge))
