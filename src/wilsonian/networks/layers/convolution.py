"""Convolutions, with weights shared between positions (Conv) or not (LocallyConnected)."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from wilsonian.core.types import Scalar
from wilsonian.networks.layers.covariances import Scope, position_identity
from wilsonian.networks.layers.layer import (
    AbstractLayer,
    AbstractWeights,
    Parameterization,
    as_number,
)
from wilsonian.networks.layers.signals import Signal, as_signal
from wilsonian.networks.layers.windows import PADDINGS, Padding, Window, as_tuple, one_per_axis

_LETTERS = "DHW"


def dimension_numbers(axes: int) -> tuple[str, str, str]:
    """Batches of images with channels last, for JAX's convolutions."""
    letters = _LETTERS[-axes:]
    return f"N{letters}C", f"{letters}IO", f"N{letters}C"


def window_signal(layer: AbstractLayer, window: Window, signal: Signal) -> tuple[int, ...]:
    """Positions after the window. Raises ArchitectureError where it does not fit."""
    axes = len(window.shape)
    if len(signal.spatial) != axes:
        kind = f"images with {axes} axes of positions" if axes > 1 else "sequences of positions"
        seen = f"inputs of shape {signal.shape}" if signal.spatial else f"vectors {signal.shape}"
        raise layer.error(
            f"its window {window.shape} slides over {kind} and a last axis of channels, but it "
            f"reads {seen}; give inputs as (*positions, channels), and Flatten behind it."
        )
    positions = window.output(signal.spatial)
    if min(positions) < 1:
        raise layer.error(
            f"its window {window.shape} does not fit into {signal.spatial} positions; make it "
            "smaller or pad with 'SAME'."
        )
    return positions


class AbstractConvolution(AbstractWeights):
    """What convolutions share: a window and its checks."""

    width: eqx.AbstractVar[int]
    window_shape: eqx.AbstractVar[tuple[int, ...]]
    strides: eqx.AbstractVar[int | tuple[int, ...]]
    padding: eqx.AbstractVar[Padding]

    def __check_init__(self):
        self.check_count("width", self.width)
        check_window(self, self.window_shape, self.strides, self.padding)
        self.check_weights()

    @property
    def name(self):
        return f"{type(self).__name__}({self.width}, {self.window_shape})"

    @property
    def window(self) -> Window:
        strides = one_per_axis(self.strides, len(self.window_shape))
        return Window(self.window_shape, strides, self.padding)

    def signal(self, signal):
        return self.made(signal, (*window_signal(self, self.window, signal), self.width))

    @abc.abstractmethod
    def init(self, key, input_shape): ...


def check_window(
    layer: AbstractLayer, shape: tuple[int, ...], strides: int | Sequence[int], padding: str
) -> None:
    """Raise ArchitectureError for a window that is none."""
    if not isinstance(shape, tuple) or not 1 <= len(shape) <= 3:
        raise layer.error(f"its window must have one to three axes, such as (3, 3), got {shape!r}.")
    for size in shape:
        layer.check_count("window_shape", size)
    for stride in (all_strides := one_per_axis(strides, len(shape))):
        layer.check_count("strides", stride)
    if len(all_strides) != len(shape):
        raise layer.error(f"its window {shape} and its strides {strides} differ in their axes.")
    if padding not in PADDINGS:
        raise layer.error(f"`padding` must be one of {', '.join(PADDINGS)}, got {padding!r}.")


