"""audit_torch: spikes that are written, chosen or rounded into being are events; what is not followed is not zero."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")

from torch import nn  # noqa: E402

from snncore import audit_torch  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

X = torch.from_numpy(np.random.default_rng(0).normal(0.5, 1, (2, 6)).astype(np.float32))
FIRED = int((X > 1).sum())
WHERE = torch.tensor([1, 2])


class Made(nn.Module):
    """y = W f(x), W [5, 6]."""

    def __init__(self, function):
        super().__init__()
        self.function, self.fc = function, nn.Linear(6, 5, bias=False)

    def forward(self, x):
        return self.fc(self.function(x))


def count(function, x=X):
    ops = audit_torch(Made(function), x, strict=False)
    totals = ops.totals("fc")
    return totals["ac_binary"], totals["ac_graded"], totals["mac"], ops.notes


def zeros():
    return torch.zeros(2, 6)


def put(x):
    s = torch.zeros_like(x)
    s[x > 1] = 1.0
    return s


def room(x):
    s = torch.empty_like(x)
    for i in range(2):
        s[i] = (x[i] > 1).float()
    return s


def a_part(x):
    s = (x > 1).float()
    s[:, :3].masked_fill_(x[:, :3] > 1, 1.0)
    return s


def straight(x):
    hard, soft = (x > 1).float(), torch.sigmoid(4 * (x - 1))
    return hard.detach() - soft.detach() + soft


def kept(x):
    soft = torch.sigmoid(x)
    return soft + ((x > 1).float() - soft).detach()


SPIKES = {
    "index_put": put,
    "masked_fill": lambda x: torch.zeros_like(x).masked_fill(x > 1, 1.0),
    "masked_fill_": lambda x: torch.zeros_like(x).masked_fill_(x > 1, 1.0),
    "masked_scatter_": lambda x: zeros().masked_scatter_(x > 1, torch.ones(12)),
    "where of arrays": lambda x: torch.where(x > 1, torch.ones_like(x), torch.zeros_like(x)),
    "where of numbers": lambda x: torch.where(x > 1, 1.0, 0.0),
    "times one": lambda x: (x > 1) * 1.0,
    "room": room,
    "a part": a_part,
    "out=": lambda x: torch.gt(x, 1, out=torch.zeros(2, 6, dtype=torch.bool)).float(),
    "straight through": straight,
    "straight through, kept": kept,
    "slice_scatter": lambda x: torch.slice_scatter(zeros(), (x > 1).float(), 0),
    "shuffled": lambda x: nn.functional.channel_shuffle((x > 1).float()[:, :, None], 2)[..., 0],
}


@pytest.mark.parametrize("name", SPIKES)
def test_spikes_however_they_are_made(name):
    assert count(SPIKES[name]) == (5 * FIRED, 0, 0, [])


PLACED = {
    "scatter_": lambda x: zeros().scatter_(1, torch.tensor([[1], [2]]), 1.0),
    "index_copy_": lambda x: zeros().index_copy_(1, WHERE[:1], torch.ones(2, 1)),
    "index_fill_": lambda x: zeros().index_fill_(1, WHERE[:1], 1.0),
}


@pytest.mark.parametrize("name", PLACED)
def test_ones_that_are_put_where_an_index_says(name):
    assert count(PLACED[name]) == (10, 0, 0, [])


ROUNDED = {
    "sign": lambda x: torch.relu(torch.sign(x - 1)),
    "floor": lambda x: torch.floor(torch.clamp(x, 0, 1.5)),
    "round": lambda x: torch.round(torch.clamp(4 * x, 0, 4)),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_rounded_numbers_are_events_and_named(name):
    values = ROUNDED[name](X)
    top = int(values.max())
    assert top == (4 if name == "round" else 1)
    note = f"fc gets whole numbers from 0 to {top} that were made by rounding or a sign: counted as events (AC)"
    assert count(ROUNDED[name]) == (5 * int((values == 1).sum()), 5 * int((values > 1).sum()), 0, [note])


ANALOG = {
    "half": lambda x: zeros().masked_fill(x > 1, 0.5),
    "analog under": lambda x: x.masked_fill(x > 1, 1.0),
    "written over": lambda x: put(x).masked_fill_(x < 0, 0.25),
    "out=": lambda x: torch.add(x, x, out=zeros()),
    "copied": lambda x: zeros().copy_(x),
    "a part": lambda x: torch.cat([put(x)[:, :3], x[:, 3:]], 1),
    "sign": lambda x: torch.sign(x - 1),
    "rounded high": lambda x: torch.round(x.abs() * 1000),
}


@pytest.mark.parametrize("name", ANALOG)
def test_what_was_mixed_with_analog_values_is_multiplied(name):
    assert count(ANALOG[name]) == (0, 0, 60, [])


NAMED = {
    "index_add": lambda x: zeros().index_add_(1, WHERE, x[:, :2]),
    "scatter_add": lambda x: zeros().scatter_add_(1, torch.zeros(2, 6, dtype=torch.int64), x),
    "_index_put_impl": lambda x: zeros().index_put_((WHERE[:1],), x[:1], accumulate=True),
    "_foreach_add": lambda x: torch._foreach_add_([zeros()], [x])[0],
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_written_in_an_unknown_way_is_named_and_never_zero(name):
    binary, graded, macs, notes = count(NAMED[name])
    assert (binary, graded, macs) == (0, 0, 60)
    assert len(notes) == 1
    assert name.removeprefix("_index_put_impl") in notes[0]


def test_small_whole_numbers_that_stay_analog_are_said_with_their_layer():
    note = "fc gets only whole numbers from 0 to 1 that no neuron made: counted as analog values (MAC)"
    assert count(lambda x: (torch.sign(x - 1) + 1) / 2) == (0, 0, 60, [note])
    x = torch.zeros(2, 6)
    assert count(lambda x: (torch.sign(x - 1) + 1) / 2, x + 0.5)[3] == []  # it never fired
    mixed = audit_torch(Made(lambda x: (torch.sign(x - 1) + 1) / 2 + x.clamp(9, 10) - 9), [X, 0 * X + 9.5])
    assert mixed.notes == []  # once it was another number


def test_circular_padding_keeps_spikes():
    conv = nn.Conv2d(1, 2, 3, padding=1, bias=False, padding_mode="circular")
    x = torch.rand(2, 1, 4, 4)
    net = Made(lambda x: x)
    net.forward = lambda x: conv((x > 0.5).float())
    totals = audit_torch(net, x).totals()
    assert (totals["ac_binary"], totals["mac"]) == (9 * 2 * int((x > 0.5).sum()), 0)


NO_COST = {
    "complex _fft_r2c": lambda x: torch.fft.fft(x).abs(),
    "complex mul": lambda x: (x.to(torch.cfloat) * x).real.contiguous(),
    "complex mm": lambda x: (x.to(torch.cfloat) @ x.T.to(torch.cfloat)).abs() @ x,
    "_int_mm": lambda x: (
        torch._int_mm(x.to(torch.int8).repeat(16, 4), x.to(torch.int8).repeat(16, 4).T)[:2, :6]
    ).float(),
    "sparse _to_sparse": lambda x: x.to_sparse().to_dense(),
}


@pytest.mark.parametrize("name", NO_COST)
def test_what_has_no_cost_here_is_named(name):
    assert any(text.startswith(f"{name} in Made (Made) on (") for text in count(NO_COST[name])[3])
