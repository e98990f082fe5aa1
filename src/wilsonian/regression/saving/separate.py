"""Separate outputs as plain data: the states of their estimators, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from wilsonian.regression.saving.processes import Arrays, Document, under
from wilsonian.regression.separate_outputs import SeparateOutputsRegressor

State = tuple[Document, Arrays]


def separate_state(estimator: SeparateOutputsRegressor, state: Callable[[Any], State]) -> State:
    """Taken apart, each output's estimator by `state`. Raises NotFittedError."""
    check_is_fitted(estimator)
    states: list[Document] = []
    arrays: Arrays = {}
    for number, each in enumerate(estimator.estimators_):
        document, own = state(each)
        states.append(document)
        arrays |= {f"separate_{number}_{name}": array for name, array in own.items()}
    return {
        "type": type(estimator).__name__,
        "separate": states,
        "default_regressor": estimator.regressor is None,
        "target_dimensions": estimator.target_dimensions_,
    }, arrays


def restore_separate(
    document: Document, arrays: Arrays, restore: Callable[..., Any]
) -> SeparateOutputsRegressor:
    """What :func:`separate_state` took apart, each output's estimator put together by `restore`."""
    states = enumerate(document["separate"])
    fitted = [restore(each, under(f"separate_{number}_", arrays)) for number, each in states]
    if not fitted or (document["target_dimensions"] == 1 and len(fitted) > 1):
        raise ValueError(f"{len(fitted)} outputs do not fit one target")
    model = None if document["default_regressor"] else clone(fitted[0])
    return SeparateOutputsRegressor(model).adopt(fitted, document["target_dimensions"])
