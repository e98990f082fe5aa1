"""The words of kernels as text: names, options, what an option may be, and a limit of size."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wilsonian.kernels.formulas import (
    RBF,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Polynomial,
    RationalQuadratic,
)
from wilsonian.kernels.kernel import Constant, Kernel
from wilsonian.kernels.periodic import Cosine, Periodic, locally_periodic, spectral_mixture
from wilsonian.networks.fully_connected import ArcCosine, ErfNetwork

LONGEST = 1_000_000  # characters; fifty thousand length scales with every digit
MOST_PARTS = 1000  # kernels in one expression, sums and products among them
DEEPEST = 50  # levels of nesting; Python and JAX recurse a few calls per level

KERNELS: dict[str, type[Kernel]] = {
    "rbf": RBF,
    "matern12": Matern12,
    "matern32": Matern32,
    "matern52": Matern52,
    "rational_quadratic": RationalQuadratic,
    "linear": Linear,
    "polynomial": Polynomial,
    "constant": Constant,
    "periodic": Periodic,
    "cosine": Cosine,
}
# Names of sums and products of these; a kernel that was made by one is written as what it is.
COMPOSED: dict[str, Callable[..., Kernel]] = {
    "locally_periodic": locally_periodic,
    "spectral_mixture": spectral_mixture,
}
NETWORKS: dict[str, type[Kernel]] = {"relu": ArcCosine, "erf": ErfNetwork}  # by activation
NETWORK_KINDS = ("nngp", "ntk")
NAMES = (*KERNELS, *COMPOSED, *NETWORK_KINDS, "rescaled")
NAME_OF = {kernel: name for names in (KERNELS, NETWORKS) for name, kernel in names.items()}

# What an option must be, and whether a value is that.
Rule = tuple[str, Callable[[Any], Any]]
POSITIVE: Rule = "positive and finite", lambda v: np.ndim(v) == 0 and 0 < v < math.inf
_NOT_NEGATIVE: Rule = "finite and not negative", lambda v: np.ndim(v) == 0 and 0 <= v < math.inf
COUNT: Rule = "a whole number from 1 to 1000", lambda v: isinstance(v, int) and 1 <= v <= 1000
_SCALES: Rule = (
    "a positive finite number, or a list of them such as [0.5,2]",
    lambda v: np.ndim(v) < 2 and np.size(v) > 0 and np.all((v > 0) & np.isfinite(v)),
)
OPTIONS: dict[str, Rule] = {
    "length_scale": _SCALES,
    "period": _SCALES,
    "decay": _SCALES,
    "alpha": POSITIVE,
    "variance": POSITIVE,
    "weight_variance": POSITIVE,
    "bias_variance": _NOT_NEGATIVE,
    "degree": COUNT,
    "depth": COUNT,
    "components": COUNT,
}

TOO_DEEP = f"the kernel is nested deeper than {DEEPEST} levels; use fewer parentheses or terms."


class KernelTextError(ValueError):
    """Text that is no kernel, or a kernel that is no text, in one sentence."""


def options_of(kernel: Callable[..., Kernel]) -> list[str]:
    """The names of a kernel's options, in the order of its fields."""
    return [name for name in inspect.signature(kernel).parameters if name in OPTIONS]


def check_size(kernel: Any) -> None:
    """Refuse a kernel too large to recurse into, going through it level by level."""
    level, count = [kernel], 0
    for _ in range(DEEPEST):
        count += len(level)
        if count > MOST_PARTS:
            raise KernelTextError(
                f"the kernel has more than {MOST_PARTS:,} parts; add or multiply fewer kernels."
            )
        parts = [part for whole in level for part in getattr(whole, "__dict__", {}).values()]
        level = [part for part in parts if isinstance(part, Kernel)]
    if level:
        raise KernelTextError(TOO_DEEP)


def short_text(value: Any) -> str:
    """What was seen, for the sentence of an error."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
