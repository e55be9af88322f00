"""The tables of the paper as data."""

import pytest

from misnet.paper.pages import later_lines
from misnet.paper.published import LATER, TABLES, find, rows


def test_rows_are_numbered_and_complete():
    assert {name: len(table) for name, table in TABLES.items()} == {
        "1": 4, "2a": 8, "2b": 8, "3": 6, "4": 10, "5": 7, "6": 3, "fig6": 9, "7": 4, "8": 4, "9": 6, "10": 9, "11": 8,
    }  # fmt: skip
    for table in TABLES.values():
        assert [row.number for row in table] == list(range(1, len(table) + 1))


def test_figures_that_the_text_repeats():
    """Section 4.3 and 4.4 print these again: MISNet-S 7.61 points above PMR, XS below 1 % of the ANN's energy."""
    s, pmr = find("4", method="MISNet-S"), find("4", method="PMR")
    assert s["CREMA-D"] - pmr["CREMA-D"] == pytest.approx(7.62, abs=0.011)  # the text has 7.61
    xs, ann = find("5", method="MISNet-XS"), find("5", method="PMR")
    assert xs["CREMA-D energy"] / ann["CREMA-D energy"] < 0.01
    assert (xs["CREMA-D energy"], find("5", method="SMMT")["CREMA-D energy"]) == (1.32, 5.78)
    assert xs.where == "Table 5, row 4"


def test_tables_agree_where_they_should():
    for row in rows("11")[:4]:
        assert row["CREMA-D"] == find("4", method=row["method"])["CREMA-D"]
    assert find("10", beta_a=0.5)["CREMA-D"] == find("9", method="MISNet-L", timesteps=6)["CREMA-D"]
    for row in rows("10"):
        assert row["beta_a"] + row["beta_v"] == pytest.approx(1)
    assert find("fig6", method="Ab2.1")["CREMA-D MISNet-L"] == find("7", sew=True, mlif=False)["CREMA-D"]


def test_what_is_not_there_is_an_error():
    with pytest.raises(KeyError, match="expected one of 1, 2a"):
        rows("12")
    with pytest.raises(KeyError, match="table 5: no row"):
        find("5", method="MISNet-M")


def test_later_rivals_stand_below_the_table_whose_columns_they_have_with_where_the_figures_are_from():
    assert {rival.name: rival.second_hand for rival in LATER} == {"TAAF (2025)": False, "SNNergy (2026)": True}
    for rival in LATER:
        assert set(rival.cells) <= set(rows(rival.table)[0].cells)
    lines = later_lines("table4")
    assert [(line.label, line.paper) for line in lines] == [
        ("TAAF (2025), CREMA-D", 77.55),
        ("TAAF (2025), AVE", 70.65),
        ("SNNergy (2026), CREMA-D", 78.38),
        ("SNNergy (2026), AVE", 72.14),
    ]
    assert [("second hand" in line.note, line.results) for line in lines] == [(k > 1, ()) for k in range(4)]
    assert later_lines("table7") == ()
