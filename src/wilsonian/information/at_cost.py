"""The cutoff at a price: as much as may be removed for so many nats per example."""

from __future__ import annotations

from typing import Any

import numpy as np

from wilsonian.core.cutoffs import AbstractCutoff, SharpCutoff
from wilsonian.information.arguments import checked_number
from wilsonian.information.pricing import largest_cutoff


class AtCost(AbstractCutoff):
    """The sharp cutoff of largest scale whose predicted cost, and that of every smaller scale, is
    at most `cost` nats per example. Of an information spectrum with its reset."""

    cost: float

    def __check_init__(self):
        checked_number("cost", self.cost, "positive, in nats per example", above=0)

    def chosen_for(self, theory: Any) -> AbstractCutoff:
        if not hasattr(theory, "terms"):
            raise ValueError(
                f"AtCost is a cutoff of an information spectrum, and a {type(theory).__name__} has "
                "no prices; use SharpCutoff."
            )
        gradient, quadratic = (np.asarray(part) for part in theory.terms.parts(theory.reset))
        costs = (gradient + quadratic) / theory.network.examples
        return SharpCutoff(largest_cutoff(costs, np.asarray(theory.information), self.cost))

    def weights(self, eigenvalues):
        raise ValueError("AtCost needs prices, not eigenvalues; pass it to coarse_grain.")
