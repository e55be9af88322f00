"""audit_torch leaves nothing out in silence, and does not take one thing for another."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
snntorch = pytest.importorskip("snntorch", reason="the extra peers is not installed")

from spikingjelly.activation_based import neuron, rnn  # noqa: E402
from torch import nn  # noqa: E402
from torch.multiprocessing.reductions import StorageWeakRef  # noqa: E402
from torch.nn import functional as TF  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402

from snncore import CostError, audit_torch  # noqa: E402
from snncore.foreign.trail import Trail  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

T, N = 4, 2
X = torch.from_numpy(np.random.default_rng(0).normal(0.5, 1, (T, N, 6)).astype(np.float32))


class Made(nn.Module):
    """A network out of one function, with a neuron, a linear layer and what else it is given."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        self.fire = neuron.IFNode(v_reset=None, step_mode="m")
        self.linear = nn.Linear(6, 2, bias=False)
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


def count(function, x=X, **modules):
    return audit_torch(Made(function, **modules).eval(), x, timesteps=T, strict=False, layout="TN")


FIRED = count(lambda net, x: net.fire(x)).totals()["spikes"]


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("over", [1, 2])
def test_layer_normalisation_counts_the_products_that_run(scaled, shifted, over):
    """A row of n: a mean, n differences, the mean of their squares, eps, root, 1 /, n products, then gamma and beta."""
    norm = nn.LayerNorm(X.shape[-over:], elementwise_affine=scaled, bias=shifted)
    found = audit_torch(nn.Sequential(norm), X[None], layout="N").totals()
    n = int(np.prod(X.shape[-over:]))
    rows = X.numel() // n
    shifted = scaled and shifted  # without a scale there is no shift
    assert found["elem_add"] == rows * ((n - 1) + n + (n - 1) + 1 + n * shifted)
    assert found["elem_mul"] == rows * (1 + n + 1 + n + n * scaled)
    assert (found["special"], found["elem_div"]) == (rows, rows)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_instance_normalisation(affine, running):
    x = torch.rand(3, 4, 5, 2)
    found = audit_torch(nn.InstanceNorm2d(4, affine=affine, track_running_stats=running).eval(), x).totals()
    rows, n = 3 * 4, 10
    if running:  # as batch normalisation
        assert (found["bn_mul"], found["bn_add"], found["elem_mul"]) == (x.numel(), x.numel(), 0)
        return
    assert found["elem_add"] == rows * ((n - 1) + n + (n - 1) + 1 + n * affine)
    assert found["elem_mul"] == rows * (1 + n + 1 + n + n * affine)


def test_what_is_named_makes_no_input():
    """Behind an operation that is not counted nothing is known: not that its output came from outside, and repeats."""
    still = X[:1].abs().expand(T, N, 6).contiguous()
    ops = count(lambda net, x: net.linear(x**x), still)
    assert [note.partition(" in ")[0] for note in ops.notes] == ["pow of an array by an array"]
    assert (ops.totals()["mac"], ops.totals()["mac_repeated"]) == (T * N * 12, 0)
    assert count(lambda net, x: net.linear(x), still).totals()["mac_repeated"] == (T - 1) * N * 12


