"""Curves and confusion matrices as SVG: every value is where it belongs."""

import re

import pytest

from misnet.report.charts import Line, charts, line_chart, mean_of, ticks
from misnet.report.confusion import READABLE, confusion, most_confused


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 0.19, [0, 0.05, 0.1, 0.15, 0.2]),
        (-0.3, 2.1, [-0.5, 0, 0.5, 1, 1.5, 2, 2.5]),
        (0, 3.5e-7, [0, 1e-7, 2e-7, 3e-7, 4e-7]),
    ],
)
def test_ticks_are_round_and_hold_both_ends(low, high, found):
    assert ticks(low, high) == pytest.approx(found)


def test_points_lie_on_their_values():
    lines = [Line("x", [0.0, 50.0, 100.0]), Line("", [100.0, float("nan"), 25.0], 1, thin=True)]
    shown = line_chart("a & b", lines, (0, 100))
    first, second, _ = re.findall(r'<polyline [^>]*points="([^"]*)"', shown)  # the third is in the key
    assert first.split() == ["44.0,176.0", "187.0,93.0", "330.0,10.0"]  # 340 x 200 with margins of 44, 10, 10 and 24
    assert second.split() == ["44.0,10.0", "330.0,134.5"]  # what is no number is left out
    assert re.findall(r'class="end"[^>]*>([^<]*)', shown) == ["0", "20", "40", "60", "80", "100"]
    assert re.findall(r'class="middle"[^>]*>([^<]*)', shown) == ["1", "2", "3"]
    assert 'aria-label="a &amp; b, by epoch; last: x 100"' in shown
    assert shown.count("<li>") == 1


@pytest.mark.parametrize("values", [[], [0.5], [0.0, 0.0], [1e-9] * 3, [0.1] * 400])
def test_no_number_of_epochs_is_a_fault(values):
    shown = line_chart("t", [Line("x", values)])
    assert "nan" not in shown
    assert len(re.findall(r'class="middle"', shown)) <= 6


def test_the_mean_ends_with_the_shortest_seed():
    assert mean_of([[1.0, 2.0, 9.0], [3.0, 4.0]]) == [2.0, 3.0]
    assert charts() == ""


def test_cells_are_as_dark_as_their_share():
    shown = confusion([[3, 1], [0, 2]], ["a<", "b"])
    assert re.findall(r"--part: ([\d.]+)", shown) == ["0.637", "0.212", "0", "0.850"]  # 0.85 x 3/4, 1/4, 0, 1
    assert "<title>a&lt; taken for b: 1 of 4</title>" in shown
    assert re.findall(r'<text class="middle"[^>]*>(\d)<', shown) == ["3", "1", "2"]


def test_many_classes_are_cells_without_text():
    n = READABLE + 1
    names = [f"a class with a long name {k}" for k in range(n)]
    shown = confusion([[k] * n for k in range(n)], names)
    assert not re.search(r'class="middle"', shown)
    assert shown.count("<rect") == n * n
    assert "a class with a lon.." in shown


def test_what_is_taken_most_often():
    shown = most_confused([[4, 1, 0], [0, 5, 0], [2, 1, 3]], ["cat", "dog", "siren"], most=2)
    assert re.findall(r"<tr><th[^>]*>([^<]*)</th><td>([^<]*)</td><td>([^<]*)", shown) == [
        ("siren for cat", "2 of 6", "33 %"),
        ("cat for dog", "1 of 5", "20 %"),
    ]
    assert "No sample was taken" in most_confused([[1, 0], [0, 1]], ["a", "b"])
