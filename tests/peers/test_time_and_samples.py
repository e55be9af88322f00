"""Whole networks over several timesteps and samples: what a user of each tool gets is what our rule gives."""

import numpy as np
import pytest

from snncore import count_ops, no_grad
from snncore import functions as F
from snncore.energy import apply_rule

torch = pytest.importorskip("torch", reason="the extra peers is not installed")

T, N = 3, 2
SHAPE = (T, N, 6, 5, 2)
KINDS = {
    "binary": lambda rng: (rng.random(SHAPE) < 0.4).astype(np.uint8),
    "graded": lambda rng: rng.integers(0, 3, SHAPE).astype(np.uint8),
    "one graded step": lambda rng: np.concatenate(
        [(rng.random((1, *SHAPE[1:])) < 0.4).astype(np.uint8), rng.integers(0, 3, (T - 1, *SHAPE[1:])).astype(np.uint8)]
    ),
    "analog": lambda rng: rng.normal(0, 1, SHAPE).astype(np.float32),
}


def drawn(kind):
    """Input of a kind, and the weights of two convolutions and a linear layer, of which one is pruned."""
    rng = np.random.default_rng(0)
    shapes = ((3, 3, 2, 4), (3, 3, 4, 3), (3 * 3 * 3, 5))
    first, second, last = (rng.normal(0.1, 0.5, shape).astype(np.float32) for shape in shapes)
    return KINDS[kind](rng), first, second * (rng.random(second.shape) < 0.7), last


def ours(kind, leak=True, v_reset=None):
    """Counts of conv, LIF or IF, conv with stride, LIF or IF, linear; and the spikes of the last neuron."""
    x, first, second, last = drawn(kind)
    decay = 0.5 if leak else 1.0
    with no_grad(), count_ops() as ops:
        s = F.LIF(decay, 0.9, v_reset)(F.Conv2d(1, 1)(x, first))
        s = F.LIF(decay, 0.9, v_reset)(F.Conv2d(2, 1)(s, second, np.full(3, 0.1, np.float32)))
        F.Linear()(s.reshape(T, N, -1), last)
    return ops, s.data


def to_torch(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 1, 4, 2, 3).astype(np.float32)))


