"""The report of an ensemble of fields: can it be trusted, and how does it look at every scale?"""

from __future__ import annotations

import dataclasses
import html
import os
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from matplotlib import colormaps

from wilsonian.app.reports.page import document, section, table_of
from wilsonian.app.reports.svg import Drawing
from wilsonian.fields import Channel, Ensemble, power_spectrum
from wilsonian.fields.certificate import Certificate, check_ensemble
from wilsonian.fields.lattice import shell_average
from wilsonian.support.axes import FAINT, KEPT, MEASURED, REFERENCE, add_legend
from wilsonian.support.files import atomic_write

TIMES = (0.0, 0.1, 0.3, 1.0, 3.0)


@dataclasses.dataclass(frozen=True, eq=False)
class FieldsReport:
    """What a page shows: the ensemble, its certificate if it has one, and data beside it."""

    ensemble: Ensemble
    certificate: Certificate | None = None
    data: Ensemble | None = None
    costs: tuple[tuple[str, str], ...] = ()


def write_fields_report(report: FieldsReport, path: str | os.PathLike[str]) -> Path:
    """Write the page, whole or not at all; FileError where nothing can be written."""
    return atomic_write(path, fields_html(report))


def fields_html(report: FieldsReport) -> str:
    """One page, self-contained; equal reports give equal pages."""
    parameters = report.ensemble.theory.parameters()
    return document(f"Fields of {parameters['theory']}", _parts(report))


def _parts(report: FieldsReport) -> Iterator[str]:
    ensemble = report.ensemble
    theory = ensemble.theory
    named = ", ".join(f"{k} {v:g}" for k, v in theory.parameters().items() if isinstance(v, float))
    verdict, reasons = _verdict(report)
    items = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    sides = " by ".join(str(side) for side in theory.shape)
    yield (
        "<header>\n"
        f'<p class="kind">Ensemble of fields of <b>{html.escape(theory.parameters()["theory"])}</b>'
        f"</p>\n<h1>{sides} lattice, {html.escape(named)}</h1>\n"
        f'<p class="facts">{len(ensemble):,} fields</p>\n'
        f'<p class="learned">{html.escape(verdict)}</p>\n<ul>{items}</ul>\n</header>'
    )
    yield _identities(report)
    if len(theory.shape) == 2:
        flowed = "A field as it was drawn, and coarse grained: short waves are replaced by noise."
        yield section(
            "One field at five RG times", _flowed_drawings(report), _words(flowed), layout="modes"
        )
        back = (
            "The sites that a decimating flow has drawn by then; the last is the field itself. One "
            "scale of colours for all."
        )
        yield section("The way back", _way_back_drawings(report), _words(back), layout="modes")
    yield section("Scale by scale", [_spectrum(report), _information(report)])
    weights = [] if report.certificate is None else [_weights(report)]
    yield section("Weights and magnetization", [*weights, _magnetization(report)])
    rows = [(key, str(value)) for key, value in ensemble.how.items()]
    yield (
        "<section>\n<h2>How it was made</h2>\n"
        + table_of("The run", rows)
        + (table_of("What it cost", list(report.costs)) if report.costs else "")
        + "</section>"
    )


def _verdict(report: FieldsReport) -> tuple[str, tuple[str, ...]]:
    certificate = report.certificate
    if certificate is None:
        pulls = [abs(identity.pull) for identity in check_ensemble(report.ensemble)]
        if max(pulls) < 4.5:
            return "The identities hold. That alone is no certificate.", ()
        return "An identity that every ensemble obeys does not hold: do not use these fields.", ()
    draws = certificate.draws
    if not certificate.trusted:
        return "Do not trust these draws.", certificate.refusals
    seen = (
        ""
        if certificate.data is None
        else (f" Held-out fields imply {certificate.data.effective_fraction:.0%}.")
    )
    return (
        f"These draws can be trusted: {draws.effective_fraction:.0%} of {draws.count:,} are "
        f"effective.{seen}",
        (),
    )


