"""Bundled tasks, drawn anew from a seed: signals, true parameters, the physics that is kept, and
the residual that is left out (docs/science/grey-box.md, section 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.integrate

from wilsonian.greybox.residuals import Feature, Force, Residual
from wilsonian.greybox.simulators import ODE, Function, Grid, Simulator, method_of_lines


@dataclasses.dataclass(frozen=True)
class Draws:
    """Signals with the truth behind them."""

    times: np.ndarray
    signals: np.ndarray  # (samples, times) or (samples, channels, times)
    drawn: dict[str, np.ndarray]  # every random number of the generator, by name


@dataclasses.dataclass(frozen=True)
class Task:
    """A generator and what a model of it knows."""

    name: str
    generate: Callable[..., Draws]  # (seed, samples, keep=first so many only)
    physics: Callable[[], Simulator]
    residual: Callable[[], list[Residual]]
    seeds: tuple[int, int, int]  # training, validation, test
    noise: float


def _solve(field, start, times):
    solution = scipy.integrate.solve_ivp(
        field, (0, times[-1]), start, dense_output=True, method="DOP853"
    )
    return solution.sol(times)


def _noisy(random, times, signals, drawn, noise: float, keep: int | None) -> Draws:
    """With noise, drawn for all; of the first `keep` only those were solved."""
    noisy = signals + random.normal(0, noise, signals.shape)
    return Draws(times, noisy[:keep], {name: values[:keep] for name, values in drawn.items()})


def _times(count: int, step: float) -> np.ndarray:
    return np.linspace(0, step * (count - 1), count)


def draw_pendulum(
    seed: int, samples: int, keep: int | None = None, *, friction: bool = True, force: bool = True
) -> Draws:
    r""":math:`\ddot\theta = A \omega^2 \cos 2 \pi f t - \gamma \dot\theta - \omega^2 \sin\theta` at
    rest at first; noise 0.01. Without `friction` or `force` those draws are made and not used."""
    random, times = np.random.default_rng(seed), _times(50, 0.05)
    ranges = {
        "theta": (-1.57, 1.57),
        "omega": (0.785, 3.14),
        "gamma": (0.0, 0.8),
        "A": (0.0, 40.0),
        "f": (3.14, 6.28),
    }
    drawn = {name: random.uniform(*ends, samples) for name, ends in ranges.items()}
    drawn["gamma"] = drawn["gamma"] * friction
    drawn["A"] = drawn["A"] * force
    signals = np.zeros((samples, 50))
    for i in range(len(signals[:keep])):
        o, g, a, f = (drawn[name][i] for name in ("omega", "gamma", "A", "f"))

        def field(t, s, o=o, g=g, a=a, f=f):
            push = a * o**2 * np.cos(2 * np.pi * f * t)
            return [s[1], push - g * s[1] - o**2 * np.sin(s[0])]

        signals[i] = _solve(field, [drawn["theta"][i], 0.0], times)[0]
    return _noisy(random, times, signals, drawn, 0.01, keep)


def pendulum_physics() -> ODE:
    r""":math:`\ddot\theta = -\omega^2 \sin\theta`, at rest at first."""
    return ODE(
        lambda t, y, z: (y[1], -(z["omega"] ** 2) * jnp.sin(y[0])),
        {"omega": (0.392, 3.53)},
        lambda x: (x[0], 0.0),
        _times(50, 0.05),
        name="pendulum",
    )


def draw_advection_diffusion(seed: int, samples: int, keep: int | None = None) -> Draws:
    r""":math:`y_t = D y_{ss} + c\,y_s` on 20 points, zeros outside; noise 0.001. The profile moves
    towards s = 0: the published generator flips its stencil, and this follows it."""
    random, times, grid = np.random.default_rng(seed), _times(50, 0.02), Grid(20, 0.1)
    ranges = {"a": (0.5, 1.5), "D": (0.01, 0.1), "c": (0.01, 0.1)}
    drawn = {name: random.uniform(*ends, samples) for name, ends in ranges.items()}
    base = np.sin(grid.positions / grid.positions[-1] * np.pi)
    signals = np.zeros((samples, 20, 50))
    for i in range(len(signals[:keep])):
        diffusion, speed = drawn["D"][i], drawn["c"][i]

        def field(t, y, diffusion=diffusion, speed=speed):
            padded = np.pad(y, 1)
            second = (padded[2:] - 2 * y + padded[:-2]) / 0.1**2
            return diffusion * second + speed * (padded[2:] - padded[:-2]) / 0.2

        signals[i] = _solve(field, base * drawn["a"][i], times)
    return _noisy(random, times, signals, drawn, 0.001, keep)


def advection_diffusion_physics() -> ODE:
    r""":math:`y_t = D y_{ss}`."""
    return method_of_lines(
        lambda t, y, z, grid: z["D"] * grid.second(y),
        Grid(20, 0.1),
        {"D": (0.005, 0.2)},
        _times(50, 0.02),
        name="advection-diffusion",
    )


def transport() -> Feature:
    r"""The term :math:`\partial_s y`."""
    grid = Grid(20, 0.1)
    return Feature(lambda t, y, z: grid.first(y), "transport")


def draw_oscillator(seed: int, samples: int, keep: int | None = None) -> Draws:
    r""":math:`\ddot x = -\omega^2 x - \beta \dot x` from rest; noise 0.02."""
    random, times = np.random.default_rng(seed), _times(40, 0.1)
    ranges = {"omega": (1.0, 3.0), "x0": (0.5, 1.5), "beta": (0.0, 0.5)}
    drawn = {name: random.uniform(*ends, samples) for name, ends in ranges.items()}
    signals = np.zeros((samples, 40))
    for i in range(len(signals[:keep])):
        o, b = drawn["omega"][i], drawn["beta"][i]
        field = lambda t, y, o=o, b=b: [y[1], -(o**2) * y[0] - b * y[1]]  # noqa: E731
        signals[i] = _solve(field, [drawn["x0"][i], 0.0], times)[0]
    return _noisy(random, times, signals, drawn, 0.02, keep)


def draw_lotka_volterra(seed: int, samples: int, keep: int | None = None) -> Draws:
    r""":math:`\dot x = a x - x y - \kappa x^2`, :math:`\dot y = -c y + x y` from (1, 0.5), both
    observed; noise 0.03."""
    random, times = np.random.default_rng(seed), _times(50, 0.15)
    ranges = {"a": (0.8, 1.2), "c": (0.8, 1.2), "kappa": (0.0, 0.2)}
    drawn = {name: random.uniform(*ends, samples) for name, ends in ranges.items()}
    signals = np.zeros((samples, 2, 50))
    for i in range(len(signals[:keep])):
        a, c, k = drawn["a"][i], drawn["c"][i], drawn["kappa"][i]

        def field(t, y, a=a, c=c, k=k):
            return [a * y[0] - y[0] * y[1] - k * y[0] ** 2, -c * y[1] + y[0] * y[1]]

        signals[i] = _solve(field, [1.0, 0.5], times)
    return _noisy(random, times, signals, drawn, 0.03, keep)


def draw_sir(seed: int, samples: int, keep: int | None = None) -> Draws:
    r""":math:`\dot S = -\beta S I + \kappa S I^2`, :math:`\dot I = -\dot S - \gamma I` from
    (0.99, 0.01), I observed; noise 0.005."""
    random, times = np.random.default_rng(seed), _times(40, 0.5)
    ranges = {"beta": (0.8, 1.6), "gamma": (0.2, 0.4), "kappa": (0.0, 1.5)}
    drawn = {name: random.uniform(*ends, samples) for name, ends in ranges.items()}
    signals = np.zeros((samples, 40))
    for i in range(len(signals[:keep])):
        b, g, k = drawn["beta"][i], drawn["gamma"][i], drawn["kappa"][i]

        def field(t, y, b=b, g=g, k=k):
            new = b * y[0] * y[1] - k * y[0] * y[1] ** 2
            return [-new, new - g * y[1]]

        signals[i] = _solve(field, [0.99, 0.01], times)[1]
    return _noisy(random, times, signals, drawn, 0.005, keep)


def draw_galaxy(seed: int, samples: int, keep: int | None = None) -> Draws:
    r"""Exponential discs, :math:`I_0 \exp(-\sqrt{(X'/A)^2 + (Y'/B)^2})`, 69 x 69 pixels as rows of
    4,761; noise 0.02. A stand-in for images of galaxies."""
    random = np.random.default_rng(seed)
    ranges = {"I0": (0.5, 1.0), "A": (0.1, 1.0), "e": (0.2, 0.8), "angle": (0.0, 3.142)}
    drawn = {name: random.uniform(*ends, samples) for name, ends in ranges.items()}
    images = np.zeros((samples, 69 * 69))
    for i in range(len(images[:keep])):
        intensity, major, ellipticity, angle = (drawn[name][i] for name in ranges)
        image = galaxy_image(intensity, major, ellipticity, angle, library=np)
        images[i] = np.asarray(image).ravel()
    return _noisy(random, np.arange(69.0 * 69), images, drawn, 0.02, keep)


def galaxy_image(intensity, major, ellipticity, angle, library: Any = jnp):
    """The noise-free disc, row 0 at the top."""
    x, y = np.meshgrid(np.linspace(-1, 1, 69), np.linspace(1, -1, 69))
    cos, sin = library.cos(angle), library.sin(angle)
    across, along = x * cos - y * sin, x * sin + y * cos
    minor = major * (1 - ellipticity)
    return intensity * library.exp(-library.sqrt((across / major) ** 2 + (along / minor) ** 2))


def oscillator_physics() -> ODE:
    r""":math:`\ddot x = -\omega^2 x` from rest."""
    return ODE(
        lambda t, y, z: (y[1], -(z["omega"] ** 2) * y[0]),
        {"omega": (0.8, 3.2)},
        lambda x: (x[0], 0.0),
        _times(40, 0.1),
        name="oscillator",
    )


def lotka_volterra_physics() -> ODE:
    r""":math:`\dot x = a x - x y`, :math:`\dot y = -c y + x y` from (1, 0.5)."""
    return ODE(
        lambda t, y, z: (z["a"] * y[0] - y[0] * y[1], -z["c"] * y[1] + y[0] * y[1]),
        {"a": (0.6, 1.4), "c": (0.6, 1.4)},
        (1.0, 0.5),
        _times(50, 0.15),
        observe=lambda y: y,
        name="Lotka-Volterra",
    )


def sir_physics() -> ODE:
    r""":math:`\dot S = -\beta S I`, :math:`\dot I = \beta S I - \gamma I` from (0.99, 0.01)."""
    return ODE(
        lambda t, y, z: (-z["beta"] * y[0] * y[1], (z["beta"] * y[0] - z["gamma"]) * y[1]),
        {"beta": (0.6, 1.8), "gamma": (0.1, 0.5)},
        (0.99, 0.01),
        _times(40, 0.5),
        observe=lambda y: y[1],
        name="SIR",
    )


def galaxy_physics() -> Function:
    """The disc, its orientation as (cos, sin) of twice the angle, so that nothing jumps at pi."""

    def simulate(z):
        angle = jnp.arctan2(z["sin"], z["cos"]) / 2
        return galaxy_image(z["I0"], z["A"], z["e"], angle).reshape(-1)

    bounds = {"I0": (0.3, 1.2), "A": (0.05, 1.2), "e": (0.0, 0.95)}
    return Function(simulate, {**bounds, "cos": (-1.5, 1.5), "sin": (-1.5, 1.5)}, name="galaxy")


def friction() -> Feature:
    r"""The term :math:`-\dot\theta` of a state (position, velocity)."""
    return Feature(lambda t, y, z: (0.0, -y[1]), "friction")


def crowding() -> Feature:
    r"""The term :math:`-x^2` of the first species."""
    return Feature(lambda t, y, z: (-(y[0] ** 2), 0.0), "crowding")


def distancing() -> Feature:
    r"""The term :math:`S I^2`: fewer meetings the more are ill."""

    def term(t, y, z):
        fewer = y[0] * y[1] ** 2
        return (fewer, -fewer)

    return Feature(term, "distancing")


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "pendulum",
            draw_pendulum,
            pendulum_physics,
            lambda: [friction(), Force()],
            (1234, 1235, 1236),
            0.01,
        ),
        Task(
            "advection-diffusion",
            draw_advection_diffusion,
            advection_diffusion_physics,
            lambda: [transport()],
            (1234, 1235, 1236),
            0.001,
        ),
        Task(
            "oscillator",
            draw_oscillator,
            oscillator_physics,
            lambda: [friction()],
            (301, 303, 302),
            0.02,
        ),
        Task(
            "lotka-volterra",
            draw_lotka_volterra,
            lotka_volterra_physics,
            lambda: [crowding()],
            (401, 403, 402),
            0.03,
        ),
        Task("sir", draw_sir, sir_physics, lambda: [distancing()], (501, 503, 502), 0.005),
    )
}
