"""The network beside networks that do not spike: every figure of a small one worked out by hand."""

import json

import numpy as np
import pytest

from misnet.audit.baselines import CHEAPER, DEARER, PUBLIC, baselines, break_even
from misnet.audit.baselines_text import baseline_lines, break_even_line
from misnet.audit.without_spikes import activation_bits, layers_of, multiply
from snncore import Tensor, at_timestep, count_ops, no_grad
from snncore import functions as F
from snncore.energy import Prices, load_prices
from tests.snncore.opcount.networks import ZOO, made

T = 2
# A byte of any memory costs 1 pJ.
MINE = Prices("mine", "p", "s", 3.0, 1.0, 2.0, 1.0, None, 8, ((1e-6, 8.0),), 80.0, bits=8)
SPIKES = np.zeros((T, 1, 4), np.uint8)
SPIKES[0, 0, :2] = SPIKES[1, 0, 0] = 1


def spiking(first=False, v_threshold=1.5):
    """4 -> 5 on three events in eight places; currents of 2 and then 1, so that all five neurons fire in step 0."""
    with count_ops(samples=1) as ops:
        if first:
            F.Linear()(np.full((T, 1, 3), 0.5, np.float32), np.ones((3, 4), np.float32))
        F.LIF(0.5, v_threshold)(F.Linear()(SPIKES, np.ones((4, 5), np.float32)))
    return ops


@pytest.fixture(autouse=True)
def mine_is_quantised(monkeypatch):
    monkeypatch.setattr("misnet.audit.baselines.QUANTISED", "mine")


def rows(found):
    return {one["kind"]: one for one in found["others"] if one["prices"] == "mine"}


def check_by_hand(found):
    """Without a first layer; a pass has 20 multiply-accumulates, 20 weights of a byte and 4 inputs of 2 bits."""
    quantised = rows(found)["quantised"]
    product = 2.0 * 2 / 8  # 2 bits by 8, of a price for 8 by 8
    arithmetic = 20 * (product + 1) + 5  # and a comparison for each of 5 neurons
    memory = 20 + 2 * 4 * 2 / 8
    assert quantised["bits"] == 2
    assert quantised["mac"] == 20
    assert quantised["arithmetic_mj"] * 1e9 == pytest.approx(arithmetic, rel=1e-12)
    assert quantised["energy_mj"] * 1e9 == pytest.approx(arithmetic + memory, rel=1e-12)
    neurons = 5 * 2 + 5 + 10  # leak and charge of step 1, comparisons of both
    events = 15 + 5  # accumulations, resets
    kept = 2 * 8 / 8 + (10 + 5)  # spikes of a bit, written and read; membranes written twice and read once
    mine = next(one for one in found["spiking"] if one["prices"] == "mine")
    assert mine["arithmetic_mj"] * 1e9 == pytest.approx(neurons + events, rel=1e-12)
    assert mine["energy_mj"] * 1e9 == pytest.approx(neurons + events + 15 + kept, rel=1e-12)
    assert quantised["ratio"] == pytest.approx(77 / 57)
    # neurons fire at 0.5; 25 + 20 s = 35 without memory; 25 + 20 s + 15 s + 17 = 57 with it
    assert found["rate"] == 0.5
    assert quantised["break_even_arithmetic"]["rate"] == pytest.approx(0.5 * 10 / 20, rel=1e-12)
    assert quantised["break_even"]["rate"] == pytest.approx(0.5 * 15 / 35, rel=1e-12)


def test_the_quantised_network_by_hand():
    found = baselines(spiking(), T, [MINE])
    check_by_hand(found)
    line = " ".join(break_even_line(found))
    assert (
        "fires at 50 % (of neurons and timesteps), break-even with the quantised network of 2-bit activations" in line
    )
    assert "is at 21.4 %, with memory (at 25 % without); with memory, this network takes 1.35 times the energy" in line


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("without_spikes.activation_bits", lambda timesteps, largest=1: timesteps + 1),
        ("without_spikes.multiply", lambda prices, bits, by: prices.mul),
        ("baselines.membranes", lambda ops, prices: 0.0),
        ("baselines.once", lambda ops, timesteps, prices: 0.0),
        ("without_spikes._steps", lambda ops, timesteps: dict.fromkeys(ops.layers(), 1)),
    ],
)
def test_a_wrong_baseline_is_caught(monkeypatch, name, wrong):
    monkeypatch.setattr(f"misnet.audit.{name}", wrong)
    with pytest.raises(AssertionError):
        check_by_hand(baselines(spiking(), T, [MINE]))