class Conv(AbstractConvolution):
    r"""Convolution to `width` channels, :math:`h_s = \sqrt{v_w / n k} \sum_\delta W_\delta
    \phi_{s + \delta} + \sqrt{v_b} \beta` over the :math:`k` places of a window `window_shape`,

    .. math:: K'_{s s'} = \frac{v_w}{k} \sum_\delta K_{s + \delta, s' + \delta} + v_b

    (Novak et al. 2019, eq. 7; Garriga-Alonso et al. 2019, eq. 5). `padding` is "SAME" (zeros
    outside), "VALID" or "CIRCULAR". Raises ArchitectureError for a window that is none.
    """

    width: int = eqx.field(static=True)
    window_shape: tuple[int, ...] = eqx.field(static=True, converter=as_tuple)
    strides: int | tuple[int, ...] = eqx.field(static=True, default=1, converter=as_tuple)
    padding: Padding = eqx.field(static=True, default="SAME")
    weight_variance: Scalar = eqx.field(kw_only=True, default=1.0, converter=as_number)
    bias_variance: Scalar | None = eqx.field(kw_only=True, default=0.0, converter=as_number)
    parameterization: Parameterization = eqx.field(static=True, kw_only=True, default="ntk")

    def init(self, key, input_shape):
        channels = as_signal(input_shape).channels
        shape = (*self.window_shape, channels, self.width)
        return self.draw(key, shape, (self.width,), channels, self.window.places)

    def apply(self, params, X, *, key=None):
        window = self.window
        weights, bias = self.scaled(params, X.shape[-1], window.places)
        axes = len(window.shape)
        padded = window.padded(X, 1, 1)
        return bias + jax.lax.conv_general_dilated(
            padded, weights, window.strides, "VALID", dimension_numbers=dimension_numbers(axes)
        )

    def needs(self, scope, *, own):
        return scope

    def propagate(self, state, scope, own):
        window = self.window
        spatial = window.output(state.spatial)
        means = state.mapped(
            lambda array: window.sums(array, state.batch_axes, state.paired) / window.places,
            spatial=spatial,
        )
        return self.mixed(means, window.places, self.width)


class LocallyConnected(AbstractConvolution):
    r"""Convolution whose weights and biases differ between positions: :class:`Conv` with
    :math:`K'_{s s'} = 0` for :math:`s \neq s'` (Novak et al. 2019, section 5.1)."""

    width: int = eqx.field(static=True)
    window_shape: tuple[int, ...] = eqx.field(static=True, converter=as_tuple)
    strides: int | tuple[int, ...] = eqx.field(static=True, default=1, converter=as_tuple)
    padding: Padding = eqx.field(static=True, default="SAME")
    weight_variance: Scalar = eqx.field(kw_only=True, default=1.0, converter=as_number)
    bias_variance: Scalar | None = eqx.field(kw_only=True, default=0.0, converter=as_number)
    parameterization: Parameterization = eqx.field(static=True, kw_only=True, default="ntk")

    def init(self, key, input_shape):
        signal = as_signal(input_shape)
        channels, positions = signal.channels, self.window.output(signal.spatial)
        weights = (*positions, channels * self.window.places, self.width)
        bias = (*positions, self.width)
        return self.draw(key, weights, bias, channels, self.window.places)

    def apply(self, params, X, *, key=None):
        window = self.window
        weights, bias = self.scaled(params, X.shape[-1], window.places)
        axes = len(window.shape)
        patches = jax.lax.conv_general_dilated_patches(
            window.padded(X, 1, 1),
            window.shape,
            window.strides,
            "VALID",
            dimension_numbers=dimension_numbers(axes),
        )
        return bias + jnp.einsum("n...c,...cw->n...w", patches, weights)

    def needs(self, scope, *, own):
        return min(scope, Scope.POSITIONS)

    def propagate(self, state, scope, own):
        state = state.scoped(Scope.POSITIONS)
        window = self.window
        spatial = window.output(state.spatial)
        means = state.mapped(
            lambda array: window.sums(array, state.batch_axes, False) / window.places,
            spatial=spatial,
        )
        mixed = self.mixed(means, window.places, self.width)
        if scope is not Scope.PAIRS:
            return mixed
        identity = position_identity(spatial, state.covariance.dtype)
        batch = mixed.batch_axes

        def spread(array):
            for axis in range(len(spatial)):
                array = jnp.expand_dims(array, batch + 2 * axis + 1)
            return array * identity

        return mixed.mapped(spread, paired=True)
