r"""Simulator and residual as one function of the parameters and one vector of coefficients,
:math:`w = (\text{start}, \text{features}, \text{forces}, \text{output modes})`, with its
derivatives."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.greybox.integrate import lay_steps, path_and_derivative
from wilsonian.greybox.parameters import library_of
from wilsonian.greybox.residuals import Feature, Force, OutsideTerm, Residual
from wilsonian.greybox.simulators import ODE, Simulator, no_basis
from wilsonian.greybox.tracing import as_vector, trial


@dataclasses.dataclass(frozen=True)
class Layout:
    """What each coefficient belongs to."""

    terms: tuple[str, ...]  # names of the terms, "start" first where it is unknown
    term: np.ndarray  # (coefficients,) index into `terms`
    group: np.ndarray  # which variance
    shape: np.ndarray  # variance relative to its group's
    amplified: np.ndarray  # whether the per-sample amplitude multiplies it
    learns_mean: np.ndarray

    @property
    def count(self) -> int:
        return len(self.term)

    @property
    def groups(self) -> int:
        return int(self.group.max()) + 1 if self.count else 0


class Assembly:
    """The model of one signal, given parameters and coefficients.

    Raises ValueError when residual and simulator do not fit together.
    """

    def __init__(
        self, physics: Simulator, residuals: Sequence[Residual], signal: np.ndarray
    ) -> None:
        for residual in residuals:
            if not isinstance(residual, Feature | Force | OutsideTerm):
                raise ValueError(
                    f"`residual` holds {residual!r}; give Feature, Force, GaussianProcess, Modes "
                    "or White."
                )
        self.physics, self.residuals = physics, tuple(residuals)
        self.states, self.channels = physics.shape_of(signal)
        self.times = len(physics.times)
        self.size = self.channels * self.times
        self.parameter_count = len(physics.parameters)
        names = [residual.name for residual in residuals]
        if len(set(names)) < len(names):
            raise ValueError(f"two residuals are called alike: {', '.join(names)}; give names.")
        if not isinstance(physics, ODE):
            for residual in residuals:
                if residual.inside:
                    raise ValueError(
                        f"{residual.name!r} acts inside a vector field and {physics.name!r} is a "
                        "function of its parameters; use GaussianProcess, Modes or White, or "
                        "write the simulator as an ODE."
                    )
        self.features = [r for r in residuals if isinstance(r, Feature)]
        self.forces = [r for r in residuals if isinstance(r, Force)]
        if isinstance(physics, ODE):
            self._try_features(physics)
        self.free = self._free_states(signal)
        self._forces()
        self._outside()
        self.layout = self._layout()

    def _try_features(self, physics: ODE) -> None:
        t, y = jnp.asarray(physics.times[0]), jnp.zeros(self.states)
        z = physics.parameters.physical(jnp.zeros(self.parameter_count))
        for feature in self.features:
            value = lambda t, y, z, f=feature: as_vector(f.function(t, y, z), self.states)  # noqa: E731
            trial(f"the feature {feature.name!r}", value, t, y, z)

    def _free_states(self, signal: np.ndarray) -> np.ndarray:
        physics = self.physics
        if not isinstance(physics, ODE):
            return np.zeros(0, int)
        if physics.start_spread is not None:
            spread = np.asarray(physics.start_spread, float)
            if spread.shape != (self.states,) or not np.all(spread >= 0):
                raise ValueError(
                    f"`start_spread` has shape {spread.shape} for {self.states} states; give one "
                    "number of at least zero for each."
                )
            return np.flatnonzero(spread > 0)
        if not callable(physics.start):
            return np.zeros(0, int)
        z = physics.parameters.physical(jnp.zeros(self.parameter_count))
        read = jax.jacfwd(lambda x: physics.start_state(x, z))(jnp.asarray(signal, float))
        return np.flatnonzero(np.any(np.asarray(read).reshape(self.states, -1) != 0, axis=1))

    def _forces(self) -> None:
        times = self.physics.times
        # All forces as one: coefficients (all patterns, all basis functions), a mask of those used.
        self.patterns = [force.directions(self.states) for force in self.forces]
        self.force_basis = [force.basis(times) for force in self.forces]
        self.force_widths = [len(force.groups(len(times))) for force in self.forces]
        self.directions = (
            np.concatenate(self.patterns, axis=1) if self.forces else np.zeros((self.states, 0))
        )
        rows, columns, row, column = [], [], 0, 0
        for pattern, width in zip(self.patterns, self.force_widths, strict=True):
            for _ in range(pattern.shape[1]):
                rows += [row] * width
                columns += list(range(column, column + width))
                row += 1
            column += width
        self.force_place = (np.array(rows, int), np.array(columns, int))

    def basis(self, t: Any) -> Any:
        """Every force's time functions, one after the other along the last axis."""
        parts = [basis(t) for basis in self.force_basis]
        return library_of(t).concatenate(parts, axis=-1) if parts else no_basis(t)

    def _outside(self) -> None:
        self.outside, self.outside_shapes = [], []
        for residual in self.residuals:
            if not isinstance(residual, OutsideTerm):
                continue
            columns, shape = residual.columns(self.physics.times)
            blocks = np.kron(np.eye(self.channels), columns)
            self.outside.append(blocks)
            self.outside_shapes.append(np.tile(shape, self.channels))
        self.outside_matrix = (
            np.concatenate(self.outside, axis=1) if self.outside else np.zeros((self.size, 0))
        )

    def _layout(self) -> Layout:
        terms: list[str] = []
        rows: list[tuple[int, int, float, bool, bool]] = []
        group = 0

        def add(name: str, groups: np.ndarray, shape: np.ndarray, amplified: bool, mean: bool):
            nonlocal group
            terms.append(name)
            for g, s in zip(groups, shape, strict=True):
                rows.append((len(terms) - 1, group + int(g), float(s), amplified, mean))
            group += int(groups.max()) + 1 if len(groups) else 0

        if len(self.free):
            ones = np.ones(len(self.free))
            add("start", np.arange(len(self.free)), ones, False, True)
        for feature in self.features:
            add(feature.name, np.zeros(1, int), np.ones(1), False, True)
        for force, pattern in zip(self.forces, self.patterns, strict=True):
            one = force.groups(self.times)
            step = 0 if force.spectrum in ("tied", "smooth") else int(one.max()) + 1
            groups = np.concatenate([one + step * i for i in range(pattern.shape[1])])
            shape = np.tile(force.shape(self.times), pattern.shape[1])
            add(force.name, groups, shape, True, False)
        outside = [r for r in self.residuals if isinstance(r, OutsideTerm)]
        for residual, shape in zip(outside, self.outside_shapes, strict=True):
            groups = np.zeros(len(shape), int) if residual.tied else np.arange(len(shape))
            add(residual.name, groups, shape, True, False)
        columns = list(zip(*rows, strict=True)) if rows else [()] * 5
        return Layout(
            tuple(terms),
            np.array(columns[0], int),
            np.array(columns[1], int),
            np.array(columns[2], float),
            np.array(columns[3], bool),
            np.array(columns[4], bool),
        )

    def scale_given(self) -> dict[str, float | None]:
        """Scales that the user asked the terms to start from."""
        return {residual.name: residual.scale for residual in self.residuals}

    # The model itself; `start` is what the simulator reads off the signal, (states,).

    def split(self, w: Array) -> tuple[Array, Array, Array, Array]:
        """Start, features, forces, output modes."""
        a = len(self.free)
        b = a + len(self.features)
        c = b + len(self.force_place[0])
        return w[:a], w[a:b], w[b:c], w[c:]

    def force_matrix(self, coefficients: Array) -> Array:
        """(patterns, time functions), with zeros where a force does not push."""
        shape = (self.directions.shape[1], sum(self.force_widths))
        return jnp.zeros(shape).at[self.force_place].set(coefficients)

    def velocity(self, t: Array, y: Array, force: Array, zeta: Array, beta: Array) -> Array:
        """The vector field with its features and the force values."""
        assert isinstance(self.physics, ODE)
        z = self.physics.parameters.physical(zeta)
        total = as_vector(self.physics.field(t, y, z), self.states)
        for k, feature in enumerate(self.features):
            total = total + beta[k] * as_vector(feature.function(t, y, z), self.states)
        return total + jnp.asarray(self.directions) @ force

    def start(self, signal: Array, zeta: Array) -> Array:
        """The start that the simulator reads off the filled signal."""
        if not isinstance(self.physics, ODE):
            return jnp.zeros(0)
        shaped = signal if self.channels == 1 else signal.reshape(self.channels, -1)
        return self.physics.start_state(shaped, self.physics.parameters.physical(zeta))

    def predict(self, signal: Array, zeta: Array, w: Array) -> Float[Array, " size"]:
        """The noise-free signal, channel after channel."""
        start, beta, coefficients, outside = self.split(w)
        added = jnp.asarray(self.outside_matrix) @ outside
        physics = self.physics
        if not isinstance(physics, ODE):
            z = physics.parameters.physical(zeta)
            return jnp.asarray(physics.function(z), float).reshape(-1) + added
        y0 = self.start(signal, zeta).at[self.free].set(start)
        matrix = self.force_matrix(coefficients)

        def field(t, y, force, nothing):
            return self.velocity(t, y, force, zeta, beta)

        states = physics.states(y0, field, matrix, self.basis)
        return jax.vmap(lambda y: as_vector(physics.observe(y)))(states).T.reshape(-1) + added

    def linearize(
        self, signal: Array, zeta: Array, w: Array
    ) -> tuple[Float[Array, " size"], Float[Array, "size modes"], Float[Array, "size parameters"]]:
        """Signal, derivative by the coefficients, derivative by the unbounded parameters."""
        if isinstance(self.physics, ODE) and isinstance(self.physics.solver, str):
            return self._by_scan(signal, zeta, w)

        def both(v):
            value = self.predict(signal, v[: len(zeta)], v[len(zeta) :])
            return value, value

        jacobian, value = jax.jacfwd(both, has_aux=True)(jnp.concatenate([zeta, w]))
        return value, jacobian[:, len(zeta) :], jacobian[:, : len(zeta)]

    def _by_scan(self, signal, zeta, w):
        physics = self.physics
        start, beta, coefficients, outside = self.split(w)
        k, free = len(zeta), len(start)
        y0 = self.start(signal, zeta).at[self.free].set(start)
        matrix = self.force_matrix(coefficients)
        tangent = jnp.zeros((self.states, free + k + len(beta) + matrix.size))
        tangent = tangent.at[self.free, np.arange(free)].set(1.0)
        if physics.start_takes_parameters:
            moved = jax.jacfwd(lambda zeta: self.start(signal, zeta))(zeta)
            tangent = tangent.at[:, free : free + k].set(moved.at[self.free].set(0.0))

        def field(t, y, force, shared):
            return self.velocity(t, y, force, shared[:k], shared[k:])

        states, tangents = path_and_derivative(
            physics.solver,
            field,
            lay_steps(physics.solver, physics.times, physics.steps, self.basis),
            y0,
            tangent,
            jnp.concatenate([zeta, beta]),
            matrix,
        )

        def observed(y):
            value = as_vector(physics.observe(y))
            return value, value

        by_state, values = jax.vmap(jax.jacfwd(observed, has_aux=True))(states)
        # Channel after channel: (times, channels, columns) -> (channels * times, columns).
        jacobian = jnp.einsum("tcd,tdm->ctm", by_state, tangents).reshape(self.size, -1)
        places = np.ravel_multi_index(self.force_place, matrix.shape) if matrix.size else []
        by_w = jnp.concatenate(
            [
                jacobian[:, :free],
                jacobian[:, free + k : free + k + len(beta)],
                jacobian[:, free + k + len(beta) :][:, np.asarray(places, int)],
                jnp.asarray(self.outside_matrix),
            ],
            axis=1,
        )
        signal = values.T.reshape(-1) + jnp.asarray(self.outside_matrix) @ outside
        return signal, by_w, jacobian[:, free : free + k]


def describe(residuals: Sequence[Residual]) -> list[dict[str, Any]]:
    """The terms, for people and model files."""
    return [residual.describe() for residual in residuals]
