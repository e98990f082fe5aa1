"""From a table to a fitted model with its honest test: the main job of the command line."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.app.runs.baselines import Baselines
from wilsonian.app.runs.checkpoints import Checkpoint
from wilsonian.app.runs.choices import TableChoices
from wilsonian.app.runs.evaluation import Evaluation, mode_images
from wilsonian.app.runs.locks import one_at_a_time
from wilsonian.app.runs.model import Run, load_run
from wilsonian.app.runs.records import PredictionRecord, RunRecord
from wilsonian.app.tables import Columns
from wilsonian.app.tables.blocks import Block, Table, TableError
from wilsonian.app.tables.encoding import Encoding, unseen_sentences
from wilsonian.app.tables.encoding_builder import EncodingBuilder
from wilsonian.kernels import Scaled
from wilsonian.language.kernel_text import describe_kernel, format_kernel
from wilsonian.regression.classifier import ReducedGPClassifier, class_targets
from wilsonian.regression.diary import Diary, Progress, silent
from wilsonian.regression.fitting import Standing, fit_process
from wilsonian.regression.outputs import parts_of
from wilsonian.regression.plan import Plan, random_generator
from wilsonian.regression.regressor import ReducedGPRegressor
from wilsonian.regression.sample import Sample
from wilsonian.regression.saving import Estimator
from wilsonian.regression.statistics import Block as Rows
from wilsonian.support.model_files import check_folder
from wilsonian.support.sampling import Reservoir, held_out
from wilsonian.support.strict_json import to_json

__all__ = ["Choices", "Run", "fit_table", "load_run"]

TEST_FRACTION, LARGEST_TEST = 0.2, 50_000
SAMPLE_ROWS, SAMPLE_VALUES = 100_000, 2**25  # rows and numbers of the sample learned from


@dataclasses.dataclass(frozen=True)
class Choices(TableChoices):
    """What `wilsonian fit` is asked for; `parameters` are those of the estimator."""

    kernel: str = "matern52"  # text: an interrupted fit must be told from another
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    test_fraction: float | None = None  # None: a fifth, but at most LARGEST_TEST rows


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
    rows. Raises TableError,
    KernelTextError, ValueError and FileError with what was seen and what to try, the last before
    any work is done: also if another fit is writing to `out`.
    """
    if out is None:
        return _fit_table(choices, None, resume, progress)
    check_folder(out, "model")
    with one_at_a_time(out):
        return _fit_table(choices, Path(out), resume, progress)


def _fit_table(choices: Choices, out: Path | None, resume: bool, progress: Progress) -> Run:
    started = time.monotonic()
    fit = _Fit.of(choices)
    checkpoint = None if out is None else Checkpoint(out, fit.identity())
    stored = checkpoint.load() if checkpoint and resume else None
    encoding = stored[0] if stored else fit.encode(progress)
    if checkpoint and not stored:
        checkpoint.save(encoding, now=True)
    X, y, rows = fit.sample(encoding, progress)
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
            checkpoint.save(encoding, reached, now=now)

    diary = stored[2] if stored else Diary()
    if checkpoint is not None:
        kept = checkpoint
        diary.keep = lambda entries, now: kept.save(encoding, diary=entries, now=now)
    fitted = fit_process(
        regressor.prior(),
        Sample(X, targets.reshape(len(X), -1), np.ones(len(X))),
        lambda start: fit.training_arrays(encoding, start),
        regressor.plan(X.shape[1]),
        random_generator(choices.seed),
        rows=rows,
        start=standing,
        keep=keep,
        diary=diary,
        progress=progress,
    )
    regressor.adopt(fitted, targets.ndim)
    if regressor.exact:
        assert standing is not None
        at = standing
        inputs, outputs = fit.training_rows(encoding)
        regressor.read_out(
            Sample(inputs, outputs, np.ones(len(inputs))),
            start=at.duals,
            keep=lambda duals, now: keep(dataclasses.replace(at, duals=duals), now),
            progress=progress,
        )
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
    fit: _Fit,
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


