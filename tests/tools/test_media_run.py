"""Whole runs on sound, image and video files: a data set of one's own, and real clips of CREMA-D."""

import json
import re
import shutil

import numpy as np
import pytest

from tests.datasets.conftest import real_folder
from tests.datasets.tiny_media import cifar_batch, write_image, write_tone
from tests.tools.command_line import TINY
from tests.tools.test_train import metrics, settings


@pytest.fixture
def files(tmp_path):
    """Two classes of sounds and images that are easy to tell apart; a sound of the training split is damaged."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 8), ("test", 4)):
        for name, hz, red in (("high", 3000, 200), ("low", 300, 20)):
            for k in range(n):
                write_tone(tmp_path / split / "audio" / name / f"{k}.wav", hz=hz + 20 * rng.normal(), seconds=0.5)
                write_image(tmp_path / split / "vision" / name / f"{k}.png", (red + k, 90, 90))
    (tmp_path / "train" / "audio" / "low" / "5.wav").write_bytes(b"RIFF....WAVE")
    return tmp_path


def options(files):
    return ["--dataset", "folder", "--data-dir", files, "--output-dir", files / "run"]


def test_a_corrupt_file_stops_the_run_with_its_name(files, call):
    result = call("train", *TINY, *options(files))
    assert result.status == 1
    assert re.fullmatch(
        r"error: .*/train/audio/low/5\.wav: truncated, found 12 bytes, expected 774778422 from .*; all such files: "
        r"python tools/prepare\.py folder --data-dir .* --check; to leave them out: a new run with "
        r"--on-bad-sample skip\n",
        result.err,
    )


def test_corrupt_files_are_skipped_and_counted_on_request(files, call):
    result = call("train", *TINY, *options(files), "--on-bad-sample", "skip", "--data-option", "window=0.4")
    assert result.status == 0, result.err
    assert result.err == "note: folder train: left out 1 samples or files, missing or damaged\n"
    assert "folder: 15 training and 8 test pairs" in result.out
    run = files / "run"
    assert settings(run)["data_options"] == {"on_bad_sample": "skip", "window": 0.4}
    assert [row["epoch"] for row in metrics(run)] == [1, 2]
    assert call("train", "--resume", run).status == 0

    result = call("evaluate", run, "--split", "train")
    assert result.status == 0, result.err
    assert "left out 1" in result.err
    assert result.out.startswith("15 samples")
    result = call("evaluate", run, "--split", "train", "--on-bad-sample", "error")
    assert result.status == 1
    assert "low/5.wav" in result.err
    result = call("evaluate", run, "--data-option", "fit=stretch", "--json", run / "f.json")  # beside the run's own
    assert result.status == 0, result.err
    assert json.loads((run / "f.json").read_text())["samples"] == 8


def test_another_data_set_does_not_take_the_options_of_the_run(files, call):
    assert call("train", *TINY, *options(files), "--on-bad-sample", "skip").status == 0
    result = call("evaluate", files / "run", "--dataset", "dialpad", "--data-option", "lost=0.7")
    assert result.status == 2
    assert "lost: expected a probability" in result.err  # and nothing about on_bad_sample


def test_options_that_a_data_set_does_not_take(files, call):
    for arguments, message in (
        (("--on-bad-sample", "ignore"), "argument --on-bad-sample: invalid choice: 'ignore'"),
        (("--data-option", "window=long"), "window: expected 0.2 to 60.0 seconds, found 'long'"),
        (("--size", "300"), "size: expected 8 to 256, found 300"),
        (("--dataset", "dialpad", "--on-bad-sample", "skip"), "dialpad has no option on_bad_sample"),
    ):
        result = call("train", *TINY, *options(files), *arguments)
        assert result.status == 2
        assert message in result.err
        assert not (files / "run").exists()


def write_ave(folder):
    for k, (name, split) in enumerate((("-a", "train"), ("b", "train"), ("c", "test"))):
        write_image(folder / "AVE_vision" / name / "0.png", (90 * k, 0, 0))
        write_tone(folder / "AVE_audio" / f"{name}.wav", seconds=2)
        with open(folder / f"{split}Set.txt", "a") as file:
            file.write(f"{('Cat', 'Bus')[k % 2]}&{name}&good&0&10\n")


def write_urbansound8k(folder):
    for name in ("siren", "drilling"):
        for k in range(4):
            write_tone(folder / "audio" / name / f"{k}.wav", seconds=0.4)
            write_image(folder / "vision" / name / f"{k}{k}.png", (60 * k, 0, 0))


def write_cifar10(folder):
    (folder / "cifar-10-batches-py").mkdir()
    for name in ("data_batch_1", "test_batch"):
        batch = cifar_batch(np.zeros((10, 32, 32, 3), np.uint8), range(10))
        (folder / "cifar-10-batches-py" / name).write_bytes(batch)
    for k in range(10):
        for fold in (1, 2):
            write_tone(folder / "esc10" / f"{k + 1:03d} - x" / f"{fold}-{k}-A.wav", hz=200 + 200 * k)


@pytest.mark.parametrize(
    ("name", "write", "pairs", "classes"),
    [
        ("ave", write_ave, "2 training and 1 test", 28),
        ("urbansound8k-av", write_urbansound8k, "6 training and 2 test", 10),
        ("cifar10-av", write_cifar10, "10 training and 10 test", 10),
    ],
)
def test_the_other_data_sets(tmp_path, call, name, write, pairs, classes):
    write(tmp_path)
    run = tmp_path / "run"
    arguments = ("--dataset", name, "--data-dir", tmp_path, "--output-dir", run, "--epochs", "1")
    result = call("train", *TINY, *arguments)
    assert result.status == 0, result.err
    assert f"{name}: {pairs} pairs" in result.out
    assert json.loads((run / "config.json").read_text())["network"]["classes"] == classes
    assert call("evaluate", run).status == 0


@pytest.mark.slow
def test_real_clips_of_crema_d_at_full_size(tmp_path, call):
    """Three training clips and one for testing at 128x128, T=4: three steps of a small network."""
    pytest.importorskip("av")
    source = real_folder("samples") / "samples" / "crema-d"
    shutil.copytree(source / "VideoFlash", tmp_path / "VideoFlash")
    for split in ("train", "test"):
        lines = (source / "split" / f"{split}.csv").read_text().splitlines()
        (tmp_path / f"{split}.csv").write_text("\n".join(line for line in lines if line.startswith("1001_DFA")))
    arguments = "--variant XS --channels 4,6,8 --cells 1,1,1 --size 128 --timesteps 4 --epochs 1 --batch-size 1"
    arguments += (
        " --v-threshold 0.5 --mlif-v-threshold 0.5 --device cpu --dataset crema-d --limit-train 3 --limit-eval 1"
    )
    result = call("train", *arguments.split(), "--data-dir", tmp_path, "--output-dir", tmp_path / "run")
    assert result.status == 0, result.err
    assert "T=4, 128x128; crema-d: 3 training and 1 test pairs" in result.out
    rows = metrics(tmp_path / "run")
    assert all(np.isfinite(row["train_loss"]) and row["train_firing_rate"] > 0.005 for row in rows)
    config = json.loads((tmp_path / "run" / "config.json").read_text())["network"]
    assert (config["size"], config["visual_channels"], config["classes"]) == (128, 3, 6)
