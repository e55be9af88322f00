"""The range of a figure, and the share that hangs on each reading, as values and as text."""

import json

import pytest

from misnet.audit.bracket import bracket, bracket_lines
from snncore.energy import CHOICES, Reading


def reading(*hung):
    made = Reading("exact")
    made.charge("a", "mac", 3e9, 1.0)
    made.charge("b", "ac", 1e9, 1.0)
    for choice, layer, pj, alone in hung:
        made.hang(choice, layer, pj, alone)
    return made


def test_ends_and_shares_are_of_one_sample_and_json_holds_them():
    made = reading(("zeros", "a", -1e9, False), ("static", "a", -2e9, False), ("by-value", "b", 2e9, True))
    made.spare(2.5e9)  # what both spare together
    found = json.loads(json.dumps(bracket(made, samples=2), allow_nan=False))
    assert (found["low_mj_per_sample"], found["high_mj_per_sample"]) == (pytest.approx(0.75), pytest.approx(3.0))
    assert {name: of["change"] for name, of in found["readings"].items()} == {
        "zeros": -0.25,
        "static": -0.5,
        "by-value": 0.5,
    }
    assert found["readings"]["zeros"]["change_mj_per_sample"] == pytest.approx(-0.5)
    assert all(of["source"] == CHOICES[name].source for name, of in found["readings"].items())


def test_lines_say_the_range_and_each_reading_and_nothing_of_rules_without():
    rules = {
        name: {"bracket": bracket(made, samples=1), "per_sample": {"energy_mj": made.energy_mj}}
        for name, made in (("exact", reading(("alpha", "a", -1e8, True))), ("syops", reading()))
    }
    assert bracket_lines({"rules": rules}) == [
        "exact: 4.0000 mJ a sample, between 3.9000 and 4.0000 if read otherwise; each reading alone:",
        "  alpha folded into the threshold     -2.50%",
    ]


def test_a_reading_of_nothing_has_no_share():
    empty = Reading("exact")
    empty.hang("zeros", "a", -1.0)
    assert empty.shares() == {}
    assert (empty.low_mj, empty.high_mj) == (0, 0)
