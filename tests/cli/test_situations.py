"""Hosts as people have them, through the whole command line: rows of docs/situations.md that no other test shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.world import World

KEY = "sk-ant-api03-" + "0123456789" * 4
CLAUDE = 'printf "%s\\0" "$(cat "$HOME/.claude.json" 2>/dev/null)" "${ANTHROPIC_API_KEY-}${CLAUDE_CODE_OAUTH_TOKEN-}"'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def claude(world: World, **variables: str) -> tuple[object, str, str]:
    """What claude finds in ~/.claude.json, which variables it has, and what the user is told."""
    world.add_program("claude", CLAUDE)
    world.environment |= variables
    done = world.ok("claude")
    text, passed, _ = done.out.split("\0")
    return json.loads(text) if text else None, passed, done.err


# --- Logins ------------------------------------------------------------------------------------------------------------


def test_a_token_in_a_variable_alone_is_a_login(ready: World) -> None:
    known, passed, _ = claude(ready, CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-x")
    assert known == {"hasCompletedOnboarding": True}
    assert passed == "sk-ant-oat01-x"


def test_no_login_at_all_answers_nothing(ready: World) -> None:
    assert claude(ready) == (None, "", "")


@pytest.mark.parametrize("answer", ["approved", "rejected"])
def test_what_was_answered_about_a_key_goes_with_it(ready: World, answer: str) -> None:
    write(ready.home / ".claude/.credentials.json", "{}")
    said: dict[str, list[str]] = {"approved": [], "rejected": [], answer: [KEY[-20:]]}
    write(ready.home / ".claude.json", json.dumps({"hasCompletedOnboarding": True, "customApiKeyResponses": said}))
    known, passed, _ = claude(ready, ANTHROPIC_API_KEY=KEY)
    assert known == {"hasCompletedOnboarding": True, "customApiKeyResponses": said}
    assert passed == KEY


# --- ~/.claude.json ----------------------------------------------------------------------------------------------------


def test_of_a_huge_file_only_what_concerns_this_project_travels(ready: World) -> None:
    trusted = {"hasTrustDialogAccepted": True}
    projects = {f"/p{number}": {**trusted, "history": ["x" * 60_000]} for number in range(100)}
    projects[str(ready.project)] = {**trusted, "history": ["x" * 60_000]}
    write(ready.home / ".claude.json", json.dumps({"hasCompletedOnboarding": True, "projects": projects}))
    known, _, told = claude(ready)
    assert known == {"hasCompletedOnboarding": True, "projects": {str(ready.project): trusted}}
    assert told == ""


# --- Directories -------------------------------------------------------------------------------------------------------


def test_a_directory_that_is_a_link_is_the_one_behind_it(ready: World) -> None:
    (ready.home / ".claude").rmdir()
    write(ready.home / "dotfiles/claude/CLAUDE.md", "mine")
    (ready.home / ".claude").symlink_to("dotfiles/claude")
    done = ready.ok("shell", "--", "sh", "-c", "cat ~/.claude/CLAUDE.md; echo new >~/.claude/made")
    assert done.out == "mine"
    assert (ready.home / ".claude").is_symlink()
    assert (ready.home / "dotfiles/claude/made").read_text() == "new\n"
    (mount,) = (mount for mount in ready.json("status")["mounts"] if mount["point"] == f"{ready.home}/.claude")
    assert mount["location"] == f"{ready.home}/dotfiles/claude"


def test_a_read_only_directory_stays_as_it_is(ready: World) -> None:
    places = [ready.home / ".claude", ready.home / ".codex", ready.config / "opencode"]
    for place in places:
        write(place / "file", place.name)
        place.chmod(0o500)
    done = ready.ok("shell", "--", "sh", "-c", "cat ~/.claude/file ~/.codex/file ~/.config/opencode/file")
    assert (done.out, done.err) == (".claude.codexopencode", "")
    assert [place.stat().st_mode & 0o777 for place in places] == [0o500] * 3
    assert [[path.name for path in place.iterdir()] for place in places] == [["file"]] * 3


# --- git ---------------------------------------------------------------------------------------------------------------


def test_the_identity_that_a_remote_chooses(ready: World) -> None:
    subprocess.run(["git", "init", "-q", str(ready.project)], check=True)
    condition = '[includeIf "hasconfig:remote.*.url:https://work.example/**"]\n\tpath = ~/work\n'
    write(ready.home / ".gitconfig", f"[user]\n\tname = Me\n\temail = home@x\n{condition}")
    write(ready.home / "work", "[user]\n\temail = work@x\n")
    ask = ("shell", "--", "git", "config", "user.email")
    assert ready.ok(*ask).out == "home@x\n"
    remote = ["git", "-C", str(ready.project), "remote", "add", "origin", "https://work.example/team/web"]
    subprocess.run(remote, check=True)
    assert ready.ok(*ask).out == "work@x\n"


# --- YOLO --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["claude", "codex", "opencode"])
def test_yolo_off_again_leaves_nothing_behind(ready: World, agent: str) -> None:
    names = "CLAUDE_CODE_SANDBOXED OPENCODE_PERMISSION".split()
    ready.add_program(agent, 'echo "$*"; echo "' + "".join(f"${{{name}-}}" for name in names) + '"')
    plain = ready.ok(agent, "x")
    assert plain.out == "x\n\n"
    added = ready.ok(agent, "x", AGENTVM_YOLO="1")
    assert added.out != plain.out
    assert added.err.startswith("agentvm: AGENTVM_YOLO=1 adds ")
    assert ready.ok(agent, "x") == plain


# --- Updates -----------------------------------------------------------------------------------------------------------


def test_codex_does_not_ask_for_an_update_and_starts_no_server(ready: World) -> None:
    ready.add_program("codex", '[ "$1" = --help ] && echo "--config --no-daemon" || echo "$*"')
    quietly = "--no-daemon -c check_for_update_on_startup=false x\n"
    assert ready.ok("codex", "x").out == quietly
    assert ready.ok("shell", "--", "sh", "-c", "codex x").out == quietly, "whoever starts it"


# --- A VM that is lost -------------------------------------------------------------------------------------------------


def test_a_vm_that_was_lost_is_told_from_a_program_that_returns_255(ready: World) -> None:
    assert ready.run("shell", "--", "sh", "-c", "exit 255") == (255, "", "")
    status = ready.fake / ready.instance() / "status"
    done = ready.run("shell", "--", "sh", "-c", f"printf stopped >'{status}'; exit 255")
    assert (done.status, done.out) == (1, "")
    assert f"The connection was lost: {ready.instance()} is stopped." in done.err
    assert ready.ok("shell", "--", "echo", "back").out == "back\n"