def _identities(report: FieldsReport) -> str:
    certificate = report.certificate
    rows = check_ensemble(report.ensemble) if certificate is None else certificate.identities
    body = "\n".join(
        f"<tr><td>{html.escape(row.name)}</td>"
        f"<td>{row.measured.value:.5g} ± {row.measured.error:.2g}</td>"
        f"<td>{row.expected.value:.5g}"
        + (f" ± {row.expected.error:.2g}" if row.expected.error else "")
        + f"</td><td>{row.pull:+.1f}</td></tr>"
        for row in rows
    )
    more = ""
    if certificate is not None:
        draws, data = certificate.draws, certificate.data
        facts = [
            ("ESS / N", f"{draws.effective_fraction:.4f} of {draws.count:,} draws"),
            ("Largest weight", f"{draws.largest_share:.2%} of all"),
            ("Independence Metropolis", f"{certificate.acceptance:.3f} accepted"),
            (
                "log Z",
                f"{draws.log_partition_function:.4f} ± {draws.log_partition_error:.4f}",
            ),
        ]
        if data is not None:
            facts.append(
                (
                    "Variance of log w on held-out fields",
                    f"{data.log_weight_variance:.4f} over {data.count:,} fields",
                )
            )
        more = table_of("The weights", facts)
    return (
        "<section>\n<h2>Can it be trusted?</h2>\n"
        "<table>\n<tr><th>Identity</th><th>these fields</th><th>expected or by hybrid Monte Carlo"
        f"</th><th>pull</th></tr>\n{body}\n</table>\n{more}</section>"
    )


def _channel(ensemble: Ensemble) -> Channel:
    theory = ensemble.theory
    return Channel("carosso", theory.shape, z=0.5, omega=2 / theory.kinetic_stiffness())


def _words(text: str) -> str:
    return f"<p>{html.escape(text)}</p>\n"


def _flowed_drawings(report: FieldsReport) -> list[Drawing]:
    ensemble = report.ensemble
    first = ensemble.fields[:1]
    flowed = _channel(ensemble).flow(first, TIMES[1:], jax.random.key(0))
    pictures = [first[0], *(np.asarray(field)[0] for field in flowed)]
    titles = [f"t = {time:g}" for time in TIMES]
    return _pictures("flowed", titles, pictures, float(np.abs(first).max()))


