"""Counting over a data set, what a claim implies, and what the report holds."""

import json

import numpy as np
import pytest

from misnet import MISNet
from misnet.audit.bracket import unit_of
from misnet.audit.claims import check_claims, parse_claim
from misnet.audit.claims_text import claim_lines
from misnet.audit.figures import ENERGY_UNITS
from misnet.audit.html_page import page
from misnet.audit.html_tables import rules_section
from misnet.audit.report import calibrate, count_batches, dense_operations, evenly, report
from misnet.audit.spread import spread_note, spread_of
from misnet.audit.subject import NoSampleError, Subject
from misnet.audit.text import layer_table, rule_table
from misnet.models.misnet.config import preset
from misnet.paper.contradictions import between_tables, energy_scaling
from snncore.energy import RULES, apply_rule, load_prices
from snncore.opcount.columns import COLUMNS
from tests.misnet.tiny import lively, make_batch, shaken, tiny_config
from tests.misnet.tiny_run import Batches


@pytest.fixture(scope="module")
def audited():
    config = tiny_config(v_threshold=0.3, mlif_v_threshold=0.3)
    model = lively(config)
    ops = count_batches(model, Batches(config, 7, 3, shuffle=False).epoch(0))
    readings = {name: apply_rule(name, ops) for name in RULES}
    return config, model, ops, readings


def test_batches_do_not_matter(audited):
    config, model, ops, _ = audited
    assert ops.samples == 7
    whole = count_batches(model, Batches(config, 7, 7, shuffle=False).epoch(0))
    for column in set(COLUMNS) - {"weight_bytes_once"}:
        assert ops.by_sample(column) == whole.by_sample(column)
    for name in ("exact", "exact-memory", "paper", "spikingresformer", "lemaire"):  # the others look at a call's values
        assert apply_rule(name, ops).energy_mj == pytest.approx(apply_rule(name, whole).energy_mj, rel=1e-12)


@pytest.mark.parametrize(
    "switches",
    [{}, {"cell_residual": True, "pooling": "avg", "head_pool": 2}, {"mlif_fusion": "attention", "head": "mlp"}],
)
def test_dense_operations_by_shape_equal_those_of_a_run(switches):
    config = tiny_config(**switches)
    x_a, x_v, labels = make_batch(config, n=2)
    ops = count_batches(MISNet(config), [(x_a, x_v, labels)])
    static = dense_operations(MISNet(config))
    assert {k: 2 * v for k, v in static.items() if not k.startswith("first")} == {
        k: ops.totals()[k] for k in ("dense_mac", "dense_mac_padded")
    }
    assert 2 * static["first_padded"] == apply_rule("paper", ops).extra["first_mac"]


def test_no_sample_is_no_subject(audited):
    config, model, _, _ = audited
    nothing = count_batches(model, [])
    with pytest.raises(NoSampleError, match=r"^noise: expected at least one sample, found none$"):
        Subject("a network", nothing, config.timesteps, data={"name": "noise"})


