"""The classifier: decisions, probabilities that mean what they say, and labels of every kind."""

import pickle

import jax
import numpy as np
import pytest
import scipy.special
from sklearn.base import clone
from sklearn.metrics import log_loss

from wilsonian import RBF, ReducedGPClassifier, ReducedGPRegressor, load_model, save_model
from wilsonian.regression.classification import classifier
from wilsonian.regression.classification.classifier import class_targets
from wilsonian.regression.classification.pool import PRIOR_ROWS, shares_of
from wilsonian.regression.classification.scaled import fold_weights

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
    model = ReducedGPClassifier(**FIXED, likelihood="logistic").fit(X, codes)
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
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-8)


@pytest.mark.parametrize("likelihood", ["logistic", "regression"])
def test_the_predicted_class_is_the_likeliest(overlapping, likelihood):
    model, X, codes, unseen, _ = overlapping
    model = clone(model).set_params(likelihood=likelihood).fit(X, codes)
    likeliest = model.classes_[model.predict_proba(unseen).argmax(axis=1)]
    np.testing.assert_array_equal(likeliest, model.predict(unseen))


@pytest.mark.parametrize("likelihood", ["logistic", "regression"])
def test_probabilities_are_calibrated(overlapping, likelihood):
    model, X, codes, unseen, truth = overlapping
    model = clone(model).set_params(likelihood=likelihood).fit(X, codes)
    probabilities = model.predict_proba(unseen)
    hits = probabilities.argmax(axis=1) == truth
    # Four standard errors of 600 rows, and as much again for the finite training set.
    assert abs(hits.mean() - probabilities.max(axis=1).mean()) < 8 * 0.5 / np.sqrt(600)
    classes = probabilities.shape[1]
    assert log_loss(truth, probabilities) < 0.8 * np.log(classes)
    assert abs(log_loss(truth, probabilities) - model.leave_one_out_log_loss_) < 0.1


@pytest.fixture(scope="module")
def by_regression(overlapping):
    model, X, codes, *rest = overlapping
    return clone(model).set_params(likelihood="regression").fit(X, codes), *rest


def test_calibration_does_not_lose_to_no_calibration(by_regression):
    model, unseen, truth = by_regression
    calibrated = log_loss(truth, model.predict_proba(unseen))
    plain = clone(model).restore(model.regressor_, model.classes_, inverse_temperature=1.0)
    assert calibrated <= log_loss(truth, plain.predict_proba(unseen))
    assert 0.1 < model.inverse_temperature_ < 100


def test_probabilities_of_a_regression_follow_their_formula(by_regression):
    model, unseen, _ = by_regression
    mean, std = model.regressor_.predict(unseen, return_std=True)
    beta = model.inverse_temperature_
    score = beta * mean / np.sqrt(1 + np.pi / 8 * (beta * std) ** 2)
    if len(model.classes_) == 2:
        expected = scipy.special.expit(score)
        np.testing.assert_allclose(model.predict_proba(unseen)[:, 1], expected, rtol=1e-10)
    else:
        expected = scipy.special.softmax(score, axis=1)
        np.testing.assert_allclose(model.predict_proba(unseen), expected, rtol=1e-10)


# Probabilities that are known: frequencies of repeated rows, of cells of a table.


@pytest.mark.parametrize("likelihood", ["logistic", "regression"])
@pytest.mark.parametrize("repetitions", [100, 10_000, 1_000_000])
def test_frequencies_of_repeated_rows_come_back(likelihood, repetitions):
    X = np.array([[0.0], [0.0], [1.0], [1.0]])
    labels = np.array(["no", "yes", "no", "yes"])
    weights = repetitions * np.array([0.7, 0.3, 0.2, 0.8])
    model = ReducedGPClassifier(likelihood=likelihood, random_state=0).fit(X, labels, weights)
    # One deviation of 100 repetitions is .045; the prior pulls by a fraction of it.
    # One temperature cannot fit both (.291 and .799 are its best).
    error = 0.02 if repetitions == 100 or likelihood == "regression" else 0.005
    frequencies = model.predict_proba([[0.0], [1.0]])[:, 1]
    np.testing.assert_allclose(frequencies, [0.3, 0.8], atol=error)


def test_repetitions_and_weights_are_the_same_data():
    X, codes = blobs(2, 20, 1.5, seed=9)
    weights = np.resize([1, 3, 2], 20)
    weighted = ReducedGPClassifier(**FIXED).fit(X, codes, weights)
    repeated = ReducedGPClassifier(**FIXED).fit(np.repeat(X, weights, 0), np.repeat(codes, weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)
    assert np.isclose(weighted.leave_one_out_log_loss_, repeated.leave_one_out_log_loss_)


CELLS = np.array([0.91, 0.64, 0.31, 0.04])


def test_probabilities_of_two_text_columns_come_back():
    """One temperature on a linear mean cannot do better than .906, .686, .258 and .073."""
    random = np.random.default_rng(0)
    cell = random.integers(0, 4, 2000)
    one_hot = np.array([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]], float)
    codes = (random.random(2000) < CELLS[cell]).astype(int)
    model = ReducedGPClassifier(random_state=0, max_iterations=20).fit(one_hot[cell], codes)
    seen = np.array([codes[cell == k].mean() for k in range(4)])
    # Within what the draw of labels leaves open (deviations of up to .02).
    np.testing.assert_allclose(model.predict_proba(one_hot)[:, 1], seen, atol=0.01)
    np.testing.assert_allclose(model.predict_proba(one_hot)[:, 1], CELLS, atol=0.05)


