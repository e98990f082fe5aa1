"""Scikit-learn's own checks of an estimator, on both estimators."""

import pytest
from sklearn.utils import estimator_checks

from wilsonian import ReducedGPClassifier, ReducedGPRegressor

# Checks fit tables of every shape, and each shape is a new compilation; learning compiles most.
# With so many inducing points the modes have one shape in most tables, and their theory is compiled
# once.
CHEAP = {"optimizer": None, "rank": 10}
CHEAP_ESTIMATORS = [ReducedGPRegressor(**CHEAP), ReducedGPClassifier(**CHEAP)]


@estimator_checks.parametrize_with_checks(CHEAP_ESTIMATORS)
def test_scikit_learn_finds_no_fault(estimator, check):
    if check.func is estimator_checks.check_regressors_train:
        estimator.set_params(rank="auto")  # the one check that asks for a good fit
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimators_overwrite_params,
        estimator_checks.check_fit_idempotent,
    ],
)
def test_scikit_learn_finds_no_fault_with_learning(check):
    check("ReducedGPRegressor", ReducedGPRegressor())
