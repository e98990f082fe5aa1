"""The page of a grey-box run."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wilsonian.app.reports.greybox_figures import (
    calibration_figures,
    parameter_figures,
    residual_figures,
    signal_figures,
)
from wilsonian.app.reports.page import document, glossary, headed_table, section, table_of
from wilsonian.app.runs.greybox import GreyboxRun, verdict
from wilsonian.support.files import atomic_write
from wilsonian.support.number_text import format_count, format_number, format_percent

GLOSSARY = {
    "Residual": "What the simulator leaves out. It is not estimated and then trusted, but "
    "integrated out: it counts as noise of a shape that was learned from all signals.",
    "Coverage": "The share of true values inside their intervals. Of 90% intervals it should be "
    "90%, up to the statistical error given.",
    "Confounding index": "The share of the knowledge about a parameter that the residual costs. "
    "Near 0 the interval comes from the data; near 1 it repeats what was assumed of the residual.",
    "Evidence": "The probability of the signals under a model, as a logarithm in nats per signal. "
    "A difference of a few nats, several times its error, is a clear preference.",
    "Learnability": "The fraction of a residual mode that one signal determines.",
    "PIT": "The posterior probability below the true value. Calibrated posteriors make all values "
    "equally common.",
}


def write_greybox_report(run: GreyboxRun, path: str | os.PathLike[str]) -> Path:
    """Write the page; raises FileError where that is impossible."""
    return atomic_write(path, document(f"{run.name}: {run.residual}", _parts(run)))


def _parts(run: GreyboxRun) -> Iterator[str]:
    yield _header(run)
    yield _numbers(run)
    yield section("What are the parameters?", parameter_figures(run), after=_parameters(run))
    yield section("Which residual?", residual_figures(run), before=_candidates(run))
    yield section("Where is the simulator right, and where not?", signal_figures(run))
    figures = calibration_figures(run)
    yield section("Do the intervals hold?", figures, before=_calibration(run), after=_strata(run))
    yield _beside(run)
    yield _details(run)
    yield glossary(GLOSSARY)


def _header(run: GreyboxRun) -> str:
    facts = [
        f"residual learned from {format_count(run.train, 'signal')}",
        f"{format_count(len(run.signals), 'signal')} inferred",
        f"{format_count(run.signals.shape[1], 'channel')} of {run.signals.shape[2]} times",
    ]
    learned = " ".join(_learned(run, name) for name in run.result)
    return (
        f'<header>\n<p class="kind">Grey-box model with the residual '
        f"<b>{html.escape(run.residual)}</b></p>\n<h1>{html.escape(run.name)}</h1>\n"
        f'<p class="facts">{" · ".join(facts)}</p>\n'
        f'<p class="learned">{html.escape(learned)}</p>\n'
        f"<p>{html.escape(verdict(run))}</p>\n</header>"
    )


def _learned(run: GreyboxRun, name: str) -> str:
    if name in run.scores:
        found = run.scores[name].coverage
        share, error = found.share[2], found.error[2]
        return (
            f"The 90% intervals of {name} hold {format_percent(share)} of the true values "
            f"(± {format_percent(error, 2)} by chance)."
        )
    sd = format_percent(float(run.result[name].sd.mean()) / run.result[name].prior_spread)
    return f"The posterior of {name} is {sd} as wide as its prior."


def _numbers(run: GreyboxRun) -> str:
    cards = []
    for name in run.result:
        found = run.result[name]
        if name in run.scores:
            s = run.scores[name]
            meaning = f"mean error; median {format_number(s.median_error)}"
            cards.append((f"Error of {name}", format_number(s.mean_error), meaning))
        spread = format_number(float(found.sd.mean()))
        meaning = f"mean posterior standard deviation; prior {format_number(found.prior_spread)}"
        cards.append((f"Width of {name}", spread, meaning))
        index = format_number(float(np.median(found.confounding)), 2)
        meaning = "confounding index: share of the knowledge that the residual costs"
        cards.append((f"Confounding of {name}", index, meaning))
    noise = [format_number(value) for value in run.model.history_[-1].noise]
    cards.append(("Noise", ", ".join(noise), "standard deviation, by channel"))
    items = "\n".join(
        f'<div><dt>{html.escape(a)}</dt><dd class="value">{html.escape(b)}</dd>'
        f'<dd class="meaning">{html.escape(c)}</dd></div>'
        for a, b, c in cards
    )
    return f'<dl class="numbers">\n{items}\n</dl>'


def _parameters(run: GreyboxRun) -> str:
    said = "".join(f"<p>{html.escape(run.result[name].sentence)}</p>\n" for name in run.result)
    return f"<h3>What the residual costs</h3>\n{said}"


def _candidates(run: GreyboxRun) -> str:
    rows = [
        [
            c.name,
            format_number(c.evidence, 5),
            "best"
            if c.behind == 0
            else f"{format_number(c.behind)} ± {format_number(c.behind_error, 2)}",
            ", ".join(f"{name} {value:.2f}" for name, value in c.confounding.items()),
        ]
        for c in run.comparison.candidates
    ]
    names = ["Residual", "Evidence, nats per signal", "Behind the best", "Confounding index"]
    return headed_table(names, rows)


def _calibration(run: GreyboxRun) -> str:
    if run.scores:
        return ""
    if run.ranks is None:
        return ""
    tests = ", ".join(f"{name}: p = {format_number(p, 2)}" for name, p in run.ranks.p_value.items())
    return (
        "<p>No true values are known. Instead, parameters and residuals were drawn from the model "
        f"itself, {format_count(run.ranks.count, 'signal')} simulated and inferred: calibrated "
        f"posteriors give uniform ranks ({html.escape(tests)}; below 0.01 something is wrong). "
        "This checks the algorithm, not whether the residual is the right one.</p>\n"
    )


def _strata(run: GreyboxRun) -> str:
    if not run.scores:
        return ""
    rows = []
    for name, found in run.scores.items():
        for label, cover in {"all": found.coverage, **found.strata}.items():
            shares = [f"{format_percent(share)}" for share in cover.share]
            rows.append([name, label, str(cover.count), *shares, f"± {cover.error[2]:.1%}"])
    names = ["Parameter", "Signals", "Count", "50%", "80%", "90%", "95%", "Chance error at 90%"]
    return f"<h3>Coverage by the size of the signals</h3>\n{headed_table(names, rows)}"


def _beside(run: GreyboxRun) -> str:
    names = list(run.scores)
    rows = []
    for row in run.beside:
        shuffled = "" if row.permutation is None else f"{row.permutation:+.3g}"
        cells = [row.name, format_number(row.squares), shuffled]
        for name in names:
            known = name in row.coverage
            cells.append(format_percent(row.coverage[name].share[2]) if known else "")
            cells.append(format_number(row.error[name]) if known else "")
        rows.append(cells)
    head = ["Model", "Squared error per signal", "When parameters are shuffled"]
    head += [t for name in names for t in (f"90% intervals of {name} hold", f"Error of {name}")]
    return (
        "<section>\n<h2>What stands beside it?</h2>\n"
        "<p>All on the same signals. Shuffling the parameters between signals must raise the error "
        "of a model that uses its physics; a small squared error alone says nothing of the "
        "parameters.</p>\n"
        f"{headed_table(head, rows)}</section>"
    )


def _details(run: GreyboxRun) -> str:
    model = run.model
    rows = [
        *model.physics.parameters.describe().items(),
        ("Residual", run.residual),
        ("Amplitude", model.amplitude),
    ]
    rows += [
        (f"{name}: mean and sd", f"{format_number(v['mean'][0])} ± {format_number(v['sd'][0])}")
        for name, v in model.residual_.items()
        if len(v["mean"]) == 1
    ]
    ended = "converged" if model.converged_ else "stopped at the limit of steps"
    rows += [
        ("Fit", f"{len(model.history_)} steps, {ended}"),
        ("Time", f"{format_number(run.seconds)} s"),
    ]
    table = table_of("The model, as learned", rows, code=True)
    return f"<section>\n<h2>How it was fitted</h2>\n{table}</section>"
