"""tools/predict.py: the scores that evaluation gives a sample, bit for bit; files that cannot be used; pictures."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from misnet.audit.report import count_batches
from misnet.datasets import BatchIterator, DataError, load_dataset
from misnet.tools.outputs import check_outputs
from misnet.training.run import load_run
from misnet.training.step import evaluate
from snncore import arithmetic
from snncore.energy import RULES, apply_rule
from tests.datasets.tiny_media import write_tone
from tests.tools.command_line import TINY

RUN = ["--dataset", "folder", "--limit-train", "4", "--epochs", "1", "--batch-size", "4"]


@pytest.fixture(scope="module")
def folder_run(tmp_path_factory):
    """A data set of sounds and images of one's own, and a tiny run on it."""
    from misnet.tools import train

    root = tmp_path_factory.mktemp("folder")
    rng = np.random.default_rng(0)
    for split, n in (("train", 3), ("test", 2)):
        for name, hz, red in (("high", 3000, 200), ("low", 300, 20)):
            for k in range(n):
                write_tone(root / split / "audio" / name / f"{k}.wav", hz=hz + 20 * rng.normal(), seconds=0.5)
                path = root / split / "vision" / name / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, red + 40, (12, 15, 3), dtype=np.uint8)).save(path)
    with pytest.MonkeyPatch.context() as patch:
        line = [*TINY, *RUN, "--data-dir", str(root), "--output-dir", str(root / "run")]
        patch.setattr("sys.argv", ["train", *map(str, line)])
        assert train.main() == 0
    return root


def pair(root, k, name="low"):
    test = root / "test"
    return test / "audio" / name / f"{k}.wav", test / "vision" / name / f"{k}.png"


def predicted(call, *arguments, status=0):
    """What predict writes with --json, and the result."""
    path = arguments[0]
    result = call("predict", *arguments[1:], "--json", path, "--device", "cpu")
    assert result.status == status, result.err
    return json.loads(path.read_text()), result


def test_scores_are_those_of_evaluation_bit_for_bit(folder_run, call, tmp_path):
    model, content = load_run(folder_run / "run")
    data = load_dataset("folder", "test", data_dir=folder_run, timesteps=2, size=8)
    seen = []
    with arithmetic("float32"):
        evaluate(model, BatchIterator(data, 1, shuffle=False).epoch(0), seen=lambda scores, _: seen.append(scores))
    assert content["class_names"] == ["high", "low"]
    for k in range(4):
        sound, image = data.files(k)
        found, _ = predicted(call, tmp_path / "a.json", folder_run / "run", sound, image)
        (clip,) = found["clips"]
        for head, of in clip["heads"].items():
            assert of["scores"] == seen[k][head].data[0].astype(float).tolist()
            assert of["class"] == content["class_names"][int(np.argmax(of["scores"]))]
            assert clip["by_timestep"][head][-1] == of
        assert clip["class"] == clip["heads"]["av"]["class"]
        assert len(clip["by_timestep"]["av"]) == 2
        assert set(clip["silenced"]) == {"audio", "visual"}


def test_the_energy_is_that_of_an_audit_of_this_sample(folder_run, call, tmp_path):
    found, result = predicted(call, tmp_path / "a.json", folder_run / "run", *pair(folder_run, 1))
    model, _ = load_run(folder_run / "run")
    data = load_dataset("folder", "test", data_dir=folder_run, timesteps=2, size=8)
    (batch,) = [b for k, b in enumerate(BatchIterator(data, 1, shuffle=False).epoch(0)) if k == 3]
    ops = count_batches(model, [batch])
    energy = found["clips"][0]["energy"]
    assert list(energy["rules"]) == list(RULES)
    for rule, of in energy["rules"].items():
        reading = apply_rule(rule, ops)
        assert (of["mac"], of["ac"], of["energy_mj"]) == (reading.mac, reading.ac, reading.energy_mj)
        assert f"\n{rule}  " in result.out
    assert energy["dense"]["mac"] == ops.totals()["dense_mac"]


def test_what_is_printed_of_one_clip(folder_run, call):
    sound, image = pair(folder_run, 0)
    result = call("predict", folder_run / "run", image, sound, "--device", "cpu")
    assert (result.status, result.err) == (0, "")
    first, _, heading, *lines = result.out.splitlines()
    assert first == f"MISNet-XS, 8x8, T=2, trained on folder; {folder_run / 'run' / 'last.safetensors'}"
    assert heading in (f"{image} + {sound}: {name}" for name in ("high", "low"))
    assert lines[1].split("  ")[0] == "class"
    for words in ("both modalities", "audio head alone", "visual silenced"):
        assert words in lines[1]
    assert {line.split()[0] for line in lines[2:4]} == {"high", "low"}
    assert sum(line.count("*") for line in lines[2:4]) == 5  # the largest of each column
    text = "\n".join(lines)
    assert "after timestep" in text
    assert "which modality decides: " in text


