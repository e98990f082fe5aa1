r"""Several witnesses of one learning curve, weighed by what they made of rows left out.

The averaged theory with its law of the target sees spectrum and labels; the curves of
:mod:`curve_shapes` see the errors of the pilot's subsamples only. Each has its kind of data on
which it fails. From quarters of the pilot each forecasts the pilot's own error, and misses its
logarithm by :math:`m` per factor of two in size; from all of the pilot it misses that by
:math:`m_0`. In the pool of logarithms

.. math:: \log E = \sum_w p_w \log E_w, \qquad
    p_w \propto \frac{a_w}{\tau^2 + \overline{m_w^2} + 2 m_{0w}^2}

:math:`a_w` is what a witness counts before. No law goes on for ever: beyond the pilot the errors
depart from it as a random walk in the logarithm of n, by as much per factor of two as the pool
missed from the quarters. docs/science/forecast.md, section 4.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.special import ndtri

from wilsonian.theory.forecast.curve_shapes import BestRidge, FlooredPowerLaw, PowerLaw
from wilsonian.theory.forecast.curve_witness import CurveWitness
from wilsonian.theory.forecast.population_spectrum import PopulationSpectrum
from wilsonian.theory.forecast.subsamples import MeasuredErrors, measure_subsamples
from wilsonian.theory.forecast.target_law import TargetPrior, likeliest_law
from wilsonian.theory.learning_curves import LearningCurve

SHAPES = (PowerLaw, FlooredPowerLaw, BestRidge)
THEORY = "averaged theory, law of the target"
NAMES = (THEORY, *(shape.name for shape in SHAPES))
# Two of the curves are nearly one, and count as one. Chosen, with MISS and what follows it, on the
# sets that docs/science/forecast.md names, none of them among the six of benchmarks/forecast.py.
BEFORE = np.array([2.0, 1.0, 0.5, 0.5])
MISS = 0.05  # tau: nobody is better than this
# The square of a law's error per factor of two before parts are seen, times the pilot's labels;
# and the number of parts that this counts for.
LAW_ERROR, LAW_PARTS = 5.0, 1.0
LEAST_PART = 20  # rows


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Logarithms by which each witness missed the pilot's error from a part of it."""

    missed: np.ndarray  # (parts, witnesses), per factor of two
    own: np.ndarray  # (witnesses,) from all of it
    labels: int  # of the pilot

    def root_mean_square(self) -> np.ndarray:
        """Over the parts, (witnesses,); NaN when the pilot was too small for parts."""
        if not len(self.missed):
            return np.full(len(NAMES), np.nan)
        return np.sqrt(np.mean(self.missed**2, axis=0))

    def weights(self) -> np.ndarray:
        """Of the witnesses in the pool; they add up to one."""
        squares = np.nan_to_num(self.root_mean_square()) ** 2 + 2 * self.own**2
        found = BEFORE / (MISS**2 + squares)
        return found / found.sum()

    def law_error(self, weights: np.ndarray) -> float:
        r"""Logarithm by which errors depart from the law pooled by `weights` per factor of two:

        .. math:: s^2 = \Big(\frac{5}{n_0} + \sum_q \big(\textstyle\sum_w p_w m_{qw}\big)^2\Big)
            / (1 + \mathrm{parts}),

        the mean square of what the pool missed from parts, and once what the law of any pilot of
        :math:`n_0` labels misses."""
        squares = np.sum((self.missed @ weights) ** 2)
        prior = LAW_PARTS * LAW_ERROR / self.labels
        return float(np.sqrt((prior + squares) / (LAW_PARTS + len(self.missed))))


def leave_out(
    population: PopulationSpectrum,
    modes: np.ndarray,
    gram: np.ndarray,
    targets: np.ndarray,
    prior: TargetPrior,
    measured: MeasuredErrors,
    theory: LearningCurve,
    random: np.random.Generator,
) -> LeftOut:
    """What the witnesses make of quarters of the pilot (halves below 80 rows, nothing below 40),
    and of all of it, at its own size: against the error measured there by leaving rows out.

    Of quarters the theory takes its likeliest law, prior and spectrum as they are: a posterior for
    each would take as long as the forecast. Of all it is `theory`. Other arguments as of
    :func:`fit_target_law`.
    """
    labels = len(targets)
    size, goal = np.array([float(labels)]), np.log(measured.least()[-1])

    def found(theory: LearningCurve, measured: MeasuredErrors) -> np.ndarray:
        ridge = measured.within(theory.optimal_ridge(size), size, population)
        curves = [CurveWitness.of(shape, measured).mean(size) for shape in SHAPES]
        return np.concatenate([np.log(theory.label_error(size, ridge)), *curves]) - goal

    parts = 4 if labels >= 4 * LEAST_PART else 2 if labels >= 2 * LEAST_PART else 0
    order, missed = random.permutation(labels), np.zeros((parts, len(NAMES)))
    for part in range(parts):
        rows = order[part::parts]
        errors = measure_subsamples(gram[np.ix_(rows, rows)], targets[rows], random)
        own = targets[rows] - targets[rows].mean(axis=0)
        law = likeliest_law(population, modes[rows], own, errors, prior)
        missed[part] = found(law, errors) / np.log2(labels / len(rows))
    return LeftOut(missed, found(theory, measured), labels)


@dataclasses.dataclass(frozen=True)
class Pool:
    """How draws of the witnesses become draws of one."""

    weights: np.ndarray  # (witnesses,)
    order: np.ndarray  # (witnesses, draws) from the least error to the greatest, where it was asked

    @classmethod
    def of(cls, weights: np.ndarray, logs: np.ndarray, random: np.random.Generator) -> Pool:
        """`logs` (witnesses, draws) at the size where draws are put in order: they err together,
        the least of one going with the least of another."""
        order = np.argsort(logs, axis=1)
        # In any order of their own, so that it is no order of anything drawn beside them.
        return cls(weights, order[:, random.permutation(order.shape[1])])

    def mix(self, logs: np.ndarray) -> np.ndarray:
        """Draws (draws, sizes) of the pool from the witnesses' (witnesses, draws, sizes)."""
        ordered = np.take_along_axis(logs, self.order[:, :, None], axis=1)
        return np.tensordot(self.weights, ordered, 1)


@dataclasses.dataclass(frozen=True)
class Departures:
    """Random walks of a logarithm away from its law, in factors of two from the pilot."""

    so_far: np.ndarray  # (draws,) standard normal, up to any size
    next: np.ndarray  # (draws,) and over one factor of two more

    @classmethod
    def of(cls, draws: int, random: np.random.Generator) -> Departures:
        """Quantiles in random order: a median of so few draws would move by a tenth of the walk."""
        quantiles = ndtri((np.arange(draws) + 0.5) / draws)
        return cls(random.permutation(quantiles), random.permutation(quantiles))

    def at(self, doublings: np.ndarray, *, more: bool = False) -> np.ndarray:
        """(draws, sizes) after so many (sizes,) factors of two, in units of one; none before the
        pilot's size. With `more`, after one factor more of the same walks."""
        walked = self.so_far[:, None] * np.sqrt(np.maximum(doublings, 0.0))
        return walked + self.next[:, None] if more else walked
