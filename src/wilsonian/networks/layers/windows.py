"""Windows that slide over positions: their geometry, and sums over them of covariances."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from wilsonian.networks.layers.covariances import Numbers

Padding = Literal["SAME", "VALID", "CIRCULAR"]
PADDINGS = ("SAME", "VALID", "CIRCULAR")


@dataclasses.dataclass(frozen=True)
class Window:
    """A window of `shape` that moves by `strides`; outside of the image are zeros (SAME), the
    other side (CIRCULAR), or nothing: it stays inside (VALID)."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    @property
    def places(self) -> int:
        return math.prod(self.shape)

    def pads(self, spatial: Sequence[int]) -> list[tuple[int, int]]:
        kind = "VALID" if self.padding == "VALID" else "SAME"
        return jax.lax.padtype_to_pads(spatial, self.shape, self.strides, kind)

    def output(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Positions that it takes on an image; zero or less where it does not fit."""
        return tuple(
            (size + low + high - width) // stride + 1
            for size, width, stride, (low, high) in zip(
                spatial, self.shape, self.strides, self.pads(spatial), strict=True
            )
        )

    def padded(self, images: Array, first: int, copies: int) -> Array:
        """`images` with what the window sees outside of them. Its axes begin at `first`, each
        `copies` times (pairs of positions have every axis twice)."""
        pads = [(0, 0)] * images.ndim
        spatial = images.shape[first::copies][: len(self.shape)]
        for axis, pad in enumerate(self.pads(spatial)):
            for copy in range(copies):
                pads[first + copies * axis + copy] = pad
        mode = "wrap" if self.padding == "CIRCULAR" else "constant"
        return jnp.pad(images, pads, mode=mode) if any(map(any, pads)) else images

    def sums(self, covariance: Numbers, batch_axes: int, paired: bool) -> Numbers:
        r"""Sums along the window, :math:`\sum_\delta K_{s + \delta, s' + \delta}`: both positions
        of a pair move together, as the weights of a convolution are shared."""
        copies = 2 if paired else 1
        counts = self.output(covariance.shape[batch_axes::copies][: len(self.shape)])
        covariance = self.padded(covariance, batch_axes, copies)
        for axis, (width, stride, count) in enumerate(
            zip(self.shape, self.strides, counts, strict=True)
        ):
            axes = [batch_axes + copies * axis + copy for copy in range(copies)]
            shifted = (_sliced(covariance, axes, d, stride, count) for d in range(width))
            covariance = sum(shifted, start=jnp.zeros((), covariance.dtype))
        return covariance

    def pair_sums(self, covariance: Numbers, batch_axes: int) -> Numbers:
        r"""Sums over both windows, :math:`\sum_{\delta \delta'} K_{s + \delta, s' + \delta'}`."""
        counts = self.output(covariance.shape[batch_axes::2])
        covariance = self.padded(covariance, batch_axes, 2)
        geometry = zip(self.shape, self.strides, counts, strict=True)
        for axis, (width, stride, count) in enumerate(geometry):
            for copy in range(2):
                axes = [batch_axes + 2 * axis + copy]
                shifted = (_sliced(covariance, axes, d, stride, count) for d in range(width))
                covariance = sum(shifted, start=jnp.zeros((), covariance.dtype))
        return covariance


def _sliced(array: Array, axes: Sequence[int], start: int, stride: int, count: int) -> Array:
    index = [slice(None)] * array.ndim
    for axis in axes:
        index[axis] = slice(start, start + (count - 1) * stride + 1, stride)
    return array[tuple(index)]


def one_per_axis(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """A number for every axis."""
    if isinstance(value, Sequence):
        return tuple(value)
    return tuple(itertools.repeat(value, axes))


def as_tuple(value: Any) -> Any:
    """A list as a tuple, which compiled code can be looked up by."""
    return tuple(value) if isinstance(value, list) else value
