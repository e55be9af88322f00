"""Commands that several ranks share, here threads: the files and the figures of one process, said and written once."""

import json
import os
import sys

import pytest

from misnet.tools import audit, evaluate, prepare, reproduce
from misnet.tools.ranks import refuse_ranks, take_card
from misnet.tools.toolkit import UsageError
from snncore.parallel import Comm
from tests.support.ranks import on_ranks
from tests.tools.command_line import command


@pytest.fixture(autouse=True)
def reference_kernels(monkeypatch):
    """The compiled ones may not run on two threads at once."""
    monkeypatch.setenv("SNNCORE_KERNELS", "reference")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def shared(monkeypatch, capsys):
    """Return shared(ranks, main, tool, *arguments): what was printed by the ranks together."""

    def run(ranks, main, tool, *arguments):
        monkeypatch.setattr(sys, "argv", command(tool, *arguments)[1:])
        on_ranks(ranks, main) if ranks > 1 else main(Comm())
        return capsys.readouterr().out

    return run


def test_an_evaluation_has_the_figures_of_one_process(shared, trained, tmp_path):
    found = {}
    for ranks in (1, 3):  # four batches of 5, 5, 5 and 1
        options = ("--batch-size", "5", "--device", "cpu", "--json", tmp_path / f"{ranks}.json")
        picture = tmp_path / "confusion.png"
        text = shared(ranks, evaluate.evaluate_run, "evaluate", trained[0], *options, "--picture", picture)
        found[ranks] = text, (tmp_path / f"{ranks}.json").read_bytes(), picture.read_bytes()
    assert found[1] == found[3]
    assert "16 samples" in found[1][0]


def test_an_audit_has_the_figures_of_one_process(shared, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    found = {}
    for ranks in (1, 2):
        more = ("--batch-size", "6", "--device", "cpu", "--training-step", "--json", tmp_path / "audit.json")
        text = shared(ranks, audit.audit_shared, "audit", trained[0], "--claim", "1mJ", *more)
        found[ranks] = text, json.loads((tmp_path / "audit.json").read_text())
    assert found[1] == found[2]
    assert found[1][1]["samples"] == 16


def test_a_rank_with_another_network_is_refused(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", command("evaluate", trained[0], "--device", "cpu")[1:])
    digests = iter(("aa", "bb"))
    monkeypatch.setattr("misnet.tools.ranks.sha256_of", lambda path: next(digests))
    with pytest.raises(UsageError, match=r"rank 1 on .*weights: .*last.safetensors: found '(aa|bb)', rank 0 on"):
        on_ranks(2, evaluate.evaluate_run)


@pytest.mark.parametrize(
    ("main", "tool", "arguments", "reason"),
    [
        (audit.audit_shared, "audit", ["--layers", "x.csv"], "--layers: expected one process, found 2 ranks; ranks sh"),
        (prepare.do_all, "prepare", ["dialpad", "--verify", "x"], "--verify: expected one process, found 2 ranks"),
        (prepare.do_all, "prepare", ["dialpad", "--preview", "x.png"], "--preview: expected one process"),
        (reproduce.run_shared, "reproduce", ["table7", "--jobs", "2"], "--jobs: expected one process, found 2 ranks"),
        (reproduce.run_shared, "reproduce", ["table7", "--dry-run"], "--dry-run: expected one process"),
    ],
)
def test_what_ranks_cannot_share_is_refused_with_the_reason(shared, main, tool, arguments, reason):
    with pytest.raises(UsageError, match=reason):
        shared(2, main, tool, *arguments)


def test_one_process_is_refused_nothing():
    assert refuse_ranks(Comm(), {"--jobs": True}, "") is None


@pytest.mark.parametrize(("before", "seen"), [(None, "1"), ("4,7", "7")])
def test_ranks_of_a_host_let_their_processes_see_a_card_each(monkeypatch, before, seen):
    class Runtime:
        getDeviceCount = staticmethod(lambda: 2)

    cupy = type("cupy", (), {"cuda": type("cuda", (), {"runtime": Runtime})})
    monkeypatch.setattr("misnet.tools.ranks.cupy_module", lambda: cupy)
    if before is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "x")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    comm = Comm()
    comm.local_rank, comm.local_size = 3, 4
    take_card(comm)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
