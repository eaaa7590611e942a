"""agentvm at a terminal: a real pseudo-terminal, and a real interactive bash where job control matters."""

from __future__ import annotations

import fcntl
import os
import re
import select
import shlex
import signal
import struct
import termios
import time
from collections.abc import Iterator

import pytest

from tests.cli.world import World, program, wait_for, write_program

PROMPT = "READY> "


class Terminal:
    """A bash at a terminal of 24 lines and 80 columns. What it shows is read until something awaited is there."""

    def __init__(self, world: World) -> None:
        write_program(world.directory / "path" / "agentvm", f'exec {shlex.join(program())} "$@"\n')
        path = f"{world.directory}/path:{world.environment['PATH']}"
        self.pid, self.descriptor = os.forkpty()
        if self.pid == 0:
            os.chdir(world.project)
            environment = world.environment | {"TERM": "xterm", "PS1": PROMPT, "HISTFILE": "", "PATH": path}
            os.execve("/bin/bash", ["bash", "--norc", "--noediting", "-i"], environment)
        self.resize(24, 80)
        self._shown = ""
        self.wait(PROMPT)
        self.run("stty -echo")

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def run(self, line: str) -> str:
        """Type a line and return what is shown until the next prompt."""
        self.type(line + "\n")
        return self.wait(PROMPT)

    def wait(self, text: str, seconds: float = 20) -> str:
        """What is shown up to `text`, which is taken away with it."""
        deadline = time.monotonic() + seconds
        while text not in self._shown:
            left = deadline - time.monotonic()
            ready = select.select([self.descriptor], [], [], max(0.0, left))[0]
            assert ready, f"{text!r} was not shown, but {self._shown!r}"
            self._shown += os.read(self.descriptor, 65536).decode(errors="replace")
        before, _, self._shown = self._shown.partition(text)
        return before

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.descriptor)

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.descriptor)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(ready: World) -> Iterator[Terminal]:
    lent = Terminal(ready)
    yield lent
    lent.close()


def test_a_program_gets_a_terminal_only_when_both_ends_are_one(terminal: Terminal) -> None:
    check = "sh -c '[ -t 0 ] && [ -t 1 ] && echo both || echo none'"
    assert "both" in terminal.run(f"agentvm shell -- {check}")
    assert "none" in terminal.run(f"agentvm shell -- {check} | cat")
    assert "none" in terminal.run(f"agentvm shell -- {check} </dev/null")


def test_statuses_and_modes_are_as_before(terminal: Terminal) -> None:
    before = terminal.modes()
    for script, status in (("exit 7", 7), ("kill -9 $$", 137), ("stty raw -echo; kill -9 $$", 137)):
        shown = terminal.run(f"agentvm shell -- sh -c {shlex.quote(script)}; echo status $?")
        assert f"status {status}" in shown
        assert terminal.modes() == before
    assert "hello" in terminal.run("echo hello")


LEFT = r"\033[>5u\033[?1049h\033[?25l\033[?1003h\033[?2004h\033[1;31m"
TAKEN_BACK = "\033[?1049l\033[<1u\033[m\033[?2004l\033[?1003l\033[?25h"


@pytest.mark.parametrize(("end", "status"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137)])
def test_the_terminal_is_sane_after_every_end_of_the_program(terminal: Terminal, end: str, status: int) -> None:
    before = terminal.modes()
    script = f"stty raw -echo; printf '{LEFT}'; {end}"
    shown = terminal.run(f"agentvm shell -- sh -c {shlex.quote(script)}; echo status $?")
    assert shown.endswith(f"{TAKEN_BACK}status {status}\r\n")
    assert terminal.modes() == before


@pytest.mark.parametrize(
    ("who", "number", "status"),
    [
        ("agentvm", signal.SIGTERM, 143),
        ("agentvm", signal.SIGHUP, 129),
        ("carrier", signal.SIGTERM, 143),
        ("carrier", signal.SIGKILL, 137),
    ],
)
def test_the_terminal_is_sane_after_a_kill(terminal: Terminal, who: str, number: int, status: int) -> None:
    """Of agentvm itself, and of its child, which is ssh where there is a VM."""
    before = terminal.modes()
    script = f"stty raw -echo; printf '{LEFT}'; echo up; exec sleep 60"
    terminal.type(f"agentvm shell -- sh -c {shlex.quote(script)}; echo status $?\n")
    terminal.wait("up")
    assert terminal.modes() != before
    agentvm = _child(terminal.pid)
    os.kill(agentvm if who == "agentvm" else _child(agentvm), number)
    shown = terminal.wait(PROMPT)
    assert TAKEN_BACK in shown
    assert f"status {status}" in shown
    assert terminal.modes() == before
    assert "hello" in terminal.run("echo hello")


