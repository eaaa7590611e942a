"""agentvm in a child of this process, whole but for what a test breaks in it. A fork is as good as a start, and cheaper."""

from __future__ import annotations

import importlib
import os
import pkgutil
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import NamedTuple

import agentvm
from agentvm import cli
from agentvm.backend import Backend
from agentvm.model import Host
from agentvm.settings import Settings
from tests.cli.world import TIMEOUT

# What agentvm imports late, each child would import anew.
for _module in pkgutil.walk_packages(agentvm.__path__, "agentvm."):
    if not _module.name.endswith("__main__"):
        importlib.import_module(_module.name)
for _name in ("codecs", "json", "shutil", "subprocess", "threading", "tomllib"):
    importlib.import_module(_name)

Told = Callable[[], None]
Prepare = Callable[[Told], Callable[[Backend], Backend]]
"""Called in the child with what tells the test that the fault came; returns what becomes of the backend."""


class Ended(NamedTuple):
    """A run that ended. `status` is negative when a signal ended it; `said` has both its output streams."""

    status: int
    said: str
    fault: bool
    """Whether it came as far as where the fault was waiting."""


def attempt(
    words: tuple[str, ...],
    directory: str,
    environment: Mapping[str, str],
    prepare: Prepare | None = None,
    interrupt: bool = False,
) -> Ended:
    """Run agentvm to its end, and to the end of everything that has its streams; `interrupt` it when the fault comes."""
    said, saying = os.pipe()
    told, telling = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(words, directory, environment, prepare, saying, telling)
    os.close(saying)
    os.close(telling)
    text, fault = bytearray(), False
    waiting = {said, told}
    deadline = time.monotonic() + TIMEOUT
    try:
        while waiting:
            ready, _, _ = select.select(waiting, (), (), max(0.0, deadline - time.monotonic()))
            assert ready, f"{words} did not end, or left a process behind: {text!r}"
            for reader in ready:
                data = os.read(reader, 65536)
                if not data:
                    waiting.remove(reader)
                elif reader == said:
                    text += data
                else:
                    fault = True
                    if interrupt:
                        os.kill(pid, signal.SIGINT)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(said)
        os.close(told)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Ended(status, text.decode(errors="replace"), fault)


def _become(
    words: tuple[str, ...],
    directory: str,
    environment: Mapping[str, str],
    prepare: Prepare | None,
    saying: int,
    telling: int,
) -> None:
    """Never returns: what follows in the test is the parent's."""
    status = 99
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(saying, 1)
        os.dup2(saying, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        sys.dont_write_bytecode = True
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)

        def tell() -> None:
            os.write(telling, b"!")

        spoil = prepare(tell) if prepare else _as_it_is

        def make(host: Host, settings: Settings, state: str, report: Callable[[str], None]) -> Backend:
            return spoil(cli.make_backend(host, settings, state, report))

        status = cli.main(list(words), make)
    finally:
        if sys.exc_info()[0]:
            os.write(2, traceback.format_exc().encode())
        os._exit(status)


def _as_it_is(backend: Backend) -> Backend:
    return backend
