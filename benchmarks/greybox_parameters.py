"""Parameters of grey-box simulators: coverage and error of every treatment, the rows of the tables
in benchmarks/README.md.

    python benchmarks/greybox_parameters.py small            # oscillator, Lotka-Volterra, SIR
    python benchmarks/greybox_parameters.py pendulum --train 100 --test 400
    python benchmarks/greybox_parameters.py absent           # no friction and no force in the data
    python benchmarks/greybox_parameters.py advection --train 60 --test 300
    python benchmarks/greybox_parameters.py ranks            # simulation-based calibration
    python benchmarks/greybox_parameters.py nuts --task pendulum --train 100  # needs blackjax
    python benchmarks/greybox_parameters.py balls FILE       # falling_balls.npz
"""

import argparse
import dataclasses
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from wilsonian import greybox as gb
from wilsonian.greybox import tasks
from wilsonian.greybox.metrics import LEVELS, coverage, score
from wilsonian.kernels import Matern32

warnings.simplefilter("ignore", gb.ConfoundedWarning)


def row(name, found, truth, strata=None):
    """One line of a table."""
    s = score(found, truth, strata)
    shares = " ".join(f"{share:.3f}" for share in s.coverage.share)
    print(
        f"{name:34} cov {shares}  error {s.mean_error:.3g} median {s.median_error:.3g} "
        f"sd {s.mean_sd:.3g} rho {s.confounding:.2f} PIT {s.pit.tolist()}",
        flush=True,
    )
    for label, cover in s.strata.items():
        print(f"    {label:20} {cover.count:4} signals: {cover.share[2]:.3f}")


def fitted(physics, residual, signals, **options):
    """A fitted model and what it cost."""
    began = time.process_time()
    model = gb.SectorModel(physics, residual, **options).fit(signals)
    spent = time.process_time() - began
    print(
        f"  fit: {spent:.0f} CPU s, {len(model.history_)} steps, evidence {model.evidence_:.2f}, "
        f"noise {[f'{value:.5f}' for value in model.history_[-1].noise]}",
        flush=True,
    )
    return model


def small(arguments):
    for name in ("oscillator", "lotka-volterra", "sir"):
        task = tasks.TASKS[name]
        train = task.generate(task.seeds[0], 100).signals
        test = task.generate(task.seeds[2], 300)
        for residual in ([], task.residual()):
            model = fitted(task.physics(), residual, train)
            found = model.infer(test.signals)
            label = residual[0].name if residual else "physics only"
            for parameter in found:
                row(f"{name} {parameter}, {label}", found[parameter], test.drawn[parameter])


def pendulum_strata(drawn):
    theta, omega = np.abs(drawn["theta"]), drawn["omega"]
    return {
        "|theta0| < 0.4": theta < 0.4,
        "|theta0| > 0.8": theta > 0.8,
        "omega < 1.5": omega < 1.5,
        "omega > 2.3": omega > 2.3,
        "A < 10": drawn["A"] < 10,
    }


def pendulum(arguments):
    train = tasks.draw_pendulum(1234, 1000, arguments.train).signals
    test = tasks.draw_pendulum(1236, 1000, arguments.test)
    candidates = {
        "physics only": ([], "shared"),
        "white ridge": ([gb.White()], "per-sample"),
        "force only": ([gb.Force()], "per-sample"),
        "friction + force": ([tasks.friction(), gb.Force()], "per-sample"),
    }
    for name, (residual, amplitude) in candidates.items():
        if arguments.only and arguments.only not in name:
            continue
        model = fitted(tasks.pendulum_physics(), residual, train, amplitude=amplitude)
        began = time.process_time()
        found = model.infer(test.signals)
        spent = (time.process_time() - began) / len(test.signals)
        row(name, found["omega"], test.drawn["omega"], pendulum_strata(test.drawn))
        print(f"  {spent:.3f} CPU s per new signal; test evidence {found.log_evidence.mean():.2f}")


def absent(arguments):
    """Neither friction nor force in the data."""
    options = {"friction": False, "force": False}
    train = tasks.draw_pendulum(1234, 1000, arguments.train, **options).signals
    test = tasks.draw_pendulum(1236, 1000, arguments.test, **options)
    for residual in ([], [tasks.friction(), gb.Force()]):
        amplitude = "per-sample" if residual else "shared"
        model = fitted(tasks.pendulum_physics(), residual, train, amplitude=amplitude)
        found = model.infer(test.signals)["omega"]
        row("friction + force" if residual else "physics only", found, test.drawn["omega"])
        if residual:
            for name in ("friction", "force"):
                print(f"  largest sd of {name}: {model.residual_[name]['sd'].max():.3g}")


