"""The monitor: membranes by hand and by a twin of every neuron, names, limits, and that nothing else changes."""

import numpy as np
import pytest

from snncore import MonitorError, Tensor, at_timestep, monitor, nn, observe
from snncore import functions as F
from snncore.capture import CaptureError
from snncore.context import changed, context
from snncore.functions.stated import StatedNeuron
from snncore.kernels.choice import use_kernels
from snncore.surrogate import relaxed
from snncore.tape import Function
from snncore.trains import Piece


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Net(nn.Module):
    """Linear, BatchNorm and neuron, twice; the second neuron runs on what the first fired."""

    def __init__(self, neuron=nn.LIF, **settings):
        rng = np.random.default_rng(3)
        self.stages = nn.ModuleList([nn.Linear(5, 5, rng=rng), nn.Linear(5, 5, rng=rng)])
        self.norms = nn.ModuleList(nn.BatchNorm(5) for _ in range(2))
        for norm in self.norms:
            norm.weight.data *= 2.0
            norm.bias.data += 0.7
        self.neurons = nn.ModuleList(neuron(**settings) for _ in range(2))

    def forward(self, x):
        for layer, norm, neuron in zip(self.stages, self.norms, self.neurons, strict=True):
            x = neuron(layer(x), norm)
        return x


def drive(rng, steps=6, samples=4):
    return Tensor(rng.normal(0.5, 1.5, (steps, samples, 5)).astype(np.float32))


def test_the_membrane_of_one_neuron_by_hand():
    lif = nn.LIF(tau=2.0, v_threshold=1.0)
    with monitor(lif) as seen:
        lif(Tensor(np.full((4, 1), 0.6)))
    record = seen["LIF"]
    assert (list(seen), record.path, record.neuron, record.threshold) == (["LIF"], "LIF", "LIF", 1.0)
    np.testing.assert_allclose(record.current.ravel(), [0.6, 0.6, 0.6, 0.6])
    np.testing.assert_allclose(record.charge.ravel(), [0.6, 0.9, 1.05, 0.625])
    np.testing.assert_allclose(record.membrane.ravel(), [0.6, 0.9, 0.05, 0.625])
    np.testing.assert_allclose(record.margin.ravel(), [-0.4, -0.1, 0.05, -0.375])
    assert record.spikes.ravel().tolist() == [0, 0, 1, 0]


NEURONS = {
    "LIF": (nn.LIF, {}),
    "LIF hard": (nn.LIF, {"decay": 0.8, "v_reset": -0.2}),
    "LIF low": (nn.LIF, {"tau": 1.7, "v_threshold": 0.3}),
    "IF": (nn.IF, {}),
    "PLIF": (nn.PLIF, {"tau": 3.0}),
    "CLIF": (nn.CLIF, {"tau": 3.0}),
}


