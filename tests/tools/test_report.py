"""tools/report.py: a page of whatever lies in a run folder, figures that are those of the other tools, and refusals."""

import json
import re
from pathlib import Path

import pytest

from misnet.tools.reporting import AUDIT, EVALUATION
from snncore.checkpoint import load_checkpoint, save_checkpoint
from tests.misnet.report.runs import picture
from tests.misnet.training.folders import write_run
from tests.support.markup import faults
from tests.tools.test_train import metrics


def page_of(result, file):
    """The page, which stands alone; what was printed are its notes and its name."""
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[-1] == f"wrote {file}"
    text = file.read_text()
    assert faults(text) == []
    return text


def test_what_is_not_there_is_measured_kept_and_used_again(copy_of_run, call, tmp_path, monkeypatch):
    folder, file = copy_of_run(), tmp_path / "a.html"
    (folder / "pictures").mkdir()
    picture(folder / "pictures" / "raster.png")  # as tools/visualize.py draws them
    shown = page_of(call("report", folder, "-o", file, "--keep", "--device", "cpu"), file)
    assert re.findall(r'<img alt="([^"]*)"', shown) == ["raster.png"]
    last = metrics(folder)[-1]
    evaluation, audit = (json.loads((folder / name).read_text()) for name in (EVALUATION, AUDIT))
    for head in ("av", "a", "v"):
        assert evaluation[f"test_accuracy_{head}"] == audit["accuracy"][head] == last[f"test_accuracy_{head}"]
    assert sum(map(sum, evaluation["confusion"])) == evaluation["samples"] == 16
    right = sum(row[k] for k, row in enumerate(evaluation["confusion"]))
    assert right / 16 == last["test_accuracy_av"]
    assert 'class="loud"' not in shown
    assert f"{100 * last['test_accuracy_av']:.2f} % of the test samples right after epoch 2 of 2" in shown

    with monkeypatch.context() as patch:
        patch.setattr("misnet.tools.subjects.count_batches", None)  # nothing is counted, and nothing evaluated
        patch.setattr("misnet.tools.reporting.evaluate", None)
        again = page_of(call("report", folder, "-o", file, "--device", "cpu"), file)
    strip = re.compile("<h2>This page</h2>.*|20[0-9T:-]+Z", re.DOTALL)
    assert strip.sub("", again) == strip.sub("", shown)

    (folder / EVALUATION).unlink()  # evaluated alone, and the same
    again = page_of(call("report", folder, "-o", file, "--device", "cpu"), file)
    assert strip.sub("", again) == strip.sub("", shown)

    stale = evaluation | {"test_accuracy_av": 2.0}
    (folder / EVALUATION).write_text(json.dumps(stale))
    (folder / AUDIT).write_text(json.dumps(audit | {"weights_sha256": "0" * 64}))
    result = call("report", folder, "-o", file, "--quick")
    shown = page_of(result, file)
    assert f"note: {folder}: audit.json is not used: it is of other weights than last.safetensors holds" in result.out
    assert "evaluation.json is not used: its accuracies are not those of the weights shown here; --quick" in shown
    assert "<h2>Layers</h2>" not in shown


def test_folders_of_seeds_and_of_other_networks_stand_side_by_side(tmp_path, call):
    place = tmp_path / "x"
    for seed in (0, 1):
        write_run(place / f"seed-{seed}", [0.2, 0.5 + 0.1 * seed], seed=seed)
    (place / "seed-2").mkdir()
    (place / "seed-2" / "config.json").write_bytes((place / "seed-0" / "config.json").read_bytes())
    (place / "seeds.json").write_text(json.dumps({"seeds": [0, 1, 2], "options": {}, "switches": {}}))
    other = write_run(tmp_path / "b", [0.4], epochs=3, network={"mlif_fusion": "mlp"})
    file = tmp_path / "all.html"
    result = call("report", place, other, "-o", file, "--quick")
    shown = page_of(result, file)
    assert "<h1>4 runs: MISNet-XS on dialpad</h1>" in shown
    assert '<th scope="row">mlif_fusion=concat, epochs=2</th><td>2</td>' in shown
    assert "<td>55.0 +- 7.1</td>" in shown
    assert (
        f"note: {other}: Not finished: stands at epoch 1 of 3; go on with: python tools/train.py --resume" in result.out
    )
    assert f"note: {place / 'seed-2'}: No epoch is done yet" in result.out
    assert "b: No weights: " in shown


