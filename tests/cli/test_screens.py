"""What a terminal of 80 and of 40 columns shows of the help, as files in `screens`."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from agentvm.commands.table import COMMANDS
from agentvm.commands.topics import TOPICS
from tests.cli.golden import WIDTHS, expect, kept
from tests.cli.world import TIMEOUT, World, program

SCREENS = Path(__file__).parent / "screens"
PARTS = [part.name for command in COMMANDS.values() for part in command.parts]
PAGES = {
    "help": ("--help",),
    **{f"help-{name}": ("help", name) for name in (*COMMANDS, *(name for name in TOPICS if name not in COMMANDS))},
    **{f"help-{name.replace(' ', '-')}": ("help", *name.split()) for name in PARTS},
}


def show(world: World, columns: int, *words: str) -> str:
    """What agentvm writes to a terminal of that width, which is its standard output."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [*program(), *words]
    with subprocess.Popen(
        command, cwd=world.project, env=world.environment, stdin=its, stdout=its, stderr=its
    ) as process:
        os.close(its)
        shown = bytearray()
        while part := read(ours):
            shown += part
        assert process.wait(TIMEOUT) == 0
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def read(descriptor: int) -> bytes:
    """What comes next; nothing when the other end is closed, which Linux tells as an error."""
    try:
        return os.read(descriptor, 65536)
    except OSError as problem:
        if problem.errno != errno.EIO:
            raise
        return b""


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_screens_are_as_they_were_looked_at(world: World, name: str, columns: int) -> None:
    expect(SCREENS / str(columns) / f"{name}.txt", show(world, columns, *PAGES[name]))


def test_there_are_no_other_screens() -> None:
    assert kept(SCREENS) == {f"{columns}/{name}.txt" for columns in WIDTHS for name in PAGES}


@pytest.mark.parametrize("columns", WIDTHS)
def test_no_line_is_wider_than_its_terminal(columns: int) -> None:
    """But for commands that are there to be copied."""
    examples = {f"  {line}" for command in COMMANDS.values() for line, _ in command.examples}
    for path in (SCREENS / str(columns)).iterdir():
        for line in path.read_text(encoding="utf-8").splitlines():
            assert len(line) <= columns or line in examples, f"{path.name}: {line}"
