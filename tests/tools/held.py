"""Programs that stand still in the middle of their work until a word comes: however slow a test is, they are there.

A training does so before the first step of its second epoch, a preparation once it has the second chunk of samples.
"""

import runpy
import subprocess
import sys

from tests.tools.command_line import ROOT, environment


def start(tool, *arguments, **options):
    """Start a tool and wait until it stands still; `go_on(process)` lets it."""
    source = f"from tests.tools.held import run; run({tool!r})"
    command, pipe = [sys.executable, "-c", source, *map(str, arguments)], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment(), **options)
    said = []
    while not said or said[-1] not in ("held\n", ""):
        said.append(process.stdout.readline())
    assert said[-1], ("".join(said), *process.communicate())  # it has ended
    return process


def go_on(process):
    """Let a tool go on, to its end; returns its exit status and what it printed from there on, and on stderr."""
    out, err = process.communicate("\n", timeout=300)
    return process.returncode, out, err


def run(tool):
    """Be the program."""
    {"train": hold_training, "prepare": hold_preparation}[tool]()
    sys.argv[0] = str(ROOT / "tools" / f"{tool}.py")
    sys.path.insert(0, str(ROOT / "tools"))
    runpy.run_path(sys.argv[0], run_name="__main__")


def hold():
    print("held", flush=True)
    sys.stdin.readline()


def hold_training():
    from misnet.training.run import Run

    step = Run._train_step

    def held(run, batch):
        if (run.epoch, run.batch) == (1, 0):
            hold()
        step(run, batch)

    Run._train_step = held


def hold_preparation():
    from misnet.datasets.prepared import preparing

    run_tasks = preparing.run_tasks

    def held(*arguments):
        for number, chunk in enumerate(run_tasks(*arguments)):
            if number == 2:
                hold()
            yield chunk

    preparing.run_tasks = held