def advection(arguments):
    reaction = gb.Feature(lambda t, y, z: y, "reaction")
    patterns = np.sin(np.pi * np.outer(np.arange(1, 21), np.arange(1, 7)) / 21)
    candidates = {
        "none": [],
        "force": [gb.Force(1, into=patterns, spectrum="tied")],
        "reaction": [reaction],
        "transport": [tasks.transport()],
        "transport + reaction": [tasks.transport(), reaction],
    }
    train = tasks.draw_advection_diffusion(1234, 1000, arguments.train).signals
    test = tasks.draw_advection_diffusion(1236, 1000, arguments.test)
    for name, residual in candidates.items():
        if arguments.only and arguments.only != name:
            continue
        noise = 0.001 if arguments.known_noise else None
        model = fitted(tasks.advection_diffusion_physics(), residual, train, noise=noise)
        row(name, model.infer(test.signals)["D"], test.drawn["D"])


def ranks(arguments):
    """Simulation-based calibration for one and for two parameters."""
    for name in ("oscillator", "lotka-volterra"):
        task = tasks.TASKS[name]
        train = task.generate(task.seeds[0], 100).signals
        model = fitted(task.physics(), task.residual(), train)
        found = gb.calibrate(model, train, simulations=arguments.test, seed=5)
        for parameter, p in found.p_value.items():
            counts = np.histogram(found.ranks[parameter], 10, (0, 1))[0].tolist()
            distance = found.distance[parameter]
            print(f"{name} {parameter}: {found.count} ranks, D {distance:.4f}, p {p:.3f}, {counts}")


def nuts(arguments):
    """Posterior draws of 20 signals against NUTS in (zeta, w) with the same hyper-parameters, where
    nothing is linearized and nothing integrated out; pendulums each at the amplitude of force that
    is most probable."""
    task, driven = tasks.TASKS[arguments.task], arguments.task == "pendulum"
    train = task.generate(task.seeds[0], 1000 if driven else 100, arguments.train).signals
    signals = task.generate(task.seeds[2], 1000 if driven else 300, 20).signals
    amplitude = "per-sample" if driven else "shared"
    model = fitted(task.physics(), task.residual(), train, amplitude=amplitude)
    learned = model.hyperparameters_
    with jax.enable_x64(True):
        logs = model._explore(model._prepare(signals)).evidence.log_evidence
        likely = scipy.special.logsumexp(logs, axis=1).argmax(axis=1)
    shift, ratio = np.zeros(20), np.zeros(20)
    for place in np.unique(likely):
        rows = np.flatnonzero(likely == place)
        with jax.enable_x64(True):
            model.hyperparameters_ = dataclasses.replace(
                learned, amplitudes=learned.amplitudes[place][None], log_weights=jnp.zeros(1)
            )
            mean, sd = chains(model, signals[rows])
        ours = model.infer(signals[rows])["omega"]
        shift[rows], ratio[rows] = (ours.mean - mean) / sd, ours.sd / sd
        print(f"amplitude {float(learned.amplitudes[place]):g}: signals {rows.tolist()}")
        print(f"  {shift[rows].round(3).tolist()}\n  {ratio[rows].round(3).tolist()}", flush=True)
    print(f"difference of means, in sd: largest {np.abs(shift).max():.3f}")
    print(f"ratio of sd: {ratio.min():.3f} to {ratio.max():.3f}")


