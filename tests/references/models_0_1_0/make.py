"""Models as version 0.1.0 saved them, and what they predict: `python make.py FOLDER`, with 0.1.0
installed. `from_the_command_line` is `wilsonian fit iris --max-rank 32 --out
from_the_command_line`.
"""

import pathlib
import sys

import numpy as np
from sklearn.datasets import load_diabetes, load_iris
from wilsonian.kernels.text import parse_kernel  # of 0.1.0

import wilsonian as w

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
X, y = (part[:150] for part in load_diabetes(return_X_y=True))
flowers, species = load_iris(return_X_y=True)
X_new, flowers_new = X[100:120] * 1.01, flowers[::7]
still = {"random_state": 0, "max_iterations": 5, "move_landmarks": False}
network = parse_kernel("0.5 * nngp:relu,depth=3 + matern32:length_scale=2")
regressors = {
    "uniform": w.ReducedGPRegressor(w.Matern52(), rank=24, **{**still, "max_iterations": 10}),
    "input_dependent": w.ReducedGPRegressor(w.RBF(), ridge="input-dependent", rank=20, **still),
    "float32_network": w.ReducedGPRegressor(
        network,
        rank=16,
        random_state=0,
        max_iterations=5,
        dtype="float32",
        cutoff=w.SmoothCutoff(1e-3),
    ),
}
predictions = {}
for name, gp in regressors.items():
    gp.fit(X, np.stack([y, y**1.5], 1) if name == "input_dependent" else y)
    w.save_model(gp, folder / name)
    mean, std = w.load_model(folder / name).predict(X_new, return_std=True)
    predictions |= {f"{name}/inputs": X_new, f"{name}/mean": mean, f"{name}/std": std}
classifier = w.ReducedGPClassifier(w.Matern52(), rank=20, **still).fit(flowers, species)
w.save_model(classifier, folder / "classifier")
probabilities = w.load_model(folder / "classifier").predict_proba(flowers_new)
predictions |= {"classifier/inputs": flowers_new, "classifier/mean": probabilities}
np.savez_compressed(folder / "predictions.npz", **predictions)
