"""Information spectra against reference values, and the laws of their cutoffs (I1, I3 to I8)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from information_instances import (
    INPUTS,
    NEW,
    NOISE,
    TARGETS,
    VARIANCES,
    LinearKernel,
    features,
    linear_network,
    softmax_network,
)

from wilsonian import (
    FullRidge,
    LitimCutoff,
    PointTheory,
    RankCutoff,
    SharpCutoff,
    SmoothCutoff,
    Spectrum,
    coarse_grain,
    flow,
    information,
    networks,
)

# Values in the tables of docs/science/information.md are rounded to ten decimals.
DIGITS = {"rtol": 1e-8, "atol": 6e-11}


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def linear():
    return information.spectrum(linear_network(), route="dense")


@pytest.fixture(scope="module")
def regression():
    with jax.enable_x64(True):
        return information.kernel_information(LinearKernel(), INPUTS[:, None], TARGETS, NOISE)


def law_at(spectrum, x=NEW):
    mean, deviation = spectrum.predict(x, return_std=True)
    return float(mean[0, 0]), float(deviation[0, 0] ** 2)


def close(actual, expected, **tolerance):
    np.testing.assert_allclose(actual, expected, **(tolerance or DIGITS))


def test_close_can_fail():
    with pytest.raises(AssertionError):
        close(1 + 2e-8, 1.0)


# R1: linear.


def test_linear_spectrum(linear):
    first = [1954.1818338765, 399.7163812793, 208.3955819019, 132.5837210390, 101.3126344275]
    close(linear.information[:5], first)
    close(linear.degrees_of_freedom, 22.2624713533)
    close(linear.nats, 41.4914005948)
    assert linear.others == 16
    assert linear.stationarity < 1e-10


@pytest.mark.parametrize(
    ("scale", "kept", "mean", "variance", "error", "lost"),
    [
        (0.0, 24, 0.8080364434, 0.0105857878, 0.0092860233, 0.0),
        (10.0, 19, 0.8128939448, 0.0140064332, 0.0190654296, 4.2140450220),
        (100.0, 5, 0.7748794231, 0.1737951193, 0.2027148857, 27.2721610200),
        (np.inf, 0, 0.0, 1.3071967086, 1.8979025377, 41.4914005948),
    ],
)
def test_linear_cutoffs(linear, regression, scale, kept, mean, variance, error, lost):
    cut = coarse_grain(linear.resetting("prior"), SharpCutoff(scale))
    assert cut.kept == kept
    close(law_at(cut), (mean, variance))
    close(cut.nats_lost, lost)
    kernel = coarse_grain(regression, SharpCutoff(scale))
    close(kernel.expected_training_error(), error)


@pytest.mark.parametrize(
    ("scale", "gradient", "quadratic"),
    [
        (10.0, 0.001163062518, 0.003448956365),
        (100.0, 0.01565837606, 0.4460215749),
        (np.inf, 0.1601032598, 26.91064273),
    ],
)
def test_linear_price_is_gradient_and_quadratic_term(linear, scale, gradient, quadratic):
    prices = linear.prices(scales=[scale if np.isfinite(scale) else 1e9])
    tolerance = {"rtol": 1e-8, "atol": 1e-12}
    close(prices.gradient[0], gradient, **tolerance)
    close(prices.quadratic[0], quadratic, **tolerance)
    # I4: exact for a linear network, and not without the gradient.
    close(prices.measured[0], prices.predicted[0], rtol=1e-12, atol=1e-13)
    close(prices.linearised[0], prices.predicted[0], rtol=1e-12, atol=1e-13)
    assert abs(prices.measured[0] - prices.quadratic[0]) > 1e-3


def test_prior_draws_cost_what_is_predicted_on_average():
    """Half the trace of F, from 100 draws: a spread of 11 %, so 35 %. All weights have one mean and
    one variance; one number for all of them would cost four times as much."""
    inputs = 1 + np.random.RandomState(0).rand(9, 4)
    net = information.network(
        *(lambda p, x: p @ x, inputs, np.zeros(9)),
        parameters=np.zeros(4),
        likelihood="regression",
        noise_variance=1.0,
        prior=1.0,
    )
    spectrum = information.spectrum(net, route="dense").resetting("prior")
    prices = spectrum.prices(scales=[1e9], draws=100)
    close(prices.predicted, np.sum(inputs**2) / 18, rtol=1e-12)
    close(prices.measured, prices.predicted, rtol=0.35)
    close(prices.measured, prices.linearised, rtol=1e-10)


@pytest.mark.parametrize(
    ("cutoff", "mean", "variance"),
    [
        (SmoothCutoff(10.0, 1.0), 0.8077645263, 0.0146472660),
        (LitimCutoff(10.0), 0.8068751316, 0.0116681463),
    ],
)
def test_linear_soft_cutoffs(linear, cutoff, mean, variance):
    cut = coarse_grain(linear.resetting("prior"), cutoff)
    close(law_at(cut), (mean, variance))
    total = {"SmoothCutoff": 16.25351195, "LitimCutoff": 21.71255912}[type(cutoff).__name__]
    close(np.sum(cut.kept_weights), total, rtol=1e-8)


@pytest.mark.parametrize(
    ("times", "mean", "variance"),
    [(0.1, 0.7868739586, 0.0673631032), (10.0, 0.8105831844, 0.0023419702)],
)
def test_counting_data_is_regression_with_another_noise(linear, regression, times, mean, variance):
    close(law_at(linear.resetting("prior").counting_data(times)), (mean, variance))
    twin = information.kernel_information(
        LinearKernel(), INPUTS[:, None], TARGETS, NOISE / times
    ).predict(NEW)
    ours = regression.counting_data(times).predict(NEW)
    close(ours.mean, twin.mean, rtol=1e-9)
    close(ours.variance, twin.variance, rtol=1e-9)


CUTOFFS = [SharpCutoff(3.0), SmoothCutoff(3.0, 1.0), SmoothCutoff(3.0, 0.1), LitimCutoff(3.0)]


@pytest.mark.parametrize("cutoff", CUTOFFS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("start", ["minimum", "zero"])
def test_cutting_parameters_is_the_kernel_formula(regression, cutoff, start):
    """I3; from any parameters, once moved to the minimum of the quadratic model."""
    parameters = {} if start == "minimum" else {"parameters": np.zeros(40)}
    spectrum = information.spectrum(linear_network(**parameters), route="dual")
    cut = coarse_grain(spectrum.resetting("prior").at_newton_minimum(), cutoff)
    points = np.linspace(-1.2, 1.2, 7)[:, None]
    mean, deviation = cut.predict(points, return_std=True)
    kernel = coarse_grain(regression, cutoff)
    law = kernel.predict(points)
    close(mean[:, 0], law.mean, rtol=1e-11, atol=1e-13)
    close(deviation[:, 0] ** 2, law.variance, rtol=1e-11)
    # Entries of the covariance cross zero: relative to the largest, .26.
    close(cut.kernel()(points), kernel.covariance(points), rtol=1e-11, atol=1e-13)


def test_marginal_in_another_basis_has_the_ridge_of_what_is_gone():
    """I7: the kept are coordinates, not eigenmodes; the library's own theory of points."""
    matrix = np.asarray(jax.vmap(features)(jnp.asarray(INPUTS)))
    spectrum = Spectrum.of(jnp.asarray(VARIANCES), jnp.asarray(matrix))
    theory = PointTheory.of(spectrum, FullRidge(NOISE * jnp.eye(24)), jnp.asarray(TARGETS))
    reduced = coarse_grain(theory, RankCutoff(6))
    unit = np.sqrt(VARIANCES[:3])
    close(reduced.coefficients()[:3] / unit, [0.3700539864, -0.7030842604, -1.5021150584])
    variances = jnp.diagonal(reduced.posterior_covariance())[:3]
    close(variances / unit**2, [0.0303691898, 0.3406703193, 0.3842095075])
    # The marginal of the whole posterior, without any reduction.
    precision = matrix.T @ matrix / NOISE + np.diag(1 / VARIANCES)
    whole = np.linalg.inv(precision)
    close(reduced.coefficients()[:6], (whole @ matrix.T @ TARGETS / NOISE)[:6], rtol=1e-11)
    # Keeping eigenmodes of the sample instead renormalizes nothing, and is another answer.
    sample = coarse_grain(information.spectrum(linear_network()), RankCutoff(6))
    moved = np.asarray(sample.model())[:6]
    assert np.linalg.norm(moved - reduced.coefficients()[:6]) > 0.05 * np.linalg.norm(moved)


