"""A trained network with its data, likelihood and prior: what an information spectrum is of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.core.precision import compiled
from wilsonian.information.flax_modules import as_function
from wilsonian.information.functions import AbstractFunction, JaxFunction
from wilsonian.information.likelihoods import AbstractLikelihood, as_likelihood
from wilsonian.information.prior import Prior, Scope, as_prior, last_layer, named_scope, paths_of
from wilsonian.information.trees import cast_to, minus
from wilsonian.networks import AbstractLayer

Precision = Literal["float64", "float32"]


class TrainedNetwork(eqx.Module):
    r"""What :func:`network` makes. `point` is :math:`u`, the whitened parameters in the scope
    (moved by the prior's mean, which is `prior_point`); `start` is the same at initialization."""

    function: AbstractFunction
    point: Any
    prior_point: Any
    start: Any | None
    inputs: Array
    labels: Array
    likelihood: AbstractLikelihood
    outputs: Float[Array, "n k"]  # at the training inputs
    precision: Precision = eqx.field(static=True)
    scope: str = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)  # of the parameters as they were given

    @property
    def examples(self) -> int:
        """T."""
        return len(self.inputs)

    @property
    def width(self) -> int:
        """K, outputs per point."""
        return self.outputs.shape[1]

    @property
    def size(self) -> int:
        """P, parameters in the scope."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.point))

    @property
    def whitened(self) -> Any:
        r""":math:`\vartheta`, zero at the prior's mean."""
        return minus(self.point, self.prior_point)

    def names(self) -> list[str]:
        """Of the parameters in the scope, one per leaf."""
        return paths_of(self.point)

    def arithmetic(self) -> contextlib.AbstractContextManager:
        """The precision it computes in."""
        return jax.enable_x64(True) if self.precision == "float64" else contextlib.nullcontext()

    def loss(self, outputs: Any = None, y: Any = None) -> np.ndarray:
        """Negative log likelihood of every example, in nats; of the training set when left out."""
        with self.arithmetic():
            outputs = self.outputs if outputs is None else jnp.asarray(outputs)
            y = self.labels if y is None else self.checked_labels(y, len(outputs))
            return np.asarray(_nll(self.likelihood, outputs, y))

    def evaluate(self, X: Any, point: Any = None) -> np.ndarray:
        """Outputs at the points `X`, (points, outputs); with other whitened parameters u."""
        with self.arithmetic():
            X = self.checked_inputs(X)
            return np.asarray(evaluate(self.function, self.point if point is None else point, X))

    def model(self, point: Any = None) -> Any:
        """The network's own parameters (an Equinox network: the network) at the whitened u, in the
        precision they were given in."""
        with self.arithmetic():
            return self.function.rebuilt(self.point if point is None else point, self.kinds)

    def checked_inputs(self, X: Any) -> Array:
        X = as_inputs(X, self.inputs.dtype)
        if X.shape[1:] != self.inputs.shape[1:]:
            raise ValueError(
                f"points have shape {X.shape[1:]}, the network was given {self.inputs.shape[1:]}; "
                "pass points along the first axis, preprocessed as for training."
            )
        return X

    def checked_labels(self, y: Any, points: int) -> Array:
        return as_labels(self.likelihood, y, points, self.width, self.outputs.dtype)


