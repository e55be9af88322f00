"""Jobs of a grid: done once, gone on with, never mixed up, and one that fails stops no other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import misnet
from misnet.paper.jobs import Job, JobError, Running, finished_jobs, run_jobs
from tests.misnet.training.folders import write_run
from tests.support.ranks import on_ranks


@pytest.fixture
def ran(monkeypatch):
    """The commands that ran, in place of which a run folder is written; of "bad" the training fails."""
    commands = []

    def run(command, env, stdout, stderr):
        assert command[:2] == [sys.executable, "-m"]
        tool, *options = command[2:]
        commands.append((tool.removeprefix("misnet.tools."), options))
        if "bad" in options:
            stdout.write(b"loading\nerror: --lr: expected a number\nsee --help\n")
            return SimpleNamespace(returncode=2)
        if tool.endswith("audit"):
            with open(options[options.index("--json") + 1], "w") as file:
                json.dump({"rules": {"exact": {"per_sample": {"energy_mj": 0.5}}}}, file)
        elif "--resume" in options:
            path = Path(options[options.index("--resume") + 1]) / "config.json"
            content = json.loads(path.read_text())
            content["settings"]["epochs"] = 1  # as many as there are rows
            path.write_text(json.dumps(content))
        else:
            write_run(folder_of(options), [0.5])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def folder_of(options):

    return Path(options[options.index("--output-dir") + 1])


GOOD = Job("a/seed-0", ("--lr", "1"), ("--rule", "exact"))


def test_a_job_is_trained_and_audited_and_then_left_alone(ran, tmp_path):
    (first,) = run_jobs([GOOD], tmp_path, log=lambda line: None)
    folder = tmp_path / "a" / "seed-0"
    assert (first.error, first.folder) == (None, folder)
    assert ran == [
        ("train", ["--output-dir", str(folder), "--lr", "1"]),
        ("audit", [str(folder), "--json", str(folder / "audit.json"), "--rule", "exact"]),
    ]
    ran.clear()
    assert run_jobs([GOOD], tmp_path, log=lambda line: None) == [first]
    assert ran == []


def test_what_is_done_is_found_without_running_anything(ran, tmp_path):
    (first,) = run_jobs([GOOD], tmp_path, log=lambda line: None)
    ran.clear()
    other = Job("a/seed-1", GOOD.train, GOOD.audit)
    assert finished_jobs([GOOD, other], tmp_path) == [first]
    assert ran == []
    with pytest.raises(JobError, match="was begun with --lr 1"):
        finished_jobs([Job(GOOD.name, ("--lr", "2"))], tmp_path)


def test_a_run_that_was_cut_off_goes_on(ran, tmp_path):
    folder = write_run(tmp_path / "a" / "seed-0", [0.5], epochs=3)
    assert run_jobs([GOOD], tmp_path, log=lambda line: None)[0].error is None
    assert ran[0] == ("train", ["--resume", str(folder)])


@pytest.mark.parametrize(("asked", "threads"), [(None, "4"), ("1", "1"), ("64", "4"), ("many", "4"), ("0", "4")])
def test_commands_find_this_checkout_and_take_no_more_threads_than_asked(ran, tmp_path, monkeypatch, asked, threads):
    seen, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, env, **more: seen.append(env) or run(*a, env=env, **more))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("NUMBA_NUM_THREADS", asked)
    run_jobs([GOOD], tmp_path, at_once=2, log=lambda line: None)
    root = str(Path(misnet.__file__).parents[1])
    assert [(env["NUMBA_NUM_THREADS"], env["PYTHONPATH"]) for env in seen] == [
        (threads, os.pathsep.join((root, "elsewhere")))
    ] * 2


@pytest.mark.parametrize("at_once", [1, 2])
def test_one_that_fails_stops_no_other_and_says_why(ran, tmp_path, at_once):
    said = []
    bad = Job("b/seed-0", ("bad",))
    found = run_jobs([bad, GOOD], tmp_path, at_once, said.append)
    log = tmp_path / "b" / "seed-0.log"
    reason = f"train ended with status 2: error: --lr: expected a number (see {log})"
    assert [outcome.error for outcome in found] == [reason, None]
    assert sorted(said) == [f"[1/2] b/seed-0: {reason}", "[2/2] a/seed-0: done"]
    assert log.read_text().startswith("loading\n")


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_runs_and_all_hear_what_came_of_each(ran, tmp_path, monkeypatch, ranks):
    monkeypatch.setattr(Running, "run", lambda running, *a, **options: subprocess.run(*a, **options))
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setenv("PMI_SIZE", str(ranks))  # which is not for those that are started
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    seen, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *a, env, **more: seen.append(env) or run(*a, env=env, **more))
    jobs = [Job("b/seed-0", ("bad",)), GOOD, *(Job(f"c/seed-{k}", ()) for k in range(3))]
    said = []
    found, *others = on_ranks(ranks, lambda comm: run_jobs(jobs, tmp_path, 1, said.append, comm))
    assert others == [found] * (ranks - 1)
    assert [outcome.job for outcome in found] == jobs
    assert [outcome.error is None for outcome in found] == [False, True, True, True, True]
    assert len(ran) == 9
    assert sorted(line[:5] for line in said) == sorted([f"[{k}/5]" for k in range(1, 6)] * ranks)
    assert {(env["NUMBA_NUM_THREADS"], env.get("PMI_SIZE")) for env in seen} == {(str(6 // ranks), None)}


def test_a_stop_on_one_rank_makes_the_runs_of_all_save(tmp_path, monkeypatch):
    """In place of a run a process that takes a while, and ends when it is told to."""
    started = []

    def sleep(running, command, env, stdout, stderr):
        started.append(command)
        wait = "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(130)); time.sleep(600)"
        return real(running, [sys.executable, "-c", wait], stdout=stdout, stderr=stderr)

    real = Running.run
    monkeypatch.setattr(Running, "run", sleep)
    jobs = [Job(f"c/seed-{k}", ()) for k in range(4)]
    said = []

    def work(comm):
        with pytest.raises(KeyboardInterrupt):
            run_jobs(jobs, tmp_path, 1, said.append, comm, lambda: comm.rank == 1 and len(started) == 2)

    on_ranks(2, work)
    assert len(started) == 2
    assert all("train ended with status" in line for line in said)  # one that is not told to ends well, in ten minutes


def test_a_file_of_options_that_holds_something_else_is_refused(ran, tmp_path):
    run_jobs([GOOD], tmp_path, log=lambda line: None)
    for content in ("[1]", '{"train": 3}'):
        (tmp_path / "a" / "seed-0.json").write_text(content)
        with pytest.raises(JobError, match=r"seed-0.json: expected the options of a run, found "):
            run_jobs([GOOD], tmp_path, log=lambda line: None)


def test_a_folder_of_other_options_is_refused_before_anything_runs(ran, tmp_path):
    run_jobs([GOOD], tmp_path, log=lambda line: None)
    ran.clear()
    other = Job(GOOD.name, ("--lr", "2"), GOOD.audit)
    with pytest.raises(JobError, match=r"a/seed-0: was begun with --lr 1 \| audit --rule exact, wanted are --lr 2 \| "):
        run_jobs([Job("c/seed-0", ()), other], tmp_path)
    assert ran == []