def test_errors_and_lost_nats_by_monte_carlo(linear, regression):
    """I6, with 20,000 draws: within three standard errors."""
    random = np.random.RandomState(0)
    cut = coarse_grain(linear.resetting("prior"), SharpCutoff(10.0))
    k, kept = np.asarray(linear.information[:-1]), np.asarray(cut.kept_weights[:-1])
    on_data = np.asarray(linear.modes.on_data(linear.network))[:, 0] * np.sqrt(k * NOISE)
    means, deviations = np.asarray(cut.mode_means()), np.sqrt(np.asarray(cut.mode_variances()))
    draws = means + deviations[:-1] * random.randn(20_000, len(k))
    errors = np.mean((draws @ on_data.T - TARGETS) ** 2, axis=1)
    expected = coarse_grain(regression, SharpCutoff(10.0)).expected_training_error()
    assert abs(errors.mean() - expected) < 3 * errors.std() / np.sqrt(20_000)
    # Data from the model: posterior means of the modes, and the divergence to the cut posterior.
    signal = np.sqrt(k) * random.randn(20_000, len(k)) + random.randn(20_000, len(k))
    posterior = np.sqrt(k) * signal / (1 + k)
    divergence = (posterior**2 + 1 / (1 + k) - 1 + np.log1p(k)) / 2 @ (1 - kept)
    assert abs(divergence.mean() - cut.nats_lost) < 3 * divergence.std() / np.sqrt(20_000)


