"""One fit's table, columns and random split, and the passes that it makes over the rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wilsonian.app.runs.baselines import Baselines
from wilsonian.app.runs.choices import TableChoices
from wilsonian.app.runs.evaluation import Evaluation
from wilsonian.app.tables import Columns
from wilsonian.app.tables.blocks import Block, Table, TableError
from wilsonian.app.tables.encoding import Encoding
from wilsonian.app.tables.encoding_builder import EncodingBuilder
from wilsonian.regression.classification.classifier import ReducedGPClassifier, class_targets
from wilsonian.regression.learning.diary import Progress
from wilsonian.regression.plan import Plan
from wilsonian.regression.regressor import ReducedGPRegressor
from wilsonian.regression.saving.estimators import Estimator
from wilsonian.regression.statistics import Block as Rows
from wilsonian.support.batches import batches
from wilsonian.support.sampling import Reservoir, held_out
from wilsonian.support.strict_json import to_json

TEST_FRACTION, LARGEST_TEST = 0.2, 50_000
TEST_ROWS = 1024  # at a time: few shapes are compiled, and means at every cutoff are held of these
SAMPLE_ROWS, SAMPLE_VALUES = 100_000, 2**25  # rows and numbers of the sample learned from


@dataclasses.dataclass(frozen=True)
class Choices(TableChoices):
    """What `wilsonian fit` is asked for; `parameters` are those of the estimator."""

    kernel: str = "matern52"  # text: an interrupted fit must be told from another
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    test_fraction: float | None = None  # None: a fifth, but at most LARGEST_TEST rows


@dataclasses.dataclass(frozen=True)
class TableFit:
    """One fit's table, columns and random split, and the passes it makes over the rows."""

    choices: Choices
    table: Table
    columns: Columns
    test_fraction: float

    @classmethod
    def of(cls, choices: Choices) -> TableFit:
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
        wanted += [self.columns.noise.name] if self.columns.noise else []
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

    def sample(
        self, encoding: Encoding, progress: Progress
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, int]:
        """Second pass: a uniform sample of the training rows (inputs, targets or class numbers,
        known noise variances), and how many training rows there are.

        Raises TableError if there are fewer than two.
        """
        size = min(SAMPLE_ROWS, max(SAMPLE_VALUES // len(encoding.feature_names), 4096))
        reservoir, rows = Reservoir(size, self.choices.seed), 0
        for index, block in enumerate(self.blocks(encoding.input_columns)):
            X, y, known = _known_target(encoding, block)
            reservoir.update(X, y if known is None else np.stack([y, known], axis=1), index)
            rows += len(X)
            progress("sampling", rows, self.table.rows - self.test_rows)
        if rows < 2:
            raise TableError(
                f"{self.table.name} leaves {rows} training row; a fit needs at least 2: give more "
                "rows or a smaller --test-fraction."
            )
        X, y = reservoir.sample()
        return (X, y, None, rows) if y.ndim == 1 else (X, y[:, 0], y[:, 1], rows)

    def training_arrays(self, encoding: Encoding, start: int = 0) -> Iterator[Rows]:
        """Encoded training rows of each block from `start` on, as the estimator takes them."""
        for block in self.blocks(encoding.input_columns, start):
            X, y, known = _known_target(encoding, block)
            if encoding.task == "classification":
                y = class_targets(y, len(encoding.classes))
            yield Rows(X, y.reshape(len(y), -1), None, noise_of(encoding, X, known))

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

        def rows() -> Iterator[tuple[np.ndarray, ...]]:
            for block in self.blocks(encoding.input_columns, test=True):
                for key, count in encoding.unseen(block).items():
                    unseen[key] = unseen.get(key, 0) + count
                X, y, known = self.test_arrays(encoding, block)
                noise = noise_of(encoding, X, known)
                noise = np.zeros(len(X)) if noise is None else noise
                yield X, y, noise, encoding.incomplete(X)

        for X, y, noise, lacking in batches(rows(), TEST_ROWS):
            evaluation.add(X, y, noise, lacking)
            if baselines is not None:
                baselines.add(X, y)
            progress("testing", evaluation.rows, self.test_rows)
        return evaluation, unseen

    def test_arrays(
        self, encoding: Encoding, block: Block
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Encoded rows of a block, their targets or labels, where they have one, and known noise
        variances."""
        y, present = encoding.target(block)
        if encoding.task == "classification":
            y = encoding.target_labels(block)
        block = block.select(present)
        return encoding.transform(block), y[present], encoding.row_noise(block)


def noise_of(encoding: Encoding, X: np.ndarray, known: np.ndarray | None) -> np.ndarray | None:
    """Noise variances of encoded rows beside the common one: known, and of what they lack."""
    lacking = encoding.missing_noise(X)
    if known is None or lacking is None:
        return lacking if known is None else known
    return known + lacking


def _known_target(
    encoding: Encoding, block: Block
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    y, present = encoding.target(block)
    if not present.all():
        block, y = block.select(present), y[present]
    return encoding.transform(block), y, encoding.row_noise(block)
