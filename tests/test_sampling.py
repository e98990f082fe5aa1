"""Masks and reservoirs: deterministic per block, uniform, and of the size that was asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wilsonian.support.batches import batches
from wilsonian.support.sampling import Reservoir, held_out


@given(st.integers(0, 2**40), st.integers(0, 10**6), st.integers(0, 300), st.floats(0, 0.99))
def test_a_mask_depends_on_its_arguments_only_and_has_its_size(seed, block, rows, fraction):
    mask = held_out(seed, block, rows, fraction)
    np.testing.assert_array_equal(mask, held_out(seed, block, rows, fraction))
    assert mask.shape == (rows,)
    assert abs(mask.sum() - fraction * rows) <= 1


def test_every_row_is_held_out_equally_often():
    counts = sum(held_out(0, block, 7, 0.2).astype(int) for block in range(4000))
    # Binomial standard deviation is 25; five of them.
    assert np.all(np.abs(counts - 800) < 127)


def test_blocks_and_seeds_differ():
    first = held_out(0, 0, 200, 0.5)
    assert (first != held_out(0, 1, 200, 0.5)).any()
    assert (first != held_out(1, 0, 200, 0.5)).any()


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_an_impossible_fraction_gets_its_sentence(fraction):
    with pytest.raises(ValueError, match=r"`test_fraction` must be at least 0 and below 1"):
        held_out(0, 0, 10, fraction)


def drawn(size, sizes, order=None, seed=0):
    """The rows of a stream of 0, 1, 2, ... in blocks of `sizes` that a reservoir keeps."""
    ends = np.cumsum([0, *sizes])
    reservoir = Reservoir(size, seed)
    for block in order or range(len(sizes)):
        rows = np.arange(ends[block], ends[block + 1], dtype=float)
        reservoir.update(rows[:, None], rows, block)
    X, y = reservoir.sample()
    np.testing.assert_array_equal(X[:, 0], y)
    return y


@given(st.integers(1, 40), st.lists(st.integers(0, 30), min_size=1, max_size=8), st.randoms())
def test_a_sample_has_distinct_rows_in_order_whatever_the_order_of_blocks(size, sizes, shuffler):
    sample = drawn(size, sizes)
    assert len(sample) == min(size, sum(sizes))
    assert np.all(np.diff(sample) > 0)
    order = list(range(len(sizes)))
    shuffler.shuffle(order)
    np.testing.assert_array_equal(sample, drawn(size, sizes, order))


def test_every_row_of_the_stream_is_kept_equally_often():
    counts = np.zeros(60)
    for seed in range(2000):
        counts[drawn(12, [10, 25, 5, 20], seed=seed).astype(int)] += 1
    # Binomial standard deviation is 18; five of them.
    assert np.all(np.abs(counts - 400) < 90)


def test_bad_use_of_a_reservoir_gets_its_sentence():
    with pytest.raises(ValueError, match=r"`size` must be positive"):
        Reservoir(0, 0)
    with pytest.raises(ValueError, match=r"has seen no rows"):
        Reservoir(1, 0).sample()


@pytest.mark.parametrize("size", [1, 4, 7, 30, 100])
def test_batches_hold_every_row_once_in_its_order(size):
    parts = [
        (np.arange(start, stop), np.arange(start, stop)[:, None] ** 2)
        for start, stop in [(0, 3), (3, 3), (3, 20), (20, 21), (21, 30)]
    ]
    found = list(batches(parts, size))
    assert [len(rows) for rows, _ in found[:-1]] == [size] * (len(found) - 1)
    assert 0 < len(found[-1][0]) <= size
    rows, squares = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    np.testing.assert_array_equal(rows, np.arange(30))
    np.testing.assert_array_equal(squares[:, 0], rows**2)


def test_there_are_no_batches_without_rows():
    assert list(batches([], 4)) == []
    assert list(batches([(np.empty((0, 2)),)], 4)) == []
