"""The smoke suite: the whole of agentvm on real Lima. It makes virtual machines, so it runs only when it is asked for."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.computer import SWITCH, Computer, find_left, make_computer, remove_computer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(SWITCH) == "1":
        return
    reason = pytest.mark.skip(reason=f"the smoke suite makes virtual machines, so it runs only with {SWITCH}=1")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(reason)


@pytest.fixture(scope="session")
def computer() -> Iterator[Computer]:
    """Removed completely at the end, also after a failure, Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = make_computer()
    if not shutil.which(made.limactl):
        pytest.fail(f"there is no {made.limactl}: the smoke suite needs Lima")
    try:
        yield made
    finally:
        remove_computer(made)
    assert find_left(made) == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each stage: what was shown, and how long it took with its preparation."""
    reports = [report for found in terminalreporter.stats.values() for report in found]
    ours = [report for report in reports if isinstance(report, pytest.TestReport) and "tests/smoke/" in report.nodeid]
    for shown in (report for report in ours if report.when == "call"):
        seconds = sum(report.duration for report in ours if report.nodeid == shown.nodeid)
        stage = shown.nodeid.partition("::test_")[2].replace("_", " ")
        terminalreporter.write_line(f"smoke: {seconds:6.1f} s  {shown.outcome}  {stage}")
