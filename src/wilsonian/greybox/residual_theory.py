r"""The residual as a sector of modes: coarse grained like any other theory, ridge and all.

At one linearization of the simulator the signal is :math:`e = G \delta + r + \varepsilon` with the
parameters' shift :math:`\delta` and the residual :math:`r \sim N(0, J S J^T)`. The residual's
modes are the eigenvectors of :math:`J S J^T`; those that a cutoff drops renormalize the ridge.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.coarse_graining import flow
from wilsonian.core.cutoffs import SharpCutoff
from wilsonian.core.marginalization import directed_ridge
from wilsonian.core.ridge_theory import AbstractRidgeTheory
from wilsonian.core.ridges import AbstractRidge, UniformRidge
from wilsonian.core.spectrum import Spectrum


class Shift(eqx.Module):
    """What a theory of the residual says of the parameters."""

    estimate: Float[Array, " parameters"]
    sd: Float[Array, " parameters"]
    kept: Float[Array, ""]  # modes, by weight
    ridge: Float[Array, ""]  # mean over the signal


class ResidualTheory(AbstractRidgeTheory):
    """Generalized least squares for parameters whose residual has kept modes and a ridge."""

    spectrum: Spectrum
    ridge: AbstractRidge
    directions: Float[Array, "points parameters"]
    error: Float[Array, " points"]
    information: Float[Array, "parameters parameters"]  # of the prior
    pull: Float[Array, " parameters"]  # gradient of the prior

    @classmethod
    def of(
        cls,
        jacobian: Float[Array, "points modes"],
        scale: Float[Array, " modes"],
        noise: float,
        directions: Float[Array, "points parameters"],
        error: Float[Array, " points"],
        ridge: AbstractRidge | None = None,
        information: Float[Array, "parameters parameters"] | None = None,
        pull: Float[Array, " parameters"] | None = None,
    ) -> ResidualTheory:
        """From the linearization: derivative by the residual's coefficients and by the parameters,
        prior scales, noise, and what the simulator leaves over at the expansion point."""
        points, k = directions.shape
        left, singular, _ = jnp.linalg.svd(jacobian * jnp.atleast_2d(scale), full_matrices=False)
        spectrum = Spectrum.of(singular**2 / points, left * points**0.5)
        start = UniformRidge(jnp.asarray(noise) ** 2) if ridge is None else ridge
        none = jnp.zeros((k, k)), jnp.zeros(k)
        return cls(
            spectrum,
            start,
            directions,
            error,
            none[0] if information is None else information,
            none[1] if pull is None else pull,
        )

    def covariance(self) -> Float[Array, "points points"]:
        """Of the signal, at given parameters."""
        return self.spectrum.gram() + self.ridge.matrix(self.error.shape[0])

    def summary(self) -> Shift:
        factor = jax.scipy.linalg.cho_factor(self.covariance(), lower=True)
        solved = jax.scipy.linalg.cho_solve(factor, self.directions)
        covariance = jnp.linalg.inv(self.directions.T @ solved + self.information)
        estimate = covariance @ (solved.T @ self.error + self.pull)
        sd = jnp.sqrt(jnp.diag(covariance))
        return Shift(estimate, sd, jnp.sum(self.weights), self.ridge.mean())


def cutoff_sweep(theory: ResidualTheory) -> tuple[Shift, np.ndarray]:
    """The parameters at every cutoff, from nothing kept to all: one entry for each number of kept
    modes, and the learnability of the last mode kept, at the bare ridge."""
    values = theory.eigenvalues
    edges = jnp.concatenate([2 * values[:1] + 1.0, values])
    found = flow(theory, SharpCutoff(edges))
    signal = np.asarray(values) * theory.error.shape[0]
    bare = float(theory.ridge.mean())
    return found, np.concatenate([[1.0], signal / (signal + bare)])


class Sweep(eqx.Module):
    """One parameter of one signal along the cutoff of its residual."""

    name: str = eqx.field(static=True)
    kept: np.ndarray  # modes kept, from none to all
    learnability: np.ndarray  # of the last mode kept
    estimate: np.ndarray  # physical units
    sd: np.ndarray
    ridge: np.ndarray  # what was not kept adds to the noise variance, uniformly
    directed_ridge: float  # the noise variance that the parameter feels with nothing kept


def sweep(model: Any, signal: Any) -> dict[str, Sweep]:
    """Each parameter of one signal while the residual's modes are kept one after the other, in the
    linearization at the posterior's top; the start is always kept.

    `model` is a fitted SectorModel with a residual, `signal` has shape (times,) or (channels,
    times). Raises ValueError when the model has no residual.
    """
    layout = model.assembly_.layout
    free = len(model.assembly_.free)
    if layout.count == free:
        raise ValueError("this model has no residual whose modes could be cut; give it one.")
    with jax.enable_x64(True):
        read = model._prepare(np.asarray(signal, float)[None])
        points = model._explore(read)
        top = int(points.log_weight[0].argmax())
        zeta = jnp.asarray(points.unbounded[0, top])
        w = jnp.asarray(points.evidence.coefficients[0, top])
        hyper, parameters = model.hyperparameters_, model.physics.parameters
        linear = model.engine_.linearize(read.flat, zeta[None], w[None])
        value, jacobian, directions = (jnp.asarray(array[0]) for array in linear)
        scale = np.asarray(hyper.scale(model.assembly_))
        amplitude = np.exp(np.asarray(hyper.log_weights)) @ np.asarray(hyper.amplitudes) ** 2
        scale = scale * np.where(layout.amplified, amplitude**0.5, 1.0)
        noise = float(np.sqrt(np.mean(np.asarray(hyper.noise) ** 2)))
        seen = read.flat_observed[0]
        error = (read.flat[0] - value + jacobian @ (w - hyper.mean))[seen]
        k = len(zeta)
        both = jnp.concatenate([directions, jacobian[:, :free]], axis=1)[seen]
        information = np.zeros((k + free, k + free))
        information[:k, :k] = -np.asarray(jax.hessian(parameters.log_prior)(zeta))
        information[np.arange(k, k + free), np.arange(k, k + free)] = scale[:free] ** -2.0
        pull = jnp.zeros(k + free).at[:k].set(jax.grad(parameters.log_prior)(zeta))
        theory = ResidualTheory.of(
            jacobian[seen, free:],
            jnp.asarray(scale[free:]),
            noise,
            both,
            error,
            information=jnp.asarray(information),
            pull=pull,
        )
        found, learned = cutoff_sweep(theory)
        result = {}
        for i, name in enumerate(parameters.names):
            shifted = zeta[i] + found.estimate[:, i]
            member = parameters.members[name]
            slope = jax.vmap(jax.grad(member.physical))(shifted)
            felt = directed_ridge(
                jacobian[seen, free:], jnp.asarray(scale[free:]), noise, directions[seen, i]
            )
            result[name] = Sweep(
                name,
                np.asarray(found.kept),
                learned,
                np.asarray(member.physical(shifted)),
                np.asarray(slope * found.sd[:, i]),
                np.asarray(found.ridge),
                float(felt),
            )
    return result
