"""`attend` on a real terminal: a helper process runs it in a session of its own, and the test is at the keyboard."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentvm
from agentvm.guest_shell import VARIABLE
from agentvm.session import Attachment, Program, build_script
from agentvm.sharing import Link, Sharing
from agentvm.terminal import split_at

SOURCES = str(Path(agentvm.__file__).parents[1])
MARK = "\033_agentvm;suspended;token\033\\"
PATIENCE = 10
"""Seconds for anything that is to come about."""

HELPER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from agentvm import process, terminal
_, _, lent, mark, log, text = sys.argv

def spawn(streams):
    global child
    child = process.spawn(("sh", "-c", text), {"PATH": os.environ["PATH"]}, streams)
    return child

def send(name):
    with open(log, "a") as file:
        file.write(name + "\\n")
    if name in ("INT", "TERM", "HUP"):
        os.killpg(child, getattr(terminal.signal, "SIG" + name))
    return True

sys.exit(terminal.attend(terminal.Guest(spawn, send), lent == "lent", mark.encode()))
"""
WITH_TERMINAL = (
    "import fcntl,os,sys,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)


class Terminal:
    """A terminal with somebody at it: what was shown so far, and what is typed."""

    def __init__(self, log: Path) -> None:
        self.master, self.slave = os.openpty()
        self.log = log
        self.shown = b""
        self.started: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        for process in self.started:
            process.kill()
            with process:
                pass
        for descriptor in (self.master, self.slave):
            os.close(descriptor)

    def start(self, argv: list[str], stdout: int | None = None, /, **environment: str) -> subprocess.Popen[bytes]:
        """Run a program as the leader of this terminal's session."""
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WITH_TERMINAL, *argv],
            env={"PATH": os.environ["PATH"]} | environment,
            stdin=self.slave,
            stdout=self.slave if stdout is None else stdout,
            stderr=self.slave,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def attend(self, text: str, mark: str = MARK) -> subprocess.Popen[bytes]:
        return self.start(self.helper("lent", text, mark))

    def helper(self, kind: str, text: str, mark: str = MARK) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", HELPER, SOURCES, kind, mark, str(self.log), text]

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def see(self, expected: bytes) -> bytes:
        """Wait until `expected` is shown, and return all that was shown up to it and since the last time."""
        deadline = time.monotonic() + PATIENCE
        while expected not in self.shown:
            assert time.monotonic() < deadline, f"{expected!r} is not in {self.shown!r}"
            self.look()
        before, _, self.shown = self.shown.partition(expected)
        return before

    def look(self) -> None:
        if select.select([self.master], [], [], 0.1)[0]:
            self.shown += os.read(self.master, 65536)

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """The exit status of a program, while all that it shows is seen."""
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on after {self.shown!r}"
            self.look()
        while select.select([self.master], [], [], 0)[0]:
            self.look()
        return process.returncode

    @property
    def modes(self) -> list[object]:
        return list(termios.tcgetattr(self.slave))

    @property
    def signals(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    lent = Terminal(tmp_path / "signals")
    yield lent
    lent.close()


def until_state(pid: int, letter: str) -> None:
    """Wait for a process to be stopped ("T") or to go on ("S")."""
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != letter:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# A program with a terminal


@pytest.mark.parametrize(
    ("text", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -HUP $$", 129), ("exit 255", 255)]
)
def test_status_and_modes_come_back(terminal: Terminal, text: str, status: int) -> None:
    before = terminal.modes
    assert terminal.end(terminal.attend(text)) == status
    assert terminal.modes == before


LEFT = "\\033[>5u\\033[?1049h\\033[?25l\\033[?1003h\\033[31m"
TAKEN_BACK = b"\033[?1049l\033[<1u\033[m\033[?1003l\033[?25h"


@pytest.mark.parametrize(
    ("end", "status"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -HUP $$", 129)]
)
def test_what_the_program_left_set_is_taken_back_at_every_end(terminal: Terminal, end: str, status: int) -> None:
    assert terminal.end(terminal.attend(f"printf '{LEFT}'; {end}")) == status
    assert terminal.shown == b"\033[>5u\033[?1049h\033[?25l\033[?1003h\033[31m" + TAKEN_BACK


def test_a_clean_end_writes_nothing_of_ours(terminal: Terminal) -> None:
    clean = "\\033[?1049h\\033[31mhello\\033[m\\033[?1049l"
    assert terminal.end(terminal.attend(f"printf '{clean}'")) == 0
    assert terminal.shown == b"\033[?1049h\033[31mhello\033[m\033[?1049l"


def test_a_program_that_can_not_be_started(terminal: Terminal) -> None:
    before = terminal.modes
    process = terminal.start(terminal.helper("lent", "exit 0"), PATH="/nowhere")
    terminal.see(b"sh was not found")
    assert terminal.end(process) == 1
    assert terminal.modes == before


ANYTHING = b"".join(
    (
        bytes(range(256)) * 3,
        b"\033[38;2;1;2;3mtrue\033[m \033]52;c;aGVsbG8=\a\033]8;;https://example.org\033\\link\033]8;;\033\\",
        b"\033_Ga=T,f=100;" + b"iVBORw0KGgo" * 300 + b"\033\\\033P0;1q#0~~~\033\\\033[?1003h\033[?1003l",
        b"\033_agentvm;suspended;tok\033\\\033_agentvm;suspende\033_agentvm;\033\033\\" * 3,
        "\u2500\U0001f600".encode(),
        b"\033[c" * 3,
    )
)


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_all_bytes_pass_as_they_are(terminal: Terminal, tmp_path: Path, size: int) -> None:
    file = tmp_path / "output"
    file.write_bytes(ANYTHING)
    process = terminal.attend(f"stty raw; dd if='{file}' bs={size} 2>/dev/null")
    assert terminal.end(process) == 0
    assert terminal.shown == ANYTHING


PIECES = st.sampled_from(
    [MARK.encode(), b"\033", b"\033_agentvm;", b"suspended;token\033", b"\\", b"text", b"\033\033_a"]
)


@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(1, 40), max_size=40))
def test_only_the_mark_is_taken_out(output: bytes, sizes: list[int]) -> None:
    shown, held, rest = [b""], b"", output
    for size in [*sizes, len(output)]:
        pieces, held = split_at(MARK.encode(), held + rest[:size])
        rest = rest[size:]
        shown[-1] += pieces[0]
        shown += pieces[1:]
    shown[-1] += held
    assert shown == output.split(MARK.encode())


def test_the_keyboard_is_the_programs(terminal: Terminal) -> None:
    """Ctrl-C, Ctrl-Z and Ctrl-\\ are bytes like others: it is the guest's terminal that makes signals of them."""
    process = terminal.attend("stty raw -echo; echo ready; dd bs=1 count=4 2>/dev/null | od -An -tx1")
    terminal.see(b"ready")
    terminal.type(b"\x03\x1a\x1c\r")
    assert terminal.end(process) == 0
    assert b"03 1a 1c 0d" in terminal.shown


def test_what_is_typed_is_shown_once(terminal: Terminal) -> None:
    process = terminal.attend("echo ready; read -r line; echo got $line")
    terminal.see(b"ready")
    terminal.type(b"word\n")
    assert terminal.end(process) == 0
    assert terminal.shown.split() == [b"word", b"got", b"word"]


def test_the_window_size_is_followed(terminal: Terminal) -> None:
    terminal.resize(24, 80)
    process = terminal.attend("stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done")
    assert b"24 80" in terminal.see(b"ready")
    terminal.resize(50, 132)
    terminal.see(b"50 132")
    # The loop reads nothing, so it would outlive its terminal.
    process.terminate()
    assert terminal.end(process) == 128 + signal.SIGTERM


def test_all_that_is_printed_arrives(terminal: Terminal) -> None:
    process = terminal.attend("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i + 1)); done; printf 'the end'")
    assert terminal.end(process) == 0
    assert terminal.shown == b"".join(b"%d\r\n" % number for number in range(20000)) + b"the end"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_agentvm_ends_the_program_and_gives_the_terminal_back(terminal: Terminal, number: int) -> None:
    before = terminal.modes
    process = terminal.attend(f"printf '{LEFT}'; echo pid $$.; exec sleep 100")
    terminal.see(b"pid ")
    pid = int(terminal.see(b"."))
    assert terminal.modes != before
    process.send_signal(number)
    assert terminal.end(process) == 128 + number
    assert terminal.shown.endswith(TAKEN_BACK)
    assert terminal.modes == before
    assert not Path(f"/proc/{pid}").exists()


def test_a_program_that_is_killed(terminal: Terminal) -> None:
    before = terminal.modes
    process = terminal.attend(f"stty raw; printf '{LEFT}'; echo pid $$.; exec sleep 100")
    terminal.see(b"pid ")
    os.kill(int(terminal.see(b".")), signal.SIGKILL)
    assert terminal.end(process) == 137
    assert terminal.shown.endswith(TAKEN_BACK)
    assert terminal.modes == before


# Suspension


def job(terminal: Terminal, text: str, then: str = "fg >/dev/null; exit $?") -> subprocess.Popen[bytes]:
    """Run `attend` as a shell with job control does: stopped once, looked at, and brought back by `fg`."""
    script = f'set -m; "$@"; echo "stopped $?"; read -r _; {then}'
    return terminal.start(["bash", "--norc", "-c", script, "bash", *terminal.helper("lent", text)])


@pytest.mark.parametrize(
    "suspend",
    [
        "printf '\\033_agentvm;suspended;token\\033\\\\'",
        "printf '\\033_agentvm;'; sleep 0.2; printf 'suspended;token\\033\\\\'",
    ],
    ids=["at once", "in two parts"],
)
def test_suspension_and_back(terminal: Terminal, suspend: str) -> None:
    before = terminal.modes
    process = job(terminal, f"stty -echo; printf before; {suspend}; read -r _; stty size; echo after; exit 5")
    seen = terminal.see(b"stopped 148")
    assert b"before" in seen
    assert b"agentvm;" not in seen, "the mark is not for the user's eyes"
    assert terminal.modes[:4] == before[:4]
    terminal.resize(40, 100)
    terminal.type(b"\n")
    assert b"40 100" in terminal.see(b"after")
    assert terminal.end(process) == 5


SUSPEND = "printf '\\033_agentvm;suspended;token\\033\\\\'"


def test_a_suspended_programs_modes_are_the_shells_until_it_is_back(terminal: Terminal) -> None:
    process = job(terminal, f"stty -echo; printf '{LEFT}'; {SUSPEND}; read -r _; printf after; exit 5")
    terminal.see(TAKEN_BACK)
    terminal.see(b"stopped 148")
    terminal.type(b"\n")
    assert terminal.see(b"after").endswith(b"\033[>5u\033[?1049h\033[31m\033[?25l\033[?1003h")
    assert terminal.end(process) == 5
    assert terminal.shown.endswith(TAKEN_BACK)


def test_one_that_resets_its_modes_itself_finds_them_reset(terminal: Terminal) -> None:
    process = job(terminal, f"stty -echo; printf '\\033[?25lx\\033[?25h'; {SUSPEND}; read -r _; printf after; exit 5")
    assert terminal.see(b"stopped 148").count(b"\033") == 2
    terminal.type(b"\n")
    assert terminal.see(b"after").strip() == b""
    assert terminal.end(process) == 5


@pytest.mark.parametrize("then", ["kill %1", "bg %1; sleep 0.3; kill %1", "kill -HUP %1; kill -CONT %1"])
def test_a_suspended_one_can_be_killed_and_leaves_the_shell_alone(terminal: Terminal, then: str) -> None:
    before = terminal.modes
    process = job(
        terminal, f"printf '{LEFT}'; {SUSPEND}; sleep 100; printf late", f"{then}; wait %1; echo shell; read -r _"
    )
    terminal.see(TAKEN_BACK)
    terminal.see(b"stopped 148")
    terminal.type(b"\n")
    shown = terminal.see(b"shell")
    assert b"\033" not in shown
    assert b"late" not in shown
    assert terminal.modes == before
    terminal.type(b"\n")
    assert terminal.end(process) == 0


def test_nearly_a_mark_is_shown(terminal: Terminal) -> None:
    assert terminal.end(terminal.attend("printf 'a\\033_agentvm;b'; sleep 0.2; printf '\\033_agentvm'")) == 0
    assert terminal.shown == b"a\033_agentvm;b\033_agentvm" + b"\030\033\\", "and a string without its end is cut off"


def test_a_mark_of_somebody_else_suspends_nothing(terminal: Terminal) -> None:
    assert terminal.end(terminal.attend("printf '\\033_agentvm;suspended;other\\033\\\\'; exit 3")) == 3
    assert b"other" in terminal.shown


@pytest.mark.parametrize("shell", [name for name in ("dash", "busybox") if shutil.which(name)])
def test_the_session_script_marks_a_stopped_program(terminal: Terminal, home: Path, shell: str) -> None:
    """Ctrl-Z in the guest's terminal; then one line of the host's brings the program back."""
    nothing = Sharing((), (), (), Link("/nowhere", ".ssh"), False, ())
    argv = ("sh", "-c", 'echo ready; read -r word; echo "got $word"; exit 9')
    script = build_script(nothing, Program(argv, str(home)), Attachment(True, "token"))
    words = [shell, "sh"] if shell == "busybox" else [shell]
    process = terminal.start([*words, "-c", f'eval "${VARIABLE}"'], HOME=str(home), **{VARIABLE: script})
    terminal.see(b"ready")
    terminal.type(b"\x1a")
    terminal.see(MARK.encode())
    terminal.type(b"\n")
    time.sleep(0.2)
    terminal.type(b"word\n")
    terminal.see(b"got word")
    assert terminal.end(process) == 9


# Standard input is a terminal, standard output is not


def typed(terminal: Terminal, text: str) -> tuple[subprocess.Popen[bytes], int]:
    reader, writer = os.pipe()
    process = terminal.start(terminal.helper("direct", text), writer)
    os.close(writer)
    return process, reader


def test_typed_input_into_a_pipe(terminal: Terminal) -> None:
    process, reader = typed(terminal, "echo ready >&2; cat; exit 4")
    terminal.see(b"ready")
    terminal.type(b"one\ntwo\n\x04")
    assert terminal.end(process) == 4
    with open(reader, "rb") as output:
        assert output.read() == b"one\ntwo\n"


def test_ctrl_c_with_a_piped_output(terminal: Terminal) -> None:
    process, reader = typed(terminal, "echo ready >&2; exec sleep 100")
    terminal.see(b"ready")
    terminal.type(b"\x03")
    assert terminal.end(process) == 130
    assert terminal.signals == ["INT"]
    os.close(reader)


# No terminal at all


def direct(terminal: Terminal, text: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        terminal.helper("direct", text), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    terminal.started.append(process)
    return process


def test_pipes_are_the_programs_own(terminal: Terminal) -> None:
    data = bytes(range(256)) * 4000
    process = direct(terminal, "cat; exit 6")
    assert process.communicate(data, timeout=PATIENCE)[0] == data
    assert process.returncode == 6


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "INT"), (signal.SIGTERM, "TERM"), (signal.SIGHUP, "HUP")])
def test_signals_are_handed_on(terminal: Terminal, number: int, name: str) -> None:
    process = direct(terminal, f"trap 'exit 9' {name}; echo ready; while :; do sleep 0.1; done")
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.wait(PATIENCE) == 9
    assert terminal.signals == [name]


def test_a_program_that_does_not_listen_is_cut_off_by_the_second_signal(terminal: Terminal) -> None:
    process = direct(terminal, "trap '' INT; echo ready; while :; do sleep 0.1; done")
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    until_log(terminal, ["INT"])
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130


def test_suspension_without_a_terminal(terminal: Terminal) -> None:
    process = direct(terminal, "echo ready; cat; exit 2")
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTSTP)
    until_state(process.pid, "T")
    assert terminal.signals == ["STOP"]
    process.send_signal(signal.SIGCONT)
    until_log(terminal, ["STOP", "CONT"])
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 2


def until_log(terminal: Terminal, signals: list[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while terminal.signals != signals:
        assert time.monotonic() < deadline, terminal.signals
        time.sleep(0.01)
