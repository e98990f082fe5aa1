"""`wilsonian rg`: sample fields, coarse grain them, refine coarse ones, certify any."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from wilsonian.app.cli.app import app
from wilsonian.app.cli.console import Console
from wilsonian.app.cli.options import QuietOption, ReportOption, SeedOption
from wilsonian.support.files import check_writable

rg = typer.Typer(
    no_args_is_help=True,
    help="Fields on a lattice: sample them with a certificate, coarse grain them, refine them.",
)
app.add_typer(rg, name="rg")


CHAINS, FLOW = "chains", "flow"  # inside an ensemble's folder


class Theory(enum.StrEnum):
    """Theories of the command line."""

    phi4 = "phi4"
    free = "free"


class Method(enum.StrEnum):
    """How fields are drawn."""

    decimation = "decimation"
    diffusion = "diffusion"
    hmc = "hmc"


KappaOption = Annotated[float, typer.Option(help="Hopping of phi^4.")]
LamOption = Annotated[float, typer.Option(help="Coupling of phi^4.")]
OutOption = Annotated[Path | None, typer.Option(help="Folder for the ensemble.")]
FlowOption = Annotated[
    Path | None,
    typer.Option("--flow", help="Folder of the fitted flow: read if there is one, else written."),
]


@rg.command()
def sample(
    theory: Annotated[Theory, typer.Argument(help="phi4 or free.")],
    size: Annotated[int, typer.Option(help="Sites along each side.")] = 16,
    dimension: Annotated[int, typer.Option(help="1 to 4.")] = 2,
    kappa: KappaOption = 0.27,
    lam: LamOption = 0.022,
    mass_squared: Annotated[float, typer.Option(help="Of the free field.")] = 0.25,
    n: Annotated[int, typer.Option("--n", help="Fields to draw.")] = 2000,
    method: Annotated[Method, typer.Option(help="Sampler.")] = Method.decimation,
    data: Annotated[int, typer.Option(help="Fields of hybrid Monte Carlo to fit to.")] = 30_000,
    out: OutOption = None,
    flow: FlowOption = None,
    report: ReportOption = None,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Draw fields: hybrid Monte Carlo, a fit of the inverse flow, weighted draws, certificate.

    With --out, the chains, the fitted flow and the draws are kept in that folder as they come, and
    the same command goes on where it was cut off.
    """
    import jax

    from wilsonian import fields
    from wilsonian.app.reports.fields import FieldsReport, write_fields_report
    from wilsonian.fields.hmc import HmcSettings
    from wilsonian.fields.sampling_runs import fitted_flow, open_draws, run_draws, run_hmc

    _check_places((out, True), (flow, True), (report, False))
    shape = (size,) * dimension
    chosen = (
        fields.Phi4(shape, kappa, lam)
        if theory is Theory.phi4
        else fields.FreeField(shape, mass_squared)
    )
    if n < 1 or data < 1:
        raise ValueError(f"--n is {n} and --data {data}; ask for at least one field of each.")
    console = Console(quiet=quiet)
    start = time.perf_counter()
    certificate, training = None, None
    costs: list[tuple[str, str]] = []
    with console.progress() as show:
        progress = _shares(show)
        if method is Method.hmc:
            if out is not None:
                drawn = run_hmc(chosen, n, seed, HmcSettings(), out, progress=progress)
            else:
                drawn = chosen.hmc(n, jax.random.key(seed), progress=progress)
        else:
            by: Literal["decimation", "diffusion"] = (
                "diffusion" if method is Method.diffusion else "decimation"
            )
            if out is not None:
                open_draws(chosen, by, seed + 1, out)  # refused before the work, not after it
            flow = _flow_within(flow) or (None if out is None else out / FLOW)
            fitted = fitted_flow(
                chosen,
                by,
                data,
                seed,
                flow=flow,
                chains=None if out is None else out / CHAINS,
                progress=progress,
            )
            inverse, training = fitted.inverse, fitted.training
            if out is not None:
                drawn = run_draws(inverse, n, seed + 1, out, progress=progress)
            else:
                drawn = inverse.sample(jax.random.key(seed + 1), n, progress)
            certificate = inverse.certify(drawn, training)
            if training is not None and fitted.seconds is not None:
                tau = training.magnetization_autocorrelation()
                each = 1e3 * fitted.seconds * max(tau.time, 1.0) / len(training)
                costs += [
                    ("Hybrid Monte Carlo, per independent field", f"{each:.2f} ms"),
                    (
                        "Its autocorrelation of |M|, in kept fields",
                        f"{tau.time:.2f} ± {tau.error:.2f}",
                    ),
                ]
    total = time.perf_counter() - start
    costs.insert(0, ("Seconds in all", f"{total:.0f}"))
    if certificate is None:
        for name, measured in drawn.observables().items():
            console.print(f"{name:<26}{measured.value:>11.5g} ± {measured.error:.2g}")
        console.print(f"acceptance {drawn.how['acceptance']:.3f}")
    else:
        console.print(str(certificate))
        effective = certificate.draws.effective_fraction * len(drawn)
        costs.append(
            ("These draws, all of it, per effective field", f"{1e3 * total / effective:.2f} ms")
        )
        for name, value in costs:
            console.print(f"{name}: {value}")
    if report is not None:
        write_fields_report(FieldsReport(drawn, certificate, training, tuple(costs)), report)
    for path in (out, report):
        if path is not None:
            console.print(f"Written to {path}")
    if certificate is not None and not certificate.trusted:
        raise typer.Exit(3)


