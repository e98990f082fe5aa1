"""PyTorch modules beside the same networks in JAX; only where PyTorch is installed."""

import jax.numpy as jnp
import numpy as np
import pytest

from wilsonian import RankCutoff, coarse_grain, information

torch = pytest.importorskip("torch")

RANDOM = np.random.RandomState(0)
X, Y = RANDOM.randn(18, 3), np.arange(18) % 3
GIVEN = {"likelihood": "softmax", "prior": 1.0}


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    layers = torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(5, 3)
    return torch.nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def twin(module):
    weights = {name: value.detach().numpy() for name, value in module.named_parameters()}

    def network(p, x):
        hidden = jnp.tanh(p["0.weight"] @ x + p["0.bias"])
        return p["3.weight"] @ hidden + p["3.bias"]

    return information.network(network, X, Y, parameters=weights, **GIVEN)


@pytest.mark.parametrize("route", ["dense", "dual", "lanczos"])
def test_a_module_is_the_network_it_is(module, twin, route):
    net = information.from_torch(module, (torch.from_numpy(X), torch.from_numpy(Y)), **GIVEN)
    ours = information.spectrum(net, route=route, modes=12)
    other = information.spectrum(twin, route=route, modes=12)
    np.testing.assert_allclose(ours.information, other.information, atol=1e-9)
    np.testing.assert_allclose(ours.predicted_cost, other.predicted_cost, atol=1e-9)
    cut, same = (coarse_grain(s.resetting("prior"), RankCutoff(5)) for s in (ours, other))
    for left, right in zip(
        cut.predict(X[:4], return_std=True), same.predict(X[:4], return_std=True), strict=True
    ):
        np.testing.assert_allclose(left, right, atol=1e-8)
    assert ours.by_parameter().keys() == other.by_parameter().keys()
    np.testing.assert_allclose(
        list(ours.by_parameter().values()), list(other.by_parameter().values()), atol=1e-8
    )
    prices, twins = ours.prices((X, Y), scales=[0.1]), other.prices((X, Y), scales=[0.1])
    np.testing.assert_allclose(prices.measured, twins.measured, atol=1e-9)
    small = cut.model()
    assert isinstance(small, torch.nn.Sequential)
    assert small[0].weight.dtype == module[0].weight.dtype
    with torch.no_grad():
        outputs = small(torch.from_numpy(X.astype("float32"))).numpy()
    np.testing.assert_allclose(outputs, net.evaluate(X, cut.point()), atol=1e-5)
    assert module[0].weight.requires_grad  # the user's module is as it was


def test_loaders_scopes_and_several_axes():
    torch.manual_seed(1)
    layers = [torch.nn.Conv1d(1, 2, 2), torch.nn.BatchNorm1d(2), torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(4, 2))
    module(torch.randn(30, 1, 3))  # statistics to be fixed
    module = module.eval()
    y = RANDOM.randn(18, 2)
    pairs = [(X[i : i + 7, None], y[i : i + 7]) for i in range(0, 18, 7)]
    options = {"likelihood": "regression", "noise_variance": 0.3, "weight_decay": 0.01}
    last = information.from_torch(module, pairs, scope="last-layer", **options)
    assert last.names() == ["4.bias", "4.weight"]
    assert last.examples == 18
    with torch.no_grad():
        features = module[:4](torch.from_numpy(X[:, None].astype("float32"))).numpy()
    rows = np.concatenate([features, np.ones((18, 1))], axis=1)
    gram = rows.T @ rows / 0.3 / (0.01 * 18)
    expected = np.sort(np.repeat(np.linalg.eigvalsh(gram), 2))[::-1]
    found = information.spectrum(last).information[:-1]
    np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-5)
    norm = information.from_torch(module, pairs, scope=["1."], **options)
    assert norm.names() == ["1.bias", "1.weight"]


def test_refusals(module):
    with pytest.raises(ValueError, match=r"training mode .* module\.eval"):
        information.from_torch(torch.nn.Linear(3, 3), (X, Y), **GIVEN)
    with pytest.raises(ValueError, match="pair"):
        information.from_torch(module, [(X,)], **GIVEN)
    with pytest.raises(ValueError, match="class indices"):
        information.from_torch(module, (X, Y + 1), **GIVEN)
    with pytest.raises(ValueError, match="no unit without a prior"):
        information.from_torch(module, (X, Y), likelihood="softmax")
