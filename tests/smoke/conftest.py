"""The smoke suite: the whole of agentvm on real Lima. It makes virtual machines, so it runs only when it is asked for."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.computer import KEPT_PREFIX, SWITCH, Computer, find_left, make_computer, remove_computer

FOREIGN = "foreign-1a2b3c4d"
"""The name, after the prefix, of an instance that looks like a project's and is not agentvm's."""


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A line for each stage as soon as it is over: what was shown, and how long it took with its preparation."""
    begin, failed = time.monotonic(), item.session.testsfailed
    done = yield
    reporter = item.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get(SWITCH) == "1" and isinstance(reporter, pytest.TerminalReporter):
        outcome = "failed" if item.session.testsfailed > failed else "shown"
        stage = item.name.removeprefix("test_").replace("_", " ")
        reporter.write_line(f"\nsmoke: {time.monotonic() - begin:6.1f} s  {outcome}: {stage}")
    return done
