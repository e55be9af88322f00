"""tools/prepare.py as a user calls it: prepare, look, check, verify, be killed, and train from the cache."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from misnet.datasets import load_dataset
from misnet.datasets.prepared.manifest import MANIFEST, Manifest
from tests.datasets.prepared.test_workers import alive, wait_for
from tests.datasets.sets.test_mnist_dvs_ntidigits import damage
from tests.datasets.tiny_events import write_event_digits
from tests.datasets.tiny_media import write_image, write_tone
from tests.tools import held
from tests.tools.command_line import TINY
from tests.tools.test_train import metrics, without_times

NAME = "mnist-dvs-ntidigits"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_event_digits(tmp_path_factory.mktemp("digits") / "set")


@pytest.fixture
def broken(tmp_path):
    """A set with a visual recording that is cut short and a spoken one that cannot be."""
    folder = write_event_digits(tmp_path / "broken")
    return folder, damage(folder)


def prepare(call, source, *arguments):
    return call("prepare", NAME, "--data-dir", source, "--jobs", "1", *arguments)


def test_prepare_prints_what_it_made_and_how_to_train_on_it(call, source, tmp_path):
    result = prepare(call, source, "--out", tmp_path / "my cache", "--size", "16", "--timesteps", "2")
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'my cache'}: 20 train, 10 test samples of {NAME}, 0.")
    assert lines[1].startswith("decoded 30 samples in ")
    assert "samples/s, 1 processes" in lines[1]
    assert lines[2].endswith(f"--dataset {NAME} --data-dir '{tmp_path / 'my cache'}' --timesteps 2 --seed 0")
    assert result.err == ""
    again = prepare(call, source, "--out", tmp_path / "my cache", "--size", "16", "--timesteps", "2")
    assert "nothing was left to decode" in again.out
    verified = call("prepare", NAME, "--verify", tmp_path / "my cache")
    size = sum(path.stat().st_size for path in (tmp_path / "my cache").glob("*.npy"))
    assert (verified.status, verified.out) == (0, f"{tmp_path / 'my cache'}: {size} bytes, as they were written\n")
    other = call("prepare", "dialpad", "--verify", tmp_path / "my cache")
    assert other.status == 2
    assert other.err == f"error: {tmp_path / 'my cache'} is a prepared cache of {NAME}, found dialpad\n"
    data = bytearray((tmp_path / "my cache/train-audio.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "my cache/train-audio.npy").write_bytes(data)
    changed = call("prepare", NAME, "--verify", tmp_path / "my cache")
    assert changed.status == 1
    assert "train-audio.npy changed since preparing" in changed.err


def test_other_settings_are_refused_in_one_sentence(call, source, tmp_path):
    assert prepare(call, source, "--out", tmp_path / "c", "--size", "16").status == 0
    for options, message in (
        (("--size", "32"), f"error: size: {tmp_path / 'c'} was prepared with 16, found 32;"),
        (("--size", "16", "--data-option", "slicing=count"), "error: slicing: "),
        (("--size", "16", "--on-bad-sample", "skip"), "error: on_bad_sample: "),
    ):
        result = prepare(call, source, "--out", tmp_path / "c", *options)
        assert result.status == 2
        assert result.err.startswith(message)
        assert len(result.err.splitlines()) == 1


def test_check_of_a_clean_set(call, source):
    result = prepare(call, source, "--check")
    assert result.status == 0
    lines = result.out.splitlines()
    assert lines[0].split() == ["class", "train", "test"]
    assert lines[1].split() == ["0", "2", "1"]
    assert lines[11].split() == ["all", "20", "10"]
    assert lines[-1] == f"{NAME}: clean"


def test_check_names_what_is_wrong_and_nothing_is_prepared(call, broken, tmp_path):
    folder, (name, _) = broken
    result = prepare(call, folder, "--check", "--out", tmp_path / "c")
    assert result.status == 1
    assert f"{name}: truncated" in result.out
    assert result.out.splitlines()[-1].endswith(" problems: 1 damaged")
    assert not (tmp_path / "c").exists()


def test_duplicates_are_status_1_and_classes_without_samples_a_warning(call, tmp_path):
    folder = write_event_digits(tmp_path / "set")
    path = folder / "mnist-dvs/grabbed_data6/scale4/mnist_6_scale04_0010.aedat"
    path.unlink()
    result = prepare(call, folder, "--check")
    assert result.status == 0
    assert "\nwarning: no test sample of 6\n" in result.out
    twin = path.with_name("mnist_6_scale04_0009.aedat")
    path.write_bytes(twin.read_bytes())
    result = prepare(call, folder, "--check")
    assert result.status == 1
    assert "\nin two splits: 2\n" in result.out
    assert f"    {path}: a test file with the content of a train file, {twin}\n" in result.out
    assert result.out.endswith(f"{NAME}: 2 problems: 2 in two splits\n")


def test_a_long_check_is_summed_up_and_kept_in_a_file(call, tmp_path, monkeypatch):
    """As of a clone of only some clips: thousands are missing, and one is damaged."""
    monkeypatch.chdir(tmp_path)
    names = [f"{1001 + k}_DFA_ANG_XX" for k in range(40)]
    (tmp_path / "train.csv").write_text("".join(f"{name},ANG\n" for name in names[:30]))
    (tmp_path / "test.csv").write_text("".join(f"{name},ANG\n" for name in names[30:]))
    for name in (names[0], names[39]):
        write_tone(tmp_path / "AudioWAV" / f"{name}.wav")
        write_image(tmp_path / "Image-01-FPS" / name / "0.png", (1, 2, 3))
    (tmp_path / "AudioWAV" / f"{names[39]}.wav").write_bytes(b"RIFF")
    result = call("prepare", "crema-d", "--data-dir", tmp_path, "--jobs", "1", "--check")
    assert result.status == 1
    lines = result.out.splitlines()
    assert len(lines) < 40
    start = lines.index("missing: 39")
    assert lines[start + 1] == "  38 times: found no video or frames of clip"
    assert (
        lines[start + 2] == f"    {tmp_path}: found no video or frames of clip {names[1]}, which the train split lists"
    )
    assert lines[start + 7] == "    and 33 more"
    assert lines[start + 8] == f"    {tmp_path}: found no sample for the test split of crema-d (10 were left out)"
    assert lines[lines.index("damaged: 1") + 1].endswith(
        f"{names[39]}.wav: truncated, found 4 bytes, expected 5 from the headers"
    )
    assert lines[-2:] == ["crema-d: 40 problems: 39 missing, 1 damaged", "all of it: crema-d-check.txt"]
    kept = (tmp_path / "crema-d-check.txt").read_text().splitlines()
    assert sum("found no video" in line for line in kept) == 38
    assert kept[0] == "missing: 39"


def test_bad_samples_stop_or_are_left_out_by_name(call, broken, tmp_path):
    folder, (name, _) = broken
    result = prepare(call, folder, "--out", tmp_path / "c")
    assert result.status == 1
    assert result.err.startswith("error: ")
    assert f"{name}: truncated" in result.err
    for option in (("--on-bad-sample", "skip"), ("--data-option", "on_bad_sample=skip")):
        result = prepare(call, folder, "--out", tmp_path / option[0], *option)
        assert result.status == 0, result.err
        assert any(line.startswith("left out: ") and name in line for line in result.out.splitlines())
        assert " left out\n" in result.out


def test_preview(call, source, tmp_path):
    result = prepare(call, source, "--preview", tmp_path / "p.jpg")
    assert (result.status, result.out) == (0, f"{tmp_path / 'p.jpg'}: 12 samples\n")
    with Image.open(tmp_path / "p.jpg") as image:
        assert (image.format, image.size[0] > 1000) == ("JPEG", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NAME,), "at least one of --download, --preview FILE, --check, --output-dir CACHE and --verify CACHE"),
        (("cifar", "--check"), "argument NAME: invalid choice: 'cifar'"),
        (("dialpad", "--check", "--jobs", "0"), "error: --jobs: expected at least 1, found 0"),
        (("dialpad", "--check", "--seed", "-1"), "error: --seed: expected an integer of at least 0, found -1"),
        (("dialpad", "--check", "--timesteps", "0"), "error: timesteps: expected at least 1, found 0"),
        (("dialpad", "--check", "--data-option", "lost=2"), "error: lost: expected a probability from 0 to 0.5"),
        (
            ("dialpad", "--check", "--data-option", "on_bad_sample=stop"),
            "error: --on-bad-sample: expected error or skip",
        ),
        (("dialpad", "--check", "--data-option", "size=2"), "error: --data-option: size is not an option of the data"),
        (("dialpad", "--check", "--data-option", "lost=x"), "error: --data-option: a value of the wrong type among"),
    ],
)
def test_wrong_usage_is_status_2(call, arguments, message):
    result = call("prepare", *arguments)
    assert result.status == 2
    assert message in result.err


def test_missing_files_are_status_1(call, tmp_path):
    for asked in (("--out", tmp_path / "c"), ("--check",)):
        result = call("prepare", NAME, *asked)
        assert (result.status, result.out) == (1, "")
        assert result.err.startswith(f"error: {NAME}: data_dir is not given; expected a folder with")
    result = call("prepare", NAME, "--check", "--data-dir", tmp_path / "none")
    assert (result.status, result.out) == (1, "")
    assert result.err.startswith(f"error: {tmp_path / 'none'}: no such folder; {NAME} expects one with")
    result = call("prepare", NAME, "--verify", tmp_path)
    assert result.status == 1
    assert f"{tmp_path / MANIFEST}: no such file" in result.err


LARGE = ("--size", "64", "--timesteps", "4", "--jobs", "2")  # 81 samples a chunk


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """590 recordings."""
    return write_event_digits(tmp_path_factory.mktemp("large") / "set", numbers=range(1, 60))


def started(source, out):
    """A preparation that has two chunks of seven, and more under way."""
    return held.start("prepare", NAME, "--data-dir", source, "--out", out, *LARGE)


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


@pytest.mark.slow
def test_a_kill_in_the_middle_keeps_what_is_finished(call, large, tmp_path):
    process = started(large, tmp_path / "c")
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not any(map(alive, workers)))
    kept = Manifest.read(tmp_path / "c")
    done = kept.splits["train"].done()
    assert 0 < done < 540
    assert not kept.complete
    times = (tmp_path / "c" / "train-audio.npy").stat().st_mtime
    refused = call("train", "--dataset", NAME, "--data-dir", tmp_path / "c", "--output-dir", tmp_path / "run")
    assert refused.status == 1
    assert f"was not finished ({done} of 540 train samples" in refused.err
    time.sleep(0.02)
    resumed = call("prepare", NAME, "--data-dir", large, "--out", tmp_path / "c", *LARGE)
    assert resumed.status == 0, resumed.err
    left = sum(r.samples for r in kept.splits.values()) - done
    assert f"decoded {left} samples in" in resumed.out
    assert (tmp_path / "c" / "train-audio.npy").stat().st_mtime > times
    for split in ("train", "test"):
        direct, cached = (
            load_dataset(NAME, split, data_dir=folder, size=64, timesteps=4) for folder in (large, tmp_path / "c")
        )
        assert len(direct) == len(cached)
        for i in range(0, len(direct), 7):
            for x, y in zip(direct[i], cached[i], strict=True):
                np.testing.assert_array_equal(x, y)
    assert call("prepare", NAME, "--verify", tmp_path / "c").status == 0


@pytest.mark.slow
def test_ctrl_c_finishes_what_is_under_way(call, large, tmp_path):
    process = started(large, tmp_path / "c")
    process.send_signal(signal.SIGINT)
    status, _, err = held.go_on(process)
    assert status == 130
    assert "stopping after the samples under way; once more to stop at once" in err
    assert f"error: {tmp_path / 'c'}: stopped after " in err
    assert "; go on with the same command" in err
    assert "Traceback" not in err
    assert 0 < Manifest.read(tmp_path / "c").splits["train"].done() < 540


def test_training_from_the_cache_is_training_on_the_data_set(call, tmp_path):
    """Bit for bit: the same metrics, and the run that began on one goes on with the other."""
    assert call("prepare", "dialpad", "--timesteps", "2", "--out", tmp_path / "c", "--jobs", "1").status == 0
    direct = call("train", *TINY, "--output-dir", tmp_path / "direct")
    cached = call("train", *TINY, "--data-dir", tmp_path / "c", "--output-dir", tmp_path / "cached")
    assert (direct.status, cached.status) == (0, 0), cached.err
    assert without_times(metrics(tmp_path / "direct")) == without_times(metrics(tmp_path / "cached"))
    data = [json.loads((tmp_path / run / "config.json").read_text())["data"] for run in ("direct", "cached")]
    assert data[0] == data[1]
    evaluated = call("evaluate", tmp_path / "direct", "--data-dir", tmp_path / "c")
    assert evaluated.status == 0, evaluated.err
    for split in ("train", "test"):
        labels = tmp_path / "c" / f"{split}-labels.npy"
        content = bytearray(labels.read_bytes())
        content[-8] ^= 1
        labels.write_bytes(content)
        words = f"error: {tmp_path / 'c'}: {split}-labels.npy changed since preparing"
        result = (
            call("train", "--resume", tmp_path / "cached")
            if split == "train"
            else call("evaluate", tmp_path / "cached")
        )
        assert (result.status, result.err.startswith(words)) == (1, True), result.err
    other = call("train", *TINY, "--seed", "1", "--data-dir", tmp_path / "c", "--output-dir", tmp_path / "other")
    assert other.status == 2
    assert other.err.startswith(f"error: seed: {tmp_path / 'c'} was prepared with 0, found 1;")


def test_training_on_event_recordings_directly_and_from_a_cache(call, source, tmp_path):
    options = ("--dataset", NAME, "--size", "16", "--data-option", "values=binary", "--epochs", "1")
    arguments = ("--timesteps", "2", "--size", "16", "--data-option", "values=binary")
    assert prepare(call, source, "--out", tmp_path / "c", *arguments).status == 0
    for name, folder in (("direct", source), ("cached", tmp_path / "c")):
        result = call("train", *TINY, *options, "--data-dir", folder, "--output-dir", tmp_path / name)
        assert result.status == 0, result.err
        assert f"T=2, 16x16; {NAME}: 20 training and 10 test pairs" in result.out
        assert json.loads((tmp_path / name / "config.json").read_text())["network"]["visual_channels"] == 2
    assert without_times(metrics(tmp_path / "direct")) == without_times(metrics(tmp_path / "cached"))


def test_augmented_training_repeats_and_differs(call, tmp_path):
    runs = [("a", "flip,crop,timeshift,specaugment"), ("b", "flip,crop,timeshift,specaugment"), ("c", "")]
    for name, augment in runs:
        result = call("train", *TINY, "--epochs", "1", "--augment", augment, "--output-dir", tmp_path / name)
        assert result.status == 0, result.err
    a, b, c = (without_times(metrics(tmp_path / name)) for name, _ in runs)
    assert a == b != c
    for wrong in ("blur", "flip,flip"):
        result = call("train", *TINY, "--augment", wrong, "--output-dir", tmp_path / "d")
        assert result.status == 2
        assert "error: --augment: expected some of flip, crop, timeshift, specaugment, each once, found" in result.err
