"""Module: names, walking the tree, train and eval, types."""

import numpy as np
import pytest

from snncore import Tensor, nn


class Block(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm(3)
        self.neuron = nn.LIF(stateful=True)
        self.note = "not a module"

    def forward(self, x):
        return self.neuron(self.norm(self.conv(x)))


class Net(nn.Module):
    def __init__(self):
        self.stages = nn.ModuleList([nn.ModuleDict({"a": Block(), "v": Block()})])
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.head = nn.Sequential(nn.GlobalAvgPool(), nn.Linear(3, 4))

    def forward(self, x):
        stage = self.stages[0]
        return self.head(stage["a"](x * self.scale) + stage["v"](x))


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def x(rng):
    return rng.standard_normal((3, 2, 5, 4, 2)).astype(np.float32)


def test_names_are_attribute_paths_in_the_order_of_assignment(net):
    assert [name for name, _ in net.named_modules()] == [
        "",
        "stages",
        "stages.0",
        "stages.0.a",
        "stages.0.a.conv",
        "stages.0.a.norm",
        "stages.0.a.neuron",
        "stages.0.v",
        "stages.0.v.conv",
        "stages.0.v.norm",
        "stages.0.v.neuron",
        "head",
        "head.0",
        "head.1",
    ]
    assert [name for name, _ in net.named_parameters()] == [
        "scale",
        "stages.0.a.conv.weight",
        "stages.0.a.norm.weight",
        "stages.0.a.norm.bias",
        "stages.0.v.conv.weight",
        "stages.0.v.norm.weight",
        "stages.0.v.norm.bias",
        "head.1.weight",
        "head.1.bias",
    ]
    assert [name for name, _ in net.named_buffers()] == [
        f"stages.0.{m}.norm.running_{s}" for m in "av" for s in ("mean", "var")
    ]


def test_parameters_are_counted_by_entry(net):
    assert net.count_parameters() == 2 + 2 * (3 * 3 * 2 * 3 + 3 + 3) + 3 * 4 + 4
    assert len(list(net.parameters())) == 9


def test_a_module_used_in_two_places_is_counted_once():
    shared = nn.Linear(3, 4)

    class Twice(nn.Module):
        def __init__(self):
            self.first, self.second = shared, shared

    assert Twice().count_parameters() == 3 * 4 + 4


def test_a_module_calls_its_forward_with_gradients_to_every_parameter(net, x):
    y = net(Tensor(x))
    assert y.shape == (3, 2, 4)
    (y * y).sum().backward()
    assert all(np.isfinite(p.grad).all() and p.grad.any() for p in net.parameters())
    net.zero_grad()
    assert [p.grad for p in net.parameters()] == [None] * 9


def test_train_and_eval_reach_every_module_and_return_the_module(net):
    assert net.training
    assert net.eval() is net
    assert {m.training for m in net.modules()} == {False}
    assert net.train() is net
    assert {m.training for m in net.modules()} == {True}


def test_reset_reaches_every_neuron(net, x):
    net(Tensor(x))
    neurons = [m for m in net.modules() if isinstance(m, nn.Neuron)]
    assert [n.membrane[0].shape for n in neurons] == [(2, 5, 4, 3)] * 2
    net.reset()
    assert [n.membrane for n in neurons] == [None] * 2


def test_astype_converts_everything_and_what_is_computed_from_spikes_alone(net, x):
    net.eval()
    before = net(Tensor(x)).data
    (net(Tensor(x))).sum().backward()
    assert net.astype(np.float64) is net
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    assert {b.data.dtype for _, b in net.named_buffers()} == {np.dtype(np.float64)}
    assert {p.grad is None for p in net.parameters()} == {True}
    after = net(Tensor(x.astype(np.float64))).data
    assert (before.dtype, after.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5)  # no spike of this seed is near its threshold
    spikes = np.ones((1, 4, 4, 2), np.uint8)
    assert nn.Sequential(nn.AvgPool2d(2), nn.GlobalAvgPool()).astype("float64")(spikes).dtype == np.float64
    assert nn.Sequential(nn.AvgPool2d(2), nn.GlobalAvgPool())(spikes).dtype == np.float32


def test_to_the_cpu_changes_nothing_on_the_cpu(net):
    arrays = list(net.state_dict().values())
    assert net.to("cpu") is net
    assert all(a is b for a, b in zip(net.state_dict().values(), arrays, strict=True))


def test_lists_and_dicts_of_modules_are_walked_like_lists_and_dicts():
    blocks = [nn.Linear(1, 1), nn.Linear(1, 2)]
    modules = nn.ModuleList(blocks)
    assert list(modules) == blocks
    assert len(modules) == 2
    assert modules[-1] is blocks[1]
    assert [name for name, _ in modules.children()] == ["0", "1"]
    named = nn.ModuleDict({"a": blocks[0], "v": blocks[1]})
    assert list(named) == ["a", "v"]
    assert named["v"] is blocks[1]
    assert named.a is blocks[0]


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="ModuleList defines no forward"):
        nn.ModuleList([])(1)
