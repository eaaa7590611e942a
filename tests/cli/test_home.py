"""The agent is at home: what of the user's own reaches a session, and the commands around it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.cli.world import World, write_program


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def show(world: World, *names: str, command: str = "shell", **variables: str) -> dict[str, str]:
    """The values that variables have in a session."""
    script = "".join(f'printf "%s\\0" "${{{name}-(unset)}}";' for name in names)
    if command == "shell":
        out = world.ok("shell", "--", "sh", "-c", script, directory=None, stdin="", **variables).out
    else:
        world.add_program(command, script)
        out = world.ok(command, directory=None, stdin="", **variables).out
    return dict(zip(names, out.split("\0"), strict=False))


# --- Variables, mounts, certificates -----------------------------------------------------------------------------------


def test_a_service_on_the_hosts_localhost_is_reached_by_its_other_name(ready: World) -> None:
    seen = show(
        ready,
        "ANTHROPIC_BASE_URL",
        "https_proxy",
        "NO_PROXY",
        command="claude",
        ANTHROPIC_BASE_URL="http://localhost:4000/v1",
        https_proxy="http://me:pw@127.0.0.1:3128",
        NO_PROXY="localhost,.corp",
    )
    assert seen["ANTHROPIC_BASE_URL"] == "http://host.fake.internal:4000/v1"
    assert seen["https_proxy"] == "http://me:pw@host.fake.internal:3128"
    assert seen["NO_PROXY"] == "localhost,.corp,host.fake.internal"


def test_what_marks_a_nested_session_stays_outside(ready: World) -> None:
    names = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT", "SSH_AUTH_SOCK", "NODE_OPTIONS")
    seen = show(ready, *names, command="claude", **dict.fromkeys(names, "x"))
    assert set(seen.values()) == {"(unset)"}


def test_variables_and_directories_of_the_users_own(ready: World) -> None:
    (ready.home / "data").mkdir()
    (ready.home / "notes").mkdir()
    config = write(
        ready.config / "agentvm/config.toml",
        'pass_env = ["MY_TOKEN", "CORP_*"]\n[[mounts]]\npath = "~/data"\n'
        f'[[mounts]]\npath = "{ready.home}/notes"\nmode = "rw"\n',
    )
    variables = {"MY_TOKEN": "t", "CORP_ONE": "1", "OTHER": "no"}
    assert show(ready, *variables, **variables) == {"MY_TOKEN": "t", "CORP_ONE": "1", "OTHER": "(unset)"}
    shown = [" ".join(line.split()) for line in ready.run("doctor").out.splitlines()]
    lists = (("mounts", f"{ready.home}/data (read-only)"), ("mounts", f"{ready.home}/notes"))
    for name, value in (*lists, ("pass_env", "MY_TOKEN"), ("pass_env", "CORP_*")):
        assert f"{name} {value} {config}" in shown
    modes = {mount["point"]: mount["writable"] for mount in ready.json("status")["mounts"]}
    assert modes[f"{ready.home}/data"] is False
    assert modes[f"{ready.home}/notes"] is True
    (ready.home / "data").rmdir()
    assert str(ready.home / "data") in ready.fails(2, "shell", "--", "true")
    config.write_text("")
    assert show(ready, "MY_TOKEN", MY_TOKEN="t") == {"MY_TOKEN": "(unset)"}


def test_nothing_in_the_project_is_a_setting(ready: World) -> None:
    for name in ("agentvm.toml", ".agentvm.toml", "config.toml", ".agentvm/config.toml"):
        write(ready.project / name, 'pass_env = ["OTHER"]\nyolo = true\n')
    assert show(ready, "OTHER", OTHER="no") == {"OTHER": "(unset)"}


def make_authority(directory: Path) -> Path:
    path = directory / "corp.pem"
    subject = ["-subj", "/CN=Corp CA", "-keyout", str(directory / "corp.key"), "-out", str(path)]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run(["openssl", "req", "-x509", *curve, "-nodes", *subject], check=True, capture_output=True)
    return path


def test_a_private_authority_is_installed_once_and_taken_away(ready: World) -> None:
    authority = make_authority(ready.directory)
    log = ready.fake / ready.instance() / "root.log"
    first = ready.ok("shell", "--", "true", NODE_EXTRA_CA_CERTS=str(authority))
    assert "giving this VM the certificates that your environment names" in first.err
    assert authority.read_text().splitlines()[1] in log.read_text()
    told = log.read_text()
    assert ready.ok("shell", "--", "true", NODE_EXTRA_CA_CERTS=str(authority)).err == ""
    assert log.read_text() == told, "the second run asks the guest nothing"
    assert "certificates" in ready.ok("shell", "--", "true").err
    assert ready.ok("shell", "--", "true").err == ""


def test_of_sessions_that_start_at_once_one_brings_the_authority(ready: World) -> None:
    authority = make_authority(ready.directory)
    started = [ready.start("shell", "--", "true", NODE_EXTRA_CA_CERTS=str(authority)) for _ in range(5)]
    said = b"".join(process.communicate(timeout=60)[1] for process in started)
    assert {process.returncode for process in started} == {0}
    assert said.count(b"giving this VM the certificates") == 1
    log = (ready.fake / ready.instance() / "root.log").read_text()
    assert log.count("/run/agentvm-certificates.lock") == 1


def test_an_authority_that_is_not_there_is_said(ready: World) -> None:
    done = ready.ok("shell", "--", "true", SSL_CERT_FILE="/nowhere/ca.pem")
    assert "SSL_CERT_FILE" in done.err
    assert "/nowhere/ca.pem" in done.err


# --- git and gh --------------------------------------------------------------------------------------------------------


def test_the_identity_is_the_one_that_the_host_resolves(ready: World) -> None:
    subprocess.run(["git", "init", "-q", str(ready.project)], check=True)
    write(
        ready.home / ".gitconfig", '[user]\n\tname = Me\n\temail = home@x\n[includeIf "gitdir:~/web/"]\n\tpath = work\n'
    )
    write(ready.home / "work", "[user]\n\temail = work@x\n")
    assert ready.ok("shell", "--", "git", "config", "user.email").out == "work@x\n"


def test_an_unsigned_commit_is_said_and_made(ready: World) -> None:
    text = "[user]\n\tname = Me\n\temail = me@x\n\tsigningkey = ABCD\n[commit]\n\tgpgsign = true\n[gpg]\n\tprogram = /opt/homebrew/bin/gpg\n"
    config = write(ready.home / ".gitconfig", text)
    script = "git init -q . && git commit -q --allow-empty -m x && git log --format=%an"
    done = ready.ok("shell", "--", "sh", "-c", script)
    assert done.out == "Me\n"
    assert done.err.count("not signed") == 1
    assert config.read_text() == text


def test_a_token_in_the_hosts_keyring_reaches_gh(ready: World) -> None:
    write(ready.config / "gh/hosts.yml", "github.com:\n    user: me\n    git_protocol: https\n")
    bin_directory = ready.directory / "bin"
    write_program(bin_directory / "gh", 'echo "$*" >>"$HOME/gh.log"; [ "$1 $2" = "auth token" ] && echo gho_secret\n')
    path = f"{bin_directory}:{ready.environment['PATH']}"
    assert show(ready, "GH_TOKEN", PATH=path) == {"GH_TOKEN": "gho_secret"}
    assert "gho_secret" not in (ready.home / "gh.log").read_text()
    assert show(ready, "GH_TOKEN", PATH=path, AGENTVM_MOUNT_GH_CONFIG="0") == {"GH_TOKEN": "(unset)"}


def test_the_ssh_agent_is_forwarded_only_when_asked(ready: World) -> None:
    assert show(ready, "SSH_AUTH_SOCK", SSH_AUTH_SOCK="/s") == {"SSH_AUTH_SOCK": "(unset)"}
    assert show(ready, "SSH_AUTH_SOCK", SSH_AUTH_SOCK="/s", AGENTVM_SSH_AGENT="1") == {"SSH_AUTH_SOCK": "/s"}
    done = ready.ok("shell", "--", "true", AGENTVM_SSH_AGENT="1")
    assert "there is no ssh agent here" in done.err


# --- The guest's claude ------------------------------------------------------------------------------------------------


def test_claude_knows_what_the_host_knows_of_this_project(ready: World) -> None:
    projects = {str(ready.project): {"hasTrustDialogAccepted": True, "lastCost": 3}, "/other": {"allowedTools": ["x"]}}
    known = {"hasCompletedOnboarding": True, "userID": "u", "installMethod": "native", "projects": projects}
    host = write(ready.home / ".claude.json", json.dumps(known))
    before = host.read_bytes()
    ready.add_program("claude", 'cat "$HOME/.claude.json"')
    seen = json.loads(ready.ok("claude").out)
    assert seen == {
        "hasCompletedOnboarding": True,
        "projects": {str(ready.project): {"hasTrustDialogAccepted": True}},
    }
    guest = ready.guest_home() / ".claude.json"
    assert guest.stat().st_mode & 0o777 == 0o600
    guest.write_text(json.dumps(seen | {"numStartups": 3}))
    assert json.loads(ready.ok("claude").out)["numStartups"] == 3, "the guest's own stays"
    assert host.read_bytes() == before


def test_claude_of_a_moved_directory(ready: World) -> None:
    place = ready.home / "elsewhere"
    write(place / ".claude.json", '{"hasCompletedOnboarding":true,"theme":"light"}')
    ready.add_program("claude", 'cat "$HOME/.claude.json"; readlink "$HOME/.claude"')
    out = ready.ok("claude", CLAUDE_CONFIG_DIR=str(place)).out
    assert '"theme":"light"' in out.replace(" ", "")
    assert out.endswith(f"{place}\n")


def test_opencode_has_its_login_and_not_its_database(ready: World) -> None:
    auth = write(ready.home / ".local/share/opencode/auth.json", "login")
    write(auth.parent / "opencode.db", "live")
    ready.add_program(
        "opencode", 'cd ~/.local/share/opencode && ls && cat auth.json && printf new >auth.json; echo "$OPENCODE_DB"'
    )
    out = ready.ok("opencode").out
    assert out == f"auth.json\nlogin{ready.guest_home()}/.local/share/opencode/opencode.db\n"
    assert auth.read_text() == "new"


# --- login -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (("claude",), "auth login"),
        (("codex", "--device-auth"), "login --device-auth"),
        (("opencode", "--help"), "auth login --help"),
    ],
)
def test_login_is_the_agents_own(ready: World, words: tuple[str, ...], seen: str) -> None:
    ready.add_program(words[0], 'echo "$*"')
    done = ready.ok("login", *words, AGENTVM_YOLO="1")
    assert done.out == f"{seen}\n"
    assert "AGENTVM_YOLO" not in done.err


def test_login_says_when_the_browsers_answer_can_not_arrive(ready: World) -> None:
    ready.add_program("codex", "true")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 1455))
        taken.listen()
        assert "port 1455 of this computer is taken" in ready.ok("login", "codex").err
        assert ready.ok("login", "codex", "--device-auth").err == ""
    assert ready.ok("login", "codex").err == ""


def test_a_login_that_was_given_up_leaves_the_earlier_one(ready: World) -> None:
    """codex deletes it first, and its directory is the host's."""
    login = write(ready.home / ".codex/auth.json", "earlier")
    ready.add_program("codex", 'rm "$HOME/.codex/auth.json"; exit 1')
    assert ready.run("login", "codex").status == 1
    assert login.read_text() == "earlier"
    assert login.stat().st_mode & 0o777 == 0o600
    ready.add_program("codex", 'rm "$HOME/.codex/auth.json"; echo new >"$HOME/.codex/auth.json"')
    ready.ok("login", "codex")
    assert login.read_text() == "new\n"


