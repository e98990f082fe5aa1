"""Information of trained networks: routes, scopes, prices, their validity, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import load_benchmark

from wilsonian import RankCutoff, SharpCutoff, coarse_grain, information, networks
from wilsonian.core.precision import full_products
from wilsonian.information import likelihoods, routes
from wilsonian.information.lanczos import leading_pairs
from wilsonian.information.products import push

CLASSES, WIDTH, POINTS = 3, 8, 40
minimum = load_benchmark("network_minimum").minimum


@pytest.fixture(scope="module")
def blobs():
    """Three overlapping clouds in the plane, their labels by index; and as many held out."""
    random = np.random.RandomState(0)
    centres = np.array([[1.0, 0.0], [-0.6, 0.9], [-0.6, -0.9]])
    y = np.arange(2 * POINTS) % CLASSES
    X = centres[y] + 0.8 * random.randn(2 * POINTS, 2)
    return X[:POINTS], y[:POINTS], X[POINTS:], y[POINTS:]


def mlp(p, x):
    hidden = jnp.tanh(2**0.5 * p["W1"] @ x + 2 * p["b1"])
    return 2**0.5 * p["W2"] @ hidden + p["b2"]


def drawn(seed=0):
    random = np.random.RandomState(seed)
    shapes = {"W1": (WIDTH, 2), "b1": (WIDTH,), "W2": (CLASSES, WIDTH), "b2": (CLASSES,)}
    return {name: random.randn(*shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def parameters(blobs):
    return minimum(mlp, drawn(), *blobs[:2], information.Softmax(), steps=300, slope=1e-8)


def network_of(blobs, parameters, **options):
    given = {"likelihood": "softmax", "prior": 1.0, "start": drawn(), **options}
    return information.network(mlp, *blobs[:2], parameters=parameters, **given)


@pytest.fixture(scope="module")
def net(blobs, parameters):
    return network_of(blobs, parameters)


@pytest.fixture(scope="module")
def spectrum(net):
    return information.spectrum(net, route="dense")


@pytest.fixture(scope="module")
def dual(net):
    return information.spectrum(net, route="dual")


# Routes.


def test_three_routes_give_one_spectrum(net, spectrum, dual):
    """I2: to 1e-10 of the largest eigenvalue."""
    lanczos = information.spectrum(net, route="lanczos", modes=10)
    for other in (dual, lanczos):
        count = min(len(other.information), len(spectrum.information)) - 1
        np.testing.assert_allclose(
            *(other.information[:count], spectrum.information[:count]),
            atol=1e-10 * spectrum.information[0],
        )
    assert lanczos.kept == 10
    np.testing.assert_allclose(lanczos.unresolved, np.sum(spectrum.information[10:]), rtol=1e-8)
    assert "below" in " ".join(information.diagnostics(lanczos))
    assert spectrum.stationarity < 1e-4


def test_lanczos_finds_every_copy_of_an_eigenvalue():
    """Blocks as wide as the multiplicity; a single column finds one copy of each."""
    values = np.repeat([9.0, 5.0, 2.0, 1.0], 3)
    frame = np.linalg.qr(np.random.RandomState(0).randn(40, 12))[0]
    matrix = jnp.asarray((frame * values) @ frame.T)

    def pairs(block, **options):
        product = full_products(lambda c: matrix @ c)
        return leading_pairs(product, 40, 7, block=block, tolerance=1e-5, **options)

    found = pairs(3)
    np.testing.assert_allclose(found.values, values[:7], rtol=1e-5)
    images = np.asarray(matrix) @ found.vectors
    np.testing.assert_allclose(images, found.vectors * found.values, atol=1e-4)
    assert found.steps <= 18  # four eigenvalues and one more step for rounding
    np.testing.assert_allclose(pairs(1, steps=5).values[:4], values[::3], rtol=1e-5)


def test_routes_agree_in_all_that_a_cut_network_says(blobs, spectrum, dual):
    new = blobs[2][:5]
    for cutoff in (RankCutoff(3),):
        for reset in ("mean", "prior", "init", "keep"):
            one, other = (coarse_grain(s.resetting(reset), cutoff) for s in (spectrum, dual))
            np.testing.assert_allclose(one.predicted_cost, other.predicted_cost, atol=1e-8)
            for left, right in zip(
                one.predict(new, return_std=True), other.predict(new, return_std=True), strict=True
            ):
                np.testing.assert_allclose(left, right, atol=1e-7)
            np.testing.assert_allclose(
                one.predict(new, linearised=False), other.predict(new, linearised=False), atol=1e-7
            )
            first, second = jax.tree.leaves(one.draw(3)), jax.tree.leaves(other.draw(3))
            for left, right in zip(first, second, strict=True):
                np.testing.assert_allclose(left, right, atol=1e-5)
            kernels = [cut.kernel().covariance(new, blobs[2][5:8]) for cut in (one, other)]
            np.testing.assert_allclose(*kernels, atol=1e-7)
    for one, other in ((spectrum.support(), dual.support()),):
        np.testing.assert_allclose(one[:20], other[:20], rtol=1e-4)
    for name, share in spectrum.by_parameter().items():
        np.testing.assert_allclose(dual.by_parameter()[name], share, atol=1e-8)
    np.testing.assert_allclose(
        sum(spectrum.by_parameter().values()), spectrum.degrees_of_freedom, rtol=1e-10
    )


def test_the_noise_of_an_eigenvalue_is_the_standard_error_of_a_mean():
    """One parameter: its information is the sum of squared inputs over the noise."""
    inputs = np.random.RandomState(3).gamma(2.0, size=(50, 1))
    one = information.network(
        lambda p, x: p * x,
        inputs,
        inputs[:, 0],
        likelihood="regression",
        noise_variance=1.0,
        prior=1.0,
        parameters=np.ones(1),
    )
    found, squares = information.spectrum(one), inputs[:, 0] ** 2
    np.testing.assert_allclose(found.information[0], squares.sum(), rtol=1e-10)
    expected = squares.std() / squares.mean() / np.sqrt(50)
    np.testing.assert_allclose(found.relative_noise()[0], expected, rtol=1e-8)
    np.testing.assert_allclose(found.eigenvalues_per_example[0], squares.mean(), rtol=1e-10)


def test_fisher_is_the_curvature_of_the_divergence(net, spectrum):
    """Twin: the Hessian, by differentiation twice, of the expected loss under the model's own
    labels."""
    with jax.enable_x64(True):
        flat, unflat = jax.flatten_util.ravel_pytree(net.point)
        p = jax.nn.softmax(net.outputs, axis=1)

        def expected(vector):
            logs = jax.nn.log_softmax(net.function.many(unflat(vector), net.inputs), axis=1)
            return -jnp.sum(p * logs)

        hessian = jax.jit(jax.hessian(expected))(flat)
    # Of the expected loss at the model's own probabilities the residual term vanishes.
    values = np.linalg.eigvalsh(hessian)[::-1][: spectrum.kept]
    np.testing.assert_allclose(values, spectrum.information[:-1], atol=1e-9 * values[0])


def test_a_draw_has_the_law_it_says(dual):
    """Coordinates of 300 draws in four modes, kept and removed."""
    cut = coarse_grain(dual.resetting("prior"), RankCutoff(2))
    network = cut.network
    found = []
    with network.arithmetic():
        for seed in range(300):
            # Prior scale one: parameters are whitened ones.
            found.append(np.asarray(cut.modes.coordinates(network, cut.draw(seed)))[:4])
    means = np.asarray(cut.mode_means())[:4]
    variances = np.asarray(cut.mode_variances())[:4]
    assert np.all(np.abs(np.mean(found, axis=0) - means) < 4 * np.sqrt(variances / 300))
    assert np.all(np.abs(np.var(found, axis=0) / variances - 1) < 4 * np.sqrt(2 / 300))


def test_products_are_counted_and_a_cut_takes_one_each_way(dual):
    """I11's count: of a spectrum on the data's side, nothing else touches the data."""
    with information.count_products() as counts:
        coarse_grain(dual, RankCutoff(5)).point()
    assert counts == {"jvp": 0, "vjp": 1}  # the coordinates are known since the spectrum
    network = dual.network
    vector = jax.tree.map(jnp.ones_like, network.point)
    with network.arithmetic(), information.count_products() as counts:
        once = dual.modes.combine(network, dual.modes.coordinates(network, vector))
    assert counts == {"jvp": 1, "vjp": 1}
    with network.arithmetic():
        twice = dual.modes.combine(network, dual.modes.coordinates(network, once))
    for left, right in zip(jax.tree.leaves(once), jax.tree.leaves(twice), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-9)


def test_counts_without_modes(net, spectrum):
    found = information.counts(net, probes=16, steps=40, deflate=4, seed=1)
    for name, exact in (
        ("above_one", spectrum.count_above(1.0)),
        ("degrees_of_freedom", spectrum.degrees_of_freedom),
        ("nats", spectrum.nats),
    ):
        error = getattr(found, f"{name}_error")
        assert abs(getattr(found, name) - exact) < 4 * error + 1e-9
        assert error < 0.3 * exact
    np.testing.assert_allclose(found.trace, np.sum(spectrum.information), rtol=1e-10)
    np.testing.assert_allclose(found.largest, spectrum.information[0], rtol=1e-6)


def test_split_halves(net, spectrum):
    halves = information.split_halves(net, route="dense")
    pair = mlp, net.model()
    half = information.spectrum(
        information.network(
            pair, net.inputs[::2], net.labels[::2], likelihood="softmax", prior=1.0
        ),
        route="dense",
    )
    np.testing.assert_allclose(halves.found, 2 * half.information[:-1], rtol=1e-9)
    assert 0.3 < halves.ratio(1.0) < 2
    assert np.isnan(halves.ratio(1e9))
    # With both halves the same examples everything is confirmed.
    twice = information.network(
        mlp,
        np.repeat(net.inputs, 2, axis=0),
        np.repeat(net.labels, 2),
        likelihood="softmax",
        prior=1.0,
        parameters=net.model(),
    )
    halves = information.split_halves(twice, route="dense")
    np.testing.assert_allclose(halves.confirmed, halves.found, rtol=1e-9)
    np.testing.assert_allclose(halves.ratio(0.1, 10.0), 1, rtol=1e-9)


def test_plan_foretells_the_routes(net, monkeypatch):
    planned = information.plan(net, rate=1e9, memory=1e9)
    assert planned.chosen == "dense"  # 51 parameters against 120 outputs
    assert [cost.route for cost in planned.routes] == ["last-layer", "dense", "dual", "lanczos"]
    assert "not the last layer" in planned.cost("last-layer").refusal
    assert planned.cost("dense").operations > 2 * 120 * 51**2
    assert "51 parameters" in str(planned)
    tight = information.plan(net, rate=1e9, memory=1e3)
    assert tight.chosen is None
    assert "do not fit" in str(tight)
    # By size: too many parameters for F, then too many outputs for its dual.
    for limit, size, route in (("PARAMETERS", 50, "dual"), ("DUAL", 119, "lanczos")):
        assert routes.cheapest_route(net) != route
        monkeypatch.setattr(routes, f"MOST_{limit}", size)
        assert routes.cheapest_route(net) == information.plan(net).chosen == route


# Networks of any kind.


def test_an_equinox_convolution_with_shared_weights(blobs):
    class Net(eqx.Module):
        conv: eqx.nn.Conv1d
        cell: eqx.nn.GRUCell
        read: eqx.nn.Linear

        def __init__(self, key):
            a, b, c = jax.random.split(key, 3)
            self.conv = eqx.nn.Conv1d(1, 2, 3, key=a)
            self.cell = eqx.nn.GRUCell(2, 3, key=b)
            self.read = eqx.nn.Linear(3, 2, key=c)

        def __call__(self, x):
            rows = jax.nn.gelu(self.conv(x)).T
            state, _ = jax.lax.scan(lambda h, r: (self.cell(r, h), None), jnp.zeros(3), rows)
            return self.read(state).reshape(2, 1)  # several output axes

    X = np.random.RandomState(0).randn(6, 1, 5)
    y = np.random.RandomState(1).randn(6, 2, 1)
    model = eqx.filter_jit(Net)(jax.random.key(0))
    net = information.network(
        model,
        X,
        y,
        likelihood="regression",
        noise_variance=np.array([[0.5, 0.2], [0.2, 0.4]]),
        weight_decay=0.01,
    )
    one = information.spectrum(net, route="dense")
    two = information.spectrum(net, route="dual")
    np.testing.assert_allclose(one.information[:12], two.information[:12], rtol=1e-8)
    # weight_decay is beside the mean loss: prior variance 1 / (w T).
    np.testing.assert_allclose(float(net.function.scales.read.weight) ** 2, 1 / (0.01 * 6))
    last = information.network(
        model,
        X,
        y,
        likelihood="regression",
        noise_variance=0.5,
        prior=1.0,
        scope="last-layer",
    )
    assert last.names() == ["read.weight", "read.bias"]
    cut = coarse_grain(one, RankCutoff(4)).model()
    assert isinstance(cut, Net)
    assert eqx.filter_jit(cut)(jnp.asarray(X[0], "float32")).dtype == "float32"


def test_networks_of_this_library(blobs):
    dense = {"bias_variance": 0.1}
    layers = networks.serial(
        networks.Dense(6, **dense), networks.Relu(), networks.Dense(3, **dense)
    )
    parameters = layers.init(jax.random.key(0), (2,))
    net = information.network(
        layers, *blobs[:2], likelihood="softmax", prior=1.0, parameters=parameters
    )
    assert net.size == 3 * 6 + 7 * 3
    ours = information.spectrum(net, route="dual")
    assert ours.kept > 20  # 39 less rescalings of units and a shift of logits
    named = information.network(
        layers, *blobs[:2], likelihood="softmax", prior=1.0, parameters=parameters, scope=["2."]
    )
    assert named.size == 21
    assert information.spectrum(named).nats < ours.nats


@pytest.mark.parametrize("noise", [0.3, np.array([0.3, 0.7]), np.array([[0.3, 0.1], [0.1, 0.7]])])
def test_regression_noise_by_a_dense_twin(noise):
    random = np.random.RandomState(0)
    X, y, matrix = random.randn(9, 4), random.randn(9, 2), random.randn(2, 4)
    net = information.network(
        lambda p, x: p @ x,
        X,
        y,
        likelihood="regression",
        noise_variance=noise,
        prior=2.0,
        parameters=matrix,
    )
    covariance = noise if np.ndim(noise) == 2 else np.diag(np.broadcast_to(noise, (2,)))
    fisher = 2 * np.kron(np.linalg.inv(covariance), X.T @ X)
    values = np.linalg.eigvalsh(fisher)[::-1]
    for route in ("last-layer", "dual"):
        np.testing.assert_allclose(
            information.spectrum(net, route=route).information[:-1], values, rtol=1e-10
        )
    residual = y - X @ matrix.T
    expected = np.einsum("tk,kl,tl->t", residual, np.linalg.inv(covariance), residual) / 2
    expected += np.log(np.linalg.det(2 * np.pi * covariance)) / 2
    np.testing.assert_allclose(net.loss(), expected, rtol=1e-12)
    # Predictive density of a Gaussian with its own spread.
    spread = 0.2 * np.eye(2) + np.zeros((9, 2, 2))
    density = net.likelihood.predictive_nll(jnp.asarray(X @ matrix.T), jnp.asarray(spread), y)
    wide = covariance + 0.2 * np.eye(2)
    twin = np.einsum("tk,kl,tl->t", residual, np.linalg.inv(wide), residual) / 2
    np.testing.assert_allclose(
        density, twin + np.log(np.linalg.det(2 * np.pi * wide)) / 2, rtol=1e-5
    )


def test_a_prior_per_parameter_and_with_a_mean(blobs, parameters):
    variances = {"W1": 0.5, "b1": 2.0, "W2": np.full((3, 8), 0.25), "b2": 4.0}
    prior = information.Prior(variances, {"W1": 0.1, "b1": 0.0, "W2": 0.0, "b2": np.ones(3)})
    net = network_of(blobs, parameters, prior=prior)
    spectrum = information.spectrum(net, route="dense")
    with net.arithmetic():
        outputs = jax.jit(jax.jacrev(lambda p: jax.vmap(lambda x: mlp(p, x))(net.inputs)))
        jacobian = outputs(net.model())
        rows = [
            np.asarray(jacobian[n]).reshape(POINTS, 3, -1) * np.sqrt(variances[n]).ravel()
            for n in ("W1", "W2", "b1", "b2")
        ]
        p = np.asarray(jax.nn.softmax(net.outputs, axis=1))
    jacobian = np.concatenate(rows, axis=2)
    curvature = np.einsum("tk,kl->tkl", p, np.eye(3)) - p[:, :, None] * p[:, None]
    fisher = np.einsum("tkp,tkl,tlq->pq", jacobian, curvature, jacobian)
    values = np.linalg.eigvalsh(fisher)[::-1][: spectrum.kept]
    np.testing.assert_allclose(spectrum.information[:-1], values, atol=1e-10 * values[0])
    nothing = coarse_grain(spectrum, SharpCutoff(1e9)).model()
    np.testing.assert_allclose(nothing["b2"], np.ones(3))
    np.testing.assert_allclose(nothing["W1"], np.full((8, 2), 0.1))


def test_single_precision(net, spectrum, blobs, parameters):
    single = network_of(blobs, parameters, precision="float32")
    found = information.spectrum(single, route="dual")
    assert found.information.dtype == np.float32
    np.testing.assert_allclose(
        found.information[:10], spectrum.information[:10], atol=1e-5 * spectrum.information[0]
    )


# Prices.


def test_prices_of_a_minimum(spectrum, blobs):
    """I12: silent where the network is linear, raised on draws of inner layers."""
    prices = spectrum.prices(blobs[2:], scales=(0.01, 0.1, 0.3, 1.0))
    np.testing.assert_allclose(prices.predicted, prices.gradient + prices.quadratic)
    cut = prices.predicted > 1e-12  # with every mode kept both parts are rounding
    np.testing.assert_array_equal(cut, [False, False, True, True])
    assert np.all(prices.gradient[cut] > 2 * prices.quadratic[cut])  # below the natural cutoff
    assert np.all(prices.valid_linearised)
    np.testing.assert_allclose(prices.nats_kept + prices.nats_lost, spectrum.nats, rtol=1e-12)
    held_out = prices.held_out
    assert abs(held_out.nll[0] - held_out.uncut_nll) < 0.01
    assert held_out.accuracy[0] == held_out.trained_accuracy
    np.testing.assert_allclose(held_out.weighted_nll[0], held_out.uncut_nll, rtol=1e-12)
    draws = spectrum.resetting("prior").prices(scales=(0.3, 1.0))
    assert not np.any(draws.valid)
    assert np.all(draws.measured > 2 * draws.predicted)
    assert "not valid" in str(draws)


def test_the_last_layer_is_exact_up_to_the_softmax(blobs, parameters):
    """I12: the flag is silent, and both networks are one."""
    last = network_of(blobs, parameters, scope="last-layer")
    assert last.names() == ["W2", "b2"]
    spectrum = information.spectrum(last)
    assert spectrum.route == "last-layer"
    hidden = np.tanh(2**0.5 * blobs[0] @ parameters["W1"].T + 2 * parameters["b1"])
    features = np.concatenate([2**0.5 * hidden, np.ones((POINTS, 1))], axis=1)
    with last.arithmetic():
        p = np.asarray(jax.nn.softmax(last.outputs, axis=1))
    curvature = p[:, :, None] * np.eye(CLASSES) - p[:, :, None] * p[:, None]
    fisher = sum(np.kron(h, np.outer(f, f)) for h, f in zip(curvature, features, strict=True))
    values = np.linalg.eigvalsh(fisher)[::-1][: spectrum.kept]
    np.testing.assert_allclose(spectrum.information[:-1], values, atol=1e-12 * values[0])
    for reset in ("mean", "prior"):
        prices = spectrum.resetting(reset).prices(scales=(0.1, 0.3, 1.0))
        np.testing.assert_allclose(prices.measured, prices.linearised, rtol=1e-9, atol=1e-13)
        assert np.all(prices.valid[:2])


def test_a_saturated_classifier_says_so(blobs):
    """I12: trained without decay to certainty; few directions are informed, and removing the
    others costs much more than predicted."""
    X, y = blobs[0][:15], blobs[1][:15]

    class Weak(likelihoods.Softmax):
        def nll(self, f, y):
            return 1e4 * super().nll(f, y)  # a penalty 1e4 times weaker

    trained = minimum(mlp, drawn(), X, y, Weak(), steps=600, slope=1e-8)
    net = information.network(mlp, X, y, likelihood="softmax", prior=1.0, parameters=trained)
    spectrum = information.spectrum(net)
    assert net.loss().mean() < 0.01
    assert spectrum.count_above(1.0) < 5
    assert any("saturated" in sentence for sentence in information.diagnostics(spectrum))
    prices = spectrum.prices(scales=(1.0, 3.0))
    assert not np.any(prices.valid)


def test_resets_keep_and_init(spectrum, net):
    cut = coarse_grain(spectrum.resetting("keep"), RankCutoff(3))
    for left, right in zip(jax.tree.leaves(cut.model()), jax.tree.leaves(net.model()), strict=True):
        np.testing.assert_array_equal(left, right)
    back = coarse_grain(spectrum.resetting("init"), SharpCutoff(1e9)).model()
    for name, value in drawn().items():
        np.testing.assert_allclose(back[name], value, rtol=1e-12)
    half = coarse_grain(spectrum.resetting("init"), RankCutoff(3))
    with net.arithmetic():
        moved = np.asarray(half.modes.coordinates(net, half.point()))
        started = np.asarray(half.modes.coordinates(net, net.start))
    np.testing.assert_allclose(moved[:3], spectrum.whitened[:3], atol=1e-10)
    np.testing.assert_allclose(moved[3:], started[3:], atol=1e-10)


def test_pruning_is_predicted_and_repaired(spectrum):
    """Second order in few weights of little damage; a repair makes it cheaper."""
    pruned = information.prune(spectrum, 0.2)
    assert pruned.removed.sum() == 10
    assert abs(pruned.measured - pruned.predicted) < 0.5 * abs(pruned.predicted) + 1e-4
    assert pruned.repaired_predicted < pruned.predicted
    assert pruned.repaired < pruned.measured + 1e-6
    harm = information.prune(spectrum, 0.3, score="random").measured
    assert information.prune(spectrum, 0.3).measured < harm
    with pytest.raises(ValueError, match="route='dense'"):
        information.prune(information.spectrum(spectrum.network, route="dual"), 0.1)


@pytest.fixture(scope="module")
def digits():
    """The reference of docs/science/information.md, section 9, seed 0."""
    reference = load_benchmark("information_digits")
    (X, y), held_out = reference.data(0)
    trained, _ = reference.minimum(0, X, y, steps=1500)
    net = information.network(
        reference.network, X, y, likelihood="softmax", prior=1.0, parameters=trained
    )
    return information.spectrum(net), held_out


def test_digits(digits):
    """I10 on one seed: counts within 3 %, prices within 25 % of the seeds' range."""
    spectrum, held_out = digits
    counts = [spectrum.count_above(scale) for scale in (10, 1, 0.1, 0.01)]
    np.testing.assert_allclose(counts, [48, 204, 509, 934], rtol=0.03)
    np.testing.assert_allclose(spectrum.degrees_of_freedom, 248, rtol=0.03)
    np.testing.assert_allclose(spectrum.nats, 244, rtol=0.03)
    prices = spectrum.prices(held_out, scales=(0.1, 1.0, 3.0), calibration=False)
    ratio = prices.linearised / prices.predicted
    assert np.all((ratio > 0.97) & (ratio < 1.1))
    assert 0.75 * 1.32e-3 < prices.predicted[1] < 1.25 * 1.49e-3
    assert 0.75 * 13.2e-3 < prices.predicted[2] < 1.25 * 15.0e-3
    assert prices.held_out.accuracy[1] > 0.965
    small = coarse_grain(spectrum, information.AtCost(0.01))
    assert 0.04 < small.kept / spectrum.network.size < 0.1
    right = small.predict(held_out[0][:100]).argmax(1) == held_out[1][:100]
    assert np.mean(right) > 0.9


