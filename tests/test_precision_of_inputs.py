"""Single precision and columns far from zero: refused by name, or of no matter."""

import numpy as np
import pytest

from wilsonian import ReducedGPClassifier, ReducedGPRegressor
from wilsonian.regression.sample import check_precision

TIME = 1.7e9 + np.linspace(0, 3600, 40)  # an hour of timestamps, of which float32 knows every 128th
X = np.stack([np.linspace(-1, 1, 40), TIME], axis=1)
Y = np.sin(TIME / 600)


@pytest.mark.parametrize(
    ("estimator", "target"), [(ReducedGPRegressor, Y), (ReducedGPClassifier, Y > 0)]
)
def test_what_single_precision_rounds_away_is_named(estimator, target):
    model = estimator(dtype="float32")
    with pytest.raises(ValueError, match=r"column 1 of `X` says: .* up to 1.7e\+09 and spread"):
        model.fit(X, target)


def test_what_it_does_not_round_away_passes():
    check_precision(X, "float64")
    check_precision(np.stack([X[:, 0], X[:, 1] - X[:, 1].mean()], axis=1), "float32")
    check_precision(np.full((5, 1), 1e12), "float32")  # constant: no distance, nothing to lose
    check_precision(1e-8 * X[:, :1], "float32")
    # A thousandth of the spread at most is rounding: here 6e-8 of 100, of a spread of 0.6.
    check_precision(X[:, :1] + 100, "float32")
