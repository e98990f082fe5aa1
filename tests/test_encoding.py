"""The encoding's policy: against scikit-learn's twins, streamed as whole, and one error a test."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from wilsonian.app.tables import ArrowTable, TableError, array_table, choose_columns, open_table
from wilsonian.app.tables.encoding import Encoding
from wilsonian.app.tables.encoding_builder import EncodingBuilder


def fit(table, target="y", task="auto", block_size=16, **chosen):
    columns = choose_columns(table, target, **chosen)
    builder = EncodingBuilder(table, columns, task)
    for block in table.blocks([*columns.features, columns.target], block_size):
        builder.update(block)
    return builder.finish()


def whole(table):
    (block,) = table.blocks(table.column_names, 10_000_000)
    return block


def table_of(**columns):
    return ArrowTable("homes.parquet", pa.table(columns))


def mixed(rows=200, seed=0):
    random = np.random.default_rng(seed)
    number = random.normal(3, 2, rows)
    number[random.random(rows) < 0.2] = np.nan
    text = random.choice(["red", "green", "blue", None], rows)
    return table_of(
        number=number,
        text=pa.array(text.tolist()),
        flag=random.random(rows) < 0.5,
        y=np.arange(rows),
    )


SHAPES = st.tuples(st.integers(2, 60), st.integers(1, 6))


@settings(max_examples=60, deadline=None)
@given(
    shape=SHAPES,
    seed=st.integers(0, 999),
    dtype=st.sampled_from(["f8", "f4", "i4", "u1", "i8"]),
    scale=st.sampled_from([1.0, 1e-6, 1e8]),
    offset=st.sampled_from([0.0, 1e8]),
    block_size=st.integers(1, 70),
)
def test_numbers_are_standardized_as_by_scikit_learn(shape, seed, dtype, scale, offset, block_size):
    X = np.random.default_rng(seed).normal(size=shape)
    X = (X * scale + offset).astype(dtype) if dtype[0] == "f" else (100 + 30 * X).astype(dtype)
    varying = np.ptp(X.astype(float), axis=0) > 0
    table = array_table("t", {"X": X, "y": np.arange(len(X))})
    if not varying.any():
        with pytest.raises(TableError, match=r"no feature of t varies"):
            fit(table, block_size=block_size)
        return
    encoding = fit(table, block_size=block_size)
    ours = encoding.transform(whole(table))
    assert ours.shape == (len(X), varying.sum())
    # In extended precision, because StandardScaler itself loses digits far from zero.
    exact = X[:, varying].astype(np.longdouble)
    centred = exact - exact.mean(axis=0)
    expected = centred / np.sqrt((centred**2).mean(axis=0))
    # A mean cannot be known better than one rounding of the values.
    tolerance = 1e-9 + 8 * np.finfo(float).eps * np.max(
        np.abs(exact).max(axis=0) / np.sqrt((centred**2).mean(axis=0))
    )
    np.testing.assert_allclose(ours, expected.astype(float), atol=float(tolerance), rtol=1e-7)
    if offset == 0.0:
        twin = StandardScaler().fit_transform(X[:, varying].astype(float))
        np.testing.assert_allclose(ours, twin, atol=1e-7)


@pytest.mark.parametrize("block_size", [1000, 100_000])
def test_a_column_far_from_zero_keeps_its_mean_and_spread(block_size):
    random = np.random.default_rng(0)
    x = 1e8 + 1 / 3 + 1e-6 * random.normal(size=(100_000, 2))
    encoding = fit(array_table("t", {"X": x, "y": np.arange(100_000)}), block_size=block_size)
    exact = x.astype(np.longdouble)
    for column, mean, spread in zip(encoding.numbers, exact.mean(0), exact.std(0), strict=True):
        assert abs(column.shift - float(mean)) <= 2 * np.spacing(1e8)
        assert column.scale == pytest.approx(float(spread), rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    levels=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2, max_size=50),
    block_size=st.integers(1, 60),
)
def test_levels_are_one_hot_as_by_scikit_learn(levels, block_size):
    levels = [*levels, "a", "b"]
    table = table_of(c=levels, y=np.arange(len(levels)))
    encoding = fit(table, block_size=block_size)
    order = [name.removeprefix("c=") for name in encoding.feature_names]
    assert order == sorted(set(levels), key=lambda level: (-levels.count(level), level))
    twin = OneHotEncoder(categories=[order], sparse_output=False)
    expected = twin.fit_transform(np.array(levels)[:, None])
    np.testing.assert_array_equal(encoding.transform(whole(table)), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 250), st.integers(0, 999))
def test_streaming_in_blocks_is_the_whole_to_rounding(block_size, seed):
    table = mixed(seed=seed)
    streamed, once = fit(table, block_size=block_size), fit(table, block_size=10_000)
    assert streamed.feature_names == once.feature_names
    assert streamed.notes() == once.notes()
    expected = once.transform(whole(table))
    np.testing.assert_allclose(streamed.transform(whole(table)), expected, atol=1e-12)
    parts = [streamed.transform(block) for block in table.blocks(table.column_names, block_size)]
    np.testing.assert_array_equal(np.concatenate(parts), streamed.transform(whole(table)))


def test_missing_numbers_are_imputed_as_by_scikit_learn():
    table = mixed()
    encoding = fit(table, exclude=["text", "flag"])
    number = whole(table).column("number")[:, None]
    twin = SimpleImputer(add_indicator=True).fit_transform(number)
    twin[:, :1] = StandardScaler().fit(number).transform(twin[:, :1])
    np.testing.assert_allclose(encoding.transform(whole(table)), twin, atol=1e-12)
    assert encoding.feature_names == ["number", "number (missing)"]
    assert any(f"('number' {np.isnan(number).sum()})" in note for note in encoding.notes())


def test_missing_only_at_prediction_is_the_training_mean():
    encoding = fit(table_of(a=[1.0, 2.0, 3.0], y=[1.0, 2.0, 3.0]))
    new = table_of(a=pa.array([None, 2.0, 3.0]))
    encoding.check(new)
    np.testing.assert_allclose(encoding.transform(whole(new))[:2], 0.0)


def test_rare_unseen_and_missing_levels():
    frequent = [f"level {i:02d}" for i in range(32) for _ in range(3)]
    levels = [*frequent, "rare", "rare", "seldom", None]
    encoding = fit(table_of(c=levels, y=np.arange(len(levels))))
    assert encoding.feature_names[-3:] == ["c=level 31", "c=(other)", "c=(missing)"]
    rows = encoding.transform(whole(table_of(c=["seldom", "never seen", None, "level 31"])))
    np.testing.assert_array_equal(np.argmax(rows, axis=1), [32, 32, 33, 31])
    np.testing.assert_array_equal(rows.sum(axis=1), 1.0)
    assert any("2 further levels (3 rows)" in note for note in encoding.notes())


def test_without_other_levels_an_unseen_one_is_zeros():
    encoding = fit(table_of(c=["a", "b", "a", "b"], y=np.arange(4)))
    rows = encoding.transform(whole(table_of(c=["a", "new", None])))
    np.testing.assert_array_equal(rows, [[1, 0], [0, 0], [0, 0]])


def test_whole_numbers_stay_numeric_unless_called_categorical():
    table = table_of(rooms=[1, 2, 3, 1, 2, 3], y=np.arange(6))
    assert fit(table).feature_names == ["rooms"]
    encoding = fit(table, categorical=["rooms"])
    assert encoding.feature_names == ["rooms=1", "rooms=2", "rooms=3"]
    floats = table_of(rooms=[3.0, 1.0, float("nan")])
    encoding.check(floats)
    expected = [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(encoding.transform(whole(floats)), expected)


def test_constant_columns_are_dropped_with_a_note():
    blank = [1.0, float("nan"), 1.0]
    table = table_of(a=[0.1] * 3, b=[1, 2, 3], c=["x"] * 3, d=blank, y=[1, 2, 3])
    encoding = fit(table)
    assert encoding.feature_names == ["b"]
    notes = " ".join(encoding.notes())
    assert "'a', 'd' are constant or empty and dropped" in notes
    assert "'c' is constant or empty and dropped" in notes
    assert "'d' is constant except where missing; --categorical" in notes
    encoding.check(table_of(b=[1]))  # a dropped column is not needed to predict


def test_pixels_share_one_scale_and_none_is_dropped():
    X = np.random.default_rng(0).integers(0, 255, (50, 4, 4)).astype("u1")
    X[:, 0] = 0
    table = array_table("images", {"X": X, "y": np.arange(50.0)})
    encoding = fit(table)
    assert encoding.image_shape == (4, 4)
    expected = X.reshape(50, 16) / np.sqrt(np.mean(X.astype(float) ** 2))
    np.testing.assert_allclose(encoding.transform(whole(table)), expected)
    assert fit(table, exclude=["x3"]).image_shape is None


def test_rows_without_a_target_are_left_out_of_every_statistic():
    table = table_of(a=[1.0, 2.0, 99.0], c=["p", "q", "r"], y=pa.array([1.0, 2.0, None]))
    encoding = fit(table)
    assert encoding.numbers[0].shift == 1.5
    assert encoding.feature_names == ["a", "c=p", "c=q"]
    assert "1 rows without a value of 'y' are left out." in encoding.notes()
    values, mask = encoding.target(whole(table))
    np.testing.assert_array_equal(mask, [True, True, False])
    np.testing.assert_array_equal(values[mask], [1.0, 2.0])


def test_labels_are_positions_in_the_classes():
    table = table_of(a=np.arange(4), y=pa.array(["dog", None, "cat", "dog"]))
    encoding = fit(table)
    assert (encoding.task, encoding.classes) == ("classification", ("cat", "dog"))
    values, mask = encoding.target(whole(table))
    np.testing.assert_array_equal(values, [1, -1, 0, 1])
    np.testing.assert_array_equal(mask, [True, False, True, True])
    assert encoding.target_labels(whole(table)).tolist() == ["dog", None, "cat", "dog"]
    values, mask = encoding.target(whole(table_of(y=["cow", "cat"])))
    np.testing.assert_array_equal(values, [-1, 0])
    assert mask.all()


def test_the_task_follows_the_target_unless_it_is_given():
    table = table_of(a=np.arange(12), y=[10, 9, 2] * 4)
    assert fit(table).task == "regression"
    assert fit(table, task="classification").classes == ("2", "9", "10")
    assert fit(table_of(a=[1, 2], y=[True, False])).classes == ("False", "True")
    assert fit(open_table("digits"), "digit").classes == tuple("0123456789")


@pytest.mark.parametrize("values", [[1, 2, 1, None], ["1", "2", "1", None]])
def test_categories_that_read_as_numbers_are_levels(values, tmp_path):
    chunks = [pa.array(values).dictionary_encode(), pa.array(values[1:]).dictionary_encode()]
    table = pa.table({"c": pa.chunked_array(chunks), "y": np.arange(7)})
    pa.parquet.write_table(table, tmp_path / "c.parquet", row_group_size=3)
    # Parquet keeps dictionaries of text only.
    stored = open_table(tmp_path / "c.parquet") if values[0] == "1" else ArrowTable("t", table)
    encoding = fit(stored, block_size=2)
    assert encoding.feature_names == ["c=1", "c=2", "c=(missing)"]
    expected = np.eye(3)[[0, 1, 0, 2, 1, 0, 2]]
    np.testing.assert_array_equal(encoding.transform(whole(stored)), expected)


EMPTY = pa.array([None, None, None])
IDENTIFIERS = [f"id {i}" for i in range(60)]
BAD_COLUMNS = [
    ([1.0, float("inf"), 2.0], r"column 'a' is infinite in row 2"),
    (["12", "?", "7"], r"most values of column 'a' are numbers, but row 2 holds '\?'; clean"),
    (["12", "3", "7"], r"'a' holds numbers stored as text.*--categorical a"),
    (IDENTIFIERS, r"'a' has 60 distinct values in 60 rows.*identifier; leave it out with --drop a"),
    ([[1], [2], [3]], r"holds neither numbers nor text; convert it"),
    ([2.0, 2.0, 2.0], r"no feature of homes.parquet varies"),
    ([1e200, -1e200, 3.0], r"'a' has values too large to square; divide"),
    (EMPTY, r"no feature of homes.parquet varies"),
]
BAD_TARGETS = [
    (EMPTY, "auto", r"no training row of homes.parquet has a value of the target 'y' \(3 without"),
    ([5, 5, 5], "auto", r"target 'y' has the same value, 5, in all 3 training rows"),
    (["x", "x", "x"], "auto", r"target 'y' has a single class, 'x'"),
    (["1", "2", "n.a."], "auto", r"mostly numbers \(not so: 'n.a.' in row 3\)"),
    (["x", "y", "z"], "regression", r"holds text \('x' in row 1\) and cannot be regressed"),
    ([True, False, True], "regression", r"is boolean and cannot be regressed"),
    (
        [datetime.date(2020, 1, i) for i in (1, 2, 3)],
        "auto",
        r"holds dates or times; convert.*anoth",
    ),
    (IDENTIFIERS, "auto", r"has 60 distinct labels in 60 rows"),
    ([1.0, float("-inf"), 2.0], "auto", r"column 'y' is infinite in row 2"),
    ([1.0, float("inf"), 2.0], "classification", r"column 'y' is infinite in row 2"),
]


@pytest.mark.parametrize(("values", "sentence"), BAD_COLUMNS)
def test_a_bad_column_gets_its_sentence(values, sentence):
    with pytest.raises(TableError, match=sentence):
        fit(table_of(a=values, y=np.arange(len(values))), block_size=2)


@pytest.mark.parametrize(("values", "task", "sentence"), BAD_TARGETS)
def test_a_bad_target_gets_its_sentence(values, task, sentence):
    with pytest.raises(TableError, match=sentence):
        fit(table_of(a=np.arange(len(values)), y=values), task=task, block_size=2)


def test_an_identifier_may_be_called_categorical():
    table = table_of(a=IDENTIFIERS, y=np.arange(60))
    assert fit(table, categorical=["a"]).feature_names[-1] == "a=(other)"


def test_an_unknown_task_gets_its_sentence():
    with pytest.raises(ValueError, match=r"`task` must be auto, regression or classification"):
        fit(mixed(), task="ranking")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"number": [1.0], "txt": ["a"], "y": [1]},
            r"lacks 'text', 'flag'.*also has 'txt', unused",
        ),
        ({"number": ["a"], "text": ["a"], "flag": [True]}, r"'number' holds text where.*to number"),
        ({"number": [1.0], "text": [3], "flag": [True]}, r"'text' holds number where.*to text"),
    ],
)
def test_a_table_unlike_the_training_table_gets_its_sentence(columns, sentence):
    with pytest.raises(TableError, match=sentence):
        fit(mixed()).check(table_of(**columns))


def test_a_block_unlike_the_training_table_gets_its_sentence():
    encoding = fit(mixed())
    words = table_of(number=pa.array([None, "a"]), text=["red", "red"], flag=[True, True])
    with pytest.raises(TableError, match=r"'number' must be numeric here, got 'a' in row 2"):
        encoding.transform(whole(words))
    numbers = table_of(number=[1.0], text=[3], flag=[True])
    with pytest.raises(
        TableError, match=r"'text' holds numbers where the model was fitted to text"
    ):
        encoding.transform(whole(numbers))


@pytest.mark.parametrize("table", [mixed(), open_table("digits"), open_table("iris")])
def test_an_encoding_survives_json(table):
    encoding = fit(table, table.default_target or "y")
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert again == encoding
    expected = encoding.transform(whole(table))
    np.testing.assert_array_equal(again.transform(whole(table)), expected)


def stored(**changes):
    """A stored encoding with some entries, named by their path, replaced."""
    value = fit(mixed()).to_dict()
    for path, entry in changes.items():
        *parents, last = path.split("__")
        inner = value
        for key in parents:
            inner = inner[int(key) if key.isdigit() else key]
        inner[last] = entry
    return value


DATE = {
    "name": "when",
    "first": 0.0,
    "shift": 1.0,
    "scale": 1.0,
    "parts": ["days"],
    "indicator": False,
    "form": "ISO",
}


def test_a_stored_encoding_without_the_newer_entries_is_understood():
    value = fit(mixed()).to_dict()
    for name in ("dates", "dialect", "identifiers"):
        del value[name]
    for column in value["categories"]:
        del column["kind"], column["further"]
    again = Encoding.from_dict(value)
    assert [column.kind for column in again.categories] == ["text", "boolean"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        stored(surprise=1),
        stored(numbers="none"),
        stored(numbers=[3]),
        stored(numbers=[], categories=[]),
        stored(numbers__0__scale=0.0),
        stored(numbers__0__scale=float("nan")),
        stored(numbers__0__shift="1"),
        stored(numbers__0__fill=True),
        stored(numbers__0__indicator=1),
        stored(numbers__0__name="y"),
        stored(numbers__0__name="text"),
        stored(categories__0__levels=["red", "red"]),
        stored(categories__0__levels=[1, 2]),
        stored(outcome__task="ranking"),
        stored(outcome__task="classification"),
        stored(outcome__classes=["a", "b"]),
        stored(image_shape=[8, 8]),
        stored(image_shape=[-1, 2]),
        stored(image_shape=[]),
        stored(sentences=[1]),
        stored(categories__0__kind="date"),
        stored(categories__0__further=[1]),
        stored(dates=[1]),
        stored(dates=[{**DATE, "scale": 0.0}]),
        stored(dates=[{**DATE, "parts": ["year"]}]),
        stored(dialect={}),
        stored(dialect={"separator": ";;", "decimal": ".", "encoding": "utf-8", "missing": []}),
        stored(dialect={"separator": ";", "decimal": ".", "encoding": "no such", "missing": []}),
        stored(identifiers=[1]),
    ],
)
def test_an_altered_encoding_gets_one_sentence(value):
    assert Encoding.from_dict(stored()) is not None
    with pytest.raises(ValueError, match=r"encoding|images") as caught:
        Encoding.from_dict(value)
    assert "\n" not in str(caught.value)
