"""Flax modules beside the same networks as functions; only where Flax is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wilsonian import RankCutoff, coarse_grain, information

pytest.importorskip("flax")
from flax import linen, nnx

RANDOM = np.random.RandomState(0)
X, Y = RANDOM.randn(18, 3), np.arange(18) % 3
GIVEN = {"likelihood": "softmax", "prior": 1.0}


def plain(weights, scale):
    """The network of both modules: 3-4-3 with a normalization of fixed statistics between."""

    def network(p, x):
        hidden = jnp.tanh(p["first"]["kernel"].T @ x + p["first"]["bias"])
        hidden = scale * hidden * p["norm"]["scale"] + p["norm"]["bias"]
        return p["last"]["kernel"].T @ hidden + p["last"]["bias"]

    return information.network(network, X, Y, parameters=weights, **GIVEN)


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x):
        hidden = linen.tanh(linen.Dense(4, name="first")(x))
        hidden = linen.BatchNorm(use_running_average=True, name="norm", epsilon=0.0)(hidden)
        return linen.Dense(3, name="last")(hidden)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs, epsilon=0.0)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(self.norm(jnp.tanh(self.first(x)))))


def test_linen_has_its_statistics_fixed():
    module = Linen()
    variables = module.init(jax.random.key(0), X[0])
    statistics = {"norm": {"mean": jnp.zeros(4), "var": 4 * jnp.ones(4)}}
    variables = {**variables, "batch_stats": statistics}
    net = information.network(module, X, Y, parameters=variables, **GIVEN)
    spectrum = information.spectrum(net, route="dense")
    twin = information.spectrum(plain(variables["params"], 0.5), route="dense")
    np.testing.assert_allclose(spectrum.information, twin.information, rtol=1e-6, atol=1e-6)
    cut = coarse_grain(spectrum, RankCutoff(5)).model()
    outputs = jax.vmap(lambda x: module.apply({**variables, "params": cut}, x))(X)
    again = net.evaluate(X, coarse_grain(spectrum, RankCutoff(5)).point())
    np.testing.assert_allclose(outputs, again, atol=1e-5)
    with pytest.raises(ValueError, match="variables apart"):
        information.network(module, X, Y, **GIVEN)


def test_nnx_is_whole_and_its_last_layer_is_found():
    module = Nnx(nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"training mode .* model\.eval"):
        information.network(module, X, Y, **GIVEN)
    module.eval()
    net = information.network(module, X, Y, scope="last-layer", **GIVEN)
    assert net.names() == ["last.bias.value", "last.kernel.value"]
    spectrum = information.spectrum(net)
    assert spectrum.route == "last-layer"
    weights = {
        name: nnx.to_pure_dict(nnx.state(getattr(module, name), nnx.Param))
        for name in ("first", "norm", "last")
    }
    twin = plain(weights, 1.0)
    np.testing.assert_allclose(net.outputs, twin.outputs, rtol=1e-6)
    nnx.update(module, coarse_grain(spectrum, RankCutoff(5)).model())
    again = net.evaluate(X, coarse_grain(spectrum, RankCutoff(5)).point())
    np.testing.assert_allclose(jax.vmap(module)(jnp.asarray(X)), again, atol=1e-5)
