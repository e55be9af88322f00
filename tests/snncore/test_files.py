"""Files that are whole or not there, and JSON that every reader takes."""

import json
import math
import os
import signal
import stat
import subprocess
import sys
import time

import numpy as np
import pytest

from snncore.files import is_device, json_bytes, read_file, replace_file, sha256_of, text_bytes


def test_what_is_no_number_becomes_null():
    content = {"a": [1, float("nan"), (float("inf"), 2.5)], "b": {"c": -float("inf"), "d": None, "e": "NaN"}}
    written = json_bytes(content)
    assert json.loads(written, parse_constant=pytest.fail) == {
        "a": [1, None, [None, 2.5]],
        "b": {"c": None, "d": None, "e": "NaN"},
    }
    assert written.endswith(b"}\n")


def test_a_float_of_numpy_is_a_float():
    assert json.loads(json_bytes({"x": np.float64("nan"), "y": np.float64(0.1)})) == {"x": None, "y": 0.1}


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout", "/dev/fd/1", "/dev/none-such"])
def test_no_file_takes_the_place_of_a_device(path):
    """As root a rename would: /dev/stdout is a link, and may even lead to a file."""
    before = os.lstat(path) if os.path.lexists(path) else None
    assert is_device(path)
    with pytest.raises(OSError, match="a device or a pipe, not a file"):
        replace_file(path, b"{}")
    assert (os.lstat(path).st_ino if before else os.path.lexists(path)) == (before.st_ino if before else False)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("pipe")
    assert (read_file(tmp_path / "file"), read_file(tmp_path / "file", 2)) == (b"abc", b"ab")
    for path in (pipe, tmp_path / "link", "/dev/null"):
        for read in (read_file, sha256_of):
            with pytest.raises(OSError, match="expected a file, found a pipe, a socket or a device"):
                read(path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")


def test_no_file_takes_the_place_of_a_pipe(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    with pytest.raises(OSError, match="a device or a pipe"):
        replace_file(pipe, b"{}")
    assert stat.S_ISFIFO(os.lstat(pipe).st_mode)


def test_a_link_stays_one_and_its_file_is_written(tmp_path):
    (tmp_path / "deep").mkdir()
    target, link = tmp_path / "deep" / "figures.json", tmp_path / "figures.json"
    target.write_bytes(b"old")
    link.symlink_to(target)
    replace_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["figures.json"]


KILLED = """
import os, signal, sys
from snncore.files import replace_file
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
replace_file(sys.argv[1], b"half of it")
"""


def test_what_a_killed_process_left_of_a_file_goes_when_that_is_written_again(tmp_path):
    target = tmp_path / "audit.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, str(target)], env=environment)
        assert done.returncode == -signal.SIGKILL
    old, young = sorted(tmp_path.iterdir())
    others = [tmp_path / name for name in (".b.json.0123456789abcdef.tmp", ".audit.json.tmp", "mine.tmp")]
    for path in (old, *others):
        path.write_bytes(b"x")
        os.utime(path, (time.time() - 3700,) * 2)
    os.utime(young, (time.time() - 3500,) * 2)  # its writer may be alive
    replace_file(target, b"{}")
    assert {*tmp_path.iterdir()} == {target, young, *others}


def test_the_hash_is_that_of_the_standard(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"abc")  # FIPS 180-4, the example of one block
    assert sha256_of(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    file.write_bytes(b"a" * 1_000_000)  # its example of a million letters, read in pieces
    assert sha256_of(file) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_names_of_files_are_written_as_they_are_on_disk():
    name = "\u043b".encode().decode("ascii", "surrogateescape") + b"\xff".decode("ascii", "surrogateescape") + "e\u0301"
    assert text_bytes(name) == "\u043b\\xffe\u0301".encode()
    assert json.loads(json_bytes({name: [name, math.inf, 3]})) == {
        "\u043b\\xffe\u0301": ["\u043b\\xffe\u0301", None, 3]
    }
