"""Laws of the report: one safe, self-contained page that says what the record says."""

from __future__ import annotations

import dataclasses
import html
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from run_records import HOSTILE, RUNS, make_classification, make_regression, page_of

from wilsonian.app.figures import DRAWN_ROWS
from wilsonian.app.reports import report_html, write_report
from wilsonian.app.reports.page import describe_value, flatten
from wilsonian.app.reports.svg import Drawing, render
from wilsonian.app.reports.text import headlines


class Outline(HTMLParser):
    """Elements, ids and visible text of a page; fails on an element closed out of turn."""

    EMPTY = frozenset({"meta", "br", "link", "img"})

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data.strip())

    @property
    def visible(self) -> str:
        return " ".join(text for text in self.text if text)


@pytest.mark.parametrize(
    "name",
    [
        "regression",
        "classification",
        "classification without held-out rows",
        "one mode",
        "nothing kept",
        "no modes",
        "nothing finite",
        "colour images",
        "hostile",
        "many rows",
    ],
)
def test_every_page_is_well_formed_and_self_contained(name):
    page = page_of(name)
    outline = Outline(page)
    assert len(page) < 3_000_000
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes in outline.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for source in ("src", "href", "xlink:href", "srcset", "data"):
            target = attributes.get(source)
            if target is not None:
                assert target.startswith("data:image/png") or target[1:] in ids
        for reference in re.findall(r"url\(([^)]*)\)", " ".join(map(str, attributes.values()))):
            assert reference[1:] in ids
    assert not re.search(r"@import|https?:|//cdn", page)


def test_equal_records_give_equal_pages():
    assert report_html(dataclasses.replace(RUNS["classification"])) == page_of("classification")
    other = dataclasses.replace(RUNS["no modes"], noise_variance=0.06)
    assert report_html(other) != page_of("no modes")


@pytest.mark.parametrize("name", ["hostile", "hostile regression"])
def test_names_of_the_user_are_text_and_never_markup(name):
    page = page_of(name)
    outline = Outline(page)
    assert HOSTILE in html.unescape(page)
    assert "<script>window" not in page
    assert "img" not in [tag for tag, _ in outline.elements]
    scripts = [attributes for tag, attributes in outline.elements if tag == "script"]
    assert scripts.count({}) == 1  # ours; the others are data
    if name == "hostile":
        assert "owl #0072b2" in outline.visible  # colours are replaced in tags, not in text


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        (
            "regression",
            {
                "Typical error": ("1.03", "units of strength; 25.7% of the training"),
                "Variance explained": ("93.4%", "R²"),
                "Interval coverage": (
                    "95.3%",
                    "95% interval (as promised), 89.3% in the 90%, 48.7% in",
                ),
                "Log score": ("1.38", "NLPD"),
                "Price of the cutoff": ("0.00412", "0.39% of the held-out"),
                "Noise": ("0.05", "standard deviation is 0.224"),
                "Renormalized ridge": ("0.0731", "plus 0.0231 from"),
                "Time": ("12.3 s", "seed 7"),
            },
        ),
        (
            "classification",
            {
                "Accuracy": ("78%", "33 of 150 rows get the wrong class"),
                "Calibration error": ("2.1%", "gap"),
                "Log loss": ("0.512", "equal probabilities get 1.1"),
                "Brier score": ("0.294", "squared error"),
            },
        ),
    ],
)
def test_headline_numbers_are_those_of_the_record(name, numbers):
    page = page_of(name)
    cards = re.findall(
        r'<dt>([^<]*)</dt><dd class="value">([^<]*)</dd><dd class="meaning">([^<]*)</dd>', page
    )
    cards = {label: (value, html.unescape(meaning)) for label, value, meaning in cards}
    for label, (value, meaning) in numbers.items():
        assert cards[label][0] == value
        assert meaning in cards[label][1]
    assert "20 of 60 modes are kept; 1,437 rows teach them as far as 15.1 whole modes." in page
    assert "raises the ridge from 0.05 to 0.0731." in page


def test_details_list_the_kernel_the_parameters_and_the_notes():
    visible = Outline(page_of("regression")).visible
    for text in (
        "2.1 * Matern52(lengthscale=0.7)",
        "(40 values from 0.1 to 2)",
        "The optimizer converged after 31 steps.",
        "The inducing points reached the limit that was set.",
        "Dropped 3 rows without a target.",
    ):
        assert text in visible


