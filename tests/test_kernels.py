"""Kernels: laws over every instance, scikit-learn as twin, and what is refused."""

import functools
import subprocess
import sys

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process import kernels as sk

from wilsonian import (
    RBF,
    ArcCosine,
    Constant,
    Cosine,
    ErfNetwork,
    FromFunction,
    Kernel,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Periodic,
    Polynomial,
    RationalQuadratic,
    Rescaled,
    locally_periodic,
    spectral_mixture,
)
from wilsonian.kernels import Product, Scaled, Sum, as_kernel

pytestmark = pytest.mark.double_precision
# A few dozen roundings of float64, for numbers of order one.
assert_close = functools.partial(helpers.assert_close, rtol=1e-12, atol=1e-14)

SCALES = np.array([0.6, 1.7, 3.0])  # one per column
KERNELS = {
    "rbf": RBF(1.3),
    "rbf-ard": RBF(SCALES),
    "matern12": Matern12(0.8),
    "matern32": Matern32(SCALES),
    "matern52": Matern52(2.0),
    "rational-quadratic": RationalQuadratic(SCALES, 0.7),
    "linear": Linear(0.6, 0.4),
    "polynomial-1": Polynomial(1, 0.5, 0.0),
    "polynomial-3": Polynomial(3, 0.3, 0.8),
    "constant": Constant(0.9),
    "nngp-relu": ArcCosine(1, "nngp", 1.8, 0.1),
    "ntk-relu": ArcCosine(2, "ntk"),
    "nngp-erf": ErfNetwork(1, "nngp", 1.5, 0.2),
    "ntk-erf": ErfNetwork(2, "ntk", 1.2, 0.0),
    "rescaled": Rescaled(Polynomial(), SCALES),
    "periodic": Periodic(SCALES, 2.3),
    "cosine": Cosine(4 * SCALES),
    "locally-periodic": locally_periodic(0.8, 4 * SCALES, 4.0),
    "sum": Matern12(2.0) + 0.3,
    "product": RBF(2.0) * Linear(1.0, 1.0),
    "scaled": 0.2 * (Matern52() + Rescaled(Linear(), 2.0) * RBF()),
}
FUNCTIONS = {
    "function-scikit-learn": FromFunction(sk.Matern(length_scale=1.4, nu=1.5)),
    "function-numpy": FromFunction(lambda X, Z: (1 + X @ Z.T) ** 2),
    "function-jax": FromFunction(lambda X, Z: jnp.tanh(X) @ jnp.tanh(Z).T, traceable=True),
}
EVERY = KERNELS | FUNCTIONS

ours = pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
every = pytest.mark.parametrize("kernel", EVERY.values(), ids=EVERY)


def points(rows=7, columns=3, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns))


X, Z = points(), np.vstack([points(3, seed=1), points()[:2], np.zeros((1, 3))])


# Laws.

V = points(len(Z), 2, seed=3)
ORDER = np.array([4, 2, 6, 0, 5, 1, 3])


@jax.jit
def measure(kernel, X, Z, V):
    """What the laws compare, in one compilation per kernel: hyperparameters are leaves, so that new
    values need no other. (Points are arguments, since JAX would keep a constant's precision.)"""
    both = jnp.concatenate([X, Z])
    return {
        "gram": kernel(X, Z),
        "pairs": jax.vmap(lambda x: jax.vmap(lambda z: kernel.evaluate(x, z))(Z))(X),
        "square": kernel(both),
        "diagonal": kernel.diagonal(both),
        "product": kernel.product(X, Z, V, block_size=3),
        "batch": jax.vmap(lambda X: kernel(X, Z))(jnp.stack([X, X[ORDER]])),
    }


@pytest.fixture(scope="module")
def measured():
    """What `measure` says of every kernel."""
    with jax.enable_x64(True):
        return {name: jax.tree.map(np.asarray, measure(k, X, Z, V)) for name, k in EVERY.items()}


@pytest.mark.parametrize("name", EVERY)
def test_a_gram_is_the_kernel_of_every_pair(measured, name):
    assert_close(measured[name]["gram"], measured[name]["pairs"])
    # Neither compiled nor batched.
    pair = EVERY[name].evaluate(jnp.asarray(X[3]), jnp.asarray(Z[4]))
    assert_close(measured[name]["gram"][3, 4], pair)


