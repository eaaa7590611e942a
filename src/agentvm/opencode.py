"""opencode's login and configuration on the host, as far as a guest has them.

Its login lies beside its live database, and Lima mounts directories only. So guests see a directory of agentvm's own, in
which the login is a hard link: the same file for both sides, since opencode 1.18 writes it in place.
"""

from __future__ import annotations

import os
import stat

from agentvm.environment import opencode_keys
from agentvm.model import Host
from agentvm.paths import find_real
from agentvm.settings import Settings
from agentvm.sharing import OPENCODE, behind_allowed, config_directory, data_directory, login_directory
from agentvm.untrusted import read_text

_LARGEST = 1_000_000
"""Bytes of a configuration file."""


def opencode_variables(host: Host, settings: Settings) -> tuple[str, ...]:
    """The variables that its configuration names. A guest may have written that: `opencode_keys` has the rules.

    What it can't read, opencode itself tells; a link leads nowhere in the guest, and doctor tells that.
    """
    directory = config_directory(host, OPENCODE)
    texts = []
    for name in ("opencode.json", "opencode.jsonc"):
        try:
            path = behind_allowed(os.path.join(directory, name), settings)
            texts.append(read_text(path, _LARGEST, follow=False) or "")
        except ValueError:
            continue
    return opencode_keys("\n".join(texts))


def share_login(host: Host) -> str:
    """Put opencode's login where guests see it. Returns what went wrong, or nothing.

    A guest can write to that directory, so nothing there is opened or followed.
    """
    own = find_real(os.path.join(data_directory(host), "opencode", "auth.json"))
    shown = os.path.join(login_directory(host), "auth.json")
    try:
        wanted = os.lstat(own)
    except OSError:
        return ""
    if _is_same(wanted, shown):
        return ""
    if not stat.S_ISREG(wanted.st_mode):
        return f"{own} is not a file, so the VM does not get opencode's login."
    # A guest that could guess the name would put something there before.
    fresh = f"{shown}.{os.urandom(8).hex()}"
    try:
        os.makedirs(login_directory(host), 0o700, exist_ok=True)
        os.link(own, fresh)
        os.replace(fresh, shown)
    except OSError as problem:
        return f"{own} can't be shown to the VM: {problem.strerror}. `agentvm login opencode` makes a login in the VM."
    return ""


def _is_same(wanted: os.stat_result, path: str) -> bool:
    try:
        return os.path.samestat(wanted, os.lstat(path))
    except OSError:
        return False
