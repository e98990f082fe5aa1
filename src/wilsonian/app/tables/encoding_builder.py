"""Fitting an encoding in one pass over the training rows, and refusing what it cannot mean."""

from __future__ import annotations

from typing import Literal

import numpy as np

from wilsonian.app.tables.blocks import (
    Block,
    Table,
    TableError,
    as_option,
    listed,
    reads_as_number,
)
from wilsonian.app.tables.column_statistics import LevelCounts, Moments, finite_matrix
from wilsonian.app.tables.date_columns import DateColumn, DateStatistics
from wilsonian.app.tables.dates import ISO
from wilsonian.app.tables.encoding import Encoding, NumberColumn, Outcome, Task
from wilsonian.app.tables.level_columns import LevelColumn, LevelKind
from wilsonian.app.tables.reading import Columns
from wilsonian.support.number_text import format_count

FREQUENT_LEVELS = 32
FEWEST_ALONE = 10  # labels, each of one row, that are refused as classes
STORED_LEVELS = 10_000  # by name, so that a level never seen can be told from a rare one


class EncodingBuilder:
    """Statistics of the training rows, a block at a time; the policy is that of `tables.encoding`.

    `task="auto"` classifies a text or boolean target and regresses a numeric one.
    """

    def __init__(
        self,
        table: Table,
        columns: Columns,
        task: Literal["auto", "regression", "classification"] = "auto",
    ) -> None:
        if task not in ("auto", "regression", "classification"):
            raise ValueError(f"`task` must be auto, regression or classification, got {task!r}.")
        self._table, self._columns = table, columns
        kinds, explicit = table.kinds, set(columns.categorical)
        for name in (*columns.features, columns.target):
            if name in table.doubts and name not in explicit:
                raise TableError(table.doubts[name])
            _check_kind(table, name, name == columns.target)
        dates = [n for n in columns.features if kinds[n] == "datetime" and n not in explicit]
        self._dates = [DateStatistics(name) for name in dates]
        as_number = {
            name: kinds[name] in ("number", "empty") and name not in explicit
            for name in columns.features
        }
        self._numbers = [name for name, number in as_number.items() if number]
        self._moments = Moments(len(self._numbers))
        self._levels = {
            name: LevelCounts(name)
            for name, number in as_number.items()
            if not number and name not in dates
        }
        numeric_target = kinds[columns.target] in ("number", "empty")
        if task == "regression" and kinds[columns.target] == "boolean":
            raise TableError(
                f"target {columns.target!r} is boolean and cannot be regressed; use --task "
                "classification or convert it to 0 and 1."
            )
        self._wanted = task
        self._task: Task = (
            "regression"
            if (task == "auto" and numeric_target) or task == "regression"
            else "classification"
        )
        self._labels = LevelCounts(columns.target)
        self._target = Moments(1)
        self._target_values: set[float] = set()  # three are enough to know that there are more
        self._is_label = not numeric_target or self._task == "classification"
        self._without_target = 0
        self._noise = Moments(1)

    def update(self, block: Block) -> None:
        """Add training rows (select them from a block first)."""
        if self._is_label:
            present = self._labels.update(block)
        else:
            values, missing = finite_matrix(block, [self._columns.target])
            present = np.ones(block.rows, bool) if missing is None else ~missing[:, 0]
            self._target.update(values[present], None)
            if len(self._target_values) <= 2:
                self._target_values |= set(np.unique(values[present])[:3].tolist())
        if not present.all():
            self._without_target += int((~present).sum())
            block = block.select(present)
        if self._columns.noise:
            values, missing = finite_matrix(block, [self._columns.noise.name])
            self._noise.update(values, missing)
        values, missing = finite_matrix(block, self._numbers)
        self._moments.update(values, missing)
        for date in self._dates:
            date.update(block.days(date.name))
        for counts in self._levels.values():
            counts.update(block)

    def finish(self) -> Encoding:
        """The encoding. Raises TableError where the columns or the target cannot be used."""
        outcome = self._outcome()
        sentences = [*self._table.notes, *self._columns.notes]
        if self._without_target:
            sentences.append(
                f"{self._without_target:,} rows without a value of {outcome.name!r} are left out."
            )
        if self._wanted == "auto" and len(self._target_values) == 2:
            low, high = sorted(self._target_values)
            sentences.append(
                f"Hint: {outcome.name!r} is {low:g} or {high:g} in every row and is regressed as a "
                "number; --task classification gives the probability of each."
            )
        if outcome.noise:
            sentences += self._noise_sentences(outcome)
        numbers = self._number_columns(sentences)
        dates = [column for d in self._dates if (column := self._date_column(d, sentences))]
        categories = [
            levels for c in self._levels.values() if (levels := self._level_column(c, sentences))
        ]
        if not numbers and not dates and not categories:
            raise TableError(
                f"no feature of {self._table.name} varies over the training rows; choose other "
                "columns."
            )
        plain = tuple(column.name for column in numbers) == self._table.image_columns
        marked = any(column.indicator for column in numbers)
        shape = self._table.image_shape if plain and not marked and not dates + categories else None
        return Encoding(
            tuple(numbers),
            tuple(categories),
            outcome,
            shape,
            tuple(sentences),
            tuple(dates),
            self._table.dialect,
            self._columns.identifiers,
        )

    @property
    def _rows(self) -> int:
        return self._labels.present if self._is_label else self._target.rows

    def _outcome(self) -> Outcome:
        name, table = self._columns.target, self._table.name
        if not self._rows:
            raise TableError(
                f"no training row of {table} has a value of the target {name!r} "
                f"({self._without_target:,} without); choose another target or give more rows."
            )
        if self._rows == 1:
            raise TableError(
                f"{table} leaves 1 training row with a {name!r}; nothing can be learned from it: "
                "give more rows."
            )
        if not self._is_label:
            if self._target.constant[0]:
                raise TableError(
                    f"target {name!r} has the same value, {self._target.low[0]:g}, in all "
                    f"{self._rows:,} training rows; there is nothing to predict: choose another."
                )
            if not np.isfinite(self._target.deviation[0]):
                raise TableError(_too_large(name))
            noise = self._columns.noise
            return Outcome(name, "regression", (), *((noise.name, noise.is_error) if noise else ()))
        if self._columns.noise:
            raise TableError(
                f"target {name!r} is a label, which has no noise variance; leave --noise-column "
                "out, or regress a number with --task regression."
            )
        self._check_label()
        labels = sorted(self._labels.counts)
        if all(map(reads_as_number, labels)):
            labels.sort(key=float)
        return Outcome(name, "classification", tuple(labels))

    def _noise_sentences(self, outcome: Outcome) -> list[str]:
        """What the noise column is read as, and a doubt where that cannot be meant."""
        held = "standard error" if outcome.noise_is_error else "variance"
        units = "in its units" if outcome.noise_is_error else "in its units squared"
        found = [
            f"{outcome.noise!r} is the known noise of each row's {outcome.name!r}, a {held} "
            f"{units} (from {self._noise.low[0]:.3g} to {self._noise.high[0]:.3g}); what is common "
            "to all rows is learned beside it."
        ]
        spread = float(self._target.standard_deviation()[0])
        mean = float(self._noise.mean[0])
        if outcome.noise_is_error:
            mean = mean**2 + float(self._noise.standard_deviation()[0]) ** 2
        if mean > 4 * spread**2:
            other = "variances: leave --noise-as error out"
            other = other if outcome.noise_is_error else "standard errors: say --noise-as error"
            found.append(
                f"Doubt: the known noise variance is {mean / spread**2:.3g} times the variance of "
                f"{outcome.name!r} itself. Perhaps {outcome.noise!r} holds {other}; or precisions, "
                "of which it must be the inverse."
            )
        return found

    def _check_label(self) -> None:
        counts, name = self._labels, self._columns.target
        word, many = counts.first_word(), len(counts.counts)
        # A label that is told apart in most rows cannot be classified: never advise that then.
        alone = counts.is_identifier or (many == counts.present and many > FEWEST_ALONE)
        classify = "" if alone or many == 1 else " or use --task classification"
        other = "" if classify else " or choose another target"
        if self._task == "regression":
            seen = f"{word[0]!r} in row {word[1] + 1}" if word else "numbers stored as text"
            mark = f" (--missing {as_option(word[0])} if it marks a missing value)" if word else ""
            clean = f"clean it{mark}" if counts.mostly_numbers else "give numbers"
            raise TableError(
                f"target {name!r} holds text ({seen}) and cannot be regressed; {clean}"
                f"{classify}{other}."
            )
        if self._wanted == "auto" and counts.mostly_numbers and (word or many > 50):
            seen = f"{word[0]!r} in row {word[1] + 1}" if word else "none is missing"
            mark = f" (--missing {as_option(word[0])} if it marks a missing value)" if word else ""
            raise TableError(
                f"target {name!r} is text but mostly numbers (not so: {seen}); clean it{mark} for "
                f"regression{classify}{other}."
            )
        if alone:
            kind = self._table.kinds[name]
            advice = ", or regress it with --task regression" if kind == "number" else ""
            if kind == "text" and counts.mostly_numbers:
                advice = (
                    f", or clean its numbers (not so: {word[0]!r} in row {word[1] + 1}) and "
                    "regress it"
                    if word
                    else ", or store it as numbers and regress it"
                )
            raise TableError(
                f"target {name!r} has {many:,} distinct labels in {counts.present:,} rows; choose "
                f"another target{advice}."
            )
        if many == 1:
            raise TableError(
                f"target {name!r} has a single class, {next(iter(counts.counts))!r}, in all "
                f"{self._rows:,} training rows; there is nothing to predict: choose another."
            )

    def _number_columns(self, sentences: list[str]) -> list[NumberColumn]:
        moments, names = self._moments, self._numbers
        pixel = np.isin(names, self._table.image_columns)
        for position in np.flatnonzero(~np.isfinite(moments.deviation)):
            raise TableError(_too_large(names[position]))
        spread = moments.standard_deviation()
        common = moments.root_mean_square(pixel)
        kept = (~moments.constant & (spread > 0)) | (pixel & (moments.count > 0))
        if pixel.any() and not common > 0:
            raise TableError(f"every pixel of {self._table.name} is zero; give other images.")
        columns = [
            NumberColumn(
                names[i],
                0.0 if pixel[i] else float(moments.mean[i]),
                common if pixel[i] else float(spread[i]),
                float(moments.mean[i]),
                bool(moments.missing[i] > 0),
            )
            for i in np.flatnonzero(kept)
        ]
        plain, pixels = int((kept & ~pixel).sum()), int((kept & pixel).sum())
        if plain:
            sentences.append(
                f"{_counted(plain, 'numeric column')} standardized by the training mean and "
                "standard deviation."
            )
        if pixels:
            sentences.append(
                f"{_counted(pixels, 'pixel column')} divided by their common root mean square, "
                f"{common:.6g}."
            )
        filled = [
            f"{names[i]!r} {int(moments.missing[i]):,}"
            for i in np.flatnonzero(kept)
            if moments.missing[i]
        ]
        if filled:
            more = f" and {len(filled) - 12} more columns" if len(filled) > 12 else ""
            sentences.append(
                f"Missing numbers ({', '.join(filled[:12])}{more}) are filled with the training "
                "mean and marked in a column of their own."
            )
        dropped = [names[i] for i in np.flatnonzero(~kept)]
        if dropped:
            sentences.append(f"{_columns_are(dropped)} constant or empty and dropped.")
        blank = [
            names[i] for i in np.flatnonzero(~kept & (moments.missing > 0) & (moments.count > 0))
        ]
        if blank:
            sentences.append(
                f"{_columns_are(blank)} constant except where missing; --categorical keeps that "
                "difference."
            )
        return columns

    def _level_column(self, counts: LevelCounts, sentences: list[str]) -> LevelColumn | None:
        if counts.name not in self._columns.categorical:
            self._check_text(counts)
        if len(counts.counts) + (counts.missing > 0) < 2:
            sentences.append(f"{_columns_are([counts.name])} constant or empty and dropped.")
            return None
        levels = counts.most_frequent(FREQUENT_LEVELS)
        rest = counts.present - sum(counts.counts[level] for level in levels)
        sentence = f"{counts.name!r} is one column for each of {len(levels)} levels"
        if rest:
            further = len(counts.counts) - len(levels)
            sentence += f", and one for {further:,} further levels ({rest:,} rows)"
        if counts.missing:
            sentence += f", and one for missing ({counts.missing:,} rows)"
        sentences.append(sentence + ".")
        kinds: dict[str, LevelKind] = {"number": "number", "boolean": "boolean"}
        kind = kinds.get(self._table.kinds[counts.name], "text")
        others = sorted({*counts.counts} - {*levels})
        named = tuple(others) if len(others) <= STORED_LEVELS else ()
        return LevelColumn(counts.name, tuple(levels), rest > 0, counts.missing > 0, kind, named)

    def _date_column(self, date: DateStatistics, sentences: list[str]) -> DateColumn | None:
        column = date.column(self._table.date_formats.get(date.name, ISO))
        if column is None:
            sentences.append(f"{_columns_are([date.name])} constant or empty and dropped.")
        else:
            sentences.append(date.sentence(column))
        return column

    def _check_text(self, counts: LevelCounts) -> None:
        name, kind = counts.name, self._table.kinds[counts.name]
        if kind == "text" and counts.mostly_numbers:
            word = counts.first_word()
            seen = (
                f"most values of column {name!r} are numbers, but row {word[1] + 1} holds "
                f"{word[0]!r}"
                if word
                else f"column {name!r} holds numbers stored as text"
            )
            mark = (
                f"name marks of missing values with --missing {as_option(word[0])}, "
                if word
                else ""
            )
            raise TableError(f"{seen}; clean it, {mark}or use --categorical {as_option(name)}.")
        if kind in ("text", "category") and counts.is_identifier:
            raise TableError(
                f"column {name!r} has {len(counts.counts):,} distinct values in "
                f"{counts.present:,} rows and looks like an identifier; leave it out with --drop "
                f"{as_option(name)}, or keep its {FREQUENT_LEVELS} most frequent values with "
                f"--categorical {as_option(name)}."
            )


def _check_kind(table: Table, name: str, target: bool) -> None:
    kind = table.kinds[name]
    advice = "choose another target" if target else f"leave it out with --drop {as_option(name)}"
    if kind == "datetime" and target:
        raise TableError(
            f"target {name!r} of {table.name} holds dates or times; convert it to numbers (such as "
            f"days since a date), or {advice}."
        )
    if kind == "unsupported":
        raise TableError(
            f"column {name!r} of {table.name} holds neither numbers nor text; convert it, or "
            f"{advice}."
        )


def _too_large(name: str) -> str:
    return f"column {name!r} has values too large to square; divide it by a constant first."


def _counted(count: int, noun: str) -> str:
    return f"{format_count(count, noun)} {'is' if count == 1 else 'are'}"


def _columns_are(names: list[str]) -> str:
    return f"{listed(names)} {'is' if len(names) == 1 else 'are'}"
