"""Which kind of mount Lima can make here.

macOS's vz has virtiofs. QEMU on Linux has it where the Rust virtiofsd is found, and 9p else. Never reverse-sshfs: its
server on the host would let a guest read everything that the user can.
"""

from __future__ import annotations

import json
import os
import shutil

from agentvm import process
from agentvm.errors import Error
from agentvm.model import Host


def mount_type(host: Host) -> str:
    if host.platform == "darwin":
        return "virtiofs"
    return "virtiofs" if find_virtiofsd(host) else "9p"


def find_virtiofsd(host: Host) -> str:
    """The virtiofsd that Lima will find (it searches as pkg/driver/qemu does), else an empty string."""
    for directory in _directories(host):
        for binary in _described(directory):
            if _is_rust(binary, host):
                return binary
    return ""


def _directories(host: Host) -> tuple[str, ...]:
    qemu = shutil.which("qemu-system-x86_64", path=host.environment.get("PATH")) or "/usr/bin/qemu"
    roots = (os.path.join(host.home, ".local"), os.path.dirname(os.path.dirname(qemu)), "/usr")
    return tuple(dict.fromkeys(os.path.join(root, "share/qemu/vhost-user") for root in roots))


def _described(directory: str) -> list[str]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    found = []
    for name in names:
        try:
            with open(os.path.join(directory, name), "rb") as file:
                entry = json.loads(file.read(65536))
            if name.endswith(".json") and entry.get("type") == "fs":
                found.append(str(entry["binary"]))
        except (OSError, ValueError, KeyError, AttributeError):
            continue
    return found


def _is_rust(binary: str, host: Host) -> bool:
    """QEMU's old virtiofsd, which must run as root, has no --version."""
    try:
        return process.run((binary, "--version"), host.environment, timeout=10).status == 0
    except Error:
        return False
