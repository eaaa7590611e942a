"""The files that travel with agentvm: the default manifest and the shims.

They lie at the top of a source checkout, and beside the modules in the archive and in what was extracted of it. Nothing
else in agentvm works out where its own files are.
"""

from __future__ import annotations

import os
import sys

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def names(directory: str) -> tuple[str, ...]:
    """The sorted names of the files right inside a packaged directory, such as "manifests/base/scripts".

    Raises FileNotFoundError when there is no such directory.
    """
    archive = _archive_of(__spec__.loader)
    if not archive:
        path = _path(directory)
        return tuple(sorted(name for name in os.listdir(path) if os.path.isfile(os.path.join(path, name))))
    inside = _path(directory)[len(archive) + 1 :] + "/"
    found = tuple(sorted(name[len(inside) :] for name in _members(archive) if name.startswith(inside)))
    if not found:
        raise FileNotFoundError(f"{archive} holds no {directory}")
    return tuple(name for name in found if name and "/" not in name)


def read(path: str) -> bytes:
    """A packaged file, such as "manifests/base/apt-packages.txt". Raises an OSError when there is none."""
    archive = _archive_of(__spec__.loader)
    if not archive:
        with open(_path(path), "rb") as file:
            return file.read()
    import zipimport

    return zipimport.zipimporter(archive).get_data(_path(path))


def program() -> str:
    """The absolute path that starts this very agentvm: the archive, or the front door of a source tree."""
    return getattr(sys.modules["__main__"], "archive", "") or os.path.join(_PACKAGE, "__main__.py")


def command() -> tuple[str, ...]:
    """Words that start this very agentvm from anywhere, by a program with another PATH."""
    path = program()
    return (path,) if os.access(path, os.X_OK) else (sys.executable, "-I", "-S", path)


def cache() -> str:
    """Where the archive keeps the modules that it extracted, of every build; empty in a source tree."""
    door = sys.modules["__main__"]
    return os.path.dirname(str(door.cache_root())) if getattr(door, "BUILD", "") else ""


def _archive_of(loader: object) -> str:
    """The zip file that a module was loaded from (zipimport says so), or nothing."""
    archive = getattr(loader, "archive", "")
    return archive if isinstance(archive, str) else ""


def _members(archive: str) -> list[str]:
    import zipfile

    with zipfile.ZipFile(archive) as file:
        return file.namelist()


def _path(path: str) -> str:
    """Where a packaged file is; inside a zip, as zipimport counts: the archive's path, then the member's."""
    beside = os.path.join(_PACKAGE, path)
    if _archive_of(__spec__.loader) or os.path.exists(beside):
        return beside
    return os.path.join(os.path.dirname(os.path.dirname(_PACKAGE)), path)
