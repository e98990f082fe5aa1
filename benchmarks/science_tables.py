"""Measure the reference tables of docs/science with this library, beside the printed values.

    python benchmarks/science_tables.py             # the tables' ten seeds: one minute
    python benchmarks/science_tables.py --seeds 100

Rows: docs/science/wilsonian.md, sections 7 and 8. `tests/test_science.py` loads this file and holds
a part of the rows against the printed values.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian import (
    AveragedTheory,
    BareRidge,
    DressedRidge,
    FullRidge,
    InputDependentRidge,
    LearnabilityCutoff,
    PointTheory,
    RankCutoff,
    Spectrum,
    UniformRidge,
    coarse_grain,
)
from wilsonian.theory.datasets import (
    AbstractFeatureLaw,
    Gaussian,
    Laplace,
    RegressionProblem,
    Sign,
    StudentT,
    VarianceCorrelated,
    matched_target,
    power_law,
    regression_problem,
)

POINTS = 300
SEEDS = 10  # of every row of tables 1 and 5


@dataclasses.dataclass(frozen=True)
class Reference:
    """A row of section 7: deterministic values, and (T, kappa, sigma_c^2, dressed) of cutoffs."""

    alpha: float
    ridge: float
    points: int
    modes: int
    trace: float
    effective_ridge: float
    gamma: float
    bias: float
    test_error: float
    kernel_error: float
    posterior_variance: float
    cutoffs: tuple[tuple[float, int, float, float], ...]

    def theory(self) -> AveragedTheory:
        eigenvalues = power_law(self.modes, self.alpha)
        return AveragedTheory.of(
            eigenvalues, matched_target(eigenvalues) ** 2, self.ridge, self.points
        )

    def measured(self) -> tuple[float, ...]:
        """The row's seven values, by this library."""
        theory = self.theory()
        return (
            float(jnp.sum(theory.eigenvalues)),
            float(theory.effective_ridge()),
            float(theory.overfitting()),
            float(theory.bias()),
            float(theory.test_error()),
            float(theory.kernel_error()),
            float(theory.posterior_variance()),
        )

    def measured_cutoff(self, threshold: float) -> tuple[int, float, float]:
        """kappa, the renormalized and the dressed ridge at a learnability threshold."""
        theory = self.theory()
        cutoff = LearnabilityCutoff(threshold, self.ridge, self.points)
        reduced = coarse_grain(theory, cutoff)
        lost = Spectrum.averaged(theory.eigenvalues).weighted(1 - reduced.weights)
        dressed = DressedRidge(self.ridge, self.points).absorb(lost)
        return int(jnp.sum(reduced.weights)), float(reduced.ridge), float(dressed.mean())


# Section 7, printed to all digits.
SECTION_7 = (
    Reference(
        *(0.5, 0.1, 300, 3000),
        *(2.57586355, 0.30664335, 0.26297335, 0.12600432, 0.17096305, 0.07560459, 0.20664335),
        (
            (0.5, 112, 0.2520495, 0.2180447),
            (0.2, 371, 0.1672531, 0.1614713),
            (0.1, 727, 0.1376386, 0.1357978),
        ),
    ),
    Reference(
        *(1.0, 0.1, 300, 3000),
        *(1.64460079, 0.13245162, 0.12292812, 0.01616959, 0.01843588, 0.01400614, 0.03245162),
        (
            (0.5, 50, 0.1194681, 0.1151587),
            (0.2, 104, 0.1092360, 0.1085328),
            (0.1, 159, 0.1059363, 0.1057177),
        ),
    ),
    Reference(
        *(1.0, 0.01, 200, 2000),
        *(1.64443419, 0.02802436, 0.32923647, 0.00879772, 0.01311597, 0.00505539, 0.01802436),
        (
            (0.5, 101, 0.0193523, 0.0170518),
            (0.2, 242, 0.0136238, 0.0133190),
            (0.1, 385, 0.0120942, 0.0120039),
        ),
    ),
)


@dataclasses.dataclass(frozen=True)
class Table1Row:
    """A row of table 1: (squared predictor error over MSE, reduced/exact MSE - 1 with read-out) by
    ridge; texts keep the number of printed digits."""

    alpha: float
    ridge: float
    modes: int
    threshold: float
    kept: int
    lost: str
    truncated: tuple[str, str]
    uniform: tuple[str, str]
    dressed: tuple[str, str]


