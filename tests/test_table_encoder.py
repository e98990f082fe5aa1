"""Columns as the command line reads them, in scikit-learn's pipelines; kernels by their text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from wilsonian import RBF, ReducedGPRegressor
from wilsonian.app.tables import TableEncoder, TableError


def frame(rows=60):
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": np.where(np.arange(rows) % 7 == 0, np.nan, random.normal(size=rows)),
            "kind": random.choice(["a", "b", "c"], rows),
            "when": pd.date_range("2026-01-01", periods=rows, freq="31h"),
        }
    )


def test_every_kind_of_table_gives_the_same_columns(tmp_path):
    X = frame()
    encoder = TableEncoder().fit(X)
    expected = encoder.transform(X)
    assert expected.shape == (60, len(encoder.get_feature_names_out()))
    assert np.isfinite(expected).all()
    X.to_csv(tmp_path / "a.csv")
    tables = [
        pl.from_pandas(X),
        pa.Table.from_pandas(X, preserve_index=False),
        tmp_path / "a.csv",
        str(tmp_path / "a.csv"),
    ]
    for table in tables:
        np.testing.assert_allclose(encoder.transform(table), expected, atol=1e-9)
        np.testing.assert_allclose(TableEncoder().fit_transform(table), expected, atol=1e-9)


def test_it_works_in_a_pipeline_and_keeps_its_columns():
    X = frame()
    y = np.nan_to_num(X["size"]) + 3 * (X["kind"] == "b")
    model = clone(make_pipeline(TableEncoder(dates="drop"), Ridge(1e-3))).fit(X, y)
    assert model.score(X, y) > 0.95
    one = X.iloc[:1]  # alone as among the others
    np.testing.assert_allclose(model.predict(one), model.predict(X)[:1])
    names = TableEncoder(include=["kind"]).fit(X).get_feature_names_out()
    assert set(names) == {"kind=a", "kind=b", "kind=c"}


def test_what_is_no_table_gets_its_sentence():
    with pytest.raises(TableError, match=r"a table must be a DataFrame.*got ndarray"):
        TableEncoder().fit(np.zeros((3, 2)))


def test_a_kernel_may_be_given_as_text():
    random = np.random.default_rng(0)
    X = random.normal(size=(40, 2))
    y = X.sum(axis=1)
    options = {"optimizer": None, "random_state": 0, "rank": 20}
    text = ReducedGPRegressor("rbf:length_scale=2", **options).fit(X, y)
    kernel = ReducedGPRegressor(RBF(2.0), **options).fit(X, y)
    np.testing.assert_allclose(text.predict(X), kernel.predict(X), rtol=1e-10)
    with pytest.raises(ValueError, match="did you mean 'matern52'"):
        ReducedGPRegressor("matern53").fit(X, y)
