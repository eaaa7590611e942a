"""What agentvm says of a bug of its own where it can't keep the traceback in a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from agentvm.backend import Backend
from tests.faults.attempt import Told, attempt
from tests.faults.faulty import fill_disk_at_change


def test_a_bug_on_a_full_disk_is_told_whole(home: Path) -> None:
    def prepare(told: Told) -> Callable[[Backend], Backend]:
        fill_disk_at_change(1, told)
        return _mistake

    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "AGENTVM_BACKEND": "fake"}
    ended = attempt(("list",), str(home), environment, prepare)
    assert ended.fault
    assert ended.status == 3
    assert "this is a bug in agentvm: LookupError('mistaken')" in ended.said
    assert "in _mistake" in ended.said


def _mistake(backend: Backend) -> Backend:
    raise LookupError("mistaken")
