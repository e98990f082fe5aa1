"""Random features: theory against simulation, a printed table and every variant.

    python benchmarks/random_features.py                # variants at three sizes; some minutes
    python benchmarks/random_features.py --printed      # docs/science/random-features.md
    python benchmarks/random_features.py --printed --blocks 400   # converged: finite-size effects

z is mean less theory in standard errors, of the test error and of the part furthest off. Theory is
that of infinite size: with enough draws its corrections, of relative order one over the size, are
seen, first in what hardly scatters, `kappa_1` and the noise. They fall as the size grows, and so
does the scatter of one draw, the relative standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.theory.random_features import AbstractRandomFeatures, ErrorDecomposition, Population
from wilsonian.theory.random_features.models import (
    AnisotropicRandomFeatures,
    DeepRandomFeatures,
    LinearRandomFeatures,
    NonlinearRandomFeatures,
    ProjectedRandomFeatures,
)
from wilsonian.theory.random_features.simulation import random_feature_simulation

# docs/science/random-features.md, section 2: P, N, lambda; E_g, bias, bias + V_F, bias + V_X,
# kappa_1, kappa_2, (kappa_1 / lambda)^2 of the theory; E_g and the three others as simulated there.
PRINTED = (
    (
        *(100, 200, 1e-3),
        (".17290", ".02753", ".04345", ".04100", ".00491", ".00817", "24.1"),
        (0.17613, 0.02566, 0.04208, 0.03887),
    ),
    (
        *(200, 100, 1e-3),
        (".17416", ".02753", ".06715", ".03294", ".00166", ".00817", "2.76"),
        (0.17218, 0.02674, 0.06580, 0.03200),
    ),
    (
        *(150, 150, 1e-2),
        (".14982", ".05618", ".07740", ".06296", ".01431", ".02048", "2.048"),
        (0.14776, 0.05541, 0.07624, 0.06261),
    ),
    (
        *(100, 1000, 1e-4),
        (".13599", ".02044", ".02305", ".03594", ".00513", ".00569", "2630"),
        (0.13903, 0.01930, 0.02202, 0.03429),
    ),
)
PARTS = tuple(
    field.name
    for field in dataclasses.fields(ErrorDecomposition)
    if field.name not in ("label_noise", "data_ridge", "test_error", "train_error")
)


def printed_population() -> Population:
    """D = 400, lambda_i = i^-1.3, w_i = i^-0.3, noise .05."""
    index = np.arange(1.0, 401)
    return Population.of(index**-1.3, index**-1.9, 0.05)


def printed_theory(samples: int, width: int, ridge: float) -> tuple[float, ...]:
    """The seven numbers of a row; `ridge` is lambda."""
    model = LinearRandomFeatures(printed_population(), width)
    parts = model.decompose(samples, samples * ridge)
    with jax.enable_x64(True):
        innermost = float(model.effective_ridge(samples, samples * ridge))
    return (
        float(parts.test_error),
        float(parts.bias),
        float(parts.bias + parts.feature_variance),
        float(parts.bias + parts.data_variance),
        float(parts.data_ridge),
        innermost,
        float(parts.data_ridge / ridge) ** 2,
    )


def population(inputs: int) -> Population:
    """A spectrum that spans a factor of ten whatever the number of inputs: every ratio that the
    theory depends on stays the same as the size grows."""
    place = (np.arange(inputs) + 0.5) / inputs
    eigenvalues = 1 / (1 + 9 * place)
    power = eigenvalues**2 / np.sum(eigenvalues**2)
    return Population.of(eigenvalues, power, 0.1)


def linear(inputs: int) -> AbstractRandomFeatures:
    return LinearRandomFeatures(population(inputs), inputs * 3 // 4)


def deep(inputs: int) -> AbstractRandomFeatures:
    return DeepRandomFeatures(population(inputs), (inputs, inputs * 3 // 4))


def deep_noisy(inputs: int) -> AbstractRandomFeatures:
    widths = (inputs, inputs * 3 // 4)
    return DeepRandomFeatures(population(inputs), widths, feature_noise=0.1 * inputs)


def projected(inputs: int) -> AbstractRandomFeatures:
    return ProjectedRandomFeatures(population(inputs), inputs * 3 // 4)


def anisotropic(inputs: int) -> AbstractRandomFeatures:
    scales = np.sqrt(2 - np.arange(inputs) / inputs)
    variances = np.linspace(0.2, 1.8, inputs * 3 // 4)
    return AnisotropicRandomFeatures(population(inputs), scales, variances)


def noisy(inputs: int) -> AbstractRandomFeatures:
    return LinearRandomFeatures(population(inputs), inputs * 3 // 4, feature_noise=0.1 * inputs)


def nonlinear(inputs: int) -> AbstractRandomFeatures:
    return NonlinearRandomFeatures(population(inputs), inputs * 3 // 4, jnp.tanh)


def nonlinear_relu(inputs: int) -> AbstractRandomFeatures:
    return NonlinearRandomFeatures(population(inputs), inputs * 3 // 4, jax.nn.relu)


VARIANTS: dict[str, Callable[[int], AbstractRandomFeatures]] = {
    "linear": linear,
    "deep": deep,
    "deep, noisy": deep_noisy,
    "projected": projected,
    "anisotropic": anisotropic,
    "feature noise": noisy,
    "nonlinear, tanh": nonlinear,
    "nonlinear, relu": nonlinear_relu,
}


def setting(name: str, inputs: int) -> tuple[AbstractRandomFeatures, int, float]:
    """Model, samples and ridge (on the Gram matrix) of a variant at a size. Nonlinear features
    have kernel one instead of the trace of the inputs' covariance."""
    trace = 1.0 if name.startswith("nonlinear") else float(np.sum(population(inputs).eigenvalues))
    return VARIANTS[name](inputs), inputs * 5 // 4, 0.05 * trace


