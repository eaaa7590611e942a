"""Files of this computer that are copied to a VM or come from one, where a guest may be at work in the same directories.

Whatever lies below a directory that a guest can write may be a link that it made, now or in a moment. So directories are
opened one by one, from a descriptor of the one above, and no link in them is followed or written through.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from agentvm.errors import Error
from agentvm.paths import is_below
from agentvm.values import NamedTuple

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40


class Found(NamedTuple):
    """A file, a directory, a link or something else: its names from the outside to the inside, and what the file system says of it.

    `descriptor` is open for reading on a file, until the next one is asked for; `target` is a link's.
    """

    path: tuple[str, ...]
    status: os.stat_result
    descriptor: int = -1
    target: str = ""


@contextmanager
def located(path: str, shared: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """The directory that something is in, open, and its name there, by an absolute path.

    Links are followed, the last one too, but none that lies in one of the `shared` directories (real paths).
    """
    descriptor, here, links = os.open("/", _OPEN_DIRECTORY), "/", 0
    parts = _parts(path)
    try:
        while parts:
            name = parts.pop(0)
            place = os.path.join(here, name)
            if (target := _link_target(name, descriptor)) is not None:
                links += 1
                if any(is_below(here, directory) for directory in shared):
                    raise _link_in_the_way(place)
                if links > _MOST_LINKS:
                    raise Error(f"{place} is a link that leads in a circle.", "Name something else.")
                parts = _parts(target) + parts
                if target.startswith("/"):
                    descriptor, here = _reopened("/", descriptor, descriptor, "/"), "/"
            elif parts or name == "..":
                descriptor, here = _reopened(name, descriptor, descriptor, place), os.path.normpath(place)
            else:
                yield descriptor, name
                return
        yield descriptor, "."
    finally:
        os.close(descriptor)


@contextmanager
def opened_directory(path: str, shared: tuple[str, ...]) -> Iterator[int]:
    """A directory, found as by `located`."""
    with located(path, shared) as (above, name):
        descriptor = _reopened(name, above, None, path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _reopened(name: str, directory: int, instead: int | None, shown: str) -> int:
    """A directory in another one; the descriptor that it takes the place of is closed."""
    try:
        descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=directory)
    except OSError as problem:
        raise Error(f"{shown} can't be opened: {problem.strerror}.", "Name a directory.") from None
    if instead is not None:
        os.close(instead)
    return descriptor


def _link_target(name: str, directory: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def _link_in_the_way(place: str) -> Error:
    return Error(
        f"{place} is a link in a directory that a VM can write, so it is not followed.", "Name what it leads to."
    )


# --- To a VM -----------------------------------------------------------------------------------------------------------


def walk(directory: int, name: str) -> Iterator[Found]:
    """What is there, and all that is in it, sorted. Names that vanish meanwhile are left out, special files never opened."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        target = _link_target(name, directory)
        if target is not None:
            yield Found((name,), status, target=target)
    elif stat.S_ISREG(status.st_mode):
        yield from _file(directory, name)
    elif stat.S_ISDIR(status.st_mode):
        yield from _directory(directory, name)
    else:
        yield Found((name,), status)


def _file(directory: int, name: str) -> Iterator[Found]:
    descriptor = _open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, directory)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            yield Found((name,), status, descriptor)
    finally:
        os.close(descriptor)


def _directory(directory: int, name: str) -> Iterator[Found]:
    inner = _open(name, _OPEN_DIRECTORY, directory)
    try:
        yield Found((name,), os.fstat(inner))
        for below in sorted(os.listdir(inner)):
            for found in walk(inner, below):
                yield found._replace(path=(name, *found.path))
    finally:
        os.close(inner)


def _open(name: str, flags: int, directory: int) -> int:
    try:
        return os.open(name, flags, dir_fd=directory)
    except OSError as problem:
        raise Error(f"{name} can't be read: {problem.strerror}.", "Nothing after it was copied.") from None


# --- From a VM ---------------------------------------------------------------------------------------------------------


class Landing:
    """Where files from a VM are put: in a directory, by its descriptor."""

    def __init__(self, directory: int, shown: str) -> None:
        self._directory = directory
        self._shown = shown

    def make_directory(self, path: tuple[str, ...], mode: int) -> None:
        """Make it, and what is above it; one that is there stays as it is."""
        with self._inside(path, mode | 0o700):
            """Made on the way."""

    @contextmanager
    def new_file(self, path: tuple[str, ...], mode: int) -> Iterator[int]:
        """A descriptor to write to; the file appears when the block ends well, in place of one that was there."""
        *above, name = path
        part = f".agentvm-{os.getpid()}.part"
        with self._inside(tuple(above), 0o777) as directory, self._explained(path):
            with suppress(FileNotFoundError):
                os.unlink(part, dir_fd=directory)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(part, flags, mode & 0o777, dir_fd=directory)
            try:
                try:
                    yield descriptor
                finally:
                    os.close(descriptor)
                os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with suppress(OSError):
                    os.unlink(part, dir_fd=directory)
                raise

    @contextmanager
    def _inside(self, path: tuple[str, ...], mode: int) -> Iterator[int]:
        descriptor = os.dup(self._directory)
        try:
            for depth, name in enumerate(path, 1):
                with self._explained(path[:depth]):
                    with suppress(FileExistsError):
                        os.mkdir(name, mode & 0o777, dir_fd=descriptor)
                    inner = os.open(name, _OPEN_DIRECTORY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _explained(self, path: tuple[str, ...]) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            place = os.path.join(self._shown, *path)
            if problem.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Error(
                    f"{place} is there, and is no directory; a link is not followed.", "Copy to another place."
                ) from None
            raise Error(f"{place} can't be written: {problem.strerror}.", "Copy to another place.") from None
