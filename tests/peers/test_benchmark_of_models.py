"""tools/benchmarks/models.py: both networks give the same scores, and each is timed as often as asked."""

from types import SimpleNamespace

import pytest

from misnet.tools.benchmarks import models

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

SMALL = {
    "spikformer": {"width": 16, "depth": 1, "attention_heads": 2},
    "spike-driven-transformer": {"width": 16, "depth": 1, "attention_heads": 2},
    "spikingresformer-ti": {"channels": (8, 12), "blocks": (1, 1), "attention_heads": (2, 3), "patches": (4, 1)}
    | {"group": 16},
    "misnet": {"channels": (4, 6), "cells": (1, 1)},
    "smmt": {"width": 16, "depth": 1, "attention_heads": 2},
    "emsnn": {"channels": (4,), "width": 8},
    "s-cmrl": {"width": 16, "attention_heads": 2, "halvings": 2},
}
GIVEN = SimpleNamespace(size=8, timesteps=2, batch=2, steps=2, gain=2.0)


@pytest.mark.parametrize("name", SMALL)
def test_twins_are_equal_and_take_turns(name):
    found = models.measure(torch, name, GIVEN, **SMALL[name])
    assert found["scores_apart"] < 1e-5  # float32
    assert found["spikes"] > 0.03
    assert len(found["ours"]) == len(found["theirs"]) == 2
    assert min(found["ours"] + found["theirs"]) >= 0


def test_other_weights_are_noticed(monkeypatch):
    monkeypatch.setattr(models, "copy_weights", lambda *_: None)
    assert models.measure(torch, "spikformer", GIVEN, **SMALL["spikformer"])["scores_apart"] > 1e-3


def test_a_row_has_medians_and_their_ratio():
    row = models.line({"model": "m", "spikes": 0.125, "ours": [1.0, 2.0, 9.0], "theirs": [4.0, 3.0, 5.0]})
    assert row == "| `m` | 0.125 | 2.00 (1.00 to 9.00) | 4.00 (3.00 to 5.00) | 2.00 |"
