"""Every number of the two published tables that docs/layer_tables.md works through."""

from pathlib import Path

import pytest

from misnet.audit.layers import table_subject
from misnet.audit.layers_table import read_table
from snncore.energy import apply_rule

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/layer_tables.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())


@pytest.fixture(scope="module")
def spikingformer():
    path = ROOT / "docs/tables/spikingformer_8_512.csv"
    return table_subject(path, read_table(path))


@pytest.fixture(scope="module")
def spikformer():
    path = ROOT / "docs/tables/spikformer_4_384.csv"
    return table_subject(path, read_table(path))


def said(*texts):
    missing = [text for text in texts if text not in TEXT]
    assert missing == []


def by_kind(ops, kind):
    return [(call, facts) for call in ops.calls for facts in call.cost.facts if facts.kind == kind]


def test_spikingformer_agrees_with_its_log(spikingformer):
    ops = spikingformer.ops
    assert spikingformer.high is None
    paper, syops = apply_rule("paper", ops), apply_rule("syops", ops)
    assert paper.mac == 347_328_512
    assert paper.mac + 1000 == round(0.347329512e9)
    biases = sum(
        call.cost.totals()["bias_add"] * facts.value_sum / facts.in_size
        for call, facts in by_kind(ops, "conv")
        if facts.bias
    )
    assert (round(paper.ac), round(biases)) == (6_512_533_513, 5_007_428)
    assert paper.ac + biases == pytest.approx(6.51754094076244e9, abs=20)  # rates are printed with nine digits
    assert paper.energy_mj == pytest.approx(7.4590, abs=5e-5)
    assert paper.energy_mj + biases * 0.9e-9 + 1000 * 4.6e-9 == pytest.approx(7.463502601886196, abs=1e-7)
    assert syops.mac == 454_104_040
    assert syops.ac == pytest.approx(6_548_194_546.21, rel=1e-7)
    said("347,328,512", "6,512,533,513", "5,007,428", "7.4635 mJ", "7.4590 mJ", f"{syops.ac:,.0f} by rule `syops`")


def test_what_a_reader_of_spikingformer_should_know(spikingformer):
    ops = spikingformer.ops
    exact, paper = apply_rule("exact", ops), apply_rule("paper", ops)
    assert apply_rule("syops", ops).energy_mj == pytest.approx(7.98, abs=5e-3)
    parts = exact.by_part()
    assert [round(parts[name], 2) for name in ("neurons", "batch norm", "pooling")] == [0.25, 0.05, 0.04]
    said(
        "7.98 mJ",
        f"gives {exact.energy_mj:.2f} mJ, of which neurons are 0.25, batch normalisation 0.05 and pooling 0.04",
    )
    on_spikes = [(c.cost.totals(), f) for c, f in by_kind(ops, "conv") if f.kernel == (3, 3) and f.spikes]
    padded = sum(row["dense_mac_padded"] * facts.value_sum / facts.in_size for row, facts in on_spikes)
    inside = sum(row["ac_binary"] for row, _ in on_spikes)
    last = on_spikes[-1][0]
    assert (round(100 * (1 - inside / padded)), round(100 * (1 - last["dense_mac"] / last["dense_mac_padded"]))) == (
        3,
        9,
    )
    said(f"Of the {padded / 1e6:,.0f} M", f"{inside / 1e6:,.0f} M land inside")
    said(f"Counted once, {0.75 * ops.totals('proj_conv')['dense_mac_padded'] * 4.6e-9:.2f} mJ")
    products = [(c, f) for c, f in by_kind(ops, "matmul") if c.layer.endswith("k_v")]
    lower = sum(c.cost.totals()["dense_mac"] * f.value_sum / f.in_size for c, f in products)
    both = sum(c.cost.totals()["ac_binary"] for c, _ in products)
    said(f"{lower / 1e6:.1f} M accumulations; where", f"there are {both / 1e6:.1f} M")
    said(f"is {100 * paper.extra['mean_rate']:.1f} %")
    assert round(-100 * paper.shares()["static"]) == 16
    said("a reading of rule `paper`: -16 %")
    reading = apply_rule("exact-memory", ops)
    memory = reading.energy_mj
    said(f"read once a timestep it is {-100 * reading.shares()['weights-kept']:.0f} % less")
    said(f"it is {memory:.0f} mJ, {memory / exact.energy_mj:.0f} times")


def test_spikformer_agrees_in_counts_and_not_in_energy(spikformer):
    low, high = spikformer.ops, spikformer.high
    first = high.totals("proj_conv")["dense_mac_padded"]
    assert first + high.totals("head")["dense_mac"] + 10 == round(0.005312266e9)
    syops = apply_rule("syops", high)
    biases = 4 * (3 * 384 + 1536) * (4 - 1)  # of four blocks, at three timesteps more than our rule counts
    assert (syops.mac, biases, syops.mac + biases) == (1_073_101_066, 32_256, 1_073_133_322)
    energies = [apply_rule("paper", ops).energy_mj for ops in (low, high)]
    said("1,073,101,066", "32,256", f"{energies[0]:.3f} to {energies[1]:.2f} mJ by rule `paper`")
    linear = [call.layer for call, _ in by_kind(high, "linear") if call.layer != "head"]
    dense = sum(high.totals(name)["dense_mac"] for name in linear)
    share = dense / high.totals()["dense_mac_padded"]
    assert 0.48 < share < 0.5
    graded = sum(
        high.totals(n)["dense_mac"]
        for n in linear
        if n.split(".")[1] in ("q_linear", "k_linear", "v_linear", "fc1_linear")
    )
    said(f"{dense / 1e6:,.0f} M dense operations, nearly half", f"as {graded / 1e6:,.0f} M multiply-accumulates")
    totals = (1_073_133_322 * 4.6 + 284_837_097.98 * 0.9) * 1e-9
    said(f"come to {totals:.2f} mJ, {totals / 0.24570254547754208:.0f} times")
    embedding = sum(high.totals(n)["dense_mac_padded"] for n in ("proj_conv1", "proj_conv2", "proj_conv3", "rpe_conv"))
    said(f"{embedding / 1e6:,.0f} M dense operations, and mean a rate of {100 * 0.24585e9 / embedding:.0f} %")
    printed = 0.005312266 * 4.6 + 0.2458512465306023 * 0.9
    assert printed == pytest.approx(0.24570254547754208, rel=1e-9)
