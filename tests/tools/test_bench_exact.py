"""The benchmark of exact sums: errors of the layers of a small network, and times by arithmetic."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.tools.benchmarks import exact
from misnet.tools.benchmarks.ours import OurRun
from snncore.kernels import reference
from tests.misnet.tiny import lively, make_batch, tiny_config


def test_errors_are_those_of_one_rounding():
    config = tiny_config(channels=(8, 16))
    model = lively(config)
    rows = exact.layer_errors(model, make_batch(config)[:2])
    assert [row["layer"] for row in rows[:2]] == ["stages.0.unimodal.a.conv", "stages.0.unimodal.v.conv"]
    assert [row["density"] is None for row in rows].count(False) == sum(
        ".sew." in row["layer"] or row["layer"].startswith("stages.1.unimodal") for row in rows
    )
    for row in rows:
        assert 0 <= row["exact_rms"] <= row["exact_max"] < 1.5e-7  # 2^-24, and what the weights lose
        assert row["float32_max"] < 3e-6


def test_an_error_is_seen(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    own = reference.exact_conv_forward
    monkeypatch.setattr(reference, "exact_conv_forward", lambda x, w, *rest: own(x, w * np.float32(1.001), *rest))
    config = tiny_config()
    rows = exact.layer_errors(lively(config), make_batch(config)[:2])
    assert rows[0]["exact_max"] == pytest.approx(1e-3, rel=0.01)


def test_times_are_medians_by_kind_and_arithmetic(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    config = tiny_config()
    arrays = {name: np.array(x) for name, x in MISNet(config).state_dict().items()}
    found = exact.step_times(OurRun(config.to_dict(), arrays, make_batch(config)), 1)
    assert list(found) == ["train", "first", "again"]
    assert all(found[kind][choice] > 0 for kind in found for choice in ("float32", "exact"))