# Refusals, one sentence each.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": np.full(POINTS, 3)}, "class indices from 0 to 2"),
        ({"y": np.zeros(POINTS + 1, int)}, "one class index per point"),
        ({"X": np.full((POINTS, 2), np.nan)}, "NaN or infinity"),
        ({"likelihood": "regression"}, "regression needs `noise_variance`"),
        ({"likelihood": "regression", "noise_variance": -1.0}, "must be positive"),
        ({"likelihood": "hinge"}, "'softmax', 'regression'"),
        ({"prior": None}, "no unit without a prior"),
        ({"weight_decay": 0.1}, "both set the unit"),
        ({"prior": None, "weight_decay": 0.0}, "positive number"),
        ({"prior": -1.0}, "positive and finite"),
        ({"scope": "encoder"}, "no parameter is named 'encoder'"),
        ({"precision": "float16"}, "'float64' or 'float32'"),
        ({"start": {"W1": np.ones(2)}}, "the same network"),
        ({"X": np.zeros((POINTS, 3))}, "cannot be called"),
        ({"X": [[1.0, 2.0], [3.0]]}, "points of different shapes"),
        ({"X": np.full((POINTS, 2), "a")}, "must hold numbers"),
        ({"y": np.full(POINTS, np.nan)}, "class indices from 0 to 2"),
        ({"prior": None, "weight_decay": "5e-4"}, "positive number"),
        ({"prior": "auto"}, "structure of the parameters"),
        ({"prior": information.Prior(1.0, np.nan)}, "means must be finite"),
        ({"scope": []}, "`scope` must be"),
        ({"likelihood": "regression", "noise_variance": np.triu(np.ones((3, 3)))}, "symmetric"),
        ({"start": {k: v.T for k, v in drawn().items()}}, "arrays of other shapes"),
    ],
)
def test_a_network_is_refused_in_a_sentence(blobs, parameters, changes, message):
    given = {"X": blobs[0], "y": blobs[1], "likelihood": "softmax", "prior": 1.0, **changes}
    with pytest.raises(ValueError, match=message):
        information.network(mlp, given.pop("X"), given.pop("y"), parameters=parameters, **given)


