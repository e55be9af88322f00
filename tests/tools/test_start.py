"""A tool is there at once: its import, which `--help` waits for, loads nothing that takes long and is seldom used."""

import subprocess
import sys

from tests.test_checkout import TOOLS
from tests.tools.command_line import ROOT, environment

LATER = ("scipy.signal", "scipy.stats", "sklearn", "matplotlib", "numba", "soundfile", "av", "h5py", "torch", "cupy")


def loaded(code):
    """Which of LATER a process has loaded after some code."""
    code = f"import sys\n{code}\nprint(*[name for name in {LATER} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_tools_load_nothing_that_takes_long():
    assert len(TOOLS) > 10
    assert loaded("\n".join(f"import misnet.tools.{tool}" for tool in TOOLS)) == []


def test_the_default_data_load_none_of_it_either_and_one_that_is_loaded_is_seen():
    made = "from misnet.datasets import load_dataset\nload_dataset('dialpad', 'test', size=8)[0]\n"
    assert loaded(made + "import scipy.signal") == ["scipy.signal", "scipy.stats"]
