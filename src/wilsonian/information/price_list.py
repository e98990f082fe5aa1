r"""Price list of a network's information: every cutoff's cost, predicted, and measured on the spot.

Removed directions go where the reset puts them, kept ones stay where training left them. The
prediction is :math:`\frac1T \sum_{\rm removed} [g_A \delta_A + \frac12 k_A \delta_A^2]`; beside it
stand the same loss of the linearised network, which only the likelihood's own curvature sets
apart, and that of the network itself (docs/science/information.md, sections 2 and 5).
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import coarse_grain
from wilsonian.core.cutoffs import SharpCutoff
from wilsonian.information import products
from wilsonian.information.arguments import checked_count
from wilsonian.information.calibration import accuracy, calibration_error, negative_log_density
from wilsonian.information.predictive import covariances_under
from wilsonian.information.pricing import largest_cutoff
from wilsonian.information.trees import minus, plus
from wilsonian.information.validity import is_valid

SCALES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
DATA_WEIGHTS = (1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)


class HeldOutPrices(eqx.Module):
    """The same cutoffs on held-out examples: rise of the mean loss at the cut parameters, and what
    the linearised predictive, with its uncertainty, is worth (nats, accuracy, calibration).

    `uncut` are the predictive's values before any cutoff, `trained` those of the network as it is
    without uncertainty. `data_weights` count every example so many times; `weighted_nll` is the
    uncut predictive's there: choose on other data than it is reported on.
    """

    linearised: Float[np.ndarray, " cutoffs"]
    measured: Float[np.ndarray, " cutoffs"]
    accuracy: Float[np.ndarray, " cutoffs"]
    nll: Float[np.ndarray, " cutoffs"]
    calibration_error: Float[np.ndarray, " cutoffs"]
    uncut_nll: float
    uncut_calibration_error: float
    trained_nll: float
    trained_accuracy: float
    trained_calibration_error: float
    data_weights: Float[np.ndarray, " weights"]
    weighted_nll: Float[np.ndarray, " weights"]
    examples: int


class PriceList(eqx.Module):
    """Costs in nats per training example, one entry per scale; `predicted` is `gradient` plus
    `quadratic`. A price is valid where what was measured agrees with it (see `validity`)."""

    scales: Float[np.ndarray, " cutoffs"]
    kept: Float[np.ndarray, " cutoffs"]
    nats_kept: Float[np.ndarray, " cutoffs"]
    nats_lost: Float[np.ndarray, " cutoffs"]
    gradient: Float[np.ndarray, " cutoffs"]
    quadratic: Float[np.ndarray, " cutoffs"]
    linearised: Float[np.ndarray, " cutoffs"]
    measured: Float[np.ndarray, " cutoffs"]
    loss: float  # mean training loss as it is
    standard_error: float  # of that mean
    held_out: HeldOutPrices | None
    reset: str = eqx.field(static=True)
    # Parts of the cost by entry of the spectrum, for `choose`.
    costs: Float[np.ndarray, " entries"]
    information: Float[np.ndarray, " entries"]

    @property
    def predicted(self) -> np.ndarray:
        return self.gradient + self.quadratic

    @property
    def valid(self) -> np.ndarray:
        """Where the network's measured price agrees with the predicted one."""
        return is_valid(self.predicted, self.measured, self.standard_error)

    @property
    def valid_linearised(self) -> np.ndarray:
        """Where the linearised network's does."""
        return is_valid(self.predicted, self.linearised, self.standard_error)

    def choose(self, cost: float) -> float:
        """The largest scale whose predicted cost, and that of every smaller one, is at most `cost`
        nats per example."""
        return largest_cutoff(self.costs, self.information, cost)

    def __str__(self) -> str:
        lines = ["   cutoff    kept  nats lost   predicted  linearised     network"]
        for row in range(len(self.scales)):
            flag = "" if self.valid[row] else "  not valid"
            lines.append(
                f"{self.scales[row]:9.3g} {int(self.kept[row]):7d} {self.nats_lost[row]:10.4g} "
                f"{self.predicted[row]:11.3g} {self.linearised[row]:11.3g} "
                f"{self.measured[row]:11.3g}{flag}"
            )
        return "\n".join(lines)


def price_list(
    spectrum: Any,
    held_out: Any = None,
    *,
    scales: Any = SCALES,
    draws: int = 4,
    seed: int = 77,
    calibration: bool = True,
) -> PriceList:
    """Prices of sharp cutoffs at `scales` for the spectrum's reset; see :class:`PriceList`.

    `held_out` are inputs and labels that were not trained on. Resets with a variance are averaged
    over `draws` of the removed directions. `calibration=False` leaves out what needs covariances
    on the held-out examples. One VJP and two or three forward derivatives per cutoff and draw.

    Raises ValueError for scales that are not positive and held-out examples that do not fit.
    """
    given = scales
    try:
        scales = np.asarray(scales, float)
    except (TypeError, ValueError):
        scales = np.array(np.nan)
    if scales.ndim != 1 or len(scales) == 0 or not np.all((scales > 0) & np.isfinite(scales)):
        raise ValueError(f"`scales` must be a list of positive numbers, got {given!r}.")
    draws, seed = checked_count("draws", draws), checked_count("seed", seed, least=0)
    network = spectrum.network
    with network.arithmetic():
        inputs, labels = network.inputs, network.labels
        new = None if held_out is None else _held_out(network, held_out)
        theories = [coarse_grain(spectrum, SharpCutoff(scale)) for scale in scales]
        before = np.asarray(network.loss())
        moves = _moves(spectrum, theories, draws, seed)
        rows = [_losses(network, points, inputs, network.outputs, labels) for points in moves]
        linearised, measured = (
            np.array(column) - before.mean() for column in zip(*rows, strict=True)
        )
        gradient, quadratic = (np.asarray(part) for part in spectrum.terms.parts(spectrum.reset))
        removed = [np.asarray(theory.kept_weights) == 0 for theory in theories]
        return PriceList(
            scales=scales,
            kept=np.array([theory.kept for theory in theories]),
            nats_kept=np.array([theory.nats for theory in theories]),
            nats_lost=np.array([theory.nats_lost for theory in theories]),
            gradient=np.array([gradient[gone].sum() for gone in removed]) / network.examples,
            quadratic=np.array([quadratic[gone].sum() for gone in removed]) / network.examples,
            linearised=linearised,
            measured=measured,
            loss=float(before.mean()),
            standard_error=float(before.std() / np.sqrt(len(before))),
            held_out=None
            if new is None
            else _held_out_prices(spectrum, theories, moves, *new, calibration),
            reset=spectrum.reset,
            costs=(gradient + quadratic) / network.examples,
            information=np.asarray(spectrum.information),
        )


