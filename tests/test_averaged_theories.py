"""The averaged theories side by side: tables 2 and 3 of docs/science/wilsonian.md; the flows."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_printed, load_benchmark
from threadpoolctl import threadpool_limits

from wilsonian import AveragedTheory, LearnabilityCutoff, coarse_grain, effective_ridge
from wilsonian.theory.learning_curves.averaged_theories import compare_theories, ridge_flow
from wilsonian.theory.learning_curves.simulate import simulate


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Eigensolvers of small matrices: threads would only wait for each other, longer the busier
    the machine is."""
    with threadpool_limits(1):
        yield


tables = load_benchmark("averaged_tables")
point_tables = load_benchmark("science_tables")


def test_table_2():
    """The theory to all printed digits; a simulation of fewer draws than the table's within their
    and our standard errors."""
    for row in tables.TABLE_2:
        theory = row.theory()
        columns = (theory.test_error, theory.effective_ridge, theory.posterior_variance)
        for measured, printed in zip(columns, row.printed_theory, strict=True):
            assert_printed(measured, printed)
    row = tables.TABLE_2[2]  # the one with label noise
    measured = row.measured(draws=25)
    printed, error = row.test_error
    spread = np.hypot(measured.test_error.standard_error, error)
    assert abs(measured.test_error.mean - printed) < 3 * spread
    assert abs(measured.effective_ridge.mean / row.effective_ridge - 1) < 0.005
    assert abs(measured.posterior_variance.mean / row.posterior_variance - 1) < 0.005


@pytest.mark.parametrize("row", tables.TABLE_3, ids=lambda row: f"{row.alpha}-{row.ridge}")
def test_table_3(row):
    comparison = row.measured()
    exact = comparison.deterministic_equivalent
    assert_printed(comparison.equivalent_kernel / exact, row.bare)
    assert_printed(comparison.dressed_equivalent_kernel / exact, row.dressed)
    for measured, printed in zip(comparison.first_order / exact, row.first_order, strict=False):
        assert_printed(measured, printed)
    for measured, printed in zip(comparison.second_order / exact, row.second_order, strict=True):
        assert_printed(measured, printed)
    # Estimating eliminated modes, too, brings the error nearer by half or more, once T is small.
    plain, residual_correction = (
        np.abs(error / exact - 1)[1:]
        for error in (comparison.second_order, comparison.residual_correction)
    )
    assert np.all(residual_correction < 0.55 * plain)
    flow = row.flow()
    assert_printed(flow.dressed[0], row.stepwise)
    assert_printed(flow.exact[0], row.self_consistent)


def test_the_check_can_fail():
    with pytest.raises(AssertionError):
        assert_printed(0.4796, ".479")


def test_theories_agree_where_nothing_is_cut():
    """Thresholds so low that no mode goes: every reduced theory is the whole one."""
    eigenvalues = np.arange(1.0, 41) ** -1.5
    comparison = compare_theories(AveragedTheory.of(eigenvalues, eigenvalues, 0.1, 30), [1e-9])
    assert comparison.kept == 40
    assert comparison.ridge == pytest.approx(0.1)
    for error in (comparison.second_order, comparison.residual_correction):
        np.testing.assert_allclose(error, comparison.deterministic_equivalent, rtol=1e-12)
    np.testing.assert_allclose(comparison.first_order, comparison.equivalent_kernel, rtol=1e-12)


