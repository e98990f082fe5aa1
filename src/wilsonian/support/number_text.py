"""Numbers as a reader wants them: few digits, thousands separated, powers of ten raised."""

from __future__ import annotations

import math

_MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_number(value: float, digits: int = 3, plain: range = range(-4, 7)) -> str:
    """`value` to `digits` significant digits; `not available` when it is not a number.

    Its power of ten is written out when it does not lie in `plain`.
    """
    value = float(value)
    if math.isnan(value):
        return "not available"
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    exponent = int(power)
    if float(mantissa) == 0:
        return "0"
    if exponent in plain:
        # Digits before the decimal point are never rounded away: 1437 rows are not 1440 rows.
        text = _strip_zeros(f"{value:,.{max(0, digits - 1 - exponent)}f}")
    else:
        mantissa, power = _strip_zeros(mantissa), "10" + str(exponent).translate(_SUPERSCRIPTS)
        text = {"1": power, "-1": f"-{power}"}.get(
            mantissa, f"{mantissa}\N{MULTIPLICATION SIGN}{power}"
        )
    return text.replace("-", _MINUS)


def format_percent(fraction: float, digits: int = 3) -> str:
    """A fraction as a percentage; with as many digits more as tell it from 100% (0.9995 is not)."""
    value = 100 * float(fraction)
    text = format_number(value, digits)
    while text == "100" and value != 100 and digits < 12:
        digits += 1
        text = format_number(value, digits)
    return text if text == "not available" else f"{text}%"


def format_count(count: int, noun: str) -> str:
    """`1 row`, `1,437 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _strip_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
