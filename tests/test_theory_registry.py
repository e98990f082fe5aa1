"""Every theory is in the registry, and keeps the laws that it claims there."""

import importlib
import inspect
import pkgutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wilsonian
from wilsonian import (
    AveragedTheory,
    Linear,
    ModeTheory,
    PointTheory,
    RankCutoff,
    RidgeField,
    SharpCutoff,
    SmoothCutoff,
    Spectrum,
    UniformRidge,
    coarse_grain,
    information,
)
from wilsonian.core.coarse_graining import AbstractTheory
from wilsonian.greybox.residual_theory import ResidualTheory
from wilsonian.information.fisher_spectrum import FisherSpectrum
from wilsonian.information.free_scalar import TorusField
from wilsonian.information.kernel_information import KernelInformation
from wilsonian.theory.random_features import Population
from wilsonian.theory.random_features.models import (
    AnisotropicRandomFeatures,
    DeepRandomFeatures,
    LinearRandomFeatures,
    NonlinearRandomFeatures,
    ProjectedRandomFeatures,
)
from wilsonian.theory.registry import CLAIMS, Law

pytestmark = [pytest.mark.double_precision, pytest.mark.strict_ranks]

MODES, POINTS, RIDGE = 8, 60, 0.1
EIGENVALUES = 1.0 / np.arange(1, MODES + 1) ** 1.5
POWER = EIGENVALUES**1.5
RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(POINTS, MODES))
TARGETS = RANDOM.normal(size=POINTS)
COEFFICIENTS = RANDOM.normal(size=(MODES, 2))
SCALES, VARIANCES = np.linspace(0.5, 2, MODES), np.linspace(0.5, 2, 12)


def spectrum():
    return Spectrum.of(jnp.asarray(EIGENVALUES), jnp.asarray(FEATURES), jnp.full(POINTS, 0.05))


def population():
    return Population.of(EIGENVALUES, POWER, 0.2)


INSTANCES = {
    PointTheory: lambda: PointTheory.of(spectrum(), UniformRidge(RIDGE), jnp.asarray(TARGETS)),
    ModeTheory: lambda: ModeTheory(
        Spectrum.averaged(EIGENVALUES),
        UniformRidge(RIDGE),
        jnp.asarray(COEFFICIENTS),
        jnp.full(2, 40.0),
        20.0,
    ),
    AveragedTheory: lambda: AveragedTheory.of(EIGENVALUES, POWER, RIDGE, 20.0, 0.2),
    ResidualTheory: lambda: ResidualTheory.of(
        jnp.asarray(FEATURES),
        jnp.asarray(EIGENVALUES**0.5),
        RIDGE**0.5,
        jnp.ones((POINTS, 1)),
        jnp.asarray(TARGETS),
    ),
    RidgeField: lambda: RidgeField.of(spectrum(), RIDGE, features=3),
    LinearRandomFeatures: lambda: LinearRandomFeatures(population(), 12),
    DeepRandomFeatures: lambda: DeepRandomFeatures(population(), (12, 9)),
    ProjectedRandomFeatures: lambda: ProjectedRandomFeatures(population(), 6),
    AnisotropicRandomFeatures: lambda: AnisotropicRandomFeatures(population(), SCALES, VARIANCES),
    NonlinearRandomFeatures: lambda: NonlinearRandomFeatures(population(), 12, jnp.tanh),
    FisherSpectrum: lambda: information.spectrum(
        information.network(
            lambda p, x: p @ x,
            FEATURES * np.sqrt(EIGENVALUES / POINTS),
            TARGETS,
            parameters=np.ones(MODES),
            likelihood="regression",
            noise_variance=1.0,
            prior=1.0,
        )
    ),
    KernelInformation: lambda: information.kernel_information(
        Linear(), FEATURES * np.sqrt(EIGENVALUES / POINTS), TARGETS, 1.0
    ),
    TorusField: lambda: information.torus_field(
        dimension=1, side=6.0, mass=0.5, noise_variance=0.2, n_samples=9, highest=4
    ),
}
INFORMATION = (FisherSpectrum, KernelInformation, TorusField)
# Nothing, a short step, a long step, everything.
CUTOFFS = {
    "sharp": [SharpCutoff(scale) for scale in (0.0, 0.08, 0.3, 2.0)],
    "rank": [RankCutoff(rank) for rank in (MODES + 1, 5, 2, 0)],
    "smooth": [SmoothCutoff(scale, 0.5) for scale in (1e-200, 0.08, 0.3, 1e200)],
}


