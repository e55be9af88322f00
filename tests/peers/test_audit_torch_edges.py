"""audit_torch at the edge: what is followed, what is named, what is refused, and counts worked out by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")
snntorch = pytest.importorskip("snntorch", reason="the extra peers is not installed")

from spikingjelly.activation_based import encoding, functional, layer, neuron  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as TF  # noqa: E402

from snncore import CostError, audit_torch  # noqa: E402
from snncore import functions as F  # noqa: E402
from snncore.foreign import Neuron  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


class Made(nn.Module):
    """A network out of one function, with a linear layer, a convolution and a neuron at hand."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.fire = neuron.IFNode(v_reset=None, step_mode="m")
        self.linear = nn.Linear(6, 2, bias=False)
        self.conv = nn.Conv2d(3, 2, 1, bias=False)

    def forward(self, x):
        return self.function(self, x)


X = torch.from_numpy(np.random.default_rng(0).normal(0.5, 1, (4, 2, 6)).astype(np.float32))  # [T, N, 6]
SPIKES = int((neuron.IFNode(v_reset=None, step_mode="m")(X) > 0).sum())


def count(function, x=X, **settings):
    return audit_torch(Made(function), x, timesteps=4, **settings)


def into_a_buffer(net, x):
    s, made = net.fire(x), torch.zeros(4, 2, 6)
    for t in range(4):
        made[t] = s[t]
    return net.linear(made)


WAYS = {
    "plain": lambda net, x: net.linear(net.fire(x)),
    "folded": lambda net, x: net.linear(net.fire(x).flatten(0, 1)).view(4, 2, 2),
    "turned": lambda net, x: net.linear(net.fire(x).transpose(0, 1).contiguous()),
    "loop": lambda net, x: torch.stack([net.linear(s) for s in net.fire(x)]),
    "joined": lambda net, x: net.linear(torch.cat(net.fire(x).chunk(2, dim=2), 2)),
    "with zeros": lambda net, x: net.linear(torch.cat([net.fire(x)[..., :5], torch.zeros(4, 2, 1)], 2)),
    "buffer": into_a_buffer,
    "bits": lambda net, x: net.linear(net.fire(x).bool().float()),
    "cloned": lambda net, x: net.linear(net.fire(x).clone().detach().to(torch.float64).float()),
    "relu": lambda net, x: net.linear(TF.relu(net.fire(x)).clamp(0, 1)),
    "in place": lambda net, x: net.linear(net.fire(x).relu_()),
    "indexed": lambda net, x: net.linear(net.fire(x)[:, :, torch.arange(6)]),
    "functional": lambda net, x: TF.linear(net.fire(x), net.linear.weight),
    "matmul": lambda net, x: net.fire(x) @ net.linear.weight.T,
    "einsum": lambda net, x: torch.einsum("tni,oi->tno", net.fire(x), net.linear.weight),
    "pooled": lambda net, x: net.linear(TF.max_pool1d(net.fire(x), 1)),
    "chosen": lambda net, x: net.linear(torch.where(x > 9, torch.zeros_like(x), net.fire(x))),
    "chosen by bits": lambda net, x: net.linear(torch.where(net.fire(x) > 0, 1.0, 0.0)),
    "times one": lambda net, x: net.linear((net.fire(x) > 0.5) * 1.0),
    "sum": lambda net, x: net.linear(sum([net.fire(x)])),
    "not not": lambda net, x: net.linear(1 - (1 - net.fire(x))),
}


@pytest.mark.parametrize("way", WAYS)
def test_spikes_stay_spikes_wherever_they_go(way):
    totals = count(WAYS[way]).totals()
    lost = int((neuron.IFNode(v_reset=None, step_mode="m")(X)[..., 5] > 0).sum()) if way == "with zeros" else 0
    assert (totals["ac_binary"], totals["mac"]) == (2 * (SPIKES - lost), 0)


