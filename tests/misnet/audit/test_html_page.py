"""The page of an audit stands alone, is valid, and says everything that the report says."""

import html
import re

import pytest

from misnet.audit.baselines import baselines
from misnet.audit.bracket import unit_of
from misnet.audit.citation import bibtex
from misnet.audit.claims import check_claims, parse_claim
from misnet.audit.figures import ENERGY_UNITS
from misnet.audit.html_page import page
from misnet.audit.html_parts import PARTS, bars, cell_bar, colours_of, heat_table, section, table
from snncore.energy import apply_rule, load_prices
from tests.misnet.audit.reports import SAMPLES, counted, make_report
from tests.support.markup import faults

GOOD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="a"><title>a</title>'
    "</head><body><h1>a</h1><table><tr><td>1</td></tr></table></body></html>"
)


@pytest.mark.parametrize(
    ("was", "now", "fault"),
    [
        ("<h1>a</h1>", "<h1>a</h2>", "</h2> closes h1"),
        ("<h1>a</h1>", "<h1>a</h1><p>", "is never closed|closes p"),
        ("<h1>a</h1>", '<h1>a</h1><img src="http://a">', "<img> fetches"),
        ("<h1>a</h1>", "<h1>a</h1><script>1</script>", "<script> fetches or runs"),
        ("<h1>a</h1>", "<h1>a</h1><style>@import 'a'</style>", "style fetches"),
        ("<td>1</td></tr>", "<td>1</td></tr><tr><td>1</td><td>2</td></tr>", "rows of a table differ"),
        ("<h1>a</h1>", '<h1 class="a" class="b">a</h1>', "attribute twice"),
        ("<h1>a</h1>", '<h1 id="a">a</h1><p id="a">b</p>', "id a twice"),
        ('<meta name="viewport" content="a">', "", "no viewport"),
        (' lang="en"', "", "names no language"),
    ],
)
def test_the_checker_finds_faults(was, now, fault):
    assert faults(GOOD) == []
    assert re.search(fault, " ".join(faults(GOOD.replace(was, now))))


def test_a_page_is_valid_and_says_what_was_audited():
    found = make_report()
    shown = page(found["title"], found, ["claim & all"])
    assert faults(shown) == []
    by = found["provenance"]
    for text in (
        f"sha256 {'a' * 64}",
        f"fingerprint {'f' * 64}",
        "epoch 2 of 3, seed 0, checkpoint last",
        "av 75.00 %, a 50.00 %",
        by["date"],
        by["command"],
        f"NumPy {by['versions']['numpy']}",
        "claim & all",
        "SRAM of 8,192 bytes, an access (pJ)",
        "doi:10.1109/ISSCC.2014.6757323",
        bibtex(),
    ):
        assert html.escape(text) in shown, text
    assert shown.rindex(html.escape(by["command"])) > shown.rindex(html.escape(bibtex()))  # both at the end
    assert "Not trained" not in shown


def test_fresh_weights_and_warnings_are_loud():
    shown = page("a", make_report(trained=False, run={}, warnings=["a layer <x> was not counted"]))
    assert faults(shown) == []
    assert shown.count('<p class="loud">') == 2
    assert '<p class="loud">Not trained' in shown
    assert "a layer &lt;x&gt; was not counted" in shown


def test_whatever_a_name_holds_is_text():
    evil = '<script>alert("1")</script>&amp;'
    found = make_report(title=evil, weights=evil, data={"name": evil}, network={evil: evil}, accuracy={evil: 1.0})
    found["layers"] = [line | {"layer": evil} for line in found["layers"]]
    found["provenance"]["command"] = evil
    shown = page(evil, found, [evil])
    assert faults(shown) == []
    assert evil not in shown


def test_counts_are_for_one_sample_alone():
    found = make_report()
    shown = page("a", found)
    for column in ("ac_binary", "dense_mac", "leak_mul"):
        total = found["totals"][column]
        assert f"{total / SAMPLES:,.1f}" in shown
        assert f"{total:,}" not in shown


def test_ends_of_a_bracket_are_shown_and_spread_over_samples():
    found = make_report()
    exact = found["rules"]["exact"]
    of = {"change": -0.25, "title": "zeros skipped", "text": "no operation for a zero", "source": "a paper"}
    exact["bracket"] = {"low_mj_per_sample": 0.5, "high_mj_per_sample": 2.25, "readings": {"zeros": of}}
    unit = unit_of(found)
    assert unit == "nJ"  # a network of a few neurons
    shown = page("a", found)
    assert "<td>500,000 to 2,250,000</td>" in shown
    assert "(500,000 to 2,250,000 if read otherwise)" in shown
    assert ">read otherwise (nJ)</th>" in shown
    assert '<th scope="row">zeros skipped</th><td>-25.00 %</td>' in shown
    assert "no operation for a zero Source: a paper." in shown
    spread = exact["spread"]
    sd, *ends = (spread[name] / ENERGY_UNITS[unit] for name in ("std", "least", "most"))
    assert f"<td>{sd:.3g}</td><td>{ends[0]:.4g} to {ends[1]:.4g}</td>" in page("a", found)
    high = make_report()
    high["layers"][0]["counts"]["dense_mac"] *= 3
    dense = found["layers"][0]["counts"]["dense_mac"] / SAMPLES / 1e3
    shown = page("a", found | {"high": high})
    assert ">dense MAC (k)</th>" in shown
    assert f"<td>{dense:.4f} to {3 * dense:.4f}</td>" in shown


