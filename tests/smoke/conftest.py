"""The smoke suite: the whole of agentvm on real Lima. It makes virtual machines, so it runs only when it is asked for."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.computer import KEPT_PREFIX, RUN, SWITCH, Computer, find_left, make_computer, remove_computer, sweep

FOREIGN = "foreign-1a2b3c4d"
"""The name, after the prefix, of an instance that looks like a project's and is not agentvm's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The story of test_lifecycle ends with everything gone, the base included.
    items.sort(key=lambda item: item.path.name == "test_lifecycle.py")
    if os.environ.get(SWITCH) == "1":
        return
    reason = pytest.mark.skip(reason=f"the smoke suite makes virtual machines, so it runs only with {SWITCH}=1")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(reason)


@pytest.fixture(scope="session")
def computer() -> Iterator[Computer]:
    """Removed completely at the end, also after a failure, Ctrl-C or SIGTERM."""
    limactl = os.environ.get("AGENTVM_LIMACTL", "limactl")
    if not shutil.which(limactl):
        pytest.fail(f"there is no {limactl}: the smoke suite needs Lima")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    made = make_computer()
    try:
        yield made
    finally:
        remove_computer(made)
    assert find_left(made) == []


@pytest.fixture(scope="session")
def foreign(computer: Computer) -> str:
    """Somebody else's instance, whose name looks like one of ours."""
    name = f"{computer.prefix}-{FOREIGN}"
    template = computer.environment.get("AGENTVM_BASE_TEMPLATE", "template:_images/ubuntu-24.04")
    computer.lima("create", "--tty=false", "--name", name, template)
    return name


@pytest.fixture(scope="session")
def base(computer: Computer, foreign: str) -> str:
    """The base, after its making was killed while it started and while it was provisioned."""
    name = f"{computer.prefix}-base"
    if os.environ.get(KEPT_PREFIX):
        computer.ok(computer.directory, "base", "init")
        return name
    computer.kill_at(computer.directory, f"start {name}", "base", "init", later=5)
    computer.kill_at(computer.directory, "[2/", "base", "init", later=3)
    computer.ok(computer.directory, "base", "init")
    return name


class Stages:
    """A line for each stage as soon as it is over: what was shown, and how long it took with its preparation."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        if report.failed:
            self._failed.add(report.nodeid)
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.when == "teardown" and isinstance(terminal, pytest.TerminalReporter):
            outcome = "failed" if report.nodeid in self._failed else "shown"
            stage = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
            terminal.write_line(f"\nsmoke: {self._seconds[report.nodeid]:6.1f} s  {outcome}: {stage}")


def pytest_configure(config: pytest.Config) -> None:
    """One name for the run in all its processes, of which the first one starts here."""
    os.environ.setdefault(RUN, f"s{secrets.token_hex(2)}")
    if os.environ.get(SWITCH) == "1":
        config.pluginmanager.register(Stages(config))


def pytest_unconfigure(config: pytest.Config) -> None:
    if os.environ.get(SWITCH) == "1" and "PYTEST_XDIST_WORKER" not in os.environ and KEPT_PREFIX not in os.environ:
        sweep(os.environ[RUN])
