"""The comparison that other tests rely on is shown to fail."""

import jax.numpy as jnp
import numpy as np
import pytest
import quick_compilation
from helpers import assert_close, load_benchmark


def test_assert_close_sees_values_and_structure():
    assert_close({"a": np.ones(3), "b": [1.0, 2.0]}, {"a": np.ones(3), "b": [1.0, 2.0]})
    assert_close([1.0, 2.0], jnp.array([1.0, 2.0]))
    different = [
        ({"a": np.ones(3)}, {"a": (1 + 1e-9) * np.ones(3)}),
        ((np.ones(3),), ()),
        ((1.0, 2.0), (2.0, 1.0)),
        (np.ones(3), np.ones(4)),
        (1.0, np.nan),
        (1e-11, 0.0),
    ]
    for left, right in different:
        with pytest.raises(AssertionError):
            assert_close(left, right)


def test_a_stated_tolerance_is_used():
    assert_close(1.0, 1.0 + 1e-6, rtol=1e-5)
    with pytest.raises(AssertionError):
        assert_close(1.0, 1.0 + 1e-11, rtol=1e-12, atol=1e-14)


def test_benchmarks_are_loaded_once():
    assert load_benchmark("science_tables") is load_benchmark("science_tables")


def test_flags_that_jaxlib_does_not_know_are_left_out():
    level = quick_compilation.LEVEL
    assert quick_compilation.known([level, "--xla_no_flag_of_this_name=1"]) == [level]
