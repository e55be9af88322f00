"""What a check prints: kinds, examples, and all of it in a file."""

import os

import pytest

from misnet.datasets.prepared.summary import grouped, is_missing, kind_of, write_all


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("/d/a.wav: truncated, found 12 bytes, expected 40", "truncated"),
        ("/d/a.wav: found 12 bytes starting with text, expected", "found"),
        ("/d/a.mp4: cannot be decoded (Invalid data); expected", "cannot be decoded"),
        (
            "/d: found no video or frames of clip 1001_DFA_ANG_XX, which the train split lists",
            "found no video or frames of clip",
        ),
        ("/d/a.wav: silent sound", "silent sound"),
        ("no colon", "no colon"),
    ],
)
def test_kinds_are_what_sentences_have_in_common(sentence, kind):
    assert kind_of(sentence) == kind


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        ("/d: found no video or frames of clip 1001_DFA_ANG_XX, which the train split lists", True),
        ("/d/fold1/a.wav: no such file; expected the recording that the metadata list", True),
        ("/d: found no video x (nor its frames and sound), which the test split lists", True),
        ("/d/a.wav: this is a Git LFS pointer (130 bytes of text), expected an audio file", True),
        ("/d/a.mp4: found no sound in the file, expected a video with sound", False),
        ("/d/a.wav: truncated, found 12 bytes", False),
    ],
)
def test_missing_is_not_damaged(sentence, missing):
    assert is_missing(sentence) is missing


def test_the_most_frequent_kind_comes_first_with_five_examples():
    sentences = ["a.wav: silent sound", *(f"{k}.wav: truncated, found {k} bytes" for k in range(7))]
    assert grouped("damaged", sentences) == [
        "\ndamaged: 8",
        "  7 times: truncated",
        *(f"    {k}.wav: truncated, found {k} bytes" for k in range(5)),
        "    and 2 more",
        "    a.wav: silent sound",
    ]
    assert grouped("damaged", []) == []


def test_names_that_are_no_unicode_are_printed_and_kept(tmp_path):
    sentences = [os.fsdecode(b"caf\xe9.wav") + ": silent sound"]
    assert grouped("x", sentences)[1] == "    caf\\xe9.wav: silent sound"
    write_all(tmp_path / "all.txt", [("x", sentences), ("y", [])])
    assert (tmp_path / "all.txt").read_text() == "x: 1\n  caf\\xe9.wav: silent sound\n"
