"""The hybrid variational autoencoder as an estimator."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.greybox.hybrid.decoder import (
    Decodings,
    HamiltonianDecoder,
    NetDecoder,
    ODEDecoder,
)
from wilsonian.greybox.hybrid.encoder import Encoder, Sizes
from wilsonian.greybox.hybrid.objective import (
    Terms,
    Weights,
    gaussian_kl,
    loss_in_nats,
    residual_relevance,
)
from wilsonian.greybox.hybrid.training import Schedule, train
from wilsonian.greybox.results import ParameterPosterior
from wilsonian.greybox.signals import read_signals
from wilsonian.greybox.simulators import ODE

# Every difference between what the papers say and what the released code does.
RELEASED = {
    "kl": "base",
    "detach_physics": True,
    "attention": "batch",
    "corruption_at_eval": True,
    "released_optimiser": True,
}


class Networks(eqx.Module):
    """Encoder and decoder."""

    encoder: Encoder
    decoder: ODEDecoder | HamiltonianDecoder | NetDecoder


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """Signals as the autoencoder returns them, from posterior means."""

    physics: np.ndarray
    both: np.ndarray


class HybridVAE:
    r"""arXiv:2404.12267 and 2102.13156, corrected, with every released quirk behind a switch
    (docs/science/grey-box.md, section 6).

    Parameters
    ----------
    physics: an `ODE`; "hamiltonian" learns one; None is the network of equal width without any.
    auxiliary: number of latents that are no parameters; the first `inner` go into the vector field.
    posterior: "planar" or "gaussian"; `layers` are the planar layers for auxiliary and physics.
    attention: "tokens" (inside one signal), "batch" (as released: between samples) or None.
    kl: "flow", with the log-determinants, or "base", without (as released).
    corruption: fraction of samples and features zeroed in training, at evaluation only with
        `corruption_at_eval`.
    weights: noise and weights of the terms of the loss.
    preset: "released" sets kl="base", detach_physics, attention="batch", corruption_at_eval and
        the released optimiser.

    After `fit`: `networks_`, `history_`, `status_`.
    """

    def __init__(
        self,
        physics: ODE | str | None,
        auxiliary: int = 3,
        *,
        inner: int = 1,
        latent_parameters: int = 0,
        posterior: str = "planar",
        layers: tuple[int, int] = (4, 4),
        attention: str | None = "tokens",
        kl: str = "flow",
        detach_physics: bool = False,
        corruption: float = 0.0,
        corruption_at_eval: bool = False,
        released_optimiser: bool = False,
        weights: Weights | None = None,
        sizes: Sizes | None = None,
        epochs: int = 500,
        batch: int = 100,
        step: float = 0.02,
        preset: str | None = None,
        random_state: int = 0,
    ) -> None:
        if preset not in (None, "released"):
            raise ValueError(f"`preset` must be 'released' or None, got {preset!r}.")
        choices: dict[str, tuple[str | None, tuple[str | None, ...]]] = {
            "posterior": (posterior, ("planar", "gaussian")),
            "attention": (attention, ("tokens", "batch", None)),
            "kl": (kl, ("flow", "base")),
        }
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise ValueError(f"`{name}` must be one of {allowed}, got {value!r}.")
        if not (isinstance(physics, ODE) or physics in ("hamiltonian", None)):
            raise ValueError(
                f"`physics` must be a greybox.ODE, 'hamiltonian' or None, got {physics!r}; a "
                "simulator that is a function of its parameters has no vector field to add to."
            )
        counts = {"epochs": epochs, "batch": batch, "auxiliary": auxiliary}
        for name, count in counts.items():
            if not isinstance(count, int | np.integer) or count < 1:
                raise ValueError(f"`{name}` must be a whole number of at least 1, got {count!r}.")
        self.physics, self.auxiliary, self.inner = physics, auxiliary, inner
        self.latent_parameters, self.posterior, self.layers = latent_parameters, posterior, layers
        self.attention, self.kl, self.detach_physics = attention, kl, detach_physics
        self.corruption, self.corruption_at_eval = corruption, corruption_at_eval
        self.released_optimiser = released_optimiser
        if preset == "released":
            for name, switch in RELEASED.items():
                setattr(self, name, switch)
        self.weights = weights or Weights(-9.0, 1e-2, 1e-1, 1e-3, 1.0)
        self.sizes, self.epochs, self.batch = sizes or Sizes(), epochs, batch
        self.step, self.random_state = step, random_state

    # Building

    def build(self, channels: int, times: int, random: np.random.Generator) -> Networks:
        """Networks for signals of this shape, untrained."""
        self.shape_ = (channels, times)
        layers = self.layers if self.posterior == "planar" else (0, 0)
        d_p = self.parameter_count
        encoder = Encoder(
            channels, times, self.auxiliary, d_p, layers, self.sizes, self.attention, random
        )
        size = channels * times
        decoder: ODEDecoder | HamiltonianDecoder | NetDecoder
        if isinstance(self.physics, ODE):
            states = self.physics.shape_of(
                np.zeros(times) if channels == 1 else np.zeros((channels, times))
            )[0]
            inner = min(self.inner, self.auxiliary)
            decoder = ODEDecoder(
                self.physics, states, size, inner, self.auxiliary - inner, self.sizes,
                self.detach_physics, random,
            )  # fmt: skip
        elif self.physics == "hamiltonian":
            decoder = HamiltonianDecoder(
                channels,
                times,
                d_p,
                self.auxiliary,
                self.sizes,
                self.step,
                self.detach_physics,
                random,
            )
        else:
            decoder = NetDecoder(d_p, self.auxiliary, size, self.sizes, random)
        return Networks(encoder, decoder)

    @property
    def parameter_count(self) -> int:
        known = isinstance(self.physics, ODE)
        return len(self.physics.parameters) if known else self.latent_parameters  # type: ignore[union-attr]

    def physical(self, zeta: jax.Array) -> jax.Array:
        """Parameters in physical units; latents without a meaning stay as they are."""
        if isinstance(self.physics, ODE):
            return self.physics.parameters.physical_array(zeta)
        return zeta

    def _log_prior(self, zeta: jax.Array) -> jax.Array:
        if isinstance(self.physics, ODE):
            return self.physics.parameters.log_prior(zeta)
        return jnp.sum(jax.scipy.stats.norm.logpdf(zeta), axis=-1)

    # The pieces of the loss

    def decode(self, networks: Networks, zeta, auxiliary, x) -> Decodings:
        """Four readings of a batch; the start is read off `x`."""
        start = jax.vmap(lambda row: networks.decoder.start(row, self.shape_))(x)
        return jax.vmap(networks.decoder)(self.physical(zeta), auxiliary, start)

    def terms(self, networks: Networks, x: jax.Array, key: jax.Array) -> Terms:
        """All terms of the loss for one batch."""
        one, two, three = jax.random.split(key, 3)
        auxiliary, u, physics = networks.encoder(x, one, self.corruption)
        found = self.decode(networks, physics.z, auxiliary.z, x)
        square = jnp.sum((x - found.both) ** 2, axis=1)
        if self.kl == "base":
            kl = gaussian_kl(auxiliary.mean, auxiliary.log_scale, 0.0, 1.0)
            kl += self._base_kl(physics)
        else:
            kl = auxiliary.log_q - jnp.sum(jax.scipy.stats.norm.logpdf(auxiliary.z), axis=1)
            kl += physics.log_q - self._log_prior(physics.z)
        augmented = jnp.zeros(())
        unmixed = jnp.zeros(())
        if isinstance(self.physics, ODE):
            fixed = jax.lax.stop_gradient(found.physics)
            unmixed = jnp.mean(jnp.sum((u - fixed) ** 2, axis=1))
            augmented = self._augmented(networks, x, two, three)
        return Terms(
            jnp.mean(square), jnp.mean(kl), jnp.mean(residual_relevance(found)), augmented, unmixed
        )

    def _base_kl(self, physics) -> jax.Array:
        # The logistic prior of the unbounded parameter by its mean and standard deviation.
        sd = jnp.pi / 3**0.5 if isinstance(self.physics, ODE) else 1.0
        return gaussian_kl(physics.mean, physics.log_scale, 0.0, sd)

    def _augmented(self, networks, x, draw_key, feature_key):
        """Simulations of the physics alone, past the unmixer, must give their parameters back."""
        assert isinstance(self.physics, ODE)
        uniform = jax.random.uniform(
            draw_key, (len(x), self.parameter_count), minval=1e-3, maxval=1 - 1e-3
        )
        zeta = jnp.log(uniform) - jnp.log1p(-uniform)
        z = self.physical(zeta)
        start = jax.vmap(lambda row: networks.decoder.start(row, self.shape_))(x)
        simulated = jax.lax.stop_gradient(jax.vmap(networks.decoder.simulate)(z, start))
        _, mean, _ = networks.encoder.physics.heads(simulated, feature_key, self.corruption)
        return jnp.mean(jnp.sum((self.physical(mean) - z) ** 2, axis=1))

    def loss(self, networks: Networks, x: jax.Array, key: jax.Array) -> jax.Array:
        """Nats per signal."""
        return loss_in_nats(self.terms(networks, x, key), self.weights, x.shape[1])

    def _squares(self, networks: Networks, x: jax.Array) -> jax.Array:
        found = self._means(networks, x, jax.random.key(0), self._eval_corruption(None))
        return jnp.mean(jnp.sum((x - found.both) ** 2, axis=1))

    def _means(self, networks, x, key, corruption) -> Decodings:
        auxiliary, _, physics = networks.encoder(x, key, corruption, noisy=False)
        return self.decode(networks, physics.z, auxiliary.z, x)

    def _eval_corruption(self, corruption: float | None) -> float:
        if corruption is not None:
            return corruption
        return self.corruption if self.corruption_at_eval else 0.0

    # Training and using

    def fit(
        self,
        X: Any,
        X_valid: Any = None,
        *,
        progress: Callable[[str, int, int], None] = lambda stage, done, of: None,
        checkpoint: str | Path | None = None,
    ) -> HybridVAE:
        """Train; without `X_valid` a fifth of the signals is held out for choosing the epoch. With
        `checkpoint`, a folder, a killed training goes on from its last kept epoch."""
        flat = self._flat(X)
        if X_valid is None:
            if len(flat) < 5:
                raise ValueError(f"a network needs 5 signals or more to train on, got {len(flat)}.")
            cut = len(flat) - len(flat) // 5
            flat, valid = flat[:cut], flat[cut:]
        else:
            valid = self._flat(X_valid)
        networks = self.build(*self.shape_, np.random.default_rng(self.random_state))
        settings = {k: repr(v) for k, v in vars(self).items() if k[-1] != "_" and k != "physics"}
        text = repr(sorted(settings.items()))
        digest = hashlib.sha256(flat.tobytes() + valid.tobytes() + text.encode()).hexdigest()
        best, history, self.status_ = train(
            networks, self.loss, self._squares, flat, valid,
            Schedule(self.epochs, self.batch, released=self.released_optimiser),
            jax.random.key(self.random_state), digest=digest, checkpoint=checkpoint,
            progress=progress,
        )  # fmt: skip
        self.networks_, self.history_ = best, tuple(history)
        self.forward_ = eqx.filter_jit(self._forward)  # compiled once for a fit
        return self

    def _flat(self, X: Any) -> np.ndarray:
        times = np.shape(X)[-1]
        if isinstance(self.physics, ODE):
            signals = read_signals(X, self.physics.times)
        else:
            signals = read_signals(X, np.arange(float(times)))
        if not signals.observed.all():
            raise ValueError("the autoencoder needs complete signals; SectorModel takes gaps.")
        self.shape_ = (signals.values.shape[1], signals.values.shape[2])
        return np.asarray(signals.flat, np.float32)

    def _check_fitted(self) -> None:
        if not hasattr(self, "networks_"):
            raise ValueError("this model is not fitted yet; call `fit` first.")

    def reconstruct(
        self, X: Any, *, corruption: float | None = None, permute: bool = False, seed: int = 0
    ) -> Reconstruction:
        """Signals back from posterior means; `permute` shuffles the parameters between signals."""
        self._check_fitted()
        x = jnp.asarray(self._flat(X))
        key = jax.random.key(seed)
        order = jnp.arange(len(x))
        if permute:
            order = jax.random.permutation(jax.random.fold_in(key, 1), order)
        share = self._eval_corruption(corruption)
        zeroed = jnp.asarray(share) if share else 0.0  # one program without, one for all shares
        physics, both = self.forward_(self.networks_, x, key, zeroed, order)
        shape = (len(x), *self.shape_)
        return Reconstruction(np.asarray(physics).reshape(shape), np.asarray(both).reshape(shape))

    def _forward(self, networks: Networks, x, key, corruption, order) -> tuple[Any, Any]:
        """Physics and whole of posterior means, the parameters in another order of signals."""
        auxiliary, _, physics = networks.encoder(x, key, corruption, noisy=False)
        found = self.decode(networks, physics.z[order], auxiliary.z, x)
        return found.physics, found.both

    def infer(self, X: Any, draws: int = 200, seed: int = 0) -> dict[str, ParameterPosterior]:
        """The posterior :math:`q(z_P | x)` of every parameter by draws: as honest as the training
        made it, which is what coverage is for. Raises ValueError without a known simulator."""
        self._check_fitted()
        if not isinstance(self.physics, ODE):
            raise ValueError("latents of a learned simulator have no meaning to infer.")
        x = jnp.asarray(self._flat(X))
        dynamic, static = eqx.partition(self.networks_, eqx.is_array)

        @jax.jit
        def run(dynamic, key):
            _, _, physics = eqx.combine(dynamic, static).encoder(x, key)
            return self.physical(physics.z)

        keys = jax.random.split(jax.random.key(seed), draws)
        z = np.stack([np.asarray(run(dynamic, key), float) for key in keys], axis=1)
        result = {}
        for i, name in enumerate(self.physics.parameters.names):
            values = np.sort(z[:, :, i], axis=1)
            weight = np.full(values.shape, 1 / draws)
            spread = float(self.physics.parameters.spread[i])
            result[name] = ParameterPosterior(
                name, values, weight, False, np.zeros(len(values)), spread, values
            )
        return result

    def permutation_test(self, X: Any) -> float:
        """Rise of the squared error per signal when the parameters are shuffled between signals:
        zero means that the physics is not used."""
        shape = (len(X), -1)
        truth = np.asarray(X, float).reshape(shape)
        errors = [
            np.mean(
                np.sum((truth - self.reconstruct(X, permute=p).both.reshape(shape)) ** 2, axis=1)
            )
            for p in (False, True)
        ]
        return float(errors[1] - errors[0])
