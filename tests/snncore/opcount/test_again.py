"""The same calls in many batches: counts are those of counting each batch anew, whatever changes between batches."""

import numpy as np
import pytest

from snncore import Tensor, count_ops, nn, no_grad
from snncore import functions as F
from snncore.kernels.choice import use_kernels
from snncore.opcount import again, fold
from snncore.opcount.again import Again

T, N = 3, 4


class Net(nn.Module):
    """All operations that say what they look at, after a first layer on analog input."""

    def __init__(self, rng):
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False, rng=rng)
        self.bn0 = nn.BatchNorm(4)
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False, rng=rng)
        self.conv.weight.data[..., ::2] *= rng.random(self.conv.weight.shape)[..., ::2] > 0.5  # some zeros
        self.bn = nn.BatchNorm(4)
        self.grouped = nn.GroupedConv2d(4, 4, 3, padding=1, groups=2, rng=rng)
        self.mlif = nn.MLIF()
        self.neuron = nn.LIF()
        self.linear = nn.Linear(16, 5, rng=rng)
        self.connect = F.SEW("add")
        self.twice = False

    def forward(self, x):
        s = self.neuron(self.first(x), self.bn0)
        o = self.connect(nn.conv_norm_neuron(s, self.conv, self.bn, self.neuron), s)  # 0, 1 or 2
        a, v = self.mlif(o, self.neuron(self.grouped(o)))
        y = F.MaxPool2d(1 if self.twice else 2)(self.connect(a, v))
        features = F.GlobalAvgPool()(y)
        return self.linear(F.MaxPool2d(2)(v).reshape(T, -1, 16)), features


def inputs(rng, batches=5, n=N, gain=1.5):
    return [(gain * rng.standard_normal((T, n, 4, 4, 2))).astype(np.float32) for _ in range(batches)]


def run(net, batches, fixed, change=lambda net, k: None, details=True):
    with use_kernels("reference"), no_grad(), count_ops(timesteps=T, details=details, fixed=fixed) as ops:
        for k, x in enumerate(batches):
            change(net, k)
            ops.next_batch(samples=x.shape[1])
            net(Tensor(x))
    ops.fold()
    return ops


def check_same(found, right):
    assert found.samples == right.samples
    assert found.layers() == right.layers()
    assert found.facts() == right.facts()
    assert [(c.layer, c.function, c.times) for c in found.calls] == [
        (c.layer, c.function, c.times) for c in right.calls
    ]
    for column in (
        "ac_binary",
        "ac_graded_by_value",
        "ac_zero_weight",
        "ac_spared",
        "spikes",
        "charge_add",
        "w_select",
    ):
        assert found.by_sample(column) == right.by_sample(column)
        assert found.by_timestep(column) == right.by_timestep(column)
    assert right.totals()["ac_graded"] > 0


@pytest.fixture
def net(rng):
    net = Net(rng).eval()
    net.bn.bias.data[...] = 0.5
    return net


@pytest.fixture
def seen(monkeypatch):
    """How many calls were counted again, and how often those of several batches were worked out at once."""
    found = {"again": 0, "together": 0, "apart": 0}
    find, together = again.Plan.find, again.together

    def both(costs):
        cost = together(costs)
        found["apart" if cost is None else "together"] += isinstance(costs[0], Again)
        return cost

    def counted(self, inputs, outputs):
        found["again"] += 1
        return find(self, inputs, outputs)

    monkeypatch.setattr(again.Plan, "find", counted)
    monkeypatch.setattr(fold, "together", both)
    return found


@pytest.mark.parametrize("details", [True, False])
def test_batches_that_come_again_count_what_they_count_anew(net, rng, seen, details):
    batches = inputs(rng)
    found = run(net, batches, True, details=details)
    assert seen["again"] >= 4 * 9  # all but the first layer, the head and what only moves
    assert seen["together"] >= 5
    right = run(net, batches, False, details=details)
    assert found.totals() == right.totals()
    check_same(found, right)


def test_a_batch_of_another_size_is_counted_by_itself(net, rng, seen):
    batches = [*inputs(rng, 3), *inputs(rng, 1, n=2), *inputs(rng, 2)]
    check_same(run(net, batches, True), run(net, batches, False))
    assert seen["again"] > 0


def test_batches_that_rules_tell_apart_stay_apart(net, rng, seen):
    """Only some batches have events of 2: their facts differ in `unit` and `largest`."""
    batches = [gain * x for gain, x in zip((1, 0.1, 1, 0, 1), inputs(rng), strict=True)]
    check_same(run(net, batches, True), run(net, batches, False))
    assert seen["apart"] > 0


def test_a_buffer_that_is_filled_anew_is_counted_anew(net, rng):
    room = np.zeros((T, N, 4, 4, 2), np.float32)
    batches = inputs(rng)

    def fill(net, k):
        room[...] = batches[k]

    check_same(run(net, [room] * 5, True, fill), run(net, batches, False))