ANALOG = {
    "scaled": lambda net, x: net.linear(net.fire(x) * 0.5),
    "averaged": lambda net, x: net.linear(net.fire(x).mean(0, keepdim=True).expand(4, 2, 6)),
    "joined": lambda net, x: net.linear(torch.cat([net.fire(x)[..., :5], x[..., :1]], 2)),
    "written over": lambda net, x: net.linear(net.fire(x).add_(0.25)),
    "buffer": lambda net, x: net.linear(torch.zeros(4, 2, 6).copy_(x)),
}


@pytest.mark.parametrize("way", ANALOG)
def test_what_is_analog_is_multiplied_zeros_included(way):
    totals = count(ANALOG[way]).totals()
    assert (totals["ac_binary"], totals["ac_graded"], totals["mac"]) == (0, 0, 4 * 2 * 6 * 2)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int16, torch.int64])
def test_integers_and_bits_of_an_input_are_events(dtype):
    frames = ((X > 0.5) * (1 if dtype == torch.bool else 2)).to(dtype)
    column = "ac_binary" if dtype == torch.bool else "ac_graded"
    way = (lambda net, x: net.linear(x.float())) if dtype == torch.int64 else lambda net, x: net.linear(x)
    totals = count(way, frames).totals()
    assert (totals[column], totals["mac"]) == (2 * int((frames > 0).sum()), 0)
    assert totals["ac_binary"] + totals["ac_graded"] == totals[column]
    assert count(way, frames.float()).totals()["mac"] == 96


def test_an_encoder_makes_events():
    encoder = encoding.PoissonEncoder(step_mode="m")
    ops = count(lambda net, x: net.linear(encoder(x.clamp(0, 1))))
    assert ops.totals()["mac"] == 0
    assert ops.totals()["ac_binary"] == 2 * ops.totals()["spikes"] > 0


def test_once_for_each_timestep_counts_as_all_at_once():
    net = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1), layer.BatchNorm2d(4), neuron.LIFNode(), layer.Conv2d(4, 2, 3), neuron.IFNode()
    ).eval()
    x = torch.randn(4, 3, 1, 6, 6) * 3
    functional.set_step_mode(net, "m")
    whole = audit_torch(net, x, timesteps=4)
    functional.set_step_mode(net, "s")
    steps = audit_torch(net, x, timesteps=4, outer_loop=True)
    again = audit_torch(net, x, timesteps=4, run=lambda model, y: [model(step) for step in y])  # same, after a reset
    swapped = audit_torch(net, x.transpose(0, 1), timesteps=4, layout="NT", outer_loop=True)
    for other in (steps, again, swapped):
        assert other.samples == 3
        for column, n in whole.totals().items():
            assert other.totals()[column] == (4 * n if column == "weight_bytes_once" else n), column
        assert (other.table("ac_binary") == whole.table("ac_binary")).all()
    still = audit_torch(net, x[0], timesteps=4, layout="N", outer_loop=True)
    assert (
        still.totals()["mac"] == whole.totals()["mac"]
    )  # a static input is convolved at each timestep if it is called


def test_batches_are_added_and_memory_of_neurons_is_not_carried_over():
    net = nn.Sequential(layer.Linear(6, 5), neuron.IFNode(v_reset=None))
    functional.set_step_mode(net, "m")
    one = audit_torch(net, X, timesteps=4)
    two = audit_torch(net, (x for x in (X, X.numpy())), timesteps=4)
    assert (one.samples, two.samples) == (2, 4)
    assert len(two.calls) == len(one.calls)  # of any number of batches
    assert two.by_sample("spikes") == 2 * one.by_sample("spikes")
    assert two.totals() == {k: 2 * v for k, v in one.totals().items()}


def test_the_network_is_left_as_it_was():
    net = nn.Sequential(layer.Linear(6, 5), layer.BatchNorm1d(5), neuron.LIFNode()).train()
    functional.set_step_mode(net, "s")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()]
    totals = audit_torch(net, X, timesteps=4, outer_loop=True).totals()
    assert totals["bn_stat_mul"] == 4 * 2 * 5  # the statistics of a batch, in training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert net.training
    assert net[2].v == 0.0
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules()] == hooks


