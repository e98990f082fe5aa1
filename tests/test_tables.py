"""Sources: what was written is read back, in blocks as whole, and bad files get one sentence."""

import gzip
import io
import time
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wilsonian.app.tables import TableError, array_table, choose_columns, npz_files, open_table
from wilsonian.app.tables.blocks import ArrayTable
from wilsonian.app.tables.bundled import BUNDLED

ROWS = 53
CUT = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(999)), mtime=0)[
    :-900
]


def arrow_table(rows=ROWS):
    random = np.random.default_rng(0)
    return pa.table(
        {
            "a": random.normal(size=rows),
            "b": pa.array([None if i % 7 == 0 else i for i in range(rows)]),
            "c": pa.array([None if i % 5 == 0 else f"level {i % 3}" for i in range(rows)]),
            "d": random.normal(size=rows).astype("f4"),
            "e": pa.array([i % 2 == 0 for i in range(rows)]),
        }
    )


def write(folder, kind):
    path, table = folder / f"data{kind}", arrow_table()
    if kind == ".parquet":
        pa.parquet.write_table(table, path, row_group_size=10)
    elif kind == ".npz":
        # NPZ has no missing text, so that column is left out of the comparison there.
        arrays = {n: table[n].to_numpy() for n in "abd"} | {"e": np.array(table["e"].to_pylist())}
        np.savez(path, **arrays)
    else:
        options = pa.csv.WriteOptions(delimiter="\t" if kind == ".tsv" else ",")
        sink = pa.BufferOutputStream()
        pa.csv.write_csv(table, sink, options)
        data = sink.getvalue().to_pybytes()
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    return path


def stacked(blocks, name):
    return np.concatenate([block.column(name) for block in blocks])


@pytest.fixture(scope="module", params=[".csv", ".csv.gz", ".tsv", ".parquet", ".npz"])
def table(request, tmp_path_factory):
    return open_table(write(tmp_path_factory.mktemp("tables"), request.param))


def test_values_and_missing_ones_are_read_back(table):
    assert table.rows == ROWS
    (block,) = table.blocks(table.column_names, 100)
    truth = arrow_table()
    for name in set(table.column_names) & {"a", "b", "d"}:
        expected = truth[name].to_numpy().astype(float)
        np.testing.assert_allclose(block.column(name).astype(float), expected, rtol=1e-6)
    for name in set(table.column_names) & {"c", "e"}:
        assert block.column(name).tolist() == truth[name].to_pylist()
    assert block.column("a").dtype == np.float64


def test_float32_is_kept_as_stored(tmp_path):
    for kind in (".parquet", ".npz"):
        (block,) = open_table(write(tmp_path, kind)).blocks(["d"], 100)
        assert block.column("d").dtype == np.float32


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 60), start=st.integers(0, 8))
def test_skipping_blocks_is_the_tail_of_a_full_read(table, size, start):
    names = table.column_names
    full, tail = list(table.blocks(names, size)), list(table.blocks(names, size, start))
    assert [block.rows for block in full[:-1]] == [size] * (len(full) - 1)
    assert len(tail) == max(len(full) - start, 0)
    for ours, theirs in zip(tail, full[start:], strict=True):
        np.testing.assert_array_equal(ours.row_numbers, theirs.row_numbers)
        for name in names:
            a, b = ours.column(name), theirs.column(name)
            assert np.array_equal(a, b, equal_nan=a.dtype != object)


def test_blocks_hold_only_the_columns_asked_for(table):
    block = next(table.blocks(["a"], 10))
    with pytest.raises(TableError, match=r"column 'b' is not in this block"):
        block.column("b")
    with pytest.raises(TableError, match=r"has no column 'bb'.*its columns are 'a', 'b'"):
        table.blocks(["bb"], 10)
    with pytest.raises(ValueError, match=r"`block_size` must be positive"):
        table.blocks(["a"], 0)


def test_a_selection_keeps_its_row_numbers(table):
    block = list(table.blocks(table.column_names, 20))[1]
    mask = np.arange(20) % 3 == 0
    chosen = block.select(mask)
    np.testing.assert_array_equal(chosen.row_numbers, 20 + np.flatnonzero(mask))
    for name in table.column_names:
        a, b = chosen.column(name), block.column(name)[mask]
        assert np.array_equal(a, b, equal_nan=a.dtype != object)


def test_the_fingerprint_is_of_the_file(tmp_path):
    path = write(tmp_path, ".csv")
    before = open_table(path).fingerprint()
    assert before == open_table(path).fingerprint()
    assert len(before) == 64
    path.write_text(path.read_text() + "0,1,x,2,true\n")
    assert open_table(path).fingerprint() != before


