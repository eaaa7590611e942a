"""The front door's other half, for a start that is not like all others: the first one of a build, or one on an old Python.

It parses on every Python 3. Beside the front door's file in a source tree as in the archive, it belongs to no package:
importing one from the archive would keep that from being imported from the cache.
"""

import os
import sys
import time

DAY = 24 * 60 * 60


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


def extract(archive: "str", root: "str", build: "str") -> "bool":
    """Extract the modules of a build below `root`; false if they can't be written there.

    shiv extracts beside the place, under a lock, and renames: a start that is killed leaves nothing that looks finished.
    """
    from pathlib import Path
    from zipfile import ZipFile

    from _bootstrap import extract_site_packages

    mask = os.umask(0o077)
    try:
        make_root(root)
        with ZipFile(archive) as file:
            # By one process: helpers would outlive one that is killed, and keep its lock for ever.
            extract_site_packages(file, Path(root, build), compile_pyc=True, compile_workers=1)
        drop_old(root)
    except OSError:
        return False
    finally:
        os.umask(mask)
    return True


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
