"""tools/audit.py: what it prints and writes, and how it refuses."""

import hashlib
import json
import re
import subprocess

import numpy as np
import pytest

from misnet.datasets import load_dataset
from snncore import load_checkpoint, save_checkpoint
from snncore.energy import RULES
from snncore.energy.samples import BY_SAMPLE
from snncore.opcount.columns import COLUMNS
from tests.tools.command_line import command, environment

SMALL = ("--variant", "XS", "--channels", "4,6,8", "--cells", "1,1,1", "--timesteps", "2", "--limit-eval", "6")


def test_samples_may_be_counted_by_themselves_or_not(call, trained, tmp_path):
    report = tmp_path / "a.json"
    assert call("audit", trained[0], "--spread", "0", "--json", report).status == 0
    rules = json.loads(report.read_text())["rules"]
    assert {name for name, rule in rules.items() if rule["spread"]} == {*BY_SAMPLE}
    result = call("audit", trained[0], "--spread", "-1")
    assert result.status == 2
    assert "--spread: expected at least 0, found -1" in result.err


def test_a_trained_run(call, trained, tmp_path):
    folder, _ = trained
    report, shown = tmp_path / "a.json", tmp_path / "a.html"
    result = call("audit", folder, "--claim", "1.32mJ", "--spread", "3", "--json", report, "--html", shown)
    assert (result.status, result.err) == (0, "")
    found = json.loads(report.read_text())
    assert set(found["totals"]) == set(COLUMNS)
    assert all(type(v) is int for v in found["totals"].values())
    assert found["totals"]["dense_mac"] > found["totals"]["ac_binary"] > 0
    assert set(found["rules"]) == set(RULES)
    for rule in found["rules"].values():
        assert rule["energy_mj"] > 0
        assert {"mac", "ac"} <= set(rule)
    spreads = {name: rule["spread"] for name, rule in found["rules"].items()}
    assert {name: of["n"] for name, of in spreads.items()} == {name: 16 if name in BY_SAMPLE else 3 for name in RULES}
    assert all(0 < of["least"] < of["mean"] < of["most"] for of in spreads.values())
    assert "of 3 of 16 samples, each counted by itself" in " ".join(result.out.split())
    assert (found["samples"], found["timesteps"]) == (16, 2)
    assert found["weights"] == f"{folder / 'last'}.safetensors"
    paper = found["rules"]["paper"]
    assert paper["energy_mj"] == pytest.approx((paper["mac"] * 4.6 + paper["ac"] * 0.9) * 1e-9)
    exact = found["rules"]["exact"]
    assert exact["ac"] == found["totals"]["ac_binary"] + found["totals"]["ac_graded"]
    (claim,) = found["claims"]
    assert claim["rules"]["paper"]["ratio"] == pytest.approx(1.32 / paper["per_sample"]["energy_mj"])
    assert "paper" in claim["verdicts"]["impossible"]  # 1.32 mJ is for 128 x 128 pixels
    assert "impossible under exact, " in result.out
    assert [one["kind"] for one in found["baselines"]["others"]] == ["dense", "dense", "dense", "quantised"]
    assert "break-even with" in result.out
    assert "arXiv 2409.08290v4" in result.out
    assert found["layers"][0]["layer"] == "stages.0.unimodal.a.conv"
    assert "implies a mean input rate" in result.out
    assert f"{exact['per_sample']['energy_mj']:.4f}" in result.out
    assert shown.read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "a.json"]


def test_batches_change_no_count(call, trained, tmp_path):
    found = []
    for size in ("5", "16"):
        assert call("audit", trained[0], "--batch-size", size, "--json", tmp_path / f"{size}.json").status == 0
        found.append(json.loads((tmp_path / f"{size}.json").read_text()))
    once = "weight_bytes_once"
    assert {k: v for k, v in found[0]["totals"].items() if k != once} == {
        k: v for k, v in found[1]["totals"].items() if k != once
    }
    for name in ("exact", "exact-memory", "paper", "spikingresformer", "lemaire"):  # the others look at a call's values
        assert found[0]["rules"][name]["energy_mj"] == pytest.approx(found[1]["rules"][name]["energy_mj"], rel=1e-9)


