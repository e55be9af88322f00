"""tools/compare.py: lines by settings, spread over seeds, files, and runs that cannot be compared."""

import csv
import json

import pytest
from PIL import Image

from misnet.training.results import read_result
from tests.misnet.training.folders import write_run


@pytest.fixture
def runs(tmp_path):
    """Three seeds of one network, one of which was audited, and one of another."""
    folders = [
        write_run(tmp_path / "a0", [0.2, 0.8], seed=0),
        write_run(tmp_path / "a1", [0.9, 0.5], seed=1, energy={"paper": 0.5, "exact": 0.25}),
        write_run(tmp_path / "a2", [0.1, 0.2], seed=2),
        write_run(tmp_path / "b", [0.4, 0.6], network={"mlif_fusion": "mlp"}),
    ]
    return folders


def test_the_table(runs, call):
    result = call("compare", *runs)
    assert (result.status, result.err) == (0, "")
    header, first, second, _, *words = result.out.splitlines()
    columns = ["seeds", "parameters", "av", "a", "v", "best", "firing", "rate", "paper", "mJ", "exact", "mJ"]
    assert header.split() == columns
    name, seeds, _, *rest = first.split()
    assert (name, seeds) == ("mlif_fusion=concat", "3")
    # 80, 50, 20: mean 50, deviation 30; best by the test: 80, 90, 20
    assert " ".join(rest) == "50.0 +- 30.0 25.0 +- 15.0 12.5 +- 7.5 63.3 +- 37.9 0.125 +- 0.000 0.5000 0.2500"
    assert second.split()[:2] + second.split()[3:] == [
        "mlif_fusion=mlp", "1", "60.0", "30.0", "15.0", "60.0", "0.125", "-", "-",
    ]  # fmt: skip
    assert words[1].endswith("chosen by the test samples, which flatters it")
    assert words[2:] == ["note: the lines have different seeds"]


def test_one_line_is_named_by_network_and_data(runs, call):
    assert call("compare", *runs[:2]).out.splitlines()[1].startswith("MISNet-XS on dialpad  ")


def test_validation_and_what_is_unfinished_or_tested_on_other_samples_is_said(tmp_path, call):
    a = write_run(tmp_path / "a", [0.2, 0.8, 0.3], val=[0.5, 0.1, 0.2], epochs=4)
    b = write_run(tmp_path / "b", [0.2, 0.8, 0.4], val=[0.1, 0.3, 0.2], data="1", lr=0.5)
    result = call("compare", a, b)
    assert [line.split()[-2] for line in result.out.splitlines()[1:3]] == ["20.0", "80.0"]
    assert "chosen by validation samples\n" in result.out
    assert f"note: {a}: stands at epoch 3 of 4\n" in result.out
    assert f"note: {a} and {b} were not tested on the same samples (seed 0)\n" in result.out
    c = write_run(tmp_path / "c", [0.2], data="2")
    note = f"note: {a}, {b} and {c} were not tested on the same samples (seed 0)\n"
    assert note in call("compare", a, b, c).out


def test_files(runs, call, tmp_path):
    evaluated = {"test_accuracy_av": 0.5, "test_accuracy_a": 0.25, "test_accuracy_v": 0.125}
    confusion = {"confusion": [[4, 1, 0], [0, 5, 0], [2, 1, 3]]}
    last = read_result(runs[0]).last
    (runs[0] / "evaluation.json").write_text(json.dumps({k: last[k] for k in evaluated} | confusion))
    files = [tmp_path / f"all.{kind}" for kind in ("csv", "json", "jpg")]
    result = call("compare", *runs, "--csv", files[0], "--json", files[1], "--picture", files[2])
    assert result.status == 0, result.err
    assert result.out.endswith("".join(f"\nwrote {path}\n" for path in files))
    with open(files[0], newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["seeds"], first["name"]) == ("3", "mlif_fusion=concat")
    assert float(first["test_accuracy_av_mean"]) == pytest.approx(0.5)
    assert float(first["test_accuracy_av_std"]) == pytest.approx(0.3)
    assert (float(first["test_accuracy_av_least"]), float(first["test_accuracy_av_most"])) == (0.2, 0.8)
    assert (second["test_accuracy_av_std"], second["energy_mj_paper_mean"]) == ("", "")
    assert float(first["macro_f1_mean"]) == pytest.approx(0.7424242424242423)
    assert second["macro_f1_mean"] == ""
    assert " macro F1 " in result.out.splitlines()[0]
    assert "  74.2  " in result.out.splitlines()[1]
    groups = json.loads(files[1].read_text())["groups"]
    assert [run["seed"] for run in groups[0]["runs"]] == [0, 1, 2]
    assert groups[0]["runs"][1]["energy_mj"] == {"paper": 0.5, "exact": 0.25}
    assert [run["macro_f1"] is None for run in groups[0]["runs"]] == [False, True, True]
    assert groups[1]["differs"] == {"mlif_fusion": "mlp"}
    with Image.open(files[2]) as picture:
        assert picture.format == "JPEG"


def test_many_differences_are_named_by_folder(tmp_path, call):
    a = write_run(tmp_path / "plain", [0.5])
    b = write_run(
        tmp_path / "other", [0.5], lr=0.5, weight_decay=0.25, momentum=0.5, schedule="constant", batch_size=64
    )
    assert [line.split()[0] for line in call("compare", a, b).out.splitlines()[1:3]] == ["plain", "other"]


def test_what_cannot_be_compared(runs, call, tmp_path):
    result = call("compare", runs[0], write_run(tmp_path / "again", [0.5, 0.5]))
    assert result.status == 2
    assert result.err == (
        f"error: {tmp_path / 'again'}: has the seed 0 and the settings of {runs[0]}; expected each seed once\n"
    )
    (runs[1] / "metrics.csv").unlink()
    for place, message in (
        (tmp_path / "none", f"{tmp_path / 'none'}: no such folder; expected that of a training run"),
        (runs[1], f"{runs[1] / 'metrics.csv'}: no such file; expected at least one epoch to be done"),
    ):
        result = call("compare", runs[0], place)
        assert result.status == 1
        assert result.err.startswith(f"error: {message}")
        assert len(result.err.splitlines()) == 1


def test_files_that_cannot_be_written_are_refused_by_name(runs, call, tmp_path):
    (tmp_path / "dir.png").mkdir()
    for option, path, words in (
        ("--picture", tmp_path / "dir.png", "expected a file to write, found the folder"),
        ("--csv", tmp_path / "missing" / "c.csv", "expected a file in a folder that exists, found"),
        ("--json", runs[0] / "metrics.csv", "expected a file of its own, found"),
    ):
        result = call("compare", *runs, option, path)
        assert result.status == 1
        assert result.err.startswith(f"error: {option}: {words} {path}")
