r"""What the simulator leaves out: terms with Gaussian coefficients, inside the vector field or
added to the signal (docs/science/grey-box.md, section 2).

Each term says how many coefficients it has, how their variances are tied together, and whether a
per-sample amplitude multiplies them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from wilsonian.greybox.parameters import library_of

Tying = Literal["free", "paired", "tied", "smooth"]
MOST_FREQUENCIES = 48


class Feature:
    r"""A known term of unknown size inside: :math:`\dot y = f + \beta \psi(t, y, z)`, with one
    random coefficient :math:`\beta \sim N(\mu, s^2)` per sample, both learned.

    `function(t, y, z)` returns one number for each state. `scale` starts :math:`s`; left out, it
    is set so that the term moves the signals by about their own size.
    """

    inside = True
    amplified = False
    learns_mean = True

    def __init__(
        self, function: Callable[..., Any], name: str = "feature", *, scale: float | None = None
    ) -> None:
        if not callable(function):
            raise ValueError(
                f"the feature {name!r} must be a function of (t, y, z), got {function!r}."
            )
        self.function, self.name, self.scale = function, name, scale

    def describe(self) -> dict[str, Any]:
        """For people and model files."""
        return {"kind": "feature", "name": self.name}


class Force:
    r"""An unknown force inside, :math:`\sum_k a_k \chi_k(t)`: a constant, cosines and sines of
    period :math:`2 (t_{end} - t_0) / k`, :math:`k \le` `frequencies` (at most 48, and the number of
    intervals less one).

    `into` says where it pushes: the number of a state (default the last: the velocity, when the
    state is written as position and velocity), several numbers, or a matrix with one column for
    each independent pattern over the states. `spectrum`: "free" has a variance for each
    coefficient, "paired" one for each frequency, "tied" one for all, "smooth" one for all that
    falls with frequency as :math:`1 / (1 + k^2)`, like a random walk. Where a slow force could be
    mistaken for a parameter take "smooth": with "tied", small fast forces make large slow ones
    improbable.
    """

    inside = True
    amplified = True
    learns_mean = False

    def __init__(
        self,
        frequencies: int | None = None,
        into: int | Sequence[int] | np.ndarray = -1,
        spectrum: Tying = "free",
        *,
        name: str = "force",
        scale: float | None = None,
    ) -> None:
        if spectrum not in ("free", "paired", "tied", "smooth"):
            raise ValueError(f"`spectrum` must be free, paired, tied or smooth, got {spectrum!r}.")
        whole = frequencies is None or isinstance(frequencies, int | np.integer)
        if not whole or (frequencies is not None and frequencies < 0):
            raise ValueError(
                f"`frequencies` must be a whole number of at least 0, got {frequencies!r}; try 8."
            )
        self.frequencies, self.into, self.spectrum = frequencies, into, spectrum
        self.name, self.scale = name, scale

    def directions(self, states: int) -> np.ndarray:
        """(states, patterns). Raises ValueError when `into` does not fit the state."""
        into = np.asarray(self.into)
        if into.ndim == 2:
            if into.shape[0] != states:
                raise ValueError(
                    f"`into` of {self.name!r} has {into.shape[0]} rows and the state {states} "
                    "numbers; give one row for each."
                )
            return into.astype(float)
        places = np.atleast_1d(into).astype(int)
        if np.any((places >= states) | (places < -states)):
            raise ValueError(
                f"`into` of {self.name!r} is {self.into!r} and the state has {states} numbers; "
                f"count from 0 to {states - 1}."
            )
        return np.eye(states)[:, places]

    def count(self, times: int) -> int:
        """Frequencies used on so many sampling times."""
        limit = max(min(MOST_FREQUENCIES, times - 2), 0)
        return limit if self.frequencies is None else min(self.frequencies, limit)

    def basis(self, times: np.ndarray) -> Callable[[Any], Any]:
        r"""The function :math:`t \mapsto (1, \cos, ..., \sin, ...)` along a new last axis."""
        number, first, length = self.count(len(times)), float(times[0]), float(np.ptp(times))
        angular = np.pi * np.arange(1, number + 1) / length

        def values(t):
            library = library_of(t)
            phase = (t - first)[..., None] * angular
            ones = library.ones((*phase.shape[:-1], 1))
            return library.concatenate([ones, library.cos(phase), library.sin(phase)], axis=-1)

        return values

    def groups(self, times: int) -> np.ndarray:
        """Which variance each coefficient of one pattern has."""
        number = self.count(times)
        if self.spectrum in ("tied", "smooth"):
            return np.zeros(1 + 2 * number, int)
        if self.spectrum == "paired":
            return np.concatenate([[0], 1 + np.arange(number), 1 + np.arange(number)])
        return np.arange(1 + 2 * number)

    def shape(self, times: int) -> np.ndarray:
        """Variance of each coefficient of one pattern, relative to its group's."""
        k = np.arange(1.0, self.count(times) + 1)
        if self.spectrum != "smooth":
            return np.ones(1 + 2 * len(k))
        fall = 1.0 / (1.0 + k**2)
        return np.concatenate([[1.0], fall, fall])

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "force",
            "name": self.name,
            "frequencies": self.frequencies,
            "into": np.asarray(self.into).tolist(),
            "spectrum": self.spectrum,
        }


