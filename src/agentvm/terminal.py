"""The user's terminal, lent to a program that runs elsewhere and always taken back.

A program with a terminal gets one of its own, and agentvm carries bytes between the two. So the user's terminal is
restored whatever happens to the program, its window size is followed, and Ctrl-Z can suspend agentvm: while it is
suspended nobody reads the keyboard. (A shared ssh connection would: its master holds the terminal and reads on.)

At every end, and while it is suspended, the terminal is as it was: its driver's settings, and the modes that the program
set in it and did not reset. Only SIGKILL to agentvm itself leaves both as they are, since nothing can run then: the shell
is without echo, and what `reset` (or `stty sane`, then Ctrl-J) mends is left to the user. The program ends all the same:
its connection is gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable

from agentvm.modes import Modes
from agentvm.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    # What signal is made of: that makes enums of its numbers first.
    import _signal as signal

Streams = tuple[int, int, int]
_STDIN, _STDOUT, _STDERR = 0, 1, 2
_INPUT, _OUTPUT = 1, 2
_GRACE = 5.0
"""Seconds that a program has to end after a signal before the connection to it is cut."""


class Guest(NamedTuple):
    """How to start the program that takes the streams, and how to send it a signal ("INT") past the streams."""

    spawn: Callable[[Streams], int]
    signal: Callable[[str], bool]


def attend(guest: Guest, terminal: bool, suspended: bytes) -> int:
    """Give the program the user's streams until it ends, and return its exit status (128 + n after signal n).

    `suspended` is what it prints when Ctrl-Z stopped it.
    """
    if terminal:
        return _Lent(guest, suspended).attend()
    if os.isatty(_STDIN):
        return _Typed(guest).attend()
    return _Direct(guest).attend()


def window_size(descriptor: int) -> bytes:
    """The size of a terminal in the kernel's own form."""
    return fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))


class _Relay:
    """Bytes on their way from one descriptor to another that may be slow to take them."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self.pending = b""
        self.open = True

    def read(self) -> bytes:
        try:
            data = os.read(self.source, 65536)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self.open = False
        return data

    def flush(self) -> None:
        try:
            self.pending = self.pending[os.write(self.sink, self.pending) :]
        except BlockingIOError:
            pass
        except OSError:
            self.pending, self.open = b"", False


class _Direct:
    """The program has the streams themselves; agentvm only looks after signals."""

    signals: tuple[int, ...] = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._status: int | None = None
        self._deadline: float | None = None
        self._asked = 0
        """The signal that agentvm itself was asked to end by."""
        self._was_cut = False

    def attend(self) -> int:
        self._wake, wake = os.pipe()
        for descriptor in (self._wake, wake):
            os.set_blocking(descriptor, False)
        handlers = {number: signal.signal(number, _ignore) for number in self.signals}
        before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        try:
            # Only now: a signal that comes right after the start must reach the program too.
            self._pid = self._guest.spawn(self._streams())
            self._loop()
        finally:
            # Still with our handlers: a signal that ended agentvm here would leave the terminal as it is.
            self._give_back()
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(self._wake)
            os.close(wake)
        assert self._status is not None
        return 128 + self._asked if self._asked and self._status < 0 else _exit_status(self._status)

    def _streams(self) -> Streams:
        return (_STDIN, _STDOUT, _STDERR)

    def _give_back(self) -> None:
        """Leave the terminal as it was found."""

    def _loop(self) -> None:
        self._reap()
        while self._status is None:
            self._wait()
            self._answer()
            self._cut_if_late()

    def _wait(self) -> None:
        self._poll({self._wake: _INPUT}, self._timeout())

    def _poll(self, interest: dict[int, int], timeout: float | None) -> dict[int, int]:
        """What became possible on which descriptors. By select(2): on macOS, poll(2) does not know terminals."""
        inputs = [descriptor for descriptor, wanted in interest.items() if wanted & _INPUT]
        outputs = [descriptor for descriptor, wanted in interest.items() if wanted & _OUTPUT]
        readable, writable, _ = select.select(inputs, outputs, (), timeout)
        ready = dict.fromkeys(writable, _OUTPUT)
        return ready | {descriptor: _INPUT | ready.get(descriptor, 0) for descriptor in readable}

    def _answer(self) -> None:
        """Do what the signals that arrived ask for."""
        try:
            arrived = os.read(self._wake, 512)
        except BlockingIOError:
            return
        for number in arrived:
            self._handle(number)

    def _handle(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGTSTP:
            self._suspend()
        else:
            self._interrupt(number)

    def _interrupt(self, number: int) -> None:
        """Hand a signal on to the program; the second one, or one that can't reach it, cuts the connection."""
        if self._asked or not self._guest.signal(_NAMES[number]):
            self._cut()
        self._asked = number
        if number != signal.SIGINT and self._deadline is None:
            self._deadline = _now() + _GRACE

    def _suspend(self) -> None:
        self._guest.signal("STOP")
        os.kill(os.getpid(), signal.SIGSTOP)
        self._guest.signal("CONT")

    def _timeout(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - _now())

    def _cut_if_late(self) -> None:
        if self._deadline is not None and _now() >= self._deadline:
            self._deadline = None
            self._cut()

    def _cut(self) -> None:
        """End what holds the connection, and by force when it goes on nevertheless."""
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL if self._was_cut else signal.SIGTERM)
            self._was_cut = True
            self._deadline = _now() + _GRACE

    def _reap(self) -> None:
        if self._status is not None:
            # More than one child ended at once: the other one carried a signal.
            return
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            self._status = os.waitstatus_to_exitcode(status)


