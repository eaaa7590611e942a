"""What breaks a run down: a backend that fails, hangs or is killed at its n-th effect, and the n-th change of a file."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NoReturn, TypeVar

from agentvm.backend import Backend
from agentvm.errors import Error
from agentvm.model import Command, Door, Finding, Instance, InstanceSpec, Session, Usage
from agentvm.process import Piped

Break = Callable[[], None]
T = TypeVar("T")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = frozenset(
    "os.mkdir os.rename os.remove os.rmdir os.link os.symlink os.chmod os.truncate os.posix_spawn subprocess.Popen".split()
)


class Faulty:
    """Passes everything on to another backend, and breaks down at its n-th effect, before it is done or after."""

    def __init__(self, inner: Backend, number: int, after: bool, breaks: Break) -> None:
        self.gateway = inner.gateway
        self.variables = inner.variables
        self._inner = inner
        self._left = number
        self._after = after
        self._breaks = breaks

    def validate(self, spec: InstanceSpec) -> None:
        self._inner.validate(spec)

    def find(self, name: str) -> Instance | None:
        return self._inner.find(name)

    def list(self) -> tuple[Instance, ...]:
        return self._inner.list()

    def create(self, spec: InstanceSpec, template: str) -> None:
        self._do(lambda: self._inner.create(spec, template))

    def clone(self, source: str, spec: InstanceSpec) -> None:
        self._do(lambda: self._inner.clone(source, spec))

    def reconfigure(self, spec: InstanceSpec) -> None:
        self._do(lambda: self._inner.reconfigure(spec))

    def start(self, name: str) -> None:
        self._do(lambda: self._inner.start(name))

    def stop(self, name: str, force: bool = False) -> None:
        self._do(lambda: self._inner.stop(name, force))

    def delete(self, name: str) -> None:
        self._do(lambda: self._inner.delete(name))

    def progress(self, name: str) -> str:
        return self._inner.progress(name)

    def run(self, name: str, command: Command, output: Callable[[bytes], None]) -> int:
        return self._do(lambda: self._inner.run(name, command, output))

    def session(self, name: str, session: Session) -> int:
        return self._do(lambda: self._inner.session(name, session))

    def pipe(self, name: str, words: tuple[str, ...]) -> AbstractContextManager[Piped]:
        return self._inner.pipe(name, words)

    def door(self, name: str) -> Door | None:
        return self._inner.door(name)

    def forwarded(self, name: str) -> frozenset[int]:
        return self._inner.forwarded(name)

    def copy_home(self, source: str, target: str, passed: Callable[[int], None]) -> None:
        self._do(lambda: self._inner.copy_home(source, target, passed))

    def measure(self, name: str) -> Usage:
        return self._inner.measure(name)

    def tidy(self, name: str, rehearse: bool = False) -> tuple[str, ...]:
        return self._inner.tidy(name, rehearse)

    def check(self) -> tuple[Finding, ...]:
        return self._inner.check()

    def _do(self, call: Callable[[], T]) -> T:
        self._left -= 1
        if self._left == 0 and not self._after:
            self._breaks()
        result = call()
        if self._left == 0 and self._after:
            self._breaks()
        return result


def fail() -> NoReturn:
    raise Error("The backend failed, as it was told.", "Try again.")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> NoReturn:
    """Until Ctrl-C. (In pause(2) a signal that comes right before it would be missed.)"""
    while True:
        time.sleep(0.02)


def die_at_change(number: int, told: Break) -> None:
    """From now on, count what this process changes outside itself, and be killed right before the n-th change."""
    left = [number]

    def count(event: str, words: tuple[object, ...]) -> None:
        if _is_change(event, words):
            left[0] -= 1
            if left[0] == 0:
                told()
                die()

    sys.addaudithook(count)


def fill_disk_at_change(number: int, told: Break) -> None:
    """The same, but from the n-th change on the disk is full: no byte can be written, and no file or directory be made."""
    left = [number]

    def count(event: str, words: tuple[object, ...]) -> None:
        if not _is_change(event, words):
            return
        left[0] -= 1
        if left[0] == 0:
            told()
            # The kernel's own refusal. Python's streams are pipes, which it leaves alone.
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        if left[0] <= 0 and _makes(event, words):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), words[0])

    sys.addaudithook(count)


def _is_change(event: str, words: tuple[object, ...]) -> bool:
    if event == "open":
        return isinstance(words[2], int) and bool(words[2] & _WRITING) and words[0] != os.devnull
    return event in _CHANGES


def _makes(event: str, words: tuple[object, ...]) -> bool:
    is_new = isinstance(words[0], str) and not os.path.lexists(words[0]) if words else False
    return is_new and event in ("open", "os.mkdir", "os.link", "os.symlink")
