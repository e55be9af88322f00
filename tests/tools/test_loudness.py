"""--quiet prints the result alone, --verbose more; files and warnings are the same."""

from types import SimpleNamespace

import pytest

from misnet.datasets.prepared.checking import Report
from misnet.tools import prepare
from tests.tools.command_line import TINY

FEW = ("--epochs", "1", "--limit-train", "8", "--limit-eval", "4")


@pytest.fixture(autouse=True)
def reference_kernels(monkeypatch):
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")


def test_training_and_auditing_are_as_loud_as_asked(call, tmp_path):
    told = {}
    for name in ("quiet", "verbose"):
        result = call("train", *TINY, *FEW, f"--{name}", "--output-dir", tmp_path / name)
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
    quiet, verbose = (call("audit", *wanted, more).out for more in ("--quiet", "--verbose"))
    assert [line.split()[0] for line in quiet.splitlines() if line][1:3] == ["rule", "exact"]
    assert "firing rate" not in quiet
    assert verbose.index("\nrule ") < verbose.index("\nlayer ")  # the answer before the details
    assert "\n\nexact:\n" in verbose
    assert "\n\nexact:\n" not in quiet


def test_preparing_is_as_loud_as_asked(tmp_path):
    split = SimpleNamespace(samples=3, skipped=dict, left_out=["b.wav: empty"])
    manifest = SimpleNamespace(splits={"train": split}, dataset="digits", settings={"timesteps": 4, "seed": 0})
    fault = "a.wav: truncated, found 12 bytes"
    report = Report(name="digits", faults=[fault] * 9)
    told = {}
    for option in ("--quiet", "--verbose"):
        prepare.make_parser().parse_args(["dialpad", "--check", option])
        told[option] = (prepare.summary(tmp_path, manifest, 3, 1.0, 1), prepare.report_text(report).count(fault))
    prepare.make_parser().parse_args(["dialpad"])
    assert prepare.report_text(report).count(fault) == 5
    assert told["--quiet"][0] == f"{tmp_path}: 3 train samples of digits, 0.0 MiB, 1 left out"
    assert told["--verbose"][0].startswith("left out: b.wav: empty\n")
    assert told["--verbose"][1] == 9


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