def test_a_clean_end_adds_not_one_byte(terminal: Terminal) -> None:
    clean = r"\033[?1049h\033[?25l\033[38;2;1;2;3mhello\033[39m\033]52;c;aGVsbG8=\007\033[?25h\033[?1049l"
    shown = terminal.run(f"agentvm shell -- printf {shlex.quote(clean)}")
    assert shown == clean.encode().decode("unicode_escape")


def test_the_window_size_is_right_from_the_first_byte(terminal: Terminal) -> None:
    terminal.resize(33, 77)
    assert terminal.run("agentvm shell -- stty size").split() == ["33", "77"]


def test_the_window_size_is_followed(terminal: Terminal) -> None:
    assert "24 80" in terminal.run("agentvm shell -- stty size")
    script = "trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.05; done"
    terminal.type(f"agentvm shell -- bash -c {shlex.quote(script)}\n")
    terminal.wait("up")
    terminal.resize(41, 132)
    terminal.wait("41 132")
    terminal.wait(PROMPT)


def test_control_c_is_the_programs(terminal: Terminal) -> None:
    script = "trap 'exit 42' INT; echo up; while :; do sleep 0.05; done"
    terminal.type(f"agentvm shell -- sh -c {shlex.quote(script)}; echo status $?\n")
    terminal.wait("up")
    terminal.type("\x03")
    assert "status 42" in terminal.wait(PROMPT)
    terminal.type("agentvm shell -- sh -c 'echo up; exec sleep 60'; echo status $?\n")
    terminal.wait("up")
    terminal.type("\x03")
    assert "status 130" in terminal.wait(PROMPT)


def test_control_z_and_fg(terminal: Terminal) -> None:
    before = terminal.modes()
    script = "echo $$; n=0; while [ $n -lt 400 ]; do n=$((n+1)); sleep 0.05; [ ! -e go ] || break; done; echo end $n"
    terminal.type(f"agentvm shell -- sh -c {shlex.quote(script)}\n")
    match = re.search(r"\d+", terminal.wait("\n"))
    assert match
    guest = int(match[0])
    time.sleep(0.3)
    terminal.type("\x1a")
    assert "Stopped" in terminal.wait(PROMPT)
    assert terminal.modes() == before
    wait_for(lambda: _state(guest) == "T")
    assert "Stopped" in terminal.run("jobs")
    terminal.run("touch go")
    assert _state(guest) == "T"
    terminal.type("fg\n")
    terminal.wait("end ")
    terminal.wait(PROMPT)
    assert terminal.modes() == before
    assert "done" in terminal.run("rm go; echo done")


def test_a_stopped_programs_modes_are_not_the_shells(terminal: Terminal) -> None:
    before = terminal.modes()
    script = f"printf '{LEFT}'; echo up $$.; sleep 60"
    terminal.type(f"agentvm shell -- sh -c {shlex.quote(script)}; echo status $?\n")
    terminal.wait("up ")
    guest = int(terminal.wait("."))
    time.sleep(0.3)
    terminal.type("\x1a")
    assert TAKEN_BACK in terminal.wait(PROMPT)
    assert terminal.modes() == before
    wait_for(lambda: _state(guest) == "T")
    terminal.type("fg\n")
    terminal.wait("\033[>5u\033[?1049h\033[1;31m\033[?25l\033[?1003h\033[?2004h")
    wait_for(lambda: _state(guest) == "S")
    terminal.type("\x1a")
    assert TAKEN_BACK in terminal.wait(PROMPT)
    assert "\033" not in terminal.run("kill %1; wait %1; echo over")
    assert terminal.modes() == before


def test_typing_into_a_file_at_a_terminal(terminal: Terminal, ready: World) -> None:
    terminal.type("agentvm shell -- cat >file\n")
    wait_for(lambda: bool(ready.json("status")["sessions"]))
    terminal.type("one\ntwo\n\x04")
    terminal.wait(PROMPT)
    assert (ready.project / "file").read_text() == "one\ntwo\n"
    assert "back" in terminal.run("echo back")


def test_a_login_shell_with_job_control(terminal: Terminal, ready: World) -> None:
    terminal.type("agentvm shell\n")
    terminal.type("cd; echo in $PWD; exit 3\n")
    terminal.wait(f"in {ready.guest_home()}")
    terminal.wait(PROMPT)
    assert "status 3" in terminal.run("echo status $?")


def test_a_lost_terminal_ends_the_session(ready: World) -> None:
    lent = Terminal(ready)
    lent.type("agentvm shell -- sleep 30\n")
    wait_for(lambda: len(ready.json("status")["sessions"]) == 1)
    os.kill(lent.pid, signal.SIGHUP)
    lent.close()
    wait_for(lambda: ready.json("status")["sessions"] == [])


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def _child(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        (child,) = file.read().split()
    return int(child)
