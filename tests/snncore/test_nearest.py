"""The known name that a mistyped one is nearest to."""

import pytest

from snncore.nearest import nearest, nearest_path, nearest_words


@pytest.mark.parametrize(
    ("typed", "found"),
    [("spikformr", "spikformer"), ("MISNET", "misnet"), ("lfi", "lif"), ("qqq", None), ("", None), (3, None)],
)
def test_the_nearest_name(typed, found):
    known = ("misnet", "spikformer", "lif", "plif")
    assert nearest(typed, known) == found
    assert nearest_words(typed, known) == ("" if found is None else f"; nearest: {found}")


def test_names_keep_their_capitals():
    assert nearest("xs", ("XS", "S", "L", "XL")) == "XS"
    assert nearest("sl", ("XS", "S", "L", "XL"), cutoff=0.9) is None


@pytest.mark.parametrize(
    ("typed", "folders", "found"),
    [
        ("runs/frist", True, "runs/first"),
        ("rusn/first/a.txt", False, "runs/first/a.txt"),
        ("rusn/fist/b.txt", False, "runs/first/a.txt"),
        ("runs/first/a", True, None),  # a file, where a folder is wanted
        ("a.txt/b", False, None),
        ("runs/zzz", False, None),
        (".hiden", False, None),
        ("", True, None),
    ],
)
def test_the_nearest_path(tmp_path, monkeypatch, typed, folders, found):
    (tmp_path / "runs" / "first").mkdir(parents=True)
    for name in ("runs/first/a.txt", "a.txt", ".hidden"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert nearest_path(typed, folders) == ("" if found is None else f"; nearest: {found}")
    if typed:
        assert nearest_path(tmp_path / typed, folders) == ("" if found is None else f"; nearest: {tmp_path / found}")
