"""A cut of a network of 10^7 parameters: products counted, times beside bare matrix products.

784-4096-2048-10 in float32, 150 examples: dressed Gram, eigenvalues, one projection, one cut.

    python benchmarks/information_large.py
"""

from __future__ import annotations

import itertools
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian import RankCutoff, coarse_grain, information
from wilsonian.information import computing, tangent

SIZES, EXAMPLES = (784, 4096, 2048, 10), 150


def timed(function, repeats=3):
    """The least CPU seconds of a few calls, after one that compiles."""
    jax.block_until_ready(function())
    best = np.inf
    for _ in range(repeats):
        begun = time.process_time()
        jax.block_until_ready(function())
        best = min(best, time.process_time() - begun)
    return best


def network(p, x):
    for layer, (w, b) in enumerate(p):
        x = (2 / w.shape[1]) ** 0.5 * (w @ x) + 0.1 * b
        x = jax.nn.relu(x) if layer < len(p) - 1 else x
    return x


def main():
    random = np.random.RandomState(0)
    draw = lambda *shape: random.standard_normal(shape).astype("float32")  # noqa: E731
    parameters = [(draw(b, a), draw(b)) for a, b in itertools.pairwise(SIZES)]
    X, y = draw(EXAMPLES, 784), random.randint(0, 10, EXAMPLES)
    copy = sum(leaf.nbytes for leaf in jax.tree.leaves(parameters))
    net = information.network(
        *(network, X, y),
        parameters=parameters,
        likelihood="softmax",
        prior=1.0,
        precision="float32",
    )
    print(information.plan(net))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with information.count_products() as counts:
        spectrum = information.spectrum(net, route="dual")
    print(f"spectrum: {counts}, {spectrum.kept} modes, {spectrum.count_above(1)} above 1")
    cut = coarse_grain(spectrum, RankCutoff(91))
    with information.count_products() as counts:
        cut.point()  # the coordinates are known since the spectrum
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"cut to 91 of {spectrum.kept} modes: {counts}")
    gram = timed(lambda: tangent.dressed_gram(net))
    matrix = tangent.dressed_gram(net)
    solved = timed(lambda: computing.eigenpairs(matrix))
    modes = spectrum.modes
    vector = net.point
    half = jax.tree.map(jnp.asarray, modes)

    def projected():
        return half.combine(net, half.coordinates(net, vector))

    with information.count_products() as counts:
        once = projected()
    print(f"projection: {counts}")
    projection = timed(projected)
    small = 91
    stiff = type(half)(half.information[:small], half.vectors[:, :small])
    once = stiff.combine(net, stiff.coordinates(net, vector))
    twice = stiff.combine(net, stiff.coordinates(net, once))
    error = (
        sum(
            float(jnp.sum((a - b) ** 2))
            for a, b in zip(jax.tree.leaves(once), jax.tree.leaves(twice), strict=True)
        )
        ** 0.5
    )
    size = sum(float(jnp.sum(a**2)) for a in jax.tree.leaves(once)) ** 0.5
    print(f"|P^2 x - P x| / |P x| at 91 modes: {error / size:.1e}")

    # Bare products of the same shapes. Gram: inputs (T x T over d) and what comes back (TK x TK
    # over h) of every layer, and the backward passes of K outputs.
    rows = EXAMPLES * 10
    pairs = [(jnp.ones((EXAMPLES, a)), jnp.ones((rows, b))) for a, b in itertools.pairwise(SIZES)]
    weights = [jnp.ones((b, a)) for a, b in itertools.pairwise(SIZES)]

    @jax.jit
    def bare_gram():
        total = [left @ left.T for left, _ in pairs], [right @ right.T for _, right in pairs]
        forward = [left @ w.T for (left, _), w in zip(pairs, weights, strict=True)]
        backward = [right @ w for (_, right), w in zip(pairs, weights, strict=True)]
        return total, forward, backward

    @jax.jit
    def bare_projection():
        # Forward, its derivative by inputs and by weights; forward again, backward by both.
        out = []
        for (left, _), w in zip(pairs, weights, strict=True):
            after_layer = left @ w.T
            out += [after_layer, left @ (2 * w).T, left @ (3 * w).T, left @ (4 * w).T]
            out += [after_layer @ w, after_layer.T @ left]
        return out

    host = np.asarray(matrix)
    bare = timed(bare_gram), timed(bare_projection), timed(lambda: np.linalg.eigh(host))
    print("CPU seconds (bare products, or LAPACK's eigh, of the same shapes; ratio)")
    print(f"dressed Gram    {gram:6.2f} ({bare[0]:.2f}; {gram / bare[0]:.2f})")
    print(f"eigh of {rows}    {solved:6.2f} ({bare[2]:.2f}; {solved / bare[2]:.2f})")
    print(f"one projection  {projection:6.2f} ({bare[1]:.2f}; {projection / bare[1]:.2f})")
    print(
        f"parameters {copy / 1e6:.0f} MB; peak memory rose by {(after - before) / 1e6:.0f} MB "
        f"({(after - before) / copy:.1f} copies); a stored Jacobian would take "
        f"{copy * rows / 1e9:.0f} GB"
    )


if __name__ == "__main__":
    main()
