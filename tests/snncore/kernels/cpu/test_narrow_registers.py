"""The same kernels compiled for a processor without AVX-512."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).parents[4]
CASES = ("test_conv_event.py", "test_events.py", "test_winograd.py")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="needs an x86-64")
@pytest.mark.skipif("NUMBA_CPU_NAME" in os.environ, reason="is one already")
def test_kernels_for_avx2_pass_the_same_tests(tmp_path):
    environment = os.environ | {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+sse4.2,+popcnt,+bmi,+bmi2,+lzcnt",
        "NUMBA_NUM_THREADS": str(numba.config.NUMBA_NUM_THREADS),
    }
    probe = "from snncore.kernels.cpu.simd import AVX512; print(AVX512)"
    found = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.stdout.strip() == "False"
    tests = [str(Path(__file__).with_name(name)) for name in CASES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "passed" in done.stdout
