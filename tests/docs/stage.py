"""Where the examples of a page are run: a throw-away computer on the fake backend, and one shell from the first line to the last."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.cli.world import NPM, ROOT, World, program, write_program

HOME = "/home/you"
"""What pages call the home directory where they show what is printed."""
_TIMEOUT = 300.0
"""Seconds for a whole page."""
# A line is evaluated, not run as a child, so that `cd` and `export` hold for those after it, as for whoever types them.
_STEP = """\
step() {
    eval "$2" <"$3" >"$4" 2>&1
    echo $? >"$RESULTS/$1.status"
}
"""
# The versions are whichever an example asks for.
_NPM = (
    NPM.replace("@*/*@latest | opencode-ai@latest", "@*/*@* | opencode-ai@*")
    .replace('echo "${0##*/} 1.2.3"', 'echo "${0##*/}-cli 1.2.3"')
    .replace("@LOG@", os.devnull)
)
_GH = """\
echo github.com
echo "  ✓ Logged in to github.com account you (keyring)"
"""
_IN_GUESTS = {"npm": _NPM, "gh": _GH, "make": "", "nproc": "", "curl": ""}
_ON_THE_HOST = {"gh": _GH, "ssh-add": "", "man": "cat >/dev/null"}


class Step(NamedTuple):
    """One command line. `answer` is what somebody types when it asks on a terminal; without one there is none."""

    line: str
    answer: str = ""


class Outcome(NamedTuple):
    line: str
    status: int
    shown: str


class Stage:
    """The computer of whoever reads a page, with agentvm and the programs of others that examples call."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.programs = world.home / ".local" / "bin"
        self._results = world.directory / "results"
        self._results.mkdir()
        world.project.rmdir()
        # Pages show where things lie by default.
        for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            del world.environment[variable]
        for name, text in _IN_GUESTS.items():
            world.add_program(name, text)
        for name, text in {**_ON_THE_HOST, "agentvm": f'exec {shlex.join(program())} "$@"\n'}.items():
            write_program(self.programs / name, text)

    def perform(self, steps: list[Step]) -> list[Outcome]:
        """Run them one after the other, whatever becomes of each."""
        with ExitStack() as held:
            calls = [held.enter_context(self._call(number, step)) for number, step in enumerate(steps)]
            done = subprocess.run(
                ["bash", "--norc", "-c", "".join((_STEP, *calls))],
                cwd=self.world.home,
                env=self.world.environment
                | {
                    "PATH": f"{self.programs}:{self.world.environment['PATH']}",
                    "RESULTS": str(self._results),
                    "CHECKOUT": str(ROOT),
                },
                check=False,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT,
            )
        assert done.stderr == "", done
        return [self._outcome(number, step.line) for number, step in enumerate(steps)]

    @contextmanager
    def _call(self, number: int, step: Step) -> Iterator[str]:
        """The line of the script that makes a step."""
        shown = self._results / f"{number}.shown"
        if not step.answer:
            yield f"step {number} {shlex.quote(step.line)} {os.devnull} {shlex.quote(str(shown))}\n"
            return
        master, slave = os.openpty()
        reader = threading.Thread(target=_copy, args=(master, shown))
        reader.start()
        os.write(master, f"{step.answer}\n".encode())
        terminal = os.ttyname(slave)
        yield f"step {number} {shlex.quote(step.line)} {terminal} {terminal}\n"
        os.close(slave)
        reader.join()
        os.close(master)

    def _outcome(self, number: int, line: str) -> Outcome:
        status = self._results / f"{number}.status"
        assert status.exists(), f"the shell ended before {line!r}"
        shown = (self._results / f"{number}.shown").read_text(encoding="utf-8", errors="replace")
        return Outcome(line, int(status.read_text()), shown.replace(str(self.world.home), HOME))


def _copy(descriptor: int, path: Path) -> None:
    """What is written to a terminal, until nobody has it any more, which Linux tells as an error."""
    with path.open("wb") as file, suppress(OSError):
        while part := os.read(descriptor, 4096):
            file.write(part)


def split_lines(block: str) -> list[str]:
    """The command lines of a block, without comments. One that ends with a backslash goes on in the next."""
    joined = re.sub(r"\\\n\s*", "", block)
    return [line for text in joined.splitlines() if (line := strip_comment(text))]


def strip_comment(line: str) -> str:
    """A # at the beginning of a word, outside of quotes, begins a comment."""
    quote, before = "", " "
    for place, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and before.isspace():
            return line[:place].strip()
        before = letter
    return line.strip()
