"""Laplace's approximation beside scikit-learn, dense matrices and sampling."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import Matern
from sklearn.linear_model import LogisticRegression

from wilsonian.regression.classification.laplace import (
    Pass,
    find_mode,
    find_mode_in_passes,
    leave_one_out,
    row_variances,
)
from wilsonian.regression.classification.link import (
    expected_probabilities,
    negative_log_likelihood,
    slope,
)


def posterior(rows, start):
    return find_mode(rows, start).posterior(rows)


def labelled(classes, rows=60, features=5, seed=0):
    """A design, one-hot targets of labels drawn from weights on it (one column for two classes),
    and weights."""
    random = np.random.default_rng(seed)
    design = random.normal(size=(rows, features))
    latents = design @ random.normal(size=(features, classes))
    noise = random.gumbel(size=latents.shape)
    codes = (latents + noise).argmax(axis=1)
    targets = (codes == 1)[:, None].astype(float) if classes == 2 else np.eye(classes)[codes]
    return design, targets, random.uniform(0.5, 2.0, rows), codes


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_mode_is_penalized_logistic_regression(classes):
    design, targets, weights, codes = labelled(classes)
    start = np.zeros((5, targets.shape[1]))
    found = find_mode((design, targets, weights), start)
    twin = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-12, max_iter=10_000)
    twin.fit(design, codes, weights)
    assert found.decrement < 1e-6
    np.testing.assert_allclose(found.mean.T, twin.coef_, atol=2e-4)


@pytest.mark.parametrize("classes", [2, 4])
def test_passes_over_blocks_find_the_same_mode(classes):
    design, targets, weights, _ = labelled(classes, rows=300)
    start = np.zeros((5, targets.shape[1]))
    whole = posterior((design, targets, weights), start)
    blocks = [(design[k::3], targets[k::3], weights[k::3]) for k in range(3)]
    passed = find_mode_in_passes(lambda: blocks, start)
    assert passed.decrement < 1e-6
    np.testing.assert_allclose(passed.mean, whole.mean, atol=1e-3)
    np.testing.assert_allclose(passed.variances(design), whole.variances(design), rtol=1e-3)


def test_two_classes_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    X = random.normal(size=(40, 1))
    codes = (np.sin(3 * X[:, 0]) + 0.5 * random.normal(size=40) > 0).astype(int)
    kernel = Matern(0.7, "fixed", nu=2.5)
    twin = GaussianProcessClassifier(kernel, max_iter_predict=200).fit(X, codes)
    values, vectors = np.linalg.eigh(kernel(X))
    kept = values > 1e-10
    design = vectors[:, kept] * np.sqrt(values[kept])
    found = posterior(
        (design, codes[:, None].astype(float), np.ones(40)), np.zeros((kept.sum(), 1))
    )
    # Its integral is a mixture of five error functions, within 1e-3 of the logistic's.
    chances = expected_probabilities(found.means(design), found.variances(design))
    np.testing.assert_allclose(chances, twin.predict_proba(X), atol=2e-3)


@pytest.mark.parametrize("weight", [0.01, 1.0, 50.0])
def test_untied_variances_of_differences_are_at_most_twice_too_large(weight):
    """Beside the full curvature of all latents, inverted."""
    classes, features = 3, 4
    design, targets, _, _ = labelled(classes, features=features)
    weights = np.full(60, weight)
    found = posterior((design, targets, weights), np.zeros((features, classes)))
    chances = scipy.special.softmax(design @ found.mean, axis=1)
    full = np.eye(features * classes)
    for x, p, w in zip(design, chances, weights, strict=True):
        full += w * np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
    covariance = np.linalg.inv(full)
    for one, other in ((0, 1), (1, 2)):
        difference = np.zeros(classes)
        difference[one], difference[other] = 1, -1
        wide = np.kron(difference, design)  # (rows, classes * features)
        exact = np.einsum("ij,jk,ik->i", wide, covariance, wide)
        ours = found.variances(design)[:, [one, other]].sum(axis=1)
        assert np.all(ours > 0.8 * exact)
        assert np.median(ours / exact) < 2.1


@pytest.mark.parametrize("classes", [2, 3])
def test_leaving_out_is_nearly_finding_the_mode_without(classes):
    design, targets, weights, _ = labelled(classes)
    weights = np.resize([1.0, 2.0], 60)
    start = np.zeros((5, targets.shape[1]))
    found = find_mode((design, targets, weights), start)
    means, variances = leave_one_out((design, targets, weights), found.mean)
    for row in (0, 1, 30, 59):
        fewer = weights.copy()
        fewer[row] -= 1
        without = posterior((design, targets, fewer), start)
        exact, spread = without.means(design[[row]]), without.variances(design[[row]])
        chances = expected_probabilities(means[[row]], variances[[row]])
        np.testing.assert_allclose(
            chances, expected_probabilities(exact, spread), atol=0.03 if classes == 2 else 0.08
        )


@pytest.mark.parametrize(("classes", "features"), [(2, 5), (3, 5), (3, 80)])
def test_variances_at_the_rows_are_those_of_the_posterior(classes, features):
    """In matrices of the features' number, of the rows', and of those that speak."""
    design, targets, weights, _ = labelled(classes, features=features)
    rows = design, targets, 5 * weights
    found = find_mode(rows, np.zeros((features, targets.shape[1])))
    values = design @ found.mean
    chances = scipy.special.softmax(values, 1) if classes > 2 else scipy.special.expit(values)
    exact = found.posterior(rows).variances(design)
    np.testing.assert_allclose(row_variances(rows, chances), exact, rtol=1e-8)
    gram = design @ design.T
    np.testing.assert_allclose(row_variances(rows, chances, gram=gram), exact, rtol=1e-8)
    fewer = row_variances(rows, chances, gram=gram, dropped=0.02)
    assert np.all(fewer >= exact * (1 - 1e-9))  # less is known
    assert 1e-6 < np.median(fewer / exact - 1) < 0.1


@pytest.mark.parametrize("variance", [0.0, 0.3, 4.0, 100.0])
def test_two_classes_are_averaged_exactly(variance):
    mean = np.linspace(-12, 12, 25)
    # The trapezoidal rule, whose error falls off exponentially for what is analytic and decays.
    nodes, step = np.linspace(-12, 12, 4001, retstep=True)
    density = np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi) * step
    exact = scipy.special.expit(mean[:, None] + np.sqrt(variance) * nodes) @ density
    ours = expected_probabilities(mean[:, None], np.full((25, 1), variance))
    np.testing.assert_allclose(ours[:, 1], exact, atol=4e-9)


def test_many_classes_are_averaged_within_a_hundredth():
    random = np.random.default_rng(0)
    mean, variance = random.normal(size=(4, 10)) * 2, random.uniform(0, 9, size=(4, 10))
    draws = mean[:, None] + np.sqrt(variance)[:, None] * random.normal(size=(4, 200_000, 10))
    sampled = scipy.special.softmax(draws, axis=2).mean(axis=1)  # within .001
    np.testing.assert_allclose(expected_probabilities(mean, variance), sampled, atol=0.01)


def test_lost_modes_renormalize_the_slope_of_the_link():
    mean = np.linspace(-6, 6, 13)[:, None]
    for variance in (0.1, 1.0, 5.0):
        noisy = expected_probabilities(mean, np.full_like(mean, variance))[:, 1]
        ours = scipy.special.expit(mean * slope(np.array(variance)))[:, 0]
        np.testing.assert_allclose(ours, noisy, atol=0.02)  # MacKay's approximation


@pytest.mark.parametrize("classes", [2, 3])
def test_gradients_are_those_of_the_objective(classes):
    design, targets, weights, _ = labelled(classes)
    point = np.random.default_rng(0).normal(size=(5, targets.shape[1]))

    def objective(vector):
        latents = design @ vector.reshape(point.shape)
        return vector @ vector / 2 + weights @ negative_log_likelihood(latents, targets)

    here = Pass.over([(design, targets, weights)], point)
    assert np.isclose(here.objective, objective(point.ravel()))
    slopes = scipy.optimize.approx_fprime(point.ravel(), objective, 1e-7)
    np.testing.assert_allclose(-here.gradient.ravel(), slopes, rtol=1e-4, atol=1e-4)


def test_many_classes_keep_variances_of_trailing_features_apart(monkeypatch):
    design, targets, weights, _ = labelled(4)
    full = posterior((design, targets, weights), np.zeros((5, 4)))
    monkeypatch.setattr("wilsonian.regression.classification.laplace.COVARIANCE_NUMBERS", 4 * 3**2)
    short = posterior((design, targets, weights), np.zeros((5, 4)))
    assert short.root.shape == (4, 3, 3)
    assert short.rest.shape == (4, 2)
    np.testing.assert_allclose(short.mean, full.mean, atol=1e-3)
    # Correlations left out: each feature's variance is that with the others fixed.
    assert np.all(short.variances(design).sum() < full.variances(design).sum())