def test_spikes_that_are_changed_in_place_are_counted_as_they_are(net, rng, monkeypatch):
    forward = F.SEW.forward

    def spoiled(self, a, s):
        a[..., 0] = 1 - a[..., 0]  # the buffer that the neuron before it has been counted by
        return forward(self, a, s)

    monkeypatch.setattr(F.SEW, "forward", spoiled)
    batches = inputs(rng)
    check_same(run(net, batches, True), run(net, batches, False))


def test_an_operation_with_other_settings_is_another(net, rng):
    def change(net, k):
        net.twice = k % 2 == 1

    batches = inputs(rng)
    found, right = run(net, batches, True, change), run(net, batches, False, change)
    assert found.totals() == right.totals()
    assert found.totals()["pool_compare"] != run(net, batches, True).totals()["pool_compare"]


def test_weights_in_another_array_are_others(net, rng):
    """The promise is that weights do not change; an array that takes the place of another is still seen."""
    less = np.where(rng.random(net.conv.weight.shape) < 0.8, 0, net.conv.weight.data).astype(np.float32)
    full = net.conv.weight.data

    def change(net, k):
        net.conv.weight.data = less if k > 2 else full

    batches = inputs(rng)
    check_same(run(net, batches, True, change), run(net, batches, False, change))


@pytest.mark.parametrize("connect", ["add", "and"])
def test_an_array_that_is_given_twice_in_one_batch_alone(rng, connect, seen):
    class Twice(nn.Module):
        same = True

        def __init__(self):
            self.first, self.second = (nn.Linear(6, 5, rng=rng) for _ in range(2))
            self.neuron, self.sew, self.linear = nn.IF(), F.SEW(connect), nn.Linear(5, 2, rng=rng)

        def forward(self, x):
            a, b = self.neuron(self.first(x)), self.neuron(self.second(x))
            return self.linear(self.sew(a, a if self.same else b))

    def change(net, k):
        net.same = k in (0, 4)

    net, column = Twice().eval(), "residual_add" if connect == "add" else "residual_logic"
    batches = [rng.normal(0, 3, (T, N, 6)).astype(np.float32) for _ in range(6)]
    found, right = run(net, batches, True, change), run(net, batches, False, change)
    assert found.totals() == right.totals()
    assert found.by_sample(column) == right.by_sample(column)
    assert (
        run(net, batches, False, lambda net, k: setattr(net, "same", True)).totals()[column] != right.totals()[column]
    )
    assert seen["again"] > 0


@pytest.mark.parametrize("broken", [False, True])
def test_weights_that_change_after_the_block_change_no_count(net, rng, broken):
    batches = inputs(rng)
    right = run(net, batches, False)
    try:
        with use_kernels("reference"), no_grad(), count_ops(timesteps=T, fixed=True) as ops:
            for x in batches:
                ops.next_batch(samples=N)
                net(Tensor(x))
            if broken:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    for parameter in net.parameters():
        parameter.data[...] = 1  # also alpha, which then multiplies nothing
    ops.fold()
    check_same(ops, right)


def test_calls_that_nobody_promised_are_asked_each_time(net, rng, seen):
    run(net, inputs(rng, 3), False)
    with use_kernels("reference"), count_ops(timesteps=T, fixed=True) as ops:  # a tape, of which a backward may come
        for x in inputs(rng, 3):
            ops.next_batch(samples=N)
            net(Tensor(x))
    assert seen["again"] == 0


def test_batches_that_still_wait_can_be_asked(net, rng):
    batches = inputs(rng)
    with use_kernels("reference"), no_grad(), count_ops(timesteps=T, fixed=True) as ops:
        for x in batches:
            ops.next_batch(samples=N)
            net(Tensor(x))
        waiting = {call.batch for call in ops.calls if isinstance(call.cost, Again)}
        assert len(waiting) == 4
        totals, spikes = ops.totals(), ops.by_sample("spikes")
    assert not any(isinstance(call.cost, Again) for call in ops.calls)
    assert (ops.totals(), ops.by_sample("spikes")) == (totals, spikes)
    check_same(ops, run(net, batches, False))


def test_the_comparison_sees_counts_of_another_batch(net, rng, monkeypatch):
    batches = inputs(rng)
    right = run(net, batches, False)
    monkeypatch.setattr(again, "_joined", lambda arrays, steps: np.concatenate([arrays[0]] * len(arrays), axis=-1))
    with pytest.raises(AssertionError):
        check_same(run(net, batches, True), right)


def test_a_frame_that_some_batches_repeat_does_not_keep_them_apart(net, rng):
    batches = inputs(rng, 4)
    batches[1][1] = batches[1][0]
    batches[3][2] = batches[3][1]
    for fixed in (True, False):
        ops = run(net, batches, fixed)
        assert len({call.batch for call in ops.calls}) == 1
        assert ops.totals()["add_repeated"] > 0