TABLE_1 = (
    Table1Row(
        *(0.5, 0.1, 3000, 0.5, 112, ".152"), (".073", ".46"), (".0246", ".078"), (".0262", ".075")
    ),
    Table1Row(
        *(0.5, 0.1, 3000, 0.2, 371, ".067"),
        *((".020", "-.035"), (".0038", ".016"), (".0039", ".011")),
    ),
    Table1Row(
        *(0.5, 0.1, 3000, 0.1, 727, ".038"),
        *((".0057", "-.026"), (".00098", ".0057"), (".00099", ".0041")),
    ),
    Table1Row(
        *(0.5, 0.001, 3000, 0.5, 199, ".105"), (".715", "969"), (".048", ".071"), (".055", ".11")
    ),
    Table1Row(
        *(0.5, 0.001, 3000, 0.3, 631, ".043"),
        *((".149", ".17"), (".0086", ".012"), (".0098", ".013")),
    ),
    Table1Row(
        *(1.0, 0.001, 3000, 0.5, 255, ".0036"), (".243", ".70"), (".037", ".059"), (".042", ".055")
    ),
    Table1Row(
        *(1.0, 0.001, 3000, 0.2, 786, ".0009"),
        *((".0126", "-.010"), (".0019", ".0052"), (".0020", ".0031")),
    ),
    Table1Row(
        *(0.2, 0.05, 4000, 0.3, 329, ".616"),
        *((".549", "1.81"), (".0136", ".018"), (".0147", ".021")),
    ),
)


@dataclasses.dataclass(frozen=True)
class Table5Row:
    """A row of table 5: squared predictor error over MSE by ridge, and the kept sector's
    reduced/exact MSE - 1."""

    name: str
    law: AbstractFeatureLaw
    uniform: str
    best_uniform: str
    input_dependent: str
    uniform_mse: str
    input_dependent_mse: str


