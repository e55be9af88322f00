"""Counts by sample and timestep are right when the counting is told how many samples there are."""

import warnings

import numpy as np
import pytest

from snncore import CostError, Tensor, at_timestep, count_ops, nn, no_grad
from snncore import functions as F
from snncore.opcount import UnresolvedWarning
from snncore.opcount.columns import COLUMNS
from tests.snncore.opcount.networks import ZOO, Images, Tokens, made

PER_CALL = ("weight_bytes_once", "neuron_special", "neuron_add")  # weights, the decay of a PLIF: once a call
SIZES = {  # T, N, tokens or pixels along a side
    "all differ": (3, 2, 4),
    "T = N": (3, 3, 4),
    "tokens = N": (3, 4, 4),
    "T = tokens": (4, 3, 4),
    "all equal": (4, 4, 4),
    "one sample": (3, 1, 4),
    "one timestep": (1, 3, 4),
}


def counted(network, x, **told):
    with no_grad(), count_ops(**told) as ops:
        network(Tensor(x))
    return ops


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", ZOO)
def test_each_sample_alone_costs_what_its_column_says(name, sizes, rng):
    network, x, axis, timesteps = made(name, rng, *SIZES[sizes])
    n = x.shape[axis]
    ops = counted(network, x, samples=n, timesteps=timesteps)
    alone = [counted(network, x.take([i], axis), samples=1, timesteps=timesteps).totals() for i in range(n)]
    assert ops.samples == n
    for column in COLUMNS:
        if column in PER_CALL:
            continue
        assert ops.unresolved(column, by="sample") == 0, column
        assert ops.by_sample(column) == [one[column] for one in alone], column
    assert ops.totals()["mac"] > 0
    assert (ops.totals()["spikes"] > 0) == (name != "analog")


