"""Inverse flows: decimation and diffusion, their exact weights, refinement, and the certificate."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from wilsonian import fields
from wilsonian.fields.certificate import certify
from wilsonian.fields.decimation.density import GRID, draw, log_density_at, piecewise_density
from wilsonian.fields.decimation.exact_sites import SiteIntegral, neighbour_sums
from wilsonian.fields.decimation.flow import actions
from wilsonian.fields.decimation.geometry import colours_of
from wilsonian.fields.diffusion import fit_diffusion
from wilsonian.fields.sampling_runs import run_draws

pytestmark = pytest.mark.quick_loops
KEY = jax.random.key(11)


@pytest.fixture(scope="module")
def theory():
    return fields.Phi4((8, 8), 0.27, 0.022)


@pytest.fixture(scope="module")
def data(theory):
    return theory.hmc(8_192, KEY, chains=128, thermalization=160)


@pytest.fixture(scope="module")
def inverse(theory, data):
    return fields.InverseFlow.fit(theory, data, most_rows=20_000, copies=2)


@pytest.fixture(scope="module")
def drawn(inverse):
    return inverse.sample(jax.random.key(5), 3072)


@pytest.fixture(scope="module")
def certificate(inverse, drawn, data):
    return inverse.certify(drawn, data)


@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_every_site_is_drawn_once_from_known_ones(side):
    known: set[int] = set()
    for colour in colours_of(side):
        assert set(np.nonzero(colour.known)[0]) == known
        assert set(colour.seen.ravel()) <= known
        assert not set(colour.sites) & known
        known |= set(colour.sites)
    assert len(known) == side**2


def test_the_law_of_exact_sites_is_the_action_itself(theory):
    """Ratios of the conditional density against ratios of e^-S with the other sites integrated."""
    side, rng = 8, np.random.default_rng(0)
    field = rng.normal(size=side * side)
    for colour in colours_of(side):
        if not colour.exact or not colour.name.startswith("E"):
            continue
        site = colour.sites[3]
        sums = neighbour_sums(colour, side)[0, 3]
        one, two = field.copy(), field.copy()
        two[site] += 0.3
        change = actions(theory, jnp.asarray(np.stack([one, two]).reshape(2, side, side)))
        local = field[sums].sum()
        by_law = [
            -theory.potential(f[site]) + 2 * theory.kappa * local * f[site] for f in (one, two)
        ]
        assert_allclose(-(change[1] - change[0]), by_law[1] - by_law[0], atol=2e-5)


def test_the_integral_over_a_site():
    table = SiteIntegral.of(fields.Phi4((8, 8), 0.27, 0.022)).table
    gaussian = SiteIntegral.of(fields.EvenPolynomial((8, 8), 0.2, (1.0,))).table
    h = np.arange(2000) * 0.005
    assert_allclose(gaussian[:2000], 0.5 * np.log(np.pi) + (0.2 * h) ** 2, atol=1e-10)
    assert (np.diff(table[:4000]) > 0).all()


def test_draws_of_a_density_on_a_grid_follow_it():
    count = 16_384
    logs = -0.5 * GRID**2 + np.log1p(0.8 * np.sin(GRID))
    rows = jnp.asarray(np.tile(logs[:, None], (1, count)), jnp.float32)
    density = jax.jit(piecewise_density)(rows)
    log_density = jax.jit(log_density_at)
    z, log = jax.jit(draw)(density, jax.random.uniform(jax.random.key(0), (count,)))
    assert_allclose(log, log_density(density, z), atol=2e-4)
    fine = np.linspace(-6.5, 6.5, 40_001)
    weight = np.exp(-0.5 * fine**2) * (1 + 0.8 * np.sin(fine))
    weight /= weight.sum()
    for power in (1, 2, 3):
        mean = weight @ fine**power
        error = np.sqrt((weight @ fine ** (2 * power) - mean**2) / count)
        assert abs(float((z**power).mean()) - mean) < 4 * error
    nodes = np.linspace(-6.5, 6.5, count)
    total = np.exp(log_density(density, jnp.asarray(nodes, jnp.float32))).sum()
    assert_allclose(total * (nodes[1] - nodes[0]), 1, atol=1e-3)


def test_draws_and_density_agree(inverse, drawn):
    again = inverse.sampler.log_weights_of(jnp.asarray(drawn.fields[:512]), KEY)
    # float32 in different batches; a draw on a node's edge may move by one cell
    assert np.quantile(np.abs(again - drawn.log_weights[:512]), 0.99) < 0.01


def test_decimation_is_certified(certificate):
    assert certificate.trusted, str(certificate)
    assert certificate.draws.effective_fraction > 0.9
    assert certificate.acceptance > 0.8
    assert certificate.data.log_weight_variance < 0.1
    assert "TRUSTED" in str(certificate)


def test_the_free_energy_of_eight_squared(certificate):
    draws = certificate.draws
    value, error = draws.log_partition_function / 64, draws.log_partition_error / 64
    assert abs(value - 0.718877) < 3 * np.hypot(error, 59e-6)


def test_refined_coarse_fields_are_fields_of_the_theory(inverse, data):
    coarse = fields.decimate(data.fields[:2048], 2)
    refined = inverse.refine(coarse, jax.random.key(3), proposals=6)
    np.testing.assert_array_equal(fields.decimate(refined.ensemble.fields, 2), coarse)
    assert refined.acceptance > 0.8
    assert refined.log_weight_variance < 0.1
    # The same coarse fields: differences of the pairs, not of independent ensembles.
    given = fields.Ensemble(data.theory, data.fields[:2048])
    ours, theirs = refined.ensemble.observables(), given.observables()
    for name in ("action_density", "field_squared", "schwinger_dyson", "magnetization"):
        assert abs(ours[name].pull(theirs[name])) < 3, name


def test_half_a_law_is_refused_though_the_draws_look_perfect(theory, inverse, drawn, data):
    """A sampler of one sign only: q is doubled where M > 0 and zero elsewhere."""
    signs = np.sign(drawn.fields.mean((1, 2)))
    half = dataclasses.replace(
        drawn,
        fields=drawn.fields * signs[:, None, None],
        log_weights=drawn.log_weights - np.log(2),
    )
    held = inverse.held_out
    logs = inverse.sampler.log_weights_of(jnp.asarray(held.fields), KEY) - np.log(2)
    logs = np.where(held.fields.mean((1, 2)) > 0, logs, np.inf)
    alone = fields.summarize_weights(half.log_weights)
    assert alone.effective_fraction > 0.9
    judged = certify(half, data, logs)
    assert not judged.trusted
    assert "drops a part of the law" in " ".join(judged.refusals)
    assert "<M> = 0" in " ".join(judged.refusals)


def test_a_sampler_fitted_to_the_weakly_magnetized_half_is_refused(theory, data):
    magnetization = np.abs(data.fields.mean((1, 2)))
    inside = magnetization[:-2048] < 0.9
    weak = fields.Ensemble(theory, data.fields[:-2048][inside])
    flow = fields.InverseFlow.fit(theory, weak, most_rows=40_000, copies=1)
    draw_ = flow.sample(KEY, 2048)
    whole = fields.Ensemble(theory, data.fields[-2048:])
    logs = flow.sampler.log_weights_of(jnp.asarray(whole.fields), KEY)
    judged = certify(draw_, whole, logs)
    assert not judged.trusted, str(judged)


def test_features_are_odd_so_that_one_sign_of_data_is_enough(theory, inverse, data):
    """The symmetry is built in: -phi has the density of phi."""
    some = jnp.asarray(data.fields[:256])
    one, other = (inverse.sampler.log_weights_of(signed, KEY) for signed in (some, -some))
    # float32 sums of 64 sites; a field on a node's edge may move by one cell
    assert np.quantile(np.abs(one - other), 0.95) < 5e-3


@pytest.fixture(scope="module")
def gaussian():
    theory = fields.FreeField((8, 8), 0.25)
    noise = np.fft.fft2(np.random.default_rng(0).normal(size=(2048, 8, 8)))
    rows = np.fft.ifft2(noise * np.sqrt(theory.spectrum())).real.astype(np.float32)
    return theory, fit_diffusion(theory, rows, steps=25)


def test_diffusion_of_a_gaussian_field_has_its_spectrum(gaussian):
    theory, flow = gaussian
    drawn, logs = flow.weighted(jax.random.key(1), 2048)
    ratio = fields.power_spectrum(np.asarray(drawn), (8, 8)) / theory.spectrum()
    assert abs(ratio.mean() - 1) < 0.015
    assert np.sqrt(((ratio - 1) ** 2).mean()) < 0.045  # 2048 draws of data, 2048 of ours
    summary = fields.summarize_weights(logs)
    assert summary.effective_fraction > 0.9
    error = max(summary.log_partition_error, 1e-3)
    assert abs(summary.log_partition_function - theory.log_partition_function()) < 4 * error


def test_the_step_is_exact_for_two_rates_where_euler_is_not():
    """Rates .1 and 4.1, 20 steps: the variances after all steps back, without Monte Carlo."""
    from wilsonian.fields.diffusion import flow_times, reverse_coefficients

    channel, spectrum = fields.Channel("carosso", (2,), z=0.1), np.array([3.0, 0.2])
    times = flow_times(channel, 20, 20.0)
    ours = channel.two_point(20.0, spectrum)
    euler = ours.copy()
    for number in range(20, 0, -1):
        later, earlier = times[number], times[number - 1]
        kernel = channel.kernel(0, later)
        total = kernel.two_point(spectrum)
        posterior = spectrum * kernel.noise_variance / total
        laws = reverse_coefficients(channel, earlier, later, lambda a: a, posterior)
        gain = laws["from_fine"] * kernel.multiplier * spectrum / total + laws["from_coarse"]
        ours = gain**2 * ours + laws["variance"]
        rate, noise = channel.law().generator(later)
        step = later - earlier
        euler = (1 + step * (rate - noise / total)) ** 2 * euler + noise * step
    assert_allclose(ours, spectrum, rtol=1e-9)
    assert euler[1] / spectrum[1] > 16


@pytest.fixture(scope="module")
def own():
    """phi^4 as an action of the user's own."""
    kappa, lam = 0.27, 0.022

    def action(phi):
        neighbours = jnp.roll(phi, 1, axis=0) + jnp.roll(phi, 1, axis=1)
        potential = (1 - 2 * lam) * phi**2 + lam * phi**4
        return jnp.sum(-2 * kappa * phi * neighbours + potential)

    return fields.UserTheory((8, 8), action, stiffness=2 * kappa)


