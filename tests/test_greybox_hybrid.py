"""The hybrid autoencoder: the papers' numbers, densities by autodiff, and every switch."""

import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from wilsonian import greybox as gb
from wilsonian.greybox import tasks
from wilsonian.greybox.baselines import mean_signal, principal_components
from wilsonian.greybox.hybrid.decoder import Decodings, HamiltonianDecoder
from wilsonian.greybox.hybrid.encoder import Sizes
from wilsonian.greybox.hybrid.networks import zero_features
from wilsonian.greybox.hybrid.objective import (
    Terms,
    Weights,
    gaussian_kl,
    loss_in_nats,
    released_loss,
    residual_relevance,
)
from wilsonian.greybox.hybrid.planar import planar_flow, planar_step
from wilsonian.greybox.hybrid.training import Schedule, train
from wilsonian.support.model_files import ModelFileError

SMALL = Sizes((8,), 8, (8,), (8,), (8,), (8,), (8,))


def layers(d, K):
    """The notes' parameters, k = 0..K-1 and i = 1..d."""
    k, i = np.arange(K)[:, None], np.arange(1, d + 1)[None]
    u, w = 2 * np.sin(i + 0.7 * k), np.cos(0.7 * i * (k + 1))
    return jnp.asarray(u), jnp.asarray(w), jnp.asarray(0.1 * (k[:, 0] - 1))


def test_planar_values_of_the_notes():
    with jax.enable_x64(True):
        z, w = jnp.array([0.5, -1.0]), jnp.array([2.0, 1.0])
        moved, log = planar_step(z, jnp.array([1.0, -0.5]), w, 0.3)
        np.testing.assert_allclose(moved, [0.69825726, -1.19218398], atol=1e-8)
        assert log == pytest.approx(0.4958475399, abs=1e-9)
        moved, log = planar_step(z, jnp.array([-3.0, 1.0]), w, 0.3)
        np.testing.assert_allclose(moved, [0.09294485, -0.47524604], atol=1e-8)
        assert log == pytest.approx(-2.3968023506, abs=1e-9)
        moved, log = planar_flow(z, *layers(2, 5))
        np.testing.assert_allclose(moved, [1.34433293, 1.17472121], atol=1e-8)
        assert log == pytest.approx(-1.3693814896, abs=1e-9)
        assert planar_flow(jnp.linspace(-1, 1, 15), *layers(15, 12))[1] == pytest.approx(
            -1.48164, abs=1e-6
        )


@pytest.mark.parametrize(("d", "K"), [(2, 5), (4, 3)])
def test_log_determinants_are_those_of_autodiff(d, K):
    with jax.enable_x64(True):
        z = jnp.linspace(-1, 1, d)
        jacobian = jax.jacfwd(lambda z: planar_flow(z, *layers(d, K))[0])(z)
        twin = np.linalg.slogdet(jacobian)[1]
        assert planar_flow(z, *layers(d, K))[1] == pytest.approx(twin, abs=1e-10)


def test_planar_steps_stay_finite_far_out():
    z, w = jnp.array([0.0, 0.0]), jnp.array([30.0, 0.0])
    moved, log = planar_step(z, jnp.array([-30.0, 0.0]), w, 0.0)
    assert np.isfinite(log)
    assert np.all(np.isfinite(moved))
    assert np.isfinite(planar_step(z, z, z, 0.0)[1])  # w of zero


SIGNALS = tasks.draw_pendulum(1234, 1000, 12).signals.astype(np.float32)


@pytest.fixture(scope="module")
def built():
    """Untrained networks of the default and the released preset."""
    models = {}
    for preset in (None, "released"):
        model = gb.HybridVAE(tasks.pendulum_physics(), 3, sizes=SMALL, layers=(2, 2), preset=preset)
        models[preset] = model, model.build(1, 50, np.random.default_rng(0))
    return models


def test_the_preset_sets_every_switch(built):
    model, networks = built["released"]
    assert (model.kl, model.detach_physics, model.attention) == ("base", True, "batch")
    assert model.corruption_at_eval
    assert model.released_optimiser
    assert networks.encoder.auxiliary.gate is not None
    default, networks = built[None]
    assert (default.kl, default.detach_physics, default.attention) == ("flow", False, "tokens")
    assert networks.encoder.auxiliary.gate is None
    with pytest.raises(ValueError, match="preset"):
        gb.HybridVAE(None, preset="new")
    with pytest.raises(ValueError, match="attention"):
        gb.HybridVAE(None, attention="all")


