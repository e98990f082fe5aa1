"""Correlated variances: self-consistent theory against simulation, and which real features need it.

    python benchmarks/non_gaussian.py                       # all of it: half an hour on two cores
    python benchmarks/non_gaussian.py --part theory --seeds 40
    python benchmarks/non_gaussian.py --part data --data ../shared/data

`theory`: features of correlated variances (docs/science/non-gaussian.md, section 8), exact
regression on draws beside the self-consistent theory and the uniform one. `laws`: the diagnosis of
features, on laws whose answer is known. `data`: the diagnosis on real features, with predicted and
measured errors. `loss`: the flow of a loss that is not quadratic, on a process small enough to
integrate.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from datasets import file_of, load
from sklearn.datasets import load_digits

from wilsonian import (
    ArcCosine,
    AveragedTheory,
    LearnabilityCutoff,
    Matern52,
    Spectrum,
    dense_spectrum,
)
from wilsonian.theory.datasets import (
    Gaussian,
    Laplace,
    Sign,
    StudentT,
    VarianceCorrelated,
    matched_target,
    power_law,
)
from wilsonian.theory.non_gaussian.diagnostics import diagnose_features
from wilsonian.theory.non_gaussian.loss_flow import renormalized_loss
from wilsonian.theory.non_gaussian.self_consistent import (
    FeatureMoments,
    error_field,
    self_consistent_ridge,
)

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ALPHA, RIDGE, MODES, KEPT = 0.5, 0.001, 2000, 50
VARIANCES = {  # S(z) of `VarianceCorrelated`
    "step": lambda z: jnp.where(z > 0, 1.9, 0.1),
    "linear": lambda z: 1 + 0.9 * (z**2 - 1),
    "log-normal": lambda z: jnp.exp(z - 0.5),
    "hidden": lambda z: jnp.exp(z - 0.5),
    "none": jnp.ones_like,
}


def law_of(name: str):
    return Gaussian() if name == "none" else VarianceCorrelated(name, 0.9, KEPT)


@functools.partial(jax.jit, static_argnames=("name", "points"))
def simulate(key, eigenvalues, power, name: str, points: int):
    """Exact regression on one drawn data set, averaged over targets with independent coefficients
    of the given power: squared errors of the coefficients, one per mode."""
    features = law_of(name).draw(key, points, eigenvalues.shape[0])
    gram = (features * eigenvalues) @ features.T + RIDGE * jnp.eye(points)
    count = power.shape[0]
    dual = jax.scipy.linalg.cho_solve(
        jax.scipy.linalg.cho_factor(gram, lower=True), features[:, :count]
    )
    learned = eigenvalues[:, None] * (features.T @ dual)
    return (learned - jnp.eye(eigenvalues.shape[0], count)) ** 2 @ power


def lines_of_theory(seeds: int | None) -> Iterator[str]:
    yield (
        f"Theory against simulation: alpha {ALPHA}, ridge {RIDGE}, {MODES} modes of which the first"
        f" {KEPT}\nare normal and the rest have a common variance S. Mean squared error; target of "
        f"power lambda_k in the\nfirst {KEPT} modes ('kept') or in all ('all'), averaged over its "
        "signs. Deviations from the simulation.\n"
    )
    yield (
        "| S | target | n | seeds | simulated | self-consistent | off | without share of "
        "eliminated | off | uniform | off |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    eigenvalues = power_law(MODES, ALPHA)
    rows = [("step", KEPT, 1000, 240), ("linear", KEPT, 1000, 160), ("log-normal", KEPT, 1000, 160)]
    rows += [(name, KEPT, 300, 160) for name in VARIANCES]
    rows += [("step", MODES, 300, 40)]
    for name, support, points, usual in rows:
        count = usual if seeds is None else seeds
        target = jnp.where(jnp.arange(MODES) < support, matched_target(eigenvalues), 0.0)
        power = target[:support] ** 2
        keys = jax.random.split(jax.random.key(points), count)
        left = np.stack([simulate(key, eigenvalues, power, name, points) for key in keys])
        measured = left.sum(axis=1)
        mean, error = measured.mean(), measured.std(ddof=1) / count**0.5
        moments = FeatureMoments.of_common_variance(
            eigenvalues, VARIANCES[name], KEPT, hidden=name == "hidden"
        )
        theory = self_consistent_ridge(moments, RIDGE, points)
        field = error_field(theory, target)
        without = error_field(theory, target, lost_share=False).test_error
        uniform = AveragedTheory.of(eigenvalues, target**2, RIDGE, points).test_error()
        columns = [
            f"{float(value):.4g} | {100 * (float(value) / mean - 1):+.2f} %"
            for value in (field.test_error, without, uniform)
        ]
        yield (
            f"| {name} | {'kept' if support == KEPT else 'all'} | {points} | {count} "
            f"| {mean:.4g} +- {100 * error / mean:.2f} % | {' | '.join(columns)} |"
        )
        if name == "step" and support == KEPT:
            yield from _local(left, field, moments)


def _local(left, field, moments) -> Iterator[str]:
    """Error at inputs of either sign of the first feature."""
    affected = np.arange(MODES) >= KEPT
    for sign, variance in ((1, 1.9), (-1, 0.1)):
        local = left @ np.where(affected, variance, 1.0)
        mean, error = local.mean(), local.std(ddof=1) / len(local) ** 0.5
        side = np.asarray(sign * moments.modes[:, 0] > 0)
        predicted = 2 * float(np.asarray(moments.probabilities)[side] @ field.values[side])
        yield (
            f"| ... where S = {variance} | | | | {mean:.4g} +- {100 * error / mean:.2f} % "
            f"| {predicted:.4g} | {100 * (predicted / mean - 1):+.2f} % | | | | |"
        )


def lines_of_laws(seeds: int | None) -> Iterator[str]:
    kept, points, modes, ridge = 381, 2000, 3000, 0.05
    yield (
        f"\nDiagnosis of laws: table 5's spectrum (alpha .3, ridge {ridge}, {kept} of {modes} modes"
        f" kept), {points} points\n\n| law | collective variance | in null s.d. | independent part "
        "| excess kurtosis | matters |\n|---|---|---|---|---|---|"
    )
    eigenvalues = power_law(modes, 0.3)
    laws = (Gaussian(), Sign(), Laplace(), StudentT(5.0))
    correlated = (("linear", 0.3), ("linear", 0.9), ("log-normal", 0), ("step", 0), ("hidden", 0))
    laws += tuple(VarianceCorrelated(name, strength, kept) for name, strength in correlated)
    for law in laws:
        spectrum = Spectrum.of(eigenvalues, law.draw(jax.random.key(0), points, modes))
        found = diagnose_features(spectrum, kept, ridge)
        yield (
            f"| {law} | {found.collective:.4f} +- {found.collective_error:.4f} "
            f"| {found.significance:.1f} | {found.independent:.4f} | {found.kurtosis:.2f} "
            f"| {'yes' if found.matters else 'no'} |"
        )
    draws = 200 if seeds is None else seeds
    for law in (Gaussian(), Laplace(), StudentT(5.0)):
        found = []
        for seed in range(draws):
            spectrum = Spectrum.of(eigenvalues[:300], law.draw(jax.random.key(seed), 500, 300))
            found.append(diagnose_features(spectrum, 10, ridge))
        values = np.array([diagnosis.significance for diagnosis in found])
        alarms = sum(diagnosis.matters for diagnosis in found)
        yield (
            f"null, {law}, {draws} draws of 500 points and 300 modes: significance "
            f"{values.mean():+.2f} +- {values.std(ddof=1):.2f} (0 +- 1), "
            f"largest {values.max():.1f}; said to matter: {alarms}"
        )


def real_sets(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Inputs and a standardized target."""
    for name in ("kin40k", "protein"):
        if file_of(name, folder).exists():
            split = load(name, folder)
            yield name, split.X, split.y
    images, labels = load_digits(return_X_y=True)
    yield "digits", images / 16, _odd(labels)
    if (folder / "mnist.npz").exists():
        with np.load(folder / "mnist.npz") as stored:
            images, labels = stored["X_train"][:10_000], stored["y_train"][:10_000]
        yield "MNIST", images.reshape(len(images), -1) / 255, _odd(labels)


