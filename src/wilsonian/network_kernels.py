"""Kernels of infinitely wide fully connected networks: NNGP and NTK of ReLU and erf layers."""

from __future__ import annotations

import abc
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.kernels import Kernel, Scalar, inner_product, safe_sqrt

ScalarArray = Float[Array, ""]


def correlation(
    x_variance: ScalarArray, z_variance: ScalarArray, covariance: ScalarArray
) -> tuple[ScalarArray, ScalarArray]:
    """Cosine of the angle between two Gaussians, zero if one of them is, and its squared sine.

    A sine below the rounding of the cosine is zero, and the cosine +-1: otherwise an input would
    lie at an angle of ~sqrt(eps) from itself, more in deeper layers, and tangent kernels, which
    have a cusp there, would lose half their digits.
    """
    x_norm = jnp.sqrt(jnp.where(x_variance > 0, x_variance, 1.0))
    z_norm = jnp.sqrt(jnp.where(z_variance > 0, z_variance, 1.0))
    cosine = covariance / x_norm / z_norm  # one by one: their product overflows sooner
    squared_sine = (1 - cosine) * (1 + cosine)
    apart = squared_sine > 16 * jnp.finfo(cosine.dtype).eps
    return jnp.where(apart, cosine, jnp.sign(cosine)), jnp.where(apart, squared_sine, 0.0)


class AbstractFullyConnected(Kernel):
    r"""Infinite-width limit of `depth` hidden layers followed by a linear read-out.

    Every dense layer computes :math:`h = \sqrt{v_w / n_{in}}\, W \phi + \sqrt{v_b}\, \beta` with
    standard normal :math:`W, \beta` (NTK parameterization), so that, with
    :math:`(u, v) \sim N(0, K^{(l)})` and :math:`\Theta^{(0)} = K^{(0)}`,

    .. math::
        K^{(0)} &= v_w\, x \cdot z / d + v_b, \\
        K^{(l+1)} &= v_w\, E[\phi(u) \phi(v)] + v_b, \\
        \Theta^{(l+1)} &= K^{(l+1)} + v_w\, E[\phi'(u) \phi'(v)]\, \Theta^{(l)} .

    `kind="nngp"` is the covariance :math:`K^{(L)}` of the network at initialization (Lee et al.
    2018), `kind="ntk"` the kernel :math:`\Theta^{(L)}` of its gradient flow (Jacot et al. 2018).
    """

    depth: eqx.AbstractVar[int]
    kind: eqx.AbstractVar[Literal["nngp", "ntk"]]
    weight_variance: eqx.AbstractVar[Scalar]
    bias_variance: eqx.AbstractVar[Scalar]

    def __check_init__(self):
        if not isinstance(self.depth, int) or self.depth < 1:
            raise ValueError(
                f"`depth` counts hidden layers and must be at least 1, got {self.depth!r}."
            )
        if self.kind not in ("nngp", "ntk"):
            raise ValueError(f"`kind` must be 'nngp' or 'ntk', got {self.kind!r}.")

    @abc.abstractmethod
    def moments(
        self, x_variance: ScalarArray, z_variance: ScalarArray, covariance: ScalarArray
    ) -> tuple[ScalarArray, ScalarArray]:
        r""":math:`E[\phi(u) \phi(v)]` and :math:`E[\phi'(u) \phi'(v)]` of a Gaussian pair."""

    @abc.abstractmethod
    def second_moment(self, variance: ScalarArray) -> ScalarArray:
        r""":math:`E[\phi(u)^2]`."""

    def layer(self, moment: ScalarArray) -> ScalarArray:
        return self.weight_variance * moment + self.bias_variance

    def evaluate(self, x, z):
        width = x.shape[0]
        x_variance = self.layer(inner_product(x, x) / width)
        z_variance = self.layer(inner_product(z, z) / width)
        covariance = self.layer(inner_product(x, z) / width)
        tangent = covariance
        for _ in range(self.depth):
            moment, derivative = self.moments(x_variance, z_variance, covariance)
            x_variance = self.layer(self.second_moment(x_variance))
            z_variance = self.layer(self.second_moment(z_variance))
            covariance = self.layer(moment)
            tangent = covariance + self.weight_variance * derivative * tangent
        return covariance if self.kind == "nngp" else tangent


class ArcCosine(AbstractFullyConnected):
    r"""Fully connected ReLU network: iterated arc-cosine kernels of order one (Cho and Saul 2009,
    eq. 6),

    .. math::
        E[\phi \phi] = \frac{\sqrt{q_x q_z}}{2\pi} (\sin\theta + (\pi - \theta) \cos\theta),
        \quad E[\phi' \phi'] = \frac{\pi - \theta}{2\pi},
        \quad \cos\theta = \frac{k}{\sqrt{q_x q_z}} .

    `weight_variance=2` keeps the variance through depth (He initialization). Gradients stay finite
    at identical, opposite and zero inputs.
    """

    depth: int = eqx.field(static=True, default=1)
    kind: Literal["nngp", "ntk"] = eqx.field(static=True, default="nngp")
    weight_variance: Scalar = 2.0
    bias_variance: Scalar = 0.0

    def moments(self, x_variance, z_variance, covariance):
        cosine, squared_sine = correlation(x_variance, z_variance, covariance)
        # atan2 of a safe root, not arccos: its derivative is infinite at cosine +-1.
        sine = safe_sqrt(squared_sine)
        angle = jnp.arctan2(sine, cosine)
        norm = safe_sqrt(x_variance) * safe_sqrt(z_variance)
        moment = norm / 2 * ((sine + (jnp.pi - angle) * cosine) / jnp.pi)
        return moment, (jnp.pi - angle) / (2 * jnp.pi)

    def second_moment(self, variance):
        return variance / 2


class ErfNetwork(AbstractFullyConnected):
    r"""Fully connected network of error functions (Williams 1997, eq. 11),

    .. math::
        E[\phi \phi] = \frac{2}{\pi} \arcsin\frac{2 k}{\sqrt{(1 + 2 q_x)(1 + 2 q_z)}},
        \quad E[\phi' \phi'] = \frac{4}{\pi} [(1 + 2 q_x)(1 + 2 q_z) - 4 k^2]^{-1/2} .
    """

    depth: int = eqx.field(static=True, default=1)
    kind: Literal["nngp", "ntk"] = eqx.field(static=True, default="nngp")
    weight_variance: Scalar = 1.0
    bias_variance: Scalar = 0.0

    def moments(self, x_variance, z_variance, covariance):
        # arcsin(sine) by atan2(sine, cosine): at large inputs the sine rounds to one, where arcsin
        # has no derivative. By shares of one, so that nothing cancels or overflows:
        # cosine^2 = 1 - 4 k^2 s_x s_z = s_x + s_z - s_x s_z + (1 - s_x)(1 - s_z) sin^2,
        # with s = 1 / (1 + 2 q) and the angle between the inputs.
        x_share, z_share = 1 / (1 + 2 * x_variance), 1 / (1 + 2 * z_variance)
        _, squared_sine = correlation(x_variance, z_variance, covariance)
        rest = 4 * (x_variance * x_share) * (z_variance * z_share) * squared_sine
        cosine = jnp.sqrt(x_share + z_share * (1 - x_share) + rest)
        root = jnp.sqrt(x_share) * jnp.sqrt(z_share)
        angle = jnp.arctan2(2 * covariance * root, cosine)
        return 2 / jnp.pi * angle, 4 / jnp.pi * root / cosine

    def second_moment(self, variance):
        return 2 / jnp.pi * jnp.arctan2(2 * variance, jnp.sqrt(1 + 4 * variance))
