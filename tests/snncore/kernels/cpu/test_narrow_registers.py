"""The same kernels compiled for processors without AVX-512, and without its later parts."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

from snncore.kernels.cpu.simd import AVX512

ROOT = Path(__file__).parents[4]
EARLY = "+avx,+avx2,+fma,+sse4.2,+popcnt,+bmi,+bmi2,+lzcnt"
WIDE = f"{EARLY},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
PROCESSORS = {
    "haswell": (EARLY, "False False", ("test_conv_event.py", "test_events.py", "test_winograd.py")),
    "skylake-avx512": (WIDE, "True False", ("test_events.py",)),
}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="needs an x86-64")
@pytest.mark.skipif("NUMBA_CPU_NAME" in os.environ, reason="is one already")
@pytest.mark.parametrize("name", PROCESSORS)
def test_kernels_for_earlier_processors_pass_the_same_tests(name):
    features, expected, cases = PROCESSORS[name]
    if "+avx512f" in features and not AVX512:
        pytest.skip("needs AVX-512")
    environment = os.environ | {
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_NUM_THREADS": str(numba.config.NUMBA_NUM_THREADS),
    }
    probe = "from snncore.kernels.cpu.simd import AVX512, VBMI2; print(AVX512, VBMI2)"
    found = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.stdout.strip() == expected
    tests = [str(Path(__file__).with_name(case)) for case in cases]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "passed" in done.stdout