def claimed(law):
    pairs = [(kind, family) for kind in CLAIMS if law in CLAIMS[kind] for family in CUTOFFS]
    names = [f"{kind.__name__}-{family}" for kind, family in pairs]
    return pytest.mark.parametrize(("kind", "family"), pairs, ids=names)


@pytest.fixture(params=["float64", "float32"])
def rtol(request):
    """What sums of a dozen numbers of order one, in another order and through a self-consistent
    ridge, may differ by: some hundred thousand roundings of float64, a hundred of float32."""
    with jax.enable_x64(request.param == "float64"):
        yield 1e-10 if request.param == "float64" else 1e-5


def assert_close(left, right, rtol=1e-10):
    left, right = (
        [leaf for leaf in jax.tree.leaves(tree) if eqx.is_array_like(leaf)]
        for tree in (left, right)
    )
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=rtol, atol=rtol / 100)


def variances(theory):
    """Variance (and target power) that the theory speaks of: kept, and absorbed."""
    if type(theory) in INFORMATION:
        whole = theory.eigenvalues * getattr(theory, "n_samples", 1)
        lost = jnp.log1p(whole) - jnp.log1p(whole * theory.weights)
        return jnp.sum(lost) / 2 + theory.summary().nats
    if isinstance(theory, RidgeField):
        return jnp.mean(theory.spectrum.diagonal() + theory.values)
    if isinstance(theory, AveragedTheory):
        power = theory.weights * theory.target_power
        return jnp.stack(
            [
                jnp.sum(theory.kept_eigenvalues) + theory.ridge,
                jnp.sum(power) + theory.label_noise,
            ]
        )
    if hasattr(theory, "population"):
        people = theory.population
        return jnp.stack(
            [
                jnp.sum(people.kept_eigenvalues) + people.lost_variance,
                jnp.sum(people.kept_power) + people.label_noise,
            ]
        )
    return theory.spectrum.trace() + theory.ridge.mean()


@claimed(Law.IDENTITY)
def test_cutting_nothing_changes_nothing(kind, family, rtol):
    theory = INSTANCES[kind]()
    assert_close(coarse_grain(theory, CUTOFFS[family][0]), theory, rtol)


@claimed(Law.COMPOSITION)
def test_two_steps_equal_one(kind, family, rtol):
    theory, (_, short, long, everything) = INSTANCES[kind](), CUTOFFS[family]
    for first, then in ((short, long), (long, everything)):
        once = coarse_grain(theory, then)
        assert jnp.sum(once.weights) < jnp.sum(coarse_grain(theory, first).weights)
        assert_close(coarse_grain(coarse_grain(theory, first), then), once, rtol)
        assert_close(coarse_grain(once, first).summary(), once.summary(), rtol)


@claimed(Law.CONSERVATION)
def test_kept_and_lost_add_up(kind, family, rtol):
    theory = INSTANCES[kind]()
    for cutoff in CUTOFFS[family][1:]:
        reduced = coarse_grain(theory, cutoff)
        assert_close(variances(reduced), variances(theory), rtol)


def test_the_laws_can_fail():
    theory = INSTANCES[LinearRandomFeatures]()
    reduced = coarse_grain(theory, SharpCutoff(0.3))
    forgetful = eqx.tree_at(lambda t: t.population.lost_variance, reduced, 0.0)
    with pytest.raises(AssertionError):
        assert_close(variances(forgetful), variances(theory))
    with pytest.raises(AssertionError):
        assert_close(reduced, theory)


def test_every_theory_of_the_package_is_registered():
    for module in pkgutil.walk_packages(wilsonian.__path__, "wilsonian."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    kinds, waiting = set(), [AbstractTheory]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if not inspect.isabstract(kind) and kind.__module__.startswith("wilsonian."):
            kinds.add(kind)
    assert kinds == set(CLAIMS) == set(INSTANCES)