def test_dense_networks_by_hand():
    dense = rows(baselines(spiking(), T, [MINE]))["dense"]
    assert dense["arithmetic_mj"] * 1e9 == pytest.approx(20 * 3 + 5, rel=1e-12)
    assert dense["energy_mj"] * 1e9 == pytest.approx(65 + 20 + 2 * 4, rel=1e-12)
    others = {one["name"]: one for one in baselines(spiking(), T)["others"]}
    assert others["dense, fp32"]["arithmetic_mj"] * 1e9 == pytest.approx(20 * 4.6 + 5 * 0.9, rel=1e-12)
    assert others["dense, fp16"]["arithmetic_mj"] * 1e9 == pytest.approx(20 * 1.5 + 5 * 0.4, rel=1e-12)
    assert others["dense, int8"]["arithmetic_mj"] * 1e9 == pytest.approx(20 * 0.23 + 5 * 0.03, rel=1e-12)


def test_an_analog_first_layer_runs_at_every_timestep_and_once_in_the_other_network():
    found = baselines(spiking(first=True), T, [MINE])
    quantised = rows(found)["quantised"]
    assert quantised["arithmetic_mj"] * 1e9 == pytest.approx(
        12 * 3 + 20 * 1.5 + 5, rel=1e-12
    )  # 8 bits by 8 in the first
    assert quantised["energy_mj"] * 1e9 == pytest.approx(71 + 12 + 2 * 3 + 20 + 2, rel=1e-12)
    mine = next(one for one in found["spiking"] if one["prices"] == "mine")
    assert mine["arithmetic_mj"] * 1e9 == pytest.approx(24 * 3 + 45, rel=1e-12)
    assert mine["energy_mj"] * 1e9 == pytest.approx(24 * 3 + 45 + 2 * 12 + 2 * 2 * 3 + 15 + 17, rel=1e-12)
    assert quantised["break_even"] == {"rate": None, "why": DEARER}
    fires, beside, _, *_ = break_even_line(found)
    assert fires.endswith("(of neurons and timesteps); beside")
    assert beside == (
        "the quantised network of 2-bit activations it is, with memory and without, dearer even without a single spike;"
    )
    assert "always dearer" in "\n".join(baseline_lines(found))


def test_cheaper_at_any_rate_and_no_spikes_at_all():
    dear = Prices("mine", "p", "s", 99.0, 1.0, 98.0, 1.0, None, 8, ((1e-6, 8.0),), 80.0, bits=8)
    even = rows(baselines(spiking(), T, [dear]))["dense"]["break_even"]
    assert even == {"rate": None, "why": CHEAPER}
    silent = baselines(spiking(v_threshold=100.0), T, [MINE])
    assert silent["rate"] == 0
    assert rows(silent)["quantised"]["break_even"]["rate"] is None
    assert "no spike was counted" in break_even_line(silent)[0]


def test_without_neurons_and_memory_the_break_even_is_that_of_yan_et_al():
    """arXiv 2409.08290: T * rate <= E_MAC / E_AC, for activations that are never 0 in the quantised network."""
    with count_ops(samples=1) as ops:
        F.Linear()(SPIKES, np.ones((4, 5), np.float32))
    found = baselines(ops, T, [MINE])
    assert (found["rate"], found["rate_of"]) == (3 / 8, "inputs")
    assert rows(found)["quantised"]["break_even_arithmetic"]["rate"] == pytest.approx(1.5 / 1.0 / T, rel=1e-12)


def test_break_even_of_a_line_with_a_knee():
    assert break_even(lambda s: 1 + min(s, 0.5) * 4 + s, 4.0, 3.0) == pytest.approx(1.0, rel=1e-12)
    assert break_even(lambda s: 5 + s, 4.0, 3.0) is None
    assert break_even(lambda s: s, 4.0, 3.0) is None


