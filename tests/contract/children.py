"""Children of this process: a session takes over the standard streams, and a kill -9 has to hit somebody."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

_STARTS = frozenset(("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system"))
_listeners: list[Callable[[str, tuple[object, ...]], None]] = []
_installed: list[bool] = []


class Ended(NamedTuple):
    """A child that ended. `status` is negative when a signal ended it."""

    status: int
    out: bytes
    err: bytes


def call_in_child(call: Callable[[], int], stdin: bytes = b"") -> Ended:
    """Call it in a child whose standard streams are files; the child's exit status is what it returns."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source.write(stdin)
        source.seek(0)
        pid = os.fork()
        if pid == 0:
            _become([source.fileno(), out.fileno(), err.fileno()], call)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for file in (out, err):
            file.seek(0)
        return Ended(status, out.read(), err.read())


def _become(streams: list[int], call: Callable[[], int]) -> None:
    """Never returns: what follows in the test is the parent's."""
    status = 99
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        status = call()
    finally:
        if sys.exc_info()[0]:
            os.write(2, traceback.format_exc().encode())
        os._exit(status)


def call_and_kill(call: Callable[[], None], at: Callable[[str, tuple[object, ...]], float | None]) -> bool:
    """Call it in a child that dies, without a chance to clean up, so many seconds after what `at` picks; whether it did.

    `at` is asked about Python's audit events, right before files are opened, renamed and removed, and processes started.
    """

    def arm(event: str, words: tuple[object, ...]) -> None:
        if (delay := at(event, words)) is not None:
            # Nobody handles SIGALRM, so the kernel ends the child as it would for SIGKILL.
            signal.setitimer(signal.ITIMER_REAL, max(delay, 0.0001))
            if not delay:
                signal.pause()

    def run() -> int:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with _listening(arm):
            call()
        return 0

    ended = call_in_child(run)
    assert ended.status in (0, -signal.SIGALRM), ended
    return ended.status != 0


@contextmanager
def started_processes() -> Iterator[list[str]]:
    """The processes that are started meanwhile, by the event that Python's audit has for it."""
    found: list[str] = []
    with _listening(lambda event, words: found.append(f"{event} {words}") if event in _STARTS else None):
        yield found


@contextmanager
def _listening(listener: Callable[[str, tuple[object, ...]], None]) -> Iterator[None]:
    """An audit hook can't be taken away again, so there is one, which asks those who listen now."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(lambda event, words: [tell(event, words) for tell in _listeners] and None)
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
