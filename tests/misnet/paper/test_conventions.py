"""What Table 5 implies under every convention of counting, and the paragraph of docs/auditing.md that says so."""

import re
from pathlib import Path

import pytest

from misnet.models.misnet.config import VARIANTS, preset
from misnet.models.misnet.model import MISNet
from misnet.paper.contradictions import energy_scaling
from misnet.paper.conventions import FIRST, implied_rates, rates_by_convention, spans
from misnet.paper.energies import printed_energies
from misnet.paper.published import find
from misnet.paper.text import paper_lines
from snncore.energy import load_prices

DOCS = Path(__file__).parents[3] / "docs" / "auditing.md"


def test_rates_by_hand():
    """E = 100 pJ, D = 20 with padding and 10 without, F = 4 and 2, MAC 4.6 pJ, AC 0.9 pJ, T = 2."""
    counts = {"dense_mac_padded": 20, "first_padded": 4, "dense_mac": 10, "first": 2}
    found = implied_rates(100e-9, counts, load_prices(), 2)
    assert found[FIRST[0]] == {
        "padding": pytest.approx((100 - 2 * 4 * 4.6) / (2 * 16 * 0.9)),
        "inside image": pytest.approx((100 - 2 * 2 * 4.6) / (2 * 8 * 0.9)),
    }
    assert found[FIRST[1]]["padding"] == pytest.approx((100 - 4 * 4.6) / (2 * 16 * 0.9))
    assert found[FIRST[2]]["padding"] == pytest.approx(100 / (2 * 20 * 0.9))
    little = implied_rates(20e-9, counts, load_prices(), 2)
    assert little[FIRST[0]]["padding"] is None  # the first layers alone cost 36.8 pJ
    assert little[FIRST[1]]["padding"] == pytest.approx((20 - 18.4) / (2 * 16 * 0.9))


@pytest.fixture(scope="module")
def lines():
    return rates_by_convention(load_prices())


@pytest.fixture(scope="module")
def table():
    return printed_energies(load_prices())


def percent(ends):
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"


def expected_numbers(lines, table):
    """Every phrase with a number that the paragraph has, computed from the tables and the networks."""
    crema = {row["variant"]: row for row in table if row["data"] == "CREMA-D"}
    macs = {v: crema[v]["dense_mac_padded_per_timestep"] for v in VARIANTS}
    steps = energy_scaling({v: crema[v]["printed_parameters_m"] for v in VARIANTS}, macs, "CREMA-D energy")
    grow = {k: ", ".join(f"{step[k]:.2f}" for step in steps) for k in ("energy", "parameters", "macs")}
    assert all(step["energy"] > step["macs"] for step in steps[1:])  # the rates have to rise
    ours, small = lines
    public = MISNet(preset("public-code", "XS")).count_parameters()
    printed = find("4", method="MISNet-XS")["param"]
    assert round(public / 1e6, 2) == printed
    return [
        f"Table 5 reports {crema['XS']['printed_energy_mj']:.2f} mJ for MISNet-XS on CREMA-D",
        f"{ours['dense']['dense_mac_padded'] / 1e9:.1f} G multiply-accumulates",
        f"at T=4 a mean input rate of {percent(spans(ours, 4, ('padding',)))}",
        f"at T=1 of {percent(spans(ours, 1, ('padding',)))}",
        f"{{1,1,1}} of the public code, whose parameters are the printed {printed:.2f} M",
        f"{percent(spans(small, 4, ('padding',)))} at T=4",
        f"{percent(spans(small, 1, ('padding',)))} at T=1",
        f"at most {100 * spans(small, 4)[1]:.1f} %",
        f"printed energy grows by {grow['energy']}",
        f"printed parameters by {grow['parameters']}",
        f"operations of Table 1 by {grow['macs']}",
        f"operations grow by {macs['S'] / small['dense']['dense_mac_padded']:.2f} where the energy grows by "
        f"{steps[0]['energy']:.2f}",
    ]


def paragraph():
    """The quoted paragraph as one line."""
    text = DOCS.read_text(encoding="utf-8")
    quoted = re.search(r"What a reviewer could write:\n\n((?:>.*\n)+)", text)[1]
    return " ".join(line.lstrip("> ").strip() for line in quoted.splitlines())


@pytest.mark.slow
def test_every_number_of_the_paragraph_is_computed(lines, table):
    words = paragraph()
    expected = expected_numbers(lines, table)
    for phrase in expected:
        assert phrase in words
    left = words
    for phrase in expected:
        left = left.replace(phrase, "")
    known = ["Table 5", "Table 1", "128x128", "4.6 pJ", "0.9 pJ", "T=4", "T=1"]  # names and the prices of the rule
    for phrase in known:
        left = left.replace(phrase, "")
    assert re.findall(r"\d[\d.]*", left) == []  # no number stands there that is not computed above


@pytest.mark.slow
def test_table_5_beside_ours(lines, table):
    assert [line["size"] for line in table] == [96] * 4 + [128] * 4
    xs = table[4]
    first = 9 * 128 * 128 * 64 * 4
    expected = (1.32e9 - 4 * first * 4.6) / (4 * (xs["dense_mac_padded_per_timestep"] - first) * 0.9)
    assert xs["implied_rate"]["paper_rule"] == pytest.approx(expected)
    assert xs["implied_rate_one_timestep"]["all_ac"] == pytest.approx(4 * xs["implied_rate"]["all_ac"])
    four = lines[0]["rates"][4]
    assert four[FIRST[0]]["padding"] == pytest.approx(xs["implied_rate"]["paper_rule"], rel=1e-12)
    assert four[FIRST[2]]["padding"] == pytest.approx(xs["implied_rate"]["all_ac"], rel=1e-12)
    assert lines[0]["rates"][1][FIRST[1]] == lines[0]["rates"][1][FIRST[0]]
    shown = "\n".join(paper_lines(table, lines))
    assert "measured" not in shown  # rates of another network, size or data set prove nothing here
    assert "Table 1, first layers MAC, once                       0.0240" in shown
    assert "Table 1: 1.3 to 2.8 % at T=4" in shown
    assert "printed energy, CREMA-D over Ub8k-AV: XS 1.36, S 1.37, L 1.80, XL 1.63; pixels 1.78" in shown
    for line in re.findall(r"(?:Table 1|cells \{1,1,1\}), (?:first|all).*", DOCS.read_text(encoding="utf-8")):
        assert line in shown  # the table in the documentation is the one that is printed
    assert re.search(r"^XS +4.06 +4.60 +4.06$", shown, re.MULTILINE)  # 4,056,350 parameters of the public code
    assert re.search(r"^S +7.33 +6.96 +7.33$", shown, re.MULTILINE)
