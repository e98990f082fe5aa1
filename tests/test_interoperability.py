"""Our kernels inside scikit-learn, and kernel functions of another library inside ours."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.gaussian_process.kernels as theirs
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVR

from wilsonian import RBF, ReducedGPRegressor
from wilsonian import networks as nn
from wilsonian.kernels import SklearnKernel

random = np.random.default_rng(0)
X, Z = random.normal(size=(30, 3)), random.normal(size=(7, 3))
y = np.sin(X[:, 0]) + 0.1 * X[:, 1] + 0.2 * random.normal(size=30)
NETWORK = nn.serial(nn.Dense(8, weight_variance=1.5, bias_variance=0.1), nn.Erf(), nn.Dense(1))
KERNELS = {"rbf": RBF(1.3), "network": nn.ntk(NETWORK), "sum": 0.5 * RBF(2.0) + nn.nngp(NETWORK)}
each = pytest.mark.parametrize("name", KERNELS)


def grams(kernel, *points):
    with jax.enable_x64(True):
        return np.asarray(kernel(*points))


@each
def test_matrices_are_the_same_numbers(name):
    kernel, wrapped = KERNELS[name], SklearnKernel(KERNELS[name])
    for points in ((X,), (X, Z)):
        found = wrapped(*points)
        assert type(found) is np.ndarray
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, grams(kernel, *points), rtol=1e-12)
    np.testing.assert_allclose(wrapped.diag(X), np.diag(wrapped(X)), rtol=1e-12)


def test_stationary_twins_agree_with_their_gradients():
    ours, twin = SklearnKernel(RBF(1.3)), theirs.RBF(1.3)
    np.testing.assert_allclose(ours.theta, twin.theta)
    np.testing.assert_allclose(ours.bounds, twin.bounds)
    for left, right in zip(ours(X, eval_gradient=True), twin(X, eval_gradient=True), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)


def test_gradients_are_differences():
    wrapped = SklearnKernel(KERNELS["network"])
    _, slopes = wrapped(X, eval_gradient=True)
    assert slopes.shape == (30, 30, 3)  # a bias of zero stays away
    for k, step in enumerate(1e-5 * np.eye(3)):
        ahead, behind = (wrapped.clone_with_theta(wrapped.theta + s)(X) for s in (step, -step))
        np.testing.assert_allclose(slopes[..., k], (ahead - behind) / 2e-5, atol=1e-8)


@each
def test_it_can_be_cloned_and_pickled(name):
    wrapped = SklearnKernel(KERNELS[name])
    for copy in (clone(wrapped), pickle.loads(pickle.dumps(wrapped))):
        assert copy == wrapped
        np.testing.assert_array_equal(copy(X), wrapped(X))
        copy.theta = copy.theta + 0.1
        assert copy != wrapped
    assert "SklearnKernel(" in repr(wrapped)


def test_gaussian_processes_learn_it():
    # The same optimum as with scikit-learn's own kernel.
    models = [
        GaussianProcessRegressor(kernel + theirs.WhiteKernel(0.01)).fit(X, y)
        for kernel in (SklearnKernel(RBF(1.0)), theirs.RBF(1.0))
    ]
    values = [model.log_marginal_likelihood_value_ for model in models]
    np.testing.assert_allclose(*values, rtol=1e-4)
    start = GaussianProcessRegressor(
        SklearnKernel(KERNELS["network"], fixed=True) + theirs.WhiteKernel(0.01)
    ).fit(X, y)
    learned = GaussianProcessRegressor(
        SklearnKernel(KERNELS["network"]) + theirs.WhiteKernel(0.01)
    ).fit(X, y)
    assert start.kernel_.k1 == SklearnKernel(KERNELS["network"], fixed=True)
    gain = learned.log_marginal_likelihood_value_ - start.log_marginal_likelihood_value_
    assert gain > 0.1


@each
def test_kernel_ridge_and_support_vectors_take_it(name):
    wrapped = SklearnKernel(KERNELS[name])
    ridge = KernelRidge(alpha=0.1, kernel=wrapped).fit(X, y).predict(Z)
    exact = wrapped(Z, X) @ np.linalg.solve(wrapped(X) + 0.1 * np.eye(30), y)
    np.testing.assert_allclose(ridge, exact, rtol=1e-8)
    ours = SVR(kernel=wrapped).fit(X, y).predict(Z)
    given = SVR(kernel="precomputed").fit(wrapped(X), y).predict(wrapped(Z, X))
    np.testing.assert_allclose(ours, given, rtol=1e-8)


# neural-tangents cannot be imported beside today's JAX: a function of its signature stands in.


def kernel_fn(x1, x2=None, get=None):
    """One hidden ReLU layer, in the words of the other library."""
    x2 = x1 if x2 is None else x2
    axes = tuple(range(1, x1.ndim))
    product = jnp.tensordot(x1, x2, (axes, axes)) / np.prod(x1.shape[1:])
    norms = [jnp.sqrt(jnp.sum(x**2, axis=axes) / np.prod(x.shape[1:])) for x in (x1, x2)]
    cosine = jnp.clip(product / jnp.outer(*norms), -1, 1)
    angle = jnp.arccos(cosine)
    nngp = jnp.outer(*norms) * (jnp.sin(angle) + (jnp.pi - angle) * cosine) / (2 * jnp.pi)
    return {"nngp": nngp, "ntk": nngp + (jnp.pi - angle) / (2 * jnp.pi) * product}[get]


SHALLOW = nn.serial(nn.Dense(8), nn.Relu(), nn.Dense(1))


@pytest.mark.parametrize("traceable", [True, False])
@pytest.mark.parametrize("get", ["nngp", "ntk"])
def test_kernel_functions_of_neural_tangents_are_kernels(get, traceable):
    other = nn.from_neural_tangents(kernel_fn, get, traceable=traceable)
    ours = nn.nngp(SHALLOW) if get == "nngp" else nn.ntk(SHALLOW)
    np.testing.assert_allclose(grams(other, X, Z), grams(ours, X, Z), rtol=1e-7)
    images = nn.from_neural_tangents(kernel_fn, get, input_shape=(3, 1, 1), traceable=traceable)
    np.testing.assert_allclose(grams(images, X, Z), grams(ours, X, Z), rtol=1e-7)


def test_kernel_functions_of_neural_tangents_can_be_fitted():
    wrapped = nn.from_neural_tangents(kernel_fn, "ntk")
    predictions = [
        ReducedGPRegressor(k, optimizer=None, rank=20, random_state=0).fit(X, y).predict(Z)
        for k in (wrapped, nn.ntk(SHALLOW))
    ]
    np.testing.assert_allclose(*predictions, rtol=1e-3, atol=1e-4)


def test_what_is_no_kernel_function_gets_its_sentence():
    with pytest.raises(ValueError, match=r"^`get` must be 'nngp' or 'ntk', got 'both'"):
        nn.from_neural_tangents(kernel_fn, "both")
    with pytest.raises(TypeError, match=r"^`kernel_fn` must be a function kernel_fn"):
        nn.from_neural_tangents(3, "ntk")


def test_matrices_go_to_numpy_and_back():
    gram = nn.nngp(SHALLOW)(X)
    assert np.asarray(gram).shape == (30, 30)
    assert np.from_dlpack(gram).shape == (30, 30)  # as torch.from_dlpack
