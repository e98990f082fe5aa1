r"""Activations: a function, and its expectations over Gaussian pairs in closed form.

The infinite network reads three expectations of an activation :math:`\phi` over centred Gaussians
:math:`u` of variance :math:`q_x` and :math:`v` of variance :math:`q_z` with covariance :math:`k`:
:math:`E[\phi(u) \phi(v)]`, :math:`E[\phi'(u) \phi'(v)]`, and :math:`E[\phi(u)^2]`.
"""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wilsonian.kernels import safe_sqrt
from wilsonian.networks.layers.angles import angle_to_pi, arcsine, correlation
from wilsonian.networks.layers.covariances import OwnPass, Scope
from wilsonian.networks.layers.layer import AbstractParameterFree
from wilsonian.networks.layers.signals import GAUSSIAN

Numbers = Float[Array, "..."]


class AbstractActivation(AbstractParameterFree):
    r"""A function of one number that a network applies to every one of its units.

    As a layer, :math:`K' = E[\phi(u) \phi(v)]` and :math:`\Theta' = E[\phi'(u) \phi'(v)] \Theta`.
    """

    @abc.abstractmethod
    def __call__(self, x: Numbers) -> Numbers:
        """The function itself, element by element: what a finite network computes."""

    @abc.abstractmethod
    def moments(
        self, x_variance: Numbers, z_variance: Numbers, covariance: Numbers
    ) -> tuple[Numbers, Numbers]:
        r""":math:`E[\phi(u) \phi(v)]` and :math:`E[\phi'(u) \phi'(v)]` of Gaussian pairs.

        The three arrays broadcast: a Gram matrix has variances of shapes (n, 1) and (1, m).
        """

    @abc.abstractmethod
    def second_moment(self, variance: Numbers) -> Numbers:
        r""":math:`E[\phi(u)^2]`."""

    @abc.abstractmethod
    def slope_moment(self, variance: Numbers) -> Numbers:
        r""":math:`E[\phi'(u)^2]`; times the weight variance it is :math:`\chi_1`."""

    def signal(self, signal):
        if signal.law != GAUSSIAN:
            raise self.error(
                f"its expectations are over {GAUSSIAN}, but it reads {signal.law}; put a Dense or "
                "a Conv before it."
            )
        return signal.changed(law=f"the features of a {self.name}", centered=False)

    def apply(self, params, X, *, key=None):
        return self(X)

    def needs(self, scope, *, own):
        return max(scope, Scope.POSITIONS) if own else scope

    def propagate(self, state, scope, own):
        x_variance, z_variance = own.variances(state)
        if scope is Scope.NOTHING:
            return state
        if isinstance(own, OwnPass) and not state.paired:
            moment, slope = self.second_moment(x_variance), self.slope_moment(x_variance)
        else:
            moment, slope = self.moments(x_variance, z_variance, state.covariance)
        tangent = None if state.tangent is None else slope * state.tangent
        return state.changed(covariance=moment, tangent=tangent)


class AbstractPiecewiseLinear(AbstractActivation):
    r"""Two slopes that meet at zero, :math:`\phi(u) = \alpha \max(u, 0) + \beta \min(u, 0)`.

    With :math:`\cos\theta = k / \sqrt{q_x q_z}` (Cho and Saul 2009, eq. 6; by
    :math:`\phi(u) = (\alpha - \beta) \max(u, 0) + \beta u`),

    .. math::
        E[\phi \phi] &= (\alpha - \beta)^2 \frac{\sqrt{q_x q_z}}{2\pi}
        (\sin\theta + (\pi - \theta) \cos\theta) + \alpha \beta k, \\
        E[\phi' \phi'] &= (\alpha - \beta)^2 \frac{\pi - \theta}{2\pi} + \alpha \beta .

    Gradients stay finite at identical, opposite and zero inputs.
    """

    @property
    @abc.abstractmethod
    def slopes(self) -> tuple[float, float]:
        r""":math:`\alpha` above zero and :math:`\beta` below."""

    def __call__(self, x):
        above, below = self.slopes
        # The slope at zero is the mean of both, as that of the expectations is.
        return (above + below) / 2 * x + (above - below) / 2 * jnp.abs(x)

    def moments(self, x_variance, z_variance, covariance):
        above, below = self.slopes
        cosine, squared_sine = correlation(x_variance, z_variance, covariance)
        sine = safe_sqrt(squared_sine)
        rest = angle_to_pi(sine, cosine)
        factor = (above - below) ** 2 / (2 * jnp.pi)
        norm = factor * safe_sqrt(x_variance) * safe_sqrt(z_variance)
        moment, slope = norm * (sine + rest * cosine), factor * rest
        if above * below:
            moment, slope = moment + above * below * covariance, slope + above * below
        return moment, slope

    def second_moment(self, variance):
        above, below = self.slopes
        return (above**2 + below**2) / 2 * variance

    def slope_moment(self, variance):
        above, below = self.slopes
        return jnp.full_like(variance, (above**2 + below**2) / 2)


