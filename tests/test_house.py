"""The house: rooms import one way, from the app down to the core, and nothing runs in a circle."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "wilsonian"
# A room imports from itself and from those before it.
ROOMS = "core support kernels networks language information fields greybox regression theory app"
FLOORS = {room: floor for floor, room in enumerate(ROOMS.split())}


def modules() -> dict[str, Path]:
    """Dotted names of all files."""
    named = {}
    for path in SOURCE.rglob("*.py"):
        parts = ("wilsonian", *path.relative_to(SOURCE).with_suffix("").parts)
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports(source: str, known) -> set[str]:
    """The files that `source` imports, wherever in it, for types only too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in known else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(known)


def graph() -> dict[str, set[str]]:
    named = modules()
    return {name: imports(path.read_text(), named) - {name} for name, path in named.items()}


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Circles left after removing, again and again, files that import nothing that is left."""
    left = {name: set(targets) for name, targets in arrows.items()}
    while free := [name for name, targets in left.items() if not targets & set(left)]:
        for name in free:
            del left[name]
    return [sorted(left)] if left else []


def between_folders(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same arrows where a room within a room is one thing, and its files are not told apart."""
    folder = {
        name: name if name.count(".") < 3 else ".".join(name.split(".")[:3]) for name in arrows
    }
    found: dict[str, set[str]] = {place: set() for place in folder.values()}
    for name, targets in arrows.items():
        found[folder[name]] |= {folder[target] for target in targets} - {folder[name]}
    return found


def upward(arrows: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Imports of a room on a higher floor."""
    floor = lambda name: FLOORS[name.split(".")[1]]  # noqa: E731
    inside = {name: targets for name, targets in arrows.items() if name.count(".")}
    pairs = ((name, t) for name, targets in inside.items() for t in targets if t.count("."))
    return [
        (name, target)
        for name, target in pairs
        if "__main__" not in name and floor(target) > floor(name)
    ]


def test_every_room_has_a_floor():
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert rooms <= set(FLOORS)


def test_no_import_runs_in_a_circle():
    assert circles(graph()) == []


def test_no_import_runs_in_a_circle_of_folders():
    assert circles(between_folders(graph())) == []


def test_no_import_runs_upward():
    assert upward(graph()) == []


@pytest.mark.parametrize(("name", "path"), sorted(modules().items()))
def test_files_read_in_one_sitting(name, path):
    assert len(path.read_text().splitlines()) <= 400


def test_the_checks_can_fail():
    assert circles({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == [["a", "b", "c"]]
    there = {"wilsonian.a.one.x": {"wilsonian.a.y"}, "wilsonian.a.y": {"wilsonian.a.one.z"}}
    there["wilsonian.a.one.z"] = set()
    assert not circles(there)
    assert circles(between_folders(there))
    assert upward({"wilsonian.core.x": {"wilsonian.app.y"}, "wilsonian.app.y": set()})
