#!/usr/bin/env python3
"""Real Lima on a machine that has none, or none that can run: `lab.py up`, `run COMMAND...`, `down`, `remove`.

README.md beside this file says what is in it. All of it belongs to an unprivileged user of its own, since Lima refuses
to run as root, and lies in one directory and in that user's home.
"""

from __future__ import annotations

import fcntl
import grp
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import parts
from parts import say

USER = "agentvm-lab"
DIRECTORY = Path(os.environ.get("AGENTVM_LAB_DIR", "/opt/agentvm-lab"))
LIMA_VERSION = os.environ.get("AGENTVM_LAB_LIMA_VERSION", "v2.2.0")
LIMA = DIRECTORY / f"lima-{LIMA_VERSION}"
IMAGE = DIRECTORY / f"image-{parts.image_version()}"
VIRTIOFSD = DIRECTORY / "virtiofsd"
TEMPLATE = DIRECTORY / "template.yaml"
CERTIFICATES = Path("/usr/local/share/ca-certificates")

PACKAGES = """ca-certificates debian-archive-keyring debootstrap e2fsprogs ipxe-qemu openssh-client qemu-system-x86
    qemu-utils rsync seabios util-linux""".split()

NETWORK_VARIABLES = """http_proxy https_proxy no_proxy all_proxy ssl_cert_file ssl_cert_dir curl_ca_bundle requests_ca_bundle
    node_extra_ca_certs git_ssl_cainfo""".split()
NETWORK_PREFIXES = ("pip_", "npm_config_")


def main(argv: list[str]) -> None:
    name, arguments = (argv[0], argv[1:]) if argv else ("", [])
    require_debian()
    if name == "run" and arguments:
        run(arguments)
    commands = {"up": up, "down": down, "remove": remove}
    if name not in commands or arguments:
        sys.exit("usage: lab.py up | run COMMAND [ARG...] | down | remove")
    require_root()
    with locked():
        commands[name]()


def require_debian() -> None:
    if os.uname().machine != "x86_64" or not shutil.which("apt-get"):
        sys.exit(
            "lab: it is made for Debian and Ubuntu on x86_64; elsewhere, install Lima: https://lima-vm.io/docs/installation/"
        )


def require_root() -> None:
    if os.geteuid() != 0:
        sys.exit("lab: this needs root, to install packages and to add a user: repeat it with sudo.")


@contextmanager
def locked() -> Iterator[None]:
    """One change of the lab at a time; the lock ends with the process, however that ends."""
    with Path("/run", f"{USER}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- up ----------------------------------------------------------------------------------------------------------------


def up() -> None:
    """Build what is missing."""
    DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    parts.install_packages(PACKAGES)
    parts.build_lima(LIMA, LIMA_VERSION)
    parts.build_virtiofsd(VIRTIOFSD)
    parts.build_image(IMAGE)
    add_user()
    TEMPLATE.write_text(json.dumps(describe_guest(), indent=2) + "\n")
    TEMPLATE.chmod(0o644)
    say(
        f"ready: Lima {LIMA_VERSION}, {'virtiofs' if VIRTIOFSD.exists() else '9p'}, {'KVM' if has_kvm() else 'emulation'}"
    )


def add_user() -> None:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        parts.execute(["useradd", "--create-home", "--shell", "/bin/bash", "--comment", "agentvm's lab", USER])
    if Path("/dev/kvm").exists():
        group = Path("/dev/kvm").group()
        if group != "root":
            parts.execute(["usermod", "--append", "--groups", group, USER])
    if VIRTIOFSD.exists():
        # Lima looks for it in the home that it is started with: a process with another HOME gets 9p.
        backend = {"description": "virtiofsd", "type": "fs", "binary": str(VIRTIOFSD)}
        script = 'd=~/.local/share/qemu/vhost-user && mkdir -p "$d" && cat >"$d/50-virtiofsd.json"'
        subprocess.run([*as_user(environment()), "sh", "-c", script], input=json.dumps(backend), text=True, check=True)


def describe_guest() -> Mapping[str, object]:
    """The template, in Lima's terms: a local image, booted directly. JSON is YAML."""
    kernel = {"location": str(IMAGE / "vmlinuz"), "cmdline": "root=LABEL=cloudimg-rootfs rw console=ttyS0"}
    disk = {"location": str(IMAGE / "disk.qcow2"), "arch": "x86_64"}
    return {
        "vmType": "qemu",
        "os": "Linux",
        "arch": "x86_64",
        "images": [{**disk, "kernel": kernel, "initrd": {"location": str(IMAGE / "initrd")}}],
        "cpus": 2,
        "memory": "2GiB",
        "disk": "8GiB",
        "mounts": [],
        "containerd": {"system": False, "user": False},
        "firmware": {"legacyBIOS": True},
        "env": guest_environment(),
    }


def guest_environment() -> Mapping[str, str]:
    """What the guest needs to reach the registries, as this machine does. Lima itself hands over proxies."""
    values = {name: value for name, value in os.environ.items() if name.lower() == "npm_config_registry"}
    for file in (Path.home() / ".npmrc", Path("/etc/npmrc")):
        for line in file.read_text().splitlines() if file.exists() else ():
            name, _, value = line.partition("=")
            if name.strip() == "registry":
                values.setdefault("NPM_CONFIG_REGISTRY", value.strip())
    if any(CERTIFICATES.glob("*.crt")):
        # The image has them in its own bundle; Node looks only into the one that it was built with.
        values["NODE_EXTRA_CA_CERTS"] = "/etc/ssl/certs/ca-certificates.crt"
    return values


# --- run ---------------------------------------------------------------------------------------------------------------


def run(command: list[str]) -> None:
    """Become the lab's user and run a command in the current directory; doesn't return."""
    if not TEMPLATE.exists():
        sys.exit("lab: it is not built yet: `python3 build.py lab up` builds it.")
    handed_on = {name: value for name, value in os.environ.items() if name.startswith("AGENTVM_") or is_network(name)}
    variables = {**environment(), **handed_on}
    words = [*as_user(variables), *command]
    if os.geteuid() == pwd.getpwnam(USER).pw_uid:
        words = words[words.index("env") :]
    else:
        require_root()
    os.execvp(words[0], words)


def is_network(name: str) -> bool:
    return name.lower() in NETWORK_VARIABLES or name.lower().startswith(NETWORK_PREFIXES)


def as_user(variables: Mapping[str, str]) -> list[str]:
    """The command that runs another one as the lab's user, with these variables and no others."""
    words = [f"{name}={value}" for name, value in variables.items()]
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "env", "-i", *words]


