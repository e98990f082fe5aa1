r"""The inverse flow by decimation: forget sites octave by octave, and draw them back with weights.

.. math:: \log q(\phi) = \sum_{\text{colours}} \log q(\phi_{\text{colour}}|\text{sites before})

A tractable density with no time steps; whatever the fit, the weights
:math:`\log w = -S(\phi) - \log q(\phi)` are exact (docs/science/exact-rg.md, "Decimation").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wilsonian.fields.actions import (
    AbstractFieldTheory,
    AbstractSiteTheory,
    compiled_action,
)
from wilsonian.fields.decimation.conditional import (
    BLOCK,
    Conditional,
    fit_conditional,
    log_values,
)
from wilsonian.fields.decimation.density import (
    draw,
    log_density_at,
    piecewise_density,
    uniforms,
)
from wilsonian.fields.decimation.exact_sites import (
    exact_laws,
    local_fields,
    neighbour_sums,
)
from wilsonian.fields.decimation.features import gather
from wilsonian.fields.decimation.first_site import FirstSite, fit_first_site
from wilsonian.fields.decimation.geometry import Colour, check_side, colours_of
from wilsonian.fields.lattice import check_fields

Progress = Callable[[str, float], None]
BATCH = 512  # fields drawn together


@dataclasses.dataclass(frozen=True, eq=False)
class DecimationFlow:
    """A fitted inverse flow of a theory on a square lattice of side 2^k."""

    theory: AbstractSiteTheory
    colours: list[Colour]
    first: FirstSite | None  # None when the coarsest sites are given
    fitted: dict[str, Conditional]  # by label, the colours that are not exact
    trained_on: int  # fields
    coarsest: int | None = None  # sites of spacing 2 * coarsest are given; None when none are
    method: str = "decimation"

    def weighted(
        self, key: jax.Array, count: int, progress: Progress | None = None, first: int = 0
    ) -> tuple[Array, np.ndarray]:
        """(fields (count, side, side), log weights -S - log q), from draw number `first` on."""
        fields, log_density = self.sample(key, count, progress, first)
        return fields, -actions(self.theory, fields) - log_density

    def log_weights_of(self, fields: Array, key: jax.Array) -> np.ndarray:
        """Log weights of given fields; the key is not used."""
        return -actions(self.theory, fields) - self.log_density(fields)

    def below(self, spacing: int) -> DecimationFlow:
        """The flow that draws the rest when the sites of a spacing are given. ValueError for one
        that is no power of two within the lattice."""
        check_spacing(spacing, self.theory.shape[0])
        colours = [colour for colour in self.colours if colour.spacing < spacing]
        return dataclasses.replace(self, colours=colours, first=None, coarsest=spacing // 2)

    def sample(
        self, key: jax.Array, count: int, progress: Progress | None = None, first: int = 0
    ) -> tuple[Array, np.ndarray]:
        """(fields (count, side, side), log density of each); the draws of a key have numbers, so
        two calls can share what one would draw."""
        fields, log_density = [], []
        for start in range(first - first % BATCH, first + count, BATCH):
            part = jax.random.fold_in(key, start)
            empty = jnp.zeros((self.theory.volume, BATCH), jnp.float32)
            drawn, density = self._draw(part, empty)
            keep = slice(max(first - start, 0), first + count - start)
            fields.append(drawn.T[keep])
            log_density.append(np.asarray(density, float)[keep])
            if progress is not None:
                progress("drawing", min((start + BATCH - first) / count, 1.0))
        return jnp.concatenate(fields).reshape(count, *self.theory.shape), np.concatenate(
            log_density
        )

    def complete(self, key: jax.Array, known: Float[Array, "count side side"]) -> tuple:
        """Draw the flow's colours into fields with the other sites given: (fields, log density)."""
        check_fields(known, self.theory.shape)
        count = known.shape[0]
        width = min(BATCH, 1 << (count - 1).bit_length())
        fields, log_density = [], []
        for start in range(0, count, width):
            rows = jnp.asarray(known[start : start + width], jnp.float32)
            rows = rows.reshape(len(rows), -1)
            keep = len(rows)
            rows = jnp.pad(rows, ((0, width - keep), (0, 0)))
            drawn, density = self._draw(jax.random.fold_in(key, start), rows.T)
            fields.append(drawn.T[:keep])
            log_density.append(np.asarray(density, float)[:keep])
        return jnp.concatenate(fields).reshape(known.shape), np.concatenate(log_density)

    def log_density(self, fields: Float[Array, "count side side"]) -> np.ndarray:
        """log q of given fields, (count,)."""
        return self.log_density_by_colour(fields).sum(0)

    def log_density_by_colour(self, fields: Float[Array, "count side side"]) -> np.ndarray:
        """What each colour adds to log q, (colours, count)."""
        check_fields(fields, self.theory.shape)
        parts = []
        for start in range(0, len(fields), BATCH):
            rows = jnp.asarray(fields[start : start + BATCH], jnp.float32)
            rows = rows.reshape(len(rows), -1)
            keep = len(rows)
            columns = jnp.pad(rows, ((0, BATCH - keep), (0, 0))).T
            values = [
                self._evaluate(colour, laws, columns)
                for colour, laws in zip(self.colours, self._laws(), strict=True)
            ]
            parts.append(np.stack([np.asarray(v, float)[:keep] for v in values]))
        return np.concatenate(parts, 1)

    def _laws(self):  # type: ignore[no-untyped-def]
        """For each colour, a function from fields (volume, count) to blocks of standard laws."""
        side = self.theory.shape[0]
        edge, corner = exact_laws(self.theory)
        for colour in self.colours:
            if colour.exact:
                sums = jnp.asarray(neighbour_sums(colour, side))
                law = edge if colour.name.startswith("E") else corner
                yield _exact_law(sums, law)
            elif colour.name == "top" and self.first is not None:
                yield _first_law(self.first)
            else:
                yield _fitted_law(colour, self.fitted[colour.label])

    def _draw(self, key: jax.Array, fields: Array) -> tuple[Array, Array]:
        total = jnp.zeros(fields.shape[1])
        for number, (colour, law) in enumerate(zip(self.colours, self._laws(), strict=True)):
            part = jax.random.fold_in(key, number)
            values, logs = [], []
            for block, (mean, sigma, log_value) in enumerate(law(fields)):
                random = uniforms(jax.random.fold_in(part, block), log_value.shape[1])
                value, log = _draw_block(mean, sigma, log_value, random)
                values.append(value)
                logs.append(log)
            fields, total = _placed(fields, total, jnp.asarray(colour.sites), values, logs)
        return fields, total

    def _evaluate(self, colour: Colour, law, fields: Array) -> Array:  # type: ignore[no-untyped-def]
        given = fields[jnp.asarray(colour.sites)]
        flat = given.reshape(1, -1)
        logs = [
            _evaluate_block(*parts, value[0])
            for parts, value in zip(law(fields), _blocks(flat), strict=True)
        ]
        return jnp.concatenate(logs)[: given.size].reshape(given.shape).sum(0)


