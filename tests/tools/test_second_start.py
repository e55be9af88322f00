"""A run that goes on looks at its files, and reads only those that were written to since."""

import json
import os
import sys

import numpy as np
import pytest

from misnet.datasets import load_dataset
from misnet.datasets.base import Subset
from tests.datasets.tiny_media import write_image, write_tone
from tests.tools.command_line import TINY


@pytest.fixture
def files(tmp_path):
    """Two classes of sounds and images."""
    for split in ("train", "test"):
        for name in ("high", "low"):
            for k in range(4):
                write_tone(tmp_path / split / "audio" / name / f"{k}.wav", hz=300 + 10 * k, seconds=0.3)
                write_image(tmp_path / split / "vision" / name / f"{k}.png", (9 * k, 90, 90))
    return tmp_path


opened: list[str] = []


def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str | os.PathLike):
        opened.append(os.fspath(arguments[0]))


sys.addaudithook(watch)  # there is no way to take it away again


def media():
    """How many sounds and images were opened."""
    return sum(name.endswith((".wav", ".png")) and "/run/" not in name for name in opened)


def test_a_finished_run_opens_no_file_but_those_that_changed(files, call):
    folder = files / "run"
    line = [*TINY, "--dataset", "folder", "--data-dir", files, "--epochs", "1", "--output-dir", folder]
    assert call("train", *line).status == 0
    opened.clear()
    assert "finished" in call("train", "--resume", folder).out
    assert media() == 0

    touched = files / "train" / "audio" / "low" / "2.wav"
    touched.write_bytes(touched.read_bytes())  # the same content at another time: read, and found to be the same
    opened.clear()
    assert call("train", "--resume", folder).status == 0
    assert media() == 2 * 8  # of the training split, all; of the other, none

    content = bytearray(touched.read_bytes())
    content[-1] ^= 1
    before = touched.stat()
    touched.write_bytes(content)
    os.utime(touched, ns=(before.st_atime_ns, before.st_mtime_ns))  # the date of its entry tells
    result = call("train", "--resume", folder)
    assert (result.status, "the train data changed since the run began" in result.err) == (1, True)

    assert call("evaluate", folder).err == ""  # the test split is as it was
    write_image(files / "test" / "vision" / "low" / "2.png", (200, 0, 0))
    note = (
        "note: the test data are not those that the run began with: files, or settings in config.json, changed since\n"
    )
    assert call("evaluate", folder).err == note


def test_every_tool_that_takes_a_run_says_so_of_other_data_elsewhere(files, call, tmp_path):
    folder, caches = tmp_path / "run", [tmp_path / "cache", tmp_path / "copy", tmp_path / "other"]
    prepare = ["prepare", "folder", "--size", "8", "--timesteps", "2", "--jobs", "1", "--data-dir", files]
    for cache in caches:
        if cache.name == "other":
            write_image(files / "test" / "vision" / "low" / "2.png", (200, 0, 0))
        assert call(*prepare, "--output-dir", cache).status == 0
    line = [*TINY, "--dataset", "folder", "--data-dir", caches[0], "--epochs", "1", "--output-dir", folder]
    assert call("train", *line).status == 0
    note = f"note: the test data in {caches[2]} are not those that the run began with\n"
    for tool, options in (
        ("evaluate", []),
        ("audit", []),
        ("report", ["--html", tmp_path / "report.html"]),
        ("visualize", ["--only", "rates"]),
        ("predict", ["--sample", "1"]),
    ):
        assert call(tool, folder, *options, "--data-dir", caches[1]).err == ""
        assert call(tool, folder, *options, "--data-dir", caches[2]).err == note
    assert call("evaluate", folder, "--data-dir", caches[2], "--limit-eval", "3").err == ""  # other samples on purpose
    assert "error: classes: " in call("evaluate", folder, "--dataset", "dialpad").err  # of whose folder nothing is read

    with open(caches[1] / "test-visual.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    for tool in ("evaluate", "predict"):
        damaged = call(tool, folder, *(["--sample", "1"] if tool == "predict" else []), "--data-dir", caches[1])
        assert (damaged.status, "test-visual.npy changed since preparing" in damaged.err) == (1, True)


def test_stamps_in_the_config_are_only_believed_with_the_files_they_are_of(files, call):
    folder = files / "run"
    line = [*TINY, "--dataset", "folder", "--data-dir", files, "--epochs", "1", "--output-dir", folder]
    assert call("train", *line).status == 0
    path = folder / "config.json"
    content = json.loads(path.read_text())
    assert set(content["stamps"]) == {"train", "test"}
    path.write_text(
        json.dumps(content | {"stamps": {"train": "0" * 64}, "data": content["data"] | {"train": "1" * 64}})
    )
    assert "the train data changed" in call("train", "--resume", folder).err
    path.write_text(json.dumps(content | {"stamps": []}))
    assert "stamps: expected an object, found []" in call("train", "--resume", folder).err


def test_a_stamp_is_of_settings_and_samples_too_and_sets_without_files_have_none(files):
    def load(**options):
        return load_dataset("folder", "train", data_dir=files, size=8, **{"timesteps": 2} | options)

    data = load()
    assert data.stamp() == load().stamp()
    assert len({data.stamp(), load(timesteps=3).stamp(), load(limit=3).stamp(), load(limit=4).stamp()}) == 4
    assert load_dataset("dialpad", "train", timesteps=1, size=8).stamp() is None
    assert Subset(load_dataset("dialpad", "train", timesteps=1, size=8), np.arange(3)).stamp() is None