def theirs(kind, leak, v_reset, mode):
    from spikingjelly.activation_based import functional, layer, neuron

    _, first, second, last = drawn(kind)
    settings = {"v_threshold": 0.9, "v_reset": v_reset}

    def fires():
        return neuron.LIFNode(tau=2.0, decay_input=False, **settings) if leak else neuron.IFNode(**settings)

    convs = layer.Conv2d(2, 4, 3, 1, 1, bias=False), layer.Conv2d(4, 3, 3, 2, 1)
    linear = layer.Linear(27, 5, bias=False)
    for conv, w in zip(convs, (first, second), strict=True):
        conv.weight.data = torch.from_numpy(np.ascontiguousarray(w.transpose(3, 2, 0, 1)))
    convs[1].bias.data = torch.full((3,), 0.1)
    order = last.reshape(3, 3, 3, 5).transpose(2, 0, 1, 3).reshape(27, 5)  # ours is H, W, C
    linear.weight.data = torch.from_numpy(np.ascontiguousarray(order.T))
    net = torch.nn.Sequential(convs[0], fires(), convs[1], fires(), layer.Flatten(), linear).eval()
    functional.set_step_mode(net, mode)
    return net


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("leak", "v_reset"), [(True, None), (True, 0.0), (False, None), (False, 0.0)])
@pytest.mark.parametrize("kind", KINDS)
def test_spikingjelly_with_its_neurons(kind, leak, v_reset):
    counters = pytest.importorskip("spikingjelly.activation_based.op_counter")
    net, (ops, s) = theirs(kind, leak, v_reset, "m"), ours(kind, leak, v_reset)
    counted = [counters.MACCounter(), counters.ACCounter()]
    with torch.no_grad(), counters.DispatchCounterMode(counted):
        y = net(to_torch(drawn(kind)[0]))
    assert y.shape == (T, N, 5)
    assert s.sum() > 0
    reading = apply_rule("spikingjelly-neurons", ops)
    assert [counter.get_total() for counter in counted] == [reading.mac, reading.ac]
    without = apply_rule("spikingjelly", ops)
    assert (without.mac, without.ac < reading.ac) == (reading.mac, True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_neurobench_on_a_model_that_steps_through_time(kind):
    """As its hooks see it: the input of each layer, once for each timestep."""
    layers = pytest.importorskip("neurobench.metrics.utils.layers")
    from spikingjelly.activation_based import functional

    net, x = theirs(kind, True, None, "s"), to_torch(drawn(kind)[0])
    seen = []
    for module in net:
        if hasattr(module, "weight"):
            module.register_forward_pre_hook(lambda module, given: seen.append((module, given[0].clone())))
    with torch.no_grad():
        for step in x:
            net(step)
    functional.reset_net(net)
    found = {"mac": 0, "ac": 0}
    for module, given in seen:
        count, spiking = layers.single_layer_MACs(given, plain(module))
        found["ac" if spiking else "mac"] += int(count)
    ops, _ = ours(kind)
    reading = apply_rule("neurobench-steps", ops)
    assert found == {"mac": reading.mac, "ac": reading.ac}
    whole = apply_rule("neurobench", ops)
    assert whole.mac + whole.ac == reading.mac + reading.ac
    assert (whole.ac < reading.ac) == (kind == "one graded step")


def plain(module):
    """The same layer as a class of torch, which is all that NeuroBench knows."""
    kind = torch.nn.Linear if isinstance(module, torch.nn.Linear) else torch.nn.Conv2d
    sizes = (
        (module.in_features, module.out_features)
        if kind is torch.nn.Linear
        else (module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding)
    )
    copied = kind(*sizes, bias=module.bias is not None)
    copied.load_state_dict(module.state_dict())
    return copied


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["binary", "analog"])
def test_lemaire_sample_by_sample_and_step_by_step(kind):
    """The tool sizes its memories by what one call holds: of one sample and timestep it gives what ours gives."""
    energy = pytest.importorskip("spikingjelly.activation_based.op_counter.analytical_energy")
    ops, _ = ours(kind)
    ours_by_part = apply_rule("lemaire", ops)
    found = lemaire_steps(energy, kind, batched=False)
    assert (ours_by_part.mac, ours_by_part.ac) == (found["mac"], found["ac"])
    assert ours_by_part.energy_mj == pytest.approx(found["pj"] * 1e-9, rel=1e-12)
    batched = lemaire_steps(energy, kind, batched=True)
    assert (batched["mac"], batched["ac"]) == (found["mac"], found["ac"])
    assert batched["pj"] > 1.05 * found["pj"]  # memories of two samples: what a batch costs there


@pytest.mark.filterwarnings("ignore")
def test_lemaire_reads_graded_events_as_dense_and_ours_as_events():
    energy = pytest.importorskip("spikingjelly.activation_based.op_counter.analytical_energy")
    ops, _ = ours("graded")
    reading, found = apply_rule("lemaire", ops), lemaire_steps(energy, "graded", batched=False)
    dense_first = T * N * 6 * 5 * 9 * 2 * 4
    assert found["mac"] - reading.mac == dense_first
    assert reading.ac - found["ac"] == int((drawn("graded")[0] > 0).sum()) * 9 * 4


def lemaire_steps(energy, kind, batched):
    """Sums of the tool's reports over timesteps, and over samples if they are not `batched`."""
    from spikingjelly.activation_based import functional

    net, x = theirs(kind, True, None, "s"), to_torch(drawn(kind)[0])
    config = energy.LemaireEnergyConfig(strict=False)  # Flatten is none of its layers
    sums = {"mac": 0, "ac": 0, "pj": 0.0}
    for n in [slice(None)] if batched else [slice(k, k + 1) for k in range(N)]:
        functional.reset_net(net)
        for t in range(T):
            report = energy.estimate_lemaire_energy(net, x[t, n], config=config)
            sums["mac"] += report.counts["mac"]
            sums["ac"] += report.counts["ac"]
            sums["pj"] += report.total_pj
    return sums
