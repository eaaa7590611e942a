"""Lima's YAML, written as the JSON that it also is: the base's template, and edits of an instance's configuration.

Facts from Lima 2.2: lists of a template and of its base are merged; a mount point is written unquoted into cloud-init's
YAML and fstab, so it must be plain; a location is a Go template. Lima writes a location into QEMU's option for 9p as it is,
where a comma begins the next option: a directory called "a,path=" could share another one.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

from agentvm.digest import sha256
from agentvm.errors import UsageError
from agentvm.model import Mount, Resources

_PLAIN = re.compile(r"/[A-Za-z0-9._/-]+")
_TEMPLATED = frozenset('"\\{}')
_ASIDE = "/mnt/agentvm"


def check_mount(mount: Mount, mount_type: str, platform: str) -> None:
    """Raise UsageError if Lima, or what shares by this type of mount on the host's platform, can't carry the mount's paths."""
    for path in (mount.location, mount.point):
        try:
            path.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{path!r} can't be mounted: its name is not UTF-8.", "Rename the directory.") from None
    if "," in mount.location and mount_type != "virtiofs":
        raise UsageError(
            f"{mount.location!r} can't be mounted by 9p: QEMU takes what is behind a comma for another option.",
            "Rename the directory, or install the Rust virtiofsd.",
        )
    strange = [char for char in mount.location if char.isspace() and char not in " \t\n"]
    if strange and mount_type == "virtiofs" and platform == "linux":
        # It splits /proc/self/mountinfo at them, in which the kernel writes only these three as numbers.
        raise UsageError(
            f"{mount.location!r} can't be mounted: virtiofsd takes {strange[0]!r} for the end of a name.",
            "Rename the directory.",
        )


def lima_point(mount: Mount) -> str:
    """Where Lima mounts it: at its own place if its name is plain, else aside, to be bound to its place in the guest."""
    if _PLAIN.fullmatch(mount.point):
        return mount.point
    return f"{_ASIDE}/{sha256(mount.point.encode())[:16]}"


def base_document(template: str, mount_type: str) -> bytes:
    """The template of the base: somebody else's image and machine, with what must be ours set on top."""
    document = {
        "base": [template],
        "minimumLimaVersion": "2.0.0",
        "containerd": {"system": False, "user": False},
        "ssh": {"forwardAgent": False, "loadDotSSHPubKeys": False},
    }
    if mount_type:
        document["mountType"] = mount_type
    return _text(document).encode()


def edit_expression(mounts: tuple[Mount, ...], resources: Resources, mount_type: str) -> str:
    """The yq expression that gives an instance exactly these mounts, and resources that are not 0."""
    entries = [
        {
            "location": _template(mount.location),
            "mountPoint": lima_point(mount),
            "writable": mount.writable,
            "9p": _CACHE,
        }
        for mount in mounts
    ]
    parts = [f".mounts = {_text(entries)}"]
    parts += [f".mountType = {_text(mount_type)}"] if mount_type else []
    parts += [f".cpus = {resources.cpus}"] if resources.cpus else []
    parts += [f".memory = {_text(str(resources.memory))}"] if resources.memory else []
    parts += [f".disk = {_text(str(resources.disk))}"] if resources.disk else []
    return " | ".join(parts)


# The default for read-only 9p mounts, fscache, shows stale content after the host changed a file.
_CACHE = {"cache": "mmap"}


def effective_mounts(config: dict[str, Any]) -> tuple[tuple[str, str, bool], ...]:
    """The mounts of an instance's effective configuration, as (location, Lima's mount point, writable), sorted."""
    mounts = config.get("mounts") or []
    return tuple(
        sorted((_path(mount), mount.get("mountPoint") or _path(mount), bool(mount.get("writable"))) for mount in mounts)
    )


def wanted_mounts(mounts: tuple[Mount, ...]) -> tuple[tuple[str, str, bool], ...]:
    """The same for the mounts that we asked for."""
    return tuple(sorted((mount.location, lima_point(mount), mount.writable) for mount in mounts))


def _path(mount: dict[str, Any]) -> str:
    return os.path.normpath(str(mount.get("location", "")))


def _template(path: str) -> str:
    """A Go template that stands for `path`.

    What Go would take for template, and what yq or YAML would read otherwise than it is written (a quote, a backslash,
    control characters, line separators), is written as a number.
    """
    return "".join(
        char if char.isprintable() and char not in _TEMPLATED else f"{{{{printf `%c` {ord(char)}}}}}" for char in path
    )


def _text(value: object) -> str:
    """yq and YAML take JSON for their own flow style; escapes like \\u00e9 they don't, so text stays as it is."""
    return json.dumps(value, ensure_ascii=False)
