"""port: what a guest listens on, whose word is only input."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.world import World


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of the guest's: the fake's is this computer's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def entries(world: World) -> dict[int, dict[str, Any]]:
    return {entry["port"]: entry for entry in world.json("port")["ports"]}


def answer(world: World, *lines: str) -> None:
    """Have the guest say this and nothing else."""
    (world.directory / "answer").write_text("".join(f"{line}\n" for line in lines))
    world.add_program("cat", f"exec /bin/cat '{world.directory}/answer'")
    world.add_program("ls", "exit 0")
    world.add_program("grep", "exit 1")


def kernel_line(address: str, port: int, owner: int = 1000, number: int = 7) -> str:
    return f"   0: {address}:{port:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  {owner}        0 {number} 1 0 100"


def test_a_port_is_reached_at_the_same_one_of_this_computer(ready: World, listener: int) -> None:
    found = entries(ready)[listener]
    assert found["reach"] == "forwarded"
    assert found["url"] == f"http://127.0.0.1:{listener}"
    assert found["program"] not in ("", "-")
    (row,) = (line for line in ready.ok("port").out.splitlines() if f" {listener} " in line)
    assert row.endswith(f"reached at http://127.0.0.1:{listener}")


def test_one_that_is_taken_here_is_told(ready: World, listener: int) -> None:
    (ready.fake / "taken").write_text(f"{listener}\n")
    assert entries(ready)[listener]["reach"] == "taken"
    assert "taken on this computer by another program, so not forwarded" in ready.ok("port").out


def test_one_on_an_address_of_the_vms_own_is_told(ready: World) -> None:
    answer(ready, kernel_line("0F05A8C0", 3000), kernel_line("00000000", 1), kernel_line("0100007F", 22, 0))
    assert {number: entry["reach"] for number, entry in entries(ready).items()} == {
        3000: "inside",
        1: "waiting",
        22: "never",
    }
    out = ready.ok("port").out
    assert "192.168.5.15  3000  (user 1000)  listens only on an address of the VM's own" in out
    assert "(root)" in out


def test_programs_are_named_by_the_sockets_that_they_have(ready: World) -> None:
    lines = ("p 12", "s 6", "p 13", "s 7", "s 8", "/proc/12/comm:other", "/proc/13/comm:node")
    answer(ready, kernel_line("0100007F", 3000), kernel_line("0100007F", 3001, 0, 9), *lines)
    assert [entry["program"] for entry in entries(ready).values()] == ["node", "(root)"]


def test_what_a_guest_says_drives_no_terminal_and_forges_nothing(ready: World) -> None:
    evil = "\033]0;evil\a"
    answer(
        ready,
        kernel_line("0100007F", 3000),
        f"{kernel_line('0100007F', 4000)}{evil}",
        f"{evil}{kernel_line('0100007F', 5000)}",
        "p 13",
        "s 7",
        f"/proc/13/comm:{evil}",
        "s " + "9" * 400,
        "p -1",
        "x" * 200_000,
    )
    assert "does not say what listens there" in ready.fails(1, "port"), "more than agentvm reads"
    answer(ready, kernel_line("0100007F", 3000), "p 13", "s 7", f"/proc/13/comm:{evil}", "/proc/13/comm:" + "x" * 50)
    done = ready.ok("port")
    assert "\033" not in done.out + done.err
    assert "\a" not in done.out
    assert list(entries(ready)) == [3000]


def test_nothing_is_said_in_a_word(ready: World) -> None:
    answer(ready, "")
    done = ready.ok("port")
    assert done.out == ""
    assert f"nothing listens in {ready.instance()}" in done.err
    assert ready.json("port") == {"schema": 1, "instance": ready.instance(), "ports": []}


def test_a_vm_that_does_not_run_listens_on_nothing(ready: World) -> None:
    name = ready.instance()
    ready.ok("stop")
    for words in (("port",), ("port", name), ("port", "--json")):
        assert f"{name} is stopped, so nothing listens" in ready.fails(1, *words)
    assert "This project has no VM" in ready.fails(1, "port", directory=ready.make_project("other"))
    assert "There is no instance 'x'" in ready.fails(1, "port", "x")
