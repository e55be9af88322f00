"""What compiled kernels do to their process: nothing at import, a cache that is found again, forks and threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]

POOL = """
import os, numpy as np
from snncore.kernels import cpu
def pool():
    return cpu.max_pool_forward(np.arange(32, dtype=np.float32).reshape(1, 4, 4, 2), (2, 2), (2, 2)).sum()
"""
COUNT = """
import numpy as np
from snncore import count_ops, nn, Tensor
net = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, rng=np.random.default_rng(0)), nn.LIF(tau=2.0, v_threshold=1.0))
with count_ops() as ops:
    net(Tensor(np.ones((2, 1, 6, 6, 8), np.uint8)))
print("counted", int(ops.totals()["ac_binary"]))
"""


def python(source, **environment):
    """Run a program in a process of its own; returns what it printed, and what it said on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", source],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "SNNCORE_KERNELS"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split("\n")[:-1], done.stderr


def test_importing_the_kernels_does_nothing_to_the_process_or_the_disk(tmp_path):
    probe = """
import os, ctypes
before = dict(os.environ)
calls = []
class Library:
    def __getattr__(self, name):
        calls.append(name)
        return lambda *_: 1
from snncore.kernels.cpu import memory
memory.ctypes.CDLL = lambda *_: Library()
"""
    look = "import numba\nprint(dict(os.environ) == before, calls, numba.np.ufunc.parallel._is_initialized)"
    out, err = python(probe + POOL + look, NUMBA_CACHE_DIR=str(tmp_path))
    assert out == ["True [] False"]
    assert (err, list(tmp_path.iterdir())) == ("", [])
    out, err = python(probe + POOL + "pool()\n" + look, NUMBA_CACHE_DIR=str(tmp_path))
    assert out == ["True ['mallopt'] True"]  # and the variable that GNU OpenMP reads is gone again
    assert "compiling the CPU kernels" in err
    assert list(tmp_path.rglob("pool.take_largest*.nbc"))


@pytest.mark.slow
def test_a_second_process_that_counts_compiles_nothing_and_adds_no_file(tmp_path):
    look = """
from snncore.kernels.cpu.compiled import KERNELS
stats = [kernel.dispatcher.stats for kernel in KERNELS]
print(sum(sum(s.cache_misses.values()) for s in stats), sum(sum(s.cache_hits.values()) for s in stats) > 0)
"""
    first, _ = python(COUNT + look, NUMBA_CACHE_DIR=str(tmp_path))
    assert int(first[1].split()[0]) > 0
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    second, err = python(COUNT + look, NUMBA_CACHE_DIR=str(tmp_path))
    assert second == [first[0], "0 True"]
    assert err == ""
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_counting_with_the_reference_kernels_imports_no_compiler():
    out, _ = python(COUNT + "import sys\nprint('numba' in sys.modules)", SNNCORE_KERNELS="reference")
    assert out == [COUNTED, "False"]


COUNTED = "counted 32768"  # 2 steps, 8 channels to 8, on 6 x 6: 16 pixels reach 9 outputs, 16 reach 6, 4 reach 4


def test_without_numbas_compiler_the_reference_kernels_run_and_one_sentence_says_so():
    out, err = python(COUNT + COUNT, NUMBA_DISABLE_JIT="1")
    assert out == [COUNTED] * 2
    assert err == "snncore: NUMBA_DISABLE_JIT is set, so the reference kernels run\n"


FORK = """
pool()
import multiprocessing, numba
def child(_):
    try:
        return float(pool())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
with multiprocessing.get_context("fork").Pool(2) as workers:
    print(*sorted(map(str, workers.map(child, range(2)))), sep="\\n")
"""


TOLD = """
from snncore import BackendError
for _ in range(2):
    try:
        pool()
    except BackendError as error:
        print(error)
"""


def test_threads_that_cannot_start_are_one_sentence():
    first, second = python(POOL + TOLD, NUMBA_THREADING_LAYER="nonsense")[0]
    assert first == second
    assert first.startswith(
        "compiled kernels cannot start their threads: The threading layer requested 'nonsense' is unknown to Numba "
        "(found NUMBA_THREADING_LAYER=nonsense"
    )
    assert first.endswith("); unset these variables, or set SNNCORE_KERNELS=reference")


def test_a_numba_that_cannot_be_loaded_is_one_sentence():
    source = POOL.replace("from snncore.kernels import cpu", "from snncore.kernels import kernels_for").replace(
        "cpu.", "kernels_for(np.zeros(1))."
    )
    first, second = python(source + TOLD, NUMBA_NUM_THREADS="0")[0]
    assert first == second
    assert first == (
        "Numba cannot be loaded: Number of threads specified must be > 0; SNNCORE_KERNELS=reference runs without it"
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU OpenMP is Numba's on Linux")
def test_a_process_forked_after_gnu_openmp_ran_is_told_so_and_does_not_hang():
    out, _ = python(POOL + FORK, NUMBA_THREADING_LAYER="omp")
    assert len(out) == 2
    assert all("BackendError" in line and "get_context('spawn')" in line for line in out)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_runs_kernels_on_numbas_own_threads():
    out, _ = python(POOL + FORK, NUMBA_THREADING_LAYER="workqueue")
    assert out == ["164.0", "164.0"]  # 4 windows of 2 channels, the largest of each: 10, 11, 14, 15, 26, 27, 30, 31


def test_a_process_forked_before_any_kernel_ran_is_free_to_run_them():
    source = POOL + FORK.replace("pool()\nimport", "import", 1)
    assert python(source, NUMBA_THREADING_LAYER="omp")[0] == ["164.0", "164.0"]


def test_two_threads_may_run_kernels_on_numbas_own_threads():
    source = """
import threading
found = []
def work():
    found.extend(float(pool()) for _ in range(300))
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), set(found))
"""
    assert python(POOL + source, NUMBA_THREADING_LAYER="workqueue")[0] == ["1200 {164.0}"]
