"""What the contract is checked in: a backend, and what a test needs to do behind its back."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from agentvm.backend import Backend
from agentvm.cli import read_host
from agentvm.errors import Error
from agentvm.fake import Fake
from agentvm.lima.backend import Lima
from agentvm.lima.directory import lima_home
from agentvm.model import InstanceSpec, Mount, Role
from agentvm.settings import read_settings

SWITCH = "AGENTVM_RUN_INTEGRATION_SMOKE"


class World(NamedTuple):
    """One backend, a prefix of our own for its instances, and a directory of the host to share."""

    backend: Backend
    prefix: str
    shared: Path
    instances: Path
    """Where the backend keeps a directory for each instance."""
    template: str
    limactl: str = ""
    """Empty for the fake."""

    def spec(self, word: str, *mounts: Mount) -> InstanceSpec:
        return InstanceSpec(f"{self.prefix}-{word}", self.prefix, Role.PROJECT, str(self.shared), 0, mounts)

    def directory(self, name: str) -> Mount:
        """A directory of the host, writable at the same place in the guest."""
        path = self.shared / name
        path.mkdir(exist_ok=True)
        return Mount(str(path), str(path), True)

    def make_foreign(self, name: str) -> None:
        """An instance that somebody else made, without agentvm."""
        if self.limactl:
            _limactl(self.limactl, "create", "--name", name, self.template)
        else:
            directory = self.instances / name
            directory.mkdir()
            (directory / "foreign").write_text("yes")
            (directory / "status").write_text("stopped")

    def answer_at_the_door(self, spec: InstanceSpec) -> AbstractContextManager[object]:
        """Have somebody behind the instance's door; on Lima its sshd is."""
        if self.limactl:
            return nullcontext()
        listener = socket.create_server(("127.0.0.1", 0))
        (self.instances / spec.name / "door").write_text(str(listener.getsockname()[1]))
        threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        return listener

    def remove(self) -> None:
        """Remove every instance of ours, whatever state a failed test left it in."""
        for directory in self.instances.glob(f"{self.prefix}-*"):
            if self.limactl:
                subprocess.run([self.limactl, "delete", "--force", directory.name], check=False, capture_output=True)
            shutil.rmtree(directory, ignore_errors=True)


def _greet(listener: socket.socket) -> None:
    caller, _ = listener.accept()
    with caller:
        caller.sendall(b"SSH-2.0-fake\r\n")


def make_fake(directory: Path) -> World:
    instances = directory / "instances"
    instances.mkdir()
    prefix = _prefix()
    return World(Fake(read_host(), str(instances), prefix), prefix, _shared(directory), instances, "any")


def make_lima(directory: Path) -> World:
    host = read_host()
    settings = read_settings(host)
    backend = Lima(host, settings, str(directory / "state"), print)
    instances = Path(lima_home(host))
    return World(backend, _prefix(), _shared(directory), instances, settings.base_template, settings.limactl)


def obstacle_to_lima() -> str:
    """Why the suite does not run on real Lima; empty if it does."""
    if os.environ.get(SWITCH) != "1":
        return f"real Lima makes virtual machines, so it is tested only with {SWITCH}=1"
    limactl = os.environ.get("AGENTVM_LIMACTL", "limactl")
    return "" if shutil.which(limactl) else f"there is no {limactl}"


def _prefix() -> str:
    return f"c{secrets.token_hex(2)}"


def _shared(directory: Path) -> Path:
    shared = directory / "shared"
    shared.mkdir()
    return shared.resolve()


def _limactl(program: str, *words: str) -> None:
    done = subprocess.run([program, words[0], "--tty=false", *words[1:]], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Error(f"limactl {words[0]} failed: {done.stderr}")
