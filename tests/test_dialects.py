"""CSV dialects: what one file means is what any spreadsheet meant by it, or an error that says both
readings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wilsonian.app.tables import TableError, open_table
from wilsonian.app.tables.dialect import Dialect, DialectChoice, dialect_of, number

VALUES = [1234.5, -2.25, 0.125, 1_234_567.0, 12.0]
WORDS = ["café", "Zürich", "naïve", "plain", "été"]


def written(value, decimal, thousands):
    """A number as a spreadsheet of some country writes it."""
    text = f"{value:,.3f}" if thousands else f"{value:.3f}"
    return text.replace(",", "T").replace(".", decimal).replace("T", thousands)


def write(path, separator, decimal, thousands, encoding, newline="\n", mark=False):
    quoted = [written(v, decimal, thousands) for v in VALUES]
    rows = [f'"{q}"' if separator in q else q for q in quoted]
    lines = ["size" + separator + "place"]
    lines += [row + separator + word for row, word in zip(rows, WORDS, strict=True)]
    text = newline.join([*lines, ""])
    path.write_bytes((("\ufeff" if mark else "") + text).encode(encoding))
    return path


def read(path, *columns, **choice):
    table = open_table(path, DialectChoice(**choice))
    (block,) = table.blocks(table.column_names, 100_000)
    return [block.column(name) for name in columns or table.column_names]


COUNTRIES = [
    (decimal, thousands)
    for decimal, thousands in itertools.product(
        ".,", ["", ",", ".", "'", " ", "\N{NO-BREAK SPACE}"]
    )
    if decimal != thousands
]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize(("decimal", "thousands"), COUNTRIES)
def test_every_dialect_of_every_country_is_read_as_it_was_meant(
    tmp_path, separator, encoding, decimal, thousands
):
    path = write(tmp_path / "a.csv", separator, decimal, thousands, encoding)
    size, place = read(path)
    np.testing.assert_array_equal(size, VALUES)
    assert place.tolist() == WORDS


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_what_was_read_is_said_in_one_line(tmp_path, newline):
    path = write(tmp_path / "a.csv", ";", ",", ".", "latin-1", newline)
    reading = open_table(path).reading
    assert reading == "Read with semicolons between columns, decimal commas, WINDOWS-1252."
    path = write(tmp_path / "b.csv", "\t", ".", ",", "utf-16", newline)
    assert open_table(path).reading == "Read with tabs between columns, decimal points, UTF-16."


AMBIGUOUS = {
    "thousands or decimals": (
        'a,b\n"12,645",1\n"1,000",2\n',
        r"12645 with decimal points and 12.645",
    ),
    "points of thousands": ("a;b\n1.234;1\n2.345;2\n", r"1.234 with decimal points and 1234 with"),
    "two separators": ("a,b;c\n1,2;3\n4,5;6\n", r"2 columns between commas .* semicolons .*'a,b'"),
    "two decimal marks": ("a;b\n1,5;2.5\n2,5;3.5\n", r"points \(column 'b': '2.5'\) .* 'a': '1,5'"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_two_readings_are_an_error_that_names_both_and_its_advice_works(tmp_path, name):
    text, sentence = AMBIGUOUS[name]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(TableError, match=sentence) as caught:
        open_table(tmp_path / "a.csv")
    advice = str(caught.value)
    assert "\n" not in advice
    if "--decimal" in advice:
        assert "--decimal . or --decimal ,." in advice
        tables = [open_table(tmp_path / "a.csv", DialectChoice(decimal=mark)) for mark in ".,"]
    else:
        assert "--separator comma or --separator semicolon" in advice
        tables = [open_table(tmp_path / "a.csv", DialectChoice(separator=mark)) for mark in ",;"]
    first, second = (next(t.blocks(t.column_names, 9)) for t in tables)
    assert any(
        first.column(a).tolist() != second.column(b).tolist()
        for a, b in zip(tables[0].column_names, tables[1].column_names, strict=True)
    )


def test_another_column_settles_what_one_leaves_open(tmp_path):
    (tmp_path / "a.csv").write_text('a,b\n"12,645",$12.6\n"1,000",$3.1\n')
    a, b = read(tmp_path / "a.csv")
    np.testing.assert_array_equal(a, [12645, 1000])
    np.testing.assert_array_equal(b, [12.6, 3.1])
    notes = open_table(tmp_path / "a.csv").notes
    assert notes == ("Currency and percent signs in 'b' are left out.",)


def test_a_mark_far_behind_the_sample_is_no_guess(tmp_path):
    lines = ["a;b", *(f"{i};{i}" for i in range(6000)), "1.234;7", "1.234.567;8"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    (a,) = read(tmp_path / "a.csv", "a")
    assert a.dtype == object  # text, and refused as a feature, not a number that may be wrong
    (tmp_path / "b.csv").write_text("\n".join(["a;b", *lines[1:6001], "1,234;7"]) + "\n")
    with pytest.raises(TableError, match=r"holds '1,234', and nothing before it in the file tells"):
        open_table(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("1,234.50 €", 1234.5, None),
        ("€ 1.234,50", None, 1234.5),
        ("$12.6", 12.6, None),
        ("-$1,000", -1000.0, -1.0),
        ("(1,000.5)", -1000.5, None),
        ("12 %", 12.0, 12.0),
        ("1'234.5", 1234.5, None),
        ("1 234 567", 1234567.0, 1234567.0),
        ("\N{MINUS SIGN}5", -5.0, -5.0),
        ("1e-3", 0.001, 0.001),
        ("0,123", None, 0.123),
        ("12,34,567", None, None),
        ("1.2.3", None, None),
        ("12 34", None, None),
        ("31.12.2020", None, None),
        ("1-2", None, None),
        ("EUR", None, None),
        ("", None, None),
    ],
)
def test_one_cell_in_two_countries(text, point, comma):
    assert number(text, ".") == point
    assert number(text, ",") == comma


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=30),
    decimal=st.sampled_from(".,"),
)
def test_numbers_written_with_all_digits_come_back(tmp_path_factory, values, decimal):
    path = tmp_path_factory.mktemp("numbers") / "a.csv"
    lines = [f"{value!r};x".replace(".", decimal) for value in values]
    path.write_text("\n".join(["a;b", *lines, ""]))
    (a,) = read(path, "a", decimal=decimal)
    np.testing.assert_array_equal(a, values)


def test_blanks_around_cells_and_names_are_no_part_of_them(tmp_path):
    (tmp_path / "a.csv").write_text("a, b, c\n1, red, true\n2, NA, false\n3,red , true\n")
    table = open_table(tmp_path / "a.csv")
    assert table.kinds == {"a": "number", "b": "text", "c": "boolean"}
    _, b, _ = read(tmp_path / "a.csv")
    assert b.tolist() == ["red", None, "red"]


def test_na_can_be_a_level_and_other_marks_can_be_missing(tmp_path):
    (tmp_path / "a.csv").write_text("land,size\nNA,1\nEU,?\n,3\n")
    land, size = read(tmp_path / "a.csv")
    assert land.tolist() == [None, "EU", None]
    assert size.tolist() == ["1", "?", "3"]
    land, size = read(tmp_path / "a.csv", missing=("?",))
    assert land.tolist() == ["NA", "EU", None]
    np.testing.assert_array_equal(size, [1, np.nan, 3])
    assert read(tmp_path / "a.csv", missing=())[0].tolist() == ["NA", "EU", None]
    assert (
        "missing: '', '?'" in open_table(tmp_path / "a.csv", DialectChoice(missing=("?",))).reading
    )


INDEXES = {
    "pandas": ",a,b\n0,5,x\n1,6,y\n2,7,z\n",
    "pandas after a selection": ",a,b\n5,5,x\n1,6,y\n9,7,z\n",
    "pandas twice": "Unnamed: 0,a,b\n0,5,x\n1,6,y\n2,7,z\n",
    "R": '"","a","b"\n"1",5,"x"\n"2",6,"y"\n"3",7,"z"\n',
    "R with names": '"","a","b"\n"Mazda",5,"x"\n"Fiat",6,"y"\n"Volvo",7,"z"\n',
    "R, write.table": '"a";"b"\n"1";5;"x"\n"2";6;"y"\n"3";7;"z"\n',
    "a separator at the end": "a,b,\n5,x,\n6,y,\n7,z,\n",
    "a hint for Excel": "sep=;\na;b\n5;x\n6;y\n7;z\n",
    "blank lines first": "\n\na,b\n5,x\n6,y\n7,z\n",
    "a header of two lines": '"a","b"\n5,"x"\n6,"y"\n7,"z"\n',
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_first_column_that_only_counts_rows_is_dropped_and_said(tmp_path, name):
    (tmp_path / "a.csv").write_text(INDEXES[name])
    table = open_table(tmp_path / "a.csv")
    assert table.column_names == ["a", "b"]
    a, b = read(tmp_path / "a.csv")
    np.testing.assert_array_equal(a, [5, 6, 7])
    assert b.tolist() == ["x", "y", "z"]
    if "pandas" in name or "R" in name:
        (note,) = table.notes
        assert note.startswith("The first column, ")
        assert note.endswith("the rows and is left out.") or "tells the rows apart" in note


COMMENTS = {
    "a comment": ("# from the lab\na,b\n5,x\n6,y\n", 1),
    "two, and a hint for Excel": ("sep=;\n# from the lab\n# 2024-05-01, 7\na;b\n5;x\n6;y\n", 2),
    "as many cells as the header": ("# metres, text\r\na,b\r\n5,x\r\n6,y\r\n", 1),
    "longer than the header": ("#one,two,three,four\n\na,b\n5,x\n6,y\n", 1),
}


@pytest.mark.parametrize("name", COMMENTS)
def test_comments_before_the_header_are_left_out_and_said(tmp_path, name):
    text, count = COMMENTS[name]
    (tmp_path / "a.csv").write_bytes(text.encode())
    a, b = read(tmp_path / "a.csv")
    assert (a.tolist(), b.tolist()) == ([5, 6], ["x", "y"])
    (note,) = open_table(tmp_path / "a.csv").notes
    assert note.startswith("The line before" if count == 1 else f"The {count} lines before")


def test_a_header_that_begins_with_a_number_sign_is_one(tmp_path):
    for header in ("# a,b", "#a,b"):  # the first as numpy.savetxt writes it
        (tmp_path / "a.csv").write_text(f"{header}\n5,2\n6,3\n")
        assert read(tmp_path / "a.csv", header.split(",")[0])[0].tolist() == [5, 6]
    (tmp_path / "a.csv").write_text("#,land\nu,x\nv,y\n")
    assert read(tmp_path / "a.csv", "#", "land")[1].tolist() == ["x", "y"]


def test_a_name_of_two_lines_does_not_shift_the_rows(tmp_path):
    (tmp_path / "a.csv").write_text('"a\n(m)",b\n5,x\n6,y\n')
    assert read(tmp_path / "a.csv", "a\n(m)")[0].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"separator": "ab"}, r"--separator must be one character or comma, semicolon"),
        ({"decimal": "x"}, r"--decimal must be . or , and not 'x'"),
        ({"encoding": "klingon"}, r"there is no encoding 'klingon'"),
    ],
)
def test_a_dialect_that_is_none_gets_its_sentence(choice, sentence):
    with pytest.raises(ValueError, match=sentence):
        DialectChoice(**choice)


def test_a_file_of_another_encoding_gets_its_sentence(tmp_path):
    write(tmp_path / "a.csv", ",", ".", "", "latin-1")
    with pytest.raises(TableError, match=r"is not text in ascii.*--encoding"):
        open_table(tmp_path / "a.csv", DialectChoice(encoding="ascii"))
    (tmp_path / "b.csv").write_bytes("a,b\n1,Привет\n2,мир\n".encode("cp1251"))
    assert read(tmp_path / "b.csv", "b", encoding="cp1251")[0].tolist() == ["Привет", "мир"]


def test_the_dialect_of_a_model_is_read_again_where_a_file_leaves_it_open(tmp_path):
    (tmp_path / "a.csv").write_text("a;b\n1.234;1\n")
    german = Dialect(";", ",", "utf-8")
    assert read(tmp_path / "a.csv", like=german)[0].tolist() == [1234]
    assert read(tmp_path / "a.csv", like=german, decimal=".")[0].tolist() == [1.234]
    # A file that cannot be read in it is read in its own.
    (tmp_path / "b.csv").write_text("a,b\n1.5,1\n")
    assert read(tmp_path / "b.csv", like=german)[0].tolist() == [1.5]
    assert dialect_of(german.to_dict()) == german


def test_twenty_thousand_columns_are_read(tmp_path):
    names = [f"measured value number {i}" for i in range(20_000)]
    row = ",".join(f"{i}.5" for i in range(20_000))
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + f"{row}\n" * 3)
    table = open_table(tmp_path / "a.csv")
    (block,) = table.blocks(names[-1:], 9)
    np.testing.assert_array_equal(block.column(names[-1]), 19_999.5)
