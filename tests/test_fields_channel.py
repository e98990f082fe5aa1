"""Lattices, channels, theories and their exact numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad

from wilsonian.core.information import learnability
from wilsonian.fields.channel import Channel, carosso_from_box
from wilsonian.fields.couplings import Couplings, coupling_flow
from wilsonian.fields.lattice import filter_fields, momenta_squared, power_spectrum
from wilsonian.fields.theories import (
    EvenPolynomial,
    FreeField,
    Phi4,
    UserTheory,
    theory_from_parameters,
)
from wilsonian.fields.transfer_matrix import exact_moments

SHAPES = [(9,), (16, 16), (4, 6), (3, 4, 5), (2, 3, 4, 2)]
CHANNELS = [
    lambda shape: Channel("carosso", shape, z=0.5, omega=2.0),
    lambda shape: Channel("carosso", shape),
    lambda shape: Channel("polchinski", shape, z=0.3, mass_squared=0.7),
    lambda shape: Channel("rgdm", shape, z=0.4, omega=1.5, scale=2.0),
]
each_channel = pytest.mark.parametrize(
    "make", CHANNELS, ids=["carosso", "zero", "polchinski", "rgdm"]
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@each_channel
def test_two_short_steps_equal_one_long_step(make, shape):
    channel = make(shape)
    twice = channel.kernel(0.1, 0.4).then(channel.kernel(0.4, 1.3))
    once = channel.kernel(0.1, 1.3)
    assert_allclose(twice.multiplier, once.multiplier, rtol=0, atol=1e-14)
    assert_allclose(twice.noise_variance, once.noise_variance, rtol=0, atol=1e-14)


@each_channel
def test_nothing_is_done_at_time_zero(make):
    kernel = make((8, 8)).kernel(0, 0)
    assert_allclose(kernel.multiplier, 1)
    assert_allclose(kernel.noise_variance, 0)


@each_channel
def test_bayesian_time_is_the_integral_of_noise_over_signal(make):
    channel = make((16, 16))
    for place in [(0, 0), (0, 1), (5, 8)]:

        def speed(time, place=place):
            _, diffusion = channel.law().generator(time)
            return diffusion[place] / channel.multiplier(time)[place] ** 2

        assert_allclose(channel.bayesian_time(0.7)[place], quad(speed, 0, 0.7)[0], rtol=1e-12)


@each_channel
def test_the_generator_is_the_derivative_of_the_channel(make):
    channel, time, step = make((8, 8)), 0.6, 1e-5
    rate, diffusion = channel.law().generator(time)
    ahead, back = (channel.kernel(0, time + s) for s in (step, -step))
    here = channel.kernel(0, time)
    speed = (ahead.multiplier - back.multiplier) / (2 * step)
    assert_allclose(speed, -rate * here.multiplier, rtol=1e-7, atol=1e-10)
    grown = (ahead.noise_variance - back.noise_variance) / (2 * step)
    assert_allclose(grown, -2 * rate * here.noise_variance + diffusion, rtol=1e-6, atol=1e-9)


def test_small_bayesian_times_in_units_of_the_noise():
    ratio = Channel("carosso", (16, 16), z=0.5).bayesian_time(1e-3) / 1e-3
    assert_allclose([ratio.min(), ratio.max()], [1.00050017, 1.00854837], rtol=1e-8)


def test_rgdm_has_one_bayesian_time_for_every_mode():
    time = Channel("rgdm", (16, 16), z=0.4, omega=1.5).bayesian_time(0.9)
    assert_allclose(time, time[0, 0], rtol=1e-13)


def test_polchinski_keeps_the_free_field_of_its_mass():
    channel = Channel("polchinski", (16, 16), z=0.3, mass_squared=0.7)
    free = FreeField((16, 16), 0.7).spectrum()
    cutoff = np.exp(-(momenta_squared((16, 16)) + 0.3) * 0.8)
    assert_allclose(channel.two_point(0.8, free), cutoff * free, rtol=0, atol=1e-14)


def test_relative_entropy_of_two_free_fields_falls_by_the_table():
    channel = Channel("carosso", (16, 16))
    light, heavy = (FreeField((16, 16), mass).spectrum() for mass in (0.25, 1.0))
    table = {0: 7.1772, 0.05: 5.9758, 0.2: 3.8071, 0.5: 2.0437, 1: 0.9831, 2: 0.3577, 4: 0.0992}
    for time, expected in table.items():
        ratio = channel.two_point(time, light) / channel.two_point(time, heavy)
        assert abs(0.5 * (ratio - 1 - np.log(ratio)).sum() - expected) < 1e-4


def test_information_of_a_free_field_by_the_table():
    channel, spectrum = Channel("carosso", (16, 16)), FreeField((16, 16), 0.25).spectrum()
    table = {0.05: (223.10, 247), 0.3: (45.346, 21), 1: (8.735, 5), 3: (1.789, 0)}
    for time, (nats, modes) in table.items():
        kernel = channel.kernel(0, time)
        assert abs(kernel.information(spectrum).sum() - nats) < 1e-3
        assert kernel.resolved_modes(spectrum) == modes


def test_information_per_mode_is_learnability_at_the_ridge_of_bayesian_time():
    """The exact correspondence with kernels: eigenvalue C_0, one sample, ridge tau."""
    channel, spectrum = Channel("rgdm", (8, 8), z=0.3), FreeField((8, 8), 0.25).spectrum()
    kernel = channel.kernel(0, 0.6)
    with jax.enable_x64(True):
        learned = np.asarray(
            learnability(jnp.asarray(spectrum), jnp.asarray(kernel.bayesian_time()), 1.0)
        )
    assert_allclose(
        learned, kernel.multiplier**2 * spectrum / kernel.two_point(spectrum), rtol=1e-12
    )
    assert_allclose(kernel.information(spectrum), -0.5 * np.log1p(-learned), rtol=1e-12)
    assert_allclose(kernel.degrees_of_freedom(spectrum), learned.sum(), rtol=1e-12)
    assert_allclose(kernel.nats(spectrum), kernel.information(spectrum).sum(), rtol=1e-12)


def test_a_channel_cannot_add_information():
    channel, spectrum = Channel("carosso", (8, 8), z=0.5), FreeField((8, 8), 0.25).spectrum()
    nats = [channel.information(time, spectrum).sum() for time in (0.1, 0.2, 0.5, 1.0)]
    assert (np.diff(nats) < 0).all()


@pytest.mark.parametrize("shape", [(64,), (12, 12)], ids=str)
def test_the_spectrum_of_flowed_fields_follows_its_law(shape):
    theory, channel = FreeField(shape, 0.25), Channel("carosso", shape, z=0.5)
    key = jax.random.key(3)
    noise = jax.random.normal(key, (4096, *shape))
    fields = filter_fields(noise, np.sqrt(theory.spectrum()))
    flowed = channel.flow(fields, (0.1, 0.4), jax.random.key(4))
    for coarse, time in zip(flowed, (0.1, 0.4), strict=True):
        ratio = power_spectrum(coarse, shape) / channel.two_point(time, theory.spectrum())
        # 4096 fields: 2.2 % for a real mode, 1.6 % for a complex one; rms 1.7 %
        assert abs(np.sqrt(((ratio - 1) ** 2).mean()) - 0.017) < 0.005


def test_a_cumulant_is_multiplied_and_two_points_are_refused():
    kernel = Channel("carosso", (8, 8), z=0.5).kernel(0, 0.3)
    places = [(0, 0), (1, 0), (7, 0), (0, 0)]
    expected = 2.5 * np.prod([kernel.multiplier[place] for place in places])
    assert_allclose(kernel.cumulant(2.5, places), expected)
    with pytest.raises(ValueError, match="two_point"):
        kernel.cumulant(2.5, places[:2])


def test_couplings_follow_the_table_from_their_start():
    """B22: L=8, kappa=.27; the start's own errors (.015 in g_R, .022 in xi) set the tolerance."""
    volume, chi, xi, binder = 64, 59.83, 6.212, 0.503
    first = chi / (1 + (2 * np.sin(np.pi / 8) * xi) ** 2)
    start = Couplings.of(chi, first, -3 * volume * binder * chi**2, (8, 8))
    assert_allclose(start.renormalized_coupling, 2.504, rtol=1e-3)
    channel = Channel("carosso", (8, 8), z=0.5, omega=1 / 0.27)
    flow = coupling_flow(start, channel, (0.2, 0.5, 1, 2))
    g = [point.renormalized_coupling for point in flow]
    assert_allclose(g, [2.603, 2.899, 3.681, 5.200], rtol=0.006)
    assert_allclose([p.correlation_length for p in flow], [6.012, 5.552, 4.633, 3.093], rtol=4e-3)
    assert_allclose([p.binder for p in flow], [0.490, 0.465, 0.412, 0.259], atol=2e-3)


