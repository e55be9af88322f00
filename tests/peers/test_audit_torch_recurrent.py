"""LSTM, GRU, RNN and attention of PyTorch, against formulas and against the same network written out in a loop."""

import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional as TF  # noqa: E402

from snncore import audit_torch  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

T, N, CI, H = 4, 2, 6, 3
X = torch.randn(T, N, CI, generator=torch.Generator().manual_seed(0))
SPIKES = (X > 0.3).to(torch.uint8)
FIRED = int(SPIKES.sum())

GATES = {  # gates, and by entry of the state: additions, products, exponentials (but for the products with weights)
    "RNN": (1, 1, 0, 1),
    "GRU": (3, 5, 2, 3),  # r, z: a sum each; n: r * hn, a sum; h = n + z (h - n)
    "LSTM": (4, 5, 3, 5),  # four sums; c = f c + i g; h = o tanh c
}


class Last(nn.Module):
    """What a recurrent layer puts out, without its states."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


class Loop(nn.Module):
    """The same layer as cells in a loop over time."""

    def __init__(self, layer):
        super().__init__()
        name = type(layer).__name__
        self.cell = getattr(nn, f"{name}Cell")(CI, H, bias=layer.bias)
        self.cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
        self.pair = name == "LSTM"

    def forward(self, x):
        h, made = torch.zeros(N, H), []
        state = (h, torch.zeros(N, H)) if self.pair else h
        for step in x:
            state = self.cell(step, state)
            made.append(state[0] if self.pair else state)
        return torch.stack(made)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("spikes", [True, False])
def test_a_recurrent_layer_by_formula(name, bias, spikes):
    """Spikes accumulate into the gates, states multiply; the state of zeros before the first step does neither."""
    gates, adds, muls, special = GATES[name]
    torch.manual_seed(0)
    layer = getattr(nn, name)(CI, H, bias=bias)
    ops = audit_torch(Last(layer), SPIKES if spikes else X, timesteps=T, layout="TN")
    totals = ops.totals()
    states, recurrent = T * N * H, (T - 1) * N * H * gates * H
    assert totals["dense_mac"] == T * N * gates * H * (CI + H)
    assert totals["ac_binary"] == (FIRED * gates * H if spikes else 0)
    assert totals["mac"] == recurrent + (0 if spikes else T * N * CI * gates * H)
    assert totals["bias_add"] == (2 * states * gates if bias else 0)
    assert (totals["elem_add"], totals["elem_mul"], totals["special"]) == tuple(
        states * each for each in (adds, muls, special)
    )
    assert ops.notes == []
    assert sum(ops.by_sample("mac")) == totals["mac"]


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("spikes", [True, False])
def test_a_recurrent_layer_counts_what_its_cells_count_in_a_loop(name, spikes):
    torch.manual_seed(0)
    layer = getattr(nn, name)(CI, H)
    net, x = Loop(layer), SPIKES if spikes else X
    torch.testing.assert_close(net(x.float()), layer(x.float())[0])
    whole = audit_torch(Last(layer), x, timesteps=T, layout="TN").totals()
    loop = audit_torch(net, x, timesteps=T, layout="TN").totals()
    names = ("ac_binary", "mac", "mac_nonzero", "dense_mac", "bias_add", "elem_add", "elem_mul", "special")
    assert {n: whole[n] for n in names} == {n: loop[n] for n in names}


def test_an_lstm_of_two_layers_both_ways():
    net = Last(nn.LSTM(CI, H, 2, bidirectional=True))
    totals = audit_torch(net, SPIKES, timesteps=T, layout="TN").totals()
    gates = 4 * H
    assert totals["dense_mac"] == T * N * gates * (2 * (CI + H) + 2 * (2 * H + H))
    assert totals["ac_binary"] == 2 * FIRED * gates  # of the first layer, each way
    assert totals["mac"] == 4 * (T - 1) * N * gates * H + 2 * T * N * gates * 2 * H


def test_an_lstm_hands_on_what_it_always_did():
    """Taking it apart changes no more than the last digits of what comes out."""
    net = Last(nn.LSTM(CI, H))
    seen = []
    net.register_forward_hook(lambda module, args, y: seen.append(y.clone()))
    audit_torch(net, X, timesteps=T, layout="TN")
    torch.testing.assert_close(seen[0], net(X))


def test_a_packed_sequence_counts_the_steps_that_it_has():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.GRU(CI, H)

        def forward(self, x):
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 2]))
            return self.layer(packed)[0].data

    ops = audit_torch(Packed(), SPIKES, timesteps=T, layout="TN")
    steps = 4 + 2
    assert ops.totals()["dense_mac"] == steps * 3 * H * (CI + H)
    assert ops.totals()["ac_binary"] == 3 * H * int(SPIKES[:, 0].sum() + SPIKES[:2, 1].sum())
    assert ops.notes == []


E, L = 6, 5
TOKENS = torch.randn(N, L, E, generator=torch.Generator().manual_seed(1))
HEADS = 2


class Attends(nn.Module):
    def __init__(self, **how):
        super().__init__()
        self.layer, self.how = nn.MultiheadAttention(E, HEADS, batch_first=True), how

    def forward(self, x):
        return self.layer(x, x, x, **self.how)[0]


MASK = torch.ones(L, L).triu(1).bool()


@pytest.mark.parametrize(
    ("how", "adds", "muls"),
    [
        ({}, L * L, E * L + L * L),  # q is scaled; the weights of the heads are added and scaled for their mean
        ({"need_weights": False}, 0, HEADS * L * L),  # one operation of torch: its scores are scaled
        ({"attn_mask": MASK}, L * L + HEADS * L * L, E * L + L * L),
        ({"attn_mask": MASK, "need_weights": False}, HEADS * L * L, HEADS * L * L),
    ],
)
def test_every_form_of_attention_counts_its_products(how, adds, muls):
    torch.manual_seed(0)
    ops = audit_torch(Attends(**how).eval(), TOKENS)
    totals = ops.totals()
    products = 2 * HEADS * L * L * (E // HEADS)
    softmax = HEADS * L * (L - 1 + L)  # a largest is subtracted, and all are added, in each row
    assert totals["dense_mac"] == totals["mac"] == N * (products + L * E * 3 * E + L * E * E)
    assert (totals["special"], totals["elem_div"]) == (N * HEADS * L * L,) * 2
    assert (totals["elem_add"], totals["elem_mul"]) == (N * (adds + softmax), N * muls)
    assert ops.notes == []


def test_attention_inside_a_layer_of_torch_counts_as_attention_by_hand():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(E, HEADS, 12, batch_first=True).eval()

    class ByHand(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            own = self.layer.self_attn
            q, k, v = TF.linear(x, own.in_proj_weight, own.in_proj_bias).chunk(3, -1)
            q, k, v = (z.unflatten(-1, (HEADS, -1)).transpose(1, 2) for z in (q, k, v))
            y = own.out_proj(TF.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            x = self.layer.norm1(x + y)
            return self.layer.norm2(x + self.layer.linear2(TF.relu(self.layer.linear1(x))))

    net = ByHand()
    torch.testing.assert_close(net(TOKENS), layer(TOKENS))
    a, b = (audit_torch(m, TOKENS) for m in (net, layer))
    names = ("mac", "mac_nonzero", "dense_mac", "bias_add", "elem_add", "elem_mul", "elem_div", "special")
    assert {n: a.totals()[n] for n in names} == {n: b.totals()[n] for n in names}
    assert b.notes == []


@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, False), (1, True)])
@pytest.mark.parametrize("name", GATES)
def test_a_step_is_named_only_where_it_is_known(name, layers, both):
    """Several layers run one after another, each over all steps: their products over states are of no known step."""
    gates = GATES[name][0]
    layer = getattr(nn, name)(CI, H, layers, bidirectional=both)
    ops = audit_torch(Last(layer), SPIKES, timesteps=T, layout="TN")
    of_states = layers * (1 + both) * (T - 1) * N * gates * H * H
    if layers == 1 and not both:
        assert ops.by_timestep("mac") == [0, *[N * gates * H * H] * (T - 1)]
        assert ops.unresolved("mac") == 0
    else:
        assert ops.unresolved("mac") == of_states
    assert ops.by_timestep("ac_binary") == [int(s.sum()) * gates * H * (1 + both) for s in SPIKES]
