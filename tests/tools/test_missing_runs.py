"""A run that is not there: every command line that takes one says what is missing, and what was probably meant."""

import json

import pytest

LINES = {  # where the run stands in a command line
    "audit": ["RUN"],
    "bench": ["--run", "RUN", "--whole-only"],
    "compare": ["RUN"],
    "evaluate": ["RUN"],
    "export": ["RUN", "--to", "npz", "-o", "w.npz"],
    "predict": ["RUN", "--sample", "0"],
    "report": ["RUN"],
    "reproduce": ["fig8", "--runs", "RUN"],
    "train": ["--resume", "RUN"],
    "visualize": ["RUN"],
}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """runs/first and runs/second with a config.json, runs/half without, an empty folder and a file."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/first", "runs/second", "runs/half", "empty"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("runs/first", "runs/second"):
        (tmp_path / name / "config.json").write_text(json.dumps({"settings": {}, "network": {}}))
    for name in ("last.safetensors", "metrics.csv"):
        (tmp_path / "runs" / "half" / name).touch()
    (tmp_path / "runs" / "first" / "last.safetensors").touch()
    (tmp_path / "notes.txt").touch()


NO_RUN = (
    ("runs/frist", "runs/frist: no such folder; expected that of a training run; nearest: runs/first"),
    ("rusn/secnd", "rusn/secnd: no such folder; expected that of a training run; nearest: runs/second"),
    ("qqq", "qqq: no such folder; expected that of a training run"),
    ("runs", "runs/config.json: no such file; expected the config.json of a training run; runs lie in this folder: "
     "runs/first, runs/second"),
    ("runs/half", "runs/half/config.json: no such file; expected the config.json of a training run; of a run, this "
     "folder holds last.safetensors, metrics.csv alone"),
    ("empty", "empty/config.json: no such file; expected the config.json of a training run"),
    ("notes.txt", "notes.txt: expected the folder of a training run, found a file"),
    ("runs/first/last.safetensors", "runs/first/last.safetensors: expected the folder of a training run, found a file; "
     "nearest: runs/first"),
)  # fmt: skip


@pytest.mark.parametrize("tool", [tool for tool in LINES if tool != "predict"])
def test_what_is_no_run(call, places, tool):
    for place, message in NO_RUN:
        result = call(tool, *(place if x == "RUN" else x for x in LINES[tool]))
        assert (result.status, result.err) == (1, f"error: {message}\n"), (tool, place)


WEIGHTS = (
    ("runs/frist", "runs/frist: no such folder or file; expected a run or a checkpoint; nearest: runs/first"),
    ("runs/first/lst.safetensors", "runs/first/lst.safetensors: no such folder or file; expected a run or a "
     "checkpoint; nearest: runs/first/last.safetensors"),
    ("qqq", "qqq: no such folder or file; expected a run or a checkpoint"),
    ("empty", "empty/config.json: no such file; expected the config.json of a training run"),
)  # fmt: skip


@pytest.mark.parametrize("line", ["predict RUN --sample 0", "predict --weights RUN a.mp4", "train --weights RUN"])
def test_what_are_no_weights(call, places, line):
    for place, message in WEIGHTS:
        result = call(*(place if x == "RUN" else x for x in line.split()))
        assert (result.status, result.err) == (1, f"error: {message}\n"), place


def test_other_files_of_a_run(call, places):
    for line, message in (
        ("train --config runs/first", "runs/first: expected the config.json of a training run, found a folder; "
         "nearest: runs/first/config.json"),
        ("train --config runs/first/cofnig.json", "runs/first/cofnig.json: no such file; expected the config.json of a "
         "training run; nearest: runs/first/config.json"),
        ("export runs/second --to npz -o w.npz", "checkpoint runs/second/last.safetensors: no such file"),
        ("adopt runs/first/lst.safetensors -o new", "runs/first/lst.safetensors: expected a file of weights, found no "
         "such file; nearest: runs/first/last.safetensors"),
    ):  # fmt: skip
        result = call(*line.split())
        assert (result.status, result.err) == (1, f"error: {message}\n"), line
