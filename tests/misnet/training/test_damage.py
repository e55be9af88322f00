"""Thousands of damaged checkpoints: none is loaded for another, none takes more memory than its size explains."""

import subprocess
import sys

import pytest
import safetensors.numpy

from snncore.checkpoint import CheckpointError, load_checkpoint
from tests.misnet.training import damage
from tests.tools.command_line import ROOT


def test_two_hundred_are_refused_by_name_or_mean_the_same(tmp_path):
    counts, _ = damage.attack(tmp_path, 200, seed=1)
    assert sum(counts.values()) == 200
    assert counts["signed_anew", "refused"] >= 10  # of 20; the others are states that a run can be in
    refused = sum(number for (_, outcome), number in counts.items() if outcome == "refused")
    assert refused >= 180


@pytest.mark.slow
def test_two_thousand_within_a_limit_of_the_system():
    line = [sys.executable, "-m", "tests.misnet.training.damage", "--number", "2000"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("2000 damaged checkpoints, at most ")


def careless(path):
    """Checks nothing that safetensors does not."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, damage.good()[1]  # noqa: SIM118
    except Exception as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from None


def nameless(path):
    try:
        return load_checkpoint(path)
    except CheckpointError:
        raise CheckpointError("damaged") from None


def greedy(path):
    bytearray(5_000_000)
    return load_checkpoint(path)


@pytest.mark.parametrize(
    ("loader", "message"), [(careless, "loaded"), (nameless, "damaged"), (greedy, "50000.. bytes")]
)
def test_a_loader_that_is_careless_is_caught(tmp_path, monkeypatch, loader, message):
    monkeypatch.setattr(damage, "load_checkpoint", loader)
    with pytest.raises(AssertionError, match=message):
        damage.attack(tmp_path, 200, seed=1)
