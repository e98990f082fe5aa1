"""The pages under docs/: what code cites is there, and what pages name of tests and code exists."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CITING = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
)
# A citation may break over two lines anywhere between its words.
CITATION = re.compile(r"(docs/[\w./-]+?\.md)(?:,\s+section\s+(\d+))?")
TEST = re.compile(r"`(test_\w+\.py)::(\w+)`")
SCRIPT = re.compile(r"`((?:benchmarks|examples|tests)/\w+\.py)`")
DIFF = re.compile(r"```diff\n(.*?)```", re.DOTALL)
DOTTED = re.compile(r"`(wilsonian(?:\.\w+)+)`")


def missing_citations(text: str) -> list[str]:
    """Pages, and sections of pages, that `text` cites and that are not there."""
    missing = []
    for page, section in CITATION.findall(text):
        path = ROOT / page
        if not path.exists() or (section and f"\n## {section}. " not in path.read_text()):
            missing.append(f"{page}, section {section}" if section else page)
    return missing


def missing_tests(text: str) -> list[str]:
    """Tests and scripts that a page names and that are not there."""
    missing = [name for name in SCRIPT.findall(text) if not (ROOT / name).exists()]
    for file, test in TEST.findall(text):
        path = ROOT / "tests" / file
        if not path.exists() or f"\ndef {test}(" not in path.read_text():
            missing.append(f"{file}::{test}")
    return missing


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = dotted.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            if not hasattr(found, part) and part not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, part, None)
        return True
    return False


def test_what_code_cites_is_there():
    cited = {str(path): missing_citations(path.read_text()) for path in CITING}
    del cited[str(Path(__file__))]
    assert {path: missing for path, missing in cited.items() if missing} == {}
    assert sum(len(CITATION.findall(path.read_text())) for path in CITING) > 40


def test_docstrings_cite_pages_and_not_notes():
    """What a reader of the repository cannot open is no source."""
    for path in (ROOT / "src").rglob("*.py"):
        docstrings = (
            ast.get_docstring(node) or ""
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        )
        assert not re.search(r"science\s+notes", "\n".join(docstrings)), path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_pages_name_is_there(page):
    text = page.read_text()
    assert missing_tests(text) == []
    assert missing_citations(text) == []
    assert [name for name in DOTTED.findall(text) if not exists(name)] == []
    links = re.findall(r"\]\(([\w./-]+\.(?:md|png|html))\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def stale_hunks(diff: str) -> list[str]:
    """What hinders a reader from making the changes of a diff: files that are not there (or are
    there already), places not found just once by the lines beside them, names to import that do not
    exist, and files that are no Python afterwards."""
    new = set(re.findall(r"^\+class (\w+)", diff, re.MULTILINE))
    stale = []
    for found in re.finditer(r"--- (\S+)\n\+\+\+ (\S+)\n(.*?)(?=^--- |\Z)", diff, re.S | re.M):
        path, hunks = ROOT / found[2], re.split(r"^@@.*@@\n", found[3], flags=re.MULTILINE)[1:]
        if (found[1] == "/dev/null") == path.exists():
            stale.append(found[2])
            continue
        text = path.read_text() if path.exists() else "\n"
        for hunk in hunks:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] != "+") or "\n"
            after = "".join(line[1:] for line in lines if line[0] != "-")
            if f"\n{text}".count(f"\n{before}") != 1:
                stale.append(before)
            text = text.replace(before, after)
        for module, names in re.findall(r"^\+from (wilsonian[\w.]*) import (.+)", found[3], re.M):
            stale += [n for n in names.split(", ") if n not in new and not exists(f"{module}.{n}")]
        try:
            ast.parse(text)
        except SyntaxError as error:
            stale.append(f"{found[2]}: {error}")
    return stale


def test_worked_diffs_are_short_and_fit():
    diffs = DIFF.findall((ROOT / "docs" / "extending.md").read_text())
    assert len(diffs) == 3
    for diff in diffs:
        assert len(diff.splitlines()) < 40
        assert stale_hunks(diff) == []


def test_the_glossary_names_what_code_has():
    """Every word in backticks of its tables occurs in the source."""
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    words = set(re.findall(r"\w+", source))
    named = re.findall(r"`([\w.]+)", (ROOT / "docs" / "glossary.md").read_text())
    assert {part for name in named for part in name.split(".")} - words == set()


def test_the_checks_can_fail():
    assert stale_hunks("--- tests/none.py\n+++ tests/none.py\n@@ @@\n+x\n") == ["tests/none.py"]
    twice = "--- README.md\n+++ README.md\n@@ @@\n \n+from wilsonian import Nothing\n"
    assert stale_hunks(twice)[:2] == ["\n", "Nothing"]
    assert missing_citations("see docs/science/wilsonian.md, section 99") != []
    assert missing_citations("see docs/science/wilsonian.md,\n    section 3") == []
    assert missing_citations("see docs/science/none.md") != []
    assert missing_tests("`test_laws.py::test_nothing`, `benchmarks/none.py`") == [
        "benchmarks/none.py",
        "test_laws.py::test_nothing",
    ]
    assert exists("wilsonian.core.spectrum.Spectrum.eigenvalues")
    assert not exists("wilsonian.core.spectrum.Spectre")
