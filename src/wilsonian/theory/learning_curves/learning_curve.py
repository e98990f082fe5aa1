"""Learning curves before training: how the error falls with samples, ridge and noise."""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from wilsonian.core.information import learnability
from wilsonian.core.roots import bisection
from wilsonian.core.spectrum import Spectrum
from wilsonian.core.types import Scalar
from wilsonian.kernels.eigenfunctions import Eigenfunctions
from wilsonian.theory.averaged import AveragedTheory
from wilsonian.theory.learning_curves.binned_spectrum import (
    TOLERANCE,
    BinnedSpectrum,
    check_eigenvalues,
    check_target_power,
)
from wilsonian.theory.learning_curves.deterministic_equivalent import (
    DeterministicEquivalent,
    Values,
    averaged_theory,
    deterministic_equivalent,
)

BINNED_ABOVE = 5000  # modes
PAIRS_AT_ONCE = 16  # of sample size and ridge: their sums over the nodes stay in the cache


class LearningCurve(eqx.Module):
    r"""Errors of kernel ridge regression averaged over data sets of n points, by the deterministic
    equivalent: :math:`\kappa` solves

    .. math:: n = \sum_k \frac{\lambda_k}{\lambda_k + \kappa} + \frac{\delta}{\kappa}, \qquad
        E_g = \frac{\sum_k (1 - L_k)^2 y_k^2 + \gamma \sigma_\varepsilon^2}{1 - \gamma},

    with :math:`\delta` the `ridge` added to the n by n kernel matrix (n times a ridge on the
    covariance), :math:`L_k = \lambda_k / (\lambda_k + \kappa)` and :math:`\gamma = \sum_k L_k^2 /
    n`. Exact for Gaussian features as n grows; equals :class:`AveragedTheory` at every n and ridge.

    `spectrum` is an array of eigenvalues (modes,) of the kernel on the population, descending; a
    :class:`Spectrum` or :class:`Eigenfunctions`, whose tail is then used; or a
    :class:`BinnedSpectrum`, which brings its own target power. `target` is the target's power in
    each mode, :math:`y_k^2 = E[y \phi_k]^2`: *squared* coefficients, in the order of the
    eigenvalues. `noise_variance` is :math:`\sigma_\varepsilon^2`, the variance of the labels about
    the target. `tail` is the trace of modes that are not listed: too small to learn, they act as a
    ridge. `unresolved_target` is target power outside the listed modes: never learned, it acts as
    noise, and counts as error.

    Errors are those of the noiseless target (`test_error`); `label_error` adds the noise of the
    test label. Methods broadcast sample size against ridge, and give NumPy arrays in double
    precision. Inside `jax.jit`, `jax.vmap` or `jax.grad` they give traced arrays of the ambient
    precision, differentiable in every argument and in the curve's own arrays. More than 5,000
    eigenvalues are binned to `tolerance` (see :class:`BinnedSpectrum`; 0 never bins).

    Raises ValueError for eigenvalues that are negative, not finite, all zero or out of order, a
    target of another length, negative or not finite, and a negative noise, tail or unresolved
    target.
    """

    eigenvalues: Float[Values, " modes"]
    target_power: Float[Values, " modes"]
    nodes: BinnedSpectrum  # what the sums run over; its own target power includes the unresolved
    noise_variance: Scalar

    def __init__(
        self,
        spectrum: Any,
        target: Any = None,
        noise_variance: Scalar = 0.0,
        *,
        tail: Scalar | None = None,
        unresolved_target: Scalar = 0.0,
        tolerance: float | int = TOLERANCE,
    ) -> None:
        check_nonnegative(noise_variance=noise_variance, unresolved_target=unresolved_target)
        self.noise_variance = noise_variance
        if isinstance(spectrum, BinnedSpectrum):
            if target is not None:
                raise ValueError(
                    "a BinnedSpectrum brings the target's power; pass it to BinnedSpectrum.of, "
                    "and no `target` here."
                )
            eigenvalues, power = spectrum.eigenvalues, spectrum.target_power
            known, counts = spectrum.tail, spectrum.multiplicity
        elif target is None:
            raise ValueError("`target` is missing; pass one squared coefficient per mode.")
        else:
            with contextlib.nullcontext() if is_traced(spectrum) else jax.enable_x64(True):
                eigenvalues, known = eigenvalues_and_tail(spectrum)
            power, counts = target, None
        tail = known if tail is None else tail
        check_nonnegative(tail=tail)
        if not is_traced(eigenvalues, power):
            eigenvalues = check_eigenvalues(eigenvalues)
            power = check_target_power(power, eigenvalues)
        elif jnp.shape(eigenvalues) != jnp.shape(power):
            check_target_power(np.zeros(jnp.shape(power)), np.zeros(jnp.shape(eigenvalues)))
        self.eigenvalues, self.target_power = eigenvalues, power
        numbers = jnp if is_traced(eigenvalues, power, unresolved_target) else np
        if counts is None:
            counts = np.ones(len(eigenvalues))
            if len(eigenvalues) > BINNED_ABOVE and tolerance > 0 and numbers is np:
                binned = BinnedSpectrum.of(eigenvalues, power, tolerance=tolerance)
                eigenvalues, power = binned.eigenvalues, binned.target_power
                counts = binned.multiplicity
        # One more node, of eigenvalue zero, holds what no mode can learn.
        self.nodes = BinnedSpectrum(
            numbers.append(eigenvalues, 0.0),
            numbers.append(counts, 0.0),
            numbers.append(power, unresolved_target),
            tail,
        )

    def theory(self, n: Scalar, ridge: Scalar) -> AveragedTheory:
        """The averaged theory of one sample size and ridge; the tail is absorbed."""
        return averaged_theory(self.nodes, self.noise_variance, n, ridge)

    def equivalent(self, n: Any, ridge: Any) -> DeterministicEquivalent:
        """Everything at once, for sample sizes `n` broadcast against `ridge`.

        Raises ValueError unless every n is positive and every ridge at least zero, all finite.
        """
        return self._over_pairs(_equivalents, n, ridge)

    def test_error(self, n: Any, ridge: Any) -> Float[Values, "..."]:
        r"""Mean squared error of the noiseless target, :math:`E_g`."""
        return self.equivalent(n, ridge).test_error

    def label_error(self, n: Any, ridge: Any) -> Float[Values, "..."]:
        r"""Mean squared error of a new noisy label, :math:`E_g + \sigma_\varepsilon^2`."""
        return self.equivalent(n, ridge).label_error

    def train_error(self, n: Any, ridge: Any) -> Float[Values, "..."]:
        r"""Mean squared error of the noisy training labels, :math:`(\delta / n \kappa)^2 (E_g +
        \sigma_\varepsilon^2)`."""
        return self.equivalent(n, ridge).train_error

    def generalization_gap(self, n: Any, ridge: Any) -> Float[Values, "..."]:
        """`label_error` less `train_error`: noise is in both."""
        return self.equivalent(n, ridge).generalization_gap

    def bias(self, n: Any, ridge: Any) -> Float[Values, "..."]:
        r"""Squared error of the predictor averaged over data sets, :math:`\sum_k (1 - L_k)^2
        y_k^2`."""
        return self.equivalent(n, ridge).bias

    def variance(self, n: Any, ridge: Any) -> Float[Values, "..."]:
        r"""Variance of the predictor over data sets, :math:`\gamma (E_g + \sigma_\varepsilon^2)`;
        bias and variance add up to `test_error`."""
        return self.equivalent(n, ridge).variance

    def effective_ridge(self, n: Any, ridge: Any) -> Float[Values, "..."]:
        r""":math:`\sigma_{\rm eff}^2 = n \kappa`."""
        return self.equivalent(n, ridge).effective_ridge

    def kappa(self, n: Any, ridge: Any) -> Float[Values, "..."]:
        r""":math:`\kappa`: modes of greater eigenvalue are learned."""
        return self.equivalent(n, ridge).kappa

    def learnability(self, n: Any, ridge: Any) -> Float[Values, "... modes"]:
        r""":math:`L_k`, of each of `eigenvalues`: the mean coefficient over the target's own."""
        return self._of_modes(lambda learned, *_: learned, n, ridge)

    def mode_mean(self, n: Any, ridge: Any) -> Float[Values, "... modes"]:
        r"""Size of the mean coefficient of each mode, :math:`L_k |y_k|`; its sign is that of
        :math:`y_k`."""
        return self._of_modes(lambda learned, power, _: learned * jnp.sqrt(power), n, ridge)

    def mode_variance(self, n: Any, ridge: Any) -> Float[Values, "... modes"]:
        r"""Variance over data sets of each mode's coefficient, :math:`L_k^2 (E_g +
        \sigma_\varepsilon^2) / n`."""
        return self._of_modes(lambda learned, _, error: learned**2 * error, n, ridge)

    def mode_error(self, n: Any, ridge: Any) -> Float[Values, "... modes"]:
        r"""Mean squared error of each mode's coefficient; with the unresolved target they add up to
        `test_error`."""
        return self._of_modes(
            lambda learned, power, error: (1 - learned) ** 2 * power + learned**2 * error, n, ridge
        )

    def local_exponent(
        self, n: Any, ridge: Any, *, ridge_exponent: float = 0.0
    ) -> Float[Values, "..."]:
        r""":math:`d \log E_g / d \log n`, exactly, by implicit differentiation: at a fixed ridge,
        or along :math:`\delta \propto n^s` with :math:`s` the `ridge_exponent` (one for a fixed
        ridge on the covariance)."""
        return self._over_pairs(_local_exponents, n, ridge, ridge_exponent)

    def optimal_ridge(self, n: Any) -> Float[Values, "..."]:
        """The ridge, at least zero, of least `test_error` at each n: zero where any ridge hurts,
        infinite where nothing can be learned. Not differentiable.

        Among 400 effective ridges over all scales the best is refined to rounding; a second
        minimum narrower than their spacing could be missed.
        """
        return self._over_pairs(_optimal_ridges, n, 0.0)

    def crossover(self, ridge: Any) -> Float[Values, "..."]:
        r"""The sample size :math:`n_\times` at which the effective ridge of ridgeless regression
        equals `ridge`: below it the error falls as if there were no ridge, above it as if there
        were no tail (docs/science/wilsonian.md, section 4). Zero where `ridge` exceeds the whole
        trace, infinite for no ridge."""
        ridge = np.asarray(ridge, float)
        check_sizes(np.ones(1), ridge)
        return self._over_pairs(_crossovers, 1.0, ridge)

    def _over_pairs(self, function: Any, n: Any, ridge: Any, *rest: Any) -> Any:
        if is_traced(self, n, ridge):
            n, ridge = jnp.broadcast_arrays(1.0 * jnp.asarray(n), 1.0 * jnp.asarray(ridge))
            one = functools.partial(function, self.nodes, self.noise_variance)
            flat = jax.vmap(lambda n, ridge: one(n, ridge, *rest))(n.ravel(), ridge.ravel())
            return jax.tree.map(lambda leaf: leaf.reshape(n.shape), flat)
        n, ridge = np.broadcast_arrays(np.asarray(n, float), np.asarray(ridge, float))
        check_sizes(n, ridge)
        padded = [np.resize(v, blocks_of(n.size) * PAIRS_AT_ONCE) for v in (n, ridge)]
        padded = [v.reshape(-1, PAIRS_AT_ONCE) for v in padded]
        # Few shapes are compiled: spectra fill up with modes that are none.
        filling = (0, power_of_two(len(self.nodes.eigenvalues)) - len(self.nodes.eigenvalues))
        with jax.enable_x64(True):
            nodes = jax.tree.map(
                lambda leaf: np.pad(np.asarray(leaf, float), filling if np.ndim(leaf) else 0),
                self.nodes,
            )
            result = _in_blocks(function, nodes, float(self.noise_variance), *padded, *rest)
        return jax.tree.map(
            lambda leaf: np.asarray(leaf).ravel()[: n.size].reshape(n.shape), result
        )

    def _of_modes(self, function: Any, n: Any, ridge: Any) -> Any:
        """`function` of learnabilities, target power and variance per learnability squared."""
        result = self.equivalent(n, ridge)
        traced = is_traced(self, result)
        with contextlib.nullcontext() if traced else jax.enable_x64(True):
            size = jnp.broadcast_to(jnp.asarray(n, float), result.kappa.shape)
            ridge, size, error = (
                jnp.asarray(value)[..., None]
                for value in (result.effective_ridge, size, result.label_error)
            )
            power = jnp.asarray(self.target_power)
            learned = learnability(jnp.asarray(self.eigenvalues), ridge, size)
            values = function(learned, power, error / size)
        return values if traced else np.asarray(values)