def check_spacing(spacing: int, side: int) -> None:
    """ValueError unless the spacing is a power of two from 2 to half the side."""
    if spacing not in [1 << k for k in range(1, side.bit_length() - 1)]:
        raise ValueError(f"the spacing is {spacing}; give 2, 4, ... up to half the side of {side}.")


def actions(theory: AbstractSiteTheory, fields: Array) -> np.ndarray:
    """Action of each field, float64 on the host."""
    parts = [
        np.asarray(compiled_action(theory)(jnp.asarray(fields[start : start + 4096])), float)
        for start in range(0, len(fields), 4096)
    ]
    return np.concatenate(parts)


@jax.jit
def _placed(  # type: ignore[no-untyped-def]
    fields: Array, total: Array, sites: Array, values: list[Array], logs: list[Array]
):
    """Fields with what was drawn at the sites, and its log densities added to the total."""
    rows = sites.shape[0] * fields.shape[1]
    drawn = jnp.concatenate(values)[:rows].reshape(sites.shape[0], -1)
    return (
        fields.at[sites].set(drawn),
        total + jnp.concatenate(logs)[:rows].reshape(drawn.shape).sum(0),
    )


@jax.jit
def _draw_block(mean: Array, sigma: Array, log_value: Array, random: Array) -> tuple[Array, Array]:
    z, log = draw(piecewise_density(log_value), random)
    return mean + sigma * z, log - jnp.log(sigma)


@jax.jit
def _evaluate_block(mean: Array, sigma: Array, log_value: Array, value: Array) -> Array:
    z = (value - mean) / sigma
    return log_density_at(piecewise_density(log_value), z) - jnp.log(sigma)


def _blocks(rows: Array):  # type: ignore[no-untyped-def]
    # Two widths: a single site of one batch would leave the wide one almost empty.
    width = BATCH if rows.shape[1] <= BATCH else BLOCK
    padded = jnp.pad(rows, ((0, 0), (0, -rows.shape[1] % width)))
    for start in range(0, padded.shape[1], width):
        yield padded[:, start : start + width]


def _exact_law(sums: Array, law):  # type: ignore[no-untyped-def]
    def blocks(fields: Array):  # type: ignore[no-untyped-def]
        for part in _blocks(local_fields(fields, sums)):
            yield law(part)

    return blocks


