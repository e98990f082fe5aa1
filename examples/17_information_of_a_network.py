"""What has this network learned? Informed directions, and what removing the others costs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from wilsonian import coarse_grain, information

# Three clouds in the plane, and an Equinox classifier trained on them with weight decay.
random = np.random.default_rng(0)
y = np.arange(300) % 3
X = np.stack([np.cos(2.1 * y), np.sin(2.1 * y)], axis=1) + 0.5 * random.normal(size=(300, 2))
model = eqx.nn.MLP(2, 3, 16, 1, activation=jnp.tanh, key=jax.random.key(0))
decay = 0.003


def loss(model):
    outputs = jax.vmap(model)(jnp.asarray(X[:200]))
    data = optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.asarray(y[:200])).mean()
    weights = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    return data + decay / 2 * sum(jnp.sum(w**2) for w in weights)


@eqx.filter_jit
def trained(model):
    optimizer = optax.adam(optax.cosine_decay_schedule(0.02, 2000))
    moved, fixed = eqx.partition(model, eqx.is_inexact_array)

    def step(carry, _):
        moved, state = carry
        slope = jax.grad(lambda m: loss(eqx.combine(m, fixed)))(moved)
        updates, state = optimizer.update(slope, state)
        return (optax.apply_updates(moved, updates), state), None

    (moved, _), _ = jax.lax.scan(step, (moved, optimizer.init(moved)), None, 2000)
    return eqx.combine(moved, fixed)


net = information.network(
    trained(model), X[:200], y[:200], likelihood="softmax", weight_decay=decay
)
spectrum = information.spectrum(net)
print(f"{net.size} parameters, {spectrum.count_above(1.0)} directions determined by the data")
print(f"{spectrum.nats:.1f} nats; distance from a minimum {spectrum.stationarity:.3f}")
for sentence in information.diagnostics(spectrum):
    print("careful:", sentence)

# Every cutoff's price: predicted, and measured on the spot.
print(spectrum.prices((X[200:], y[200:]), scales=(0.1, 0.3, 1.0, 3.0)))

# The network that is left for a hundredth of a nat per example.
small = coarse_grain(spectrum, information.AtCost(0.01))
right = np.mean(small.predict(X[200:]).argmax(axis=1) == y[200:])
before = np.mean(net.evaluate(X[200:]).argmax(axis=1) == y[200:])
print(f"{small.kept} directions kept; predicted cost {small.predicted_cost:.4f} nats")
# For comparison, the loss itself and the accuracy:
cut = jax.vmap(small.model())(jnp.asarray(X[:200], jnp.float32))
print(f"measured cost {net.loss(cut).mean() - net.loss().mean():.4f} nats")
print(f"held-out accuracy {right:.3f}; before {before:.3f}")