def test_a_cut_network_is_its_coordinates_and_a_seed(linear):
    cut = coarse_grain(linear, RankCutoff(5))
    assert cut.coordinates.shape == (5,)
    close(cut.from_coordinates(cut.coordinates), cut.model(), rtol=1e-12, atol=1e-12)
    drawn = cut.resetting("prior")
    one, other = (drawn.from_coordinates(np.arange(5.0), seed) for seed in (0, 1))
    close(one, drawn.from_coordinates(np.arange(5.0), 0), rtol=0)
    assert np.linalg.norm(one - other) > 0.1  # removed directions are drawn, kept ones are not
    for parameters in (one, other):
        whitened = jnp.asarray(parameters) / linear.network.function.scales
        close(linear.modes.coordinates(linear.network, whitened)[:5], np.arange(5.0), atol=1e-9)
    with pytest.raises(ValueError, match="5 finite numbers"):
        cut.from_coordinates(np.zeros(4))


def test_data_turn_a_field_into_one_of_effective_mass():
    """Section 4: a free scalar on a circle of length 10 observed at 64 points with noise .1 leaves
    one of mass squared m^2 + density / noise below the cutoff, and m above it."""
    momenta = 2 * np.pi * np.arange(-20, 21) / 10
    inputs = 10 * np.arange(64)[:, None] / 64

    def field(parameters, x):
        return parameters @ (jnp.cos(momenta * x[0]) + jnp.sin(momenta * x[0]))

    variances = 1 / (10 * (momenta**2 + 1))
    net = information.network(
        *(field, inputs, np.sin(inputs[:, 0])),
        parameters=np.zeros(41),
        likelihood="regression",
        noise_variance=0.1,
        prior=information.Prior(variances),
    )
    spectrum = information.spectrum(net, route="dense").resetting("prior")
    close(spectrum.kernel().effective_mass(10.0) ** 2, 1 + 64 / 10 / 0.1)
    close(coarse_grain(spectrum, RankCutoff(0)).kernel().effective_mass(10.0), 1.0)
    with pytest.raises(ValueError, match="does not fall"):
        coarse_grain(spectrum.resetting("mean"), RankCutoff(0)).kernel().effective_mass(10.0)


