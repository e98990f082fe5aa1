"""Kernels of infinitely wide fully connected networks: NNGP and NTK of ReLU and erf layers."""

from __future__ import annotations

import abc
from typing import Literal

import equinox as eqx

from wilsonian.core.types import Scalar
from wilsonian.kernels.kernel import Kernel
from wilsonian.networks.kernel import NetworkKernel, nngp, ntk
from wilsonian.networks.layers.activations import AbstractActivation, Erf, Relu
from wilsonian.networks.layers.layer import Dense, serial


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

    @property
    @abc.abstractmethod
    def activation(self) -> AbstractActivation:
        """The nonlinearity of every hidden layer, which knows its expectations."""

    def network(self) -> NetworkKernel:
        """The same kernel as that of an architecture, layer by layer."""
        dense = Dense(1, weight_variance=self.weight_variance, bias_variance=self.bias_variance)
        layers = serial(*(dense, self.activation) * self.depth, dense)
        return nngp(layers) if self.kind == "nngp" else ntk(layers)

    def evaluate(self, x, z):
        return self.network().evaluate(x, z)

    def gram(self, X, Z):
        return self.network().gram(X, Z)

    def diagonal(self, X):
        return self.network().diagonal(X)


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

    @property
    def activation(self):
        return Relu()


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

    @property
    def activation(self):
        return Erf()