def print_table(blocks: int, seed: int) -> None:
    names = ("E_g", "bias", "bias+V_F", "bias+V_X")
    print(f"printed table, {16 * blocks} regressions a row; (se), z against theory")
    for samples, width, ridge, printed, simulated in PRINTED:
        theory = printed_theory(samples, width, ridge)
        model = LinearRandomFeatures(printed_population(), width)
        simulation = random_feature_simulation(
            model, samples, samples * ridge, blocks=blocks, random_state=seed
        )
        blocks_of = simulation.blocks
        measured = (
            blocks_of.test_error,
            blocks_of.bias,
            blocks_of.bias + blocks_of.feature_variance,
            blocks_of.bias + blocks_of.data_variance,
            blocks_of.data_ridge,
        )
        print(f"P {samples}, N {width}, lambda {ridge:g}: printed {' '.join(printed)}")
        print("    theory here " + " ".join(f"{value:.5g}" for value in theory), flush=True)
        rows = zip((*names, "kappa_1"), theory, measured, (*simulated, np.nan), strict=False)
        for name, expected, values, other in rows:
            mean, error = values.mean(), values.std(ddof=1) / blocks**0.5
            beside = "" if np.isnan(other) else f"  simulation then {other:.5f}"
            print(
                f"    {name:9s} {expected:.5f}  simulated {mean:.5f} ({error:.5f})  "
                f"z {(mean - expected) / error:+5.2f}  {mean / expected - 1:+.2%}{beside}",
                flush=True,
            )


def print_variants(sizes: list[int], blocks: int, seed: int, names: list[str]) -> None:
    print(f"{16 * blocks} regressions a row; kappa_1 and se relative to theory")
    print(
        "variant            D    P  E_g theory  simulated      se      z  dev. E_g  se, rel.  "
        "kappa_1  worst part"
    )
    for name in names:
        for inputs in sizes:
            model, samples, ridge = setting(name, inputs)
            theory = model.decompose(samples, ridge)
            simulation = random_feature_simulation(
                model, samples, ridge, blocks=blocks, random_state=seed
            )
            deviation = simulation.deviation(theory)
            worst = max(PARTS, key=lambda part: abs(float(getattr(deviation, part))))
            mean, error = simulation.mean.test_error, simulation.standard_error.test_error
            print(
                f"{name:16s} {inputs:4d} {samples:4d}  {theory.test_error:10.5f}  {mean:9.5f} "
                f"{error:7.5f}  {float(deviation.test_error):+5.2f}  "
                f"{mean / theory.test_error - 1:+8.2%}  {error / theory.test_error:8.2%}  "
                f"{simulation.mean.data_ridge / theory.data_ridge - 1:+7.2%}  "
                f"{worst} {float(getattr(deviation, worst)):+.2f} "
                f"({getattr(simulation.mean, worst) / getattr(theory, worst) - 1:+.1%})",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--printed", action="store_true", help="the printed table")
    parser.add_argument("--blocks", type=int, default=36, help="each of 4 x 4 draws")
    parser.add_argument("--sizes", type=int, nargs="+", default=[40, 80, 160])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    arguments = parser.parse_args()
    if arguments.printed:
        print_table(arguments.blocks, arguments.seed)
    else:
        print_variants(arguments.sizes, arguments.blocks, arguments.seed, arguments.variants)


if __name__ == "__main__":
    main()
