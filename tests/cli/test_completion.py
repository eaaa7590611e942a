"""The completions in the real shells, each in a terminal or as that shell itself tells what it would offer."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from agentvm.commands.completion import script
from agentvm.commands.entry import DIRECTORY, FILE, CommandEntry, Operand, Option
from agentvm.commands.table import COMMANDS, GLOBAL_OPTIONS
from tests.cli.world import World, program, wait_for, write_program

OPTIONS = {word for option in GLOBAL_OPTIONS for word in (option.name, option.short) if word}
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
INSTANCES = "INSTANCES"
FILES = {"README.md", "src"}
CASES: tuple[tuple[str, set[str] | str], ...] = (
    ("", set(COMMANDS)),
    ("sta", {"status"}),
    ("--d", {"--dry-run"}),
    ("-", OPTIONS),
    ("--dry-run st", {"status", "stop"}),
    ("rm --", {"--force", "--help"}),
    ("status ", set()),
    ("stop ", INSTANCES),
    ("stop --force ", INSTANCES),
    ("rm -- ", INSTANCES),
    ("rm some ", set()),
    ("base ", {"init", "apply", "shell", "snapshot", "reset"}),
    ("base sn", {"snapshot"}),
    ("base snapshot ", set()),
    ("base snapshot --", {"--force", "--help"}),
    ("run co", {"codex"}),
    ("login ", {"claude", "codex", "opencode"}),
    ("update codex o", {"opencode"}),
    ("completion ", {"bash", "zsh", "fish"}),
    ("help se", {"security", "settings"}),
    ("install-shims ", {"src"}),
    ("codex ", FILES),
    ("codex exec READ", {"README.md"}),
    ("run codex READ", {"README.md"}),
    ("shell READ", set()),
    ("shell -- cat READ", {"README.md"}),
    ("nonsense ", set()),
)


class Shell(Protocol):
    def offers(self, line: str) -> set[str]:
        """What is offered at the end of this line, directories without their slash."""

    def close(self) -> None: ...


class _Terminal:
    """A program at a terminal of its own."""

    def __init__(self, argv: list[str], environment: dict[str, str], directory: Path) -> None:
        self.pid, self.descriptor = os.forkpty()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe(argv[0], argv, environment)
        self._shown = ""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def wait(self, text: str, seconds: float = 30) -> str:
        """What is shown up to `text`, which is taken away with it."""
        deadline = time.monotonic() + seconds
        while text not in self._shown:
            ready = select.select([self.descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"{text!r} was not shown, but {self._shown!r}"
            self._shown += os.read(self.descriptor, 65536).decode(errors="replace")
        before, _, self._shown = self._shown.partition(text)
        return before

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.descriptor)
        os.waitpid(self.pid, 0)


class Bash:
    """An interactive bash, whose readline inserts all that it would offer, and which then writes the line to a file."""

    SETUP = """\
eval "$(agentvm completion bash)"
bind 'set bell-style none'
bind '"\\C-o": insert-completions'
bind -x '"\\C-p": printf "%s\\nEND" "$READLINE_LINE" >"$OFFERED"'
PS1='READY> '
echo BEGIN
"""

    def __init__(self, world: World, environment: dict[str, str]) -> None:
        self._offered = world.directory / "offered"
        setup = world.directory / "setup.bash"
        setup.write_text(self.SETUP)
        environment = environment | {"OFFERED": str(self._offered)}
        self._terminal = _Terminal(["bash", "--rcfile", str(setup), "-i"], environment, world.project)
        self._terminal.wait("BEGIN")
        self._terminal.wait("READY> ")

    def offers(self, line: str) -> set[str]:
        self._offered.write_text("")
        self._terminal.type(f"agentvm {line}\x0f\x10")
        wait_for(lambda: self._offered.read_text().endswith("\nEND"))
        self._terminal.type("\x15")
        found = self._offered.read_text().removesuffix("\nEND").removeprefix("agentvm ")
        before = line.rpartition(" ")[0]
        return set() if found == line else {word.rstrip("/") for word in shlex.split(found.removeprefix(before))}

    def close(self) -> None:
        self._terminal.close()


class Zsh:
    """An interactive zsh, whose `compadd` writes what is added to a file."""

    SETUP = """\
