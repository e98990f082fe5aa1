"""Gaussian marginalization of a sector: dense matrices, Monte Carlo, laws of coarse graining."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from wilsonian.core.coarse_graining import coarse_grain
from wilsonian.core.cutoffs import RankCutoff, SharpCutoff
from wilsonian.core.information import degrees_of_freedom
from wilsonian.core.marginalization import (
    directed_ridge,
    marginal_information,
    marginalize,
    uniform_ridge,
)
from wilsonian.core.ridges import FullRidge, UniformRidge
from wilsonian.greybox.laplace import over_amplitudes
from wilsonian.greybox.residual_theory import ResidualTheory, cutoff_sweep

pytestmark = pytest.mark.double_precision

# The linear example of docs/science/grey-box.md, section 4.
T = np.linspace(0, 1, 30)
G = np.sin(2 * np.pi * T)
PHI = 0.5 * np.stack([T, T**2], axis=1)
SIGMA = 0.05
X = 1.3 * G + PHI @ [0.4, -0.2] + SIGMA * np.sin(7 * np.arange(30))


def on_device(function, *arrays):
    """The core's functions take JAX's arrays."""
    return function(*map(jnp.asarray, arrays))


def random_sector(points, modes, seed=0):
    random = np.random.default_rng(seed)
    scale = np.abs(random.normal(size=modes))
    scale[0] = 0.0  # a mode that was pruned
    parts = random.normal(size=(points, modes)), scale, random.normal(size=points)
    return tuple(map(jnp.asarray, parts))


@pytest.mark.parametrize(("points", "modes"), [(12, 5), (7, 20)])
def test_both_spaces_agree_with_the_dense_matrix(points, modes):
    J, scale, error = random_sector(points, modes)
    noise = jnp.linspace(0.3, 0.8, points)
    found = marginalize(J, scale, noise, error)
    C = np.diag(noise**2) + (J * scale**2) @ J.T
    inverse = np.linalg.inv(C)
    twin = scipy.stats.multivariate_normal(np.zeros(points), C).logpdf(error)
    np.testing.assert_allclose(found.log_evidence, twin, rtol=1e-11)
    mean = scale**2 * (J.T @ inverse @ error)
    np.testing.assert_allclose(scale * found.coefficients, mean, atol=1e-11)
    posterior = np.diag(scale**2) - (scale**2 * J.T.T).T @ inverse @ (J * scale**2)
    with np.errstate(invalid="ignore"):
        learned = np.where(scale > 0, 1 - np.diag(posterior) / scale**2, 0.0)
    np.testing.assert_allclose(found.learnability, learned, atol=1e-11)
    np.testing.assert_allclose(found.noise, noise * (inverse @ error), atol=1e-11)
    np.testing.assert_allclose(found.noise_variance, noise**2 * np.diag(inverse), atol=1e-11)
    # Learnabilities add up to the core's degrees of freedom.
    values = np.linalg.svd((J * scale) / noise[:, None], compute_uv=False) ** 2
    np.testing.assert_allclose(jnp.sum(found.learnability), degrees_of_freedom(values), rtol=1e-11)


@pytest.mark.parametrize(("points", "modes"), [(12, 5), (7, 20)])
def test_infinite_noise_is_a_missing_value(points, modes):
    J, scale, error = random_sector(points, modes)
    noise = jnp.full(points, 0.4).at[jnp.array([1, 4])].set(jnp.inf)
    seen = np.isfinite(np.asarray(noise))
    found, twin = (
        marginalize(J, scale, noise, error),
        marginalize(J[seen], scale, noise[seen], error[seen]),
    )
    np.testing.assert_allclose(found.log_evidence, twin.log_evidence, rtol=1e-12)
    np.testing.assert_allclose(found.coefficients, twin.coefficients, atol=1e-12)
    np.testing.assert_allclose(found.noise_variance[seen], twin.noise_variance, atol=1e-12)
    assert np.all(found.noise_variance[~seen] == 0)


@pytest.mark.parametrize(("points", "modes"), [(12, 5), (7, 20)])
def test_amplitudes_share_products_and_change_nothing(points, modes):
    J, scale, error = random_sector(points, modes)
    amplitudes, weights = np.array([0.0, 0.5, 2.0]), np.log([0.2, 0.5, 0.3])
    amplified = np.arange(modes) % 2 == 0
    noise = jnp.full(points, 0.4)
    found = over_amplitudes(
        jnp.asarray(J), jnp.asarray(scale), noise, jnp.asarray(error), jnp.asarray(amplitudes),
        jnp.asarray(weights), amplified, 1,
    )  # fmt: skip
    stretch = [np.where(amplified, a, 1.0) for a in amplitudes]
    each = [marginalize(J, scale * s, noise, error) for s in stretch]
    logs = np.array([m.log_evidence for m in each]) + weights
    np.testing.assert_allclose(found[0], logs, rtol=1e-11)
    share = np.exp(logs - np.logaddexp.reduce(logs))
    mean = sum(p * s * m.coefficients for p, s, m in zip(share, stretch, each, strict=True))
    np.testing.assert_allclose(found[1], mean, atol=1e-11)
    square = sum(p * m.coefficients**2 for p, m in zip(share, each, strict=True))
    np.testing.assert_allclose(found[2], square, atol=1e-11)
    learned = sum(p * m.learnability for p, m in zip(share, each, strict=True))
    np.testing.assert_allclose(found[3], learned, atol=1e-11)
    freedom = sum(p * m.noise_variance.sum() for p, m in zip(share, each, strict=True))
    np.testing.assert_allclose(found[5][0], freedom, rtol=1e-11)


def linear_theory(ridge=None):
    G_, X_ = jnp.asarray(G)[:, None], jnp.asarray(X)
    return ResidualTheory.of(jnp.asarray(PHI), jnp.ones(2), SIGMA, G_, X_, ridge)


def test_the_linear_example():
    known = on_device(marginal_information, PHI, np.zeros(2), SIGMA, G[:, None])[0, 0]
    marginal = on_device(marginal_information, PHI, np.ones(2), SIGMA, G[:, None])[0, 0]
    assert 1 - marginal / known == pytest.approx(0.3447475, abs=1e-6)
    whole = linear_theory().summary()
    assert whole.estimate[0] == pytest.approx(1.3095676, abs=1e-6)
    assert whole.sd[0] == pytest.approx(0.0162212, abs=1e-6)
    ignored = coarse_grain(linear_theory(), RankCutoff(0))
    assert ignored.summary().estimate[0] == pytest.approx(1.2698468, abs=1e-6)
    assert known**-0.5 == pytest.approx(0.0131306, abs=1e-6)


def test_coverage_of_each_treatment_by_monte_carlo():
    """Of 90 % intervals, against the notes' 4,000 draws; both have an error of about 0.005."""
    random = np.random.default_rng(0)
    draws = 1.3 * G + random.normal(size=(4000, 2)) @ PHI.T
    draws = draws + SIGMA * random.normal(size=draws.shape)

    def treated(covariance, sd=None):
        solved = np.linalg.solve(covariance, G)
        information = G @ solved
        error = draws @ solved / information - 1.3
        sd = information**-0.5 if sd is None else sd
        return np.mean(np.abs(error) < 1.6449 * sd), np.std(error), sd

    bare = SIGMA**2 * np.eye(30)
    felt = on_device(directed_ridge, PHI, np.ones(2), SIGMA, G)
    expected = {
        "ignored": (treated(bare)[0], 0.072),
        "uniform ridge": (treated(linear_after(0))[0], 0.522),
        "one mode kept": (treated(linear_after(1))[0], 0.622),
        "all": (treated(linear_after(2))[0], 0.900),
        "directed ridge": (treated(bare, float(np.sqrt(felt / (G @ G))))[0], 0.891),
    }
    for name, (found, notes) in expected.items():
        assert found == pytest.approx(notes, abs=0.02), name
    # The directed ridge is exact: the spread of the least-squares estimate.
    assert treated(bare)[1] == pytest.approx(np.sqrt(felt / (G @ G)), rel=0.03)
    assert on_device(uniform_ridge, PHI, np.ones(2), SIGMA) == pytest.approx(
        float(coarse_grain(linear_theory(), RankCutoff(0)).ridge.mean()), rel=1e-12
    )


