"""The classifier: decisions, probabilities that mean what they say, and labels of every kind."""

import pickle

import jax
import numpy as np
import pytest
import scipy.special
from sklearn.base import clone
from sklearn.metrics import log_loss

from wilsonian import RBF, ReducedGPClassifier, ReducedGPRegressor
from wilsonian.regression.classifier import class_targets

FIXED = {
    "kernel": RBF(1.0),
    "optimizer": None,
    "noise_variance": 0.1,
    "rank": 20,
    "random_state": 0,
}
CENTRES = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])


def blobs(classes, rows, spread, seed):
    """Rows around the first `classes` centres, and their class numbers."""
    random = np.random.default_rng(seed)
    codes = np.arange(rows) % classes
    return CENTRES[codes] + spread * random.normal(size=(rows, 2)), codes


@pytest.fixture(scope="module", params=[2, 3])
def overlapping(request):
    """Overlapping classes, a model of them, and unseen rows of the same law."""
    classes = request.param
    X, codes = blobs(classes, 60 * classes, 1.5, seed=1)
    model = ReducedGPClassifier(**FIXED).fit(X, codes)
    return model, X, codes, *blobs(classes, 600, 1.5, seed=2)


@pytest.mark.parametrize("classes", [2, 3])
def test_separate_blobs_are_told_apart(classes):
    X, codes = blobs(classes, 60, 0.3, seed=0)
    names = np.array(["ash", "birch", "cedar"])
    model = ReducedGPClassifier(**FIXED).fit(X, names[codes])
    unseen, truth = blobs(classes, 90, 0.3, seed=3)
    np.testing.assert_array_equal(model.predict(unseen), names[truth])
    np.testing.assert_array_equal(model.classes_, names[:classes])
    assert model.score(unseen, names[truth]) == 1.0
    assert model.predict_proba(unseen)[np.arange(90), truth].min() > 0.8


def test_a_default_fit_learns():
    X, codes = blobs(2, 40, 0.5, seed=0)
    model = ReducedGPClassifier(max_iterations=5).fit(X, codes)
    unseen, truth = blobs(2, 100, 0.5, seed=3)
    assert model.score(unseen, truth) > 0.97
    assert model.regressor_.convergence_.startswith("L-BFGS-B")


