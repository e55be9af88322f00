"""Helpers that compile the kernels of a run: what they rehearse is what a run calls, and they end with the run."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from misnet import MISNet
from misnet.tools.train import helpers
from misnet.training import ahead
from misnet.training.ahead import free_cores, helped, rehearsal
from misnet.training.memory import noise
from misnet.training.step import Totals, look, train_step
from snncore.kernels.choice import arithmetic, use_kernels
from snncore.kernels.cpu import cache
from snncore.kernels.cpu.compiled import Kernel
from snncore.optim import Adam
from tests.misnet.tiny import make_batch, tiny_config
from tests.tools.command_line import ROOT


def called_by(work, monkeypatch):
    """The kernels that `work` calls, and with which types, while it really runs."""
    run, called = Kernel.__call__, {}

    def noted(kernel, *args):
        called[kernel, tuple(map(kernel.dispatcher.typeof_pyval, args))] = None
        return run(kernel, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Kernel, "__call__", noted)
        work()
    return list(called)


@pytest.mark.parametrize("sums", ["float32", "exact"])
def test_a_rehearsal_finds_what_a_run_calls(sums, monkeypatch):
    config = tiny_config(size=8, channels=(16, 32))
    model = MISNet(config)
    optimizer = Adam(model.named_parameters(), 1e-3)

    def work():
        train_step(model, optimizer, 1e-3, make_batch(config, n=8), Totals(), 0)
        streams, labels = noise(model, 3)
        look(model, streams, labels)

    with arithmetic(sums):
        really = called_by(work, monkeypatch)
        found = rehearsal("misnet", config, "adam")
    assert len(found) > 15
    assert {kernel.function.__name__ for kernel, _ in really} >= {"backward", "adam"}
    assert set(found) == set(really)


def a_job():
    config = tiny_config(size=8, channels=(16, 32))
    network = {"model": "misnet", "module": "misnet.models.misnet", "network": config.to_dict(), "optimizer": "adam"}
    return network | {"arithmetic": "float32", "path": [str(ROOT), *sys.path]}


def start(monkeypatch, folder, turn):
    """A helper with a cache of its own that compiles every `turn[1]`-th kernel from the end, `turn[0]` first."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    monkeypatch.setattr(ahead.json, "dumps", lambda job, dumps=json.dumps: dumps({**job, "turn": turn}))
    return next(ahead._start(a_job(), 1))


def compiled(folder):
    return sorted(path.name.split("-")[0] for path in folder.rglob("*.nbc"))


def test_a_helper_compiles_its_share_into_the_cache_and_ends(tmp_path, monkeypatch):
    with start(monkeypatch, tmp_path, [1, 1000]) as helper:
        assert helper.wait(timeout=300) == 0
    assert compiled(tmp_path) == [
        "exact_weights.mix_words"
    ]  # the last but one: the hash by which packed weights are kept


def test_a_helper_ends_when_its_input_does(tmp_path, monkeypatch):
    with start(monkeypatch, tmp_path, [0, 1]) as helper:  # for half a minute of compiling
        helper.communicate(timeout=300)
    assert helper.returncode == 0
    assert len(compiled(tmp_path)) < 5


class Process:
    """What `_start` is given in place of a helper."""

    def __init__(self):
        self.ended = []

    def kill(self):
        self.ended.append("killed")

    def communicate(self):
        self.ended.append("waited for")


@pytest.fixture
def started(monkeypatch):
    made = []

    def start(job, count):
        json.dumps(job)
        made.append((count, Process()))
        return [made[-1][1]]

    monkeypatch.setattr(ahead, "_start", start)
    return made


def miss():
    start, cache.missed = cache.missed, None
    if start is not None:
        start()


def test_helpers_start_at_the_first_kernel_that_is_not_kept_and_end_with_the_block(started, monkeypatch):
    monkeypatch.setattr(ahead, "free_cores", lambda: 7)

    def fail_after_two_misses():
        with helped("misnet", tiny_config(), "adam"):
            assert started == []
            miss()
            miss()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_two_misses()
    ((count, process),) = started
    assert (count, process.ended) == (3, ["killed", "waited for"])
    with helped("misnet", tiny_config(), "adam"):
        pass
    assert len(started) == 1


def test_the_reference_kernels_need_no_help(started):
    with use_kernels("reference"), helped("misnet", tiny_config(), "adam"):
        assert cache.missed is None


def test_one_core_has_none_to_spare(monkeypatch):
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", 1)
    assert free_cores() == 0
    assert list(ahead._start({}, free_cores())) == []


def test_no_room_for_another_process_is_no_error(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert list(ahead._start({}, 2)) == []


def test_a_helper_that_dies_costs_nothing(monkeypatch):
    monkeypatch.setattr(ahead, "PROGRAM", "raise SystemExit(1)")
    for helper in ahead._start({"x": np.zeros(2).tolist()}, 2):
        helper.communicate()
        assert helper.returncode == 1


def test_a_helper_that_is_dead_before_it_is_told_its_job_is_waited_for_like_any_other(monkeypatch):
    class Dead(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.wait()

    monkeypatch.setattr(ahead, "PROGRAM", "raise SystemExit(1)")
    monkeypatch.setattr(subprocess, "Popen", Dead)
    helpers = list(ahead._start({"x": 1}, 2))
    assert [(helper.communicate(), helper.returncode) for helper in helpers] == [((None, None), 1)] * 2


@pytest.mark.parametrize(("device", "size", "count"), [("cpu", 1, 1), ("cpu", 2, 0), ("cuda:0", 1, 0)])
def test_a_run_on_a_gpu_or_of_several_ranks_has_no_helper(started, device, size, count):
    plan = SimpleNamespace(
        device=device,
        comm=SimpleNamespace(size=size),
        choice=SimpleNamespace(model="misnet"),
        config=tiny_config(),
        settings={"optimizer": "adam"},
    )
    with helpers(plan):
        miss()
    assert len(started) == count
