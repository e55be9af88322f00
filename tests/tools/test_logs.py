"""tools/train.py --log: others are told what metrics.csv gets, and the run is the same, bit for bit."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from misnet.training.tensorboard import FOLDER, read_events, tag_of
from snncore.checkpoint import load_checkpoint
from tests.tools.test_train import metrics

MAKER = """
import json

def make(folder, rows):
    file = open(folder / "mine.jsonl", "a")
    file.write(json.dumps([row["epoch"] for row in rows]) + "\\n")

    def log(row):
        file.write(json.dumps(row) + "\\n")
        file.flush()
        np.random  # a mistake of its own

    log.close = file.close
    return log
"""


def test_loggers_get_what_metrics_gets_and_change_no_bit(copy_of_run, call, tmp_path):
    folder, plain = copy_of_run("logged"), copy_of_run("plain")
    (tmp_path / "mine.py").write_text(MAKER)
    board = find_spec("tensorboardX") is not None  # of the extra tensorboard
    names = f"{tmp_path / 'mine.py'}:make"
    result = call("train", "--resume", folder, "--epochs", "3", "--log", names + ",tensorboard" * board)
    assert result.status == 0
    warning = f"warning: --log {names} failed, and training goes on without it where it does: "
    assert result.err == f"{warning}NameError: name 'np' is not defined\n"
    assert call("train", "--resume", plain, "--epochs", "3").status == 0
    (x, _), (y, _) = (load_checkpoint(f / "last.safetensors") for f in (folder, plain))
    for name in x:
        np.testing.assert_array_equal(x[name], y[name], err_msg=name)
    rows = [json.loads(line) for line in (folder / "mine.jsonl").read_text().splitlines()]
    assert rows == [[1, 2], *metrics(folder)[2:]]
    assert json.loads((folder / "config.json").read_text())["options"]["log"] == names + ",tensorboard" * board
    if board:
        (file,) = (folder / FOLDER).iterdir()
        events = [event for event in read_events(file) if event.summary.value]
        found = {event.step: {value.tag: value.simple_value for value in event.summary.value} for event in events}
        wanted = {row.pop("epoch"): {tag_of(name): x for name, x in row.items()} for row in metrics(folder)}
        assert len(events) == 3
        assert found == {epoch: pytest.approx(row, rel=1e-6) for epoch, row in wanted.items()}  # of float32


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("dashboard", "error: --log: expected tensorboard, MODULE:FUNCTION or FILE.py:FUNCTION, found 'dashboard'\n"),
        ("none.py:make", "error: --log: none.py: No such file or directory\n"),
    ],
)
def test_a_logger_that_is_none_is_refused_before_anything_is_written(call, tmp_path, option, message):
    result = call("train", "--output-dir", tmp_path / "run", "--log", option)
    assert (result.status, result.err) == (2, message)
    assert not (tmp_path / "run").exists()
