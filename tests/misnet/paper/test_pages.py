"""Pages of a reproduced table: every figure where it belongs, and nothing compared that cannot be."""

import json

import pytest

from misnet.paper.pages import Line, Page, as_values, seconds, to_html, to_markdown
from misnet.training.results import read_result
from tests.misnet.training.folders import write_run

TIMED = {"speed": 100.0, "limit_train": 800}  # two epochs take 16 seconds


@pytest.fixture
def line(tmp_path):
    runs = [
        write_run(tmp_path / f"{k}", [0.5, x], seed=k, energy={"paper": 0.01 * (k + 1), "exact": 0.02}, **TIMED)
        for k, x in enumerate((0.90, 0.80, 0.76))
    ]
    return Line("#1: SEW on", "dialpad", 76.19, 19.68, None, 1_181_012, tuple(map(read_result, runs)), note="a reading")


def row(page):
    return [cell.strip() for cell in to_markdown(page).split("\n| #1: SEW on |")[1].split("\n")[0].split("|")][:-1]


def page(*lines, comparable=False):
    return Page("Table 7", "NOT the paper's scale", "python tools/reproduce.py table7", lines, comparable)


def test_a_row_has_mean_deviation_seeds_heads_parameters_and_energy(line):
    text = to_markdown(page(line))
    assert text.startswith("NOT the paper's scale\n\n# Table 7\n")
    assert row(page(line)) == [
        "dialpad", "76.19", "82.00 +- 7.21", "-", "90.0 80.0 76.0", "a 41.0 +- 3.6, v 20.5 +- 1.8", "19.68", "1.181",
        "0.125 +- 0.000", "16 +- 0", "-", "0.02000 +- 0.01000", "0.02000 +- 0.00000",
    ]  # fmt: skip
    assert "- #1: SEW on, dialpad: a reading\n" in text


def test_a_difference_stands_only_where_data_and_recipe_are_the_paper_s(line):
    assert row(page(line, comparable=True))[3] == "+5.81"
    assert "No difference from the paper is given" in to_markdown(page(line))
    assert "No difference from the paper is given" not in to_markdown(page(line, comparable=True))


def test_what_failed_and_what_did_not_run_is_said():
    text = to_markdown(page(Line("x", "d", errors=("it | broke",)), Line("y", "d", note="not run: no such model")))
    assert "| x | d | - | failed |" in text
    assert "- x, d: FAILED: it | broke\n" in text
    assert "| y | d | - | not run |" in text


def test_seconds_stand_only_where_samples_and_speed_are_known(tmp_path):
    runs = [
        write_run(tmp_path / f"{k}", [0.5], seed=k, **more)
        for k, more in enumerate(({"speed": 50.0, "limit_train": 5000}, {"speed": 50.0}, {"limit_train": 5000}))
    ]
    results = tuple(map(read_result, runs))
    assert seconds(results[:1]) == [1437 / 50]  # dialpad has no more
    assert seconds(results[:2]) == seconds(results[2:]) == []


def test_html_and_json_say_the_same(line):
    found = to_html(page(line))
    assert found.index("NOT the paper&#x27;s scale") < found.index("<h1>")
    assert "<td>82.00 +- 7.21</td>" in found
    assert "src=" not in found  # it needs no other file
    assert "href=" not in found
    (values,) = json.loads(as_values(page(line)))["lines"]
    assert [run["last"]["test_accuracy_av"] for run in values["runs"]] == [0.90, 0.80, 0.76]
    assert values["paper"] == {"accuracy": 76.19, "parameters_m": 19.68, "energy_mj": None}