def test_a_login_is_put_back_through_no_link(ready: World) -> None:
    login = write(ready.home / ".codex/auth.json", "earlier")
    ready.add_program(
        "codex", f'rm "$HOME/.codex/auth.json"; ln -s {ready.home}/victim "$HOME/.codex/auth.json"; exit 1'
    )
    assert ready.run("login", "codex").status == 1
    assert login.is_symlink()
    assert not (ready.home / "victim").exists()


def test_login_that_can_not_be(ready: World) -> None:
    assert "Did you mean 'claude'?" in ready.fails(2, "login", "cluade")
    assert "needs the name of an agent" in ready.fails(2, "login")
    assert "Run `gh auth login` here" in ready.fails(1, "login", "gh")
    assert "agentvm gh auth login" in ready.fails(1, "login", "gh", AGENTVM_MOUNT_GH_CONFIG="0")


# --- update, versions, doctor ------------------------------------------------------------------------------------------


def test_update_and_the_versions_that_status_shows(ready: World) -> None:
    ready.add_npm()
    assert "no agent is installed in this VM yet" in ready.ok("update").err
    assert ready.json("status")["agents"] == {}
    assert ready.ok("update", "codex").out == "codex is at codex 1.2.3 now\n"
    assert ready.json("status")["agents"] == {"codex": "codex 1.2.3"}
    assert ready.ok("update").out == "codex is at codex 1.2.3\n"
    assert ready.ok("status").out.count("agent     codex codex 1.2.3\n") == 1
    ready.ok("stop")
    assert ready.json("status")["agents"] is None
    runs = (ready.directory / "npm.log").read_text().splitlines()
    assert len(runs) == 2
    assert all("codex" in run for run in runs)


