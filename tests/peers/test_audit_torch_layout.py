"""audit_torch: which axes of the inputs are time and samples is decided once, and doubt is said."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra peers is not installed")
pytest.importorskip("spikingjelly", reason="the extra peers is not installed")

from spikingjelly.activation_based import neuron  # noqa: E402
from torch import nn  # noqa: E402

from snncore import audit_torch  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


class Repeated(nn.Module):
    """Repeats a static input at each of four timesteps, behind its first layer."""

    def __init__(self, first):
        super().__init__()
        self.first, self.fire = first, neuron.IFNode(step_mode="m")

    def forward(self, x):
        y = self.first(x)
        return self.fire(y.unsqueeze(0).repeat(4, *[1] * y.ndim))


X = torch.from_numpy(np.random.default_rng(0).normal(0.5, 1, (36, 6)).astype(np.float32))


@pytest.mark.parametrize("sizes", [(36,), (32, 4), (4, 32), (4,) * 9])
def test_a_batch_of_as_many_samples_as_timesteps_is_read_as_the_others(sizes):
    ops = audit_torch(Repeated(nn.Linear(6, 8)), list(X.split(sizes)), timesteps=4)
    assert (ops.samples, ops.totals()["mac"], ops.layout) == (36, 36 * 48, "N")
    some = audit_torch(Repeated(nn.Linear(6, 8)), (x for x in X.split(sizes)), timesteps=4)
    assert (some.samples, some.totals()["mac"]) == (36, 36 * 48)


CONTRADICTED = {
    "linear": (nn.Linear(6, 8), X[:4], 48),
    "grey": (nn.Conv2d(1, 2, 1), X[:4].reshape(4, 1, 2, 3), 12),
    "colour": (nn.Conv2d(3, 2, 1), X[:4].reshape(4, 3, 1, 2), 12),
}


@pytest.mark.parametrize("name", CONTRADICTED)
def test_where_the_network_takes_the_axes_otherwise_they_are_samples(name):
    first, x, macs = CONTRADICTED[name]
    ops = audit_torch(Repeated(first), x, timesteps=4)
    assert (ops.samples, ops.totals()["mac"]) == (4, 4 * macs)
    assert ops.notes == [f"inputs of shape {tuple(x.shape)} were read as N, 4 samples without an axis of time"]
    with pytest.raises(ValueError, match="layout"):
        audit_torch(Repeated(first), x, timesteps=4, layout="TN")


def test_a_reading_that_nothing_confirms_is_said_with_the_other():
    x = X[:8].reshape(4, 2, 6)  # four timesteps of two samples, or four samples of two tokens
    net = nn.Linear(6, 8)
    note = "inputs of shape (4, 2, 6) were read as TN, 2 samples of 4 timesteps; N, 4 samples without an axis of time, "
    assert audit_torch(net, x, timesteps=4).notes == [note + "fits as well: say which"]
    assert audit_torch(net, x, timesteps=4, layout="TN").notes == []
    assert audit_torch(nn.Sequential(net, neuron.IFNode(step_mode="m")), x, timesteps=4).notes == []
    turned = audit_torch(net, x.transpose(0, 1), timesteps=4)
    assert turned.samples == 2
    assert "NT, 2 samples of 4 timesteps, fits as well" in turned.notes[0]


def test_a_later_batch_that_does_not_fit_the_first_is_refused():
    batches = (x for x in (X[:8].reshape(4, 2, 6), X[:6].reshape(3, 2, 6)))
    with pytest.raises(ValueError, match=r"first batch was read as TN, and one of shape \(3, 2, 6\) does not fit"):
        audit_torch(nn.Sequential(nn.Linear(6, 8), neuron.IFNode(step_mode="m")), batches, timesteps=4)


EVENTS = (X[:2] > 0.5).float()


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.int32])
def test_bits_and_integers_reach_a_network_as_floats_and_are_events(dtype):
    ops = audit_torch(nn.Linear(6, 8), EVENTS.to(dtype))
    assert (ops.totals()["ac_binary"], ops.totals()["mac"], ops.notes) == (8 * int(EVENTS.sum()), 0, [])


def test_floats_that_could_be_events_are_said_and_can_be_declared():
    ops = audit_torch(nn.Linear(6, 8), EVENTS)
    assert (ops.totals()["mac"], len(ops.notes)) == (2 * 48, 1)
    assert ops.notes[0].startswith("float inputs that are all whole numbers from 0 to 1 were taken as analog values")
    told = audit_torch(nn.Linear(6, 8), EVENTS, events=True)
    assert (told.totals()["ac_binary"], told.totals()["mac"], told.notes) == (8 * int(EVENTS.sum()), 0, [])
    assert audit_torch(nn.Linear(6, 8), [EVENTS, X[:2]]).notes == []
    with pytest.raises(ValueError, match=r"expected events, whole numbers from 0 to 255, found others"):
        audit_torch(nn.Linear(6, 8), X, events=True)


def test_integers_are_indices_where_there_is_an_embedding_or_where_it_is_said():
    tokens = torch.arange(6).reshape(2, 3)
    assert audit_torch(nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 2)), tokens).totals()["mac"] == 6 * 8

    class Table(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.randn(6, 4))

        def forward(self, i):
            return nn.functional.linear(self.table[i], self.table[:2])

    assert audit_torch(Table(), tokens, events=False).totals()["mac"] == 6 * 8


@pytest.mark.parametrize("x", [X[:0], torch.full((2, 6), torch.nan)])
def test_no_samples_and_nan_are_refused(x):
    with pytest.raises(ValueError, match=r"expected (at least one sample|numbers, found NaN)"):
        audit_torch(nn.Linear(6, 8), x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_floats_count_as_long_ones(dtype, recwarn):
    net = nn.Sequential(nn.Linear(6, 8), neuron.IFNode(step_mode="m", v_threshold=0.2), nn.Linear(8, 3, bias=False))
    x = X[:8].reshape(4, 2, 6)
    whole = audit_torch(net, x, timesteps=4).totals()
    short = audit_torch(net.to(dtype), x.to(dtype), timesteps=4).totals()
    assert short["mac"] == whole["mac"] == 8 * 48
    assert short["ac_binary"] == 3 * short["spikes"]
    assert abs(short["spikes"] - whole["spikes"]) <= 2  # an entry near the threshold
    assert not [w for w in recwarn if w.category is RuntimeWarning]


def test_timesteps_that_were_not_told_are_asked_for():
    with pytest.raises(ValueError, match=r"takes an input of 36 timesteps, .* none were told: say timesteps=36"):
        audit_torch(nn.Sequential(nn.Linear(6, 8), neuron.IFNode(step_mode="m")), X)