@pytest.fixture(scope="module")
def diffusion(own):
    data = own.hmc(5_120, jax.random.key(2), chains=128, thermalization=160)
    return fields.InverseFlow.fit(own, data, "diffusion", steps=24, most_fields=4096)


def test_an_action_of_the_users_own_goes_all_the_way(diffusion):
    """HMC, the diffusion sampler and its certificate, for an action given as a function."""
    drawn = diffusion.sample(KEY, 1024)
    judged = diffusion.certify(drawn)
    assert judged.trusted, str(judged)
    assert judged.draws.effective_fraction > 0.75
    # log Z/V = .718877(59) by decimation
    gap = judged.draws.log_partition_function / 64 - 0.718877
    assert abs(gap) < 4 * np.hypot(judged.draws.log_partition_error / 64, 59e-6)


def test_a_field_far_out_does_not_run_away(diffusion):
    """Features are clipped to what the fit saw: fifth powers would blow such a field up."""
    far = jnp.full((1, 8, 8), 40.0) * (-1.0) ** jnp.arange(8)
    for number in (0, 8, 16, 23):
        mean = np.abs(diffusion.sampler.posterior_mean(number, far))
        assert mean.max() < 400


@pytest.mark.parametrize("method", ["decimation", "diffusion"])
def test_a_stored_flow_draws_and_certifies_the_same(method, request, tmp_path):
    flow = request.getfixturevalue("inverse" if method == "decimation" else "diffusion")
    own_action = None if method == "decimation" else flow.theory
    flow.save(tmp_path / "flow")
    back = fields.InverseFlow.load(tmp_path / "flow", own_action)
    whole, rest = flow.sample(KEY, 600), back.sample(KEY, 200, first=400)
    np.testing.assert_array_equal(whole.fields[400:], rest.fields)
    np.testing.assert_array_equal(whole.log_weights[400:], rest.log_weights)
    np.testing.assert_array_equal(back.held_out.fields, flow.held_out.fields)
    assert back.held_out.chains == flow.held_out.chains
    assert sorted(path.name for path in (tmp_path / "flow").iterdir()) == [
        "arrays.safetensors",
        "model.json",
    ]
    other = fields.Phi4((8, 8), 0.25, 0.022)
    with pytest.raises(ValueError, match="not of"):
        fields.InverseFlow.load(tmp_path / "flow", other)
    if method == "diffusion":
        with pytest.raises(ValueError, match="action of your own"):
            fields.InverseFlow.load(tmp_path / "flow")
    arrays = tmp_path / "flow" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        fields.InverseFlow.load(tmp_path / "flow", own_action)