def test_exact_flow_by_its_differential_equation():
    """d sigma^2 / dm = (sigma^2 / n) L / (1 - gamma_>), m the eliminated share of a mode, by the
    midpoint rule in steps of a hundredth; also the bare and dressed ones by hand."""
    eigenvalues, ridge, n = np.arange(1.0, 61) ** -1.5, 0.1, 30.0
    kept = np.arange(61)
    flow = ridge_flow(eigenvalues, ridge, n, kept)
    np.testing.assert_allclose(flow.bare, [ridge + eigenvalues[k:].sum() for k in kept])
    exact, dressed, step = ridge, ridge, 0.01

    def slope(value, mode, share):
        learned = n * eigenvalues[mode:] / (value + n * eigenvalues[mode:])
        shares = np.append(share, np.ones(len(learned) - 1))
        return value / n * learned[0] / (1 - np.sum(shares * learned**2) / n)

    for mode in range(59, -1, -1):
        dressed += dressed / n * (n * eigenvalues[mode] / (dressed + n * eigenvalues[mode]))
        for share in np.arange(0.0, 1.0 - step / 2, step):
            middle = exact + step / 2 * slope(exact, mode, share)
            exact += step * slope(middle, mode, share + step / 2)
        np.testing.assert_allclose(flow.dressed[mode], dressed, rtol=1e-12)
        np.testing.assert_allclose(flow.exact[mode], exact, rtol=1e-6)
    with jax.enable_x64(True):
        whole = effective_ridge(jnp.asarray(eigenvalues), ridge, n)
    np.testing.assert_allclose(flow.exact[0], whole, rtol=1e-12)
    # The order of the three, and where they agree: while nothing is learned.
    inside = slice(0, 60)
    assert np.all(flow.dressed[inside] < flow.exact[inside])
    assert np.all(flow.exact[inside] < flow.bare[inside])
    np.testing.assert_allclose(flow.exact[60], ridge)


def test_eliminated_target_is_label_noise():
    """Simulation of the kept modes alone, at the renormalized ridge and with the eliminated
    target's power as noise, against simulation of all modes: errors on the kept modes agree."""
    eigenvalues = np.arange(1.0, 601) ** -1.5
    n, ridge = 60, 0.01
    with jax.enable_x64(True):
        theory = AveragedTheory.of(eigenvalues, eigenvalues, ridge, n)
        reduced = coarse_grain(theory, LearnabilityCutoff(0.3, ridge, n))
        kept = int(reduced.weights.sum())
        renormalized, noise = float(reduced.ridge), float(reduced.label_noise)
        expected = float(reduced.test_error())
        quiet = eqx.tree_at(lambda t: t.label_noise, reduced, 0.0)
        without_noise = float(quiet.test_error())
    assert 60 < kept < 500
    np.testing.assert_allclose(noise, eigenvalues[kept:].sum())
    whole = simulate(eigenvalues, n, ridge, draws=60)
    first = np.where(np.arange(600) < kept, eigenvalues, 0.0)
    alone = simulate(first, n, renormalized, noise_variance=noise, draws=60, random_state=1)
    assert alone.test_error.mean.shape == ()
    errors = (whole.mode_mean.mean - np.sqrt(eigenvalues)) ** 2 + whole.mode_variance.mean
    measured, allowed = errors[:kept].sum(), 4 * alone.test_error.standard_error
    assert abs(alone.test_error.mean - expected) < allowed + expected / n
    # Of first order in the threshold: the kept modes feel that some of the lost ones are learned.
    assert abs(measured - expected) < allowed + 0.05 * expected
    assert without_noise < measured - 2 * allowed


def test_read_out_by_exact_regression():
    """Reduced regression with read-out, single data sets: table 1 of docs/science/wilsonian.md."""
    row = point_tables.TABLE_1[0]
    eigenvalues = np.arange(1.0, row.modes + 1) ** -(1 + row.alpha)
    theory = AveragedTheory.of(eigenvalues, eigenvalues, row.ridge, point_tables.POINTS)
    comparison = compare_theories(theory, [row.threshold])
    predicted = comparison.residual_correction[0] / comparison.deterministic_equivalent - 1
    # Standard error of the ratio over the table's ten seeds: 0.008.
    assert abs(predicted - float(row.uniform[1])) < 3 * 0.008
    assert comparison.second_order[0] / comparison.deterministic_equivalent - 1 > 0.2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ridge_flow([1.0, 2.0], 0.1, 10, 0), "descending"),
        (lambda: ridge_flow([2.0, 1.0], 0.0, 10, 0), "must be positive"),
        (lambda: ridge_flow([2.0, 1.0], 0.1, 0, 0), "must be positive"),
        (lambda: ridge_flow([2.0, 1.0], 0.1, 10, 3), "from 0 to the number of modes, 2"),
        (lambda: ridge_flow([2.0, 1.0], 0.1, 10, 0.5), "whole numbers"),
        (
            lambda: compare_theories(AveragedTheory.of(np.ones(2), np.ones(2), 0.1, 5), 1.5),
            "between 0 and 1",
        ),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
