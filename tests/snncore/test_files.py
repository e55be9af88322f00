"""JSON that every reader takes."""

import json

import numpy as np
import pytest

from snncore.files import json_bytes


def test_what_is_no_number_becomes_null():
    content = {"a": [1, float("nan"), (float("inf"), 2.5)], "b": {"c": -float("inf"), "d": None, "e": "NaN"}}
    written = json_bytes(content)
    assert json.loads(written, parse_constant=pytest.fail) == {
        "a": [1, None, [None, 2.5]],
        "b": {"c": None, "d": None, "e": "NaN"},
    }
    assert written.endswith(b"}\n")


def test_a_float_of_numpy_is_a_float():
    assert json.loads(json_bytes({"x": np.float64("nan"), "y": np.float64(0.1)})) == {"x": None, "y": 0.1}
