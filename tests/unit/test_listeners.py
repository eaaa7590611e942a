from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentvm.listeners import Listener, is_loopback, listening_here, parse_listeners

REST = "00000000:00000000 00:00000000 00000000  1000        0 12345 1 0000000000000000 100 0 0 10 0"


def line(address: str, port: int, state: str = "0A", remote: str = "00000000:0000") -> str:
    return f"   0: {address}:{port:04X} {remote} {state} {REST}"


@pytest.mark.parametrize(
    ("digits", "address", "reached"),
    [
        ("0100007F", "127.0.0.1", True),
        ("00000000", "0.0.0.0", True),
        ("3500007F", "127.0.0.53", False),
        ("0F05A8C0", "192.168.5.15", False),
        ("0" * 32, "::", True),
        ("0" * 24 + "01000000", "::1", True),
        ("000080FE00000000FF565052BEADDEFE", "fe80::5250:56ff:fede:adbe", False),
    ],
)
def test_addresses(digits: str, address: str, reached: bool) -> None:
    remote = f"{'0' * len(digits)}:0000"
    assert parse_listeners([line(digits, 8080, remote=remote)]) == (Listener(address, 8080, 1000, 12345),)
    assert is_loopback(address) is reached


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
        line("0100007F", 8080, "01"),
        line("0100007F", 8080).replace("1F90", "11F90"),
        line("0100007F", 8080).replace("0100007F", "0100007"),
        line("0100007F", 8080).replace(" 12345", f" {'9' * 30}"),
        line("0100007F", 8080).replace("1000 ", "-1 "),
        "\033[2J" + line("0100007F", 8080),
    ],
)
def test_what_is_no_listener(text: str) -> None:
    assert parse_listeners([text]) == ()


@settings(deadline=None)
@given(st.lists(st.text(max_size=200)))
def test_noise_is_nothing(lines: list[str]) -> None:
    assert parse_listeners(lines) == ()


def test_this_computers_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert port in listening_here(dict(os.environ))
        assert port in listening_here(dict(os.environ), os.getpid())
        assert port not in listening_here(dict(os.environ), os.getppid())
    assert port not in listening_here(dict(os.environ))
    assert listening_here(dict(os.environ), 2**22 + 1) == frozenset()
