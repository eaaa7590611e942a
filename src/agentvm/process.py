"""The only starter of processes. Every child gets a list of words, a built environment and an own process group."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from agentvm.errors import Error
from agentvm.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import subprocess
else:
    # What signal is made of: that makes enums of its numbers first.
    import _signal as signal

Environment = Mapping[str, str]
# The program itself does not get the descriptor: what it leaves in the background would hold the lock for ever. Its time is
# limited here, too, since agentvm may be killed before it is over.
_HOLDER = """\
import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
signal.alarm(int(sys.argv[2]))
pid = os.posix_spawnp(sys.argv[3], sys.argv[3:], os.environ,
    file_actions=[(os.POSIX_SPAWN_CLOSE, int(sys.argv[1]))], setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(status if status >= 0 else 128 - status)"""
_ON_TERMINAL = """\
import os, sys, fcntl, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])"""
_LARGEST = 10_000_000
"""Bytes that are collected of what a pending program says: it may be about a file that a guest wrote."""
_COMPLAINTS = 10_000
"""Bytes that are kept of what a piped program says on its standard error."""
_GRACE = 5.0
"""Seconds between asking a child to end and killing it."""


class Completed(NamedTuple):
    status: int
    stdout: bytes
    stderr: bytes


class Missing(Error):
    """The program is not there."""


class TooSlow(Error):
    """A process that did not end in its time; it was killed."""


def run(
    argv: Sequence[str],
    environment: Environment,
    *,
    timeout: float,
    stdin: bytes = b"",
    directory: str | None = None,
    held: int | None = None,
) -> Completed:
    """Run a program to its end and return what it said. Raises Error if it isn't there, TooSlow after `timeout` seconds.

    `held` is a descriptor with a lock on it: it stays open as long as the program runs, even when agentvm is killed.
    """
    import subprocess

    limit = str(int(timeout + _GRACE) + 1)
    words = argv if held is None else (sys.executable, "-I", "-S", "-c", _HOLDER, str(held), limit, *argv)
    with _start(words, environment, directory, subprocess.PIPE, held=held) as process, _limited(process, argv, timeout):
        stdout, stderr = process.communicate(stdin, timeout)
    return Completed(process.returncode, stdout, stderr)


def stream(
    argv: Sequence[str],
    environment: Environment,
    output: Callable[[bytes], None],
    *,
    timeout: float,
    stdin: bytes = b"",
) -> int:
    """Run a program, handing both its output streams to `output` as they come; returns its exit status. Raises like `run`."""
    import subprocess
    import threading

    process = _start(argv, environment, None, subprocess.STDOUT)
    assert process.stdin
    assert process.stdout
    deadline = time.monotonic() + timeout
    with _limited(process, argv, timeout):
        threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True).start()
        with process.stdout:
            while data := _read(process.stdout.fileno(), deadline):
                output(data)
        process.wait(max(0.0, deadline - time.monotonic()))
    return process.returncode


def _read(descriptor: int, deadline: float) -> bytes:
    """What comes before the deadline, else TimeoutExpired. Killing the child is not enough to see an end: ssh hands its
    streams to its master, which keeps them open as long as the program in the guest runs."""
    import select
    import subprocess

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise subprocess.TimeoutExpired((), 0)
    return os.read(descriptor, 65536)


class Piped:
    """A program whose standard input and output are at hand while it runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        import io
        import threading

        assert process.stdin
        assert isinstance(process.stdout, io.BufferedReader)
        assert process.stderr
        self.stdin = process.stdin
        self.stdout = process.stdout
        self._stderr = process.stderr
        self._process = process
        self._said = bytearray()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def finish(self, timeout: float | None = None) -> Completed:
        """End its input, and wait for it, perhaps not for ever. Its output must have been read, or is not wanted any more."""
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.close()
        status = self._process.wait(timeout)
        # Not for ever: ssh's master may keep the stream open.
        self._listener.join(_GRACE)
        return Completed(status, b"", bytes(self._said))

    def close(self) -> None:
        """Let go of its streams, whatever is still in them."""
        with suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.close()
        self._listener.join(_GRACE)
        self._stderr.close()

    def _listen(self) -> None:
        """Have it never wait for somebody to read its complaints; the first of them are kept."""
        while data := os.read(self._stderr.fileno(), 65536):
            self._said += data[: _COMPLAINTS - len(self._said)]


