"""Wide networks trained by gradient descent, beside the ensemble of infinitely wide ones.

    python benchmarks/wide_ensembles.py                  # width 2048, 20 members; two minutes
    python benchmarks/wide_ensembles.py --seeds 0 1 2    # three such ensembles, and all together
    python benchmarks/wide_ensembles.py --width 64       # too narrow: the check fails

Networks of two hidden ReLU layers, NTK parameterization, are trained from independent
initializations on ten points until the loss has fallen a millionfold. The ensemble's outputs at new
points are whitened by the predicted mean and covariance, so that, if the prediction holds, sums of
their squares follow chi-squared laws: of the mean's deviation (one degree of freedom per point) and
of the spread around it (members less one, per point).
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from wilsonian import ArcCosine
from wilsonian.networks.dynamics import GradientFlow, gradient_flow

WEIGHT_VARIANCE, BIAS_VARIANCE = 2.0, 0.1


def problem(points: int = 10, new: int = 6, seed: int = 0):
    """Training inputs on a sphere, targets, and new inputs."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(points + new, 4))
    X = 2 * X / np.linalg.norm(X, axis=1, keepdims=True)
    y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] / 2
    return X[:points], y[:points], X[points:]


def infinite(X, y, depth: int = 2, learning_rate: float = 1.0) -> GradientFlow:
    kernels = [ArcCosine(depth, kind, WEIGHT_VARIANCE, BIAS_VARIANCE) for kind in ("nngp", "ntk")]
    return gradient_flow(*kernels, X, y, learning_rate=learning_rate)


def initialize(key, inputs: int, width: int, depth: int):
    widths = [inputs, *depth * [width], 1]
    keys = jax.random.split(key, 2 * (depth + 1))
    return [
        (jax.random.normal(keys[2 * i], (widths[i], widths[i + 1])),
         jax.random.normal(keys[2 * i + 1], (widths[i + 1],)))
        for i in range(depth + 1)
    ]  # fmt: skip


def network(parameters, X):
    """Outputs (n,) of one network: sqrt(v_w / n_in) x W + sqrt(v_b) b in every layer."""
    hidden = X
    for index, (weights, biases) in enumerate(parameters):
        hidden = jax.nn.relu(hidden) if index else hidden
        scale = (WEIGHT_VARIANCE / hidden.shape[1]) ** 0.5
        hidden = scale * (hidden @ weights) + BIAS_VARIANCE**0.5 * biases
    return hidden[:, 0]


@functools.partial(jax.jit, static_argnames=("width", "depth", "of_read_out"))
def trained(key, X, y, Z, learning_rate, steps, *, width, depth=2, of_read_out=False):
    """One member: outputs at `Z` and loss on `X` after so many steps of gradient descent on
    half the sum of squared errors; of all parameters, or of the read-out alone."""
    parameters = initialize(key, X.shape[1], width, depth)

    def loss(parameters):
        return 0.5 * jnp.sum((network(parameters, X) - y) ** 2)

    def step(_, parameters):
        slopes = jax.grad(loss)(parameters)
        if of_read_out:
            slopes = [*jax.tree.map(jnp.zeros_like, slopes[:-1]), slopes[-1]]
        return jax.tree.map(lambda p, slope: p - learning_rate * slope, parameters, slopes)

    parameters = jax.lax.fori_loop(0, steps, step, parameters)
    return network(parameters, Z), loss(parameters)


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Chi-squared statistics of an ensemble against a predicted mean and covariance."""

    deviation: float  # of the ensemble's mean, whitened and squared
    deviation_freedom: int
    spread: float  # around the ensemble's mean, whitened and squared
    spread_freedom: int

    def probabilities(self) -> tuple[float, float]:
        """Two-sided: how often chance alone gives values as far out."""
        pairs = (
            (self.deviation, self.deviation_freedom),
            (self.spread, self.spread_freedom),
        )
        tails = [scipy.stats.chi2.cdf(value, freedom) for value, freedom in pairs]
        return tuple(2 * min(tail, 1 - tail) for tail in tails)


def agreement(outputs, mean, covariance) -> Agreement:
    """Of `outputs` (members, points) with `mean` (points,) and `covariance` (points, points)."""
    members, points = outputs.shape
    lower = np.linalg.cholesky(covariance)
    found = outputs.mean(axis=0)
    deviation = members * np.sum(np.linalg.solve(lower, found - mean) ** 2)
    spread = np.sum(np.linalg.solve(lower, (outputs - found).T) ** 2)
    return Agreement(float(deviation), points, float(spread), points * (members - 1))


def pooled(found: list[Agreement]) -> Agreement:
    """Of independent ensembles: sums of chi-squared variables and of their degrees of freedom."""
    return Agreement(
        *(sum(column) for column in zip(*map(dataclasses.astuple, found), strict=True))
    )


def print_agreement(found: Agreement) -> None:
    by_mean, by_spread = found.probabilities()
    print(
        f"whitened deviation of the mean {found.deviation:.2f} of {found.deviation_freedom} "
        f"degrees of freedom (p = {by_mean:.3f}); of the covariance {found.spread:.1f} of "
        f"{found.spread_freedom} (p = {by_spread:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--members", type=int, default=20)
    parser.add_argument("--loss", type=float, default=1e-6, help="predicted fall of the loss")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="an ensemble each")
    arguments = parser.parse_args()
    with jax.enable_x64(True):
        X, y, Z = problem()
        flow = infinite(X, y)
        # 1 / the largest eigenvalue is stable; the flow itself says how long training takes.
        learning_rate = float(1 / flow.eigenvalues[-1])
        start, steps = float(flow.expected_loss(0.0)), 1
        while float(flow.expected_loss(learning_rate * steps)) > arguments.loss * start:
            steps *= 2
        mean = np.asarray(flow.predict(Z).mean)
        variance, covariance = np.asarray(flow.predict(Z).variance), np.asarray(flow.covariance(Z))
    print(f"{len(X)} points, {steps:,} steps of gradient descent, rate {learning_rate:.4f}")
    single = [np.asarray(a, np.float32) for a in (X, y, Z)]
    found = []
    for seed in arguments.seeds:
        keys, began = jax.random.split(jax.random.key(seed), arguments.members), time.time()
        runs = [trained(key, *single, learning_rate, steps, width=arguments.width) for key in keys]
        outputs = np.array([np.asarray(output, float) for output, _ in runs])
        losses = np.array([float(loss) for _, loss in runs])
        print(
            f"\nseed {seed}: {len(keys)} networks of width {arguments.width:,}: "
            f"{time.time() - began:.0f} s; loss fell from {start:.3g} to at most "
            f"{losses.max():.2g}\n"
        )
        error = np.sqrt(variance / len(keys))
        ratio_error = np.sqrt(2 / (len(keys) - 1))
        print(
            "point  mean: infinite  finite +- error    "
            "variance: infinite  finite / infinite +- error"
        )
        for i in range(len(Z)):
            ratio = outputs[:, i].var(ddof=1) / variance[i]
            print(
                f"{i:5d}  {mean[i]:14.4f}  {outputs[:, i].mean():6.4f} +- {error[i]:.4f}"
                f"  {variance[i]:19.5f}  {ratio:17.3f} +- {ratio_error:.3f}"
            )
        found.append(agreement(outputs, mean, covariance))
        print()
        print_agreement(found[-1])
    if len(found) > 1:
        print(f"\n{len(found)} ensembles together: ", end="")
        print_agreement(pooled(found))


if __name__ == "__main__":
    main()
