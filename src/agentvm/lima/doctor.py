"""What can be wrong with Lima on this host."""

from __future__ import annotations

import os
import shutil

from agentvm.errors import Error
from agentvm.lima.limactl import OLDEST, Limactl
from agentvm.lima.virtiofs import find_virtiofsd
from agentvm.model import Finding, Host

_UPGRADE = "brew upgrade lima"
RECOMMENDED = (2, 1, 3)
"""Before it, every user of the guest could talk to Lima's agent (CVE-2026-53657)."""


def check_lima(host: Host, limactl: Limactl, home: str) -> tuple[Finding, ...]:
    return (_limactl(limactl), _ssh(host), *_machine(host), _home(home))


def _limactl(limactl: Limactl) -> Finding:
    try:
        text, numbers = limactl.version()
    except Error as problem:
        return Finding("error", "limactl", problem.message, problem.hint, "brew install lima")
    if numbers < OLDEST:
        return Finding("error", "limactl", f"{text} is too old", "upgrade Lima to 2.0 or later", _UPGRADE)
    if numbers < RECOMMENDED:
        return Finding(
            "warning",
            "limactl",
            f"{text} has a known hole (CVE-2026-53657)",
            "upgrade Lima to 2.1.3 or later",
            _UPGRADE,
        )
    return Finding("ok", "limactl", text)


def _ssh(host: Host) -> Finding:
    found = shutil.which("ssh", path=host.environment.get("PATH"))
    return (
        Finding("ok", "ssh", found)
        if found
        else Finding("error", "ssh", "not found", "install OpenSSH's client", "sudo apt install openssh-client")
    )


def _machine(host: Host) -> tuple[Finding, ...]:
    if host.platform == "darwin":
        return (Finding("ok", "mounts", "virtiofs of macOS"),)
    qemu = shutil.which(f"qemu-system-{os.uname().machine}", path=host.environment.get("PATH"))
    virtiofsd = find_virtiofsd(host)
    return (
        Finding("ok", "qemu", qemu)
        if qemu
        else Finding("error", "qemu", "not found", "install QEMU", "sudo apt install qemu-system"),
        _kvm(),
        Finding("ok", "mounts", f"virtiofs ({virtiofsd})")
        if virtiofsd
        else Finding("ok", "mounts", "9p (virtiofs would be faster for many small files: install the Rust virtiofsd)"),
    )


def _kvm() -> Finding:
    if not os.path.exists("/dev/kvm"):
        return Finding("warning", "kvm", "there is no /dev/kvm, so VMs are emulated and slow", "turn on virtualisation")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Finding(
            "error",
            "kvm",
            "/dev/kvm may not be used",
            "add yourself to the group kvm and log in again",
            'sudo usermod -aG kvm "$USER"',
        )
    return Finding("ok", "kvm", "/dev/kvm")


def _home(home: str) -> Finding:
    above = home
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    free = shutil.disk_usage(above).free // 2**30
    if free < 10:
        return Finding(
            "warning", "disk", f"{free} GiB free in {above}", "free some space: a VM takes 3 to 20 GiB", "agentvm prune"
        )
    return Finding("ok", "disk", f"{free} GiB free in {above}")
