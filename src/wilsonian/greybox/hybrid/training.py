"""Training by minibatches: progress, the best validation model kept, resumable, stopped with a
sentence when it diverges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from wilsonian.support.model_files import ModelFileError, read_folder, write_folder
from wilsonian.support.trees import raveled, unraveled

DIVERGED = 1e3  # times the best validation error


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a network is trained."""

    epochs: int
    batch: int
    rate: float = 1e-3
    released: bool = False  # the papers' optimiser: no clipping of the norm, no decay of the rate


def optimiser(schedule: Schedule, steps: int) -> optax.GradientTransformation:
    """Values clipped at 5, weight decay 1e-6 before Adam; by default the norm clipped at 10 and
    the rate decayed by a cosine, without which long runs diverged."""
    rate: Any = schedule.rate
    parts = [optax.clip(5.0), optax.add_decayed_weights(1e-6)]
    if not schedule.released:
        parts.insert(0, optax.clip_by_global_norm(10.0))
        rate = optax.cosine_decay_schedule(schedule.rate, max(steps, 1), 0.01)
    return optax.chain(*parts, optax.adam(rate, eps=1e-3))


@dataclasses.dataclass
class TrainState:
    """Where a training stands; the numbers of a model are one vector: to compile an optimiser of a
    hundred small arrays takes longer than the network."""

    values: Any
    optimiser: Any
    best: Any  # values of least validation error
    best_error: float
    epoch: int
    history: list[tuple[float, float]]  # loss per signal, validation squares


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(eqx.filter(tree, eqx.is_array))


def _filled(tree: Any, arrays: list[np.ndarray]) -> Any:
    dynamic, static = eqx.partition(tree, eqx.is_array)
    structure = jax.tree.structure(dynamic)
    return eqx.combine(jax.tree.unflatten(structure, [jnp.asarray(a) for a in arrays]), static)


def store(folder: str | Path, state: TrainState, digest: str, kind: str = "checkpoint") -> None:
    """Arrays and history, whole or not at all."""
    arrays = {}
    for name in ("values", "optimiser", "best"):
        for i, leaf in enumerate(_leaves(getattr(state, name))):
            arrays[f"{name}.{i:04d}"] = np.asarray(leaf)
    document = {
        "type": "grey-box training",
        "identity": digest,
        "epoch": state.epoch,
        "best_error": state.best_error if np.isfinite(state.best_error) else None,
        "history": [list(map(float, row)) for row in state.history],
    }
    write_folder(folder, kind, document, arrays)


def restore(folder: str | Path, like: TrainState, digest: str) -> TrainState | None:
    """The state of the same training; None if there is none.

    Raises ModelFileError when it belongs to other data or another model.
    """
    if not Path(folder).exists():
        return None
    document, arrays = read_folder(folder, "checkpoint")
    parts = {}
    same = document.get("type") == "grey-box training" and document.get("identity") == digest
    for name in ("values", "optimiser", "best"):
        found = [arrays[key] for key in sorted(arrays) if key.startswith(f"{name}.")]
        wanted = _leaves(getattr(like, name))
        same = same and [a.shape for a in found] == [np.shape(a) for a in wanted]
        parts[name] = found
    if not same:
        raise ModelFileError(
            f"Cannot resume from {str(folder)!r}: that training had other data or another model; "
            "repeat it as it was, or choose a new folder."
        )
    best = document["best_error"]
    return TrainState(
        _filled(like.values, parts["values"]),
        _filled(like.optimiser, parts["optimiser"]),
        _filled(like.best, parts["best"]),
        float("inf") if best is None else best,
        document["epoch"],
        [tuple(row) for row in document["history"]],
    )


def train(
    model: Any,
    loss: Callable[[Any, jax.Array, jax.Array], jax.Array],
    error: Callable[[Any, jax.Array], jax.Array],
    train_set: np.ndarray,
    valid_set: np.ndarray,
    schedule: Schedule,
    key: jax.Array,
    *,
    digest: str = "",
    checkpoint: str | Path | None = None,
    every: int = 50,
    progress: Callable[[str, int, int], None] = lambda stage, done, of: None,
) -> tuple[Any, list[tuple[float, float]], str]:
    """Minimize `loss(model, batch, key)`; keep the model of least `error(model, valid_set)`.

    Returns that model, loss and validation error of every epoch, and a sentence on how it ended.
    """
    batch = min(schedule.batch, len(train_set))
    steps = len(train_set) // batch
    optim = optimiser(schedule, schedule.epochs * steps)
    dynamic, static = eqx.partition(model, eqx.is_inexact_array)
    values = jnp.asarray(raveled(dynamic))
    state = TrainState(values, optim.init(values), values, float("inf"), 0, [])
    if checkpoint is not None:
        state = restore(checkpoint, state, digest) or state
    data, valid = jnp.asarray(train_set, jnp.float32), jnp.asarray(valid_set, jnp.float32)

    # Data are arguments: as constants they would be part of the program and its compilation.
    @jax.jit
    def epoch(values, optimiser_state, key, data, valid):
        order_key, key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(data))[: steps * batch]

        def step(carry, inputs):
            values, optimiser_state = carry
            rows, k = inputs
            value, gradient = jax.value_and_grad(
                lambda v: loss(eqx.combine(unraveled(v, dynamic), static), data[rows], k)
            )(values)
            updates, optimiser_state = optim.update(gradient, optimiser_state, values)
            return (values + updates, optimiser_state), value

        rows = order.reshape(steps, batch)
        (values, optimiser_state), losses = jax.lax.scan(
            step, (values, optimiser_state), (rows, jax.random.split(key, steps))
        )
        squares = error(eqx.combine(unraveled(values, dynamic), static), valid)
        return values, optimiser_state, jnp.mean(losses), squares

    ended = f"trained for {schedule.epochs} epochs"
    while state.epoch < schedule.epochs:
        number = state.epoch
        following, optimiser_state, value, squares = epoch(
            state.values, state.optimiser, jax.random.fold_in(key, number), data, valid
        )
        value, squares = float(value), float(squares)
        if not (np.isfinite(value) and np.isfinite(squares)) or (
            np.isfinite(state.best_error) and squares > DIVERGED * max(state.best_error, 1e-12)
        ):
            ended = (
                f"stopped at epoch {number + 1}: the training diverged (validation squares "
                f"{squares:.3g}); the best model so far is kept, try a smaller rate."
            )
            break
        state.values, state.optimiser, state.epoch = following, optimiser_state, number + 1
        state.history.append((value, squares))
        if squares < state.best_error:
            state.best, state.best_error = following, squares
        progress("training", state.epoch, schedule.epochs)
        if checkpoint is not None and (state.epoch % every == 0 or state.epoch == schedule.epochs):
            store(checkpoint, state, digest)
    best = jax.tree.map(jnp.asarray, unraveled(np.asarray(state.best), dynamic))
    return eqx.combine(best, static), state.history, ended
