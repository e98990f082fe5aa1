"""The regressor against its twins, its own other routes to the same model, and scikit-learn."""

import numpy as np
import pytest
from helpers import searched_coarsely
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from sklearn.linear_model import Ridge

from wilsonian import (
    RBF,
    FromFunction,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    RankCutoff,
    ReducedGPRegressor,
    SharpCutoff,
    SmoothCutoff,
)
from wilsonian.regression.fitting import fit_process
from wilsonian.regression.sample import Sample
from wilsonian.regression.statistics import Block

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(-2, 2, (40, 2))
Y = np.stack([np.sin(2 * X[:, 0]) + X[:, 1], 3 + np.cos(X[:, 0] - 2 * X[:, 1])], axis=1)
Y += 0.3 * RANDOM.normal(size=Y.shape)
NEW = RANDOM.uniform(-3, 3, (9, 2))
EXACT = {"cutoff": None, "optimizer": None, "noise_variance": 0.1, "amplitude": 1.7}
FIXED = {"optimizer": None, "noise_variance": 0.1, "kernel": RBF(1.0)}
LENGTH_SCALE = 0.8
PAIRS = {
    "RBF": (RBF(LENGTH_SCALE), kernels.RBF(LENGTH_SCALE)),
    "RBF, ARD": (RBF(np.array([0.6, 1.1])), kernels.RBF([0.6, 1.1])),
    "Matern12": (Matern12(LENGTH_SCALE), kernels.Matern(LENGTH_SCALE, nu=0.5)),
    "Matern32": (Matern32(LENGTH_SCALE), kernels.Matern(LENGTH_SCALE, nu=1.5)),
    "Matern52": (Matern52(LENGTH_SCALE), kernels.Matern(LENGTH_SCALE, nu=2.5)),
    "function": (FromFunction(kernels.RBF(LENGTH_SCALE)), kernels.RBF(LENGTH_SCALE)),
}


def assert_close(ours, twin, tolerance=1e-8):
    """Equal to `tolerance` of the largest entry of the twin."""
    ours, twin = np.asarray(ours), np.asarray(twin)
    assert ours.shape == twin.shape
    np.testing.assert_allclose(ours, twin, rtol=0, atol=tolerance * np.abs(twin).max())


def assert_same_model(one, other, tolerance=1e-10):
    mean, std = one.predict(NEW, return_std=True)
    other_mean, other_std = other.predict(NEW, return_std=True)
    assert_close(mean, other_mean, tolerance)
    assert_close(std, other_std, tolerance)
    for name in ("noise_variance_", "ridge_", "log_marginal_likelihood_value_", "expected_loss_"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=100 * tolerance), name
    assert one.n_modes_ == other.n_modes_


def test_assert_close_can_fail():
    with pytest.raises(AssertionError):
        assert_close(np.ones(3), 1.0001 * np.ones(3))
    with pytest.raises(AssertionError):
        assert_close(np.ones((3, 1)), np.ones(3))


# Twins ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize_y", [False, True])
@pytest.mark.parametrize("pair", PAIRS)
def test_with_every_mode_kept_it_is_the_exact_gaussian_process(pair, normalize_y):
    kernel, twin_kernel = PAIRS[pair]
    ours = ReducedGPRegressor(kernel, rank=len(X), normalize_y=normalize_y, **EXACT)
    twin = GaussianProcessRegressor(
        EXACT["amplitude"] * twin_kernel,
        alpha=EXACT["noise_variance"],
        optimizer=None,
        normalize_y=normalize_y,
    )
    for y in (Y[:, 0], Y):
        ours.fit(X, y)
        twin.fit(X, y)
        mean, std = ours.predict(NEW, return_std=True)
        twin_mean, twin_std = twin.predict(NEW, return_std=True)
        assert_close(mean, twin_mean)
        assert_close(std, twin_std)
        assert_close(ours.predict(NEW, return_cov=True)[1], twin.predict(NEW, return_cov=True)[1])
        evidence = twin.log_marginal_likelihood_value_
        assert ours.log_marginal_likelihood_value_ == pytest.approx(evidence, rel=1e-8)
        assert ours.score(X, y) == pytest.approx(twin.score(X, y), rel=1e-8)
    unit = Y.var(axis=0) if normalize_y else np.ones(2)
    assert ours.noise_variance_ == pytest.approx(EXACT["noise_variance"] * unit)
    assert ours.ridge_ == pytest.approx(ours.noise_variance_)  # nothing was integrated out


