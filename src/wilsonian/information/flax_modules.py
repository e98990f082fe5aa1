"""Flax modules, Linen and NNX, as functions of their trainable parameters and one point.

Flax is never imported here: who passes a module of it has done so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def as_function(model: Any, parameters: Any) -> tuple[Callable, Any] | None:
    """`f(parameters, x)` and the parameters of a Flax module; None for anything else.

    A Linen module has its variables apart: as `parameters`, whole or the collection `"params"`
    alone. An NNX module has them inside. Other collections, such as running statistics, are fixed.

    Raises ValueError for a Linen module without variables, and an NNX module in training mode.
    """
    flax = sys.modules.get("flax")
    if flax is None:
        return None
    linen, nnx = (sys.modules.get(f"flax.{name}") for name in ("linen", "nnx"))
    if linen is not None and isinstance(model, linen.Module):
        if parameters is None:
            raise ValueError(
                "a Linen module has its variables apart; pass `parameters`, what "
                "module.init(key, x) made and training changed."
            )
        whole = dict(parameters) if "params" in parameters else {"params": parameters}
        trained = whole.pop("params")
        return lambda p, x: model.apply({**whole, "params": p}, x), trained
    if nnx is not None and isinstance(model, nnx.Module):
        for _, part in nnx.iter_graph(model):
            noisy = (getattr(part, name, None) for name in ("deterministic", "use_running_average"))
            if False in noisy:
                raise ValueError(
                    f"the module is in training mode ({type(part).__name__}), where dropout and "
                    "batch statistics make it no function of its parameters; call model.eval()."
                )
        graph, trained, rest = nnx.split(model, nnx.Param, ...)
        trained = trained if parameters is None else parameters
        return lambda p, x: nnx.merge(graph, p, rest)(x), trained
    return None