@contextmanager
def piped(argv: Sequence[str], environment: Environment) -> Iterator[Piped]:
    """Run a program for the time of the block. Raises Error if it isn't there."""
    import subprocess

    process = _start(argv, environment, None, subprocess.PIPE)
    program = Piped(process)
    try:
        yield program
    finally:
        if process.poll() is None:
            _end(process)
        program.close()


def connect(
    source: Sequence[str],
    target: Sequence[str],
    environment: Environment,
    passed: Callable[[int], None],
    *,
    patience: float,
) -> tuple[Completed, Completed]:
    """Run two programs, what the first one prints being the second one's input, and return what they complained of.

    `passed` is told how many bytes passed so far. Raises Error when one isn't there, TooSlow when nothing moved for
    `patience` seconds.
    """
    import subprocess

    try:
        with piped(source, environment) as first, piped(target, environment) as second:
            first.stdin.close()
            with suppress(BrokenPipeError):
                _pour(first.stdout.fileno(), second.stdin.fileno(), passed, patience)
            # Whoever goes on alone is told so: the second one by the end of its input, the first one by a broken pipe.
            taken, given = second.finish(patience), first.finish(patience)
    except subprocess.TimeoutExpired:
        ends = " to ".join(f"`{' '.join(argv[:3])}`" for argv in (source, target))
        raise TooSlow(f"Nothing went from {ends} for {patience:.0f} seconds, so both were stopped.") from None
    return given, taken


def _pour(source: int, sink: int, passed: Callable[[int], None], patience: float) -> None:
    """Bytes from one descriptor to the other until there are no more. TimeoutExpired when neither end moves."""
    total = 0
    os.set_blocking(sink, False)
    while data := _read(source, time.monotonic() + patience):
        view = memoryview(data)
        while view:
            view = view[_write(sink, view, time.monotonic() + patience) :]
        passed(total := total + len(data))


def _write(descriptor: int, data: memoryview, deadline: float) -> int:
    """How many bytes could be written before the deadline, else TimeoutExpired."""
    import select
    import subprocess

    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise subprocess.TimeoutExpired((), 0)
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0


def detach(argv: Sequence[str], environment: Environment, *, timeout: float) -> int:
    """Run a program that puts itself into the background, and return its exit status. It keeps no stream of ours."""
    import subprocess

    nowhere = subprocess.DEVNULL
    with _start(argv, environment, None, nowhere, nowhere) as process, _limited(process, argv, timeout):
        process.communicate(b"", timeout)
    return process.returncode


def spawn(argv: Sequence[str], environment: Environment, streams: tuple[int, int, int], own_group: bool = True) -> int:
    """Start a program on these descriptors as standard input, output and error, and return its process id.

    In a process group of its own the terminal's signals pass it by. Written for speed: subprocess is not imported, and
    this process's memory not forked.
    """
    program = _find(argv[0], environment)
    moves = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(streams)]
    # Python ignores these two, and children would inherit that.
    defaults = (signal.SIGPIPE, signal.SIGXFSZ)
    try:
        if own_group:
            return os.posix_spawn(
                program, list(argv), dict(environment), file_actions=moves, setpgroup=0, setsigdef=defaults
            )
        return os.posix_spawn(program, list(argv), dict(environment), file_actions=moves, setsigdef=defaults)
    except FileNotFoundError:
        raise _missing(argv[0]) from None
    except OSError as problem:
        raise Error(f"{argv[0]} could not be started: {problem.strerror}.", "Try again.") from None


def _find(program: str, environment: Environment) -> str:
    """By the PATH that the child gets: the system would search ours, which may lead into a project."""
    if "/" in program:
        return program
    for directory in environment.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory, program)
        if os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise _missing(program)