def environment() -> dict[str, str]:
    """What makes real Lima work here."""
    home = os.environ.get("LAB_HOME", pwd.getpwnam(USER).pw_dir)
    values = {
        "HOME": home,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
        "PATH": f"{LIMA}/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        # One for all homes, and short: sockets lie in it, and the path of a socket has at most 107 characters.
        "LIMA_HOME": str(Path(pwd.getpwnam(USER).pw_dir, ".lima")),
        "AGENTVM_IN_LAB": "1",
        "AGENTVM_BASE_TEMPLATE": str(TEMPLATE),
        "AGENTVM_START_TIMEOUT": "1800",
    }
    if not has_kvm():
        # A /dev/kvm that is there and forbidden makes QEMU fail, so Lima may not choose by itself.
        accelerator = "-machine q35,vmport=off -accel tcg,thread=multi,tb-size=512 -cpu max"
        values["QEMU_SYSTEM_X86_64"] = f"qemu-system-x86_64 {accelerator}"
    return values


def has_kvm() -> bool:
    """Whether the lab's user may use /dev/kvm."""
    try:
        found = os.stat("/dev/kvm")
    except FileNotFoundError:
        return False
    everybody, group = 0o006, 0o060
    is_member = USER in grp.getgrgid(found.st_gid).gr_mem
    return found.st_mode & everybody == everybody or (is_member and found.st_mode & group == group)


# --- down --------------------------------------------------------------------------------------------------------------


def down() -> None:
    """Delete every instance of the lab, and end what its user still runs."""
    if not TEMPLATE.exists():
        return
    limactl = [*as_user(environment()), "limactl"]
    for name in parts.ask([*limactl, "list", "--quiet"]).split():
        say(f"deleting {name}")
        parts.ask([*limactl, "unprotect", name])
        parts.execute([*limactl, "delete", "--force", name])
    end_processes()


def end_processes() -> None:
    """All of the lab's user, since nobody else starts any; they are gone afterwards."""
    user = pwd.getpwnam(USER).pw_uid
    while running := [int(path.name) for path in Path("/proc").glob("[0-9]*") if owner_of(path) == user]:
        for process in running:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)


def owner_of(path: Path) -> int:
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return -1


def remove() -> None:
    """Everything but the distribution's packages."""
    down()
    try:
        pwd.getpwnam(USER)
    except KeyError:
        pass
    else:
        parts.execute(["userdel", "--remove", USER])
    if DIRECTORY.exists():
        shutil.rmtree(DIRECTORY)
    say("removed; packages that it installed stay")


if __name__ == "__main__":
    main(sys.argv[1:])
