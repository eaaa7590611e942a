"""opencode in a guest: its login is the host's, its database is its own."""

from __future__ import annotations

import os

import pytest

from agentvm.agents import OPENCODE
from agentvm.launch import plan_launch
from tests.agents.machines import Machines

DATA = ".local/share/opencode"
LOGIN = {"anthropic": {"type": "api", "key": "sk-fake"}}
SCREENS = {"prompt": "Ask anything"}


def prepare(machines: Machines) -> None:
    """The host's login, and a link to it in the guest."""
    machines.share(".config/opencode")
    machines.write(machines.host / DATA / "auth.json", LOGIN)
    machines.write(machines.host / DATA / "mcp-auth.json", {"gone": {"tokens": {"accessToken": "x"}}, "kept": {}})
    for name in ("auth.json", "mcp-auth.json"):
        link = machines.guest / DATA / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(machines.host / DATA / name)
    machines.hand_over()


def script(machines: Machines, *words: str, yolo: bool = False) -> str:
    launch = plan_launch(OPENCODE, words, yolo=yolo, places=(str(machines.project),))
    return machines.session(OPENCODE, launch)


@pytest.mark.parametrize("yolo", [False, True])
def test_opencode_is_at_home(machines: Machines, yolo: bool) -> None:
    prepare(machines)
    with machines.terminal(machines.guest, script(machines, yolo=yolo)) as terminal:
        assert terminal.await_one(SCREENS) == "prompt"
    listed = machines.run(machines.guest, "sh", "-c", script(machines, "auth", "list"))
    assert "Anthropic" in listed.stdout + listed.stderr or "anthropic" in listed.stdout + listed.stderr
    assert "1 credentials" in listed.stdout + listed.stderr
    assert (machines.guest / DATA / "opencode.db").exists()
    assert not (machines.host / DATA / "opencode.db").exists()


def test_opencode_without_a_login_starts_too(machines: Machines) -> None:
    machines.share(".config/opencode")
    with machines.terminal(machines.guest, script(machines)) as terminal:
        assert terminal.await_one(SCREENS) == "prompt"


def test_logins_are_written_in_place(machines: Machines) -> None:
    """So a hard link and a symbolic one go on leading to the host's file."""
    prepare(machines)
    hard = machines.base / "hard"
    hard.mkdir()
    os.link(machines.host / DATA / "mcp-auth.json", hard / "mcp-auth.json")
    machines.hand_over()
    done = machines.run(machines.guest, "sh", "-c", script(machines, "mcp", "logout", "gone"))
    assert done.returncode == 0, done.stderr
    assert (machines.guest / DATA / "mcp-auth.json").is_symlink()
    assert (hard / "mcp-auth.json").samefile(machines.host / DATA / "mcp-auth.json")
    assert "gone" not in (hard / "mcp-auth.json").read_text()
    assert (hard / "mcp-auth.json").stat().st_mode & 0o777 == 0o600
