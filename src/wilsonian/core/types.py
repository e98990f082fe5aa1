"""What a number may be: a float or a scalar array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, Float

if TYPE_CHECKING:
    pass

Scalar = float | Float[Array, ""]


def is_number(value: Any) -> bool:
    """Whether `value` is a real number or an array that holds just one, without dimensions."""
    numbers = int | float | np.integer | np.floating | np.ndarray | jax.Array
    return isinstance(value, numbers) and np.ndim(value) == 0