def test_an_update_that_fails_is_a_failure(ready: World) -> None:
    ready.add_npm()
    ready.ok("update", "claude")
    ready.add_program("npm", "echo no network >&2; exit 1")
    done = ready.run("update")
    assert (done.status, done.out) == (1, "")
    assert "no network" in done.err
    assert "claude stays at claude 1.2.3" in done.err


def test_an_update_of_the_base_reaches_new_projects(ready: World) -> None:
    ready.add_npm()
    done = ready.ok("update", "--base", "opencode")
    assert done.out == "opencode is at opencode 1.2.3 now\n"
    assert "projects see it after `agentvm base snapshot`" in done.err
    ready.ok("base", "snapshot")
    other = ready.make_project("other")
    ready.ok("shell", "--", "true", directory=other)
    assert ready.json("status", directory=other)["agents"] == {"opencode": "opencode 1.2.3"}
    assert ready.json("status")["agents"] == {}


def test_update_of_what_is_no_agent(ready: World) -> None:
    assert "There is no agent 'gh'" in ready.fails(2, "update", "gh")
    assert "would update codex in" in ready.ok("--dry-run", "update", "codex").err


def findings(world: World, agent: str, **variables: str) -> list[tuple[str, str]]:
    done = world.run("doctor", "--json", directory=None, stdin="", **variables)
    return [(f["verdict"], f["text"]) for f in json.loads(done.out)["findings"] if f["subject"] == agent]


