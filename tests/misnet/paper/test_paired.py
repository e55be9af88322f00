"""Rows of a table against one of them, seed by seed."""

import pytest

from misnet.paper.pages import Line, Page, to_markdown
from misnet.paper.paired import BASES, base_of, paired
from misnet.paper.tables import GRIDS, cells
from misnet.training.results import read_result
from tests.misnet.training.folders import write_run


def results(folder, accuracies):
    """A run for each seed, with its accuracy."""
    return tuple(read_result(write_run(folder / f"{seed}", [x], seed=seed)) for seed, x in accuracies.items())


def test_differences_are_those_of_one_seed_in_points(tmp_path):
    ours = results(tmp_path / "ours", {2: 0.50, 0: 0.80, 1: 0.60})
    base = results(tmp_path / "base", {0: 0.70, 1: 0.65, 3: 0.10})
    found = paired("a", ours, "b", base)
    assert found.differences == pytest.approx((10.0, -5.0))  # seeds 0 and 1, in their order
    assert found.text() == "a: +2.5 +- 10.6 points (+10.0 -5.0), above in 1 of 2 seeds"
    assert paired("a", ours[:1], "b", base[2:]) is None


def test_a_page_has_them_below_its_table(tmp_path):
    lines = (
        Line("a", "d", results=results(tmp_path / "a", {0: 0.5}), base="b"),
        Line("b", "d", results=results(tmp_path / "b", {0: 0.75})),
        Line("c", "d", base="b"),
        Line("e", "d", results=results(tmp_path / "e", {0: 0.5}), base="not there"),
    )
    text = to_markdown(Page("t", "first", "command", lines, False))
    assert [x for x in text.splitlines() if "seed by seed" in x] == [
        "- seed by seed, against b: a: -25.0 points (-25.0), above in 0 of 1 seeds"
    ]


def test_each_base_is_one_row_a_column():
    tables = {cell.table for name in GRIDS for cell in cells(name)}
    assert set(BASES) <= tables
    for name in GRIDS:
        of = [cell.column for cell in cells(name) if base_of(cell.table, cell.row)]
        assert sorted(of) == sorted({cell.column for cell in cells(name)} if cells(name)[0].table in BASES else [])
