"""Models that version 0.1.0 saved load, and predict what they predicted then."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from wilsonian.app.runs.fit import load_run

FOLDER = Path(__file__).parent / "references" / "models_0_1_0"
# `predict.rounding()` of the machine on which 0.1.0 made its predictions.
ROUNDING = "0860cce704385f396412f2b2936d1d8a31cee8990d58f81eb21391005917f31b"
# Other machines' products and exponentials round otherwise: in float64 from 1e-16 on, in float32
# from 1e-7 on, which the posterior's subtraction of nearly equal variances enlarges.
ELSEWHERE = {"float32_network": 1e-3}
# Another JAX fuses what it compiles otherwise: a few roundings of float32 on the same machine.
COMPILED_AGAIN = {"float32_network": 1e-6}


def test_predictions_are_those_of_then(tmp_path):
    """To the last bit in float64, on a machine that rounds as that of then did."""
    out = tmp_path / "predictions.npz"
    plain = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    plain |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, FOLDER / "predict.py", out], check=True, env=plain)
    then, now = np.load(FOLDER / "predictions.npz"), np.load(out)
    predicted = [name for name in then.files if not name.endswith("/inputs")]
    assert len(predicted) == 7
    for name in predicted:
        model = name.split("/")[0]
        if str(now["rounding"]) == ROUNDING:
            tolerance = COMPILED_AGAIN.get(model, 0.0)
        else:
            tolerance = ELSEWHERE.get(model, 1e-9)
        np.testing.assert_allclose(now[name], then[name], rtol=tolerance, err_msg=name)


def test_a_model_of_the_command_line_loads_with_its_encoding():
    run = load_run(FOLDER / "from_the_command_line")
    assert run.record.name == "iris"
    assert run.encoding.classes == ("setosa", "versicolor", "virginica")
    assert run.record.metrics["accuracy"] > 0.9
