"""The data sets inside scikit-learn, as tables: no download, class labels as text."""

from __future__ import annotations

import numpy as np

from wilsonian.app.tables.blocks import ArrayTable, TableError

# Name and the target's column name there.
TARGETS = {
    "digits": "digit",
    "diabetes": "progression",
    "breast_cancer": "diagnosis",
    "wine": "cultivar",
    "iris": "species",
    "linnerud": "Weight",
}
BUNDLED = tuple(TARGETS)


def bundled_table(name: str) -> ArrayTable:
    """A bundled data set by name.

    Classes are text, so that they are classified; numbers are regressed. Linnerud's two other
    targets are columns that are no features unless they are asked for.
    """
    if name not in TARGETS:
        raise TableError(f"there is no bundled table {name!r}; there are {', '.join(BUNDLED)}.")
    import sklearn
    import sklearn.datasets

    options = {"scaled": False} if name == "diabetes" else {}
    data = getattr(sklearn.datasets, f"load_{name}")(**options)
    target, features = TARGETS[name], [str(feature) for feature in data.feature_names]
    if data.target.ndim == 2:
        columns = dict(zip(data.target_names, data.target.T, strict=True))
    elif name == "diabetes":
        columns = {target: data.target}
    else:
        columns = {target: np.asarray(data.target_names).astype(str)[data.target]}
    image = {"image_shape": (8, 8), "image_columns": tuple(features)} if name == "digits" else {}
    return ArrayTable(
        name,
        columns,
        data.data,
        features,
        default_target=target,
        other_targets=tuple(column for column in columns if column != target),
        identity=("scikit-learn", sklearn.__version__),
        **image,
    )
