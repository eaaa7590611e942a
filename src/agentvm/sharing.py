"""What of the host is visible in a guest: mounted directories, links to them in the guest's home, copied files."""

from __future__ import annotations

import os
from typing import NamedTuple

from agentvm.errors import UsageError
from agentvm.model import Host, Mount
from agentvm.project import Project, is_below
from agentvm.settings import Settings, check_extra
from agentvm.untrusted import read_text, resolve

CLAUDE, CODEX, OPENCODE, GH, SSH = ".claude", ".codex", ".config/opencode", ".config/gh", ".ssh"
"""Below the guest's home, and the host's if no variable names another place."""
AGENT_DIRECTORIES = (CLAUDE, CODEX, OPENCODE)
"""Always shared, writable: the agents keep their sessions and logins there."""
_MOVED = {CLAUDE: "CLAUDE_CONFIG_DIR", CODEX: "CODEX_HOME", GH: "GH_CONFIG_DIR"}
"""The variables by which a program finds its directory in another place."""
GITCONFIG, GIT_CREDENTIALS = ".gitconfig", ".git-credentials"
OPENCODE_LOGIN = ".local/share/opencode/auth.json"
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
    notices: tuple[str, ...] = ()
    """What can't be shared, and why; a session goes on without it."""


def plan_sharing(host: Host, settings: Settings, project: Project) -> Sharing:
    """Decide it all, and read the files that are copied.

    Raises UsageError for an entry of `[[mounts]]` that is refused, and for a directory that a link of a guest's leads to.
    """
    agents = tuple(_link(host, path) for path in AGENT_DIRECTORIES)
    gh, ssh, login = (
        _link(host, GH),
        _link(host, SSH),
        Link(os.path.join(login_directory(host), "auth.json"), OPENCODE_LOGIN),
    )
    mounts = [Mount(project.root, project.root, True)]
    if project.git_directory:
        mounts.append(Mount(project.git_directory, project.git_directory, True))
    extras = [check_extra(host, extra) for extra in settings.mounts]
    places = _writable(mounts + extras)
    mounts += (_mount(link, True, places) for link in agents)
    mounts.append(Mount(login_directory(host), login_directory(host), True))
    places = _writable(mounts + extras)
    read_only = ((gh, settings.mount_gh_config), (ssh, settings.mount_ssh))
    mounts += (_mount(link, False, places) for link, on in read_only if on)
    mounts += extras
    wanted = ((gh, settings.mount_gh_config), (login, os.path.lexists(login.target)))
    read = (
        _synced(host, GITCONFIG, settings.mount_gitconfig, places),
        _synced(host, GIT_CREDENTIALS, settings.mount_git_credentials, places),
    )
    return Sharing(
        mounts=_without_nested(tuple(mounts)),
        links=agents + tuple(link for link, on in wanted if on),
        unlinked=tuple(link for link, on in wanted if not on),
        keys=ssh,
        keys_shared=settings.mount_ssh,
        files=tuple(file for file, _ in read),
        notices=tuple(notice for _, notice in read if notice),
    )


def writable_places(host: Host, settings: Settings, project: Project | None) -> tuple[str, ...]:
    """Directories in which guests can put whatever they like, each by its name and its real path."""
    own = (project.root, project.git_directory) if project else ()
    extras = (extra.path for extra in settings.mounts if extra.writable)
    names = (*own, *(config_directory(host, path) for path in AGENT_DIRECTORIES), login_directory(host), *extras)
    return tuple(dict.fromkeys(place for name in names if name for place in (name, os.path.realpath(name))))


def config_directory(host: Host, path: str) -> str:
    """Where a program keeps on the host what it has at `path` below the home of a guest."""
    moved = host.environment.get(_MOVED.get(path, ""), "")
    if os.path.isabs(moved) and not is_below(host.home, moved):
        return moved
    root, name = os.path.split(path)
    configured = host.environment.get("XDG_CONFIG_HOME", "")
    if root == ".config" and os.path.isabs(configured) and not is_below(host.home, configured):
        return os.path.join(configured, name)
    return os.path.join(host.home, path)


def data_directory(host: Host) -> str:
    data = host.environment.get("XDG_DATA_HOME", "")
    return data if os.path.isabs(data) else os.path.join(host.home, ".local", "share")


def login_directory(host: Host) -> str:
    """A directory of agentvm's own with nothing in it but opencode's login.

    Lima mounts directories only, and opencode's own one has a live database beside the login.
    """
    return os.path.join(data_directory(host), "agentvm", "opencode")


def _link(host: Host, path: str) -> Link:
    return Link(config_directory(host, path), path)


def _mount(link: Link, writable: bool, places: tuple[str, ...]) -> Mount:
    """Mounted under the host's own name for it, since settings and plugins refer to it by that name.

    Its name may lead through a directory that guests can write: ~/.claude to the dotfiles that are the project. There they
    could put a link to whatever they like to see.
    """
    try:
        return Mount(resolve(link.target, places), link.target, writable)
    except ValueError as problem:
        raise UsageError(
            f"{link.target} can't be shared: {problem}.", "Look where it leads, and put the directory itself there."
        ) from None


def _writable(mounts: list[Mount]) -> tuple[str, ...]:
    return tuple(mount.location for mount in mounts if mount.writable)


def _without_nested(mounts: tuple[Mount, ...]) -> tuple[Mount, ...]:
    """Leave out what a mount before already shows at the same place, as with a project inside ~/.claude."""
    kept: list[Mount] = []
    for mount in sorted(mounts, key=lambda mount: mount.point):
        around = [outer for outer in kept if is_below(mount.point, outer.point)]
        if not around or not _shows(around[-1], mount):
            kept.append(mount)
    return tuple(kept)


def _shows(outer: Mount, mount: Mount) -> bool:
    """What is writable within what is not, or the other way round, is a mount of its own."""
    if outer.writable != mount.writable:
        return False
    below = is_below(mount.point, outer.point) and is_below(mount.location, outer.location)
    return below and os.path.relpath(mount.point, outer.point) == os.path.relpath(mount.location, outer.location)


def _synced(host: Host, path: str, on: bool, places: tuple[str, ...]) -> tuple[SyncedFile, str]:
    """The file, and what to say when the guest has to do without it."""
    source = os.path.join(host.home, path)
    try:
        return SyncedFile(path, read_text(source, LARGEST_FILE, writable=places) if on else None), ""
    except ValueError as problem:
        return SyncedFile(path, None), f"{source} is not copied into the VM: {problem}."
