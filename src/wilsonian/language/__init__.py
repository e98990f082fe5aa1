"""Kernels and architectures as text, both ways: data only, so that reading runs nothing."""

from wilsonian.language.architecture import read_architecture, write_architecture
from wilsonian.language.kernel_text import describe_kernel, format_kernel, parse_kernel
from wilsonian.language.kernel_vocabulary import KernelTextError

__all__ = [
    "KernelTextError",
    "describe_kernel",
    "format_kernel",
    "parse_kernel",
    "read_architecture",
    "write_architecture",
]