def test_evidence_at_other_values_is_that_of_a_fit_with_them():
    ours = ReducedGPRegressor(RBF(0.8), rank=len(X), **EXACT).fit(X, Y)
    other = ReducedGPRegressor(
        RBF(0.8), rank=len(X), **{**EXACT, "noise_variance": 0.3, "amplitude": 0.5}
    ).fit(X, Y)
    assert ours.log_marginal_likelihood() == pytest.approx(ours.log_marginal_likelihood_value_)
    assert ours.log_marginal_likelihood(0.5, 0.3) == pytest.approx(
        other.log_marginal_likelihood_value_, rel=1e-9
    )


def test_a_linear_kernel_is_ridge_regression():
    ours = ReducedGPRegressor(Linear(variance=1.0), normalize_y=False, **EXACT).fit(X, Y)
    alpha = EXACT["noise_variance"] / EXACT["amplitude"]
    twin = Ridge(alpha=alpha, fit_intercept=False).fit(X, Y)
    assert_close(ours.predict(NEW), twin.predict(NEW))
    assert ours.n_modes_ == 2


INDUCING_POINTS = X[::4]


@pytest.mark.parametrize("ridge", ["uniform", "input-dependent"])
def test_what_inducing_points_leave_out_joins_the_ridge(ridge):
    ours = ReducedGPRegressor(
        RBF(1.0), inducing_points=INDUCING_POINTS, ridge=ridge, normalize_y=False, **EXACT
    ).fit(X, Y[:, 0])
    gram = kernels.ConstantKernel(EXACT["amplitude"]) * kernels.RBF(1.0)
    inner = gram(INDUCING_POINTS) + 1e-15 * np.eye(len(INDUCING_POINTS))
    nystrom = gram(X, INDUCING_POINTS) @ np.linalg.solve(inner, gram(INDUCING_POINTS, X))
    lost = gram.diag(X) - np.diagonal(nystrom)
    noise = EXACT["noise_variance"] + (
        lost if ridge == "input-dependent" else np.full(len(X), lost.mean())
    )
    weights = np.linalg.solve(nystrom + np.diag(noise), Y[:, 0])
    twin = gram(NEW, INDUCING_POINTS) @ np.linalg.solve(inner, gram(INDUCING_POINTS, X)) @ weights
    assert_close(ours.predict(NEW), twin)
    assert ours.ridge_ == pytest.approx(EXACT["noise_variance"] + lost.mean())
    assert ours.measure_ == "population"


# The same model by other routes -----------------------------------------------------------------


@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["one output", "two outputs"])
@pytest.mark.parametrize("learn", [None, "scale"])
def test_fitting_in_pieces_is_fitting_at_once(learn, y):
    parameters = {**FIXED, "inducing_points": INDUCING_POINTS}
    if learn:
        parameters.update(optimizer="l-bfgs-b", learn="scale")
    whole = ReducedGPRegressor(**parameters).fit(X, y)
    pieces = ReducedGPRegressor(**parameters)
    for rows in (slice(0, 7), slice(7, 30), slice(30, 40)):
        pieces.partial_fit(X[rows], y[rows])
    # Learning ends where L-BFGS-B's tolerance lets it, which rounding moves.
    assert_same_model(pieces, whole, 1e-5 if learn else 1e-10)


def test_pieces_of_an_input_dependent_ridge_are_refused():
    model = ReducedGPRegressor(ridge="input-dependent", **FIXED)
    with pytest.raises(ValueError, match=r"`partial_fit` needs ridge='uniform'"):
        model.partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"only a uniform ridge flows without the data"):
        model.fit(X, Y).coarse_grained(3)


def test_a_piece_with_other_outputs_is_refused():
    model = ReducedGPRegressor(**FIXED).partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"y has 1 outputs, the model was fitted with 2"):
        model.partial_fit(X, Y[:, 0])


def test_a_stream_of_blocks_is_a_fit_of_the_table():
    parameters = {**FIXED, "inducing_points": INDUCING_POINTS}
    table = ReducedGPRegressor(**parameters).fit(X, Y)
    blocks = [Block(X[:11], Y[:11]), Block(X[11:], Y[11:], np.ones(29))]
    stream = ReducedGPRegressor(**parameters)
    fitted = fit_process(
        stream.prior(),
        Sample(X, Y, np.ones(len(X))),
        lambda start: blocks[start:],
        stream.plan(X.shape[1]),
        np.random.default_rng(0),
        rows=len(X),
    )
    assert_same_model(stream.adopt(fitted, Y.ndim), table)


