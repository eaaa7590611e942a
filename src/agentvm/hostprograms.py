"""Which programs the host's configuration makes an agent start, and which of its addresses mean the host.

A hook or an MCP server of a Mac names `/opt/homebrew/bin/node` or `osascript`: in a Linux guest it fails, mostly in
silence, so `agentvm doctor` lists what is missing there. The keys are those of Claude Code 2.1.330, Codex 0.169.0 and
opencode 1.18.33, read from their schemas. What is read may come from the project, and so from the guest: everything
that is handed on is printable and bounded, and a file that can't be read gives one notice and no programs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentvm.quoting import quote
from agentvm.untrusted import parse_json, parse_toml
from agentvm.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    _Table = dict[str, Any]

_MOST = 200
"""Programs and addresses of one file, and programs of one check in the guest."""
_LONGEST = 300
"""Characters of a program, an address or what names it."""
_SHELL_KEYS = (
    *(
        "apiKeyHelper",
        "awsAuthRefresh",
        "awsCredentialExport",
        "gcpAuthRefresh",
        "otelHeadersHelper",
        "proxyAuthHelper",
    ),
    "processWrapper",
)
_WRAPPERS = {
    "exec": ("-a",),
    "env": ("-u", "-C"),
    "sudo": ("-u", "-g", "-C", "-D", "-p", "-h"),
    "nice": ("-n",),
    **dict.fromkeys(("command", "nohup", "time"), ()),
}
"""Programs and words of the shell that start another, and those of their options whose value is the next word."""
_HERE = ("$CLAUDE_PROJECT_DIR/", "${CLAUDE_PROJECT_DIR}/")

_Command = tuple[str, object]
"""What names it, and a shell text, a list of words, or a table with `command` and `args`."""


class Named(NamedTuple):
    """A program that a file makes an agent start."""

    file: str
    what: str
    """The setting, as "hooks.Stop" or "mcpServers.github"."""
    program: str


class Address(NamedTuple):
    """An address in a file that means the machine it is used on."""

    file: str
    what: str
    url: str


class Programs(NamedTuple):
    named: tuple[Named, ...] = ()
    notices: tuple[str, ...] = ()


class Addresses(NamedTuple):
    found: tuple[Address, ...] = ()
    notices: tuple[str, ...] = ()


def programs_named(kind: str, name: str, content: bytes, project: str = "") -> Programs:
    """The programs that a file names; `kind` is the agent, `name` the file's name, for its format and for people.

    Of `~/.claude.json`, which knows all projects, those of `project` are read, or of every one if that is empty.
    """
    table = parse_table(name, content)
    if table is None:
        return Programs(notices=(_malformed(name),))
    commands = {"claude": _claude, "codex": _codex, "opencode": _opencode}[kind](table, project)
    found = (Named(name, _printable(what), _program(command)) for what, command in commands)
    return Programs(tuple(dict.fromkeys(named for named in found if named.program))[:_MOST])


def localhost_urls(kind: str, name: str, content: bytes) -> Addresses:
    """The base URLs and servers in a file that are on localhost: in the guest the host has another name."""
    table = parse_table(name, content)
    if table is None:
        return Addresses(notices=(_malformed(name),))
    if kind == "claude":
        # The rest of ~/.claude.json are past prompts, among other things.
        table = {key: table[key] for key in ("env", "mcpServers") if key in table}
    found = (Address(name, _printable(what), _printable(url)) for what, url in _urls(table) if is_local(url))
    return Addresses(tuple(address for address, _ in zip(found, range(_MOST), strict=False)))


def is_local(url: str) -> bool:
    """Whether a URL's host is the machine itself."""
    scheme, separator, rest = url.partition("://")
    authority = rest.replace("?", "/").replace("#", "/").partition("/")[0].rpartition("@")[2].lower()
    host = authority.partition("]")[0] + "]" if authority.startswith("[") else authority.partition(":")[0]
    local = host in ("localhost", "[::1]", "0.0.0.0", "[::]") or host.startswith("127.") or host.endswith(".localhost")
    return bool(separator) and scheme.lower() in ("http", "https", "ws", "wss") and local


def missing_script(programs: Iterable[str]) -> str:
    """POSIX shell text that prints those of the programs that are not there, one a line; it is empty for none.

    It belongs into a shell of its own, in the project's directory: a function `say` of ours would look like macOS's
    program. What another variable than HOME is part of can't be told, and is not printed.
    """
    known = [program for program in dict.fromkeys(programs) if program.isprintable() and program]
    checks = [check for program in known[:_MOST] if (check := _check(program))]
    return "\n".join((_MISSING, *checks)) + "\n" if checks else ""


_MISSING = """\
agentvm_missing() {
    case $2 in
    */*) [ -f "$2" ] && [ -x "$2" ] ;;
    *) command -v -- "$2" >/dev/null 2>&1 ;;
    esac || printf '%s\\n' "$1"
}"""


def _check(program: str) -> str:
    place = next(("./" + program[len(start) :] for start in _HERE if program.startswith(start)), program)
    for start in ("~/", "$HOME/", "${HOME}/"):
        if place.startswith(start):
            return (
                f'agentvm_missing {quote(program)} "$HOME"/{quote(place[len(start) :])}' if _plain(place, start) else ""
            )
    return f"agentvm_missing {quote(program)} {quote(place)}" if _plain(place, "") else ""


def _plain(place: str, start: str) -> bool:
    """Whether a shell would leave the rest as it is."""
    return not any(letter in place[len(start) :] for letter in "$`")