def test_draws_that_were_cut_off_go_on_to_the_same_fields(inverse, tmp_path):
    class CutOffError(Exception):
        pass

    def cut(stage, share):
        if share > 0.5:
            raise CutOffError

    whole = inverse.sample(jax.random.key(9), 700)
    with pytest.raises(CutOffError):
        run_draws(inverse, 700, 9, tmp_path / "draws", block=300, progress=cut)
    assert len(fields.load_ensemble(tmp_path / "draws")) == 600
    again = run_draws(inverse, 700, 9, tmp_path / "draws", block=300)
    np.testing.assert_array_equal(again.fields, whole.fields)
    np.testing.assert_array_equal(again.log_weights, whole.log_weights)
    first = inverse.sampler.first
    changed = dataclasses.replace(first, sigma=1.001 * first.sigma)
    sampler = dataclasses.replace(inverse.sampler, first=changed)
    with pytest.raises(ValueError, match="another fit"):
        run_draws(dataclasses.replace(inverse, sampler=sampler), 900, 9, tmp_path / "draws")
    with pytest.raises(ValueError, match="choose another folder"):
        run_draws(inverse, 900, 8, tmp_path / "draws")


def test_what_cannot_be_is_refused_in_one_sentence(theory, inverse, data, drawn):
    other = fields.Phi4((8, 8), 0.25, 0.022)
    six = fields.Phi4((6, 6), 0.27, 0.022)
    zeros = fields.Ensemble(six, np.zeros((2000, 6, 6), np.float32))
    few = fields.Ensemble(theory, np.zeros((300, 8, 8), np.float32))
    bad = np.full((2, 4, 4), np.nan, np.float32)
    fit = fields.InverseFlow.fit
    cases = [
        (lambda: fit(six, zeros), "power of two"),
        (lambda: fit(other, data), "not of"),
        (lambda: fit(theory, drawn), "carry weights"),
        (lambda: fit(theory, few), "too few"),
        (lambda: fit(theory, few, "flow"), "not known"),
        (lambda: inverse.sample(KEY, 0), "at least one"),
        (lambda: inverse.refine(np.zeros((2, 3, 3)), KEY), "do not fit"),
        (lambda: inverse.refine(np.zeros((2, 8, 8)), KEY), "give 2, 4"),
        (lambda: inverse.refine(bad, KEY), "NaN"),
        (lambda: inverse.refine(np.zeros((2, 4, 4)), KEY, 1), "2 or more"),
        (lambda: inverse.certify(fields.Ensemble(other, drawn.fields[:9])), "one theory"),
        (lambda: certify(fields.Ensemble(theory, drawn.fields[:9])), "no weights"),
        (lambda: fields.summarize_weights(np.array([np.nan])), "must be numbers"),
        (lambda: fit_diffusion(theory, drawn.fields[:100]), "too few"),
    ]
    for make, words in cases:
        with pytest.raises(ValueError, match=words) as caught:
            make()
        assert "\n" not in str(caught.value)
