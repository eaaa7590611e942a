"""What of the host is visible in a guest: mounted directories, links to them in the guest's home, copied files."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from agentvm.errors import Error
from agentvm.model import Host, Mount
from agentvm.project import Project, is_below
from agentvm.settings import Settings

AGENT_DIRECTORIES = (".claude", ".codex", ".config/opencode")
"""Below the home; always shared, writable: the agents keep their sessions and logins there."""
GH_DIRECTORY = ".config/gh"
SSH_DIRECTORY = ".ssh"
LARGEST_FILE = 60_000
"""Bytes. The copied files travel in one environment variable, which Linux limits to 131,071 bytes in all."""


class Link(NamedTuple):
    """`path` below the guest's home shall lead to `target`, an absolute path in the guest."""

    target: str
    path: str


class SyncedFile(NamedTuple):
    """A file below the guest's home that is a copy of the host's; without content it shall not be there."""

    path: str
    content: str | None


class Sharing(NamedTuple):
    """All that a project's guest sees of the host."""

    mounts: tuple[Mount, ...]
    links: tuple[Link, ...]
    unlinked: tuple[Link, ...]
    """Links that an earlier run may have made and that are not wanted now."""
    keys: Link
    """The ssh directory: its files are linked one by one, since the guest keeps its own authorized_keys beside them."""
    keys_shared: bool
    files: tuple[SyncedFile, ...]


def plan_sharing(host: Host, settings: Settings, project: Project) -> Sharing:
    """Decide it all, and read the files that are copied. Raises Error for one that is too big or can't be read."""
    agents = tuple(_link(host, path) for path in AGENT_DIRECTORIES)
    gh, ssh = _link(host, GH_DIRECTORY), _link(host, SSH_DIRECTORY)
    mounts = [Mount(project.root, project.root, True)]
    if project.git_directory:
        mounts.append(Mount(project.git_directory, project.git_directory, True))
    mounts += (_mount(link, True) for link in agents)
    mounts += (_mount(link, False) for link, on in ((gh, settings.mount_gh_config), (ssh, settings.mount_ssh)) if on)
    return Sharing(
        mounts=_without_nested(tuple(mounts)),
        links=agents + ((gh,) if settings.mount_gh_config else ()),
        unlinked=() if settings.mount_gh_config else (gh,),
        keys=ssh,
        keys_shared=settings.mount_ssh,
        files=(
            _synced(host, ".gitconfig", settings.mount_gitconfig),
            _synced(host, ".git-credentials", settings.mount_git_credentials),
        ),
    )


def _link(host: Host, path: str) -> Link:
    return Link(os.path.join(host.home, path), path)


def _mount(link: Link, writable: bool) -> Mount:
    """Mounted under the host's own name for it, since settings and plugins refer to it by that name."""
    return Mount(os.path.realpath(link.target), link.target, writable)


def _without_nested(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """Leave out what a mount before already shows at the same place, as with a project inside ~/.claude."""
    kept: list[Mount] = []
    for mount in sorted(mounts, key=lambda mount: mount.point):
        if not any(_shows(outer, mount) for outer in kept):
            kept.append(mount)
    return tuple(kept)


def _shows(outer: Mount, mount: Mount) -> bool:
    below = is_below(mount.point, outer.point) and is_below(mount.location, outer.location)
    return below and os.path.relpath(mount.point, outer.point) == os.path.relpath(mount.location, outer.location)


def _synced(host: Host, path: str, on: bool) -> SyncedFile:
    return SyncedFile(path, _read(os.path.join(host.home, path)) if on else None)


def _read(path: str) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unreadable(path, str(problem.strerror)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unreadable(path, "it is not a file")
        content = os.read(descriptor, LARGEST_FILE + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST_FILE:
        raise _unreadable(path, f"it is larger than {LARGEST_FILE} bytes")
    if b"\0" in content:
        raise _unreadable(path, "it holds a NUL, so it is not a text file")
    return os.fsdecode(content)


def _unreadable(path: str, reason: str) -> Error:
    name = "AGENTVM_MOUNT_GITCONFIG" if path.endswith(".gitconfig") else "AGENTVM_MOUNT_GIT_CREDENTIALS"
    return Error(f"{path} can't be copied into the VM: {reason}.", f"Mend it, or leave it out with {name}=0.")