def _held_out(network: Any, held_out: Any) -> tuple[Array, Array]:
    try:
        X, y = held_out
    except (TypeError, ValueError) as error:
        raise ValueError("`held_out` must be a pair of inputs and labels.") from error
    X = network.checked_inputs(X)
    return X, network.checked_labels(y, len(X))


def _moves(spectrum: Any, theories: list, draws: int, seed: int) -> list[list[Any]]:
    """Whitened parameters after every cutoff: removed directions at their new place, one or
    several draws of it; kept ones as they are."""
    if spectrum.reset in ("mean", "init"):
        return [[theory.point()] for theory in theories]
    network, places = spectrum.network, []
    about = network.prior_point if spectrum.reset == "prior" else network.point
    for draw in range(draws):
        random = np.random.RandomState(seed + draw)
        place = jax.tree.map(
            # A mean may be one number for many weights; every weight has its own draw.
            lambda centre, leaf, random=random: jnp.asarray(
                np.asarray(centre) + random.standard_normal(leaf.shape), leaf.dtype
            ),
            *(about, network.point),
        )
        away = minus(network.point, place)
        places.append((place, spectrum.modes.coordinates(network, away)))
    moved: list[list[Any]] = []
    for theory in theories:
        weights = np.asarray(theory.kept_weights)
        moved.append(
            [
                network.point
                if np.all(weights > 0)  # nothing is removed
                else plus(place, spectrum.modes.combine(network, weights[:-1] * away))
                for place, away in places
            ]
        )
    return moved


def _losses(
    network: Any, points: list[Any], X: Array, outputs: Any, y: Array
) -> tuple[float, float]:
    """Mean loss of the linearised network and of the network, averaged over the points."""
    pairs = []
    for point in points:
        straight = _linearised(network, point, X, outputs)
        true = network.evaluate(X, point)
        pairs.append([network.loss(f, y).mean() for f in (straight, true)])
    linearised, measured = np.mean(pairs, axis=0)
    return float(linearised), float(measured)


def _held_out_prices(
    spectrum: Any, theories: list, moves: list[list[Any]], X: Array, y: Array, calibration: bool
) -> HeldOutPrices:
    network, likelihood = spectrum.network, spectrum.network.likelihood
    outputs = network.evaluate(X)
    before = network.loss(outputs, y).mean()
    rows = [_losses(network, points, X, outputs, y) for points in moves]
    linearised, measured = (np.array(column) - before for column in zip(*rows, strict=True))
    means = [_linearised(network, theory.point(), X, outputs) for theory in theories]
    nothing = np.zeros((*outputs.shape, outputs.shape[1]), outputs.dtype)
    missing = np.full(len(theories), np.nan)
    nll, errors, uncut, weighted = missing, missing, (np.nan, np.nan), [np.nan] * len(DATA_WEIGHTS)
    if calibration:
        weighted_theories = [spectrum.counting_data(times) for times in DATA_WEIGHTS]
        every = [spectrum, *theories, *weighted_theories]
        laws = covariances_under([theory.mode_variances() for theory in every], spectrum, X)
        centres = [outputs, *means, *(outputs for _ in DATA_WEIGHTS)]
        densities = [
            negative_log_density(likelihood, mean, law, y)
            for mean, law in zip(centres, laws, strict=True)
        ]
        count = 1 + len(theories)
        found = [
            calibration_error(likelihood, mean, law, y)
            for mean, law in zip(centres[:count], laws[:count], strict=True)
        ]
        nll, errors = np.array(densities[1:count]), np.array(found[1:])
        uncut, weighted = (densities[0], found[0]), densities[count:]
    return HeldOutPrices(
        linearised=linearised,
        measured=measured,
        accuracy=np.array([accuracy(likelihood, mean, y) for mean in means]),
        nll=nll,
        calibration_error=errors,
        uncut_nll=uncut[0],
        uncut_calibration_error=uncut[1],
        trained_nll=negative_log_density(likelihood, outputs, nothing, y),
        trained_accuracy=accuracy(likelihood, outputs, y),
        trained_calibration_error=calibration_error(likelihood, outputs, nothing, y),
        data_weights=np.array(DATA_WEIGHTS),
        weighted_nll=np.array(weighted),
        examples=len(X),
    )


def _linearised(network: Any, point: Any, X: Array, outputs: Any) -> np.ndarray:
    if point is network.point:
        return np.asarray(outputs)
    step = minus(point, network.point)
    return np.asarray(outputs) + np.asarray(products.push_outputs(network, X, step))