class _Typed(_Direct):
    """Standard input is a terminal and standard output is not: agentvm reads the keyboard, as long as it may."""

    def _streams(self) -> Streams:
        self._pipe, sink = os.pipe()
        os.set_blocking(sink, False)
        self._input = _Relay(_STDIN, sink)
        return (self._pipe, _STDOUT, _STDERR)

    def _loop(self) -> None:
        os.close(self._pipe)
        super()._loop()

    def _wait(self) -> None:
        relay, interest = self._input, {self._wake: _INPUT}
        timeout = self._timeout()
        if relay.pending:
            interest[relay.sink] = _OUTPUT
        elif relay.open and _in_foreground():
            interest[_STDIN] = _INPUT
        elif relay.open:
            timeout = min(timeout or 1.0, 1.0)
        ready = self._poll(interest, timeout)
        if relay.sink in ready:
            relay.flush()
        elif _STDIN in ready:
            relay.pending = relay.read()
            relay.flush()
        if not relay.open and relay.sink >= 0:
            os.close(relay.sink)
            relay.sink = -1


class _Lent(_Direct):
    """The program has a terminal of its own, and agentvm carries bytes, size and suspension between it and the user's."""

    signals = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)

    def __init__(self, guest: Guest, suspended: bytes) -> None:
        super().__init__(guest)
        self._mark = suspended
        self._held = b""
        """The end of the output that may be the beginning of the mark."""
        self._modes = Modes()
        self._taken = False

    def attend(self) -> int:
        self._settings = termios.tcgetattr(_STDIN)
        self._master, self._slave = os.openpty()
        termios.tcsetattr(self._slave, termios.TCSANOW, self._settings)
        os.set_blocking(self._master, False)
        self._input = _Relay(_STDIN, self._master)
        self._output = _Relay(self._master, _STDOUT)
        try:
            return super().attend()
        finally:
            os.close(self._master)

    def _streams(self) -> Streams:
        self._take()
        self._resize()
        return (self._slave, self._slave, _STDERR)

    def _loop(self) -> None:
        os.close(self._slave)
        super()._loop()
        while data := self._output.read():
            self._show(data)
        self._print(self._held)

    def _wait(self) -> None:
        interest = {self._wake: _INPUT}
        if self._output.open:
            interest[self._master] = _INPUT
        if self._input.pending:
            interest[self._master] = interest.get(self._master, 0) | _OUTPUT
        elif self._input.open and self._taken:
            interest[_STDIN] = _INPUT
        ready = self._poll(interest, self._timeout())
        if _STDIN in ready:
            self._input.pending = self._input.read()
        if self._input.pending:
            self._input.flush()
        if ready.get(self._master, 0) & _INPUT:
            self._show(self._output.read())

    def _handle(self, number: int) -> None:
        if number == signal.SIGWINCH:
            self._resize()
            self._tell()
        else:
            super()._handle(number)

    def _interrupt(self, number: int) -> None:
        """Without its terminal the program gets SIGHUP from its own kernel."""
        self._asked = number
        self._cut()

    def _show(self, data: bytes) -> None:
        pieces, self._held = split_at(self._mark, self._held + data)
        self._print(pieces[0])
        for piece in pieces[1:]:
            self._suspend()
            self._print(piece)

    def _print(self, data: bytes) -> None:
        """What comes while the terminal is the shell's again is nobody's: agentvm was told to end while it was stopped."""
        if self._taken:
            _write(data)
            self._modes.feed(data)

    def _suspend(self) -> None:
        """Stop as a local program would: the shell gets the terminal as it was, and `fg` goes on here."""
        self._give_back()
        os.kill(0, signal.SIGTSTP)
        if self._come_back():
            # The program in the guest believes that its modes are set. One that resets them itself when it is stopped
            # left none, and sets them again itself; one that never knew is asked to draw by its window's size.
            _write(self._modes.redo())
            self._resize()
            self._tell()
            self._input.pending += b"\n"

    def _come_back(self) -> bool:
        """Take the terminal again, unless a signal ended the session meanwhile (`kill %1`): then it is the shell's.

        In the background (`bg`), taking it stops agentvm once more. An end that was asked for interrupts that.
        """
        while True:
            self._answer()
            if self._asked:
                return False
            try:
                self._take()
                return True
            except termios.error as problem:
                if problem.args[0] != errno.EINTR:
                    # The terminal is gone, or out of reach for ever.
                    self._interrupt(signal.SIGHUP)

    def _tell(self) -> None:
        """The kernel tells nobody of a new size: the program's terminal is not its controlling one."""
        if self._status is None:
            os.kill(self._pid, signal.SIGWINCH)

    def _take(self) -> None:
        modes = termios.tcgetattr(_STDIN)
        modes[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.INPCK | termios.ISTRIP)
        modes[0] &= ~(termios.IXON | termios.IXOFF | termios.PARMRK | termios.IGNBRK)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, modes)
        self._taken = True

    def _give_back(self) -> None:
        if self._taken:
            _write(self._modes.undo())
            _restore(self._settings)
            self._taken = False

    def _resize(self) -> None:
        size = window_size(_STDIN)
        rows, columns, _, _ = struct.unpack("HHHH", size)
        if rows or columns:
            self._modes.resize(rows)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)


