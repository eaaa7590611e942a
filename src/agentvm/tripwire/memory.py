"""The tripwire's own files: a ledger, and the contents of what is known, each under its digest.

They are private (0600 in a 0700 directory), since settings of agents can hold secrets. A content needs no care against
a power cut: one that doesn't have its digest is none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from agentvm.digest import sha256
from agentvm.files import make_private_directory, remove_file, write_atomically
from agentvm.tripwire.ledger import Ledger, dump_ledger, load_ledger
from agentvm.tripwire.places import Kind
from agentvm.tripwire.snapshot import Form, Seen, Snapshot

_LEDGER, _REPLACED = "ledger.json", "replaced"


class Memory:
    """Made by who holds the lock, see `State.hold_memory`. A dry run's reads only."""

    def __init__(self, directory: str, writes: bool) -> None:
        self.directory = directory
        self._writes = writes
        self.ledger: Ledger = load_ledger(self._read(_LEDGER)) or {}

    def form(self, mark: str) -> Form | None:
        """What was known under a mark; None for what isn't there, was not kept or is lost."""
        name, mode, digest = mark.split(" ") if mark else ("", "", "")
        content = self._read(digest) if digest else b""
        return Form(name, int(mode, 8), content) if digest and sha256(content) == digest else None

    def save(self, ledger: Ledger, snapshots: Iterable[Snapshot]) -> None:
        """Write what is new of it; `snapshots` have the contents that are known now for the first time."""
        if not self._writes or ledger == self.ledger:
            return
        make_private_directory(self.directory)
        needed = {row.known.rpartition(" ")[2] for page in ledger.values() for row in page.rows.values()}
        there = set(os.listdir(self.directory)) - {_LEDGER, _REPLACED}
        for seen in (seen for snapshot in snapshots for seen in snapshot.values()):
            digest = seen.form.mark.rpartition(" ")[2]
            if digest in needed - there and not _is_a_login(seen):
                _write(os.path.join(self.directory, digest), seen.form.content)
                there.add(digest)
        write_atomically(os.path.join(self.directory, _LEDGER), dump_ledger(ledger))
        for name in there - needed:
            remove_file(os.path.join(self.directory, name))

    @property
    def pending(self) -> int:
        """How many changes were told of and are not accepted, by the last look."""
        return sum(bool(row.told) for page in self.ledger.values() for row in page.rows.values())

    def set_aside(self, name: str, content: bytes) -> str:
        """Keep what a guest wrote before it is replaced; its path."""
        directory = os.path.join(self.directory, _REPLACED)
        make_private_directory(directory)
        plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)[-60:]
        path = os.path.join(directory, f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{plain}")
        _write(path, content)
        return path

    def _read(self, name: str) -> bytes:
        try:
            with open(os.path.join(self.directory, name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return b""


def _is_a_login(seen: Seen) -> bool:
    """One that executes nothing is only keys, and these shall not be in a second place."""
    if seen.place.kind is not Kind.OPENCODE_LOGIN:
        return False
    from agentvm.tripwire.runnable import runnable

    return not runnable(seen.place.kind, "", seen.form.content)


def _write(path: str, content: bytes) -> None:
    part = f"{path}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
    os.replace(part, path)
