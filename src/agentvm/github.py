"""gh's logins in a guest that shares gh's configuration: the tokens that are not in its file, as variables. And a
configuration of the guest's own where the host's is an older gh's, which a newer one would want to rewrite.

Facts, tried with gh 2.23: a host in hosts.yml without `oauth_token` means that the token is in the host's keyring, and gh
in the guest says "no oauth token". GH_TOKEN is for github.com (and, by gh's manual, *.ghe.com), GH_ENTERPRISE_TOKEN for
every other host, and both win over hosts.yml. A single host in hosts.yml is gh's default without GH_HOST.

Tried with gh 2.46: since 2.40, each command of gh first rewrites hosts.yml for several users of a host unless config.yml has
`version: "1"`, and fails where it can't write ("failed to write config after migration"). With that line it reads a
hosts.yml of before as it is.
"""

from __future__ import annotations

import os
import time

from agentvm.console import one_line
from agentvm.digest import sha256
from agentvm.errors import Error
from agentvm.model import Contribution, GitHub, Host
from agentvm.process import Pending, begin
from agentvm.quoting import quote
from agentvm.untrusted import read_text
from agentvm.values import NamedTuple

_PATIENCE = 5.0
"""Seconds for all hosts together: gh asks the keyring, which may ask the user."""
_LARGEST_FILE = 100_000
_LARGEST_SETTINGS = 10_000
"""Bytes of config.yml, since it travels with the session."""
_VERSION = 'version: "1"\n'
_MOST_HOSTS = 8
_DOTCOM = "github.com"
_VARIABLES = ("GH_TOKEN", "GITHUB_TOKEN")
_ENTERPRISE_VARIABLES = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")


# The name says what is in it, so it is made once, and a session that has the older one keeps it.
_OWN_CONFIGURATION = """\
gh_configuration() {
    GH_CONFIG_DIR=$state/gh/$1
    export GH_CONFIG_DIR
    [ -d "$GH_CONFIG_DIR" ] && return
    new=$GH_CONFIG_DIR.$$
    (umask 077 && mkdir -p "$new" && ln -s "$HOME/.config/gh/hosts.yml" "$new/hosts.yml" &&
        printf '%s' "$2" >"$new/config.yml" && mv "$new" "$GH_CONFIG_DIR") || say 'gh in this VM has no configuration'
}"""


class Login(NamedTuple):
    """A host in hosts.yml. gh itself finds `own`, the token right below the host's name; `token` is one elsewhere."""

    host: str
    own: str = ""
    token: str = ""
    failure: str = ""
    """Why there is no token."""


class Question:
    """What gh is asked, while agentvm does something else."""

    def __init__(self, host: Host, directory: str) -> None:
        self._environment = host.environment
        self._path = os.path.join(directory, "hosts.yml")
        self._settings = os.path.join(directory, "config.yml")
        self._logins: tuple[Login, ...] = ()
        self._notice = ""
        self._asked: dict[str, Pending | str] = {}
        try:
            self._logins = parse_hosts(_read(self._path, _LARGEST_FILE))
        except ValueError as problem:
            self._notice = f"{self._path} can't be used, so gh in the VM may not be logged in: {problem}."
        for login in self._logins:
            if not (login.own or login.token or _given(self._environment, login.host)):
                self._asked[login.host] = self._ask(login.host)

    def _ask(self, name: str) -> Pending | str:
        try:
            return begin(("gh", "auth", "token", "--hostname", name), self._environment)
        except Error as problem:
            return problem.message.rstrip(".")

    def finish(self) -> GitHub:
        """Collect it all. It never raises for what is wrong with gh or its file: that is a notice."""
        deadline = time.monotonic() + _PATIENCE
        answers = {name: _answer(asked, deadline) for name, asked in self._asked.items()}
        logins = tuple(login._replace(**answers.get(login.host, {})) for login in self._logins)
        found = _plan(self._environment, logins, self._notice)
        return found._replace(contribution=_with_configuration(found.contribution, self._settings))


def _read(path: str, largest: int) -> str:
    """The file's text, "" when there is none. Raises ValueError with the reason when it can't be used.

    With QEMU and virtiofs a guest's root can write to the directory, so a link there is not the user's.
    """
    return read_text(path, largest, follow=False) or ""


def ask_github(host: Host, directory: str) -> Question:
    """Read hosts.yml in gh's configuration directory and begin to ask gh for the tokens that are not in it."""
    return Question(host, directory)


def _answer(asked: Pending | str, deadline: float) -> dict[str, str]:
    if isinstance(asked, str):
        return {"failure": asked}
    try:
        done = asked.finish(max(0.0, deadline - time.monotonic()))
    except Error:
        return {"failure": f"gh did not answer in {_PATIENCE:.0f} seconds"}
    token = done.stdout.decode("utf-8", "replace").strip()
    if done.status == 0 and _is_word(token):
        return {"token": token}
    said = one_line(done.stderr.decode("utf-8", "replace").strip().partition("\n")[0], 200)
    return {"failure": f"gh says: {said}" if said else "gh has no token for it"}


def _is_word(token: str) -> bool:
    return 0 < len(token) < 5000 and token.isascii() and token.isprintable() and " " not in token


# --- The configuration -------------------------------------------------------------------------------------------------