_NAMES: dict[int, str] = {signal.SIGINT: "INT", signal.SIGTERM: "TERM", signal.SIGHUP: "HUP"}


def _ignore(number: int, frame: object) -> None:
    """The loop is woken by the descriptor; Python only needs a handler that is not the default."""


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(_STDIN) == os.getpgrp()
    except OSError:
        return False


def split_at(mark: bytes, data: bytes) -> tuple[list[bytes], bytes]:
    """What is between the marks, and the end of the data that may be the beginning of one more."""
    pieces = data.split(mark) if mark else [data]
    keep = _overlap(pieces[-1], mark)
    held = pieces[-1][len(pieces[-1]) - keep :]
    pieces[-1] = pieces[-1][: len(pieces[-1]) - keep]
    return pieces, held


def _overlap(data: bytes, mark: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of `mark`."""
    at = data.find(mark[:1], max(0, len(data) - len(mark) + 1)) if mark else -1
    while at >= 0 and not mark.startswith(data[at:]):
        at = data.find(mark[:1], at + 1)
    return len(data) - at if at >= 0 else 0


def _restore(settings: list[Any]) -> None:
    while True:
        try:
            return termios.tcsetattr(_STDIN, termios.TCSADRAIN, settings)
        except termios.error as problem:
            if problem.args[0] != errno.EINTR:
                # The terminal is gone: its window was closed.
                return None


def _write(data: bytes) -> None:
    """All of it; a terminal that went away takes nothing more, and the program learns it by itself."""
    try:
        while data:
            data = data[os.write(_STDOUT, data) :]
    except OSError:
        pass


def _exit_status(status: int) -> int:
    return status if status >= 0 else 128 - status


def _now() -> float:
    import time

    return time.monotonic()
