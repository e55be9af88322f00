"""What a count can be asked: totals, layers, timesteps, samples; and what it refuses."""

import numpy as np
import pytest

from misnet import MISNet, loss
from snncore import (
    BackendError,
    CostError,
    Function,
    OpCount,
    Ops,
    Tensor,
    at_timestep,
    count_ops,
    nn,
    no_grad,
    observe,
    to_device,
)
from snncore import functions as F
from snncore.opcount.columns import COLUMNS
from tests.misnet.tiny import lively, make_batch, tiny_config


def counted(model, *arrays, **options):
    with no_grad(), count_ops(**options) as ops:
        model(*(Tensor(x) for x in arrays))
    return ops


@pytest.fixture(scope="module", params=["paper", "attention"])
def run(request):
    switches = {"mlif_fusion": "attention", "head": "attention"} if request.param == "attention" else {}
    config = tiny_config(v_threshold=0.3, mlif_v_threshold=0.3, **switches)
    model, (x_a, x_v, _) = lively(config), make_batch(config, n=3)
    return model, x_a, x_v, counted(model, x_a, x_v)


def test_each_sample_alone_costs_what_its_column_says(run):
    model, x_a, x_v, ops = run
    alone = [counted(model, x_a[:, [i]], x_v[:, [i]]) for i in range(3)]
    per_call = ("weight_bytes_once",)  # weights are read once a call, however many samples
    for column in set(COLUMNS) - set(per_call):
        assert ops.unresolved(column) == 0, column
        assert ops.by_sample(column) == [one.totals()[column] for one in alone], column
    assert ops.totals()["spikes"] > 0


def test_timesteps_add_up_and_each_prefix_costs_its_part(run):
    model, x_a, x_v, ops = run
    short = counted(model, x_a[:2], x_v[:2])
    for column in ("ac_binary", "ac_graded", "mac", "spikes", "compare", "leak_mul", "reset_add", "w_select"):
        steps = ops.by_timestep(column)
        assert len(steps) == 3
        assert sum(steps) == ops.totals()[column]
        assert sum(steps[:2]) == short.totals()[column], column


def test_layers_add_up_to_the_totals(run):
    *_, ops = run
    for column, total in ops.totals().items():
        assert sum(row.get(column, 0) for row in ops.layers().values()) == total
    assert ops.totals("stages.0.unimodal.a.conv")["mac"] == ops.layers()["stages.0.unimodal.a.conv"]["mac"]


def test_counts_do_not_depend_on_how_samples_are_cut_into_batches(run):
    model, x_a, x_v, whole = run
    parts = Ops()
    for cut in (slice(0, 1), slice(1, 3)):
        parts.extend(counted(model, x_a[:, cut], x_v[:, cut]))
    with no_grad(), count_ops() as in_one_block:
        model(Tensor(x_a[:, :2]), Tensor(x_v[:, :2]))
        in_one_block.next_batch()
        model(Tensor(x_a[:, 2:]), Tensor(x_v[:, 2:]))
    for column in set(COLUMNS) - {"weight_bytes_once"}:
        for ops in (parts, in_one_block):
            assert ops.totals()[column] == whole.totals()[column]
            assert ops.by_sample(column) in (whole.by_sample(column), [])


def test_fused_and_unfused_cost_the_same(run):
    model, x_a, x_v, ops = run
    with nn.unfused():
        assert counted(model, x_a, x_v).totals() == ops.totals()


def test_counts_do_not_depend_on_the_kernels(run, monkeypatch):
    model, x_a, x_v, ops = run
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    assert counted(model, x_a, x_v).totals() == ops.totals()


@pytest.mark.gpu
def test_counts_do_not_depend_on_the_device(run):
    model, x_a, x_v, ops = run
    try:
        model.to("cuda")
    except BackendError as error:
        pytest.skip(str(error))
    assert counted(model, to_device(x_a, "cuda"), to_device(x_v, "cuda")).totals() == ops.totals()
    model.to("cpu")


def test_samples_that_do_not_fit_say_what_to_do(run):
    model, x_a, x_v, _ = run
    with no_grad(), count_ops() as ops:
        model(Tensor(x_a), Tensor(x_v))
        model(Tensor(x_a[:, :1]), Tensor(x_v[:, :1]))
    with pytest.raises(CostError, match="next_batch"):
        ops.by_sample("spikes")
    assert ops.totals()["places"] == 4 * run[3].totals()["places"] // 3