# R2: softmax.


def test_softmax_spectrum():
    spectrum = information.spectrum(softmax_network(), route="dense")
    values = [1.8300342194, 0.8440647045, 0.3769728089, 0.1765447538, 0.0030378310, 0.0007805094]
    close(spectrum.information, [*values, 0.0])
    close(spectrum.degrees_of_freedom, 1.5319984204)
    close(spectrum.nats, 1.0692719446)
    close(np.sum(spectrum.information), 3.2314348269)
    close(spectrum.network.loss().sum(), 2.8538606859)


def test_softmax_divergence_is_the_quadratic_form():
    network = softmax_network()
    spectrum = information.spectrum(network, route="dense")
    flat = np.sin(np.arange(15) + 1)  # in the order w, b, V
    step = {"w": flat[:3], "b": flat[3:6], "V": flat[6:].reshape(3, 3)}
    p = jax.nn.softmax(network.outputs, axis=1)
    ratios = []
    for length in (0.1, 0.01, 0.001):
        move = jax.tree.map(lambda s, r=length: r * jnp.asarray(s) / np.linalg.norm(flat), step)
        moved = jax.tree.map(jnp.add, network.point, move)
        q = jax.nn.softmax(jnp.asarray(network.evaluate(network.inputs, moved)), axis=1)
        divergence = float(jnp.sum(p * (jnp.log(p) - jnp.log(q))))
        coordinates = np.asarray(spectrum.modes.coordinates(network, move))
        ratios.append(divergence / (spectrum.information[:-1] @ coordinates**2 / 2) - 1)
    close(ratios, [0.05399, 0.003719, 0.0003553], rtol=2e-4)


# R3: an infinite network; R4: an ensemble of wide ones.


def circle(angles):
    return np.cos(np.array([1, 2, 3, 5]) * angles[:, None] + np.arange(4))


def relu_network(depth, width=1):
    dense = {"weight_variance": 2.0, "bias_variance": 0.1}
    hidden = [networks.Dense(width, **dense), networks.Relu()]
    return networks.serial(*(hidden * depth), networks.Dense(1, **dense))


def test_infinite_network_flows():
    angles, new = 2 * np.pi * (np.arange(40) + 0.5) / 40, 2 * np.pi * (np.arange(50) + 0.37) / 50
    target = lambda s: np.sin(s) + np.cos(3 * s) / 2  # noqa: E731
    theory = information.kernel_information(
        networks.nngp(relu_network(2)), circle(angles), target(angles), 0.05
    )
    close(theory.eigenvalues[:3], [640.9696747077, 80.5142116527, 80.1146419622])
    summary = theory.summary()
    close(summary.degrees_of_freedom, 19.0249522402)
    close(summary.nats, 25.3951760240)
    table = {
        0: (40, 0.0319263706, 0.0245114045, 0.3629547996, 0.0240734522, 0.0),
        1: (16, 0.0394685078, 0.0273401706, 0.3393222192, 0.0256917552, 3.1183912654),
        10: (8, 0.4097887816, 0.0611772949, -0.1157942492, 0.0445859007, 9.2988011426),
    }
    for scale, (kept, error, variance, mean, first, lost) in table.items():
        cut = coarse_grain(theory, SharpCutoff(scale))
        law = cut.predict(circle(new))
        assert cut.weights.sum() == kept
        found = [jnp.mean((law.mean - target(new)) ** 2), jnp.mean(law.variance)]
        found += [law.mean[0], law.variance[0], cut.nats_lost()]
        close(found, [error, variance, mean, first, lost])


