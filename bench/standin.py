"""A warm VM of Lima's as agentvm sees it, without a machine: files, two sockets that answer, and something in ssh's place.

A warm run asks nothing else of Lima, so what agentvm itself does until it starts ssh can be measured anywhere.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

GREETING = b"\0\0\0\x08"
"""The begin of what a master of ssh says to who connects."""


class Warm(NamedTuple):
    """A project whose VM seems to run; `environment` leads agentvm to it."""

    project: Path
    environment: dict[str, str]


@contextmanager
def warm(agentvm: Sequence[str], scratch: Path, ssh: str) -> Iterator[Warm]:
    """`agentvm` starts it; `scratch` is an empty directory, and `ssh` the text of the program that stands for ssh."""
    home, project, programs, lima = (scratch / name for name in ("home", "home/project", "bin", "lima"))
    project.mkdir(parents=True)
    programs.mkdir()
    (programs / "ssh").write_text(ssh)
    (programs / "ssh").chmod(0o755)
    variables = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(home)}
    pretend(agentvm, project, {**variables, "AGENTVM_BACKEND": "fake", "AGENTVM_FAKE_DIR": str(scratch / "fake")})
    (label,) = (scratch / "fake").glob("*-project-*/agentvm.json")
    instance = lima / label.parent.name
    instance.mkdir(parents=True)
    shutil.copy(label, instance)
    mark_ready(instance)
    with ExitStack() as open_sockets:
        open_sockets.enter_context(answering(instance / "ha.sock"))
        open_sockets.enter_context(answering(instance / "avm.sock"))
        yield Warm(project, {**variables, "LIMA_HOME": str(lima)})


def pretend(agentvm: Sequence[str], project: Path, environment: Mapping[str, str]) -> None:
    """Have the fake backend make the VM: its label is the same, and all that agentvm notes of a session is there then."""
    subprocess.run(
        [*agentvm, "shell", "--", "true"],
        check=True,
        env=environment,
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def mark_ready(instance: Path) -> None:
    """As after a boot that agentvm saw through: its mark is the identity of the hostagent's pid file."""
    pid = instance / "ha.pid"
    pid.write_text("1\n")
    found = pid.stat()
    (instance / "agentvm.ready").write_text(f"{found.st_ino} {found.st_mtime_ns} 1")


@contextmanager
def answering(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=greet, args=(listener,), daemon=True).start()
        yield
        # Wakes up who waits in accept.
        listener.shutdown(socket.SHUT_RDWR)


def greet(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(GREETING)
        except BrokenPipeError:
            # Who only wanted to know whether somebody is there has gone already.
            continue
        except OSError:
            return
