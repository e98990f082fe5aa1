"""From a table to a fitted model with its honest test: the main job of the command line."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wilsonian.app.runs.baselines import Baselines
from wilsonian.app.runs.checkpoints import Checkpoint
from wilsonian.app.runs.evaluation import mode_images
from wilsonian.app.runs.locks import one_at_a_time
from wilsonian.app.runs.missing import (
    missing_sentences,
    missing_variances,
    refined_variances,
)
from wilsonian.app.runs.model import Run, load_run
from wilsonian.app.runs.optimism import optimism_sentences, scatter_left_out, widened
from wilsonian.app.runs.period_notes import period_sentences
from wilsonian.app.runs.records import PredictionRecord, RunRecord
from wilsonian.app.runs.repeated_rows import repeated_sentences
from wilsonian.app.runs.table_fit import Choices, TableFit, noise_of
from wilsonian.app.tables.encoding import Encoding, unseen_sentences
from wilsonian.kernels import Scaled
from wilsonian.language.kernel_text import describe_kernel, format_kernel
from wilsonian.regression.classification.classifier import ReducedGPClassifier, class_targets
from wilsonian.regression.fitting import Keep, Standing, fit_process
from wilsonian.regression.learning.diary import Diary, Progress, silent
from wilsonian.regression.plan import Plan, random_generator
from wilsonian.regression.processes.outputs import parts_of
from wilsonian.regression.regressor import ReducedGPRegressor
from wilsonian.regression.sample import Sample
from wilsonian.support.model_files import check_folder
from wilsonian.support.reading_ahead import read_ahead

__all__ = ["Choices", "Run", "fit_table", "load_run"]


def fit_table(
    choices: Choices,
    out: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    progress: Progress = silent,
) -> Run:
    """Fit a reduced Gaussian process to a table, test it on held-out rows, and store it in the
    folder `out` if that is given.

    With `out`, an interrupted fit leaves `<out>.partial` beside it, from which `resume` goes on:
    with the columns read, after what the learning had finished, or after the last finished block of
    rows. Raises TableError, KernelTextError, ValueError and FileError with what was seen and what
    to try, the last before any work is done: also if another fit is writing to `out`.
    """
    if out is None:
        return _fit_table(choices, None, resume, progress)
    check_folder(out, "model")
    with one_at_a_time(out):
        return _fit_table(choices, Path(out), resume, progress)


def _fit_table(choices: Choices, out: Path | None, resume: bool, progress: Progress) -> Run:
    started = time.monotonic()
    fit = TableFit.of(choices)
    checkpoint = None if out is None else Checkpoint(out, fit.identity())
    stored = checkpoint.load() if checkpoint and resume else None
    encoding = stored[0] if stored else fit.encode(progress)
    if checkpoint and not stored:
        checkpoint.save(encoding, now=True)
    X, y, known, rows = fit.sample(encoding, progress)
    encoding = guessed = _with_missing_variances(encoding, X, y, choices.seed)
    estimator = fit.estimator(encoding.task)
    if isinstance(estimator, ReducedGPClassifier):
        regressor = estimator.regressor(rows, X.shape[1])
        targets = class_targets(y, len(encoding.classes))
    else:
        regressor, targets = estimator, y
    notes = list(encoding.notes())
    standing = stored[1] if stored else None
    if standing:
        notes.append(f"Resumed after {standing.blocks:,} finished blocks of rows.")
    elif stored:
        learned = len(stored[2].entries)
        notes.append(f"Resumed with the columns read and {learned} pieces of the learning done.")

    def keep(reached: Standing, now: bool) -> None:
        nonlocal standing
        standing = reached
        if checkpoint is not None:
            checkpoint.save(guessed, reached, now=now)

    diary = stored[2] if stored else Diary()
    if checkpoint is not None:
        kept = checkpoint
        diary.keep = lambda entries, now: kept.save(guessed, diary=entries, now=now)

    def learn(plan: Plan, start: Standing | None, keep: Keep = keep) -> None:
        fitted = fit_process(
            regressor.prior(),
            Sample(X, targets.reshape(len(X), -1), np.ones(len(X)), noise_of(encoding, X, known)),
            lambda start: read_ahead(fit.training_arrays(encoding, start)),
            plan,
            random_generator(choices.seed),
            rows=rows,
            start=start,
            keep=keep,
            diary=diary,
            progress=progress,
        )
        regressor.adopt(fitted, targets.ndim)

    plan = regressor.plan(X.shape[1])
    learn(dataclasses.replace(plan, exact=plan.exact and not encoding.missing_variances), standing)
    if encoding.missing_variances:
        (process,) = parts_of(regressor.process_)
        found = refined_variances(encoding, process, X, y, noise_of(encoding, X, known))
        encoding = dataclasses.replace(encoding, missing_variances=tuple(found.tolist()))
        learn(plan, standing)  # all rows are counted: only the last step is taken again
        (process,) = parts_of(regressor.process_)
        scatter = 1.0
        if len(X) == rows and known is None:  # what is known of the noise is not to be widened
            noise = encoding.missing_noise(X)
            scatter = scatter_left_out(process, plan, X, y, noise, choices.seed)
        if scatter > 1 and standing is not None:
            found = scatter * np.array(encoding.missing_variances)
            encoding = dataclasses.replace(encoding, missing_variances=tuple(found.tolist()))
            learn(*widened(plan, standing, process, scatter), keep=lambda reached, now: None)
            notes += optimism_sentences(scatter)
    notes += missing_sentences(encoding)
    notes += repeated_sentences(X, y) if encoding.task == "regression" else []
    notes += period_sentences(regressor.kernel_, encoding, X)
    if isinstance(estimator, ReducedGPClassifier):
        classes = np.array(encoding.classes, dtype=object)
        whole = None if len(X) == rows else lambda: fit.training_arrays(encoding)
        estimator.adopt(regressor, classes, X, y, blocks=whole)
    baselines = Baselines(X, y, encoding.classes, choices.seed) if fit.test_rows else None
    try:
        evaluation, unseen = fit.test(encoding, estimator, baselines, progress)
    except KeyboardInterrupt:
        if standing is not None:
            keep(standing, True)
        raise
    notes += [f"Held out: {sentence}" for sentence in unseen_sentences(unseen)]
    predictions, metrics, test_error = evaluation.result()
    record = _record(fit, encoding, regressor, X, rows, notes)
    record = dataclasses.replace(
        record,
        known_noise=0.0 if known is None else float(known.mean()),
        test_rows=len(predictions.true),
        metrics=metrics,
        baselines=baselines.errors() if baselines is not None else {},
        predictions=predictions,
        flow=dataclasses.replace(regressor.flow_, test_error=test_error),
        correction=_correction(regressor, test_error, metrics),
        seconds=time.monotonic() - started,
    )
    run = Run(estimator, encoding, record)
    if out is not None:
        run.save(out)
    if checkpoint is not None:
        checkpoint.remove()
    return run


def _correction(
    regressor: ReducedGPRegressor, test_error: np.ndarray | None, metrics: dict[str, float]
) -> str:
    """What reading out the eliminated modes bought."""
    if regressor.correction_ is None:
        return ""
    told = regressor.correction_.sentence()
    if test_error is None:
        return told
    before = float(test_error[np.searchsorted(regressor.flow_.kept, regressor.n_modes_)])
    after = metrics.get("rmse", metrics.get("error_rate", np.nan))
    return told + f" Held-out error {before:.4g} with the kept modes alone, {after:.4g} with all."


def _record(
    fit: TableFit,
    encoding: Encoding,
    regressor: ReducedGPRegressor,
    X: np.ndarray,
    rows: int,
    notes: Sequence[str],
) -> RunRecord:
    unit = float(np.mean(regressor.process_.modes.target_scale**2))
    prior = Scaled(regressor.kernel_, float(np.mean(regressor.amplitude_)) * unit)
    empty = np.zeros(0)
    return RunRecord(
        name=Path(fit.table.name).name,
        task=encoding.task,
        target=encoding.outcome.name,
        kernel=describe_kernel(prior),
        rows=rows,
        test_rows=0,
        columns=len(encoding.feature_names),
        rank=regressor.rank_,
        rank_status=regressor.rank_status_,
        measure=regressor.measure_,
        noise_variance=float(np.mean(regressor.noise_variance_)),
        ridge=float(np.mean(regressor.ridge_)),
        expected_loss=regressor.expected_loss_,
        convergence=regressor.convergence_,
        seconds=0.0,
        seed=fit.choices.seed,
        hyperparameters={
            "kernel before the amplitude": format_kernel(regressor.kernel_, digits=6),
            "amplitude": regressor.amplitude_,
            "noise variance": regressor.process_.noise_variance,
            "target scale": float(np.sqrt(unit)),
            "ridge": regressor.ridge,
            "cutoff": str(regressor.cutoff),
            "threshold": regressor.threshold,
            "precision": regressor.dtype,
        },
        metrics={},
        spectrum=regressor.spectrum_,
        flow=regressor.flow_,
        predictions=PredictionRecord(empty, empty, empty),
        mode_images=mode_images(parts_of(regressor.process_)[0], X, encoding.image_shape),
        reading=fit.table.reading,
        notes=tuple(notes),
    )


def _with_missing_variances(
    encoding: Encoding, X: np.ndarray, y: np.ndarray, seed: int
) -> Encoding:
    """With what missing values leave unexplained, unless that is known or there are none."""
    if encoding.task == "classification" or encoding.missing_variances or not encoding.markers:
        return encoding
    found = missing_variances(encoding, X, y, seed)
    return dataclasses.replace(encoding, missing_variances=tuple(found.tolist()))
