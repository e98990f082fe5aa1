"""Simulators, their parameters and derivatives, and the generators of the bundled tasks."""

import re

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wilsonian import greybox as gb
from wilsonian.greybox import tasks
from wilsonian.greybox.assembly import Assembly
from wilsonian.greybox.parameters import Parameters


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


PARAMETERS = {"bounded": gb.Bounded(-1.0, 3.0), "positive": gb.Positive(2.0, 0.5)}
PARAMETERS["normal"] = gb.Normal(1.0, 2.0)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_and_its_bijection(name):
    parameter = PARAMETERS[name]
    zeta = jnp.linspace(-4, 4, 9)
    z = parameter.physical(zeta)
    np.testing.assert_allclose(parameter.unbounded(z), zeta, atol=1e-9)
    # Density of zeta by the change of variables, and normalized.
    grid = jnp.linspace(-40, 40, 40001) if name == "bounded" else jnp.linspace(-9, 9, 40001)
    density = np.exp(parameter.log_prior(grid))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-6)
    moments = [np.trapezoid(density * parameter.physical(grid) ** k, grid) for k in (1, 2)]
    assert (moments[1] - moments[0] ** 2) ** 0.5 == pytest.approx(parameter.spread, rel=1e-4)
    median = parameter.at_quantile(0.5)
    below = np.trapezoid(np.where(parameter.physical(grid) <= median, density, 0.0), grid)
    assert below == pytest.approx(0.5, abs=1e-3)
    # Unlike a clamp, it moves everywhere.
    assert np.all(jax.vmap(jax.grad(parameter.physical))(zeta) > 0)


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (1.0, 1.0), (0.0, np.inf), "wide", (1, 2, 3)])
def test_impossible_bounds_are_one_sentence(bounds):
    with pytest.raises(ValueError, match="omega"):
        Parameters({"omega": bounds})


def test_generators_are_those_of_the_papers():
    train = tasks.draw_pendulum(1234, 1000, 1)
    np.testing.assert_allclose(
        train.signals[0, :3], [1.48461129, 1.72911526, 1.98595317], atol=1e-7
    )
    drawn = [train.drawn[name][0] for name in ("theta", "omega", "gamma", "A", "f")]
    expected = [1.49683727, 2.80351937, 0.62409126, 32.29857607, 4.99737289]
    np.testing.assert_allclose(drawn, expected, atol=1e-7)
    test = tasks.draw_pendulum(1236, 1000, 1).signals[0, :3]
    np.testing.assert_allclose(test, [0.39451253, 0.53942915, 0.81708767], atol=1e-7)
    flow = tasks.draw_advection_diffusion(1234, 1000, 1)
    found = flow.signals[0, 10, [0, 1, 49]]
    np.testing.assert_allclose(found, [1.47163883, 1.46392456, 1.1517631], atol=1e-7)
    drawn = [flow.drawn[name][0] for name in ("a", "D", "c")]
    np.testing.assert_allclose(drawn, [1.47669977, 0.08714087, 0.08021027], atol=1e-7)


def test_the_galaxy_stand_in():
    drawn = tasks.draw_galaxy(1234, 500, 1).drawn
    values = [drawn[name][0] for name in ("I0", "A", "e", "angle")]
    np.testing.assert_allclose(values, [0.98834988, 0.2970578, 0.71427245, 2.12241749], atol=1e-8)
    image = tasks.galaxy_image(*values, library=np)
    found = [image[34, 34], image[10, 50], image.mean()]
    np.testing.assert_allclose(found, [0.98834988, 0.05564386, 0.03660296], atol=1e-8)
    # The physics knows the orientation by twice its angle only.
    z = dict(zip(("I0", "A", "e"), values, strict=False))
    z |= {"cos": np.cos(2 * values[3]), "sin": np.sin(2 * values[3])}
    np.testing.assert_allclose(tasks.galaxy_physics().simulate(z), image.ravel(), atol=1e-12)


def test_the_pendulum_without_a_residual_is_the_physics():
    data = tasks.draw_pendulum(5, 3, friction=False, force=False)
    physics = tasks.pendulum_physics()
    for i in range(3):
        path = physics.simulate({"omega": data.drawn["omega"][i]}, (data.drawn["theta"][i], 0.0))
        assert np.std(path - data.signals[i]) == pytest.approx(0.01, rel=0.5)