ENSEMBLE = {
    0: ([0, 0, 0], [0.8258894, 0.8261344, 0.9308994]),
    2: ([0.0140387, 0.0471108, -0.0610039], [0.5656167, 0.4252596, 0.4386927]),
    8: ([0.1315232, 0.4189809, 0.2252671], [0.1258650, 0.1276933, 0.1045064]),
    12: ([0.2763369, 0.3508291, 0.2876432], [0.1029754, 0.1066292, 0.1030213]),
}
ANGLES = 2 * np.pi * (np.arange(12) + 0.5) / 12
X, Y = circle(ANGLES), np.sin(ANGLES) + np.cos(3 * ANGLES) / 2


@pytest.fixture(scope="module")
def ensemble():
    with jax.enable_x64(True):
        kernels = networks.nngp(relu_network(1)), networks.ntk(relu_network(1))
        return networks.gradient_flow(*kernels, X, Y, learning_rate=0.01)


@pytest.mark.parametrize("kept", ENSEMBLE)
def test_descent_ensembles_cut_to_their_own_start(ensemble, kept):
    law = information.descent_cut(ensemble, kept, 600, 0.7 * X[:3])
    mean, deviation = ENSEMBLE[kept]
    close(law.mean, mean, atol=6e-8)
    close(np.sqrt(law.variance), deviation, atol=6e-8)
    if kept == 12:
        whole = ensemble.predict_after(600, 0.7 * X[:3])
        close(law.mean, whole.mean, rtol=1e-12)


def test_a_mode_sent_back_does_not_move_with_a_ridge_either(ensemble):
    ridged = networks.gradient_flow(ensemble.nngp, ensemble.ntk, X, Y, ridge=0.3)
    none = information.descent_cut(ridged, 0, 50, X)
    close(none.mean, np.zeros(12), atol=1e-12)
    close(none.variance, ensemble.nngp.diagonal(X), rtol=1e-12)
    with pytest.raises(ValueError, match="between 0 and 12"):
        information.descent_cut(ridged, 13, 50, X)


def test_descent_ensembles_by_networks(ensemble):
    """I8: 48 networks of width 512, in three standard errors and a bias of 2 / sqrt(width)."""
    width, count = 512, 48
    network = relu_network(1, width)
    starts = jax.vmap(lambda key: network.init(key, (4,)))(
        jax.random.split(jax.random.key(3), count)
    )

    @jax.jit
    @jax.vmap
    def trained(start):
        def loss(parameters):
            return jnp.sum((network.apply(parameters, X)[:, 0] - Y) ** 2) / 2

        def step(parameters, _):
            slope = jax.grad(loss)(parameters)
            return jax.tree.map(lambda p, g: p - 0.01 * g, parameters, slope), None

        return jax.lax.scan(step, start, None, 600)[0]

    ends = trained(starts)
    found = {2: [], 8: []}
    for index in range(count):
        start, end = (jax.tree.map(lambda leaf, i=index: leaf[i], t) for t in (starts, ends))
        options = {"likelihood": "regression", "noise_variance": 1.0, "prior": 1.0}
        net = information.network(network, X, Y, parameters=end, start=start, **options)
        spectrum = information.spectrum(net, route="dual").resetting("init")
        for kept, outputs in found.items():
            cut = coarse_grain(spectrum, RankCutoff(kept))
            outputs.append(net.evaluate(0.7 * X[:3], cut.point())[:, 0])
    for kept, outputs in found.items():
        mean, deviation = ENSEMBLE[kept]
        allowed = 3 * np.std(outputs, axis=0) / np.sqrt(count) + 2 / np.sqrt(width)
        assert np.all(np.abs(np.mean(outputs, axis=0) - mean) < allowed)
        spread = np.std(outputs, axis=0, ddof=1)
        assert np.all(np.abs(spread - deviation) < 3 * spread / np.sqrt(2 * count) + 0.09)


