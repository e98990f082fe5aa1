"""Kernels of networks as kernels: laws, blocks, precision, transformations, text and files."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from network_instances import IMAGES, NETWORKS, VECTORS, conv, dense, inputs, two_layers
from typer.testing import CliRunner

from wilsonian import ArcCosine, ErfNetwork, ReducedGPRegressor, load_model, save_model
from wilsonian import networks as nn
from wilsonian.app.cli.commands import app
from wilsonian.language import read_architecture, write_architecture
from wilsonian.language.kernel_text import (
    KernelTextError,
    describe_kernel,
    format_kernel,
    parse_kernel,
)
from wilsonian.networks import kernel as kernel_module

pytestmark = pytest.mark.double_precision

LAWFUL = ("relu", "gelu", "hermite_expansion", "conv_residual_pool")
each = pytest.mark.parametrize("name", LAWFUL)


def many(shape, count=8):
    X = np.random.default_rng(1).normal(size=(count, *shape))
    X[1], X[2], X[3] = X[0], -X[0], 0.0  # identical, opposite and zero inputs
    return X


@functools.cache
def measured(name):
    """Of one instance: matrices of `many` inputs, diagonals, and single precision."""
    build, shape, _ = NETWORKS[name]
    network, X = build(8), many(shape)
    rows = X.reshape(len(X), -1)

    @jax.jit
    def run(X, rows):
        kernels = [nn.NetworkKernel(network, kind, shape) for kind in ("nngp", "ntk")]
        return (
            nn.nngp_and_ntk(network, X),
            nn.nngp_and_ntk(network, X[:3], X),
            [kernel.diagonal(rows) for kernel in kernels],
        )

    double = run(X, rows)
    with jax.enable_x64(False):
        single = run(X.astype(np.float32), rows.astype(np.float32))
    return double, single


@each
def test_matrices_are_symmetric_and_positive_semidefinite(name):
    for gram in measured(name)[0][0]:
        scale = np.trace(gram)
        np.testing.assert_allclose(gram, np.transpose(gram), rtol=0, atol=1e-15 * scale)
        assert np.linalg.eigvalsh(gram)[0] > -1e-13 * scale


@each
def test_parts_of_a_matrix_and_its_diagonal_are_the_same_numbers(name):
    (grams, parts, diagonals), _ = measured(name)
    for gram, part, diagonal in zip(grams, parts, diagonals, strict=True):
        scale = np.abs(gram).max()
        np.testing.assert_allclose(part, gram[:3], rtol=0, atol=1e-13 * scale)
        np.testing.assert_allclose(diagonal, np.diagonal(gram), rtol=0, atol=1e-13 * scale)


@each
def test_single_precision_errs_by_its_rounding(name):
    double, single = measured(name)
    for exact, found in zip(jax.tree.leaves(double), jax.tree.leaves(single), strict=True):
        assert found.dtype == np.float32
        # A hundred roundings. Tangent kernels with a cusp at identical inputs take angles below
        # 4 eps^.5 for zero: 2e-4 there (`correlation`), which no pair here comes close to.
        np.testing.assert_allclose(found, exact, rtol=0, atol=1.2e-5 * np.abs(exact).max())


@each
def test_slopes_are_finite_at_identical_opposite_and_zero_inputs(name):
    build, shape, _ = NETWORKS[name]
    if name == "hermite_expansion":  # every term is one more product to differentiate and compile
        build = two_layers(nn.HermiteExpansion(jnp.tanh, terms=8, nodes=64))

    @jax.jit
    def slopes(network, X):
        def total(network, X):
            return sum(jnp.sum(gram) for gram in nn.nngp_and_ntk(network, X))

        return jax.grad(total, (0, 1))(network, X)

    network = jax.tree.map(jnp.asarray, build(8))
    for leaf in jax.tree.leaves(slopes(network, jnp.asarray(many(shape, 5)))):
        assert np.all(np.isfinite(leaf))


def test_gradients_over_variances_are_differences():
    build, shape, _ = NETWORKS["residual"]
    leaves, tree = jax.tree.flatten(build(8))
    X = inputs(shape)

    def value(variances):
        network = jax.tree.unflatten(tree, list(variances))
        return sum(jnp.sum(gram) for gram in nn.nngp_and_ntk(network, X))

    variances = jnp.array(leaves)
    slope = jax.jit(jax.grad(value))(variances)
    many_values = jax.jit(jax.vmap(value))  # vmap over variances, too
    steps = 1e-5 * np.eye(len(variances))
    difference = (many_values(variances + steps) - many_values(variances - steps)) / 2e-5
    np.testing.assert_allclose(slope, difference, rtol=1e-7)


def test_fully_connected_kernels_have_one_source():
    X = inputs(VECTORS)
    for own, activation in ((ArcCosine, nn.Relu()), (ErfNetwork, nn.Erf())):
        network = nn.serial(*[dense(8), activation] * 2, dense(1))
        for kind in ("nngp", "ntk"):
            expected = own(2, kind, 1.5, 0.1)(X)
            np.testing.assert_allclose(nn.NetworkKernel(network, kind)(X), expected, rtol=1e-13)


@pytest.mark.parametrize("name", ["dropout", "conv_residual_pool"])
def test_blocks_change_nothing(name, monkeypatch):
    build, shape, _ = NETWORKS[name]
    network, X = build(8), many(shape, 7)
    whole = nn.nngp_and_ntk(network, X), nn.nngp_and_ntk(network, X, X[:4])
    monkeypatch.setattr(kernel_module, "ROW_BLOCK", 9)
    monkeypatch.setattr(kernel_module, "IMAGE_BLOCK", 9 * 4**4)
    jax.clear_caches()
    blocks = nn.nngp_and_ntk(network, X), nn.nngp_and_ntk(network, X, X[:4])
    jax.clear_caches()
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(blocks), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_only_what_is_needed_is_tracked():
    pairs, positions = nn.nngp(nn.serial(conv(8), nn.GlobalAvgPool())), nn.serial(conv(8))
    assert pairs.network.needs(1, own=False) == 2
    assert positions.needs(1, own=False) == 1
    # Where a Gram matrix has n m S^2 numbers for pooling, it has n m S for Flatten.
    X = np.zeros((4, *IMAGES))

    def largest(network):
        trace = jax.make_jaxpr(lambda X: nn.nngp_and_ntk(network, X, X[:3])[1])(X)
        sizes = [0]

        def walk(jaxpr):
            for equation in jaxpr.eqns:
                sizes.extend(v.aval.size for v in equation.outvars)
                for inner in equation.params.values():
                    if hasattr(inner, "jaxpr"):
                        walk(inner.jaxpr)

        walk(trace.jaxpr)
        return max(sizes)

    layers = [conv(8), nn.Relu(), conv(8), nn.Relu()]
    assert largest(nn.serial(*layers, nn.Flatten(), dense(1))) <= 4 * 3 * 6 * 6
    assert largest(nn.serial(*layers, nn.GlobalAvgPool(), dense(1))) >= 4 * 3 * 16**2


def test_dropout_is_a_noise_of_the_diagonal():
    network = nn.serial(dense(8), nn.Relu(), nn.Dropout(0.2), dense(1))
    plain = nn.nngp(nn.serial(dense(8), nn.Relu(), dense(1)))
    X, kernel = inputs(VECTORS), nn.nngp(network)
    difference = np.asarray(kernel(X) - plain(X))
    np.testing.assert_allclose(difference, np.diag(np.diagonal(difference)), atol=1e-14)
    expected = 1.5 * (1 / 0.8 - 1) * (plain.diagonal(jnp.asarray(X)) - 0.1) / 1.5
    np.testing.assert_allclose(np.diagonal(difference), expected, rtol=1e-12)
    np.testing.assert_allclose(kernel(X, X.copy()), plain(X), rtol=1e-13)


def test_free_fields_have_the_propagator_as_kernel():
    for dimension in (1, 2, 3, 5):
        field = nn.FreeField(4.0, mass=0.7, variance=0.3, lowest=0.5)
        network = nn.serial(nn.CosineFeatures(8, field), nn.Dense(1))
        x = np.zeros((1, dimension))
        z = np.full((1, dimension), 0.9 / dimension**0.5)
        volume = np.pi ** (dimension / 2) / scipy.special.gamma(dimension / 2 + 1)

        def radial(p, d=dimension, volume=volume):
            order, t = d / 2 - 1, 0.9 * p
            wave = scipy.special.gamma(d / 2) * (2 / t) ** order * scipy.special.jv(order, t)
            return d * volume * p ** (d - 1) * wave / (p**2 + 0.7**2)

        expected = 0.3 * scipy.integrate.quad(radial, 0.5, 4.0, epsabs=1e-13)[0]
        np.testing.assert_allclose(nn.nngp(network)(x, z)[0, 0], expected, rtol=1e-11)


def test_shells_of_momenta_add_up():
    x, z = inputs((3,)), inputs((3,), 1)

    def kernel(lowest, cutoff):
        field = nn.FreeField(cutoff, lowest=lowest)
        return nn.nngp(nn.serial(nn.CosineFeatures(8, field), nn.Dense(1)))(x, z)

    np.testing.assert_allclose(kernel(0, 2) + kernel(2, 5), kernel(0, 5), rtol=1e-10)


def test_learning_moves_the_variances():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 3))
    y = np.sin(2 * X[:, 0]) + 0.1 * random.normal(size=60)
    network = nn.serial(dense(8), nn.Erf(), dense(1))
    model = ReducedGPRegressor(
        nn.nngp(network), rank=20, random_state=0, n_restarts=0, max_iterations=15
    ).fit(X, y)
    learned = jax.tree.leaves(model.kernel_)
    assert len(learned) == 4
    assert not np.allclose(learned, jax.tree.leaves(network), rtol=1e-2)
    assert model.score(X, y) > 0.9


# Shapes.


def test_images_and_rows_are_the_same_inputs():
    network = NETWORKS["conv_flatten"][0](8)
    X = inputs(IMAGES)
    rows = X.reshape(3, -1)
    knows = nn.nngp(network, IMAGES)
    expected = nn.nngp(network)(X)
    for found in (knows(rows), knows(X), knows(X, rows), knows.product(X, X, np.eye(3))):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(knows.evaluate(jnp.asarray(rows[0]), rows[1]), expected[0, 1])
    with pytest.raises(ValueError, match=r"^points have 31 columns, which are no inputs of shape"):
        knows(rows[:, :-1])
    with pytest.raises(ValueError, match=r"^`X` has inputs of shape \(4, 2, 4\), the kernel's are"):
        knows(np.swapaxes(X, 2, 3))
    with pytest.raises(TypeError, match=r"^`network` must be made of layers"):
        nn.nngp(jnp.tanh)


# Text and files.


def as_text(name):
    build, shape, kinds = NETWORKS[name]
    return nn.NetworkKernel(build(8), kinds[-1], shape)


WRITABLE = [name for name in NETWORKS if name not in ("hermite_expansion", "gauss_hermite")]


@pytest.mark.parametrize("name", WRITABLE)
def test_networks_are_written_and_read_back_bit_for_bit(name):
    kernel = 0.1 * as_text(name) + nn.nngp(nn.serial(nn.Dense(1, weight_variance=1 / 3)))
    text = format_kernel(kernel)
    read = parse_kernel(text)
    assert format_kernel(read) == text
    assert jax.tree.structure(read) == jax.tree.structure(kernel)
    assert jax.tree.leaves(read) == jax.tree.leaves(kernel)


def test_functions_are_no_text():
    for name in ("hermite_expansion", "gauss_hermite"):
        with pytest.raises(KernelTextError, match="it is code, which a file cannot hold"):
            format_kernel(as_text(name))


def test_descriptions_are_short():
    assert describe_kernel(as_text("conv_flatten")) == (
        "ntk:(Conv(8, (3, 3)), Relu, Conv(8, (3, 3)), Erf, Flatten, Dense)"
    )
    deep = nn.nngp(nn.serial(*[dense(8), nn.Relu()] * 10, dense(1)))
    assert describe_kernel(deep) == "nngp:(Dense, Relu, Dense, 16 more, Relu, Dense)"


FILE = {
    "layers": [
        {"repeat": 2, "layers": [{"layer": "dense", "width": 8, "weight_variance": 1.5}]},
        {"layer": "Residual", "layers": [{"layer": "Relu"}, {"layer": "Dense", "width": 8}]},
        {"layer": "Parallel", "join": "product", "branches": [{"layer": "Identity"},
            [{"layer": "Relu"}, {"layer": "Dense", "width": 8}]]},
        {"layer": "Dense", "width": 1},
    ]
}  # fmt: skip


def test_files_hold_architectures(tmp_path):
    path = tmp_path / "my net.json"
    path.write_text(json.dumps(FILE))
    relu = nn.serial(nn.Relu(), nn.Dense(8))
    expected = nn.serial(
        *[nn.Dense(8, weight_variance=1.5)] * 2,
        nn.residual(nn.Relu(), nn.Dense(8)),
        nn.parallel(nn.Identity(), relu, join="product"),
        nn.Dense(1),
    )
    kernel = parse_kernel(f'2 * ntk:"{path}" + 0.1', files=True)
    X = inputs(VECTORS)
    np.testing.assert_allclose(kernel(X), 2 * nn.ntk(expected)(X) + 0.1, rtol=1e-12)
    write_architecture(expected, path, VECTORS)
    network, shape = read_architecture(path)
    assert shape == VECTORS
    assert jax.tree.structure(network) == jax.tree.structure(expected)


def layers(*entries):
    return json.dumps({"layers": list(entries)})


BAD = {
    '{"layers": [': "Expecting value",
    '{"layers": [], "layers": []}': "a key appears twice",
    '{"layer": "Dense"}': r'expected \{"layers": \[...\]\}, a list of layers by name',
    '{"layers": [], "shape": 3}': "unknown entry 'shape'; an architecture has layers and",
    '{"layers": [], "input_shape": [0]}': r"`input_shape` must be a list of sizes .*, got \[0\]",
    layers("Relu"): 'layer 1: expected a layer such as {"layer": "Relu"}, got \'Relu\'',
    layers({"layer": "Rleu"}): r"layer 1: unknown layer 'Rleu' \(did you mean 'Relu'\?\); known",
    layers({"layer": "Dense"}): r"layer 1 \(Dense\): it lacks 'width'",
    layers({"layer": "Dense", "width": 8, "widht": 8}): r"layer 1 \(Dense\): unknown option 'widht'"
    r" \(did you mean 'width'\?\); options are",
    layers({"layer": "Relu"}, {"layer": "Dense", "width": "8"}): r"layer 2 \(Dense\): `width` "
    "cannot be '8'",
    layers({"layer": "Dense", "width": 8, "weight_variance": -1}): "`weight_variance` must be one",
    layers({"layer": "LeakyRelu", "slope": "x"}): "`slope` cannot be 'x'",
    layers({"layer": "Conv", "width": 8, "window_shape": [3, True]}): r"cannot be \[3, True\]",
    layers({"repeat": 10**6, "layers": []}): "layer 1: expected .*repeat",
    layers({"repeat": 1000, "layers": [{"layer": "Relu"}] * 2}): "there are more than 1,000 layers",
    layers({"layer": "Parallel", "branches": [[{"layer": "Relu", "x": 1}]]}): r"layer 1, branch 1, "
    r"layer 1 \(Relu\): unknown option 'x'; it has no options",
    layers({"layer": "CosineFeatures", "width": 8, "momenta": {"layer": "FreeField"}}): "it lacks "
    "'cutoff'",
    layers({"layer": "eval"}): "unknown layer 'eval'",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40])
def test_bad_architectures_get_their_sentence(text, tmp_path):
    with pytest.raises(KernelTextError, match=BAD[text]):
        parse_kernel(f"nngp:{text}")
    path = tmp_path / "net.json"
    path.write_text(text)
    with pytest.raises(nn.ArchitectureError, match=BAD[text]):
        read_architecture(path)


def test_nesting_has_an_end():
    text = '{"layer":"Serial","layers":[' * 5000 + "]}" * 5000
    with pytest.raises(KernelTextError, match="no architecture: "):
        parse_kernel('nngp:{"layers":[' + text + "]}")


def test_stored_text_does_not_send_its_reader_to_files(tmp_path):
    path = tmp_path / "net.json"
    write_architecture(nn.serial(dense(1)), path)
    with pytest.raises(KernelTextError, match=r"the file .* is not read from here\.$"):
        parse_kernel(f"nngp:{path}")
    parse_kernel(f"nngp:{path}", files=True)
    with pytest.raises(KernelTextError, match=r"'\S*none.json' cannot be read \(No such file"):
        parse_kernel(f"nngp:{tmp_path / 'none.json'}", files=True)


def test_model_folders_are_self_contained(tmp_path):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(60, 32)), random.normal(size=60)
    kernel = nn.nngp(NETWORKS["conv_flatten"][0](8), IMAGES)
    model = ReducedGPRegressor(kernel, rank=20, optimizer=None, random_state=0).fit(X, y)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


def test_the_command_line_takes_an_architecture_file(tmp_path):
    path = tmp_path / "net.json"
    network = nn.serial(dense(8), nn.Gelu(), dense(1))
    write_architecture(network, path)
    arguments = ["fit", "iris", "--kernel", f"nngp:{path}", "--out", str(tmp_path / "model")]
    done = CliRunner().invoke(app, [*arguments, "--rank", "10", "--learn", "none", "--quiet"])
    assert done.exit_code == 0, done.output
    path.unlink()  # the model carries it
    assert CliRunner().invoke(app, ["info", str(tmp_path / "model")]).exit_code == 0
