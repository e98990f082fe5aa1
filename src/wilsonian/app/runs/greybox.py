"""One grey-box run: a simulator, signals, candidate residuals; what they say of the parameters."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wilsonian.app.runs.greybox_beside import Beside, check_autoencoder, stand_beside
from wilsonian.greybox.calibration import SimulatedRanks, calibrate
from wilsonian.greybox.comparison import Comparison, compare, name_of
from wilsonian.greybox.metrics import ParameterScore, quantile_strata, score
from wilsonian.greybox.residual_theory import Sweep, sweep
from wilsonian.greybox.residuals import (
    Feature,
    Force,
    GaussianProcess,
    OutsideTerm,
    Residual,
    White,
)
from wilsonian.greybox.results import Inference
from wilsonian.greybox.sector_model import SectorModel
from wilsonian.greybox.simulators import ODE, Function, Simulator
from wilsonian.greybox.tasks import TASKS
from wilsonian.kernels import Matern32

Progress = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True)
class GreyboxChoices:
    """What `wilsonian greybox` is asked for."""

    physics: str  # a bundled task, or file.py:name
    signals: str | None = None  # NPZ or NPY
    residual: str = ""
    train: int = 40
    test: int = 100
    amplitude: str = "per-sample"
    noise: float | None = None
    max_steps: int = 30
    seed: int = 0
    autoencoder: int = 0  # epochs; 0 trains none


@dataclasses.dataclass(frozen=True)
class GreyboxRun:
    """Everything that the page shows."""

    name: str
    residual: str
    times: np.ndarray
    train: int
    signals: np.ndarray  # tested, (signals, channels, times)
    truth: dict[str, np.ndarray]
    comparison: Comparison
    model: SectorModel  # with the residual that was asked for
    result: Inference
    scores: dict[str, ParameterScore]  # empty where no truth is known
    ranks: SimulatedRanks | None  # where no truth is known
    sweeps: dict[str, Sweep]
    beside: tuple[Beside, ...]
    seconds: float


def load_module(path: str) -> Any:
    """Run the Python file that the user named, and return it as a module.

    Raises ValueError when there is no such file or it fails.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {path!r}; give file.py:name, or one of {_tasks()}.")
    spec = importlib.util.spec_from_file_location(f"greybox_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path!r} fails: {type(error).__name__}: {error}") from error
    return module


def _tasks() -> str:
    return ", ".join(TASKS)


def read_physics(text: str) -> tuple[Simulator, Any]:
    """A simulator from a bundled task's name or `file.py:name`, and the module it came from."""
    if text in TASKS:
        return TASKS[text].physics(), None
    file, _, name = text.rpartition(":")
    if not file:
        raise ValueError(
            f"{text!r} is no bundled task ({_tasks()}); name a simulator as file.py:name."
        )
    module = load_module(file)
    if not hasattr(module, name):
        raise ValueError(f"there is no {name!r} in {file!r}; name the simulator that it makes.")
    found = getattr(module, name)
    if callable(found) and not isinstance(found, ODE | Function):
        found = found()
    if not isinstance(found, ODE | Function):
        raise ValueError(
            f"{name!r} in {file!r} is {type(found).__name__}; make it a greybox.ODE or "
            "greybox.Function."
        )
    return found, module


def read_residual(text: str, physics: Simulator, module: Any, task: str = "") -> list[Residual]:
    """Terms from text such as `feature:damping,force:tied,white,smooth:0.5`; a feature is a
    function or any term beside the simulator. Empty means the residual of a bundled task, else a
    force (white noise for functions).

    Raises ValueError naming the term that is not understood.
    """
    if not text and task in TASKS:
        return TASKS[task].residual()
    found: list[Residual] = []
    default = "force" if isinstance(physics, ODE) else "white"
    for term in (text or default).split(","):
        kind, _, value = term.strip().partition(":")
        if kind == "none":
            continue
        if kind == "force":
            found.append(Force(spectrum=value or "free"))  # type: ignore[arg-type]
        elif kind == "white":
            found.append(White())
        elif kind == "smooth":
            length = _length(value) if value else float(np.ptp(physics.times)) / 5
            found.append(GaussianProcess(Matern32(length_scale=length)))
        elif kind == "feature" and value:
            found.append(_feature(value, module, task))
        else:
            raise ValueError(
                f"the residual term {term.strip()!r} is not known; use feature:NAME, force, "
                "force:tied, force:paired, force:smooth, smooth:LENGTH, white or none."
            )
    return found


def _length(text: str) -> float:
    try:
        length = float(text)
    except ValueError:
        length = 0.0
    if not 0 < length < np.inf:
        raise ValueError(
            f"the length of `smooth:{text}` must be a positive number, in the units of the times; "
            "try smooth:1."
        )
    return length


def _feature(name: str, module: Any, task: str) -> Residual:
    """A term of the bundled task or of the user's file, or a function there made one."""
    bundled = TASKS[task].residual() if task in TASKS else []
    known: dict[str, Any] = {term.name: term for term in bundled}
    member = known.get(name) or getattr(module, name, None)
    if isinstance(member, Feature | Force | OutsideTerm):
        return member  # type: ignore[return-value]
    if not callable(member):
        raise ValueError(
            f"there is no feature {name!r} beside the simulator; define {name}(t, y, z) there, or "
            f"a term, {name} = greybox.Force(...)."
        )
    return Feature(member, name)


