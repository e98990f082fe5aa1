r"""The part that is kept: a simulator with a few named, bounded parameters.

`ODE` integrates a vector field, `Function` is any JAX function of the parameters, and
`method_of_lines` writes a partial differential equation as an ODE.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from wilsonian.greybox.integrate import NODES, lay_steps, path
from wilsonian.greybox.parameters import Parameters, library_of
from wilsonian.greybox.tracing import as_vector, trial


def read_times(times: Any) -> np.ndarray:
    """Increasing numbers. Raises ValueError for anything else."""
    try:
        found = np.asarray(times, float)
    except (TypeError, ValueError):
        raise ValueError(
            f"`times` must be numbers, got {times!r}; try np.arange(50) * 0.05."
        ) from None
    if found.ndim != 1 or len(found) < 2 or not np.all(np.diff(found) > 0):
        raise ValueError(
            f"`times` must increase and hold at least two values, got shape {found.shape}; try "
            "np.arange(50) * 0.05."
        )
    return found


def no_basis(t: Any) -> Any:
    """The time functions of no force."""
    return library_of(t).zeros((*t.shape, 0))


def name_channel(physics: ODE | Function, channel: int) -> str:
    """What a page calls a channel."""
    names = physics.channel_names
    return names[channel] if channel < len(names) else f"channel {channel + 1}"


class ODE:
    r"""Signals :math:`x(t) = C(y(t))` of :math:`\dot y = f(t, y; z)`.

    Parameters
    ----------
    field: `field(t, y, z)` with the state `y` and a dictionary `z` of parameters; JAX inside.
    parameters: name to bounds `(low, high)`, or to `Positive`, `Normal`.
    start: the state at the first time, as numbers, as a function of the signal, `start(x)`, or of
        signal and parameters, `start(x, z)`. `x` has shape (times,), or (channels, times).
    observe: from the state to the channels; default the first state.
    times: of the samples, increasing.
    start_spread: prior standard deviation of each state's start; zero means known exactly. Left
        out, what `start` reads off the signal is unknown (as noisy as the signal is), with a wide
        prior learned from the population, and constants are known.
    channel_names: what the channels are called on pages, e.g. ("hip", "knee", "ankle").
    solver: "rk4" or "euler" with `steps` fixed steps between samples, or a diffrax solver such as
        `diffrax.Tsit5()` with adaptive steps (`rtol`, `atol`).

    Raises ValueError for bounds, times, steps or shapes that do not fit.
    """

    def __init__(
        self,
        field: Callable[[Any, Any, dict[str, Any]], Any],
        parameters: Mapping[str, Any],
        start: Callable[..., Any] | Sequence[float],
        times: Any,
        observe: Callable[[Any], Any] | None = None,
        *,
        start_spread: Sequence[float] | None = None,
        channel_names: Sequence[str] = (),
        solver: Any = "rk4",
        steps: int = 1,
        rtol: float = 1e-5,
        atol: float = 1e-7,
        name: str = "ODE",
    ) -> None:
        self.field, self.parameters = field, Parameters(parameters)
        self.times = read_times(times)
        if isinstance(solver, str) and solver not in NODES:
            raise ValueError(
                f"`solver` must be one of {', '.join(NODES)} or a diffrax solver, got {solver!r}."
            )
        if int(steps) != steps or steps < 1:
            raise ValueError(f"`steps` must be a whole number of at least 1, got {steps!r}.")
        self.start, self.observe = start, observe or (lambda y: y[0])
        self.start_spread, self.solver, self.steps = start_spread, solver, int(steps)
        self.rtol, self.atol, self.name = rtol, atol, name
        self.channel_names = tuple(map(str, channel_names))
        self.start_takes_parameters = (
            callable(start) and len(inspect.signature(start).parameters) >= 2
        )

    def start_state(self, signal: Array, z: dict[str, Any]) -> Array:
        """The start that belongs to one signal."""
        if not callable(self.start):
            return as_vector(self.start)
        return as_vector(
            self.start(signal, z) if self.start_takes_parameters else self.start(signal)
        )

    def shape_of(self, signal: np.ndarray) -> tuple[int, int]:
        """Numbers of states and of channels. Raises ValueError when the functions disagree."""
        z = self.parameters.physical(jnp.zeros(len(self.parameters)))
        x, t = jnp.asarray(signal), jnp.asarray(self.times[0])
        y = trial(f"the start of {self.name!r}", self.start_state, x, z)
        field = lambda t, y, z: as_vector(self.field(t, y, z), len(y))  # noqa: E731
        trial(f"the vector field of {self.name!r}", field, t, y, z)
        seen = trial(f"`observe` of {self.name!r}", lambda y: as_vector(self.observe(y)), y)
        return y.shape[0], seen.shape[0]

    def states(
        self,
        start: Array,
        field: Callable[[Array, Array, Array, Array], Array],
        coefficients: Array,
        basis: Callable[[Any], Any],
    ) -> Array:
        """States at the sampling times under the velocity `field(t, y, force, nothing)` with the
        force `coefficients @ basis(t)`."""
        nothing = jnp.zeros(0)
        if isinstance(self.solver, str):
            laid = lay_steps(self.solver, self.times, self.steps, basis)
            return path(self.solver, field, laid, start, nothing, coefficients)
        times = jnp.asarray(self.times)

        def total(t, y, args):
            return field(t, y, coefficients @ basis(t), nothing)

        import diffrax

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(total),
            self.solver,
            t0=times[0],
            t1=times[-1],
            dt0=None,
            y0=start,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=diffrax.PIDController(rtol=self.rtol, atol=self.atol),
            adjoint=diffrax.ForwardMode(),
            max_steps=16384,
            throw=False,
        )
        assert solution.ys is not None
        return solution.ys

    def simulate(self, z: Mapping[str, Any], start: Any) -> Array:
        """The noise-free signal for one set of parameters and one start: (times,) or
        (channels, times)."""
        known = {name: jnp.asarray(z[name], float) for name in self.parameters.names}
        y0 = as_vector(start)
        field = lambda t, y, force, nothing: as_vector(self.field(t, y, known), len(y0))  # noqa: E731
        states = self.states(y0, field, jnp.zeros((0, 0)), no_basis)
        signal = jax.vmap(lambda y: as_vector(self.observe(y)))(states).T
        return signal[0] if signal.shape[0] == 1 else signal


class Function:
    r"""Signals :math:`x = F(z)` of any JAX function of the parameters, `simulate(z)`, returning
    (times,) or (channels, times). Residuals can only be added to what it returns.

    `times` label the samples (default 0, 1, 2, ...), `channel_names` the channels on pages.
    """

    def __init__(
        self,
        simulate: Callable[[dict[str, Any]], Any],
        parameters: Mapping[str, Any],
        times: Any = None,
        name: str = "function",
        *,
        channel_names: Sequence[str] = (),
    ) -> None:
        self.channel_names = tuple(map(str, channel_names))
        self.function, self.parameters, self.name = simulate, Parameters(parameters), name
        z = self.parameters.physical(jnp.zeros(len(self.parameters)))
        shape = trial(f"{name!r}", lambda z: jnp.asarray(simulate(z), float), z).shape
        if len(shape) not in (1, 2):
            raise ValueError(
                f"the simulator returned shape {shape}; return (times,) or (channels, times)."
            )
        self.times = np.arange(shape[-1], dtype=float) if times is None else read_times(times)
        if self.times.shape != (shape[-1],):
            raise ValueError(
                f"`times` has shape {self.times.shape} and the simulator returns {shape[-1]} "
                "values; give one time for each."
            )
        self.channels = 1 if len(shape) == 1 else shape[0]

    def shape_of(self, signal: np.ndarray) -> tuple[int, int]:
        """No states, and the number of channels."""
        return 0, self.channels

    def simulate(self, z: Mapping[str, Any], start: Any = None) -> Array:
        """The noise-free signal for one set of parameters."""
        return jnp.asarray(
            self.function({name: jnp.asarray(z[name], float) for name in self.parameters.names})
        )


class Grid:
    """Points on a line for the method of lines: differences of second order, with zeros outside
    (`boundary="zero"`), a mirror (`"mirror"`) or the other end (`"periodic"`)."""

    def __init__(self, points: int, spacing: float, boundary: str = "zero") -> None:
        if points < 3 or not spacing > 0:
            raise ValueError(f"a grid needs 3 points or more, a positive spacing; got {points}.")
        if boundary not in ("zero", "mirror", "periodic"):
            raise ValueError(f"`boundary` must be zero, mirror or periodic, got {boundary!r}.")
        self.points, self.spacing, self.boundary = points, spacing, boundary

    @property
    def positions(self) -> np.ndarray:
        return self.spacing * np.arange(self.points)

    def _padded(self, y: Array) -> Array:
        if self.boundary == "zero":
            return jnp.pad(y, 1)
        return jnp.pad(y, 1, mode="wrap" if self.boundary == "periodic" else "reflect")

    def first(self, y: Array) -> Array:
        r""":math:`\partial_s y`, central."""
        padded = self._padded(y)
        return (padded[2:] - padded[:-2]) / (2 * self.spacing)

    def second(self, y: Array) -> Array:
        r""":math:`\partial_s^2 y`."""
        padded = self._padded(y)
        return (padded[2:] - 2 * y + padded[:-2]) / self.spacing**2


def method_of_lines(
    equation: Callable[[Any, Any, dict[str, Any], Grid], Any],
    grid: Grid,
    parameters: Mapping[str, Any],
    times: Any,
    **options: Any,
) -> ODE:
    r"""A partial differential equation :math:`y_t = f(t, y, z, grid)` on a grid as an `ODE` whose
    state is the profile, observed whole unless `observe` says otherwise; the start is read off the
    first column of the signal unless `start` says otherwise."""
    options.setdefault("observe", lambda y: y)
    options.setdefault("start", lambda x: x[:, 0])
    options.setdefault("name", "method of lines")
    return ODE(lambda t, y, z: equation(t, y, z, grid), parameters, times=times, **options)


Simulator = ODE | Function
