r"""Priors of parameters, which give information its unit, and scopes: whose information is asked.

With prior :math:`\theta \sim N(\mu_0, \Sigma_0)` (diagonal) whitened parameters
:math:`\vartheta = \Sigma_0^{-1/2} (\theta - \mu_0)` are standard normal. Inside the room
:math:`u = \Sigma_0^{-1/2} \theta` is moved, which has the same derivatives and keeps weight
matrices that are scaled by one number recognizable (docs/science/information.md, section 1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from wilsonian.core.precision import compiled
from wilsonian.information.arguments import checked_number

Scope = str | Sequence[str] | Callable[[str], bool]


class PriorValueError(ValueError):
    """A number of a prior that cannot be one."""


class Prior(eqx.Module):
    """Independent normal parameters: `variance` and `mean` are numbers or trees of the parameters'
    own structure (numbers or arrays at its leaves)."""

    variance: Any = 1.0
    mean: Any = 0.0

    def scales(self, parameters: Any) -> Any:
        """Standard deviations, one number or array per leaf."""

        def root(value: Any, leaf: Any) -> np.ndarray:
            value = np.asarray(value, float)
            if not np.all(value > 0) or not np.all(np.isfinite(value)):
                raise PriorValueError(
                    f"prior variances must be positive and finite, got {value.min():.3g} at least; "
                    "leave a parameter without prior out of the scope instead."
                )
            return np.sqrt(value)

        return self._spread(self.variance, parameters, root, "variance")

    def means(self, parameters: Any) -> Any:
        """Means, one number or array per leaf."""

        def finite(value: Any, leaf: Any) -> np.ndarray:
            value = np.asarray(value, float)
            if not np.all(np.isfinite(value)):
                raise PriorValueError("prior means must be finite; some are NaN or infinite.")
            return value

        return self._spread(self.mean, parameters, finite, "mean")

    def _spread(self, tree: Any, parameters: Any, function: Callable, name: str) -> Any:
        if np.ndim(tree) == 0 and isinstance(tree, (float, int, np.generic, np.ndarray, jax.Array)):
            return jax.tree.map(lambda leaf: function(tree, leaf), parameters)
        try:
            tree = eqx.filter(tree, jax.tree.map(lambda _: True, parameters))
            spread = jax.tree.map(function, tree, parameters)
        except PriorValueError:
            raise
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"the prior's `{name}` does not have the structure of the parameters; pass a "
                "number, or a tree with a number or array for every parameter."
            ) from error
        for value, leaf in zip(jax.tree.leaves(spread), jax.tree.leaves(parameters), strict=True):
            if np.shape(value) not in ((), np.shape(leaf)):
                raise ValueError(
                    f"the prior's `{name}` has shape {np.shape(value)} for a parameter of shape "
                    f"{np.shape(leaf)}; pass one number, or one per entry."
                )
        return spread


def as_prior(prior: Any, weight_decay: Any, examples: int) -> Prior:
    r"""The prior from `prior` (a variance or a :class:`Prior`) or from `weight_decay` w: a penalty
    :math:`\frac w2 |\theta|^2` beside the *mean* loss in nats over T examples, as optimizers have
    it, is the prior variance :math:`1 / (w T)`.

    Raises ValueError unless exactly one is given.
    """
    if prior is not None and weight_decay is not None:
        raise ValueError("`prior` and `weight_decay` both set the unit of information; pass one.")
    if prior is None and weight_decay is None:
        raise ValueError(
            "information has no unit without a prior; pass either `prior`, a variance, or "
            "`weight_decay`, the factor of |theta|^2 / 2 beside the mean loss."
        )
    if prior is not None:
        return prior if isinstance(prior, Prior) else Prior(prior)
    kind = (
        "a positive number (for a network trained without, pass the `prior` variance its "
        "initialization was drawn with)"
    )
    return Prior(1 / (checked_number("weight_decay", weight_decay, kind, above=0) * examples))


def paths_of(parameters: Any) -> list[str]:
    """A name for every leaf by where it stands, such as `layers.0.weight`."""
    pairs, _ = jax.tree_util.tree_flatten_with_path(parameters)
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in pairs]


def named_scope(parameters: Any, scope: Scope) -> list[bool]:
    """Which leaves a scope of names has: leaves whose path contains one of the names, or for which
    a function of the path is true. Raises ValueError if a name is found nowhere."""
    paths = paths_of(parameters)
    if callable(scope):
        chosen = [bool(scope(path)) for path in paths]
        if not any(chosen):
            raise ValueError(f"`scope` is true for none of the parameters {_listed(paths)}.")
        return chosen
    names = [scope] if isinstance(scope, str) else scope
    if (
        not isinstance(names, (list, tuple))
        or not names
        or not all(isinstance(name, str) and name for name in names)
    ):
        raise ValueError(
            f"`scope` must be 'all', 'last-layer', parts of parameters' names or a function of the "
            f"name, got {scope!r}."
        )
    for name in names:
        if not any(name in path for path in paths):
            raise ValueError(
                f"no parameter is named {name!r}; pass 'all', 'last-layer', or parts of the names "
                f"{_listed(paths)}."
            )
    return [any(name in path for name in names) for path in paths]


def last_layer(function: Callable, parameters: Any) -> list[bool]:
    """The leaves in which `function(parameters)` is affine together: the read-out with its bias.
    Tested by moving them as far as they are large, and back; from the last on, those first that
    have an axis of the outputs, since names need not come in the order of layers.

    Raises ValueError if there are none.
    """
    leaves, structure = jax.tree.flatten(parameters)
    chosen = [False] * len(leaves)
    random = np.random.RandomState(0)
    size = max(max(np.sqrt(np.mean(np.asarray(leaf) ** 2)) for leaf in leaves), 1e-3)
    moves = [jnp.asarray(size * random.standard_normal(leaf.shape), leaf.dtype) for leaf in leaves]

    @compiled
    def changes(leaves, moves, switches):
        """Change of the outputs at a whole step and back, less that by the derivative; what is
        changed, and how."""
        parameters = jax.tree.unflatten(structure, leaves)
        before = function(parameters)
        step = [jnp.where(on, move, 0.0) for on, move in zip(switches, moves, strict=True)]
        moved = [leaf + delta for leaf, delta in zip(leaves, step, strict=True)]
        back = [leaf - 2 * delta for leaf, delta in zip(leaves, step, strict=True)]
        _, tangent = jax.jvp(function, (parameters,), (jax.tree.unflatten(structure, step),))
        return (
            function(jax.tree.unflatten(structure, moved)) - before - tangent,
            function(jax.tree.unflatten(structure, back)) - before + 2 * tangent,
            *(before, tangent),
        )

    outputs = jax.eval_shape(function, parameters).shape[1]
    backwards = reversed(range(len(leaves)))
    for index in sorted(backwards, key=lambda i: outputs not in leaves[i].shape):
        trial = [*chosen]
        trial[index] = True
        found = [np.asarray(part) for part in changes(leaves, moves, jnp.asarray(trial))]
        forth, back, before, tangent = (np.max(np.abs(part)) for part in found)
        rounding = 1e3 * np.finfo(found[0].dtype).eps * (tangent + before)
        if max(forth, back) <= rounding and tangent > 0:
            chosen = trial
    if not any(chosen):
        raise ValueError(
            "the network is not linear in any of its last parameters, so it has no last layer; "
            f"name the parameters instead, as parts of {_listed(paths_of(parameters))}."
        )
    return chosen


def _listed(paths: list[str]) -> str:
    shown = ", ".join(repr(path) for path in paths[:6])
    return shown if len(paths) <= 6 else f"{shown} and {len(paths) - 6} more"
