"""Learned periods in the units of their columns."""

from __future__ import annotations

import numpy as np

from wilsonian.app.tables.encoding import Encoding
from wilsonian.kernels import Kernel
from wilsonian.kernels.learnable import has_period, parts_with
from wilsonian.support.axes import shorten
from wilsonian.support.number_text import format_number


def period_sentences(kernel: Kernel, encoding: Encoding, X: np.ndarray) -> list[str]:
    """A sentence for each column along which a periodic part of the kernel repeats within the
    range of the rows `X` (rows, features); a longer period only makes a smooth function."""
    spans = np.ptp(X, axis=0)
    found: dict[str, list[float]] = {}
    for part in parts_with(kernel, has_period):
        periods = np.broadcast_to(part.period, spans.shape)
        for name, period, span, unit in zip(
            encoding.feature_names, periods, spans, encoding.units, strict=True
        ):
            if period < span:
                found.setdefault(name, []).append(float(period * unit))
    return [
        f"Period{'s' if len(periods) > 1 else ''} learned along {shorten(name, 60)!r}: "
        f"{', '.join(map(format_number, sorted(periods, reverse=True)))}."
        for name, periods in found.items()
    ]
