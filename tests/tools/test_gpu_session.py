"""The session on a card: its steps start as they are written, and none ends it; the tools behind it, on the double."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.support import double
from tests.support.shim.build import compiler
from tests.tools.command_line import ROOT, TINY, environment

SCRIPT = ROOT / "tools" / "gpu_session.sh"
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="the session is a script of bash")
needs_compiler = pytest.mark.skipif(compiler() is None, reason="the kernels run through g++, which is not installed")

FAKES = {
    "nvidia-smi": "echo 'GPU 0: none'",
    "ncu": 'echo \'"ID","Kernel Name"\'',
    "compute-sanitizer": "exit 9",
    "python": """echo "called: $*"
case "$*" in
  *"-m pytest"*) echo "FAILED one"; exit 1 ;;
  *gpu_steps*) sleep 60 ;;
esac""",
}


@pytest.fixture
def session(tmp_path):
    """Return run(part, **variables) with stand-ins for Python and NVIDIA's programs: (status, screen, report)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in FAKES.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)

    def run(part, **variables):
        given = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHON": str(folder / "python")} | variables
        given.pop("DATA", None) if "DATA" not in variables else None
        command = ["bash", str(SCRIPT), part, str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, env=given, timeout=300)
        report = tmp_path / "out" / "report.txt"
        return done.returncode, done.stdout + done.stderr, report.read_text() if report.exists() else ""

    return run


@needs_bash
def test_no_step_ends_the_session_and_the_summary_says_how_each_ended(session):
    status, screen, report = session("AB", BUDGET="7")
    assert status == 1
    summary = report[report.index("== summary") :]
    assert "FAILED (1)  kernels on the card" in summary
    assert "ok  training on dialpad" in summary
    assert "TIMED OUT  whole steps" in summary
    assert "left out  ncu" in summary
    assert "training on mnist-fsdd: left out, DATA names no folder" in report
    assert summary.strip() in screen


@needs_bash
def test_part_b_and_the_profile_alone(session):
    status, _, report = session("B")
    assert status == 1
    assert report.count("FAILED (9)  compute-sanitizer") == 3
    status, _, report = session("P")
    assert (status, "pytest" in report) == (0, False)
    assert "ok  profile of a training step" in report


@needs_bash
def test_wrong_usage_and_no_card_are_told_apart_from_failures(session, tmp_path):
    status, screen, report = session("C")
    assert (status, report) == (2, "")
    assert "found part C" in screen
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/bash\nexit 9\n")
    status, screen, report = session("A")
    assert (status, report) == (2, "")
    assert screen == "error: nvidia-smi finds no NVIDIA GPU here; expected a card and its driver\n"


@needs_bash
def test_the_script_is_sound_and_calls_only_tools_that_are_there():
    assert subprocess.run(["bash", "-n", str(SCRIPT)], check=False).returncode == 0
    text = SCRIPT.read_text()
    for name in set(re.findall(r"tools/(\w+\.py)", text)):
        assert (ROOT / "tools" / name).is_file(), name
    called = re.findall(r"tools/(gpu_\w+)\.py((?: +--?[\w-]+)*)", text)
    for name, options in called:
        known = (ROOT / "tools" / f"{name}.py").read_text() + (ROOT / "tools" / "toolkit.py").read_text()
        for option in options.split():
            assert f'"{option}"' in known, (name, option)


def test_each_part_fits_its_minutes_and_the_slowest_step_is_last():
    text = SCRIPT.read_text()
    named = re.findall(r'^ +step "([^"]+)" (\d+) ', text, re.MULTILINE)
    versions = int(re.search(r'step "versions" (\d+)', text)[1])
    first_of_b = [name for name, _ in named].index("ncu, every kernel of a layer once")
    a = {name: int(limit) for name, limit in named[:first_of_b]}
    b = {name: int(limit) for name, limit in named[first_of_b:]}
    on_files = a.pop("training on mnist-fsdd, as in the README")
    assert (versions + sum(a.values()), sum(b.values())) == (480, 240)
    assert list(b.items())[-1] == ("compute-sanitizer racecheck", 110)
    assert f"BUDGET:-{480 + on_files + 240}" in text  # no step is left out while each keeps to its limit