def test_a_folded_normalisation_leaves_a_bias():
    conv, norm = nn.Conv2d(1, 2, 3, bias=False).eval(), nn.BatchNorm2d(2).eval()
    x = torch.randn(2, 1, 5, 5)
    apart = audit_torch(nn.Sequential(conv, norm), x).totals()
    folded = audit_torch(torch.nn.utils.fuse_conv_bn_eval(conv, norm), x).totals()
    entries = 2 * 2 * 3 * 3
    assert (apart["bn_mul"], apart["bn_folded_add"], apart["bias_add"]) == (entries, entries, 0)
    assert (folded["bn_mul"], folded["bias_add"]) == (0, entries)
    assert folded["mac"] == apart["mac"] == 9 * entries


@pytest.mark.parametrize(
    ("stride", "padding", "more", "dilation", "groups"), [(2, 1, 1, 1, 1), (3, 0, 0, 2, 2), (1, 2, 0, 1, 4)]
)
def test_transposed_convolutions_against_a_loop(stride, padding, more, dilation, groups):
    conv = nn.ConvTranspose2d(4, 8, 3, stride, padding, more, groups, dilation=dilation)
    x = (torch.rand(2, 4, 5, 6) > 0.7).to(torch.uint8)
    totals = audit_torch(Made(lambda net, s: conv(s.float())), x).totals()
    height, width = conv(x.float()).shape[-2:]
    events = dense = 0
    for n, c, i, j in np.ndindex(*x.shape):
        for ky, kx in np.ndindex(3, 3):
            row, col = i * stride + ky * dilation - padding, j * stride + kx * dilation - padding
            if 0 <= row < height and 0 <= col < width:
                dense += 8 // groups
                events += 8 // groups * int(x[n, c, i, j])
    assert (totals["ac_binary"], totals["dense_mac"]) == (events, dense)
    assert totals["dense_mac_padded"] == x.numel() * 9 * 8 // groups
    assert totals["bias_add"] == 2 * 8 * height * width


def test_an_autoencoder_has_a_transposed_layer_by_its_name():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.ReLU(), nn.ConvTranspose2d(2, 1, 3, 2))
    ops = audit_torch(net, torch.randn(1, 1, 7, 7))
    assert [call.function for call in ops.calls] == ["Conv2d", "ReLU", "ConvTranspose2d"]
    assert ops.totals("2")["mac"] == 2 * 9 * 9  # 9 pixels of 2 channels, 9 taps that all land inside


class Own(nn.Module):
    """A neuron as people write it: it adds up, fires, subtracts."""

    def __init__(self):
        super().__init__()
        self.v = None

    def reset(self):
        self.v = None

    def forward(self, c):
        self.v = c if self.v is None else 0.9 * self.v + c
        s = (self.v >= 1.0).float()
        self.v = self.v - s
        return s


def own_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), Own(), nn.Linear(5, 3))


def test_a_neuron_of_a_users_own_is_counted_as_the_neuron_it_is_said_to_be():
    net = own_network()
    told = audit_torch(net, 3 * X, timesteps=4, outer_loop=True, neurons={Own: Neuron(F.LIF(0.9), state="v")})
    fired = told.totals()["spikes"]
    row = told.totals("1")
    assert fired > 0
    assert (row["leak_mul"], row["charge_add"], row["compare"], row["reset_add"]) == (30, 30, 40, fired)
    assert told.totals("2")["ac_binary"] == 3 * fired
    by_module = {Own: lambda module: Neuron(F.LIF(0.9, v_reset=0.0), state="v")}
    net[1].reset()
    assert audit_torch(net, 3 * X, timesteps=4, outer_loop=True, neurons=by_module).totals("1")["reset_set"] > 0


def test_without_a_word_its_operations_are_counted_one_by_one_and_its_spikes_are_spikes():
    ops = audit_torch(own_network(), 3 * X, timesteps=4, outer_loop=True)
    row = ops.totals("1")
    fired = row["spikes"]
    assert (row["elem_mul"], row["compare"], row["places"]) == (30, 40, 40)
    assert row["elem_add"] == 30 + fired  # a spike is subtracted where there is one
    assert ops.totals("2")["ac_binary"] == 3 * fired > 0


