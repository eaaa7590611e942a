"""A guest that runs: what travels to it by ssh, on one shared connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from agentvm import process, terminal
from agentvm.errors import Error
from agentvm.guest_shell import VARIABLE
from agentvm.lima import ssh
from agentvm.lima.directory import Directory
from agentvm.model import Command, Host, Session
from agentvm.quoting import join
from agentvm.session import STARTER, signal_script

SHUTDOWN = 180.0
"""Seconds that a guest gets to shut itself down before its machine is cut off: as many as Lima gives it."""
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "TERM", "COLORTERM", "TMPDIR")
"""What ssh itself gets of the environment."""


class Guest:
    """The guest of the instance in this directory. `report` is told what a user may want to know on the way."""

    def __init__(self, directory: Directory, name: str, host: Host, report: Callable[[str], None]) -> None:
        self._directory = directory
        self._name = name
        self._host = host
        self._report = report

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in self._host.environment.items() if name in _PASSED}

    def command_argv(self, words: tuple[str, ...]) -> tuple[str, ...]:
        return ssh.command_argv(self._directory, self._name, words)

    def run(self, command: Command, output: Callable[[bytes], None]) -> int:
        words = ("sudo", "-n", "--", *command.argv) if command.root else command.argv
        argv = self.command_argv(words)
        return process.stream(argv, self.environment, output, timeout=command.timeout, stdin=command.stdin)

    def pipe(self, words: tuple[str, ...]) -> AbstractContextManager[process.Piped]:
        return process.piped(self.command_argv(words), self.environment)

    def attend(self, session: Session) -> int:
        """Run the session to its end; its exit status."""
        command = "exec " + join(("/bin/sh", "-c", session.script)) if session.open else STARTER
        argv = ssh.session_argv(self._directory, self._name, session.terminal, VARIABLE, command, session.agent)
        environment = {**self.environment, VARIABLE: session.script}
        if session.agent:
            environment["SSH_AUTH_SOCK"] = self._host.environment.get("SSH_AUTH_SOCK", "")

        def send(signal_name: str) -> bool:
            words = ("/bin/sh", "-c", signal_script(session.token, signal_name))
            return self.run(Command(words, timeout=10), _discard) == 0

        guest = terminal.Guest(lambda streams: process.spawn(argv, environment, streams), send)
        return terminal.attend(guest, session.terminal, session.suspended.encode())

    def is_connected(self) -> bool:
        """Whether the shared connection is open, on which every session travels, after it was tried to open it."""
        self._directory.drop_stale_masters()
        if self._directory.ssh_answers():
            return True
        argv = ssh.master_argv(self._directory, self._name, VARIABLE)
        try:
            return process.detach(argv, self.environment, timeout=60) == 0 and self._directory.ssh_answers()
        except process.TooSlow:
            return False

    def shut_down(self) -> None:
        """Have a guest that still lives shut itself down: by force, its machine is cut off, with all that is not written."""
        from agentvm.lima.processes import machine_lives

        self._directory.drop_stale_masters()
        if not machine_lives(self._directory, self._host) or not self._obeys("true"):
            return
        self._report(f"{self._name} is shut down from inside, so that nothing is lost")
        self._obeys("systemctl poweroff || poweroff")
        deadline = time.monotonic() + SHUTDOWN
        while machine_lives(self._directory, self._host):
            if time.monotonic() > deadline:
                self._report(f"{self._name} did not shut down in {SHUTDOWN:.0f} seconds, and is cut off")
                return
            time.sleep(0.5)

    def _obeys(self, script: str) -> bool:
        """Whether the guest's root did it, in a short time."""
        try:
            return self.run(Command(("/bin/sh", "-c", script), root=True, timeout=30), _discard) == 0
        except Error:
            return False


def _discard(data: bytes) -> None:
    """Nobody wants to see it."""