def _odd(labels: np.ndarray) -> np.ndarray:
    """Odd against even digits, plus and minus one."""
    return np.where(labels % 2 == 1, 1.0, -1.0)


def lines_of_data(folder: Path, pool: int, points: int, draws: int) -> Iterator[str]:
    yield (
        f"\nReal features: modes of {pool} inputs, ridge 0.01 of the mean variance, cutoff where "
        f"{points} points learn 0.3 of a mode.\nMean squared error on the {pool} inputs after "
        f"learning {points} of them ({draws} draws), target of variance near one.\n\n"
        "| set | kernel | kept | ridge / bare | collective variance | in null s.d. | independent "
        "| known to 5 kept modes | weight shift | matters | measured | self-consistent | off "
        "| uniform | off |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    sentences = []
    for name, X, y in real_sets(folder):
        random = np.random.default_rng(0)
        rows = random.choice(len(X), min(pool, len(X)), replace=False)
        X, y = X[rows], y[rows]
        scale = float(np.sqrt(X.var(axis=0).sum()))
        for label, kernel in (
            ("ReLU NNGP, depth 3", ArcCosine(depth=3)),
            ("Matern 5/2", Matern52(scale)),
        ):
            eigenfunctions = dense_spectrum(kernel, X)
            spectrum = eigenfunctions.spectrum(jnp.asarray(X))
            ridge = 0.01 * float(spectrum.trace())
            cutoff = LearnabilityCutoff(0.3, ridge, points)
            kept = max(int(cutoff.rank(spectrum.eigenvalues)), 1)
            found = diagnose_features(spectrum, kept, ridge)
            target = spectrum.modes.T @ y / len(X)
            theory = self_consistent_ridge(FeatureMoments.of(spectrum, kept), ridge, points)
            predicted = float(error_field(theory, target).test_error)
            uniform = float(
                AveragedTheory.of(spectrum.eigenvalues, target**2, ridge, points).test_error()
            )
            mean, error = measure(np.asarray(spectrum.gram()), y, ridge, points, draws)
            yield (
                f"| {name} | {label} | {kept} | {found.ridge / ridge:.2f} "
                f"| {found.collective:.3f} +- {found.collective_error:.3f} "
                f"| {found.significance:.0f} | {found.independent:.3f} | {found.explained:.3f} "
                f"| {100 * found.weight_shift:+.0f} % | {'yes' if found.matters else 'no'} "
                f"| {mean:.4f} +- {error:.4f} | {predicted:.4f} "
                f"| {100 * (predicted / mean - 1):+.1f} % | {uniform:.4f} "
                f"| {100 * (uniform / mean - 1):+.1f} % |"
            )
            sentences.append(f"{name}, {label}: {found.sentence()}")
    yield from ("", *sentences)


def measure(
    gram: np.ndarray, y: np.ndarray, ridge: float, points: int, draws: int
) -> tuple[float, float]:
    """Mean squared error over the pool after regression on points drawn from it, with replacement,
    as in the theory, and the standard error of the mean over draws."""
    random, errors = np.random.default_rng(1), []
    for _ in range(draws):
        rows = random.integers(len(y), size=points)
        covariance = gram[np.ix_(rows, rows)] + ridge * np.eye(points)
        errors.append(np.mean((gram[:, rows] @ np.linalg.solve(covariance, y[rows]) - y) ** 2))
    return float(np.mean(errors)), float(np.std(errors, ddof=1) / draws**0.5)


LOSSES = {
    "logistic": lambda v: jax.nn.softplus(-v - 1.0) * 3,
    "Student t": lambda v: 2.5 * jnp.log1p(v**2 / 4),
    "quadratic": lambda v: v**2 / 2,
}


def lines_of_loss(draws: int = 20) -> Iterator[str]:
    """Three points, by tensor quadrature over the values of the process there."""
    yield (
        "\nAny loss: log evidence of three labels under the full process and under one kept mode "
        "with the renormalized\nloss (c = 0.5); root mean square of their difference over "
        f"{draws} draws of Gaussian features, beside plain truncation\n\n"
        "| loss | eliminated modes | renormalized | truncated |\n|---|---|---|---|"
    )
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(*[nodes] * 3, indexing="ij"), -1).reshape(-1, 3)
    logs = np.log(weights / weights.sum())
    log_weights = np.add.outer(np.add.outer(logs, logs), logs).ravel()

    @functools.partial(jax.jit, static_argnums=0)
    def evidence(loss, covariance, labels):
        values = grid @ jnp.linalg.cholesky(covariance + 1e-12 * jnp.eye(3)).T
        return jax.nn.logsumexp(log_weights - jnp.sum(loss(values - labels), axis=1))

    for name, loss in LOSSES.items():
        reduced_loss = renormalized_loss(loss, 0.5, nodes=32)
        for count in (10, 100, 1000):
            differences = []
            for seed in range(draws):
                random = np.random.default_rng(seed)
                first, rest = random.normal(size=(3, 1)), random.normal(size=(3, count))
                labels, kept = random.normal(size=3), first @ first.T
                exact = evidence(loss, kept + rest @ rest.T * 0.5 / count, labels)
                differences.append(
                    [evidence(other, kept, labels) - exact for other in (reduced_loss, loss)]
                )
            left, plain = np.sqrt(np.mean(np.square(differences), axis=0))
            yield f"| {name} | {count} | {left:.4f} | {plain:.4f} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="Rows appear as they are measured.",
    )
    parts = ("theory", "laws", "data", "loss")
    parser.add_argument("--part", choices=parts, help="one part instead of all")
    parser.add_argument("--seeds", type=int, help="draws per row, instead of each row's own number")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the .npz files")
    parser.add_argument("--pool", type=int, default=2000, help="inputs of a real population")
    parser.add_argument("--points", type=int, default=100, help="training points drawn from it")
    arguments = parser.parse_args()
    tables = {
        "theory": lambda: lines_of_theory(arguments.seeds),
        "laws": lambda: lines_of_laws(arguments.seeds),
        "data": lambda: lines_of_data(
            arguments.data, arguments.pool, arguments.points, arguments.seeds or 200
        ),
        "loss": lines_of_loss,
    }
    with jax.enable_x64(True):
        for part in parts if arguments.part is None else (arguments.part,):
            for line in tables[part]():
                print(line, flush=True)


if __name__ == "__main__":
    main()
