"""What ssh is told, tried with the real ssh where it is about how ssh behaves."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from agentvm.lima.directory import Directory
from agentvm.lima.ssh import command_argv, master_argv, session_argv


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(str(tmp_path))


@pytest.mark.parametrize("agent", [False, True])
def test_a_guest_that_does_not_answer_is_given_up(directory: Directory, agent: bool) -> None:
    """Also by a session whose shared connection ended just now, and that ssh makes one of its own for."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host, port = mute.getsockname()
        Path(directory.ssh_config).write_text(f"Host lima-x\n  Hostname {host}\n  Port {port}\n")
        for argv in (
            session_argv(directory, "x", False, "VARIABLE", "true", agent),
            command_argv(directory, "x", ("true",)),
        ):
            sooner = ["ssh", "-o", "ConnectTimeout=1", *argv[1:]]
            done = subprocess.run(sooner, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=20)
            assert done.returncode == 255
            assert b"timed out" in done.stderr


def test_every_ssh_has_the_same_patience(directory: Directory) -> None:
    patience = {"ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=4"}
    for argv in (
        master_argv(directory, "x", "VARIABLE"),
        session_argv(directory, "x", True, "VARIABLE", "true", False),
        session_argv(directory, "x", True, "VARIABLE", "true", True),
        command_argv(directory, "x", ("true",)),
    ):
        assert patience <= set(argv)
