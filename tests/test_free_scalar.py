"""Free scalars as networks: references R5 and R6, and twins by drawing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wilsonian import SharpCutoff, coarse_grain, information
from wilsonian.networks import CosineFeatures, FreeField

# d: G(0), K(.1), K(.3), K(.7); N kappa_4 / K^2 of U Gaussian and U signs; spreads at .7 of U and P,
# phases averaged and random (docs/science/information.md, section 8, R5).
KERNELS = {
    1: (0.46041657584, 0.45020112329, 0.38225966617, 0.24294597995),
    2: (0.33218718419, 0.32052953859, 0.24308267732, 0.09638220010),
    3: (0.33200716064, 0.31841720112, 0.22712541693, 0.04826773990),
}
CUMULANTS = {1: (10.5032165, 1.5010722), 2: (13.2732250, 2.4244083), 3: (8.8319491, 0.9439830)}
SPREADS = {
    1: (2.753, 1.124, 3.601, 1.749),
    2: (5.502, 2.364, 7.194, 3.395),
    3: (8.911, 4.861, 11.900, 6.876),
}


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def field(dimension, sampling="uniform", **options):
    variance = 1 / (2 * np.pi) ** dimension
    return FreeField(8.0, mass=1.0, variance=variance, sampling=sampling, **options)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_kernel_does_not_depend_on_how_momenta_are_drawn(dimension):
    squared = jnp.array([0.0, 0.1, 0.3, 0.7]) ** 2
    for sampling in ("uniform", "propagator"):
        law = field(dimension, sampling)
        np.testing.assert_allclose(law.kernel(squared, dimension), KERNELS[dimension], rtol=1e-9)
        at_a_point = law.variance_at_a_point(dimension)
        np.testing.assert_allclose(at_a_point, KERNELS[dimension][0], rtol=1e-10)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_fourth_cumulants_and_spreads(dimension):
    uniform, propagator = field(dimension), field(dimension, "propagator")
    found = [information.fourth_cumulant(uniform, dimension, a) for a in ("gaussian", "signs")]
    np.testing.assert_allclose(found, CUMULANTS[dimension], atol=6e-8)
    assert information.fourth_cumulant(propagator, dimension, "gaussian") == 1.5
    assert information.fourth_cumulant(propagator, dimension, "signs") == -1.5
    spreads = [
        information.kernel_spread(law, 0.7, dimension, phases=phases)
        for phases in (False, True)
        for law in (uniform, propagator)
    ]
    np.testing.assert_allclose(spreads, SPREADS[dimension], atol=6e-4)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("sampling", ["uniform", "propagator"])
def test_drawn_momenta_make_the_kernel(dimension, sampling):
    """200,000 momenta: mean within four standard errors, their spread within 3 %."""
    law = field(dimension, sampling)
    momenta = law.draw(jax.random.key(dimension), 200_000, dimension)
    lengths = jnp.linalg.norm(momenta, axis=1)
    assert jnp.max(lengths) <= 8
    values = np.asarray(law.squared_amplitude(momenta) * jnp.cos(0.7 * momenta[:, 0]))
    spread = information.kernel_spread(law, 0.7, dimension)
    exact = KERNELS[dimension][3]
    assert abs(values.mean() - exact) < 4 * spread * exact / np.sqrt(200_000)
    np.testing.assert_allclose(values.std() / exact, spread, rtol=0.03)


def test_fourth_cumulant_by_networks():
    """200,000 nets of four features with signs for read-outs: within four standard errors."""
    law = field(1, "propagator")
    layer, count = CosineFeatures(4, law), 200_000
    momenta_key, phase_key, sign_key = jax.random.split(jax.random.key(0), 3)
    momenta = law.draw(momenta_key, 4 * count, 1).reshape(count, 4)
    phases = jax.random.uniform(phase_key, (count, 4), maxval=2 * jnp.pi)
    params = {"momenta": momenta.reshape(-1, 1), "phases": phases.reshape(-1)}
    features = layer.apply(params, jnp.array([[0.4]])).reshape(count, 4)
    signs = jax.random.rademacher(sign_key, (count, 4))
    outputs = np.asarray(jnp.sum(signs * features, axis=1) / 2)
    second, fourth = np.mean(outputs**2), np.mean(outputs**4)
    found = 4 * (fourth / second**2 - 3)
    error = 4 * np.std(outputs**4 / second**2 - 2 * fourth / second**3 * outputs**2) / count**0.5
    assert abs(found + 1.5) < 4 * error


def test_a_shell_of_momenta_is_drawn_from_its_density():
    law = field(2, "propagator", lowest=2.0)
    lengths = jnp.linalg.norm(law.draw(jax.random.key(1), 50_000, 2), axis=1)
    assert jnp.min(lengths) >= 2
    shell = (np.log1p(64) - np.log1p(16)) / (np.log1p(64) - np.log1p(4))  # momenta above 4
    assert abs(jnp.mean(lengths > 4) - shell) < 4 * np.sqrt(shell * (1 - shell) / 50_000)
    whole, below = field(2, "propagator"), FreeField(2.0, 1.0, 1 / (2 * np.pi) ** 2)
    squared = jnp.array([0.3]) ** 2
    np.testing.assert_allclose(
        law.kernel(squared, 2) + below.kernel(squared, 2), whole.kernel(squared, 2), rtol=1e-10
    )


def test_refusals():
    with pytest.raises(ValueError, match="'uniform' or 'propagator'"):
        FreeField(8.0, sampling="best")
    with pytest.raises(ValueError, match="up to 3 dimensions"):
        field(4, "propagator").draw(jax.random.key(0), 3, 4)
    with pytest.raises(ValueError, match="'gaussian' or 'signs'"):
        information.fourth_cumulant(field(1), 1, "cauchy")
    with pytest.raises(ValueError, match="`noise_variance` must be positive"):
        torus(noise_variance=0.0)


# R6: the torus.


def torus(**changes):
    sizes = {
        "dimension": 1,
        "side": 10.0,
        "mass": 1.0,
        "noise_variance": 0.1,
        "n_samples": 256,
        "highest": 60,
    }
    return information.torus_field(**{**sizes, **changes})


def test_torus_spectrum():
    theory = torus()
    values = np.asarray(theory.eigenvalues)[[0, 1, 9]]
    np.testing.assert_allclose(values, [1, 0.7169568003, 0.0919996684], rtol=1e-8)
    np.testing.assert_allclose(theory.effective_mass_squared, 257, rtol=1e-12)
    np.testing.assert_allclose(theory.natural_cutoff_momentum, 15.9687194227, rtol=1e-10)
    summary = theory.summary()
    np.testing.assert_allclose(summary.degrees_of_freedom, 59.5583967690, rtol=1e-10)
    np.testing.assert_allclose(summary.nats, 64.7362838235, rtol=1e-10)


@pytest.mark.parametrize(
    ("scale", "momentum", "kept", "kernel"),
    [
        (0.1, 3, 9, 0.3535079902),
        (0.01, 9.9498743711, 31, 0.3327252342),
        (0.001, 31.6069612586, 101, 0.3351898840),
    ],
)
def test_an_information_cutoff_is_a_momentum_cutoff(scale, momentum, kept, kernel):
    theory = torus()
    np.testing.assert_allclose(theory.cutoff_momentum(scale), momentum, rtol=1e-10)
    cut = coarse_grain(theory, SharpCutoff(scale))
    assert cut.weights.sum() == kept
    assert np.all(np.abs(cut.momenta[cut.weights == 0]) > momentum)
    np.testing.assert_allclose(cut.kernel(jnp.array([0.4])), kernel, rtol=3e-10)
    shell = information.information_shell(theory, scale, 10 * scale)
    assert shell == (theory.cutoff_momentum(10 * scale), theory.cutoff_momentum(scale))


def test_what_data_leave_is_a_free_scalar_of_larger_mass():
    """A grid of 256 points is uniform data: exact regression beside the formula."""
    theory = torus()
    points = 10 * np.arange(256) / 256
    gram = np.asarray(theory.kernel(jnp.asarray(points[:, None] - points)[..., None]))
    posterior = gram - gram @ np.linalg.solve(gram + 0.1 * np.eye(256), gram)
    ours = theory.posterior_kernel(jnp.asarray(points[0] - points)[:, None])
    np.testing.assert_allclose(ours, posterior[0], atol=1e-12)
    heavy = torus(mass=theory.effective_mass_squared**0.5)
    np.testing.assert_allclose(ours, heavy.kernel(jnp.asarray(points)[:, None]), atol=1e-12)
    information_of_grid = np.linalg.eigvalsh(gram)[::-1][:121] / 0.1
    np.testing.assert_allclose(information_of_grid, 256 * np.asarray(theory.eigenvalues), rtol=1e-9)


def test_random_inputs_approach_the_torus():
    theory = torus(highest=20)
    waves = np.outer(np.random.RandomState(0).uniform(0, 10, 20_000), np.arange(1, 21)) * np.pi / 5
    rows = np.concatenate([np.ones((20_000, 1)), 2**0.5 * np.cos(waves), 2**0.5 * np.sin(waves)], 1)
    scale = np.sqrt(1 / (10 * 0.1 * ((np.pi / 5 * np.arange(21)) ** 2 + 1)))
    rows *= np.concatenate([scale, scale[1:]])
    found = np.linalg.eigvalsh(rows.T @ rows / 20_000)[::-1]
    error = np.max(np.abs(found / np.asarray(theory.eigenvalues) - 1))
    assert error < 0.03  # .012 in the reference's draw
