"""Fixtures that many tests share: a home of its own, and the host around it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from agentvm.model import Host

pytest_plugins = ("tests.tables",)


def pytest_configure() -> None:
    """Children inherit ignored signals, as from nohup or a shell's `&`; then nothing could be interrupted or hung up."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home directory, by its real path."""
    directory = Path(os.path.realpath(tmp_path)) / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def host(home: Path) -> Host:
    """A Linux host on which no setting is made and nothing is a terminal."""
    return Host(
        environment={"HOME": str(home), "PATH": os.environ["PATH"]},
        home=str(home),
        directory=str(home),
        platform="linux",
        user=1000,
        stdin_terminal=False,
        stdout_terminal=False,
        stderr_terminal=False,
    )