def read_signal_file(path: str, names: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Signals of an NPZ (the array `signals`, or the only one that is no parameter) or NPY file,
    and the true parameters that an NPZ holds under their names.

    Raises ValueError when it cannot be read or the signals cannot be told.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, {}
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path!r} cannot be read as NPZ or NPY: {error}") from error
    truth = {name: np.asarray(arrays[name], float) for name in names if name in arrays}
    others = [name for name in arrays if name not in names and arrays[name].ndim >= 2]
    if "signals" in arrays:
        return arrays["signals"], truth
    if len(others) != 1:
        raise ValueError(
            f"{path!r} holds {', '.join(arrays) or 'nothing'}; call the signals 'signals'."
        )
    return arrays[others[0]], truth


def _data(choices: GreyboxChoices, physics: Simulator):
    """Training signals, test signals and their truth."""
    names = physics.parameters.names
    if choices.physics in TASKS and choices.signals is None:
        task = TASKS[choices.physics]
        train = task.generate(task.seeds[0] + choices.seed, choices.train).signals
        test = task.generate(task.seeds[2] + choices.seed, choices.test)
        return train, test.signals, {name: test.drawn[name] for name in names}
    if choices.signals is None:
        raise ValueError("give a file of signals (NPZ or NPY) after the simulator.")
    signals, truth = read_signal_file(choices.signals, names)
    order = np.random.default_rng(choices.seed).permutation(len(signals))
    # From the other end: no signal is in both where there are enough.
    chosen = np.sort(order[::-1][: choices.test])
    return (
        signals[np.sort(order[: choices.train])],
        signals[chosen],
        {name: values[chosen] for name, values in truth.items()},
    )


def run_greybox(
    choices: GreyboxChoices,
    progress: Progress = lambda stage, done, of: None,
    checkpoint: Path | None = None,
) -> GreyboxRun:
    """Fit the residual that was asked for, with none and a plain force beside it, and infer the
    parameters of the test signals. Raises ValueError with what was seen and what to try."""
    started = time.monotonic()
    physics, module = read_physics(choices.physics)
    task = choices.physics if choices.physics in TASKS else ""
    residual = read_residual(choices.residual, physics, module, task)
    check_autoencoder(physics, choices.autoencoder)
    train, test, truth = _data(choices, physics)
    model = SectorModel(
        physics,
        residual,
        amplitude=choices.amplitude,
        noise=choices.noise,
        max_steps=choices.max_steps,
        tolerance=0.1,
    )
    model.fit(train, progress=progress, checkpoint=checkpoint)
    progress("comparing residuals", 0, 1)
    comparison = compare(train, [model], progress=progress)
    progress("inferring parameters", 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the page says it in words
        result = model.infer(test)
        scores = calibrate_scores(result, truth, test)
        ranks = None
        if not scores:
            simulated = calibrate(model, train, simulations=100, seed=choices.seed)
            assert isinstance(simulated, SimulatedRanks)
            ranks = simulated
    shaped = np.asarray(test, float)
    shaped = shaped[:, None] if shaped.ndim == 2 else shaped
    name = name_of(model)
    return GreyboxRun(
        task or Path(choices.physics.rpartition(":")[0]).name,
        name,
        physics.times,
        len(train),
        shaped,
        truth,
        comparison,
        model,
        result,
        scores,
        ranks,
        sweep(model, test[0]) if residual else {},
        stand_beside(
            physics, train, test, truth, comparison, result, name, choices.autoencoder, progress
        ),
        time.monotonic() - started,
    )


def calibrate_scores(
    result: Inference, truth: dict[str, np.ndarray], signals: np.ndarray
) -> dict[str, ParameterScore]:
    """Scores of the parameters whose truth is known."""
    strata = quantile_strata(signals)
    return {name: score(result[name], values, strata) for name, values in truth.items()}


def summary(run: GreyboxRun) -> list[str]:
    """The run in a few lines."""
    lines = [f"{run.name}: residual {run.residual}, learned from {run.train} signals", ""]
    for name in run.result:
        found = run.result[name]
        low, high = found.interval(0.9)[0]
        lines.append(
            f"{name}: mean sd {found.sd.mean():.4g}; first signal {found.mean[0]:.4g}, "
            f"90% interval {low:.4g} to {high:.4g}"
        )
        if name in run.scores:
            s = run.scores[name]
            share = ", ".join(
                f"{level:.0%}: {value:.1%}"
                for level, value in zip(s.coverage.levels, s.coverage.share, strict=True)
            )
            lines.append(
                f"  against the truth of {s.coverage.count} signals: mean error "
                f"{s.mean_error:.4g}, median {s.median_error:.4g}; coverage {share}"
            )
        lines.append(f"  {found.sentence}")
    lines += ["", str(run.comparison), "", *map(_line, run.beside), ""]
    lines.append(verdict(run))
    return lines


def _line(row: Beside) -> str:
    text = f"{row.name}: squared error per signal {row.squares:.4g}"
    if row.permutation is not None:
        text += f", {row.permutation:+.3g} with parameters shuffled"
    for name, found in row.coverage.items():
        text += f"; 90% intervals of {name} hold {found.share[2]:.1%}"
    return text


def verdict(run: GreyboxRun) -> str:
    """What the comparison says of the residual that was asked for."""
    best = run.comparison.best
    if best.name == run.residual:
        second = run.comparison.candidates[1]
        return (
            f"The evidence prefers {best.name!r} to {second.name!r} by {second.behind:.1f} nats "
            "per signal."
        )
    own = next(c for c in run.comparison.candidates if c.name == run.residual)
    return (
        f"The evidence prefers {best.name!r} to {run.residual!r} by {own.behind:.1f} nats per "
        "signal: look at that one before you use these intervals."
    )
