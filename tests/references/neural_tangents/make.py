"""Kernels of infinite networks by neural-tangents 0.6.5 under JAX 0.5.3, in float64.

    python -m venv nt-venv && nt-venv/bin/pip install neural-tangents==0.6.5 jax==0.5.3
    nt-venv/bin/python tests/references/neural_tangents/make.py           # compares
    nt-venv/bin/python tests/references/neural_tangents/make.py --write

`kernels.npz` holds inputs `X` (12, 7) and `Z` (9, 7) of dense networks, `A` (5, 8, 8, 3) and `B`
(4, 8, 8, 3) of convolutional ones, and of each architecture NAME `NAME/nngp`, `NAME/ntk` between
the two and `NAME/nngp_xx`, `NAME/ntk_xx` of the first with itself. Weights in the NTK
parameterization, given by standard deviations.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from neural_tangents import stax

STORED = Path(__file__).with_name("kernels.npz")


def dense(weight=1.5, bias=0.05):
    return stax.Dense(1, W_std=weight, b_std=bias)


def conv(**more):
    return stax.Conv(1, (3, 3), W_std=1.2, b_std=0.1, **({"padding": "SAME"} | more))


def blocks(activation, depth, weight=1.5, bias=0.05):
    layers = [layer for _ in range(depth) for layer in (dense(weight, bias), activation)]
    return stax.serial(*layers, dense(weight, bias))


def residual(*layers):
    branches = stax.parallel(stax.Identity(), stax.serial(*layers))
    return stax.serial(stax.FanOut(2), branches, stax.FanInSum())


R = stax.Relu()
NETWORKS = {
    "relu_depth1": blocks(R, 1),
    "relu_depth3": blocks(R, 3, 2**0.5, 0.1),
    "relu_depth10": blocks(R, 10, 2**0.5, 0.0),
    "erf_depth1": blocks(stax.Erf(), 1),
    "erf_depth3": blocks(stax.Erf(), 3),
    "gelu_depth2": blocks(stax.Gelu(), 2),
    "sin_depth2": blocks(stax.Sin(), 2),
    "cos_depth1": blocks(stax.Cos(), 1),
    "leakyrelu_depth2": blocks(stax.LeakyRelu(0.1), 2),
    "abs_depth2": blocks(stax.Abs(), 2),
    "rbf_depth1": blocks(stax.Rbf(0.7), 1),
    "sign_depth2_nngp": blocks(stax.Sign(), 2),
    "exp_depth1": blocks(stax.Exp(0.5, 0.3), 1),
    "residual_relu_3": stax.serial(dense(), *[residual(R, dense())] * 3, R, dense()),
    "layernorm_relu": stax.serial(
        dense(), stax.LayerNorm(), R, dense(), stax.LayerNorm(), stax.Erf(), dense()
    ),
    "conv_relu_flatten": stax.serial(conv(), R, conv(), R, stax.Flatten(), dense()),
    "conv_relu_gap": stax.serial(conv(), R, conv(), R, stax.GlobalAvgPool(), dense()),
    "conv_stride_valid": stax.serial(
        conv(strides=(2, 2), padding="VALID"), stax.Erf(), stax.Flatten(), dense()
    ),
    "conv_circular_avgpool": stax.serial(
        conv(padding="CIRCULAR"),
        *(R, stax.AvgPool((2, 2), strides=(2, 2)), conv(), R, stax.Flatten(), dense()),
    ),
    "conv_residual_gap": stax.serial(conv(), residual(R, conv()), R, stax.GlobalAvgPool(), dense()),
}


def kernels(inputs):
    found = {}
    for name, (_, _, kernel) in NETWORKS.items():
        left, right = (inputs[key] for key in ("AB" if name.startswith("conv") else "XZ"))
        for ending, pair in (("", (left, right)), ("_xx", (left, left))):
            for kind in ("nngp", "ntk"):
                found[f"{name}/{kind}{ending}"] = np.asarray(kernel(*pair, kind))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace what is stored")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    with np.load(STORED) as stored:
        stored = dict(stored)
    inputs = {key: stored[key] for key in "XZAB"}
    found = kernels(inputs)
    for name, values in found.items():
        off = np.max(np.abs(values - stored[name])) / np.max(np.abs(stored[name]))
        print(f"{name}: off by {off:.1e}")
    if arguments.write:
        np.savez_compressed(STORED, **inputs, **found)


if __name__ == "__main__":
    main()
