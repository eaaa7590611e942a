"""AGENTVM_CONFIG through the whole command line: what reaches a guest in each mode, what is said, and switching."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.world import World

MODES = ("shared", "overlay", "isolated")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def shell(world: World, script: str, mode: str = "overlay") -> str:
    return world.ok("shell", "--", "sh", "-c", script, AGENTVM_CONFIG=mode).out


@pytest.fixture
def lived_in(ready: World) -> World:
    write(ready.home / ".claude/settings.json", '{"model":"x"}')
    write(ready.home / ".claude/agents/a.md", "an agent")
    write(ready.home / ".claude/.credentials.json", "{}")
    write(ready.home / ".codex/config.toml", 'model = "x"\n')
    write(ready.home / ".local/share/opencode/auth.json", "{}")
    ready.add_program("claude", ":")
    ready.add_program("codex", ":")
    return ready


def test_settings_come_once_and_again_when_they_change(lived_in: World) -> None:
    lived_in.environment["AGENTVM_CONFIG"] = "overlay"
    read = ("shell", "--", "sh", "-c", "cat ~/.claude/settings.json ~/.claude/agents/a.md")
    first = lived_in.ok(*read)
    assert first.out == '{"model":"x"}an agent'
    assert "giving this VM copies of your agents' settings" in first.err
    assert lived_in.ok(*read).err == ""
    write(lived_in.home / ".claude/settings.json", "{}")
    (lived_in.home / ".claude/agents/a.md").unlink()
    second = lived_in.ok("shell", "--", "sh", "-c", "cat ~/.claude/settings.json; ls ~/.claude/agents")
    assert second.out == "{}"
    assert "copies" in second.err


def test_no_command_for_root_names_anything_but_the_hosts_paths(lived_in: World) -> None:
    log = lived_in.fake / lived_in.instance() / "root.log"
    shell(lived_in, "true")
    told = log.read_text()
    assert f"{lived_in.home}/.claude" in told
    shell(lived_in, "true")
    assert log.read_text() == told, "a warm run asks the guest nothing"


def places(world: World) -> dict[str, str]:
    """All that is the user's."""
    return {path: content for path, content in world.tree().items() if path.startswith(("home/", "config/"))}


@pytest.mark.parametrize("mode", MODES)
def test_what_the_guest_changes_reaches_the_host_only_where_it_is_shared(lived_in: World, mode: str) -> None:
    shell(lived_in, "true", mode)
    before = places(lived_in)
    shell(
        lived_in,
        "echo guest >~/.claude/settings.json; echo guest >~/.codex/config.toml; echo guest >~/.config/opencode/x",
        mode,
    )
    changed = {path for path, content in places(lived_in).items() if before.get(path) != content}
    shared = {"home/.claude/settings.json", "home/.codex/config.toml", "config/opencode/x"}
    assert changed == (shared if mode == "shared" else set())


@pytest.mark.parametrize("mode", MODES)
def test_which_login_is_there_by_mode(lived_in: World, mode: str) -> None:
    look = "for file in ~/.claude/.credentials.json ~/.local/share/opencode/auth.json; do [ ! -e $file ] || echo ${file##*/}; done"
    seen = shell(lived_in, look, mode).split()
    assert seen == {"shared": [".credentials.json", "auth.json"], "overlay": ["auth.json"], "isolated": []}[mode]


@pytest.mark.parametrize("mode", MODES)
def test_who_is_told_to_log_in(lived_in: World, mode: str) -> None:
    lived_in.environment["AGENTVM_CONFIG"] = mode
    claude, codex = lived_in.ok("claude").err, lived_in.ok("codex").err
    assert ("`agentvm login claude` once for this VM" in claude) == (mode == "overlay")
    assert ("`agentvm login codex --device-auth`" in codex) == (mode == "overlay")
    write(lived_in.guest_home() / ".claude/.credentials.json", "{}")
    assert "agentvm login" not in lived_in.ok("claude").err


def test_a_key_of_codex_is_copied(lived_in: World) -> None:
    write(lived_in.home / ".codex/auth.json", '{"auth_mode":"apikey","OPENAI_API_KEY":"sk"}')
    assert "agentvm login" not in lived_in.ok("codex", AGENTVM_CONFIG="overlay").err
    assert "sk" in shell(lived_in, "cat ~/.codex/auth.json")


def test_keys_of_providers_pass_to_an_isolated_agent_only_by_name(lived_in: World) -> None:
    lived_in.add_program("claude", 'echo "${ANTHROPIC_API_KEY-none}"')
    lived_in.environment |= {"ANTHROPIC_API_KEY": "sk", "AGENTVM_CONFIG": "isolated"}
    assert lived_in.ok("claude").out == "none\n"
    write(lived_in.config / "agentvm/config.toml", 'pass_env = ["ANTHROPIC_API_KEY"]\n')
    assert lived_in.ok("claude").out == "sk\n"