def network(
    model: Any,
    X: Any,
    y: Any,
    *,
    likelihood: Any,
    noise_variance: Any = None,
    weight_decay: float | None = None,
    prior: Any = None,
    scope: Scope = "all",
    parameters: Any = None,
    start: Any = None,
    batched: bool | None = None,
    precision: Precision = "float64",
) -> TrainedNetwork:
    r"""A trained network as information sees it (docs/science/information.md, section 1).

    `model` is an Equinox module, called with one point; or a function `f(parameters, x)` of one
    point with its `parameters`; with `batched` either is called with points along the first axis.
    The pair `(f, parameters)` may stand for both. A network of :mod:`wilsonian.networks` is batched
    by itself. A Flax module is called with one point: Linen with its variables as `parameters`,
    NNX as `model.eval()` leaves it; cut parameters come back as the collection `"params"`, or the
    state of `nnx.Param`. Outputs of any shape are flattened. `X`, `y` are the T training examples.

    `likelihood` is `"softmax"` (y: class indices), `"regression"` (with `noise_variance`, that of a
    label: one number, one per output, or a covariance), or a likelihood. The unit of information
    is set by exactly one of `prior` (a variance, or a :class:`Prior`) and `weight_decay` w, which
    stands beside the mean loss as :math:`\frac w2 |\theta|^2`: prior variance :math:`1 / (w T)`.

    `scope` says whose information is asked, all else being fixed: `"all"`, `"last-layer"`, parts
    of parameters' names, or a function of the name. `start` has the parameters at initialization,
    for the reset `"init"`. `precision="float32"` halves memory, and time or more on devices.

    Raises ValueError for labels out of range, outputs that are not finite or differ between two
    evaluations (dropout), and shapes that do not fit; TypeError for a network without parameters.
    """
    if precision not in ("float64", "float32"):
        raise ValueError(f"`precision` must be 'float64' or 'float32', got {precision!r}.")
    if isinstance(model, (tuple, list)) and len(model) == 2 and parameters is None:
        model, parameters = model
    if isinstance(model, AbstractLayer):
        model, batched = model.apply, True if batched is None else batched
        if parameters is None:
            raise ValueError(
                "a network of wilsonian.networks has its `parameters` apart; pass what "
                "network.init(key, shape) made and training changed."
            )
    elif (module := as_function(model, parameters)) is not None:
        model, parameters = module
    if parameters is not None and not callable(model):
        raise TypeError(
            f"the network must be a function f(parameters, x) of its `parameters`, got a "
            f"{type(model).__name__}."
        )
    _check_mode(model)
    likelihood = as_likelihood(likelihood, noise_variance)
    dtype = np.dtype(precision)
    context = jax.enable_x64(True) if precision == "float64" else contextlib.nullcontext()
    with context:
        given = model if parameters is None else parameters
        moved, fixed = eqx.partition(given, eqx.is_inexact_array)
        leaves, structure = jax.tree.flatten(moved)
        if not leaves:
            raise TypeError(
                "the network has no floating-point arrays to differentiate; pass an Equinox module "
                "with `X` and `y`, or a function f(parameters, x) and `parameters`."
            )
        if any(np.issubdtype(leaf.dtype, np.complexfloating) for leaf in leaves):
            raise ValueError(
                "the network has complex parameters; give their real and imaginary parts apart."
            )
        kinds = tuple(str(leaf.dtype) for leaf in leaves)
        moved = jax.tree.unflatten(structure, [cast_to(leaf, dtype) for leaf in leaves])
        inner = None if parameters is None else model
        X = as_inputs(X, dtype)
        whole = JaxFunction(inner, fixed, jax.tree.map(lambda _: 1.0, moved), bool(batched))
        outputs = checked_outputs(whole, moved, X)
        labels = as_labels(likelihood, y, len(X), outputs.shape[1], dtype)
        chosen = jax.tree.unflatten(structure, _chosen(whole, moved, X, scope))
        inside, outside = eqx.partition(moved, chosen)
        begun = None if start is None else _start(start, moved, chosen, dtype)
        return whitened(
            lambda scales: JaxFunction(inner, eqx.combine(outside, fixed), scales, bool(batched)),
            *(inside, begun, X, labels, likelihood, outputs),
            prior=as_prior(prior, weight_decay, len(X)),
            precision=precision,
            scope=scope,
            kinds=kinds,
        )


def whitened(
    function_of: Callable[[Any], AbstractFunction],
    inside: Any,
    begun: Any,
    X: Array,
    labels: Array,
    likelihood: AbstractLikelihood,
    outputs: Array,
    *,
    prior: Prior,
    precision: Precision,
    scope: Scope,
    kinds: tuple[str, ...],
) -> TrainedNetwork:
    """The network of the parameters `inside` the scope, in units of their prior; `function_of`
    the scales makes its function."""
    dtype = np.dtype(precision)
    scales, means = (
        jax.tree.map(lambda number: jnp.asarray(number, dtype), numbers)
        for numbers in (prior.scales(inside), prior.means(inside))
    )
    # A mean that is one number stays one: a network may be large.
    point, prior_point, start = _in_units((inside, means, begun), scales)
    return TrainedNetwork(
        function=function_of(scales),
        point=point,
        prior_point=prior_point,
        start=start,
        inputs=X,
        labels=labels,
        likelihood=likelihood,
        outputs=outputs,
        precision=precision,
        scope=scope if isinstance(scope, str) else "chosen parameters",
        kinds=kinds,
    )


@jax.jit
def _in_units(trees: tuple[Any, ...], scales: Any) -> tuple[Any, ...]:
    """The trees in units of their prior's standard deviations; None stays None."""
    return tuple(None if tree is None else jax.tree.map(jnp.divide, tree, scales) for tree in trees)


