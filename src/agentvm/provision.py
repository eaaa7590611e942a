"""What a manifest means in a guest: a sequence of steps, each a command for root. Pure.

It goes over ssh after the start, since Lima does not tell when a script that it runs at boot fails.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from agentvm.manifest import Manifest, Script
from agentvm.model import Command
from agentvm.quoting import join

_TIMEOUT = 3600.0
"""Seconds for one step: under emulation an apt transaction takes many minutes."""
_ONE_AT_A_TIME = ("flock", "--close", "/run/agentvm-provision.lock")
"""What an agentvm that was killed had started goes on in the guest: the next one waits for it."""


class Step(NamedTuple):
    """One step, and what to call it."""

    title: str
    command: Command


def provisioning_steps(manifest: Manifest) -> tuple[Step, ...]:
    return (
        *(_script(script) for script in manifest.guest_scripts),
        *((_packages(manifest.packages),) if manifest.packages else ()),
        *(_script(script) for script in manifest.scripts),
    )


SEAL = Command(
    ("/bin/sh", "-c", "sync && : >/etc/machine-id && rm -f /var/lib/dbus/machine-id && sync"), root=True, timeout=120
)
"""Lima's clones keep /etc/machine-id; when it is empty, systemd makes a new one at the next boot."""


class Packages:
    """How far apt-get is, by what it prints: so many packages are to come, one is fetched, one is set up."""

    def __init__(self) -> None:
        self._rest = b""
        self._total = 0
        self._done = dict.fromkeys(_STAGES, 0)

    def read(self, data: bytes) -> str:
        """The next piece of its output. In a few words where it is now; empty when that is not known."""
        *lines, self._rest = (self._rest + data)[-_LONGEST:].split(b"\n")
        said = ""
        for line in lines:
            said = self._line(line) or said
        return said

    def _line(self, line: bytes) -> str:
        if found := _NEW.search(line):
            self._total = sum(map(int, found.groups()))
            self._done = dict.fromkeys(_STAGES, 0)
        for start, word in _STAGES.items():
            if self._total and line.startswith(start):
                self._done[start] = min(self._done[start] + 1, self._total)
                return f"{word} {self._done[start]} of {self._total} packages"
        return ""


_NEW = re.compile(rb"^(\d{1,6}) upgraded, (\d{1,6}) newly installed")
_STAGES = {b"Get:": "fetched", b"Unpacking ": "unpacked", b"Setting up ": "set up"}
_LONGEST = 100_000
"""Bytes of output that are kept until its line ends."""


def _packages(names: tuple[str, ...]) -> Step:
    text = _APT.replace("@PACKAGES@", join(names))
    argv = (*_ONE_AT_A_TIME, "/bin/sh", "-s")
    return Step(f"{len(names)} packages", Command(argv, text.encode(), root=True, timeout=_TIMEOUT))


def _script(script: Script) -> Step:
    """The script is copied in and run by its own first line; its standard input is empty."""
    argv = (*_ONE_AT_A_TIME, "/bin/sh", "-c", _RUN_SCRIPT, f"/var/lib/agentvm/{script.name}")
    return Step(script.name, Command(argv, script.content, root=True, timeout=_TIMEOUT))


_RUN_SCRIPT = """\
umask 022
mkdir -p /var/lib/agentvm && cat >"$0" && chmod 755 "$0" && cd /root || exit
export DEBIAN_FRONTEND=noninteractive AGENTVM_GUEST_USER="$SUDO_USER"
AGENTVM_GUEST_HOME=$(getent passwd "$SUDO_USER" | cut -d: -f6) && export AGENTVM_GUEST_HOME
exec "$0" </dev/null"""

# One transaction, so that a package that isn't there leaves nothing half-done; none at all when everything is there.
_APT = """\
set -eu
export DEBIAN_FRONTEND=noninteractive
command -v apt-get >/dev/null || { echo 'there is no apt-get in this guest: use a Debian or Ubuntu template'; exit 1; }
# No apt-get may read standard input: the rest of this script is there.
# DPkg::Lock::Timeout is not for the package lists, which a fresh guest may be updating by itself.
update() {
    tries=120
    until said=$(apt-get -qq update 2>&1 </dev/null); do
        case $said in *'Could not get lock'*) ;; *) tries=0 ;; esac
        [ "$tries" -gt 0 ] || { printf '%s\\n' "$said"; return 100; }
        tries=$((tries - 1))
        sleep 5
    done
}
set -- @PACKAGES@
if [ "$(dpkg-query -W -f '${db:Status-Abbrev}\\n' "$@" 2>/dev/null | grep -c '^ii')" = $# ]; then
    echo "all $# packages are there"
    exit
fi
update
apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -y --no-install-recommends install "$@" </dev/null
apt-get clean </dev/null
"""
