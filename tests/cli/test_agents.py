"""The agents: their arguments, how they are installed, and what they may see."""

from __future__ import annotations

import pytest

from tests.cli.world import World


def npm_runs(world: World) -> list[str]:
    log = world.directory / "npm.log"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(
    ("name", "package"),
    [("claude", "@anthropic-ai/claude-code"), ("codex", "@openai/codex"), ("opencode", "opencode-ai")],
)
def test_a_missing_agent_is_installed_once_and_gets_its_arguments(world: World, name: str, package: str) -> None:
    world.add_npm()
    words = ["--help", "-x", "two words", "", "--", "$HOME", "--dry-run"]
    shown = f"{name} in {world.project}\n" + "".join(f"<{word}>\n" for word in words)
    first = world.ok(name, *words)
    assert first.out == shown
    assert f"installing {package} with npm" in first.err
    assert world.ok(name, *words) == (0, shown, "")
    assert world.ok("run", name, *words) == (0, shown, "")
    (run,) = npm_runs(world)
    assert run.startswith(f"install -g --prefix {world.guest_home()}/.local/share/agentvm/npm")
    assert run.endswith(f"{package}@latest")
    assert world.ok(name, "--version").out == f"{name} 1.2.3\n"


def test_an_installer_that_fails_is_tried_again(world: World) -> None:
    world.add_program("npm", "echo no network >&2; exit 1")
    for _ in range(2):
        done = world.run("codex")
        assert (done.status, done.out) == (1, "")
        assert "no network" in done.err
        assert "npm could not install @openai/codex (see above); the next run tries again" in done.err
    world.add_npm()
    assert world.ok("codex").out.startswith("codex in ")


def test_a_package_that_does_not_run_is_no_success(world: World) -> None:
    world.add_program(
        "npm", 'mkdir -p "$4/bin"; printf "#!/bin/sh\\nexit 1\\n" >"$4/bin/codex"; chmod +x "$4/bin/codex"'
    )
    done = world.run("codex")
    assert done.status == 1
    assert "was installed, but 'codex --version' does not run" in done.err


def test_no_automatic_installation_when_it_is_forbidden(world: World) -> None:
    world.add_npm()
    done = world.run("claude", AGENTVM_SKIP_AUTO_INSTALL="1")
    assert (done.status, done.out) == (127, "")
    assert "AGENTVM_SKIP_AUTO_INSTALL forbids to install it" in done.err
    assert npm_runs(world) == []


@pytest.mark.parametrize("name", ["claude", "codex", "opencode"])
def test_the_users_own_install_command(world: World, name: str) -> None:
    variable = f"AGENTVM_{name.upper()}_INSTALL_CMD"
    target = f"~/.local/bin/{name}"
    for text, reason in (("exit 9", "failed with status 9"), ("true", f"there is no {name} on the VM's PATH")):
        world.environment[variable] = text
        done = world.run(name)
        assert (done.status, done.out) == (1, "")
        assert reason in done.err
    world.environment[variable] = f"mkdir -p ~/.local/bin; echo 'echo own $1' >{target}; chmod +x {target}; echo noise"
    first = world.ok(name, "it's")
    assert first.out == "own it's\n"
    assert "noise" in first.err
    assert world.ok(name, "again") == (0, "own again\n", "")


YOLO = [
    ("claude", ["-p", "hi"], "--dangerously-skip-permissions", "AGENTVM_YOLO=1 adds --dangerously-skip-permissions"),
    ("claude", ["--permission-mode", "plan"], "plan", "your own --permission-mode wins over AGENTVM_YOLO=1"),
    ("codex", ["exec", "hi"], "--dangerously-bypass-approvals-and-sandbox", "AGENTVM_YOLO=1 adds --dangerously-bypass"),
    ("codex", ["-a", "never"], "-a", "your own -a wins over AGENTVM_YOLO=1"),
    ("opencode", [], "--auto", "AGENTVM_YOLO=1 adds --auto"),
    ("opencode", ["run", "hi"], "--auto", "AGENTVM_YOLO=1 adds --auto"),
    ("opencode", ["serve"], "serve", "AGENTVM_YOLO=1 adds OPENCODE_PERMISSION"),
    ("gh", ["auth", "status"], "auth", ""),
]


def test_the_bypass_flag_is_added_only_when_asked_and_told(world: World) -> None:
    for name in ("claude", "codex", "opencode", "gh"):
        world.add_program(name, 'for word; do echo "$word"; done')
    for name, words, wanted, said in YOLO:
        assert world.ok(name, *words).out.split() == words
        done = world.ok(name, *words, AGENTVM_YOLO="1")
        assert wanted in done.out.split()
        assert done.err.count("AGENTVM_YOLO") == bool(said), done.err
        assert said in done.err


def test_an_agent_sees_its_own_variables_and_no_others(world: World) -> None:
    for name in ("claude", "codex", "gh"):
        world.add_program(name, "env")
    world.environment |= {
        "ANTHROPIC_API_KEY": "key 'a'",
        "OPENAI_API_KEY": "key o",
        "GH_TOKEN": "key g",
        "AWS_SECRET_ACCESS_KEY": "never",
        "SSH_AUTH_SOCK": "never",
    }
    claude = world.ok("claude").out.splitlines()
    assert {"ANTHROPIC_API_KEY=key 'a'", "GH_TOKEN=key g", "AGENTVM_GUEST=1"} <= set(claude)
    codex = world.ok("codex").out
    assert "OPENAI_API_KEY=key o" in codex
    assert "CODEX_SQLITE_HOME=" + str(world.guest_home()) in codex
    shell = world.ok("shell", "--", "env").out
    for shown in ("\n".join(claude), codex, shell):
        assert "never" not in shown
        assert "AGENTVM_SESSION" not in shown
    assert "OPENAI" not in "\n".join(claude)
    assert "GH_TOKEN=key g" in shell
    assert "API_KEY" not in shell


def test_no_secret_is_written_down(world: World) -> None:
    world.add_program("gh", "true")
    (world.home / ".git-credentials").write_text("https://user:s3cret@example.org\n")
    world.ok("--verbose", "gh", GH_TOKEN="s3cret")
    kept = [path for path in world.directory.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    guest = world.guest_home()
    assert {path for path in kept if guest not in path.parents} == {world.home / ".git-credentials"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept if guest in path.parents)