@compiled
def evaluate(function: AbstractFunction, u: Any, X: Array) -> Float[Array, "n k"]:
    return function.many(u, X)


@compiled
def _nll(likelihood, outputs, y):
    return likelihood.nll(outputs, y)


def _chosen(whole: JaxFunction, moved: Any, X: Array, scope: Scope) -> list[bool]:
    if isinstance(scope, str) and scope == "all":
        return [True] * len(jax.tree.leaves(moved))
    if isinstance(scope, str) and scope in ("last-layer", "last"):
        few = X[:20]
        return last_layer(lambda parameters: whole.many(parameters, few), moved)
    return named_scope(moved, scope)


def _start(start: Any, moved: Any, chosen: Any, dtype: Any) -> Any:
    now, structure = jax.tree.flatten(moved)
    leaves = jax.tree.leaves(eqx.filter(start, eqx.is_inexact_array))
    if len(leaves) != len(now):
        raise ValueError(
            f"`start` has {len(leaves)} arrays and the network {len(now)}; pass the same network "
            "as it was before training."
        )
    whole = jax.tree.unflatten(structure, [cast_to(leaf, dtype) for leaf in leaves])
    if [leaf.shape for leaf in leaves] != [leaf.shape for leaf in now]:
        raise ValueError(
            "`start` has arrays of other shapes than the network; pass the same network as it was "
            "before training."
        )
    return eqx.filter(whole, chosen)


def check_network(network: Any) -> None:
    """Raise TypeError unless `network` is a :class:`TrainedNetwork`."""
    if not isinstance(network, TrainedNetwork):
        raise TypeError(
            f"information is asked of what network(...) or from_torch(...) returns, got a "
            f"{type(network).__name__}."
        )


def as_inputs(X: Any, dtype: Any) -> Array:
    try:
        X = np.asarray(X)
    except ValueError as error:
        raise ValueError("`X` has points of different shapes; pad or cut them to one.") from error
    if not np.issubdtype(X.dtype, np.number) and X.dtype != bool:
        raise ValueError(f"`X` must hold numbers, got {X.dtype}; encode it as for training.")
    if X.ndim == 0 or len(X) == 0:
        raise ValueError(f"`X` must hold points along its first axis, got shape {X.shape}.")
    if np.issubdtype(X.dtype, np.floating):
        if not np.all(np.isfinite(X)):
            raise ValueError("`X` holds NaN or infinity; impute or drop those points.")
        return jnp.asarray(X, dtype if np.issubdtype(dtype, np.floating) else None)
    if np.issubdtype(X.dtype, np.integer) and np.issubdtype(dtype, np.floating):
        # Token indices stay what they are; the network says what to do with them.
        return jnp.asarray(X)
    return jnp.asarray(X)


def as_labels(likelihood: Any, y: Any, points: int, width: int, dtype: Any) -> Array:
    labels = likelihood.labels(y, points, width)
    return jnp.asarray(labels, dtype if np.issubdtype(labels.dtype, np.floating) else None)


def checked_outputs(whole: AbstractFunction, moved: Any, X: Array) -> Array:
    try:
        outputs, again = evaluate(whole, moved, X), evaluate(whole, moved, X)
    except Exception as error:  # whatever a user's function raises
        batched = getattr(whole, "batched", True)
        raise ValueError(
            f"the network cannot be called with {'all points' if batched else 'one point'} "
            f"of shape {X.shape if batched else X.shape[1:]} ({str(error).splitlines()[0]}); "
            "see `batched`, and close over keys and states: f(parameters, x)."
        ) from error
    if not np.all(np.isfinite(np.asarray(outputs))):
        raise ValueError(
            "the network's outputs hold NaN or infinity at some training points; check that the "
            "inputs are scaled as in training."
        )
    if not np.array_equal(np.asarray(outputs), np.asarray(again)):
        raise ValueError(
            "two evaluations of the network differ, so it is not a function of its parameters; "
            "switch dropout and other noise off (inference mode)."
        )
    return outputs


def _check_mode(model: Any) -> None:
    """Equinox's dropout needs a key unless it is in inference mode."""
    for leaf in jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, eqx.nn.Dropout)):
        if isinstance(leaf, eqx.nn.Dropout) and not leaf.inference and leaf.p != 0:
            raise ValueError(
                "the network drops units at random; pass equinox.nn.inference_mode(model)."
            )
