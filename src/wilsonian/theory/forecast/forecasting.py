"""What more data buys: from a pilot of labelled rows to the error at larger sample sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np

from wilsonian.core.precision import with_precision
from wilsonian.core.spectrum import check_finite_gram, check_semidefinite
from wilsonian.kernels import Kernel, Matern52, as_kernel
from wilsonian.regression.classification.classifier import class_targets
from wilsonian.regression.learning.evidence import Hyperparameters
from wilsonian.regression.learning.learning import learn
from wilsonian.regression.plan import ARD_COLUMNS
from wilsonian.regression.sample import Sample
from wilsonian.theory.forecast.diagnostics import diagnostics
from wilsonian.theory.forecast.errors import ForecastErrors, TheoryDraws
from wilsonian.theory.forecast.pooling import leave_out
from wilsonian.theory.forecast.population_spectrum import population_spectrum
from wilsonian.theory.forecast.records import Band, Forecast
from wilsonian.theory.forecast.subsamples import measure_subsamples
from wilsonian.theory.forecast.target_law import TargetPrior, fit_target_law
from wilsonian.theory.learning_curves import LearningCurve
from wilsonian.theory.learning_curves.binned_spectrum import BinnedSpectrum

Progress = Callable[[str, int, int], None]  # stage, done, of how many

LEAST_LABELS, MOST_LABELS = 20, 1000  # the law of the target is fitted to at most so many
SPECTRUM_ROWS = 2500  # inputs whose kernel matrix is decomposed, the labelled ones among them
LARGEST_SIZE = 1e9
LEARNING_RANK = 512
CURVE_POINTS = 40


def forecast(
    X: Any,
    y: Any,
    kernel: Any = None,
    *,
    to: Any,
    unlabelled: Any = None,
    ridge: Any = None,
    learn_kernel: bool = False,
    task: Literal["auto", "regression", "classification"] = "auto",
    random_state: Any = 0,
    progress: Progress = lambda stage, done, of: None,
) -> Forecast:
    r"""Error of kernel ridge regression at larger sample sizes, before there are more labels.

    1. The kernel's population spectrum comes from the inputs, `X` (n, d) and `unlabelled` (m, d),
       at most 2,500 of them (:func:`population_spectrum`); below what they resolve it goes on as a
       power law.
    2. A Gaussian process of Matern 5/2 kernel, its length scales and noise learned from the labels
       `y` by evidence, says how the target's power is spread over the modes of `kernel`, and what
       is noise. A posterior then weighs that prior, the labels' likelihood and the errors of the
       pilot's own subsamples (:func:`fit_target_law`). What the labels cannot tell widens the
       bands.
    3. The errors are the deterministic equivalent's, at the ridge of least expected error for each
       n (a thousandth of the kernel's mean diagonal or more), or at the `ridge` given (one, or one
       per size), which is added to the kernel matrix: scikit-learn's `KernelRidge(alpha=ridge)` on
       centred targets.
    4. Three more witnesses go on with the curve of the subsamples' errors: a power law, with floor,
       and the averaged theory's shape. Each is weighed by how well it forecasts the pilot's own
       error from quarters of it (:mod:`wilsonian.theory.forecast.pooling`); median and bands are
       the pool's, `witnesses` says what each has to say. Beyond the pilot the bands widen by what
       the pool missed there.

    `y` is (n,) or (n, outputs) numbers, or (n,) class labels: text and booleans are classified,
    numbers only by `task="classification"`. `to` is one sample size or several, from n to 10^9.
    The kernel (default Matern 5/2) is used as given, or with `learn_kernel` its parameters are
    learned from the pilot by evidence; at larger n it stays the same. Learning it anew there may
    do better than the forecast.

    Raises ValueError for fewer than 20 labels, a target that is constant or not finite, sizes
    below the pilot's or absurd, and shapes that do not fit together.
    """
    X, y, unlabelled = _points(X, "X"), np.asarray(y), _points(unlabelled, "unlabelled")
    if len(y) != len(X):
        raise ValueError(f"`X` has {len(X)} rows and `y` {len(y)}; pass one label per row.")
    if unlabelled is not None and unlabelled.shape[1] != X.shape[1]:
        raise ValueError(
            f"`unlabelled` has {unlabelled.shape[1]} columns and `X` {X.shape[1]}; pass the same."
        )
    targets, classes = _targets(y, task)
    sizes = _sizes(to, len(X))
    if ridge is not None:
        ridge = np.asarray(ridge, float)
        if ridge.shape not in ((), sizes.shape) or not np.all(np.isfinite(ridge) & (ridge >= 0)):
            raise ValueError(
                f"`ridge` must be at least zero and finite, one or one for each size, got {ridge}."
            )
    random = np.random.default_rng(random_state)
    labels, inputs = len(X), len(X) + (0 if unlabelled is None else len(unlabelled))
    order = random.permutation(len(X))
    pilot, rest = order[:MOST_LABELS], order[MOST_LABELS:]
    others = X[rest] if unlabelled is None else np.vstack([X[rest], unlabelled])
    room = max(SPECTRUM_ROWS - len(pilot), 0)
    others = others[random.permutation(len(others))[:room]]
    X, targets = X[pilot], targets[pilot]
    kernel = Matern52() if kernel is None else as_kernel(kernel)
    with jax.enable_x64(True):
        if learn_kernel:
            progress("learning hyperparameters", 0, 1)
            kernel = with_precision(_learned(kernel, X, targets, random, ard=False).kernel, float)
        progress("learning the target's prior", 0, 1)
        likely = _learned(Matern52(), X, targets, random, ard=X.shape[1] <= ARD_COLUMNS)
        progress("decomposing the kernel", 0, 1)
        everything = np.vstack([X, others])
        values, vectors, gram = _decomposed(kernel, everything)
        prior = _target_prior(likely, everything, vectors)
    modes = np.sqrt(len(vectors)) * vectors[: len(X)]
    gram = gram[: len(X), : len(X)]
    population = population_spectrum(values)
    progress("measuring subsamples", 0, 1)
    measured = measure_subsamples(gram, targets, random, classes=classes)
    centred = targets - targets.mean(axis=0)
    law = fit_target_law(
        population,
        modes,
        centred,
        measured,
        prior,
        random,
        progress=lambda done, of: progress("fitting the target", done, of),
    )
    spectrum = population.spectrum
    # Errors are linear in power and noise, so that the mean's are the expected ones.
    expected = BinnedSpectrum(spectrum.eigenvalues, spectrum.multiplicity, law.power.mean(axis=0))
    theory = LearningCurve(expected, noise_variance=float(law.noise_variance.mean()))
    progress("weighing the witnesses", 0, 1)
    left_out = leave_out(population, modes, gram, targets, prior, measured, theory, random)
    theirs = TheoryDraws.of(population, law, theory, measured, random)
    errors = ForecastErrors.of(theirs, left_out, classes, float(sizes[-1]), random)
    fine = np.unique(
        np.geomspace(measured.n[0], max(2 * np.max(sizes), 4 * labels), CURVE_POINTS).round()
    )
    result = Forecast(
        table=errors.predict(sizes, ridge),
        curve=errors.predict(fine, ridge if np.ndim(ridge) == 0 else None),
        measured=measured,
        floor=Band.of(errors.floor(fine[-1:])),
        witnesses=errors.witnesses(sizes, ridge),
        diagnostics=(),
        task="classification" if classes else "regression",
        kernel=kernel,
        labels=labels,
        inputs=inputs,
        variance=float(np.mean(centred**2)),
        theory=theory,
    )
    return dataclasses.replace(result, diagnostics=diagnostics(result, population, law))


def _points(X: Any, name: str) -> Any:
    if X is None:
        return None
    X = np.asarray(X, float)
    if X.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (points, columns), got {X.shape}; "
            "reshape one column with x[:, None], images with x.reshape(len(x), -1)."
        )
    if not np.all(np.isfinite(X)):
        raise ValueError(f"`{name}` holds NaN or infinity; fill or drop those rows first.")
    return X


def _targets(y: np.ndarray, task: str) -> tuple[np.ndarray, bool]:
    """Targets (n, outputs), and whether they are of classes."""
    if task not in ("auto", "regression", "classification"):
        raise ValueError(f"`task` must be auto, regression or classification, got {task!r}.")
    if len(y) < LEAST_LABELS:
        raise ValueError(
            f"the pilot has {len(y)} labels; a forecast needs at least {LEAST_LABELS}, and says "
            "little below 100."
        )
    if y.ndim not in (1, 2):
        raise ValueError(f"`y` must be (rows,) or (rows, outputs), got shape {y.shape}.")
    numeric = np.issubdtype(y.dtype, np.number)
    if task == "classification" or (task == "auto" and not numeric):
        names, codes = np.unique(y.ravel() if y.ndim == 1 else y[:, 0], return_inverse=True)
        if len(names) < 2:
            raise ValueError(f"the pilot holds one class only ({names[0]!r}); label more rows.")
        if len(names) > len(y) / 4:
            raise ValueError(
                f"the pilot has {len(names)} classes in {len(y)} labels; label more rows, or use "
                "task='regression' for a numeric target."
            )
        targets = class_targets(codes, len(names)).reshape(len(y), -1)
        return targets, True
    targets = np.asarray(y, float).reshape(len(y), -1)
    if not np.all(np.isfinite(targets)):
        raise ValueError(
            "`y` holds NaN or infinity; pass rows without a label as `unlabelled` inputs."
        )
    if np.any(np.ptp(targets, axis=0) <= 1e-12 * np.max(np.abs(targets), axis=0)):
        raise ValueError(
            f"the target is constant over the {len(y)} labels; there is nothing to forecast: "
            "choose another target."
        )
    return targets, False


def _sizes(to: Any, labels: int) -> np.ndarray:
    sizes = np.atleast_1d(np.asarray(to, float))
    bad = ~np.isfinite(sizes) | (sizes > LARGEST_SIZE)
    if sizes.ndim != 1 or not len(sizes) or np.any(bad):
        seen = f"{sizes[bad].flat[0]:g}" if np.any(bad) else f"shape {sizes.shape}"
        raise ValueError(
            f"`to` must be sample sizes of at most {LARGEST_SIZE:,.0f}, got {seen}; try a few "
            "times the pilot's labels."
        )
    if np.any(sizes < labels):
        raise ValueError(
            f"`to` asks for {sizes.min():,.0f} samples and the pilot has {labels:,} labels; ask "
            "for more than that, or give fewer labels."
        )
    return np.sort(sizes)


def _learned(
    kernel: Kernel, X: np.ndarray, targets: np.ndarray, random: np.random.Generator, *, ard: bool
) -> Hyperparameters:
    """The hyperparameters of greatest evidence, of targets scaled to variance one. Learning draws
    from a generator of its own: how much it draws hangs on rounding, and must not move the rest."""
    scaled = (targets - targets.mean(axis=0)) / targets.std()
    return learn(
        kernel,
        Sample(X, scaled, np.ones(len(X))),
        amplitude=1.0,
        noise_variance=0.1,
        ard=ard,
        rank=min(LEARNING_RANK, len(X)),
        groups=1,
        restarts=0,
        input_dependent=False,
        max_iterations=100,
        random=random.spawn(1)[0],
    )


def _decomposed(kernel: Kernel, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues of the kernel matrix, descending, its eigenvectors, and the matrix itself."""
    gram = np.asarray(kernel(X), float)
    check_finite_gram(gram)
    gram = (gram + gram.T) / 2
    values, vectors = np.linalg.eigh(gram)
    check_semidefinite(values / len(values))
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1], gram


def _target_prior(likely: Hyperparameters, X: np.ndarray, vectors: np.ndarray) -> TargetPrior:
    """What the learned process expects of a target in each eigenvector, (points, modes)."""
    covariance = likely.amplitude[0] * np.asarray(with_precision(likely.kernel, float)(X))
    # Targets are counted from their mean.
    covariance -= covariance.mean(axis=0)
    covariance -= covariance.mean(axis=1)[:, None]
    power = np.sum(vectors * (covariance @ vectors), axis=0) / len(X)
    return TargetPrior(power, float(likely.noise_variance[0]))
