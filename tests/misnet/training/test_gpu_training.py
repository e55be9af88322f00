"""Whole training steps as a GPU would do them: the numbers of the CPU, nothing copied, one reading at the end."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.recording import peak_memory_mib
from misnet.training.run import Run
from misnet.training.step import Diverged, Totals, evaluate, train_step
from snncore.optim import SGD, Adam
from snncore.schedules import Cosine
from tests.misnet.tiny import make_batch, tiny_config
from tests.misnet.training.gpu_step import exact, on_device, train
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")

NETWORKS = {
    "default": {},
    "cross-entropy, hard reset": {"loss": "cross-entropy", "reset": "hard"},
    "public code": {
        "pooling": "avg",
        "neuron": "clif",
        "sew": "shared",
        "surrogate": "rectangle",
        "learn_alpha": False,
    },
    "attention": {"mlif_fusion": "attention", "head": "attention"},
    "mlp, weights by channel": {"mlif_fusion": "mlp", "spatial_weight": "channel", "head": "mlp"},
    "fused charge": {"mlif": "fused-charge", "connect": "iand", "surrogate": "atan"},
    "windows, spikes fused": {
        "block": "swin",
        "window": 2,
        "swin_heads": 2,
        "mlif": "independent",
        "mlif_fusion": "mlp",
    },
    "second threshold": {"mlif": "second-threshold"},
    "independent, detached": {"mlif": "independent", "detach_reset": True, "surrogate": "triangle", "head_pool": 2},
}


@pytest.fixture
def gpu():
    with double.installed() as cupy:
        yield cupy


@pytest.mark.parametrize(
    ("name", "optimizer"), [*((n, "adam") for n in NETWORKS), ("default", "sgd"), ("default", "adamw")]
)
def test_three_steps_are_those_of_the_cpu(gpu, name, optimizer):
    config = tiny_config(channels=(4, 6), **NETWORKS[name])
    losses, totals, weights, _ = train(config, "cpu", optimizer)
    on_gpu, totals_on_gpu, weights_on_gpu, counted = train(config, "cuda", optimizer)
    np.testing.assert_allclose(on_gpu, losses, rtol=2e-6)
    assert (totals_on_gpu.spikes, totals_on_gpu.places) == (totals.spikes, totals.places)
    assert totals_on_gpu.correct == totals.correct
    assert totals.spikes > 0
    for path, w in weights.items():
        np.testing.assert_allclose(weights_on_gpu[path], w, rtol=1e-5, atol=1e-5, err_msg=path)
    for events in counted:
        launches = events.pop("launch")
        assert launches > 50
        assert events == {"d2h": 1}  # the reading; no other copy in either direction, and no waiting


def test_events_instead_of_columns_train_the_same(gpu, monkeypatch):
    config = tiny_config(channels=(4, 6))
    losses, totals, *_ = train(config, "cpu")
    monkeypatch.setenv("SNNCORE_KERNELS", "event")
    on_gpu, totals_on_gpu, *_ = train(config, "cuda")
    np.testing.assert_allclose(on_gpu, losses, rtol=2e-6)
    assert totals_on_gpu.spikes == totals.spikes


def test_steps_repeat_bit_for_bit_in_any_order_of_threads():
    config = tiny_config(channels=(4, 6))
    runs = []
    for order in (0, 1, 9):
        with double.installed(order=order):
            runs.append(train(config, "cuda", steps=2))
    for losses, totals, weights, _ in runs[1:]:
        assert losses == runs[0][0]
        assert totals == runs[0][1]
        for path, w in weights.items():
            np.testing.assert_array_equal(w, runs[0][2][path], err_msg=path)


def test_memory_does_not_grow_from_step_to_step(gpu):
    config = tiny_config(channels=(4, 6))
    model = MISNet(config).to("cuda")
    optimizer, peaks = SGD(model.named_parameters(), 0.1), []
    batch = on_device(make_batch(config), "cuda")
    for step in range(3):
        ledger.pool["peak"] = ledger.pool["held"] = ledger.pool["used"]
        train_step(model, optimizer, 0.1, batch, Totals(), step)
        peaks.append(ledger.pool["peak"])
    assert peaks[1] == peaks[2]
    assert peak_memory_mib("cuda:0") == peaks[2] / 2**20


@pytest.mark.parametrize("where", ["input", "weight", "gradient"])
def test_what_is_not_finite_stops_the_run_with_every_weight_as_it_was(gpu, where):
    config = tiny_config()
    batch = make_batch(config)
    model = MISNet(config)
    if where == "input":
        batch[0][1, 0, 2, 2, 0] = np.nan
        message = "first not finite: audio input"
    elif where == "weight":
        model.stages[0].unimodal["a"].bn.weight.data[0] = np.inf
        message = r"first not finite: parameter stages\.0\.unimodal\.a\.bn\.weight"
    else:
        model.stages[0].unimodal["v"].conv.weight.data[...] = 3e38
        message = r"first not finite: output of layer stages\.0\.unimodal\.v\.conv \(Conv2d\)"
    model.to("cuda")
    optimizer, totals = Adam(model.named_parameters(), 1e-2), Totals()
    weights = {name: x.get() for name, x in model.state_dict().items()}
    state = {name: x.copy() for name, x in optimizer.state_dict().items()}
    with pytest.raises(Diverged, match=f"^step 7: .*{message}$"):
        train_step(model, optimizer, 1e-2, on_device(batch, "cuda"), totals, step=7)
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x.get(), weights[name], err_msg=name)
    for name, x in optimizer.state_dict().items():
        np.testing.assert_array_equal(np.asarray(getattr(x, "get", lambda x=x: x)()), _host(state[name]), err_msg=name)
    assert totals == Totals()


def _host(x):
    return x if isinstance(x, np.ndarray) else x.get()


def test_evaluation_is_that_of_the_cpu(gpu):
    config = tiny_config(channels=(4, 6))
    batches = [make_batch(config, n, seed=n) for n in (4, 2)]
    with exact("cpu"):
        expected = evaluate(MISNet(config), batches)
    found = evaluate(MISNet(config).to("cuda"), batches, "cuda")
    assert (found.correct, found.spikes, found.places) == (expected.correct, expected.spikes, expected.places)
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)


class Batches:
    """Three batches an epoch, from the epoch's number."""

    def __init__(self, config):
        self.config = config

    def __len__(self):
        return 3

    def epoch(self, number, start_batch=0):
        return (make_batch(self.config, seed=10 * number + i) for i in range(start_batch, 3))


def make_run(folder, config, device, stop_after=None):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == stop_after

    folder.mkdir(exist_ok=True)
    model = MISNet(config).to(device)
    optimizer, data = Adam(model.named_parameters(), 1e-2), Batches(config)
    return Run(folder, model, optimizer, Cosine(1e-2, 6), data, data, 2, device, stop, log=lambda line: None)


def test_a_run_on_a_gpu_and_one_that_was_stopped_end_the_same(gpu, tmp_path):
    from misnet.training.run import Stopped

    config = tiny_config()
    whole = make_run(tmp_path / "whole", config, "cuda:0")
    whole.run()
    stopped = make_run(tmp_path / "stopped", config, "cuda:0", stop_after=2)
    with pytest.raises(Stopped):
        stopped.run()
    resumed = make_run(tmp_path / "stopped", config, "cuda:0")
    resumed.resume()
    assert resumed.batch == 2
    resumed.run()
    for name, x in whole.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name].get(), x.get(), err_msg=name)
    on_cpu = make_run(tmp_path / "cpu", config, "cpu")
    with exact("cpu"):
        on_cpu.run()
    for row, expected in zip(whole.rows, on_cpu.rows, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
        assert row["test_firing_rate"] == expected["test_firing_rate"]
