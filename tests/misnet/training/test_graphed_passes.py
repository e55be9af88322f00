"""Evaluation recorded as CUDA graphs, on the double: the same bits as batches that are launched kernel by kernel."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.graphed_passes import GraphedPasses, Network
from misnet.training.recording import FiringRates
from misnet.training.run import Run
from misnet.training.step import evaluate, look
from snncore import arithmetic, observe
from snncore.nn import BatchNorm, Linear, Module, Parameter
from snncore.optim import Adam
from snncore.schedules import Cosine
from tests.misnet.tiny import make_batch, tiny_config
from tests.misnet.training.gpu_step import on_device
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")
ON = "CUDA graph of the evaluation: on: a recorded batch gives the same bits as one that is launched"


def small(**switches):
    return tiny_config(**{"size": 4, "timesteps": 2} | switches)


@pytest.fixture
def gpu():
    with double.installed() as cupy:
        yield cupy


def make(config, samples, seed=0):
    """(network on the device, batches of so many samples there)."""
    model = MISNet(config, seed=1).to("cuda")
    return model, [on_device(make_batch(config, n, seed=seed + k), "cuda") for k, n in enumerate(samples)]


def assert_same(model, batches, passes):
    """All that an evaluation tells is what it tells without graphs; returns how often one was launched."""
    told = []
    for way in (None, passes):
        scores, rates, before = [], FiringRates(), ledger.events["graph"]
        totals = evaluate(model, batches, "cuda", lambda s, _, to=scores: to.append(s), rates, passes=way)
        counts = {path: (rates.spikes[path], rates.places[path]) for path in rates.places}
        told.append((totals.to_dict(), counts, [x.data.get().tobytes() for s in scores for x in s.values()]))
    assert told[0] == told[1]
    return ledger.events["graph"] - before


def test_whole_batches_are_recorded_at_once_and_the_last_one_in_the_second_epoch(gpu):
    lines = []
    model, batches = make(small(), (3, 3, 3, 2))
    passes = GraphedPasses(model, lines.append)
    assert assert_same(model, batches, passes) == 2  # the first is launched, the second runs both ways
    assert assert_same(model, batches, passes) == 4  # the last runs both ways
    assert assert_same(model, batches, passes) == 4
    assert lines == [ON]
    ledger.clear()
    model.train()
    evaluate(model, batches, "cuda", passes=passes)
    assert ledger.events == {"graph": 4, "d2h": 4}  # nothing but the reading of each batch
    assert not model.training
    third = make(small(), (1, 1, 1))[1]
    assert assert_same(model, third, passes) == 0  # a third shape has no recording


def test_a_batch_that_is_launched_waits_once_too(gpu):
    model, batches = make(small(), (3,))
    evaluate(model, batches, "cuda")
    ledger.clear()
    evaluate(model, batches, "cuda")
    assert ledger.events["d2h"] == 1
    assert ledger.events["sync"] == ledger.events["h2d"] == 0


def test_weights_that_change_are_read_and_others_recorded_anew(gpu):
    model, batches = make(small(), (3, 3))
    passes = GraphedPasses(model)
    assert_same(model, batches, passes)
    p = model.stages[0].unimodal["a"].conv.weight
    p.data *= 2
    assert assert_same(model, batches, passes) == 2
    p.data = p.data * 0.25  # another array
    assert assert_same(model, batches, passes) == 1  # launched, then recorded
    assert assert_same(model, batches, passes) == 2


def test_in_exact_arithmetic_there_is_a_recording_of_its_own(gpu):
    model, batches = make(small(), (2, 2))
    passes = GraphedPasses(model)
    assert_same(model, batches, passes)
    with arithmetic("exact"):
        assert assert_same(model, batches, passes) == 1
        assert assert_same(model, batches, passes) == 2
    assert assert_same(model, batches, passes) == 2


def test_who_observes_layers_sees_them(gpu):
    model, batches = make(small(), (2, 2, 2))
    passes, seen = GraphedPasses(model), []
    evaluate(model, batches, "cuda", passes=passes)
    before = ledger.events["graph"]
    with observe(lambda function, inputs, outputs: seen.append(function)):
        evaluate(model, batches, "cuda", passes=passes)
    assert len(seen) > 30
    assert ledger.events["graph"] == before


def test_a_recording_that_gives_other_bits_is_given_up(gpu, monkeypatch):
    lines = []
    model, batches = make(small(), (2, 2, 2))
    passes = GraphedPasses(model, lines.append)
    again = passes._again
    monkeypatch.setattr(passes, "_again", lambda r, recording, batch: again(r, recording, [2 * x for x in batch]))
    assert assert_same(model, batches, passes) == 1
    assert lines == [
        "CUDA graph of the evaluation: off: "
        "a recorded batch does not give the same bits as one that is launched kernel by kernel"
    ]
    assert assert_same(model, batches, passes) == 0


def test_a_network_that_cannot_be_recorded_says_why_once(gpu, monkeypatch):
    lines = []
    model, batches = make(small(), (2, 2, 2))
    loss = model.loss
    monkeypatch.setattr(model, "loss", lambda scores, labels: (labels.get(), loss(scores, labels))[1], raising=False)
    passes = GraphedPasses(model, lines.append)
    assert assert_same(model, batches, passes) == 0
    assert lines == ["CUDA graph of the evaluation: off: RuntimeError: d2h while a stream is capturing"]


def test_on_a_cpu_batches_run_as_ever(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    lines = []
    model, batch = MISNet(small(), seed=1), make_batch(small())
    passes = GraphedPasses(model, lines.append)
    assert evaluate(model, [batch, batch], passes=passes) == evaluate(model, [batch, batch])
    assert lines == ["CUDA graph of the evaluation: off: the arrays are not on a GPU"]


@pytest.mark.parametrize(
    "change",
    [
        lambda net: setattr(net.a.weight, "data", net.a.weight.data.copy()),
        lambda net: setattr(net.bn.running_mean, "data", net.bn.running_mean.data.copy()),
        lambda net: setattr(net.a, "bias", Parameter(net.a.bias.data)),
        lambda net: setattr(net, "a", Linear(2, 2)),
        lambda net: setattr(net, "b", Linear(2, 2)),
        lambda net: delattr(net, "a"),
    ],
)
def test_what_else_a_network_may_become_is_seen(change):
    net = Module()
    net.a, net.bn = Linear(2, 2), BatchNorm(2)
    net.a.weight.data[...] = 1
    net.eval()
    net.bn.eps = 1e-3
    kept = Network(net)
    assert kept.is_same()
    change(net)
    assert not kept.is_same()


class Fixed:
    """The same batches in each epoch."""

    def __init__(self, *batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def epoch(self, number, start_batch=0):
        yield from self.batches[start_batch:]


def run(config, folder, graph, lines):
    model = MISNet(config, seed=1).to("cuda")
    batches = Fixed(*(make_batch(config, n, seed=n) for n in (3, 2)))
    optimizer = Adam(model.named_parameters(), 1e-2)
    done = Run(
        folder, model, optimizer, Cosine(1e-2, 6), batches, batches, 3, "cuda", log=lines.append, cuda_graph=graph
    )
    done.run()
    return done.rows


def test_a_run_has_the_rows_that_it_has_without(gpu, tmp_path):
    rows, lines = [], []
    for graph in (False, True):
        (tmp_path / str(graph)).mkdir()
        rows.append(run(small(), tmp_path / str(graph), graph, lines if graph else []))
    for one, other in zip(*rows, strict=True):
        for key in one.keys() - {"samples_per_second", "peak_memory_mib"}:
            assert one[key] == other[key], key
    assert ON in lines


def test_the_loss_of_a_batch_is_that_of_the_model(gpu):
    model, [batch] = make(small(), (3,))
    seen = look(model, batch[:-1], batch[-1])
    expected = float(model.loss(seen.scores, batch[-1]).item())
    assert np.float32(seen.rates.read().number(seen.slots[0])) == np.float32(expected)
