"""adopt and rebase: a VM goes to another directory or another base, and its home goes with it, whatever comes between."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable

import pytest

from tests.cli.world import World, snapshot
from tests.contract.children import Ended, call_and_kill, call_in_child

KEPT = "a letter"
_STEPS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "shutil.copytree", "subprocess.Popen")
"""What changes something, as Python's audit names it. A kill before each of them is a kill after the one before."""


@pytest.fixture
def aged(ready: World) -> World:
    """A project with something in its home, and a base that is newer than its VM and has a home of its own."""
    write(ready)
    ready.ok("base", "shell", stdin="echo new >~/of-the-base\n")
    ready.ok("base", "snapshot")
    return ready


@pytest.fixture
def moved(ready: World) -> World:
    """The same project, moved to `elsewhere/web` since."""
    write(ready)
    target = ready.home / "elsewhere" / "web"
    target.parent.mkdir()
    ready.project.rename(target)
    ready.project = target
    return ready


def write(world: World) -> None:
    script = "mkdir -p ~/.cache/deep && echo 'a letter' >~/.cache/deep/kept && chmod 640 ~/.cache/deep/kept && ln -s deep ~/.cache/link"
    world.ok("shell", "--", "sh", "-c", script)


def read(world: World) -> str:
    return world.ok("shell", "--", "sh", "-c", "cat ~/.cache/link/kept; ls -l ~/.cache/deep | grep -c rw-r-----").out


def entries(world: World) -> dict[str, dict[str, object]]:
    return {
        entry["name"]: entry for entry in world.json("list")["instances"] if entry["role"] not in ("base", "golden")
    }


# --- rebase ------------------------------------------------------------------------------------------------------------


def test_rebase_gives_a_vm_from_the_newest_base_with_the_old_home(aged: World) -> None:
    assert "agentvm rebase" in aged.ok("shell", "--", "true").err
    name = aged.instance()
    (aged.guest_home() / ".ssh").mkdir()
    (aged.guest_home() / ".ssh" / "authorized_keys").write_text("the old one's\n")
    done = aged.ok("rebase")
    assert (done.out, "is from agentvm-base-g2 now" in done.err) == ("", True)
    assert "what was installed or changed outside of it" in done.err
    assert "and it is whole" in done.err
    assert read(aged) == f"{KEPT}\n1\n"
    assert list(entries(aged)) == [name]
    assert (aged.json("status")["generation"], aged.json("status")["older_than_base"]) == (2, False)
    assert not (aged.guest_home() / "of-the-base").exists(), "the home is the old one's, not a mixture"
    assert not (aged.guest_home() / ".ssh" / "authorized_keys").exists(), "by which the host comes into another guest"
    assert not list(aged.state.rglob("*-next*"))
    before = snapshot(aged.fake)
    assert "is from the newest base already (agentvm-base-g2)" in aged.ok("rebase").err
    assert snapshot(aged.fake) == before


def test_rebase_rehearsed_changes_nothing_and_tells_all(aged: World) -> None:
    before = aged.tree()
    said = aged.ok("--dry-run", "rebase").err
    name = aged.instance()
    for step in (
        f"would clone agentvm-base-g2 to {name}-next",
        f"would copy the home directory of {name} to {name}-next",
        f"would delete {name}",
        f"would clone {name}-next to {name}",
        f"would delete {name}-next",
    ):
        assert step in said
    assert aged.tree() == before


def test_rebase_refuses_while_a_session_runs_and_force_goes_on(aged: World) -> None:
    session = aged.hold()
    said = aged.fails(1, "rebase")
    assert f"is in use by sh (process {session.pid})" in said
    aged.ok("rebase", "--force")
    assert read(aged) == f"{KEPT}\n1\n"


def test_rebase_without_a_vm_or_a_base_says_what_makes_one(world: World) -> None:
    assert "The first run makes one" in world.run("rebase").err
    world.ok("shell", "--", "true")
    world.ok("rm", "agentvm-base-g1")
    assert "`agentvm base init` makes it" in world.run("rebase").err


def test_a_home_that_does_not_fit_leaves_the_old_vm_as_it_was(aged: World) -> None:
    """A tar that fails, on the way in."""
    shutil.rmtree(aged.guest_home() / ".ssh", ignore_errors=True)
    # In the new guest `.ssh` stays, so a file of that name has no room.
    aged.ok("base", "shell", stdin="mkdir ~/.ssh && touch ~/.ssh/authorized_keys\n")
    aged.ok("base", "snapshot")
    (aged.guest_home() / ".ssh").write_text("no directory")
    before = snapshot(aged.guest_home())
    done = aged.run("rebase")
    assert (done.status, done.out) == (1, "")
    assert "The home directory could not be written" in done.err
    assert "taking back what was begun; the VM is as it was" in done.err
    assert list(entries(aged)) == [aged.instance()]
    assert snapshot(aged.guest_home()) == before


