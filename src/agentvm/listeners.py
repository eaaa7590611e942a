"""Who listens on TCP ports: on this computer, and, as far as its word is worth anything, in a guest.

Linux tells in /proc/net/tcp and tcp6 (Documentation/networking/proc_net_tcp.rst); a Mac is asked by `lsof`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import NamedTuple

from agentvm import process
from agentvm.process import Environment

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENING = "0A"
_LINE = re.compile(
    r" *\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F:]{13,37} ([0-9A-F]{2})"
    r" [0-9A-F]{1,8}:[0-9A-F]{1,8} [0-9A-F]{2}:[0-9A-F]{1,8} [0-9A-F]{1,8} +(\d{1,10}) +\d{1,10} (\d{1,20})(?: .*)?",
    re.ASCII,
)
_NAMED = re.compile(r"n(?:\*|127\.0\.0\.1|\[::1?\]):(\d{1,5})", re.ASCII)
_SOCKET = re.compile(r"socket:\[(\d{1,20})\]", re.ASCII)


class Listener(NamedTuple):
    """`owner` is a user id, `socket` the number by which a process has it among its descriptors."""

    address: str
    port: int
    owner: int
    socket: int


def parse_listeners(lines: Iterable[str]) -> tuple[Listener, ...]:
    """Those in the lines of the kernel's tables; any other line is none."""
    found = (_LINE.fullmatch(line) for line in lines)
    return tuple(
        Listener(_address(match[1]), int(match[2], 16), int(match[4]), int(match[5]))
        for match in found
        if match and match[3] == _LISTENING
    )


def is_loopback(address: str) -> bool:
    """Whether 127.0.0.1 or ::1, or all addresses: what a connection to localhost reaches."""
    return address in ("127.0.0.1", "0.0.0.0", "::1", "::")


def listening_here(environment: Environment, pid: int = 0) -> frozenset[int]:
    """The ports at which this computer's loopback interface answers: all, or those of one process of the user's."""
    if sys.platform != "linux":
        return _ask_lsof(environment, pid)
    listeners = parse_listeners(line for table in TABLES for line in _lines(table))
    own = _sockets(pid) if pid else None
    return frozenset(one.port for one in listeners if is_loopback(one.address) and (own is None or one.socket in own))


def is_taken(port: int) -> bool:
    """Whether something answers at a port of this computer's loopback interface."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _address(digits: str) -> str:
    """Each four bytes are a number of the machine's own byte order, and all that agentvm runs on have the small end first."""
    words = (bytes.fromhex(digits[start : start + 8])[::-1] for start in range(0, len(digits), 8))
    return str(ip_address(b"".join(words)))


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def _sockets(pid: int) -> frozenset[int]:
    found = []
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.append(_SOCKET.fullmatch(os.readlink(f"/proc/{pid}/fd/{name}")))
    return frozenset(int(match[1]) for match in found if match)


def _ask_lsof(environment: Environment, pid: int) -> frozenset[int]:
    one = ("-a", "-p", str(pid)) if pid else ()
    done = process.run(("lsof", "-nP", "-iTCP", "-sTCP:LISTEN", *one, "-Fn"), environment, timeout=20)
    found = (_NAMED.fullmatch(line) for line in done.stdout.decode(errors="replace").splitlines())
    return frozenset(int(match[1]) for match in found if match)
