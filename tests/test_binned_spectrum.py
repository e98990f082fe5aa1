"""Binned spectra: what is exact, the bound on the rest, and power laws without a list of modes."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from wilsonian.theory.learning_curves.binned_spectrum import (
    BinnedSpectrum,
    gauss_rules,
    half_width_of,
    power_law_degrees_of_freedom,
)

FUNCTIONS = {
    "L": lambda ratio: ratio / (1 + ratio),
    "1 - L": lambda ratio: 1 / (1 + ratio),
    "L^2": lambda ratio: (ratio / (1 + ratio)) ** 2,
    "(1 - L)^2": lambda ratio: 1 / (1 + ratio) ** 2,
    "L (1 - L)": lambda ratio: ratio / (1 + ratio) ** 2,
}
KAPPAS = np.geomspace(1e-18, 1e3, 22)
ROUNDING = 1e-12


def worst_error(binned, eigenvalues, power):
    """Largest relative error of any sum, over functions and kappas."""
    worst = 0.0
    for function in FUNCTIONS.values():
        for kappa in KAPPAS:
            each, node = function(eigenvalues / kappa), function(binned.eigenvalues / kappa)
            counted = eigenvalues > 0  # modes of no eigenvalue have no multiplicity
            for mass, nodes in ((counted, binned.multiplicity), (power, binned.target_power)):
                exact = np.sum(mass * each)
                worst = max(worst, abs(nodes @ node - exact) / exact)
    return worst


def spectra():
    random = np.random.default_rng(0)
    modes = np.arange(1.0, 20_001)
    yield "power law", modes**-1.5, modes**-2.2
    yield "exponential", np.exp(-0.002 * modes), modes**-1.0
    yield "log-normal", np.sort(np.exp(3 * random.normal(size=20_000)))[::-1], random.random(20_000)
    yield "one decade", np.linspace(1.0, 0.1, 20_000), random.random(20_000) ** 8
    yield "levels", np.repeat([3.0, 1.0, 0.9999, 1e-6], 5_000), random.random(20_000)


@pytest.mark.parametrize("spectrum", list(spectra()), ids=lambda spectrum: spectrum[0])
def test_every_sum_is_within_the_tolerance(spectrum):
    _, eigenvalues, power = spectrum
    for tolerance in (1e-11, 1e-8, 1e-4):
        binned = BinnedSpectrum.of(eigenvalues, power, tolerance=tolerance)
        assert worst_error(binned, eigenvalues, power) < tolerance + ROUNDING
        np.testing.assert_allclose(binned.trace(), eigenvalues.sum(), rtol=ROUNDING)
        np.testing.assert_allclose(binned.multiplicity.sum(), len(eigenvalues), rtol=ROUNDING)
        np.testing.assert_allclose(binned.target_power.sum(), power.sum(), rtol=ROUNDING)
        assert np.all(np.diff(binned.eigenvalues) <= 0)


def test_the_bound_is_not_idle():
    """A power law of many modes comes within a factor of ten of it; twice as wide bins break it."""
    eigenvalues = np.arange(1.0, 200_001) ** -1.5
    error = worst_error(BinnedSpectrum.of(eigenvalues, eigenvalues), eigenvalues, eigenvalues)
    assert 1e-9 < error < 1e-8
    wide = BinnedSpectrum.of(eigenvalues, eigenvalues, tolerance=64e-8)
    assert half_width_of(64e-8) > 1.8 * half_width_of(1e-8)
    assert worst_error(wide, eigenvalues, eigenvalues) > 1e-8


def test_how_few_nodes():
    for count, most in ((10_000, 900), (1_000_000, 1_200)):
        eigenvalues = np.arange(1.0, count + 1) ** -1.5
        assert len(BinnedSpectrum.of(eigenvalues, eigenvalues).eigenvalues) < most


@settings(max_examples=25, deadline=None)
@given(
    logs=st.lists(st.floats(-20, 5), min_size=1, max_size=30),
    zeros=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_any_short_spectrum(logs, zeros, seed):
    """Ties, single modes, gaps and zeros: nothing is lost."""
    eigenvalues = np.append(np.sort(np.exp(logs))[::-1], np.zeros(zeros))
    power = np.random.default_rng(seed).random(len(eigenvalues))
    binned = BinnedSpectrum.of(eigenvalues, power)
    assert worst_error(binned, eigenvalues, power) < 1e-8
    np.testing.assert_allclose(binned.target_power.sum(), power.sum(), rtol=ROUNDING)
    np.testing.assert_allclose(binned.multiplicity.sum(), len(logs), rtol=ROUNDING)


def test_gauss_rules_of_known_measures():
    """Of the uniform measure: Legendre's. Of three points or fewer: these points."""
    order = np.arange(6)
    uniform = np.where(order % 2, 0.0, 2 / (order + 1))
    nodes, shares = gauss_rules(uniform[:, None])
    expected, weights = scipy.special.roots_legendre(3)
    np.testing.assert_allclose(nodes[0], expected, atol=1e-14)
    np.testing.assert_allclose(2 * shares[0], weights, rtol=1e-13)
    for points in ([0.3], [-0.8, 0.1], [-1.0, 0.2, 0.9]):
        nodes, shares = gauss_rules(np.sum(np.array(points) ** order[:, None], axis=1)[:, None])
        held = shares[0] > 1e-9
        np.testing.assert_allclose(np.sort(nodes[0][held]), points, atol=1e-9)
        np.testing.assert_allclose(shares[0][held], 1 / len(points), rtol=1e-7)