SECOND_ORDER = {
    "Synaptic": (lambda: snntorch.Synaptic(0.9, 0.8), {"leak_mul": 2 * 30, "charge_add": 2 * 30}),
    "Lapicque": (lambda: snntorch.Lapicque(beta=0.9), {"leak_mul": 30, "charge_add": 30, "elem_mul": 40}),
    "RLeaky": (
        lambda: snntorch.RLeaky(0.9, linear_features=5),
        {"leak_mul": 30, "charge_add": 30, "neuron_add": 40, "bias_add": 40 + 40, "dense_mac": 4 * 2 * (30 + 25)},
    ),
    "Leaky": (lambda: snntorch.Leaky(0.9, reset_mechanism="none"), {"leak_mul": 30, "charge_add": 30, "reset_add": 0}),
}


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_neurons_of_snntorch_that_keep_their_state(name):
    make, expected = SECOND_ORDER[name]
    fire = make()
    fire.init_hidden = True
    net = nn.Sequential(nn.Linear(6, 5), fire)
    ops = audit_torch(net, (30 if name == "Lapicque" else 3) * X, timesteps=4, outer_loop=True)
    totals = ops.totals()
    assert {column: totals[column] for column in expected} == expected
    assert totals["compare"] == totals["places"] == 40
    assert 0 < totals["spikes"] < 40
    if name == "RLeaky":  # spikes come back through weights: of the first three steps
        back = sum(ops.by_timestep("spikes")[:3])
        assert ops.totals("1.recurrent")["ac_binary"] == 5 * back
    if name != "Leaky":
        assert totals["reset_add"] == totals["spikes"]


def test_a_neuron_that_no_table_knows_is_named_and_counted_operation_by_operation():
    ops = count(lambda net, x: net.linear(net.fire(x)))
    assert ops.notes == []
    net = nn.Sequential(neuron.KLIFNode(step_mode="m"), nn.Linear(6, 2, bias=False))
    ops = audit_torch(net, X, timesteps=4, strict=False)
    assert ops.notes[0].startswith("0 (KLIFNode) is no neuron that is known")
    assert ops.totals("1")["mac"] == 0


def test_signed_spikes_are_named_and_multiplied():
    class Ternary(nn.Module):
        def forward(self, c):
            return (c > 0.5).float() - (c < -0.5).float()

    net = nn.Sequential(Ternary(), nn.Linear(6, 2))
    ops = audit_torch(net, X, timesteps=4, neurons={Ternary: Neuron(F.LIF(0.5), several_steps=True)})
    assert ops.notes == ["signed spikes of 0 (Ternary): read as analog values"]
    assert ops.totals("1")["mac"] == 96


UNCOUNTED = {
    "cumsum": lambda net, x: net.linear(x.cumsum(0)),
    "cdist": lambda net, x: torch.cdist(x, x),
    "amax over several axes": lambda net, x: x.amax((1, 2)),
}


@pytest.mark.parametrize("name", UNCOUNTED)
def test_what_cannot_be_counted_is_named_with_module_type_and_shape(name):
    word = "_cdist_forward" if name == "cdist" else name
    with pytest.raises(CostError, match=rf"not counted: {word}.* in Made \(Made\) on \("):
        count(UNCOUNTED[name], layout="TN")
    ops = count(UNCOUNTED[name], strict=False, layout="TN")
    assert len(ops.notes) == 1
    assert ops.notes[0].startswith(word)


def test_what_runs_in_a_submodule_is_named_by_its_path():
    net = nn.Sequential(nn.Unflatten(1, (1, 2, 3)), nn.LPPool2d(1, 1), nn.RReLU().train())
    with pytest.raises(CostError, match=r"rrelu_with_noise in 2 \(RReLU\) on \(2, 1, 2, 3\)"):
        audit_torch(net, X[0])


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("pixels", "groups"), [((), 2), ((3, 2), 2), ((3, 2), 1), ((5,), 4)])
def test_group_norm_by_hand(affine, pixels, groups):
    """A row of n: a mean, n differences, the mean of their squares, eps, root, 1 /, n products, then gamma and beta."""
    x = torch.rand(3, 4, *pixels)
    ops = audit_torch(nn.Sequential(nn.Identity(), nn.GroupNorm(groups, 4, affine=affine)), x)
    rows, n = 3 * groups, 4 // groups * max(1, int(np.prod(pixels)))
    adds, muls = (n - 1) + n + (n - 1) + 1 + n * affine, 1 + n + 1 + n + n * affine
    found = ops.totals("1")
    names = ("elem_add", "elem_mul", "special", "elem_div")
    assert [found[name] for name in names] == [rows * k for k in (adds, muls, 1, 1)]
    assert ops.by_sample("elem_mul") == [groups * muls] * 3
    assert [(facts.kind, facts.layer) for _, facts in ops.facts()] == [("layer_norm", "GroupNorm")]


