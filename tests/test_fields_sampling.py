"""Hybrid Monte Carlo, observables and ensembles on disk."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from wilsonian import fields
from wilsonian.fields.autocorrelation import autocorrelation
from wilsonian.fields.couplings import coupling_errors
from wilsonian.fields.hmc import HmcSettings, hmc_steps, sample_hmc
from wilsonian.fields.mode_basis import ModeBasis
from wilsonian.fields.observables import Measured, observables, per_field

# Section "Two dimensions by HMC" of docs/science/exact-rg.md
TABLE = {
    0.21: {
        "magnetization": (0.1617, 0.0005),
        "susceptibility": (2.609, 0.016),
        "connected_susceptibility": (0.936, 0.007),
        "correlation_length": (1.03, 0.02),
    },
    0.27: {
        "magnetization": (0.8844, 0.0008),
        "susceptibility": (59.81, 0.07),
        "connected_susceptibility": (9.76, 0.03),
        "binder": (0.5010, 0.0006),
        "correlation_length": (6.22, 0.02),
    },
}


@pytest.fixture(scope="module", params=[0.21, 0.27])
def data(request):
    theory = fields.Phi4((8, 8), request.param, 0.022)
    return theory.hmc(6_400, jax.random.key(7), chains=128, thermalization=160)


def test_observables_by_the_table(data):
    measured = data.observables()
    for name, (value, error) in TABLE[data.theory.kappa].items():
        assert abs(measured[name].pull(Measured(value, error))) < 3.5, name
    assert abs(measured["schwinger_dyson"].pull(1.0)) < 3.5


# B22: values by the law, on flowed fields, and their errors
COUPLINGS = {
    0.0: {"renormalized_coupling": (2.504, 2.504, 0.015), "correlation_length": (6.212, 0.022)},
    0.2: {"renormalized_coupling": (2.603, 2.600, 0.017), "correlation_length": (6.012, 0.021)},
    0.5: {"renormalized_coupling": (2.899, 2.903, 0.021), "correlation_length": (5.552, 0.020)},
    1.0: {"renormalized_coupling": (3.681, 3.695, 0.028), "correlation_length": (4.633, 0.016)},
    2.0: {"renormalized_coupling": (5.200, 5.26, 0.09), "correlation_length": (3.093, 0.011)},
}
BINDER = {0.0: 0.503, 0.2: 0.490, 0.5: 0.465, 1.0: 0.412, 2.0: 0.259}


def test_couplings_of_flowed_fields_follow_their_law(data):
    """B22: g_R, xi and U from the moments at the start by their laws, and on flowed fields."""
    if data.theory.kappa < 0.25:
        pytest.skip("no coupling to be seen in the symmetric phase")
    channel = fields.Channel("carosso", (8, 8), z=0.5, omega=1 / 0.27)
    start = fields.Couplings.from_fields(data.fields)
    times = list(COUPLINGS)
    laws = fields.coupling_flow(start, channel, times)
    # Of twelve keys tried, one passes 3 standard errors (3.1) in one of its 24 comparisons.
    flowed = channel.flow(data.fields, times, jax.random.key(3))
    for time, law, field in zip(times, laws, flowed, strict=True):
        seen, error = fields.Couplings.from_fields(np.asarray(field)), coupling_errors(field)
        table = {**COUPLINGS[time], "binder": (BINDER[time], 0.0005)}  # its last digit
        for name, (by_law, *_, spread) in table.items():
            own = getattr(error, name)
            assert abs(getattr(seen, name) - getattr(law, name)) < 3 * own, (time, name)
            assert abs(getattr(law, name) - by_law) < 3 * np.hypot(own, spread), (time, name)
            on_fields = table[name][1] if len(table[name]) == 3 else by_law
            assert abs(getattr(seen, name) - on_fields) < 3 * np.hypot(own, spread), (time, name)


def test_chains_forget_where_they_started(data):
    assert fields.thermalisation(data).reached
    assert data.how["acceptance"] > 0.7
    assert data.magnetization_autocorrelation().time < 1.5


def test_chains_that_did_not_run_in_are_told_apart():
    theory = fields.Phi4((8, 8), 0.27, 0.022)
    short = theory.hmc(
        256, jax.random.key(0), chains=128, thermalization=0, gap=1, steps=6, kinetic_mass=0.1
    )
    assert not fields.thermalisation(short).reached


def test_a_users_action_on_a_chain_agrees_with_the_transfer_matrix():
    theory = fields.Phi4((16,), 0.54, 0.022)
    own = fields.UserTheory((16,), lambda phi: theory.action(phi), stiffness=1.08)
    data = own.hmc(5_120, jax.random.key(1), chains=128, thermalization=160)
    exact, measured = theory.exact(), data.observables()
    assert abs(measured["field_squared"].pull(exact.second_moment)) < 4
    assert abs(measured["susceptibility"].pull(exact.susceptibility)) < 4


def test_an_action_that_runs_away_is_refused():
    own = fields.UserTheory((4,), lambda phi: -(phi**4).sum())
    with pytest.raises(ValueError, match="ran away"):
        own.hmc(64, jax.random.key(0), chains=32, thermalization=60)


@pytest.mark.parametrize("shape", [(8,), (4, 6), (3, 4, 5)], ids=str)
def test_modes_are_orthonormal_and_diagonalize_the_laplacian(shape):
    basis = ModeBasis(shape)
    fields_ = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    modes = basis.to_modes(jnp.asarray(fields_))
    assert_allclose(basis.to_fields(modes), fields_, atol=2e-6)
    axes = range(1, len(shape) + 1)
    laplacian = sum(2 * fields_ - np.roll(fields_, 1, a) - np.roll(fields_, -1, a) for a in axes)
    assert_allclose(
        basis.to_modes(jnp.asarray(laplacian)), basis.momenta_squared() * modes, atol=2e-5
    )


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_autocorrelation_of_a_known_process(decay):
    rng = np.random.default_rng(0)
    series = np.zeros((4000, 8))
    for step in range(1, len(series)):
        series[step] = decay * series[step - 1] + rng.normal(size=8)
    found = autocorrelation(series[100:])
    assert abs(found.time - (1 + decay) / (1 - decay)) < 5 * found.error + 0.02
    exact = np.sqrt((1 + decay) / (1 - decay) / (1 - decay**2) / series[100:].size)
    assert_allclose(found.mean_error, exact, rtol=0.2)


def test_jackknife_errors_cover_the_truth():
    """Free fields, whose <phi^2> is known: pulls of 40 ensembles have a width of one."""
    theory = fields.FreeField((4, 4), 0.5)
    rng = np.random.default_rng(3)
    pulls = []
    for _ in range(40):
        noise = np.fft.fft2(rng.normal(size=(400, 4, 4)))
        draws = np.fft.ifft2(noise * np.sqrt(theory.spectrum())).real.astype(np.float32)
        found = observables(per_field(theory, draws), (4, 4))["field_squared"]
        pulls.append(found.pull(float(theory.spectrum().mean())))
    assert 0.7 < np.std(pulls) < 1.4  # 40 pulls: 1 ± .11
    assert abs(np.mean(pulls)) < 0.7


def test_a_run_that_was_cut_off_goes_on_to_the_same_fields(tmp_path):
    from wilsonian.fields.sampling_runs import run_hmc

    theory = fields.Phi4((4, 4), 0.27, 0.022)
    settings = HmcSettings(chains=16, thermalization=24, gap=2)
    whole = run_hmc(theory, 160, 5, settings, tmp_path / "whole", block=64)

    class CutOffError(Exception):
        pass

    def cut(stage, share):
        if stage == "trajectories" and share > 0.6:
            raise CutOffError

    with pytest.raises(CutOffError):
        run_hmc(theory, 160, 5, settings, tmp_path / "cut", block=64, progress=cut)
    kept = len(fields.load_ensemble(tmp_path / "cut"))
    assert 0 < kept < 160
    again = run_hmc(theory, 160, 5, settings, tmp_path / "cut", block=64)
    np.testing.assert_array_equal(again.fields, whole.fields)
    assert again.chains == whole.chains == 16


def test_ensembles_come_back_equal(tmp_path):
    theory = fields.Phi4((4, 4), 0.27, 0.022)
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(10, 4, 4)).astype(np.float32)
    ensemble = fields.Ensemble(theory, drawn, rng.normal(size=10), 0, {"method": "test"})
    fields.save_ensemble(ensemble, tmp_path / "folder")
    fields.export_npz(ensemble, tmp_path / "file.npz")
    for back in (
        fields.load_ensemble(tmp_path / "folder"),
        fields.import_npz(tmp_path / "file.npz"),
    ):
        np.testing.assert_array_equal(back.fields, ensemble.fields)
        np.testing.assert_array_equal(back.log_weights, ensemble.log_weights)
        assert back.theory == theory
        assert back.how == ensemble.how
    np.savez(tmp_path / "theirs.npz", fields=drawn)
    assert len(fields.import_npz(tmp_path / "theirs.npz", theory)) == 10


def weighted_ensemble():
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(6, 4, 4)).astype(np.float32)
    theory = fields.Phi4((4, 4), 0.27, 0.022)
    return fields.Ensemble(theory, drawn, rng.normal(size=6), 0, {"method": "test", "seed": 3})


def assert_same(back, ensemble):
    np.testing.assert_array_equal(back.fields, ensemble.fields)
    np.testing.assert_array_equal(back.log_weights, ensemble.log_weights)
    assert (back.theory, back.how, back.chains) == (ensemble.theory, ensemble.how, ensemble.chains)


def test_hdf5_gives_everything_back(tmp_path):
    pytest.importorskip("h5py")
    ensemble, file = weighted_ensemble(), tmp_path / "file.h5"
    fields.export_hdf5(ensemble, file)
    assert_same(fields.import_hdf5(file), ensemble)
    with pytest.raises(ValueError, match="not of"):
        fields.import_hdf5(file, fields.Phi4((4, 4), 0.25, 0.022))
    truncate("file.h5")(tmp_path)
    with pytest.raises(ValueError, match="truncated"):
        fields.import_hdf5(file)
    with pytest.raises(ValueError, match="no file"):
        fields.import_hdf5(tmp_path / "nothing.h5")


@pytest.mark.parametrize("format", ["zarr", "netcdf"])
def test_xarray_gives_everything_back_through_its_formats(tmp_path, format):
    xarray = pytest.importorskip("xarray")
    ensemble, file = weighted_ensemble(), tmp_path / "file"
    dataset = fields.to_xarray(ensemble)
    assert dataset["fields"].dims == ("draw", "x0", "x1")
    if format == "zarr":
        pytest.importorskip("zarr")
        dataset.to_zarr(file, consolidated=False)
        opened = xarray.open_zarr(file, chunks=None, consolidated=False)
    else:
        dataset.to_netcdf(file, engine="scipy")
        opened = xarray.open_dataset(file, engine="scipy")
    with opened:
        assert_same(fields.from_xarray(opened), ensemble)
        with pytest.raises(ValueError, match="name the fields"):
            fields.from_xarray(opened.rename(fields="phi"))


def damaged(tmp_path, change):
    theory = fields.Phi4((4, 4), 0.27, 0.022)
    ensemble = fields.Ensemble(theory, np.zeros((10, 4, 4), np.float32))
    fields.save_ensemble(ensemble, tmp_path / "folder")
    fields.export_npz(ensemble, tmp_path / "file.npz")
    change(tmp_path)


def truncate(name):
    def change(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[:-20])

    return change


def newer(folder):
    path = folder / "folder" / "ensemble.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 9}))


def lacking(folder):
    path = folder / "folder" / "ensemble.json"
    index = json.loads(path.read_text())
    del index["blocks"]
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (truncate("folder/fields-00000.npy"), "truncated or damaged"),
        (truncate("folder/ensemble.json"), "damaged"),
        (lambda folder: (folder / "folder/fields-00000.npy").unlink(), "missing"),
        (newer, "version 9"),
        (lacking, "lacks blocks"),
    ],
)
def test_damaged_folders_are_refused(tmp_path, change, words):
    damaged(tmp_path, change)
    with pytest.raises(ValueError, match=words):
        fields.load_ensemble(tmp_path / "folder")


def test_damaged_and_foreign_files_are_refused(tmp_path):
    damaged(tmp_path, truncate("file.npz"))
    with pytest.raises(ValueError, match="truncated"):
        fields.import_npz(tmp_path / "file.npz")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match="store the fields as `fields`"):
        fields.import_npz(tmp_path / "other.npz")
    np.savez(tmp_path / "code.npz", fields=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="truncated or no NPZ"):
        fields.import_npz(tmp_path / "code.npz")
    np.savez(tmp_path / "about.npz", fields=np.zeros((2, 4, 4)), about="[1]")
    with pytest.raises(ValueError, match="no JSON of ours"):
        fields.import_npz(tmp_path / "about.npz")
    np.savez(tmp_path / "complex.npz", fields=np.zeros((2, 4, 4), complex))
    with pytest.raises(ValueError, match="store real numbers"):
        fields.import_npz(tmp_path / "complex.npz", fields.Phi4((4, 4), 0.27, 0.022))
    with pytest.raises(ValueError, match="holds no"):
        fields.load_ensemble(tmp_path / "nothing")
    with pytest.raises(ValueError, match="not of"):
        fields.load_ensemble(tmp_path / "folder", fields.Phi4((4, 4), 0.25, 0.022))


def test_fields_that_are_not_numbers_are_refused():
    theory = fields.Phi4((4, 4), 0.27, 0.022)
    bad = np.zeros((3, 4, 4), np.float32)
    bad[1, 0, 0] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity"):
        fields.Ensemble(theory, bad)
    with pytest.raises(ValueError, match="at least one"):
        sample_hmc(theory, 0, jax.random.key(0))
    with pytest.raises(ValueError, match="at least 1"):
        HmcSettings(chains=0)
    with pytest.raises(ValueError, match="cannot tell"):
        fields.thermalisation(fields.Ensemble(theory, np.zeros_like(bad)))


def test_steps_can_be_taken_one_by_one():
    theory = fields.Phi4((4, 4), 0.27, 0.022)
    steps = hmc_steps(theory, HmcSettings(chains=16, thermalization=12, gap=1), jax.random.key(0))
    state, acceptance = next(steps)
    assert state.fields.shape == (16, 4, 4)
    assert 0 <= acceptance <= 1
