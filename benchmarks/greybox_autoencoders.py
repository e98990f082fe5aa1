"""Hybrid autoencoders beside what they must beat: the mean, principal components, a network of
equal width without physics, and the sector model's intervals.

    python benchmarks/greybox_autoencoders.py pendulum --epochs 300
    python benchmarks/greybox_autoencoders.py gait locomotion.npz --split subject --seeds 5
"""

import argparse
import time

import numpy as np

from wilsonian import greybox as gb
from wilsonian.greybox import tasks
from wilsonian.greybox.baselines import mean_signal, principal_components
from wilsonian.greybox.hybrid.encoder import Sizes
from wilsonian.greybox.hybrid.objective import Weights
from wilsonian.greybox.metrics import score

GAIT = Weights(-13.8, 1e-2, 0.0, 0.0, 0.5)
NATS = Weights(-9.0, 1e-2, 1e-1, 1e-3, 1.0)
RELEASED = Weights(-9.0, 1e-2, 1e-1, 1e-3, 0.5 * (1 + 1e-2))


def squares(truth, found):
    """Squared error summed over a signal, mean over signals."""
    off = truth.reshape(len(truth), -1) - found.reshape(len(truth), -1)
    return float(np.mean(np.sum(off**2, axis=1)))


def line(name, model, test, began, truth=None):
    """Reconstruction clean and corrupted, permutation, coverage of q(z|x) and parameter error."""
    clean = squares(test, model.reconstruct(test, corruption=0.0).both)
    dirty = squares(test, model.reconstruct(test, corruption=0.3).both)
    text = f"{name:34} clean {clean:.4f} corrupted(30%) {dirty:.4f}"
    if model.parameter_count:
        text += f" permutation {model.permutation_test(test):+.4f}"
    if truth is not None and isinstance(model.physics, gb.ODE):
        s = score(model.infer(test)["omega"], truth)
        text += f" error {s.mean_error:.3f}/{s.median_error:.3f} sd {s.mean_sd:.4f}"
        text += f" coverage90 {s.coverage.share[2]:.3f}"
        physics = squares(test, model.reconstruct(test).physics)
        text += f" physics path {physics:.2f}"
    print(f"{text}  ({time.process_time() - began:.0f} CPU s; {model.status_})", flush=True)
    return clean, dirty


def pendulum(arguments):
    train = tasks.draw_pendulum(1234, 1000).signals
    valid = tasks.draw_pendulum(1235, 500).signals
    test = tasks.draw_pendulum(1236, 1000)
    print(f"mean {mean_signal(train, test.signals):.2f}; PCA", end=" ")
    print({k: round(v, 4) for k, v in principal_components(train, test.signals, [3, 4]).items()})
    physics, euler = tasks.pendulum_physics(), tasks.pendulum_physics()
    euler.solver = "euler"
    gaussian = {"posterior": "gaussian", "inner": 1}
    candidates = {
        "network of equal width": (None, {"posterior": "gaussian", "attention": None, "inner": 0}),
        "released": (euler, {**gaussian, "preset": "released", "weights": RELEASED}),
        "corrected, planar, tokens": (physics, {"layers": (4, 4), "weights": NATS}),
    }
    for name, (known, options) in candidates.items():
        if arguments.only and arguments.only not in name:
            continue
        for seed in range(arguments.seeds):
            began = time.process_time()
            extra = {} if isinstance(known, gb.ODE) else {"latent_parameters": 1}
            model = gb.HybridVAE(
                known, 3, epochs=arguments.epochs, batch=100, random_state=seed, **extra, **options
            )
            model.fit(train, valid)
            line(f"{name}, seed {seed}", model, test.signals, began, test.drawn["omega"])


def gait(arguments):
    data = np.load(arguments.file)
    angles = data["angles"].astype(float)
    train, valid, test = (
        angles[data[f"{arguments.split}_{part}"]] for part in ("train", "valid", "test")
    )
    print(f"{arguments.split} split: {len(train)}, {len(valid)}, {len(test)} cycles")
    print(f"mean {mean_signal(train, test):.3f}; PCA", end=" ")
    print({k: round(v, 4) for k, v in principal_components(train, test, [4, 10, 15, 17]).items()})
    sizes = Sizes((512, 512), 512, (64, 32), (512, 512), (64, 64), (512, 512), (128, 128))
    gaussian = {"posterior": "gaussian", "attention": None}
    flow = {"posterior": "planar", "layers": (12, 5)}
    released = {**flow, "preset": "released"}
    candidates = {
        "network of equal width": (None, 17, 0, gaussian),
        "learned mechanics": ("hamiltonian", 15, 2, gaussian),
        "mechanics + flow + tokens": ("hamiltonian", 15, 2, {**flow, "attention": "tokens"}),
        "released flow": ("hamiltonian", 15, 2, released),
        "flow without mechanics": (None, 15, 2, {**flow, "attention": None}),
    }
    for name, (physics, auxiliary, latents, options) in candidates.items():
        if arguments.only and arguments.only not in name:
            continue
        for noise in (0.0, 0.1) if arguments.noisy else (0.0,):
            found = []
            for seed in range(arguments.seeds):
                began = time.process_time()
                model = gb.HybridVAE(
                    physics,
                    auxiliary,
                    latent_parameters=latents,
                    epochs=arguments.epochs,
                    batch=100,
                    sizes=sizes,
                    weights=GAIT,
                    corruption=noise,
                    random_state=seed,
                    **options,
                )
                model.fit(train, valid)
                found.append(line(f"{name}, noise {noise}, seed {seed}", model, test, began))
            mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
            print(
                f"  {name}, noise {noise}: clean {mean[0]:.4f} ± {spread[0]:.4f}, corrupted "
                f"{mean[1]:.4f} ± {spread[1]:.4f} over {len(found)} seeds",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("pendulum", "gait"))
    parser.add_argument("file", nargs="?")
    parser.add_argument("--split", default="cycle", choices=("cycle", "cycle2", "subject", "speed"))
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--noisy", action="store_true", help="also train with corruption")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    {"pendulum": pendulum, "gait": gait}[arguments.command](arguments)


if __name__ == "__main__":
    main()
