"""What learning takes for signal by chance: found by rows that it left out, put into variances."""

import jax
import numpy as np
import pytest
from helpers import searched_coarsely
from sklearn.gaussian_process import GaussianProcessRegressor, kernels

from wilsonian import RBF, ReducedGPRegressor
from wilsonian.app.runs.optimism import scatter_left_out, widened
from wilsonian.regression.fitting import fit_process
from wilsonian.regression.learning.left_out import FOLDS, squares_left_out
from wilsonian.regression.learning.starts import Start
from wilsonian.regression.plan import random_generator
from wilsonian.regression.sample import Sample
from wilsonian.regression.statistics import Block

RANDOM = np.random.default_rng(8)
X = np.linspace(-3, 3, 60)[:, None]
ROW_NOISE = np.where(np.arange(60) % 3 == 0, 0.1, 0.0)
Y = np.sin(2 * X[:, 0]) + np.sqrt(0.04 + ROW_NOISE) * RANDOM.normal(size=60)


def sample_of(inputs, targets, noise=None):
    return Sample(inputs, targets[:, None], np.ones(len(inputs)), noise)


def test_rows_left_out_are_predicted_as_by_a_process_learned_without_them():
    """scikit-learn, its hyperparameters learned from the other rows."""
    start = Start(RBF(1.0), np.array([1.0]), np.array([0.1]), -np.inf)
    with jax.enable_x64(True):
        squares = squares_left_out(
            start,
            sample_of(X, Y, ROW_NOISE),
            max_iterations=100,
            random=np.random.default_rng(1),
        )
    fold = np.random.default_rng(1).permutation(60) % FOLDS
    twin = np.zeros(60)
    form = kernels.ConstantKernel() * kernels.RBF() + kernels.WhiteKernel(0.1)
    for left in range(FOLDS):
        out, rest = fold == left, fold != left
        model = GaussianProcessRegressor(form, alpha=ROW_NOISE[rest]).fit(X[rest], Y[rest])
        mean, std = model.predict(X[out], return_std=True)
        twin[out] = (Y[out] - mean) ** 2 / (std**2 + ROW_NOISE[out])
    # Two optimizers stop within some thousandths of the top in each hyperparameter.
    np.testing.assert_allclose(squares, twin, rtol=0.02, atol=0.01)


def test_what_was_taken_for_signal_shows_in_rows_left_out():
    """One column of ten says something, forty rows: leaving rows out of the posterior alone finds
    the variances right, new rows scatter about twice as widely, and rows left out of the learning
    show most of that: not all, since it starts from where all rows came to."""
    told, left_out, new = [], [], []
    for seed in range(4):
        random = np.random.default_rng(seed)
        inputs = random.normal(size=(240, 10))
        targets = inputs[:, 0] + 0.5 * random.normal(size=240)
        few = sample_of(inputs[:40], targets[:40])
        found = searched_coarsely(RBF(1.0), few, 40)
        with jax.enable_x64(True):
            start = Start(found.kernel, found.amplitude, found.noise_variance, -np.inf)
            left_out.append(squares_left_out(start, few, max_iterations=100, random=random).mean())
        gram = found.amplitude * np.asarray(found.kernel(inputs, inputs[:40]))
        own = np.linalg.inv(gram[:40] + found.noise_variance * np.eye(40))
        alone = own @ targets[:40]
        told.append(np.average(alone**2 / np.diag(own), weights=np.diag(own)))
        error = targets[40:] - gram[40:] @ alone
        stated = found.amplitude + found.noise_variance
        new.append(np.mean(error**2 / (stated - np.sum((gram[40:] @ own) * gram[40:], axis=1))))
    # Learning, in single precision, stops that near the top (docs/science/learning.md, section 7).
    np.testing.assert_allclose(told, 1, atol=0.02)
    assert np.mean(new) > 1.5
    assert 1 + (np.mean(new) - 1) / 3 < np.mean(left_out) < np.mean(new)


PLAN = ReducedGPRegressor(RBF(1.0), rank=20, second_scale=False).plan(1)
LABELS, LABEL_NOISE = 5 + 100 * Y, 1e4 * ROW_NOISE  # in other units


def fitted(plan, start, noise, keep=lambda standing, now: None):
    return fit_process(
        RBF(1.0),
        sample_of(X, LABELS, noise),
        lambda start: [Block(X, LABELS[:, None], None, noise)][start:],
        plan,
        random_generator(0),
        rows=len(X),
        start=start,
        keep=keep,
    ).process


@pytest.fixture(scope="module")
def process_and_standing():
    standings = []
    process = fitted(PLAN, None, LABEL_NOISE, lambda standing, now: standings.append(standing))
    return process, standings[-1]


def test_a_widened_fit_predicts_the_same_and_is_as_much_less_sure(process_and_standing):
    process, standing = process_and_standing
    wide = fitted(*widened(PLAN, standing, process, 1.7), 1.7 * LABEL_NOISE)
    assert wide.noise_variance == pytest.approx(1.7 * process.noise_variance)
    new = np.linspace(-4, 4, 9)[:, None]
    with jax.enable_x64(True):
        (mean, variance), (same, wider) = process.moments(new), wide.moments(new)
    np.testing.assert_allclose(same, mean, rtol=1e-9)
    np.testing.assert_allclose(wider, 1.7 * variance, rtol=1e-9)


def test_units_do_not_matter_and_nothing_is_asked_where_no_kernel_was_learned(
    process_and_standing,
):
    process, _ = process_and_standing
    start = Start(
        process.modes.features.kernel,
        np.array([process.amplitude]),
        np.array([process.noise_variance]),
        -np.inf,
    )
    scaled = sample_of(
        X - process.modes.features.origin, (Y - Y.mean()) / Y.std(), ROW_NOISE / Y.var()
    )
    with jax.enable_x64(True):
        squares = squares_left_out(
            start, scaled, max_iterations=100, random=np.random.default_rng(2)
        )
    found = scatter_left_out(process, PLAN, X, LABELS, LABEL_NOISE, 2)
    # Rows of large noise count less in the mean and the scale that the fit takes off.
    assert found == pytest.approx(max(squares.mean(), 1.0), rel=0.05)
    for parameters in ({"learn": "scale"}, {"optimizer": None}, {"exact": True}):
        plan = ReducedGPRegressor(RBF(1.0), **parameters).plan(1)
        assert scatter_left_out(process, plan, X, LABELS, LABEL_NOISE, 2) == 1.0
    many = np.resize(X, (1200, 1)), np.resize(LABELS, 1200), np.resize(LABEL_NOISE, 1200)
    assert scatter_left_out(process, PLAN, *many, 2) == 1.0
