"""What makes compilation quick: flags of XLA that this jaxlib knows, and a shared context."""

import contextlib
import os
import subprocess
import sys
import threading

# LLVM need not try hard, nor loops be fused by way of MLIR: a third to half of the time of
# compilation, slower loops, the same BLAS.
LEVEL = "--xla_backend_optimization_level=0"
NO_EMITTERS = "--xla_cpu_use_fusion_emitters=false"
# A program compiled in 32 parts by as many threads costs a sixth more, and the cores are busy.
ONE_PART = "--xla_cpu_parallel_codegen_split_count=1"
# Flags are read again before each compilation.
READ_AGAIN = "--xla_flags_reset=true"


def flags():
    """All of them that this jaxlib takes."""
    return " ".join(known([LEVEL, NO_EMITTERS, ONE_PART, READ_AGAIN]))


def known(flags):
    """Those that jaxlib takes. It ends the process over a flag that it does not know, having named
    it, so that another process asks; in its library names of flags outlive the flags."""
    flags = list(flags)
    while flags:
        asked = subprocess.run(
            [sys.executable, "-c", "import jax; jax.devices()"],
            env={**os.environ, "XLA_FLAGS": " ".join(flags)},
            capture_output=True,
            text=True,
            errors="replace",
        )
        if asked.returncode == 0:
            return flags
        left = [flag for flag in flags if flag.split("=")[0] not in asked.stderr]
        flags = left if len(left) < len(flags) else []  # it ended over something else
    return []


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