def test_an_operation_that_says_the_wrong_axis_is_caught(monkeypatch, rng):
    """Where all sizes are equal only the history of an array tells its axes: a mean over time that keeps it, say."""
    network, x, _, t = made("tokens", rng, 4, 4, 4)
    good = counted(network, x, samples=4, timesteps=t).by_sample("elem_add")
    monkeypatch.setattr(F.Mean, "axis_after", lambda self, axis, ndim, new_ndim: axis)
    with pytest.warns(UnresolvedWarning, match="belong to no sample"):
        assert counted(network, x, samples=4, timesteps=t).by_sample("elem_add") != good


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", ["images", "images, repeated", "tokens", "tokens, repeated", "loop"])
def test_neurons_are_resolved_by_timestep(name, sizes, rng):
    network, x, axis, t = made(name, rng, *SIZES[sizes])
    ops = counted(network, x, samples=x.shape[axis], timesteps=t)
    for column in ("spikes", "places", "compare", "charge_add"):
        steps = ops.by_timestep(column)
        assert (len(steps), sum(steps)) == (t, ops.totals()[column])
        assert ops.table(column).sum(axis=1).tolist() == steps
        assert ops.table(column).sum(axis=0).tolist() == ops.by_sample(column)
    assert ops.by_timestep("places") == [ops.totals()["places"] // t] * t
    assert ops.by_timestep("charge_add")[0] == 0  # from rest: no membrane to add to


def test_tokens_without_time_were_read_as_samples_of_a_timestep():
    """T=4, N=3, 16 tokens: by the layout of the engine alone, what comes after the mean over time has 16 samples."""
    rng = np.random.default_rng(0)
    network, x = Tokens(rng), rng.normal(0, 1, (4, 3, 16, 4)).astype(np.float32)
    ops = counted(network, x, samples=3)
    assert ops.samples == 3
    assert len(ops.by_sample("mac")) == 3
    untold = counted(network, x)
    assert untold.samples is None
    assert untold.totals() == ops.totals()
    with pytest.raises(CostError, match=r"found 3 and 16; tell count_ops\(samples=\)"):
        untold.by_sample("mac")


def test_an_ann_of_images_has_as_many_samples_as_it_is_told():
    rng = np.random.default_rng(0)
    network, x, _, _ = made("analog", rng, n=5)
    ops = counted(network, x, samples=5)
    assert ops.samples == 5
    assert ops.by_sample("mac") == [ops.totals()["mac"] // 5] * 5
    with pytest.warns(UnresolvedWarning, match=r"by_timestep\('mac'\): .* belong to no timestep"):
        assert ops.by_timestep("mac") == []


def test_counts_that_could_not_be_placed_are_said(rng):
    """Forty spikes, looped over time without a word: the caller is told that none of them is in the list."""
    lif = nn.LIF(v_threshold=0.5, stateful=True)
    with no_grad(), count_ops() as ops:
        for _ in range(2):
            lif(Tensor(np.ones((1, 20), np.float32)))
    with pytest.warns(
        UnresolvedWarning, match=r"by_timestep\('spikes'\): 40 of 40 belong to no timestep .*at_timestep"
    ):
        assert ops.by_timestep("spikes") == []
    with pytest.warns(UnresolvedWarning, match=r"by_sample\('spikes'\): 40 of 40 belong to no sample .*samples="):
        assert ops.by_sample("spikes") == []
    lif.reset()
    with no_grad(), count_ops(samples=20) as ops:
        for t in range(2):
            with at_timestep(t):
                lif(Tensor(np.ones((1, 20, 1), np.float32)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ops.by_timestep("spikes") == [20, 20]
        assert ops.by_sample("spikes") == [2] * 20


def test_what_is_once_a_call_stays_in_its_timestep():
    """Weights that are read once a call belong to the timestep of a loop, and to no sample."""
    x, w = np.ones((2, 3, 4), np.uint8), np.ones((4, 5), np.float32)
    with count_ops(samples=3) as ops:
        for t in range(2):
            with at_timestep(t):
                F.Linear()(x[t], w)
        F.Linear()(x[0], w)
    once = "weight_bytes_once"
    assert (ops.totals()[once], ops.unresolved(once), ops.unresolved(once, by="sample")) == (240, 80, 240)
    with pytest.warns(UnresolvedWarning, match="80 of 240 belong to no timestep"):
        assert ops.by_timestep(once) == [80, 80]
    with pytest.raises(ValueError, match="by: expected 'timestep' or 'sample', found 'layer'"):
        ops.unresolved(once, by="layer")


def test_two_forwards_add_their_samples(rng):
    network, x, _, _ = made("images", rng, n=2)
    with no_grad(), count_ops(samples=2) as ops:
        network(Tensor(x))
        network(Tensor(x[:, ::-1].copy()))
    assert (ops.samples, ops.batches) == (4, 2)
    spikes = ops.by_sample("spikes")
    assert len(spikes) == 4
    assert spikes[:2] == spikes[:1:-1]
    assert sum(spikes) == ops.totals()["spikes"]


def test_batches_of_other_sizes_are_told(rng):
    network, x, _, _ = made("images", rng, n=3)
    whole = counted(network, x, samples=3)
    with no_grad(), count_ops(samples=2) as ops:
        network(Tensor(x[:, :2]))
        ops.next_batch(samples=1)
        network(Tensor(x[:, 2:]))
    assert (ops.samples, ops.batches) == (3, 2)
    for column in set(COLUMNS) - set(PER_CALL):
        assert ops.by_sample(column) == whole.by_sample(column), column


class Shared(nn.Module):
    """One encoder for two inputs."""

    def __init__(self, rng):
        self.encoder = Images(rng)

    def forward(self, x, z):
        return self.encoder(x) + self.encoder(z)


def test_the_same_layers_twice_in_one_forward_are_one_batch(rng):
    x = np.ones((3, 2, 4, 4, 1), np.float32)
    with no_grad(), count_ops(samples=2) as ops:
        Shared(rng)(Tensor(x), Tensor(x))
    assert (ops.samples, len(ops.by_sample("spikes"))) == (2, 2)


def test_a_network_called_again_on_its_own_output_or_at_another_timestep_is_in_the_same_batch(rng):
    linear = nn.Linear(4, 4, rng=rng)
    x = np.ones((3, 2, 4), np.float32)
    with no_grad(), count_ops(samples=2) as ops:
        linear(linear(Tensor(x)))
    assert ops.samples == 2
    with no_grad(), count_ops(samples=2) as ops:
        for t in range(3):
            with at_timestep(t):
                linear(Tensor(x[t]))
    assert (ops.samples, ops.by_timestep("mac")) == (2, [32] * 3)
    with no_grad(), count_ops(samples=2) as ops:
        for t in (0, 1, 0, 1):  # two batches, each through two timesteps
            with at_timestep(t):
                linear(Tensor(x[t]))
    assert (ops.samples, ops.by_timestep("mac")) == (4, [64] * 2)


@pytest.mark.parametrize(("told", "message"), [({"samples": -1}, "samples: .*-1"), ({"timesteps": 1.5}, "timesteps: ")])
def test_numbers_that_cannot_be_are_refused(told, message):
    with pytest.raises(ValueError, match=message), count_ops(**told):
        pass


def test_a_buffer_that_is_filled_anew_at_each_timestep_repeats_nothing(rng):
    frames = rng.standard_normal((3, 2, 6)).astype(np.float32)
    buffer, layer, found = np.empty((2, 6), np.float32), nn.Linear(6, 4), []
    for again in (False, True):
        with no_grad(), count_ops(samples=2, timesteps=3) as ops:
            for t, frame in enumerate(frames):
                buffer[...] = frame
                with at_timestep(t):
                    layer(Tensor(buffer if again else frame.copy()))
        found.append(ops.totals())
    assert found[1] == found[0]
    assert found[0]["mac"] == 3 * 2 * 6 * 4
