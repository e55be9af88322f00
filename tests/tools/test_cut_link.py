"""Two hosts, made of two network namespaces and a virtual cable, which is cut while they train."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snncore.checkpoint import load_checkpoint
from tests.tools.command_line import TINY, command, environment

pytest.importorskip("mpi4py", reason="needs mpi4py and an MPI: pip install mpi4py mpich")
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
LINK = "cable0"  # the name of either end
BY_LINK = {  # without these MPICH hands arrays over in memory, whatever the namespaces are
    "MPIR_CVAR_NOLOCAL": "1",
    "UCX_TLS": "tcp,self",
    "UCX_NET_DEVICES": LINK,
}
LIMIT = 10  # seconds that a rank waits: more than one begins after the other


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def hosts():
    """Names of two namespaces with a cable between them."""
    names = [f"snn{os.getpid()}{end}" for end in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", LINK, "netns", names[0], "type", "veth", "peer", "name", LINK, "netns", names[1])
        for k, name in enumerate(names, 1):
            ip("-n", name, "addr", "add", f"10.99.0.{k}/24", "dev", LINK)
            for device in ("lo", LINK):
                ip("-n", name, "link", "set", device, "up")
        deadline = time.monotonic() + 60
        while not all(" state UP " in ip("-n", name, "link", "show", LINK) for name in names):  # which takes a moment
            assert time.monotonic() < deadline, "the cable does not come up"
            time.sleep(0.01)
        yield names
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"network namespaces cannot be made here: {error}")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def bytes_sent(host):
    with_numbers = ip("-n", host, "-s", "link", "show", LINK).splitlines()
    return int(with_numbers[with_numbers.index(next(line for line in with_numbers if "TX:" in line)) + 1].split()[0])


@pytest.mark.slow
@pytest.mark.skipif(MPIEXEC is None or shutil.which("ip") is None, reason="needs mpiexec (pip install mpich) and ip")
def test_a_link_that_is_cut_ends_the_job_named_and_the_checkpoint_is_whole(hosts, tmp_path):
    folder = tmp_path / "run"
    train = command("train", *TINY, "--epochs", "500", "--output-dir", folder)
    line = [
        word
        for k, host in enumerate(hosts)
        for word in (*([":"] if k else []), "-n", "1", "ip", "netns", "exec", host, *train)
    ]
    plain = {"SNNCORE_KERNELS": "reference", "NUMBA_NUM_THREADS": "1", "SNNCORE_COMM_TIMEOUT": str(LIMIT)}
    job = subprocess.Popen(
        [MPIEXEC, *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment() | plain | BY_LINK,
    )
    try:
        said = []
        for text in job.stdout:
            said.append(text)
            if text.startswith("epoch 2/"):
                break
        assert job.poll() is None, "".join(said)
        gradients = 4 * 2000  # bytes of a step, and less than the network has
        assert bytes_sent(hosts[0]) > 8 * gradients  # the cable has them: 4 steps an epoch
        ip("-n", hosts[1], "link", "set", LINK, "down")
        out, _ = job.communicate(timeout=300)
    finally:
        job.kill()
    assert job.returncode != 0
    waited = re.search(r"waited (\d+) s for the other ranks", out)
    assert waited, out
    assert int(waited[1]) >= LIMIT
    assert "one of them hangs or is cut off" in out
    _, metadata = load_checkpoint(folder / "last.safetensors")
    assert metadata["epoch"] >= 2
