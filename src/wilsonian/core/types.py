"""What numbers may be: arrays of NumPy or JAX, and a scalar one of those or Python's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, Num

if TYPE_CHECKING:  # what functions return; a union with NumPy's arrays has hardly any operators
    Numbers = Array
    Scalar = float | Array
else:  # what they take, checked in the tests
    Numbers = np.ndarray | Array
    Scalar = float | int | Num[Numbers, ""]


def is_number(value: Any) -> bool:
    """Whether `value` is a real number or an array that holds just one, without dimensions."""
    numbers = int | float | np.integer | np.floating | np.ndarray | jax.Array
    return isinstance(value, numbers) and np.ndim(value) == 0