def test_more_events_than_weights_read_each_weight_once_a_timestep():
    """Four tokens in a timestep meet the same 20 weights: 60 accumulations, 40 reads."""
    tokens = np.zeros((T, 1, 4, 4), np.uint8)
    tokens[..., 0] = tokens[0, 0, :, 1] = 1  # 12 events
    with count_ops(samples=1) as ops:
        F.Linear()(tokens, np.ones((4, 5), np.float32))
    mine = next(one for one in baselines(ops, T, [MINE])["spiking"] if one["prices"] == "mine")
    assert mine["energy_mj"] * 1e9 == pytest.approx(60 + 40 + 2 * 32 / 8, rel=1e-12)


def test_graded_events_take_more_bits():
    """Events of 2 over two timesteps tell one of five values: 3 bits in place of 2; between layers 2 bits a place."""
    with count_ops(samples=1) as ops:
        F.Linear()(2 * SPIKES, np.ones((4, 5), np.float32))
    found = baselines(ops, T, [MINE])
    quantised = rows(found)["quantised"]
    assert quantised["arithmetic_mj"] * 1e9 == pytest.approx(20 * (2.0 * 3 / 8 + 1), rel=1e-12)
    assert (quantised["energy_mj"] - quantised["arithmetic_mj"]) * 1e9 == pytest.approx(20 + 2 * 4 * 3 / 8, rel=1e-12)
    mine = next(one for one in found["spiking"] if one["prices"] == "mine")
    assert mine["energy_mj"] * 1e9 == pytest.approx(15 + 15 + 2 * 8 * 2 / 8, rel=1e-12)


def test_bits_of_an_activation():
    assert [activation_bits(t) for t in (0, 1, 2, 3, 4, 7, 8, 15, 16)] == [1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_products_of_few_bits_follow_the_table_of_horowitz():
    wide, narrow = load_prices("horowitz-45nm-int32"), load_prices("horowitz-45nm-int8")
    assert multiply(wide, 8, 8) == pytest.approx(narrow.mul, rel=0.04)
    assert multiply(narrow, 4, 8) == pytest.approx(0.1)


def test_a_loop_over_time_has_the_same_layers():
    w = np.ones((4, 5), np.float32)
    with count_ops(samples=1) as whole:
        F.Linear()(SPIKES, w)
    with count_ops(samples=1) as steps:
        for t in range(T):
            with at_timestep(t):
                F.Linear()(SPIKES[t], w)
    assert layers_of(steps, T) == layers_of(whole, T)


@pytest.mark.parametrize("name", ZOO)
def test_every_kind_of_network_has_finite_figures(name):
    network, x, axis, timesteps = made(name, np.random.default_rng(0))
    with no_grad(), count_ops(samples=x.shape[axis], timesteps=timesteps) as ops:
        network.eval()(Tensor(x))
    found = baselines(ops, timesteps or 4)
    json.dumps(found, allow_nan=False)
    assert all(one["energy_mj"] > one["arithmetic_mj"] > 0 for one in (*found["others"], *found["spiking"]))
    assert len(baseline_lines(found)) > 5


def test_public_figures_are_those_of_their_sources():
    assert [one["rate"] for one in PUBLIC] == [0.057, 0.064, 0.0599]
    assert "2409.08290v4" in PUBLIC[0]["source"]


def test_what_rates_tell_is_not_said_to_be_measured():
    found = baselines(spiking(), T, [MINE], "at the upper ends of the rates, given or assumed")
    first, second, *_ = break_even_line(found)
    assert first == "at the upper ends of the rates, given or assumed:"
    assert second.startswith("this network would fire at ")
    assert break_even_line(baselines(spiking(), T, [MINE]))[0].startswith("this network fires at ")


def test_a_rate_beside_none_at_all_reads_as_one_sentence():
    found = baselines(spiking(first=True), T, [MINE])
    quantised = next(one for one in found["others"] if one["kind"] == "quantised")
    quantised["break_even_arithmetic"] = {"rate": 0.842, "why": None}
    assert break_even_line(found)[1].endswith(
        "it is, with memory dearer even without a single spike, and without memory as dear at 84.2 %;"
    )