def assembled(solver="rk4", steps=1):
    base = tasks.pendulum_physics()
    physics = gb.ODE(
        base.field, {"omega": (0.392, 3.53)}, base.start, base.times, solver=solver, steps=steps,
        rtol=1e-9, atol=1e-11,
    )  # fmt: skip
    residual = [tasks.friction(), gb.Force(3), gb.Modes(np.ones((50, 1)))]
    return Assembly(physics, residual, np.linspace(1, 0, 50))


SOLVERS = {"rk4": ("rk4", 2), "euler": ("euler", 3), "diffrax": (diffrax.Tsit5(), 1)}


def at_a_point(assembly):
    random = np.random.default_rng(0)
    zeta = jnp.array([0.3])
    w = jnp.asarray(random.normal(size=assembly.layout.count))
    return jnp.linspace(1, 0, 50), zeta, w.at[0].set(1.0)


@pytest.mark.parametrize("name", ["rk4", "euler"])
def test_derivatives_carried_along_are_those_of_the_path(name):
    assembly = assembled(*SOLVERS[name])
    signal, zeta, w = at_a_point(assembly)

    @jax.jit
    def all_of_it(zeta, w):
        predict = lambda z, w: assembly.predict(signal, z, w)  # noqa: E731
        twin = jax.jacfwd(predict, argnums=(0, 1))(zeta, w)
        return assembly.linearize(signal, zeta, w), predict(zeta, w), twin

    (value, by_w, by_zeta), predicted, twin = all_of_it(zeta, w)
    np.testing.assert_allclose(value, predicted, atol=1e-12)
    np.testing.assert_allclose(by_zeta, twin[0], atol=1e-11)
    np.testing.assert_allclose(by_w, twin[1], atol=1e-11)


