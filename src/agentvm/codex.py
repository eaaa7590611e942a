"""What codex's configuration on the host means for a guest that shares it.

The directory is writable in guests, so its files may be anything and lead anywhere: nothing is taken from them but the
names of variables, by the rules of `agentvm.environment.codex_keys`, and where logins are kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agentvm.environment import codex_keys
from agentvm.model import Host
from agentvm.settings import OVERLAY, Settings
from agentvm.sharing import CODEX, behind_allowed, config_directory
from agentvm.untrusted import parse_toml, read_text
from agentvm.values import NamedTuple

_LARGEST = 1_000_000
"""Bytes of config.toml, and of a login."""
_LOGIN = "`agentvm login codex --device-auth` makes a login in a file, which every VM shares"
_KEY = "`printenv OPENAI_API_KEY | agentvm login codex --with-api-key` does"


class Codex(NamedTuple):
    """`variables` hold its providers' keys; with `keyring` its login is where no guest can reach it."""

    variables: tuple[str, ...] = ()
    keyring: bool = False
    notices: tuple[str, ...] = ()


def read_codex(host: Host, settings: Settings, arguments: tuple[str, ...]) -> Codex:
    """Never raises: a file that can't be read is a notice. What is being logged in is not told to log in, nor is here one
    with copies of its settings: only its guest knows whether it is."""
    directory = config_directory(host, CODEX)
    path = behind_allowed(os.path.join(directory, "config.toml"), settings)
    if os.path.islink(path):
        # In the guest it leads nowhere, as doctor tells.
        return Codex()
    try:
        text = read_text(path, _LARGEST, follow=False) or ""
        keyring = _uses_keyring(text)
    except ValueError as problem:
        return Codex(notices=(f"{path} can't be read: {problem}.",))
    logged_in = (
        settings.config == OVERLAY
        or os.path.lexists(os.path.join(directory, "auth.json"))
        or arguments[:1] == ("login",)
    )
    return Codex(codex_keys(text), keyring, () if logged_in else _missing_login(host, keyring))


@contextmanager
def keep_login(host: Host) -> Iterator[None]:
    """Put the shared login back when it is gone afterwards: codex 0.169 deletes it before it asks for a new one."""
    path = os.path.join(config_directory(host, CODEX), "auth.json")
    try:
        before = read_text(path, _LARGEST, follow=False)
    except ValueError:
        before = None
    try:
        yield
    finally:
        if before is not None and not os.path.lexists(path):
            _put_back(path, os.fsencode(before))


def _put_back(path: str, content: bytes) -> None:
    """Only where there is nothing: a guest can write there, and may do so at this moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def _missing_login(host: Host, keyring: bool) -> tuple[str, ...]:
    if keyring:
        return (f"codex's login is in your keyring, which no VM can read: {_LOGIN}.",)
    if host.environment.get("OPENAI_API_KEY"):
        return (f"OPENAI_API_KEY alone does not log codex in: {_KEY}.",)
    return ()


def _uses_keyring(text: str) -> bool:
    """Raises ValueError for what is not TOML."""
    return parse_toml(text).get("cli_auth_credentials_store") in ("keyring", "auto")
