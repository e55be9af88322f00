"""Caches of the first version, which knew sound and pictures alone: opened, verified and gone on with.

`data/cache_of_version_1` was made by the last program that wrote that version, of the recordings that
`write_event_digits` makes with the numbers 9 and 10, at T=1 and 8x8.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from misnet.datasets import DataError, load_dataset
from misnet.datasets.prepared import preparing
from misnet.datasets.prepared.cache import verify_cache
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.manifest import MANIFEST, Manifest
from misnet.datasets.prepared.preparing import Interrupted, prepare
from tests.datasets.tiny_events import write_event_digits

OLD = Path(__file__).parent / "data/cache_of_version_1"
NAME = "mnist-dvs-ntidigits"


def load(folder, split="train"):
    return load_dataset(NAME, split, data_dir=folder, timesteps=1)


def test_it_is_read_as_it_was_written():
    train, test = load(OLD), load(OLD, "test")
    assert dict(train.streams) == {"audio": (1, 8, 8, 1), "visual": (1, 8, 8, 2)}
    assert (len(train), train.labels.tolist(), train.size, train.timesteps) == (10, list(range(10)), 8, 1)
    assert train.fingerprint() == "c08f673e61a68f5174b7d80e1e8c9b4014254ec46e44393108939cffe7ab0e63"
    audio, video, label = test[9]
    np.testing.assert_array_equal(audio, np.load(OLD / "test-audio.npy")[9])
    np.testing.assert_array_equal(video, np.load(OLD / "test-video.npy")[9])
    assert label == 9
    assert verify_cache(OLD, NAME) == sum(path.stat().st_size for path in OLD.glob("*.npy"))
    with pytest.raises(ValueError, match=r"size: .* was prepared with 8, found 16"):
        load_dataset(NAME, "train", data_dir=OLD, timesteps=1, size=16)


def test_damage_is_noticed_as_before(tmp_path):
    copy = shutil.copytree(OLD, tmp_path / "copy")
    data = bytearray((copy / "train-video.npy").read_bytes())
    data[-1] ^= 1
    (copy / "train-video.npy").write_bytes(data)
    with pytest.raises(DataError, match=r"copy: train-video\.npy changed since preparing"):
        verify_cache(copy)
    (copy / "train-video.npy").write_bytes(data[:-1])
    with pytest.raises(
        DataError, match=r"train-video\.npy: found 5247 bytes, expected 5248 for shape \(10, 1, 8, 8, 2"
    ):
        load(copy)
    (copy / MANIFEST).write_text((copy / MANIFEST).read_text().replace('"size": 8', '"size": 9'))
    with pytest.raises(DataError, match="does not match its checksum"):
        load(copy)


def as_first_version(folder):
    """Write a cache's manifest, and name its arrays, as the first version had them."""
    content = json.loads((folder / MANIFEST).read_text())
    del content["checksum"], content["file_names"]
    content["version"] = 1
    for split, record in content["splits"].items():
        streams = record.pop("streams")
        record |= {f"{name}_channels": streams[name][-1] for name in ("audio", "visual")}
        for chunk in record["chunks"]:
            hashes = chunk.pop("hashes")
            chunk |= {"audio": hashes["audio"], "video": hashes["visual"]}
        record["files"] = {name.replace("visual", "video"): sha for name, sha in record["files"].items()}
        (folder / f"{split}-visual.npy").rename(folder / f"{split}-video.npy")
    write_checked(folder, content)


def write_checked(folder, content):
    """Write a manifest with a checksum that fits."""
    content["checksum"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(content))


def test_an_unfinished_one_is_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "CHUNK_SAMPLES", 4)
    source = write_event_digits(tmp_path / "set", numbers=(9, 10))
    request = Request(NAME, str(source), timesteps=1, size=8)
    whole = prepare(tmp_path / "whole", request)
    with pytest.raises(Interrupted):
        prepare(tmp_path / "c", request, stop=iter([False, True]).__next__)
    as_first_version(tmp_path / "c")
    finished = prepare(tmp_path / "c", request)
    assert (finished.splits, finished.file_names) == (whole.splits, {"visual": "video"})
    for a, b in (("audio", "audio"), ("video", "visual"), ("labels", "labels")):
        for split in ("train", "test"):
            one, other = tmp_path / "c" / f"{split}-{a}.npy", tmp_path / "whole" / f"{split}-{b}.npy"
            assert one.read_bytes() == other.read_bytes()
    assert Manifest.read(tmp_path / "c").complete
    as_first_version(tmp_path / "whole")  # and a finished one is left as it is
    before = (tmp_path / "whole" / MANIFEST).read_bytes()
    prepare(tmp_path / "whole", request)
    assert (tmp_path / "whole" / MANIFEST).read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("settings"),
        lambda content: content["settings"].pop("size"),
        lambda content: content["settings"].update(size="8"),
        lambda content: content["splits"]["train"].pop("audio_channels"),
        lambda content: content["splits"]["train"].update(visual_channels=0),
        lambda content: content["splits"]["train"]["chunks"][0].pop("video"),
        lambda content: content["splits"]["train"]["files"].update(other="0"),
        lambda content: content.update(splits=3),
    ],
)
def test_what_no_version_has_is_refused(tmp_path, change):
    content = json.loads((OLD / MANIFEST).read_text())
    change(content)
    del content["checksum"]
    write_checked(tmp_path, content)
    with pytest.raises(DataError, match=f"{MANIFEST}: does not hold what a manifest holds"):
        Manifest.read(tmp_path)
