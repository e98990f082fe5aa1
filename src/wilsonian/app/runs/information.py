"""From a trained network and a table to what its page says: information, prices, diagnostics."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wilsonian import information
from wilsonian.app.runs.choices import Progress
from wilsonian.app.tables import choose_columns, open_table
from wilsonian.core.coarse_graining import coarse_grain
from wilsonian.core.precision import with_precision
from wilsonian.information.halves import SplitHalves
from wilsonian.information.likelihoods import Softmax
from wilsonian.information.price_list import PriceList
from wilsonian.information.weight_files import read_weights
from wilsonian.language.architecture import read_architecture
from wilsonian.support.strict_json import to_json
from wilsonian.support.trees import raveled, unraveled

MOST_ROWS = 20_000
SUPPORT_OF = 200  # modes whose support is shown


@dataclasses.dataclass(frozen=True)
class InformationChoices:
    """What `wilsonian information` is asked for."""

    network: Path
    weights: Path
    table: str
    held_out: str | None = None
    target: str | None = None
    prior_variance: float | None = None
    weight_decay: float | None = None
    noise_variance: float | None = None
    scope: str = "all"
    cost: float = 0.01


@dataclasses.dataclass(frozen=True)
class InformationRun:
    """What was found, as plain arrays and numbers."""

    name: str
    task: str
    parameters: int
    examples: int
    outputs: int
    scope: str
    prior: str
    cost: float
    chosen: float  # cutoff that costs so much
    chosen_kept: int
    chosen_nats: float
    information: np.ndarray  # descending, the modes alone
    degrees_of_freedom: float
    nats: float
    stationarity: float
    support: np.ndarray  # of the leading modes
    halves: SplitHalves
    shares: dict[str, float]  # informed directions by parameter leaf
    sizes: dict[str, int]
    prices: PriceList
    diagnostics: tuple[str, ...]
    route: str
    plan: str
    seconds: float

    @property
    def informed(self) -> int:
        """Directions that the data determine."""
        return int(np.sum(self.information > 1))

    def record(self) -> dict[str, Any]:
        """As plain lists, dictionaries, numbers and strings."""
        apart = ("prices", "halves")
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in apart
        }
        prices = {
            field.name: getattr(self.prices, field.name)
            for field in dataclasses.fields(self.prices)
            if field.name not in ("held_out", "costs", "information")
        }
        prices |= {name: getattr(self.prices, name) for name in ("predicted", "valid")}
        held_out = self.prices.held_out
        if held_out is not None:
            prices["held_out"] = {
                field.name: getattr(held_out, field.name) for field in dataclasses.fields(held_out)
            }
        found = {"found": self.halves.found, "confirmed": self.halves.confirmed}
        return to_json({**values, "informed": self.informed, "halves": found, "prices": prices})


def information_table(
    choices: InformationChoices, progress: Progress = lambda stage, done, of: None
) -> InformationRun:
    """The information of a stored network on the table it was trained on.

    Raises ValueError for files and columns that do not fit together.
    """
    progress("reading", 0, 0)
    architecture, shape = read_architecture(choices.network)
    X, y, classes = _read(choices.table, choices.target)
    shape = (X.shape[1],) if shape is None else shape
    if int(np.prod(shape)) != X.shape[1]:
        raise ValueError(
            f"the network reads inputs of shape {tuple(shape)} and the table has {X.shape[1]} "
            "numeric columns; give the columns the network was trained on."
        )
    like = jax.eval_shape(lambda: architecture.init(jax.random.key(0), shape))
    parameters = read_weights(choices.weights, like)
    X = X.reshape(-1, *shape)
    held_out = None
    if choices.held_out is not None:
        new, labels, _ = _read(choices.held_out, choices.target, classes)
        held_out = (new.reshape(-1, *shape), labels)
    prior = choices.prior_variance
    if prior is None and choices.weight_decay is None:
        prior = 1.0
    outputs = np.asarray(architecture.apply(parameters, jax.numpy.asarray(X))).reshape(len(X), -1)
    if classes:
        _check_classes(classes, outputs.shape[1], choices)
        options: dict[str, Any] = {"likelihood": "softmax"}
    else:
        noise = choices.noise_variance
        if noise is None:
            noise = float(np.mean((outputs[:, 0] - y) ** 2))
        options = {"likelihood": "regression", "noise_variance": noise}
    network = information.network(
        architecture,
        X,
        y,
        parameters=parameters,
        prior=prior,
        weight_decay=choices.weight_decay,
        scope=choices.scope,
        **options,
    )
    decay = choices.weight_decay
    said = f"weight decay {decay:g} beside the mean loss" if decay else f"prior variance {prior:g}"
    return information_run(
        network,
        held_out,
        name=f"{choices.network.name} on {choices.table}",
        prior=said,
        cost=choices.cost,
        progress=progress,
    )


def _check_classes(classes: list[str], outputs: int, choices: InformationChoices) -> None:
    if len(classes) != outputs:
        raise ValueError(
            f"{choices.table} has {len(classes)} classes and the network {outputs} outputs, which "
            "are its classes in alphabetical order; give the whole table it was trained on."
        )
    if choices.noise_variance is not None:
        raise ValueError("classes have no --noise-variance; leave it out.")


def information_run(
    network: information.TrainedNetwork,
    held_out: Any,
    *,
    name: str,
    prior: str,
    cost: float,
    progress: Progress = lambda stage, done, of: None,
) -> InformationRun:
    """Everything that the page says about a network. Raises ValueError if `cost` is not
    positive."""
    begun = time.perf_counter()
    budget = information.AtCost(cost)
    planned = information.plan(network)
    progress("computing information", 0, 0)
    spectrum = information.spectrum(network)
    progress("splitting halves", 0, 0)
    halves = information.split_halves(network)
    progress("measuring prices", 0, 0)
    prices = spectrum.prices(held_out)
    small = coarse_grain(spectrum, budget)
    leaves = jax.tree.leaves(network.point)
    return InformationRun(
        name=name,
        task="classification" if isinstance(network.likelihood, Softmax) else "regression",
        parameters=network.size,
        examples=network.examples,
        outputs=network.width,
        scope=network.scope,
        prior=prior,
        cost=cost,
        chosen=prices.choose(cost),
        chosen_kept=small.kept,
        chosen_nats=small.nats,
        information=np.asarray(spectrum.information[:-1]),
        degrees_of_freedom=spectrum.degrees_of_freedom,
        nats=spectrum.nats,
        stationarity=spectrum.stationarity,
        support=spectrum.support()[:SUPPORT_OF],
        halves=halves,
        shares=spectrum.by_parameter(),
        sizes=dict(zip(network.names(), (leaf.size for leaf in leaves), strict=True)),
        prices=prices,
        diagnostics=information.diagnostics(spectrum),
        route=spectrum.route,
        plan=str(planned),
        seconds=time.perf_counter() - begun,
    )


def _read(
    name: str, target: str | None, classes: list[str] | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Inputs as they stand in the table, labels, and the classes (none: numbers)."""
    table = open_table(name)
    columns = choose_columns(table, target)
    inputs, labels, texts = [], [], []
    for block in table.blocks([*columns.features, columns.target], 4096):
        inputs.append(block.matrix(columns.features))
        if block.is_number(columns.target):
            labels.append(block.column(columns.target).astype(float))
        else:
            codes, levels = block.levels(columns.target)
            texts.append(np.array([*levels, ""], dtype=object)[codes])
        if sum(map(len, inputs)) > MOST_ROWS:
            raise ValueError(
                f"{table.name} has more than {MOST_ROWS:,} rows; give a sample of those the "
                "network was trained on."
            )
    X = np.concatenate(inputs)
    if not np.all(np.isfinite(X)):
        raise ValueError(
            f"{table.name} has missing or infinite inputs; the network needs the rows as it was "
            "trained on them."
        )
    if not texts:
        return X, np.concatenate(labels), []
    found = np.concatenate(texts).astype(str)
    classes = sorted(set(found)) if classes is None else classes
    strange = sorted(set(found) - set(classes))
    if strange:
        raise ValueError(f"{table.name} has the class {strange[0]!r}, unknown from training.")
    place = {text: index for index, text in enumerate(classes)}
    return X, np.array([place[text] for text in found]), classes


