"""--quiet prints the result alone, --verbose more; files and warnings are the same."""

import pytest

from tests.tools.command_line import TINY


@pytest.fixture(autouse=True)
def reference_kernels(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")


def test_training_and_auditing_are_as_loud_as_asked(call, tmp_path):
    told = {}
    for name in ("quiet", "verbose"):
        result = call("train", *TINY, "--epochs", "1", f"--{name}", "--output-dir", tmp_path / name)
        assert (result.status, result.err) == (0, "")
        told[name] = result.out
    (line,) = told["quiet"].splitlines()
    assert line.startswith("best test accuracy ")
    assert "\nsettings: dataset=dialpad, " in told["verbose"]
    assert "\nnetwork: variant=XS, " in told["verbose"]
    assert "\nmachine: snncore=" in told["verbose"]
    logs = [(tmp_path / name / "run.log").read_text() for name in told]
    assert all("epoch 1/1" in log for log in logs)
    assert (tmp_path / "quiet" / "best.safetensors").exists()

    wanted = (tmp_path / "quiet", "--rule", "exact", "--limit-eval", "2")
    quiet, usual, verbose = (call("audit", *wanted, *more).out for more in (["--quiet"], [], ["--verbose"]))
    assert [line.split()[0] for line in quiet.splitlines() if line][1:3] == ["rule", "exact"]
    assert "firing rate" not in quiet
    assert usual.index("\nrule ") < usual.index("\nlayer ")  # the answer before the details
    assert "\n\nexact:\n" in verbose
    assert "\n\nexact:\n" not in usual


def test_preparing_is_as_loud_as_asked(call, tmp_path):
    cache = ("prepare", "dialpad", "--size", "8", "--timesteps", "1", "--jobs", "1", "--output-dir", tmp_path / "c")
    result = call(*cache, "--quiet")
    (line,) = result.out.splitlines()
    assert line.startswith(f"{tmp_path / 'c'}: 1437 train, 360 test samples of dialpad, ")
    assert "nothing was left to decode" in call(*cache).out


def test_reproducing_says_with_verbose_what_it_runs(call, tmp_path):
    wanted = (
        "reproduce",
        "table7",
        "--only",
        "#1: SEW off",
        "--page-only",
        "--output-dir",
        tmp_path,
    )
    assert call(*wanted, "--verbose").out.startswith("NOT the paper's scale")
    assert "--seed 0\n" in call(*wanted, "--verbose").out
    assert call(*wanted, "--quiet").out.count("NOT the paper's scale") == 1  # in the page