@pytest.mark.parametrize("name", EVERY)
def test_a_gram_is_symmetric_and_positive(measured, name):
    square = measured[name]["square"]
    assert_close(square, square.T)
    values = np.linalg.eigvalsh(square)
    # Rounding moves an eigenvalue of n points by about n eps times the largest one.
    assert values[0] > -100 * np.finfo(float).eps * values[-1]


@pytest.mark.parametrize("name", EVERY)
def test_a_diagonal_is_that_of_the_gram(measured, name):
    assert_close(measured[name]["diagonal"], np.diagonal(measured[name]["square"]))


@pytest.mark.parametrize("name", EVERY)
def test_a_gram_is_part_of_the_gram_of_more_points(measured, name):
    assert_close(measured[name]["gram"], measured[name]["square"][: len(X), len(X) :])


@pytest.mark.parametrize("name", EVERY)
def test_batches_of_points_are_batches_of_grams(measured, name):
    gram = measured[name]["gram"]
    assert_close(measured[name]["batch"], [gram, gram[ORDER]])


@pytest.mark.parametrize("name", EVERY)
def test_products_in_blocks_are_products(measured, name):
    # A block of other rows may sum in another order; the entries are below a hundred.
    assert_close(measured[name]["product"], measured[name]["gram"] @ V, atol=1e-13)


@pytest.mark.parametrize("block_size", [1, 4, 7, 100])
def test_blocks_of_any_size_make_the_product(block_size):
    kernel = Matern32(SCALES)
    assert_close(kernel.product(X, Z, V, block_size), np.asarray(kernel(X, Z)) @ V, atol=1e-13)


def check_dtype(kernel, dtype):
    def results(X, Z, V):
        return kernel(X, Z), kernel.diagonal(X), kernel.product(X, Z, V, 3)

    shapes = jax.eval_shape(results, *(array.astype(dtype) for array in (X, Z, V)))
    assert {shape.dtype for shape in shapes} == {np.dtype(dtype)}


@every
def test_precision_is_that_of_the_points(kernel):
    check_dtype(kernel, np.float64)
    # Arrays of hyperparameters have a precision of their own, Python's numbers do not.
    check_dtype(jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), kernel), np.float32)
    if all(isinstance(leaf, float) for leaf in jax.tree.leaves(kernel)):
        check_dtype(kernel, np.float32)


@pytest.mark.parametrize("name", EVERY)
def test_single_precision_is_all_there_is_by_default(measured, name):
    with jax.enable_x64(False):
        check_dtype(EVERY[name], np.float32)
        gram = jax.jit(lambda kernel, X, Z: kernel(X, Z))(EVERY[name], X, Z)  # from float64
        assert gram.dtype == np.float32
        # A cusp feels the distance, which float32 knows to sqrt(eps) |x|, 3e-4 times one to three.
        assert_close(gram, measured[name]["gram"], rtol=1e-3, atol=1e-4)


# Gradients: finite where formulas have corners, and right elsewhere.


def total(kernel, X, Z):
    """A sum over pairs with weights of order one and no symmetry."""
    weights = jnp.cos(1.0 + jnp.arange(len(X) * len(Z))).reshape(len(X), len(Z))
    return jnp.sum(weights * kernel.gram(X, Z))


total_and_slopes = jax.jit(jax.value_and_grad(total, (0, 1, 2)))


def as_arrays(kernel):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), kernel)


@ours
def test_gradients_are_finite_at_identical_opposite_and_zero_points(kernel):
    corners = jnp.asarray([[1.0, 2, 3], [1, 2, 3], [-1, -2, -3], [0, 0, 0], [2, 4, 6], [0, 0, 1]])
    for leaf in jax.tree.leaves(total_and_slopes(as_arrays(kernel), corners, corners)):
        assert jnp.all(jnp.isfinite(leaf))


