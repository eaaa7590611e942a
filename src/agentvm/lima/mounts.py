"""Mounts in their places: on the host no link is there instead. In the guest's root's shell every mount is there and no other
one, and those that Lima can't put in their place are bound to it.
"""

from __future__ import annotations

from agentvm.lima.template import lima_point
from agentvm.model import Mount
from agentvm.paths import find_real
from agentvm.quoting import join, quote


def find_moved(mounts: tuple[Mount, ...]) -> str:
    """The first directory to which a link leads by now, though it was a real path; empty for none."""
    return next((mount.location for mount in mounts if find_real(mount.location) != mount.location), "")


def placing_script(mounts: tuple[Mount, ...]) -> str:
    """A POSIX sh script that ends with status 1, naming the place, when one mount is missing or can't be bound, and with
    status 2 when there is one that nobody asked for.
    """
    points = map(lima_point, mounts)
    lines = [_FUNCTIONS, f"only {join(tuple(points))}"]
    for mount in mounts:
        point = lima_point(mount)
        lines.append(f"there {quote(point)} {quote(mount.point)}")
        if point != mount.point:
            lines.append(f"bind {quote(point)} {quote(mount.point)}")
    return "\n".join(lines) + "\n"


# A share is known by its source, Lima's tag: at another place it is a bind mount of the guest's own, and no new share. That of
# Rosetta, on a Mac, holds programs of the system's.
_FUNCTIONS = """\
set -u
only() {
    tags=' vz-rosetta ' shares=$(findmnt -rnv -o SOURCE,TARGET -t 9p,virtiofs)
    for point; do
        while read -r tag place; do
            [ "$place" != "$point" ] || tags="$tags$tag "
        done <<END
$shares
END
    done
    while read -r tag place; do
        case $tags in *" $tag "*) ;; *) [ -z "$tag" ] || { printf '%s is mounted, too\\n' "$place"; exit 2; } ;; esac
    done <<END
$shares
END
}
there() { mountpoint -q "$1" || { printf '%s is not mounted\\n' "$2"; exit 1; }; }
bind() {
    [ "$2" -ef "$1" ] && return
    mkdir -p "$2" && mount --bind "$1" "$2" || { printf '%s could not be bound\\n' "$2"; exit 1; }
}"""
