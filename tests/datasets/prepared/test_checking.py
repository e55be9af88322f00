"""The check of a data set: clean ones are clean, and each fault that was put in is found and named."""

import shutil

import numpy as np
import pytest
import soundfile
from PIL import Image

from misnet.datasets.prepared.checking import check, shortened
from misnet.datasets.prepared.decoding import Request
from misnet.datasets.prepared.summary import kind_of
from tests.datasets.sets.test_mnist_dvs_ntidigits import damage
from tests.datasets.tiny_events import aedat2_bytes, random_events, write_event_digits
from tests.datasets.tiny_files import LFS_POINTER
from tests.datasets.tiny_media import write_video

NAME = "mnist-dvs-ntidigits"


@pytest.fixture
def source(tmp_path):
    return write_event_digits(tmp_path / "digits")


def checked(source, name=NAME, **settings):
    return check(Request(name, str(source), **{"timesteps": 2, "size": 16, **settings}))


def dvs(source, digit, number):
    return source / f"mnist-dvs/grabbed_data{digit}/scale4/mnist_{digit}_scale04_{number:04}.aedat"


def test_a_clean_set(source):
    calls = []
    report = check(Request(NAME, str(source), timesteps=2, size=16), advance=lambda *a: calls.append(a))
    assert (report.faults, report.duplicates, report.warnings, report.problems) == ([], [], [], 0)
    assert report.counts == {"train": [2] * 10, "test": [1] * 10}
    assert report.class_names == tuple("0123456789")
    assert calls == [("train", 0, 20), ("train", 20, 20), ("test", 0, 10), ("test", 10, 10)]


def test_two_processes_find_the_same(source):
    damage(source)
    one, two = (check(Request(NAME, str(source), timesteps=2, size=16), jobs=jobs) for jobs in (1, 2))
    assert one == two
    assert one.problems >= 1


def test_all_damaged_files_are_named(source):
    bad = [dvs(source, 3, 9), dvs(source, 5, 11), dvs(source, 7, 10)]
    bad[0].write_bytes(bad[0].read_bytes()[:-3])
    bad[1].write_bytes(LFS_POINTER)
    bad[2].write_bytes(b"")
    report = checked(source)
    assert len(report.faults) == 3
    for path, what in zip(bad, ("truncated", "Git LFS pointer", "empty"), strict=True):
        assert any(str(path) in fault and what in fault for fault in report.faults)


def test_files_that_a_set_reads_at_the_start_are_all_named(digits_dir):
    names = ("3_ann_5.wav", "7_bob_6.wav", "2_ann_0.wav")
    for name in names:
        (digits_dir / "fsdd/recordings" / name).write_bytes(LFS_POINTER)
    report = checked(digits_dir, "mnist-fsdd")
    assert len(report.faults) == 3
    assert all(any(name in fault for fault in report.faults) for name in names)
    assert report.counts["train"] == [4] * 10


def test_a_split_that_cannot_be_made_is_a_fault_and_the_other_is_checked(source):
    for path in (source / "mnist-dvs").rglob("*0010.aedat"):
        path.unlink()
    report = checked(source)
    assert "found no visual recording of the test split" in report.faults[0]
    assert report.counts == {"train": [2] * 10}


def test_a_file_in_both_splits_is_found_whatever_its_name(source):
    shutil.copy(dvs(source, 4, 9), dvs(source, 4, 10))
    report = checked(source)
    twins = dvs(source, 4, 10), dvs(source, 4, 9)
    assert "{}: a test file with the content of a train file, {}".format(*twins) in report.duplicates
    assert {kind_of(d) for d in report.duplicates} == {  # so that many are counted, and five shown
        "a test file with the content of a train file", "its visual stream is that of a train sample",
    }  # fmt: skip
    assert report.problems == 2


def test_the_same_content_in_another_file_is_found(source):
    path = dvs(source, 4, 10)
    events = dvs(source, 4, 11).read_bytes()
    path.write_bytes(events.replace(b"# created by a test\r\n", b"# created by another\r\n"))
    report = checked(source)
    assert len(report.duplicates) == 1
    assert report.duplicates[0].startswith(
        f"test sample 4 ({path}): its visual stream is that of a train sample, sample 9 ("
    )


