"""Where a path really leads, and what lies in what."""

from __future__ import annotations

import errno
import os

_MOST_LINKS = 40
"""As Linux has it."""


def is_below(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or something in it; both absolute and normal."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def find_real(path: str) -> str:
    """The path without links; one that leads in a circle counts as what it says.

    os.path.realpath looks twice at each, and raises OSError when a guest takes a link away in between (seen in 3.11).
    """
    absolute = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)
    try:
        return resolve(absolute, ())
    except ValueError:
        return os.path.normpath(absolute)


def resolve(path: str, writable: tuple[str, ...]) -> str:
    """The real path of an absolute one. Raises ValueError when a link on the way lies in a directory that guests can write.

    `writable` are real paths. What is not there counts as what it says.
    """
    done, rest, links = "/", split_parts(path), 0
    while rest:
        part = rest.pop()
        step = os.path.dirname(done) if part == ".." else os.path.join(done, part)
        target = "" if part == ".." else _link(step)
        if not target:
            done = step
            continue
        if any(is_below(done, place) for place in writable):
            raise ValueError(f"{step} is a link, which a VM could have made")
        links += 1
        if links > _MOST_LINKS:
            raise ValueError(os.strerror(errno.ELOOP))
        done = "/" if target.startswith("/") else done
        rest += split_parts(target)
    return done


def split_parts(path: str) -> list[str]:
    """The names in it, the last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
