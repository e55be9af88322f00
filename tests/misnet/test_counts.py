"""What the counts of a MISNet hold, whatever its switches: by sample, by timestep, by layer, in any batches."""

import pytest

from misnet import MISNet, loss
from snncore import BackendError, CostError, Ops, Tensor, count_ops, nn, no_grad, to_device
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
    return model, x_a, x_v, counted(model, x_a, x_v, samples=3)


def test_each_sample_alone_costs_what_its_column_says(run):
    model, x_a, x_v, ops = run
    alone = [counted(model, x_a[:, [i]], x_v[:, [i]]) for i in range(3)]
    per_call = ("weight_bytes_once",)  # weights are read once a call, however many samples
    for column in set(COLUMNS) - set(per_call):
        assert (ops.unresolved(column), ops.unresolved(column, by="sample")) == (0, 0), column
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
    for cut, n in ((slice(0, 1), 1), (slice(1, 3), 2)):
        parts.extend(counted(model, x_a[:, cut], x_v[:, cut], samples=n))
    with no_grad(), count_ops(samples=2) as in_one_block:
        model(Tensor(x_a[:, :2]), Tensor(x_v[:, :2]))
        in_one_block.next_batch(samples=1)
        model(Tensor(x_a[:, 2:]), Tensor(x_v[:, 2:]))
    for ops in (parts, in_one_block):
        assert ops.samples == 3
        for column in set(COLUMNS) - {"weight_bytes_once"}:
            assert ops.totals()[column] == whole.totals()[column]
            assert ops.by_sample(column) == whole.by_sample(column), column
            assert len(ops.by_sample(column)) == 3


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
