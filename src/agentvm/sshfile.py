"""The part of the user's ssh configuration that is agentvm's: a file of its own, and the one line that includes it.

A port is in neither: it changes at every start of a VM. ssh asks `agentvm ssh-config --connect NAME` for a connection,
which also counts as a session, so that nobody stops a VM in which an editor works. Host keys are not checked: Lima makes
new ones at every boot, and the connection never leaves this computer.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress

from agentvm import resources
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.files import hold, make_private_directory, remove_file, write_atomically
from agentvm.model import Door, Role, Status
from agentvm.paths import find_real
from agentvm.project import base_name
from agentvm.quoting import quote

Change = Callable[[bytes], bytes]
_PLACES = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "AGENTVM_INSTANCE_PREFIX")
"""Variables without which agentvm would look elsewhere; an editor's ssh has other ones than the user's shell."""
_LARGEST = 1_000_000
"""Bytes of the user's configuration."""
_HEAD = """\
# Written by agentvm whenever a VM comes or goes; what you change here is lost.
# To have other options for a VM, put a `Host` section of your own above the
# line in ~/.ssh/config that includes this.
"""
_SECTION = """\

Host {names}
  # {project}
  ProxyCommand {connect}
  User {user}
  IdentityFile "{identity}"
  IdentitiesOnly yes
  IdentityAgent none
  PreferredAuthentications publickey
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  UpdateHostKeys no
  ForwardAgent no
  ForwardX11 no
  ForwardX11Trusted no
  ServerAliveInterval 15
  ServerAliveCountMax 4
  LogLevel ERROR
"""


def render(context: Context) -> str:
    """The whole file: a section for each project's VM that was started once."""
    found = {}
    for instance in context.backend.list():
        spec = instance.label.spec if instance.label else None
        if (
            spec
            and spec.prefix == context.prefix
            and spec.role is Role.PROJECT
            and instance.status is not Status.INCOMPLETE
        ):
            door = context.backend.door(instance.name)
            if door:
                found[instance.name] = (spec.project, door)
    short = _short_names(tuple(found), context.prefix)
    sections = (
        _section(context, " ".join(filter(None, (name, short.get(name)))), name, project, door)
        for name, (project, door) in found.items()
    )
    return "".join((_HEAD, *sections))


def refresh(context: Context) -> None:
    """Write the file anew after a VM came or went; what can't be done now is done next time."""
    try:
        if not context.dry_run:
            write(context)
    except Error as problem:
        context.console.detail(problem.message)


def write(context: Context) -> None:
    """Two at once both look only after the other wrote."""
    with hold(f"{context.state.ssh_file}.lock"):
        write_atomically(context.state.ssh_file, render(context).encode(errors="surrogateescape"))


def _short_names(names: tuple[str, ...], prefix: str) -> dict[str, str]:
    """Without the hash, where that still names one only."""
    short = {name: name.rpartition("-")[0] for name in names}
    every = [*short.values(), *names, base_name(prefix), prefix]
    return {name: word for name, word in short.items() if every.count(word) == 1}


def _section(context: Context, names: str, name: str, project: str, door: Door) -> str:
    return _SECTION.format(
        names=names,
        project=project if project.isprintable() else repr(project),
        connect=_connect(context, name),
        user=door.user,
        identity=door.identity.replace("%", "%%"),
    )


def _connect(context: Context, name: str) -> str:
    """The command line that ssh hands to the user's shell. In it, % begins what ssh fills in."""
    places = (*_PLACES, *context.backend.variables)
    given = {place: context.host.environment[place] for place in places if context.host.environment.get(place)}
    words = (*(f"{place}={value}" for place, value in given.items()), *resources.command())
    line = " ".join(("env", *map(quote, words), "ssh-config --connect", quote(name)))
    if "\n" in line:
        raise Error("agentvm's own path has a line break, which ssh's configuration can't hold.", "Move agentvm.")
    return line.replace("%", "%%")


# --- The line in the user's own file -----------------------------------------------------------------------------------


def include_line(path: str) -> str:
    """Raises Error for a path in which ssh would see a pattern or the end of a word."""
    if re.search(r'[*?\[\]\\"\s%$]', path):
        raise Error(
            f"{path} has a character that ssh's `Include` understands otherwise.", "Set XDG_STATE_HOME to a plain path."
        )
    return f"Include {path}"


def include(context: Context) -> bool:
    """Put the line at the top of ~/.ssh/config, where no `Host` holds it back; False when it stands there already."""
    line = include_line(context.state.ssh_file).encode()
    return _edit(context, lambda content: line + b"\n" + _without(content, line))


def exclude(context: Context) -> bool:
    """Take the line away; whether there was one."""
    line = f"Include {context.state.ssh_file}".encode(errors="surrogateescape")
    return _edit(context, lambda content: _without(content, line))


def is_included(context: Context) -> bool:
    line = f"Include {context.state.ssh_file}".encode(errors="surrogateescape")
    try:
        with open(os.path.join(context.host.home, ".ssh", "config"), "rb") as file:
            return line in (one.strip() for one in file.read(_LARGEST).split(b"\n"))
    except OSError:
        return False


def _without(content: bytes, line: bytes) -> bytes:
    return b"".join(one for one in content.splitlines(keepends=True) if one.strip() != line)


def _edit(context: Context, change: Change) -> bool:
    """Change the user's file in one step, its mode kept and a link to it too. Raises Error when that isn't safe."""
    shown = os.path.join(context.host.home, ".ssh", "config")
    path = find_real(shown)
    before = _look(shown, path, context.host.user)
    content = b""
    if before:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise _unsafe(shown, "it is larger than a configuration can be")
    changed = change(content)
    if changed == content:
        return False
    if context.dry_run:
        return True
    if not changed and not os.path.islink(shown):
        remove_file(path)
        return True
    make_private_directory(os.path.dirname(path))
    _replace(shown, path, changed, before)
    return True


def _look(shown: str, path: str, user: int) -> os.stat_result | None:
    """The file as it is; None when there is none."""
    try:
        above = os.stat(os.path.dirname(shown))
    except FileNotFoundError:
        above = None
    if above and above.st_uid != user:
        raise _unsafe(shown, "its directory belongs to somebody else")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(shown):
            raise _unsafe(shown, f"it is a link to {path}, which is not there") from None
        return None
    if not stat.S_ISREG(found.st_mode):
        raise _unsafe(shown, "it is no file")
    if found.st_uid != user:
        raise _unsafe(shown, "it belongs to somebody else")
    if found.st_nlink > 1:
        raise _unsafe(shown, "it has a second name (a hard link), which would keep the old content")
    if not found.st_mode & stat.S_IWUSR:
        raise _unsafe(shown, "it may not be written; perhaps another program makes it")
    return found


def _replace(shown: str, path: str, content: bytes, before: os.stat_result | None) -> None:
    part = f"{path}.agentvm-{os.getpid()}"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode) if before else 0o600)
                os.fsync(file.fileno())
            if _changed(path, before):
                raise _unsafe(shown, "it was changed by somebody else in this moment")
            os.replace(part, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)
    except OSError as problem:
        raise _unsafe(shown, str(problem.strerror)) from None


def _changed(path: str, before: os.stat_result | None) -> bool:
    try:
        now = os.stat(path)
    except FileNotFoundError:
        return before is not None
    return before is None or (now.st_ino, now.st_size, now.st_mtime_ns) != (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )


def _unsafe(shown: str, why: str) -> Error:
    return Error(
        f"{shown} was left as it is: {why}.",
        "Put the line that `agentvm ssh-config` shows first at its top yourself, above every `Host`.",
    )