def parse_table(name: str, content: bytes) -> _Table | None:
    """The table in a JSON (also with comments) or TOML file, or None for what isn't one."""
    try:
        text = content.decode("utf-8-sig")
        table = parse_toml(text) if name.endswith(".toml") else _parse_json(text)
    except ValueError:
        return None
    return table if isinstance(table, dict) else None


def _parse_json(text: str) -> object:
    if not text.strip():
        # An empty file stands for no settings.
        return {}
    try:
        return parse_json(text)
    except ValueError:
        return parse_json(_without_comments(text))


def _without_comments(text: str) -> str:
    """JSON of what has comments and trailing commas. What doesn't end is taken to the end: never tried again."""
    import re

    string = r'("(?:\\.|[^"\\])*+"?)'

    def keep(match: re.Match[str]) -> str:
        return match[1] or " "

    bare = re.sub(string + r"|//[^\n]*|/\*(?:.*?\*/|.*)", keep, text, flags=re.DOTALL)
    return re.sub(string + r"|,(?=\s*[}\]])", keep, bare, flags=re.DOTALL)


def _malformed(name: str) -> str:
    form = "TOML" if name.endswith(".toml") else "JSON"
    return f"{_printable(name)} is not valid {form}, so the programs and addresses in it are not checked."


def _claude(table: _Table, project: str) -> Iterator[_Command]:
    if table.get("disableAllHooks") is not True:
        yield from _hooks(table)
        yield "statusLine", _table(table, "statusLine").get("command")
        yield "subagentStatusLine", _table(table, "subagentStatusLine").get("command")
    yield "fileSuggestion", _table(table, "fileSuggestion").get("command")
    for key in _SHELL_KEYS:
        yield key, table.get(key)
    yield from _servers("mcpServers", _table(table, "mcpServers"))
    for path, settings in _tables(_table(table, "projects")):
        if project in ("", path):
            yield from _servers("mcpServers", _table(settings, "mcpServers"))


def _codex(table: _Table, project: str) -> Iterator[_Command]:
    yield from _hooks(table)
    yield "notify", table.get("notify")
    yield from _servers("mcp_servers", _table(table, "mcp_servers"))
    for name, provider in _tables(_table(table, "model_providers")):
        yield f"model_providers.{name}.auth", _table(provider, "auth")
        yield f"model_providers.{name}.aws", _table(_table(provider, "aws"), "auth_refresh")


def _opencode(table: _Table, project: str) -> Iterator[_Command]:
    servers = _table(table, "mcp")
    yield from _servers("mcp", {**servers, **_table(servers, "servers")})
    yield from _servers("formatter", _table(table, "formatter"))
    yield from _servers("lsp", _table(table, "lsp"))
    yield "shell", [table.get("shell")]


def _hooks(table: _Table) -> Iterator[_Command]:
    """The same form in Claude's settings, and in Codex's config.toml and hooks.json."""
    for event, groups in _table(table, "hooks").items():
        for group in _list(groups):
            for hook in _list(group.get("hooks") if isinstance(group, dict) else None):
                if isinstance(hook, dict) and hook.get("type", "command") == "command":
                    # With arguments of its own the command is no shell text but a program.
                    yield f"hooks.{event}", hook if isinstance(hook.get("args"), list) else hook.get("command")


def _servers(what: str, table: _Table) -> Iterator[_Command]:
    for name, server in _tables(table):
        if server.get("enabled") is not False and server.get("disabled") is not True:
            yield f"{what}.{name}", server
            yield f"{what}.{name}", server.get("headersHelper")
            yield f"{what}.{name}", server.get("http_headers_helper")


def _program(command: object) -> str:
    """The program that a command starts; empty if it is none."""
    if isinstance(command, dict):
        first, rest = command.get("command"), _list(command.get("args"))
        command = first if isinstance(first, list) else [first, *rest] if first else None
    if isinstance(command, str):
        command = _words(command)
    words = [word for word in _list(command) if isinstance(word, str)]
    return _printable(_first_real(words))


def _words(text: str) -> list[str]:
    import shlex

    lexer = shlex.shlex(text[:65536], posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:
        return [text.strip()]


def _first_real(words: list[str]) -> str:
    """The first word that is no assignment, no wrapper, and no option of one."""
    rest, wrapper = iter(words), ""
    for word in rest:
        name = word.rpartition("/")[2]
        if name in _WRAPPERS:
            wrapper = name
        elif wrapper and word.startswith("-"):
            if word in _WRAPPERS[wrapper]:
                next(rest, "")
        elif not _is_assignment(word) and word.strip("();&|<> \t\n"):
            return word
    return ""


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier() and name.isascii()


def _urls(table: _Table) -> Iterator[tuple[str, str]]:
    """Every text under a key with "url" in its name: base_url, baseURL, ANTHROPIC_BASE_URL."""
    waiting: list[tuple[str, object]] = [("", table)]
    while waiting:
        what, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{what}.{key}".lstrip(".")[-_LONGEST:], entry) for key, entry in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(what, entry) for entry in reversed(value)]
        elif isinstance(value, str) and "url" in what.rpartition(".")[2].lower():
            yield what, value


def _table(table: _Table, key: str) -> _Table:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _tables(table: _Table) -> Iterator[tuple[str, _Table]]:
    return ((name, entry) for name, entry in table.items() if isinstance(entry, dict))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST])