def test_an_attention_layer_of_torch_is_counted_through_and_through():
    net = nn.MultiheadAttention(6, 2, batch_first=True).eval()
    x = torch.randn(2, 5, 6)
    ops = audit_torch(net, (x, x, x))
    totals = ops.totals()
    assert totals["mac"] == 2 * 5 * 6 * 18 + 2 * 2 * (5 * 3 * 5) * 2 + 2 * 5 * 36
    assert totals["bias_add"] == 2 * 5 * 18 + 2 * 5 * 6
    assert totals["special"] == 2 * 2 * 5 * 5
    assert ops.notes == []


def test_a_scripted_module_counts_for_the_module_that_holds_it():
    net = nn.Sequential(torch.jit.script(nn.Linear(6, 5)), neuron.IFNode(step_mode="m"))
    ops = audit_torch(net, X, timesteps=4)
    assert (ops.totals("Sequential")["mac"], ops.totals("Sequential")["bias_add"]) == (4 * 2 * 30, 4 * 2 * 5)
    assert ops.notes == []


def test_a_recurrent_network_of_torch_counts_its_products():
    totals = audit_torch(nn.GRU(6, 3), X, timesteps=4).totals()
    assert totals["dense_mac"] == 4 * 2 * 9 * (6 + 3)
    assert totals["special"] == 4 * 2 * 9


def without(monkeypatch, table, name):
    from snncore.foreign import modes

    monkeypatch.setitem(modes.RULES, name, table)


def test_a_lost_residual_is_noticed(monkeypatch):
    from tests.peers.test_audit_torch import both, differences

    without(monkeypatch, lambda rec, y, *rest, **more: rec.made(y, True, False, None), "add")
    ours, theirs, _ = both("sew add")
    assert differences(ours, theirs)["residual_add"][1] == 0


def test_lost_spikes_are_noticed(monkeypatch):
    from snncore.foreign import trail
    from tests.peers.test_audit_torch import both, differences

    monkeypatch.setattr(trail, "as_events", lambda x: None)
    ours, theirs, _ = both("mlp")
    assert {"ac_binary", "mac", "spike_read_bytes"} <= set(differences(ours, theirs))


WRONG = {
    "a torch.nn.Module, found list": lambda: audit_torch([], X),
    "one of TN, NT, N, found 'TNC'": lambda: audit_torch(own_network(), X, layout="TNC"),
    "timesteps: expected an integer of at least 0, found -1": lambda: audit_torch(own_network(), X, timesteps=-1),
    "outer_loop: expected timesteps": lambda: audit_torch(own_network(), X, outer_loop=True),
    "inputs: expected a tensor or array": lambda: audit_torch(own_network(), "x"),
    r"expected 3 samples in layout TN, found shape \(4, 2, 6\)": lambda: audit_torch(own_network(), X, 4, 3),
    "axis 1 of the input .* was taken for samples, but Conv2d takes it for features; say layout='N'": lambda: (
        audit_torch(nn.Conv2d(3, 2, 1), torch.ones(4, 3, 5, 5), 4, layout="TN")
    ),
    r"fire \(IFNode\) takes an input of 4 timesteps, shape \(4, 2, 6\), expected 3": lambda: audit_torch(
        Made(WAYS["plain"]), X, 3
    ),
    "expected at least 2 axes": lambda: audit_torch(own_network(), X[0, 0], 4, layout="TN"),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_arguments_are_refused(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()
