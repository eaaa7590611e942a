"""The base's manifest: the packages and scripts that make a plain guest one in which agents can work."""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple

from agentvm import resources
from agentvm.errors import UsageError

PACKAGES = "apt-packages.txt"
SCRIPTS = "scripts"
_PACKAGED = "manifests/base"
_GUEST = "manifests/guest"
_PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
_SCRIPT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.sh")
_LARGEST = 1_000_000
"""Bytes of one file."""


class Script(NamedTuple):
    """A script that root runs in the guest."""

    name: str
    content: bytes


class Manifest(NamedTuple):
    """What `base apply` does, in this order: our own scripts, the packages in one transaction, the scripts."""

    source: str
    guest_scripts: tuple[Script, ...]
    packages: tuple[str, ...]
    scripts: tuple[Script, ...]


def load_manifest(directory: str) -> Manifest:
    """The manifest in `directory`, or the packaged one if that is empty. Raises UsageError that names what is wrong."""
    guest = tuple(Script(name, resources.read(f"{_GUEST}/{name}")) for name in _scripts_in(resources.names(_GUEST)))
    if directory:
        return _from_directory(os.path.abspath(os.path.expanduser(directory)), guest)
    names = _scripts_in(resources.names(f"{_PACKAGED}/{SCRIPTS}"))
    return Manifest(
        "the packaged manifest",
        guest,
        parse_packages(resources.read(f"{_PACKAGED}/{PACKAGES}").decode(), PACKAGES),
        tuple(Script(name, resources.read(f"{_PACKAGED}/{SCRIPTS}/{name}")) for name in names),
    )


def parse_packages(text: str, source: str) -> tuple[str, ...]:
    """The names in a package list, each once: one or more on a line, `#` begins a comment."""
    found: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for name in line.partition("#")[0].split():
            if not _PACKAGE_NAME.fullmatch(name):
                raise UsageError(f"{source}, line {number}: {name!r} is not the name of a package.", "Mend the line.")
            found[name] = None
    return tuple(found)


def _from_directory(directory: str, guest: tuple[Script, ...]) -> Manifest:
    path = os.path.join(directory, PACKAGES)
    if not os.path.isfile(path):
        raise UsageError(
            f"{directory} is not a manifest: there is no {PACKAGES} in it.",
            f"AGENTVM_BASE_MANIFEST_DIR names a directory with {PACKAGES} (which may be empty) and {SCRIPTS}/*.sh.",
        )
    try:
        packages = parse_packages(_read(path).decode(), path)
        scripts = os.path.join(directory, SCRIPTS)
        names = _scripts_in(tuple(os.listdir(scripts))) if os.path.isdir(scripts) else ()
        return Manifest(
            directory, guest, packages, tuple(Script(name, _read(os.path.join(scripts, name))) for name in names)
        )
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"The manifest in {directory} can't be read: {problem}", "Mend it, and try again.") from None


def _scripts_in(names: tuple[str, ...]) -> tuple[str, ...]:
    """The scripts in their order. Other files are none of ours, but a script that would be passed over is a mistake."""
    scripts = sorted(name for name in names if name.endswith(".sh") and not name.startswith("."))
    for name in scripts:
        if not _SCRIPT_NAME.fullmatch(name):
            raise UsageError(f"{name!r} can't be the name of a script.", "Use letters, digits, '.', '_' and '-'.")
    return tuple(scripts)


def _read(path: str) -> bytes:
    if stat.S_ISFIFO(os.stat(path).st_mode):
        raise OSError(f"{path} is a pipe, which would be waited for")
    with open(path, "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError(f"{path} is larger than {_LARGEST} bytes")
    return content
