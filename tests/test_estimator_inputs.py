"""What the estimators are given: bad input gets its sentence, odd input gets a sound answer."""

import pickle

import numpy as np
import pandas
import polars
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wilsonian import RBF, Matern52, ReducedGPRegressor

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(-2, 2, (40, 2))
y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * RANDOM.normal(size=40)
NEW = RANDOM.uniform(-2, 2, (6, 2))
FIXED = {"kernel": RBF(1.0), "optimizer": None, "rank": 15, "random_state": 0}


def changed(array, value):
    array = array.copy().astype(object if isinstance(value, str) else float)
    array.flat[3] = value
    return array


# Refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "targets", "sentence"),
    [
        (changed(X, np.nan), y, r"Input X contains NaN"),
        (changed(X, np.inf), y, r"Input X contains infinity"),
        (X, changed(y, np.nan), r"Input y contains NaN"),
        (X, changed(y, -np.inf), r"Input y contains infinity"),
        (X[:0], y[:0], r"0 sample"),
        (X[:, :0], y, r"0 feature"),
        (X[:1], y[:1], r"minimum of 2 is required"),
        (X, np.full(40, 7.5), r"`y` is constant in output 0 \(every value is 7.5\)"),
        (X, np.stack([y, 0 * y], axis=1), r"`y` is constant in output 1"),
        (changed(X, "tall"), y, r"could not convert string to float: 'tall'"),
        (X, changed(y, "tall"), r"could not convert string to float: 'tall'"),
        (X, y[:-1], r"inconsistent numbers of samples"),
        (X[:, 0], y, r"Expected 2D array, got 1D array"),
    ],
)
def test_bad_tables_get_their_sentence(inputs, targets, sentence):
    with pytest.raises(ValueError, match=sentence):
        ReducedGPRegressor(**FIXED).fit(inputs, targets)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.zeros(40), r"`sample_weight` are zero|at least one non-zero number"),
        (changed(np.ones(40), -1), r"Negative values in data passed to `sample_weight`"),
        (changed(np.ones(40), np.nan), r"sample_weight contains NaN"),
        (np.ones(39), r"sample_weight.shape == \(39,\), expected \(40,\)"),
        (np.ones((40, 2)), r"Sample weights must be 1D"),
    ],
)
def test_bad_sample_weights_get_their_sentence(weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        ReducedGPRegressor(**FIXED).fit(X, y, weights)


@pytest.mark.parametrize(
    ("parameter", "value", "sentence"),
    [
        ("cutoff", 10**9, r"`cutoff` keeps 1000000000 modes, but 15 are resolved; pass 0 to 15"),
        ("cutoff", -1, r"`cutoff` must be 'auto', None, a number of modes .* got -1"),
        ("cutoff", -0.5, r"`cutoff` must be .* got -0.5"),
        ("cutoff", float("nan"), r"`cutoff` must be .* got nan"),
        ("cutoff", "most", r"`cutoff` must be .* got 'most'"),
        ("rank", 0, r"`rank` must be a positive integer, got 0"),
        ("rank", -3, r"`rank` must be a positive integer, got -3"),
        ("rank", 1e9, r"`rank` must be a positive integer, got 1000000000.0"),
        ("rank", None, r"`rank` must be a positive integer or 'auto', got None"),
        ("rank", "all", r"`rank` must be a positive integer, got 'all'"),
        ("max_rank", None, r"`max_rank` must be a positive integer, got None"),
        ("block_size", 0, r"`block_size` must be a positive integer, got 0"),
        ("max_iterations", None, r"`max_iterations` must be a positive integer, got None"),
        ("n_restarts", -1, r"`n_restarts` must be an integer, zero or more, got -1"),
        ("threshold", 2, r"`threshold` is a learnability between 0 and 1, got 2"),
        ("threshold", "low", r"`threshold` is a learnability between 0 and 1, got 'low'"),
        ("noise_variance", 0, r"`noise_variance` must be a positive number, got 0"),
        ("noise_variance", -1, r"`noise_variance` must be a positive number, got -1"),
        ("noise_variance", float("nan"), r"`noise_variance` must be a positive number, got nan"),
        ("amplitude", float("inf"), r"`amplitude` must be a positive number, got inf"),
        ("dtype", "int8", r"`dtype` must be one of \('float64', 'float32'\), got 'int8'"),
        ("optimizer", "adam", r"`optimizer` must be one of .* got 'adam'"),
        ("learn", "nothing", r"`learn` must be one of .* got 'nothing'"),
        ("ridge", "none", r"`ridge` must be one of .* got 'none'"),
        ("ard", "yes", r"`ard` must be one of .* got 'yes'"),
        ("move_inducing_points", "no", r"`move_inducing_points` must be one of .* got 'no'"),
        (
            "inducing_points",
            X[:, :1],
            r"`inducing_points` must have shape \(rank, 2\), got \(40, 1\)",
        ),
        ("inducing_points", X[0], r"`inducing_points` must have shape \(rank, 2\), got \(2,\)"),
        ("inducing_points", X[:0], r"`inducing_points` must have shape \(rank, 2\), got \(0, 2\)"),
        (
            "inducing_points",
            changed(X, np.nan),
            r"`inducing_points` must be finite, got NaN or infinity",
        ),
        ("kernel", lambda A, B: -np.ones((len(A), len(B))), r"the kernel's diagonal must be"),
        ("kernel", lambda A, B: np.tanh(5 - A @ B.T) + 2 * (A @ B.T > 3), r"not positive semi"),
        ("kernel", RBF(np.ones(3)), r"`length_scale` has shape \(3,\) for points with 2 columns"),
    ],
)
def test_bad_parameters_get_their_sentence(parameter, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        ReducedGPRegressor(**{**FIXED, parameter: value}).fit(X, y)


def test_what_is_no_kernel_is_refused():
    with pytest.raises(TypeError, match=r"expected a kernel, got set; pass a wilsonian kernel"):
        ReducedGPRegressor(kernel={"rbf"}).fit(X, y)


@pytest.fixture(scope="module")
def fitted():
    return ReducedGPRegressor(**FIXED).fit(X, y)


def test_bad_calls_of_a_fit_get_their_sentence(fitted):
    with pytest.raises(ValueError, match=r"X has 3 features, but ReducedGPRegressor is expecting"):
        fitted.predict(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"Input X contains NaN"):
        fitted.predict(changed(X, np.nan))
    with pytest.raises(ValueError, match=r"`cutoff` keeps 16 modes, but 15 are resolved"):
        fitted.coarse_grained(16)
    with pytest.raises(RuntimeError, match=r"either `return_std` or `return_cov`, not both"):
        fitted.predict(X, return_std=True, return_cov=True)
    with pytest.raises(NotFittedError, match=r"not fitted yet"):
        ReducedGPRegressor().predict(X)


# Odd, but sound ---------------------------------------------------------------------------------

ODD = {
    "duplicate rows": (np.repeat(X, 3, axis=0), np.repeat(y, 3)),
    "contradicting duplicates": (np.repeat(X, 2, axis=0), np.repeat(y, 2) + np.tile([0, 0.1], 40)),
    "duplicate columns": (X[:, [0, 1, 1, 0]], y),
    "a huge column": (X * [1.0, 1e8], y),
    "a tiny column": (X * [1.0, 1e-8], y),
    "a column far from zero": (X + np.array([0.0, 1e6]), y),
    "a constant column": (np.insert(X, 1, 3.0, axis=1), y),
    "large targets": (X, 1e8 * y),
    "small targets": (X, 1e-8 * y),
    "targets far from zero": (X, y + 1e6),
    "two equal outputs": (X, np.stack([y, y], axis=1)),
    "integers": (np.round(20 * X).astype(int), y),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_tables_are_learned(name):
    inputs, targets = ODD[name]
    model = ReducedGPRegressor(max_iterations=30, random_state=0).fit(inputs, targets)
    mean, std = model.predict(inputs, return_std=True)
    assert np.all(np.isfinite(mean))
    assert np.all(np.isfinite(std))
    assert np.all(std > 0)
    assert 0.9 < r2_score(targets, mean) <= 1


@pytest.mark.parametrize("change", [{"rank": 10**9}, {"rank": "auto", "max_rank": 10**9}])
def test_ranks_beyond_the_rows_mean_all_rows(change):
    assert ReducedGPRegressor(**{**FIXED, **change}).fit(X, y).rank_ <= len(X)


def test_repeated_inducing_points_count_once():
    once = ReducedGPRegressor(**{**FIXED, "inducing_points": X[:10]}).fit(X, y)
    twice = ReducedGPRegressor(**{**FIXED, "inducing_points": X[[*range(10), 0, 1]]}).fit(X, y)
    np.testing.assert_allclose(twice.predict(NEW), once.predict(NEW), atol=1e-5)


tables = st.fixed_dictionaries(
    {
        # A few sizes: every new shape is a new compilation.
        "shape": st.tuples(*map(st.sampled_from, [(2, 3, 11, 40), (1, 2, 5), (1, 2)])),
        "dtype": st.sampled_from([np.float64, np.float32, np.int64]),
        "scales": st.tuples(*[st.sampled_from([1e-8, 1e-3, 1.0, 1e3, 1e8])] * 2),
        "seed": st.integers(0, 1000),
    }
)


@given(tables)
@settings(max_examples=8, deadline=None)
def test_any_table_gives_sound_predictions(table):
    (rows, columns, outputs), (x_scale, y_scale) = table["shape"], table["scales"]
    random = np.random.default_rng(table["seed"])
    kind = table["dtype"]
    if kind is np.int64:
        x_scale, y_scale = max(x_scale, 1.0), max(y_scale, 1.0)
    inputs = (x_scale * random.normal(size=(rows, columns))).astype(kind)
    targets = (y_scale * random.normal(size=(rows, outputs))).astype(kind)
    assume(np.all(np.ptp(targets, axis=0) > 0))
    model = ReducedGPRegressor(Matern52(), optimizer=None, random_state=0).fit(inputs, targets)
    mean, std = model.predict(inputs, return_std=True)
    assert mean.shape == std.shape == (rows, outputs)
    assert np.all(np.isfinite(mean))
    assert np.all(np.isfinite(std))
    assert np.all(std > 0)
    # Targets in other units from another origin: the same model.
    moved = ReducedGPRegressor(Matern52(), optimizer=None, random_state=0)
    moved.fit(inputs, -2.0 * targets + y_scale)
    np.testing.assert_allclose(
        moved.predict(inputs), -2.0 * mean + y_scale, rtol=0, atol=1e-6 * y_scale
    )
    np.testing.assert_allclose(moved.predict(inputs, return_std=True)[1], 2 * std, rtol=1e-6)
    # Rows in another order: the same model.
    order = random.permutation(rows)
    mixed = ReducedGPRegressor(Matern52(), optimizer=None, random_state=0)
    mixed.fit(inputs[order], targets[order])
    np.testing.assert_allclose(mixed.predict(inputs), mean, rtol=0, atol=1e-8 * y_scale)


# The company it keeps ---------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
def test_tables_with_names_are_arrays_with_names(frame, fitted):
    table = {"width": X[:, 0], "height": X[:, 1]}
    model = ReducedGPRegressor(**FIXED).fit(frame(table), y)
    assert list(model.feature_names_in_) == ["width", "height"]
    np.testing.assert_array_equal(model.predict(frame(table)), fitted.predict(X))
    with pytest.raises(ValueError, match=r"feature names should match"):
        model.predict(frame({"width": X[:, 0], "depth": X[:, 1]}))


def test_a_pickled_copy_predicts_the_same(fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    for ours, theirs in zip(
        fitted.predict(NEW, return_std=True), copy.predict(NEW, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(clone(fitted).fit(X, y).predict(NEW), fitted.predict(NEW))


def test_pipelines_and_searches_take_it():
    pipeline = make_pipeline(StandardScaler(), ReducedGPRegressor(**FIXED))
    search = GridSearchCV(pipeline, {"reducedgpregressor__threshold": [0.1, 0.999]}, cv=2)
    search.fit(X, y)
    assert search.best_params_ == {"reducedgpregressor__threshold": 0.1}
    assert search.score(X, y) > 0.9


@pytest.mark.parametrize("targets", [y, np.stack([y, 3 * y], axis=1)], ids=["one", "two outputs"])
@pytest.mark.parametrize("rank", [8, 40], ids=["population", "sample"])
def test_draws_have_the_moments_of_the_prediction(rank, targets):
    model = ReducedGPRegressor(**{**FIXED, "rank": rank}).fit(X, targets)
    mean, covariance = model.predict(NEW, return_cov=True)
    std = model.predict(NEW, return_std=True)[1]
    draws = model.sample_y(NEW, 4000, random_state=1)
    assert draws.shape == (*mean.shape, 4000)
    for k in range(targets[0].size):
        part, centre = (draws, mean) if targets.ndim == 1 else (draws[:, k], mean[:, k])
        C = covariance if targets.ndim == 1 else covariance[..., k]
        variance = np.diagonal(C)
        np.testing.assert_allclose(variance, (std if std.ndim == 1 else std[:, k]) ** 2)
        assert np.all(np.abs(part.mean(axis=1) - centre) < 4 * np.sqrt(variance / 4000))
        error = np.sqrt((np.outer(variance, variance) + C**2) / 4000)
        assert np.all(np.abs(np.cov(part) - C) < 4 * error)


def test_the_noise_of_a_label_joins_when_asked(fitted):
    latent, label = (
        fitted.predict(NEW, return_std=True, include_noise=include)[1] for include in (False, True)
    )
    np.testing.assert_allclose(label**2 - latent**2, fitted.noise_variance_, rtol=1e-10)
    covariance = fitted.predict(NEW, return_cov=True, include_noise=True)[1]
    np.testing.assert_allclose(np.diagonal(covariance), label**2, rtol=1e-10)
