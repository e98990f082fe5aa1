"""Columns at prediction are what they were at the fit; what training never showed is counted and
said; dates are numbers; advice leads somewhere."""

from __future__ import annotations

import datetime
import itertools
import re

import numpy as np
import pyarrow as pa
import pytest

from wilsonian.app.tables import ArrowTable, TableError, choose_columns, open_table
from wilsonian.app.tables.encoding import Encoding, unseen_sentences
from wilsonian.app.tables.encoding_builder import EncodingBuilder


def fit(table, target="y", task="auto", **chosen):
    columns = choose_columns(table, target, **chosen)
    builder = EncodingBuilder(table, columns, task)
    for block in table.blocks([*columns.features, columns.target], 16):
        builder.update(block)
    encoding = builder.finish()
    assert Encoding.from_dict(encoding.to_dict()) == encoding
    return encoding


def csv(folder, name, text):
    (folder / name).write_text(text)
    return open_table(folder / name)


def features(encoding, table):
    """Features of a whole table, and what `unseen` counts in it."""
    table = table.read_as(encoding.kinds, encoding.dialect)
    encoding.check(table)
    (block,) = table.blocks(encoding.input_columns, 1000)
    return encoding.transform(block), encoding.unseen(block)


# Levels of a training file; and its target, so that it can be read.
TRAINING = {
    "truth values among words": ["true", "false", "maybe"],
    "truth values": ["true", "false", "true"],
    "numbers among words": ["01", "A", "B"],
    "numbers in two spellings": ["1", "1.0", "A", "B"],
    "dates among words": ["2020-01-01", "never", "2020-01-02"],
    "text that is missing elsewhere": ["x", "y", "z"],
    "large numbers among words": ["1e3", "A", "1000", "B"],
}


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("explicit", [False, True])
def test_a_level_is_the_same_in_every_file_that_holds_it(tmp_path, name, explicit):
    levels = TRAINING[name]
    rows = "".join(f"{level},{i}\n" for i, level in enumerate(levels * 3))
    whole = csv(tmp_path, "train.csv", f"flag,y\n{rows}")
    encoding = fit(whole, categorical=["flag"] if explicit else [])
    expected, unseen = features(encoding, whole)
    assert unseen == {}
    assert len(np.unique(expected, axis=0)) == len(set(levels))
    # Each alone, and each beside every other, whatever types the file then suggests.
    for size in (1, 2):
        for chosen in itertools.permutations(range(len(levels)), size):
            text = "".join(f"{levels[i]}\n" for i in chosen)
            ours, unseen = features(encoding, csv(tmp_path, "new.csv", f"flag\n{text}"))
            np.testing.assert_array_equal(ours, expected[list(chosen)])
            assert unseen == {}


def test_categories_that_are_numbers_are_read_as_numbers_among_words(tmp_path):
    train = csv(tmp_path, "train.csv", "rooms,y\n1,5\n2,6\n3,7\n1,8\n")
    encoding = fit(train, categorical=["rooms"])
    ours, unseen = features(encoding, csv(tmp_path, "new.csv", "rooms\n2.0\nstudio\n03\n"))
    np.testing.assert_array_equal(ours, [[0, 1, 0], [0, 0, 0], [0, 0, 1]])
    assert unseen == {("rooms", "level"): 1}


def test_truth_values_of_another_format_are_the_words_of_the_training_file(tmp_path):
    train = csv(tmp_path, "train.csv", "flag,y\ntrue,5\nfalse,6\nmaybe,7\n")
    encoding = fit(train)
    stored = ArrowTable("p", pa.table({"flag": [False, True]}))
    ours, unseen = features(encoding, stored)
    np.testing.assert_array_equal(ours, features(encoding, train)[0][[1, 0]])
    assert unseen == {}