def test_dense_operations_of_the_public_code():
    """Per timestep at 64 pixels, live layers: worked out from its convolutions by hand, heads included."""

    def convolutions(cells):
        total = 0
        for inputs, c, n, size in zip(((1, 3), (64, 64), (128, 128)), (64, 128, 256), cells, (64, 32, 16), strict=True):
            total += 9 * size * size * (c * sum(inputs) + 2 * n * 2 * c * c)
        return total

    for variant, cells in (("XS", (1, 1, 1)), ("S", (2, 2, 2))):
        config = preset("public-code", variant, size=64, timesteps=1)
        features = 256 * (8 // 2) ** 2
        assert dense_operations(MISNet(config))["dense_mac_padded"] == convolutions(cells) + 4 * features * 10


def test_a_claim_that_the_measured_rate_makes_is_recognised(audited):
    _, _, ops, readings = audited
    prices = {name: load_prices() for name in readings}
    mj = readings["paper"].energy_mj / ops.samples
    whole, twice, nothing = check_claims([parse_claim(f"{x!r}mJ") for x in (mj, 2 * mj, 1e-9)], ops, readings, prices)
    assert whole["rate"]["implied"] == pytest.approx(whole["rate"]["measured"])
    assert whole["rules"]["paper"]["ratio"] == pytest.approx(1)
    assert "paper" in whole["verdicts"]["within"]
    assert "implied / measured rate: 1\n" in "\n".join(claim_lines(whole))
    assert twice["rules"]["exact"]["ratio"] == pytest.approx(2 * whole["rules"]["exact"]["ratio"])
    assert nothing["rate"]["implied"] is None
    assert "cost more" in "\n".join(claim_lines(nothing))
    assert set(nothing["verdicts"]["impossible"]) == set(RULES) - {"spikingresformer"}  # it has no first layer


def test_the_spread_of_a_rule_follows_the_samples(audited):
    """What varies with the accumulations is nearly all that varies: rule exact sample by sample, within 2 %."""
    config, model, ops, readings = audited
    prices = {"exact": load_prices()}
    (found,) = check_claims([parse_claim("1mJ")], ops, {"exact": readings["exact"]}, prices)
    energies = []
    for x_a, x_v, labels in Batches(config, 7, 1, shuffle=False).epoch(0):
        one = count_batches(model, [(x_a, x_v, labels)])
        energies.append(apply_rule("exact", one, prices["exact"]).energy_mj)
    of = found["rules"]["exact"]
    assert len(energies) == 7
    assert of["measured"] == pytest.approx(np.mean(energies), rel=1e-9)
    assert of["min"] == pytest.approx(min(energies), rel=0.02)
    assert of["max"] == pytest.approx(max(energies), rel=0.02)
    assert of["sd"] == pytest.approx(np.std(energies, ddof=1), rel=0.1)


def test_report_holds_exact_integers_and_adds_up(audited):
    config, _, ops, readings = audited
    prices = {name: load_prices() for name in readings}
    found = json.loads(json.dumps(report(Subject("a network", ops, config.timesteps), readings, prices)))
    assert found["totals"] == ops.totals()
    assert all(isinstance(v, int) for v in found["totals"].values())
    for name, rule in found["rules"].items():
        assert rule["energy_mj"] == pytest.approx(7 * rule["per_sample"]["energy_mj"])
        assert sum(rule["parts_mj_per_sample"].values()) == pytest.approx(rule["per_sample"]["energy_mj"])
        by_layer = [line["energy_mj_per_sample"].get(name, 0) for line in found["layers"]]
        assert sum(by_layer) == pytest.approx(rule["per_sample"]["energy_mj"])
    for column in ("ac_binary", "mac", "spikes"):
        assert sum(line["counts"].get(column, 0) for line in found["layers"]) == found["totals"][column]
    rates = [line for line in found["layers"] if "firing_rate_by_timestep" in line]
    assert all(np.mean(line["firing_rate_by_timestep"]) == pytest.approx(line["firing_rate"]) for line in rates)
    assert found["accumulations_of_a_sample"]["most"] >= found["accumulations_of_a_sample"]["least"] > 0


def test_the_spread_over_samples_is_that_of_samples_audited_alone(audited):
    config, model, ops, readings = audited
    rules = report(Subject("a network", ops, config.timesteps), readings, {name: load_prices() for name in readings})[
        "rules"
    ]
    assert {name for name, rule in rules.items() if rule["spread"]} == {"exact", "exact-memory"}
    alone = [count_batches(model, [batch]) for batch in Batches(config, 7, 1, shuffle=False).epoch(0)]
    for name in ("exact", "exact-memory"):
        mj = [apply_rule(name, one).energy_mj for one in alone]
        expected = {"n": 7, "mean": np.mean(mj), "std": np.std(mj, ddof=1), "least": min(mj), "most": max(mj)}
        assert rules[name]["spread"] == pytest.approx(expected, rel=1e-9)
        assert min(mj) < max(mj)


@pytest.mark.parametrize("rule", ["paper", "spikingjelly", "lemaire"])
def test_the_spread_of_other_rules_is_that_of_samples_counted_by_themselves(audited, rule):
    config, model, ops, readings = audited
    alone = [count_batches(model, [batch]) for batch in Batches(config, 7, 1, shuffle=False).epoch(0)][::2]
    subject = Subject("a network", ops, config.timesteps, alone=alone)
    found = report(subject, readings, {name: load_prices() for name in readings})
    mj = [apply_rule(rule, one, load_prices()).energy_mj for one in alone]
    expected = {"n": 4, "mean": np.mean(mj), "std": np.std(mj, ddof=1), "least": min(mj), "most": max(mj)}
    assert found["rules"][rule]["spread"] == pytest.approx(expected, rel=1e-9)
    assert min(mj) < max(mj)
    assert found["rules"]["exact"]["spread"]["n"] == 7
    said = f"{rule}: of 4 of 7 samples, each counted by itself"
    assert spread_note({rule: found["rules"][rule]}, 7) == f"sd, least and most of {said}"
    assert spread_note({"exact": found["rules"]["exact"]}, 7) == ""
    alone = found["rules"][rule]["spread"] | {"n": 1, "std": None}
    assert spread_note({rule: {"spread": alone}}, 7) == ""
    assert "of 4 of 7 samples, each counted by itself" in " ".join(" ".join(rule_table(found)).split())
    assert "of 4 of 7 samples, each counted by itself" in rules_section(found)


def test_a_linear_rule_has_the_mean_of_its_samples(audited):
    config, model, ops, _ = audited
    alone = [count_batches(model, [batch]) for batch in Batches(config, 7, 1, shuffle=False).epoch(0)]
    for rule in ("paper", "lemaire"):
        found = spread_of(rule, ops, load_prices(), alone)
        assert found["mean"] == pytest.approx(apply_rule(rule, ops, load_prices()).energy_mj / 7, rel=1e-9)
    assert spread_of("paper", ops, load_prices()) is None


def test_samples_are_taken_evenly_over_the_data():
    assert evenly(3, 7) == [0, 2, 4]
    assert evenly(9, 3) == [0, 1, 2]
    assert evenly(2, 0) == []


def test_text_and_page_show_what_was_found(audited):
    config, _, ops, readings = audited
    found = report(Subject("a network", ops, config.timesteps), readings, {name: load_prices() for name in readings})
    text = "\n".join(rule_table(found) + layer_table(found))
    unit = ENERGY_UNITS[unit_of(found)]
    assert f"{readings['exact'].energy_mj / 7 / unit:.4f}" in text
    assert "stages.0.cells.0.mlif" in text
    shown = page("a <title>", found, ["claim & all"])
    assert "a &lt;title&gt;" in shown
    assert "claim &amp; all" in shown
    assert f"<td>{found['totals']['ac_binary'] / 7:,.1f}</td>" in shown
    assert f"{found['totals']['ac_binary']:,}" not in shown  # counts of a sample alone


@pytest.mark.parametrize(
    ("switches", "columns"),
    [
        ({"neuron": "clif"}, {"neuron_mul", "neuron_add", "neuron_special"}),
        ({"neuron": "plif", "reset": "hard"}, {"reset_set"}),
        ({"cell_residual": True}, {"w_mul", "w_select"}),
        ({"mlif_fusion": "attention"}, {"compare", "alpha_mul", "leak_mul", "reset_add"}),
    ],
)
def test_neuron_operations_leave_no_column_out(switches, columns, monkeypatch):
    whole = lambda n, places=4: f"{4e6 * n:.0f}"  # noqa: E731  # of all 4 samples, all digits
    monkeypatch.setattr("misnet.audit.text.figure", whole)
    monkeypatch.setattr("misnet.audit.text.count_unit", lambda counts: "M")
    config = tiny_config(v_threshold=0.3, mlif_v_threshold=0.3, **switches)
    ops = count_batches(shaken(MISNet(config)).eval(), Batches(config, 4, 4, shuffle=False).epoch(0))
    assert all(ops.totals()[name] > 0 for name in columns)
    heading, *lines = layer_table(
        report(
            Subject("a network", ops, config.timesteps), {"exact": apply_rule("exact", ops)}, {"exact": load_prices()}
        )
    )
    end = heading.index("neuron ops (M)") + len("neuron ops (M)")
    shown = {line.split()[0]: line[:end].split()[-1] for line in lines}
    neurons = [name for name, column in COLUMNS.items() if column.group in ("neuron", "mlif") and not column.reading]
    assert not {"leak_shift", "alpha_folded_mul"} & set(neurons)  # which read the same operations again
    expected = {layer: sum(row[name] for name in neurons) for layer, row in ops.layers().items()}
    assert sum(expected.values()) == sum(ops.totals()[name] for name in neurons)
    assert {layer: int(shown[layer]) for layer, n in expected.items() if n} == {k: n for k, n in expected.items() if n}


def test_calibration_makes_a_fresh_network_fire():
    config = tiny_config(v_threshold=0.3, mlif_v_threshold=0.3)
    model, (x_a, x_v, labels) = MISNet(config), make_batch(config, n=8)
    before = count_batches(model, [(x_a, x_v, labels)]).totals()["spikes"]
    momenta = {m.momentum for m in model.modules() if hasattr(m, "momentum")}
    calibrate(model, x_a, x_v)
    assert momenta == {m.momentum for m in model.modules() if hasattr(m, "momentum")}
    after = count_batches(model, [(x_a, x_v, labels)]).totals()["spikes"]
    assert after > before


def test_contradictions_of_the_paper():
    text = "\n".join(between_tables())
    assert "66.45 % (Table 4, row 7), 66.58 % (Table 5, row 4)" in text
    assert "L, XL has that of T=1; XS, S has that of T=4" in text


def test_energy_scaling_is_of_neighbours():
    by = {"XS": 1.0, "S": 2.0, "L": 3.0, "XL": 6.0}
    steps = energy_scaling(by, by, "CREMA-D energy")
    assert [s["parameters"] for s in steps] == [2, 1.5, 2]
    assert steps[0]["energy"] == pytest.approx(2.41 / 1.32)
    assert [s["step"] for s in steps] == ["XS to S", "S to L", "L to XL"]
