"""Mounts in their places: on the host no link is there instead, in the guest each is there under its own name."""

from __future__ import annotations

import os

from agentvm.lima.template import lima_point
from agentvm.model import Mount
from agentvm.quoting import quote


def find_moved(mounts: tuple[Mount, ...]) -> str:
    """The first directory to which a link leads by now, though it was a real path; empty for none."""
    return next((mount.location for mount in mounts if os.path.realpath(mount.location) != mount.location), "")


def placing_script(mounts: tuple[Mount, ...]) -> str:
    """A POSIX sh script that ends with status 1, naming the place, when one mount is missing or can't be bound."""
    lines = [_FUNCTIONS]
    for mount in mounts:
        point = lima_point(mount)
        lines.append(f"there {quote(point)} {quote(mount.point)}")
        if point != mount.point:
            lines.append(f"bind {quote(point)} {quote(mount.point)}")
    return "\n".join(lines) + "\n"


_FUNCTIONS = """\
set -u
there() { mountpoint -q "$1" || { printf '%s is not mounted\\n' "$2"; exit 1; }; }
bind() {
    [ "$2" -ef "$1" ] && return
    mkdir -p "$2" && mount --bind "$1" "$2" || { printf '%s could not be bound\\n' "$2"; exit 1; }
}"""