def test_a_column_of_numbers_must_hold_numbers(tmp_path):
    train = csv(tmp_path, "train.csv", "size;y\n1,5;5\n2,5;6\n")
    encoding = fit(train)
    for bad, row in (("abc", 2), ("1.5", 2), ("true", 1)):
        text = f"size;z\n1,5;1\n{bad};2\n" if row == 2 else f"size;z\n{bad};2\n"
        with pytest.raises(
            TableError, match=rf"'size' .* holds '{bad}' in row {row} and must hold"
        ):
            features(encoding, csv(tmp_path, "new.csv", text))
    # The decimal comma of the training file is that of a file that leaves it open.
    with pytest.raises(TableError, match=r"1.234 with decimal points"):
        csv(tmp_path, "new.csv", "size;z\n1.234;1\n1.235;2\n")
    from wilsonian.app.tables.dialect import DialectChoice

    new = open_table(tmp_path / "new.csv", DialectChoice(like=encoding.dialect), encoding.kinds)
    assert features(encoding, new)[0][0, 0] == pytest.approx((1234 - 2) / 0.5)


def test_what_training_never_showed_is_counted_and_said(tmp_path):
    train = csv(tmp_path, "train.csv", "flag,n,y\na,1,5\nb,2,6\na,3,7\n")
    encoding = fit(train)
    new = csv(tmp_path, "new.csv", "flag,n\na,1\nc,2\n,3\nd,\nc,1\n")
    _, unseen = features(encoding, new)
    assert unseen == {("flag", "level"): 3, ("flag", "missing"): 1, ("n", "missing"): 1}
    assert unseen_sentences(unseen) == [
        "3 rows hold levels of 'flag' never seen in training.",
        "1 row lacks a value of 'flag', which no training row did.",
        "1 row lacks a value of 'n', which no training row did.",
    ]


def test_a_rare_level_is_told_from_one_never_seen():
    levels = [f"level {i:02d}" for i in range(40) for _ in range(3)]
    table = ArrowTable("t", pa.table({"c": levels, "y": np.arange(120)}))
    encoding = fit(table)
    new = ArrowTable("n", pa.table({"c": ["level 39", "level 00", "new"]}))
    ours, unseen = features(encoding, new)
    assert unseen == {("c", "level"): 1}
    np.testing.assert_array_equal(ours[0], ours[2])  # both are "other"


# Dates ------------------------------------------------------------------------------------------

DAYS = [datetime.datetime(2026, 11, 1) + datetime.timedelta(days=i, hours=5 * i) for i in range(30)]
FORMS = [
    "%Y-%m-%d %H:%M",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%d %b %Y %H:%M",
]


@pytest.mark.parametrize("form", FORMS)
def test_dates_of_every_form_are_days_weekdays_and_hours(tmp_path, form):
    rows = "".join(f"{day.strftime(form)},{i}\n" for i, day in enumerate(DAYS))
    table = csv(tmp_path, "train.csv", f"when,y\n{rows}")
    encoding = fit(table)
    names = ["days", "weekday sine", "weekday cosine", "hour sine", "hour cosine"]
    assert encoding.feature_names == [f"when ({name})" for name in names]
    ours, _ = features(encoding, table)
    since = np.array([(day - DAYS[0]).total_seconds() / 86400 for day in DAYS])
    np.testing.assert_allclose(ours[:, 0], (since - since.mean()) / since.std(), atol=1e-9)
    week = 2 * np.pi * np.array([day.weekday() for day in DAYS]) / 7
    hour = 2 * np.pi * np.array([day.hour for day in DAYS]) / 24
    circles = [np.sin(week), np.cos(week), np.sin(hour), np.cos(hour)]
    np.testing.assert_allclose(ours[:, 1:], np.stack(circles, axis=1), atol=1e-6)
    (note,) = [note for note in encoding.notes() if "is a date" in note]
    assert "days since 2026-11-01, weekday, hour of day; --dates drop" in note
    # A day that could be read in two orders is read as in training.
    row = f"when\n{DAYS[2].strftime(form)}\n"
    alone, unseen = features(encoding, csv(tmp_path, "new.csv", row))
    np.testing.assert_allclose(alone, ours[2:3], atol=1e-9)
    assert unseen == {}
    missing, unseen = features(encoding, csv(tmp_path, "new.csv", f"when\n{row[5:]}NA\n"))
    np.testing.assert_array_equal(missing[1], 0)
    assert unseen == {("when", "missing"): 1}