class Pending:
    """A program that runs while agentvm does something else; what it says is collected by `finish`."""

    def __init__(self, argv: Sequence[str], environment: Environment) -> None:
        self._argv = argv
        pipes = (os.pipe(), os.pipe())
        nowhere = os.open(os.devnull, os.O_RDONLY)
        self._said = {reader: bytearray() for reader, _ in pipes}
        try:
            self._pid = spawn(argv, environment, (nowhere, pipes[0][1], pipes[1][1]))
        except BaseException:
            self._close()
            raise
        finally:
            for descriptor in (nowhere, pipes[0][1], pipes[1][1]):
                os.close(descriptor)

    def finish(self, timeout: float) -> Completed:
        """Wait for its end. It is killed when it takes longer than so many seconds, or says too much, with an Error then, or when Ctrl-C comes between."""
        try:
            self._collect(time.monotonic() + timeout, timeout)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
            raise
        finally:
            self._close()
            status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        stdout, stderr = self._said.values()
        return Completed(status, bytes(stdout), bytes(stderr))

    def _collect(self, deadline: float, timeout: float) -> None:
        import select

        waiting = set(self._said)
        while waiting:
            ready, _, _ = select.select(waiting, (), (), max(0.0, deadline - time.monotonic()))
            if not ready:
                raise _too_slow(self._argv, timeout)
            for reader in ready:
                data = os.read(reader, 65536)
                self._said[reader] += data
                if len(self._said[reader]) > _LARGEST:
                    raise Error(f"`{' '.join(self._argv[:3])}` said more than {_LARGEST} bytes, so it was stopped.")
                if not data:
                    waiting.remove(reader)

    def _close(self) -> None:
        for reader in self._said:
            os.close(reader)


def begin(argv: Sequence[str], environment: Environment) -> Pending:
    """Start a program whose output is wanted later, at the cost of a spawn alone. Raises Error if it isn't there."""
    return Pending(argv, environment)


def on_terminal(argv: Sequence[str]) -> tuple[str, ...]:
    """The same program, an absolute path first, with its standard input as its controlling terminal, as sshd starts one.

    It makes a session of its own, so it can't be spawned as the leader of a group.
    """
    return (sys.executable, "-I", "-S", "-c", _ON_TERMINAL, *argv)


def _start(
    argv: Sequence[str],
    environment: Environment,
    directory: str | None,
    stderr: int,
    stdout: int = -1,
    held: int | None = None,
) -> subprocess.Popen[bytes]:
    """`stdout` is as for Popen; -1 is its PIPE."""
    import subprocess

    try:
        return subprocess.Popen(
            list(argv),
            env=dict(environment),
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            pass_fds=() if held is None else (held,),
            # Ctrl-C is for agentvm to act on: it ends its child and cleans up behind it.
            start_new_session=True,
        )
    except FileNotFoundError:
        raise _missing(argv[0]) from None
    except PermissionError:
        raise Error(f"{argv[0]} may not be run.", "Check its permissions.") from None


def _too_slow(argv: Sequence[str], timeout: float) -> TooSlow:
    return TooSlow(f"`{' '.join(argv[:3])}` did not end in {timeout:.0f} seconds, so it was stopped.")


def _missing(program: str) -> Missing:
    return Missing(f"{program} was not found.", f"Install {program}, or put it on the PATH.")


def _feed(pipe: object, content: bytes) -> None:
    """Write all of `content`; a child that ends without reading it is no error."""
    import contextlib
    import io

    assert isinstance(pipe, io.BufferedIOBase)
    with contextlib.suppress(BrokenPipeError), pipe:
        pipe.write(content)


@contextmanager
def _limited(process: subprocess.Popen[bytes], argv: Sequence[str], timeout: float) -> Iterator[None]:
    """End the process when its time runs out, or when anything else comes between, like Ctrl-C."""
    import subprocess

    try:
        yield
    except subprocess.TimeoutExpired:
        _end(process)
        raise _too_slow(argv, timeout) from None
    except BaseException:
        _end(process)
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a child and what it started in its group."""
    import subprocess

    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        try:
            process.wait(_GRACE)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