def test_small_figures_have_a_unit_and_keep_their_digits():
    """As the text of the same audit: nothing that is not zero is shown as zero, or with an exponent."""
    found = make_report()
    for rule in found["rules"].values():  # a millionth of each
        rule["per_sample"]["energy_mj"] *= 1e-3
        rule["parts_mj_per_sample"] = {part: 1e-3 * mj for part, mj in rule["parts_mj_per_sample"].items()}
    found["layers"][0]["energy_mj_per_sample"]["exact"] = 1e-10  # beside others of nJ
    found["layers"][0]["counts"]["mac"] = 1
    shown = page("a", found).split("Exact counts")[0]
    assert unit_of(found) == "pJ"
    exact = found["rules"]["exact"]["per_sample"]["energy_mj"] * 1e9
    assert f'<p class="answer">{exact:.4g} pJ for one sample by rule exact' in shown
    assert "mJ" not in shown
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>|class=\"value\">([^<]*)", shown)
    assert not [text for pair in cells for text in pair if re.fullmatch(r"-?0\.?0+|.*\de[+-]\d+( .*)?", text)]


def test_claims_and_networks_that_do_not_spike_are_tables():
    config, _, ops = counted()
    prices = {"exact": load_prices()}
    beside = baselines(ops, config.timesteps)
    (claim,) = check_claims([parse_claim("3mJ")], ops, {"exact": apply_rule("exact", ops)}, prices)
    found = make_report(baselines=beside | {"high": beside}, claims=[claim])
    shown = page("a", found)
    assert faults(shown) == []
    assert "<h3>claim: 3mJ, that is 3 mJ for one sample</h3>" in shown
    assert "impossible under exact: more than with every neuron firing" in shown
    ratio = claim["rules"]["exact"]["ratio"]
    assert f'<th scope="row">exact</th><td>{ratio:.4g}</td>' in shown
    quantised = next(one for one in beside["others"] if one["kind"] == "quantised")
    row = f'<th scope="row">{quantised["name"]}</th><td>{quantised["mac"] / 1e3:.4g}</td>'
    assert shown.count(f"{row}<td>{quantised['arithmetic_mj'] * 1e6:.4g}</td>") == 2  # at both ends, k and nJ
    assert "At the upper ends of the rates" in shown


def test_a_report_of_one_rule_without_time_or_neurons():
    found = make_report(timesteps=0, parameters=None, accuracy={}, run={}, weights="", network={}, data={})
    found["rules"] = {"paper": found["rules"]["paper"]}
    found["layers"] = [{k: v for k, v in line.items() if k != "firing_rate_by_timestep"} for line in found["layers"]]
    shown = page("a", found)
    assert faults(shown) == []
    assert "Firing rates" not in shown


def test_bars_are_as_long_as_their_values():
    shown = bars([("a", {"x": 1.0, "y": 3.0}), ("b", {"y": 2.0}), ("c", {"y": 8.0})], "mJ", top=4.0)
    assert re.findall(r'x="([\d.]+)" y="0" width="([\d.]+)"', shown) == [
        ("0.00", "250.00"),
        ("250.00", "750.00"),
        ("0.00", "500.00"),
        ("0.00", "2000.00"),
    ]
    assert re.findall(r'class="value">([^<]*)', shown) == ["4 mJ", "2 mJ", "8 mJ, off scale"]
    assert bars([("a", {"x": 0.0})], "mJ").count("<rect") == 0
    assert 'width="500.00"' in cell_bar(1.0, 2.0).text
    assert "<rect" not in cell_bar(0.0, 0.0).text


def test_a_part_has_one_colour_on_every_page():
    every = {part for rule in make_report()["rules"].values() for part in rule["parts_mj_per_sample"]}
    assert {part.removeprefix("memory: ") for part in every} <= {*PARTS}
    assert colours_of(["ac", "mac"]) == {"ac": 1, "mac": 0}
    found = colours_of(["memory: state", "neurons", "other", "another"])
    assert list(found.items()) == [("memory: state", 10), ("neurons", 2), ("other", 0), ("another", 1)]  # what is free
    for rule in make_report()["rules"].values():  # in one picture no two are alike
        found = colours_of(rule["parts_mj_per_sample"])
        assert len({*found.values()}) == len(found)
    memory = [part for part in every if part.startswith("memory")]
    for picture in ({*every} - {*memory}, {"computation", *(part.removeprefix("memory: ") for part in memory)}):
        assert len({*colours_of(picture).values()}) == len(picture)


def test_cells_are_coloured_by_their_value_and_nothing_is_no_cell():
    shown = heat_table(("layer", "t=1", "t=2"), [("a", [0.0, 0.5]), ("b", [0.25, None])])
    assert re.findall(r"--part: ([\d.]+)", shown) == ["0.000", "0.700", "0.350"]
    assert shown.count("<td></td>") == 1
    assert section("empty", "", "") == ""
    assert "<caption>x &amp; y</caption>" in table(("a",), [("b",)], "x & y")
