"""Where the peers are said to be installed, a test file that is skipped since one is missing is a failure."""

import os

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.skipped and os.environ.get("SNNCORE_PEERS") == "installed":
        report.outcome, report.longrepr = "failed", f"{collector.nodeid}: skipped, though its peers are installed"
    return report
