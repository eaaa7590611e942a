"""Signed commits in a guest: with the host's ssh key where it can be reached, else none, and the user is told."""

from __future__ import annotations

import os

from agentvm.gitconfig import Entry, is_of_host, is_true, last, of_file
from agentvm.model import Host
from agentvm.paths import find_real
from agentvm.values import NamedTuple

_SWITCHES = ("commit.gpgsign", "tag.gpgsign", "tag.forcesignannotated", "push.gpgsign")
_LARGEST_KEY = 20_000
"""Bytes; a public key of RSA with 16,384 bits has 2,800."""
_KINDS = ("ssh-", "ecdsa-", "sk-")


class Signing(NamedTuple):
    """Settings for the session, and the notice when signing is switched off."""

    overrides: tuple[tuple[str, str], ...] = ()
    notice: str = ""
    key: str = ""
    """The key, in base64, that the forwarded agent has to hold, else `switches` are off: only the guest can tell."""
    switches: tuple[str, ...] = ()


def plan_signing(host: Host, entries: tuple[Entry, ...], *, agent: bool, keys: bool) -> Signing:
    """`agent`: the ssh agent is forwarded; `keys`: ~/.ssh is shared."""
    switched = tuple(key for key in _SWITCHES if is_true(last(entries, key)))
    if not any(key.startswith(("commit.", "tag.")) for key in switched):
        return Signing()
    key = _reachable_key(host, entries, agent, keys)
    if key is None:
        return Signing(tuple((switch, "false") for switch in switched), _notice(entries, agent))
    entry = last(entries, "user.signingkey")
    named = (("user.signingkey", key),) if entry and key and key != entry.value else ()
    return Signing((*_program(entries), *named), key="".join(key.split()[1:2]), switches=switched)


def _notice(entries: tuple[Entry, ...], agent: bool) -> str:
    start = "Commits in the VM are not signed"
    if not _is_ssh(entries):
        return (
            f"{start}: keys of gpg stay on the host. Signing with an ssh key (git's gpg.format=ssh) works in the VM "
            "with AGENTVM_SSH_AGENT=1."
        )
    if not agent:
        return f"{start}: the ssh key is not there. AGENTVM_SSH_AGENT=1 forwards the ssh agent, which can sign."
    return (
        f"{start}: git's user.signingkey names no public ssh key that agentvm may read. Let it name a key.pub "
        "in your home, in your own git configuration, or hold the public key itself."
    )


def _is_ssh(entries: tuple[Entry, ...]) -> bool:
    kind = last(entries, "gpg.format")
    return kind is not None and kind.value == "ssh"


def _program(entries: tuple[Entry, ...]) -> tuple[tuple[str, str], ...]:
    """1Password's and others' programs are the host's; ssh-keygen signs with the agent that they serve."""
    program = last(entries, "gpg.ssh.program")
    return (("gpg.ssh.program", "ssh-keygen"),) if program and program.value != "ssh-keygen" else ()


def _reachable_key(host: Host, entries: tuple[Entry, ...], agent: bool, keys: bool) -> str | None:
    """The public key that the agent is to sign with, "" when git finds one by itself, None when none can be used."""
    if not _is_ssh(entries) or not (agent or keys):
        return None
    entry = last(entries, "user.signingkey")
    if entry is None:
        # Then git asks this program, typically `ssh-add -L`; it is only in the guest as part of ~/.gitconfig.
        own = of_file(entries, os.path.join(host.home, ".gitconfig"))
        return "" if last(own, "gpg.ssh.defaultkeycommand") else None
    value = entry.value or ""
    if value.startswith(("key::", *_KINDS)):
        return value if agent else None
    path = os.path.join(host.home, value.removeprefix("~/"))
    if keys and os.path.normpath(path).startswith(os.path.join(host.home, ".ssh", "")):
        return ""
    # The guest writes the project's own configuration: a path in there is never opened.
    if not agent or not is_of_host(entry) or not value.startswith(("~/", "/")):
        return None
    return _public_key(host, path)


def _public_key(host: Host, path: str) -> str | None:
    """git's literal form of the public key in a file, or beside it, below the home."""
    for name in (path, f"{path}.pub"):
        words = _read(host, name).split()
        if len(words) > 1 and words[0].startswith(_KINDS) and words[1].startswith("AAAA"):
            return f"key::{words[0]} {words[1]}"
    return None


def _read(host: Host, path: str) -> str:
    """The first line of a small regular file, else an empty string. It can't block, whatever is there."""
    import stat

    real = find_real(path)
    if not real.startswith(os.path.join(find_real(host.home), "")):
        return ""
    try:
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        content = os.read(descriptor, _LARGEST_KEY) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return content.partition(b"\n")[0].decode("ascii", "replace")