def test_speakers_of_both_splits_are_a_warning(digits_dir):
    report = checked(digits_dir, "mnist-fsdd")
    assert report.faults == []
    assert report.warnings == [
        "2 of 2 groups (speakers, actors, recordings) of the test split are also in train, in 20 of 20 test samples: "
        "ann, bob"
    ]
    report = checked(digits_dir, "mnist-fsdd", options={"fsdd_split": "speaker"})
    assert report.warnings == []


def test_classes_out_of_balance_are_a_warning(source):
    for i in range(20):
        (source / f"mnist-dvs/mnist_1_scale08_{i * 10 + 101:04}.aedat").write_bytes(
            aedat2_bytes(*random_events(np.random.default_rng(i), 1, 128))
        )
    dvs(source, 6, 10).unlink()
    report = checked(source)
    assert report.warnings == [
        "the largest class of the train split has 22 samples, the smallest 2",
        "no test sample of 6",
    ]
    assert report.problems == 0


def test_constant_content_is_no_duplicate():
    report = check(Request("dialpad", timesteps=1))  # hundreds of lost sounds and images
    assert report.problems == 0
    assert sum(report.counts["train"]) == 1437


def test_names_are_shortened():
    assert shortened(["a", "b"]) == "a, b"
    assert shortened(map(str, range(25)), 3) == "0, 1, 2 and 22 more"


def write_wav(path, samples, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def test_what_a_person_should_look_at_is_remarked(tmp_path):
    """Silence, opposite phases, a clip of a minute, an image of one colour; pairs of the others are right."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("a", "b"):
            for k in range(4):
                write_wav(tmp_path / split / "audio" / name / f"{k}.wav", 0.1 * rng.standard_normal(8000))
                path = tmp_path / split / "vision" / name / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(path)
    sounds, noise = tmp_path / "train" / "audio", 0.1 * rng.standard_normal(8000)
    write_wav(sounds / "a/0.wav", np.zeros(8000))
    write_wav(sounds / "a/1.wav", np.stack([noise, -noise], axis=1))
    write_wav(sounds / "a/2.wav", np.stack([noise, -0.999 * noise], axis=1))
    write_wav(sounds / "b/0.wav", 0.1 * rng.standard_normal(16000 * 20))
    write_wav(sounds / "b/1.wav", np.stack([noise, -0.9 * noise], axis=1))  # a tenth is left: fine
    black = tmp_path / "test/vision/a/3.png"
    Image.new("RGB", (9, 9), (7, 8, 9)).save(black)
    (tmp_path / "test/vision/b/2.png").unlink()
    report = checked(tmp_path, "folder")
    assert report.problems == 0
    assert sorted(report.remarks) == sorted(
        [
            f"{sounds}/a/0.wav: silent sound",
            f"{sounds}/a/1.wav: channels of opposite phase, whose mean is silence",
            f"{sounds}/a/2.wav: channels of opposite phase, whose mean is 66 dB below them",
            f"{sounds}/b/0.wav, {tmp_path}/train/vision/b/0.png: of unusual length: "
            "20.00 s, half of all last 0.50 s or less",
            f"{tmp_path}/test/audio/a/3.wav, {black}: pictures of one colour alone",
        ]
    )
    assert report.notes == [
        "test: 7 pairs of sounds and images, by name; left out 1 without a partner of their name: b/2.wav"
    ]


def test_a_film_and_a_sound_of_another_length(tmp_path):
    pytest.importorskip("av")
    for split in ("train", "test"):
        for name in ("a", "b"):
            write_video(tmp_path / split / name / "x.mp4", frames=20, fps=10, colour=None)
    write_wav(tmp_path / "test" / "b" / "x.wav", 0.1 * np.random.default_rng(0).standard_normal(8000))
    report = checked(tmp_path, "folder")
    assert [r for r in report.remarks if "length" in r] == [
        f"{tmp_path}/test/b/x.mp4: another length than its sound: 2.00 s, 0.50 s of sound"
    ]
