"""Of several processes one compiles a kernel; the others wait for it, or go on to another."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from snncore.kernels.cpu import claims
from snncore.kernels.cpu.claims import Claims, Taken, claims_of, leaving_taken

pytest.importorskip("fcntl", reason="POSIX locks")
ROOT = Path(__file__).parents[4]
HOLD = """
import runpy, sys
from pathlib import Path
held = runpy.run_path("snncore/kernels/cpu/claims.py")["Claims"](Path(sys.argv[1]))
held.take("a")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path):
    """A process that has claimed kernel a."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_claim_of_another_process_is_waited_for_and_ends_with_it(other, tmp_path, monkeypatch):
    mine = Claims(tmp_path)
    assert mine.take("b") is False  # another kernel

    def sleep(seconds):  # by who waits: the other ends while it does, and not before
        other.kill()
        time.sleep(seconds)

    monkeypatch.setattr(claims, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    assert mine.take("a") is True
    assert other.wait() != 0  # it was killed, and not asked to give up


def test_a_claim_is_not_waited_for_by_who_can_do_something_else(other, tmp_path):
    with leaving_taken(), pytest.raises(Taken, match=r"^a$"):
        Claims(tmp_path).take("a")
    assert claims._leave is False


def test_who_waits_too_long_compiles(other, tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "LONGEST", 0.05)
    assert Claims(tmp_path).take("a") is True


def test_what_is_given_up_is_free(other, tmp_path):
    mine = Claims(tmp_path)
    other.communicate(b"\n")
    assert mine.take("a") is False
    mine.give_up("a")
    assert (
        subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, input=b"\n", timeout=60).returncode == 0
    )


@pytest.mark.parametrize("without", ["folder", "locks"])
def test_without_a_file_or_locks_every_claim_is_granted(without, tmp_path, monkeypatch):
    if without == "locks":
        monkeypatch.setattr(claims, "fcntl", None)
    mine = Claims(tmp_path / "none" if without == "folder" else tmp_path)
    assert (mine.take("a"), mine.take("a")) == (False, False)
    mine.give_up("a")


def test_a_process_has_one_file_of_claims_in_a_folder(tmp_path):
    assert claims_of(tmp_path) is claims_of(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [claims.FILE]
