"""Branches that read the same features and are joined: sums (residuals), products, rows."""

from __future__ import annotations

import functools
import operator
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from wilsonian.networks.layers.covariances import OwnPass, Scope
from wilsonian.networks.layers.layer import AbstractLayer, serial
from wilsonian.networks.layers.more_activations import Identity
from wilsonian.networks.layers.signals import GAUSSIAN, ArchitectureError, Signal, as_signal

Join = Literal["sum", "product", "concatenate"]
JOINS = ("sum", "product", "concatenate")


class Parallel(AbstractLayer):
    r"""Branches fed with the same features, their outputs joined; see :func:`parallel`.

    With kernels :math:`K_b, \Theta_b` of :math:`n_b` channels each, independent branches give

    ============= ================================ ==============================================
    sum           :math:`\sum_b K_b`               :math:`\sum_b \Theta_b`
    product       :math:`\prod_b K_b`              :math:`\sum_b \Theta_b \prod_{c \neq b} K_c`
    concatenate   :math:`\sum_b n_b K_b / n`       :math:`\sum_b n_b \Theta_b / n`
    ============= ================================ ==============================================
    """

    branches: tuple[AbstractLayer, ...]
    join: Join = eqx.field(static=True, default="sum")

    def __check_init__(self):
        if self.join not in JOINS:
            raise self.error(f"`join` must be one of {', '.join(JOINS)}, got {self.join!r}.")
        if len(self.branches) < 1:
            raise self.error("it has no branches; give at least one layer.")
        for index, branch in enumerate(self.branches):
            if not isinstance(branch, AbstractLayer):
                problem = f"expected a layer such as Dense(512) or Relu(), got {branch!r}."
                raise ArchitectureError(problem, self.name, (f"branch {index + 1}",))

    @property
    def name(self):
        return f"parallel, join={self.join!r}"

    def outputs(self, signal: Signal) -> list[Signal]:
        """What comes out of every branch, seen from the fork."""
        fork = signal.changed(weights=False, centered=None)
        outputs = []
        for index, branch in enumerate(self.branches):
            try:
                outputs.append(branch.signal(fork))
            except ArchitectureError as error:
                raise error.within(f"branch {index + 1}") from None
        return outputs

    def signal(self, signal):
        outputs = self.outputs(signal)
        shapes = [output.shape for output in outputs]
        compared = [shape[:-1] for shape in shapes] if self.join == "concatenate" else shapes
        if len(set(compared)) > 1:
            raise self.error(
                f"its branches end in different shapes, {', '.join(map(str, shapes))}; give the "
                "last layers of all branches the same width and positions."
            )
        self._check_independent(outputs)
        laws = {output.law for output in outputs}
        shape, law = (
            shapes[0],
            outputs[0].law if len(outputs) == 1 else f"a {self.join} of branches",
        )
        if self.join == "concatenate":
            shape = (*shape[:-1], sum(shape[-1] for shape in shapes))
            law = law if len(outputs) == 1 else "concatenated features"
        elif self.join == "sum" and laws == {GAUSSIAN}:
            law = GAUSSIAN
        # Seen from the next fork outside:
        weights = signal.weights or all(output.weights for output in outputs)
        centered = {signal.centered if o.centered is None else o.centered for o in outputs}
        together = centered.pop() if len(centered) == 1 else False
        if self.join == "product" and len(outputs) > 1:
            together = False
        return Signal(shape, law, weights, together)

    def _check_independent(self, outputs: list[Signal]) -> None:
        """The rules for sums and products hold for independent branches."""
        if self.join == "sum":
            bound = [i + 1 for i, o in enumerate(outputs) if o.centered is not True]
            advice = "end all branches but one with a Dense or a Conv"
        elif self.join == "product":
            bound = [i + 1 for i, o in enumerate(outputs) if not o.weights]
            advice = "give all branches but one a Dense or a Conv"
        else:
            return
        if len(bound) > 1:
            raise self.error(
                f"branches {bound[0]} and {bound[1]} are correlated, for which there is no rule; "
                f"{advice}."
            )

    def init(self, key, input_shape):
        keys = jax.random.split(key, len(self.branches))
        signal = as_signal(input_shape)
        return [branch.init(k, signal) for k, branch in zip(keys, self.branches, strict=True)]

    def apply(self, params, X, *, key=None):
        count = len(self.branches)
        keys = [None] * count if key is None else jax.random.split(key, count)
        outputs = [
            branch.apply(own, X, key=one)
            for branch, own, one in zip(self.branches, params, keys, strict=True)
        ]
        if self.join == "concatenate":
            return jnp.concatenate(outputs, axis=-1)
        return functools.reduce(operator.add if self.join == "sum" else operator.mul, outputs)

    def needs(self, scope, *, own):
        return max(branch.needs(scope, own=own) for branch in self.branches)

    def propagate(self, state, scope, own):
        outputs = []
        for branch in self.branches:
            before = branch.needs(scope, own=isinstance(own, OwnPass))
            if before is Scope.NOTHING:
                continue
            outputs.append(branch.propagate(state.scoped(before), scope, own).scoped(scope))
        if scope is Scope.NOTHING:
            return state
        covariances = [output.covariance for output in outputs]
        tangents = [output.tangent for output in outputs]
        channels = outputs[0].channels
        if self.join == "sum":
            covariance, tangent = sum(covariances), _total(tangents)
        elif self.join == "product":
            covariance = functools.reduce(operator.mul, covariances)
            others = [covariances[:b] + covariances[b + 1 :] for b in range(len(outputs))]
            tangent = _total(
                [
                    t if t is None else functools.reduce(operator.mul, [t, *rest])
                    for t, rest in zip(tangents, others, strict=True)
                ]
            )
        else:
            channels = sum(output.channels for output in outputs)
            shares = [output.channels / channels for output in outputs]
            covariance = sum(s * c for s, c in zip(shares, covariances, strict=True))
            tangent = _total(
                [None if t is None else s * t for s, t in zip(shares, tangents, strict=True)]
            )
        return outputs[0].changed(covariance=covariance, tangent=tangent, channels=channels)


def _total(arrays: list[Any]) -> Any:
    """Sum of the tangent kernels that are not zero."""
    present = [array for array in arrays if array is not None]
    return sum(present) if present else None


def parallel(*branches: AbstractLayer, join: Join = "sum") -> Parallel:
    """Fan out to `branches` and join what they give: their "sum", "product", or their channels
    one after the other ("concatenate").

    Raises ArchitectureError for a join of another name. Branches whose shapes differ, or that are
    correlated (a sum takes one branch, at most, that does not end in weights), are refused when
    the network is used.
    """
    return Parallel(tuple(branches), join)


def residual(*layers: AbstractLayer) -> Parallel:
    r"""A block that adds to its input, :math:`h + f(h)` (He et al. 2016)."""
    inner = layers[0] if len(layers) == 1 else serial(*layers)
    return Parallel((Identity(), inner), "sum")