INTEGERS = {
    "cumsum": lambda s: s.to(torch.int32).cumsum(0),
    "__rshift__": lambda s: s.to(torch.int32) >> 1,
    "floor_divide": lambda s: s.to(torch.int32) // 2,
    "count_nonzero": lambda s: s.count_nonzero(-1),
    "bucketize": lambda s: torch.bucketize(s, torch.arange(3.0)),
    "bincount": lambda s: torch.bincount(s.flatten().to(torch.int32)),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_arithmetic_that_makes_integers_is_named(name):
    assert [note.partition(" in ")[0] for note in count(lambda net, x: INTEGERS[name](net.fire(x))).notes] == [name]


def test_arithmetic_of_indices_is_none():
    def shuffled(net, x):
        place = (torch.arange(6) * 5) % 6
        return net.linear(net.fire(x)[..., place + 0 * place // 2])

    ops = count(shuffled)
    assert (ops.notes, ops.totals()["elem_mul"], ops.totals()["ac_binary"]) == ([], 0, 2 * FIRED)


def test_what_numpy_computes_is_said():
    ops = count(lambda net, x: net.linear(torch.from_numpy(np.tanh(net.fire(x).numpy()))))
    assert ops.notes == [
        "linear gets an array of shape (4, 2, 6) that no operation of PyTorch made (NumPy, another library, a "
        "constant): what made it is not counted"
    ]
    ops = count(lambda net, x: net.linear(net.fire(torch.from_numpy(2 * x.numpy()))))
    assert ops.notes[0].startswith("fire gets an array of shape (4, 2, 6) that no operation of PyTorch made")


@pytest.mark.parametrize("name", ["v", "v_seq"])
def test_a_membrane_that_is_read_is_no_array_from_nowhere(name):
    net = Made(lambda net, x: (net.fire(x), net.linear(getattr(net.fire, name)))[1])
    net.fire.store_v_seq = True
    ops = audit_torch(net, X, timesteps=T)
    assert ops.notes == []
    assert ops.totals()["mac"] == (T if name == "v_seq" else 1) * N * 12


WEIGHTS = {
    "rounded": (lambda net, s: TF.linear(s, (net.linear.weight * 7).round() / 7), {}),
    "masked": (lambda net, s: TF.linear(s, net.linear.weight * (net.linear.weight.abs() > 0.1)), {}),
    "multiplied by a matrix": (lambda net, s: s @ (net.linear.weight * 2).t(), {}),
    "pruned": (
        lambda net, s: net.pruned(s),
        {"pruned": prune.l1_unstructured(nn.Linear(6, 2, bias=False), "weight", 0.5)},
    ),
    "normalised": (lambda net, s: net.normed(s), {"normed": parametrizations.weight_norm(nn.Linear(6, 2, bias=False))}),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_prepared_once_for_any_number_of_samples(name):
    function, modules = WEIGHTS[name]
    net = Made(lambda net, x: function(net, net.fire(x)), **modules).eval()
    one, two = (audit_torch(net, x, timesteps=T, layout="TN") for x in (X, [X[:, :1], X[:, 1:]]))
    assert one.totals()["ac_binary"] == 2 * FIRED
    for column in ("elem_mul", "elem_add", "elem_div", "elem_compare", "compare", "spikes"):
        assert one.totals()[column] == two.totals()[column] == {"compare": T * N * 6, "spikes": FIRED}.get(column, 0)
    (note,) = one.notes
    assert "computes with parameters alone (" in note
    assert two.notes == one.notes


def test_a_state_of_zeros_is_no_weight():
    """A membrane in a buffer, and a learnt decay: its product is of samples, though both belong to the network."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("v", torch.zeros(N, 6))
            self.decay = nn.Parameter(torch.tensor(0.5))

        def forward(self, x):
            v = self.v
            for step in x:
                v = v * self.decay + step
            return v

    ops = audit_torch(Own(), X, timesteps=T, layout="TN")
    assert (ops.totals()["elem_mul"], ops.totals()["elem_add"], ops.notes) == (T * N * 6, T * N * 6, [])


def test_a_buffer_that_is_replaced_leaves_no_address_behind():
    """Else an array that comes where the buffer was would be taken for a weight."""
    buffer = torch.zeros(3)
    trail, alive = Trail([buffer], None, None), StorageWeakRef(buffer.untyped_storage())
    del buffer
    assert not alive.expired()
    fire = snntorch.SLSTM(6, 6, init_hidden=True)  # whose reset replaces buffers
    for _ in range(3):
        totals = audit_torch(nn.Sequential(fire), X, timesteps=T, outer_loop=True).totals()
        assert totals["dense_mac"] == T * N * 4 * 6 * (6 + 6)
    assert not trail.is_input(torch.zeros(3))


def test_a_factor_of_one_is_none_whatever_it_is_kept_in():
    one = nn.Parameter(torch.tensor(1.0))
    for factor in (1.0, torch.tensor(1.0), torch.ones(1), one):
        totals = count(lambda net, x, f=factor: net.linear(f * net.fire(x) + torch.zeros(()))).totals()
        assert (totals["ac_binary"], totals["mac"], totals["elem_mul"]) == (2 * FIRED, 0, 0)
    assert count(lambda net, x: net.linear(torch.tensor(0.5) * net.fire(x))).totals()["mac"] == T * N * 12


def test_spikes_with_a_state_of_zeros_stay_spikes():
    totals = count(lambda net, x: net.linear(net.fire(x) + torch.zeros(T, N, 6))).totals()
    assert (totals["ac_binary"], totals["residual_add"], totals["elem_add"]) == (2 * FIRED, 0, 0)
    net = Made(lambda net, x: net.cell(net.fire(x))[0], cell=rnn.SpikingLSTM(6, 5, 1))
    seen = []
    net.cell.cells[0].linear_hh.register_forward_hook(lambda module, args, y: seen.append(args[0]))
    ops = audit_torch(net, X, timesteps=T)
    assert ops.totals("cell.cells.0.linear_hh")["ac_binary"] == 20 * int(sum((h == 1).sum() for h in seen)) > 0
    assert ops.totals("cell.cells.0.linear_hh")["mac"] == 0


def test_a_neuron_of_a_library_that_is_of_no_common_class_is_named_too():
    for made in (neuron.PSN(T=T), neuron.SlidingPSN(k=2, step_mode="m"), snntorch.LeakyParallel(6, 6)):
        ops = audit_torch(nn.Sequential(made, nn.Linear(6, 2, bias=False)), X, timesteps=T, layout="TN")
        assert ops.notes == [
            f"0 ({type(made).__name__}) is no neuron that is known: its operations are counted one by one"
        ]
        assert ops.totals("1")["mac"] == 0


def test_a_parallel_neuron_counts_its_product_over_time():
    totals = audit_torch(nn.Sequential(neuron.PSN(T=T)), X, timesteps=T).totals("0")
    assert (totals["mac"], totals["bias_add"]) == (T * T * N * 6, T * N * 6)


@pytest.mark.parametrize("inside", [torch.no_grad, torch.inference_mode])
def test_a_network_in_inference_mode_counts_the_same(inside):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.conv = layer, nn.Conv1d(5, 3, 3, padding=1)

        def forward(self, x):
            with inside():
                return self.conv(self.layer(x)).flatten(1)

    x = torch.linspace(0, 1, 60).view(2, 5, 6)
    ops = audit_torch(Net().eval(), x)
    assert ops.notes == []
    assert ops.totals()["mac"] == 2 * (5 * 6 * (18 + 6 + 12 + 12) + 2 * 2 * 25 * 3) + 2 * 5 * 3 * (3 * 6 - 2)


CURVES = {  # what an entry of the output takes: additions, products, comparisons, exponentials
    "prelu": (lambda x: TF.prelu(x, torch.tensor([0.1])), (0, 1, 1, 0)),
    "celu": (TF.celu, (1, 2, 1, 1)),
    "mish": (TF.mish, (0, 1, 0, 2)),  # x tanh(softplus x)
    "glu": (TF.glu, (0, 1, 0, 1)),
    "hardsigmoid": (TF.hardsigmoid, (1, 1, 2, 0)),  # relu6(x + 3) / 6
    "hardswish": (TF.hardswish, (1, 2, 2, 0)),
    "softshrink": (TF.softshrink, (1, 0, 2, 0)),
    "threshold": (lambda x: TF.threshold(x, 0.1, 0.0), (0, 0, 1, 0)),
    "logsigmoid": (TF.logsigmoid, (0, 0, 0, 1)),
    "lerp": (lambda x: torch.lerp(x, x, 0.5), (2, 1, 0, 0)),
    "silu": (TF.silu, (0, 1, 0, 1)),
}


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_by_what_an_entry_takes(name):
    function, each = CURVES[name]
    ops = count(lambda net, x: function(x))
    columns = ("elem_add", "elem_mul", "elem_compare", "special")
    assert tuple(ops.totals()[column] for column in columns) == tuple(n * function(X).numel() for n in each)
    assert ops.notes == []
    assert all(sum(ops.by_sample(column)) == ops.totals()[column] for column in columns)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_log_softmax_by_row(axis):
    ops = count(lambda net, x: TF.log_softmax(x, axis))
    n = X.shape[axis]
    rows = X.numel() // n
    totals = ops.totals()
    assert (totals["elem_compare"], totals["special"]) == (rows * (n - 1), rows * (n + 1))
    assert (totals["elem_add"], totals["elem_div"], ops.notes) == (rows * (n + n - 1 + n), 0, [])


UNCOUNTED = {
    "grid_sampler_2d": lambda x: TF.grid_sample(x[None], torch.zeros(1, 2, 2, 2)),
    "topk": lambda x: x.topk(2)[0],
    "linalg_vector_norm": lambda x: x.norm(dim=-1),
    "sparse _to_sparse": lambda x: x.to_sparse().to_dense(),
}


@pytest.mark.parametrize("name", UNCOUNTED)
def test_what_has_no_cost_stops_a_strict_audit(name):
    assert count(lambda net, x: UNCOUNTED[name](x)).notes[0].startswith(f"{name} in Made (Made) on (")
    with pytest.raises(CostError, match=name):
        audit_torch(Made(lambda net, x: UNCOUNTED[name](x)), X, timesteps=T, layout="TN")
