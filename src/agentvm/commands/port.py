"""`agentvm port`: what listens in a VM, and where this computer reaches it."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from agentvm.commands.arguments import parse
from agentvm.commands.columns import cells, screen_width, table, wrap
from agentvm.commands.target import current_name, named_instance
from agentvm.context import Context
from agentvm.errors import Error
from agentvm.instances import ask
from agentvm.listeners import TABLES, Listener, is_loopback, is_taken, parse_listeners
from agentvm.model import Command, Status

_PATIENCE = 20.0
_SSH = 22
"""Lima never forwards it (pkg/hostagent/hostagent.go)."""
# The kernel's own tables, then of each process of the user's: "p PID", "s SOCKET" for each of its sockets, and its name.
# Nothing but what every guest has: not every one has ss or lsof.
_QUESTION = f"""\
cat {" ".join(TABLES)} 2>/dev/null
ls -l /proc/[0-9]*/fd 2>/dev/null |
    sed -n 's,^/proc/\\([0-9]*\\)/fd:$,p \\1,p; s,.*-> socket:\\[\\([0-9]*\\)\\]$,s \\1,p'
grep -H . /proc/[0-9]*/comm 2>/dev/null
echo all
"""
_PROCESS = re.compile(r"p (\d{1,10})", re.ASCII)
_SOCKET = re.compile(r"s (\d{1,20})", re.ASCII)
_NAME = re.compile(r"/proc/(\d{1,10})/comm:(.{1,15})", re.ASCII)


class Port(NamedTuple):
    """One port that a guest listens on. `reach` is one of "forwarded", "taken", "waiting", "never" and "inside"."""

    address: str
    port: int
    program: str
    reach: str

    @property
    def words(self) -> str:
        """For people."""
        return {
            "forwarded": f"reached at http://127.0.0.1:{self.port}",
            "taken": "taken on this computer by another program, so not forwarded",
            "waiting": "not forwarded (yet)",
            "never": "the VM's own ssh, which `agentvm ssh-config` reaches",
            "inside": "listens only on an address of the VM's own; 127.0.0.1 or 0.0.0.0 would be forwarded",
        }[self.reach]


def port(context: Context, arguments: tuple[str, ...]) -> int:
    options = parse("port", arguments)
    name = options.instance or current_name(context)
    if options.instance is None and context.backend.find(name) is None:
        raise Error(f"This project has no VM ({name}).", "`agentvm shell` makes it.")
    actual = named_instance(context, name)
    if actual.status is not Status.RUNNING:
        raise Error(
            f"{name} is {actual.status.value}, so nothing listens.", "`agentvm shell` in its project starts it."
        )
    answer = ask(context, name, Command(("/bin/sh", "-c", _QUESTION), timeout=_PATIENCE))
    if "all" not in answer:
        raise Error(f"{name} does not say what listens there.", "`agentvm doctor` looks for problems.")
    ports = _ports(answer, context.backend.forwarded(name))
    if options.json:
        entries = [_entry(one) for one in ports]
        context.console.product(json.dumps({"schema": 1, "instance": name, "ports": entries}, indent=2))
    elif ports:
        context.console.product(_show(ports, screen_width(context)))
    else:
        context.console.say(f"nothing listens in {name}")
    return 0


def _show(ports: tuple[Port, ...], width: int | None) -> str:
    """A table, whose words go on below themselves, or all of them below the rest where the terminal is narrow."""
    rows = [(one.address, str(one.port), one.program) for one in ports]
    title, *heads = table([("ADDRESS", "PORT", "PROGRAM"), *rows]).split("\n")
    beside = max(map(cells, (title, *heads))) + 2
    if width is not None and width < 2 * beside:
        pairs = zip(heads, ports, strict=True)
        return "\n".join((title, *(f"{head}\n{wrap('    ', one.words, width, 4)}" for head, one in pairs)))
    padded = [head + " " * (beside - cells(head)) for head in (title, *heads)]
    words = ("FROM THIS COMPUTER", *(one.words for one in ports))
    return "\n".join(wrap(head, text, width, beside) for head, text in zip(padded, words, strict=True))


def _entry(one: Port) -> dict[str, Any]:
    reached = f"http://127.0.0.1:{one.port}" if one.reach == "forwarded" else None
    return {**one._asdict(), "url": reached}


def _ports(answer: tuple[str, ...], forwarded: frozenset[int]) -> tuple[Port, ...]:
    """By number; a port that listens on IPv4 and IPv6 in the same way is one."""
    programs = _programs(answer)
    found: dict[tuple[int, bool], Port] = {}
    for listener in parse_listeners(answer):
        key = (listener.port, is_loopback(listener.address))
        program = programs.get(listener.socket, "(root)" if listener.owner == 0 else f"(user {listener.owner})")
        if key not in found or found[key].program.startswith("("):
            found[key] = Port(listener.address, listener.port, program, _reach(listener, forwarded))
    return tuple(found[key] for key in sorted(found))


def _programs(answer: tuple[str, ...]) -> dict[int, str]:
    """The name of the program that has a socket, by the socket. A guest can call its programs as it likes."""
    process, sockets, names = "", {}, {}
    for line in answer:
        if match := _PROCESS.fullmatch(line):
            process = match[1]
        elif match := _SOCKET.fullmatch(line):
            sockets[int(match[1])] = process
        elif match := _NAME.fullmatch(line):
            names[match[1]] = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in match[2])
    return {number: names[owner] for number, owner in sockets.items() if owner in names}


def _reach(listener: Listener, forwarded: frozenset[int]) -> str:
    if listener.port == _SSH:
        return "never"
    if not is_loopback(listener.address):
        return "inside"
    if listener.port in forwarded:
        return "forwarded"
    return "taken" if is_taken(listener.port) else "waiting"