@pytest.mark.parametrize("how", ["file", "weights"])
def test_a_checkpoint_alone_answers_as_its_run(folder_run, call, tmp_path, how):
    alone = tmp_path / "moved.safetensors"
    shutil.copy(folder_run / "run" / "best.safetensors", alone)
    start = [alone] if how == "file" else ["--weights", alone]
    found, _ = predicted(call, tmp_path / "a.json", *start, *pair(folder_run, 0))
    line = folder_run / "run", *pair(folder_run, 0), "--checkpoint", "best"
    expected, _ = predicted(call, tmp_path / "b.json", *line)
    assert found["clips"] == expected["clips"]
    assert (found["class_names"], found["weights"]) == (["high", "low"], str(alone))
    assert found["weights_sha256"] == expected["weights_sha256"]


def test_several_clips_and_a_bad_one_among_them(folder_run, call, tmp_path):
    good, other = pair(folder_run, 0), pair(folder_run, 1, "high")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF....WAVE")
    odd = tmp_path / "notes.docx"
    odd.write_bytes(b"x")
    names = [*good, broken, other[1], *other[::-1], odd]
    found, result = predicted(call, tmp_path / "a.json", folder_run / "run", *names, status=1)
    assert [clip["clip"] for clip in found["clips"]] == [" + ".join(map(str, x)) for x in (good, other[::-1])]
    assert list(found["errors"]) == [f"{broken} + {other[1]}", str(odd)]
    errors = result.err.splitlines()
    assert errors[0].startswith(f"error: {broken}: truncated")
    assert errors[1].startswith(f"error: {odd}: found a file that ends in .docx; expected a video")
    table = [line for line in result.out.splitlines() if line.startswith(str(folder_run))]
    assert len(table) == 2
    assert "audio silenced" in result.out
    assert "after timestep" not in result.out
    result = call("predict", folder_run / "run", *names, "--verbose")
    assert (result.status, result.out.count("after timestep")) == (1, 2)
    result = call("predict", "--quiet", folder_run / "run", *good)
    assert (result.status, result.out) == (0, f"{' + '.join(map(str, good))}: {found['clips'][0]['class']}\n")


def test_a_folder_of_pairs_and_lists_from_a_file_and_from_standard_input(folder_run, call, tmp_path, monkeypatch):
    for k in range(2):
        for path in pair(folder_run, k):
            (tmp_path / "clips").mkdir(exist_ok=True)
            shutil.copy(path, tmp_path / "clips" / path.name)
    by_folder, _ = predicted(call, tmp_path / "a.json", folder_run / "run", tmp_path / "clips")
    text = "".join("\t".join(map(str, pair(folder_run, k))) + "\n" for k in range(2))
    (tmp_path / "list.txt").write_text(text)
    by_list, _ = predicted(call, tmp_path / "b.json", folder_run / "run", "--list", tmp_path / "list.txt")
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    by_input, _ = predicted(call, tmp_path / "c.json", folder_run / "run", "--list", "-")
    scores = [[clip["heads"] for clip in found["clips"]] for found in (by_folder, by_list, by_input)]
    assert len(scores[0]) == 2
    assert scores[0] == scores[1] == scores[2]


def test_samples_of_the_data_set_by_number(folder_run, call, tmp_path):
    found, result = predicted(call, tmp_path / "a.json", folder_run / "run", "--sample", "3,0")
    by_files = [
        predicted(call, tmp_path / "b.json", folder_run / "run", *pair(folder_run, k, name))[0]["clips"][0]
        for k, name in ((1, "low"), (0, "high"))
    ]
    for clip, k, name, same in zip(found["clips"], (3, 0), ("low", "high"), by_files, strict=True):
        assert (clip["clip"], clip["true_class"]) == (f"folder test {k}", name)
        assert {**clip, **dict.fromkeys(("clip", "files", "true_class"))} == {
            **same,
            **dict.fromkeys(("clip", "files", "true_class")),
        }
    assert "folder test 3" in result.out
    result = call("predict", "--sample", "0", folder_run / "run")
    assert f"folder test 0: {found['clips'][1]['class']} (it is high)" in result.out


def test_a_picture_of_what_the_network_is_given(folder_run, call, tmp_path):
    path = tmp_path / "clip.JPG"
    result = call("predict", folder_run / "run", *pair(folder_run, 0), "--picture", path)
    assert result.status == 0, result.err
    assert f"wrote {path}" in result.out
    with Image.open(path) as image:
        assert (image.format, image.width) == ("JPEG", 1080)
        assert np.asarray(image.convert("L")).std() > 10