def test_single_precision_is_close_to_double():
    double = ReducedGPRegressor(inducing_points=INDUCING_POINTS, **FIXED).fit(X, Y)
    single = ReducedGPRegressor(inducing_points=INDUCING_POINTS, dtype="float32", **FIXED).fit(X, Y)
    # The inducing points' kernel matrix amplifies rounding (6e-8) by its condition number.
    assert_same_model(single, double, 1e-3)
    assert not np.array_equal(single.predict(NEW), double.predict(NEW))
    assert single.predict(NEW).dtype == np.float64


def test_a_sample_weight_is_a_number_of_repetitions():
    counts = RANDOM.integers(0, 4, len(X))
    weighted = ReducedGPRegressor(rank=15, random_state=1, **FIXED).fit(X, Y, counts)
    repeated = ReducedGPRegressor(rank=15, random_state=1, **FIXED).fit(
        np.repeat(X, counts, axis=0), np.repeat(Y, counts, axis=0)
    )
    assert_same_model(weighted, repeated)


# Cutoffs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def population():
    model = ReducedGPRegressor(inducing_points=INDUCING_POINTS, **FIXED).fit(X, Y)
    assert model.measure_ == "population"
    return model


@pytest.mark.parametrize(
    "cutoff",
    ["auto", None, 0, 4, 0.01, RankCutoff(4), SharpCutoff(0.01), SmoothCutoff(0.01)],
    ids=str,
)
def test_coarse_graining_a_fit_is_fitting_with_the_cutoff(cutoff, population):
    fitted = ReducedGPRegressor(inducing_points=INDUCING_POINTS, cutoff=cutoff, **FIXED).fit(X, Y)
    flowed = population.coarse_grained(cutoff)
    assert_same_model(flowed, fitted)
    assert fitted.expected_loss_ >= 0
    assert np.all(fitted.ridge_ >= fitted.noise_variance_)
    assert population.cutoff == "auto"


def test_equal_cutoffs_are_written_in_several_ways(population):
    eigenvalues = population.spectrum_.eigenvalues / np.mean(Y.var(axis=0))
    between = float(np.sqrt(eigenvalues[3] * eigenvalues[4]))
    four = population.coarse_grained(4)
    assert four.n_modes_ == 4
    for same in (RankCutoff(4), between, SharpCutoff(between)):
        assert_same_model(population.coarse_grained(same), four)
    smooth = population.coarse_grained(SmoothCutoff(between, 1e-4))
    assert_close(smooth.predict(NEW), four.predict(NEW))


def test_the_flow_lists_what_coarse_graining_gives(population):
    flow = population.flow_
    np.testing.assert_array_equal(flow.kept, np.arange(len(INDUCING_POINTS) + 1))
    assert np.all(np.diff(flow.ridge) < 0)
    for kept in (0, 3, len(INDUCING_POINTS)):
        cut = population.coarse_grained(kept)
        assert cut.n_modes_ == kept
        assert flow.ridge[kept] == pytest.approx(np.mean(cut.ridge_), rel=1e-12)
        assert flow.evidence[kept] == pytest.approx(cut.log_marginal_likelihood_value_, rel=1e-12)
        np.testing.assert_allclose(cut.flow_.ridge, flow.ridge, rtol=1e-12)


def test_the_automatic_cutoff_stops_below_the_threshold():
    model = ReducedGPRegressor(inducing_points=INDUCING_POINTS, threshold=0.9, **FIXED).fit(X, Y)
    assert 0 < model.n_modes_ < len(INDUCING_POINTS)
    assert model.flow_.learnability[model.n_modes_] < 0.9
    assert np.all(model.flow_.learnability[: model.n_modes_] >= 0.9)


def test_modes_of_many_inducing_points_are_those_of_the_sample():
    few = ReducedGPRegressor(rank=20, **FIXED).fit(X, Y)
    many = ReducedGPRegressor(rank=21, **FIXED).fit(X, Y)
    assert (few.measure_, many.measure_) == ("population", "sample")
    # Modes of the sample decouple: what is cut leaves the ridge alone.
    bare = many.coarse_grained(5)
    assert bare.ridge_ == pytest.approx(many.coarse_grained(None).ridge_)
    assert np.all(few.coarse_grained(5).ridge_ > few.coarse_grained(None).ridge_)


# Learning ---------------------------------------------------------------------------------------