def test_the_convention_of_a_physical_box():
    """The coarse field of a box, integrated in its own units, is ours: 2308.12355, N=8, L=4."""
    sides, box, mass, time = 8, 4.0, 0.6, 0.02
    channel, factor = carosso_from_box((sides, sides), box, mass, 1 / box**2)
    assert_allclose(channel.omega, 1.0)
    along = (2 * sides / box) ** 2 * np.sin(np.pi * np.arange(sides) / sides) ** 2
    rate = along[:, None] + along + mass
    kernel = channel.kernel(0, factor * time)
    assert_allclose(kernel.multiplier, np.exp(-rate * time), rtol=1e-12)
    theirs = (1 - np.exp(-2 * rate * time)) / (2 * rate) / box**2
    assert_allclose(kernel.noise_variance, sides**2 * theirs, rtol=1e-12)  # FFT / V


def test_exact_numbers_of_the_chain():
    exact = exact_moments(Phi4((16,), 0.54, 0.022))
    assert abs(exact.second_moment - 1.743629472) < 1e-7
    assert abs(exact.fourth_moment - 6.754058464) < 1e-7
    assert abs(exact.susceptibility - 13.182953913) < 1e-7
    assert abs(exact.log_partition_function - 13.858183647) < 1e-7


@pytest.mark.parametrize(
    ("side", "log_z", "tolerance"),
    [(2, 0.952409, 5e-7), (3, 0.80261141, 1e-8), (4, 0.75687800, 1e-8)],
)
def test_exact_numbers_of_squares(side, log_z, tolerance):
    exact = exact_moments(Phi4((side, side), 0.27, 0.022))
    assert abs(exact.log_partition_function / side**2 - log_z) < tolerance