def test_skipped_row_groups_are_not_decoded(tmp_path):
    path = write(tmp_path, ".parquet")
    chunk = pa.parquet.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[4 : 4 + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(data)
    table = open_table(path)
    assert stacked(table.blocks(["a"], 10, 1), "a").shape == (ROWS - 10,)
    with pytest.raises(TableError, match=r"not a readable Parquet file"):
        list(table.blocks(["a"], 10))


@pytest.mark.parametrize("group_rows", [10_000, 1_000_000])
def test_parquet_is_read_in_bounded_memory(tmp_path, group_rows):
    random = np.random.default_rng(0)
    columns = {f"c{i}": random.normal(size=800_000) for i in range(3)}
    pa.parquet.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=group_rows)
    table, before, peak = open_table(tmp_path / "a.parquet"), pa.total_allocated_bytes(), 0
    for _ in table.blocks(list(columns), 1000):
        peak = max(peak, pa.total_allocated_bytes() - before)
    whole = 3 * 8 * 800_000
    assert peak < 0.5 * whole, f"held {peak / whole:.2f} of the table"


def test_a_matrix_is_read_by_blocks_and_an_image_keeps_its_shape(tmp_path):
    X = np.random.default_rng(0).integers(0, 255, (30, 4, 3)).astype("u1")
    np.savez(tmp_path / "images.npz", X=X, y=np.arange(30.0))
    table = open_table(tmp_path / "images.npz")
    assert table.image_shape == (4, 3)
    assert table.default_target == "y"
    names = [f"x{i}" for i in range(12)]
    assert list(table.image_columns) == names
    block = list(table.blocks([*names, "y"], 20))[1]
    whole = X.reshape(30, 12)[20:]
    np.testing.assert_array_equal(block.matrix(names), whole)
    np.testing.assert_array_equal(block.column("x5"), whole[:, 5])
    expected = np.column_stack([whole[:, 7], np.arange(20, 30), whole[:, 2]])
    np.testing.assert_array_equal(block.matrix(["x7", "y", "x2"]), expected)


def test_several_targets_are_no_features_unless_asked_for():
    table = array_table("two", {"X": np.ones((5, 2)), "y": np.ones((5, 2))})
    assert choose_columns(table).features == ("x0", "x1")
    assert choose_columns(table, include=["x0", "y1"]).features == ("x0", "y1")


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_tables_have_a_target_and_features(name):
    table = open_table(name)
    columns = choose_columns(table)
    (block,) = table.blocks([*columns.features, columns.target], 10_000)
    assert block.matrix(columns.features).shape == (table.rows, len(columns.features))
    assert columns.target not in columns.features
    assert (table.image_shape == (8, 8)) == (name == "digits")


def test_semicolons_separate_where_the_header_has_no_comma(tmp_path):
    (tmp_path / "a.csv").write_text("p;q\n1;2\n3;4\n")
    assert open_table(tmp_path / "a.csv").column_names == ["p", "q"]


def test_a_csv_column_that_turns_to_text_late_is_text(tmp_path):
    lines = [f"{i},{i}" for i in range(300_000)]
    (tmp_path / "a.csv").write_text("\n".join(["a,b", *lines, "word,1"]))
    assert open_table(tmp_path / "a.csv").kinds == {"a": "text", "b": "number"}


def test_a_csv_may_hold_a_mark_quotes_and_names_for_missing(tmp_path):
    text = '\ufeffa,b\r\n1,"two\nlines, one comma"\r\nNA,NA\r\n3,\r\n'
    (tmp_path / "a.csv").write_text(text, newline="")
    (block,) = open_table(tmp_path / "a.csv").blocks(["a", "b"], 10)
    np.testing.assert_array_equal(block.column("a"), [1.0, np.nan, 3.0])
    assert block.column("b").tolist() == ["two\nlines, one comma", None, None]


def test_an_empty_selection_is_an_empty_block(table):
    block = next(table.blocks(table.column_names, 10)).select(np.zeros(10, bool))
    assert block.matrix(["a", "b"]).shape == (0, 2)
    assert [len(block.levels(name)[0]) for name in table.column_names] == [0] * len(table.kinds)


def test_many_columns_are_chosen_and_dropped():
    table = array_table("four", {name: np.arange(3.0) for name in "abct"})
    chosen = choose_columns(table, "t", None, ["b"], ["c"])
    assert (chosen.features, chosen.target, chosen.categorical) == (("a", "c"), "t", ("c",))
    assert choose_columns(table, "t", ["c", "a"]).features == ("c", "a")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, r"does not say which column to predict; pass --target with one of 'price', 'size'"),
        ({"target": "prize"}, r"no column 'prize' \(did you mean 'price'"),
        ({"target": "price", "exclude": ["siz"]}, r"no column 'siz' \(did you mean 'size'"),
        ({"target": "price", "include": ["price", "size"]}, r"cannot also be a feature"),
        ({"target": "price", "exclude": ["price"]}, r"cannot be dropped"),
        ({"target": "price", "include": ["size"], "exclude": ["size"]}, r"included and dropped"),
        ({"target": "price", "exclude": ["size", "age"]}, r"no column of homes is left"),
        ({"target": "price", "categorical": ["price"]}, r"categorical but no feature"),
    ],
)
def test_a_bad_choice_of_columns_gets_its_sentence(arguments, sentence):
    homes = array_table("homes", {name: np.arange(3.0) for name in ("price", "size", "age")})
    with pytest.raises(TableError, match=sentence):
        choose_columns(homes, **arguments)