def _way_back_drawings(report: FieldsReport) -> list[Drawing]:
    field = report.ensemble.fields[0]
    spacings = [s for s in (8, 4, 2, 1) if min(field.shape) // s >= 2]
    pictures = [field[::spacing, ::spacing] for spacing in spacings]
    titles = [f"spacing {spacing}" for spacing in spacings]
    return _pictures("back", titles, pictures, float(np.abs(field).max()))


def _pictures(
    name: str, titles: list[str], pictures: list[np.ndarray], reach: float
) -> list[Drawing]:
    def picture(values: np.ndarray):  # type: ignore[no-untyped-def]
        def draw(ax, scale):  # type: ignore[no-untyped-def]
            ax.imshow(values, cmap="RdBu", vmin=-reach, vmax=reach, interpolation="nearest")
            ax.set_axis_off()
            return ax

        return draw

    return [
        Drawing(f"{name}-{number}", title, "", picture(values), None, ("linear",), (1.9, 1.9))
        for number, (title, values) in enumerate(zip(titles, pictures, strict=True))
    ]


def _spectrum(report: FieldsReport) -> Drawing:
    ensemble = report.ensemble
    channel = _channel(ensemble)
    start = power_spectrum(ensemble.fields, ensemble.theory.shape, ensemble.weights())
    some = ensemble.fields[:1024]
    flowed = channel.flow(some, TIMES[1:], jax.random.key(1))

    def draw(ax, scale):  # type: ignore[no-untyped-def]
        for number, time in enumerate(TIMES):
            momenta, law = shell_average(channel.two_point(time, start))
            ax.plot(momenta, law, color=FAINT, lw=1.4, label="law" if number == 0 else None)
            seen = some if time == 0 else np.asarray(flowed[number - 1])
            share = ensemble.weights()[: len(some)]
            _, measured = shell_average(
                power_spectrum(seen, ensemble.theory.shape, share / share.sum())
            )
            shade = colormaps["viridis"](0.9 * number / (len(TIMES) - 1))
            ax.plot(momenta, measured, ".", ms=4, color=shade, label=f"t = {time:g}")
        ax.set_yscale("log")
        ax.set_xlabel("momentum")
        ax.set_ylabel("spectrum")
        return add_legend(ax)

    caption = (
        "Points are of flowed fields, lines the exact law: the spectrum times M², plus the noise."
    )
    return Drawing("spectrum", "Spectra along the flow", caption, draw, None, ("linear",))


def _information(report: FieldsReport) -> Drawing:
    ensemble = report.ensemble
    channel = _channel(ensemble)
    spectrum = power_spectrum(ensemble.fields, ensemble.theory.shape, ensemble.weights())
    times = np.geomspace(0.01, 5, 60)

    def draw(ax, scale):  # type: ignore[no-untyped-def]
        shells = [shell_average(channel.information(time, spectrum))[1] for time in times]
        momenta, _ = shell_average(spectrum)
        values = np.array(shells)
        for place in np.unique(np.linspace(0, len(momenta) - 1, 5).round().astype(int)):
            ax.plot(times, values[:, place], label=f"p = {momenta[place]:.2g}")
        ax.axhline(0.5, color=REFERENCE, lw=0.8, ls=":")
        ax.set_xscale("log")
        ax.set_xlabel("RG time")
        ax.set_ylabel("nats per mode")
        return add_legend(ax)

    caption = (
        "What the coarse field still says about each mode of the fine one; above half a nat "
        "(dotted) it determines the mode. Exact for a Gaussian field of this spectrum."
    )
    return Drawing("information", "Information per mode", caption, draw, None, ("linear",))


def _weights(report: FieldsReport) -> Drawing:
    ensemble, certificate = report.ensemble, report.certificate
    assert certificate is not None
    assert ensemble.log_weights is not None
    logs = ensemble.log_weights - certificate.draws.log_partition_function
    logs = logs[np.isfinite(logs)]

    def draw(ax, scale):  # type: ignore[no-untyped-def]
        low, high = np.quantile(logs, [0.001, 0.999])
        pad = 0.1 * (high - low) + 1e-6
        ax.hist(np.clip(logs, low - pad, high + pad), bins=50, color=KEPT)
        ax.set_xlabel("log w - log Z")
        ax.set_ylabel("draws")
        ax.set_title(f"ESS/N = {certificate.draws.effective_fraction:.3f}", fontsize=10)
        return ax

    caption = "A perfect sampler would put all of them at zero; the ends gather what is beyond."
    return Drawing("weights", "Log weights", caption, draw, None, ("linear",))


def _magnetization(report: FieldsReport) -> Drawing:
    ensemble, data = report.ensemble, report.data

    def draw(ax, scale):  # type: ignore[no-untyped-def]
        ours = ensemble.fields.reshape(len(ensemble), -1).mean(1)
        reach = float(np.abs(ours).max())
        bins = np.linspace(-reach, reach, 41)
        ax.hist(
            ours,
            bins,
            weights=ensemble.weights(),
            density=True,
            color=KEPT,
            alpha=0.5,
            label="these fields",
        )
        if data is not None:
            theirs = data.fields.reshape(len(data), -1).mean(1)
            ax.hist(
                theirs,
                bins,
                density=True,
                histtype="step",
                color=MEASURED,
                lw=1.5,
                label="hybrid Monte Carlo",
            )
        ax.set_xlabel("magnetization")
        ax.set_ylabel("density")
        return add_legend(ax)

    caption = "Two peaks of equal height in the broken phase; a missing one is a missing half."
    return Drawing("magnetization", "Magnetization", caption, draw, None, ("linear",))
