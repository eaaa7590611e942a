"""The user's own private files: written whole or not at all, had by one at a time, and measured as they lie on disk."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agentvm.errors import Error


def make_private_directory(path: str) -> None:
    """Make a directory with what is above it, for the user alone; one that is there is left as it is."""
    if os.path.isdir(path):
        return
    if not os.path.isdir(above := os.path.dirname(path)):
        make_private_directory(above)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as problem:
        raise Error(f"{path} can't be made: {problem.strerror}.", "Make room or mend its permissions.") from None


def write_atomically(path: str, content: bytes) -> None:
    """Write a private file (0600) so that at any moment there is the old content or the new, also after a power cut.

    What a killed writer left is where the next one begins, so there is never more of that than one file.
    """
    part = f"{path}.part"
    try:
        descriptor = _open_alone(part)
        try:
            os.ftruncate(descriptor, 0)
            while content:
                content = content[os.write(descriptor, content) :]
            os.fsync(descriptor)
            os.replace(part, path)
        except BaseException:
            remove_file(part)
            raise
        finally:
            os.close(descriptor)
    except OSError as problem:
        raise Error(f"{path} can't be written: {problem.strerror}.", "Make room or mend its permissions.") from None


def _open_alone(path: str) -> int:
    """Open a file that nobody else has open so; its owner may rename or remove it."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def remove_file(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def allocated(path: str) -> int:
    """The bytes that a file, or a directory with all that is below it, really has on disk; 0 for what isn't there.

    Holes of a sparse file don't count; what a copy shares with its source by the file system's means counts in both.
    """
    try:
        found = os.stat(path, follow_symlinks=False)
        names = os.listdir(path) if stat.S_ISDIR(found.st_mode) else []
    except OSError:
        return 0
    return found.st_blocks * 512 + sum(allocated(os.path.join(path, name)) for name in names)


@contextmanager
def hold(path: str, wait: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Have a lock file for oneself; whoever inherits the descriptor keeps it locked, also after this process was killed.

    `wait` is called before somebody else is waited for.
    """
    make_private_directory(os.path.dirname(path))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def is_at(descriptor: int, path: str) -> bool:
    """Whether the open file is the one at `path`, and nobody put another one in its place."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)
