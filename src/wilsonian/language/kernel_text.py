"""Kernels as text, both ways: `0.5 * matern52:length_scale=2 + nngp:relu,depth=3 + 0.1`.

Text is data: reading it runs nothing, so a kernel in a model file or on a command line is safe.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wilsonian.kernels.kernel import FromFunction, Kernel, Product, Rescaled, Scaled, Sum, as_kernel
from wilsonian.language.architecture import architecture_document
from wilsonian.language.kernel_reader import EXAMPLE, KernelReader
from wilsonian.language.kernel_vocabulary import (
    LONGEST,
    NAME_OF,
    NETWORKS,
    OPTIONS,
    KernelTextError,
    check_size,
    options_of,
    short_text,
)
from wilsonian.networks.kernel import NetworkKernel
from wilsonian.networks.layers.layer import Serial
from wilsonian.networks.layers.signals import ArchitectureError


def parse_kernel(text: str, *, files: bool = False) -> Kernel:
    """The kernel that `text` describes.

    Kernels are added with `+`, multiplied with `*` and grouped by parentheses; a number is a
    factor, or as a summand a constant kernel. A kernel is its name and then those options that
    differ from the defaults of its class: `rational_quadratic:length_scale=[0.5,2],alpha=3`.
    A call as in Python reads the same, `RationalQuadratic([0.5, 2], alpha=3)`.
    The kernels of networks are called by kind, and their activation is an option without a name:
    `ntk:erf,depth=3`. `rescaled(linear):length_scale=[0.5,2]` gives length scales to any kernel.
    Capitals, and `-`, `_` and `/` inside names, do not matter.

    Any other network is an architecture (see `wilsonian.language.architecture`): its JSON,
    `nngp:{"layers": [...]}`, or with `files` also the name of a JSON file, `ntk:net.json` or
    `ntk:"my net.json"`. (A stored model must not send its reader to other files.)

    Numbers become Python floats, and lists float64 arrays. Raises KernelTextError, and nothing
    else, for text that is no kernel.
    """
    if not isinstance(text, str) or not text.strip():
        raise KernelTextError(f"expected the text of a kernel, got {short_text(text)}; {EXAMPLE}.")
    if len(text) > LONGEST:
        raise KernelTextError(
            f"the text of the kernel has {len(text):,} characters; write at most {LONGEST:,}."
        )
    reader = KernelReader(text, files)
    kernel = as_kernel(reader.expression())
    if reader.place < len(text):
        raise reader.expected("'+', '*' or the end")
    check_size(kernel)
    return kernel


def format_kernel(kernel: Kernel, digits: int | None = None) -> str:
    """`kernel` as text for :func:`parse_kernel`, every option written out.

    Its numbers come back with every bit of a float64, or rounded to `digits` significant digits.
    Raises KernelTextError for a kernel that could not be read back, such as one made from a
    function, or with a variance of zero.
    """

    def option(name: str, value: Any) -> str:
        meaning, holds = OPTIONS[name]
        plain = _plain(value)
        if not holds(plain):
            raise KernelTextError(
                f"a kernel with {name} {short_text(value)} cannot be written as text or saved; "
                f"{name} must be {meaning}."
            )
        return _numbers(plain, digits)

    def network(kernel: NetworkKernel) -> str:
        try:
            document = architecture_document(kernel.network, kernel.input_shape)
        except ArchitectureError as error:
            raise KernelTextError(f"the kernel of a network cannot be saved: {error}") from error
        if digits is not None:
            document = _rounded(document, digits)
        return json.dumps(document, separators=(",", ":"), allow_nan=False)

    text = _written(kernel, option, network, _refuse)
    if len(text) > LONGEST:
        raise KernelTextError(
            f"the kernel takes {len(text):,} characters as text, of which {LONGEST:,} can be read "
            "back; use fewer length scales."
        )
    return text


def describe_kernel(kernel: Kernel, most: int = 4) -> str:
    """`kernel` for people: three significant digits, more than `most` length scales by their range
    (`length_scale=0.31 to 12.4 (20 columns)`), and kernels that are code by name."""

    def option(name: str, value: Any) -> str:
        plain = _plain(value)
        if np.size(plain) <= max(most, 1):
            return _numbers(plain, 3)
        smallest, largest = _numbers(plain.min(), 3), _numbers(plain.max(), 3)
        return f"{smallest} to {largest} ({plain.size} columns)"

    def network(kernel: NetworkKernel) -> str:
        layers = kernel.network.layers if type(kernel.network) is Serial else (kernel.network,)
        names = [layer.name for layer in layers]
        shown = names if len(names) <= 6 else [*names[:3], f"{len(names) - 5} more", *names[-2:]]
        return f"({', '.join(shown)})"

    return _written(kernel, option, network, lambda kernel: _code(kernel).removeprefix("class "))


def _rounded(document: Any, digits: int) -> Any:
    """A document of JSON with its floats rounded to significant digits."""
    if isinstance(document, dict):
        return {key: _rounded(value, digits) for key, value in document.items()}
    if isinstance(document, list):
        return [_rounded(value, digits) for value in document]
    return float(f"{document:.{digits}g}") if isinstance(document, float) else document


def _written(
    kernel: Any,
    option: Callable[[str, Any], str],
    network: Callable[[NetworkKernel], str],
    other: Callable[[Any], str],
) -> str:
    """`kernel` as text with as few parentheses as its tree allows: `option(name, value)` writes
    its numbers, `network(kernel)` architectures, `other(kernel)` kernels that have no name here."""
    check_size(kernel)

    def write(kernel: Any, binding: int) -> str:
        # By exact type: a subclass of the user's may compute anything.
        if type(kernel) is Sum:
            own, text = 0, f"{write(kernel.left, 0)} + {write(kernel.right, 1)}"
        elif type(kernel) is Product:
            own, text = 1, f"{write(kernel.left, 1)} * {write(kernel.right, 2)}"
        elif type(kernel) is Scaled:
            own, text = 1, f"{option('variance', kernel.variance)} * {write(kernel.kernel, 2)}"
        elif type(kernel) is Rescaled:
            scales = option("length_scale", kernel.length_scale)
            own, text = 2, f"rescaled({write(kernel.kernel, 0)}):length_scale={scales}"
        elif type(kernel) is NetworkKernel:
            own, text = 2, f"{kernel.kind}:{network(kernel)}"
        elif name := NAME_OF.get(type(kernel)):
            head = f"{kernel.kind}:{name}," if name in NETWORKS else f"{name}:"
            keys = options_of(type(kernel))
            own, text = 2, head + ",".join(f"{k}={option(k, getattr(kernel, k))}" for k in keys)
        else:
            own, text = 2, other(kernel)
        return f"({text})" if own < binding else text

    return write(kernel, 0)


def _code(kernel: Any) -> str:
    """What a kernel without a name here was made by."""
    if type(kernel) is not FromFunction:
        return f"class {type(kernel).__name__}"
    return f"function {getattr(kernel.function, '__name__', None) or short_text(kernel.function)}"


def _refuse(kernel: Any) -> str:
    if not isinstance(kernel, Kernel):
        raise KernelTextError(
            f"expected a kernel, got {short_text(kernel)}; pass one such as RBF()."
        )
    code = _code(kernel)
    raise KernelTextError(
        f"a kernel made by the {code} cannot be written as text or saved: a {code.split()[0]} is "
        "code; keep to the built-in kernels, or pickle the estimator yourself."
    )


def _plain(value: Any) -> Any:
    """A Python int or float or a float64 array; NaN for what is no number at all."""
    if isinstance(value, int) and abs(value) < 2**53:
        return int(value)
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return array if array.ndim else float(array)


def _numbers(plain: Any, digits: int | None) -> str:
    """A number, or a list of them in brackets; only floats are rounded."""
    if isinstance(plain, np.ndarray):
        return f"[{','.join(_numbers(number, digits) for number in plain.ravel().tolist())}]"
    rounded = digits is not None and isinstance(plain, float)
    return f"{plain:.{digits}g}" if rounded else repr(plain)