@pytest.mark.parametrize("kernels", ["auto", "reference"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NEURONS)
def test_membranes_obey_the_equations_and_fire_where_the_network_did(rng, name, training, kernels):
    kind, settings = NEURONS[name]
    net, x = Net(kind, **settings).train(training), drive(rng)
    with use_kernels(None if kernels == "auto" else kernels), monitor(net) as seen:
        outside = net(x)
    assert list(seen) == ["neurons.0", "neurons.1"]
    np.testing.assert_array_equal(seen["neurons.1"].spikes, outside.data)
    for path in seen:
        r = seen[path]
        firing = net.neurons[int(path[-1])].firing
        assert 0 < r.spikes.sum() < r.spikes.size
        np.testing.assert_array_equal(r.margin >= 0, r.spikes)
        np.testing.assert_array_equal(r.charge >= np.float32(r.threshold), r.spikes)
        decay = np.float32(firing.decay) if name != "PLIF" else np.float32(2 / 3)  # tau 3
        before = np.concatenate([np.zeros_like(r.membrane[:1]), r.membrane[:-1]])
        np.testing.assert_allclose(r.charge, decay * before + r.current, rtol=1e-6, atol=1e-6)
        if name == "CLIF":
            m = np.zeros_like(r.charge[0])
            for t, h in enumerate(r.charge):
                m = m * sigmoid(h / 3) + r.spikes[t]
                np.testing.assert_allclose(r.membrane[t], h - r.spikes[t] * (1 + sigmoid(m)), rtol=1e-5, atol=1e-6)
        else:
            after = (
                r.charge - r.spikes * firing.v_threshold
                if firing.v_reset is None
                else np.where(r.spikes, firing.v_reset, r.charge)
            )
            np.testing.assert_allclose(r.membrane, after, rtol=1e-6, atol=1e-6)


def test_currents_of_a_fused_normalisation_are_those_of_the_two_apart(rng):
    net, x = Net().train(), drive(rng)
    with monitor(net) as seen:
        net(x)
    with nn.unfused(), monitor(net) as apart:
        net(x)
    for path in seen:
        np.testing.assert_allclose(seen[path].current, apart[path].current, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighted", [True, False])
def test_an_mlif_has_two_trains_and_fires_by_alpha(rng, weighted):
    mlif = nn.MLIF(alpha=0.7)
    o = [Tensor(rng.integers(0, 3, (5, 2, 3, 3, 4)).astype(np.uint8)) for _ in "av"]
    w = [Tensor(rng.uniform(0.2, 1.5, (3, 3, 1)).astype(np.float32)) for _ in "av"] if weighted else [None, None]
    with monitor(mlif) as seen:
        outside = mlif(*o, *w)
    assert list(seen) == ["MLIF.a", "MLIF.v"]
    for k, r in enumerate(seen.values()):
        np.testing.assert_array_equal(r.spikes, outside[k].data)
        assert 0 < r.spikes.sum() < r.spikes.size
        np.testing.assert_array_equal(r.current, o[k].data * (w[k].data if weighted else np.float32(1)))
        np.testing.assert_array_equal(np.float32(0.7) * r.charge - np.float32(1) >= 0, r.spikes)
        assert r.threshold == pytest.approx(1 / 0.7)
        np.testing.assert_array_equal(r.membrane, r.charge - r.spikes)


def test_a_stated_neuron_is_reset_where_something_else_fired(rng):
    class Sum(nn.Module):
        def forward(self, o):
            s = [F.Fire()(Tensor(np.float32(o[t]) - 1.5)) for t in range(3) for context.timestep in [t]]
            context.timestep = None
            return StatedNeuron(nn.LIF().firing, "LIF")(F.Stack(0)(*s), Tensor(o), None, None, None)

    net, o = Sum(), rng.integers(0, 4, (3, 2, 5)).astype(np.uint8)
    with monitor(net) as seen:
        net(o)
    (r,) = seen.values()
    assert (r.path, r.neuron) == ("Sum", "LIF")
    np.testing.assert_array_equal(r.spikes, o >= 2)
    np.testing.assert_array_equal(r.margin, o - np.float32(1.5))
    np.testing.assert_array_equal(r.charge[1], np.float32(0.5) * r.membrane[0] + o[1])
    np.testing.assert_array_equal(r.membrane, r.charge - r.spikes)


def test_a_network_computes_the_same_and_nothing_is_watched_outside(rng):
    net, x = Net().train(), drive(rng)
    twin = Net().train()
    plain = twin(x).sum()
    plain.backward()
    with monitor(net) as seen:
        watched = net(x).sum()
        watched.backward()
    assert watched.item() == plain.item()
    for (_, p), (_, q) in zip(net.named_parameters(), twin.named_parameters(), strict=True):
        np.testing.assert_array_equal(p.grad, q.grad)
    for a, b in zip(net.state_dict().values(), twin.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert context.observers == []
    kept = seen["neurons.0"].spikes.copy()
    net(drive(rng))
    with monitor(net, "neurons.0") as again:
        pass
    np.testing.assert_array_equal(seen["neurons.0"].spikes, kept)
    assert dict(again) == {}


def test_what_was_recorded_stays_when_weights_and_inputs_change(rng):
    net, x = Net().train(), drive(rng)
    lif, current = nn.LIF(), rng.normal(1, 1, (4, 2, 3)).astype(np.float32)
    with monitor(net) as seen, monitor(net) as first, monitor(lif) as alone:
        net(x)
        lif(Tensor(current))
    charge, given = first["neurons.1"].charge, current.copy()
    for p in net.parameters():
        p.data[...] = 7
    current[...] = 9
    np.testing.assert_array_equal(seen["neurons.1"].charge, charge)
    np.testing.assert_array_equal(alone["LIF"].current, given)


@pytest.mark.parametrize("layers", [("neurons",), ("neurons.*",), ("n*s",), (), ("neurons.0", "neurons.?")])
def test_names_stand_for_layers_and_all_below(rng, layers):
    net = Net()
    with monitor(net, *layers) as seen:
        net(drive(rng))
    assert list(seen) == ["neurons.0", "neurons.1"]


def test_wrong_names_are_refused_with_the_nearest(rng):
    net = Net()
    with (
        pytest.raises(MonitorError, match=r"^neuron\.0: no layer of Net has this name; nearest: neurons\.0, "),
        monitor(net, "neurons.1", "neuron.0"),
    ):
        pass
    with monitor(net, "neurons.0", "stages") as seen:
        net(drive(rng))
    for name, message in (
        ("neurons.1", r"neurons\.1: nothing was recorded under this name; nearest: neurons\.0"),
        ("stages.0", r"stages\.0: nothing was recorded; either it did not run in the block, or it has no neurons"),
        ("zzz", r"zzz: nothing was recorded under this name; there are neurons\.0"),
    ):
        with pytest.raises(MonitorError, match=message):
            seen[name]
    with monitor(net) as seen:
        net(drive(rng))
    with pytest.raises(MonitorError, match=r"^neurons: has no spikes of its own, but neurons\.0, neurons\.1$"):
        seen["neurons"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"record": ("spikes", "voltage")},
            "record: expected some of spikes, membrane, current, output, found voltage",
        ),
        ({"record": ()}, "record: expected some of .*, found none"),
        ({"limit": 0}, "limit: expected an integer of at least 1, found 0"),
        ({"timesteps": 1.5}, r"timesteps: expected an integer of at least 1, found 1\.5"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message), monitor(Net(), **options):
        pass


def test_what_was_not_recorded_is_refused(rng):
    net = Net()
    with monitor(net, "neurons.0", record="spikes") as seen:
        net(drive(rng))
    assert seen["neurons.0"].spikes.sum() > 0
    assert seen["neurons.0"].threshold is None
    for what in ("current", "charge", "membrane", "margin"):
        with pytest.raises(MonitorError, match=r"^neurons\.0 \(BatchNormLIF\): its membranes are not known"):
            getattr(seen["neurons.0"], what)
    with pytest.raises(MonitorError, match=r"^neurons\.0: its output was not recorded; add 'output' to record"):
        _ = seen["neurons.0"].output
    with monitor(net, "stages", record="output") as seen:
        net(drive(rng))
    assert (list(seen), seen["stages.0"].output.shape) == (["stages.0", "stages.1"], (6, 4, 5))
    with pytest.raises(MonitorError, match=r"^stages\.0: has no neurons, and so no spikes"):
        _ = seen["stages.0"].spikes


def test_the_first_samples_and_timesteps_of_forwards_that_are_joined(rng):
    net, parts = Net().eval(), [drive(rng, samples=n) for n in (3, 2, 4)]
    with monitor(net) as whole, monitor(net, limit=4, timesteps=5) as part:
        for x in parts:
            net(x)
    for path in whole:
        assert whole[path].spikes.shape == (6, 9, 5)
        for what in ("spikes", "current", "charge", "membrane", "margin"):
            np.testing.assert_array_equal(getattr(part[path], what), getattr(whole[path], what)[:5, :4], err_msg=what)


@pytest.mark.parametrize("limit", [None, 3])
def test_timesteps_that_a_network_loops_over_are_joined(rng, limit):
    lif, stateful = nn.LIF(), nn.LIF(stateful=True)
    x = rng.normal(0.7, 1, (6, 4, 3)).astype(np.float32)
    with monitor(lif, limit=limit) as whole:
        lif(Tensor(x))
        lif(Tensor(x[::-1].copy()))
    with monitor(stateful, limit=limit) as steps:
        for y in (x, x[::-1].copy()):
            stateful.reset()
            for t in range(6):
                with at_timestep(t):
                    stateful(Tensor(y[t : t + 1]))
    for what in ("spikes", "charge", "membrane", "margin"):
        found = getattr(steps["LIF"], what)
        assert found.shape == (6, 8 if limit is None else 3, 3)
        np.testing.assert_array_equal(found, getattr(whole["LIF"], what))
    with monitor(stateful, timesteps=4) as some:
        stateful.reset()
        for t in range(6):
            with at_timestep(t):
                stateful(Tensor(x[t : t + 1]))
    np.testing.assert_array_equal(some["LIF"].charge[:, :3], whole["LIF"].charge[:4, :3])


def test_a_layer_that_runs_twice_in_a_forward_has_two_records(rng):
    class Twice(nn.Module):
        def __init__(self):
            self.lif = nn.LIF()

        def forward(self, x):
            return self.lif(x), self.lif(x * 2.0)

    net, x = Twice(), drive(rng)
    with monitor(net) as seen:
        net(x)
        first, second = net(x)
    assert list(seen) == ["lif", "lif#2"]
    np.testing.assert_array_equal(seen["lif"].spikes[:, 4:], first.data)
    np.testing.assert_array_equal(seen["lif#2"].spikes[:, 4:], second.data)
    assert not np.array_equal(first.data, second.data)


def test_layers_that_run_twice_around_a_loop_over_time_are_told_apart(rng):
    class Step(nn.Module):
        """A neuron without a membrane, by hand."""

        def forward(self, x, stated):
            s = []
            for t in range(len(x.data)):
                with at_timestep(t):
                    s.append(F.Fire()(x[t] - 0.5))
            s = F.Stack(0)(*s)
            return StatedNeuron(nn.LIF().firing)(s, x.detach(), None, None, None) if stated else s

    class Mixed(nn.Module):
        def __init__(self):
            self.lif, self.step = nn.LIF(), Step()

        def forward(self, x, stated=True):
            return self.lif(x), self.step(x, stated), self.lif(x * 2.0), self.step(x * 3.0, stated)

    for stated in (True, False):
        net, parts, given = Mixed(), [drive(rng, samples=n) for n in (2, 3)], []
        with monitor(net, limit=4) as seen:
            for x in parts:
                given.append(net(x, stated))
        assert sorted(seen) == ["lif", "lif#2", "step", "step#2"]
        for k, path in enumerate(("lif", "step", "lif#2", "step#2")):
            expected = np.concatenate([outputs[k].data for outputs in given], axis=1)[:, :4]
            np.testing.assert_array_equal(seen[path].spikes, expected, err_msg=path)
            np.testing.assert_array_equal(seen[path].margin >= 0, expected)


def test_a_neuron_that_states_other_membranes_than_it_has_is_caught(rng):
    class Shifted(F.LIF):
        def traces(self, inputs, outputs):
            return super().traces((inputs[0] * 1.5, inputs[1]), outputs)

    class Untraced(F.LIF):
        def traces(self, inputs, outputs):
            return ()

    class Layer(nn.Module):
        def __init__(self, function):
            self.function = function

        def forward(self, x):
            return self.function(x)

    for function, message in (
        (Shifted(), r"Layer \(Shifted\): computed again, \d+ of 120 spikes differ from those of the network"),
        (Untraced(), r"Layer \(Untraced\): its membranes are not known"),
    ):
        net = Layer(function)
        with monitor(net) as seen:
            spikes = net(drive(rng))
        np.testing.assert_array_equal(seen["Layer"].spikes, spikes.data)
        with pytest.raises(MonitorError, match=message):
            _ = seen["Layer"].charge


def test_every_neuron_of_the_engine_states_its_traces():
    neurons = {f for f in vars(F).values() if isinstance(f, type) and issubclass(f, Function) and f.spiking} - {F.Fire}
    assert {f.__name__ for f in neurons} == {"LIF", "PLIF", "CLIF", "MLIF", "BatchNormLIF"}
    assert [f.__name__ for f in neurons if f.traces is Function.traces] == []


def test_relaxed_neurons_are_recorded_as_they_are(rng):
    net = Net()
    with relaxed(), monitor(net) as seen:
        outside = net(drive(rng))
    r = seen["neurons.1"]
    np.testing.assert_array_equal(r.spikes, outside.data)
    assert r.spikes.dtype == np.float32
    np.testing.assert_allclose(r.membrane, r.charge - r.spikes, rtol=1e-6, atol=1e-6)


def test_a_recorded_step_is_refused(rng):
    net = Net()
    with monitor(net), changed("capturing", True), pytest.raises(CaptureError, match="a monitor copies what layers do"):
        net(drive(rng))


def test_only_spikes_are_copied_where_they_alone_are_asked_for(rng):
    lif, x = nn.LIF(), drive(rng)
    with monitor(lif, record="spikes") as seen:
        lif(x)
    ((piece,),) = seen["LIF"]._runs
    assert (type(piece), piece.trace, piece.margin) == (Piece, None, None)


def test_other_observers_see_what_they_saw(rng):
    net, names = Net(), []
    with observe(lambda function, *_: names.append(function.name)), monitor(net):
        net(drive(rng))
    assert names == ["Linear", "BatchNormLIF"] * 2


def test_what_is_no_network_is_refused():
    with pytest.raises(MonitorError, match="net: expected a Module, found int"), monitor(3):
        pass