def linear_after(kept):
    return np.asarray(coarse_grain(linear_theory(), RankCutoff(kept)).covariance())


RIDGES = {
    "uniform": lambda: UniformRidge(jnp.asarray(SIGMA**2)),
    "full": lambda: FullRidge(SIGMA**2 * jnp.eye(30)),
}


@pytest.mark.parametrize("name", RIDGES)
def test_laws_of_coarse_graining(name):
    """Cutting nothing changes nothing; steps compose; kept and lost add up."""
    theory = linear_theory(RIDGES[name]())
    same = coarse_grain(theory, SharpCutoff(0.0))
    np.testing.assert_allclose(same.covariance(), theory.covariance(), rtol=1e-12)
    middle, top = float(theory.eigenvalues[1]) / 2, float(theory.eigenvalues[0]) * 0.9
    twice = coarse_grain(coarse_grain(theory, SharpCutoff(middle)), SharpCutoff(top))
    once = coarse_grain(theory, SharpCutoff(top))
    np.testing.assert_allclose(twice.covariance(), once.covariance(), rtol=1e-12)
    trace = lambda t: np.trace(np.asarray(t.covariance()))  # noqa: E731
    assert trace(once) == pytest.approx(trace(theory), rel=1e-12)
    if name == "full":  # nothing is lost at all
        np.testing.assert_allclose(once.covariance(), theory.covariance(), rtol=1e-10)


def test_the_sweep_ends_at_the_two_known_limits():
    found, learned = cutoff_sweep(linear_theory())
    np.testing.assert_allclose(found.kept, [0, 1, 2])
    np.testing.assert_allclose(found.estimate[[0, 2], 0], [1.2698468, 1.3095676], atol=1e-6)
    np.testing.assert_allclose(
        found.ridge[0], on_device(uniform_ridge, PHI, np.ones(2), SIGMA), rtol=1e-12
    )
    assert np.all(np.diff(learned) < 0)
