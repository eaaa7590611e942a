from __future__ import annotations

import pytest

from agentvm.agents import AGENTS, CLAUDE, CODEX, OPENCODE, PROGRAMS, Agent


def test_gh_is_a_program_and_no_agent() -> None:
    assert set(AGENTS) == {"claude", "codex", "opencode"}
    assert set(PROGRAMS) - set(AGENTS) == {"gh"}


@pytest.mark.parametrize("agent", list(PROGRAMS.values()))
def test_only_a_macs_claude_keeps_its_login_in_the_guest_alone(agent: Agent) -> None:
    linux, mac = agent.environment_for("linux"), agent.environment_for("darwin")
    assert linux == agent.guest_environment
    added = [name for name, _ in mac if name not in dict(linux)]
    assert added == (["CLAUDE_SECURESTORAGE_CONFIG_DIR"] if agent is CLAUDE else [])


def test_no_live_database_is_shared() -> None:
    for agent, variable in ((CODEX, "CODEX_SQLITE_HOME"), (OPENCODE, "OPENCODE_DB")):
        place = dict(agent.guest_environment)[variable]
        assert place.startswith("~/.local/")
        assert not place.startswith(("~/.codex", "~/.config"))


def test_no_agent_updates_itself() -> None:
    assert dict(CLAUDE.guest_environment)["DISABLE_AUTOUPDATER"] == "1"
    assert dict(OPENCODE.guest_environment)["OPENCODE_DISABLE_AUTOUPDATE"] == "1"