def test_a_loop_over_time_says_which_timestep_it_is():
    x = np.array([[[1, 0], [0, 0]], [[1, 1], [0, 1]]], np.uint8)  # [T=2, N=2, C=2]
    w = np.ones((2, 3))
    with count_ops() as ops:
        for t in range(2):
            with at_timestep(t):
                F.Linear()(x[t], w)
    assert ops.table("ac_binary").tolist() == [[3, 0], [6, 3]]


class Twice(Function):
    """y = 2 x, and says so."""

    def forward(self, x):
        return 2 * x

    def backward(self, gy):
        return 2 * gy

    def cost(self, inputs, outputs):
        return OpCount(elem_mul=outputs[0].size)


class Silent(Function):
    def forward(self, x):
        return x

    def backward(self, gy):
        return gy


def test_a_function_of_your_own_is_counted_and_a_silent_one_is_an_error_that_names_it():
    with count_ops() as ops:
        Twice()(np.ones((2, 3)))
    assert (ops.totals()["elem_mul"], ops.unresolved("elem_mul")) == (6, 6)
    assert list(ops.layers()) == ["Twice"]
    with pytest.raises(CostError, match=r"Silent states no cost .* cost\(inputs, outputs\)"), count_ops():
        Silent()(np.ones(2))
    x = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(CostError, match=r"Twice states no cost of its backward"), count_ops(backward=True):
        Twice()(x)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"spike": 1}, "found 'spike'"),
        ({"spikes": -1}, "at least 0, found -1"),
        ({"spikes": 1.5}, "expected integers, found float"),
        ({"spikes": np.ones(3, np.int64)}, "broadcast"),
        ({"spikes": np.array([-3])}, "at least 0, found -3"),
    ],
)
def test_a_cost_that_is_none_is_refused(columns, message):
    with pytest.raises(CostError, match=message):
        OpCount((2, 1) if "broadcast" in message else (1,), **columns)


@pytest.mark.parametrize("method", ["cost", "cost_backward"])
def test_every_function_of_the_engine_states_its_cost(method):
    for name in F.__all__:
        assert getattr(getattr(F, name), method) is not getattr(Function, method), name


def test_a_cost_of_another_type_is_refused(monkeypatch):
    monkeypatch.setattr(Twice, "cost", lambda self, inputs, outputs: 3)
    with pytest.raises(CostError, match=r"Twice\.cost: expected an OpCount, found int"), count_ops():
        Twice()(np.ones(2))


def test_totals_beyond_64_bits_are_exact():
    cost = OpCount((2, 2), mac=2**62, compare=np.full((2, 2), 2**62), leak_mul=np.full((2, 1), 2**61 + 1))
    assert cost.totals() == {"mac": 2**64, "compare": 2**64, "leak_mul": 2**63 + 4}


def test_nothing_is_counted_outside_the_block_nor_asked_for():
    with count_ops() as ops:
        pass
    Silent()(np.ones(2))
    assert ops.calls == []


def test_training_with_backward_counts_both():
    config = tiny_config(v_threshold=0.3)
    model, (x_a, x_v, labels) = MISNet(config), make_batch(config)
    with count_ops() as forward:
        loss(model(Tensor(x_a), Tensor(x_v)), labels, config)
    with count_ops(backward=True) as both:
        loss(model(Tensor(x_a), Tensor(x_v)), labels, config).backward()
    back = {name for name in COLUMNS if name.startswith("back_")}
    assert all(both.totals()[name] > 0 for name in back)
    assert {k: v for k, v in both.totals().items() if k not in back} == {
        k: v for k, v in forward.totals().items() if k not in back
    }
    found = both.totals()
    # no gradient is wanted of the input of the first convolutions; every other layer gets one
    first = sum(both.totals(f"stages.0.unimodal.{m}.conv")["dense_mac"] for m in "av")
    assert found["back_mac"] == found["dense_mac"] - first + found["mac"]
    assert found["back_ac"] == found["ac_binary"] + found["ac_graded"]


def test_observers_of_others_still_run():
    names = []
    with count_ops() as ops, observe(lambda f, i, o: names.append(f.name)):
        F.ReLU()(np.ones(3))
    assert names == ["ReLU"]
    assert ops.calls[0].function == "ReLU"