def test_more_refusals(blobs, parameters, net, spectrum):
    X, y = blobs[:2]
    given = {"likelihood": "softmax", "prior": 1.0}
    with pytest.raises(TypeError, match="no floating-point arrays"):
        information.network(lambda x: x, X, y, **given)
    noisy = eqx.nn.Sequential([eqx.nn.Linear(2, 3, key=jax.random.key(0)), eqx.nn.Dropout(0.5)])
    with pytest.raises(ValueError, match="inference_mode"):
        information.network(noisy, X, y, **given)
    broken = information.network(
        lambda p, x: p * jnp.sqrt(jnp.abs(0 * x[:1])) * jnp.ones(3) + jnp.sqrt(0 * p),
        X,
        y,
        parameters=np.ones(3),
        **given,
    )
    with pytest.raises(ValueError, match="derivatives hold NaN"):
        information.spectrum(broken)
    with pytest.raises(ValueError, match="reset='init'"):
        information.spectrum(network_of(blobs, parameters, start=None)).resetting("init")
    with pytest.raises(ValueError, match="must be one of mean"):
        spectrum.resetting("zero")
    with pytest.raises(ValueError, match="preprocessed as for training"):
        spectrum.predict(np.zeros((2, 5)))
    for scales in ([0.0], "all", [np.inf]):
        with pytest.raises(ValueError, match="positive numbers"):
            spectrum.prices(scales=scales)
    with pytest.raises(TypeError, match="what network"):
        information.spectrum(mlp)
    with pytest.raises(ValueError, match="whole number, at least 1"):
        information.spectrum(net, modes=2.5)
    with pytest.raises(ValueError, match="needs the last layer"):
        information.spectrum(net, route="last-layer")
    with pytest.raises(ValueError, match="pair of inputs and labels"):
        spectrum.prices(held_out=3)
    with pytest.raises(ValueError, match="`route`"):
        information.spectrum(net, route="exact")
    with pytest.raises(ValueError, match="not linear in any"):
        information.network(
            lambda p, x: jnp.tanh(p @ x),
            X,
            y,
            parameters=np.ones((3, 2)),
            scope="last-layer",
            **given,
        )
    with net.arithmetic():
        assert push(net, net.point).shape == (POINTS, CLASSES)
