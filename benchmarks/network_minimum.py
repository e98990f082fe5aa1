"""The minimum that benchmarks and tests of trained networks start from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from wilsonian.support.trees import raveled, unraveled


def minimum(function, start, X, y, likelihood, steps, slope):
    """Parameters at a minimum of the summed loss with a standard normal prior, of a network of one
    point: by so many steps of L-BFGS in float64, or until no derivative exceeds `slope`."""
    with jax.enable_x64(True):
        X, y = jnp.asarray(X), jnp.asarray(y)

        @jax.jit
        @jax.value_and_grad
        def loss(vector):
            outputs = jax.vmap(lambda x: function(unraveled(vector, start), x))(X)
            return jnp.sum(likelihood.nll(outputs, y)) + vector @ vector / 2

        found = scipy.optimize.minimize(
            lambda v: tuple(np.asarray(part, float) for part in loss(v)),
            raveled(start),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 30, "ftol": 0, "gtol": slope},
        )
        return unraveled(found.x, start)