@ours
def test_gradients_are_differences(kernel):
    arguments = as_arrays(kernel), jnp.asarray(X[:6]), jnp.asarray(points(6, seed=5))
    step = jax.tree.map(lambda leaf: np.cos(np.arange(leaf.size)).reshape(leaf.shape), arguments)

    def moved(size):
        there = jax.tree.map(lambda leaf, way: leaf + size * way, arguments, step)
        return total_and_slopes(*there)

    slopes = zip(*map(jax.tree.leaves, (moved(0.0)[1], step)), strict=True)
    along = sum(np.vdot(slope, way) for slope, way in slopes)
    # Central differences: an error of h^2 = 1e-8 times the third derivative, of order ten.
    difference = (moved(1e-4)[0] - moved(-1e-4)[0]) / 2e-4
    assert abs(difference) > 1e-2
    assert_close(along, difference, rtol=1e-6, atol=1e-6)


@ours
def test_large_points_do_no_harm(kernel):
    # What 1e4 is to float32: one is lost beside its square.
    large = jnp.asarray(1e9 * X[:6])
    for leaf in jax.tree.leaves(total_and_slopes(as_arrays(kernel), large, large)):
        assert jnp.all(jnp.isfinite(leaf))


def test_a_constant_is_constant_everywhere():
    far = np.full((2, 1), 1e300)  # whose square is infinite
    assert_close(Constant(0.3)(far), np.full((2, 2), 0.3))


# Memory: a matrix product, never an array of pairs times columns.


def sizes(jaxpr):
    """Sizes of everything a jaxpr computes, and the jaxprs inside it."""
    for equation in jaxpr.eqns:
        yield from (variable.aval.size for variable in equation.outvars)
        for parameter in jax.tree.leaves(equation.params, is_leaf=lambda p: hasattr(p, "eqns")):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from sizes(inner)


def largest(function, *arguments):
    return max(sizes(jax.make_jaxpr(function)(*arguments).jaxpr))


def test_largest_sees_an_array_of_differences():
    def naive(X, Z):
        return jnp.exp(-jnp.sum((X[:, None] - Z) ** 2, axis=-1))

    shapes = np.ones((11, 3)), np.ones((13, 3))
    assert largest(naive, *shapes) == 11 * 13 * 3
    assert largest(jax.jit(naive), *shapes) == 11 * 13 * 3
    assert largest(lambda X, Z: jax.lax.map(lambda x: naive(x[None], Z), X), *shapes) == 11 * 13


@ours
def test_no_array_of_pairs_times_columns(kernel):
    rows, more, columns = 11, 13, 3
    left, right = points(rows, columns), points(more, columns)
    assert largest(kernel.gram, left, right) == rows * more
    # Of its gradient too, which is a matrix product again.
    assert largest(jax.grad(total, (1, 2)), kernel, left, right) == rows * more
    assert largest(kernel.diagonal, left) <= rows * columns


@ours
def test_products_hold_one_block(kernel):
    rows, more, block_size = 60, 40, 7
    arguments = points(rows), points(more), np.ones((more, 1))
    in_blocks = largest(lambda *a: kernel.product(*a, block_size), *arguments)
    assert in_blocks <= max(block_size * more, (rows + block_size) * 3)
    assert largest(kernel.product, *arguments) == rows * more


# Twins.

TWINS = {
    "rbf": (RBF(1.3), sk.RBF(1.3)),
    "rbf-ard": (RBF(SCALES), sk.RBF(SCALES)),
    "matern12": (Matern12(1.3), sk.Matern(1.3, nu=0.5)),
    "matern12-ard": (Matern12(SCALES), sk.Matern(SCALES, nu=0.5)),
    "matern32": (Matern32(1.3), sk.Matern(1.3, nu=1.5)),
    "matern32-ard": (Matern32(SCALES), sk.Matern(SCALES, nu=1.5)),
    "matern52": (Matern52(1.3), sk.Matern(1.3, nu=2.5)),
    "matern52-ard": (Matern52(SCALES), sk.Matern(SCALES, nu=2.5)),
    "rational-quadratic": (RationalQuadratic(1.3, 0.6), sk.RationalQuadratic(1.3, 0.6)),
    "linear": (Linear(1.0, 0.49), sk.DotProduct(0.7)),
    "polynomial": (Polynomial(3, 1.0, 0.49), sk.DotProduct(0.7) ** 3),
    "constant": (Constant(0.3), sk.ConstantKernel(0.3)),
    "rescaled": (Rescaled(Matern32(2.0), SCALES), sk.Matern(2 * SCALES, nu=1.5)),
    "composite": (
        0.5 * RBF(SCALES) * Linear(1.0, 1.0) + Matern12() + 0.3,
        0.5 * sk.RBF(SCALES) * sk.DotProduct(1.0) + sk.Matern(nu=0.5) + 0.3,
    ),
}


