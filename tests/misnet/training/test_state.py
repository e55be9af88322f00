"""What a checkpoint says of a run, field by field, and the two checkpoints that are kept."""

import json
import os

import numpy as np
import pytest

from misnet.training.state import LAST, PREVIOUS, State, load_newest, save_newest
from misnet.training.totals import Totals
from snncore.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

HEADS = ("av", "a", "v")
NAMES = [
    f"{split}_{name}"
    for split in ("train", "test")
    for name in ("loss", *(f"accuracy_{h}" for h in HEADS), "firing_rate")
]


def row(epoch):
    rest = {"learning_rate": 0.1, "samples_per_second": 3.0, "peak_memory_mib": float("nan")}
    return {"epoch": epoch, **dict.fromkeys(NAMES, 0.5), **rest}


def good():
    totals = Totals(4, 1.5, {"av": 1, "a": 2, "v": 4}, 10, 100, 0.25, {"x": [10, 100]})
    return State(2, 1, 0.5, totals, [row(1), row(2)], {"settings": {"lr": 1}}, ["dead x"])


def test_a_state_comes_back_from_its_plain_values():
    values = json.loads(json.dumps(good().to_dict()))
    again = State.from_dict(values, HEADS)
    assert repr(again) == repr(good())  # not ==, as NaN equals nothing


def change(path, value):
    def apply(values):
        *way, name = path
        for step in way:
            values = values[step]
        if value is KeyError:
            del values[name]
        else:
            values[name] = value

    return apply


WRONG = [
    (("epoch",), -1, "epoch: expected an integer of at least 0, found -1"),
    (("epoch",), None, "epoch: expected an integer of at least 0, found None"),
    (("epoch",), "3", "epoch: expected an integer of at least 0, found '3'"),
    (("epoch",), float("nan"), "epoch: expected an integer of at least 0, found nan"),
    (("epoch",), True, "epoch: expected an integer of at least 0, found True"),
    (("epoch",), 2**70, "epoch: expected an integer of at least 0, found 1180591620717411303424"),
    (("epoch",), 7, "rows: expected one for each of 7 epochs, found 2"),
    (("batch",), 1.5, "batch: expected an integer of at least 0, found 1.5"),
    (("batch",), KeyError, "batch: expected an integer of at least 0, found nothing"),
    (("best",), "x", "best: expected a finite number of at least -1, found 'x'"),
    (("best",), float("nan"), "best: expected a finite number of at least -1, found nan"),
    (("best",), 2, "best: expected an accuracy, or -1, found 2.0"),
    (("rows",), "rows", "rows: expected a list, found 'rows'"),
    (("rows", 0), "text", "rows[0]: expected an object, found 'text'"),
    (("rows", 1, "epoch"), 1, "rows[1].epoch: expected 2, found 1"),
    (("rows", 1, "test_loss"), "0.5", "rows[1].test_loss: expected a finite number, found '0.5'"),
    (("rows", 1, "test_loss"), float("inf"), "rows[1].test_loss: expected a finite number, found inf"),
    (("rows", 0, "train_accuracy_v"), KeyError, "rows[0].train_accuracy_v: expected a finite number, found nothing"),
    (("rows", 1, "more"), 1, "rows[1]: expected the columns of the first row, found ["),
    (("totals",), None, "totals: expected an object, found None"),
    (("totals", "samples"), KeyError, "totals.samples: expected an integer of at least 0, found nothing"),
    (("totals", "spikes"), 101, "totals.spikes: expected at most 100 places, found 101"),
    (("totals", "loss"), [], "totals.loss: expected a finite number, found []"),
    (("totals", "correct"), {"av": 1}, "totals.correct: expected right answers of av, a, v, found {'av': 1}"),
    (("totals", "correct"), [1, 2], "totals.correct: expected right answers of av, a, v, found [1, 2]"),
    (("totals", "correct", "a"), 5, "totals.correct.a: expected at most 4 samples, found 5"),
    (("totals", "layers"), {"x": 3}, "totals.layers: expected spikes and places of each layer, found {'x': 3}"),
    (("totals", "other"), 3, "found 'other' too"),
    (("origin",), 3, "origin: expected an object, found 3"),
    (("warned",), [3], "warned: expected a list of texts, found [3]"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=lambda x: str(x)[:40])
def test_a_wrong_entry_is_named(path, value, message):
    values = good().to_dict()
    values = json.loads(json.dumps(values))
    change(path, value)(values)
    with pytest.raises(ValueError, match="expected") as error:
        State.from_dict(values, HEADS)
    assert message in str(error.value)
    assert len(str(error.value)) < 200


def test_a_checkpoint_of_an_earlier_version_has_less():
    values = {"epoch": 0, "batch": 4, "best": -1.0, "rows": []}
    values["totals"] = {"samples": 32, "loss": 17.9, "correct": [2, 3, 4], "spikes": 6, "places": 9, "seconds": 14.4}
    state = State.from_dict(values, HEADS)
    assert (state.origin, state.warned, state.totals.layers) == (None, [], {})
    assert state.totals.correct == {"av": 2, "a": 3, "v": 4}


def save(folder, k, **options):
    save_newest(folder, {"x": np.full(3, k)}, State(batch=k), **options)


def kept(folder):
    return [load_checkpoint(folder / name)[1]["batch"] for name in (LAST, PREVIOUS)]


def test_the_last_two_are_kept(tmp_path):
    save(tmp_path, 1)
    assert {p.name for p in tmp_path.iterdir()} == {LAST}
    for k in (2, 3, 4):
        save(tmp_path, k)
        assert kept(tmp_path) == [k, k - 1]
        assert {p.name for p in tmp_path.iterdir()} == {LAST, PREVIOUS}


def test_a_save_cut_off_between_its_two_steps_leaves_nothing_behind_and_the_next_goes_on(tmp_path):
    save(tmp_path, 1)
    os.link(tmp_path / LAST, tmp_path / PREVIOUS)  # both names are one file
    save(tmp_path, 2)
    assert kept(tmp_path) == [2, 1]
    assert {p.name for p in tmp_path.iterdir()} == {LAST, PREVIOUS}


def test_without_hard_links_two_are_kept_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    for k in (1, 2, 3):
        save(tmp_path, k)
    assert kept(tmp_path) == [3, 2]


def test_a_damaged_newest_falls_back_to_the_one_before_and_is_not_kept_in_its_place(tmp_path):
    for k in (1, 2):
        save(tmp_path, k)
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:-7])
    _, metadata, path, why = load_newest(tmp_path)
    assert (metadata["batch"], path.name) == (1, PREVIOUS)
    assert str(tmp_path / LAST) in why
    save(tmp_path, 3, rotate=False)
    assert kept(tmp_path) == [3, 1]