def test_fresh_weights_one_rule_and_a_table_of_the_user(call, tmp_path):
    table = tmp_path / "mine.toml"
    table.write_text(
        'name = "mine"\nprocess = "p"\nsource = "s"\n[operation]\nmac = 10\nadd = 1\nmul = 9\ncompare = 1\n'
        "[memory]\naccess_bytes = 4\nsram = [[1000, 5]]\ndram_access = 100\n"
    )
    report = tmp_path / "a.json"
    result = call("audit", *SMALL, "--rule", "paper,neurobench", "--prices", table, "--json", report)
    assert (result.status, result.err) == (0, "")
    assert "not trained" in result.out
    found = json.loads(report.read_text())
    assert list(found["rules"]) == ["paper", "neurobench"]
    one = found["rules"]["paper"]
    assert one["energy_mj"] == pytest.approx((10 * one["mac"] + one["ac"]) * 1e-9)
    assert one["prices"] == "mine"


def test_a_training_step_with_the_optimizer_of_the_run(call, trained, tmp_path):
    report = tmp_path / "a.json"
    options = ("--rule", "exact,exact-dram", "--claim", "25\u00b5J", "--claim", "rate=3%", "--batch-size", "4")
    result = call("audit", trained[0], *options, "--training-step", "--json", report)
    assert (result.status, result.err) == (0, "")
    found = json.loads(report.read_text(), parse_constant=pytest.fail)
    step = found["training_step"]
    assert (step["optimizer"], step["batch_size"]) == ("Adam", 4)
    parts = [step["step"][f"{part}_mj"] for part in ("forward", "backward", "optimizer")]
    assert sum(parts) == pytest.approx(step["step"]["energy_mj"])
    assert parts[2] * 1e9 == pytest.approx(found["parameters"] * (7 * 3.7 + 5 * 0.9))
    assert step["step"]["membrane_bytes"] == 2 * step["step"]["membrane_bytes_forward"] > 0  # T = 2
    assert "a training step, batch of 4, Adam" in result.out
    assert list(found["rules"]) == ["exact", "exact-dram"]
    assert [claim["kind"] for claim in found["claims"]] == ["energy", "rate"]


