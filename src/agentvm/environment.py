"""The host's environment as a guest can use it: variables, `localhost`, locale, time zone, terminal, editor.

What depends on the guest (has it this locale, this terminal, this editor?) is decided there, by the shell's own commands.
"""

from __future__ import annotations

from collections.abc import Iterator

from agentvm import variables
from agentvm.model import Contribution, Host
from agentvm.quoting import join, quote
from agentvm.untrusted import parse_toml

LOCALES = "/usr/lib/locale"
ZONES = "/usr/share/zoneinfo"
TERMINFO = "/etc/terminfo /lib/terminfo /usr/share/terminfo"
"""Where a guest has them; below the guest's home ~/.terminfo comes first."""
_LARGEST_VALUE = 32_000
"""Bytes. All that a session brings travels in one environment variable, which Linux limits to 131,071 bytes."""
_LARGEST_CONFIG = 1_000_000
_MOST_NAMES = 32
_URLS = ("_BASE_URL", "_ENDPOINT", "_API_BASE")
_EDITORS_TERMINALS = frozenset(("vscode", "vscode-insiders", "cursor", "windsurf", "kiro", "trae"))
"""TERM_PROGRAM inside an editor: an agent would look for that editor's extension beside itself."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-_.@")


def plan_environment(
    host: Host, *, agent: str, gateway: str, extra: tuple[str, ...], terminal: bool, localtime: str
) -> Contribution:
    """All of it for one session. Pure.

    `agent` is an agent's name, "gh" or "" for a shell; `gateway` the name under which a guest reaches the host; `extra`
    are names, and patterns with one `*`, that are passed besides; `localtime` is what `read_localtime` returns.
    """
    environment = host.environment
    rooms = (
        _passed(variables.passed(environment, agent, extra), gateway),
        _locale(environment),
        _time_zone(environment, localtime),
        _terminal(environment.get("TERM", "")) if terminal else Contribution(),
        Contribution(lines=tuple(_editors(environment))),
    )
    return Contribution(
        "\n".join(room.functions for room in rooms if room.functions),
        tuple(line for room in rooms for line in room.lines),
        tuple(notice for room in rooms for notice in room.notices),
    )


def _passed(found: dict[str, str], gateway: str) -> Contribution:
    if found.get("TERM_PROGRAM", "").lower() in _EDITORS_TERMINALS:
        found = {name: value for name, value in found.items() if not name.startswith("TERM_PROGRAM")}
    large = [name for name, value in found.items() if len(value.encode(errors="surrogateescape")) > _LARGEST_VALUE]
    usable = {name: value for name, value in found.items() if name not in large and "\0" not in value}
    return Contribution(
        lines=tuple(_export(name, value) for name, value in reach_host(usable, gateway).items()),
        notices=tuple(f"{name} is longer than {_LARGEST_VALUE} bytes, so the VM does not get it." for name in large),
    )


def read_localtime() -> str:
    """Where the link /etc/localtime leads; empty when it is none."""
    import os

    try:
        return os.readlink("/etc/localtime")
    except OSError:
        return ""


def codex_keys(text: str) -> tuple[str, ...]:
    """The variables in which, by codex's config.toml, its model providers' keys are. Nothing when it can't be read.

    Only names that look like a provider's count, and only the first few: a guest can write that file.
    """
    if "env_key" not in text or len(text) > _LARGEST_CONFIG:
        return ()
    try:
        table = parse_toml(text)
    except ValueError:
        return ()
    providers = table.get("model_providers")
    entries = providers.values() if isinstance(providers, dict) else ()
    return _providers_names(entry.get("env_key") for entry in entries if isinstance(entry, dict))


def opencode_keys(text: str) -> tuple[str, ...]:
    """The variables that opencode.json refers to as {env:NAME}, by the same rules."""
    return _providers_names(part.partition("}")[0] for part in text[:_LARGEST_CONFIG].split("{env:")[1:])


def _providers_names(names: Iterator[object]) -> tuple[str, ...]:
    found = (name for name in names if isinstance(name, str) and variables.is_providers(name))
    return tuple(dict.fromkeys(found))[:_MOST_NAMES]


def _export(name: str, value: str) -> str:
    return f"export {name}={quote(value)}"


# localhost: a service of the host's, which the guest reaches by another name.


def reach_host(environment: dict[str, str], gateway: str) -> dict[str, str]:
    """The same variables, with `gateway` for this machine in those that are proxies or where a service is.

    Where localhost needs no proxy, the gateway needs none either.
    """
    changed = {name: to_gateway(value, gateway) if _is_place(name) else value for name, value in environment.items()}
    if changed == environment:
        return environment
    return {name: _exempt(value, gateway) if _is_no_proxy(name) else value for name, value in changed.items()}


def to_gateway(url: str, gateway: str) -> str:
    """A URL, with or without its scheme, with another host if its own is this machine; else as it is."""
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme.replace("+", "").replace("-", "").replace(".", "").isalnum():
        scheme, separator, rest = "", "", url
    end = min((rest + mark).index(mark) for mark in "/?#")
    user, at, address = rest[:end].rpartition("@")
    host, port = _split_port(address)
    if not _is_here(host) or not (port in ("", ":") or (port[0] == ":" and _is_number(port[1:]))):
        return url
    return f"{scheme}{separator}{user}{at}{gateway}{port}{rest[end:]}"


def _split_port(address: str) -> tuple[str, str]:
    """The host and ":port"; an IPv6 address has colons of its own, and brackets around them."""
    end = address.find("]") + 1 if address.startswith("[") else address.find(":")
    return (address[:end], address[end:]) if end > 0 else (address, "")


def _is_here(host: str) -> bool:
    if host.lower() in ("localhost", "localhost.", "[::1]", "0.0.0.0"):
        return True
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(_is_number(part) and int(part) < 256 for part in parts)


def _is_number(text: str) -> bool:
    return len(text) <= 5 and text.isascii() and text.isdigit()


def _is_place(name: str) -> bool:
    return name.lower() in variables.PROXIES or name.endswith(_URLS)


def _is_no_proxy(name: str) -> bool:
    return name.lower() == variables.NO_PROXY


def _exempt(value: str, gateway: str) -> str:
    entries = value.replace(",", " ").lower().split()
    here = any(_is_here(_split_port(entry)[0]) or entry in ("::1", "127.0.0.0/8") for entry in entries)
    return (
        f"{value.rstrip(', ')},{gateway}" if here and gateway.lower() not in entries and "*" not in entries else value
    )


# Locale


def _locale(environment: dict[str, str]) -> Contribution:
    lines = tuple(_locale_line(name, environment[name]) for name in variables.LOCALE if environment.get(name))
    # Without one, and that is what ssh gives a Mac's user, programs would not write UTF-8.
    default = () if environment.get("LANG") else ('[ -n "${LANG-}" ] || export LANG=C.UTF-8',)
    if not any(line.startswith("in_locale ") for line in lines):
        return Contribution(lines=lines + default)
    return Contribution(_LOCALES, (f"find_locales {LOCALES}", *lines, *default))


def _locale_line(name: str, value: str) -> str:
    """macOS has LC_CTYPE=UTF-8, which means nothing elsewhere. LANG=C is most often nobody's choice; LC_ALL=C is one."""
    if value.upper() in ("UTF-8", "UTF8") or (name == "LANG" and value in ("C", "POSIX")):
        value = "C.UTF-8"
    if value in ("C", "POSIX", "C.UTF-8"):
        return f"export {name}={value}"
    fallback = "C.UTF-8" if name in ("LANG", "LC_ALL", "LC_CTYPE") else ""
    if not set(value) <= _PLAIN or len(value) > 64:
        return f"export {name}={fallback}" if fallback else f"unset {name}"
    return f"in_locale {name} {join((value, locale_key(value)))} {fallback}".rstrip()