def test_with_both_damaged_both_are_named(tmp_path):
    for name in (LAST, PREVIOUS):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"last\.safetensors.*; nor is the one before of use: .*previous"):
        load_newest(tmp_path)


def test_a_pipe_in_place_of_a_checkpoint_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / LAST)
    with pytest.raises(CheckpointError, match=r"last\.safetensors: expected a file, found a pipe"):
        load_newest(tmp_path)


def test_metadata_nested_too_deeply_are_corrupt(tmp_path):
    import safetensors.numpy

    deep = '{"format_version": 1, "sha256": "", "metadata": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}"
    (tmp_path / LAST).write_bytes(safetensors.numpy.save({"x": np.zeros(1)}, {"snncore": deep}))
    with pytest.raises(CheckpointError, match="corrupt"):
        load_newest(tmp_path)


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    for k in (1, 2):
        save(tmp_path, k)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("snncore.checkpoint.replace_file", full)
    with pytest.raises(CheckpointError, match="No space left on device; any earlier file is intact"):
        save(tmp_path, 3)
    assert kept(tmp_path)[0] == 2


def test_a_hostile_state_in_a_signed_checkpoint_is_refused_by_a_run(tmp_path):
    from tests.misnet.tiny_run import make_run

    run = make_run(tmp_path)
    run.save()
    arrays, metadata = load_checkpoint(tmp_path / LAST)
    save_checkpoint(tmp_path / LAST, arrays, metadata | {"epoch": -1})
    with pytest.raises(CheckpointError, match=r"state of a run: epoch: expected an integer of at least 0, found -1$"):
        make_run(tmp_path).resume()