def test_clips_that_the_run_cannot_take(folder_run, call, tmp_path):
    write_tone(tmp_path / "a.wav", seconds=0.3)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (tmp_path / "a.bin").write_bytes(b"01234")
    for file, message in (
        ("a.wav", "found a sound alone; expected an image, a folder of frames or a video too"),
        ("a.mp4", "cannot be decoded"),
        ("missing.mp4", "no such file or folder"),
        ("a.bin", "found events; expected a sound (.wav, ...) or a video with one and an image, a folder"),
    ):
        result = call("predict", folder_run / "run", tmp_path / file)
        assert result.status == 1
        assert f"error: {tmp_path / file}: {message}" in result.err
        assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "error: expected clips after the run: files or folders, --list FILE, or --sample K; found none"),
        (["--sample", "16"], "error: --sample: expected numbers from 0 to 3 with commas, found '16'"),
        (["--sample", "1", "a.wav"], "error: --sample: expected it without clips, found a.wav too"),
        (["a.wav", "--start", "2", "--stop", "1"], "error: --start, --stop: expected 0 <= start < stop in seconds"),
        (["a.wav", "--start", "nan"], "in seconds, at most 1e+09, found nan and None"),
        (["a.wav", "--stop", "inf"], "found None and inf"),
        (["a.wav", "--start", "1e308"], "found 1e+308 and None"),
        (["a.wav", "--start=-1", "--stop", "nan"], "found -1.0 and nan"),
        (["--sample", "1", "--start", "0.5"], "error: --start: expected it with clips, found --sample, which is read"),
        (["--sample", "1", "--invert"], "error: --invert: expected it with clips, found --sample, which is read"),
        (["a.wav", "--split", "train"], "error: --split: expected --sample beside it"),
        (["a.wav", "--data-dir", "d"], "error: --data-dir: expected --sample beside it"),
        (
            ["a.png", "b.png", "--picture", "c.png"],
            "error: --picture: expected one clip, found 2; draw them one by one",
        ),
        (["README.md", "--device", "gpu"], "error: --device: expected auto, cpu, cuda or cuda:<index>, found 'gpu'"),
    ],
)
def test_wrong_usage_is_status_2(folder_run, call, options, message):
    result = call("predict", folder_run / "run", *options)
    assert result.status == 2
    assert message in result.err


def test_quiet_prints_nothing_where_no_clip_has_a_verdict(folder_run, call, tmp_path):
    result = call("predict", folder_run / "run", tmp_path / "none.wav", "--quiet")
    assert (result.status, result.out) == (1, "")


def test_no_clip_is_overwritten_and_outputs_are_seen_to_first(folder_run, call, tmp_path):
    sound, image = pair(folder_run, 0)
    result = call("predict", folder_run / "run", sound, image, "--picture", image)
    assert (result.status, "which is a clip" in result.err) == (2, True)
    result = call("predict", folder_run / "run", sound, image, "--json", tmp_path / "no" / "a.json")
    assert (result.status, "expected a file in a folder that exists" in result.err) == (1, True)
    assert call("predict").status == 2
    result = call("predict", tmp_path, sound, image)
    assert (result.status, "config.json: no such file" in result.err) == (1, True)


def copied(run, to, **sections):
    """A copy of a run with some sections of its config.json replaced."""
    shutil.copytree(run, to)
    path = to / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | sections))
    return to


def test_other_classes_are_an_error_that_names_both_lists(folder_run, call, tmp_path):
    folder = copied(folder_run / "run", tmp_path / "run", class_names=["low", "high"])
    for tool, more in (("evaluate", ()), ("audit", ()), ("predict", ("--sample", "1"))):
        result = call(tool, folder, *more)
        assert result.status == 2, tool
        assert "error: classes: the run was trained on low, high; folder has high, low" in result.err


def test_a_run_that_did_not_write_its_classes_shows_them_by_number(folder_run, call, tmp_path):
    folder = copied(folder_run / "run", tmp_path / "run", class_names=None)
    content = json.loads((folder / "config.json").read_text())
    del content["class_names"]
    (folder / "config.json").write_text(json.dumps(content))
    found, result = predicted(call, tmp_path / "a.json", folder, *pair(folder_run, 0))
    assert found["class_names"] == ["0", "1"]
    assert "an earlier version trained this run and did not write its classes" in result.out


def test_no_device_or_pipe_is_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/stdout"), Path("/dev/fd/1"), Path("/dev/null")):
        with pytest.raises(DataError, match=f"--json: expected a file to write, found the device or pipe {path}"):
            check_outputs({"json": path})
    (tmp_path / "loop").symlink_to("loop")
    check_outputs({"json": tmp_path / "a.json", "csv": tmp_path / "loop"})
    check_outputs(
        {"json": tmp_path / "a.json", "picture": Path("/dev/shm/a.png") if Path("/dev/shm").is_dir() else None}
    )
