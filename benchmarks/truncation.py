"""What integrating modes out is worth: calibration of the renormalized ridge at strong truncation.

    python benchmarks/truncation.py --data ../shared/data        # kin40k, 125 modes; a minute

The same learned kernel and the same kept modes, three times: with the eliminated modes in the ridge
and in the predictive variance; plainly truncated, with the bare noise only; and truncated with its
noise fitted anew to the truncated theory's evidence, which knows nothing of the eliminated modes
but may pay for them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import numpy as np
from datasets import load
from uci import DEFAULT_DATA, score

from wilsonian import Matern52, ReducedGPRegressor


def truncation(gp: ReducedGPRegressor, kept: int, noise: float, X: np.ndarray):
    """Mean and standard deviation of a new label from `kept` modes and a noise variance alone."""
    process, modes = gp.process_, gp.process_.modes
    signal = modes.n_samples * process.amplitude * modes.eigenvalues[:kept]
    learned = signal / (noise + signal)
    with jax.enable_x64(True):
        basis = process.basis(X)[:, :kept]
    mean = basis @ (learned[:, None] * modes.coefficients[:kept])
    prior = process.amplitude * modes.eigenvalues[:kept]
    variance = basis**2 @ (prior * (1 - learned)) + noise
    scale = modes.target_scale
    return (modes.target_mean + scale * mean)[:, 0], scale[0] * np.sqrt(variance)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--set", default="kin40k")
    parser.add_argument("--rank", type=int, default=512)
    parser.add_argument("--modes", type=int, nargs="+", default=[30, 60, 125, 250, 500])
    arguments = parser.parse_args()
    data = load(arguments.set, arguments.data)
    # Inducing points that move let the learned noise shrink to nothing, and truncation look absurd.
    gp = ReducedGPRegressor(
        Matern52(), rank=arguments.rank, move_inducing_points=False, random_state=0
    )
    gp.fit(data.X, data.y)
    print(f"{arguments.set}: {len(data.X):,} rows, rank {gp.rank_}, test NLPD in nats")
    print("modes  renormalized  truncated  difference  truncated, noise fitted anew")
    for kept in arguments.modes:
        mean, std = gp.coarse_grained(kept).predict(data.X_test, True, include_noise=True)
        renormalized = score(data.y_test, mean, std)[1]
        bare, fitted = (
            score(data.y_test, *truncation(gp, kept, noise, data.X_test))[1]
            for noise in (gp.process_.noise_variance, gp.flow_.evidence_ridge[kept])
        )
        difference = bare - renormalized
        print(f"{kept:5d}  {renormalized:12.3f}  {bare:9.3g}  {difference:10.3g}  {fitted:10.3f}")


if __name__ == "__main__":
    main()
