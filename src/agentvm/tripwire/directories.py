"""Directories that a guest can change, opened without following a link, and the git directories in a tree."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from agentvm.values import NamedTuple

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_NAMES = 1000
"""Names in a directory; one with more is not looked into, and that is a finding by itself."""
_DEEPEST = 60
MOST_FOUND = 200
"""Git directories of one tree."""


class Walk(NamedTuple):
    """Git directories in a tree, each as a path with a slash behind it, and whether the whole tree was walked."""

    found: tuple[str, ...]
    whole: bool


def open_directory(path: str) -> int:
    """Open an absolute path from `/` on, through no link. Raises OSError."""
    directory = os.open("/", DIRECTORY)
    for name in filter(None, path.split("/")):
        try:
            inner = os.open(name, DIRECTORY, dir_fd=directory)
        finally:
            os.close(directory)
        directory = inner
    return directory


def names_in(directory: int, *, only_directories: bool = False) -> list[str] | None:
    """The names in a directory in order; None for too many of them."""
    found = []
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            if number >= MOST_NAMES:
                return None
            if not only_directories or entry.is_dir(follow_symlinks=False):
                found.append(entry.name)
    return sorted(found)


def nearby_repositories(directory: int) -> Iterator[str]:
    """Where git would take a directory for a repository, in the tree's top and right below it.

    A repository needs no `.git`: a directory with HEAD, objects and refs is a bare one (gitrepository-layout(5)).
    """
    if _is_bare(directory, ""):
        yield ""
    for name in names_in(directory, only_directories=True) or ():
        at = f"{name}/"
        if name != ".git" and _is_bare(directory, at):
            yield at
        if _exists(directory, f"{at}.git"):
            yield f"{at}.git/"


def walk(root: str, seconds: float) -> Walk:
    """All git directories below a root, as far as the time goes. The order is that of the breadth: near ones first."""
    deadline = time.monotonic() + seconds
    found: list[str] = []
    level, whole = [""], True
    for _ in range(_DEEPEST):
        below: list[str] = []
        for at in level:
            if time.monotonic() > deadline or len(found) >= MOST_FOUND:
                return Walk(tuple(found), False)
            inner, repositories, all_seen = _look_into(root, at)
            whole = whole and all_seen
            below += inner
            found += repositories
        level = below
    return Walk(tuple(found), whole and not level)


def _look_into(root: str, at: str) -> tuple[list[str], list[str], bool]:
    """The directories in one, the git directories among them and itself, and whether it could be read whole."""
    try:
        directory = open_directory(f"{root}/{at}")
    except OSError:
        return [], [], False
    try:
        if _is_bare(directory, ""):
            return [], [at], True
        with os.scandir(directory) as entries:
            inner = [entry.name for entry, _ in zip(entries, range(100_000), strict=False) if _is_directory(entry)]
        repositories = [f"{at}.git/"] if ".git" in inner and at else []
        return [f"{at}{name}/" for name in sorted(inner) if name != ".git"], repositories, True
    except OSError:
        return [], [], False
    finally:
        os.close(directory)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_bare(directory: int, at: str) -> bool:
    return all(_exists(directory, at + name) for name in ("HEAD", "objects", "refs"))


def _exists(directory: int, path: str) -> bool:
    """It says only that a closer look is worth while."""
    try:
        os.stat(path, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True
