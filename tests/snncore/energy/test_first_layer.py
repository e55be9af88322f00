"""The first layer of an input is the same however the input comes to it: repeated, stacked, reshaped, scaled."""

import numpy as np
import pytest

from snncore import Tensor, count_ops, nn, no_grad
from snncore import functions as F
from snncore.energy import RULES, apply_rule
from tests.snncore.opcount.networks import Images, Tokens, inputs, repeated

T, N = 4, 2


def read(network, x, rule):
    with no_grad(), count_ops(samples=N) as ops:
        network(x)
    return apply_rule(rule, ops)


WAYS = {  # x [N, ...] to [T, N, ...]; the first is what a loader does
    "loader": lambda x: Tensor(np.broadcast_to(x, (T, *x.shape)).copy()),
    "stacked": lambda x: repeated(Tensor(x), T),
    "joined": lambda x: F.Concat(0)(*[Tensor(x[None])] * T),
    "reshaped": lambda x: repeated(Tensor(x.reshape(N, -1)).reshape(*x.shape), T),
    "turned": lambda x: repeated(Tensor(np.swapaxes(x, 0, 1).copy()).transpose(1, 0, *range(2, x.ndim)), T),
    "indexed": lambda x: repeated(Tensor(np.stack([x, 2 * x]))[0], T),
    "cast": lambda x: F.Cast(np.float32)(repeated(Tensor(x.astype(np.float64)), T)),
    "multiplied": lambda x: Tensor(x) * np.ones((T, *[1] * x.ndim), np.float32),
    "scaled": lambda x: repeated((Tensor(x * 2 - 1) + 1.0) / 2.0, T),
}
NETWORKS = {"convolution": (Images, (N, 4, 4, 1)), "linear": (Tokens, (N, 5, 4))}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", ["paper", "spikingresformer"])
def test_every_way_to_repeat_the_input_gives_the_same_figures(rule, name, way):
    build, shape = NETWORKS[name]
    network = build(np.random.default_rng(1)).eval()
    x = np.round(inputs(np.random.default_rng(0), *shape), 2)
    expected = read(network, WAYS["loader"](x), rule)
    found = read(network, WAYS[way](x), rule)
    assert (found.mac, found.ac) == pytest.approx((expected.mac, expected.ac), rel=1e-6)
    assert found.energy_mj == pytest.approx(expected.energy_mj, rel=1e-6)
    assert found.extra.get("skipped") == expected.extra.get("skipped")
    if rule == "paper":
        weights = network.first.weight if name == "convolution" else network.embed.weight
        places = T * N * (16 if name == "convolution" else 5)
        assert found.extra["first_mac"] == places * weights.size


def test_batch_normalisation_of_the_input_leaves_it_outside(rng):
    norm, conv = nn.BatchNorm(1).eval(), nn.Conv2d(1, 3, 3, 1, 1, rng=rng)
    found = read(nn.Sequential(norm, conv), Tensor(inputs(rng, T, N, 4, 4, 1)), "paper")
    assert (found.mac, found.ac) == (T * N * 16 * 27, 0)


@pytest.mark.parametrize("between", [nn.LIF(v_threshold=0.1), F.ReLU(), nn.Linear(1, 1)])
def test_what_computes_ends_the_outside(rng, between):
    """A neuron, a ReLU or a layer with weights: the convolution after it is not the first."""
    conv = nn.Conv2d(1, 3, 3, 1, 1, rng=rng)
    with no_grad(), count_ops(samples=N) as ops:
        conv(between(Tensor(inputs(rng, T, N, 4, 4, 1))))
    assert [facts.outside for _, facts in ops.facts() if facts.kind == "conv"] == [False]


def test_a_sum_with_something_made_inside_is_inside(rng):
    x, linear = Tensor(inputs(rng, T, N, 3)), nn.Linear(3, 3, rng=rng)
    with no_grad(), count_ops(samples=N) as ops:
        linear(x + F.ReLU()(x))
    assert [facts.outside for _, facts in ops.facts() if facts.kind == "linear"] == [False]


def test_events_from_outside_are_accumulated_and_not_multiplied(rng):
    """Frames of an event camera: the first convolution has a rate, and no multiply-accumulates."""
    conv, x = nn.Conv2d(1, 3, 3, 1, 1, rng=rng), (rng.random((T, N, 4, 4, 1)) < 0.25).astype(np.uint8)
    found = read(conv, Tensor(x), "paper")
    assert (found.mac, found.ac) == (0, pytest.approx(x.mean() * T * N * 16 * 27))


def test_an_mlp_by_hand(rng):
    """16-12-8-3 with LIF, T=4, N=2: 4 x 2 x 16 x 12 multiply-accumulates first, and then spikes times targets."""
    fires = nn.LIF(v_threshold=0.2), nn.IF(v_threshold=0.2)
    layers = [nn.Linear(a, b, rng=rng) for a, b in ((16, 12), (12, 8), (8, 3))]
    net = nn.Sequential(layers[0], fires[0], layers[1], fires[1], layers[2])
    with no_grad(), count_ops(samples=N) as ops:
        net(Tensor(inputs(rng, T, N, 16)))
    first, second = (sum(ops.by_sample("spikes", f"{i}")) for i in (1, 3))
    assert first > 0
    assert second > 0
    paper = apply_rule("paper", ops)
    assert (paper.mac, paper.ac) == (T * N * 16 * 12, pytest.approx(first * 8 + second * 3))
    assert paper.notes == [
        "first layers that are no convolutions, counted as multiply-accumulates like those: 1 call of Linear (in 0)"
    ]
    resformer = apply_rule("spikingresformer", ops)
    assert (resformer.ac, resformer.extra["skipped"]) == (first * 8, ["0", "4"])


def test_a_module_of_a_rule_can_be_imported_by_its_name():
    import snncore.energy.rules as rules
    from snncore.energy.rules import exact, lemaire

    assert exact.__name__ == "snncore.energy.rules.exact"
    assert lemaire.read_lemaire is RULES["lemaire"]
    assert not set(vars(rules)) & {"paper"}


def test_values_that_are_no_spikes_are_named(rng):
    """Of a network that does not spike the rule charges accumulations all the same, and says of which layers."""
    plain = nn.Sequential(nn.Linear(6, 4, rng=rng), nn.ReLU(), nn.Linear(4, 2, rng=rng))
    found = read(plain, Tensor(inputs(rng, T, N, 6)), "paper")
    note = "counted as accumulations at the mean of their input, though that is no spikes: 1 call of Linear (in 2)"
    assert (found.extra["dense_ac"], found.notes[-1]) == (T * N * 4 * 2, note)
    layers = nn.Conv2d(1, 4, 3, 1, 1, rng=rng), nn.LIF(v_threshold=0.1), nn.AvgPool2d(2), nn.Flatten()
    spiking = nn.Sequential(*layers, nn.Linear(16, 2, rng=rng))
    found = read(spiking, Tensor(inputs(rng, T, N, 4, 4, 1)), "paper")
    assert not any("no spikes" in note for note in found.notes)  # of a mean of spikes
