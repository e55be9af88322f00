"""Tests, one file for each file of the project.

Beside other workers (`pytest -n`) a process keeps to one thread: threads that wait for one another, on cores which
others use, spend most of their time waiting. Tests of threads ask for as many as they want.
"""

import os

ALONE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) == 1

if not ALONE:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported, and by programs that tests start