# I5: laws of the library's verb, on every spectrum of the room.


@pytest.fixture(scope="module")
def theories(linear, regression):
    torus = information.torus_field(
        dimension=1, side=10.0, mass=1.0, noise_variance=0.1, n_samples=256, highest=20
    )
    softmax = information.spectrum(softmax_network(), route="dual")
    return {"linear": linear, "kernel": regression, "torus": torus, "softmax": softmax}


@pytest.mark.parametrize("name", ["linear", "kernel", "torus", "softmax"])
@pytest.mark.parametrize(
    "family",
    [SharpCutoff, lambda s: SmoothCutoff(s, 1.0), LitimCutoff],
    ids=["sharp", "soft", "litim"],
)
def test_laws(theories, name, family):
    theory = theories[name]
    middle = float(np.sort(np.asarray(theory.eigenvalues))[-3])
    once = coarse_grain(theory, family(middle))
    twice = coarse_grain(coarse_grain(theory, family(middle / 7)), family(middle))
    close(twice.weights, once.weights, rtol=1e-14)
    close(jax.tree.leaves(twice.summary()), jax.tree.leaves(once.summary()), rtol=1e-13)
    flowed = flow(theory, family(jnp.array([middle / 7, middle])))
    close(flowed.nats[1], once.summary().nats, rtol=1e-12)
    whole = coarse_grain(theory, SharpCutoff(0.0))
    close(whole.weights, theory.weights, rtol=0)


def test_nothing_cut_nothing_changed_and_nats_add_up(linear):
    for cutoff in CUTOFFS:
        cut = coarse_grain(linear, cutoff)
        close(cut.nats + cut.nats_lost, linear.nats, rtol=1e-12)
    whole = coarse_grain(linear, SharpCutoff(0.0))
    close(whole.model(), linear.network.model(), rtol=0)
    close(law_at(whole), law_at(linear), rtol=1e-12)
    assert whole.predicted_cost == 0


def test_the_flow_records_the_price(linear):
    scales = jnp.array([10.0, 100.0])
    predicted = flow(linear, SharpCutoff(scales)).predicted
    close(predicted, [0.004612018882, 0.461679951], rtol=1e-8)


def test_at_cost_is_the_largest_affordable_cutoff(linear):
    chosen = coarse_grain(linear, information.AtCost(0.01))
    assert chosen.predicted_cost <= 0.01
    smaller = coarse_grain(linear, RankCutoff(chosen.kept - 1))
    assert smaller.predicted_cost > 0.01
    assert linear.prices(scales=[10.0]).choose(0.01) == linear.information[chosen.kept - 1]
    with pytest.raises(ValueError, match="no prices"):
        coarse_grain(
            information.torus_field(
                dimension=1, side=1.0, mass=1.0, noise_variance=1.0, n_samples=1.0, highest=1
            ),
            information.AtCost(0.1),
        )
    with pytest.raises(ValueError, match="must be positive"):
        information.AtCost(0.0)


def test_without_double_precision_the_same_numbers(linear):
    with jax.enable_x64(False):
        cut = coarse_grain(linear.resetting("prior"), SharpCutoff(10.0))
        mean, deviation = cut.predict(NEW, return_std=True)
        np.testing.assert_allclose(mean[0, 0], 0.8128939448, rtol=1e-8)
        np.testing.assert_allclose(deviation[0, 0] ** 2, 0.0140064332, rtol=1e-8)
        np.testing.assert_allclose(cut.nats_lost, 4.2140450220, rtol=1e-8)