def test_a_run_beside_the_paper(call, trained, monkeypatch):
    monkeypatch.setattr("misnet.paper.energies.DATA", ("CREMA-D",))
    result = call("audit", trained[0], "--rule", "paper", "--paper")
    assert result.status == 0
    assert "CREMA-D, MISNet-XL" in result.out
    assert "measured in this run" not in result.out
    assert "Table 4, row 7" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rule", "guess"), "--rule: expected all or some of exact, .*found 'guess'"),
        (("--claim", "1.32"), r"--claim: expected a positive, finite number and a unit, .* found '1.32'"),
        (("--claim", "1mJ", "--claim", "1e400mJ"), "--claim: expected a positive, finite .* found '1e400mJ'"),
        (("--rule", "training,guess"), "--rule: expected all or some of exact, .*, training, found 'guess'"),
        (("--prices", "guess"), "--prices: .*expected one of horowitz-45nm-fp16.* found 'guess'"),
        (("--prices", "none.toml"), "--prices: none.toml: no such price table"),
        (("--batch-size", "0"), "--batch-size: expected at least 1, found 0"),
        (("--classes", "7"), "--classes: dialpad has 10, found 7"),
        (("--checkpoint", "best"), "--checkpoint: expected it with a trained run"),
        (("--layers", "t.csv", "--split", "train"), "--split: expected it with data of ours, not --layers"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(call, arguments, message):
    result = call("audit", *SMALL, *arguments)
    assert result.status == 2
    assert "Traceback" not in result.err
    assert re.search(message, result.err), result.err


@pytest.mark.parametrize("option", ["--data-dir", "--limit-eval", "--arithmetic"])
def test_networks_from_elsewhere_take_no_data_of_ours(call, option):
    result = call("audit", "--layers", "t.csv", option, "exact" if option == "--arithmetic" else "3")
    assert (result.status, result.err) == (
        2,
        f"error: --layers: expected no data set and arithmetic of ours, found {option}\n",
    )


def test_a_claim_beside_the_paper_s_table_is_checked_too(call, monkeypatch):
    monkeypatch.setattr("misnet.paper.energies.DATA", ("CREMA-D",))
    result = call("audit", "--paper", "--claim", "1mm")
    assert (result.status, "error: --claim: " in result.err) == (2, True)


def test_a_price_table_with_a_negative_price(call, tmp_path):
    table = tmp_path / "bad.toml"
    table.write_text('name = "a"\nprocess = "p"\nsource = "s"\n[operation]\nmac = -1\n[memory]\n')
    result = call("audit", *SMALL, "--prices", table)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert f"{table}: [operation] mac: expected a finite number of at least 0, found -1" in result.err


def test_a_run_folder_without_checkpoint_or_with_switches(call, copy_of_run, tmp_path):
    folder = copy_of_run()
    (folder / "last.safetensors").unlink()
    result = call("audit", folder)
    assert result.status == 1
    assert "last.safetensors" in result.err
    assert call("audit", tmp_path / "nowhere").status == 1
    result = call("audit", copy_of_run("other"), "--tau", "3")
    assert result.status == 2
    assert "RUN_DIR: the run sets the network; also found --tau" in result.err


def test_a_failed_audit_leaves_earlier_files_as_they_were(call, trained, tmp_path):
    report = tmp_path / "a.json"
    report.write_text("before")
    assert call("audit", trained[0], "--rule", "guess", "--json", report).status == 2
    assert report.read_text() == "before"
    assert call("audit", trained[0], "--rule", "paper", "--json", tmp_path / "no" / "such" / "a.json").status == 1


@pytest.mark.parametrize("tool", ["audit", "evaluate"])
def test_files_that_were_asked_for_are_there_though_nobody_reads_what_is_printed(trained, tmp_path, tool):
    files = {"audit": ("--html", "--json"), "evaluate": ("--picture", "--json")}[tool]
    paths = {option: tmp_path / f"{option[2:]}.png" for option in files}  # an ending that each takes
    arguments = command(tool, trained[0], *(x for pair in paths.items() for x in pair), "--device", "cpu")
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdout=pipe, stderr=pipe, env=environment()) as process:
        process.stdout.close()  # the reader leaves before a line is printed, as `| head -0` does
        error = process.stderr.read()
        assert (process.wait(timeout=300), error) == (0, b"")
    assert all(path.stat().st_size > 100 for path in paths.values())


def test_options_of_the_data_add_to_those_of_the_run_as_they_do_in_evaluation(copy_of_run, call, tmp_path):
    folder = copy_of_run(trained_so=True, settings={"data_options": {"lost": 0.0}})
    found = {}
    for name, options in (
        ("run", ()),
        ("more", ("--data-option", "frame_lost=0.5")),
        ("other", ("--data-option", "lost=0.4")),
    ):
        assert call("audit", folder, "--rule", "exact", *options, "--json", tmp_path / "a.json").status == 0
        found[name] = json.loads((tmp_path / "a.json").read_text())["data"]["fingerprint"]
    data = {"timesteps": 2, "size": 8, "limit": 16}
    assert found == {
        "run": load_dataset("dialpad", "test", **data, lost=0.0).fingerprint(),
        "more": load_dataset("dialpad", "test", **data, lost=0.0, frame_lost=0.5).fingerprint(),
        "other": load_dataset("dialpad", "test", **data, lost=0.4).fingerprint(),
    }