def locale_key(name: str) -> str:
    """As `locale -a` of glibc spells it: en_US.UTF-8 is en_US.utf8, de_DE.ISO-8859-15@euro is de_DE.iso885915@euro."""
    language, at, modifier = name.partition("@")
    language, dot, codeset = language.partition(".")
    short = "".join(char for char in codeset.lower() if char.isalnum())
    return f"{language}{dot}{'iso' if short.isdigit() else ''}{short}{at}{modifier}"


# What the guest has is kept in one line, which `locale -a` writes when there are new ones.
_LOCALES = """\
find_locales() {
    list=$state/locales locales=
    if [ ! -s "$list" ] || [ "$1" -nt "$list" ] || [ "$1/locale-archive" -nt "$list" ]; then
        [ -d "$state" ] || mkdir -p "$state"
        echo C.utf8 $(locale -a 2>/dev/null) >"$list.$$" && mv -f "$list.$$" "$list"
    fi
    [ ! -r "$list" ] || read -r locales <"$list"
}
in_locale() {
    case " $locales " in
        *" $3 "*) export "$1=$2" ;;
        *) if [ "${4-}" ]; then export "$1=$4"; else unset "$1"; fi ;;
    esac
}"""


# Time zone


def _time_zone(environment: dict[str, str], localtime: str) -> Contribution:
    zone = zone_name(environment.get("TZ", "")) or zone_name(localtime)
    return Contribution(lines=(f"[ ! -f {ZONES}/{zone} ] || export TZ={zone}",) if zone else ())


def zone_name(text: str) -> str:
    """The zone that a TZ (`Europe/Berlin`, `:Europe/Berlin`) or a path (`…/zoneinfo/Europe/Berlin`) names, else ""."""
    _, found, after = text.rpartition("/zoneinfo/")
    name = (after if found else text.removeprefix(":")).removeprefix("posix/")
    parts = name.split("/")
    if len(name) > 64 or not all(part and set(part) <= _PLAIN and part[0] not in ".-" for part in parts):
        return ""
    return name


# Terminal


def _terminal(name: str) -> Contribution:
    """The terminal's own name if the guest knows it, else that of one that is nearly the same."""
    if name in ("", "dumb"):
        return Contribution(lines=("export TERM=dumb",) if name else ())
    known = [name] if set(name) <= _PLAIN and len(name) <= 64 and name[0] not in ".-" else []
    if name.startswith(("screen", "tmux")):
        known.append("screen-256color")
    entries = [f"{directory}/{name}" for name in known for directory in (name[0], f"{ord(name[0]):x}")]
    return Contribution(_TERMINAL, (f"find_terminal {quote(TERMINFO)} {join(tuple(entries))}",))


# ncurses files a description under its name's first letter, on macOS under that letter's number in hex.
_TERMINAL = """\
find_terminal() {
    places=$1
    shift
    for entry; do
        for place in "$HOME/.terminfo" $places; do
            [ ! -e "$place/$entry" ] || { export TERM="${entry#*/}"; return; }
        done
    done
    export TERM=xterm-256color
}"""


# Editor and pager


def _editors(environment: dict[str, str]) -> Iterator[str]:
    """The host's, when the guest has that program too. One whose first word a shell would have to read stays outside."""
    for name in variables.EDITORS:
        value = environment.get(name, "")
        program = value.split(maxsplit=1)[0] if value.strip() else ""
        if program and len(value) < 1000 and set(program) <= _PLAIN | {"/"} and not program.startswith("-"):
            yield f"! command -v {quote(program)} >/dev/null || {_export(name, value)}"