@functools.partial(jax.jit, static_argnums=0)
def _in_blocks(function, nodes, noise_variance, n, ridge, *rest):
    def block(pair):
        return jax.vmap(lambda n, ridge: function(nodes, noise_variance, n, ridge, *rest))(*pair)

    return jax.lax.map(block, (n, ridge))


def _equivalents(nodes, noise_variance, n, ridge):
    theory = averaged_theory(nodes, noise_variance, n, ridge)
    return deterministic_equivalent(theory, theory.effective_ridge(), nodes.tail)


def _local_exponents(nodes, noise_variance, n, ridge, ridge_exponent):
    def log_error(log_n):
        growth = jnp.exp(ridge_exponent * (log_n - jax.lax.stop_gradient(log_n)))
        theory = averaged_theory(nodes, noise_variance, jnp.exp(log_n), ridge * growth)
        return jnp.log(theory.test_error(theory.effective_ridge()))

    return jax.grad(log_error)(jnp.log(n))


def _optimal_ridges(nodes, noise_variance, n, _):
    bare = averaged_theory(nodes, noise_variance, n, 0.0)
    least = bare.effective_ridge()

    def at(log_value):
        """Bare ridge (of which the tail is a part) and error at an effective ridge."""
        value = jnp.exp(log_value)
        ridge = value - bare.posterior_variance(value)
        theory = eqx.tree_at(lambda t: t.ridge, bare, ridge)
        return ridge, theory.test_error(value)

    scale = n * nodes.eigenvalues[0]
    low = jnp.log(jnp.maximum(least, 1e-18 * scale))
    high = jnp.log(1e12 * scale)
    grid = jnp.linspace(low, high, 400)
    errors = jax.lax.map(lambda u: at(u)[1], grid)
    best = jnp.argmin(errors)
    slope = jax.grad(lambda u: at(u)[1])

    around = grid[jnp.maximum(best - 1, 0)], grid[jnp.minimum(best + 1, 399)]
    place = bisection(lambda u: slope(u) > 0, *around, steps=60)
    ridge, error = at(place)
    ridge = jnp.where(error < bare.test_error(least), jnp.maximum(ridge - nodes.tail, 0.0), 0.0)
    return jnp.where(best == 399, jnp.inf, ridge)