def test_a_token_that_is_passed_by_name_is_a_login_of_an_isolated_claude(lived_in: World) -> None:
    lived_in.environment |= {"CLAUDE_CODE_OAUTH_TOKEN": "x", "AGENTVM_CONFIG": "isolated"}
    seed = lived_in.guest_home() / ".claude.json"
    lived_in.ok("claude")
    assert not seed.exists()
    write(lived_in.config / "agentvm/config.toml", 'pass_env = ["CLAUDE_CODE_*"]\n')
    lived_in.ok("claude")
    assert seed.read_text().strip() == '{"hasCompletedOnboarding":true}'


def test_what_claude_knew_of_the_host_goes_when_it_is_isolated(lived_in: World) -> None:
    write(lived_in.home / ".claude.json", '{"hasCompletedOnboarding":true,"theme":"dark"}')
    lived_in.ok("claude", AGENTVM_CONFIG="overlay")
    seed = lived_in.guest_home() / ".claude.json"
    assert "dark" in seed.read_text()
    lived_in.ok("claude", AGENTVM_CONFIG="isolated")
    assert "dark" not in seed.read_text()


def test_switching_keeps_what_each_mode_had(lived_in: World) -> None:
    shell(lived_in, "true", "shared")
    shell(lived_in, "echo overlay >~/.claude/mine", "overlay")
    shell(lived_in, "echo isolated >~/.claude/mine; ls -A ~/.claude >~/listed", "isolated")
    assert (lived_in.guest_home() / "listed").read_text() == "mine\n"
    assert (
        shell(lived_in, "cat ~/.claude/settings.json; ls ~/.claude | grep -c mine || true", "shared")
        == '{"model":"x"}0\n'
    )
    assert shell(lived_in, "cat ~/.claude/mine", "overlay") == "overlay\n"
    assert shell(lived_in, "cat ~/.claude/mine", "isolated") == "isolated\n"
    assert not list(lived_in.guest_home().glob(".claude.guest*"))


def test_a_directory_that_an_agent_made_before_is_kept_aside(lived_in: World) -> None:
    home = lived_in.guest_home()
    (home / ".claude").unlink()
    write(home / ".claude/own", "x")
    assert "the VM's own ~/.claude is now" in lived_in.ok("shell", "--", "true", AGENTVM_CONFIG="overlay").err
    (aside,) = home.glob(".claude.guest-*")
    assert (aside / "own").read_text() == "x"


def test_another_mode_waits_for_running_sessions(lived_in: World) -> None:
    lived_in.hold()
    done = lived_in.run("shell", "--", "true", AGENTVM_CONFIG="overlay")
    assert done.status == 1
    assert "in use" in done.err


def test_copies_come_again_into_a_vm_that_was_made_anew(lived_in: World) -> None:
    shell(lived_in, "true")
    lived_in.ok("rm")
    assert shell(lived_in, "cat ~/.claude/settings.json") == '{"model":"x"}'


def test_copies_that_can_not_be_written_are_said_and_the_session_starts(lived_in: World) -> None:
    write(lived_in.guest_home() / ".local/state/agentvm/overlay", "in the way")
    done = lived_in.run("shell", "--", "echo", "hi", AGENTVM_CONFIG="overlay")
    assert "they could not be written there" in done.err
    assert done.out == "hi\n"


def test_a_dry_run_brings_nothing(lived_in: World) -> None:
    before = lived_in.tree()
    lived_in.ok("--dry-run", "claude", AGENTVM_CONFIG="overlay")
    assert lived_in.tree() == before


@pytest.mark.parametrize("mode", MODES)
def test_status_and_doctor_say_the_mode(lived_in: World, mode: str) -> None:
    lived_in.environment["AGENTVM_CONFIG"] = mode
    shell(lived_in, "true", mode)
    assert f"{mode}: the agents" in lived_in.ok("status").out
    assert lived_in.json("status")["config"] == mode
    told = lived_in.run("doctor").out
    assert f"{mode}: the agents" in told
    assert f"{lived_in.home}/.claude/projects" in lived_in.ok("status").out or mode != "overlay"
    wanted = {"shared": "shares /", "overlay": "has copies of its settings in /", "isolated": "shares nothing"}[mode]
    assert wanted in told


def test_doctor_tells_of_links_that_are_not_followed(lived_in: World) -> None:
    write(lived_in.home / "dotfiles/CLAUDE.md", "x")
    (lived_in.home / ".claude/CLAUDE.md").symlink_to(lived_in.home / "dotfiles/CLAUDE.md")
    told = lived_in.run("doctor", AGENTVM_CONFIG="overlay").out
    assert "CLAUDE.md can't be copied into the VM" in told
    write(lived_in.config / "agentvm/config.toml", 'config_links = ["~/dotfiles"]\n')
    told = lived_in.run("doctor", AGENTVM_CONFIG="overlay").out
    assert "can't be copied" not in told
    assert "config_links" in told
    assert shell(lived_in, "cat ~/.claude/CLAUDE.md") == "x"


def test_a_bad_mode_is_refused(ready: World) -> None:
    said = ready.fails(2, "shell", "--", "true", AGENTVM_CONFIG="readonly")
    assert "there are shared, overlay and isolated" in said
