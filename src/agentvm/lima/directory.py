"""What stands in an instance's own directory: Lima's files by name, our label and our mark that it is ready.

The names are Lima's own (pkg/limatype/filenames). Reading them costs no process, which is what a warm run lives on.
"""

from __future__ import annotations

import os

from agentvm.errors import Error
from agentvm.files import remove_file, write_atomically
from agentvm.label import LARGEST, carried_prefix, dump_label, load_label, newer_version
from agentvm.model import Host, Label
from agentvm.paths import find_real
from agentvm.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LABEL = "agentvm.json"
_MASTER = "avm.sock"
_READY = "agentvm.ready"
"""Says which boot was seen ready, by the hostagent's pid file. It is ours; Lima removes it with the directory."""
_GREETING = 5.0
"""Seconds that a busy computer may take to let ssh's master answer."""


def lima_home(host: Host) -> str:
    return find_real(host.environment.get("LIMA_HOME") or os.path.join(host.home, ".lima"))


class Directory(NamedTuple):
    """The directory of one instance, which need not exist."""

    path: str

    @property
    def ssh_config(self) -> str:
        return os.path.join(self.path, "ssh.config")

    @property
    def master(self) -> str:
        """The socket of our own shared connection. Its name is as short as Lima's `ssh.sock`, whose length Lima checks;
        like every `*.sock` it is removed when the instance stops, and not cloned."""
        return os.path.join(self.path, _MASTER)

    @property
    def log(self) -> str:
        return os.path.join(self.path, "ha.stderr.log")

    def read_ssh_config(self) -> str:
        """What Lima wrote at the last start; a clone has its source's until then."""
        return self._read("ssh.config").decode(errors="surrogateescape")

    def hostagent(self) -> int:
        """The process id of Lima's process that forwards the guest's ports; 0 when there is none."""
        text = self._read("ha.pid").strip()
        return int(text) if text.isdigit() else 0

    def exists(self) -> bool:
        return os.path.isdir(self.path)

    def configured(self) -> bool:
        """Whether Lima would take it for an instance: `lima.yaml` is the last that a clone copies."""
        return os.path.isfile(os.path.join(self.path, "lima.yaml"))

    def read_label(self) -> Label | None:
        return load_label(self._read(_LABEL), os.path.basename(self.path))

    def carried_prefix(self) -> str:
        """The prefix in its label, also when that is the label of the instance that it was cloned from."""
        return carried_prefix(self._read(_LABEL))

    def newer_version(self) -> str:
        return newer_version(self._read(_LABEL))

    def write_label(self, label: Label) -> None:
        write_atomically(os.path.join(self.path, _LABEL), dump_label(label))

    def remove_label(self) -> None:
        remove_file(os.path.join(self.path, _LABEL))

    def last_event(self) -> dict[str, Any]:
        """The last status in the hostagent's log of events, such as {"running": True}; empty when there is none.

        Each event repeats the status. A guest can make many of them, by opening ports, so only the end is read.
        """
        import json

        try:
            with open(os.path.join(self.path, "ha.stdout.log"), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LARGEST))
                lines = file.read(LARGEST).splitlines()
        except OSError:
            return {}
        for line in reversed(lines):
            try:
                status = json.loads(line)["status"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if isinstance(status, dict):
                return status
        return {}

    def mark_ready(self) -> None:
        write_atomically(os.path.join(self.path, _READY), self._boot())

    def is_ready(self) -> bool:
        """Whether this boot was seen ready, and both hostagent and our master of ssh answer now."""
        boot = self._boot()
        return bool(boot) and self._read(_READY) == boot and self._answers("ha.sock") and self.ssh_answers()

    def ssh_answers(self) -> bool:
        return self._answers(_MASTER, greets=True)

    def stale_masters(self) -> tuple[str, ...]:
        """The sockets of shared connections on which nobody answers: ssh would hang on one, or fail."""
        paths = ((name, os.path.join(self.path, name)) for name in (_MASTER, "ssh.sock"))
        return tuple(path for name, path in paths if os.path.lexists(path) and not self._answers(name, greets=True))

    def drop_stale_masters(self) -> None:
        for path in self.stale_masters():
            remove_file(path)

    def boot_time(self) -> int:
        """When its hostagent was started (Unix time, seconds); 0 when it has none."""
        try:
            return int(os.stat(os.path.join(self.path, "ha.pid")).st_mtime)
        except OSError:
            return 0

    def pids(self) -> dict[str, int]:
        """The numbers in the pid files, by the files' names."""
        names = (name for name in os.listdir(self.path) if name.endswith(".pid")) if self.exists() else ()
        texts = {name: self._read(name).strip() for name in names}
        return {name: int(text) for name, text in texts.items() if text.isdigit() and len(text) < 10}

    def remove(self) -> None:
        """Remove a half-made instance, which limactl refuses to."""
        import shutil

        try:
            shutil.rmtree(self.path)
        except FileNotFoundError:
            pass
        except OSError as problem:
            raise Error(f"{problem.filename} can't be removed: {problem.strerror}.", "Mend its permissions.") from None

    def _boot(self) -> bytes:
        """Identity of this boot: the pid file is made anew by each hostagent. Empty when there is none."""
        path = os.path.join(self.path, "ha.pid")
        try:
            found = os.stat(path)
        except OSError:
            return b""
        return b"%d %d %b" % (found.st_ino, found.st_mtime_ns, self._read("ha.pid").strip())

    def _read(self, name: str) -> bytes:
        try:
            descriptor = os.open(os.path.join(self.path, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return b""
        try:
            content = os.read(descriptor, LARGEST + 1)
        finally:
            os.close(descriptor)
        return content if len(content) <= LARGEST else b""

    def _answers(self, name: str, greets: bool = False) -> bool:
        """Whether somebody takes connections there. A master of ssh `greets` who connects, before anything is asked
        (ssh's PROTOCOL.mux); one that hangs does not."""
        # What `socket` is made of: importing that would cost a warm run a fifth of Python's own start.
        import _socket

        probe = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            probe.settimeout(_GREETING)
            probe.connect(os.path.join(self.path, name))
            return bool(probe.recv(1)) if greets else True
        except OSError:
            return False
        finally:
            probe.close()
