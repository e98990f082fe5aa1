"""Free probability: the algebra of its transforms, closed densities, and large random matrices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from wilsonian import effective_ridge
from wilsonian.theory.free_probability import (
    Deterministic,
    Identity,
    Inverse,
    OrthogonalProjection,
    Scaled,
    WhiteWishart,
    renormalized_ridge,
)
from wilsonian.theory.free_probability.densities import moments, spectral_density

pytestmark = pytest.mark.double_precision

SPECTRUM = np.arange(1.0, 41) ** -1.3
# One of each kind; the projection keeps more than t runs over below.
BASES = {
    "white": lambda: WhiteWishart(0.5),
    "projection": lambda: OrthogonalProjection(0.97),
    "identity": lambda: 0.7 * Identity(),
    "deterministic": lambda: Deterministic(SPECTRUM),
    "inverse": lambda: Inverse(WhiteWishart(0.4)),
}
COMPOSITES = {
    "structured Wishart": lambda: Deterministic(SPECTRUM) * WhiteWishart(0.5),
    "projected Wishart": lambda: OrthogonalProjection(0.97) * WhiteWishart(0.5),
    "sum": lambda: Deterministic(SPECTRUM) + 0.5 * WhiteWishart(2.0),
    "shifted": lambda: WhiteWishart(3.0) + 0.3,
    "product of a sum": lambda: (WhiteWishart(0.5) + OrthogonalProjection(0.3)) * WhiteWishart(0.2),
}
ENSEMBLES = BASES | COMPOSITES
each_ensemble = pytest.mark.parametrize("name", ENSEMBLES)
T = np.array([-0.9, -0.5, -0.1, -1e-3])


@jax.jit
def transforms(ensemble, t):
    factor = ensemble.t_transform(t)
    ridge = -(1 + t) / t * factor
    return factor, ensemble.r_transform(t / factor), ridge


@jax.jit
def stieltjes(ensemble, z):
    return ensemble.stieltjes(z)


@functools.cache
def transforms_of(name):
    return tuple(np.asarray(value) for value in transforms(ENSEMBLES[name](), T))


# Transforms against each other. `stieltjes` of products and sums knows nothing of T and R: it goes
# through subordination, so that multiplicativity and additivity are checked and not assumed.


@each_ensemble
def test_transforms_meet_in_the_resolvent(name):
    r"""T(t) = R(t S(t)); tr A (A + kappa)^-1 = -t and tr (A + kappa)^-1 = -t S(t)."""
    factor, of_inverse, ridge = transforms_of(name)
    assert_close(of_inverse, factor, rtol=1e-9)
    resolvent = -stieltjes(ENSEMBLES[name](), -ridge + 0j).real
    assert_close(1 - ridge * resolvent, -T, rtol=1e-8)
    assert_close(resolvent, -T / factor, rtol=1e-9)


@pytest.mark.parametrize("name", [*BASES, "structured Wishart", "shifted"])  # to compile few
def test_transforms_begin_with_the_moments(name):
    r"""T(0) = R(0) = m_1; R'(0) = m_2 - m_1^2 = m_1 T'(0)."""
    ensemble = ENSEMBLES[name]()
    first, second = moments(ensemble, 2)
    step = 1e-4
    factor = np.asarray(transforms(ensemble, np.array([-2 * step, -step]))[0])
    assert_close(2 * factor[1] - factor[0], first, rtol=1e-6)
    slope = (factor[1] - factor[0]) / step
    # The second difference is of order step times the third cumulant over the first.
    assert_close(first * slope, second - first**2, rtol=0.02, atol=1e-8)


shares = st.floats(0.05, 0.95)


@jax.jit
def algebra(aspect, fraction, factor, shift, t):
    """Pairs of transforms that must be equal."""
    white, projection = WhiteWishart(aspect), OrthogonalProjection(fraction)
    fixed = Deterministic(SPECTRUM)
    g = t  # any negative number is one
    pairs = {
        "S of a product": (
            (white * projection * fixed).s_transform(t),
            white.s_transform(t) * projection.s_transform(t) * fixed.s_transform(t),
        ),
        "commuting": ((white * fixed).t_transform(t), (fixed * white).t_transform(t)),
        "identity": ((white * Identity()).t_transform(t), white.t_transform(t)),
        "R of a sum": (
            (white + fixed).r_transform(g),
            white.r_transform(g) + fixed.r_transform(g),
        ),
        "sums commute": ((white + fixed).t_transform(t), (fixed + white).t_transform(t)),
        "scaled T": ((factor * white).t_transform(t), factor * white.t_transform(t)),
        "scaled R": (
            (factor * (white + fixed)).r_transform(g),
            (factor * white + factor * fixed).r_transform(g),
        ),
        "a scaled identity is a scale": (
            (white * (factor * Identity())).t_transform(t),
            Scaled(white, factor).t_transform(t),
        ),
        "a scaled identity is a shift": (
            (white + shift * Identity()).t_transform(t),
            (white + shift).t_transform(t),
        ),
        "scaled spectrum": (
            Deterministic(factor * SPECTRUM).t_transform(t),
            (factor * fixed).t_transform(t),
        ),
        "wide Wishart": (WhiteWishart(1 / aspect).t_transform(t), 1 + t / aspect),
        "inverse of inverse": (
            Inverse(Inverse(white, 1.0), 1.0).t_transform(t),
            white.t_transform(t),
        ),
    }
    return pairs


@settings(max_examples=40, deadline=None)
@given(shares, shares, st.floats(0.01, 100), st.floats(0.01, 10), st.floats(-0.999, -0.001))
def test_the_algebra(aspect, fraction, factor, shift, t):
    t = max(t, -0.98 * fraction)  # rank left
    for name, (left, right) in algebra(aspect, fraction, factor, shift, t).items():
        np.testing.assert_allclose(left, right, rtol=1e-8, err_msg=name)


# Closed densities, by subordination.


def test_marchenko_pastur():
    x = np.linspace(0.2, 2.7, 12)
    left, right = (1 - 0.5**0.5) ** 2, (1 + 0.5**0.5) ** 2
    closed = np.sqrt((right - x) * (x - left)) / (2 * np.pi * 0.5 * x)
    assert_close(spectral_density(WhiteWishart(0.5), x), closed, rtol=1e-7)
    # As a product of a spectrum with a Wishart matrix, found numerically.
    assert_close(spectral_density(Deterministic(np.ones(3)) * WhiteWishart(0.5), x), closed, 1e-7)
    assert_close(spectral_density(WhiteWishart(0.5), [0.05, 3.0, 9.0]), 0, atol=1e-7)


def test_two_projections_have_the_arcsine_law():
    half = OrthogonalProjection(0.5)
    x = np.array([0.02, 0.3, 1.1, 1.9])
    assert_close(spectral_density(half + half, x), 1 / (np.pi * np.sqrt(x * (2 - x))), rtol=1e-6)
    x = x / 2  # of their product half is an atom at zero
    expected = 0.5 / (np.pi * np.sqrt(x * (1 - x)))
    assert_close(spectral_density(half * half, x), expected, rtol=1e-6)


def test_three_involutions_have_the_law_of_kesten_and_mckay():
    """A convolution of a convolution; degree d = 3."""
    half = OrthogonalProjection(0.5)
    x = np.array([-2.5, -1.0, 0.0, 2.8])
    closed = 3 * np.sqrt(8 - x**2) / (2 * np.pi * (9 - x**2))
    density = spectral_density(half + half + half, (x + 3) / 2) / 2
    assert_close(density, closed, rtol=1e-6)
    assert_close(moments(2 * (half + half + half) + (-3.0), 4), [0, 3, 0, 15], atol=1e-9)


def test_moments_have_closed_forms():
    q = 0.7
    closed = [1, 1 + q, 1 + 3 * q + q**2, 1 + 6 * q + 6 * q**2 + q**3]  # Narayana numbers
    assert_close(moments(WhiteWishart(q), 4), closed)
    assert_close(moments(OrthogonalProjection(0.2), 3), [0.2, 0.2, 0.2])
    assert_close(moments(Deterministic(SPECTRUM), 3), [np.mean(SPECTRUM**k) for k in (1, 2, 3)])
    first, second = moments(Inverse(WhiteWishart(q)), 2)
    assert_close([first, second], [1 / (1 - q), 1 / (1 - q) ** 3], rtol=1e-8)


# Large random matrices.

SIZE = 240


def draw_wishart(random, aspect):
    rows = round(SIZE / aspect)
    X = random.normal(size=(rows, SIZE))
    return X.T @ X / rows


def draw_rotated(random, diagonal):
    Q = np.linalg.qr(random.normal(size=(SIZE, SIZE)))[0]
    return (Q * diagonal) @ Q.T


FIXED = np.linspace(0.1, 2.0, SIZE)
PROJECTION = np.arange(SIZE) < 0.4 * SIZE
MATRICES = {
    "structured Wishart": (
        lambda: Deterministic(FIXED) * WhiteWishart(0.5),
        lambda random: FIXED**0.5 * (draw_wishart(random, 0.5) * FIXED[:, None] ** 0.5),
    ),
    "two Wisharts, one singular": (
        lambda: WhiteWishart(2.0) + 0.5 * WhiteWishart(0.5),
        lambda random: draw_wishart(random, 2.0) + 0.5 * draw_wishart(random, 0.5),
    ),
    "spectrum and projection": (
        lambda: Deterministic(FIXED) + OrthogonalProjection(0.4),
        lambda random: np.diag(FIXED) + draw_rotated(random, PROJECTION),
    ),
    "projected spectrum": (
        lambda: Deterministic(FIXED) * OrthogonalProjection(0.4),
        lambda random: FIXED**0.5 * (draw_rotated(random, PROJECTION) * FIXED[:, None] ** 0.5),
    ),
    "inverse Wishart": (
        lambda: Inverse(WhiteWishart(0.25)),
        lambda random: np.linalg.inv(draw_wishart(random, 0.25)),
    ),
}


@pytest.fixture(scope="module")
def drawn_eigenvalues():
    random = np.random.default_rng(0)
    return {
        name: np.array([np.linalg.eigvalsh(draw(random)) for _ in range(3)])
        for name, (_, draw) in MATRICES.items()
    }


@pytest.mark.parametrize("name", MATRICES)
def test_large_matrices_have_the_predicted_resolvent(name, drawn_eigenvalues):
    """tr (z - A)^-1 above the spectrum and left of it; errors are of order 1 / (SIZE Im z)."""
    z = np.array([0.3 + 0.3j, 1.0 + 0.3j, 2.5 + 0.3j, -0.1, -1.0]) + 0j
    measured = np.mean(1 / (z[:, None, None] - drawn_eigenvalues[name]), axis=(1, 2))
    assert_close(stieltjes(MATRICES[name][0](), z), measured, rtol=4 / SIZE, atol=2 / SIZE)


def test_large_matrices_have_the_predicted_density(drawn_eigenvalues):
    """Share of eigenvalues in ten bins, of the structured Wishart; a level moves by about
    log(SIZE) / SIZE."""
    edges = np.linspace(0.0, 5.0, 11)
    eigenvalues = drawn_eigenvalues["structured Wishart"]
    measured = np.histogram(eigenvalues, edges)[0] / eigenvalues.size
    root = np.linspace(0, 5**0.5, 601)  # the density is steep near zero
    middle = (root[1:] + root[:-1]) / 2
    density = spectral_density(Deterministic(FIXED) * WhiteWishart(0.5), middle**2)
    assert np.all(density >= -1e-9)
    shares = np.histogram(middle**2, edges, weights=density * np.diff(root**2))[0]
    assert_close(shares.sum(), 1, rtol=1e-3)
    assert_close(shares, measured, rtol=0, atol=np.log(SIZE) / SIZE)


# The renormalized ridge.


def test_with_a_wishart_matrix_it_is_the_effective_ridge():
    for points in (10.0, 30.0, 100.0):
        for ridge in (0.0, 1e-9, 1e-2, 100.0):
            ours = renormalized_ridge(SPECTRUM, ridge, WhiteWishart(40 / points))
            twin = effective_ridge(SPECTRUM, points * ridge, points) / points
            assert_close(ours, twin, rtol=1e-11)


def test_of_a_product_it_solves_its_equation():
    ensembles = (WhiteWishart(0.8), 2 * OrthogonalProjection(0.6), Inverse(WhiteWishart(0.3)))
    value = float(renormalized_ridge(SPECTRUM, 0.01, *ensembles))

    def excess(log_value):
        t = -np.mean(SPECTRUM / (SPECTRUM + np.exp(log_value)))
        s = 1 / (1 + 0.8 * t) * (1 + t) / (2 * (0.6 + t)) * (1 - 0.3 - 0.3 * t)
        return np.exp(log_value) - 0.01 * s

    assert_close(value, np.exp(scipy.optimize.brentq(excess, -4, 3, xtol=1e-14)), rtol=1e-10)
    assert_close(renormalized_ridge(SPECTRUM, 0.3), 0.3)  # nothing random
    assert_close(renormalized_ridge(SPECTRUM, 0.3, 0.5 * Identity()), 0.6)


def test_without_a_ridge_and_its_derivative():
    """Zero where rank is left, positive where not; d kappa / d lambda by differences."""
    assert renormalized_ridge(SPECTRUM, 0.0, WhiteWishart(0.5)) == 0
    for ensemble, rank in ((WhiteWishart(4.0), 10), (OrthogonalProjection(0.5), 20)):
        value = renormalized_ridge(SPECTRUM, 0.0, ensemble)
        assert value > 0
        assert_close(np.sum(SPECTRUM / (SPECTRUM + value)), rank)
    for ridge in (1e-3, 0.1):
        slope = jax.grad(renormalized_ridge, 1)(SPECTRUM, ridge, WhiteWishart(4.0))
        up, down = (
            renormalized_ridge(SPECTRUM, ridge * (1 + s), WhiteWishart(4.0)) for s in (1e-5, -1e-5)
        )
        assert_close(slope, (up - down) / (2e-5 * ridge), rtol=1e-7)


def test_degrees_of_freedom_of_large_matrices():
    """df_1 of (Sigma_hat (Sigma_hat + lambda)^-1), a Wishart matrix between random projections."""
    random = np.random.default_rng(1)
    measured = []
    for _ in range(6):
        half = FIXED**0.5
        projected = draw_rotated(random, np.arange(SIZE) < 0.7 * SIZE)
        middle = projected @ draw_wishart(random, 0.6) @ projected
        values = np.linalg.eigvalsh(half * (middle * half[:, None]))
        measured.append(np.sum(values / (values + 0.2)))
    kappa = renormalized_ridge(FIXED, 0.2, OrthogonalProjection(0.7), WhiteWishart(0.6))
    error = np.std(measured, ddof=1) / 6**0.5
    # Beside chance, a bias of order one of SIZE degrees of freedom.
    expected = np.sum(FIXED / (FIXED + kappa))
    assert abs(np.mean(measured) - expected) < 3 * error + 0.5
    assert abs(np.mean(measured) - np.sum(FIXED / (FIXED + 0.2))) > 20  # the bare ridge is far off


def test_single_precision():
    expected = renormalized_ridge(SPECTRUM, 0.01, WhiteWishart(4.0))
    with jax.enable_x64(False):
        value = renormalized_ridge(SPECTRUM, 0.01, WhiteWishart(4.0))
        assert value.dtype == jnp.float32
    assert_close(value, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: WhiteWishart(0.0), "`aspect` is D / n"),
        (lambda: WhiteWishart(np.nan), "`aspect` is D / n"),
        (lambda: OrthogonalProjection(1.2), "`fraction` is rank / D"),
        (lambda: -1.0 * Identity(), "`factor` must be positive"),
        (lambda: Deterministic([1.0, -0.1]), "nonnegative and not all zero"),
        (lambda: Deterministic([1.0, np.nan]), "finite, nonnegative"),
        (lambda: Deterministic(np.zeros(3)), "not all zero"),
        (lambda: Deterministic(np.ones((2, 2))), "one list of numbers"),
        (lambda: Inverse(WhiteWishart(1.5)), "below 1 for an inverse"),
        (lambda: Inverse(Identity()), "pass `smallest`"),
        (lambda: Inverse(Identity(), 0.0), "must be positive for an inverse"),
        (lambda: renormalized_ridge(SPECTRUM, -1.0), "`ridge` must be at least 0"),
        (lambda: renormalized_ridge([], 1.0), "one list of numbers"),
        (lambda: spectral_density(Identity(), [np.nan]), "`x` must be finite"),
        (lambda: moments(Identity(), 0), "`order` must be at least 1"),
    ],
)
def test_bad_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_an_ensemble_does_not_multiply_by_text():
    with pytest.raises(TypeError):
        Identity() * "x"
    with pytest.raises(TypeError):
        Identity() + "x"