TABLE_5_KEPT = 381  # alpha = .3, sigma^2 = .05, n = 300, p = 3000, T = .3
TABLE_5 = (
    Table5Row("1", Gaussian(), ".0128", ".0128", ".0127", ".005", ".005"),
    Table5Row(
        "1 + .3 (phi^2 - 1)",
        VarianceCorrelated("linear", 0.3, TABLE_5_KEPT),
        *(".0185", ".0177", ".0121", ".011", ".005"),
    ),
    Table5Row(
        "1 + .9 (phi^2 - 1)",
        VarianceCorrelated("linear", 0.9, TABLE_5_KEPT),
        *(".0670", ".0541", ".0072", ".074", ".007"),
    ),
    Table5Row(
        "exp(phi - 1/2)",
        VarianceCorrelated("log-normal", unaffected=TABLE_5_KEPT),
        *(".0584", ".0466", ".0079", ".079", ".006"),
    ),
    Table5Row(
        "1.9 / .1 by sign phi",
        VarianceCorrelated("step", unaffected=TABLE_5_KEPT),
        *(".0936", ".0781", ".0055", ".066", ".006"),
    ),
    Table5Row(
        "exp(h - 1/2), hidden",
        VarianceCorrelated("hidden", unaffected=TABLE_5_KEPT),
        *(".0577", ".0467", ".0081", ".078", ".008"),
    ),
)
INDEPENDENT = (  # below table 5: independent features of any law behave alike
    ("signs", Sign(), ".0128"),
    ("Laplace", Laplace(), ".0129"),
    ("Student t, 5", StudentT(5.0), ".0127"),
    ("Gaussian", Gaussian(), ".0129"),
)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Mean over seeds and the standard error of a mean over `seeds` seeds."""

    mean: float
    deviation: float  # of one seed
    seeds: int

    @classmethod
    def of(cls, values: np.ndarray) -> Estimate:
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)), len(values))

    @property
    def error(self) -> float:
        return self.deviation / self.seeds**0.5

    def tolerance(self, printed: str, sigmas: float = 3.0) -> float:
        """How far a printed mean over the tables' seeds may lie from ours: `sigmas` combined
        standard errors, and the rounding of the print.

        The tables print no error. Theirs is a mean over :data:`SEEDS` seeds of the same quantity,
        so its variance is ours of one seed over their number.
        """
        combined = self.deviation * (1 / self.seeds + 1 / SEEDS) ** 0.5
        return sigmas * combined + rounding(printed)


def rounding(printed: str) -> float:
    """Half a unit of the last printed digit."""
    digits = len(printed.partition(".")[2])
    return 0.5 * 10.0**-digits


RIDGES = ("truncated", "uniform", "dressed", "input-dependent")


class Comparison(eqx.Module):
    """Reduced against exact regression on one data set, one entry per ridge of `RIDGES`."""

    error: jax.Array  # |f_reduced - f_exact|^2 over kept modes / MSE of the exact one
    residual_correction: jax.Array  # MSE with read-out / exact - 1
    kept_sector: jax.Array  # MSE within the kept modes / exact's there - 1
    variance: jax.Array  # posterior variance of kept modes / exact's - 1
    uniform_grid: jax.Array  # `error` at other uniform ridges
    effective_ridge: jax.Array  # n / tr (K + sigma^2)^{-1} of the exact one


@eqx.filter_jit
def compare(problem: RegressionProblem, ridge: float, cutoff, grid: jax.Array) -> Comparison:
    """Regress on one data set with every mode, and with the modes of `cutoff` by every ridge.

    `grid` holds further uniform ridges. Exact regression is the theory before the cutoff.
    """
    points = problem.targets.shape[0]
    bare = (
        BareRidge(ridge),
        UniformRidge(ridge),
        DressedRidge(ridge, points),
        InputDependentRidge(jnp.full(points, ridge)),
    )
    whole = PointTheory.of(problem.spectrum, FullRidge(ridge * jnp.eye(points)), problem.targets)
    exact = whole.coefficients()
    exact_error = problem.squared_error(exact)
    reduced = [
        coarse_grain(PointTheory.of(problem.spectrum, start, problem.targets), cutoff)
        for start in bare
    ]
    kept = reduced[0].weights

    def sector(coefficients):
        return jnp.sum(kept * (coefficients - problem.coefficients) ** 2)

    def distance(theory):
        difference = kept * (theory.coefficients() - exact)
        return jnp.sum(difference**2) / exact_error

    # Summed over kept modes, the posterior variance needs no (modes, modes) matrix.
    prior = kept * problem.spectrum.eigenvalues
    scaled = problem.spectrum.modes * prior
    learned = scaled @ scaled.T

    def variance(theory):
        return jnp.sum(prior) - jnp.trace(jnp.linalg.solve(theory.covariance(), learned))

    def at(value):
        return distance(eqx.tree_at(lambda theory: theory.ridge, reduced[1], UniformRidge(value)))

    inverse = jnp.linalg.inv(whole.covariance())
    return Comparison(
        jnp.stack([distance(theory) for theory in reduced]),
        jnp.stack(
            [
                problem.squared_error(theory.coefficients(residual_correction=True)) / exact_error
                - 1
                for theory in reduced
            ]
        ),
        jnp.stack([sector(theory.coefficients()) for theory in reduced]) / sector(exact) - 1,
        jnp.stack([variance(theory) for theory in reduced]) / variance(whole) - 1,
        jax.lax.map(at, grid),
        points / jnp.trace(inverse),
    )


def measure(
    alpha: float,
    ridge: float,
    modes: int,
    threshold: float,
    *,
    law: AbstractFeatureLaw | None = None,
    kept_target: int | None = None,
    seeds: int = SEEDS,
    grid: tuple[float, ...] = (),
) -> Comparison:
    """`compare` on `seeds` data sets of `POINTS` points; arrays gain a leading axis of seeds.

    The target is matched, within the first `kept_target` modes where that is given. `grid` holds
    uniform ridges as multiples of the renormalized one.
    """
    eigenvalues = power_law(modes, alpha)
    coefficients = matched_target(eigenvalues)
    if kept_target is not None:
        coefficients = jnp.where(jnp.arange(modes) < kept_target, coefficients, 0.0)
    rank = LearnabilityCutoff(threshold, ridge, POINTS).rank(eigenvalues)
    renormalized = ridge + jnp.sum(jnp.where(jnp.arange(modes) >= rank, eigenvalues, 0.0))

    def one(seed):
        problem = regression_problem(
            jax.random.key(seed), eigenvalues, POINTS, law=law, coefficients=coefficients
        )
        return compare(problem, ridge, RankCutoff(rank), renormalized * jnp.asarray(grid))

    return jax.tree.map(lambda *leaves: np.stack(leaves), *map(one, range(seeds)))


def measure_table_1(row: Table1Row, seeds: int = SEEDS) -> dict[str, tuple[Estimate, Estimate]]:
    """(squared error, MSE with read-out) of every ridge of a row of table 1."""
    result = measure(row.alpha, row.ridge, row.modes, row.threshold, seeds=seeds)
    return {
        name: (Estimate.of(result.error[:, i]), Estimate.of(result.residual_correction[:, i]))
        for i, name in enumerate(RIDGES)
    }


def measure_table_5(
    law: AbstractFeatureLaw, seeds: int = SEEDS, grid: tuple[float, ...] = ()
) -> Comparison:
    """A row of table 5."""
    return measure(
        *(0.3, 0.05, 3000, 0.3), law=law, kept_target=TABLE_5_KEPT, seeds=seeds, grid=grid
    )


def lines_of_section_7() -> Iterator[str]:
    yield "Section 7, measured (printed)"
    names = ("tr K", "effective ridge", "gamma", "bias", "MSE", "EK MSE", "post. var.")
    for row in SECTION_7:
        yield f"alpha {row.alpha}, ridge {row.ridge}, n {row.points}, p {row.modes}"
        printed = dataclasses.astuple(row)[4:11]
        for name, ours, theirs in zip(names, row.measured(), printed, strict=True):
            yield f"  {name:16} {ours:.8f} ({theirs:.8f})"
        for threshold, *theirs in row.cutoffs:
            kept, uniform, dressed = row.measured_cutoff(threshold)
            yield (
                f"  T {threshold}: kappa {kept} ({theirs[0]}), "
                f"{uniform:.7f} ({theirs[1]:.7f}), dressed {dressed:.7f} ({theirs[2]:.7f})"
            )


def shown(estimate: Estimate, printed: str) -> str:
    distance = abs(estimate.mean - float(printed))
    mark = "" if distance <= estimate.tolerance(printed) else " !"
    return f"{estimate.mean:9.5f} +- {estimate.error:.5f} ({printed}){mark}"


def lines_of_table_1(seeds: int) -> Iterator[str]:
    yield f"\nTable 1 over {seeds} seeds: mean +- standard error (printed); ! beyond 3 sigma"
    for row in TABLE_1:
        yield f"alpha {row.alpha}, ridge {row.ridge}, T {row.threshold}"
        measured = measure_table_1(row, seeds)
        for name in ("truncated", "uniform", "dressed"):
            (error, mse), printed = measured[name], getattr(row, name)
            yield (
                f"  {name:10} error {shown(error, printed[0])}   MSE - 1 {shown(mse, printed[1])}"
            )


def lines_of_table_5(seeds: int) -> Iterator[str]:
    yield f"\nTable 5 over {seeds} seeds"
    grid = tuple(float(value) for value in np.geomspace(0.6, 1.8, 23))
    for row in TABLE_5:
        result = measure_table_5(row.law, seeds, grid)
        best = int(np.argmin(result.uniform_grid.mean(axis=0)))
        columns = (
            ("uniform", result.error[:, 1], row.uniform),
            (f"best, x {grid[best]:.2f}", result.uniform_grid[:, best], row.best_uniform),
            ("input-dependent", result.error[:, 3], row.input_dependent),
            ("uniform, kept MSE", result.kept_sector[:, 1], row.uniform_mse),
            ("input-dep., kept MSE", result.kept_sector[:, 3], row.input_dependent_mse),
        )
        yield f"{row.name}   (truncated {Estimate.of(result.error[:, 0]).mean:.3f})"
        for name, values, printed in columns:
            yield f"  {name:21} {shown(Estimate.of(values), printed)}"
    yield "\nIndependent features, uniform ridge"
    for name, law, printed in INDEPENDENT:
        error = Estimate.of(measure_table_5(law, seeds).error[:, 1])
        yield f"  {name:21} {shown(error, printed)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = parser.parse_args().seeds
    with jax.enable_x64(True):
        for lines in (lines_of_section_7(), lines_of_table_1(seeds), lines_of_table_5(seeds)):
            for line in lines:
                print(line, flush=True)


if __name__ == "__main__":
    main()
