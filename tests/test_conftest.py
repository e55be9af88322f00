"""The profiles of property tests: other examples at each run, the seed printed, and a run repeated by its seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
TEST = """
from hypothesis import given, settings, strategies as st

@given(st.integers(0, 2**64))
def test_drawn(n):
    print("drawn", n, settings().max_examples)
"""


def examples(folder, *options, profile=None, test=TEST):
    """Run a test suite with the project's conftest; returns (what each example printed, the whole output)."""
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_drawn.py").write_text(test)
    environment = {k: v for k, v in os.environ.items() if k not in ("SNNCORE_EXAMPLES", "CI")}
    environment["PYTHONPATH"] = str(CONFTEST.parents[1])
    if profile is not None:
        environment["SNNCORE_EXAMPLES"] = profile
    command = [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    text = done.stdout + done.stderr
    return [line for line in text.splitlines() if line.startswith("drawn")], text


def test_each_run_draws_others(tmp_path):
    one, _ = examples(tmp_path)
    two, _ = examples(tmp_path)
    assert len(one) == len(two) == 15
    assert one != two


def test_the_seed_is_printed_where_a_failure_is_read_and_repeats_it(tmp_path):
    failing = TEST + "    assert n < 100\n"
    first, text = examples(tmp_path, test=failing)
    seed = text.split("--hypothesis-seed=")[-1].split()[0]
    assert f"property tests: profile default, --hypothesis-seed={seed} repeats them" in text
    assert examples(tmp_path, f"--hypothesis-seed={seed}", test=failing)[0] == first


def test_the_repeatable_profile_draws_the_same(tmp_path):
    one, two = (examples(tmp_path, profile="repeatable")[0] for _ in range(2))
    assert one == two
    assert len(one) == 15


@pytest.mark.slow
def test_the_nightly_profile_draws_thousands(tmp_path):
    drawn, _ = examples(tmp_path, profile="nightly")
    assert len(drawn) == 2000
    assert drawn[0].endswith(" 2000")


@pytest.mark.parametrize("profile", ["", "often"])
def test_a_profile_that_is_none_is_refused(tmp_path, profile):
    drawn, text = examples(tmp_path, profile=profile)
    assert drawn == []
    assert f"SNNCORE_EXAMPLES: expected one of default, nightly, repeatable, found {profile!r}" in text


def test_names_do_not_hold_the_second_in_which_bytes_were_compressed(tmp_path):
    test = """
import gzip, time, pytest

@pytest.mark.parametrize("content", [gzip.compress(str(time.time_ns()).encode()), b"\\\\xff"])
def test_name(content, request):
    print("\\ndrawn", request.node.name)
"""
    one, _ = examples(tmp_path, test=test)
    assert one == ["drawn test_name[content0]", "drawn test_name[content1]"]
