"""Hybrid autoencoders beside what they must beat, one row for each training, appended to a file
(a run that was stopped goes on where it stood; `table` prints what the file holds).

    python benchmarks/greybox_autoencoders.py gait locomotion.npz --rows gait.jsonl --seeds 5
    python benchmarks/greybox_autoencoders.py sector locomotion.npz --rows gait.jsonl
    python benchmarks/greybox_autoencoders.py pendulum --rows pendulum.jsonl --epochs 300
    python benchmarks/greybox_autoencoders.py table gait.jsonl
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from wilsonian import greybox as gb
from wilsonian.greybox import tasks
from wilsonian.greybox.baselines import mean_signal, physics_alone, principal_components
from wilsonian.greybox.hybrid.encoder import Sizes
from wilsonian.greybox.hybrid.objective import Weights
from wilsonian.greybox.metrics import score

GAIT = Weights(-13.8, 1e-2, 0.0, 0.0, 0.5)
PENDULUM = Weights(-9.0, 1e-2, 1e-1, 1e-3, 1.0)
RELEASED = Weights(-9.0, 1e-2, 1e-1, 1e-3, 0.5 * (1 + 1e-2))
NOISY_INPUT = 0.1  # rad, added to every entry of a test signal
ZEROED = 0.3  # of the samples and of the features


def squares(truth, found):
    """Squared error summed over a signal, mean over signals."""
    off = np.reshape(truth, (len(truth), -1)) - np.reshape(found, (len(found), -1))
    return float(np.mean(np.sum(off**2, axis=1)))


def noisy(signals):
    return signals + np.random.default_rng(0).normal(0, NOISY_INPUT, signals.shape)


class Rows:
    """Results, one JSON object a line; what is there is not done again."""

    def __init__(self, path):
        self.path = Path(path)
        self.rows = []
        if self.path.exists():
            self.rows = [json.loads(line) for line in self.path.read_text().splitlines()]

    def has(self, **key):
        return any(all(row.get(k) == v for k, v in key.items()) for row in self.rows)

    def add(self, row):
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def scored(found, truth):
    """Error and coverage of one parameter."""
    s = score(found, truth)
    return {
        "error": s.mean_error,
        "median": s.median_error,
        "sd": s.mean_sd,
        "coverage": s.coverage.share[2],
    }


def trained(model, train, valid, test, truth=None):
    """Fit an autoencoder and measure it."""
    began = time.process_time()
    model.fit(train, valid)
    row = {
        "clean": squares(test, model.reconstruct(test, corruption=0.0).both),
        "zeroed": squares(test, model.reconstruct(test, corruption=ZEROED).both),
        "input": squares(test, model.reconstruct(noisy(test), corruption=0.0).both),
        "epochs": len(model.history_),
        "status": model.status_,
    }
    if model.parameter_count:
        row["permutation"] = model.permutation_test(test)
    if isinstance(model.physics, gb.ODE) and truth is not None:
        row |= scored(model.infer(test)["omega"], truth)
        row["physics path"] = squares(test, model.reconstruct(test).physics)
    return row | {"seconds": round(time.process_time() - began)}


def references(rows, key, train, test, counts):
    """The mean and principal components, once."""
    if rows.has(model="mean signal", **key):
        return
    rows.add({"model": "mean signal", **key, "clean": mean_signal(train, test)})
    found = principal_components(train, test, counts)
    shifted = noisy(np.reshape(test, (len(test), -1)))
    center = np.reshape(train, (len(train), -1)).mean(axis=0)
    components = np.linalg.svd(np.reshape(train, (len(train), -1)) - center)[2]
    for count, value in found.items():
        kept = components[:count]
        back = center + (shifted - center) @ kept.T @ kept
        rows.add({"model": f"PCA {count}", **key, "clean": value, "input": squares(test, back)})


def pendulum(arguments, rows):
    train = tasks.draw_pendulum(1234, 1000).signals
    valid = tasks.draw_pendulum(1235, 500).signals
    test = tasks.draw_pendulum(1236, 1000)
    truth, key = test.drawn["omega"], {"split": "pendulum"}
    references(rows, key, train, test.signals, [3, 4])
    physics, euler = tasks.pendulum_physics(), tasks.pendulum_physics()
    euler.solver = "euler"
    ours = {
        "physics alone": ([], "shared"),
        "white ridge": ([gb.White()], "per-sample"),
        "sector model": ([tasks.friction(), gb.Force()], "per-sample"),
    }
    for name, (residual, amplitude) in ours.items():
        if rows.has(model=name, **key) or arguments.only not in name:
            continue
        began = time.process_time()
        model = gb.SectorModel(physics, residual, amplitude=amplitude).fit(train[:100])
        found = model.infer(test.signals[:400])
        row = {"model": name, **key, "clean": squares(test.signals[:400], found.fitted)}
        row |= scored(found["omega"], truth[:400])
        rows.add(row | {"seconds": round(time.process_time() - began)})
    plain = {"posterior": "gaussian", "attention": None, "inner": 0, "latent_parameters": 1}
    candidates = {
        "network without physics": (None, plain),
        "released": (euler, {"posterior": "gaussian", "preset": "released", "weights": RELEASED}),
        "corrected": (physics, {"layers": (4, 4), "weights": PENDULUM}),
    }
    for seed in range(arguments.seeds):
        for name, (known, options) in candidates.items():
            label = {"model": name, **key, "seed": seed, "trained": arguments.epochs}
            if rows.has(**label) or arguments.only not in name:
                continue
            model = gb.HybridVAE(
                known, 3, epochs=arguments.epochs, batch=100, random_state=seed, **options
            )
            rows.add(label | trained(model, train, valid, test.signals, truth))


def gait_data(path, split):
    data = np.load(path)
    angles = data["angles"].astype(float)
    return tuple(angles[data[f"{split}_{part}"]] for part in ("train", "valid", "test"))


NARROW, WIDE = (64, 32), ()
PLAIN = {"posterior": "gaussian", "attention": None}
FLOW = {"posterior": "planar", "layers": (12, 5), "attention": None}
# Name: physics, auxiliary latents, latents of the physics, hidden layers of the heads, options.
GAIT_MODELS = {
    "network": (None, 17, 0, NARROW, PLAIN),
    "network, wide heads": (None, 17, 0, WIDE, PLAIN),
    "network + flow": (None, 15, 2, NARROW, FLOW),
    "mechanics": ("hamiltonian", 15, 2, NARROW, PLAIN),
    "mechanics + flow": ("hamiltonian", 15, 2, NARROW, FLOW),
    "corrected: mechanics + flow + tokens": (
        "hamiltonian", 15, 2, NARROW, {**FLOW, "attention": "tokens"},
    ),
    "released: mechanics + flow + batch gate": (
        "hamiltonian", 15, 2, NARROW, {**FLOW, "preset": "released"},
    ),
}  # fmt: skip
# What the claims hang on comes first, for all seeds and splits; then the other variants.
FIRST = ("released", "corrected", "network, wide heads", "network + flow")


def gait_work(arguments):
    """(seed, split, name, corruption), most important first."""
    central = [name for name in GAIT_MODELS if name.startswith(FIRST)]
    others = [name for name in GAIT_MODELS if name not in central]
    noisy_ones = [name for name in GAIT_MODELS if "mechanics + flow" in name]
    stages = (
        (central, 0.0, arguments.splits),
        (others, 0.0, arguments.splits),
        (noisy_ones, 0.1, arguments.splits[:1]),
    )
    for names, corruption, splits in stages:
        for seed in range(arguments.seeds):
            for split in splits:
                for name in names:
                    if arguments.only in name:
                        yield seed, split, name, corruption


def gait(arguments, rows):
    for seed, split, name, corruption in gait_work(arguments):
        train, valid, test = gait_data(arguments.file, split)
        references(rows, {"split": split}, train, test, [4, 10, 15, 17])
        label = {"model": name, "split": split, "seed": seed, "corruption": corruption}
        label["trained"] = arguments.epochs
        if rows.has(**label):
            continue
        physics, auxiliary, latents, heads, options = GAIT_MODELS[name]
        model = gb.HybridVAE(
            physics,
            auxiliary,
            latent_parameters=latents,
            epochs=arguments.epochs,
            batch=arguments.batch,
            sizes=Sizes((512, 512), 512, heads, outer=(512, 512)),
            weights=GAIT,
            corruption=corruption,
            random_state=seed,
            **options,
        )
        rows.add(label | trained(model, train, valid, test))


def swings(times):
    """Hip, knee and ankle as three swings about resting angles, each with its own frequency."""
    names = [f"{what}_{joint}" for what in ("omega", "rest") for joint in ("hip", "knee", "ankle")]

    def field(t, y, z):
        pulls = [-(z[names[i]] ** 2) * (y[i] - z[names[3 + i]]) for i in range(3)]
        return jnp.concatenate([y[3:], jnp.stack(pulls)])

    bounds = {name: (2.0, 16.0) if name.startswith("omega") else (-0.6, 1.2) for name in names}
    start = lambda x: jnp.concatenate([x[:, 0], (x[:, 1] - x[:, 0]) / times[1]])  # noqa: E731
    return gb.ODE(field, bounds, start, times, observe=lambda y: y[:3], name="swings")


def sector(arguments, rows):
    """The sector model on gait: a simulator that is plainly wrong, and forces on every joint."""
    warnings.simplefilter("ignore", gb.ConfoundedWarning)
    for split in arguments.splits:
        train, _, test = gait_data(arguments.file, split)
        physics = swings(np.linspace(0, 1, 101))
        if not rows.has(model="physics alone", split=split):
            began = time.process_time()
            clean, _ = physics_alone(physics, train[:60], test)
            row = {"model": "physics alone", "split": split, "clean": clean}
            rows.add(row | {"seconds": round(time.process_time() - began)})
        if rows.has(model="sector model", split=split):
            continue
        began = time.process_time()
        force = gb.Force(20, into=(3, 4, 5))
        model = gb.SectorModel(physics, [force], max_steps=15, tolerance=0.5).fit(train[:60])
        found, blurred = model.infer(test), model.infer(noisy(test))
        confounding = {name: float(np.median(found[name].confounding)) for name in found}
        rows.add(
            {
                "model": "sector model",
                "split": split,
                "clean": squares(test, found.fitted),
                "input": squares(test, blurred.fitted),
                "physics path": squares(test, found.physics),
                "modes": float(found.learnability.sum(axis=1).mean()),
                "confounding": confounding,
                "seconds": round(time.process_time() - began),
            }
        )


SHOWN = ("clean", "zeroed", "input", "permutation", "coverage", "error", "physics path", "seconds")


def table(arguments, rows):
    """Means and standard deviations over seeds, as Markdown."""
    groups = {}
    for row in rows.rows:
        key = (row["split"], row["model"], row.get("corruption"), row.get("trained"))
        groups.setdefault(key, []).append(row)
    print("| split | model | trained with | epochs | seeds |", " | ".join(SHOWN), "|")
    print("|---" * (5 + len(SHOWN)) + "|")
    for (split, name, corruption, epochs), found in sorted(groups.items(), key=lambda g: g[0][0]):
        cells = []
        for what in SHOWN:
            values = [row[what] for row in found if what in row]
            spread = f" ± {np.std(values):.2g}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.4g}{spread}" if values else "")
        how = "" if corruption is None else f"{corruption:g} zeroed" if corruption else "clean"
        print(
            f"| {split} | {name} | {how} | {epochs or ''} | {len(found)} |", " | ".join(cells), "|"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = {"gait": gait, "sector": sector, "pendulum": pendulum, "table": table}
    parser.add_argument("command", choices=commands)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--rows", help="JSON lines, one for each training")
    parser.add_argument("--splits", nargs="+", default=["cycle", "subject"])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    path = arguments.file if arguments.command == "table" else arguments.rows
    if not path:
        parser.error("name the file of rows: --rows FILE")
    commands[arguments.command](arguments, Rows(path))


if __name__ == "__main__":
    main()
