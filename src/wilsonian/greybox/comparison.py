"""Which residual? The evidence of each candidate, with nothing and a plain force beside them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from wilsonian.greybox.residuals import Force, White
from wilsonian.greybox.sector_model import SectorModel
from wilsonian.greybox.simulators import ODE


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One residual and what the signals say of it."""

    name: str
    model: SectorModel
    evidence: float  # mean per signal, nats
    behind: float  # the best's evidence less this one's
    behind_error: float  # standard error of that over signals; 0 for the best
    confounding: dict[str, float]  # median, by parameter


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Candidates, best first."""

    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        return self.candidates[0]

    def __str__(self) -> str:
        width = max(len(candidate.name) for candidate in self.candidates)
        lines = [f"{'residual':<{width}}  nats per signal    behind the best  confounding"]
        for c in self.candidates:
            rho = ", ".join(f"{name} {value:.2f}" for name, value in c.confounding.items())
            behind = f"{c.behind:.2f} ± {c.behind_error:.2f}"
            lines.append(f"{c.name:<{width}}  {c.evidence:15,.2f}  {behind:>17}  {rho}")
        return "\n".join(lines)


def name_of(model: SectorModel) -> str:
    """The terms of a model's residual, in words."""
    return " + ".join(term.name for term in model.residual) or "none"


def with_references(models: Sequence[SectorModel]) -> list[SectorModel]:
    """The candidates, and "none" and "force" (for a function: white noise) where they lack."""
    found = list(models)
    first = found[0]
    options: dict[str, Any] = {
        "noise": first.noise,
        "max_steps": first.max_steps,
        "tolerance": first.tolerance,
    }
    plain = Force() if isinstance(first.physics, ODE) else White()
    for residual in ((), (plain,)):
        model = SectorModel(first.physics, residual, amplitude=first.amplitude, **options)
        if name_of(model) not in {name_of(other) for other in found}:
            found.append(model)
    return found


def compare(
    X: Any,
    models: Sequence[SectorModel],
    X_test: Any = None,
    *,
    references: bool = True,
    progress: Callable[[str, int, int], None] = lambda stage, done, of: None,
) -> Comparison:
    """Mean evidence per signal of each candidate, best first; on `X_test` where given, else on the
    signals of the fit. Candidates that are not fitted yet are fitted to `X`, on a copy.

    `references` puts "none" and "force" beside them: one candidate alone says nothing. Raises
    ValueError when there is no candidate.
    """
    if not models:
        raise ValueError("`models` is empty; give at least one SectorModel.")
    for model in models:
        if not isinstance(model, SectorModel):
            raise ValueError(f"`models` holds {model!r}; give SectorModels, one for each residual.")
    candidates = with_references(models) if references else list(models)
    rows = []
    for number, candidate in enumerate(candidates):
        model = candidate
        if not hasattr(model, "hyperparameters_"):
            model = copy.copy(candidate).fit(X)
        signals = model._prepare(X if X_test is None else X_test)
        with jax.enable_x64(True):
            points = model._explore(signals)
            result = model._result(signals, points, 1)
        rho = {name: float(np.median(result[name].confounding)) for name in result}
        rows.append((name_of(model), model, points.log_evidence, rho))
        progress("comparing residuals", number + 1, len(candidates))
    rows.sort(key=lambda row: -row[2].mean())
    best = rows[0][2]
    return Comparison(
        tuple(
            Candidate(
                name,
                model,
                float(logs.mean()),
                float((best - logs).mean()),
                float((best - logs).std() / len(logs) ** 0.5),
                rho,
            )
            for name, model, logs, rho in rows
        )
    )
