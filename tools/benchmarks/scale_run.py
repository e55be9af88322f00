"""The processes that tools/scale.py measures in: one alone, and two that mpiexec starts."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from misnet.datasets import DataError
from misnet.tools.benchmarks.turns import THREAD_VARIABLES
from misnet.tools.toolkit import UsageError

__all__ = ["find_mpiexec", "measure", "measure_side_by_side"]

WORKER = Path(__file__).with_name("scale_worker.py")


def find_mpiexec() -> str:
    """Return mpiexec of this Python or of the path; raises UsageError if it or mpi4py is missing."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which("mpiexec", path=places)
    missing = "mpi4py" if importlib.util.find_spec("mpi4py") is None else "mpiexec" if found is None else None
    if missing:
        raise UsageError(
            f'{missing} is not installed, which starts two ranks; install it with: pip install -e ".[mpi]"'
        )
    assert found is not None
    return found


def measure(start: list[str], spec: dict[str, Any]) -> dict[str, Any]:
    """Run the worker and return its figures; raises DataError, with its last words, if it fails."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        line = [*start, sys.executable, str(WORKER), json.dumps(spec | {"output": str(output)})]
        done = subprocess.run(line, capture_output=True, text=True, env=environment)
        if done.returncode or not output.exists():
            said = [text for text in done.stderr.splitlines() if text.startswith("error:")] or done.stderr.splitlines()
            raise DataError(f"measuring with {spec['ranks']} rank(s): {(said or ['no message'])[-1]}")
        return json.loads(output.read_text())


def measure_side_by_side(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of one rank while another works beside it, each by itself: the means of both.

    Two ranks share caches, memory and clock rate, whatever they say to each other; one alone would be too quick.
    """
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: measure([], spec), range(2))
    for mine, other in zip(
        (*first["steps"], first["evaluation"]), (*second["steps"], second["evaluation"]), strict=True
    ):
        for name in {"step_s", "compute_s", "exchange_s", "data_s_per_sample", "seconds"} & mine.keys():
            mine[name] = (mine[name] + other[name]) / 2
    return first


def _rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [*found["steps"], found["evaluation"]]
