"""CIFAR10-DVS and DVS128 Gesture from the command line: a network of one stream is trained on small copies of them."""

import json

import numpy as np
import pytest
from PIL import Image

from misnet.datasets.sets.event_cameras import CIFAR10_CLASSES
from misnet.models import registry
from tests.datasets.tiny_events import aedat2_bytes, aedat3_bytes, random_events
from tests.tools.test_train import metrics, without_times

TRAIN = ("--model", "one", "--epochs", "2", "--batch-size", "8", "--lr", "0.01", "--device", "cpu")
SAMPLES = ("--timesteps", "2", "--size", "8")
COUNTS = {"cifar10-dvs": (20, 10, 10), "dvs128-gesture": (22, 11, 11)}  # training and test samples, classes


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "MODELS", dict(registry.MODELS))
    monkeypatch.setattr("misnet.models.options.MODELS", registry.MODELS)
    registry.register("one", "tests.misnet.toys.one_stream", "a toy of one stream")


def write_cifar10(folder):
    """Two training recordings and a test one of each class."""
    rng = np.random.default_rng(5)
    for k, name in enumerate(CIFAR10_CLASSES):
        (folder / name).mkdir(parents=True)
        for number in (0, 899, 900):
            (folder / name / f"cifar10_{name}_{number}.aedat").write_bytes(aedat2_bytes(*random_events(rng, k, 128)))


def write_gestures(folder):
    """Three users, the last one for testing, who make each gesture once in a recording of 1.1 s."""
    rng = np.random.default_rng(6)
    folder.mkdir()
    for name in ("user01_led", "user02_lab", "user24_natural"):
        parts = [random_events(rng, k, 128) for k in range(11)]
        t = np.concatenate([k * 100_000 + part[0] for k, part in enumerate(parts)])
        x, y, p = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
        (folder / f"{name}.aedat").write_bytes(aedat3_bytes(t, x, y, p))
        rows = [f"{k + 1},{k * 100_000},{(k + 1) * 100_000}\n" for k in range(11)]
        (folder / f"{name}_labels.csv").write_text("class,startTime_usec,endTime_usec\n" + "".join(rows))
    (folder / "trials_to_train.txt").write_text("user01_led.aedat\nuser02_lab.aedat\n")
    (folder / "trials_to_test.txt").write_text("user24_natural.aedat\n")


@pytest.fixture(params=["cifar10-dvs", "dvs128-gesture"])
def event_set(request, tmp_path):
    (write_cifar10 if request.param == "cifar10-dvs" else write_gestures)(tmp_path / "set")
    return request.param, tmp_path / "set"


def test_checked_drawn_prepared_trained_and_audited(call, event_set, tmp_path):
    name, folder = event_set
    train, test, classes = COUNTS[name]

    def tool(*arguments):
        result = call(*arguments)
        assert (result.status, "Traceback" in result.err) == (0, False), result.err
        return result.out

    checked = tool("prepare", name, "--data-dir", folder, "--jobs", "1", "--check", *SAMPLES).splitlines()
    assert checked[classes + 1].split() == ["all", str(train), str(test)]
    assert checked[-1] == f"{name}: clean"
    tool("prepare", name, "--data-dir", folder, "--preview", tmp_path / "p.png", *SAMPLES)
    with Image.open(tmp_path / "p.png") as image:
        red, _, blue = np.asarray(image.convert("RGB"), dtype=int).reshape(-1, 3).T
    assert (red - blue > 60).any()  # more ON than OFF events
    assert (blue - red > 60).any()
    made = tool("prepare", name, "--data-dir", folder, "--jobs", "1", "--out", tmp_path / "c", *SAMPLES)
    assert made.startswith(f"{tmp_path / 'c'}: {train} train, {test} test samples of {name}, ")
    assert sorted(path.name for path in (tmp_path / "c").glob("*.npy")) == [
        f"{split}-{array}.npy" for split in ("test", "train") for array in ("labels", "visual")
    ]
    for run, data in (("direct", folder), ("cached", tmp_path / "c")):
        out = tool("train", *TRAIN, *SAMPLES, "--dataset", name, "--data-dir", data, "--output-dir", tmp_path / run)
        assert f"{name}: {train} training and {test} test samples;" in out
    rows = metrics(tmp_path / "direct")
    assert without_times(rows) == without_times(metrics(tmp_path / "cached"))
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    config = json.loads((tmp_path / "direct/config.json").read_text())
    assert (config["network"]["colours"], config["network"]["classes"]) == (2, classes)
    assert "visual" not in tool("evaluate", tmp_path / "cached", "--device", "cpu").splitlines()[0]
    audited = tmp_path / "audit.json"
    tool("audit", tmp_path / "cached", "--rule", "exact", "--json", audited, "--device", "cpu")
    report = json.loads(audited.read_text())
    assert (report["samples"], report["dense"]["mac_per_sample"]) == (test, 8 * 8 * 2 * 16 + 16 * classes)


def test_a_network_of_two_senses_says_what_it_misses(call, event_set, tmp_path):
    name, folder = event_set
    result = call("train", "--dataset", name, "--data-dir", folder, "--output-dir", tmp_path / "run")
    message = f"error: {name}: the network takes the stream 'audio', the data set offers 'visual'\n"
    assert (result.status, result.err) == (2, message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", COUNTS)
def test_an_empty_folder_is_told_what_it_must_hold(call, tmp_path, name):
    result = call("prepare", name, "--data-dir", tmp_path, "--check")
    assert result.status == 1
    assert {"cifar10-dvs": "<class>/cifar10_<class>_<number>.aedat", "dvs128-gesture": "trials_to_train.txt"}[
        name
    ] in result.out
