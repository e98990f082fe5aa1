"""Self-attention over positions, embeddings of images, and embeddings of positions."""

from __future__ import annotations

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from wilsonian.core.types import Scalar
from wilsonian.networks.layers.convolution import Conv
from wilsonian.networks.layers.covariances import Scope, as_matrix, from_matrix, position_identity
from wilsonian.networks.layers.layer import AbstractLayer, Serial, as_number
from wilsonian.networks.layers.signals import GAUSSIAN, Signal, as_signal


class GlobalSelfAttention(AbstractLayer):
    r"""Multi-head attention of every position to every other, its NNGP (Hron et al. 2020).

    With queries and keys of `key_width` channels :math:`d`, values of `value_width` channels, and
    all weights of mean zero; :math:`h` the features, :math:`K_{ab}` their covariance:

    `scaling="linear"`: logits :math:`G_{ab} = Q_a \cdot Q_b / d` with keys equal to the queries at
    initialization, which tend to :math:`v_q K_{ab}(x, x)`, and attention
    :math:`A = \mathrm{softmax}(G)`, so that

    .. math:: K'(x, z) = v_o v_v A(x) K(x, z) A(z)^T .

    `scaling="root"`: logits :math:`Q_a \cdot K_b / \sqrt d` of independent queries and keys, which
    stay random, and attention :math:`A = G` without softmax, for many heads (their theorem 3),

    .. math:: K'_{ac}(x, z) = v_o v_v v_q^2\, K_{ac}(x, z) \sum_{bd} K_{bd}(x, z)^2 .

    Raises ArchitectureError on vectors; there is no rule for its tangent kernel.
    """

    width: int = eqx.field(static=True)
    heads: int = eqx.field(static=True, default=8)
    key_width: int = eqx.field(static=True, default=64)
    value_width: int = eqx.field(static=True, default=64)
    scaling: Literal["linear", "root"] = eqx.field(static=True, default="linear")
    query_variance: Scalar = eqx.field(kw_only=True, default=1.0, converter=as_number)
    value_variance: Scalar = eqx.field(kw_only=True, default=1.0, converter=as_number)
    output_variance: Scalar = eqx.field(kw_only=True, default=1.0, converter=as_number)

    def __check_init__(self):
        for label in ("width", "heads", "key_width", "value_width"):
            self.check_count(label, getattr(self, label))
        for label in ("query_variance", "value_variance", "output_variance"):
            self.check_number(label, getattr(self, label))
        if self.scaling not in ("linear", "root"):
            raise self.error(f"`scaling` must be 'linear' or 'root', got {self.scaling!r}.")

    def signal(self, signal):
        if not signal.spatial:
            raise self.error(
                f"it attends to positions, but it reads vectors of shape {signal.shape}; give "
                "inputs as (*positions, channels)."
            )
        return Signal((*signal.spatial, self.width), GAUSSIAN, weights=True, centered=True)

    def init(self, key, input_shape):
        channels, keys = as_signal(input_shape).channels, jax.random.split(key, 4)
        queries = jax.random.normal(keys[0], (self.heads, channels, self.key_width))
        if self.scaling == "linear":
            key_weights = queries
        else:
            key_weights = jax.random.normal(keys[1], queries.shape)
        return {
            "queries": queries,
            "keys": key_weights,
            "values": jax.random.normal(keys[2], (self.heads, channels, self.value_width)),
            "output": jax.random.normal(keys[3], (self.heads, self.value_width, self.width)),
        }

    def apply(self, params, X, *, key=None):
        rows = X.reshape(X.shape[0], -1, X.shape[-1])
        in_scale = jnp.sqrt(self.query_variance / X.shape[-1])
        queries = in_scale * jnp.einsum("nsc,hck->nhsk", rows, params["queries"])
        keys = in_scale * jnp.einsum("nsc,hck->nhsk", rows, params["keys"])
        values = jnp.einsum("nsc,hcv->nhsv", rows, params["values"])
        values = jnp.sqrt(self.value_variance / X.shape[-1]) * values
        logits = jnp.einsum("nhsk,nhtk->nhst", queries, keys)
        if self.scaling == "linear":
            attention = jax.nn.softmax(logits / self.key_width, axis=-1)
        else:
            attention = logits / math.sqrt(self.key_width)
        heads = jnp.einsum("nhst,nhtv->nhsv", attention, values)
        out_scale = jnp.sqrt(self.output_variance / (self.heads * self.value_width))
        output = out_scale * jnp.einsum("nhsv,hvw->nsw", heads, params["output"])
        return output.reshape(*X.shape[:-1], self.width)

    def needs(self, scope, *, own):
        if own and self.scaling == "linear":
            return Scope.PAIRS
        return Scope.PAIRS if scope else scope

    def propagate(self, state, scope, own):
        if state.tracks_tangent:
            raise self.error("it has no rule for tangent kernels; use its NNGP.")
        scale = self.output_variance * self.value_variance
        if self.scaling == "linear":
            x, z = (
                jax.nn.softmax(self.query_variance * pairs, axis=-1) for pairs in own.pairs(state)
            )
            if scope is Scope.NOTHING:
                return state
            pairs = as_matrix(state.covariance, state.spatial)
            mixed = jnp.einsum("...ab,...bd,...cd->...ac", x, pairs, z, precision="highest")
            covariance = scale * from_matrix(mixed, state.spatial)
        else:
            axes = tuple(range(state.batch_axes, state.covariance.ndim))
            squares = jnp.sum(state.covariance**2, axis=axes, keepdims=True)
            covariance = scale * self.query_variance**2 * state.covariance * squares
        return state.changed(covariance=covariance, channels=self.width).scoped(scope)


class PositionEmbedding(AbstractLayer):
    r"""Adds to every position a random vector of its own, the same for all inputs:
    :math:`K'_{s s'} = K_{s s'} + v\, \delta_{s s'}`, and so for :math:`\Theta`, because it is
    trained. Without it, attention does not know where a position is."""

    variance: Scalar = 1.0

    def __check_init__(self):
        self.check_number("variance", self.variance)

    def signal(self, signal):
        if not signal.spatial:
            raise self.error(f"it marks positions, but it reads vectors of shape {signal.shape}.")
        return signal

    def init(self, key, input_shape):
        return {"embedding": jax.random.normal(key, as_signal(input_shape).shape)}

    def apply(self, params, X, *, key=None):
        return X + jnp.sqrt(self.variance) * params["embedding"]

    def needs(self, scope, *, own):
        return scope

    def propagate(self, state, scope, own):
        added = jnp.ones((), state.covariance.dtype) * self.variance
        if state.paired:
            added = added * position_identity(state.spatial, state.covariance.dtype)
        tangent = state.tangent
        if state.tracks_tangent:
            tangent = added + (jnp.zeros_like(state.covariance) if tangent is None else tangent)
        return state.changed(covariance=state.covariance + added, tangent=tangent)


def image_embedding(
    width: int,
    patch: tuple[int, ...],
    *,
    weight_variance: Scalar = 1.0,
    bias_variance: Scalar | None = 0.0,
    position_variance: Scalar = 0.0,
) -> Serial:
    """Patches of an image as `width` channels each, with an embedding of their positions
    (Dosovitskiy et al. 2021): a convolution whose window steps by its own size."""
    convolution = Conv(
        width,
        patch,
        patch,
        "VALID",
        weight_variance=weight_variance,
        bias_variance=bias_variance,
    )
    return Serial((convolution, PositionEmbedding(position_variance)))
