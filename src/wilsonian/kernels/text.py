"""Kernels as text, both ways: `0.5 * matern52:length_scale=2 + nngp:relu,depth=3 + 0.1`.

Text is data: reading it runs nothing, so a kernel in a model file or on a command line is safe.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from wilsonian.kernels.fully_connected import ArcCosine, ErfNetwork
from wilsonian.kernels.kernel import (
    RBF,
    Constant,
    FromFunction,
    Kernel,
    Linear,
    Matern12,
    Matern32,
    Matern52,
    Polynomial,
    Product,
    RationalQuadratic,
    Rescaled,
    Scaled,
    Sum,
    as_kernel,
)
from wilsonian.networks.architecture import (
    Network,
    architecture_document,
    parse_architecture,
    read_architecture,
)
from wilsonian.networks.kernel import NetworkKernel, nngp, ntk
from wilsonian.networks.layers import Serial
from wilsonian.networks.signals import ArchitectureError
from wilsonian.storage.strict_json import strict_decoder

LONGEST = 1_000_000  # characters; fifty thousand length scales with every digit
MOST_PARTS = 1000  # kernels in one expression, sums and products among them
DEEPEST = 50  # levels of nesting; Python and JAX recurse a few calls per level

_KERNELS: dict[str, type[Kernel]] = {
    "rbf": RBF,
    "matern12": Matern12,
    "matern32": Matern32,
    "matern52": Matern52,
    "rational_quadratic": RationalQuadratic,
    "linear": Linear,
    "polynomial": Polynomial,
    "constant": Constant,
}
_NETWORKS: dict[str, type[Kernel]] = {"relu": ArcCosine, "erf": ErfNetwork}  # by activation
_NETWORK_KINDS = ("nngp", "ntk")
_NAMES = (*_KERNELS, *_NETWORK_KINDS, "rescaled")
_NAME_OF = {kernel: name for names in (_KERNELS, _NETWORKS) for name, kernel in names.items()}

# What an option must be, and whether a value is that.
Rule = tuple[str, Callable[[Any], Any]]
_POSITIVE: Rule = "positive and finite", lambda v: np.ndim(v) == 0 and 0 < v < math.inf
_NOT_NEGATIVE: Rule = "finite and not negative", lambda v: np.ndim(v) == 0 and 0 <= v < math.inf
_COUNT: Rule = "a whole number from 1 to 1000", lambda v: isinstance(v, int) and 1 <= v <= 1000
_SCALES: Rule = (
    "a positive finite number, or a list of them such as [0.5,2]",
    lambda v: np.ndim(v) < 2 and np.size(v) > 0 and np.all((v > 0) & np.isfinite(v)),
)
_OPTIONS: dict[str, Rule] = {
    "length_scale": _SCALES,
    "alpha": _POSITIVE,
    "variance": _POSITIVE,
    "weight_variance": _POSITIVE,
    "bias_variance": _NOT_NEGATIVE,
    "degree": _COUNT,
    "depth": _COUNT,
}

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_WORD = re.compile(r"[A-Za-z_][\w/-]*", re.ASCII)
_FILE = re.compile(r"[^\s:+*,=(){}\[\]\"]+\.json\b|\"[^\"]+\"", re.IGNORECASE)
_NOTHING, _ANY = re.compile(""), re.compile(".", re.DOTALL)
_TOKEN = re.compile(rf"{_NUMBER.pattern}|{_WORD.pattern}|.", re.ASCII)
_EXAMPLE = "write for example 'matern52:length_scale=2 + 0.1 * linear'"
_TOO_DEEP = f"the kernel is nested deeper than {DEEPEST} levels; use fewer parentheses or terms."


class KernelTextError(ValueError):
    """Text that is no kernel, or a kernel that is no text, in one sentence."""


def parse_kernel(text: str, *, files: bool = False) -> Kernel:
    """The kernel that `text` describes.

    Kernels are added with `+`, multiplied with `*` and grouped by parentheses; a number is a
    factor, or as a summand a constant kernel. A kernel is its name and then those options that
    differ from the defaults of its class: `rational_quadratic:length_scale=[0.5,2],alpha=3`.
    The kernels of networks are called by kind, and their activation is an option without a name:
    `ntk:erf,depth=3`. `rescaled(linear):length_scale=[0.5,2]` gives length scales to any kernel.
    Capitals, and `-`, `_` and `/` inside names, do not matter.

    Any other network is an architecture (see `wilsonian.networks.architecture`): its JSON,
    `nngp:{"layers": [...]}`, or with `files` also the name of a JSON file, `ntk:net.json` or
    `ntk:"my net.json"`. (A stored model must not send its reader to other files.)

    Numbers become Python floats, and lists float64 arrays. Raises KernelTextError, and nothing
    else, for text that is no kernel.
    """
    if not isinstance(text, str) or not text.strip():
        raise KernelTextError(f"expected the text of a kernel, got {_short(text)}; {_EXAMPLE}.")
    if len(text) > LONGEST:
        raise KernelTextError(
            f"the text of the kernel has {len(text):,} characters; write at most {LONGEST:,}."
        )
    reader = _Reader(text, files)
    kernel = as_kernel(reader.expression())
    if reader.place < len(text):
        raise reader.expected("'+', '*' or the end")
    _check_size(kernel)
    return kernel


def format_kernel(kernel: Kernel, digits: int | None = None) -> str:
    """`kernel` as text for :func:`parse_kernel`, every option written out.

    Its numbers come back with every bit of a float64, or rounded to `digits` significant digits.
    Raises KernelTextError for a kernel that could not be read back, such as one made from a
    function, or with a variance of zero.
    """

    def option(name: str, value: Any) -> str:
        meaning, holds = _OPTIONS[name]
        plain = _plain(value)
        if not holds(plain):
            raise KernelTextError(
                f"a kernel with {name} {_short(value)} cannot be written as text or saved; "
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
    _check_size(kernel)

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
        elif name := _NAME_OF.get(type(kernel)):
            head = f"{kernel.kind}:{name}," if name in _NETWORKS else f"{name}:"
            keys = _options_of(type(kernel))
            own, text = 2, head + ",".join(f"{k}={option(k, getattr(kernel, k))}" for k in keys)
        else:
            own, text = 2, other(kernel)
        return f"({text})" if own < binding else text

    return write(kernel, 0)


def _code(kernel: Any) -> str:
    """What a kernel without a name here was made by."""
    if type(kernel) is not FromFunction:
        return f"class {type(kernel).__name__}"
    return f"function {getattr(kernel.function, '__name__', None) or _short(kernel.function)}"


def _refuse(kernel: Any) -> str:
    if not isinstance(kernel, Kernel):
        raise KernelTextError(f"expected a kernel, got {_short(kernel)}; pass one such as RBF().")
    code = _code(kernel)
    raise KernelTextError(
        f"a kernel made by the {code} cannot be written as text or saved: a {code.split()[0]} is "
        "code; keep to the built-in kernels, or pickle the estimator yourself."
    )


def _check_size(kernel: Any) -> None:
    """Refuse a kernel too large to recurse into, going through it level by level."""
    level, count = [kernel], 0
    for _ in range(DEEPEST):
        count += len(level)
        if count > MOST_PARTS:
            raise KernelTextError(
                f"the kernel has more than {MOST_PARTS:,} parts; add or multiply fewer kernels."
            )
        parts = [part for whole in level for part in getattr(whole, "__dict__", {}).values()]
        level = [part for part in parts if isinstance(part, Kernel)]
    if level:
        raise KernelTextError(_TOO_DEEP)


def _options_of(kernel: type[Kernel]) -> list[str]:
    return [field.name for field in dataclasses.fields(kernel) if field.name in _OPTIONS]


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


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _known(word: str, names: Iterable[str], kind: str, owner: str = "") -> str:
    """The one of `names` that `word` means, whatever its capitals and hyphens."""

    def squeezed(name: str) -> str:
        return re.sub("[-_/]", "", name).lower()

    by_letters = {squeezed(name): name for name in names}
    if (letters := squeezed(word)) in by_letters:
        return by_letters[letters]
    close = difflib.get_close_matches(letters[:40], by_letters, 1, cutoff=0.5)
    hint = f" (did you mean {by_letters[close[0]]!r}?)" if close else ""
    raise KernelTextError(
        f"unknown {kind} {_short(word)}{owner}{hint}; {kind}s{owner} are {', '.join(names)}."
    )


class _Reader:
    """Recursive descent: an expression is a sum of products of factors."""

    def __init__(self, text: str, files: bool = False):
        self.text, self.place, self.level, self.files = text, 0, 0, files
        self.match(_NOTHING)

    def match(self, pattern: re.Pattern[str]) -> str:
        """What `pattern` finds here, stepped over with the space behind it; empty if nothing."""
        found = pattern.match(self.text, self.place)
        if found is None:
            return ""
        self.place = found.end()
        while self.text[self.place : self.place + 1].isspace():
            self.place += 1
        return found.group()

    def take(self, symbol: str) -> bool:
        return self.text.startswith(symbol, self.place) and bool(self.match(_ANY))

    def expected(self, what: str) -> KernelTextError:
        found = _TOKEN.match(self.text, self.place)
        got = _short(found.group()) if found else "the end"
        return KernelTextError(
            f"expected {what} at character {self.place + 1}, got {got}; {_EXAMPLE}."
        )

    def checked(self, value: Any, name: str, rule: Rule, start: int) -> Any:
        meaning, holds = rule
        if holds(value):
            return value
        got = _short(self.text[start : self.place].strip())
        raise KernelTextError(f"{name} at character {start + 1} must be {meaning}, got {got}.")

    def expression(self) -> Kernel | float:
        return self.chain("+", operator.add, lambda: self.chain("*", operator.mul, self.factor))

    def chain(self, symbol: str, combine: Callable, part: Callable) -> Kernel | float:
        start = self.place
        result = part()
        while self.take(symbol):
            result = combine(result, part())
            if isinstance(result, Kernel):
                _check_size(result)  # now: building the next one recurses into this one
            else:
                self.checked(result, "the number", _POSITIVE, start)
        return result

    def factor(self) -> Kernel | float:
        start = self.place
        if number := self.match(_NUMBER):
            return self.checked(float(number), "the number", _POSITIVE, start)
        if self.take("("):
            return self.group()
        if word := self.match(_WORD):
            return self.kernel(_known(word, _NAMES, "kernel"))
        raise self.expected("a kernel, a number or '('")

    def group(self) -> Kernel | float:
        """The rest of a parenthesis."""
        self.level += 1
        if self.level > DEEPEST:
            raise KernelTextError(_TOO_DEEP)
        inner = self.expression()
        if not self.take(")"):
            raise self.expected("'+', '*' or ')'")
        self.level -= 1
        return inner

    def kernel(self, name: str) -> Kernel:
        """The rest of a named kernel."""
        if name == "rescaled":
            if not self.take("("):
                raise self.expected("'(' and a kernel to rescale")
            return Rescaled(as_kernel(self.group()), **self.options(name, Rescaled))
        if name not in _NETWORK_KINDS:
            return _KERNELS[name](**self.options(name, _KERNELS[name]))
        if architecture := self.architecture():
            network, shape = architecture
            try:
                return nngp(network, shape) if name == "nngp" else ntk(network, shape)
            except ArchitectureError as error:
                raise KernelTextError(f"the network of {name} does not fit: {error}") from error
        options = self.options(name, ArcCosine)  # the networks have the same options
        fully_connected = _NETWORKS[options.pop("activation", "relu")]
        return fully_connected(kind=name, **options)

    def architecture(self) -> Network | None:
        """A network behind the colon, if there is one rather than options."""
        start = self.place
        if not self.take(":"):
            return None
        try:
            if self.text.startswith("{", self.place):
                document, self.place = strict_decoder().raw_decode(self.text, self.place)
                self.match(_NOTHING)
                return parse_architecture(document)
            if file := self.match(_FILE):
                if not self.files:
                    raise ArchitectureError(f"the file {_short(file)} is not read from here.")
                return read_architecture(file.strip('"'))
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
            raise KernelTextError(
                f"the network at character {start + 2} is no architecture: {reason}"
            ) from error
        self.place = start
        return None

    def options(self, name: str, kernel: type[Kernel]) -> dict[str, Any]:
        """The options behind a name, if there are any."""
        found: dict[str, Any] = {}
        more = self.take(":")
        while more:
            start = self.place
            word = self.match(_WORD)
            if not word:
                raise self.expected(f"an option of {name}")
            if self.take("="):
                key = _known(word, _options_of(kernel), "option", f" of {name}")
                rule, begin = _OPTIONS[key], self.place
                value = self.checked(self.value(rule is _COUNT), f"{key} of {name}", rule, begin)
            elif name in _NETWORK_KINDS:
                key, value = "activation", _known(word, _NETWORKS, "activation")
            else:
                raise self.expected(f"'=' and a value for {_short(word)}")
            if key in found:
                raise KernelTextError(
                    f"{key} of {name} at character {start + 1} is given twice; keep one of them."
                )
            found[key] = value
            more = self.take(",")
        return found

    def value(self, count: bool) -> Any:
        if not self.take("["):
            text = self.number()
            return int(text) if count and _INTEGER.fullmatch(text) else float(text)
        numbers = [float(self.number())]
        while self.take(","):
            numbers.append(float(self.number()))
        if not self.take("]"):
            raise self.expected("',' or ']'")
        return np.array(numbers, float)

    def number(self) -> str:
        if text := self.match(_NUMBER):
            return text
        raise self.expected("a finite number")
