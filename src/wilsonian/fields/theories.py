r"""Lattice theories: what their action is, and nothing about how they are sampled.

.. math:: S[\phi] = \sum_x \Big[-2\kappa \sum_\mu \phi_x \phi_{x+\mu} + V(\phi_x)\Big],
          \qquad V(\phi) = \sum_{k \ge 1} c_k \phi^{2k}

Actions take fields of shape (..., *lattice) and are JAX functions; periodic boundaries; on a
side of two sites each bond counts double (docs/science/exact-rg.md, "Theories").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.fields.actions import AbstractFieldTheory, AbstractSiteTheory
from wilsonian.fields.ensembles import Ensemble
from wilsonian.fields.hmc import HmcSettings, Progress, sample_hmc
from wilsonian.fields.lattice import check_shape, momenta_squared
from wilsonian.fields.transfer_matrix import ExactMoments, exact_moments


class SampledTheory(AbstractFieldTheory):
    """A theory that runs its own hybrid Monte Carlo."""

    def hmc(
        self, count: int, key: jax.Array, *, progress: Progress | None = None, **settings: Any
    ) -> Ensemble:
        """At least `count` fields by hybrid Monte Carlo; `settings` are those of
        :class:`wilsonian.fields.hmc.HmcSettings`."""
        return sample_hmc(self, count, key, HmcSettings(**settings), progress)


class SampledSiteTheory(SampledTheory, AbstractSiteTheory):
    """A nearest-neighbour theory, which small lattices have exact numbers of, too."""

    def exact(self, nodes: int | None = None) -> ExactMoments:
        """Exact numbers by transfer matrix, on chains and squares of side 2 to 4."""
        return exact_moments(self, nodes)


def _check_stable(theory: AbstractSiteTheory) -> None:
    if not np.isfinite([theory.kappa, *theory.coefficients]).all():
        raise ValueError(f"the couplings of {theory} must be finite numbers.")
    if not theory.kappa > 0:
        raise ValueError(f"`kappa` is {theory.kappa}; this library takes a positive hopping.")
    leading = [c for c in theory.coefficients if c != 0]
    if not leading or leading[-1] < 0:
        raise ValueError(
            f"the highest power of the potential has the coefficient "
            f"{leading[-1] if leading else 0:g}, so the action is unbounded below and no law "
            "exists; make it positive."
        )
    if len(np.trim_zeros(theory.coefficients, "b")) == 1:
        limit = theory.coefficients[0] / (2 * len(theory.shape))
        if theory.kappa >= limit:
            raise ValueError(
                f"kappa = {theory.kappa:g} makes the action unstable: without a higher power it "
                f"must stay below {limit:g}; lower it, or add a positive coupling."
            )


@dataclasses.dataclass(frozen=True)
class Phi4(SampledSiteTheory):
    r""":math:`V = (1-2\lambda)\phi^2 + \lambda\phi^4`; the constant :math:`\lambda` is left out.

    Raises ValueError when the action is unstable.
    """

    shape: tuple[int, ...]
    kappa: float
    lam: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape(self.shape))
        if self.lam < 0:
            raise ValueError(
                f"`lam` is {self.lam:g}: the action is unbounded below; make it positive."
            )
        _check_stable(self)

    @property
    def coefficients(self) -> tuple[float, ...]:
        return (1 - 2 * self.lam, self.lam)

    @classmethod
    def from_mass_and_coupling(
        cls, shape: Sequence[int], mass_squared: float, coupling: float, convention: str = "flow"
    ) -> Phi4:
        r"""The same theory from a mass and a coupling in two other conventions.

        "flow": :math:`\sum[m^2\varphi^2 + g\varphi^4 + \sum_\mu(\varphi_{x+\mu}-\varphi_x)^2]`,
        with :math:`\varphi = \phi\sqrt\kappa`, :math:`1-2\lambda = (m^2+2d)\kappa`,
        :math:`\lambda = g\kappa^2`. "continuum":
        :math:`\sum[\frac12(\partial\varphi)^2 + \frac12 m^2\varphi^2 + \frac g4\varphi^4]`, with
        :math:`\varphi = \sqrt{2\kappa}\phi`, :math:`1-2\lambda = \kappa(2d+m^2)`,
        :math:`\lambda = g\kappa^2`. ValueError when no positive kappa solves it.
        """
        sides = check_shape(shape)
        if convention not in ("flow", "continuum"):
            raise ValueError(f"convention {convention!r} is not known; use 'flow' or 'continuum'.")
        linear = mass_squared + 2 * len(sides)
        if not coupling > 0:
            raise ValueError(f"`coupling` is {coupling:g}; phi^4 needs a positive one.")
        # 2 g kappa^2 + linear kappa - 1 = 0, its positive root without cancellation
        root = np.sqrt(linear**2 + 8 * coupling)
        kappa = 2 / (linear + root) if linear >= 0 else (root - linear) / (4 * coupling)
        return cls(sides, float(kappa), float(coupling * kappa**2))

    def mass_and_coupling(self) -> tuple[float, float]:
        """(mass squared, coupling) that `from_mass_and_coupling` takes."""
        mass = (1 - 2 * self.lam) / self.kappa - 2 * len(self.shape)
        return mass, self.lam / self.kappa**2

    def parameters(self) -> dict[str, Any]:
        return {"theory": "phi4", "shape": list(self.shape), "kappa": self.kappa, "lam": self.lam}


@dataclasses.dataclass(frozen=True)
class EvenPolynomial(SampledSiteTheory):
    """Nearest neighbours and any even polynomial, `coefficients` of phi^2, phi^4, ..."""

    shape: tuple[int, ...]
    kappa: float
    coefficients: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape(self.shape))
        object.__setattr__(self, "coefficients", tuple(float(c) for c in self.coefficients))
        _check_stable(self)

    def parameters(self) -> dict[str, Any]:
        return {
            "theory": "even",
            "shape": list(self.shape),
            "kappa": self.kappa,
            "coefficients": list(self.coefficients),
        }


@dataclasses.dataclass(frozen=True)
class FreeField(SampledSiteTheory):
    r""":math:`S = \frac12\sum_p(\hat p^2+m^2)|\phi(p)|^2`, so :math:`C = 1/(\hat p^2+m^2)`."""

    shape: tuple[int, ...]
    mass_squared: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape(self.shape))
        if not (np.isfinite(self.mass_squared) and self.mass_squared > 0):
            raise ValueError(
                f"`mass_squared` is {self.mass_squared}; a free field on a periodic lattice needs "
                "a positive one."
            )

    @property
    def kappa(self) -> float:  # type: ignore[override]
        return 0.5

    @property
    def coefficients(self) -> tuple[float, ...]:
        return (len(self.shape) + self.mass_squared / 2,)

    def spectrum(self) -> np.ndarray:
        """Exact spectrum, the shape of the lattice."""
        return 1 / (momenta_squared(self.shape) + self.mass_squared)

    def log_partition_function(self) -> float:
        r"""Exact :math:`\log Z = \frac12\sum_p\log 2\pi C(p)`."""
        return float(0.5 * np.log(2 * np.pi * self.spectrum()).sum())

    def parameters(self) -> dict[str, Any]:
        return {"theory": "free", "shape": list(self.shape), "mass_squared": self.mass_squared}


@dataclasses.dataclass(frozen=True, eq=False)
class UserTheory(SampledTheory):
    """Any action of one field, a JAX function of an array of the lattice's shape to a number.

    It serves HMC, channels and the diffusion sampler; `stiffness` is the factor of
    :math:`\\frac12\\hat p^2` in it, which tunes HMC only.
    """

    shape: tuple[int, ...]
    function: Callable[[Array], Array]
    stiffness: float = 1.0
    name: str = "user"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape(self.shape))
        answer = jax.eval_shape(self.function, jax.ShapeDtypeStruct(self.shape, jnp.float32))
        if getattr(answer, "shape", None) != ():
            raise ValueError(
                f"`function` gives {answer} for a field of shape {self.shape}; it must give one "
                "number, the action."
            )

    def action(self, fields: Float[Array, "..."]) -> Array:
        batch = fields.shape[: fields.ndim - len(self.shape)]
        flat = fields.reshape(-1, *self.shape)
        return jax.vmap(self.function)(flat).reshape(batch)

    def kinetic_stiffness(self) -> float:
        return self.stiffness

    def parameters(self) -> dict[str, Any]:
        return {"theory": self.name, "shape": list(self.shape)}


def theory_from_parameters(parameters: dict[str, Any]) -> AbstractSiteTheory:
    """The theory that `parameters` describes; ValueError for one that needs code of its user."""
    kinds: dict[str, Callable[..., AbstractSiteTheory]] = {
        "phi4": Phi4,
        "even": EvenPolynomial,
        "free": FreeField,
    }
    numbers = {key: value for key, value in parameters.items() if key != "theory"}
    name = parameters.get("theory")
    if name not in kinds:
        raise ValueError(
            f"the theory {name!r} cannot be made from its numbers; known are "
            f"{', '.join(sorted(kinds))}, and an action of your own has to be passed."
        )
    try:
        return kinds[name](
            **{k: tuple(v) if isinstance(v, list) else v for k, v in numbers.items()}
        )
    except TypeError as error:
        raise ValueError(f"the parameters of the theory {name!r} do not fit: {error}.") from error