def test_fixed_steps_agree_with_diffrax():
    """Runge-Kutta of 2 x 49 steps against adaptive steps to 1e-9: truncation (h w)^4 / 100."""
    ours, theirs = (assembled(*SOLVERS[name]) for name in ("rk4", "diffrax"))
    for one, other in zip(
        jax.jit(ours.linearize)(*at_a_point(ours)),
        jax.jit(theirs.linearize)(*at_a_point(theirs)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_unknown_starts_are_what_is_read_off_the_signal():
    assembly = assembled()
    np.testing.assert_array_equal(assembly.free, [0])  # the angle; at rest is known
    assert assembly.layout.terms == ("start", "friction", "force", "modes")
    np.testing.assert_array_equal(np.bincount(assembly.layout.term), [1, 1, 7, 1])
    np.testing.assert_array_equal(assembly.layout.amplified, [False] * 2 + [True] * 8)


@pytest.mark.parametrize("spectrum", ["free", "paired", "tied", "smooth"])
def test_spectra_tie_variances(spectrum):
    physics = tasks.pendulum_physics()
    layout = Assembly(physics, [gb.Force(3, spectrum=spectrum)], np.ones(50)).layout
    assert layout.groups == 1 + {"free": 7, "paired": 4, "tied": 1, "smooth": 1}[spectrum]
    fall = [1.0, 1 / 2, 1 / 5, 1 / 10] if spectrum == "smooth" else [1.0] * 4
    np.testing.assert_allclose(layout.shape[1:], fall + fall[1:])


def test_a_start_may_depend_on_parameters():
    physics = gb.ODE(
        lambda t, y, z: -y, {"height": (0.0, 2.0)}, lambda x, z: (z["height"],), np.arange(5) * 0.1
    )
    assembly = Assembly(physics, [], np.ones(5))
    value, _, by_zeta = jax.jit(assembly.linearize)(jnp.ones(5), jnp.zeros(1), jnp.zeros(0))
    np.testing.assert_allclose(value, np.exp(-physics.times), atol=1e-6)
    np.testing.assert_allclose(by_zeta[:, 0], 0.5 * np.exp(-physics.times), atol=1e-6)


@pytest.mark.parametrize("boundary", ["zero", "mirror", "periodic"])
def test_the_grid_differentiates(boundary):
    grid = gb.Grid(200, 2 * np.pi / 200, boundary)
    y = jnp.sin(grid.positions)
    inner = slice(1, -1)
    np.testing.assert_allclose(grid.first(y)[inner], np.cos(grid.positions)[inner], atol=2e-4)
    np.testing.assert_allclose(grid.second(y)[inner], -np.sin(grid.positions)[inner], atol=2e-4)


def sector(physics=None, residual=(), **options):
    physics = tasks.oscillator_physics() if physics is None else physics
    return gb.SectorModel(physics, residual, **options).fit(np.eye(3, 40))


def ode(field=lambda t, y, z: (y[1], -y[0]), bounds=None, start=(1.0, 0.0), observe=None):
    return gb.ODE(field, bounds or {"a": (0, 1)}, start, np.arange(40.0), observe)


BAD = {
    "must be numbers": lambda: gb.ODE(None, {"a": (0, 1)}, (1.0,), ["a", "b"]),
    "must map names": lambda: ode(bounds=["a"]),
    # JAX itself takes the nearest entry that exists.
    "`observe` of 'ODE' takes entry 5 of 2": lambda: sector(ode(observe=lambda y: y[5])),
    "takes entry -3 of 2": lambda: sector(ode(observe=lambda y: y[jnp.array([0, -3])])),
    "takes entry 4 of 2": lambda: sector(ode(observe=lambda y: jnp.take(y, 4))),
    "the vector field of 'ODE' takes entry 2 of 2": lambda: sector(
        ode(lambda t, y, z: (y[1], jax.lax.fori_loop(0, 2, lambda i, c: c + y[2], 0.0)))
    ),
    "the start of 'ODE' takes entry 99 of 40": lambda: sector(ode(start=lambda x: (x[99], 0.0))),
    "the feature 'g' takes entry 3 of 2": lambda: sector(
        ode(), [gb.Feature(lambda t, y, z: (0.0, y[3]), "g")]
    ),
    "`observe` of 'ODE' returned shape (1, 2)": lambda: sector(ode(observe=lambda y: y[None])),
    "`observe` of 'ODE' returned str": lambda: sector(ode(observe=lambda y: "angle")),
    "KeyError: 'b'": lambda: sector(ode(lambda t, y, z: (y[1], z["b"]))),
    "without `if`": lambda: sector(ode(lambda t, y, z: (y[1], -y[0] if y[0] > 0 else 0.0))),
    "the feature 'f' fails": lambda: sector(
        ode(), [gb.Feature(lambda t, y, z: (0.0, z["b"]), "f")]
    ),
    "`residual` holds 'force'": lambda: sector(residual=["force"]),
    "`physics` must be": lambda: sector(lambda t, y, z: y),
    "one for each of 1 channels": lambda: sector(noise=[0.1, 0.2]),
    "`max_steps`": lambda: sector(max_steps="3"),
    "the kernel of 'smooth'": lambda: gb.GaussianProcess("rbf"),
    "`frequencies`": lambda: gb.Force("many"),
    "'function' fails": lambda: gb.Function(lambda z: z["b"], {"a": (0, 1)}),
    "'hamiltonian' or None": lambda: gb.HybridVAE("newton"),
    "`epochs`": lambda: gb.HybridVAE(None, epochs=0),
    "`models` holds": lambda: gb.compare(np.ones((3, 40)), ["force"]),
    "times": lambda: gb.ODE(lambda t, y, z: y, {"a": (0, 1)}, (1.0,), [0.0, 0.0, 1.0]),
    "solver": lambda: gb.ODE(lambda t, y, z: y, {"a": (0, 1)}, (1.0,), [0.0, 1.0], solver="magic"),
    "steps": lambda: gb.ODE(lambda t, y, z: y, {"a": (0, 1)}, (1.0,), [0.0, 1.0], steps=0),
    "shape": lambda: gb.Function(lambda z: z["a"], {"a": (0, 1)}),
    "spectrum": lambda: gb.Force(spectrum="wild"),
    "boundary": lambda: gb.Grid(5, 0.1, "wall"),
    "states": lambda: Assembly(
        gb.ODE(lambda t, y, z: y[:1], {"a": (0, 1)}, (1.0, 2.0), [0.0, 1.0]), [], np.ones(2)
    ),
    "into": lambda: Assembly(tasks.pendulum_physics(), [gb.Force(into=5)], np.ones(50)),
    "inside": lambda: Assembly(
        gb.Function(lambda z: z["a"] * jnp.ones(3), {"a": (0, 1)}), [gb.Force()], np.ones(3)
    ),
}


def test_entries_chosen_by_the_state_are_left_alone():
    """A table looked up at the nearest entry is deliberate."""
    table = jnp.arange(3.0)
    for chosen in (
        lambda y: jnp.take(y, 5, mode="clip"),
        lambda y: jnp.interp(y[0], table, table),
        lambda y: table[y[0].astype(int)],
        lambda y: y[-2],
    ):
        physics = ode(observe=chosen)
        assert physics.shape_of(np.ones(40)) == (2, 1)


@pytest.mark.parametrize("name", BAD)
def test_bad_simulators_are_one_sentence(name):
    with pytest.raises(ValueError, match=re.escape(name)) as caught:
        BAD[name]()
    assert str(caught.value).count("\n") == 0