@pytest.mark.parametrize("first", [1, 300, 5_000])
@pytest.mark.parametrize(("exponent", "target"), [(1.1, 1.3), (1.5, 2.0), (3.0, 1.2)])
def test_power_law_sums_equal_brute_ones(first, exponent, target):
    modes = np.arange(float(first), 300_001)
    eigenvalues, power = 2.5 * modes**-exponent, 0.4 * modes**-target
    binned = BinnedSpectrum.power_law(
        exponent,
        scale=2.5,
        target_exponent=target,
        target_scale=0.4,
        first=first,
        last=300_000,
    )
    assert worst_error(binned, eigenvalues, power) < 1e-8
    assert binned.tail == 0
    assert len(binned.eigenvalues) < 2000


@pytest.mark.parametrize("exponent", [1.2, 1.5, 2.0])
def test_an_endless_power_law(exponent):
    """Trace and power by Riemann's zeta function; degrees of freedom by the hypergeometric one."""
    binned = BinnedSpectrum.power_law(exponent, target_exponent=exponent)
    np.testing.assert_allclose(binned.trace(), scipy.special.zeta(exponent), rtol=1e-11)
    np.testing.assert_allclose(binned.target_power.sum(), scipy.special.zeta(exponent), rtol=1e-11)
    head = np.arange(1.0, 20_001)
    for kappa in (1e-2, 1e-5, 1e-8):
        # The sum as head and integral: the integral's error is b^2 / 24 M^2 of a small part.
        direct = np.sum(1 / (1 + kappa * head**exponent))
        rest = power_law_degrees_of_freedom(kappa, exponent, after=20_000.5)
        # Below the last node modes are tail: they count by their trace over kappa.
        ours = binned.multiplicity @ (binned.eigenvalues / (binned.eigenvalues + kappa))
        ours += binned.tail / kappa
        np.testing.assert_allclose(ours, direct + rest, rtol=1e-8)


def test_the_hypergeometric_integral():
    """Against quadrature, against the sum it stands for, and from zero on in closed form."""
    for exponent, kappa, after in ((1.2, 1e-3, 10.0), (2.0, 1e-6, 100.0), (1.7, 0.3, 2.0)):
        value = power_law_degrees_of_freedom(kappa, exponent, scale=2.0, after=after)
        # In the logarithm of x, where the tail decays exponentially.
        quadrature = scipy.integrate.quad(
            lambda u, e=exponent, k=kappa: math.exp(u) / (1 + k * math.exp(e * u) / 2.0),
            math.log(after),
            min(600 / exponent, 300.0),
            limit=500,
            epsabs=0,
            epsrel=1e-11,
        )[0]
        np.testing.assert_allclose(value, quadrature, rtol=1e-7)
    modes = np.arange(101.0, 5e6)
    brute = np.sum(1 / (1 + 1e-3 * modes**3.0))
    value = power_law_degrees_of_freedom(1e-3, 3.0, after=100.5)
    np.testing.assert_allclose(value, brute, rtol=9 / 24 / 100**2)
    whole = power_law_degrees_of_freedom(1e-8, 2.0, after=0.0)
    np.testing.assert_allclose(whole, math.pi / 2 * 1e4, rtol=1e-12)
    np.testing.assert_allclose(
        power_law_degrees_of_freedom(1e-8, 2.0, after=1e-9), whole, rtol=1e-9
    )


def test_a_list_joined_to_a_power_law():
    eigenvalues = np.arange(1.0, 50_001) ** -1.4
    whole = BinnedSpectrum.power_law(1.4, target_exponent=1.6, last=50_000)
    head = BinnedSpectrum.of(eigenvalues[:700], np.arange(1.0, 701) ** -1.6, tail=0.25)
    rest = BinnedSpectrum.power_law(1.4, target_exponent=1.6, first=701, last=50_000)
    joined = head.joined(rest)
    np.testing.assert_allclose(joined.trace() - 0.25, whole.trace(), rtol=1e-12)
    assert np.all(np.diff(joined.eigenvalues) <= 0)
    power = np.arange(1.0, 50_001) ** -1.6
    assert worst_error(joined, eigenvalues, power) < 1e-8


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: BinnedSpectrum.of([1.0, -1.0]), "nonnegative"),
        (lambda: BinnedSpectrum.of([1.0, math.nan]), "finite"),
        (lambda: BinnedSpectrum.of([0.0, 0.0]), "not all zero"),
        (lambda: BinnedSpectrum.of([1.0, 2.0]), "descending"),
        (lambda: BinnedSpectrum.of([2.0, 1.0], [1.0]), r"shape \(1,\)"),
        (lambda: BinnedSpectrum.of([2.0, 1.0], [1.0, -1.0]), "square the coefficients"),
        (lambda: BinnedSpectrum.of([2.0, 1.0], tolerance=0.0), "tolerance"),
        (lambda: BinnedSpectrum.power_law(1.0), "`exponent` must be finite and exceed 1"),
        (lambda: BinnedSpectrum.power_law(2.0, target_exponent=0.5), "`target_exponent`"),
        (lambda: BinnedSpectrum.power_law(2.0, scale=-1.0), "`scale` must be positive"),
        (lambda: BinnedSpectrum.power_law(2.0, first=5, last=4), "must not precede"),
        (lambda: power_law_degrees_of_freedom(1.0, 0.9), "diverges"),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
