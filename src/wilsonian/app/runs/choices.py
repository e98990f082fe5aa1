"""What every run on a table is asked: the table, what its columns mean, and a kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from wilsonian.app.tables import Columns, choose_columns, open_table
from wilsonian.app.tables.blocks import Table
from wilsonian.app.tables.dialect import DialectChoice
from wilsonian.app.tables.reading import RowNoise
from wilsonian.kernels import Kernel
from wilsonian.language.kernel_text import parse_kernel

Progress = Callable[[str, int, int], None]  # stage, done, of how many (0: unknown)

DETECTED = DialectChoice()


@dataclasses.dataclass(frozen=True)
class TableChoices:
    """The choices that a fit and a forecast share."""

    table: str
    target: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    task: Literal["auto", "regression", "classification"] = "auto"
    kernel: str | Kernel = "matern52"
    seed: int = 0
    block_size: int = 4096
    dialect: DialectChoice = DETECTED  # of a text file
    dates: Literal["numbers", "drop"] = "numbers"
    identifiers: tuple[str, ...] = ()  # columns that are no features but carried to predictions
    noise_column: str | None = None  # of known noise of each row's target
    noise_as: Literal["variance", "error"] = "variance"  # what it holds

    def parsed_kernel(self) -> Kernel:
        """The kernel; text may name files of architectures. Raises KernelTextError."""
        if isinstance(self.kernel, Kernel):
            return self.kernel
        return parse_kernel(self.kernel, files=True)

    def open(self) -> tuple[Table, Columns]:
        """The table, and which of its columns are features and target. Raises TableError."""
        kinds = dict.fromkeys(self.identifiers, "text")
        table = open_table(self.table, self.dialect, kinds)
        noise = RowNoise(self.noise_column, self.noise_as == "error") if self.noise_column else None
        columns = choose_columns(
            table,
            self.target,
            self.include or None,
            self.exclude,
            self.categorical,
            self.dates,
            self.identifiers,
            noise,
        )
        return table, columns
