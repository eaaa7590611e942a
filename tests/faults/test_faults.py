"""Every plan, with a fault at every place: the same command again ends well, nothing is lost and nothing left over.

How many places there are is found out by running: the first run that no fault hits was one too far.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from agentvm.backend import Backend
from tests.faults.attempt import Ended, Told
from tests.faults.faulty import Break, Faulty, die, die_at_change, fail, fill_disk_at_change, hang
from tests.faults.scenes import Computer
from tests.tables import Record

pytestmark = pytest.mark.faults
Try = Callable[[int], Ended]


def test_a_backend_that_fails(computer: Computer, record: Record) -> None:
    _survey(computer, record, "the backend fails", [_at_effect(computer, after, fail) for after in (False, True)], {1})


def test_a_backend_that_hangs_until_ctrl_c(computer: Computer, record: Record) -> None:
    tries = [_at_effect(computer, after, hang) for after in (False, True)]
    _survey(computer, record, "the backend hangs, Ctrl-C", tries, {130})


def test_killed_at_any_effect(computer: Computer, record: Record) -> None:
    tries = [_at_effect(computer, after, die) for after in (False, True)]
    _survey(computer, record, "kill -9 at an effect", tries, {-signal.SIGKILL})


def test_killed_at_any_change_of_a_file(computer: Computer, record: Record) -> None:
    _survey(computer, record, "kill -9 at a change of a file", [_at_change(computer, die_at_change)], {-signal.SIGKILL})


def test_a_full_disk(computer: Computer, record: Record) -> None:
    """What a program in the guest makes of its full disk is its own business, so any status will do but a bug's."""
    tries = [_at_change(computer, fill_disk_at_change)]
    _survey(computer, record, "the disk is full", tries, set(range(256)) - {3, 99})


def _at_effect(computer: Computer, after: bool, breaks: Break) -> Callable[[int], Ended]:
    def run(number: int) -> Ended:
        def prepare(told: Told) -> Callable[[Backend], Backend]:
            def tell() -> None:
                told()
                breaks()

            return lambda backend: Faulty(backend, number, after, tell)

        return computer.attempt(prepare, interrupt=breaks is hang)

    return run


def _at_change(computer: Computer, arm: Callable[[int, Told], None]) -> Callable[[int], Ended]:
    def run(number: int) -> Ended:
        def prepare(told: Told) -> Callable[[Backend], Backend]:
            arm(number, told)
            return lambda backend: backend

        return computer.attempt(prepare)

    return run


def _survey(computer: Computer, record: Record, fault: str, tries: list[Try], expected: set[int]) -> None:
    """Try each at each place, and record how often all was well in the end."""
    tried, failed = 0, []
    for run in tries:
        number = 1
        while problems := _try(computer, run, number, expected):
            tried, number = tried + 1, number + 1
            failed += [problem for problem in problems if problem]
    record(f"{computer.scene.plan}: {fault}", "nothing lost" if not failed else failed[0], tried, tried - len(failed))
    assert tried, "no fault came"
    assert not failed, "\n".join(failed)


def _try(computer: Computer, run: Try, number: int, expected: set[int]) -> list[str]:
    """What is wrong after a fault at this place and the same command again, in one string; nothing when no fault came."""
    computer.rewind()
    ended = run(number)
    if not ended.fault:
        return []
    again = computer.attempt()
    found = computer.problems()
    if ended.status not in expected or "Traceback" in ended.said:
        found.append(f"it ended with {ended.status}: {ended.said}")
    if again.status != 0:
        found.append(f"the same again ended with {again.status}: {again.said}")
    return [f"{number}: {'; '.join(found)}" if found else ""]
