"""Figures drawn by processes beside are those drawn here, whatever becomes of the processes."""

import subprocess
import sys
import time

import pytest
from run_records import RUNS, page_of

from wilsonian.app.reports import draughtsmen, report_html


@pytest.fixture
def started(monkeypatch):
    """Every process that was started."""
    monkeypatch.setattr(draughtsmen, "_cores", lambda: 2)
    found, start = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *args, **named: found.append(start(*args, **named)) or found[-1]
    )
    return found


def drawn_here(monkeypatch, record):
    """The page, and how many of its figures this process drew."""
    from wilsonian.app.reports import svg

    count, render = [], svg.render
    monkeypatch.setattr(svg, "render", lambda *which: count.append(which) or render(*which))
    with draughtsmen.draughtsmen(wanted=True) as drawn:
        page = report_html(record, rendered=drawn(record))
    return page, len(count)


@pytest.mark.parametrize("name", ["classification", "colour images"])
def test_the_page_is_the_one_drawn_here(name, started, monkeypatch):
    page, here = drawn_here(monkeypatch, RUNS[name])
    assert page == page_of(name)
    assert here == 0
    assert len(started) == draughtsmen.COUNT
    assert all(process.poll() is not None for process in started)


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-c", "raise SystemExit(1)"],
        [sys.executable, "-c", "print('no pickle')"],
        [sys.executable, "-c", "import sys; sys.stdin.read(1)"],
        ["/no/such/program"],
    ],
    ids=["ends at once", "says something else", "does not draw", "is not there"],
)
def test_what_processes_do_not_draw_is_drawn_here(command, started, monkeypatch):
    monkeypatch.setattr(draughtsmen, "COMMAND", command)
    page, here = drawn_here(monkeypatch, RUNS["classification"])
    assert page == page_of("classification")
    assert here > 0
    assert all(process.poll() is not None for process in started)


@pytest.mark.parametrize(("cores", "wanted"), [(1, True), (2, False)])
def test_without_a_second_core_or_a_page_none_is_started(cores, wanted, started, monkeypatch):
    monkeypatch.setattr(draughtsmen, "_cores", lambda: cores)
    with draughtsmen.draughtsmen(wanted=wanted) as drawn:
        assert report_html(RUNS["no modes"], rendered=drawn(RUNS["no modes"])) == page_of(
            "no modes"
        )
    assert not started


def test_an_interrupted_fit_leaves_no_process(started):
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), draughtsmen.draughtsmen(wanted=True):
        raise KeyboardInterrupt
    assert all(process.poll() is not None for process in started)
    assert time.monotonic() - begun < 30  # killed, not waited for
