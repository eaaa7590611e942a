"""Tests with the real agents, offline, in throw-away homes. `python3 build.py agents` installs them and runs these."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.agents.machines import SWITCH, Machines, make_machines

collect_ignore_glob = [] if SWITCH in os.environ else ["test_*.py"]


@pytest.fixture
def machines() -> Iterator[Machines]:
    with make_machines() as made:
        yield made
