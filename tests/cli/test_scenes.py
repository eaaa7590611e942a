"""What a terminal of 80 and of 40 columns shows of every command at work, as files in `scenes`: each is a person's afternoon."""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentvm.commands.table import COMMANDS
from agentvm.project import instance_name
from tests.cli.golden import WIDTHS, expect, kept, timeless, veil
from tests.cli.scenes import SCENES, Typed
from tests.cli.world import PREFIX, World, program, wait_for, write_program
from tests.smoke.terminal import screen

GOLDEN = Path(__file__).parent / "scenes"
END = "[status "
SHELL = f'eval "$1"; printf "\\n{END}%s]" $?; exec sleep 600'


@pytest.fixture
def stage(cache: Path) -> Iterator[World]:
    """A computer whose paths are equally long each time, and not so long that nobody has such a home."""
    directory = Path(tempfile.mkdtemp(prefix="av-", dir="/tmp"))
    world = World(directory, cache)
    # Short, so that the longest path, with a process id of any length, has room on a line of 80 columns.
    world.state = directory
    world.environment["XDG_STATE_HOME"] = str(directory)
    write_program(world.directory / "bin" / "agentvm", f'exec {shlex.join(program())} "$@"\n')
    world.environment["PATH"] = f"{world.directory}/bin:{world.environment['PATH']}"
    yield world
    world.close()
    shutil.rmtree(directory)


def act(world: World, typed: Typed, columns: int) -> str:
    """What is on the screen, in the middle of it where the scene says so, and at the end."""
    shown = ""
    with screen(["sh", "-c", SHELL, "sh", typed.line], world.project, world.environment, columns) as terminal:
        if typed.live:
            wait_for(lambda: typed.live in terminal.show().replace("\n", ""))
            shown = f"{terminal.whole()}\n\n... and then:\n\n"
            typed.then()
        if typed.asks:
            wait_for(lambda: typed.asks in terminal.show())
            terminal.type(*typed.answer)
        wait_for(lambda: END in terminal.show())
        text, _, status = terminal.whole().rpartition(END)
    shown += text.rstrip()
    return shown if status == "0]" else f"{shown}\n[status {status}"


def settled(text: str, world: World, digests: set[str]) -> str:
    """Without what is another one each time: names, moments, process ids, lines of a script, and the paths of agentvm and its
    cache, which an archive alone has and a source tree has not. What stands for a path is shorter, so nothing is beside one."""
    cache = _wrapped(f"{world.environment['XDG_CACHE_HOME']}/agentvm")
    text = re.sub(rf"agentvm:\s(?:to\sbe\sremoved:|would\sremove)\s+{cache}\n", "", text)
    for secret in (world.directory.name.removeprefix("av-"), *sorted(digests)):
        text = veil(text, secret)
    text = re.sub(r"(?s)itself\s+is\s.*?;\s+remove\s+it\s+as\s+you\s+", "itself is PROGRAM; remove it as you ", text)
    text = re.sub(r"(?s)(ProxyCommand) .*?--connect\s+'[^']*'", r"\1 PROGRAM ssh-config --connect NAME", text)
    for begin, end in (("/logs/provision-", ".log"), ("/replaced/", "--git-hooks-post-checkout")):
        text = re.sub(rf"{_wrapped(begin)}[\s\d-]*?{_wrapped(end)}", f"{begin}DATE{end}", text)
    # Shells count the lines of what they evaluate each in their own way.
    text = re.sub(r"/bin/sh: \d+:", "/bin/sh: LINE:", text)
    return timeless(text)


def _wrapped(text: str) -> str:
    """A pattern for the text, wherever a line's end parts it."""
    return r"\s*".join(map(re.escape, text))


def digests(world: World) -> set[str]:
    """What tells a project's VM from others of that name."""
    names = {path.name for path in world.fake.iterdir() if path.is_dir()} | {instance_name(PREFIX, str(world.project))}
    return {found[1] for name in names if (found := re.search(r"-([0-9a-f]{8})(-next)?$", name))}


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", SCENES)
def test_screens_of_a_command_at_work(stage: World, name: str, columns: int) -> None:
    acts, known = [], set[str]()
    for typed in SCENES[name](stage):
        known |= digests(stage)
        shown = f"$ {typed.line}\n{act(stage, typed, columns)}"
        known |= digests(stage)
        acts.append(settled(shown, stage, known).rstrip())
    expect(GOLDEN / str(columns) / f"{name}.txt", "\n\n".join(acts) + "\n")


def test_every_command_has_a_scene_and_there_are_no_other_screens() -> None:
    assert set(COMMANDS) <= set(SCENES)
    assert kept(GOLDEN) == {f"{columns}/{name}.txt" for columns in WIDTHS for name in SCENES}
    for columns in WIDTHS:
        for command in COMMANDS.values():
            text = (GOLDEN / str(columns) / f"{command.name}.txt").read_text(encoding="utf-8")
            typed = {found.split("'")[0] for found in re.findall(r"^\$ .*agentvm (.*)", text, re.MULTILINE)}
            for wanted in (command.name, *(part.name for part in command.parts)):
                assert any(f" {wanted} " in f" {line} " for line in typed), wanted
