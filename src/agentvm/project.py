"""Which directory is the project, and what its instance is called."""

from __future__ import annotations

import os

from agentvm.digest import sha256
from agentvm.errors import UsageError
from agentvm.paths import find_real, is_below
from agentvm.values import NamedTuple

_HOLLOW = frozenset(
    """/ /bin /boot /dev /etc /home /lib /lib32 /lib64 /media /mnt /opt /private /private/tmp /private/var /proc /root /run
    /sbin /srv /sys /tmp /usr /usr/local /var /var/tmp /Applications /Library /System /Users /Volumes""".split()
)
"""Refused themselves: they hold other things, or the guest has its own."""
_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/sbin", "/sys", "/System", "/Library")
"""Refused with all that is below: the guest's own would be hidden."""
_PRIVATE = (".ssh", ".gnupg", ".aws", ".kube", ".password-store", ".lima", ".local/state/agentvm", ".cache/agentvm")
"""Refused below the home with all that is below: sharing them would hand out what nobody meant to share."""
_SLUG_LENGTH = 20


class Project(NamedTuple):
    """A project: its directory, and the common git directory of a linked work tree (else empty)."""

    root: str
    git_directory: str = ""


def find_project(directory: str, home: str) -> Project:
    """The git work tree's root that holds `directory` (a real path), else `directory`. Raises UsageError when refused."""
    root = _work_tree(directory)
    if root and not _reason_against(root, home):
        return Project(root, _common_git_directory(root))
    if reason := _reason_against(directory, home):
        raise UsageError(
            f"{directory} can't be a project: {reason}.",
            "Go to the directory that the agent shall work in, and try again.",
        )
    return Project(directory)


def instance_name(prefix: str, root: str) -> str:
    """The name of a project's instance: readable by its slug, unique by the hash of its real path."""
    name = "".join(char if char.isascii() and char.isalnum() else "-" for char in os.path.basename(root).lower())
    slug = "-".join(filter(None, name.split("-")))[:_SLUG_LENGTH].rstrip("-")
    digest = sha256(os.fsencode(root))[:8]
    return "-".join(filter(None, (prefix, slug, digest)))


def base_name(prefix: str) -> str:
    return f"{prefix}-base"


def golden_name(prefix: str, generation: int) -> str:
    return f"{prefix}-base-g{generation}"


def system_reason(path: str, home: str) -> str:
    """Why a directory can't be shown to a guest at its own place, whatever it is for; empty when it can."""
    if path in _HOLLOW or path.startswith("/home/") and path.count("/") == 2:
        return "it is a directory of the system, not of a project"
    if is_below(home, path):
        return "it is your home directory" if path == home else "your home directory is in it"
    if any(is_below(path, system) for system in _SYSTEM):
        return "it belongs to the system, and the guest has its own"
    if is_below(path, "/usr") and not is_below(path, "/usr/local") and not is_below(path, "/usr/src"):
        return "it belongs to the system, and the guest has its own"
    if is_below(path, "/run") and not is_below(path, "/run/media"):
        return "it is gone when the machine restarts"
    return ""


def _reason_against(path: str, home: str) -> str:
    if reason := system_reason(path, home):
        return reason
    for private in _PRIVATE:
        if is_below(path, os.path.join(home, private)):
            return f"~/{private} holds what must not be shared by accident"
    if path == os.path.join(home, ".config"):
        return "it holds the settings and logins of many programs"
    return ""


def _work_tree(directory: str) -> str:
    while True:
        if os.path.lexists(os.path.join(directory, ".git")):
            return directory
        above = os.path.dirname(directory)
        if above == directory:
            return ""
        directory = above


def _common_git_directory(root: str) -> str:
    """The repository's common git directory if `root` is a linked work tree that this repository itself knows of.

    A guest can write `root/.git`, so its word alone is worth nothing: a directory is only accepted when, seen from
    its real place, it has this work tree on its own list (git's `worktrees/ID/gitdir`), which no guest could write
    without having that directory already.
    """
    pointer = os.path.join(root, ".git")
    text = _first_line(pointer)
    if not text.startswith("gitdir: "):
        return ""
    own = find_real(os.path.join(root, text.removeprefix("gitdir: ")))
    common = os.path.dirname(os.path.dirname(own))
    if os.path.basename(os.path.dirname(own)) != "worktrees" or is_below(own, root):
        return ""
    known = _first_line(os.path.join(own, "gitdir"))
    if not known or find_real(os.path.join(own, known)) != find_real(pointer):
        return ""
    return common if os.path.isfile(os.path.join(common, "HEAD")) else ""


def _first_line(path: str) -> str:
    """The first line of a small regular file, else an empty string. Follows no link and never blocks on a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        line = os.fsdecode(os.read(descriptor, 4096)).split("\n", 1)[0]
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    # No path holds a NUL, and Python refuses to look for one.
    return "" if "\0" in line else line
