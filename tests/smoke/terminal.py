"""A user at a terminal: types, and reads what comes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shlex
import shutil
import struct
import subprocess
import tempfile
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

    def expect(self, text: bytes, seconds: float = 300) -> bytes:
        """Wait for `text`; what came before it is returned, and is not looked at again."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come, but {self.seen!r}"
            if not self._read():
                raise AssertionError(f"it ended without {text!r}: {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

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


class Screen:
    """A terminal of tmux's: it answers what a program asks its terminal, and knows what the user sees."""

    def __init__(self, tmux: tuple[str, ...]) -> None:
        self._tmux = tmux

    def tell(self, *words: str) -> str:
        return subprocess.run(
            (*self._tmux, *words), capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL
        ).stdout

    def show(self) -> str:
        """The lines that are not empty."""
        return "\n".join(line.rstrip() for line in self.tell("capture-pane", "-p").splitlines() if line.strip())

    def whole(self) -> str:
        """All that was shown since it began, empty lines and what was scrolled away too."""
        lines = [line.rstrip() for line in self.tell("capture-pane", "-p", "-S", "-").splitlines()]
        return "\n".join(lines).strip("\n")

    def type(self, *keys: str) -> None:
        """Keys by tmux's names, or text."""
        for key in keys:
            self.tell("send-keys", key)

    def await_one(self, known: dict[str, str], seconds: float = 900) -> str:
        """Wait until one of these texts is there and stays; the text's name. A | parts alternatives."""
        before = ""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(1)
            flat = " ".join(self.show().split())
            seen = next((name for name, text in known.items() if any(part in flat for part in text.split("|"))), "")
            if seen and seen == before:
                return seen
            before = seen
        raise AssertionError(f"none of {list(known)} came, but:\n{self.show()}")

    def await_end(self, seconds: float = 300) -> None:
        """Wait until the program has ended."""
        deadline = time.monotonic() + seconds
        while self.tell("display-message", "-p", "#{pane_dead}").strip() != "1":
            assert time.monotonic() < deadline, f"it did not end, but shows:\n{self.show()}"
            time.sleep(0.2)


@contextmanager
def screen(argv: Sequence[str], directory: Path, environment: dict[str, str], columns: int = 120) -> Iterator[Screen]:
    """Run a program in a terminal of tmux's, which stays when the program ended, for its last words."""
    assert shutil.which("tmux"), "there is no tmux, which shows what a person would see"
    place = Path(tempfile.mkdtemp())
    config = place / "tmux.conf"
    config.write_text("set -g remain-on-exit on\nset -g default-terminal screen-256color\n")
    tmux = ("tmux", "-f", str(config), "-S", str(place / "socket"))
    made = Screen(tmux)
    start = ("new-session", "-d", "-x", str(columns), "-y", "45", "-c", str(directory), f"exec {shlex.join(argv)}")
    subprocess.run((*tmux, *start), env=environment | {"SHELL": "/bin/sh"}, check=True, timeout=60)
    try:
        yield made
    finally:
        made.tell("kill-server")
        shutil.rmtree(place)
