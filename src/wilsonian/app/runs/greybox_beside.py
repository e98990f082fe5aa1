"""What stands beside a grey-box model on the same signals: the mean signal, principal components,
the simulator alone, and, when asked for, the hybrid autoencoder and its network without physics."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np

from wilsonian.greybox.baselines import mean_signal, principal_components
from wilsonian.greybox.comparison import Comparison
from wilsonian.greybox.hybrid import HybridVAE
from wilsonian.greybox.metrics import Coverage, coverage, signal_errors
from wilsonian.greybox.results import Inference
from wilsonian.greybox.simulators import ODE, Simulator

AUXILIARY = 3  # latents of the autoencoder beside the parameters
Progress = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True)
class Beside:
    """One model on the test signals."""

    name: str
    squares: float  # squared error per signal
    coverage: dict[str, Coverage]  # of its posteriors, where the truth is known
    error: dict[str, float]  # mean absolute, by parameter
    permutation: float | None  # rise of `squares` when parameters are shuffled between signals


def check_autoencoder(physics: Simulator, epochs: int) -> None:
    """Raises ValueError where no autoencoder can be trained."""
    if epochs < 0:
        raise ValueError(f"--autoencoder is a number of epochs, got {epochs}; try 100.")
    if epochs and not isinstance(physics, ODE):
        raise ValueError(
            "--autoencoder needs a simulator written as greybox.ODE; this one is a function of its "
            "parameters."
        )


def stand_beside(
    physics: Simulator,
    train: np.ndarray,
    test: np.ndarray,
    truth: dict[str, np.ndarray],
    comparison: Comparison,
    result: Inference,
    name: str,
    epochs: int,
    progress: Progress,
) -> tuple[Beside, ...]:
    """All of them, `result` of the residual `name` included. Signals with gaps have no principal
    components. `epochs` of the autoencoder may be zero."""
    rows = []
    flat = np.asarray(test, float).reshape(len(test), -1)
    if np.isfinite(train).all() and np.isfinite(test).all():
        rows.append(Beside("mean signal", mean_signal(train, test), {}, {}, None))
        count = min(len(physics.parameters) + AUXILIARY, len(train) - 1)
        error = principal_components(train, test, [count])[count]
        rows.append(Beside(f"{count} principal components", error, {}, {}, None))

    def with_posteriors(title, error, found, permutation=None):
        """A row with coverage and mean error of every parameter whose truth is known."""
        held = {n: coverage(found[n].rank(values)) for n, values in truth.items()}
        off = {n: float(np.abs(found[n].mean - values).mean()) for n, values in truth.items()}
        return Beside(title, error, held, off, permutation)

    def squares(fitted):
        off = flat - fitted.reshape(len(flat), -1)
        return float(np.mean(np.nansum(off**2, axis=1)))

    if name != "none":
        alone = next(c.model for c in comparison.candidates if c.name == "none")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said in words beside each interval
            found = alone.infer(test)
        rows.append(with_posteriors("simulator alone", squares(found.fitted), found))
    for known in (physics, None) if epochs else ():
        assert known is None or isinstance(known, ODE)
        latents = 0 if known else len(physics.parameters)
        model = HybridVAE(known, AUXILIARY, latent_parameters=latents, epochs=epochs)
        model.fit(train, progress=progress)
        error = signal_errors(flat, model.reconstruct(test).both)["sum_squares"]
        if known:
            shuffled = model.permutation_test(test)
            rows.append(with_posteriors("hybrid autoencoder", error, model.infer(test), shuffled))
        else:
            rows.append(Beside("its network without physics", error, {}, {}, None))
    rows.append(with_posteriors(f"this model ({name})", squares(result.fitted), result))
    return tuple(rows)
