"""`prepare.py NAME --download` asks before it fetches."""

import io

import pytest

ASKED = ("prepare", "mnist-fsdd", "--download")


@pytest.fixture
def answer(monkeypatch):
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


@pytest.fixture
def fetched(monkeypatch):
    """The calls of what fetches, which fetches nothing here."""
    calls = []
    monkeypatch.setattr("misnet.datasets.download.fetch", lambda *call: calls.append(call) or iter(["a file"]))
    return calls


def test_yes_fetches(call, tmp_path, answer, fetched):
    answer("y\n")
    result = call(*ASKED, "--data-dir", tmp_path)
    assert (result.status, fetched) == (0, [("mnist-fsdd", tmp_path)])
    assert result.out.startswith("mnist-fsdd: download 22 MiB into ")
    assert result.out.endswith("a file\n")


@pytest.mark.parametrize(("text", "status"), [("n\n", 130), ("\n", 130), ("", 2)])
def test_anything_else_does_not(call, tmp_path, answer, fetched, text, status):
    answer(text)
    result = call(*ASKED, "--data-dir", tmp_path)
    assert (result.status, fetched) == (status, [])
    assert result.err.startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (ASKED, "--download: expected --data-dir DIR too, the folder for the files"),
        (
            ("prepare", "ave", "--data-dir", "x", "--download"),
            "--download: expected one of mnist-fsdd, found ave; docs",
        ),
    ],
)
def test_what_cannot_be_fetched_is_wrong_usage(call, arguments, message):
    result = call(*arguments)
    assert result.status == 2
    assert message in result.err