def _fitted_law(colour: Colour, fit: Conditional):  # type: ignore[no-untyped-def]
    arrays = fit.arrays()
    places = [jnp.asarray(a) for a in (colour.seen, colour.orbits, colour.known)]

    def blocks(fields: Array):  # type: ignore[no-untyped-def]
        for part in _blocks(gather(fields, *places)):
            mean, logs = log_values(part, arrays)
            yield mean, arrays["sigma"], logs

    return blocks


def _first_law(first: FirstSite):  # type: ignore[no-untyped-def]
    logs = jnp.asarray(first.log_values, jnp.float32)[:, None]
    sigma = jnp.asarray(first.sigma, jnp.float32)

    def blocks(fields: Array):  # type: ignore[no-untyped-def]
        for part in _blocks(fields[:1]):
            width = part.shape[1]
            yield jnp.zeros(width), sigma, jnp.broadcast_to(logs, (len(logs), width))

    return blocks


def fit_decimation(
    theory: AbstractFieldTheory,
    fields: np.ndarray | Array,
    seed: int = 0,
    *,
    coarsest: int | None = None,
    ridge: float = 1e-6,
    most_rows: int = 1_000_000,
    copies: int = 4,
    progress: Progress | None = None,
) -> DecimationFlow:
    """Fit the inverse flow to fields of the theory.

    Each colour sees up to `most_rows` sites; colours of few sites see up to `copies` copies of each
    field, moved and reflected at random, which are as good draws of the theory as the field itself.
    With `coarsest` the sites of spacing ``2 * coarsest`` are taken as given. ValueError for
    lattices that cannot be decimated, NaN, and fewer than 1000 fields.
    """
    if not isinstance(theory, AbstractSiteTheory):
        raise ValueError(
            f"decimation needs a nearest-neighbour theory, not {type(theory).__name__}; use "
            'method="diffusion".'
        )
    side = check_side(theory.shape)
    check_fields(fields, theory.shape)
    data = np.asarray(fields, np.float32).reshape(len(fields), -1)
    if len(data) < 1000:
        raise ValueError(
            f"{len(data)} fields are too few to fit some hundred numbers per colour; pass 1000 "
            "or more."
        )
    rng = np.random.default_rng(seed)
    data = data[rng.permutation(len(data))]
    colours = colours_of(side, coarsest)
    first = fit_first_site(data) if coarsest is None else None
    fitted: dict[str, Conditional] = {}
    work = [colour for colour in colours if not colour.exact and colour.name != "top"]
    for done, colour in enumerate(work):
        rows, values = training_rows(colour, data, side, rng, most_rows, copies)
        fitted[colour.label] = fit_conditional(rows, values, rng, ridge=ridge)
        if progress is not None:
            progress(f"fitting {colour.label}", (done + 1) / len(work))
    return DecimationFlow(theory, colours, first, fitted, len(data), coarsest)


def training_rows(
    colour: Colour,
    data: np.ndarray,
    side: int,
    rng: np.random.Generator,
    most_rows: int,
    copies: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(inputs (inputs, rows), values (rows,)) of a colour."""
    sites = len(colour.sites)
    copies = int(np.clip(most_rows // (sites * len(data)), 1, copies))
    use = min(len(data), max(1, most_rows // sites))
    places = [jnp.asarray(a) for a in (colour.seen, colour.orbits, colour.known)]
    inputs, values = [], []
    for copy in range(copies):
        moved = data[:use] if copies == 1 else _moved(data[:use], side, rng, copy)
        for start in range(0, use, 4096):
            part = moved[start : start + 4096]
            short = 4096 - len(part) if use > 4096 else 0
            columns = np.pad(part, ((0, short), (0, 0))).T
            keep = len(part)
            rows = np.asarray(gather(jnp.asarray(columns), *places))
            rows = rows.reshape(len(rows), sites, -1)[:, :, :keep].reshape(len(rows), -1)
            inputs.append(rows)
            values.append(part.T[colour.sites].reshape(-1))
    rows, flat = np.concatenate(inputs, 1), np.concatenate(values)
    return rows, flat


def _moved(data: np.ndarray, side: int, rng: np.random.Generator, copy: int) -> np.ndarray:
    """The fields shifted at random, 64 shifts in all, and transposed in every second copy."""
    fields = data.reshape(-1, side, side)
    if copy % 2:
        fields = fields.transpose(0, 2, 1)
    parts = np.array_split(fields, 64)
    moved = [np.roll(part, rng.integers(side, size=2), (1, 2)) for part in parts]
    return np.concatenate(moved).reshape(data.shape)
