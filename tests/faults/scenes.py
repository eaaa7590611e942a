"""Computers at the moments when something is about to happen, and what has to be so once it has happened after all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from agentvm.label import load_label
from tests.cli.world import World
from tests.faults.attempt import Ended, Prepare, attempt

GITCONFIG = "[user]\n\tname = Somebody\n"
SHOW = ("shell", "--", "sh", "-c", "cat ~/kept ~/.gitconfig")
BASE, GOLDEN, NEXT, LATER = "agentvm-base", "agentvm-base-g1", "agentvm-base-g2", "agentvm-base-g3"


class Scene(NamedTuple):
    """`words` are run by whoever stands in the project `web`; `there` are the instances that are left in the end."""

    plan: str
    words: tuple[str, ...]
    arrange: Callable[[World], None]
    """Brings a computer that has a base and three projects (`web` and `other` run, `old` is stopped) to the moment before."""
    there: dict[str, str]
    """Their statuses, by a project's name, or by a base's or golden's own."""
    variables: tuple[tuple[str, str], ...] = ()
    cold: bool = False
    """Begin with nothing at all instead."""
    anew: tuple[str, ...] = ()
    """What begins with an empty disk: the projects among them have no marker to keep."""


class Computer:
    """A world that can be put back to a scene's beginning, as often as faults are tried."""

    def __init__(self, world: World, scene: Scene) -> None:
        self.world = world
        self.scene = scene
        self.environment = {**world.environment, **dict(scene.variables)}
        self._trees = (world.directory, world.state.parent)
        world.home.joinpath(".gitconfig").write_text(GITCONFIG)
        if not scene.cold:
            _settle(world)
        scene.arrange(world)
        for tree in self._trees:
            shutil.copytree(tree, _kept(tree), symlinks=True)

    def rewind(self) -> None:
        for tree in self._trees:
            shutil.rmtree(tree)
            shutil.copytree(_kept(tree), tree, symlinks=True)

    def attempt(self, prepare: Prepare | None = None, interrupt: bool = False) -> Ended:
        return attempt(self.scene.words, str(self.world.project), self.environment, prepare, interrupt)

    @cached_property
    def names(self) -> dict[str, str]:
        """The instances' names, by the projects'."""
        from agentvm.project import instance_name

        projects = [path for path in self.world.home.iterdir() if path.is_dir() and not path.name.startswith(".")]
        return {path.name: instance_name("agentvm", str(path)) for path in (*projects, self.world.project)}

    def problems(self) -> list[str]:
        """What was lost, and what was left over."""
        return [*self._lost(), *self._left_over()]

    def _there(self) -> dict[str, str]:
        """A snapshot that was taken before the fault came is taken again: then it has the next number, and is the only one."""
        there = dict(self.scene.there)
        if NEXT in there and not (self.world.fake / NEXT).exists():
            there[LATER] = there.pop(NEXT)
        return there

    def _lost(self) -> list[str]:
        problems = []
        for word, status in self._there().items():
            place = self.world.fake / self.names.get(word, word)
            label = _read(place / "agentvm.json")
            if load_label(label.encode(), place.name) is None:
                problems.append(f"{word} has no label: {label!r}")
            if (found := _read(place / "status")) != status:
                problems.append(f"{word} is {found!r} and not {status}")
            if word in self.names and word not in self.scene.anew and _read(place / "home/kept") != f"{word}\n":
                problems.append(f"what was on the disk of {word} is lost")
        return problems

    def _left_over(self) -> list[str]:
        world = self.world
        there = {self.names.get(word, word) for word in self._there()}
        state = world.state / "agentvm" / "agentvm"
        problems = [f"{name} is left" for name in {path.name for path in world.fake.iterdir()} - there - {"bin"}]
        problems += [f"{path} is left" for tree in self._trees for path in tree.rglob("*.part")]
        problems += [f"{path} is left" for path in state.glob("sessions/*")]
        for path in state.glob("agentvm-*.*"):
            if path.stem not in there:
                problems.append(f"{path} is left")
        if (generation := _read(state / "generation").strip()) != str(_newest(there)):
            problems.append(f"the newest generation is said to be {generation!r}")
        return problems


def move_state(world: World, place: Path) -> None:
    """Have instances and state elsewhere."""
    world.fake, world.state = place / "fake", place / "state"
    (world.fake / "bin").mkdir(parents=True)
    world.environment |= {"AGENTVM_FAKE_DIR": str(world.fake), "XDG_STATE_HOME": str(world.state)}