@rg.command("flow")
def flow_fields(
    ensemble: Annotated[Path, typer.Argument(help="Folder of an ensemble, or an NPZ file.")],
    scheme: Annotated[str, typer.Option(help="carosso, polchinski or rgdm.")] = "carosso",
    times: Annotated[str, typer.Option(help="Rising RG times, with commas.")] = "0,0.3,1,3",
    z: Annotated[float, typer.Option(help="Rate of the zero mode.")] = 0.5,
    omega: Annotated[float | None, typer.Option(help="Noise [default: 1/kappa].")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the couplings to write.")] = None,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Couplings along the flow: by their exact laws, and on the flowed fields."""
    import jax
    import numpy as np

    from wilsonian import fields
    from wilsonian.fields.couplings import coupling_errors
    from wilsonian.support.pictures import check_picture, picture

    if plot is not None:
        check_picture(plot)
        check_writable(plot)
    source = _load(ensemble)
    try:
        moments = [float(text) for text in times.split(",")]
    except ValueError as error:
        raise ValueError(f"--times is {times!r}; give numbers with commas.") from error
    strength = 2 / source.theory.kinetic_stiffness() if omega is None else omega
    channel = fields.Channel(scheme, source.theory.shape, z=z, omega=strength)
    weights = source.weights()
    start = fields.Couplings.from_fields(source.fields, weights)
    by_law = fields.coupling_flow(start, channel, moments)
    flowed = channel.flow(source.fields, moments, jax.random.key(seed))
    console = Console(quiet=quiet)
    rows, measured = [], []
    spectrum = fields.power_spectrum(source.fields, source.theory.shape, weights)
    for moment, law, field in zip(moments, by_law, flowed, strict=True):
        seen = fields.Couplings.from_fields(np.asarray(field), weights)
        spread = coupling_errors(np.asarray(field), weights)
        kernel = channel.kernel(0, moment)
        measured.append((seen.renormalized_coupling, spread.renormalized_coupling))
        rows.append(
            [
                f"{moment:g}",
                _number(law.renormalized_coupling, 4),
                _number(seen.renormalized_coupling, 4),
                _number(spread.renormalized_coupling, 4),
                _number(law.correlation_length, 3),
                _number(seen.correlation_length, 3),
                _number(law.binder, 4),
                _number(seen.binder, 4),
                str(kernel.resolved_modes(spectrum)),
            ]
        )
    names = [
        "t",
        "g_R law",
        "fields",
        "error",
        "xi law",
        "fields",
        "U law",
        "fields",
        "modes known",
    ]
    console.table(names, rows)
    if plot is not None:
        with picture(plot, 6.4, 3.6) as figure:
            ax = figure.add_subplot()
            fine = np.linspace(0, moments[-1], 100)
            laws = fields.coupling_flow(start, channel, list(fine))
            ax.plot(fine, [law.renormalized_coupling for law in laws], label="exact law")
            values, errors = np.transpose(measured)
            ax.errorbar(moments, values, errors, fmt="o", capsize=3, label="flowed fields")
            ax.set_xlabel("RG time")
            ax.set_ylabel("renormalized coupling")
            ax.legend(frameon=False)
        console.print(f"Written to {plot}")


@rg.command()
def refine(
    coarse: Annotated[Path, typer.Argument(help="NPZ file with coarse `fields`.")],
    spacing: Annotated[int, typer.Option(help="Of the given sites on the fine lattice.")] = 2,
    kappa: KappaOption = 0.27,
    lam: LamOption = 0.022,
    data: Annotated[int, typer.Option(help="Fields of hybrid Monte Carlo to fit to.")] = 20_000,
    proposals: Annotated[int, typer.Option(help="Tries per field.")] = 8,
    out: OutOption = None,
    flow: FlowOption = None,
    report: ReportOption = None,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
) -> None:
    """Given long waves, draw the short ones; --kappa and --lam are those of the fine theory."""
    import jax

    from wilsonian import fields
    from wilsonian.app.reports.fields import FieldsReport, write_fields_report
    from wilsonian.fields.refinement import check_coarse
    from wilsonian.fields.sampling_runs import fitted_flow

    _check_places((out, True), (flow, True), (report, False))
    given = fields.import_coarse(coarse)
    if out is not None and out.exists() and any(out.iterdir()):
        raise ValueError(f"{str(out)!r} is not empty; choose another folder.")
    theory = fields.Phi4(tuple(side * spacing for side in given.shape[1:]), kappa, lam)
    check_coarse(given, theory.shape[0], proposals)
    console = Console(quiet=quiet)
    with console.progress() as show:
        progress = _shares(show)
        fitted = fitted_flow(
            theory, "decimation", data, seed, flow=_flow_within(flow), progress=progress
        )
        refined = fitted.inverse.refine(given, jax.random.key(seed + 1), proposals, progress)
    console.print(f"Refined {len(given)} fields, {refined.acceptance:.3f} of proposals accepted")
    if out is not None:
        fields.save_ensemble(refined.ensemble, out)
        console.print(f"Written to {out}")
    if report is not None:
        beside = fitted.training or fitted.inverse.held_out
        write_fields_report(FieldsReport(refined.ensemble, None, beside), report)
        console.print(f"Written to {report}")


@rg.command()
def check(
    ensemble: Annotated[Path, typer.Argument(help="Folder of an ensemble, or an NPZ file.")],
    report: ReportOption = None,
    quiet: QuietOption = False,
) -> None:
    """Judge an ensemble, ours or anyone's; exit code 3 when it cannot be trusted."""
    from wilsonian import fields
    from wilsonian.app.reports.fields import FieldsReport, write_fields_report

    source, beside = _load(ensemble), None
    console = Console(quiet=quiet)
    if source.log_weights is not None:
        if (ensemble / FLOW).is_dir():
            inverse = fields.InverseFlow.load(ensemble / FLOW, source.theory)
            beside = inverse.held_out
            if (ensemble / CHAINS).is_dir():
                beside = fields.load_ensemble(ensemble / CHAINS, source.theory)
            certificate = inverse.certify(source, beside)
        else:
            certificate = fields.certify(source)
        console.print(str(certificate))
        trusted = certificate.trusted
        if certificate.data is None:
            console.print("No data beside it: a dropped peak would not show.")
    else:
        certificate, trusted = None, True
        for identity in fields.check_ensemble(source):
            console.print(
                f"{identity.name:<22}{identity.measured.value:>10.5g} {identity.pull:+.1f}"
            )
            trusted &= abs(identity.pull) < 4.5
        if source.chains >= 8 and len(source) >= 2 * source.chains:
            judged = fields.thermalisation(source)
            trusted &= judged.reached
            console.print(
                f"thermalisation: starts {judged.start_pull:+.1f}, drift {judged.drift_pull:+.1f}"
            )
        console.print("Identities hold." if trusted else "REFUSED: an identity does not hold.")
    if report is not None:
        write_fields_report(FieldsReport(source, certificate, beside), report)
        console.print(f"Written to {report}")
    if not trusted:
        raise typer.Exit(3)


def _number(value: float, digits: int) -> str:
    """A dash where noise leaves a correlation length undefined."""
    return f"{value:.{digits}f}" if value == value else "-"


def _check_places(*places: tuple[Path | None, bool]) -> None:
    """Raise now for files (False) and folders (True) that could not be written after the work."""
    for path, folder in places:
        if path is not None:
            check_writable(path, folder=folder)


def _flow_within(path: Path | None) -> Path | None:
    """The folder of a flow, or the one inside an ensemble's folder."""
    return path / FLOW if path is not None and (path / FLOW).is_dir() else path


def _shares(show: Callable[[str, int, int], None]) -> Callable[[str, float], None]:
    """The console's progress for callers that report a stage and the share of it that is done."""
    return lambda stage, share: show(stage, round(1000 * share), 1000)


def _load(path: Path):  # type: ignore[no-untyped-def]
    from wilsonian import fields

    return fields.import_npz(path) if path.suffix == ".npz" else fields.load_ensemble(path)
