"""Layers: what each does in a finite network and to the covariances of an infinite one."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.core.types import Scalar
from wilsonian.networks.layers.covariances import Covariances, Own, OwnPass, Scope
from wilsonian.networks.layers.repeats import alike, blocks_in
from wilsonian.networks.layers.signals import GAUSSIAN, ArchitectureError, Shape, Signal, as_signal

Parameterization = Literal["ntk", "standard", "mean-field"]
PARAMETERIZATIONS = ("ntk", "standard", "mean-field")


def as_number(value: Any) -> Any:
    """A hyperparameter as given, but whole numbers as floats, for learning to move them."""
    return float(value) if type(value) is int else value


class AbstractLayer(eqx.Module):
    """A part of a network: a finite form, and exact rules for infinitely many channels."""

    @abc.abstractmethod
    def signal(self, signal: Signal) -> Signal:
        """What comes out for `signal` going in.

        Raises ArchitectureError, naming the layer, where the layer has no meaning or no rule.
        """

    @abc.abstractmethod
    def init(self, key: Array, input_shape: Shape) -> Any:
        """Random parameters of the finite layer for inputs of shape `input_shape`, which is
        (features,), or (*spatial, channels) of images."""

    @abc.abstractmethod
    def apply(self, params: Any, X: Array, *, key: Array | None = None) -> Array:
        """The finite layer of a batch (n, *input_shape). A `key` makes it random where it is
        random in training (Dropout)."""

    @abc.abstractmethod
    def needs(self, scope: Scope, *, own: bool) -> Scope:
        """Which covariances of its input the layer reads to give those in `scope`; `own` if it
        must also give what it reads of single inputs."""

    @abc.abstractmethod
    def propagate(self, state: Covariances, scope: Scope, own: Own) -> Covariances:
        """Covariances of the output, in `scope`, from those of the input."""

    @property
    def name(self) -> str:
        """What errors call it."""
        return type(self).__name__

    def error(self, problem: str) -> ArchitectureError:
        return ArchitectureError(problem, self.name)

    def check_number(self, label: str, value: Any) -> None:
        """Raise ArchitectureError for a number that is no variance (tracers are let through)."""
        if isinstance(value, jax.core.Tracer) or not isinstance(
            value, int | float | np.ndarray | np.generic | jax.Array
        ):
            return  # optimizers and tree maps put anything into leaves
        number = float(value) if np.ndim(value) == 0 else math.nan
        if not 0 <= number < math.inf:
            raise self.error(
                f"`{label}` must be one finite number, zero or positive, got {value!r}."
            )

    def check_count(self, label: str, value: Any) -> None:
        """Raise ArchitectureError for what is not a count of channels or positions."""
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise self.error(f"`{label}` must be a whole number of at least 1, got {value!r}.")


class AbstractParameterFree(AbstractLayer):
    """A layer without parameters."""

    def init(self, key, input_shape):
        return ()


class AbstractWeights(AbstractLayer):
    r"""A layer with weights: :math:`h = s \sum_j W_j \phi_j + b`, over :math:`n` channels (and,
    in a convolution, :math:`k` places of a window; then :math:`1 / k` goes with :math:`v_w`).

    ================ ============================== ==========================================
    parameterization weights and biases             kernels of the limit
    ================ ============================== ==========================================
    ntk              N(0, 1), times                 :math:`K' = v_w K + v_b`,
                     :math:`s = \sqrt{v_w / n}`,    :math:`\Theta' = K' + v_w \Theta`
                     and :math:`\sqrt{v_b}`
    standard         N(0, :math:`v_w / n`),         the same :math:`K'`,
                     N(0, :math:`v_b`); s = 1       :math:`\Theta' = n K + 1 + v_w \Theta`
    mean-field       as ntk, with                   as ntk, with :math:`v_w / n`
                     :math:`s = \sqrt{v_w} / n`     for :math:`v_w`
    ================ ============================== ==========================================

    :math:`K, \Theta` are of the layer's input per channel. The standard tangent kernel grows with
    the width :math:`n`, which is the finite width that `init` builds (Sohl-Dickstein et al. 2020,
    arXiv:2001.07301); its 1 belongs to the bias and is absent when `bias_variance` is None, which
    means no bias. A mean-field output vanishes at initialization as :math:`1/n` and is trained
    with a learning rate of order :math:`n` (Mei et al. 2018).
    """

    weight_variance: eqx.AbstractVar[Scalar]
    bias_variance: eqx.AbstractVar[Scalar | None]
    parameterization: eqx.AbstractVar[Parameterization]

    def check_weights(self) -> None:
        self.check_number("weight_variance", self.weight_variance)
        self.check_number("bias_variance", self.bias_variance)
        if self.parameterization not in PARAMETERIZATIONS:
            raise self.error(
                f"`parameterization` must be one of {', '.join(PARAMETERIZATIONS)}, got "
                f"{self.parameterization!r}."
            )

    def variance(self, channels: int) -> Scalar:
        """Weight variance of an output, scaled as the parameterization says."""
        mean_field = self.parameterization == "mean-field"
        return self.weight_variance / channels if mean_field else self.weight_variance

    def draw(self, key: Array, weights: tuple[int, ...], bias: tuple[int, ...], channels, places):
        """Parameters, as a dictionary; weights of shape `weights`."""
        weight_key, bias_key = jax.random.split(key)
        standard = self.parameterization == "standard"
        weight_scale = jnp.sqrt(self.weight_variance / (channels * places)) if standard else 1.0
        params = {"weights": weight_scale * jax.random.normal(weight_key, weights)}
        if self.bias_variance is not None:
            bias_scale = jnp.sqrt(self.bias_variance) if standard else 1.0
            params["bias"] = bias_scale * jax.random.normal(bias_key, bias)
        return params

    def scaled(self, params: Any, channels: int, places: int) -> tuple[Array, Array | float]:
        """Weights and bias as they enter the output."""
        weights, bias = params["weights"], params.get("bias", 0.0)
        if self.parameterization == "standard":
            return weights, bias
        weight_scale = jnp.sqrt(self.variance(channels) / (channels * places))
        if self.bias_variance is None:
            return weight_scale * weights, 0.0
        return weight_scale * weights, jnp.sqrt(jnp.asarray(self.bias_variance)) * bias

    def mixed(self, state: Covariances, places: int, channels: int) -> Covariances:
        """Covariances of the output; those in `state` are already means over the window."""
        bias = 0.0 if self.bias_variance is None else self.bias_variance
        variance = self.variance(state.channels)
        covariance = variance * state.covariance + bias
        tangent = None
        if state.tracks_tangent:
            if self.parameterization == "standard":
                tangent = state.channels * places * state.covariance
                tangent = tangent + (self.bias_variance is not None)
            else:
                tangent = covariance
            if state.tangent is not None:
                tangent = tangent + variance * state.tangent
        return state.changed(covariance=covariance, tangent=tangent, channels=channels)

    def made(self, signal: Signal, shape: tuple[int, ...]) -> Signal:
        return Signal(shape, GAUSSIAN, weights=True, centered=True)


class Dense(AbstractWeights):
    r"""Fully connected layer of `width` units, :math:`h = \sqrt{v_w / n}\, W \phi + \sqrt{v_b}\,
    \beta`; of images it acts at every position by itself, on the channels.

    Raises ArchitectureError for a width below one or a negative variance.
    """

    width: int = eqx.field(static=True)
    weight_variance: Scalar = eqx.field(kw_only=True, default=1.0, converter=as_number)
    bias_variance: Scalar | None = eqx.field(kw_only=True, default=0.0, converter=as_number)
    parameterization: Parameterization = eqx.field(static=True, kw_only=True, default="ntk")

    def __check_init__(self):
        self.check_count("width", self.width)
        self.check_weights()

    def signal(self, signal):
        return self.made(signal, (*signal.spatial, self.width))

    def init(self, key, input_shape):
        channels = as_signal(input_shape).channels
        return self.draw(key, (channels, self.width), (self.width,), channels, 1)

    def apply(self, params, X, *, key=None):
        weights, bias = self.scaled(params, X.shape[-1], 1)
        return X @ weights + bias

    def needs(self, scope, *, own):
        return scope

    def propagate(self, state, scope, own):
        return self.mixed(state, 1, self.width)


class Serial(AbstractLayer):
    """Layers one after the other; see :func:`serial`."""

    layers: tuple[AbstractLayer, ...]

    def __check_init__(self):
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, AbstractLayer):
                raise ArchitectureError(
                    f"expected a layer such as Dense(512) or Relu(), got {layer!r}.",
                    path=(f"layer {index + 1}",),
                )

    @property
    def name(self):
        return "serial"

    def signals(self, signal: Signal) -> Iterable[tuple[AbstractLayer, Signal]]:
        """Every layer with what it reads, and at the end the output."""
        for index, layer in enumerate(self.layers):
            before = signal
            try:
                signal = layer.signal(signal)
            except ArchitectureError as error:
                raise error.within(f"layer {index + 1}") from None
            yield layer, before
        yield self, signal

    def signal(self, signal):
        *_, (_, last) = self.signals(signal)
        return last

    def init(self, key, input_shape):
        *pairs, _ = self.signals(as_signal(input_shape))
        keys = jax.random.split(key, max(len(pairs), 1))
        return [layer.init(k, signal) for k, (layer, signal) in zip(keys, pairs, strict=False)]

    def apply(self, params, X, *, key=None):
        keys = [None] * len(self.layers) if key is None else jax.random.split(key, len(self.layers))
        self._check_shape(jnp.shape(X)[1:])
        for index, (layer, own, one) in enumerate(zip(self.layers, params, keys, strict=True)):
            try:
                X = layer.apply(own, X, key=one)
            except ArchitectureError as error:
                raise error.within(f"layer {index + 1}") from None
            except (TypeError, IndexError, ValueError) as error:
                raise ArchitectureError(
                    f"its parameters are not for inputs of shape {X.shape[1:]}; pass inputs of the "
                    "shape that `init` was given.",
                    layer.name,
                    (f"layer {index + 1}",),
                ) from error
        return X

    def _check_shape(self, shape: Shape) -> None:
        """Raise ArchitectureError naming the layer that cannot read such inputs, be they raw or, as
        within a branch, the features of other layers."""
        try:
            self.signal(as_signal(shape))
        except ArchitectureError as refusal:
            try:
                self.signal(Signal(as_signal(shape).shape, GAUSSIAN))
            except ArchitectureError:
                raise refusal from None

    def scopes(self, scope: Scope, own: bool) -> list[Scope]:
        """What is read by each layer, and at the end what is asked for."""
        scopes = [scope]
        for layer in reversed(self.layers):
            scopes.append(layer.needs(scopes[-1], own=own))
        return scopes[::-1]

    def needs(self, scope, *, own):
        return self.scopes(scope, own)[0]

    def propagate(self, state, scope, own):
        scopes = self.scopes(scope, isinstance(own, OwnPass))

        def through(layers, first, state, own):
            for index, layer in enumerate(layers, first):
                try:
                    state = layer.propagate(state.scoped(scopes[index]), scopes[index + 1], own)
                except ArchitectureError as error:
                    raise error.within(f"layer {index + 1}") from None
            return state

        # Nothing reads what comes after a layer that is asked for nothing.
        read = scopes.index(Scope.NOTHING) if Scope.NOTHING in scopes else len(self.layers)
        for first, length, count in blocks_in(self.layers[:read], scopes[: read + 1]):
            blocks = [
                self.layers[start : start + length]
                for start in range(first, first + count * length, length)
            ]
            for index, block in enumerate(blocks):
                before, state = state, through(block, first + index * length, state, own)
                if index + 1 < count and alike(before, state):
                    # From here on every block does the same to numbers of the same shape.
                    state = own.repeated(
                        lambda block, state, own, first=first: through(block, first, state, own),
                        blocks[index + 1 :],
                        state,
                    )
                    break
        return state.scoped(scope)


def serial(*layers: AbstractLayer) -> Serial:
    """A network of layers one after the other.

    Its methods `init(key, input_shape)` and `apply(params, X)` are the finite network,
    :func:`nngp` and :func:`ntk` the kernels of infinitely many channels. Raises ArchitectureError
    for what is not a layer.
    """
    return Serial(tuple(layers))
