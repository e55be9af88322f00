"""Every rule on every model, and on MISNets of many configurations: nothing is below 0, all in its bracket."""

import pytest

from misnet import MISNet
from misnet.models.registry import build
from snncore import Tensor, count_ops, no_grad
from snncore.energy import RULES, apply_rule
from tests.misnet.models.checks import batch_of
from tests.misnet.models.test_every_model import SMALL, small
from tests.misnet.test_exact_counts import SWITCHES
from tests.misnet.tiny import make_batch, shaken, streams_of, tiny_config
from tests.snncore.energy.test_zoo import check_not_negative


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", SWITCHES)
def test_no_rule_is_negative(name, training):
    config = tiny_config(timesteps=2, size=4 if name != "public code" else 8, v_threshold=0.4, **SWITCHES[name])
    model = shaken(MISNet(config)).train(training)
    inputs = streams_of(config, n=3)
    with no_grad(), count_ops(samples=3, timesteps=2) as ops:
        model(*(Tensor(x - 1) for x in inputs))
    assert ops.samples == 3
    for rule in RULES:
        reading = apply_rule(rule, ops)
        check_not_negative(reading)
        assert reading.energy_mj > 0
        assert not any("no facts" in note or "unknown" in note for note in reading.notes)
    first = apply_rule("paper", ops).extra["first_mac"]
    assert first == sum(row["dense_mac_padded"] for path, row in ops.layers().items() if "stages.0.unimodal" in path)


@pytest.mark.parametrize("name", SMALL)
def test_no_rule_is_negative_on_any_registered_model(name, monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")  # counts are the same, and nothing is compiled
    config = small(name)
    model = shaken(build(name, config)).eval()
    streams, _ = batch_of(config, 2)
    with no_grad(), count_ops(samples=2, timesteps=config.timesteps) as ops:
        model(*map(Tensor, streams.values() if isinstance(streams, dict) else streams))
    for rule in RULES:
        reading = apply_rule(rule, ops)
        check_not_negative(reading)
        assert reading.energy_mj > 0
    assert apply_rule("exact", ops).low_mj < apply_rule("exact", ops).energy_mj


def test_averaging_fusion_of_membranes_has_no_rate():
    """The attention fusion averages membrane potentials, which may be below 0: no negative energy, and a note."""
    config = tiny_config(mlif_fusion="attention", head="attention", v_threshold=0.4)
    model, (x_a, x_v, _) = shaken(MISNet(config)).eval(), make_batch(config)
    with no_grad(), count_ops(samples=3) as ops:
        model(Tensor(x_a), Tensor(x_v))
    for rule in ("paper", "spikingresformer"):
        reading = apply_rule(rule, ops)
        assert any("analog input below 0" in note and "mlif.fusion" in note for note in reading.notes)
        assert all(energy >= 0 for energy in reading.by_layer().values())
