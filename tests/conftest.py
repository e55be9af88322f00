"""How many examples property tests draw, and which: `SNNCORE_EXAMPLES` names one of three profiles.

- `default`: 15 examples, others at each run; the seed is printed, and `--hypothesis-seed` repeats a run.
- `nightly`: 2,000 examples; a test that wants more or fewer says how many times `settings().max_examples`.
- `repeatable`: the same 15 at each run, as in `.ci/run`: a change is refused for what it changed.
"""

import gc
import os
import secrets
import sys

import pytest
from hypothesis import HealthCheck, core, settings
from hypothesis.internal.entropy import deterministic_PRNG

from snncore import manual_seed
from tests import ALONE

PROFILES = {
    "default": {"max_examples": 15},
    "nightly": {"max_examples": 2000},
    "repeatable": {"max_examples": 15, "derandomize": True},
}
NAME = os.environ.get("SNNCORE_EXAMPLES", "default")

for name, profile in PROFILES.items():  # no files, and no clock: the first example may compile kernels
    settings.register_profile(
        name, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow], **profile
    )
if NAME not in PROFILES:
    raise pytest.UsageError(f"SNNCORE_EXAMPLES: expected one of {', '.join(PROFILES)}, found {NAME!r}")
settings.load_profile(NAME)


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    """Draw the seed that Hypothesis would draw unseen, unless one is given."""
    if core.global_force_seed is None:
        core.global_force_seed = secrets.randbelow(2**32)


def pytest_collection_finish(session):
    """Keep the garbage collector off what collecting made: a million objects, which tests that collect would walk."""
    with deterministic_PRNG():
        pass  # Hypothesis takes charge of NumPy's generator, and asks the collector who else holds it: not later
    gc.collect()
    gc.freeze()


def seed_line():
    return f"property tests: profile {NAME}" + (
        "" if NAME == "repeatable" else f", --hypothesis-seed={core.global_force_seed} repeats them"
    )


def pytest_report_header(config):
    return seed_line()


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Say it again where a failure is read; the header is far away, or hidden by -q."""
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        terminalreporter.write_line(seed_line())


def pytest_make_parametrize_id(val, argname):
    """No bytes in names: those of gzip hold the second they were made in, and two workers must collect the same."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def fresh_weights():
    """Layers made without `rng` draw the same weights whichever tests ran before."""
    manual_seed(0)


@pytest.fixture(autouse=True)
def same_environment():
    """No test leaves what kernels ask changed: Numba looks when it compiles, and refuses another number of threads."""

    def asked():
        return {name: value for name, value in os.environ.items() if name.startswith(("NUMBA_", "OMP_", "SNNCORE_"))}

    before = asked()
    yield
    assert asked() == before


@pytest.fixture(autouse=True)
def one_thread_of_kernels():
    """Beside other workers compiled kernels run on one thread, from the first test on that finds them imported."""
    kernels = sys.modules.get("snncore.kernels.cpu.threads")
    if kernels is not None and not ALONE:
        kernels.one_at_a_time()  # starts the threads
        kernels.numba.set_num_threads(1)