# --- adopt -------------------------------------------------------------------------------------------------------------


def test_a_moved_project_is_recognised_and_adopts_its_vm(moved: World) -> None:
    (old,) = entries(moved)
    assert "its project is gone" in moved.ok("doctor").out
    assert f"agentvm adopt {old}" in moved.ok("doctor").out
    done = moved.ok("adopt")
    assert (done.out, f"{moved.project} has that VM now" in done.err) == ("", True)
    assert read(moved) == f"{KEPT}\n1\n"
    assert list(entries(moved)) == [moved.instance()] != [old]
    mounts = [mount["point"] for mount in moved.json("status")["mounts"]]
    assert str(moved.project) in mounts
    assert str(moved.home / "web") not in mounts
    assert not (moved.home / "web").exists()
    assert not list(moved.state.rglob(f"{old}*"))
    before = moved.tree()
    assert f"has its VM already, {moved.instance()}" in moved.ok("adopt").err
    assert f"This project has a VM already, {moved.instance()}" in moved.fails(1, "adopt", old)
    assert moved.tree() == before


def test_ssh_forgets_the_vms_old_name(moved: World) -> None:
    (old,) = entries(moved)
    (moved.fake / old / "door").write_text("1")
    moved.ok("ssh-config", "--install")
    known = moved.state / "agentvm" / "agentvm" / "ssh_config"
    assert old in known.read_text()
    moved.ok("adopt")
    assert old not in known.read_text()
    (moved.fake / moved.instance() / "door").write_text("1")
    assert f"Host {moved.instance()} agentvm-web\n" in moved.ok("ssh-config").out


def test_what_nobody_decided_about_is_told_before_it_is_forgotten(ready: World) -> None:
    old = ready.instance()
    ready.ok("shell", "--", "sh", "-c", "echo 'export A=1' >.envrc")
    (ready.home / "moved").mkdir()
    ready.project = ready.project.rename(ready.home / "moved" / "web")
    said = ready.ok("adopt").err
    assert "changes of what this computer runs, never accepted: 1;" in said
    assert not list(ready.state.rglob(f"{old}*"))


def test_the_work_tree_around_adopts_nothing(moved: World) -> None:
    """As where a guest removed its project's .git."""
    inner = moved.make_project("elsewhere/web/inner")
    for place in (moved.project, inner):
        (place / ".git").mkdir()
    moved.ok("shell", "--", "true", directory=inner)
    (inner / ".git").rmdir()
    assert "is no work tree now" in moved.fails(1, "adopt", directory=inner)


def test_a_first_run_in_the_new_place_names_the_old_vm_once(moved: World) -> None:
    (old,) = entries(moved)
    said = moved.ok("shell", "--", "true").err
    assert f"{old} was the VM of {moved.home}/web, which is gone" in said
    assert "agentvm adopt" not in moved.ok("shell", "--", "true").err
    assert f"This project has a VM already, {moved.instance()}" in moved.fails(1, "adopt", old)
    moved.ok("rm")
    moved.ok("adopt", old)
    assert read(moved) == f"{KEPT}\n1\n"


def test_a_project_that_was_called_otherwise_is_adopted_by_name(moved: World) -> None:
    (old,) = entries(moved)
    target = moved.make_project("shop")
    said = moved.fails(2, "adopt", directory=target)
    assert f"Which VM was this project's? Their projects are gone: {old} ({moved.home}/web)" in said
    assert "agentvm adopt" not in moved.ok("--dry-run", "shell", directory=target).err
    moved.ok("adopt", old, directory=target)
    moved.project = target
    assert read(moved) == f"{KEPT}\n1\n"


def test_what_cannot_be_adopted_is_refused(ready: World) -> None:
    other = ready.make_project("other")
    assert "There is no VM whose project is gone" in ready.fails(1, "adopt", directory=other)
    said = ready.fails(2, "adopt", ready.instance(), directory=other)
    assert f"{ready.project} is there" in said
    assert "is not the VM of a project that is gone" in ready.fails(2, "adopt", "agentvm-base", directory=other)
    foreign = ready.foreign("agentvm-web-00000000")
    assert "left alone" in ready.fails(1, "adopt", foreign.name, directory=other)


def test_a_vm_that_somebody_works_in_is_not_adopted(ready: World) -> None:
    session = ready.hold()
    target = ready.home / "moved"
    ready.project.rename(target)
    ready.project = target
    (old,) = entries(ready)
    assert f"is in use by sh (process {session.pid})" in ready.fails(1, "adopt", old)
    session.communicate()
    ready.ok("adopt", old)