def _kept(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}-kept")


def _settle(world: World) -> None:
    for name in ("web", "other", "old"):
        directory = world.home / name
        directory.mkdir(exist_ok=True)
        world.ok("shell", "--", "sh", "-c", f"echo {name} >~/kept", directory=directory)
    world.ok("stop", directory=world.home / "old")
    shutil.rmtree(world.state / "agentvm" / "agentvm" / "logs")


def _newest(names: set[str]) -> int:
    return max((int(name.removeprefix(f"{BASE}-g")) for name in names if name.startswith(f"{BASE}-g")), default=0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


# --- What is arranged --------------------------------------------------------------------------------------------------


def nothing(world: World) -> None:
    """It is as it is."""


def _changed_base(world: World) -> None:
    world.ok("base", "shell", stdin="echo oops >~/change\n")


def _new_project(world: World) -> None:
    world.ok("rm")


def _half_made(world: World) -> None:
    label = world.fake / world.instance() / "agentvm.json"
    label.unlink()


def _keys(world: World) -> None:
    (world.home / ".ssh").mkdir(mode=0o700)
    (world.home / ".ssh" / "id_test").write_text("key")


def _stopped(world: World) -> None:
    world.ok("stop")


def _broken(world: World) -> None:
    (world.fake / world.instance() / "status").write_text("broken")


def _starting(world: World) -> None:
    (world.fake / world.instance() / "status").write_text("starting")


def _no_base(world: World) -> None:
    world.ok("rm", BASE)


def _two_to_prune(world: World) -> None:
    world.ok("stop")
    half = world.fake / "agentvm-half-12345678"
    half.mkdir()
    (half / "making").write_text("agentvm")
    half.joinpath("agentvm.json").write_text(json.dumps({"tool": "agentvm"}))


def _newer_base(world: World) -> None:
    _changed_base(world)
    world.ok("base", "snapshot")


def _moved(world: World) -> None:
    target = world.home / "elsewhere" / "web"
    target.parent.mkdir()
    world.project.rename(target)
    world.project = target


STOPPED, RUNNING = "stopped", "running"
OTHERS = {"other": RUNNING, "old": STOPPED}
BASES = {BASE: STOPPED, GOLDEN: STOPPED}
ALL = {**BASES, **OTHERS, "web": RUNNING}

SCENES = (
    Scene("init", ("base", "init"), nothing, BASES, cold=True),
    Scene("init, and first run", SHOW[:1], nothing, {**BASES, "web": RUNNING}, cold=True, anew=("web",)),
    Scene("apply", ("base", "apply"), nothing, ALL | {BASE: RUNNING}),
    Scene("apply without a base", ("base", "apply"), _no_base, ALL | {BASE: RUNNING}),
    Scene("snapshot", ("base", "snapshot"), _changed_base, {BASE: STOPPED, NEXT: STOPPED, **OTHERS, "web": RUNNING}),
    Scene("reset", ("base", "reset"), _changed_base, ALL),
    Scene("base shell", ("base", "shell"), _no_base, ALL | {BASE: RUNNING}),
    Scene("first run", SHOW[:1], _new_project, ALL, anew=("web",)),
    Scene("first run over a half-made VM", SHOW[:1], _half_made, ALL, anew=("web",)),
    Scene("warm run", SHOW, nothing, ALL),
    Scene("a toggle", SHOW, _keys, ALL, (("AGENTVM_MOUNT_SSH", "1"),)),
    Scene("resources", SHOW, _stopped, ALL, (("AGENTVM_CPUS", "3"), ("AGENTVM_MEMORY", "6GiB"))),
    Scene("start", SHOW, _stopped, ALL),
    Scene("start of a starting one", SHOW, _starting, ALL),
    Scene("start of a broken one", SHOW, _broken, ALL),
    Scene("stop", ("stop",), nothing, ALL | {"web": STOPPED}),
    Scene("rm", ("rm",), nothing, {**BASES, **OTHERS}),
    Scene("rebase", ("rebase",), _newer_base, {BASE: STOPPED, NEXT: STOPPED, **OTHERS, "web": STOPPED}),
    Scene("adopt", ("adopt",), _moved, ALL | {"web": STOPPED}),
    Scene("prune", ("prune",), _two_to_prune, {**BASES, "other": RUNNING}),
)