@pytest.mark.parametrize("preset", [None, "released"])
def test_posteriors_depend_on_the_batch_only_as_released(built, preset):
    _, networks = built[preset]

    @eqx.filter_jit
    def latents(networks, x):
        return networks.encoder(x, jax.random.key(1), noisy=False)[0].z

    x = jnp.asarray(SIGNALS)
    whole, part = latents(networks, x)[:5], latents(networks, x[:5])
    same = np.allclose(whole, part, atol=1e-5)
    assert same == (preset is None)


@pytest.mark.parametrize("preset", [None, "released"])
def test_reconstruction_moves_the_parameters_unless_detached(built, preset):
    model, networks = built[preset]
    x = jnp.asarray(SIGNALS[:4])

    @jax.jit
    def square(zeta):
        found = model.decode(networks, zeta, jnp.ones((4, 3)), x)
        return jnp.sum((x - found.both) ** 2)

    gradient = np.asarray(jax.grad(square)(jnp.zeros((4, 1))))
    if preset == "released":
        np.testing.assert_array_equal(gradient, 0.0)
    else:
        assert np.all(np.abs(gradient) > 1e-4)


def test_without_layers_the_flow_kl_is_the_gaussian_one():
    model = gb.HybridVAE(None, 2, latent_parameters=1, posterior="gaussian", sizes=SMALL)
    networks = model.build(1, 50, np.random.default_rng(0))
    x = jnp.asarray(np.repeat(SIGNALS[:1], 20000, axis=0))
    draw = eqx.filter_jit(networks.encoder.auxiliary)(x, jax.random.key(2), 0.0)
    kl = draw.log_q - jnp.sum(jax.scipy.stats.norm.logpdf(draw.z), axis=1)
    exact = gaussian_kl(draw.mean[0], draw.log_scale[0], 0.0, 1.0)
    assert float(kl.mean()) == pytest.approx(float(exact), abs=4 * float(kl.std()) / 20000**0.5)
    assert np.all(np.asarray(draw.log_det) == 0)


def test_the_density_after_the_flow_is_normalized(built):
    """One parameter, two layers: the histogram of draws against the density of the same draws."""
    _, networks = built[None]
    x = jnp.asarray(np.repeat(SIGNALS[:1], 40000, axis=0))
    draw = eqx.filter_jit(networks.encoder.physics)(x, jax.random.key(3), 0.0)
    z, log_q = np.asarray(draw.z[:, 0]), np.asarray(draw.log_q)
    order = np.argsort(z)
    assert np.trapezoid(np.exp(log_q[order]), z[order]) == pytest.approx(1.0, abs=0.01)
    assert np.abs(np.asarray(draw.log_det)).max() > 1e-3


def test_the_released_loss_is_the_one_in_nats():
    terms = Terms(*(jnp.asarray(value) for value in (3.0, 7.0, 0.4, 0.2, 5.0)))
    weights = Weights(-4.0, 0.3, 0.7, 0.2, kl=0.5 * (1 + 0.3))
    constant = 25 * (np.log(2 * np.pi) - 4.0)
    twin = 2 * np.exp(-4.0) * (loss_in_nats(terms, weights, 50) - constant)
    assert float(released_loss(terms, weights)) == pytest.approx(float(twin), rel=1e-5)


def test_the_relevance_of_the_residual_is_zero_without_one():
    x = jnp.ones((2, 5))
    np.testing.assert_array_equal(residual_relevance(Decodings(x, x, x, x)), 0.0)
    np.testing.assert_allclose(residual_relevance(Decodings(x, x, 3 * x, 3 * x)), 0.5 * 20)


def test_corruption_zeroes_common_features_of_some_samples():
    features = zero_features(jnp.ones((400, 300)), jax.random.key(0), 0.1)
    lost = np.asarray(features) == 0
    assert lost.mean() == pytest.approx(0.01, abs=0.005)
    rows, columns = lost.any(axis=1), lost.any(axis=0)
    np.testing.assert_array_equal(lost, np.outer(rows, columns))
    assert not np.any(np.asarray(zero_features(jnp.ones((4, 3)), jax.random.key(0), 0.0)) == 0)


def quick(epochs, **options):
    physics = tasks.pendulum_physics()
    physics.solver = "euler"  # a quarter of the stages to compile
    return gb.HybridVAE(
        physics, 3, sizes=SMALL, layers=(1, 1), epochs=epochs, batch=4, **options,
    )  # fmt: skip