def test_frequencies_of_three_classes_come_back():
    X = np.repeat([[0.0], [1.0]], 3, axis=0)
    frequencies = np.array([[0.7, 0.25, 0.05], [0.1, 0.3, 0.6]])
    weights = 5000 * frequencies.ravel()
    model = ReducedGPClassifier(random_state=0).fit(X, [0, 1, 2, 0, 1, 2], weights)
    np.testing.assert_allclose(model.predict_proba([[0.0], [1.0]]), frequencies, atol=0.01)


def test_far_from_the_data_no_class_is_certain(overlapping):
    model, *_ = overlapping
    far = model.predict_proba(np.full((1, 2), 1e3))
    near = model.predict_proba(CENTRES[:1])
    assert far.max() < near.max()


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
def test_leaving_one_out_is_fitting_without_one_repetition(classes):
    X, codes = blobs(classes, 24, 1.0, seed=5)
    y = class_targets(codes, classes)
    exact = {"kernel": RBF(1.0), "optimizer": None, "cutoff": None, "noise_variance": 0.1}
    weights = np.resize([1.0, 0.5, 3.0], 24)
    model = ReducedGPRegressor(rank=24, normalize_y=False, **exact).fit(X, y, weights)
    with jax.enable_x64(True):
        means, variances = model.process_.leave_one_out(X, y.reshape(24, -1), weights)
    for row in (0, 7, 23):
        fewer = weights.copy()
        fewer[row] = max(weights[row] - 1, 0)
        without = ReducedGPRegressor(inducing_points=X, normalize_y=False, **exact).fit(X, y, fewer)
        mean, std = without.predict(X[[row]], return_std=True)
        np.testing.assert_allclose(means[row], mean.ravel(), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(variances[row], std.ravel()[0] ** 2, rtol=1e-6)


def test_leaving_one_out_knows_the_variance_that_was_cut():
    X, codes = blobs(2, 40, 1.0, seed=5)
    y = class_targets(codes, 2)
    model = ReducedGPRegressor(**FIXED, cutoff=3).fit(X, y)
    process = model.process_
    with jax.enable_x64(True):
        _, left_out = process.leave_one_out(X, y[:, None], np.ones(40))
        _, fitted = process.moments(X)
        lost = sum(process.lost_variances(X))
    assert np.all(left_out >= fitted)
    assert np.all(lost > 0.01)
    assert np.all(left_out > lost)


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


def test_copies_predict_the_same(overlapping, tmp_path):
    model, X, codes, unseen, _ = overlapping
    model = (
        clone(model).set_params(likelihood="auto").adopt(model.regressor_, model.classes_, X, codes)
    )
    assert model.columns_ is not None
    stored = load_model(save_model(model, tmp_path / "model"))
    chances = model.predict_proba(unseen)
    pickled = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(pickled.predict_proba(unseen), chances)
    # Arrays come back in another order in memory, so sums round differently.
    np.testing.assert_allclose(stored.predict_proba(unseen), chances, rtol=1e-10)
    assert stored.shares_ == model.shares_
    assert np.isclose(sum(model.shares_.values()), 1)


X, CODES = blobs(2, 20, 1.0, seed=8)


@pytest.mark.parametrize(
    ("inputs", "labels", "weights", "sentence"),
    [
        (X, np.zeros(20), None, r"`y` holds one class only .*nothing to tell apart"),
        (np.where(X > 2, np.nan, X), CODES, None, r"Input X contains NaN"),
        (np.where(X > 2, np.inf, X), CODES, None, r"Input X contains infinity"),
        (X, np.where(CODES > 0, np.nan, 0.0), None, r"Input y contains NaN"),
        (
            X,
            np.where(CODES > 0, "a", None),
            None,
            r"10 missing labels \(the first is None in row 0",
        ),
        (X, [np.nan, *"ab" * 9, "a"], None, r"1 missing labels \(the first is nan in row 0"),
        (X, [1, *"ab" * 9, "a"], None, r"mixes labels of types that have no order \(int, str\)"),
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
    with pytest.raises(ValueError, match=r"`likelihood` must be one of .* got 'probit'"):
        ReducedGPClassifier(likelihood="probit").fit(X, CODES)
    with pytest.raises(ValueError, match=r"`noise_variance` must be a positive number, got 0"):
        ReducedGPClassifier(noise_variance=0).fit(X, CODES)


def test_more_rows_than_are_held_are_read_in_passes(overlapping, monkeypatch):
    model, X, codes, unseen, _ = overlapping
    monkeypatch.setattr(classifier, "ROWS_IN_MEMORY", len(X) // 2)
    passed = clone(model).fit(X, codes)
    # Its scale comes from half of the rows; the latents from all.
    chances = model.predict_proba(unseen)
    np.testing.assert_allclose(passed.predict_proba(unseen), chances, atol=0.15)
    assert passed.labels_.latents.decrement < 1e-3
    fewer = np.abs(
        clone(model).fit(X[: len(X) // 2], codes[: len(X) // 2]).predict_proba(unseen) - chances
    )
    assert np.abs(passed.predict_proba(unseen) - chances).mean() < fewer.mean()


def test_blocks_of_all_rows_replace_the_rows_of_a_sample(overlapping):
    model, X, codes, unseen, _ = overlapping
    targets = class_targets(codes, len(model.classes_)).reshape(len(X), -1)
    blocks = [(X[k::2], targets[k::2], None) for k in range(2)]
    streamed = clone(model).adopt(model.regressor_, model.classes_, X, codes, blocks=lambda: blocks)
    held = clone(model).adopt(model.regressor_, model.classes_, X, codes)
    chances = held.predict_proba(unseen)
    np.testing.assert_allclose(streamed.predict_proba(unseen), chances, atol=2e-3)


# Kinds of labels that go wrong elsewhere.


def test_rare_labels_keep_their_frequency_and_their_place():
    """1 in 500, all of them on one side: no base rate for every row, and no alarm."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(1500, 1))
    chances = 0.002 * scipy.special.expit(4 * inputs[:, 0]) / 0.5
    codes = np.zeros(1500, int)
    codes[random.choice(1500, 3, replace=False, p=chances / chances.sum())] = 1
    model = ReducedGPClassifier(**FIXED).fit(inputs, codes)
    rare = model.predict_proba(inputs)[:, 1]
    assert 0.5 / 500 < rare.mean() < 2 / 500
    assert rare[inputs[:, 0] > 0].mean() > 2 * rare[inputs[:, 0] < -1].mean()
    assert np.all(model.predict(inputs) == 0)


def test_ten_classes_of_few_rows_are_named_with_doubt():
    random = np.random.default_rng(1)
    centres = 3 * random.normal(size=(10, 3))
    codes = np.arange(30) % 10
    rows = centres[codes] + random.normal(size=(30, 3))
    model = ReducedGPClassifier(**FIXED).fit(rows, codes)
    truth = np.arange(500) % 10
    chances = model.predict_proba(centres[truth] + random.normal(size=(500, 3)))
    hits = chances.argmax(axis=1) == truth
    assert hits.mean() > 0.6
    # Stated within .15 of what comes: four deviations of 500 rows, and the luck of 30.
    assert abs(chances.max(axis=1).mean() - hits.mean()) < 0.15


def test_contradicting_labels_of_one_row_are_a_frequency():
    inputs = np.repeat([[0.0], [1.0], [2.0]], [40, 40, 40], axis=0)
    codes = np.concatenate([np.arange(40) % 2, np.arange(40) % 4 == 0, np.zeros(40)]).astype(int)
    model = ReducedGPClassifier(random_state=0, max_iterations=10).fit(inputs, codes)
    # A deviation of 40 labels is .08; neighbours pull by less than one.
    chances = model.predict_proba([[0.0], [1.0], [2.0]])[:, 1]
    np.testing.assert_allclose(chances, [0.5, 0.25, 0.0], atol=0.08)


def test_shares_are_of_what_explains_labels_left_out():
    """Straight labels go to the columns, and shares maximize their posterior."""
    losses = np.array([[0.1, 2.0, 0.1], [2.0, 0.1, 2.0], [2.0, 2.0, 2.0]])
    weights = np.array([50.0, 20.0, 30.0])
    shares, loss = shares_of(losses, weights)
    assert np.isclose(loss, -weights @ np.log(shares @ np.exp(-losses)) / 100)

    def posterior(shares):
        likelihood = weights @ np.log(shares @ np.exp(-losses))
        return likelihood + PRIOR_ROWS * np.log(shares).sum()

    for move in ([1, -1, 0], [0, 1, -1], [-1, 0, 1]):
        for sign in (-1, 1):
            moved = shares + sign * 2e-3 * np.array(move)
            assert posterior(moved) < posterior(shares)
    shares, _ = shares_of(1e6 * losses[:2], weights)
    np.testing.assert_allclose(shares, [0.8, 0.2], atol=0.01)


def test_folds_leave_every_repetition_out_once():
    weights = np.array([1.0, 2.0, 7.0, 0.3, 1e6, 5.0])
    out = fold_weights(weights)
    np.testing.assert_allclose(out.sum(axis=1), weights)
    assert np.all(out[3] <= 0.3)
    assert set(out[2]) == {1.0, 2.0}
    assert np.all(out[4] == 2e5)