# --- Killed at every step ----------------------------------------------------------------------------------------------


def in_process(world: World, *words: str) -> Callable[[], int]:
    """agentvm's own command line, called where it can be killed at a chosen step."""

    def call() -> int:
        from agentvm import cli

        # pytest's own stand for these in this process.
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        os.environ.clear()
        os.environ.update(world.environment)
        os.chdir(world.project)
        return cli.main(list(words))

    return call


def kill_at(world: World, number: int, *words: str) -> bool:
    """Run it and kill it right before its step of that number; whether there was one."""
    seen = 0

    def at(event: str, details: tuple[object, ...]) -> float | None:
        nonlocal seen
        if event not in _STEPS:
            return None
        seen += 1
        return 0 if seen == number else None

    def call() -> None:
        # A failure is not what is looked for; it would be a child that was not killed.
        assert in_process(world, *words)() == 0

    return call_and_kill(call, at)


def again(world: World, *words: str) -> Ended:
    return call_in_child(in_process(world, *words))


class Saved:
    """A computer's whole state, to begin from again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._copy = world.directory.with_name(f"{world.directory.name}-saved")
        shutil.copytree(world.directory, self._copy, symlinks=True)

    def restore(self) -> None:
        shutil.rmtree(self._world.directory)
        shutil.copytree(self._copy, self._world.directory, symlinks=True)


def roles(world: World) -> dict[str, str]:
    """The project's instances by name with their roles, as their labels have it; "" for one without a label of its own."""
    found = {}
    for place in world.fake.glob("agentvm-web-*"):
        label = place / "agentvm.json"
        content = json.loads(label.read_text()) if label.exists() else {}
        found[place.name] = str(content["role"]) if content.get("name") == place.name else ""
    return found


def letters(world: World) -> list[str]:
    """The VMs, as their labels have it, that hold the letter and may not be deleted at any time."""
    kept = {
        name: world.fake / name / "home" / ".cache" / "deep" / "kept"
        for name, role in roles(world).items()
        if role == "project"
    }
    return [name for name, path in kept.items() if path.exists() and path.read_text() == f"{KEPT}\n"]


def test_rebase_killed_at_any_step_loses_nothing_and_goes_on(aged: World) -> None:
    """Whatever comes next: the rebase again, a session, doctor, or its end by rm."""
    name = aged.instance()
    saved, number = Saved(aged), 1
    while kill_at(aged, number, "rebase"):
        assert letters(aged), f"step {number}"
        NEXT[number % len(NEXT)](aged, name)
        saved.restore()
        number += 1
    assert number > 30
    assert read(aged) == f"{KEPT}\n1\n"


def rebase_again(world: World, name: str) -> None:
    ended = again(world, "rebase")
    assert ended.status == 0, ended
    assert roles(world) == {name: "project"}
    assert letters(world) == [name]
    assert json.loads((world.fake / name / "agentvm.json").read_text())["generation"] == 2


def work_again(world: World, name: str) -> None:
    """Then the letter is read where it belongs, and what is left beside goes with the next rebase."""
    ended = again(world, "shell", "--", "cat", f"{world.fake}/{name}/home/.cache/deep/kept")
    assert ended.out == f"{KEPT}\n".encode(), ended
    rebase_again(world, name)


def doctor_looks(world: World, name: str) -> None:
    """It deletes what is left, or says that the only VM is on its way, and then the next run brings it there."""
    assert again(world, "doctor", "--fix").status == 0
    assert letters(world)
    if roles(world) != {name: "project"}:
        assert roles(world) == {f"{name}-next": "project"}
        assert b"is on its way to" in again(world, "doctor").out
        assert again(world, "shell", "--", "true").status == 0
        assert again(world, "doctor", "--fix").status == 0
    assert letters(world) == [name]
    assert roles(world) == {name: "project"}


def remove_all(world: World, name: str) -> None:
    """Nothing that holds something comes back afterwards."""
    assert again(world, "rm").status == 0
    assert set(roles(world).values()) <= {"", "draft"}
    assert again(world, "prune").status == 0
    assert roles(world) == {}


NEXT = (rebase_again, work_again, rebase_again, doctor_looks, remove_all)


def test_adopt_killed_at_any_step_loses_nothing_and_goes_on(moved: World) -> None:
    name = moved.instance()
    saved, number = Saved(moved), 1
    while kill_at(moved, number, "adopt"):
        assert letters(moved), f"step {number}"
        ended = again(moved, "adopt")
        assert ended.status == 0, f"step {number}: {ended.err.decode()}"
        assert letters(moved) == [name], f"step {number}"
        assert roles(moved) == {name: "project"}, f"step {number}"
        saved.restore()
        number += 1
    assert number > 15
    assert read(moved) == f"{KEPT}\n1\n"
