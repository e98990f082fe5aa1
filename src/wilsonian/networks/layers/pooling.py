"""Pooling and flattening: what becomes of positions."""

from __future__ import annotations

import math

import equinox as eqx
import jax.numpy as jnp

from wilsonian.networks.layers.convolution import check_window, window_signal
from wilsonian.networks.layers.covariances import Scope
from wilsonian.networks.layers.layer import AbstractParameterFree
from wilsonian.networks.layers.signals import RAW
from wilsonian.networks.layers.windows import Padding, Window, as_tuple, one_per_axis


class AbstractPool(AbstractParameterFree):
    """What pools share: a window, moved by its own size unless `strides` says otherwise."""

    window_shape: eqx.AbstractVar[tuple[int, ...]]
    strides: eqx.AbstractVar[int | tuple[int, ...] | None]
    padding: eqx.AbstractVar[Padding]

    def __check_init__(self):
        strides = self.window_shape if self.strides is None else self.strides
        check_window(self, self.window_shape, strides, self.padding)

    @property
    def name(self):
        return f"{type(self).__name__}({self.window_shape})"

    @property
    def window(self) -> Window:
        strides = self.window_shape if self.strides is None else self.strides
        return Window(
            self.window_shape, one_per_axis(strides, len(self.window_shape)), self.padding
        )

    @property
    def scale(self) -> float:
        """Factor of the sum over the window."""
        return 1.0

    def signal(self, signal):
        return signal.changed(shape=(*window_signal(self, self.window, signal), signal.channels))

    def apply(self, params, X, *, key=None):
        return self.scale * self.window.sums(X, 1, False)

    def needs(self, scope, *, own):
        return Scope.PAIRS if scope else scope

    def propagate(self, state, scope, own):
        window = self.window
        return state.mapped(
            lambda array: self.scale**2 * window.pair_sums(array, state.batch_axes),
            spatial=window.output(state.spatial),
        ).scoped(scope)


class SumPool(AbstractPool):
    r"""Sum over a window, :math:`K'_{I I'} = \sum_{s \in I, s' \in I'} K_{s s'}`; zeros outside
    the image with padding "SAME"."""

    window_shape: tuple[int, ...] = eqx.field(static=True, converter=as_tuple)
    strides: int | tuple[int, ...] | None = eqx.field(static=True, default=None, converter=as_tuple)
    padding: Padding = eqx.field(static=True, default="VALID")


class AvgPool(AbstractPool):
    r"""Mean over a window: :class:`SumPool` divided by the places of the window (all of them, also
    where it looks at padding)."""

    window_shape: tuple[int, ...] = eqx.field(static=True, converter=as_tuple)
    strides: int | tuple[int, ...] | None = eqx.field(static=True, default=None, converter=as_tuple)
    padding: Padding = eqx.field(static=True, default="VALID")

    @property
    def scale(self):
        return 1 / self.window.places


class GlobalAvgPool(AbstractParameterFree):
    r"""Mean over all positions, which leaves a vector of channels:
    :math:`K' = S^{-2} \sum_{s s'} K_{s s'}` with :math:`S` positions."""

    def signal(self, signal):
        if not signal.spatial:
            raise self.error(
                f"it averages over positions, but it reads vectors of shape {signal.shape}; give "
                "`input_shape` as (*positions, channels), or leave it out."
            )
        return signal.changed(shape=(signal.channels,))

    def apply(self, params, X, *, key=None):
        return jnp.mean(X, axis=tuple(range(1, X.ndim - 1)))

    def needs(self, scope, *, own):
        return Scope.PAIRS if scope else scope

    def propagate(self, state, scope, own):
        axes = tuple(range(state.batch_axes, state.covariance.ndim))
        return state.mapped(lambda array: jnp.mean(array, axis=axes), spatial=(), paired=False)


class Flatten(AbstractParameterFree):
    r"""Positions and channels in one row, :math:`K' = S^{-1} \sum_s K_{s s}`: what is read next
    has weights of its own for every position, so that only positions with themselves matter."""

    def signal(self, signal):
        if not signal.spatial:
            return signal
        # Units of different variance are no longer of one Gaussian law.
        law = RAW if signal.law == RAW else "flattened images"
        return signal.changed(shape=(math.prod(signal.shape),), law=law)

    def apply(self, params, X, *, key=None):
        return X.reshape(X.shape[0], -1)

    def needs(self, scope, *, own):
        return min(scope, Scope.POSITIONS)

    def propagate(self, state, scope, own):
        state = state.scoped(Scope.POSITIONS)
        axes = tuple(range(state.batch_axes, state.covariance.ndim))
        return state.mapped(
            lambda array: jnp.mean(array, axis=axes),
            spatial=(),
            channels=state.channels * math.prod(state.spatial),
        )