def test_probabilities_are_probabilities(overlapping):
    model, _, _, unseen, _ = overlapping
    probabilities = model.predict_proba(unseen)
    assert probabilities.shape == (len(unseen), len(model.classes_))
    assert np.all(probabilities >= 0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    # The likeliest class is the one of greatest mean: the moderation is common to all classes.
    likeliest = model.classes_[probabilities.argmax(axis=1)]
    np.testing.assert_array_equal(likeliest, model.predict(unseen))


def test_probabilities_are_calibrated(overlapping):
    model, _, _, unseen, truth = overlapping
    probabilities = model.predict_proba(unseen)
    hits = probabilities.argmax(axis=1) == truth
    # Four standard errors of 600 rows, and as much again for the finite training set.
    assert abs(hits.mean() - probabilities.max(axis=1).mean()) < 8 * 0.5 / np.sqrt(600)
    classes = probabilities.shape[1]
    assert log_loss(truth, probabilities) < 0.8 * np.log(classes)


def test_calibration_does_not_lose_to_no_calibration(overlapping):
    model, _, _, unseen, truth = overlapping
    calibrated = log_loss(truth, model.predict_proba(unseen))
    plain = clone(model).restore(model.regressor_, model.classes_, 1.0)
    assert calibrated <= log_loss(truth, plain.predict_proba(unseen))
    assert 0.1 < model.inverse_temperature_ < 100


def test_probabilities_follow_their_formula(overlapping):
    model, _, _, unseen, _ = overlapping
    mean, std = model.regressor_.predict(unseen, return_std=True)
    beta = model.inverse_temperature_
    score = beta * mean / np.sqrt(1 + np.pi / 8 * (beta * std) ** 2)
    if len(model.classes_) == 2:
        expected = scipy.special.expit(score)
        np.testing.assert_allclose(model.predict_proba(unseen)[:, 1], expected, rtol=1e-10)
    else:
        expected = scipy.special.softmax(score, axis=1)
        np.testing.assert_allclose(model.predict_proba(unseen), expected, rtol=1e-10)


def test_it_is_the_regressor_on_class_targets():
    np.testing.assert_array_equal(class_targets(np.array([0, 1]), 2), [-1.0, 1.0])
    np.testing.assert_array_equal(class_targets(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
    X, codes = blobs(3, 30, 1.0, seed=4)
    model = ReducedGPClassifier(**FIXED).fit(X, codes)
    twin = ReducedGPRegressor(**FIXED).fit(X, np.eye(3)[codes])
    np.testing.assert_array_equal(model.regressor_.predict(X), twin.predict(X))
    assert model.n_modes_ == twin.n_modes_
    assert model.flow_ is model.regressor_.flow_


@pytest.mark.parametrize("classes", [2, 3])
def test_leaving_one_out_is_fitting_without_it(classes):
    X, codes = blobs(classes, 24, 1.0, seed=5)
    y = class_targets(codes, classes)
    exact = {"kernel": RBF(1.0), "optimizer": None, "cutoff": None, "noise_variance": 0.1}
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 24)
    model = ReducedGPRegressor(rank=24, normalize_y=False, **exact).fit(X, y, weights)
    with jax.enable_x64(True):
        means, variances = model.process_.leave_one_out(X, y.reshape(24, -1), weights)
    for row in (0, 7, 23):
        rest = np.arange(24) != row
        without = ReducedGPRegressor(rank=23, normalize_y=False, **exact)
        without.fit(X[rest], y[rest], weights[rest])
        mean, std = without.predict(X[[row]], return_std=True)
        np.testing.assert_allclose(means[row], mean.ravel(), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(variances[row], std.ravel()[0] ** 2, rtol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [np.array(["no", "yes"]), np.array([7, -3]), np.array([True, False]), np.array([2.0, 1.0])],
    ids=["text", "integers", "booleans", "floats"],
)
def test_labels_come_back_as_they_went_in(labels):
    X, codes = blobs(2, 20, 0.3, seed=6)
    model = ReducedGPClassifier(**FIXED).fit(X, labels[codes])
    predicted = model.predict(X)
    np.testing.assert_array_equal(predicted, labels[codes])
    assert predicted.dtype == labels.dtype
    np.testing.assert_array_equal(model.classes_, np.unique(labels))


def test_rows_of_no_weight_are_ignored():
    X, codes = blobs(2, 40, 1.0, seed=7)
    weights = np.ones(40)
    weights[:10] = 0
    weighted = ReducedGPClassifier(**FIXED).fit(X, codes, weights)
    absent = ReducedGPClassifier(**FIXED).fit(X[10:], codes[10:])
    np.testing.assert_array_equal(weighted.predict_proba(X), absent.predict_proba(X))


def test_a_pickled_copy_predicts_the_same(overlapping):
    model, _, _, unseen, _ = overlapping
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(unseen), model.predict_proba(unseen))


X, CODES = blobs(2, 20, 1.0, seed=8)


@pytest.mark.parametrize(
    ("inputs", "labels", "weights", "sentence"),
    [
        (X, np.zeros(20), None, r"`y` holds one class only .*nothing to tell apart"),
        (np.where(X > 2, np.nan, X), CODES, None, r"Input X contains NaN"),
        (np.where(X > 2, np.inf, X), CODES, None, r"Input X contains infinity"),
        (X, np.where(CODES > 0, np.nan, 0.0), None, r"Input y contains NaN"),
        (X, X[:, 0], None, r"Unknown label type: continuous"),
        (X, CODES[:-1], None, r"inconsistent numbers of samples"),
        (X[:1], CODES[:1], None, r"minimum of 2 is required"),
        (X[:0], CODES[:0], None, r"0 sample"),
        (X, CODES, np.zeros(20), r"`sample_weight` are zero|one non-zero number"),
        (X, CODES, CODES, r"`y` holds one class only"),
        (X, CODES, -np.ones(20), r"Negative values in data passed to `sample_weight`"),
        (X, CODES, np.ones(19), r"sample_weight.shape == \(19,\), expected \(20,\)"),
    ],
)
def test_bad_input_gets_its_sentence(inputs, labels, weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        ReducedGPClassifier(**FIXED).fit(inputs, labels, weights)


def test_other_columns_at_prediction_are_refused(overlapping):
    model = overlapping[0]
    for method in (model.predict, model.predict_proba):
        with pytest.raises(ValueError, match=r"X has 3 features, but ReducedGPClassifier is expec"):
            method(np.ones((2, 3)))
        with pytest.raises(ValueError, match=r"Input X contains NaN"):
            method(np.full((2, 2), np.nan))


def test_a_bad_parameter_is_named():
    with pytest.raises(ValueError, match=r"`noise_variance` must be a positive number, got 0"):
        ReducedGPClassifier(noise_variance=0).fit(X, CODES)
