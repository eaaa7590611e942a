"""The smoke suite: the whole of agentvm on real Lima. It makes virtual machines, so it runs only when it is asked for.

Which module runs after which is the workers' chance. So each has a user of its own, and a base as `base init` makes it:
who changes the base asks for `own_base`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.computer import (
    DOWNLOADS,
    KEPT_PREFIX,
    RUN,
    SWITCH,
    VIRTIOFSD,
    Computer,
    find_left,
    make_computer,
    remove_base,
    remove_computer,
    sweep,
)

LONGEST = ["test_home", "test_lifecycle", "test_attacks", "test_faults", "test_care", "test_modes", "test_crowd"]
"""Modules that take five minutes and more under emulation; they begin first, so that no worker waits for another's."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))
    if os.environ.get(SWITCH) == "1":
        return
    reason = pytest.mark.skip(reason=f"the smoke suite makes virtual machines, so it runs only with {SWITCH}=1")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(reason)


@pytest.fixture(scope="session")
def machine() -> Iterator[Computer]:
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


@pytest.fixture(scope="module")
def computer(machine: Computer, request: pytest.FixtureRequest) -> Computer:
    """The machine for the module's own user."""
    user = Computer(machine.directory, machine.prefix, request.path.stem)
    user.borrow(VIRTIOFSD, *DOWNLOADS)
    return user


@pytest.fixture(scope="module")
def base(computer: Computer) -> str:
    """The base, which modules share that do not change it."""
    computer.ok(computer.directory, "base", "init")
    return f"{computer.prefix}-base"


@pytest.fixture(scope="module")
def own_base(computer: Computer, base: str) -> Iterator[str]:
    """The base, for a module that changes it."""
    yield base
    remove_base(computer)


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
