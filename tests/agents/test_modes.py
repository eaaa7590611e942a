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
            # What comes together with the text is no key but part of it.
            terminal.await_one({"typed": "question"})
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
        *(("its sessions are on the host, too",) if expected.sessions else ()),
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


# --- Why logins are not linked, as settings and sessions are -----------------------------------------------------------


def test_claude_replaces_the_file_of_its_login(machines: Machines) -> None:
    """So a hard link would not go on leading to the host's."""
    login = machines.write(machines.guest / ".claude/.credentials.json", claude.TOKEN)
    hard = machines.base / "hard"
    os.link(login, hard)
    words = ("mcp", "add", "--scope", "user", "--transport", "http", "--client-id", "x", "--client-secret")
    done = machines.run(machines.guest, "claude", *words, "server", "http://127.0.0.1:9/", MCP_CLIENT_SECRET="s")
    assert done.returncode == 0, done.stderr
    assert "mcpOAuthClientConfig" in login.read_text()
    assert not hard.samefile(login)


def test_codex_refuses_to_log_in_where_its_login_has_a_second_name(machines: Machines) -> None:
    """So a hard link would take the host's codex the way to log in."""
    login = machines.write(machines.guest / ".codex/auth.json", codex.LOGIN)
    os.link(login, machines.base / "hard")
    log_in = ("codex", "--no-daemon", "login", "--with-api-key")
    refused = machines.run(machines.guest, *log_in, stdin="sk-new")
    assert refused.returncode != 0
    assert "does not support hard-linked files" in refused.stderr
    (machines.base / "hard").unlink()
    assert machines.run(machines.guest, *log_in, stdin="sk-new").returncode == 0
    assert "sk-new" in login.read_text()


ROTATING = {
    "auth_mode": "chatgpt",
    "OPENAI_API_KEY": None,
    "tokens": {"id_token": "x", "access_token": "x", "refresh_token": "rt-fake", "account_id": "x"},
}


def test_a_login_of_codex_that_serves_once_stays_on_the_host_and_the_guest_has_its_own(machines: Machines) -> None:
    prepare(machines)
    host_login = machines.write(machines.host / ".codex/auth.json", ROTATING)
    run = Run(machines, "overlay")
    run.bring()
    assert not is_logged_in(run, "codex")
    asked = run.script("codex", "login", "--with-api-key")
    assert machines.run(machines.guest, "sh", "-c", asked, stdin="sk-guest").returncode == 0
    run.bring()
    assert is_logged_in(run, "codex")
    assert json.loads(host_login.read_text()) == ROTATING


def test_a_login_of_claude_made_in_the_guest_is_the_guests_alone(machines: Machines) -> None:
    prepare(machines)
    run = Run(machines, "overlay")
    run.bring()
    assert not is_logged_in(run, "claude")
    before = snapshot(machines.host)
    machines.write(machines.guest / ".local/state/agentvm/overlay/claude/.credentials.json", claude.TOKEN)
    machines.hand_over()
    assert is_logged_in(run, "claude")
    assert {path for path, content in snapshot(machines.host).items() if before.get(path) != content} == set()
