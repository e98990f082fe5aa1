r"""Spectrum of a trained network's Fisher information, and the network under a cutoff of it.

In the eigenbasis of the Fisher metric prior and likelihood are both diagonal. A cutoff keeps a
fraction :math:`w_A` of the information of each mode, :math:`k_A`: its law becomes normal with
precision :math:`1 + w_A k_A`, and modes whose information is dropped are reset
(docs/science/information.md, section 2).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import AbstractTheory
from wilsonian.core.information import degrees_of_freedom, nats
from wilsonian.information import predictive, pricing
from wilsonian.information.arguments import checked_count, checked_number
from wilsonian.information.modes import AbstractModes
from wilsonian.information.price_list import PriceList, price_list
from wilsonian.information.trained_network import TrainedNetwork
from wilsonian.information.trees import plus

Method = TypeVar("Method", bound=Callable)
Reset = Literal["mean", "prior", "init", "keep"]
RESETS: tuple[Reset, ...] = ("mean", "prior", "init", "keep")


def _precise(method: Method) -> Method:
    """A method that computes in its network's precision, whatever JAX's setting."""

    @functools.wraps(method)
    def inside(self, *arguments, **options):
        with self.network.arithmetic():
            return method(self, *arguments, **options)

    return inside  # type: ignore[return-value]


class FisherSpectrum(AbstractTheory):
    r"""Information in every direction of a network's parameters; after a cutoff, the network that
    is left. Made by :func:`spectrum`; cut by :func:`wilsonian.coarse_grain`.

    Entries of `information`, `kept_weights` and `terms` are the modes, descending, and a last one
    for all other directions together, which the data do not inform (`others` of them; their
    information is `unresolved`, zero unless only the leading modes were computed).

    `reset` is the law of what is removed: `"mean"` (prior mean, no variance), `"prior"`
    (standard normal), `"init"` (the value at initialization), `"keep"` (the trained value, prior
    variance). Parameters of kept modes stay where training left them. `newton` moves them to the
    minimum of the quadratic model instead; the same for a network at its minimum.
    """

    network: TrainedNetwork
    modes: AbstractModes
    information: Any  # (entries,): k, last entry zero
    kept_weights: Any  # (entries,)
    whitened: Any  # (modes,): z_A
    slopes: Any  # (modes,): g_A
    terms: pricing.MoveTerms
    others: int = eqx.field(static=True)
    unresolved: float = eqx.field(static=True)
    stationarity: float = eqx.field(static=True)  # |g + z| / |z|
    route: str = eqx.field(static=True)
    seconds: float = eqx.field(static=True)
    reset: Reset = eqx.field(static=True, default="mean")
    newton: bool = eqx.field(static=True, default=False)

    # A theory of the library.

    @property
    def eigenvalues(self):
        return jnp.asarray(self.information)

    @property
    def weights(self):
        return jnp.asarray(self.kept_weights)

    def absorb(self, kept, lost):
        # Modes of the sample decouple: what is lost changes nothing for the kept.
        if not self.others:  # nothing is there that could be removed
            kept = jnp.append(kept[:-1], 1.0)
        return eqx.tree_at(lambda theory: theory.kept_weights, self, kept)

    def summary(self):
        kept = self.eigenvalues * self.weights
        return InformationSummary(
            kept=jnp.sum(self.weights[:-1]),
            degrees_of_freedom=degrees_of_freedom(kept),
            nats=nats(kept),
            predicted=self.terms.cost(self.weights, self.reset) / self.network.examples,
        )

    # What is asked of a spectrum.

    @property
    def eigenvalues_per_example(self) -> np.ndarray:
        """:math:`\\lambda_A = k_A / T`, the information units of one example."""
        return np.asarray(self.information[:-1]) / self.network.examples

    @property
    @_precise
    def degrees_of_freedom(self) -> float:
        r""":math:`d_{\rm eff} = \sum w k / (1 + w k)`: directions that the data determine."""
        return float(degrees_of_freedom(self.information * np.asarray(self.kept_weights)))

    @property
    @_precise
    def nats(self) -> float:
        r"""Information kept, :math:`\frac12 \sum \log(1 + w k)`."""
        return float(nats(self.information * np.asarray(self.kept_weights)))

    @property
    def nats_lost(self) -> float:
        """Information lost; with `nats` that of the whole spectrum."""
        with self.network.arithmetic():
            return float(nats(self.information)) - self.nats

    def count_above(self, scale: float = 1.0) -> int:
        """How many directions have more information than `scale`; above 1 the data decide."""
        return int(np.sum(np.asarray(self.information) > scale))

    @property
    def kept(self) -> int:
        """Modes of which anything is kept."""
        return int(np.sum(np.asarray(self.kept_weights)[:-1] > 0))

    def support(self) -> np.ndarray:
        r"""How many examples carry each mode, :math:`n_A = 1 / \sum_t |u_{A,t}|^4`."""
        with self.network.arithmetic():
            shares = np.sum(self.modes.on_data(self.network) ** 2, axis=1)
        return 1 / np.sum(shares**2, axis=0)

    def relative_noise(self, support: np.ndarray | None = None) -> np.ndarray:
        r"""Relative standard error of each :math:`k_A` under other examples, about
        :math:`\sqrt{1 / n_A - 1 / T}`."""
        support = self.support() if support is None else support
        return np.sqrt(np.maximum(1 / support - 1 / self.network.examples, 0.0))

    @_precise
    def by_parameter(self) -> dict[str, float]:
        """Directions determined by the data, :math:`\\sum_A k / (1 + k)` times the fraction of the
        mode in it, for every parameter leaf."""
        shares = self.modes.by_leaf(self.network)
        kept = self.information[:-1] * np.asarray(self.kept_weights)[:-1]
        counts = shares @ (kept / (1 + kept))
        return dict(zip(self.network.names(), counts.tolist(), strict=True))

    def prices(self, held_out: Any = None, **options: Any) -> PriceList:
        """Cost of every cutoff, predicted and measured; options as of
        :func:`wilsonian.information.price_list.price_list`."""
        return price_list(self, held_out, **options)

    @property
    @_precise
    def predicted_cost(self) -> float:
        """Predicted rise of the mean training loss under the cutoff and `reset`, in nats per
        example (docs/science/information.md, section 2)."""
        return float(self.terms.cost(self.kept_weights, self.reset) / self.network.examples)

    # The network under the cutoff.

    @_precise
    def resetting(self, reset: Reset) -> FisherSpectrum:
        """The same with another law of what is removed. Raises ValueError for `"init"` without the
        parameters at initialization."""
        if reset not in RESETS:
            raise ValueError(f"`reset` must be one of {', '.join(RESETS)}, got {reset!r}.")
        spectrum = self
        if reset == "init":
            if self.network.start is None:
                raise ValueError(
                    "reset='init' needs the parameters at initialization; pass `start` to "
                    "network(...)."
                )
            terms = self.terms.with_start(self.network, self.modes, self.slopes)
            spectrum = eqx.tree_at(lambda s: s.terms, spectrum, terms)
        return _changed(spectrum, reset=reset)

    def at_newton_minimum(self) -> FisherSpectrum:
        """The same with means at the minimum of the quadratic model, :math:`(k z - g)/(1 + k)`,
        for parameters that are not at one."""
        return _changed(self, newton=True)

    def counting_data(self, times: float) -> FisherSpectrum:
        """Every example counted `times` times (above one, too): the posterior of so much data,
        not a cutoff."""
        if times != 0:
            times = checked_number("times", times, "a finite number, not negative", above=0)
        weights = times * np.ones_like(self.kept_weights)
        return eqx.tree_at(lambda theory: theory.kept_weights, self, weights)

    @_precise
    def mode_means(self) -> Float[np.ndarray, " modes"]:
        """Mean of every mode's whitened coordinate."""
        k, w, z = self.information[:-1], np.asarray(self.kept_weights)[:-1], self.whitened
        if self.reset == "keep":
            return z
        if self.newton:
            return w * (k * z - self.slopes) / (1 + w * k)
        begin = self.terms.start if self.reset == "init" else np.zeros_like(z)
        return begin + w * (1 + k) / (1 + w * k) * (z - begin)

    @_precise
    def mode_variances(self) -> Float[np.ndarray, " entries"]:
        """Variance of every mode's whitened coordinate; last that of every other direction."""
        weights = np.asarray(self.kept_weights)
        variance = 1 / (1 + self.information * weights)
        if self.reset in ("mean", "init"):
            variance = np.where(weights > 0, variance, np.zeros_like(variance))
        return variance

    @_precise
    def point(self) -> Any:
        """Whitened parameters u of the network under the cutoff: at most one VJP over the data."""
        network = self.network
        if self.reset == "keep":
            return network.point
        rest_kept = bool(np.asarray(self.kept_weights)[-1] > 0)
        if rest_kept:
            base, coordinates = network.point, self.whitened
        elif self.reset == "init":
            base, coordinates = network.start, self.terms.start
        else:
            base, coordinates = network.prior_point, np.zeros_like(self.whitened)
        step = self.mode_means() - coordinates
        if np.any(step):
            return plus(base, self.modes.combine(network, step))
        if base is not network.prior_point:
            return base
        # A mean may be one number for many weights.
        return jax.tree.map(
            lambda mean, leaf: jnp.broadcast_to(mean, leaf.shape), base, network.point
        )

    @_precise
    def model(self) -> Any:
        """The network's own parameters under the cutoff (an Equinox network: the network)."""
        return self.network.model(self.point())

    @_precise
    def draw(self, seed: int = 0) -> Any:
        """Parameters drawn from their law under the cutoff. One JVP and one VJP over the data."""
        return self.network.model(predictive.draw(self, checked_count("seed", seed, least=0)))

    @property
    @_precise
    def coordinates(self) -> np.ndarray:
        """Of the kept modes, in whitened parameters: with the spectrum, all that the network under
        the cutoff is (and a seed, where removed modes are drawn)."""
        return self.mode_means()[np.asarray(self.kept_weights)[:-1] > 0]

    @_precise
    def from_coordinates(self, coordinates: Any, seed: int = 0) -> Any:
        """The network's own parameters from the `coordinates` of the kept modes; removed ones are
        where the reset puts them, drawn with the `seed` for `"prior"` and `"keep"`.

        Raises ValueError unless there is one finite number per kept mode.
        """
        seed = checked_count("seed", seed, least=0)
        return self.network.model(predictive.from_coordinates(self, coordinates, seed))

    @_precise
    def predict(
        self, X: Any, *, return_std: bool = False, linearised: bool = True
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Outputs of a regression, or class probabilities, at the points `X`; with `return_std`
        also the standard deviations of the outputs (of classes: of the logits), without the noise
        of a label.

        The linearised network, in which the cutoff is exact and probabilities are averaged over
        the logits' law; or with `linearised=False` the network itself at its cut parameters.
        """
        X = self.network.checked_inputs(X)
        mean, covariance = predictive.law_of_outputs(self, X)
        if linearised:
            values = self.network.likelihood.predictive(mean, covariance)
        else:
            outputs = self.network.evaluate(X, self.point())
            values = self.network.likelihood.predictive(
                jnp.asarray(outputs), jnp.asarray(np.zeros(covariance.shape, covariance.dtype))
            )
        if not return_std:
            return np.asarray(values)
        variances = np.diagonal(np.asarray(covariance), axis1=1, axis2=2)
        return np.asarray(values), np.sqrt(np.maximum(variances, 0.0))

    def kernel(self) -> predictive.FlowedKernel:
        """Covariance of the linearised network's outputs under the cutoff, between any points."""
        return predictive.FlowedKernel(self)


class InformationSummary(eqx.Module):
    """What a flow records of a :class:`FisherSpectrum`."""

    kept: Float[Array, "..."]
    degrees_of_freedom: Float[Array, "..."]
    nats: Float[Array, "..."]
    predicted: Float[Array, "..."]  # cost in nats per example


def _changed(spectrum: FisherSpectrum, **changes: Any) -> FisherSpectrum:
    """A copy with other static fields."""
    fields = {field.name: getattr(spectrum, field.name) for field in dataclasses.fields(spectrum)}
    return FisherSpectrum(**{**fields, **changes})
