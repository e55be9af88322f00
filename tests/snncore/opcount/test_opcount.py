"""What a count can be asked: totals, layers, timesteps, samples; and what it refuses."""

import numpy as np
import pytest

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
from tests.snncore.opcount.networks import made

PER_CALL = ("weight_bytes_once", "neuron_special", "neuron_add")  # once a call, however many samples


def counted(network, x, **options):
    with no_grad(), count_ops(**options) as ops:
        network(Tensor(x))
    return ops


@pytest.fixture(scope="module", params=["images", "tokens"])
def run(request):
    network, x, *_ = made(request.param, np.random.default_rng(0), n=3)
    return network, x, counted(network, x, samples=3, timesteps=3)


def test_each_prefix_of_timesteps_costs_its_part(run):
    network, x, ops = run
    short = counted(network, x[:2], samples=3, timesteps=2)
    for column in ("ac_binary", "ac_graded", "spikes", "compare", "leak_mul", "reset_add", "residual_add"):
        neurons = [layer for layer, row in ops.layers().items() if row[column] and not ops.unresolved(column, layer)]
        assert neurons
        for layer in neurons:
            steps = ops.by_timestep(column, layer)
            assert (len(steps), sum(steps)) == (3, ops.totals(layer)[column])
            assert sum(steps[:2]) == short.totals(layer)[column], (column, layer)


def test_layers_add_up_to_the_totals(run):
    _, _, ops = run
    for column, total in ops.totals().items():
        assert sum(row[column] for row in ops.layers().values()) == total


def test_counts_do_not_depend_on_how_samples_are_cut_into_batches(run):
    network, x, whole = run
    parts = Ops()
    for cut, n in ((slice(0, 1), 1), (slice(1, 3), 2)):
        parts.extend(counted(network, x[:, cut], samples=n, timesteps=3))
    with no_grad(), count_ops(samples=2, timesteps=3) as in_one_block:
        network(Tensor(x[:, :2]))
        in_one_block.next_batch(samples=1)
        network(Tensor(x[:, 2:]))
    for ops in (parts, in_one_block):
        assert ops.samples == 3
        for column in set(COLUMNS) - set(PER_CALL):
            assert ops.totals()[column] == whole.totals()[column]
            assert ops.by_sample(column) == whole.by_sample(column), column
            assert len(ops.by_sample(column)) == 3


def test_fused_and_unfused_cost_the_same(run):
    network, x, ops = run
    with nn.unfused():
        assert counted(network, x).totals() == ops.totals()


def test_counts_do_not_depend_on_the_kernels(run, monkeypatch):
    network, x, ops = run
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    assert counted(network, x).totals() == ops.totals()


@pytest.mark.gpu
def test_counts_do_not_depend_on_the_device(run):
    network, x, ops = run
    try:
        network.to("cuda")
    except BackendError as error:
        pytest.skip(str(error))
    found = counted(network, to_device(x, "cuda"), samples=3, timesteps=3)
    network.to("cpu")
    assert found.totals() == ops.totals()
    assert all(found.by_sample(column) == ops.by_sample(column) for column in set(COLUMNS) - set(PER_CALL))


def test_samples_that_do_not_fit_say_what_to_do():
    network, x, *_ = made("images", np.random.default_rng(0), n=3)
    with no_grad(), count_ops() as ops:
        network(Tensor(x))
        network(Tensor(x[:, :1]))
    with pytest.raises(CostError, match="next_batch"):
        ops.by_sample("spikes")
    assert ops.samples is None


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
    operations = [f for f in vars(F).values() if isinstance(f, type) and f.__name__ in F.__all__]
    assert len(operations) > 25
    for operation in operations:
        assert getattr(operation, method) is not getattr(Function, method), operation


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


def test_observers_of_others_still_run():
    names = []
    with count_ops() as ops, observe(lambda f, i, o: names.append(f.name)):
        F.ReLU()(np.ones(3))
    assert names == ["ReLU"]
    assert ops.calls[0].function == "ReLU"