autoload -Uz compinit && compinit -u -D
eval "$(agentvm completion zsh)"
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then builtin compadd "$@"; return; fi
    local -a added
    builtin compadd -A added "$@"
    if (( $#added )); then print -rl -- $added >>$OFFERED; fi
    builtin compadd "$@"
}
offer() { _main_complete; print END >>$OFFERED }
zle -C offer list-choices offer
bindkey '^O' offer
PS1='READY> '
print BEGIN
"""

    def __init__(self, world: World, environment: dict[str, str]) -> None:
        self._offered = world.directory / "offered"
        setup = world.directory / "setup.zsh"
        setup.write_text(self.SETUP)
        environment = environment | {"OFFERED": str(self._offered), "TERM": "dumb"}
        self._terminal = _Terminal(["zsh", "-f", "-i"], environment, world.project)
        self._terminal.type(f"source {setup}\n")
        self._terminal.wait("BEGIN")

    def offers(self, line: str) -> set[str]:
        self._offered.write_text("")
        self._terminal.type(f"agentvm {line}\x0f")
        wait_for(lambda: self._offered.read_text().endswith("END\n"))
        self._terminal.type("\x15")
        return {word.rstrip("/") for word in self._offered.read_text().splitlines()[:-1]}

    def close(self) -> None:
        self._terminal.close()


class Fish:
    """A fish, which tells what it would offer when it is asked."""

    def __init__(self, world: World, environment: dict[str, str]) -> None:
        self._world, self._environment = world, environment

    def offers(self, line: str) -> set[str]:
        done = subprocess.run(
            ["fish", "--no-config", "-c", "agentvm completion fish | source; complete -C $argv", f"agentvm {line}"],
            cwd=self._world.project,
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return {text.partition("\t")[0].rstrip("/") for text in done.stdout.splitlines()}

    def close(self) -> None:
        pass


SHELLS: dict[str, Callable[[World, dict[str, str]], Shell]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


@contextmanager
def started(name: str, world: World, agentvm: str) -> Iterator[Shell]:
    """One of the shells, with `agentvm`, a text, as a program on its PATH, in a project with a file and a directory."""
    write_program(world.directory / "path" / "agentvm", agentvm)
    (world.project / "README.md").write_text("")
    (world.project / "src").mkdir()
    path = f"{world.directory}/path:{world.environment['PATH']}"
    environment = world.environment | {"PATH": path, "TERM": "xterm", "INPUTRC": os.devnull, "HISTFILE": ""}
    shell = SHELLS[name](world, environment)
    yield shell
    shell.close()


@pytest.fixture(params=SHELLS)
def shell(ready: World, request: pytest.FixtureRequest) -> Iterator[Shell]:
    with started(request.param, ready, f'exec {shlex.join(program())} "$@"\n') as lent:
        yield lent


def test_the_script_for_bash_has_no_fault_that_shellcheck_knows(world: World) -> None:
    script = world.ok("completion", "bash").out
    checked = subprocess.run(
        [SHELLCHECK, "--shell=bash", "-"], input=script, check=False, capture_output=True, text=True
    )
    assert checked.stdout == ""


def test_what_is_offered(shell: Shell, ready: World) -> None:
    instances = set(ready.instances())
    assert len(instances) == 3
    wrong = {}
    for line, expected in CASES:
        offered = shell.offers(line)
        if offered != (instances if expected is INSTANCES else expected):
            wrong[line] = offered
    assert not wrong


def test_nothing_is_said_when_the_names_can_not_be_had(shell: Shell, ready: World) -> None:
    place = ready.config / "agentvm" / "config.toml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("nonsense")
    assert shell.offers("stop ") == set()
    assert ready.run("complete-instances") == (1, "", "")


MADE_UP = (
    CommandEntry(
        "move",
        "a made-up one",
        operands=(Operand("FIRST", "any word"), Operand("FILE", "many", FILE, many=True)),
        options=(Option("--to", "where to", "DIR", completes=DIRECTORY), Option("--idle", "how long", "TIME")),
    ),
)
VALUES: tuple[tuple[str, set[str]], ...] = (
    ("m", {"move"}),
    ("move --to ", {"src"}),
    ("move --idle ", set()),
    ("move ", set()),
    ("move --idle 2h ", set()),
    ("move --idle 2h one READ", {"README.md"}),
    ("move one two READ", {"README.md"}),
    ("move one -- two READ", {"README.md"}),
    ("move --i", {"--idle"}),
)


@pytest.mark.parametrize("name", SHELLS)
def test_values_of_options_and_many_operands(world: World, name: str) -> None:
    """With commands that are made up, since no real one has all of this."""
    text = world.directory / "script"
    text.write_text(script(name, MADE_UP))
    with started(name, world, f"cat {text}\n") as shell:
        wrong = {line: offered for line, expected in VALUES if (offered := shell.offers(line)) != expected}
    assert not wrong
