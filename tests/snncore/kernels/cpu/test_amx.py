"""Whether AMX is here, permitted and asked for; how that is masked; and what `python -m snncore` says of it."""

import ctypes
import os

import numba
import pytest

from snncore import __main__ as about
from snncore.backend import BackendError
from snncore.kernels.cpu import amx, amx_check
from tests.support.amx import can_emulate, emulated

BOTH = "+avx2,+amx-int8,+amx-tile"
x86 = pytest.mark.skipif(
    os.uname().machine != "x86_64" or os.uname().sysname != "Linux", reason="needs Linux on x86-64"
)


class System:
    """A C library whose answer to `arch_prctl` is known."""

    def __init__(self, answer, number=0):
        self.answer, self.number, self.calls = answer, number, []

    def syscall(self, *arguments):
        self.calls.append(arguments)
        ctypes.set_errno(self.number)
        return self.answer


@pytest.fixture
def system(monkeypatch):
    """Let another system answer, and forget what this one said."""

    def put(answer, number=0):
        found = System(answer, number)
        monkeypatch.setattr(ctypes, "CDLL", lambda *a, **k: found)
        amx.refusal.cache_clear()
        return found

    yield put
    amx.refusal.cache_clear()


def mask(monkeypatch, name, features):
    monkeypatch.setattr(numba.config, "CPU_NAME", name)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", features)


@x86
@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [
        ("sapphirerapids", BOTH, True),
        (None, BOTH, True),
        ("sapphirerapids", None, False),  # as AVX-512: what is not named is not there
        ("haswell", "+avx2", False),
        ("haswell", "", False),
        (None, "+amx-tile,+amx-int8x", False),
        (None, "+amx-int8", False),
    ],
)
def test_numbas_variables_mask_it(monkeypatch, name, features, expected):
    mask(monkeypatch, name, features)
    assert amx.on_processor() is expected


@x86
@pytest.mark.parametrize("missing", [None, *amx.FEATURES])
def test_the_processor_is_asked(monkeypatch, missing):
    mask(monkeypatch, None, None)
    found = {feature: feature != missing for feature in amx.FEATURES}
    monkeypatch.setattr(amx.llvm, "get_host_cpu_features", lambda: found)
    assert amx.on_processor() is (missing is None)


@pytest.mark.parametrize(("system_name", "machine"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_other_systems_have_none(monkeypatch, system_name, machine):
    mask(monkeypatch, None, BOTH)
    monkeypatch.setattr(amx.sys, "platform", system_name)
    monkeypatch.setattr(amx.platform, "machine", lambda: machine)
    assert not amx.on_processor()


def test_permission_is_asked_once(system):
    libc = system(0)
    assert (amx.refusal(), amx.refusal()) == ("", "")
    assert libc.calls == [(158, 0x1023, 18)]


def test_a_refusal_is_told(system):
    system(-1, 95)
    assert amx.refusal() == os.strerror(95)


def test_a_value_that_is_not_known(monkeypatch):
    monkeypatch.setenv("SNNCORE_AMX", "yes")
    with pytest.raises(BackendError, match=r"SNNCORE_AMX: .*yes"):
        amx.used()
    assert about._amx().startswith("none: SNNCORE_AMX")


@x86
@pytest.mark.parametrize(
    ("there", "answer", "asked", "used", "words"),
    [
        (False, 0, "off", False, "masked or not on this processor"),
        (False, 0, "on", False, "asked for (SNNCORE_AMX=on), but masked or not on this processor"),
        (True, -1, "on", False, f"on this processor, refused by the system: {os.strerror(1)} (SNNCORE_AMX=on)"),
        (True, 0, "off", False, "not used (SNNCORE_AMX=off)"),
        (True, 0, "on", True, "used by exact sums of spikes (SNNCORE_AMX=on)"),
    ],
)
def test_what_is_said_of_it(monkeypatch, system, there, answer, asked, used, words):
    mask(monkeypatch, "sapphirerapids", BOTH if there else "")
    monkeypatch.setenv("SNNCORE_AMX", asked)
    system(answer, 1)
    assert amx.used() is used
    assert words in about._amx()
    assert there or about._amx() == words


def test_it_is_off_unless_asked_for(monkeypatch, system):
    monkeypatch.delenv("SNNCORE_AMX", raising=False)
    monkeypatch.setattr(amx, "on_processor", lambda: True)
    system(0)
    assert not amx.used()


def run_check(monkeypatch, capsys, count=6):
    check = amx_check.check
    monkeypatch.setattr(amx_check, "check", lambda say: check(say, count))
    monkeypatch.setattr(amx_check, "LAYERS", ((16, 4),))
    monkeypatch.setattr(amx_check, "IMAGES", 1)
    monkeypatch.setattr("sys.argv", ["snncore", "--check-amx"])
    return about.main(), capsys.readouterr().out.splitlines()


def test_the_check_without_amx_compares_the_twin_and_fails(monkeypatch, capsys):
    monkeypatch.setattr(amx, "on_processor", lambda: False)
    status, lines = run_check(monkeypatch, capsys)
    assert status == 1
    assert lines[1:] == ["plain twin  6 layers equal the reference bit for bit", "AMX         was not run"]


@pytest.mark.skipif(not can_emulate(), reason="needs Linux on x86-64 and a C compiler")
def test_the_check_with_amx_compares_both(monkeypatch, capsys):
    monkeypatch.setattr(amx, "on_processor", lambda: True)
    with emulated() as emulator:
        monkeypatch.setattr(amx, "refusal", lambda: "")
        status, lines = run_check(monkeypatch, capsys)
        assert emulator.counts()["usd"] > 0
    assert status == 0
    assert lines[2] == "AMX         6 layers equal the reference bit for bit"
    names, times = lines[4].split(), lines[5].removeprefix("16, 4x4").split()
    assert names[:4] == ["channels", "AMX", "VNNI", "Winograd"]
    assert len(times) == 9
    assert float(times[0]) > 0


def test_the_check_refuses_a_value_that_is_not_known(monkeypatch, capsys):
    monkeypatch.setenv("SNNCORE_AMX", "yes")
    monkeypatch.setattr("sys.argv", ["snncore", "--check-amx"])
    with pytest.raises(SystemExit, match=r"^error: SNNCORE_AMX: expected one of off, on, found 'yes'$"):
        about.main()