def _with_configuration(contribution: Contribution, path: str) -> Contribution:
    """With one of the guest's own, unless the host's has been brought to the newest form already."""
    notices = contribution.notices
    try:
        settings = _read(path, _LARGEST_SETTINGS)
    except ValueError as problem:
        settings = ""
        notices += (f"{path} can't be used, so gh in the VM has none of its settings: {problem}.",)
    if any(line.startswith("version:") for line in settings.splitlines()):
        return contribution
    # gh ends its lines; who edited the file may not have.
    text = settings + ("" if not settings or settings.endswith("\n") else "\n") + _VERSION
    digest = sha256(text.encode(errors="surrogateescape"))[:16]
    lines = (*contribution.lines, f"gh_configuration {digest} {quote(text)}")
    return Contribution("\n".join(filter(None, (contribution.functions, _OWN_CONFIGURATION))), lines, notices)


# --- The variables -----------------------------------------------------------------------------------------------------


def _is_dotcom(host: str) -> bool:
    """Whether GH_TOKEN is for it."""
    return host == _DOTCOM or host.endswith(".ghe.com")


def _given(environment: dict[str, str], host: str) -> bool:
    """Whether the user's own variables log in to it; they are passed on elsewhere."""
    return any(environment.get(name) for name in (_VARIABLES if _is_dotcom(host) else _ENTERPRISE_VARIABLES))


def _plan(environment: dict[str, str], logins: tuple[Login, ...], notice: str) -> GitHub:
    hosts = {login.host for login in logins if login.own or _given(environment, login.host)}
    if _given(environment, _DOTCOM):
        hosts.add(_DOTCOM)
    lines: list[str] = []
    notices = [notice]
    for variable, dotcom in (("GH_TOKEN", True), ("GH_ENTERPRISE_TOKEN", False)):
        served = tuple(login for login in logins if _is_dotcom(login.host) is dotcom and login.host not in hosts)
        notices += (_logged_out(login) for login in served if not login.token)
        tokens = sorted((login for login in served if login.token), key=lambda login: login.host != _DOTCOM)
        # The variable wins over hosts.yml: a host whose token is there would be sent another host's.
        rivals = any(login.own for login in logins if _is_dotcom(login.host) is dotcom)
        chosen = [] if rivals else tokens[:1]
        lines += (f"export {variable}={quote(login.token)}" for login in chosen)
        hosts.update(login.host for login in tokens if chosen and login.token == chosen[0].token)
        notices += (_crowded(login, variable) for login in tokens if login.host not in hosts)
    known = tuple(login.host for login in logins if login.host in hosts)
    extra = (_DOTCOM,) if _DOTCOM in hosts and _DOTCOM not in known else ()
    return GitHub(known + extra, Contribution(lines=tuple(lines), notices=tuple(filter(None, notices))))


def _logged_out(login: Login) -> str:
    login_command = f"`gh auth login --hostname {login.host}`"
    return f"gh in the VM is not logged in to {login.host} ({login.failure}); {login_command} on the host mends it."


def _crowded(login: Login, variable: str) -> str:
    return f"gh in the VM is not logged in to {login.host}: {variable} can hold the token of one host only."


# --- hosts.yml ---------------------------------------------------------------------------------------------------------


def parse_hosts(text: str) -> tuple[Login, ...]:
    """The hosts in what gh writes: nested "name: value" lines. Raises ValueError for anything else."""
    hosts: dict[str, dict[tuple[str, ...], str]] = {}
    path: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or stripped in ("---", "{}"):
            continue
        indent = len(line) - len(line.lstrip(" "))
        name, value = _pair(stripped, number)
        path = [step for step in path if step[0] < indent]
        if indent and not path:
            raise ValueError(f"line {number} belongs to no host")
        path.append((indent, name))
        if len(path) == 1:
            _check_host(name, value, number)
            hosts[name] = {}
        else:
            hosts[path[0][1]][tuple(step[1] for step in path[1:])] = value
    if len(hosts) > _MOST_HOSTS:
        raise ValueError(f"it has more than {_MOST_HOSTS} hosts")
    return tuple(_login(host, keys) for host, keys in hosts.items())


def _pair(text: str, number: int) -> tuple[str, str]:
    # A value is a plain word here; names of hosts may have a port.
    name, colon, value = (text[:-1], ":", "") if text.endswith(":") else text.partition(": ")
    if not colon or not name or text.startswith(("-", "[", "{")):
        raise ValueError(f"line {number} is not what gh writes")
    return _unquoted(name), _unquoted(value.strip())


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _check_host(name: str, value: str, number: int) -> None:
    """The name goes onto gh's command line and into the names of git's settings."""
    plain = name.isascii() and name.replace(".", "").replace("-", "").replace(":", "").isalnum()
    if not plain or name.startswith("-") or value not in ("", "{}"):
        raise ValueError(f"line {number} is not the name of a host")


def _login(host: str, keys: dict[tuple[str, ...], str]) -> Login:
    own = keys.get(("oauth_token",), "")
    # Since 2.40 gh knows several users of a host; the token of the active one is also right below the host.
    token = "" if own else keys.get(("users", keys.get(("user",), ""), "oauth_token"), "")
    if (own and not _is_word(own)) or (token and not _is_word(token)):
        raise ValueError(f"the token for {host} is not one word")
    return Login(host, own, token)
