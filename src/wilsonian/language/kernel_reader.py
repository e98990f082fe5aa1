"""The grammar of kernels as text: sums of products of factors, read by recursive descent."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from wilsonian.kernels.kernel import Kernel, Rescaled, as_kernel
from wilsonian.language.architecture import Network, parse_architecture, read_architecture
from wilsonian.language.kernel_vocabulary import (
    COMPOSED,
    COUNT,
    DEEPEST,
    KERNELS,
    NAMES,
    NETWORK_KINDS,
    NETWORKS,
    OPTIONS,
    POSITIVE,
    TOO_DEEP,
    KernelTextError,
    Rule,
    check_size,
    options_of,
    short_text,
)
from wilsonian.networks.fully_connected import ArcCosine
from wilsonian.networks.kernel import nngp, ntk
from wilsonian.networks.layers.signals import ArchitectureError
from wilsonian.support.strict_json import strict_decoder

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_WORD = re.compile(r"[A-Za-z_][\w/-]*", re.ASCII)
_FILE = re.compile(r"[^\s:+*,=(){}\[\]\"]+\.json\b|\"[^\"]+\"", re.IGNORECASE)
_NOTHING, _ANY = re.compile(""), re.compile(".", re.DOTALL)
_TOKEN = re.compile(rf"{_NUMBER.pattern}|{_WORD.pattern}|.", re.ASCII)
EXAMPLE = "write for example 'matern52:length_scale=2 + 0.1 * linear'"


class KernelReader:
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
        got = short_text(found.group()) if found else "the end"
        return KernelTextError(
            f"expected {what} at character {self.place + 1}, got {got}; {EXAMPLE}."
        )

    def checked(self, value: Any, name: str, rule: Rule, start: int) -> Any:
        meaning, holds = rule
        if holds(value):
            return value
        got = short_text(self.text[start : self.place].strip())
        raise KernelTextError(f"{name} at character {start + 1} must be {meaning}, got {got}.")

    def expression(self) -> Kernel | float:
        return self.chain("+", operator.add, lambda: self.chain("*", operator.mul, self.factor))

    def chain(self, symbol: str, combine: Callable, part: Callable) -> Kernel | float:
        start = self.place
        result = part()
        while self.take(symbol):
            result = combine(result, part())
            if isinstance(result, Kernel):
                check_size(result)  # now: building the next one recurses into this one
            else:
                self.checked(result, "the number", POSITIVE, start)
        return result

    def factor(self) -> Kernel | float:
        start = self.place
        if number := self.match(_NUMBER):
            return self.checked(float(number), "the number", POSITIVE, start)
        if self.take("("):
            inner = self.nested()
            if not self.take(")"):
                raise self.expected("'+', '*' or ')'")
            return inner
        if word := self.match(_WORD):
            return self.kernel(_known(word, NAMES, "kernel"))
        raise self.expected("a kernel, a number or '('")

    def nested(self) -> Kernel | float:
        """The expression in a parenthesis."""
        self.level += 1
        if self.level > DEEPEST:
            raise KernelTextError(TOO_DEEP)
        inner = self.expression()
        self.level -= 1
        return inner

    def kernel(self, name: str) -> Kernel:
        """The rest of a named kernel."""
        if name == "rescaled":
            if not self.take("("):
                raise self.expected("'(' and a kernel to rescale")
            inner = as_kernel(self.nested())
            if self.take(","):
                return Rescaled(inner, **self.listed(name, Rescaled, True))
            if not self.take(")"):
                raise self.expected("'+', '*' or ')'")
            return Rescaled(inner, **self.options(name, Rescaled))
        if name not in NETWORK_KINDS:
            make = KERNELS.get(name) or COMPOSED[name]
            return make(**self.options(name, make))
        if architecture := self.architecture():
            network, shape = architecture
            try:
                return nngp(network, shape) if name == "nngp" else ntk(network, shape)
            except ArchitectureError as error:
                raise KernelTextError(f"the network of {name} does not fit: {error}") from error
        options = self.options(name, ArcCosine)  # the networks have the same options
        fully_connected = NETWORKS[options.pop("activation", "relu")]
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
                    raise ArchitectureError(f"the file {short_text(file)} is not read from here.")
                return read_architecture(file.strip('"'))
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
            raise KernelTextError(
                f"the network at character {start + 2} is no architecture: {reason}"
            ) from error
        self.place = start
        return None

    def options(self, name: str, kernel: Callable[..., Kernel]) -> dict[str, Any]:
        """The options behind a name, if there are any: after a colon, or as Python calls it."""
        if self.take(":"):
            return self.listed(name, kernel, False)
        if not self.take("(") or self.take(")"):
            return {}
        return self.listed(name, kernel, True)

    def listed(self, name: str, kernel: Callable[..., Kernel], call: bool) -> dict[str, Any]:
        """Options up to the last, or to the end of a call, where the first need no names."""
        found: dict[str, Any] = {}
        names, more = options_of(kernel), True
        unnamed = call and name not in NETWORK_KINDS
        while more:
            start = self.place
            word = self.match(_WORD)
            if word and not self.take("="):
                if name not in NETWORK_KINDS:
                    raise self.expected(f"'=' and a value for {short_text(word)}")
                key, value = "activation", _known(word, NETWORKS, "activation")
            else:
                if word:
                    key = _known(word, names, "option", f" of {name}")
                elif unnamed and [*found] == names[: len(found)] != names:
                    key = names[len(found)]
                else:
                    raise self.expected(f"an option of {name}")
                rule, begin = OPTIONS[key], self.place
                value = self.checked(self.value(rule is COUNT), f"{key} of {name}", rule, begin)
            if key in found:
                raise KernelTextError(
                    f"{key} of {name} at character {start + 1} is given twice; keep one of them."
                )
            found[key] = value
            more = self.take(",")
        if call and not self.take(")"):
            raise self.expected("',' or ')'")
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
        f"unknown {kind} {short_text(word)}{owner}{hint}; {kind}s{owner} are {', '.join(names)}."
    )
