"""Multimodal neurons cost what they are, however they are written: one definition for all fusions and controls."""

from dataclasses import replace

import numpy as np
import pytest

from misnet.models.misnet.fusion import ConcatFusion, CrossModalAttention, FusedMLIF, FusionMLP
from misnet.models.misnet.mlif import CurrentLIF, SecondThreshold
from snncore import Tensor, count_ops, nn
from snncore.energy import RULES, apply_rule
from snncore.firing import Firing
from tests.reference.exact import check, record

SHAPE = (3, 2, 4, 3, 2)  # [T, N, H, W, C]
INPUTS = {
    "binary": lambda rng: (rng.random(SHAPE) < 0.6).astype(np.uint8),
    "graded": lambda rng: rng.integers(0, 3, SHAPE).astype(np.uint8),
    "analog": lambda rng: rng.uniform(0.1, 1.9, SHAPE).astype(np.float32),
}
WEIGHTS = {"pixel": (4, 3, 1), "channel": (2,), "none": None}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def inputs(rng, kind, weight):
    shape = WEIGHTS[weight]
    w = [None if shape is None else Tensor(rng.uniform(0.6, 1.4, shape).astype(np.float32), True) for _ in "av"]
    return [Tensor(INPUTS[kind](rng), kind == "analog") for _ in "av"] + w


def counted(neuron, *given, calls=1):
    with count_ops(backward=True, samples=2) as ops:
        for _ in range(calls):
            s = neuron(*given)
    return ops, s


@pytest.mark.parametrize("v_reset", [None, 0.0])
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("kind", INPUTS)
def test_concat_written_out_costs_what_the_mlif_costs_in_every_column(kind, weight, v_reset, rng):
    given, firing = inputs(rng, kind, weight), Firing(0.4, 0.7, v_reset)
    for alpha in (0.8, 1.0):
        fused = FusedMLIF(ConcatFusion(), firing, alpha, learn_alpha=True, stateful=True)
        plain = nn.MLIF(firing=firing, alpha=alpha, stateful=True)
        (a, of_a), (b, of_b) = counted(fused, *given, calls=2), counted(plain, *given, calls=2)
        assert 0 < sum(int(s.data.sum()) for s in of_a) == sum(int(s.data.sum()) for s in of_b)
        assert a.totals() == b.totals()
        assert a.totals()["state_read_bytes"] > 0
        for column in ("leak_mul", "charge_add", "alpha_mul", "reset_add", "compare", "w_select", "state_write_bytes"):
            assert a.by_timestep(column) == b.by_timestep(column), column
            assert a.by_sample(column) == b.by_sample(column), column
        of_b = [replace(facts, outside=False) for _, facts in b.facts()]  # its first input is o, not spikes made of it
        assert [facts for _, facts in a.facts()] == of_b
        for rule in RULES:
            found, expected = apply_rule(rule, a), apply_rule(rule, b)
            assert found.energy_mj == expected.energy_mj, rule
            assert [note.replace(" (in FusedMLIF)", "") for note in found.notes] == expected.notes, rule


@pytest.mark.parametrize("fusion", [FusionMLP, CrossModalAttention])
def test_a_fusion_with_weights_adds_itself_to_the_neuron_and_keeps_alpha_apart(fusion, rng):
    """The neuron's columns are those of the concat one; what the fusion computes comes on top, under its own name."""
    given, firing = inputs(rng, "binary", "pixel"), Firing(0.5, 0.9)
    neuron = FusedMLIF(fusion(2, rng), firing, 0.5, learn_alpha=True)
    calls, ops = record(lambda: neuron(*given))
    assert check(calls, ops) > 2
    entries = 2 * int(np.prod(SHAPE))
    own = ops.layers()["FusedMLIF"]
    assert (own["compare"], own["alpha_mul"], own["alpha_folded_mul"]) == (entries, entries, entries)
    assert own["leak_mul"] == own["leak_shift"] == entries * 2 // 3
    assert own["reset_add"] == own["spikes"] > 0
    assert own["w_select"] == sum(int(x.data.sum()) for x in given[:2])
    assert own["state_read_bytes"] == 4 * entries * 2 // 3
    assert not {"mac", "elem_mul", "elem_add"} & set(own)
    assert all(path.startswith("fusion") for path, row in ops.layers().items() if row["mac"])
    memory = apply_rule("exact-memory", ops)
    assert "memory: state" in memory.by_part()
    assert not any("no bytes" in note and "FusedMLIF" in note for note in memory.notes)


def test_the_controls_cost_what_an_mlif_costs_without_alpha(rng):
    given, firing = inputs(rng, "binary", "pixel"), Firing(0.4, 0.7)
    alone, _ = counted(nn.MLIF(firing=firing, alpha=1.0, learn_alpha=False), *given)
    neuron = CurrentLIF(nn.LIF(firing=firing))
    with count_ops(backward=True, samples=2) as ops:
        for o, w in zip(given[:2], given[2:], strict=True):
            neuron(o, w)
    assert ops.totals() == alone.totals()
    assert {facts.layer for _, facts in ops.facts()} == {"LIF"}
    scaled, _ = counted(nn.MLIF(firing=firing, alpha=0.8, learn_alpha=False), *given)
    raised, _ = counted(SecondThreshold(firing, 0.8, learn_alpha=False), *given)
    expected = dict(scaled.totals()) | {"alpha_mul": 0}
    assert dict(raised.totals()) == expected
    of_scaled = [replace(facts, outside=False) for _, facts in scaled.facts()]
    assert [facts for _, facts in raised.facts()] == of_scaled