def test_dates_of_typed_tables_and_of_text_are_one(tmp_path):
    rows = "".join(f"{day:%Y-%m-%d},{i}\n" for i, day in enumerate(DAYS))
    text = fit(csv(tmp_path, "train.csv", f"when,y\n{rows}"))
    dates = [day.date() for day in DAYS]
    typed = ArrowTable("t", pa.table({"when": dates, "y": np.arange(30.0)}))
    assert fit(typed).dates == text.dates
    assert text.feature_names[1:] == ["when (weekday sine)", "when (weekday cosine)"]
    np.testing.assert_array_equal(features(text, typed)[0], features(fit(typed), typed)[0])


def test_dates_can_be_dropped_or_be_categories(tmp_path):
    rows = "".join(f"{day:%Y-%m-%d},{i % 7},{i}\n" for i, day in enumerate(DAYS))
    table = csv(tmp_path, "train.csv", f"when,b,y\n{rows}")
    columns = choose_columns(table, "y", dates="drop")
    assert columns.features == ("b",)
    assert columns.notes == ("'when' holds dates and is left out.",)
    assert fit(table, categorical=["when"]).feature_names[1].startswith("when=2026-11-")


def test_times_of_day_are_hours(tmp_path):
    table = csv(tmp_path, "train.csv", "at,y\n06:00:00,1\n12:00:00,2\n18:00:00,3\n")
    encoding = fit(table)
    assert encoding.feature_names == ["at (hour sine)", "at (hour cosine)"]
    expected = [[1, 0], [0, -1], [-1, 0]]
    np.testing.assert_allclose(features(encoding, table)[0], expected, atol=1e-12)


def test_dates_in_two_orders_are_an_error_that_names_both_unless_they_are_dropped(tmp_path):
    table = csv(tmp_path, "a.csv", "when,b,y\n01/02/2026,1,1\n03/04/2026,2,2\n05/06/2026,4,3\n")
    with pytest.raises(TableError, match=r"day before month or month before day.*--drop when"):
        fit(table)
    assert fit(table, exclude=["when"]).feature_names == ["b"]
    assert fit(table, categorical=["when"]).feature_names[1] == "when=01/02/2026"


# Advice -----------------------------------------------------------------------------------------

TARGETS = {
    "mostly numbers": [*map(str, range(200)), "n.a."],
    "mostly numbers, few": ["1", "2", "3"] * 30 + ["n.a."],
    "numbers as text": [f"{i}" for i in range(200)],
    "identifiers": [f"id {i}" for i in range(200)],
    "words": ["a", "b"] * 50,
    "one word": ["a"] * 50,
    "truth values": [True, False] * 50,
    "numbers": list(range(200)),
    "dates": [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(90)],
}


def refusal(table, task):
    """The sentence that a fit raises, or nothing."""
    try:
        fit(table, task=task)
    except TableError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("start", ["auto", "regression", "classification"])
def test_advice_never_leads_back_to_what_was_refused(name, start):
    values = TARGETS[name]
    table = ArrowTable("t", pa.table({"a": np.arange(len(values)), "y": values}))
    refused, task = set(), start
    while task is not None:
        said = refusal(table, task)
        refused.add(task)
        advised = re.findall(r"--task (\w+)", said)
        assert not refused & set(advised), f"{task} sends back to {advised}: {said}"
        task = advised[0] if advised else None


def test_names_with_commas_are_advised_as_the_shell_takes_them(tmp_path):
    from wilsonian.app.cli.options import names

    rows = "".join(f'"id {i}",{i},{i % 3}\n' for i in range(60))
    table = csv(tmp_path, "a.csv", f'"name, first",b,y\n{rows}')
    with pytest.raises(TableError, match="looks like an identifier") as caught:
        fit(table)
    (advice,) = re.findall(r"--drop ('[^']*')", str(caught.value))
    assert names(advice.strip("'")) == ("name, first",)
    assert fit(table, exclude=names(advice.strip("'"))).feature_names == ["b"]
