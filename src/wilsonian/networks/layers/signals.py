"""What travels between layers: shape and law of the features, and the error of a bad network."""

from __future__ import annotations

import dataclasses
from typing import Any

GAUSSIAN = "Gaussian pre-activations"
RAW = "the raw inputs"


class ArchitectureError(ValueError):
    """Layers that do not make a network, in one sentence that names the layer."""

    def __init__(self, problem: str, layer: str = "", path: tuple[str, ...] = ()) -> None:
        self.problem, self.layer, self.path = problem, layer, path
        place = ", ".join(path)
        name = f"{place} ({layer})" if place and layer else place or layer
        super().__init__(f"{name}: {problem}" if name else problem)

    def __reduce__(self) -> Any:
        return ArchitectureError, (self.problem, self.layer, self.path)

    def within(self, place: str) -> ArchitectureError:
        """The same error, of a layer inside another."""
        return ArchitectureError(self.problem, self.layer, (place, *self.path))


@dataclasses.dataclass(frozen=True)
class Signal:
    """Features of one input: positions times channels, and what is known of their law.

    Parallel branches must be independent for their covariances to add or multiply: `weights` says
    whether random weights of its own made this signal since the last fork; `centered` whether its
    mean given everything else is zero (None: it is linear in the fork's input).
    """

    shape: tuple[int, ...]  # (*spatial, channels)
    law: str = RAW
    weights: bool = False
    centered: bool | None = None

    @property
    def spatial(self) -> tuple[int, ...]:
        return self.shape[:-1]

    @property
    def channels(self) -> int:
        return self.shape[-1]

    def changed(self, **changes: Any) -> Signal:
        return dataclasses.replace(self, **changes)


Shape = tuple[int, ...] | Signal  # what `init` takes: the user a shape, layers inside others more


def as_signal(shape: Shape) -> Signal:
    """Raw inputs of this shape."""
    return shape if isinstance(shape, Signal) else Signal(tuple(shape))
