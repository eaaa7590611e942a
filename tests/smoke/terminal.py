"""A user at a terminal: types, and reads what comes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SIZE = (37, 113)
"""Rows and columns that nobody has by default."""


class Terminal:
    def __init__(self, descriptor: int, pid: int) -> None:
        self._descriptor = descriptor
        self._pid = pid
        self.seen = b""

    def type(self, text: bytes) -> None:
        os.write(self._descriptor, text)

    def expect(self, text: bytes, seconds: float = 60) -> bytes:
        """Wait for `text`; what came before it is returned, and is not looked at again."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come, but {self.seen!r}"
            if not self._read():
                raise AssertionError(f"it ended without {text!r}: {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before

    def rest(self) -> bytes:
        """All that still comes, until the program ended."""
        while self._read():
            pass
        return self.seen

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self) -> bool:
        """Whether more may come. The end is an error on Linux, and no data on macOS."""
        if not select.select([self._descriptor], [], [], 1)[0]:
            return True
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:
            return False
        self.seen += data
        return bool(data)


@contextmanager
def terminal(argv: Sequence[str], directory: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    """Run a program in a terminal of SIZE; hanging up ends it."""
    pid, descriptor = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        os.chdir(directory)
        os.execvpe(argv[0], list(argv), environment)
    try:
        yield Terminal(descriptor, pid)
    finally:
        os.close(descriptor)
