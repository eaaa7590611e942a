"""limactl: its words, its JSON, its errors. Nothing else runs it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from agentvm import process
from agentvm.console import one_line
from agentvm.errors import Error
from agentvm.files import hold, make_private_directory, remove_file
from agentvm.model import Host
from agentvm.paths import find_real
from agentvm.settings import Settings

OLDEST = (2, 0, 0)
_QUICK = 60.0
"""Seconds for what only reads or writes a few files."""
_COPY = 1800.0
"""Seconds for what downloads an image or copies a disk."""
_STOP = 420.0
"""Seconds. Lima itself waits 190 s for the guest and polls for 180 s more."""


class Limactl:
    """One limactl, run without a terminal, in an empty directory of ours (it writes rejected edits where it stands)."""

    def __init__(
        self, host: Host, settings: Settings, scratch: str, report: Callable[[str], None] = lambda text: None
    ) -> None:
        self._host = host
        self._report = report
        self._program = str(settings.limactl)
        self._start_timeout = float(settings.start_timeout)
        self._patience = float(settings.limactl_timeout)
        self._scratch = scratch
        self._checked = False

    def entries(self, *names: str) -> list[dict[str, Any]]:
        """What Lima knows of these instances, or of all: one object each. The `json` format would break on long lines."""
        done = self._run("list", "--format", "{{json .}}", *names, timeout=self._limit(_QUICK))
        if done.status != 0 and not names:
            # Before 2.2 a single half-made directory fails the whole list.
            whole = [name for name in self._names() if os.path.isfile(os.path.join(self._home, name, "lima.yaml"))]
            return self.entries(*whole) if whole else []
        if done.status != 0 and b"unmatched instances" not in done.stderr:
            raise self.failure("list", done)
        try:
            return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
        except ValueError:
            raise Error(
                "limactl list did not print whole JSON.", "Try again; `agentvm doctor` looks for causes."
            ) from None

    def create(self, name: str, document: bytes) -> None:
        self._do(
            "create", name, "--name", name, "--set", ".mounts = []", "-", timeout=self._limit(_COPY), stdin=document
        )

    def clone(self, source: str, name: str, expression: str) -> None:
        self._do("clone", name, "--set", expression, source, name, timeout=self._limit(_COPY))

    def edit(self, name: str, expression: str) -> None:
        self._do("edit", name, "--set", expression, name, timeout=self._limit(_QUICK))

    def start(self, name: str) -> process.Completed:
        """Start an existing instance and wait until Lima says that it runs; the caller judges what came of it.

        `limactl start` of a name that is not there would make a VM from Lima's default template, which shows it the
        host's home: an empty template path makes that fail.
        """
        self.check_version()
        limit = f"{self._start_timeout:.0f}s"
        guard = {"LIMA_TEMPLATES_PATH": self._scratch}
        time_limit = self._start_timeout + self._limit(_QUICK)
        with self._alone(name) as held:
            return self._run("start", "--timeout", limit, name, timeout=time_limit, extra=guard, held=held)

    def stop(self, name: str, force: bool) -> None:
        self._do("stop", name, *(("--force",) if force else ()), name, timeout=self._limit(_STOP))

    def delete(self, name: str, force: bool) -> None:
        self._do("delete", name, *(("--force",) if force else ()), name, timeout=self._limit(_STOP))

    def version(self) -> tuple[str, tuple[int, ...]]:
        """As limactl prints it, and as numbers; a development build without a number counts as new."""
        done = self._run("--version", timeout=self._limit(_QUICK), tty=())
        text = done.stdout.decode(errors="replace").strip().removeprefix("limactl version ")
        found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text)
        return text, tuple(map(int, found.groups())) if found else (9999,)

    def check_user(self) -> None:
        if self._host.user == 0:
            raise Error("Lima does not run as root.", "Run agentvm as your own user, without sudo.")

    def check_version(self) -> None:
        if self._checked:
            return
        text, numbers = self.version()
        if numbers < OLDEST:
            wanted = ".".join(map(str, OLDEST))
            raise Error(
                f"limactl {text} is too old: agentvm needs {wanted} or later.",
                "Upgrade Lima: https://lima-vm.io/docs/installation/",
            )
        self._checked = True

    @property
    def _home(self) -> str:
        return find_real(self._host.environment.get("LIMA_HOME") or os.path.join(self._host.home, ".lima"))

    def _names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._home) if not name.startswith(("_", ".")))

    def _limit(self, usual: float) -> float:
        """Seconds: what the user wants, or what is usual."""
        return self._patience or usual

    def settle(self, name: str) -> None:
        """Wait for a limactl that still works on this instance, left by an agentvm that was killed."""
        with self._alone(name):
            pass

    def forget(self, name: str) -> None:
        """Remove the lock file of a deleted instance."""
        remove_file(self._working(name))

    def _alone(self, name: str) -> AbstractContextManager[int]:
        left = f"waiting for a limactl that an agentvm which was killed has left at work on {name}; Ctrl-C gives up"
        return hold(self._working(name), lambda: self._report(left))

    def _working(self, name: str) -> str:
        return os.path.join(os.path.dirname(self._scratch), "working", name)

    def _do(self, command: str, name: str, *words: str, timeout: float, stdin: bytes = b"") -> None:
        """Run a command that changes the instance `name`."""
        self.check_version()
        with self._alone(name) as held:
            done = self._run(command, *words, timeout=timeout, stdin=stdin, held=held)
        if done.status != 0:
            raise self.failure(command, done)

    def _run(
        self,
        command: str,
        *words: str,
        timeout: float,
        stdin: bytes = b"",
        extra: Mapping[str, str] | None = None,
        held: int | None = None,
        tty: tuple[str, ...] = ("--tty=false", "--log-format=json"),
    ) -> process.Completed:
        self.check_user()
        make_private_directory(self._scratch)
        environment = {**self._host.environment, **(extra or {})}
        argv = (self._program, command, *tty, *words)
        try:
            return process.run(argv, environment, timeout=timeout, stdin=stdin, directory=self._scratch, held=held)
        except process.Missing:
            raise Error(
                f"Lima is not installed: {self._program} was not found.",
                "Install it (`brew install lima`, or https://lima-vm.io/docs/installation/), or set AGENTVM_LIMACTL.",
            ) from None
        except process.TooSlow as problem:
            raise Error(problem.message, _slow_hint(command)) from None

    def failure(self, command: str, done: process.Completed) -> Error:
        said = list(_messages(done.stderr))
        text = "; ".join(map(one_line, said[-2:])) or f"exit status {done.status}"
        hint = (
            "Free some disk space and try again."
            if "no space left" in text.lower()
            else "`agentvm doctor` looks for causes."
        )
        return Error(f"limactl {command} failed: {text}", hint)


def _slow_hint(command: str) -> str:
    setting = "AGENTVM_START_TIMEOUT" if command == "start" else "AGENTVM_LIMACTL_TIMEOUT"
    return f"{setting} gives it more seconds; `agentvm doctor` looks for causes."


def _messages(stderr: bytes) -> list[str]:
    """The error messages in limactl's log: JSON lines, and anything else that it or its children printed."""
    found = []
    for line in stderr.decode(errors="replace").splitlines():
        try:
            entry = json.loads(line)
            if entry["level"] in ("fatal", "error"):
                found.append(str(entry["msg"]))
        except (ValueError, KeyError, TypeError):
            if line.strip():
                found.append(line.strip())
    return found
