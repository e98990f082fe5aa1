"""How tests are dealt to the cores, and where they keep what they compiled."""

import contextlib
import gc
import os
from pathlib import Path

import pytest
import quick_compilation

# Most of a test's time is compilation. Workers, the commands that tests start, and later runs share
# one cache; it must be named before JAX is imported, so that children inherit it.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# Workers and commands inherit the flags that are found here.
if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = quick_compilation.flags()
# A worker is to each core what a thread of the BLAS would be; together they would wait for turns.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax

quick_compilation.share_contexts()
# What a worker compiled stays, some million objects: looking them through for garbage as often as
# CPython does by itself took a sixth of the time.
gc.set_threshold(100_000, 50, 100)
# Above this a worker forgets at the end of a file what it compiled. The files of a second worker,
# and a browser, want room too; what is needed again comes from the cache on disk.
MOST_MEMORY = 2_500_000_000  # bytes

# Their tests share nothing that is slow to make, and run long each.
DEALT_ONE_BY_ONE = {"test_examples.py"}


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist nobody asks
def pytest_xdist_make_scheduler(config, log):
    """The tests of a file stay together, for its fixtures and compilations; those of
    `DEALT_ONE_BY_ONE` are dealt last, by themselves, and fill up the cores."""
    from xdist.scheduler import LoadScopeScheduling

    class FilesScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.split("::", 1)[0]
            return nodeid if path.rsplit("/", 1)[-1] in DEALT_ONE_BY_ONE else path

    return FilesScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_configure(config):
    config.addinivalue_line("markers", "double_precision: every test and fixture in float64")
    config.addinivalue_line("markers", "strict_ranks: arrays of different ranks do not broadcast")
    config.addinivalue_line("markers", "quick_loops: programs run longer than they compile")


@pytest.fixture(autouse=True, scope="module")
def double_precision(request):
    """What a file says with `pytestmark = pytest.mark.double_precision`."""
    with jax.enable_x64(request.node.get_closest_marker("double_precision") is not None):
        yield


@pytest.fixture(autouse=True, scope="module")
def strict_ranks(request):
    """What a file says with `pytest.mark.strict_ranks`: a row that meets a column by accident
    raises; scalars broadcast."""
    marked = request.node.get_closest_marker("strict_ranks") is not None
    with jax.numpy_rank_promotion("raise" if marked else "allow"):
        yield


@pytest.fixture(autouse=True, scope="module")
def quick_loops(request):
    """What a file says with `pytest.mark.quick_loops`, where loops take longer than compiling."""
    marked = request.node.get_closest_marker("quick_loops") is not None
    with quick_compilation.quick_loops() if marked else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    yield
    if resident_memory() > MOST_MEMORY:
        jax.clear_caches()
        gc.collect()


def resident_memory():
    """Bytes that this process holds; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