def parquet_bytes(table):
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def test_a_truncated_parquet_file_gets_its_sentence(tmp_path):
    data = parquet_bytes(arrow_table())
    check_file(tmp_path, "t.parquet", data[: len(data) // 2], r"it may be truncated")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("ragged.csv", b"a,b\n1,2\n3\n", r"Row #3: Expected 2 columns, got 1.*as many values"),
        ("cut.csv.gz", CUT, r"not a readable .csv.gz file"),
        ("header.csv", b"a,b\n", r"2 columns and 0 rows"),
        ("empty.csv", b"", r"is an empty file"),
        ("empty.npz", b"", r"is an empty file"),
        ("blank.csv", b"\n\n", r"holds nothing but blank lines"),
        ("twice.csv", b"a,b,a\n1,2,3\n", r"more than one column named 'a'"),
        ("nameless.csv", b",a\n0.5,1\n0.5,2\n", r"column 1 of .* has no name.*index=False"),
        ("nameless.csv", b"a,,b\n1,3,5\n2,4,6\n", r"column 2 of .* has no name"),
        ("numbers.csv", b"1.5,2\n3,4\n", r"holds numbers \('1.5', '2'\), not column names"),
        ("text.npz", b"hello there", r"not a readable NPZ file; write it again"),
        ("table.xlsx", b"PK", r"unknown extension '.xlsx'; tables are .csv"),
        ("none.parquet", parquet_bytes(arrow_table(0)), r"5 columns and 0 rows"),
        ("text.parquet", b"hello there", r"not a readable Parquet file"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_a_bad_file_gets_its_sentence(tmp_path, name, content, sentence):
    check_file(tmp_path, name, content, sentence)


def check_file(folder, name, content, sentence):
    (folder / name).write_bytes(content)
    with pytest.raises(TableError, match=sentence) as caught:
        open_table(folder / name)
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": np.array([{}, 1], dtype=object)}, r"holds Python objects: save plain arrays"),
        ({"X": np.ones(3), "y": np.ones(3)}, r"X in .* must be \(rows, columns\) or images"),
        ({"X": np.ones((3, 2)), "y": np.ones(4)}, r"of one length, got y \(4,\), X \(3, 2\)"),
        ({"x_train": np.ones((3, 2))}, r"must hold X and y.*got x_train \(3, 2\)"),
        ({"X": np.ones((0, 2)), "y": np.ones(0)}, r"0 rows"),
        ({"X": np.ones((3, 2)), "x1": np.ones(3)}, r"more than one column named 'x1'"),
        ({"X": np.array([["a"]])}, r"must be numeric, got dtype"),
        ({}, r"no arrays"),
    ],
)
def test_a_bad_npz_gets_its_sentence(tmp_path, arrays, sentence):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(TableError, match=sentence):
        open_table(tmp_path / "a.npz")


def test_a_missing_file_or_folder_gets_its_sentence(tmp_path):
    with pytest.raises(TableError, match=r"no file digts \(did you mean 'digits'"):
        open_table("digts")
    with pytest.raises(TableError, match=r"is a folder; give one file in it"):
        open_table(tmp_path)


def test_arrays_that_declare_more_than_the_file_holds_are_refused_unread(tmp_path):
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 2)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", header.getvalue() + bytes(64))
    with pytest.raises(TableError, match=r"'X.npy' declares 16,000,000,000,000 bytes .* holds"):
        open_table(path)


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "zeros.npz", X=np.zeros((1000, 10)), y=np.zeros(1000))
    assert open_table(tmp_path / "zeros.npz").rows == 1000
    monkeypatch.setattr(npz_files, "LARGEST", 10_000)
    with pytest.raises(TableError, match=r"write such a table as Parquet"):
        open_table(tmp_path / "zeros.npz")


def test_a_hundred_thousand_columns_are_checked_in_one_pass():
    names = [f"c{i}" for i in range(100_000)]
    started = time.process_time()
    table = array_table("wide", {"X": np.zeros((1, 100_000))})
    ArrayTable("wide", {}, np.zeros((1, 100_000)), names)
    assert time.process_time() - started < 5  # counting each name in turn took minutes
    assert len(table.kinds) == 100_000
