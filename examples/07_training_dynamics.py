"""Networks in training: infinitely wide ones by formula, wide ones by gradient descent."""

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian import networks as nn
from wilsonian.networks.criticality import criticality, edge_of_chaos
from wilsonian.networks.dynamics import gradient_flow
from wilsonian.networks.empirical import empirical_ntk

net = nn.serial(
    nn.Dense(256, weight_variance=2.0, bias_variance=0.1),
    nn.Relu(),
    nn.Dense(1, weight_variance=2.0, bias_variance=0.1),
)
random = np.random.default_rng(0)
X, Z = random.normal(size=(8, 3)), random.normal(size=(2, 3))
y = np.sin(X[:, 0]) + X[:, 1]

# One eigendecomposition of the tangent kernel serves all times.
flow = gradient_flow(nn.nngp(net), nn.ntk(net), X, y, learning_rate=0.02)


@jax.jit
def train(key):
    """Outputs at `Z` after 0, 10 and 300 steps of gradient descent."""
    first = net.init(key, (3,))

    def loss(params):
        return 0.5 * jnp.sum((net.apply(params, X)[:, 0] - y) ** 2)

    def step(params, _):
        params = jax.tree.map(lambda p, slope: p - 0.02 * slope, params, jax.grad(loss)(params))
        return params, net.apply(params, Z)[:, 0]

    outputs = jax.lax.scan(step, first, length=300)[1]
    return jnp.stack([net.apply(first, Z)[:, 0], outputs[9], outputs[-1]])


outputs = np.array([train(key) for key in jax.random.split(jax.random.key(1), 30)])
print("time  mean and deviation at a new point: infinite   30 networks of width 256")
for place, steps in enumerate((0, 10, 300)):
    predicted = flow.predict_after(steps, Z)
    mean, std = predicted.mean[0], predicted.variance[0] ** 0.5
    found = outputs[:, place, 0]
    print(f"{steps:4d}  {mean:38.3f} {std:6.3f}  {found.mean():8.3f} {found.std(ddof=1):6.3f}")
print(f"of the slowest mode, step 300 has learned {flow.learned(300.0)[0]:.1%}")

params = net.init(jax.random.key(2), (3,))
empirical = empirical_ntk(net.apply, X, parameters=params, batched=True)
infinite = nn.ntk(net)(X)
error = float(jnp.linalg.norm(empirical - infinite) / jnp.linalg.norm(infinite))
print(f"tangent kernel of one such network: {error:.1%} from the infinite one's")

edge = edge_of_chaos(nn.Erf(), 0.05)
deep = criticality(nn.Erf(), 1.0, 0.05)
print(f"\nerf networks with bias variance 0.05 are critical at weight variance {edge:.4f};")
print(
    f"at 1 they are {deep.phase} and forget their inputs within {deep.correlation_depth:.1f} layers"
)
# For comparison, the ratio of two successive distances from the fixed point, by hand.
q = deep.variance
c = 0.99
for _ in range(3):
    before, c = c, (2 / np.pi * np.arcsin(2 * q * c / (1 + 2 * q)) + 0.05) / q
print(f"measured: {-1 / np.log((1 - c) / (1 - before)):.1f} layers")