@dataclasses.dataclass(frozen=True)
class _Fit:
    """One fit's table, columns and random split, and the passes it makes over the rows."""

    choices: Choices
    table: Table
    columns: Columns
    test_fraction: float

    @classmethod
    def of(cls, choices: Choices) -> _Fit:
        choices.parsed_kernel()  # before any reading
        Plan.of(ReducedGPRegressor(**choices.parameters).get_params(deep=False), columns=1)
        table, columns = choices.open()
        fraction = choices.test_fraction
        if fraction is None:
            fraction = min(TEST_FRACTION, LARGEST_TEST / table.rows)
        held_out(choices.seed, 0, 1, fraction)  # raises if the fraction is absurd
        return cls(choices, table, columns, fraction)

    @property
    def test_rows(self) -> int:
        """About how many rows are held out."""
        return round(self.test_fraction * self.table.rows)

    def identity(self) -> dict[str, Any]:
        """What must not differ between an interrupted fit and the one that resumes it."""
        choices = dataclasses.asdict(self.choices)
        parameters = to_json(choices.pop("parameters"))
        del choices["table"]
        return {"table": self.table.fingerprint(), **to_json(choices), **parameters}

    def estimator(self, task: str) -> Estimator:
        """The estimator of these choices, unfitted.

        Raises ValueError for an input-dependent ridge in classification.
        """
        choices = self.choices
        parameters = {
            "kernel": choices.parsed_kernel(),
            "block_size": choices.block_size,
            "random_state": choices.seed,
            **choices.parameters,
        }
        if task == "regression":
            return ReducedGPRegressor(**parameters)
        if parameters.pop("ridge", "uniform") != "uniform":
            raise ValueError(
                "classification needs the uniform ridge: its probabilities are calibrated by "
                "leaving rows out in closed form; leave --ridge out."
            )
        return ReducedGPClassifier(**parameters)

    def blocks(self, columns: Sequence[str], start: int = 0, *, test: bool = False) -> Iterator:
        """The training (or test) rows of every block from `start` on."""
        wanted = [*columns, self.columns.target]
        size, seed = self.choices.block_size, self.choices.seed
        for index, block in enumerate(self.table.blocks(wanted, size, start), start):
            mask = held_out(seed, index, block.rows, self.test_fraction)
            yield block.select(mask if test else ~mask)

    def encode(self, progress: Progress) -> Encoding:
        """First pass: statistics of the columns."""
        builder = EncodingBuilder(self.table, self.columns, self.choices.task)
        done = 0
        for block in self.blocks(self.columns.features):
            builder.update(block)
            done += block.rows
            progress("reading", done, self.table.rows - self.test_rows)
        return builder.finish()

    def sample(self, encoding: Encoding, progress: Progress) -> tuple[np.ndarray, np.ndarray, int]:
        """Second pass: a uniform sample of the training rows (inputs, targets or class numbers),
        and how many training rows there are.

        Raises TableError if there are fewer than two.
        """
        size = min(SAMPLE_ROWS, max(SAMPLE_VALUES // len(encoding.feature_names), 4096))
        reservoir, rows = Reservoir(size, self.choices.seed), 0
        for index, block in enumerate(self.blocks(encoding.input_columns)):
            X, y = _known_target(encoding, block)
            reservoir.update(X, y, index)
            rows += len(X)
            progress("sampling", rows, self.table.rows - self.test_rows)
        if rows < 2:
            raise TableError(
                f"{self.table.name} leaves {rows} training row; a fit needs at least 2: give more "
                "rows or a smaller --test-fraction."
            )
        return *reservoir.sample(), rows

    def training_arrays(self, encoding: Encoding, start: int = 0) -> Iterator[Rows]:
        """Encoded training rows of each block from `start` on, as the estimator takes them."""
        for block in self.blocks(encoding.input_columns, start):
            X, y = _known_target(encoding, block)
            if encoding.task == "classification":
                y = class_targets(y, len(encoding.classes))
            yield Rows(X, y.reshape(len(y), -1))

    def training_rows(self, encoding: Encoding) -> tuple[np.ndarray, np.ndarray]:
        """All of them in memory: inputs and (rows, outputs)."""
        blocks = [(block.X, block.y) for block in self.training_arrays(encoding)]
        inputs, outputs = (np.concatenate(part) for part in zip(*blocks, strict=True))
        return inputs, outputs

    def test(
        self,
        encoding: Encoding,
        estimator: Estimator,
        baselines: Baselines | None,
        progress: Progress,
    ) -> tuple[Evaluation, dict[tuple[str, str], int]]:
        """The model and the baselines against the held-out rows, and what of these training never
        showed."""
        evaluation = Evaluation(estimator, encoding.classes)
        unseen: dict[tuple[str, str], int] = {}
        for block in self.blocks(encoding.input_columns, test=True):
            arrays = self.test_arrays(encoding, block)
            evaluation.add(*arrays)
            if baselines is not None:
                baselines.add(*arrays)
            for key, count in encoding.unseen(block).items():
                unseen[key] = unseen.get(key, 0) + count
            progress("testing", evaluation.rows, self.test_rows)
        return evaluation, unseen

    def test_arrays(self, encoding: Encoding, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Encoded rows of a block and their targets or labels, where they have one."""
        y, present = encoding.target(block)
        if encoding.task == "classification":
            y = encoding.target_labels(block)
        return encoding.transform(block.select(present)), y[present]


def _known_target(encoding: Encoding, block: Block) -> tuple[np.ndarray, np.ndarray]:
    y, present = encoding.target(block)
    if not present.all():
        block, y = block.select(present), y[present]
    return encoding.transform(block), y
