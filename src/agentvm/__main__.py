#!/usr/bin/env -S python3 -I -S
"""The front door, of the archive as of a source tree. It parses on every Python 3, to say which one agentvm needs.

build.py puts this file in front of what shiv packed, with BUILD filled in. The first start of a build extracts the
modules into the user's cache; every later one finds them there and imports them without shiv's own bootstrap, which
would take five times as long. Where nothing can be written, they are imported from the zip.

Python compiles an archive's `__main__` at each start, and imports only what it names: so it is short, and imports late.
"""

import os
import sys
import time

BUILD = ""
"""The hash of what is in the archive; empty in a source tree."""

DAY = 24 * 60 * 60


def main() -> "None":
    """Run agentvm's command line and exit with its status."""
    here = os.path.abspath(os.path.dirname(__file__))
    if sys.version_info < (3, 11):
        rerun([here if BUILD else __file__, *sys.argv[1:]])
    if BUILD:
        sys.path[0] = find_cache() or fill_cache(here) or os.path.join(here, "site-packages")
    elif not __package__:
        # Started as a file: the package is one directory up.
        sys.path.insert(0, os.path.dirname(here))
    from agentvm import cli

    sys.exit(cli.main(sys.argv[1:]))


def rerun(argv: "list[str]") -> "None":
    """Go on as the same program on a newer Python, or exit with what to install."""
    python = find_python([*os.environ.get("PATH", os.defpath).split(os.pathsep), "/opt/homebrew/bin", "/usr/local/bin"])
    if not python:
        name, found = os.path.basename(argv[0]), ".".join(map(str, sys.version_info[:2]))
        sys.exit(
            f"{name} needs Python 3.11 or newer, and finds only {found}: "
            "install a newer one (`brew install python`, `apt install python3`) and put it on the PATH."
        )
    os.execv(python, [python, "-I", "-S", *argv])


def find_python(directories: "list[str]") -> "str":
    """A Python that answers that it is new enough: so one that is started in its place never looks again."""
    import subprocess

    names = [*(f"python3.{minor}" for minor in range(19, 10, -1)), "python3"]
    question = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in [os.path.join(directory, name) for name in names for directory in directories if directory]:
        if os.access(python, os.X_OK):
            answer = subprocess.Popen([python, "-I", "-S", "-c", question], stderr=subprocess.DEVNULL)
            if answer.wait() == 0:
                return python
    return ""


def find_cache() -> "str":
    """Where this build's modules were extracted, if that was finished and nobody else could have changed them."""
    place = os.path.join(cache_root(), BUILD)
    try:
        found = os.stat(place)
        if not is_private(found) or not is_private(os.stat(cache_root())):
            return ""
        if time.time() - found.st_mtime > DAY:
            # A sign of life, see drop_old.
            os.utime(place)
    except OSError:
        return ""
    return os.path.join(place, "site-packages")


def cache_root() -> "str":
    """The directory with one directory for each build, or one that can't exist if the user has no home."""
    directory = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(directory):
        home = os.environ.get("HOME", "")
        below = "Library/Caches" if sys.platform == "darwin" else ".cache"
        directory = os.path.join(home, below) if os.path.isabs(home) else os.path.join(os.devnull, "cache")
    return os.path.join(directory, "agentvm", "builds")


def is_private(found: "os.stat_result") -> "bool":
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def fill_cache(archive: "str") -> "str":
    """Extract the modules and return where they are, or nothing if they can't be written there.

    shiv extracts beside the place, under a lock, and renames: a start that is killed leaves nothing that looks finished.
    """
    from pathlib import Path
    from zipfile import ZipFile

    from _bootstrap import extract_site_packages

    mask = os.umask(0o077)
    try:
        make_root(cache_root())
        with ZipFile(archive) as file:
            # By one process: helpers would outlive one that is killed, and keep its lock for ever.
            extract_site_packages(file, Path(cache_root(), BUILD), compile_pyc=True, compile_workers=1)
        drop_old(cache_root())
    except OSError:
        return ""
    finally:
        os.umask(mask)
    return find_cache()


def make_root(root: "str") -> "None":
    """Make the cache's directory; but no home that doesn't exist, and nothing of ours in the home of somebody else."""
    parent = root
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    if os.stat(parent).st_uid != os.geteuid() or parent == os.path.sep:
        raise PermissionError(parent)
    os.makedirs(root, exist_ok=True)


def drop_old(root: "str") -> "None":
    """Remove builds that nothing started for 30 days, except the newest three: a session imports modules late."""
    from shutil import rmtree

    ages = sorted((time.time() - os.stat(place).st_mtime, place) for place in list_builds(root))
    for age, place in ages[3:]:
        if age > 30 * DAY:
            # Renamed first, so that half of a build never stands where a whole one is expected.
            os.rename(place, place + ".tmp")
            rmtree(place + ".tmp", ignore_errors=True)


def list_builds(root: "str") -> "list[str]":
    return [os.path.join(root, name) for name in os.listdir(root) if name.isalnum()]


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        # Ctrl-C before the command line could answer it: in the first start, which extracts.
        sys.exit(130)
