"""Synthetic runs for the tests of figures and reports."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from wilsonian.app.reports import report_html
from wilsonian.app.runs.records import PredictionRecord, RunRecord
from wilsonian.regression.processes.records import FlowRecord, SpectrumRecord


def make_spectrum(modes: int = 60, kept: int = 20, tail: float = 0.01) -> SpectrumRecord:
    """Power-law eigenvalues with a matched target."""
    eigenvalues = np.arange(1.0, modes + 1) ** -1.5
    learnability = eigenvalues / (eigenvalues + 0.01)
    power = eigenvalues * np.random.default_rng(1).chisquare(1, modes)
    return SpectrumRecord(eigenvalues, learnability, power, kept, tail, 0.5)


def make_flow(modes: int = 60, noise: float = 0.05, **changes: Any) -> FlowRecord:
    """Every cutoff of a power law."""
    kept = np.arange(modes + 1)
    eigenvalues = np.append(np.arange(1.0, modes + 1) ** -1.5, 0.0)
    ridge = noise + np.cumsum(eigenvalues[::-1])[::-1]
    columns = {
        "kept": kept,
        "ridge": ridge,
        "evidence_ridge": 1.1 * ridge,
        "learnability": eigenvalues / (eigenvalues + 0.01),
        "evidence": -500 - 300 * np.exp(-kept / 10),
        "test_error": 0.3 + np.exp(-kept / 8),
    }
    return FlowRecord(**(columns | changes))


def make_regression_predictions(rows: int = 150) -> PredictionRecord:
    """Gaussian errors of the size that is announced."""
    random = np.random.default_rng(2)
    true, std = random.normal(10.0, 4.0, rows), np.exp(random.normal(0.0, 0.2, rows))
    return PredictionRecord(true, true + std * random.normal(size=rows), std)


def make_class_predictions(
    rows: int = 150, classes: tuple[str, ...] = ("cat", "dog", "owl")
) -> PredictionRecord:
    """Labels drawn from the stated probabilities."""
    random = np.random.default_rng(3)
    probabilities = random.dirichlet(np.full(len(classes), 0.3), rows)
    drawn = (probabilities.cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    names = np.array(classes)
    return PredictionRecord(
        names[drawn], names[probabilities.argmax(axis=1)], None, probabilities, classes
    )


def make_regression(**changes: Any) -> RunRecord:
    """A regression run."""
    values: dict[str, Any] = {
        "name": "concrete",
        "task": "regression",
        "target": "strength",
        "kernel": "2.1 * Matern52(lengthscale=0.7)",
        "rows": 1437,
        "test_rows": 150,
        "columns": 8,
        "rank": 60,
        "rank_status": "The inducing points reached the limit that was set.",
        "measure": "population",
        "noise_variance": 0.05,
        "ridge": 0.0731,
        "expected_loss": 0.00412,
        "convergence": "The optimizer converged after 31 steps.",
        "seconds": 12.34,
        "seed": 7,
        "hyperparameters": {"amplitude": 2.1, "lengthscales": np.linspace(0.1, 2.0, 40)},
        "metrics": {
            "rmse": 1.034,
            "relative_rmse": 0.2571,
            "nlpd": 1.377,
            "r2": 0.934,
            "coverage_50": 0.487,
            "coverage_90": 0.893,
            "coverage_95": 0.953,
        },
        "spectrum": make_spectrum(),
        "flow": make_flow(),
        "predictions": make_regression_predictions(),
        "notes": ("Dropped 3 rows without a target.",),
    }
    return RunRecord(**(values | changes))


def make_classification(**changes: Any) -> RunRecord:
    """A classification run on images."""
    values: dict[str, Any] = {
        "name": "pets",
        "task": "classification",
        "target": "animal",
        "metrics": {
            "accuracy": 0.78,
            "error_rate": 0.22,
            "log_loss": 0.512,
            "brier": 0.294,
            "calibration_error": 0.021,
        },
        "predictions": make_class_predictions(),
        "mode_images": np.random.default_rng(4).normal(size=(5, 8, 8)),
    }
    return make_regression(**(values | changes))


def untested(run: RunRecord, **changes: Any) -> RunRecord:
    """The same run with no rows held out."""
    empty = np.zeros(0)
    classes = run.task == "classification"
    return dataclasses.replace(
        run,
        test_rows=0,
        metrics={},
        flow=dataclasses.replace(run.flow, test_error=None),
        predictions=PredictionRecord(empty, empty, None if classes else empty),
        **changes,
    )


NOT_A_NUMBER = np.where(np.arange(61) % 3 == 0, np.nan, 0.1)

# Every corner a run can be in; each must be drawn and reported.
RUNS = {
    "regression": make_regression(),
    "classification": make_classification(),
    "regression without held-out rows": untested(make_regression()),
    "classification without held-out rows": untested(make_classification()),
    "one mode": make_regression(spectrum=make_spectrum(1, 1), flow=make_flow(1)),
    "nothing kept": make_regression(spectrum=make_spectrum(60, 0), flow=make_flow()),
    "everything kept, no tail": make_regression(spectrum=make_spectrum(60, 60, 0.0)),
    "no modes": make_regression(
        spectrum=make_spectrum(0, 0),
        flow=FlowRecord(*[np.zeros(0)] * 5),  # type: ignore[arg-type]
    ),
    "gaps in the flow": make_regression(flow=make_flow(evidence_ridge=NOT_A_NUMBER)),
    "an empty flow": make_regression(
        flow=make_flow(evidence_ridge=np.full(61, np.nan), evidence=np.full(61, -np.inf))
    ),
    "nothing finite": make_regression(
        noise_variance=0.0,
        ridge=np.nan,
        expected_loss=np.nan,
        flow=make_flow(ridge=np.full(61, np.nan)),
    ),
    "one class": make_classification(predictions=make_class_predictions(50, ("only",))),
    "thirty classes": make_classification(
        predictions=make_class_predictions(400, tuple(f"a long class {i}" for i in range(30)))
    ),
    "colour images": make_classification(mode_images=np.ones((30, 4, 6, 3))),
    "no probabilities": make_classification(
        predictions=PredictionRecord(np.array(["a", "b"]), np.array(["a", "a"]), None)
    ),
    "constant predictions": make_regression(
        predictions=PredictionRecord(np.ones(3), np.ones(3), np.zeros(3))
    ),
}

HOSTILE = "<script>window.hacked = 1</script>\"'&<img src=x onerror='window.hacked=1'>$\\frac{"


def hostile_run() -> RunRecord:
    """Markup wherever a name of the user may stand."""
    return make_classification(
        name=HOSTILE,
        target=HOSTILE,
        kernel=HOSTILE,
        convergence=HOSTILE,
        rank_status=HOSTILE,
        hyperparameters={HOSTILE: HOSTILE},
        notes=(HOSTILE, "</script></style></svg>"),
        predictions=make_class_predictions(classes=(HOSTILE, "</script>", "owl #0072b2")),
    )


PAGES = {
    **RUNS,
    "hostile": hostile_run(),
    "hostile regression": make_regression(target=HOSTILE),
    "many rows": make_regression(predictions=make_regression_predictions(50_000)),
}


@functools.cache
def page_of(name: str) -> str:
    """The report of one of them, rendered once."""
    return report_html(PAGES[name])
