"""Training in the limit: finite ensembles, matrix exponentials, scikit-learn, and corners."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from helpers import assert_close, load_benchmark
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as sklearn_kernels

from wilsonian import RBF, ArcCosine
from wilsonian.networks.dynamics import gradient_flow, posterior

pytestmark = pytest.mark.double_precision

wide = load_benchmark("wide_ensembles")


X, TARGETS, Z = wide.problem(points=6, new=4)
NNGP, NTK = (ArcCosine(2, kind, 2.0, 0.1) for kind in ("nngp", "ntk"))
TIMES = (0.0, 0.05, 1.0, np.inf)


@functools.cache
def gram(kernel, points, others):
    """Kernel matrix between two of the sets "X" and "Z", as a NumPy array."""
    sets = {"X": X, "Z": Z}
    with jax.enable_x64(True):
        return np.asarray(jax.jit(kernel)(sets[points], sets[others]))


@functools.cache
def flow(ridge=0.0, noise=0.0, tangent=NTK):
    with jax.enable_x64(True):
        return gradient_flow(
            NNGP, tangent, X, TARGETS, ridge=ridge, noise_variance=noise, learning_rate=0.7
        )


# The formulas of Lee et al. 2019, written with dense exponentials and inverses.


def dense_prediction(points, time, ridge, noise, tangent=NTK, rate=0.7):
    """Mean and covariance by equations 14-16, extended by a ridge and noisy targets."""
    stiff = gram(tangent, "X", "X") + ridge * np.eye(len(X))
    decay = scipy.linalg.expm(-rate * time * stiff) if np.isfinite(time) else np.zeros_like(stiff)
    return trained_by(decay, points, ridge, noise, tangent)


def trained_by(decay, points, ridge=0.0, noise=0.0, tangent=NTK):
    stiff = gram(tangent, "X", "X") + ridge * np.eye(len(X))
    weights = gram(tangent, points, "X") @ np.linalg.inv(stiff) @ (np.eye(len(X)) - decay)
    both = weights @ gram(NNGP, points, "X").T
    noisy = gram(NNGP, "X", "X") + noise * np.eye(len(X))
    covariance = gram(NNGP, points, points) - both - both.T + weights @ noisy @ weights.T
    return weights @ TARGETS, covariance


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize(("ridge", "noise"), [(0.0, 0.0), (0.3, 0.0), (0.3, 0.2)])
def test_equations_of_lee_et_al_say_the_same(time, ridge, noise):
    for name, points in (("Z", Z), ("X", X)):
        mean, covariance = dense_prediction(name, time, ridge, noise)
        found = flow(ridge, noise).predict(points, time)
        assert_close(found.mean, mean)
        assert_close(found.variance, np.diagonal(covariance))
        assert_close(flow(ridge, noise).covariance(points, time), covariance)


def test_leaving_the_points_out_means_the_training_points():
    assert_close(flow().predict(time=0.3).mean, flow().predict(X, 0.3).mean)
    assert_close(flow().covariance(time=0.3), flow().covariance(X, 0.3))


# Closed limits.


def test_untrained_networks_are_the_prior():
    assert_close(flow().predict(Z, 0.0).mean, np.zeros(len(Z)))
    assert_close(flow().covariance(Z, 0.0), gram(NNGP, "Z", "Z"))


def test_networks_trained_for_ever_fit_every_target():
    fitted = flow().predict()
    assert_close(fitted.mean, TARGETS)
    assert_close(fitted.variance, np.zeros(len(X)))
    assert_close(flow().expected_loss(np.inf), 0.0)
    assert flow().expected_loss(1.0) > 1e-3  # the check above can fail


def test_the_trained_read_out_is_the_posterior():
    # Lee et al. 2019, section 2.3.1; with ridge and noise, He et al. 2020.
    for noise in (0.0, 0.2):
        ensemble, bayes = flow(noise, noise, NNGP), posterior(NNGP, X, TARGETS, noise)
        assert_close(ensemble.predict(Z).mean, bayes.predict(Z).mean)
        assert_close(ensemble.covariance(Z), bayes.covariance(Z))
        assert_close(bayes.predict(Z).variance, np.diagonal(bayes.covariance(Z)))
    # Training all parameters is not Bayesian: the NTK's ensemble differs.
    assert (
        np.abs(flow().covariance(Z) - posterior(NNGP, X, TARGETS, 0.0).covariance(Z)).max() > 0.01
    )


def test_the_loss_falls_by_the_equation_of_motion():
    # d E[loss] / dt by a central difference is minus the mean squared gradient,
    # eta E[r^T Theta r], r the residuals at time t.
    time, step = 0.2, 1e-5
    slope = (flow().expected_loss(time + step) - flow().expected_loss(time - step)) / (2 * step)
    mean = flow().predict(X, time).mean - TARGETS
    second = np.outer(mean, mean) + flow().covariance(X, time)
    assert_close(slope, -0.7 * np.sum(gram(NTK, "X", "X") * second), rtol=1e-7)


def test_learned_fractions_are_those_of_the_mean():
    ensemble = flow(ridge=0.3)
    along = ensemble.modes.T @ ensemble.predict(X, 0.4).mean
    assert_close(along, ensemble.learned(0.4) * (ensemble.modes.T @ TARGETS))
    assert_close(ensemble.learned(np.inf), ensemble.eigenvalues / (ensemble.eigenvalues + 0.3))


def test_many_small_steps_are_the_flow_and_steps_are_descent():
    ensemble = gradient_flow(NNGP, NTK, X, TARGETS, ridge=0.1, learning_rate=1e-5)
    descended, flowed = ensemble.predict_after(40_000, Z), ensemble.predict(Z, 40_000)
    # The two differ by eta lambda / 2 < 2e-4 of what is being learned.
    assert_close(descended.mean, flowed.mean, rtol=1e-3)
    assert_close(descended.variance, flowed.variance, rtol=1e-3)
    # Twenty steps by hand, of a linear model with these kernels: f = f_0 + Theta a.
    ensemble = gradient_flow(NNGP, NTK, X, TARGETS, ridge=0.1, learning_rate=0.03)
    theta, dual = gram(NTK, "X", "X"), np.zeros(len(X))
    for _ in range(20):
        dual -= 0.03 * (theta @ dual - TARGETS + 0.1 * dual)
    assert_close(ensemble.predict_after(20, Z).mean, gram(NTK, "Z", "X") @ dual)


def test_times_are_traced_and_mapped_over_and_outputs_share_their_covariance():
    both = np.stack([TARGETS, 1 - TARGETS], axis=1)
    ensemble = gradient_flow(NNGP, NTK, X, both, learning_rate=0.7)
    found = jax.jit(jax.vmap(lambda time: ensemble.predict(Z, time)))(jnp.array(TIMES))
    for time, mean, variance in zip(TIMES, found.mean, found.variance, strict=True):
        assert_close(mean[:, 0], flow().predict(Z, time).mean)
        assert_close(variance, flow().predict(Z, time).variance)
    assert_close(
        ensemble.expected_loss(0.0), 0.5 * np.sum(both**2) + np.trace(gram(NNGP, "X", "X"))
    )


def test_points_given_twice_stop_nothing():
    # A singular tangent kernel: without a floor infinite time would divide rounding by rounding.
    twice, targets = np.vstack([X, X]), np.concatenate([TARGETS, TARGETS])
    ensemble = gradient_flow(NNGP, NTK, twice, targets)
    assert_close(ensemble.predict(Z).mean, flow().predict(Z).mean, rtol=1e-7)
    assert_close(ensemble.predict(Z).variance, flow().predict(Z).variance, rtol=1e-7)


# The posterior beside scikit-learn's.


def test_scikit_learn_has_the_same_posterior():
    noise, both = 0.05, np.stack([TARGETS, TARGETS**2], axis=1)
    twin = GaussianProcessRegressor(sklearn_kernels.RBF(1.3), alpha=noise, optimizer=None).fit(
        X, both
    )
    ours = posterior(RBF(1.3), X, both, noise)
    mean, covariance = twin.predict(Z, return_cov=True)
    assert_close(ours.predict(Z).mean, mean)
    assert_close(ours.covariance(Z), covariance[..., 0])
    assert_close(ours.log_evidence(), twin.log_marginal_likelihood_value_)


# Finite ensembles. At full size: benchmarks/wide_ensembles.py.


@pytest.fixture(scope="module")
def finite():
    """Outputs at `Z` (members, points) of networks of width 192, training everything or the
    read-out alone, after 4 steps and after 200."""
    with jax.enable_x64(False):
        single = [np.asarray(a, np.float32) for a in (X, TARGETS, Z)]
        keys = jax.random.split(jax.random.key(1), 24)
        return {
            (of_read_out, steps): np.array(
                [
                    wide.trained(*(key, *single, 0.04, steps), width=192, of_read_out=of_read_out)[
                        0
                    ]
                    for key in keys
                ],
                float,
            )
            for of_read_out in (False, True)
            for steps in (4, 200)
        }


@pytest.mark.parametrize("steps", [4, 200])
@pytest.mark.parametrize("of_read_out", [False, True])
def test_wide_ensembles_are_the_infinite_one(finite, of_read_out, steps):
    tangent = NNGP if of_read_out else NTK
    ensemble = gradient_flow(NNGP, tangent, X, TARGETS, learning_rate=0.04)
    decay = np.linalg.matrix_power(np.eye(len(X)) - 0.04 * gram(tangent, "X", "X"), steps)
    mean, covariance = trained_by(decay, "Z", tangent=tangent)
    predicted = ensemble.predict_after(steps, Z)
    assert_close(predicted.mean, mean)
    assert_close(predicted.variance, np.diagonal(covariance))
    outputs = finite[of_read_out, steps]
    # One in ten thousand by chance, if width 192 were infinite.
    assert min(wide.agreement(outputs, mean, covariance).probabilities()) > 1e-4
    # The check can fail: against the prior's mean, and a quarter of the covariance.
    assert min(wide.agreement(outputs, 0 * mean, covariance).probabilities()) < 1e-6
    assert min(wide.agreement(outputs, mean, covariance / 4).probabilities()) < 1e-6


# Errors.


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y": TARGETS[:2]}, r"^`y` has shape \(2,\) for 6 points; pass \(points,\) or"),
        ({"ridge": -1.0}, r"^`ridge` must not be negative, got -1\.0; pass zero to do without\.$"),
        ({"noise_variance": -1.0}, r"^`noise_variance` must not be negative"),
        ({"learning_rate": np.nan}, r"^`learning_rate` must not be negative, got nan"),
        ({"X": X[0]}, r"^`X` must have shape \(points, columns\)"),
    ],
)
def test_mistakes_get_their_sentence(change, sentence):
    whole = {"nngp": NNGP, "ntk": NTK, "X": X, "y": TARGETS}
    with pytest.raises(ValueError, match=sentence):
        gradient_flow(**{**whole, **change})


def test_points_of_another_width_get_theirs():
    for fitted in (flow(), posterior(NNGP, X, TARGETS, 0.1)):
        with pytest.raises(ValueError, match="2; pass the same columns"):
            fitted.predict(Z[:, :2])


POINTS = np.linspace(-2, 2, 100)[:, None]
# Error at the training points of a tangent kernel whose small modes float32 cannot tell from
# rounding: set aside they cost .004, divided by the ridge they gave 3e4.


@pytest.mark.parametrize("ridge", [0.0, 1e-8, 1e-4, 1.0])
@pytest.mark.parametrize("layers", [1, 2])
def test_modes_below_the_rounding_of_the_kernel_are_set_aside(ridge, layers):
    kernels = [ArcCosine(layers, kind, 2.0, 0.1) for kind in ("nngp", "ntk")]
    targets = np.sin(3 * POINTS[:, 0])
    exact = gradient_flow(*kernels, POINTS, targets, ridge=ridge).predict().mean
    with jax.enable_x64(False):
        points, rounded = POINTS.astype(np.float32), targets.astype(np.float32)
        single = gradient_flow(*kernels, points, rounded, ridge=ridge)
        fitted, learned = single.predict().mean, single.learned(np.inf)
    np.testing.assert_allclose(fitted, exact, atol=0.01)
    assert int(single.set_aside) == int(np.sum(np.asarray(learned) == 0))


def test_what_is_set_aside_is_counted():
    # A network without biases knows a number's sign and size only: two modes in one dimension.
    kernels = [ArcCosine(1, kind) for kind in ("nngp", "ntk")]
    assert int(gradient_flow(*kernels, POINTS, POINTS[:, 0]).set_aside) == 98
    with jax.enable_x64(False):
        points = POINTS.astype(np.float32)
        assert int(gradient_flow(*kernels, points, points[:, 0]).set_aside) == 98