def test_a_periodic_kernel_is_the_product_of_those_of_its_columns():
    lengths, periods = np.array([0.5, 1.0, 2.0]), np.array([1.3, 4.0, 0.7])
    columns = [
        sk.ExpSineSquared(lengths[j], periods[j])(X[:, j : j + 1], Z[:, j : j + 1])
        for j in range(3)
    ]
    assert_close(Periodic(lengths, periods)(X, Z), np.prod(columns, axis=0))
    far = 1e6 * periods  # whole periods away, where a phase has lost six digits
    assert_close(Periodic(lengths, periods)(X + far, Z), np.prod(columns, axis=0), atol=1e-8)


def test_a_spectral_mixture_is_the_transform_of_its_density():
    kernel = spectral_mixture(2, np.array([1.5, 2.0, 5.0]), 0.8)
    means = [1 / np.array([1.5, 2.0, 5.0]), 2 / np.array([1.5, 2.0, 5.0])]
    width = 1 / (2 * np.pi * 0.8)  # Wilson and Adams's sqrt(v)
    shift = X[:, None] - Z
    lines = [
        np.prod(np.exp(-2 * (np.pi * width * shift) ** 2) * np.cos(2 * np.pi * shift * m), axis=-1)
        for m in means
    ]
    assert_close(kernel(X, Z), (lines[0] + lines[1]) / 2)


@pytest.mark.parametrize("name", TWINS)
def test_scikit_learn_says_the_same(name):
    kernel, twin = TWINS[name]
    assert_close(kernel(X, Z), twin(X, Z))
    assert_close(kernel(X), twin(X))
    assert_close(kernel.diagonal(jnp.asarray(X)), twin.diag(X))
    assert_close(as_kernel(twin)(X, Z), twin(X, Z))


def test_rational_quadratic_with_ard_divides_the_columns():
    # Scikit-learn's has one length scale.
    twin = sk.RationalQuadratic(1.0, 0.6)
    assert_close(RationalQuadratic(SCALES, 0.6)(X, Z), twin(X / SCALES, Z / SCALES))


def test_stationary_kernels_do_not_mind_a_common_shift():
    for kernel in (RBF(SCALES), Matern12(), RationalQuadratic()):
        # Moving by 1e6 and back rounds a coordinate by 1e-10.
        assert_close(kernel(X + 1e6, Z + 1e6), kernel(X, Z), rtol=1e-8)


# Algebra.


def test_sums_products_and_scalings():
    a, b = RBF(1.3), Linear(0.6, 0.4)
    A, B = np.asarray(a(X, Z)), np.asarray(b(X, Z))
    expected = {
        a + b: A + B,
        a * b: A * B,
        3 * a: 3 * A,
        a * 0.5: A / 2,
        a + 2: A + 2,
        2 + a: A + 2,
        a + b * b: A + B**2,
        (a + b) * b: (A + B) * B,
    }
    for kernel, gram in expected.items():
        assert_close(kernel(X, Z), gram)
    assert isinstance(a + 1, Sum)
    assert isinstance(a * b, Product)
    assert isinstance(2 * a, Scaled)


NUMBERS = [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), jnp.float32(2), jnp.array(2.0)]


@pytest.mark.parametrize("two", NUMBERS, ids=lambda two: type(two).__name__)
def test_numbers_of_every_kind_scale_and_add(two):
    gram = np.asarray(RBF()(X, Z))
    assert_close(as_kernel(two)(X, Z), np.full_like(gram, 2.0))
    for scaled in (RBF() * two, two * RBF()):
        assert type(scaled) is Scaled
        assert_close(scaled(X, Z), 2 * gram)
    for shifted in (RBF() + two, two + RBF()):
        assert type(shifted) is Sum
        assert_close(shifted(X, Z), 2 + gram)


