#!/usr/bin/env -S python3 -I -S
"""The front door, of the archive as of a source tree. It parses on every Python 3, to say which one agentvm needs.

build.py puts this file in front of what shiv packed, with BUILD filled in. The first start of a build extracts the
modules into the user's cache, and this file with them; every later one finds them there and imports them without shiv's
own bootstrap, which would take five times as long. Where nothing can be written, they are imported from the zip.

The archive's first lines are a shell's (packaging/door.sh): they start the file in the cache with the archive as its first
argument, so that Python need not open the zip; where there is none, or Python is given the archive, the one in the zip runs.

Python compiles a `__main__` at each start: so it is short, and what few starts need is in `first_start`.
"""

import gc
import os
import sys
import time

BUILD = ""
"""The hash of what is in the archive; empty in a source tree."""

archive = ""
"""The absolute path of the archive that was started; empty in a source tree."""

DAY = 24 * 60 * 60


def main() -> "None":
    """Run agentvm's command line and exit with its status."""
    global archive
    here = os.path.abspath(os.path.dirname(__file__))
    if BUILD:
        archive = here
        if os.path.isdir(here):
            archive = os.path.abspath(sys.argv.pop(1))
            sys.path.insert(0, archive)
    if sys.version_info < (3, 11):
        sys.path.insert(0, here)
        from first_start import rerun

        rerun([archive or __file__, *sys.argv[1:]])
    # A start makes many objects and hardly any garbage: looking for it as often as Python does takes a tenth of the time.
    gc.set_threshold(50_000)
    if BUILD:
        sys.path[0] = find_cache() or fill_cache() or os.path.join(archive, "site-packages")
    elif not __package__:
        # Started as a file: the package is one directory up.
        sys.path.insert(0, os.path.dirname(here))
    from agentvm import cli

    sys.exit(cli.main(sys.argv[1:]))


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


def fill_cache() -> "str":
    """Extract the modules and return where they are, or nothing if they can't be written there."""
    from first_start import extract

    return find_cache() if extract(archive, cache_root(), BUILD) else ""


def is_private(found: "os.stat_result") -> "bool":
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        # Ctrl-C before the command line could answer it: in the first start, which extracts.
        sys.exit(130)
