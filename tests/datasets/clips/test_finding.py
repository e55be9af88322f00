"""Which files make a clip: pairs, videos with the sound beside them, and what a folder stands for."""

import pytest

from misnet.datasets.clips.finding import Bad, clips_of


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"content")
    return folder


def short(folder, *names):
    """What is heard and seen of each clip, with paths in the folder."""

    def of(path):
        return None if path is None else path.relative_to(folder).as_posix()

    found = clips_of([str(folder / name) for name in names])
    return ["bad" if isinstance(clip, Bad) else (of(clip.heard), of(clip.seen)) for clip in found]


def test_a_sound_and_what_is_seen_are_one_clip_in_either_order(tmp_path):
    make(tmp_path, "a.wav", "a.png", "b.flac", "b.aedat", "c/1.jpg", "c/2.jpg")
    assert short(tmp_path, "a.wav", "a.png") == short(tmp_path, "a.png", "a.wav") == [("a.wav", "a.png")]
    assert short(tmp_path, "a.wav", "a.png", "c", "b.flac") == [("a.wav", "a.png"), ("b.flac", "c")]
    assert short(tmp_path, "b.aedat", "b.flac", "a.png") == [("b.flac", "b.aedat"), (None, "a.png")]
    assert short(tmp_path, "a.wav", "b.flac") == [("a.wav", None), ("b.flac", None)]
    assert short(tmp_path, "a.wav", "missing", "a.png") == [("a.wav", None), "bad", (None, "a.png")]


def test_a_video_brings_its_sound_or_has_it_beside_it(tmp_path):
    make(tmp_path, "a.mp4", "b.mp4", "b.wav", "c.wav")
    assert short(tmp_path, "a.mp4", "b.mp4", "c.wav") == [("a.mp4", "a.mp4"), ("b.wav", "b.mp4"), ("c.wav", None)]


def test_what_a_folder_stands_for(tmp_path):
    make(tmp_path, "films/a.mp4", "films/b.avi", "films/b.wav", "films/notes.txt", "films/.hidden.mp4")
    assert short(tmp_path, "films") == [("films/a.mp4", "films/a.mp4"), ("films/b.wav", "films/b.avi")]
    make(tmp_path, "frames/2.png", "frames/10.png", "frames.wav", "more/1.png", "more/2.png", "more/x.wav")
    assert short(tmp_path, "frames") == [("frames.wav", "frames")]
    (clip,) = clips_of([str(tmp_path / "frames")])
    assert [path.name for path in clip.frames] == ["2.png", "10.png"]
    assert short(tmp_path, "more") == [("more/x.wav", "more")]
    make(tmp_path, "pairs/a.wav", "pairs/a.png", "pairs/b.wav", "pairs/b.jpg", "pairs/c.png", "one/a.wav", "one/a.png")
    assert short(tmp_path, "pairs") == [
        ("pairs/a.wav", "pairs/a.png"),
        ("pairs/b.wav", "pairs/b.jpg"),
        (None, "pairs/c.png"),
    ]
    assert short(tmp_path, "one") == [("one/a.wav", "one/a.png")]
    make(tmp_path, "deep/cat/a.mp4", "deep/dog/b.aedat", "deep/dog/c.npz")
    assert short(tmp_path, "deep") == [("deep/cat/a.mp4",) * 2, (None, "deep/dog/b.aedat"), (None, None)]


def test_spikes_are_named_in_their_file(tmp_path):
    make(tmp_path, "a.bin", "n.hdf5")
    (clip,) = clips_of([str(tmp_path / "a.bin"), f"{tmp_path / 'n.hdf5'}:woman-ae-a-3"])
    assert (clip.heard, clip.heard_as, clip.take, clip.seen_as) == (
        tmp_path / "n.hdf5",
        "spikes",
        "woman-ae-a-3",
        "events",
    )
    (bad,) = clips_of([str(tmp_path / "n.hdf5")])
    assert "expected the name of a recording in it too" in str(bad.error)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.mp4", "missing.mp4: no such file or folder"),
        ("a.docx", "a.docx: found a file that ends in .docx; expected a video (.mp4, .mkv, ...), a sound"),
        ("README", "README: found a file that ends in nothing; expected"),
        ("empty", "empty: found nothing in it that is read; expected"),
    ],
)
def test_what_nobody_reads(tmp_path, name, message):
    make(tmp_path, "a.docx", "README", "empty/notes.txt")
    (bad,) = clips_of([str(tmp_path / name)])
    assert str(bad.error).startswith(f"{tmp_path}/{message}")