def test_learning_finds_the_noise_of_a_known_process():
    random = np.random.default_rng(3)
    inputs = np.sort(random.uniform(0, 4, 150))[:, None]
    gram = 2.0 * kernels.RBF(0.4)(inputs)
    latent = random.multivariate_normal(np.zeros(150), gram, method="svd")
    labels = latent + np.sqrt(0.05) * random.normal(size=150)
    start = ReducedGPRegressor(RBF(1.0), cutoff=None, optimizer=None).fit(inputs, labels)
    model = ReducedGPRegressor(RBF(1.0), cutoff=None, random_state=0).fit(inputs, labels)
    assert 0.05 / 1.5 < model.noise_variance_ < 0.05 * 1.5
    length_scale = float(np.squeeze(model.kernel_.length_scale))
    assert 0.4 / 2 < length_scale < 0.4 * 2
    assert model.log_marginal_likelihood_value_ > start.log_marginal_likelihood_value_ + 1
    for sentence in (model.convergence_, model.rank_status_, start.convergence_):
        assert "\n" not in sentence
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence[0].isdigit()
    assert model.convergence_.startswith("L-BFGS-B converged after")
    assert start.convergence_ == "Nothing was learned: kernel, amplitude and noise are as given."


def test_a_weak_signal_is_found_from_every_start():
    """One part of signal in nine of noise."""
    random = np.random.RandomState(3)
    inputs = random.randn(500, 2)
    random.randn(1000, 2)
    labels = inputs[:, 0] + 3 * random.randn(500)
    for start in ({}, {"noise_variance": 1.0}):
        model = ReducedGPRegressor(random_state=0, **start).fit(inputs, labels)
        assert model.log_marginal_likelihood_value_ > -694.9
        assert model.n_modes_ > 0
        # Predicting a constant, as the null model does, has 1.
        assert np.mean((model.predict(inputs) - inputs[:, 0]) ** 2) < 0.6
        assert "nats above that of noise alone" in model.convergence_


@pytest.mark.parametrize("seed", [0, 1])
def test_a_coarse_search_finds_two_columns_among_thirty(seed):
    """Nothing linear, and no scale common to all columns says anything."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(800, 30))
    labels = inputs[:, :1] * np.sin(2 * inputs[:, 1:2]) + 0.1 * random.normal(size=(800, 1))
    sample = Sample(inputs, labels - labels.mean(), np.ones(800))
    found = searched_coarsely(Matern52(), sample, 128)
    order = np.argsort(found.kernel.length_scale)
    assert set(order[:2]) == {0, 1}
    assert found.kernel.length_scale[order[2]] > 3 * found.kernel.length_scale[order[1]]
    assert found.noise_variance < 0.2 * labels.var()


# In the last a prior that joins a few close rows gains 16.9 nats by chance.
@pytest.mark.parametrize(
    ("rows", "columns", "seed"), [(60, 1, 5), (60, 12, 5), (200, 8, [7, 200, 8, 2])]
)
def test_noise_alone_is_called_noise(rows, columns, seed):
    random = np.random.default_rng(seed)
    inputs, labels = random.normal(size=(rows, columns)), 7 + 2 * random.normal(size=rows)
    model = ReducedGPRegressor(random_state=0).fit(inputs, labels)
    assert model.convergence_.endswith("Noise alone was kept: no signal was found.")
    assert model.noise_variance_ == pytest.approx(labels.var(), rel=1e-3)
    assert np.ptp(model.predict(inputs)) < 0.01 * labels.std()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_alone_knows_its_mean_as_well_as_the_rows_tell(dtype):
    """The mean is all that constant columns can teach: its standard error is that of n labels, and
    it is the same error at every input."""
    labels = 7 + 2 * np.random.default_rng(5).normal(size=60)
    model = ReducedGPRegressor(random_state=0, dtype=dtype).fit(np.full((60, 3), 0.1), labels)
    assert model.n_modes_ == 0
    error = labels.std() / 60**0.5
    # The prior of noise alone has 1e-4 of the targets' variance, 6e-3 of the mean's.
    for inputs in (np.full((2, 3), 0.1), np.zeros((2, 3))):
        _, std = model.predict(inputs, return_std=True)
        np.testing.assert_allclose(std, error, rtol=4e-3)
        _, covariance = model.predict(inputs, return_cov=True)
        np.testing.assert_allclose(covariance, error**2, rtol=8e-3)
        _, std = model.predict(inputs, return_std=True, include_noise=True)
        np.testing.assert_allclose(std**2, labels.var() + error**2, rtol=1e-3)