def test_a_run_that_was_stopped_within_an_epoch(copy_of_run, call, tmp_path):
    folder = copy_of_run(settings={"epochs": 3})
    arrays, metadata = load_checkpoint(folder / "last.safetensors")
    save_checkpoint(folder / "last.safetensors", arrays, metadata | {"batch": 2})  # as a stop leaves it
    (folder / "best.safetensors").unlink()
    file = tmp_path / "a.html"
    shown = page_of(call("report", folder, "-o", file, "--limit-eval", "4", "--device", "cpu"), file)
    assert "Not finished: stands at epoch 2 of 3" in shown
    assert "over 4 samples; weights of last.safetensors, within epoch 3, after batch 2." in shown
    assert "Measured on other samples than the run was tested on in training." in shown
    shown = page_of(call("report", folder, "-o", file, "--checkpoint", "best", "--device", "cpu"), file)
    assert f"No weights: {folder / 'best.safetensors'} is not there" in shown


def test_data_that_are_gone_leave_a_page_that_says_so(copy_of_run, call, tmp_path):
    folder = copy_of_run(trained_so=True, settings={"dataset": "folder", "data_dir": str(tmp_path / "gone")})
    file = tmp_path / "a.html"
    result = call("report", folder, "-o", file, "--device", "cpu")
    assert "Classes and operations could not be measured: " in page_of(result, file)
    assert str(tmp_path / "gone") in result.out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{0}/none"], 1, "error: {0}/none: no such folder; expected that of a training run\n"),
        (["{0}/a", "{0}/a"], 2, "error: RUN: expected each run once, found {0}/a twice\n"),
        (["{0}/a", "-o", "{0}"], 1, "error: --html: expected a file to write, found the folder {0}\n"),
        (
            ["{0}/a", "-o", "{0}/no/a.html"],
            1,
            "error: --html: expected a file in a folder that exists, found {0}/no/",
        ),
        (["{0}/a", "--batch-size", "0"], 2, "--batch-size: expected at least 1, found 0\n"),
        (["{0}/a", "--keep", "--quick"], 2, "--keep: expected it without --quick, which measures nothing to be kept\n"),
        (
            ["{0}/a", "--keep", "--limit-eval", "3"],
            2,
            "--keep: expected it with the data of the run alone, found --limit-",
        ),
        (
            ["{0}/a", "--quick", "--data-dir", "x"],
            2,
            "--quick: expected it with the data of the run alone, found --data",
        ),
        (["{0}/damaged", "--quick"], 1, "error: {0}/damaged/metrics.csv: does not hold what a run writes: "),
        ([], 2, "the following arguments are required: RUN"),
    ],
    ids=lambda x: "_".join(x).replace("/", "") if isinstance(x, list) else "",
)
def test_what_cannot_be_shown(tmp_path, call, monkeypatch, arguments, status, message):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "a", [0.5])
    (write_run(tmp_path / "damaged", [0.5]) / "metrics.csv").write_text("epoch\nx\n")
    result = call("report", *(text.format(tmp_path) for text in arguments))
    assert result.status == status
    assert message.format(tmp_path) in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_measured(tmp_path, call, monkeypatch):
    folder = write_run(tmp_path / "a", [0.5])
    monkeypatch.setattr("os.access", lambda place, mode: Path(place) != folder)  # the tests may run as root
    monkeypatch.setattr("misnet.tools.report.read_run", None)
    result = call("report", folder, "--keep", "-o", tmp_path / "a.html")
    words = f"--keep: expected a file in a folder that can be written to, found {folder}/audit.json"
    assert (result.status, result.err) == (1, f"error: {words}\n")


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 0, "rules": {}}', '{"rules": 3}'])
def test_a_stored_audit_that_is_none(tmp_path, copy_of_run, call, content):
    folder, file = copy_of_run(), tmp_path / "a.html"
    (folder / AUDIT).write_text(content)
    result = call("report", folder, "-o", file, "--quick")
    if content == '{"schema": 0, "rules": {}}':
        assert "audit.json is not used: another version of the audit wrote it; --quick measures nothing" in page_of(
            result, file
        )
    else:
        assert result.status == 1
        assert result.err.startswith(f"error: {folder / AUDIT}: does not hold what the audit writes with --json: ")
