"""What the stored models predict now, and how this machine rounds: `python predict.py OUT.npz`.

By itself and not in the process of the tests, which compile without optimizations and so round
otherwise than a user's process does.
"""

import hashlib
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian import load_model

FOLDER = pathlib.Path(__file__).parent


def rounding():
    """A name of the machine's arithmetic: matrix products of NumPy, compiled ones and exponentials
    in both precisions."""
    matrix, found = np.random.default_rng(0).normal(size=(150, 24)), hashlib.sha256()
    found.update((matrix @ matrix.T).tobytes())
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(True):
            compiled = jax.jit(lambda X: jnp.exp(-((X @ X.T) ** 2)) @ jnp.sqrt(jnp.abs(X)))
            found.update(np.asarray(compiled(matrix.astype(dtype))).tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    then, now = np.load(FOLDER / "predictions.npz"), {"rounding": np.array(rounding())}
    for name in ("uniform", "input_dependent", "float32_network", "classifier"):
        model, X = load_model(FOLDER / name), then[f"{name}/inputs"]
        if name == "classifier":
            now[f"{name}/mean"] = model.predict_proba(X)
        else:
            now[f"{name}/mean"], now[f"{name}/std"] = model.predict(X, return_std=True)
    np.savez(sys.argv[1], **now)
