"""Rows and folds shared among threads: the same numbers, whoever worked on them. And work that is
left to one thread."""

import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from wilsonian.app.runs import baselines
from wilsonian.kernels.formulas import Matern52
from wilsonian.regression.classification.scaled import Labels, Sampled
from wilsonian.regression.learning.evidence import Candidate, loss_and_gradient
from wilsonian.regression.sample import Sample
from wilsonian.support.row_threads import (
    SMALL,
    beside,
    by_parts,
    by_rows,
    one_thread_for,
    shared_rows,
)


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def threads_at_once(count):
    """Which threads worked on so many parts, all at the same time."""
    all_here = threading.Barrier(count, timeout=60)  # passed by as many at once, or not at all
    return set(by_parts(lambda part: (all_here.wait(), threading.get_ident())[1], range(count)))


def test_parts_come_in_their_order_and_hold_every_row_once():
    values = np.arange(1100)
    with threadpool_limits(2, user_api="blas"), shared_rows():
        assert blas_threads() == {1}
        parts = by_rows(lambda rows: values[rows], len(values))
        met = by_rows(lambda rows: threading.get_ident(), len(values))
    np.testing.assert_array_equal(np.concatenate(parts), values)
    assert len(met) == 4
    assert len(set(met)) <= 2
    assert by_rows(lambda rows: threading.get_ident(), 1100)[0] == threading.get_ident()


def test_whoever_asks_works_too_and_does_not_wait_for_a_thread_that_is_busy_beside():
    here, gate = threading.get_ident(), threading.Event()
    with threadpool_limits(2, user_api="blas"), shared_rows():
        waiting = beside(gate.wait)
        assert set(by_parts(lambda part: threading.get_ident(), range(5))) == {here}
        gate.set()
        assert waiting()
        met = threads_at_once(2)
    assert here in met
    assert len(met) == 2


def test_parts_of_a_part_are_not_shared_again():
    def inner(part):
        return by_parts(lambda each: threading.get_ident(), range(3))

    with threadpool_limits(3, user_api="blas"), shared_rows():
        assert all(len(set(threads)) == 1 for threads in by_parts(inner, range(6)))


@pytest.mark.parametrize("failing", range(4))
def test_an_error_in_any_part_is_told_whoever_met_it(failing):
    def work(part):
        return [10, 11, 12, 13][part if part != failing else 99]

    with threadpool_limits(2, user_api="blas"), shared_rows():
        with pytest.raises(IndexError):
            by_parts(work, range(4))
        assert by_parts(lambda part: part, range(4)) == [0, 1, 2, 3]


def test_work_beside_other_work_has_a_thread_of_its_own_where_there_are_some():
    assert beside(threading.get_ident)() == threading.get_ident()
    with threadpool_limits(2, user_api="blas"):
        with one_thread_for(SMALL):
            assert blas_threads() == {1}
            assert beside(threading.get_ident)() != threading.get_ident()
            with pytest.raises(KeyError):
                beside(lambda: {}["nothing"])()
        with one_thread_for(SMALL + 1):
            assert blas_threads() == {2}


def test_the_threads_of_the_blas_come_back_after_an_error():
    with threadpool_limits(3, user_api="blas"):
        with pytest.raises(KeyError), shared_rows():
            by_rows(lambda rows: {}[rows.start], 2000)
        assert blas_threads() == {3}


@pytest.mark.parametrize("dependent", [False, True])
def test_the_evidence_does_not_depend_on_the_number_of_threads(dependent):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(1300, 3)), random.normal(size=(1300, 1))
    candidate, fixed = Candidate.of(Matern52(length_scale=np.ones(3)), [1.0], [0.1], X[:40])
    sample = Sample(X, y, random.integers(1, 3, 1300).astype(float))
    found = []
    for threads in (1, 3):
        with threadpool_limits(threads, user_api="blas"), shared_rows():
            found.append(loss_and_gradient(candidate, fixed, sample, dependent, True))
    (one, slope), (other, again) = found
    assert one == other
    np.testing.assert_array_equal(slope.inducing_points, again.inducing_points)
    np.testing.assert_array_equal(slope.log_kernel.length_scale, again.log_kernel.length_scale)


@pytest.mark.parametrize("classes", [2, 3])
def test_losses_of_rows_left_out_do_not_depend_on_the_number_of_threads(classes):
    random = np.random.default_rng(1)
    features = random.normal(size=(200, 6))
    codes = np.digitize(features[:, 0] + random.logistic(size=200), [-0.5, 0.5][: classes - 1])
    labels = Labels(features, codes, random.integers(1, 4, 200).astype(float), classes)
    found = []
    for threads in (1, 3):
        with threadpool_limits(threads, user_api="blas"), shared_rows():
            found.append(Sampled(features, np.zeros(200), labels).at(1.0))
            assert len(threads_at_once(threads)) == threads
    one, other = found
    np.testing.assert_array_equal(one.losses, other.losses)
    assert (one.spread, one.log_loss) == (other.spread, other.log_loss)


def test_known_methods_are_fitted_and_asked_on_one_thread(monkeypatch):
    met = []

    class Spy:
        def fit(self, X, y):
            met.append(blas_threads())
            return self

        def predict(self, X):
            met.append(blas_threads())
            return np.zeros(len(X))

    monkeypatch.setattr(baselines, "_models", lambda classes, seed: {"spy": Spy()})
    X, y = np.ones((4, 1)), np.ones(4)
    with threadpool_limits(2, user_api="blas"):
        methods = baselines.Baselines(X, y, (), 0)
        methods.add(X, y)
        assert methods.errors()["spy"] == 1.0
        assert blas_threads() == {2}
    assert met == [{1}, {1}]


FAULTS = """
import resource
import numpy as np
from wilsonian.support.row_threads import shared_rows

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

with shared_rows():
    np.ones(2**18)
    before = faults()
    for _ in range(10):
        np.ones(2**18)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the allocator of glibc")
def test_memory_of_an_array_that_is_freed_serves_the_next():
    # A process of its own: any large array that was freed before has the same effect.
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True).stdout
    assert int(found) < 100  # of 512 pages each; 506 in all without
