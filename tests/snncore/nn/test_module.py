"""Module: names, walking the tree, train and eval, types."""

import numpy as np
import pytest

from snncore import Tensor, current_path, nn, observe
from snncore.optim import SGD


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


def test_other_types_than_the_two_floats_are_refused(net):
    for dtype in (np.float16, "int32"):
        with pytest.raises(TypeError, match=f"astype: expected float32 or float64, found {np.dtype(dtype)}"):
            net.astype(dtype)
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float32)}


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="ModuleList defines no forward"):
        nn.ModuleList([])(1)


@pytest.mark.parametrize("number", [0.5, np.float32(0.5), np.float64(0.5), [0.5]])
def test_a_parameter_made_from_a_number_learns(number):
    p = nn.Parameter(number)
    (p * 3.0).backward()
    SGD([("p", p)], lr=0.1).step()
    assert p.item() == pytest.approx(0.2, rel=1e-6)  # 0.5 - 0.1 * 3
    assert p.dtype == (np.float64 if isinstance(number, np.float64) else np.float32)


def test_a_parameter_made_from_a_plain_number_does_not_turn_a_network_into_float64():
    assert (Tensor(np.ones(2, np.float32)) * nn.Parameter(0.5)).dtype == np.float32
    assert nn.Parameter(np.array(0.5)).dtype == np.float64


def test_a_buffer_made_from_a_numpy_scalar_can_be_loaded():
    class Net(nn.Module):
        def __init__(self):
            self.count = nn.Buffer(np.float32(1.0))

    net = Net()
    net.load_state_dict({"count": np.array(5.0, np.float32)})
    assert net.count.data == 5.0


def test_copies_of_the_state_do_not_change_with_the_weights():
    net = nn.Linear(2, 3)
    live, kept = net.state_dict(), net.state_dict(copy=True)
    before = net.weight.data.copy()
    net.weight.data += 1
    np.testing.assert_array_equal(live["weight"], before + 1)
    np.testing.assert_array_equal(kept["weight"], before)
    net.load_state_dict(kept)
    np.testing.assert_array_equal(net.weight.data, before)


# -- modules where nobody would find them --


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([nn.Linear(1, 1)], r"Net\.parts: found a Linear in a list, .* neither trained nor saved: use nn\.ModuleList"),
        ((1, nn.Linear(1, 1)), r"Net\.parts: found a Linear in a tuple.*use nn\.ModuleList"),
        ({"a": nn.Linear(1, 1)}, r"Net\.parts: found a Linear in a dict.*use nn\.ModuleDict"),
        ([[1], {"a": [nn.BatchNorm(1)]}], r"Net\.parts: found a BatchNorm in a list"),
        ([nn.Parameter(1.0)], r"Net\.parts: found a Parameter in a list.*make each an attribute"),
        ({"b": nn.Buffer(np.ones(1))}, r"Net\.parts: found a Buffer in a dict.*make each an attribute"),
    ],
)
def test_a_plain_container_of_modules_or_parameters_is_refused(value, message):
    class Net(nn.Module):
        def __init__(self):
            self.parts = value

    with pytest.raises(TypeError, match=message):
        Net()


@pytest.mark.parametrize("walk", ["named_parameters", "state_dict", "count_parameters"])
def test_a_list_that_grew_after_it_was_assigned_is_found_too(walk):
    class Net(nn.Module):
        def __init__(self):
            self.inner = nn.Sequential()
            self.inner.parts = []
            self.inner.parts.append(nn.Linear(1, 1))

    with pytest.raises(TypeError, match=r"inner \(Sequential\)\.parts: found a Linear in a list"):
        list(getattr(Net(), walk)() or ())


def test_containers_of_other_things_of_what_is_held_elsewhere_and_of_private_names_are_let_through():
    class Net(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Linear(1, 2), nn.Linear(2, 1)
            self.order = [self.second, self.first]
            self.weights = {"first": self.first.weight}
            self._teacher = [nn.Linear(1, 1)]
            self.sizes, self.names = (1, 2), {"a": [1, 2]}

    assert Net().count_parameters() == 2 * 1 + 2 + 2 + 1


# -- errors and observers know the layer --


class Deep(nn.Module):
    def __init__(self):
        self.stages = nn.ModuleList([nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 6))])

    def forward(self, x):
        return self.stages[0](x) * 2.0


def test_an_error_names_the_layer_once_and_keeps_its_type():
    message = r"^stages\.0\.1 \(Linear\): expected x \[\.\.\., Ci\] and w \[Ci, Co\] with the same Ci, found"
    with pytest.raises(ValueError, match=message):
        Deep()(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"^Linear: expected x"):
        nn.Linear(3, 4)(np.ones(2, np.float32))
    assert current_path() == ""


@pytest.mark.parametrize("error", [KeyError("x"), OSError(2, "gone"), ValueError(), ValueError(1)])
def test_errors_of_another_build_are_passed_on_as_they_are(error):
    class Fails(nn.Module):
        def forward(self, x):
            raise error

    text = str(error)
    with pytest.raises(type(error)) as caught:
        nn.Sequential(Fails())(1)
    assert caught.value is error
    assert str(error) == text


def test_observers_can_ask_for_the_path_of_the_running_module():
    net, seen = Deep(), []
    net.stages = nn.ModuleList([nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 6))])
    with observe(lambda function, *_: seen.append((current_path(), function.name))):
        net(np.ones((2, 3), np.float32))
        nn.Linear(3, 1)(np.ones((2, 3), np.float32))
    assert seen == [("stages.0.0", "Linear"), ("stages.0.1", "Linear"), ("", "Mul"), ("", "Linear")]


def test_the_path_follows_a_tree_that_was_changed_and_names_the_class_of_a_stranger():
    class Borrows(nn.Module):
        def forward(self, x):
            return stranger(self.part(x))

    stranger, net, seen = nn.Sequential(nn.Linear(2, 2)), Borrows(), []
    net.part = nn.Linear(2, 2)
    with observe(lambda *_: seen.append(current_path())):
        net(np.ones((1, 2), np.float32))
        net.other = net.part
        del net.part
        net.part = net.other
        del net.other
        net.part = nn.Sequential(net.part)
        net(np.ones((1, 2), np.float32))
    assert seen == ["part", "Linear", "part.0", "Linear"]


# -- for the eye --


def test_a_network_prints_as_a_tree_with_shapes():
    net = nn.Sequential(nn.LayerNorm(3), nn.ModuleDict({"a": nn.Linear(3, 4, bias=False)}), nn.ReLU())
    assert repr(net) == "\n".join(
        [
            "Sequential(",
            "  (0): LayerNorm(eps=1e-05, weight [3], bias [3])",
            "  (1): ModuleDict(",
            "    (a): Linear(weight [3, 4])",
            "  )",
            "  (2): ReLU()",
            ")",
        ]
    )
    net.scale, net.rate = nn.Parameter([1.0, 2.0]), 0.5
    assert "\n  scale [2], rate=0.5\n  (0)" in repr(net)


def test_a_mode_that_is_neither_true_nor_false_is_refused_and_changes_nothing():
    net = nn.Sequential(nn.LIF()).eval()
    with pytest.raises(ValueError, match="train: expected True or False, found 'eval'"):
        net.train("eval")
    assert net.training is False
    assert net.train(np.True_).training is True


def test_a_device_that_is_no_text_is_named():
    with pytest.raises(ValueError, match="device: expected auto, cpu, cuda or cuda:<index>, found None"):
        nn.Linear(1, 1).to(None)