def demo_network(seed: int = 0) -> tuple[information.TrainedNetwork, Any]:
    """A small classifier of digits, trained here to its minimum, and held-out digits."""
    import scipy.optimize
    from sklearn.datasets import load_digits

    from wilsonian.networks import Dense, Relu, serial

    X, y = load_digits(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(X))
    X, y = X[order] / 8 - 1, y[order]
    hidden = Dense(16, weight_variance=16.0, bias_variance=1.0)
    layers = serial(hidden, Relu(), Dense(10, weight_variance=16.0, bias_variance=1.0))
    start = with_precision(layers.init(jax.random.key(seed), (64,)), float)
    likelihood = Softmax()
    with jax.enable_x64(True):
        inputs, labels = jax.numpy.asarray(X[:1000]), jax.numpy.asarray(y[:1000])

        @jax.jit
        @jax.value_and_grad
        def loss(vector: Any) -> Any:
            outputs = layers.apply(unraveled(vector, start), inputs)
            return jax.numpy.sum(likelihood.nll(outputs, labels)) + vector @ vector / 2

        found = scipy.optimize.minimize(
            lambda vector: tuple(np.asarray(part, float) for part in loss(vector)),
            raveled(start),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 1500, "maxfun": 3000, "maxcor": 30, "ftol": 0, "gtol": 1e-4},
        )
        parameters = unraveled(found.x, start)
    network = information.network(
        layers, X[:1000], y[:1000], parameters=parameters, likelihood="softmax", prior=1.0
    )
    return network, (X[1000:], y[1000:])
