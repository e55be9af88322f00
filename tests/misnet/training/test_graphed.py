"""Steps recorded as a CUDA graph, on the double: the same bits as steps that are launched kernel by kernel."""

import numpy as np
import pytest

from misnet import MISNet
from misnet.training.graphed import WARM_UP, GraphedSteps
from misnet.training.step import Diverged, Totals, train_step
from snncore import arithmetic
from snncore.optim import OPTIMIZERS
from tests.misnet.tiny import make_batch, tiny_config
from tests.misnet.training.gpu_step import on_device
from tests.support import double
from tests.support.double import ledger
from tests.support.shim.build import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")


def small(**switches):
    return tiny_config(**{"size": 4, "timesteps": 2} | switches)


@pytest.fixture
def gpu():
    with double.installed() as cupy:
        yield cupy


class Both:
    """The same network twice: trained step by step as ever, and by recorded steps."""

    def __init__(self, config, optimizer="adam", **settings):
        self.config, self.lines = config, []
        self.models = [MISNet(config, seed=1).to("cuda") for _ in range(2)]
        self.optimizers = [OPTIMIZERS[optimizer](m.named_parameters(), 0.1, **settings) for m in self.models]
        self.totals = [Totals(), Totals()]
        self.graphed = GraphedSteps(self.models[1], self.optimizers[1], self.lines.append)

    def step(self, k, n=3, lr=None, batch=None):
        lr = 1e-2 / (1 + k) if lr is None else lr
        batch = on_device(make_batch(self.config, n, seed=k) if batch is None else batch, "cuda")
        expected = train_step(self.models[0], self.optimizers[0], lr, batch, self.totals[0], k, seed=4)
        assert self.graphed.step(lr, batch, self.totals[1], k, seed=4) == expected
        self.compare()

    def compare(self):
        for x, y in zip(self.models, self.models[1:], strict=False):
            for name, w in x.state_dict().items():
                np.testing.assert_array_equal(y.state_dict()[name].get(), w.get(), err_msg=name)
        one, other = (o.state_dict() for o in self.optimizers)
        for name, x in one.items():
            np.testing.assert_array_equal(host(other[name]), host(x), err_msg=name)
        assert self.totals[0] == self.totals[1]


def host(x):
    return x if isinstance(x, np.ndarray) else x.get()


def test_recorded_steps_leave_the_bits_of_steps_launched_one_by_one(gpu):
    both = Both(small(), weight_decay=0.01)
    for k, n in enumerate((3, 3, 3, 3, 2, 3)):
        before = ledger.events["graph"]
        both.step(k, n)
        assert ledger.events["graph"] - before == (k >= WARM_UP and n == 3)  # a smaller batch runs as ever
    assert both.lines == [
        "CUDA graph: on: a recorded step leaves the same bits as one that is launched kernel by kernel"
    ]
    batch = on_device(make_batch(both.config), "cuda")
    ledger.clear()
    both.graphed.step(1e-2, batch, Totals(), 6)
    assert ledger.events == {"graph": 1, "h2d_async": 1, "d2h": 1}  # the factors of the optimizer, and the reading


def test_in_exact_arithmetic_too(gpu):
    """The weights of a recorded step become integers anew each time; the host looks at none of them."""
    with arithmetic("exact"):
        both = Both(small(channels=(3, 16)))
        for k in range(4):
            both.step(k)
    assert [line.partition(":")[2][:4] for line in both.lines] == [" on:"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "settings"), [("adamw", {"weight_decay": 0.1}), ("sgd", {"momentum": 0.9, "nesterov": True})]
)
def test_of_other_optimizers_too(gpu, optimizer, settings):
    both = Both(small(), optimizer, **settings)
    for k in range(WARM_UP + 2):
        both.step(k)
    assert ledger.events["graph"] == 2


@pytest.mark.slow
def test_what_is_not_finite_is_taken_back_as_ever(gpu):
    both = Both(small())
    for k in range(WARM_UP + 2):
        both.step(k)
    bad = make_batch(both.config, 3, seed=9)
    bad[0][1, 0, 2, 2, 0] = np.nan
    bad = on_device(bad, "cuda")
    with pytest.raises(Diverged, match=r"^step 4: .*first not finite: audio input$"):
        train_step(both.models[0], both.optimizers[0], 0.1, bad, both.totals[0], 4)
    before = ledger.events["graph"]
    with pytest.raises(Diverged, match=r"^step 4: .*first not finite: audio input$"):
        both.graphed.step(0.1, bad, both.totals[1], 4)
    assert ledger.events["graph"] - before == 1
    both.compare()
    both.step(4)


@pytest.mark.slow
def test_what_changes_between_steps_is_seen(gpu):
    both = Both(small())
    for k in range(WARM_UP + 1):
        both.step(k)
    layers = [model.stages[0].unimodal["a"].bn for model in both.models]
    for bn in layers:
        bn.weight.data = bn.weight.data * 2  # taken into the flat buffer again
    both.step(3)
    assert ledger.events["graph"] == 2
    for optimizer in both.optimizers:
        optimizer.eps = 1e-3
    both.step(4)
    for bn, optimizer in zip(layers, both.optimizers, strict=True):
        optimizer.eps, bn.weight.requires_grad = 1e-8, False
    both.step(5)
    for bn in layers:
        bn.weight.requires_grad = True
        bn.running_mean.data = bn.running_mean.data * 2  # another array than the recording knows
    both.step(6)
    assert ledger.events["graph"] == 2  # none of the last three


@pytest.mark.slow
@pytest.mark.parametrize(
    ("switches", "why"),
    [
        ({"dropout": 0.3}, "random numbers are drawn on the host in each step"),
        ({"mlif_fusion": "attention", "head": "attention"}, "calling cuBLAS API"),
    ],
)
def test_a_network_that_cannot_be_recorded_runs_as_ever_and_says_why_once(gpu, switches, why):
    both = Both(small(**switches))
    for k in range(WARM_UP + 2):
        both.step(k)
    assert ledger.events["graph"] == 0
    assert len(both.lines) == 1
    assert both.lines[0].startswith("CUDA graph: off: ")
    assert why in both.lines[0]


@pytest.mark.slow
def test_a_recording_that_leaves_other_bits_is_given_up(gpu, monkeypatch):
    both = Both(small())
    count = both.optimizers[1].count_step
    monkeypatch.setattr(both.optimizers[1], "count_step", lambda lr: count(lr) * np.float32(1.5))
    for k in range(WARM_UP + 2):
        both.step(k)
    assert both.lines == [
        "CUDA graph: off: a recorded step does not leave the same bits as one that is launched kernel by kernel"
    ]


def test_on_a_cpu_nothing_is_recorded(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    lines = []
    model = MISNet(small())
    optimizer = OPTIMIZERS["sgd"](model.named_parameters(), 0.1)
    graphed = GraphedSteps(model, optimizer, lines.append)
    graphed.step(0.1, make_batch(small()), Totals(), 0)
    assert lines == ["CUDA graph: off: the parameters are not float32 in one buffer on a GPU"]