BLOCKED = """
import runpy, sys
names = set(sys.argv[1].split(","))
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in names:
            raise ImportError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = sys.argv[2:]
if "--help" in sys.argv:
    for name in (sys.argv[0].rpartition("/")[2][:-3], *sys.argv[2:]):
        sys.argv = [sys.argv[0].rpartition("/")[0] + f"/{name}.py", "--help"]
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            assert not end.code
elif "--on-double" in sys.argv:
    sys.argv.remove("--on-double")
    from tests.support import double
    with double.installed():
        runpy.run_path(sys.argv[0], run_name="__main__")
else:
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def blocked(names, tool, *arguments):
    """Run a tool in a process that cannot import some packages."""
    command = [sys.executable, "-c", BLOCKED, names, str(ROOT / "tools" / f"{tool}.py"), *map(str, arguments)]
    given = environment()
    given["PYTHONPATH"] += f":{ROOT / 'tools'}"  # as Python itself puts the folder of a script there
    return subprocess.run(command, capture_output=True, text=True, env=given, timeout=300)


def test_a_tool_starts_where_what_it_does_not_need_is_missing():
    tools = ("gpu_selftest", "gpu_steps", "gpu_profile", "train")
    done = blocked("soundfile,av,h5py,matplotlib,sklearn,numba,torch,spikingjelly", tools[0], "--help", *tools[1:])
    assert done.stderr == ""
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("usage: ")] == [
        f"{tool}.py" for tool in tools
    ]


@needs_compiler
@pytest.mark.slow
def test_dialpad_trains_on_a_gpu_without_what_reads_files(tmp_path):
    options = [*TINY, "--limit-train", "8", "--limit-eval", "8", "--epochs", "1", "--device", "cuda", "--on-double"]
    done = blocked("soundfile,av,h5py,numba", "train", *options, "--output-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "last.safetensors").is_file()


@needs_compiler
@pytest.mark.slow
def test_steps_are_timed_and_the_host_alone(monkeypatch):
    with double.installed() as cupy:
        from misnet.tools import gpu_steps
        from misnet.tools.gpu_checks import small_config

        line = gpu_steps.our_line(cupy, small_config(), 1, "cuda", 1)
    train, infer, host = (float(n) for n in re.findall(r"([\d.]+) ms", line))
    assert min(train, infer, host) > 0


def tiny_network():
    from misnet.models.misnet.config import MISNetConfig

    return MISNetConfig(variant="XS", channels=(3, 4), cells=(1, 1), size=4, timesteps=2)


@needs_compiler
@pytest.mark.slow
def test_both_ways_of_the_input_gradient_are_timed_and_agree():
    with double.installed() as cupy:
        from misnet.tools import gpu_gradients
        from misnet.tools.gpu_timings import Clock

        lines = list(gpu_gradients.layer_lines(tiny_network(), 2, "cuda", Clock(cupy, 8, 1, 2)))
        steps = gpu_gradients.step_line(tiny_network(), 2, "cuda", 1, graph=True)
    assert [line.split("  ")[0] for line in lines] == ["4x4 3 to 3", "2x2 4 to 3", "2x2 4 to 4"]
    for line in lines:
        spans = [float(us) for us in re.findall(r"([\d.]+) us", line)]
        assert (len(spans), min(spans) > 0) == (5, True)  # cuBLAS, three numbers of blocks at once, splitting
        off = [float(x) for pair in re.findall(r"off ([\d.]+) ([\d.]+)", line) for x in pair]
        assert off[2:] == 3 * off[2:4]  # that changes no bit
        assert 0 < max(off) < 20  # in roundings of float32
    assert ", graph: " in steps
    one, other = (float(x) for x in re.findall(r"[\d.]+", steps.partition("losses after 5 steps:")[2]))
    assert one == pytest.approx(other, rel=1e-3)


def test_the_layers_with_an_input_gradient_are_those_of_the_network():
    from misnet.models.misnet.config import MISNetConfig
    from misnet.tools.gpu_gradients import layers_of

    found = {(x.size, x.inputs, x.outputs): n for x, n in layers_of(MISNetConfig(size=32), 32).items()}
    assert found == {
        (32, 64, 64): 8,
        (16, 64, 128): 2,
        (16, 128, 128): 8,
        (8, 128, 256): 2,
        (8, 256, 256): 8,
    }


@needs_compiler
@pytest.mark.slow
def test_evaluation_is_timed_launched_and_as_a_graph():
    with double.installed():
        from misnet.tools.gpu_steps import evaluation_lines

        lines, same = evaluation_lines(tiny_network(), 2, "cuda", 2)
    assert same
    assert lines[0].startswith("CUDA graph of the evaluation: on")
    assert lines[1].endswith("the same loss and counts")


def test_cases_are_read_or_refused(call):
    from misnet.tools.gpu_steps import Case, cases_of

    assert cases_of("32x4,8x1") == [Case(32, 4), Case(8, 1)]
    for text in ("32", "32x", "0x4", "32x4x4", ""):
        result = call("gpu_steps", "--cases", text)
        assert (result.status, "--cases: expected SIZExSAMPLES" in result.err) == (2, True), text


@pytest.mark.parametrize("arguments", [["step"], ["mark"]])
def test_nothing_is_profiled_on_the_cpu(call, arguments):
    result = call("gpu_profile", *arguments, "--device", "cpu")
    assert result.status == 2
    assert "found cpu" in result.err


def test_the_table_of_a_step_adds_up_by_kernel():
    from misnet.tools.gpu_profile import step_table

    def event(name, start, length):
        return {"name": name, "ts": start, "dur": length, "args": {"grid": [4, 1, 1], "registers per thread": 32}}

    events = [event("void f<int>(float*)", 0, 10), event("g(int)", 20, 50), event("void f<int>(float*)", 80, 20)]
    head, _, *rows = step_table(events, 0.5).splitlines()
    assert head.startswith("3 launches and copies; the device worked 0.08 ms of 0.10 ms")
    assert [row.split()[:4] for row in rows] == [["g", "1", "50.0", "62.5%"], ["f", "2", "30.0", "37.5%"]]
    assert step_table([], 1.0) == "the profiler saw no kernel"


def test_the_table_of_ncu_is_in_its_own_units(call, tmp_path):
    path = tmp_path / "ncu.csv"
    path.write_text(
        "==PROF== Connected\n"
        '"ID","Kernel Name","gpu__time_duration.sum","dram__bytes_read.sum","launch__grid_size"\n'
        '"","","ns","byte",""\n'
        '"0","void bn_moments(float*)","12,500","8000000","512"\n'
    )
    result = call("gpu_profile", "table", path)
    assert result.status == 0, result.err
    assert result.out.splitlines()[1].split() == ["bn_moments", "12.5", "8.0", "512.0"]
    path.write_text("==ERROR== no permission\n")
    result = call("gpu_profile", "table", path)
    assert result.status == 2
    assert "found no row of a kernel" in result.err


class SlowToLaunch:
    """A device whose host takes 50 us to launch what runs 5 us: events around one call would show the host."""

    def __init__(self):
        self.host = self.device = 0.0
        outer = self

        class Event:
            def record(self):
                self.at = outer.device = max(outer.device, outer.host)

            def synchronize(self):
                outer.host = max(outer.host, self.at)

        self.cuda = type(
            "cuda", (), {"Event": Event, "get_elapsed_time": staticmethod(lambda a, b: 1e3 * (b.at - a.at))}
        )
        self.asarray, self.empty = np.asarray, np.empty

    def launch(self, seconds):
        self.host += 50e-6
        self.device = max(self.device, self.host) + seconds

    def matmul(self, a, b, out):
        self.launch(3e-3)


def test_a_short_kernel_is_timed_and_not_the_host_that_launches_it():
    from misnet.tools.gpu_timings import Clock

    cupy = SlowToLaunch()
    clock = Clock(cupy, 2)
    assert clock.seconds([lambda: cupy.launch(5e-6)]) == pytest.approx(5e-6, rel=1e-3)
    cupy.matmul = lambda a, b, out: None  # without work in front, each call waits for its launch
    assert clock.seconds([lambda: cupy.launch(5e-6)]) == pytest.approx(50e-6, rel=0.1)


def test_calls_take_turns_and_outputs_live_until_their_turn_comes_again():
    from misnet.tools.gpu_timings import Clock

    order, alive = [], []

    class Output:
        def __init__(self, k):
            self.k = k
            alive.append(k)

        def __del__(self):
            alive.remove(self.k)

    def run(k):
        order.append(k)
        made = Output(k)
        assert len(alive) <= 4  # three sets of buffers, and the one just made
        return made

    Clock(SlowToLaunch(), 2, repeats=1, calls=6).seconds([lambda k=k: run(k) for k in range(3)])
    assert order == [0, 1, 2, 0, 1, 2, 0, 1, 2]
