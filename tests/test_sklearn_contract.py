"""Scikit-learn's own checks of an estimator, on both estimators."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from wilsonian import ReducedGPClassifier, ReducedGPRegressor

# Checks fit tables of every shape, and each shape is a new compilation: learning, which compiles
# most, runs in `LEARNING` below and in the tests of the estimators.
CHEAP = {"optimizer": None, "max_rank": 64}


@parametrize_with_checks([ReducedGPRegressor(**CHEAP), ReducedGPClassifier(**CHEAP)])
def test_scikit_learn_finds_no_fault(estimator, check):
    check(estimator)
