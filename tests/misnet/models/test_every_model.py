"""Every model of the registry, made small: its table of layers, and a run that is stopped and resumed bit for bit."""

import numpy as np
import pytest

from misnet.models.config import ConfigError
from misnet.models.registry import DEFAULT, MODELS, build, config_class
from misnet.models.summary import summarize
from misnet.training.run import Run, Stopped
from snncore import Tensor, arithmetic, count_ops, no_grad, observe
from snncore import functions as F
from snncore.checkpoint import load_checkpoint
from snncore.functions import MatMul
from snncore.optim import Adam
from snncore.rng import named_rng
from snncore.schedules import Constant
from tests.misnet.models.checks import batch_of
from tests.misnet.tiny import shaken, tiny_config
from tests.misnet.tiny_run import StopAfter

RESNET = {"channels": (3, 4), "blocks": (1, 1)}
PAIR = RESNET | {"stem": "cifar"}
TRANSFORMER = {"width": 16, "depth": 1, "attention_heads": 1, "mlp_ratio": 2, "v_threshold": 0.1}
SMALL = {
    "sew-resnet18": RESNET,
    "spiking-resnet18": RESNET,
    "spikformer": TRANSFORMER,
    "spike-driven-transformer": TRANSFORMER,
    "smmt": {"width": 8, "depth": 1, "attention_heads": 2, "mlp_ratio": 2, "v_threshold": 0.05},
    "emsnn": {"channels": (3,), "width": 4, "v_threshold": 0.2},
    "spikingresformer-ti": {
        "channels": (4, 4),
        "blocks": (1, 1),
        "attention_heads": (2, 1),
        "patches": (2, 1),
        "mlp_ratio": 2,
        "group": 4,
    },
    "s-cmrl": {"width": 8, "attention_heads": 2, "mlp_ratio": 2, "halvings": 2, "v_threshold": 0.2},
    "concat-resnet18": PAIR | {"ogm": "ogm-ge", "drop": "audio"},
    "pmr": PAIR,
    "qmf": PAIR,
}
"""Switches that make each model small: a new model gets a line here. Those of MISNet are in tests/misnet/tiny.py."""


def small(name):
    return config_class(name)(**({"size": 8, "timesteps": 2, "classes": 3} | SMALL[name]))


class Batches:
    """Ten samples in three batches, in an order that depends on the epoch."""

    def __init__(self, config):
        self.streams, self.labels = batch_of(config, 10)

    def __len__(self):
        return 3

    def epoch(self, number, start_batch=0):
        order = named_rng(0, "shuffle", number).permutation(10)
        for k in range(start_batch, 3):
            i = order[4 * k : 4 * k + 4]
            yield (*(x[:, i] for x in self.streams), self.labels[i])


def make_run(folder, name, **options):
    folder.mkdir(exist_ok=True)
    config = small(name)
    model = build(name, config)
    optimizer = Adam(model.named_parameters(), 0.01)
    data = {"train": Batches(config), "test": Batches(config)}
    return Run(folder, model, optimizer, Constant(0.01), epochs=2, log=lambda line: None, **data, **options)


def test_every_model_but_the_default_has_its_line_here():
    assert set(SMALL) == set(MODELS) - {DEFAULT}


@pytest.mark.parametrize("name", SMALL)
def test_the_table_of_layers_is_made(name):
    model = build(name, small(name))
    table = summarize(model).splitlines()
    assert table[-1].split() == ["total", f"{model.count_parameters():,}"]
    assert f"[N, {model.config.classes}]" in " ".join(table)


@pytest.mark.parametrize("switch", ["timesteps", "classes"])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_to_run_over_or_to_tell_apart_is_refused(name, switch):
    with pytest.raises(ConfigError, match=f"^{switch}: expected a positive integer, found 0$"):
        config_class(name)(**{switch: 0})


@pytest.mark.parametrize("name", [*SMALL, DEFAULT])
def test_a_sample_is_counted_alike_alone_and_among_others(name):
    config = small(name) if name in SMALL else tiny_config()
    model = shaken(build(name, config)).eval()
    streams, _ = batch_of(config, 1)
    found = []
    for copies in (1, 3):
        batch = [Tensor(np.repeat(x, copies, axis=1)) for x in streams]
        with no_grad(), arithmetic("exact"), count_ops(samples=copies, timesteps=config.timesteps) as ops:
            model(*batch)
        found.append({column: n / copies for column, n in ops.totals().items() if column != "weight_bytes_once"})
    assert found[0] == found[1]


def narrow_results(model, streams, labels):
    """Names of the operations of a step whose result is float32."""
    found = set()

    def look(function, inputs, outputs):
        found.update(function.name for y in outputs if y.dtype == np.float32)

    with observe(look):
        model.loss(model(*map(Tensor, streams)), labels).backward()
    return found


@pytest.mark.parametrize("name", [*SMALL, DEFAULT])
def test_a_network_in_float64_computes_nothing_in_float32(name, monkeypatch):
    config = small(name) if name in SMALL else tiny_config(block="swin", window=2, swin_heads=1)
    model = shaken(build(name, config).astype(np.float64)).train()
    streams, labels = batch_of(config, 3, np.float64)
    assert narrow_results(model, streams, labels) == set()
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(np.float64)}
    if name == "smmt":  # the check sees a product of spikes that is not told the type
        monkeypatch.setattr(F, "MatMul", lambda dtype: MatMul())
        assert "MatMul" in narrow_results(model, streams, labels)


@pytest.mark.parametrize("name", SMALL)
def test_stopped_and_resumed_a_run_repeats_bit_for_bit(tmp_path, name):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    make_run(whole, name).run()
    with pytest.raises(Stopped):
        make_run(parts, name, stop=StopAfter(2)).run()
    resumed = make_run(parts, name)
    resumed.resume()
    assert (resumed.epoch, resumed.batch) == (0, 2)
    resumed.run()
    (x, _), (y, _) = (load_checkpoint(folder / "last.safetensors") for folder in (whole, parts))
    assert x.keys() == y.keys()
    for key in x:
        np.testing.assert_array_equal(x[key], y[key], err_msg=key)
    fresh = build(name, small(name)).state_dict()
    assert all((x[f"model/{key}"] != value).any() for key, value in fresh.items())
