"""Each agent with each AGENTVM_CONFIG: what it shows, who it is logged in as, whose settings count, where its sessions land,
and what of the host's home changed.

The session script and the copies are those that a run sends. What Lima would mount is there as it is: both homes are on
this computer.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from agentvm.agents import AGENTS
from agentvm.copies import read_copies, unpacking
from agentvm.home import Home, Wanted, gather
from agentvm.model import Host
from agentvm.project import find_project
from agentvm.session import Attachment, Program, build_script
from agentvm.settings import read_settings
from agentvm.sharing import SESSIONS, SESSIONS_POINT
from tests.agents import test_claude as claude
from tests.agents import test_codex as codex
from tests.agents import test_opencode as opencode
from tests.agents.machines import Machines, as_user
from tests.cli.world import snapshot
from tests.tables import Record

MODES = ("shared", "overlay", "isolated")
SCREENS = {
    "claude": claude.SCREENS,
    "codex": codex.SCREENS,
    "opencode": opencode.SCREENS,
}
MARK = "set-on-the-host"


class Expected(NamedTuple):
    """What a user sees."""

    shows: str
    logged_in: bool
    settings: bool
    """Whether the host's are in force."""
    sessions: bool
    """Whether the host's agent has them, too."""


EXPECTED = {
    ("claude", "shared"): Expected("prompt", True, True, True),
    ("claude", "overlay"): Expected("prompt", False, True, True),
    ("claude", "isolated"): Expected("onboarding", False, False, False),
    ("codex", "shared"): Expected("prompt", True, True, True),
    ("codex", "overlay"): Expected("prompt", True, True, True),
    ("codex", "isolated"): Expected("sign-in", False, False, False),
    ("opencode", "shared"): Expected("prompt", True, True, False),
    ("opencode", "overlay"): Expected("prompt", True, True, False),
    ("opencode", "isolated"): Expected("prompt", False, False, False),
}


