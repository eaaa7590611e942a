"""Scenes: for each command what a person types, one line after the other, and what was done to the computer in between.

A scene is a generator: it yields what is typed, and between two yields sets the stage. All that a screen shows and that would be
another each time is fixed here, as ages, sizes and process ids are, or veiled by `golden`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.cli.world import World, write_program

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
MEBIBYTE = 2**20


class Typed(NamedTuple):
    """A line that a person types. `live` is what is on the screen while it goes on, and `then` lets it go on; `answer` are
    keys that are typed when `asks` is on the screen."""

    line: str
    live: str = ""
    then: Callable[[], object] = bool
    asks: str = ""
    answer: tuple[str, ...] = ()


Scene = Callable[[World], Iterator[Typed]]


# --- The stage ---------------------------------------------------------------------------------------------------------


def settle(world: World) -> None:
    """All VMs were made three days ago and started or used two hours ago, and have a size that says nothing of the disk."""
    for place in (path.parent for path in world.fake.glob("*/agentvm.json")):
        name, label = place.name, place / "agentvm.json"
        fields = json.loads(label.read_text())
        label.write_text(json.dumps(fields | {"created": int(time.time()) - 3 * DAY - HOUR}))
        used = time.time() - 2 * HOUR - 10 * MINUTE
        for path in (place / "status", world.state / "agentvm" / "agentvm" / f"{name}.use"):
            if path.exists():
                os.utime(path, (used, used))
        with open(place / "weight", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 48 * MEBIBYTE)


@contextmanager
def session(world: World, name: str = "claude", directory: Path | None = None) -> Iterator[None]:
    """A session with an agent, of twelve minutes and of a known process."""
    add_agent(world, name, "echo ready; cat")
    process = world.start(name, directory=directory)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    (record,) = (world.state / "agentvm" / "agentvm" / "sessions").glob(f"*.{process.pid}")
    record.write_text(f"4242\n{int(time.time()) - 12 * MINUTE - 30}\n{name}\n")
    yield
    process.communicate()


def add_agent(world: World, name: str, script: str) -> None:
    """An agent that came with the base. Codex is asked for its options before it is started."""
    version = {"claude": "1.2.3 (Claude Code)", "codex": "codex-cli 1.2.3"}.get(name, "1.2.3")
    asked = f'case "${{1-}}" in --version) echo "{version}"; exit ;; --help) exit ;; esac'
    world.add_program(name, f"{asked}\n{script}\n")


def waits(world: World, text: str) -> Callable[[], object]:
    """What root does in a VM and has this text in it takes until the result is called."""
    file = world.fake / "waits"
    file.write_text(f"{text}\n")
    return file.unlink


def slow(world: World, name: str, before: str, after: str) -> Callable[[], object]:
    """A program in the VMs that goes on only when the result is called."""
    go = world.directory / f"go-{name}"
    world.add_program(name, f"{before}\nwhile [ ! -e '{go}' ]; do sleep 0.1; done\n{after}\n")
    return go.touch


def agents(world: World, *names: str) -> None:
    """Agents that tell where they are."""
    for name in names:
        add_agent(world, name, f'echo "{name} is here, in $PWD, and was told: $*"')


def first_run(world: World) -> None:
    world.ok("shell", "--", "true")


# --- Run in this project's VM ------------------------------------------------------------------------------------------


def claude(world: World) -> Iterator[Typed]:
    """The first run of all, of an agent that is not there yet."""
    yield Typed("agentvm --dry-run claude")
    world.add_npm()
    yield Typed("agentvm claude -p hello", live="[3/6] 26 packages,", then=waits(world, "apt-get"))
    yield Typed("agentvm claude -p again")
    world.ok("stop")
    yield Typed("agentvm claude -p 'after a stop'")
    yield Typed("AGENTVM_CPUS=4 agentvm claude -p larger")
    with session(world, "codex"):
        yield Typed("AGENTVM_CPUS=2 agentvm claude")


def codex(world: World) -> Iterator[Typed]:
    first_run(world)
    world.add_program("npm", "echo 'npm error network'; exit 1")
    yield Typed("agentvm codex")
    yield Typed("AGENTVM_SKIP_AUTO_INSTALL=1 agentvm codex")
    agents(world, "codex")
    world.ok("base", "snapshot")
    yield Typed("agentvm codex exec 'fix the tests'")


def opencode(world: World) -> Iterator[Typed]:
    first_run(world)
    agents(world, "opencode")
    yield Typed("agentvm opencode run 'fix the tests'")
    yield Typed("cd / && agentvm opencode")
    yield Typed("cd && agentvm opencode")


def run(world: World) -> Iterator[Typed]:
    first_run(world)
    agents(world, "codex")
    yield Typed("agentvm run codex exec hello")
    yield Typed("agentvm run")
    yield Typed("agentvm run codx")


def gh(world: World) -> Iterator[Typed]:
    first_run(world)
    agents(world, "gh")
    yield Typed("agentvm gh pr list")
    yield Typed("AGENTVM_MOUNT_GH_CONFIG=0 agentvm gh pr list")


def shell(world: World) -> Iterator[Typed]:
    yield Typed("agentvm shell -- sh -c 'echo here; exit 3'")
    yield Typed("agentvm shell make test")
    yield Typed("agentvm shell --")
    yield Typed("agentvm shell -- no-such-program")
    yield Typed("agentvm --quiet shell -- echo quiet")
    yield Typed("agentvm --verbose shell -- echo verbose")
    subprocess.run(["git", "init", "--quiet", str(world.project)], check=True)
    first_run(world)
    yield Typed("agentvm shell -- git config core.pager evil")


def login(world: World) -> Iterator[Typed]:
    first_run(world)
    agents(world, "codex")
    yield Typed("agentvm login codex --device-auth")
    yield Typed("agentvm login gh")
    yield Typed("agentvm login")


def update(world: World) -> Iterator[Typed]:
    yield Typed("agentvm update --base codex")
    yield Typed("agentvm --dry-run update")
    first_run(world)
    yield Typed("agentvm update")
    failing = (
        "echo 'npm warn deprecated a-package-with-a-long-name@1.2.3: it is old, and the line is longer than a terminal'"
    )
    go = slow(world, "npm", failing, "echo 'npm error network'; exit 1")
    yield Typed("agentvm update codex", live="agentvm: update codex in", then=go)
    world.add_npm()
    yield Typed("agentvm update codex claude")
    yield Typed("agentvm update --base codex")
    yield Typed("agentvm update vim")


# --- Look after the VMs ------------------------------------------------------------------------------------------------


def status(world: World) -> Iterator[Typed]:
    yield Typed("agentvm status")
    first_run(world)
    agents(world, "claude", "codex")
    settle(world)
    yield Typed("agentvm status")
    with session(world):
        settle(world)
        yield Typed("agentvm status")
    world.ok("stop")
    world.ok("base", "snapshot")
    settle(world)
    yield Typed("AGENTVM_CPUS=8 agentvm status")
    yield Typed("agentvm status --jsn")
    yield Typed("cd / && agentvm status")


def list_(world: World) -> Iterator[Typed]:
    yield Typed("agentvm list")
    projects = [
        world.make_project(name) for name in ("api", "a-project-with-quite-a-long-name", "work/clients/acme/shop")
    ]
    first_run(world)
    for project in projects:
        world.ok("shell", "--", "true", directory=project)
    world.ok("stop", directory=projects[0])
    shutil.rmtree(projects[0])
    world.ok("base", "snapshot")
    world.ok("shell", "--", "true", directory=world.make_project("newest"))
    with session(world), session(world, "codex", projects[1]):
        settle(world)
        yield Typed("agentvm list")
    world.ok("shell", "--", "true", AGENTVM_INSTANCE_PREFIX="other")
    world.foreign("agentvm-mine")
    settle(world)
    yield Typed("agentvm list --all-prefixes")


def review(world: World) -> Iterator[Typed]:
    subprocess.run(["git", "init", "--quiet", str(world.project)], check=True)
    yield Typed("agentvm review")
    first_run(world)
    yield Typed("agentvm review")
    evil = "printf '#!/bin/sh\\nevil\\n' >.git/hooks/post-checkout; chmod +x .git/hooks/post-checkout; git config core.fsmonitor evil"
    world.ok("shell", "--", "sh", "-c", evil)
    yield Typed("agentvm review")
    yield Typed("agentvm review README.md")
    yield Typed("agentvm --dry-run review --restore")
    yield Typed("agentvm review --accept .git/config")
    yield Typed("agentvm review --restore")
    yield Typed("agentvm review --restore --accept")


def stop(world: World) -> Iterator[Typed]:
    yield Typed("agentvm stop")
    first_run(world)
    with session(world):
        yield Typed("agentvm stop")
        yield Typed("agentvm --dry-run stop --force")
    yield Typed("agentvm stop")
    yield Typed("agentvm stop")
    yield Typed("agentvm stop agentvm-wbe")
    first_run(world)
    for name in ("api", "shop"):
        world.ok("shell", "--", "true", directory=world.make_project(name))
    yield Typed("agentvm stop --idle 2h")
    settle(world)
    yield Typed("agentvm --dry-run stop --idle 2h")
    yield Typed("agentvm stop --idle 2h")
    yield Typed("agentvm stop --idle soon")
    yield Typed("agentvm stop --idle 2h --force")


def rm(world: World) -> Iterator[Typed]:
    yield Typed("agentvm rm")
    first_run(world)
    settle(world)
    yield Typed("agentvm --dry-run rm")
    with session(world):
        yield Typed("agentvm rm")
    settle(world)
    yield Typed("agentvm rm")
    world.foreign("agentvm-mine")
    yield Typed("agentvm rm agentvm-mine")
    yield Typed("agentvm rm default")


def prune(world: World) -> Iterator[Typed]:
    yield Typed("agentvm prune")
    first_run(world)
    projects = [world.make_project(name) for name in ("api", "gone", "shop")]
    for project in projects:
        world.ok("shell", "--", "true", directory=project)
    world.ok("stop", directory=projects[0])
    shutil.rmtree(projects[1])
    settle(world)
    yield Typed("agentvm prune --older-than 30d --dry-run")
    yield Typed("agentvm prune --dry-run")
    yield Typed("agentvm prune")
    yield Typed("agentvm prune --older-than 30")


def adopt(world: World) -> Iterator[Typed]:
    first_run(world)
    yield Typed("agentvm adopt")
    moved = world.home / "moved" / "web"
    moved.parent.mkdir()
    world.project = world.project.rename(moved)
    settle(world)
    yield Typed("agentvm --dry-run shell -- true")
    yield Typed("agentvm --dry-run adopt")
    yield Typed("cd .. && agentvm adopt")
    yield Typed("agentvm adopt")
    yield Typed("agentvm adopt")


def rebase(world: World) -> Iterator[Typed]:
    yield Typed("agentvm rebase")
    first_run(world)
    yield Typed("agentvm rebase")
    world.ok("base", "snapshot")
    yield Typed("agentvm --dry-run rebase")
    with session(world):
        yield Typed("agentvm rebase")
    yield Typed("agentvm rebase")


def cp(world: World) -> Iterator[Typed]:
    (world.project / "report.csv").write_bytes(bytes(3 * MEBIBYTE))
    (world.project / "pages").mkdir()
    (world.project / "pages" / "index.html").write_text("hello")
    first_run(world)
    go = slow(world, "tar", "", 'exec /bin/tar "$@"')
    yield Typed("agentvm cp report.csv vm:", live="copy report.csv", then=go)
    yield Typed("agentvm cp pages vm:")
    yield Typed("agentvm cp -r pages vm:")
    yield Typed("agentvm cp vm:report.csv vm:pages/index.html .")
    yield Typed("agentvm cp vm:missing.csv .")
    yield Typed("agentvm cp report.csv")
    yield Typed("agentvm --dry-run cp report.csv vm:")


def port(world: World) -> Iterator[Typed]:
    yield Typed("agentvm port")
    first_run(world)
    answer = world.directory / "answer"
    world.add_program("cat", f"exec /bin/cat '{answer}'")
    world.add_program("ls", "exit 0")
    world.add_program("grep", "exit 1")
    answer.write_text("all\n")
    yield Typed("agentvm port")
    heard = (("0F05A8C0", 3000, 1000), ("00000000", 1, 1000), ("0100007F", 22, 0), ("0100007F", 2, 4242))
    line = "   0: {}:{:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  {}        0 7 1 0 100\n"
    answer.write_text("".join(line.format(*one) for one in heard) + "all\n")
    yield Typed("agentvm port")
    world.ok("stop")
    yield Typed("agentvm port")


def ssh_config(world: World) -> Iterator[Typed]:
    yield Typed("agentvm ssh-config")
    first_run(world)
    (world.fake / world.instance() / "door").write_text("1")
    yield Typed("agentvm ssh-config")
    yield Typed("agentvm --dry-run ssh-config --install")
    yield Typed("agentvm ssh-config --install")
    yield Typed("agentvm ssh-config --install")


def doctor(world: World) -> Iterator[Typed]:
    yield Typed("AGENTVM_BASE_MANIFEST_DIR=/nowhere agentvm doctor")
    first_run(world)
    agents(world, "claude")
    settle(world)
    yield Typed("agentvm doctor")
    name = world.instance()
    (world.state / "agentvm" / "agentvm").chmod(0o755)
    (world.fake / name / "stale.sock").write_text("")
    half = world.fake / "agentvm-half-00000000"
    (half / "home").mkdir(parents=True)
    (half / "making").write_text("agentvm")
    gone = world.make_project("gone")
    world.ok("shell", "--", "true", directory=gone)
    world.ok("stop", directory=gone)
    shutil.rmtree(gone)
    yield Typed("agentvm doctor")
    yield Typed("agentvm --dry-run doctor --fix")
    yield Typed("agentvm doctor --fix")


def install_shims(world: World) -> Iterator[Typed]:
    yield Typed("agentvm --dry-run install-shims")
    yield Typed("agentvm install-shims")
    yield Typed('PATH="$HOME/.local/share/agentvm/shims:$PATH" agentvm install-shims')
    write_program(world.home / "bin" / "codex", "exit 0\n")
    yield Typed('agentvm install-shims "$HOME/bin"')


def uninstall(world: World) -> Iterator[Typed]:
    first_run(world)
    world.ok("install-shims")
    world.ok("ssh-config", "--install")
    (world.config / "agentvm").mkdir(parents=True)
    (world.config / "agentvm" / "config.toml").write_text("cpus = 2\n")
    settle(world)
    yield Typed("agentvm uninstall --vms --dry-run")
    with session(world):
        yield Typed("agentvm uninstall")
    yield Typed("agentvm uninstall", asks="[y/N]", answer=("n", "Enter"))
    yield Typed("agentvm uninstall --vms", asks="[y/N]", answer=("y", "Enter"))


# --- The base ----------------------------------------------------------------------------------------------------------


def base(world: World) -> Iterator[Typed]:
    yield Typed("agentvm base")
    yield Typed("agentvm base aply")
    yield Typed("agentvm base shell")
    yield Typed("agentvm base snapshot")
    yield Typed("agentvm base reset")
    yield Typed("agentvm --dry-run base init")
    yield Typed("agentvm base init", live="[3/6] 26 packages,", then=waits(world, "apt-get"))
    yield Typed("agentvm base init")
    first_run(world)
    world.fail_with(3, "apt-get")
    yield Typed("agentvm base apply")
    world.fail_with(0, "")
    yield Typed("agentvm base apply")
    yield Typed("echo 'echo in the base' | agentvm base shell")
    yield Typed("agentvm base snapshot")
    yield Typed("agentvm base reset")
    yield Typed("agentvm base reset")


# --- Know more ---------------------------------------------------------------------------------------------------------


def help_(world: World) -> Iterator[Typed]:
    assert world.project.is_dir()
    yield Typed("agentvm")
    yield Typed("agentvm help comands")
    yield Typed("agentvm help base aply")


def settings(world: World) -> Iterator[Typed]:
    yield Typed("AGENTVM_CPUS=8 agentvm settings")
    file = world.config / "agentvm" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('cpus = 2\npass_env = ["DATABASE_URL"]\n\n[[mounts]]\npath = "~/data"\n')
    yield Typed("agentvm settings")
    file.write_text("cpu = 2\n")
    yield Typed("agentvm settings")
    yield Typed("AGENTVM_CPUS=many agentvm settings")


def completion(world: World) -> Iterator[Typed]:
    assert world.project.is_dir()
    yield Typed("agentvm completion bash | head -n 3")
    yield Typed("agentvm completion")
    yield Typed("agentvm completion fsh")


def mistakes(world: World) -> Iterator[Typed]:
    """Of the command line itself."""
    assert world.project.is_dir()
    yield Typed("agentvm --version")
    yield Typed("agentvm stats")
    yield Typed("agentvm --quite status")
    yield Typed("agentvm stop one two")
    yield Typed("AGENTVM_CPU=2 agentvm status")


SCENES: dict[str, Scene] = {
    "claude": claude,
    "codex": codex,
    "opencode": opencode,
    "run": run,
    "gh": gh,
    "shell": shell,
    "login": login,
    "update": update,
    "status": status,
    "list": list_,
    "review": review,
    "stop": stop,
    "rm": rm,
    "prune": prune,
    "adopt": adopt,
    "rebase": rebase,
    "cp": cp,
    "port": port,
    "ssh-config": ssh_config,
    "doctor": doctor,
    "install-shims": install_shims,
    "uninstall": uninstall,
    "base": base,
    "help": help_,
    "settings": settings,
    "completion": completion,
    "mistakes": mistakes,
}