def chains(model, signals, warm=500, kept=2000):
    """Mean and standard deviation of the one parameter by NUTS, a chain for each signal, in the
    coordinates that whiten the Gauss-Newton posterior at its top (a hundred forces of very
    different learnability would take trees of a thousand steps)."""
    import blackjax

    assembly, hyper = model.assembly_, model.hyperparameters_
    prior = assembly.physics.parameters.log_prior
    scale = hyper.scale(assembly)
    scale = scale * jnp.where(assembly.layout.amplified, hyper.amplitudes[0], 1.0)
    noise = jnp.repeat(hyper.noise, assembly.times)
    read = model._prepare(signals)
    points = model._explore(read)
    top, rows = points.log_weight.argmax(axis=1), np.arange(len(signals))
    zeta, w = points.unbounded[rows, top], points.evidence.coefficients[rows, top]
    _, jacobian, directions = model.engine_.linearize(read.flat, zeta, w)

    def run(x, zeta, w, jacobian, directions, key):
        start = jnp.concatenate([zeta, (w - hyper.mean) / jnp.where(scale > 0, scale, 1.0)])
        design = jnp.concatenate([directions, jacobian * scale], axis=1) / noise[:, None]
        curvature = jnp.concatenate([-jnp.diag(jax.hessian(prior)(zeta)), jnp.ones(len(w))])
        factor = jnp.linalg.cholesky(design.T @ design + jnp.diag(curvature))

        def log_density(xi):
            q = start + jax.scipy.linalg.solve_triangular(factor.T, xi, lower=False)
            off = (x - assembly.predict(x, q[:1], hyper.mean + scale * q[1:])) / noise
            return -0.5 * off @ off - 0.5 * q[1:] @ q[1:] + prior(q[:1])

        adaptation = blackjax.window_adaptation(blackjax.nuts, log_density)
        (state, tuned), _ = adaptation.run(key, jnp.zeros(len(start)), num_steps=warm)
        kernel = blackjax.nuts(log_density, **tuned)

        def step(state, key):
            state, _ = kernel.step(key, state)
            moved = jax.scipy.linalg.solve_triangular(factor.T, state.position, lower=False)
            return state, start[0] + moved[0]

        return jax.lax.scan(step, state, jax.random.split(key, kept))[1]

    keys = jax.random.split(jax.random.key(0), len(signals))
    draws = np.asarray(jax.jit(jax.vmap(run))(read.flat, zeta, w, jacobian, directions, keys))
    omega = assembly.physics.parameters.physical_array(draws[..., None])[..., 0]
    return omega.mean(axis=1), omega.std(axis=1)


def balls(arguments):
    """Falling balls: release, drag and camera scale are confounded with g = 9.81."""
    data = np.load(arguments.file)
    ball, drop, names = data["ball"], data["drop"], data["ball_names"].astype(str)
    pairs = sorted({(int(b), int(d)) for b, d in zip(ball, drop, strict=True)})
    spectra = []
    for pair in pairs:
        chosen = (ball == pair[0]) & (drop == pair[1])
        spectra.append((data["time"][chosen], data["height"][chosen]))
    times = np.arange(0, max(t[-1] for t, _ in spectra) + 1e-9, 1 / 15)
    signals = np.full((len(spectra), len(times)), np.nan)
    for i, (t, h) in enumerate(spectra):
        places = np.rint(t / (1 / 15)).astype(int)
        signals[i, places] = h
    physics = gb.ODE(
        lambda t, y, z: (y[1], -z["g"] + 0.0 * y[0]),
        {"g": (2.0, 20.0)},
        lambda x: (x[0], 0.0),
        times,
        steps=2,
        start_spread=(20.0, 3.0),  # a late release looks like a push upwards of 1 to 2 m/s
        name="free fall",
    )
    # Wide enough for light balls (terminal speed 10 m/s), too narrow to blow up.
    drag = gb.Feature(lambda t, y, z: (0.0, -y[1] * jnp.abs(y[1])), "drag", scale=0.015)
    candidates = {
        "physics only": [],
        "smooth output error": [gb.GaussianProcess(Matern32(length_scale=1.0))],
        **{f"force, tied, {n}": [gb.Force(n, spectrum="tied")] for n in (1, 2, 3, 5, 8)},
        "force, smooth": [gb.Force(12, spectrum="smooth")],
        "drag + force, smooth": [drag, gb.Force(12, spectrum="smooth")],
    }
    heavy = ("baseball", "bowling", "golf")
    dense = [i for i, pair in enumerate(pairs) if any(k in names[pair[0]].lower() for k in heavy)]
    for name, residual in candidates.items():
        if arguments.only not in name:
            continue
        amplitude = "per-sample" if residual else "shared"
        model = fitted(physics, residual, signals, amplitude=amplitude, tolerance=0.2)
        found = model.infer(signals)["g"]
        truth = np.full(len(signals), 9.81)
        row(name, found, truth)
        cover = coverage(found.rank(truth)[dense])
        print(f"  dense balls: {cover.share[2]:.2f} of {cover.count}; {found.sentence}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = (small, pendulum, absent, advection, ranks, nuts, balls)
    table = {command.__name__: command for command in commands}
    parser.add_argument("command", choices=table)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--train", type=int, default=100)
    parser.add_argument("--test", type=int, default=300)
    parser.add_argument("--only", default="")
    parser.add_argument("--task", choices=("oscillator", "pendulum"), default="oscillator")
    parser.add_argument("--known-noise", action="store_true")
    arguments = parser.parse_args()
    print("levels of coverage:", *LEVELS)
    table[arguments.command](arguments)


if __name__ == "__main__":
    main()
