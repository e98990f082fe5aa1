"""The choices of a fit, checked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from wilsonian.core.cutoffs import AbstractCutoff
from wilsonian.regression.learning.learners import (
    AbstractLearner,
    LearnAll,
    LearnNothing,
    LearnScale,
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The parameters of :class:`wilsonian.ReducedGPRegressor`, resolved for a number of columns."""

    learner: AbstractLearner
    rank: int | None  # None: as many as the cutoff rule asks for, at most `max_rank`
    max_rank: int
    cutoff: Any  # "auto", None, a number of modes, or an AbstractCutoff
    threshold: float
    input_dependent: bool
    move_inducing_points: bool | None  # None: where it helps (see `preparation.prepare`)
    normalize_y: bool
    inducing_points: np.ndarray | None
    block_size: int
    dtype: Any
    exact: bool  # whether eliminated modes are read out of all rows

    @classmethod
    def of(cls, parameters: dict[str, Any], columns: int) -> Plan:
        """The plan of an estimator's parameters; raises ValueError naming one that is off."""
        given = dict(parameters)
        if isinstance(given["rank"], str) and given["rank"] == "auto":
            given["rank"] = None
        elif given["rank"] is None:
            raise ValueError("`rank` must be a positive integer or 'auto', got None.")
        counts = {"rank": 1, "max_rank": 1, "block_size": 1, "max_iterations": 1, "n_restarts": 0}
        for name, least in counts.items():
            if name != "rank" or given["rank"] is not None:
                _check_count(name, given[name], least)
        for name in ("amplitude", "noise_variance"):
            value = given[name]
            if not (_is_number(value) and np.isfinite(value) and value > 0):
                raise ValueError(
                    f"`{name}` must be a positive number, got {value!r}; a noise of 1e-8 of the "
                    "target's variance is as good as none."
                )
        threshold = given["threshold"]
        if not (_is_number(threshold) and 0 < threshold < 1):
            raise ValueError(
                f"`threshold` is a learnability between 0 and 1, got {threshold!r}; try 0.1."
            )
        for name, allowed in CHOICES.items():
            if name in given and given[name] not in allowed:
                raise ValueError(f"`{name}` must be one of {allowed}, got {given[name]!r}.")
        _check_cutoff(given["cutoff"])
        points = given["inducing_points"]
        return cls(
            learner=_learner(given, columns),
            rank=None if given["rank"] is None else int(given["rank"]),
            max_rank=int(given["max_rank"]),
            cutoff=given["cutoff"],
            threshold=float(threshold),
            input_dependent=given["ridge"] == "input-dependent",
            move_inducing_points=None
            if given["move_inducing_points"] == "auto"
            else given["move_inducing_points"],
            normalize_y=bool(given.get("normalize_y", True)),
            inducing_points=None if points is None else check_inducing_points(points, columns),
            block_size=int(given["block_size"]),
            dtype=np.dtype(given["dtype"]).type,
            exact=bool(given["exact"]),
        )


ARD_COLUMNS = 32  # with more, one length scale per column overfits and slows the optimizer
CHOICES: dict[str, tuple[Any, ...]] = {
    "ridge": ("uniform", "input-dependent"),
    "optimizer": ("l-bfgs-b", None),
    "learn": ("all", "scale"),
    "per_output": ("scale", None),
    "move_inducing_points": ("auto", True, False),
    "ard": ("auto", True, False),
    "second_scale": ("auto", False),
    "search": ("thorough", "coarse"),
    "dtype": ("float64", "float32"),
    "exact": (False, True),
}


def _learner(given: dict[str, Any], columns: int) -> AbstractLearner:
    scales = float(given["amplitude"]), float(given["noise_variance"])
    per_output = given.get("per_output") == "scale"
    if given["optimizer"] is None:
        return LearnNothing(*scales)
    if given["learn"] == "scale":
        return LearnScale(*scales, per_output)
    ard = columns <= ARD_COLUMNS if given["ard"] == "auto" else given["ard"]
    counts = int(given["n_restarts"]), int(given["max_iterations"])
    second, coarse = given.get("second_scale") == "auto", given.get("search") == "coarse"
    return LearnAll(*scales, per_output, ard, second, coarse, *counts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _check_count(name: str, value: Any, least: int) -> None:
    if not (_is_integer(value) and value >= least):
        wanted = "a positive integer" if least else "an integer, zero or more"
        raise ValueError(f"`{name}` must be {wanted}, got {value!r}.")


def _check_cutoff(cutoff: Any) -> None:
    scale = isinstance(cutoff, float | np.floating) and np.isfinite(cutoff) and cutoff >= 0
    count = _is_integer(cutoff) and cutoff >= 0
    named = cutoff is None or (isinstance(cutoff, str) and cutoff == "auto")
    if not (scale or count or named or isinstance(cutoff, AbstractCutoff)):
        raise ValueError(
            "`cutoff` must be 'auto', None, a number of modes (int), an eigenvalue scale (float) "
            f"or a cutoff object such as RankCutoff(100), got {cutoff!r}."
        )


def check_inducing_points(inducing_points: Any, columns: int) -> np.ndarray:
    """Inducing points given by the user. Raises ValueError unless they are (rank, columns) and
    finite."""
    points = np.asarray(inducing_points, float)
    if points.ndim != 2 or points.shape[1] != columns or not len(points):
        raise ValueError(
            f"`inducing_points` must have shape (rank, {columns}), got {points.shape}."
        )
    if not np.all(np.isfinite(points)):
        raise ValueError("`inducing_points` must be finite, got NaN or infinity.")
    return points


def random_generator(random_state: Any) -> np.random.Generator:
    """NumPy's generator for scikit-learn's `random_state`."""
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
