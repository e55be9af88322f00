"""Figures as text: nothing that is not zero is printed as zero, and nothing changes where there were digits."""

import re

import pytest

from misnet.audit.bracket import bracket_lines, unit_of
from misnet.audit.figures import ENERGY_UNITS, count_unit, energy_unit, figure, largest_unit
from misnet.audit.html_page import page
from misnet.audit.latex import latex_table
from misnet.audit.layers import table_subject
from misnet.audit.layers_table import read_table
from misnet.audit.report import report
from misnet.audit.text import audit_lines, layer_table, rule_table
from snncore.energy import apply_rule, load_prices
from tests.misnet.audit.reports import make_report

HEADING = "name,kind,in_channels,out_channels,size,values,rate\n"
SMALL = HEADING + "a,linear,6,5,,binary,50 %\nb,linear,5,3,,binary,20 %\n"  # 15 and 3 accumulations a timestep


def report_of(tmp_path, text, timesteps=4, rules=("exact",)):
    file = tmp_path / "net.csv"
    file.write_text(text)
    subject = table_subject(file, read_table(file), timesteps)
    prices = {name: load_prices() for name in rules}
    return report(subject, {name: apply_rule(name, subject.ops, of) for name, of in prices.items()}, prices)


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.0201, 4, "0.0201"),
        (0.001, 4, "0.0010"),
        (99.99999, 4, "100.0000"),
        (1585.53734, 4, "1,585.5373"),
        (0, 4, "0.0000"),
        (0.0004321, 4, "0.000432"),
        (6.48e-5, 4, "6.48e-05"),
        (0.289, 3, "0.289"),
        (0.01, 3, "0.010"),
        (0.00384, 3, "0.00384"),
        (0, 3, "0.000"),
    ],
)
def test_a_figure_keeps_its_digits(value, places, text):
    assert figure(value, places) == text


def test_units_fit_what_stands_side_by_side():
    side_by_side = ([100.0, 0.001], [2.0, 0.00099], [2.4e-5, 1], [6e-8], [1e-12], [], [0.0, 3.0])
    assert [energy_unit(of) for of in side_by_side] == ["mJ", "uJ", "nJ", "pJ", "pJ", "mJ", "mJ"]
    assert [largest_unit(of) for of in ([1.0, 1e-9], [0.99], [1.2e-5], [1e-12], [])] == ["mJ", "uJ", "nJ", "pJ", "pJ"]
    assert [count_unit(of) for of in ([1e6, 3], [999_999], [999], [0.2], [0], [])] == ["M", "k", "", "", "M", "M"]


def test_a_small_network_is_not_printed_as_zeros(tmp_path):
    """4 timesteps of 18 accumulations at 0.9 pJ: 64.8 pJ, which are 6.48e-08 mJ."""
    found = report_of(tmp_path, SMALL)
    heading, exact, dense, *_ = rule_table(found)
    assert re.split(r"\s{2,}", heading) == ["rule", "MAC", "AC", "energy (pJ)", "sd", "least", "most", "prices"]
    assert exact.split()[1:4] == ["0.000", "72.000", "64.8000"]
    assert dense.split()[2:5] == ["180.000", "0.000", "828.0000"]  # 4 x (30 + 15) x 4.6 pJ
    heading, first, second = layer_table(found)
    assert heading.split("  ")[-1] == "exact (pJ)"
    assert (first.split(), second.split()) == (
        ["a", "0.5000", "120.000", "60.000", "54"],
        ["b", "0.2000", "60.000", "12.000", "10.8"],
    )
    assert len(exact) == len(dense)  # columns stay aligned
    assert " & 180.000 & 0 & 8.28e-07" in latex_table(found)
    assert "rule & MAC & AC & energy (mJ)" in latex_table(found)


def test_a_bracket_is_in_the_unit_of_its_table(tmp_path):
    found = report_of(tmp_path, HEADING + "a,linear,6,5,,binary,50 %\nn,lif,5,,,,50 %\n")
    line = next(line for line in bracket_lines(found) if line.startswith("exact: "))
    mj = found["rules"]["exact"]["per_sample"]["energy_mj"]
    assert line.startswith(f"exact: {mj * 1e6:.4f} nJ a sample, between ")
    assert "0.0000" not in line


def test_a_table_by_rates_has_neither_samples_nor_a_rate_of_neurons_that_are_not_there(tmp_path):
    found = report_of(tmp_path, SMALL)
    assert (found["firing_rate"], found["by_rates"], found["rules"]["exact"]["spread"]) == (None, True, None)
    lines = audit_lines(found)
    assert lines[0].endswith("by the rates of the table: no samples, 45 parameters")
    assert "counts and energies below are for one sample (all timesteps)" in lines
    for text in ("\n".join(lines), page("t", found), latex_table(found)):
        assert not re.search(r"\b1 samples?\b|firing rate [0-9]|mean of|over the samples", text)
    assert ". By the rates that were told, of no samples." in latex_table(found)
    fires = report_of(tmp_path, HEADING + "n,lif,5,,,,50 %\n")
    assert "firing rate 0.5000; counts" in "\n".join(audit_lines(fires))


def test_ranges_have_no_least_or_most_sample(tmp_path):
    found = report_of(tmp_path, HEADING + "a,linear,6000,5,,binary,10 - 50 %\n", rules=("exact", "exact-memory"))
    rows = [re.split(r"\s{2,}", line) for line in rule_table(found)[1:3]]
    assert [(row[3], len(row)) for row in rows] == [
        ("10.8000 to 54.0000", 5),  # nJ: 4 timesteps x 600 to 3000 events x 5 outputs x 0.9 pJ; then the prices
        (f"{figure(1e6 * energy_of(found))} to {figure(1e6 * energy_of(found['high']))}", 5),
    ]


def energy_of(found):
    return found["rules"]["exact-memory"]["per_sample"]["energy_mj"]


def test_samples_within_bounds_reach_from_the_least_below_to_the_most_above():
    found, above = make_report(), make_report()
    above["rules"]["exact"]["spread"] |= {"least": 8.0, "most": 9.0}
    found["rules"]["exact"]["spread"] |= {"least": 0.002, "most": 0.003}
    row = rule_table(found | {"high": above})[1]
    unit = ENERGY_UNITS[unit_of(found | {"high": above})]
    assert row.split()[-3:-1] == [figure(0.002 / unit), figure(9.0 / unit)]
