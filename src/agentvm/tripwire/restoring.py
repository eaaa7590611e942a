"""Putting back what was known, while a guest may be changing the same directories.

As when reading, every step is relative to a directory that was opened without following links, so nothing is ever
written outside the root. A file is replaced whole, by a rename in its own directory; a link at its place is replaced, not
followed.
"""

from __future__ import annotations

import os
import secrets

from agentvm.tripwire.directories import DIRECTORY, open_directory
from agentvm.tripwire.snapshot import Form

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def put_back(root: str, path: str, form: Form | None) -> None:
    """Make a path below a root what it was; without a form, nothing. Raises OSError, then nothing has changed."""
    directory = open_directory(root)
    try:
        *above, name = path.split("/")
        for part in above:
            # It closes the one above, whatever happens.
            outer, directory = directory, -1
            directory = _enter(outer, part, make=form is not None)
            if directory < 0:
                return
        _replace(directory, name, form)
    finally:
        if directory >= 0:
            os.close(directory)


def reason_against(known: Form | None, current: Form | None) -> str:
    """Why a place can't be put back; empty when it can."""
    if known and known.name not in ("file", "link"):
        return "what was there before was not kept"
    if current and current.name in ("large", "crowded", "unreadable"):
        return "what is there now can't be kept, so it is yours to move away"
    return ""


def _enter(directory: int, name: str, *, make: bool) -> int:
    """The directory below, or -1 if there is none and none is to be made. The one above is closed."""
    try:
        try:
            return os.open(name, DIRECTORY, dir_fd=directory)
        except FileNotFoundError:
            if not make:
                return -1
            os.mkdir(name, dir_fd=directory)
            return os.open(name, DIRECTORY, dir_fd=directory)
    finally:
        os.close(directory)


def _replace(directory: int, name: str, form: Form | None) -> None:
    if form is None:
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass
        return
    part = f".{name[:40]}.{secrets.token_hex(8)}"
    try:
        if form.name == "link":
            os.symlink(form.content, part, dir_fd=directory)
        else:
            _write(directory, part, form)
        os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        _replace(directory, part, None)
        raise


def _write(directory: int, name: str, form: Form) -> None:
    descriptor = os.open(name, _NEW, 0o600, dir_fd=directory)
    with open(descriptor, "wb") as file:
        file.write(form.content)
        # Not by its name: that may be another file by now.
        os.fchmod(descriptor, form.mode)
