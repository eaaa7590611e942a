"""What a guest could have written, or led elsewhere: reached by no link of its, read and parsed within bounds.

A guest can write the project, the agents' directories and more, and it can change them at any moment, also between two
looks at a path. So a path is resolved once, and then opened without following anything.
"""

from __future__ import annotations

import errno
import os
import stat

from agentvm.jsontext import load_json
from agentvm.paths import find_real, is_below, resolve, split_parts

_MOST_WORK = 2_000_000
"""Steps of tomllib beyond those that every text takes: about a second."""
_LARGEST_ANSWER = 100_000


class Answer:
    """What a guest says, up to a bound: it may never stop."""

    def __init__(self) -> None:
        self._said = bytearray()

    def add(self, data: bytes) -> None:
        self._said += data[: _LARGEST_ANSWER - len(self._said)]

    def __str__(self) -> str:
        return self._said.decode(errors="replace").strip()


def split_path(path: str, writable: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """A PATH without the directories that guests can write, and these; a relative one is anywhere, also in a project."""
    directories = path.split(os.pathsep)
    unsafe = tuple(directory for directory in directories if not _is_safe(directory, writable))
    return os.pathsep.join(directory for directory in directories if directory not in unsafe), unsafe


def _is_safe(directory: str, writable: tuple[str, ...]) -> bool:
    names = {os.path.normpath(directory), find_real(directory)}
    return os.path.isabs(directory) and not any(is_below(name, place) for name in names for place in writable)


def read_text(path: str, largest: int, *, follow: bool = True, writable: tuple[str, ...] = ()) -> str | None:
    """A text file of the user's, or None if there is none. Raises ValueError with the reason why it can't be had.

    What lies right inside a directory that guests can write is not to be followed: a guest may have made it a link. Of
    links elsewhere none is followed that lies below one of `writable`.
    """
    above, name = os.path.split(path)
    real = resolve(path, writable) if follow else os.path.join(resolve(above, writable), name)
    try:
        descriptor = _open_real(real)
    except FileNotFoundError:
        return None
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise ValueError("it is a link, which a VM could have made") from None
        raise ValueError(problem.strerror) from None
    try:
        content = _read(descriptor, largest)
    finally:
        os.close(descriptor)
    if b"\0" in content:
        raise ValueError("it holds a NUL, so it is not a text file")
    return os.fsdecode(content)


def parse_toml(text: str) -> dict[str, object]:
    """TOML as a table. Raises ValueError for what isn't TOML, or would take tomllib for ever.

    Its work for a line grows with the parts of dotted keys in it times those in the header above (seen in 3.11: 18
    seconds for 45 kB), and no key has more parts than its line has dots.
    """
    import tomllib

    lines = text.split("\n")
    dots = max(line.count(".") for line in lines)
    if dots * (dots + len(lines)) > _MOST_WORK:
        raise ValueError("it has too many dots in one line")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_json(text: str) -> object:
    """Any JSON. Raises ValueError for what isn't, or is nested too deeply."""
    try:
        return load_json(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _open_real(path: str) -> int:
    """A descriptor of what is at a real path; a link, also one that took a directory's place just now, is an OSError."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    if anywhere := getattr(os, "O_NOFOLLOW_ANY", 0):
        # macOS can do it at once.
        return os.open(path, flags | anywhere)
    *above, name = reversed(split_parts(path))
    directory = os.open("/", _DIRECTORY)
    try:
        for part in above:
            inner = os.open(part, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=directory)
    finally:
        os.close(directory)


_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""To go through a directory one need not be allowed to read it."""


def _read(descriptor: int, largest: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ValueError("it is not a file")
    with open(descriptor, "rb", closefd=False) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it is larger than {largest} bytes")
    return content
