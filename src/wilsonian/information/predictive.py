r"""Predictions of the linearised network under a cutoff: mean, covariance, kernel, draws.

Outputs are :math:`f_* + J_* \delta` with the modes' own normal laws, so that

.. math:: C(x, z) = s_0^2 \Theta(x, z) + \sum_A (s_A^2 - s_0^2)\, J(x) v_A\, (J(z) v_A)^T,

:math:`s_A^2` being the variance of a mode and :math:`s_0^2` that of every direction without one
(docs/science/information.md, sections 2 and 3).
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import full_products
from wilsonian.information import products, tangent
from wilsonian.information.arguments import checked_count, checked_number
from wilsonian.information.trees import minus, plus

# A spectrum is used by what it has; its class is defined with these functions.
FisherSpectrum = Any

BLOCK = 128  # points whose covariances are in memory at a time


def linearised_mean(spectrum: FisherSpectrum, X: Array) -> Float[Array, "n k"]:
    """Outputs of the linearised network at its cut parameters."""
    network, point = spectrum.network, spectrum.point()
    before = jnp.asarray(network.evaluate(X))
    if point is network.point:
        return before
    return before + products.push_outputs(network, X, minus(point, network.point))


def law_of_outputs(
    spectrum: FisherSpectrum, X: Array
) -> tuple[Float[Array, "n k"], Float[Array, "n k k"]]:
    """Mean and covariance of the outputs at every point."""
    (covariance,) = covariances_under([spectrum.mode_variances()], spectrum, X)
    return linearised_mean(spectrum, X), covariance


def covariances_under(
    laws: list[np.ndarray], spectrum: FisherSpectrum, X: Array
) -> list[Float[Array, "n k k"]]:
    """Covariance of the outputs at every point for each of several laws of the modes (variances,
    the last of every other direction), which share the derivatives."""
    split = [_split(spectrum, variances) for variances in laws]
    blocks: list[list[Array]] = [[] for _ in laws]
    for start in range(0, len(X), BLOCK):
        points = X[start : start + BLOCK]
        steps = spectrum.modes.outputs(spectrum.network, points)
        bare = None
        if any(rest for _, rest in split):
            bare = tangent.tangent_diagonal(spectrum.network, points)
        for (own, rest), block in zip(split, blocks, strict=True):
            block.append(_weighted_square(steps, own, bare, rest))
    return [jnp.asarray(np.concatenate(block)) for block in blocks]


@jax.jit
@full_products
def _weighted_square(steps: Array, own: Array, bare: Array | None, rest: float) -> Array:
    inside = (steps * own) @ jnp.swapaxes(steps, 1, 2)
    return inside if bare is None else inside + rest * bare


def _split(spectrum: FisherSpectrum, variances: np.ndarray) -> tuple[np.ndarray, float]:
    """Variances of the modes, less that of the directions without one; and that."""
    rest = float(variances[-1]) if spectrum.others else 0.0
    return variances[:-1] - rest, rest


class FlowedKernel(eqx.Module):
    """Covariance of the linearised network's outputs under a cutoff: a kernel of points."""

    spectrum_: FisherSpectrum

    def covariance(self, X: Any, Z: Any = None) -> np.ndarray:
        """Between all pairs of outputs, (n, m, outputs, outputs)."""
        network = self.spectrum_.network
        with network.arithmetic():
            X = network.checked_inputs(X)
            Z = X if Z is None else network.checked_inputs(Z)
            own, rest = _split(self.spectrum_, self.spectrum_.mode_variances())
            at_x = self.spectrum_.modes.outputs(network, X)
            at_z = at_x if Z is X else self.spectrum_.modes.outputs(network, Z)
            total = jnp.einsum("nkq,mlq,q->nmkl", at_x, at_z, own, precision="highest")
            if rest:
                total = total + rest * tangent.tangent_kernel(network, X, Z)
            return np.asarray(total)

    def __call__(self, X: Any, Z: Any = None) -> np.ndarray:
        """Mean over outputs of each with itself, (n, m)."""
        whole = self.covariance(X, Z)
        return np.einsum("nmkk->nm", whole) / whole.shape[-1]

    def effective_mass(self, length: float, points: int = 64) -> float:
        r"""Mass :math:`m_{\rm eff}` of the field that the kernel is on a circle of that length,
        where inputs are uniform and one number each: at small momenta its spectrum falls as
        :math:`\lambda(p) \propto 1 / (p^2 + m_{\rm eff}^2)`, read off at p = 0 and the next.

        Inverse of the correlation length of what the cutoff leaves (docs/science/information.md,
        section 4). Raises ValueError for other inputs, and where the spectrum does not fall.
        """
        length = checked_number("length", length, "a positive number", above=0)
        points = checked_count("points", points, least=3)
        if self.spectrum_.network.inputs.shape[1:] != (1,):
            raise ValueError(
                "an effective mass belongs to inputs on a circle, one number each; these have "
                f"shape {self.spectrum_.network.inputs.shape[1:]}."
            )
        steps = np.arange(points)
        gram = self(length * steps[:, None] / points)
        turns = np.exp(2j * np.pi * steps / points)
        zero, first = np.sum(gram), np.real(turns.conj() @ gram @ turns)
        if not zero > first > 0:
            raise ValueError(
                f"the kernel's spectrum does not fall from p = 0 ({zero / points**2:.3g}) to the "
                f"next momentum ({first / points**2:.3g}), so it is no massive field."
            )
        return float(2 * np.pi / length / np.sqrt(zero / first - 1))

    def spectrum(self, X: Any) -> np.ndarray:
        """Eigenvalues of the kernel on the points `X`, divided by their number, descending."""
        gram = self(X)
        return np.linalg.eigvalsh(gram)[::-1] / len(gram)


def from_coordinates(spectrum: FisherSpectrum, coordinates: Any, seed: int) -> Any:
    """Whitened parameters u with the kept modes at the `coordinates`, all else where the reset
    puts it; where that has a variance, drawn with the `seed`."""
    network = spectrum.network
    kept = np.asarray(spectrum.kept_weights)[:-1] > 0
    wanted = np.asarray(coordinates, float)
    if wanted.shape != (int(kept.sum()),) or not np.all(np.isfinite(wanted)):
        raise ValueError(
            f"`coordinates` must be {int(kept.sum())} finite numbers, one per kept mode; got shape "
            f"{wanted.shape}."
        )
    point = draw(spectrum, seed) if spectrum.reset in ("prior", "keep") else spectrum.point()
    now = spectrum.modes.coordinates(network, minus(point, network.prior_point))
    step = np.zeros(len(kept))
    step[kept] = wanted - now[kept]
    return plus(point, spectrum.modes.combine(network, step.astype(network.outputs.dtype)))


def draw(spectrum: FisherSpectrum, seed: int) -> Any:
    """Whitened parameters u drawn from their law."""
    network = spectrum.network
    deviations = np.sqrt(spectrum.mode_variances())
    own, rest = deviations[:-1], float(deviations[-1]) if spectrum.others else 0.0
    random = np.random.default_rng(seed)
    noise = jax.tree.map(
        lambda leaf: jnp.asarray(random.standard_normal(leaf.shape), leaf.dtype), network.point
    )
    inside = spectrum.modes.combine(
        network, (own - rest) * spectrum.modes.coordinates(network, noise)
    )
    return _spread(spectrum.point(), rest, noise, inside)


@jax.jit
def _spread(mean: Any, rest: float, noise: Any, inside: Any) -> Any:
    return jax.tree.map(lambda at, wide, own: at + rest * wide + own, mean, noise, inside)