def _crossovers(nodes, noise_variance, _, ridge):
    def excess(log_ratio):
        kept = 1 / (1 + jnp.exp(log_ratio) * nodes.eigenvalues)
        return jnp.sum(nodes.multiplicity * nodes.eigenvalues * kept) + nodes.tail - ridge

    wide = jnp.asarray(600.0)  # of log (n / ridge); then the bisection ends in rounding
    size = ridge * jnp.exp(bisection(lambda u: excess(u) <= 0, -wide, wide, steps=70))
    whole = jnp.sum(nodes.multiplicity * nodes.eigenvalues) + nodes.tail
    return jnp.where(ridge <= nodes.tail, jnp.inf, jnp.where(ridge >= whole, 0.0, size))


def is_traced(*trees: Any) -> bool:
    """Whether any leaf is known only inside a transformed function."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def blocks_of(pairs: int) -> int:
    """How many blocks hold that many pairs, rounded up to three leading bits beyond eight."""
    blocks = max(1, -(-pairs // PAIRS_AT_ONCE))
    bits = blocks.bit_length()
    step = 1 << max(bits - 3, 0)
    return 1 << (blocks - 1).bit_length() if blocks <= 8 else -(-blocks // step) * step


def power_of_two(count: int) -> int:
    """The least power of two that is no less than `count`, nor than 64."""
    return max(64, 1 << (count - 1).bit_length())


def eigenvalues_and_tail(spectrum: Any) -> tuple[Any, Any]:
    """Eigenvalues and the mean of the tail of whatever stands for a spectrum."""
    if isinstance(spectrum, Spectrum):
        return spectrum.kept_eigenvalues, jnp.mean(spectrum.tail)
    if isinstance(spectrum, Eigenfunctions):
        variance = jnp.mean(spectrum.kernel.diagonal(spectrum.inducing_points))
        return spectrum.eigenvalues, jnp.maximum(variance - jnp.sum(spectrum.eigenvalues), 0.0)
    return spectrum, 0.0


def check_nonnegative(**values: Any) -> None:
    """Raise ValueError naming the first of `values` that is negative or not finite."""
    for name, value in values.items():
        if not is_traced(value) and not 0 <= float(value) < np.inf:
            raise ValueError(f"`{name}` must be at least zero and finite, got {value}.")


def check_sizes(n: np.ndarray, ridge: np.ndarray) -> None:
    """Raise ValueError unless sample sizes are positive and ridges at least zero, all finite."""
    for name, values, bad, need in (
        ("n", n, ~(n > 0), "positive and finite; a curve starts at one sample"),
        ("ridge", ridge, ~(ridge >= 0), "at least zero and finite; 0 is ridgeless regression"),
    ):
        bad = bad | ~np.isfinite(values)
        if np.any(bad):
            raise ValueError(f"`{name}` must be {need}, got {values[bad].flat[0]}.")
