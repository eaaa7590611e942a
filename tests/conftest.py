"""Fixtures that many tests share: a home of its own, and the host around it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentvm.model import Host


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
