"""An agent on the host and one in the guest, at the same time: nothing of the host's is damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from agentvm.agents import CODEX, OPENCODE
from agentvm.launch import plan_launch
from tests.agents import test_codex as codex
from tests.agents import test_opencode as opencode
from tests.agents.machines import Machines, open_files

PROMPTS = 3


def held(home: Path, *suffixes: str) -> set[Path]:
    """The databases that an agent with this home uses right now."""
    return {path for path in open_files(home) if path.suffix in suffixes}


def check(databases: list[Path]) -> None:
    assert databases
    for path in databases:
        connection = sqlite3.connect(path)
        try:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], path
        finally:
            connection.close()


def databases(home: Path, pattern: str) -> list[Path]:
    return [path for path in home.rglob(pattern) if not path.name.endswith(("-wal", "-shm"))]


def test_two_codex_share_their_home_and_no_database(machines: Machines) -> None:
    situation = codex.Situation("", "", trusted="up/project")
    directory = codex.prepare(machines, situation)
    own = machines.session(CODEX, plan_launch(CODEX, ("--no-daemon",), yolo=False, places=()))
    own = own.replace("export CODEX_SQLITE_HOME=", "ignored=")
    asked = codex.script(machines, situation, directory)
    with machines.terminal(machines.host, own) as here, machines.terminal(machines.guest, asked) as there:
        for terminal in (here, there):
            assert terminal.await_one(codex.SCREENS) == "prompt", terminal.screen()
        for number in range(PROMPTS):
            for terminal in (here, there):
                terminal.type(f"question {number}")
                terminal.type("Enter")
        for terminal in (here, there):
            terminal.await_one({"asked": f"question {PROMPTS - 1}"})
        here_uses, there_uses = held(machines.host, ".sqlite"), held(machines.guest, ".sqlite")
        assert here_uses
        assert {path.parent for path in here_uses} == {machines.host / ".codex"}
        assert {path.parent for path in there_uses} == {machines.guest / ".local/state/agentvm/codex"}
        check(databases(machines.host / ".codex", "*.sqlite"))
        check(databases(machines.guest / ".local/state/agentvm/codex", "*.sqlite"))
    check(databases(machines.host / ".codex", "*.sqlite"))
    check(databases(machines.guest / ".local/state/agentvm/codex", "*.sqlite"))
    assert "trust_level" in (machines.host / ".codex/config.toml").read_text()
    assert machines.run(machines.host, "codex", "login", "status").returncode == 0


def test_two_opencode_share_their_login_and_no_database(machines: Machines) -> None:
    opencode.prepare(machines)
    own = machines.session(OPENCODE, plan_launch(OPENCODE, (), yolo=False, places=()))
    own = own.replace("export OPENCODE_DB=", "ignored=")
    asked = opencode.script(machines)
    with machines.terminal(machines.host, own) as here, machines.terminal(machines.guest, asked) as there:
        for terminal in (here, there):
            assert terminal.await_one(opencode.SCREENS) == "prompt"
        for number in range(PROMPTS):
            for terminal in (here, there):
                terminal.type(f"question {number}")
                terminal.type("Enter")
        assert held(machines.host, ".db") == {machines.host / opencode.DATA / "opencode.db"}
        assert held(machines.guest, ".db") == {machines.guest / opencode.DATA / "opencode.db"}
        check(databases(machines.host / opencode.DATA, "*.db"))
        check(databases(machines.guest / opencode.DATA, "*.db"))
    check(databases(machines.host / opencode.DATA, "*.db"))
    check(databases(machines.guest / opencode.DATA, "*.db"))
    listed = machines.run(machines.host, "opencode", "auth", "list")
    assert "1 credentials" in listed.stdout + listed.stderr
