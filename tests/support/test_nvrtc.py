"""The table of docs/gpu_tables.md is refused in a sentence where the compiler is missing."""

import sys

from tests.support.environments import ROOT, run


def test_without_the_compiler_there_is_one_sentence():
    code = (
        "import runpy, sys; sys.modules['cupy_backends'] = None; "
        "runpy.run_module('tests.support.nvrtc', run_name='__main__')"
    )
    done = run([sys.executable, "-c", code], ROOT)
    sentence = 'error: NVRTC and ptxas are not installed; install them with: pip install -e ".[gpu-check]"\n'
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)
