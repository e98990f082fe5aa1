"""What makes compilation quick: flags of XLA, found without importing JAX, and a shared context."""

import contextlib
import importlib.util
import mmap
import os
import threading
from pathlib import Path

# LLVM need not try hard, nor loops be fused by way of MLIR: a third to half of the time of
# compilation, slower loops, the same BLAS.
LEVEL = "--xla_backend_optimization_level=0"
NO_EMITTERS = "--xla_cpu_use_fusion_emitters=false"
# A program compiled in 32 parts by as many threads costs a sixth more, and the cores are busy.
ONE_PART = "--xla_cpu_parallel_codegen_split_count=1"
# Flags are read again before each compilation.
READ_AGAIN = "--xla_flags_reset=true"


def flags():
    """Of those that this jaxlib takes: it ends the process over a flag that it does not know."""
    others = (NO_EMITTERS, ONE_PART, READ_AGAIN)
    return " ".join([LEVEL, *(flag for flag in others if takes(flag.strip("-").split("=")[0]))])


def takes(name):
    """Whether jaxlib knows a flag: names of flags stand in its library as they are written."""
    (root,) = importlib.util.find_spec("jaxlib").submodule_search_locations
    for library in Path(root).glob("libjax_common.*"):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return m.find(name.encode()) != -1
    return False


@contextlib.contextmanager
def quick_loops():
    """What is compiled within takes twice as long to compile, and its loops half as long to run."""
    before = os.environ["XLA_FLAGS"]
    os.environ["XLA_FLAGS"] = before.replace(LEVEL, LEVEL.replace("0", "1"))
    try:
        yield
    finally:
        os.environ["XLA_FLAGS"] = before


def share_contexts(programs=100):
    """JAX makes a context of MLIR for every program that it lowers, a fourth of the time of a small
    one; here as many programs share one. A context keeps the constants of its programs, so that it
    is not kept for ever. Where JAX has no such function by this name nothing is changed."""
    from jax._src.interpreters import mlir

    if not hasattr(mlir, "make_ir_context"):
        return
    make, left, lock = mlir.make_ir_context, [], threading.Lock()

    def shared():
        with lock:
            if not left:
                left.extend([make()] * programs)
            return left.pop()

    mlir.make_ir_context = shared