class OutsideTerm:
    """Added to the signal, channel by channel: columns over time, with relative variances."""

    inside = False
    amplified = True
    learns_mean = False
    name: str
    scale: float | None = None

    def columns(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Modes (times, k) and their variances relative to each other (k,)."""
        raise NotImplementedError

    tied = True


class GaussianProcess(OutsideTerm):
    r"""A smooth error of the output, :math:`x = F + g(t) + \varepsilon` with
    :math:`g \sim GP(0, s^2 k)`; its modes are those of the kernel on the sampling times, their
    variances the kernel's eigenvalues, and the one amplitude :math:`s` is learned.

    `kernel` is any kernel of this library for one input, time; modes below 1e-9 of the trace are
    left out.
    """

    def __init__(self, kernel: Any, *, name: str = "smooth", scale: float | None = None) -> None:
        if not callable(kernel):
            raise ValueError(
                f"the kernel of {name!r} must be one of this library, got {kernel!r}; try "
                "wilsonian.kernels.Matern32(length_scale=1.0)."
            )
        self.kernel, self.name, self.scale = kernel, name, scale

    def columns(self, times):
        gram = np.asarray(self.kernel(jnp.asarray(times, float)[:, None]), float)
        values, vectors = np.linalg.eigh(gram)
        kept = values[::-1] > 1e-9 * np.trace(gram)
        return vectors[:, ::-1][:, kept], values[::-1][kept]

    def describe(self) -> dict[str, Any]:
        return {"kind": "gaussian-process", "name": self.name, "kernel": repr(self.kernel)}


class White(OutsideTerm):
    """The white ridge: more noise on every entry, of an amplitude that is learned."""

    def __init__(self, *, name: str = "white", scale: float | None = None) -> None:
        self.name, self.scale = name, scale

    def columns(self, times):
        return np.eye(len(times)), np.ones(len(times))

    def describe(self) -> dict[str, Any]:
        return {"kind": "white", "name": self.name}


class Modes(OutsideTerm):
    """Given shapes of the residual, one column each; `tied` gives all the same variance."""

    def __init__(
        self, matrix: Any, *, tied: bool = False, name: str = "modes", scale: float | None = None
    ) -> None:
        self.matrix = np.asarray(matrix, float)
        if self.matrix.ndim != 2 or not np.all(np.isfinite(self.matrix)):
            raise ValueError(
                f"`matrix` of {name!r} must be a table of finite numbers, one column per mode, "
                f"got shape {self.matrix.shape}."
            )
        self.tied, self.name, self.scale = tied, name, scale

    def columns(self, times):
        if len(self.matrix) != len(times):
            raise ValueError(
                f"the modes of {self.name!r} have {len(self.matrix)} rows and the signals "
                f"{len(times)} times; give one row for each time."
            )
        return self.matrix, np.ones(self.matrix.shape[1])

    def describe(self) -> dict[str, Any]:
        return {"kind": "modes", "name": self.name, "count": self.matrix.shape[1]}


Residual = Feature | Force | GaussianProcess | White | Modes
