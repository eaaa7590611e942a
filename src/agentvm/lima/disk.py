"""The disk of a clone."""

from __future__ import annotations

import json
import os

from agentvm import process
from agentvm.errors import Error
from agentvm.lima.directory import Directory
from agentvm.model import Host


def detach(source: str, clone: Directory, host: Host) -> None:
    """Make a clone of Lima 2.0 independent: its disk still names the source's, by an absolute path."""
    disk, backing = (os.path.join(clone.path, name) for name in ("diffdisk", "basedisk"))
    if os.path.islink(disk) or not (os.path.isfile(disk) and os.path.isfile(backing)):
        return
    done = process.run(("qemu-img", "info", "--output=json", disk), host.environment, timeout=60)
    information = json.loads(done.stdout or b"{}")
    if information.get("format") != "qcow2" or not information.get("backing-filename"):
        return
    form = str(information.get("backing-filename-format", "qcow2"))
    argv = ("qemu-img", "rebase", "-u", "-f", "qcow2", "-F", form, "-b", backing, disk)
    if (done := process.run(argv, host.environment, timeout=60)).status != 0:
        raise Error(f"The copy of {source} still needs it: {done.stderr.decode(errors='replace').strip()}")