def test_missing_metrics_leave_their_numbers_out():
    few = headlines(make_regression(metrics={"nlpd": 1.5, "coverage_90": 0.87}))
    assert [(h.label, h.value) for h in few[:2]] == [
        ("Interval coverage", "87%"),
        ("Log score", "1.5"),
    ]
    none = headlines(make_regression(metrics={}))
    assert [h.label for h in none] == ["Price of the cutoff", "Noise", "Renormalized ridge", "Time"]
    (error, *_) = headlines(make_classification(metrics={"error_rate": 0.1}))
    assert (error.label, error.value) == ("Error rate", "10%")


def test_without_held_out_rows_their_figures_are_left_out_with_a_sentence():
    page = page_of("regression without held-out rows")
    assert "No rows were held out" in page
    assert 'id="predictions"' not in page
    assert 'id="test-error-flow"' not in page
    assert 'id="predictions"' in page_of("regression")
    assert 'id="test-error-flow"' in page_of("regression")


def test_sampling_is_stated():
    drawn = f"({DRAWN_ROWS:,} rows drawn at random)"
    assert drawn in page_of("many rows")
    assert drawn not in page_of("regression")


def test_points_lie_where_they_are_drawn():
    def draw(ax, scale):
        ax.plot([1.0, 2.0, 5.0], [3.0, 4.0, 1.0], "o", label="dots")
        ax.axvline(3.0, label="reference")
        return ax

    drawing = Drawing("law", "A law", "", draw, lambda x, y: f"{x:g}, {y:g}")
    rendering = render(drawing, "log")
    group = re.search(r'clip-path="url\([^)]*\)">\s*((?:<use[^>]*>\s*)+)', rendering.svg)
    uses = re.findall(r'x="([-\d.]+)" y="([-\d.]+)"', group.group(1))
    places = [point[:2] for point in rendering.points]
    np.testing.assert_allclose(places, np.array(uses, float), atol=0.06)
    assert [point[2] for point in rendering.points] == ["1, 3", "2, 4", "5, 1"]


def test_hyperparameters_of_any_kind_are_described():
    nested = {"a": {"b": 1.5, "c": {"d": "text"}}, "e": None, "f": np.float32(2.0)}
    assert [(n, describe_value(v)) for n, v in flatten(nested)] == [
        ("a.b", "1.5"),
        ("a.c.d", "text"),
        ("e", "None"),
        ("f", "2"),
    ]
    assert describe_value(np.array([1.0, 2.0])) == "[1, 2]"
    assert describe_value(["a"] * 9).endswith("(9 values)")
    assert describe_value(np.array(3.0)) == "3"
    assert describe_value(np.zeros((0,))) == "[]"
    assert describe_value(True) == "True"


def test_write_report_replaces_a_file_whole(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    assert write_report(RUNS["no modes"], path) == path
    assert path.read_text(encoding="utf-8") == page_of("no modes")
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_names_that_utf_8_cannot_hold_are_written_all_the_same(tmp_path):
    run = dataclasses.replace(RUNS["no modes"], name="broken \udce4 name")
    assert "broken ? name" in write_report(run, tmp_path / "a.html").read_text(encoding="utf-8")


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"^Cannot write '.*report\.html': you may not write in"):
        write_report(RUNS["no modes"], path)
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("place", ["missing/report.html", "file/report.html", "folder", "."])
def test_impossible_places_are_named_with_what_to_try(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"^Cannot write '.*': .*; (create|choose|add) "):
        write_report(RUNS["no modes"], tmp_path / place)
    assert sorted(child.name for child in tmp_path.iterdir()) == ["file", "folder"]


def test_unwritable_folder_is_named(tmp_path, monkeypatch):
    usual = Path.open

    def refuse(path, mode="r", **options):  # chmod would not stop root
        if "r" not in mode:
            raise PermissionError(13, "Permission denied")
        return usual(path, mode, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OSError, match=r"report\.html': you may not write in .*; choose"):
        write_report(RUNS["no modes"], tmp_path / "report.html")
