"""Single precision and columns far from zero: refused by name for kernels that know more than
differences, else of no matter (see also `test_stress.py`)."""

import numpy as np
import pytest

from wilsonian import (
    RBF,
    ArcCosine,
    Linear,
    Matern52,
    Periodic,
    ReducedGPClassifier,
    ReducedGPRegressor,
)
from wilsonian.kernels import Rescaled
from wilsonian.regression.sample import check_precision, column_spread, origin_of

TIME = 1.7e9 + np.linspace(0, 3600, 40)  # an hour of timestamps, of which float32 knows every 128th
X = np.stack([np.linspace(-1, 1, 40), TIME], axis=1)
Y = np.sin(TIME / 600)


@pytest.mark.parametrize(
    ("estimator", "target"), [(ReducedGPRegressor, Y), (ReducedGPClassifier, Y > 0)]
)
def test_what_single_precision_rounds_away_is_named(estimator, target):
    model = estimator("linear", dtype="float32")
    with pytest.raises(ValueError, match=r"column 1 of `X` says: .* up to 1.7e\+09 and spread"):
        model.fit(X, target)


def test_what_it_does_not_round_away_passes():
    check_precision(X, "float64")
    check_precision(np.stack([X[:, 0], X[:, 1] - X[:, 1].mean()], axis=1), "float32")
    check_precision(np.full((5, 1), 1e12), "float32")  # constant: no distance, nothing to lose
    check_precision(1e-8 * X[:, :1], "float32")
    # A thousandth of the spread at most is rounding: here 6e-8 of 100, of a spread of 0.6.
    check_precision(X[:, :1] + 100, "float32")


def test_numbers_that_single_precision_does_not_hold_are_named():
    huge = np.stack([X[:, 0], 1e40 * X[:, 0]], axis=1)
    with pytest.raises(
        ValueError, match=r"no numbers beyond 3.4e\+38: column 1 of `X` spans 1e\+40"
    ):
        ReducedGPRegressor(dtype="float32", optimizer=None).fit(huge, Y)
    # Their squares overflow in double precision too, which must not matter.
    np.testing.assert_allclose(column_spread(1e300 * X[:, :1]), 1e300 * X[:, 0].std(), rtol=1e-12)


def test_inputs_are_counted_from_medians_where_only_differences_count():
    far = np.stack([X[:, 0], TIME, np.full(40, 7.0)], axis=1)
    far[0, 1] = 9e15  # an outlier does not move the origin
    moved = origin_of(Periodic() * RBF() + 0.5 * Rescaled(Matern52(), 2.0) + 1.0, far)
    np.testing.assert_array_equal(moved[0], 0)
    assert abs(moved[1] - 1.7e9) < 3600
    assert not np.any(origin_of(RBF() + Linear(), far))
    assert not np.any(origin_of(RBF() * ArcCosine(), far))
