"""A home directory on its way from one guest to another: what each of them runs, and the bytes between.

The host starts the two programs and passes on what the first one says. A guest can say anything: it arrives in a guest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentvm import process
from agentvm.console import one_line
from agentvm.errors import Error

_PATIENCE = 600.0
"""Seconds in which nothing passes, before it is given up."""
_CHANGED = 1
"""tar's status when a file changed while it was read: something in the guest works on. The file is there as it was read."""
PACK = """\
cd "$1" && exec tar -cf - --one-file-system --numeric-owner --exclude=./.ssh/authorized_keys ."""
"""Shell text with the home directory as $1. By `authorized_keys` the host comes in: each guest keeps its own."""
UNPACK = """\
cd "$1" && find . -xdev -mindepth 1 ! -path ./.ssh ! -path ./.ssh/authorized_keys -delete &&
exec tar -xpf - --numeric-owner"""
"""The same for the other end. What was there goes first: a mixture of two installations of an agent runs neither."""


def copy_home(
    pack: Sequence[str], unpack: Sequence[str], environment: Mapping[str, str], passed: Callable[[int], None]
) -> None:
    """Run both with a pipe between them. Raises Error when one of them failed."""
    packed, unpacked = process.connect(pack, unpack, environment, passed, patience=_PATIENCE)
    for what, done, good in (("written", unpacked, (0,)), ("read", packed, (0, _CHANGED))):
        if done.status not in good:
            said = done.stderr.decode(errors="replace").strip()
            reason = one_line(said).removesuffix(".") or f"status {done.status}"
            raise Error(f"The home directory could not be {what}: {reason}.", "The VM is as it was. Try again.")
