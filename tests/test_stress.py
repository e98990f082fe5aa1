"""Regression where numbers are hard: right within a stated bound, or one sentence; never silently
wrong. The twin is the dense process of distances taken one by one, in float64."""

import warnings

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist

from wilsonian import RBF, Linear, Matern52, ReducedGPClassifier, ReducedGPRegressor
from wilsonian.regression.finishing import ContradictedWarning

ROWS = 40
RANDOM = np.random.default_rng(0)
POINTS, NEW = RANDOM.uniform(-2, 2, (ROWS, 2)), RANDOM.uniform(-2, 2, (12, 2))
NEARLY = RANDOM.standard_normal((ROWS // 2, 2))
ERRORS = RANDOM.standard_normal(ROWS)
# Errors of means and standard deviations, in units of the target's. Double precision: of rows 1e-6
# apart only two digits of the distance are known. Single: some hundred times 6e-8, and
# with the least noise that it is used for (3e-4 of the prior's variance).
BOUNDS = {"float64": 1e-4, "float32": 1e-2}
# What is changed of one easy set: inputs scaled and shifted, rows that nearly repeat, targets
# scaled and shifted, the noise of targets and process.
CASES = [
    {},
    {"nearly": 1e-3},
    {"nearly": 1e-6},
    {"nearly": 1e-9},
    {"offset": 1e3},
    {"offset": 1.7e9},
    {"offset": 1e12},
    {"scale": 1e-8},
    {"scale": 1e8},
    {"scale": 1e8, "offset": 1e12},
    {"scale": 1e-8, "offset": 1.0},
    {"unit": 1e-8, "level": 1e-4},
    {"unit": 1e8, "level": 1e12},
    {"level": 1e6},
    {"noise": 1e-12},
    {"noise": 1e-8, "offset": 1.7e9},
    {"noise": 1e-5, "nearly": 1e-6},
    {"noise": 1e-3},
    {"noise": 1.0},
    {"noise": 1e2},
]


def matern(X, Z):
    r = np.sqrt(5) * cdist(X, Z)
    return (1 + r + r**2 / 3) * np.exp(-r)


def case(nearly=0.0, offset=0.0, scale=1.0, unit=1.0, level=0.0, noise=0.01):
    """Inputs, targets, new inputs; and the three in the units of the process, as the numbers that
    are stored say them."""
    X = POINTS.copy()
    if nearly:
        X[ROWS // 2 :] = X[: ROWS // 2] + nearly * NEARLY
    y = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] + noise**0.5 * ERRORS
    given, new, targets = scale * X + offset, scale * NEW + offset, unit * y + level
    plain = (given - offset) / scale, (new - offset) / scale, (targets - level) / unit
    return given, targets, new, plain


def dense(plain, noise, weights):
    """Mean and latent standard deviation of the process of unit amplitude, targets standardized
    under the weights; noise (rows,)."""
    X, new, y = plain
    mean = weights @ y / weights.sum()
    spread = np.sqrt(weights @ (y - mean) ** 2 / weights.sum())
    factor = scipy.linalg.cho_factor(matern(X, X) + np.diag(noise), lower=True)
    across = matern(new, X)
    solved = scipy.linalg.cho_solve(factor, across.T)
    variance = np.maximum(1 - np.einsum("ij,ji->i", across, solved), 0)
    return mean + spread * (solved.T @ ((y - mean) / spread)), spread * np.sqrt(variance), spread


# Every road to a prediction: options of the regressor, and of its fit.
ROADS = {
    "uniform": ({}, None),
    "input-dependent": ({"ridge": "input-dependent"}, None),
    "several outputs": ({}, "outputs"),
    "weights": ({}, "weights"),
    "known noise": ({}, "known"),
    "exact": ({"rank": 15, "exact": True}, None),
}


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("road", ROADS)
def test_every_road_is_right_on_hard_numbers(road, dtype):
    options, more = ROADS[road]
    options = {"rank": ROWS, "cutoff": None, "optimizer": None, "random_state": 0} | options
    for changes in CASES if road == "uniform" else CASES[::2]:
        noise = changes.get("noise", 0.01)
        X, y, new, plain = case(**changes)
        weights, given, each = np.ones(ROWS), {}, np.full(ROWS, noise)
        if more == "weights":
            weights = 1.0 + np.arange(ROWS) % 3
            given, each = {"sample_weight": weights}, noise / weights
        if more == "known":  # of all rows alike, so that all weigh alike
            known = noise * plain[2].var()
            given = {"noise_variance_per_row": np.full(ROWS, known * changes.get("unit", 1.0) ** 2)}
            each = 2 * each
        kernel = Matern52(changes.get("scale", 1.0))
        model = ReducedGPRegressor(kernel, noise_variance=noise, dtype=dtype, **options)
        targets = np.column_stack([y, -3 * y]) if more == "outputs" else y
        mean, deviation = model.fit(X, targets, **given).predict(new, return_std=True)
        if more == "outputs":
            np.testing.assert_allclose(deviation[:, 1], 3 * deviation[:, 0], rtol=1e-4)
            mean, deviation = mean[:, 0], deviation[:, 0]
        unit, level = changes.get("unit", 1.0), changes.get("level", 0.0)
        wanted, expected, spread = dense(plain, each, weights)
        # Conjugate gradients end at a thousandth of the targets' norm. And a level rounds what is
        # predicted, whatever the model.
        bound = spread * (BOUNDS[dtype] if road != "exact" else 1e-2) + 4e-16 * level / unit
        message = f"{road}, {dtype}, {changes}"
        assert np.max(np.abs((mean - level) / unit - wanted)) < bound, message
        assert np.max(np.abs(deviation / unit - expected)) < bound, message
        if road != "exact":
            covariance = model.predict(new, return_cov=True)[1].reshape(len(new), len(new), -1)
            variances = np.diagonal(covariance[..., 0]) / unit**2
            assert np.max(np.abs(np.sqrt(variances) - expected)) < bound, message


@pytest.mark.parametrize("kernel", [Matern52(), RBF()], ids=["matern", "rbf"])
def test_targets_that_contradict_the_noise_are_named(kernel):
    """Rows 1e-6 apart whose targets differ by a thousand times the noise: what lies between hangs
    on the last digits of their distance."""
    X, y, *_ = case(nearly=1e-6)
    model = ReducedGPRegressor(kernel, noise_variance=1e-9, optimizer=None, random_state=0)
    with pytest.warns(ContradictedWarning, match="targets contradict a noise variance of 1e-09"):
        model.fit(X, y)
    assert "contradict" in model.convergence_


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_learning_in_single_precision_far_from_zero(noise):
    """An hour of timestamps: the same model as in double precision near zero. Without noise
    products are of double precision, and the model says so."""
    X, new = POINTS * 1800, NEW * 1800
    y = np.sin(X[:, 0] / 900) + X[:, 1] / 3600 + noise * ERRORS
    options = {"random_state": 0, "second_scale": False, "max_iterations": 15}
    near = ReducedGPRegressor(**options).fit(X, y).predict(new, return_std=True)
    model = ReducedGPRegressor(dtype="float32", **options).fit(X + 1.7e9, y)
    far = model.predict(new + 1.7e9, return_std=True)
    assert ("Products are of float64" in model.convergence_) == (noise == 0)
    # The timestamps themselves are rounded to 2e-7, and learning goes on to 1e-6 a row.
    for one, other in zip(near, far, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3 * y.std())


def test_kernels_that_know_more_than_differences_are_refused_in_single_precision_only():
    X, y = POINTS + 1.7e9, ERRORS
    model = ReducedGPRegressor(Linear(1e-18), optimizer=None, dtype="float32", random_state=0)
    with pytest.raises(ValueError, match="this kernel knows more than differences"):
        model.fit(X, y)
    assert np.all(np.isfinite(model.set_params(dtype="float64").fit(X, y).predict(X)))


def test_classes_far_from_zero_are_those_near_zero():
    labels, options = POINTS[:, 0] > 0, {"optimizer": None, "random_state": 0}
    near = ReducedGPClassifier(Matern52(), **options).fit(POINTS, labels).predict_proba(NEW)
    for changes in ({"offset": 1.7e9}, {"offset": 1e12, "scale": 1e8}, {"scale": 1e-8}):
        X, _, new, _ = case(noise=0.0, **changes)
        for dtype in BOUNDS:
            kernel = Matern52(changes.get("scale", 1.0))
            model = ReducedGPClassifier(kernel, dtype=dtype, **options).fit(X, labels)
            # Inputs of 1.7e9 are themselves rounded to 2e-7.
            np.testing.assert_allclose(model.predict_proba(new), near, atol=1e-3)


def test_nothing_is_said_where_all_is_well():
    X, y, *_ = case()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ReducedGPRegressor(Matern52(), optimizer=None, random_state=0).fit(X, y)
    assert "contradict" not in model.convergence_
