"""Flags under which XLA compiles quickly, found without importing JAX."""

import importlib.util
import mmap
from pathlib import Path

# LLVM need not try hard, nor loops be fused by way of MLIR: a third to half of the time of
# compilation, slower loops, the same BLAS.
LEVEL = "--xla_backend_optimization_level=0"
NO_EMITTERS = "--xla_cpu_use_fusion_emitters=false"
# A program compiled in 32 parts by as many threads costs a sixth more, and the cores are busy.
ONE_PART = "--xla_cpu_parallel_codegen_split_count=1"


def flags():
    """Of those that this jaxlib takes: it ends the process over a flag that it does not know."""
    known = [flag for flag in (NO_EMITTERS, ONE_PART) if takes(flag.strip("-").split("=")[0])]
    return " ".join([LEVEL, *known])


def takes(name):
    """Whether jaxlib knows a flag: names of flags stand in its library as they are written."""
    (root,) = importlib.util.find_spec("jaxlib").submodule_search_locations
    for library in Path(root).glob("libjax_common.*"):
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return m.find(name.encode()) != -1
    return False
