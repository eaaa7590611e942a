"""Whose the numbers in an instance's pid files are.

After a crash of the host, or a `kill -9`, a number may be another program's by now. limactl would take that for the
instance's own: it would call the instance running, and `limactl stop` would interrupt or kill that program.
"""

from __future__ import annotations

import os

from agentvm import process
from agentvm.files import remove_file
from agentvm.lima.directory import Directory
from agentvm.model import Host

_HOSTAGENT = "ha.pid"


def forget_strangers(directory: Directory, host: Host) -> None:
    """Remove pid files whose numbers are not, or no longer, of processes that work for the instance."""
    for name, pid in directory.pids().items():
        if not _works_for(directory, pid, host):
            remove_file(os.path.join(directory.path, name))


def machine_lives(directory: Directory, host: Host) -> bool:
    """Whether the machine itself is there, apart from Lima's hostagent (which, on a Mac, is the machine, too)."""
    pids = (pid for name, pid in directory.pids().items() if name != _HOSTAGENT and not name.startswith("virtiofsd"))
    return any(_works_for(directory, pid, host) for pid in pids)


def _works_for(directory: Directory, pid: int, host: Host) -> bool:
    """Hostagent, QEMU, krunkit and virtiofsd all have paths of the instance's directory on their command lines."""
    return os.fsencode(directory.path + "/") in _arguments(pid, host)


def _arguments(pid: int, host: Host) -> bytes:
    """The command line of a process; empty when there is none of that number."""
    if host.platform == "darwin":
        return process.run(("ps", "-ww", "-o", "args=", "-p", str(pid)), host.environment, timeout=20).stdout
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