def test_as_kernel_wraps_functions_and_keeps_kernels():
    kernel = RBF()
    assert as_kernel(kernel) is kernel
    twin = sk.RBF(1.3)
    gram = np.asarray(twin(X, Z))
    assert_close(as_kernel(twin)(X, Z), gram)
    assert_close((Constant(2.0) + twin)(X, Z), 2 + gram)
    assert_close((Constant(2.0) * twin)(X, Z), 2 * gram)


@pytest.mark.parametrize("other", ["rbf", None, 1j, np.ones(3), jnp.ones((3, 3)), [1.0]])
def test_what_is_no_kernel_gets_its_sentence(other):
    sentence = (
        rf"^expected a kernel, got {type(other).__name__}; pass a wilsonian kernel such as "
        r"Matern52\(\), a scikit-learn kernel, or a function f\(X, Z\) returning the Gram matrix\.$"
    )
    for make in (as_kernel, RBF().__add__, RBF().__mul__):
        with pytest.raises(TypeError, match=sentence):
            make(other)


def test_kernels_are_abstract_until_they_have_a_formula():
    with pytest.raises(TypeError, match="abstract"):
        Kernel()


# Functions as kernels.


def test_functions_on_the_host_see_numpy():
    seen = []

    def linear(X, Z):
        seen.append((type(X), type(Z), X.dtype, X.shape, Z.shape))
        return X @ Z.T

    kernel = FromFunction(linear)
    assert_close(kernel(X, Z), X @ Z.T)
    assert_close(jax.jit(lambda X, Z: kernel(X, Z))(X, Z), X @ Z.T)
    assert seen == 2 * [(np.ndarray, np.ndarray, np.float64, X.shape, Z.shape)]


def test_functions_see_every_bit_from_any_thread():
    seen = set()

    def linear(X, Z):
        seen.add((X.dtype.name, Z.dtype.name, jax.config.jax_enable_x64))
        return X @ Z.T

    kernel, shifts = FromFunction(linear), np.arange(8.0)

    @jax.jit
    def several(X):  # so much to call at a time that JAX takes other threads
        return [kernel(X - shift, X) @ kernel(X, X + shift) for shift in shifts]

    many = points(50)
    expected = [((many - shift) @ many.T) @ (many @ (many + shift).T) for shift in shifts]
    for _ in range(5):
        assert_close(several(many), expected, atol=1e-11)  # sums of fifty products below 1e3
    assert seen == {("float64", "float64", True)}


@pytest.mark.parametrize("name", ["function-numpy", "function-scikit-learn"])
def test_functions_on_the_host_have_no_derivative(name):
    kernel = FUNCTIONS[name]
    sentence = r"^a kernel function that runs on the host has no derivative; write it in JAX and"
    for value in (lambda X: kernel(X, Z)[0, 0], lambda X: kernel.diagonal(X)[0]):
        with pytest.raises(ValueError, match=sentence):
            jax.grad(value)(jnp.asarray(X))
    # Learning moves what is around it.
    assert_close(jax.grad(lambda scale: (scale * kernel)(X, Z)[0, 0])(2.0), kernel(X, Z)[0, 0])


def test_a_function_has_a_diagonal_in_blocks():
    many = points(130, 2)
    seen = []

    def linear(X, Z):
        seen.append(X.shape)
        return X @ Z.T

    assert_close(FromFunction(linear).diagonal(jnp.asarray(many)), np.sum(many**2, axis=1))
    assert seen == 3 * [(64, 2)]
    # Scikit-learn's kernels have one of their own.
    twin = 2.0 * sk.DotProduct(0.5)
    assert_close(as_kernel(twin).diagonal(jnp.asarray(many)), twin.diag(many))


def test_traceable_functions_differentiate():
    kernel = FUNCTIONS["function-jax"]
    gradient = jax.grad(lambda X: jnp.sum(kernel(X, Z)))(jnp.asarray(X))
    expected = (1 - np.tanh(X) ** 2) * np.tanh(Z).sum(axis=0)
    assert_close(gradient, expected)


