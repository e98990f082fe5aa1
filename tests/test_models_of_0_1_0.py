"""Models that version 0.1.0 saved load, and predict what they predicted then."""

from pathlib import Path

import numpy as np
import pytest

from wilsonian import load_model
from wilsonian.app.runs.fit import load_run

FOLDER = Path(__file__).parent / "references" / "models_0_1_0"
PREDICTIONS = np.load(FOLDER / "predictions.npz")
# The same machine gives the same bits; another's matrix products round otherwise. In float32 they
# do so from 1e-7 on, which the posterior's subtraction of nearly equal variances enlarges.
TOLERANCE = {"float32_network": 1e-3}


@pytest.mark.parametrize("name", ["uniform", "input_dependent", "float32_network", "classifier"])
def test_predictions_are_those_of_then(name):
    model, X = load_model(FOLDER / name), PREDICTIONS[f"{name}/inputs"]
    close = {"rtol": TOLERANCE.get(name, 1e-9)}
    if name == "classifier":
        np.testing.assert_allclose(model.predict_proba(X), PREDICTIONS[f"{name}/mean"], **close)
        return
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, PREDICTIONS[f"{name}/mean"], **close)
    np.testing.assert_allclose(std, PREDICTIONS[f"{name}/std"], **close)


def test_a_model_of_the_command_line_loads_with_its_encoding():
    run = load_run(FOLDER / "from_the_command_line")
    assert run.record.name == "iris"
    assert run.encoding.classes == ("setosa", "versicolor", "virginica")
    assert run.record.metrics["accuracy"] > 0.9