def test_doctor_tells_of_each_agent(ready: World) -> None:
    ready.add_program(
        "claude",
        'case "$*" in --version) echo 2.1.0 ;; "auth status") echo "{\\"loggedIn\\":true,\\"authMethod\\":\\"api_key\\"}" ;; esac',
    )
    ready.add_program("codex", 'case "$*" in --version) echo codex-cli 1 ;; *) echo "Not logged in"; exit 1 ;; esac')
    hooks = {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "osascript -e beep"}]}]}}
    write(ready.home / ".claude/settings.json", json.dumps(hooks))
    claude = findings(ready, "claude")
    assert ("ok", "is at 2.1.0") in claude
    assert ("ok", "is logged in: api_key") in claude
    (warning,) = [text for verdict, text in claude if verdict == "warning"]
    assert "needs osascript, which is not in this VM" in warning
    assert f"{ready.home}/.claude/settings.json" in warning
    assert ("warning", "is not logged in in this VM") in findings(ready, "codex")
    assert ("ok", "is not installed in this VM: its first run does it") in findings(ready, "opencode")


def test_doctor_tells_of_an_address_that_means_the_host(ready: World) -> None:
    ready.add_program("codex", 'echo "codex 1"')
    text = '[model_providers.local]\nbase_url = "http://localhost:11434/v1"\n'
    write(ready.home / ".codex/config.toml", text)
    said = [text for verdict, text in findings(ready, "codex") if verdict == "warning"]
    assert any("http://localhost:11434/v1, which in the VM is the VM itself" in text for text in said)


def test_doctor_tells_of_links_in_shared_directories(ready: World) -> None:
    ready.add_program("claude", "echo 1")
    target = write(ready.home / "dotfiles/settings.json", '{"apiKeyHelper":"hidden-program"}')
    (ready.home / ".claude/settings.json").symlink_to(target)
    said = [text for verdict, text in findings(ready, "claude") if verdict == "warning"]
    assert any(f"{ready.home}/.claude/settings.json is a link, and leads nowhere in the VM" in text for text in said)
    assert not any("hidden-program" in text for text in said)


def test_doctor_follows_no_link_of_the_projects(ready: World) -> None:
    ready.add_program("claude", "echo 1")
    secret = write(ready.home / "secret.json", '{"mcpServers":{"x":{"command":"hidden-program"}}}')
    (ready.project / ".mcp.json").symlink_to(secret)
    assert "hidden-program" not in ready.run("doctor").out
    os.unlink(ready.project / ".mcp.json")
    write(ready.project / ".mcp.json", secret.read_text())
    assert "hidden-program" in ready.run("doctor").out


def test_doctor_without_a_running_vm(world: World) -> None:
    assert findings(world, "agents") == [("ok", "versions and logins are known when this project's VM runs")]
    write(world.home / ".codex/config.toml", "= broken")
    (warning,) = [text for verdict, text in findings(world, "codex") if verdict == "warning"]
    assert f"{world.home}/.codex/config.toml" in warning