@pytest.mark.parametrize("wrong", [lambda X, Z: X, lambda X, Z: X[0, 0], lambda X, Z: Z @ X.T])
def test_functions_of_wrong_shape_get_their_sentence(wrong):
    shape = str(np.shape(wrong(X, Z)))
    sentence = (
        f"the kernel function returned shape {shape} for inputs of 7 and 6 points; it must return "
        "(7, 6)."
    )
    with pytest.raises(ValueError, match=r"the kernel function returned") as caught:
        FromFunction(wrong, traceable=True)(X, Z)
    assert str(caught.value) == sentence
    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        np.asarray(FromFunction(wrong)(X, Z))
    assert sentence in str(caught.value)


# Shapes.


def test_points_of_wrong_shape_get_their_sentence():
    sentence = r"^`X` must have shape \(points, columns\), got \(3,\); reshape one column with x\[:"
    for call in (RBF(), lambda X: RBF().product(X, Z, np.ones((6, 1)))):
        with pytest.raises(ValueError, match=sentence):
            call(np.ones(3))
    with pytest.raises(ValueError, match=r"^`Z` must have shape .*, got \(2, 2, 3\); .*images"):
        RBF()(X, np.ones((2, 2, 3)))
    sentence = r"^`X` has 3 columns and `Z` has 2; pass the same columns\.$"
    for call in (RBF(), lambda X, Z: RBF().product(X, Z, np.ones((6, 1)))):
        with pytest.raises(ValueError, match=sentence):
            call(X, Z[:, :2])


SCALED = (RBF, Matern12, Matern32, Matern52, RationalQuadratic, lambda s: Rescaled(Linear(), s))


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("make", SCALED)
def test_length_scales_of_wrong_shape_get_their_sentence(make, columns):
    sentence = (
        rf"^`length_scale` has shape \(3,\) for points with {columns} columns; pass one number, or "
        r"an array with one length scale per column\.$"
    )
    with pytest.raises(ValueError, match=sentence):
        make(SCALES)(X[:, :columns])
    with pytest.raises(ValueError, match=sentence):
        make(SCALES).evaluate(jnp.ones(columns), jnp.ones(columns))


def test_integers_and_no_points_are_points():
    assert_close(RBF()(np.arange(21).reshape(7, 3), Z), RBF()(np.arange(21.0).reshape(7, 3), Z))
    assert RBF()(X[:0], Z).shape == (0, len(Z))


@pytest.mark.parametrize("degree", [0, -1, 2.0, "2"])
def test_degrees_that_are_none_get_their_sentence(degree):
    sentence = rf"^`degree` must be a positive integer, got {degree!r}\.$"
    with pytest.raises(ValueError, match=sentence):
        Polynomial(degree)


# Importing.

IMPORT = """
import os, sys
import jax, numpy as np

def settings():
    return {
        "jax": dict(jax.config.values),
        "x64": jax.config.jax_enable_x64,
        "errors": np.geterr(),
        "print": np.get_printoptions(),
        "random": np.random.get_state()[1].tolist(),
        "environment": dict(os.environ),
        "recursion": sys.getrecursionlimit(),
    }

before = settings()
import wilsonian, wilsonian.app.cli, wilsonian.language
after = settings()
changed = [name for name in before if before[name] != after[name]]
assert not changed, {name: (before[name], after[name]) for name in changed}
assert after["x64"] is False
print("unchanged")
"""


def test_importing_changes_no_setting():
    result = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True)
    assert (result.stdout, result.returncode) == ("unchanged\n", 0), result.stderr


@pytest.mark.parametrize(
    "kernel", [RBF(), Matern12(), Matern32(), Matern52(), RationalQuadratic()], ids=repr
)
@pytest.mark.parametrize(("scale", "dtype"), [(1e25, np.float32), (1e160, np.float64)])
def test_points_whose_squares_overflow_are_far_from_each_other(kernel, scale, dtype):
    X = (np.array([[0.0], [1.0], [2.0], [2.0]]) * scale).astype(dtype)
    apart = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    with jax.enable_x64(dtype == np.float64):
        np.testing.assert_allclose(kernel(X), apart, atol=1e-30)
        np.testing.assert_allclose(
            kernel.evaluate(jnp.asarray(X[0]), jnp.asarray(X[1])), 0, atol=1e-30
        )
        # In units of their own they are near again.
        near = Rescaled(kernel, dtype(scale))(X)
        np.testing.assert_allclose(near, kernel(X / dtype(scale)), rtol=1e-6)
