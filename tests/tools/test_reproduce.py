"""tools/reproduce.py: plans, runs, goes on, writes a page; and says what it cannot do."""

import json
import shlex
from pathlib import Path

import pytest

from misnet.tools.paper_figures import names_of
from misnet.tools.reproduce import seeds_from
from misnet.tools.toolkit import UsageError

SMALL = shlex.split("table7 --only #1 --epochs 1 --limit-train 16 --limit-eval 8 --device cpu")


@pytest.mark.slow
def test_a_cell_is_run_once_and_its_page_written(call, tmp_path):
    arguments = ("reproduce", *SMALL, "--output-dir", tmp_path)
    result = call(*arguments)
    assert result.status == 0, result.err
    (folder,) = (tmp_path / "cells").glob("misnet-dialpad-*/seed-0")
    assert {"audit.json", "best.safetensors", "metrics.csv"} <= {path.name for path in folder.iterdir()}
    assert (tmp_path / "table7-quick.md").read_text().startswith("NOT the paper's scale")
    (line,) = json.loads((tmp_path / "table7-quick.json").read_text())["lines"]
    assert (line["row"], line["parameters"]) == ("#1: SEW off, MLIF off, CREMA-D", 52950)
    assert line["runs"][0]["energy_mj"]["exact"] > 0
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert call(*arguments).status == 0
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_dry_run_says_parameters_and_hours_and_writes_nothing(call, tmp_path):
    result = call("reproduce", *SMALL, "--seeds", "3", "--dry-run", "--output-dir", tmp_path / "none")
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("NOT the paper's scale")
    assert lines[1] == "measuring a training step of misnet ..."
    assert " ".join(lines[3].split()).startswith("#1: SEW off, MLIF off, CREMA-D misnet 52,950 0.0020 ")
    assert lines[-1].startswith("3 runs, about ")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("table7 --seeds 0", "--seeds: expected a number of at least 1, or seeds as 0,1,2, found 0"),
        ("table7 --seeds 1,1", "argument --seeds: expected integers of at least 0, each once, as 0,1,2, found '1,1'"),
        ("table7 --only zebra", "--only: expected text of a row or column of table7, found 'zebra'"),
        (
            "table7 --dataset ave",
            "--dataset: expected one of dialpad, mnist-fsdd, cifar10-av at quick scale, found 'ave'",
        ),
        ("table7 --page-only", "--page-only: expected it without --dry-run, which writes nothing"),
        ("table7 --sample 3", "--sample: expected it with fig8 or fig9, found it with table7"),
        ("fig7 --runs a --seeds 3", "--runs: expected it without what says how to train, found --seeds, --dry-run too"),
    ],
)
def test_what_cannot_be_meant_is_refused(call, options, message):
    result = call("reproduce", *options.split(), "--dry-run")
    assert (result.status, result.err.splitlines()[-1].partition("error: ")[2]) == (2, message)


@pytest.mark.parametrize(
    ("options", "compared"),
    [("", True), ("--recipe paper --epochs 9", True), ("--limit-train 9", False), ("--recipe default", False)],
)
def test_only_the_paper_s_samples_and_recipe_are_compared_with_it(call, tmp_path, options, compared):
    line = "table7 --only #1 --scale full --page-only"
    assert call("reproduce", *f"{line} {options}".split(), "--output-dir", tmp_path).status == 0
    assert json.loads((tmp_path / "table7-full.json").read_text())["comparable"] == compared


def test_a_page_of_what_is_done_names_what_is_not(call, tmp_path):
    result = call("reproduce", *SMALL, "--seeds", "2", "--page-only", "--output-dir", tmp_path)
    assert result.status == 0, result.err
    text = (tmp_path / "table7-quick.md").read_text()
    assert "| #1: SEW off, MLIF off, CREMA-D | dialpad | 67.88 | not run |" in text
    assert "not run yet: seed 0, 1\n" in text
    assert not (tmp_path / "cells").exists()


def test_a_run_that_fails_is_on_the_page_and_in_the_status(call, tmp_path):
    result = call(
        "reproduce", *SMALL, "--data-dir", tmp_path / "none", "--dataset", "mnist-fsdd", "--output-dir", tmp_path
    )
    assert result.status == 1
    assert "error: 1 of 1 runs failed" in result.err
    assert "FAILED: train ended with status 1: error: " in (tmp_path / "table7-quick.md").read_text()


@pytest.mark.parametrize(("text", "seeds"), [("3", [0, 1, 2]), ("1", [0]), ("0,4", [0, 4]), ("0", [])])
def test_seeds_are_a_list_as_for_training_or_how_many(text, seeds):
    assert seeds_from(text) == seeds


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        ("runs/a runs/b", ["a", "b"]),
        ("cells/a/seed-0 cells/b/seed-0", ["a", "b"]),
        ("cells/a/seed-0 cells/a/seed-1", ["seed-0", "seed-1"]),
        ("x/a/seed-0 x/b/seed-0 x/a/seed-1", ["a/seed-0", "b/seed-0", "a/seed-1"]),
        ("x/a/seed-0 y/a/seed-0", ["x", "y"]),
        ("a/b a", ["b", "a"]),
        ("first", ["first"]),
    ],
)
def test_runs_in_a_figure_have_short_names_that_tell_them_apart(folders, names):
    assert names_of([Path(text) for text in folders.split()]) == names


def test_one_run_twice_in_a_figure_is_refused():
    with pytest.raises(UsageError, match="--runs: expected each run once, found a twice"):
        names_of([Path("a"), Path("b"), Path("./a")])