@pytest.mark.parametrize("side", [2, 3])
def test_the_second_moment_of_a_square_is_a_derivative_of_log_z(side):
    c, lam, step = 1 - 2 * 0.022, 0.022, 1e-4
    ahead, back = (
        exact_moments(EvenPolynomial((side, side), 0.27, (c + s, lam))).log_partition_function
        for s in (step, -step)
    )
    exact = exact_moments(Phi4((side, side), 0.27, 0.022))
    assert_allclose(-(ahead - back) / (2 * step * side**2), exact.second_moment, rtol=1e-6)


@pytest.mark.parametrize("shape", [(12,), (2, 2), (3, 3)], ids=str)
def test_transfer_matrices_know_the_gaussian_field(shape):
    kappa = 0.2
    theory = EvenPolynomial(shape, kappa, (1.0,))
    stiffness = 2 * kappa * momenta_squared(shape) + 2 - 4 * kappa * len(shape)
    exact = exact_moments(theory)
    log_z = 0.5 * np.log(2 * np.pi / stiffness).sum()
    assert_allclose(exact.log_partition_function, log_z, rtol=1e-7)
    assert_allclose(exact.second_moment, (1 / stiffness).mean(), rtol=1e-7)
    # FreeField is the same family
    free, same = FreeField(shape, 0.8), EvenPolynomial(shape, 0.5, (len(shape) + 0.4,))
    field = jax.random.normal(jax.random.key(1), shape)
    assert_allclose(free.action(field), same.action(field), rtol=1e-6)
    modes = np.abs(np.fft.fftn(np.asarray(field), norm="ortho")) ** 2
    assert_allclose(free.action(field), 0.5 * (modes / free.spectrum()).sum(), rtol=1e-5)


