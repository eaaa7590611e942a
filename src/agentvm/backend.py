"""The port: what agentvm needs of a manager of virtual machines, and nothing of how it does it.

Every method may be killed at any moment. After that, and after any failure, the instance is whole, or absent, or its
status is INCOMPLETE, BROKEN or STARTING, from which the next command brings it back.
The caller holds the instance's lock for everything but `find`, `list`, `run`, `session`, `pipe`,
`door` and `forwarded`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from agentvm.model import Command, Door, Finding, Instance, InstanceSpec, Session, Usage
from agentvm.process import Piped


class Backend(Protocol):
    """Instances, by name. Failures are `agentvm.errors.Error`s that say what to do next."""

    gateway: str
    """The name under which a guest reaches this computer, its loopback interface too."""

    variables: tuple[str, ...]
    """Those of the environment that say where its instances are."""

    def validate(self, spec: InstanceSpec) -> None:
        """Raise UsageError if this backend could never carry `spec`: the name is too long, a path can't be mounted."""

    def find(self, name: str) -> Instance | None:
        """Tell what is there. Starts no process when the instance is RUNNING; None when there is none."""

    def list(self) -> tuple[Instance, ...]:
        """All instances, by name, also those that aren't agentvm's (label None). Costs the same however many there are."""

    def create(self, spec: InstanceSpec, template: str) -> None:
        """Make a STOPPED instance from `template`, without any mount. There must be none of that name."""

    def clone(self, source: str, spec: InstanceSpec) -> None:
        """Make a STOPPED copy of the stopped `source` with the mounts and resources of `spec`.

        The copy needs nothing of the source afterwards. The label is written last: until then it is INCOMPLETE.
        """

    def reconfigure(self, spec: InstanceSpec) -> None:
        """Give a STOPPED instance the mounts and resources of `spec`. Its disk is kept; resources of 0 go back to native."""

    def start(self, name: str) -> None:
        """Bring a STOPPED or STARTING instance to RUNNING, with exactly the mounts of its label in place.

        Does nothing when it is RUNNING. Raises without starting it when other mounts than the label's would appear.
        """

    def stop(self, name: str, force: bool = False) -> None:
        """Bring it to STOPPED, from any status if `force`. Does nothing when it is STOPPED."""

    def delete(self, name: str) -> None:
        """Remove a STOPPED or INCOMPLETE instance with everything that belongs to it. Does nothing when there is none."""

    def progress(self, name: str) -> str:
        """How far a `create`, `clone` or `start` is that runs now, in a few words; empty when nothing is known.

        Called several times a second from another thread, so it starts no process, takes no lock and never raises.
        """

    def run(self, name: str, command: Command, output: Callable[[bytes], None]) -> int:
        """Run a program in a RUNNING guest and return its exit status; `output` is fed both its streams as they come."""

    def session(self, name: str, session: Session) -> int:
        """Hand the user's own streams to a program in a RUNNING guest and return its exit status.

        Nothing is ever run twice: once it may have started, a failure is the caller's to report (status 255).
        """

    def pipe(self, name: str, words: tuple[str, ...]) -> AbstractContextManager[Piped]:
        """Start a program in a RUNNING guest whose streams are read and written meanwhile. It ends with the block."""

    def door(self, name: str) -> Door | None:
        """Tell how ssh gets in; None before the first start. Starts no process. The port holds until the next start."""

    def forwarded(self, name: str) -> frozenset[int]:
        """The TCP ports of this computer's loopback interface at which those of a RUNNING guest are reached now."""

    def copy_home(self, source: str, target: str, passed: Callable[[int], None]) -> None:
        """Make the home directory of the user in the RUNNING guest `target` what it is in the RUNNING guest `source`.

        What is mounted there is left out, and the target's own `authorized_keys` stay; it has no mounts, and what else
        its home had is gone. Bytes pass from guest to guest and the host looks at none of them; `passed` is told how
        many so far. Raises Error when not all arrived. Killed, it can be done again.
        """

    def measure(self, name: str) -> Usage:
        """Tell what it takes. Starts no process, and reads the names and sizes of files only; nothing for none."""

    def tidy(self, name: str, rehearse: bool = False) -> tuple[str, ...]:
        """Remove what lies about of an instance and serves nobody, like the socket of a dead process; its paths.

        With `rehearse` only tell. Harmless in any status.
        """

    def check(self) -> tuple[Finding, ...]:
        """What `agentvm doctor` shall say about the backend itself."""
