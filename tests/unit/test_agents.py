from __future__ import annotations

import pytest

from agentvm.agents import AGENTS, CLAUDE, CODEX, GH, OPENCODE, PROGRAMS, Agent, Yolo, add_bypass

SKIP = "--dangerously-skip-permissions"
BYPASS = "--dangerously-bypass-approvals-and-sandbox"
ALLOW = ("OPENCODE_PERMISSION", '{"*":"allow"}')


@pytest.mark.parametrize(
    ("agent", "before", "after"),
    [
        (CLAUDE, "", SKIP),
        (CLAUDE, "mcp list", f"{SKIP} mcp list"),
        (CLAUDE, "-p hello", f"{SKIP} -p hello"),
        (CLAUDE, f"-- {SKIP}", f"{SKIP} -- {SKIP}"),
        (CODEX, "", BYPASS),
        (CODEX, "exec hello", f"{BYPASS} exec hello"),
        (CODEX, "--help", f"{BYPASS} --help"),
        (CODEX, "-- --yolo", f"{BYPASS} -- --yolo"),
        (OPENCODE, "", "--auto"),
        (OPENCODE, "web-app", "--auto web-app"),
        (OPENCODE, "-m run", "--auto -m run"),
        (OPENCODE, "--model=x", "--auto --model=x"),
        (OPENCODE, "--continue", "--auto --continue"),
        (OPENCODE, "run hello", "run --auto hello"),
        (OPENCODE, "-m some/model run hello", "-m some/model run --auto hello"),
        (OPENCODE, "--print-logs run", "--print-logs run --auto"),
        (OPENCODE, "run -- --auto", "run --auto -- --auto"),
        (OPENCODE, "-- serve", "--auto -- serve"),
    ],
)
def test_the_flag_stands_where_the_agent_takes_it(agent: Agent, before: str, after: str) -> None:
    changed = add_bypass(agent, tuple(before.split()))
    assert " ".join(changed.arguments) == after
    assert changed.added in changed.arguments
    assert changed.environment == ()


@pytest.mark.parametrize(
    ("agent", "arguments"),
    [
        (CLAUDE, SKIP),
        (CLAUDE, f"-p hello {SKIP}"),
        (CODEX, BYPASS),
        (CODEX, "exec --yolo hello"),
        (OPENCODE, "--auto"),
        (OPENCODE, "run --yolo hello"),
        (OPENCODE, f"run {SKIP} hello"),
        (OPENCODE, "auth login"),
        (OPENCODE, "--log-level DEBUG models"),
        (OPENCODE, "upgrade"),
        (GH, "auth status"),
        (GH, ""),
    ],
)
def test_nothing_is_added_twice_or_where_it_means_nothing(agent: Agent, arguments: str) -> None:
    words = tuple(arguments.split())
    assert add_bypass(agent, words) == Yolo(words)


@pytest.mark.parametrize("arguments", ["serve", "serve --port 80", "--port 80 web", "acp"])
def test_opencode_servers_take_a_variable(arguments: str) -> None:
    words = tuple(arguments.split())
    changed = add_bypass(OPENCODE, words)
    assert (changed.arguments, changed.environment) == (words, (ALLOW,))
    assert ALLOW[0] in changed.added


def test_gh_is_a_program_and_no_agent() -> None:
    assert set(AGENTS) == {"claude", "codex", "opencode"}
    assert set(PROGRAMS) - set(AGENTS) == {"gh"}


def test_no_agent_sees_the_hosts_path_or_agentvms_own_variables() -> None:
    passed = {name for agent in PROGRAMS.values() for name in agent.passes}
    assert not {name for name in passed if name in ("PATH", "HOME", "SSH_AUTH_SOCK") or name.startswith("AGENTVM_")}