def test_an_audit_says_what_it_is_of(call, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    folder, pages = trained[0], []
    files = [x for kind in ("json", "html", "latex") for x in (f"--{kind}", tmp_path / f"a.{kind}")]
    for _ in range(2):
        assert call("audit", folder, *files, "--rule", "exact").status == 0
        pages.append([path.read_bytes() for path in sorted(tmp_path.iterdir())])
    assert pages[0] == pages[1]  # byte for byte, the date as it is told
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["schema"] == 1
    assert found["provenance"]["date"] == "2026-01-01T00:00:00Z"
    assert found["provenance"]["command"].startswith(f"python tools/audit.py {folder} --json ")
    assert found["weights_sha256"] == hashlib.sha256((folder / "last.safetensors").read_bytes()).hexdigest()
    assert (found["trained"], found["run"]["seed"], found["run"]["epochs"], found["run"]["epochs_planned"]) == (
        *(True, 0),
        *(2, 2),
    )
    evaluated = tmp_path / "e.json"
    assert call("evaluate", folder, "--json", evaluated, "--picture", tmp_path / "p.png").status == 0
    evaluation = json.loads(evaluated.read_text())
    assert found["accuracy"] == {head: evaluation[f"test_accuracy_{head}"] for head in found["accuracy"]}
    assert next(iter(found["accuracy"])) == "av"
    assert "\\begin{tabular}" in (tmp_path / "a.latex").read_text()


def test_a_date_that_is_none_is_wrong_usage(call, trained, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    result = call("audit", trained[0], "--rule", "exact")
    assert (result.status, result.err) == (
        2,
        "error: SOURCE_DATE_EPOCH: expected seconds since 1970, found 'soon'\n",
    )


def test_a_figure_that_json_cannot_hold_is_null(call, trained, tmp_path):
    table = tmp_path / "dear.toml"
    table.write_text(
        'name = "dear"\nprocess = "p"\nsource = "s"\n[operation]\nmac = 1e308\nadd = 1e308\nmul = 1\ncompare = 1\n'
        "[memory]\naccess_bytes = 4\nsram = [[1000, 5]]\ndram_access = 100\n"
    )
    report = tmp_path / "a.json"
    assert call("audit", trained[0], "--rule", "paper", "--prices", table, "--json", report).status == 0
    found = json.loads(report.read_text(), parse_constant=pytest.fail)
    assert found["rules"]["paper"]["energy_mj"] is None
    assert found["price_tables"]["dear"]["operation"]["mac"] == 1e308


def test_runs_side_by_side(call, trained, copy_of_run, tmp_path):
    folder, report, shown = trained[0], tmp_path / "a.json", tmp_path / "a.html"
    other = copy_of_run("other", trained_so=True, settings={"seed": 1}, data={"test": None})
    arrays, metadata = load_checkpoint(other / "last.safetensors")
    weights = {
        name: 1.25 * x if name.startswith("model/") and x.dtype == np.float32 else x for name, x in arrays.items()
    }
    save_checkpoint(other / "last.safetensors", weights, metadata)
    result = call("audit", "--runs", folder, other, "--rule", "exact,paper", "--json", report, "--html", shown)
    assert (result.status, result.err) == (0, "")
    found = json.loads(report.read_text())
    energies = [run["rules"]["exact"]["per_sample"]["energy_mj"] for run in found["runs"]]
    assert found["spread"]["exact (mJ)"]["mean"] == pytest.approx(sum(energies) / 2)
    assert found["names"] == ["trained", "other"]
    assert "accuracy av (%)" in result.out
    assert shown.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--runs", "RUN"), "--runs: expected at least two, found 1"),
        (("--runs", "RUN", "RUN"), "the very weights of .*expected each training once"),
        (("RUN", "--runs", "RUN"), "--runs: expected trained runs alone, found RUN_DIR too"),
        (("--runs", "RUN", "--claim", "1mJ"), "--runs: expected trained runs alone, found --claim too"),
        (("--runs", "RUN", "--tau", "3"), "--runs: expected trained runs alone, found --tau too"),
    ],
)
def test_wrong_usage_of_runs(call, trained, arguments, message):
    result = call("audit", "--rule", "exact", *(trained[0] if x == "RUN" else x for x in arguments))
    assert result.status == 2
    assert re.search(message, result.err), result.err
