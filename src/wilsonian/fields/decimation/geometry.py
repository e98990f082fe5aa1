r"""The order in which a decimated square lattice is drawn back, and what each site sees.

Octave of spacing s = L/2, ..., 2, 1. Known before it: C, both coordinates multiples of 2s. New:
D, both odd multiples of s, and E, one of each. D is drawn in the colours A and B of a
checkerboard, split once more by the parity of x/2s; E in its two orientations, each split into
checkerboards for s > 1; at s = 1 A once more, and where there are only two cells a side, every site
by itself. Sites of a colour are drawn independently, which is exact for the last three colours of
s = 1 and costs little for the others (docs/science/exact-rg.md, "Decimation").
"""

from __future__ import annotations

import dataclasses

import numpy as np

D_REACH, E_REACH = 5.2, 3.7  # radii of the shells, in units of the spacing
MOST_SHELLS = 16


@dataclasses.dataclass(frozen=True, eq=False)
class Colour:
    """Sites drawn at once. Site numbers are row-major, ``x * side + y``."""

    spacing: int
    name: str  # "top", "D...", "E..."
    sites: np.ndarray  # (sites,)
    known: np.ndarray  # (volume,) one over their number at the sites drawn before, else zero
    seen: np.ndarray  # (sites, k) site numbers within reach, shell by shell, then any of them
    orbits: np.ndarray  # (MOST_SHELLS, k) averages over each symmetric shell, zero for the rest
    exact: bool  # its law is known in closed form

    @property
    def label(self) -> str:
        return f"{self.name} at spacing {self.spacing}"


def check_side(shape: tuple[int, ...]) -> int:
    """The side of a square lattice that can be decimated; ValueError for any other."""
    side = shape[0]
    if len(shape) != 2 or shape[0] != shape[1] or side < 4 or side & (side - 1):
        raise ValueError(
            f"the lattice is {shape}; decimation halves a square, so its side must be a power of "
            'two, 4 or more: take 2^k, or method="diffusion", which serves every lattice.'
        )
    return side


def colours_of(side: int, coarsest: int | None = None) -> list[Colour]:
    """All colours in the order of drawing; from octave `coarsest` on when the sites of
    spacing ``2 * coarsest`` are known already."""
    x, y = (grid.ravel() for grid in np.indices((side, side)))
    known = np.zeros(side * side, bool)
    colours = []
    if coarsest is None:
        colours.append(_colour(side, side, "top", np.array([0]), known))
        known[0] = True
        coarsest = side // 2
    else:
        known[(x % (2 * coarsest) == 0) & (y % (2 * coarsest) == 0)] = True
    spacing = coarsest
    while spacing >= 1:
        for name, members in _octave(side, spacing, x, y):
            sites = np.nonzero(members)[0]
            if len(sites):
                colours.append(_colour(side, spacing, name, sites, known))
                known[sites] = True
        spacing //= 2
    return colours


def _octave(side: int, spacing: int, x: np.ndarray, y: np.ndarray) -> list[tuple[str, np.ndarray]]:
    double = 2 * spacing
    odd_x, odd_y = x % double == spacing, y % double == spacing
    column, row = x // double, y // double
    parity = (column + row) % 2
    corners = {"DA": odd_x & odd_y & (parity == 0), "DB": odd_x & odd_y & (parity == 1)}
    edges = {"EA": odd_x & (y % double == 0), "EB": (x % double == 0) & odd_y}
    cells = side // double
    if cells == 1:
        return [*corners.items(), *edges.items()]
    if cells == 2 and spacing > 1:  # few sites, close by on a small torus: one at a time
        return [
            (f"{name}{i}{j}", members & (column == i) & (row == j))
            for name, members in (corners | edges).items()
            for i in (0, 1)
            for j in (0, 1)
        ]
    blocks = (column // 2 + row // 2) % 2
    octave = []
    for name, members in corners.items():
        if spacing == 1 and (name == "DB" or cells == 2):
            octave.append((name, members))
        else:
            halves = (0, 1) if spacing == 1 else (None,)
            for k in (0, 1):
                for half in halves:
                    part = members & (column % 2 == k)
                    part = part if half is None else part & (blocks == half)
                    octave.append((f"{name}{k}{'' if half is None else half}", part))
    for name, members in edges.items():
        if spacing == 1:
            octave.append((name, members))
        else:
            octave += [(f"{name}{k}", members & (parity == k)) for k in (0, 1)]
    return octave


def _colour(side: int, spacing: int, name: str, sites: np.ndarray, known: np.ndarray) -> Colour:
    shells = _shells(side, spacing, name, int(sites[0]), known.reshape(side, side))
    offsets = np.concatenate(shells) if shells else np.zeros((0, 2), int)
    # Few widths in all, so that colours share what is compiled for them.
    more = _width(len(offsets)) - len(offsets)
    offsets = np.concatenate([offsets, np.repeat(offsets[:1], more, 0)])
    x, y = np.divmod(sites, side)
    seen = ((x[:, None] + offsets[:, 0]) % side) * side + (y[:, None] + offsets[:, 1]) % side
    orbits = np.zeros((MOST_SHELLS, len(offsets)), np.float32)
    start = 0
    for number, shell in enumerate(shells):
        orbits[number, start : start + len(shell)] = 1 / len(shell)
        start += len(shell)
    exact = spacing == 1 and (name.startswith("E") or name == "DB")
    share = (known / max(known.sum(), 1)).astype(np.float32)
    return Colour(spacing, name, sites, share, seen, orbits, exact)


def _width(count: int) -> int:
    """The next power of two up to 16, then the next multiple of 16; nothing stays nothing."""
    return -(-count // 16) * 16 if count > 16 else 1 << (count - 1).bit_length() if count else 0


def _shells(side: int, spacing: int, name: str, site: int, known: np.ndarray) -> list[np.ndarray]:
    """Offsets to known sites, grouped by symmetry: all of the square's for D, reflections for E."""
    x, y = divmod(site, side)
    reach = (D_REACH if name.startswith("D") else E_REACH) * spacing
    groups: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
    half = side // 2
    for dx in range(-half + 1, half + 1):
        for dy in range(-half + 1, half + 1):
            squared = dx * dx + dy * dy
            if squared == 0 or squared > reach**2 + 1e-9:
                continue
            if not known[(x + dx) % side, (y + dy) % side]:
                continue
            a, b = abs(dx), abs(dy)
            key = (squared, min(a, b), max(a, b)) if name.startswith("D") else (squared, a, b)
            groups.setdefault(key, []).append((dx, dy))
    return [np.array(groups[key]) for key in sorted(groups)][:MOST_SHELLS]