class Relu(AbstractPiecewiseLinear):
    r"""Rectified linear, :math:`\max(u, 0)`: the arc-cosine kernel of order one (Cho and Saul
    2009). `weight_variance=2` keeps the variance through depth (He initialization)."""

    @property
    def slopes(self):
        return 1.0, 0.0


class LeakyRelu(AbstractPiecewiseLinear):
    r"""Leaky rectifier, :math:`\max(u, 0) + s \min(u, 0)`."""

    slope: float = eqx.field(static=True, default=0.1)

    @property
    def slopes(self):
        return 1.0, self.slope


class Abs(AbstractPiecewiseLinear):
    r"""Absolute value, :math:`|u|`."""

    @property
    def slopes(self):
        return 1.0, -1.0


class Erf(AbstractActivation):
    r"""Error function (Williams 1997, eq. 11),

    .. math::
        E[\phi \phi] = \frac{2}{\pi} \arcsin\frac{2 k}{\sqrt{(1 + 2 q_x)(1 + 2 q_z)}},
        \quad E[\phi' \phi'] = \frac{4}{\pi} [(1 + 2 q_x)(1 + 2 q_z) - 4 k^2]^{-1/2} .
    """

    def __call__(self, x):
        return jax.scipy.special.erf(x)

    def moments(self, x_variance, z_variance, covariance):
        # The arcsine from sine and cosine: at large inputs the sine rounds to one, where arcsin
        # has no derivative. By shares of one, so that nothing cancels or overflows:
        # cosine^2 = 1 - 4 k^2 s_x s_z = s_x + s_z - s_x s_z + (1 - s_x)(1 - s_z) sin^2,
        # with s = 1 / (1 + 2 q) and the angle between the inputs.
        x_share, z_share = 1 / (1 + 2 * x_variance), 1 / (1 + 2 * z_variance)
        _, squared_sine = correlation(x_variance, z_variance, covariance)
        rest = (2 * x_variance * x_share) * (2 * z_variance * z_share) * squared_sine
        cosine = jnp.sqrt(x_share + z_share * (1 - x_share) + rest)
        x_root, z_root = jnp.sqrt(x_share), jnp.sqrt(z_share)
        angle = arcsine(2 * covariance * x_root * z_root, cosine)
        return 2 / jnp.pi * angle, 4 / jnp.pi * x_root * z_root / cosine

    def second_moment(self, variance):
        share = 1 / (1 + 2 * variance)
        return 2 / jnp.pi * arcsine(2 * variance * share, jnp.sqrt(share * (2 - share)))

    def slope_moment(self, variance):
        return 4 / jnp.pi / jnp.sqrt(1 + 4 * variance)


class Sign(AbstractActivation):
    r"""Sign, :math:`E[\phi \phi] = 1 - 2 \theta / \pi`, with slope zero, as automatic
    differentiation has it. (The true :math:`E[\phi' \phi']` diverges at identical inputs.)"""

    def __call__(self, x):
        return jnp.sign(x)

    def moments(self, x_variance, z_variance, covariance):
        cosine, squared_sine = correlation(x_variance, z_variance, covariance)
        rest = angle_to_pi(safe_sqrt(squared_sine), cosine)
        return 2 / jnp.pi * rest - 1, jnp.zeros_like(rest)

    def second_moment(self, variance):
        return jnp.where(variance > 0, 1.0, jnp.zeros_like(variance))

    def slope_moment(self, variance):
        return jnp.zeros_like(variance)


class Step(AbstractActivation):
    r"""Step from zero to one, one half at zero: the arc-cosine kernel of order zero,
    :math:`E[\phi \phi] = (\pi - \theta) / 2 \pi` (Cho and Saul 2009), with slope zero."""

    def __call__(self, x):
        return jnp.sign(x) / 2 + 0.5

    def moments(self, x_variance, z_variance, covariance):
        cosine, squared_sine = correlation(x_variance, z_variance, covariance)
        rest = angle_to_pi(safe_sqrt(squared_sine), cosine)
        return rest / (2 * jnp.pi), jnp.zeros_like(rest)

    def second_moment(self, variance):
        return jnp.where(variance > 0, 0.5, jnp.full_like(variance, 0.25))

    def slope_moment(self, variance):
        return jnp.zeros_like(variance)