def test_training_learns_resumes_and_reports(tmp_path, monkeypatch):
    from wilsonian.greybox.hybrid import hybrid_vae, training

    original = training.train
    monkeypatch.setattr(hybrid_vae, "train", lambda *a, **k: original(*a, **{**k, "every": 1}))
    seen, folder, killed = [], tmp_path / "state", tmp_path / "killed"

    def watch(stage, done, of):
        seen.append(done)
        if done == 4:  # what a kill at this moment leaves on disk
            shutil.copytree(folder, killed)

    whole = quick(6).fit(SIGNALS, checkpoint=folder, progress=watch)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert whole.history_[-1][0] < whole.history_[0][0]
    assert "6 epochs" in whole.status_
    resumed = []
    again = quick(6).fit(SIGNALS, checkpoint=killed, progress=lambda *step: resumed.append(step[1]))
    assert resumed == [4, 5, 6]
    np.testing.assert_allclose(again.history_, whole.history_, rtol=1e-4)
    with pytest.raises(ModelFileError, match="other data"):
        quick(6).fit(SIGNALS[:10], checkpoint=killed)
    found = whole.infer(SIGNALS, draws=16)["omega"]
    assert found.points.shape == (12, 16)
    assert np.all((found.points > 0.392) & (found.points < 3.53))
    assert np.isfinite(whole.permutation_test(SIGNALS))
    assert whole.reconstruct(SIGNALS).both.shape == (12, 1, 50)


def test_a_training_that_diverges_keeps_the_best_and_says_so():
    model = {"a": jnp.asarray(1.0)}
    calls = []

    def loss(model, x, key):
        return jnp.sum(model["a"] ** 2)

    def error(model, x):
        # Falls below anything, then is not a number.
        return jnp.where(model["a"] > 0.997, model["a"], jnp.nan)

    best, history, sentence = train(
        model, loss, error, np.ones((4, 2)), np.ones((2, 2)), Schedule(50, 2), jax.random.key(0),
        progress=lambda *step: calls.append(step),
    )  # fmt: skip
    assert "diverged" in sentence
    assert np.isfinite(history[-1][1])
    assert float(best["a"]) > 0.997
    assert 0 < len(calls) < 50


def test_learned_mechanics_run():
    signals = np.stack([SIGNALS, -SIGNALS], axis=1)
    model = gb.HybridVAE(
        "hamiltonian", 2, latent_parameters=1, sizes=SMALL, posterior="gaussian", attention=None,
        epochs=1,
    )  # fmt: skip
    model.fit(signals)
    assert model.reconstruct(signals).both.shape == (12, 2, 50)
    decoder = model.networks_.decoder
    assert np.isfinite(eqx.filter_jit(decoder.energy_drift)(jnp.ones(1), jnp.ones(2)))
    with pytest.raises(ValueError, match="no meaning"):
        model.infer(SIGNALS)


def test_learned_mechanics_are_solved_to_second_order():
    """Half the step, a quarter of the error, against steps sixteen times as short."""

    def end(step):
        decoder = HamiltonianDecoder(
            1, round(2 / step) + 1, 0, 1, SMALL, step, False, np.random.default_rng(4)
        )
        return np.asarray(eqx.filter_jit(decoder.path)(jnp.zeros(0), jnp.array([1.0, 0.5])))[-1]

    with jax.enable_x64(True):
        coarse, middle, fine = end(0.2), end(0.1), end(0.0125)
    ratio = np.linalg.norm(coarse - fine) / np.linalg.norm(middle - fine)
    assert 3.0 < ratio < 6.0  # 4 at small steps; 2 would be Euler


def test_bad_signals_are_refused():
    with pytest.raises(ValueError, match="5 signals"):
        quick(1).fit(SIGNALS[:3])
    with pytest.raises(ValueError, match="complete"):
        quick(1).fit(np.where(np.arange(50) == 3, np.nan, SIGNALS))
    with pytest.raises(ValueError, match="call `fit` first"):
        quick(1).infer(SIGNALS)


def test_baselines():
    random = np.random.default_rng(0)
    one, two = random.normal(size=(40, 2, 6)), random.normal(size=(10, 2, 6))
    flat, other = one.reshape(40, -1), two.reshape(10, -1)
    found = principal_components(one, two, [1, 3])
    for count, value in found.items():
        pca = PCA(count).fit(flat)
        off = other - pca.inverse_transform(pca.transform(other))
        assert value == pytest.approx(np.mean(np.sum(off**2, axis=1)), rel=1e-10)
    expected = np.mean(np.sum((other - flat.mean(axis=0)) ** 2, axis=1))
    assert mean_signal(one, two) == pytest.approx(expected)