def test_a_force_is_the_gradient_of_the_action():
    theory = EvenPolynomial((4, 6), 0.2, (0.7, 0.1, 0.02))
    fields = jax.random.normal(jax.random.key(0), (3, 4, 6))
    by_hand = theory.force(fields)
    by_jax = jax.grad(lambda f: theory.action(f).sum())(fields)
    assert_allclose(by_hand, by_jax, rtol=2e-5, atol=1e-5)  # float32
    same = UserTheory((4, 6), theory.action)
    assert_allclose(same.action(fields), theory.action(fields), rtol=1e-5)
    assert_allclose(same.force(fields), by_hand, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("convention", ["flow", "continuum"])
def test_other_conventions_give_the_same_action(convention):
    mass, coupling = -2.2, 6.008
    theory = Phi4.from_mass_and_coupling((4, 4), mass, coupling, convention)
    phi = np.random.default_rng(0).normal(size=(4, 4))
    if convention == "flow":
        varphi = phi * np.sqrt(theory.kappa)
        bonds = sum((np.roll(varphi, -1, a) - varphi) ** 2 for a in (0, 1))
        theirs = (mass * varphi**2 + coupling * varphi**4 + bonds).sum()
    else:
        varphi = phi * np.sqrt(2 * theory.kappa)
        bonds = sum((np.roll(varphi, -1, a) - varphi) ** 2 for a in (0, 1))
        theirs = (bonds / 2 + mass * varphi**2 / 2 + coupling / 4 * varphi**4).sum()
    assert_allclose(theory.action(jnp.asarray(phi)), theirs, rtol=1e-5)
    if convention == "flow":
        assert_allclose(theory.mass_and_coupling(), (mass, coupling), rtol=1e-12)
    point = Phi4.from_mass_and_coupling((16, 16), -4, 6.008)
    assert_allclose([point.lam, point.kappa], [0.5, 1 / np.sqrt(2 * 6.008)], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Channel("wilson", (8, 8)), "carosso"),
        (lambda: Channel("polchinski", (8, 8)), "zero mode"),
        (lambda: Channel("carosso", (8, 8)).law().final_variance(), "positive `z`"),
        (lambda: Channel("rgdm", (8, 8)).law().final_variance(), "positive `z`"),
        (lambda: Channel("carosso", (8, 8), z=-1), "`z` is -1"),
        (lambda: Channel("carosso", (8, 8), omega=0), "positive"),
        (lambda: Channel("carosso", (8, 8), z=0.5).kernel(1, 0.5), "start <= stop"),
        (lambda: Channel("carosso", (1, 8)), "at least 2 sites"),
        (lambda: Channel("carosso", (2,) * 5), "1 to 4 sides"),
        (lambda: Phi4((8, 8), 0.27, -0.1), "unbounded below"),
        (lambda: Phi4((8, 8), 0.27, 0.0), "must stay below 0.25"),
        (lambda: Phi4((8, 8), float("nan"), 0.022), "finite"),
        (lambda: EvenPolynomial((8, 8), 0.2, (1.0, -0.1)), "unbounded below"),
        (lambda: FreeField((8, 8), 0.0), "positive one"),
        (lambda: Phi4.from_mass_and_coupling((8, 8), -4, -1.0), "positive one"),
        (lambda: exact_moments(Phi4((5, 5), 0.27, 0.022)), "side 2 to 4"),
        (lambda: UserTheory((4, 4), lambda field: field), "one number"),
        (lambda: theory_from_parameters({"theory": "mine"}), "action of your own"),
        (lambda: theory_from_parameters({"theory": "phi4", "mass": 1}), "do not fit"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert str(caught.value).count("\n") == 0


def test_fields_and_times_that_cannot_be_are_refused():
    channel, key = Channel("carosso", (4, 4), z=0.5), jax.random.key(0)
    fields = np.zeros((3, 4, 4), np.float32)
    with pytest.raises(ValueError, match="out of order"):
        channel.flow(fields, (1.0, 0.3), key)
    with pytest.raises(ValueError, match="one field per row"):
        channel.flow(np.zeros((3, 4, 5), np.float32), (0.3,), key)
    fields[1, 2, 2] = np.nan
    with pytest.raises(ValueError, match="1 of the fields hold NaN"):
        channel.flow(fields, (0.3,), key)