class Run(NamedTuple):
    """agentvm's part of a session."""

    machines: Machines
    mode: str

    def home(self, name: str, *words: str, terminal: bool = False) -> Home:
        host = self._host()
        wanted = Wanted(name, words, terminal)
        home = gather(host, read_settings(host), find_project(host.directory, host.home), "localhost", wanted)
        places = {
            mount.point: mount.location for mount in home.sharing.mounts if mount.point.startswith(SESSIONS_POINT)
        }
        links = tuple(link._replace(target=places.get(link.target, link.target)) for link in home.sharing.links)
        for mount in home.sharing.mounts:
            Path(mount.location).mkdir(parents=True, exist_ok=True)
        self.machines.hand_over()
        return home._replace(sharing=home.sharing._replace(links=links))

    def script(self, name: str, *words: str, terminal: bool = False) -> str:
        home = self.home(name, *words, terminal=terminal)
        program = Program(
            (name, *home.launch.arguments),
            str(self.machines.project),
            home.launch.environment,
            AGENTS[name],
            skip_install=True,
        )
        return build_script(home.sharing, program, Attachment(terminal, "0123456789abcdef"), home.contributions)

    def bring(self) -> None:
        host = self._host()
        copies = read_copies(host, read_settings(host), contents=True)
        if copies.token:
            command = unpacking(copies)
            words = as_user(self.machines.guest, command.argv, {})
            subprocess.run(words, input=command.stdin, check=True, cwd=self.machines.project)

    def asked(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.machines.run(self.machines.guest, "sh", "-c", self.script(name, *words))

    def _host(self) -> Host:
        environment = {"PATH": os.environ["PATH"], "AGENTVM_CONFIG": self.mode, "LANG": "C.UTF-8"}
        home, project = str(self.machines.host), str(self.machines.project)
        return Host(environment, home, project, "linux", 1000, False, False, False)


def prepare(machines: Machines) -> None:
    """A user who is logged in everywhere, trusts the project, and has settings of her own."""
    place = str(machines.project)
    known = claude.ONBOARDED | {"projects": {place: claude.TRUSTED}}
    machines.write(machines.host / ".claude.json", known)
    machines.write(machines.host / ".claude/.credentials.json", claude.TOKEN)
    hook = machines.write(machines.host / ".claude/hooks/line.sh", f"#!/bin/sh\necho {MARK}\n")
    hook.chmod(0o700)
    line = {"statusLine": {"type": "command", "command": "~/.claude/hooks/line.sh"}}
    machines.write(machines.host / ".claude/settings.json", line)
    machines.write(machines.host / ".codex/auth.json", codex.LOGIN)
    trusted = f'model = "{MARK}"\n[projects."{place}"]\ntrust_level = "trusted"\n'
    machines.write(machines.host / ".codex/config.toml", trusted)
    machines.write(machines.host / ".config/opencode/opencode.json", {"username": MARK})
    login = machines.write(machines.host / opencode.DATA / "auth.json", opencode.LOGIN)
    shown = machines.host / ".local/share/agentvm/opencode"
    shown.mkdir(parents=True)
    os.link(login, shown / "auth.json")
    machines.hand_over()


def is_logged_in(run: Run, name: str) -> bool:
    if name == "claude":
        return bool(json.loads(run.asked(name, "auth", "status").stdout)["loggedIn"])
    if name == "codex":
        done = run.asked(name, "login", "status")
        return "API key configured" in done.stdout + done.stderr
    done = run.asked(name, "auth", "list")
    return "1 credentials" in done.stdout + done.stderr


def sessions(home: Path, name: str) -> set[str]:
    """The files in which the agent keeps what was said, by this home's view of its directory."""
    roots = [home / f".{name}" / kept for kept in SESSIONS.get(name, ())]
    return {path.name for root in roots for path in root.rglob("*.jsonl")}


@pytest.mark.modes
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", AGENTS)
def test_each_agent_in_each_mode(machines: Machines, record: Record, name: str, mode: str) -> None:
    prepare(machines)
    run, expected = Run(machines, mode), EXPECTED[name, mode]
    run.home(name)
    before = snapshot(machines.host)
    run.bring()
    with machines.terminal(machines.guest, run.script(name, terminal=True)) as terminal:
        assert terminal.await_one(SCREENS[name]) == expected.shows, terminal.screen()
        if name != "opencode":
            seen = {"settings": MARK, "none": "the end of time"} if expected.settings else SCREENS[name]
            assert (terminal.await_one(seen) == "settings") == expected.settings
            assert (MARK in terminal.screen()) == expected.settings
        if name != "opencode" and expected.shows == "prompt":
            terminal.type("question")
            terminal.type("Enter")
            wait_for_session(machines, name)
    if name == "opencode":
        assert (MARK in run.asked(name, "debug", "config").stdout) == expected.settings
    assert is_logged_in(run, name) == expected.logged_in
    assert bool(sessions(machines.host, name)) == expected.sessions
    changed = {path for path, content in snapshot(machines.host).items() if before.get(path) != content}
    changed |= {path for path in before if not (machines.host / path).exists()}
    strange = {path for path in changed if not path.startswith(promised(mode))}
    assert strange == set()
    words = (
        expected.shows,
        "logged in" if expected.logged_in else "not logged in",
        "the host's settings" if expected.settings else "its own settings",
        "sessions on both sides" if expected.sessions else "sessions in the VM",
    )
    record(f"{name}, {mode}", ", ".join(words))


def promised(mode: str) -> tuple[str, ...]:
    """What of the host's home the guest may change."""
    if mode == "shared":
        return (".claude/", ".codex/", ".config/opencode/")
    return (
        tuple(f".{name}/{kept}/" for name, all_kept in SESSIONS.items() for kept in all_kept)
        if mode == "overlay"
        else ()
    )


def wait_for_session(machines: Machines, name: str) -> None:
    from tests.cli.world import wait_for

    wait_for(lambda: bool(sessions(machines.guest, name)), 60)
