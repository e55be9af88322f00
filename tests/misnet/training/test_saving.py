"""A run that is saved within epochs, killed, damaged and taken up: the same weights, bit for bit."""

import numpy as np
import pytest

from misnet.training.run import Run
from snncore.checkpoint import CheckpointError, load_checkpoint
from tests.misnet.tiny_run import make_run, without_times


class Killed(BaseException):
    """As a SIGKILL: nothing is saved on the way out."""


class Clock:
    """A clock that a batch moves on by a second; `until` batches it goes, and then the run is killed."""

    def __init__(self, until):
        self.now, self.until = 0, until

    def __call__(self):
        return self.now

    def stop(self):
        self.now += 1
        if self.now == self.until:
            raise Killed
        return False


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("whole"))
    run.run()
    return run


def assert_same(folder, other):
    (x, first), (y, second) = (load_checkpoint(f / "last.safetensors") for f in (folder, other))
    for name in x:
        np.testing.assert_array_equal(x[name], y[name], err_msg=name)
    assert without_times(first["rows"]) == without_times(second["rows"])


def killed_run(folder, until, **options):
    clock = Clock(until)
    run = make_run(folder, clock=clock, stop=clock.stop, **options)
    run.save()
    with pytest.raises(Killed):
        run.run()
    return load_checkpoint(folder / "last.safetensors")[1]


# batches: 3 of training and 2 of evaluation an epoch; the one that the run is killed in is not saved
@pytest.mark.parametrize(
    ("every", "until", "place"),
    [(0, 3, (0, 0)), (1, 3, (0, 2)), (2, 4, (0, 2)), (2, 8, (1, 2)), (1, 5, (0, 3)), (100, 8, (1, 0)), (2, 10, (1, 3))],
)
def test_a_killed_run_stands_where_it_was_saved_last_and_ends_the_same(whole, tmp_path, every, until, place):
    saved = killed_run(tmp_path, until, save_every=every)
    assert (saved["epoch"], saved["batch"]) == place
    again = make_run(tmp_path)
    again.resume()
    again.run()
    assert_same(tmp_path, whole.folder)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:-3] + b"abc"])
def test_with_its_newest_checkpoint_damaged_it_goes_on_from_the_one_before_and_ends_the_same(whole, tmp_path, damage):
    killed_run(tmp_path, 8, save_every=1)
    last = tmp_path / "last.safetensors"
    last.write_bytes(damage(last.read_bytes()))
    said = []
    again = make_run(tmp_path, warn=said.append)
    again.resume()
    assert (again.epoch, again.batch) == (1, 1)
    assert len(said) == 1
    assert said[0].startswith(f"checkpoint {last}: ")
    assert said[0].endswith("; going on from previous.safetensors, the one before")
    again.save()
    assert load_checkpoint(tmp_path / "previous.safetensors")[1]["batch"] == 1  # the damaged one did not replace it
    again.run()
    assert_same(tmp_path, whole.folder)


ORIGIN = {
    "model": "misnet",
    "settings": {"lr": 0.01, "batch": 8, "epochs": 2, "data_dir": "a"},
    "network": {"tau": 2.0},
}


@pytest.mark.parametrize(
    ("section", "name", "value", "message"),
    [
        ("settings", "batch", 9, r"batch: the run is trained with 8, found 9; put it back, or train anew$"),
        ("settings", "epochs", 3, r"epochs: the run is trained with 2, found 3; say with --epochs which is meant$"),
        ("settings", "lr", 0.1, r"lr: the run is trained with 0.01, found 0.1; say with --lr which is meant$"),
        ("network", "tau", 3.0, r"config.json: tau: the run is trained with 2.0, found 3.0; put it back"),
        ("model", None, "other", r"model: the run is trained with 'misnet', found 'other'"),
    ],
)
def test_other_settings_than_those_of_the_checkpoint_are_refused_by_name(tmp_path, section, name, value, message):
    make_run(tmp_path, origin=ORIGIN).save()
    changed = ORIGIN | {section: value if name is None else ORIGIN[section] | {name: value}}
    with pytest.raises(CheckpointError, match=message):
        make_run(tmp_path, origin=changed).resume()


def test_the_same_settings_moved_data_and_settings_that_did_not_exist_then_are_taken(tmp_path):
    make_run(tmp_path, origin=ORIGIN).save()
    make_run(tmp_path, origin=ORIGIN).resume()
    make_run(tmp_path, origin=ORIGIN | {"settings": ORIGIN["settings"] | {"data_dir": "b", "new": 1}}).resume()
    make_run(tmp_path).resume()


def test_a_state_beyond_the_epochs_of_the_run_is_refused(whole):
    with pytest.raises(CheckpointError, match="stands at epoch 3, batch 1, beyond the 1 epochs of the run"):
        make_run(whole.folder, epochs=1).resume()


def test_a_full_disk_at_the_metrics_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("misnet.training.folder.replace_file", full)
    with pytest.raises(CheckpointError, match=r"metrics\.csv: cannot be written: No space left on device; any earlier"):
        make_run(tmp_path).run()
    assert load_checkpoint(tmp_path / "last.safetensors")[1]["epoch"] == 1  # which was saved before


def test_a_folder_deleted_while_running_is_one_sentence(tmp_path):
    folder = tmp_path / "run"
    run = make_run(folder)
    folder.rmdir()
    with pytest.raises(CheckpointError, match=r"best\.safetensors: cannot be written to folder .*: No such file"):
        run.run()


def test_after_each_epoch_the_folder_is_told(tmp_path):
    seen = []
    run: Run = make_run(tmp_path)
    run.after_epoch = lambda: seen.append((run.epoch, len((tmp_path / "metrics.csv").read_text().splitlines())))
    run.run()
    assert seen == [(1, 2), (2, 3)]
