"""What is copied for overlay mode, what never is, and what a guest's sh makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agentvm.copies import LARGEST, MOST_FILES, placing, read_copies, unpacking
from agentvm.errors import UsageError
from agentvm.model import Command, Copies, Copy, Host
from agentvm.settings import config_path, read_settings

SHELLS = {name: path for name in ("dash", "bash", "busybox") if (path := shutil.which(name))}
ROTATING = '{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{"refresh_token":"rt"}}'
KEY = '{"auth_mode":"apikey","OPENAI_API_KEY":"sk"}'


def read(host: Host, links: str = "[]", contents: bool = True) -> Copies:
    config = Path(config_path(host))
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"config = 'overlay'\nconfig_links = {links}\n")
    return read_copies(host, read_settings(host), contents=contents)


def write(home: Path, *paths: str, content: str = "x") -> None:
    for path in paths:
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def names(copies: Copies) -> list[str]:
    return [file.name for file in copies.files]


# --- On the host -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "copied"),
    [
        (".claude/settings.json", True),
        (".claude/CLAUDE.md", True),
        (".claude/statusline-command.sh", True),
        (".claude/agents/a.md", True),
        (".claude/skills/s/SKILL.md", True),
        (".claude/skills/s/.hidden/x", True),
        (".claude/plugins/cache/m/p/1/.claude-plugin/plugin.json", True),
        (".claude/skills/s/node_modules/x.js", False),
        (".claude/plugins/marketplaces/m/.git/config", False),
        (".claude/.credentials.json", False),
        (".claude/history.jsonl", False),
        (".claude/projects/-p/1.jsonl", False),
        (".claude/file-history/1/a", False),
        (".claude/stats-cache.json", False),
        (".claude/local/claude", False),
        (".codex/config.toml", True),
        (".codex/work.config.toml", True),
        (".codex/AGENTS.md", True),
        (".codex/prompts/p.md", True),
        (".codex/skills/.system/x/SKILL.md", False),
        (".codex/history.jsonl", False),
        (".codex/sessions/2026/a.jsonl", False),
        (".codex/state_5.sqlite", False),
        (".codex/packages/codex", False),
        (".config/opencode/opencode.jsonc", True),
        (".config/opencode/prompts/p.txt", True),
        (".config/opencode/plugin/p.ts", True),
        (".config/opencode/.gitignore", False),
        (".config/opencode/node_modules/x/index.js", False),
        (".config/gh/hosts.yml", False),
    ],
)
def test_what_is_copied(host: Host, home: Path, path: str, copied: bool) -> None:
    write(home, path)
    agent = path.split("/")[0].lstrip(".") if not path.startswith(".config/") else path.split("/")[1]
    rest = path.partition("opencode/")[2] if agent == "opencode" else path.partition("/")[2]
    copies = read(host)
    assert names(copies) == ([f"{agent}/{rest}"] if copied else [])
    assert copies.notices == ()


@pytest.mark.parametrize(("content", "copied"), [(KEY, True), (ROTATING, False), ("", False), ("{", False)])
def test_a_login_is_copied_only_if_its_copy_does_no_harm(host: Host, home: Path, content: str, copied: bool) -> None:
    write(home, ".codex/auth.json", content=content)
    assert names(read(host)) == (["codex/auth.json"] if copied else [])


@pytest.mark.parametrize("mode", ["shared", "isolated"])
def test_nothing_is_copied_in_another_mode(host: Host, home: Path, mode: str) -> None:
    write(home, ".claude/settings.json")
    changed = host._replace(environment=host.environment | {"AGENTVM_CONFIG": mode})
    assert read_copies(changed, read_settings(changed), contents=True) == Copies()


def test_a_directory_that_a_variable_moved(host: Host, home: Path) -> None:
    write(home, "c/settings.json")
    moved = host._replace(environment=host.environment | {"CLAUDE_CONFIG_DIR": f"{home}/c"})
    assert names(read(moved)) == ["claude/settings.json"]


def test_the_token_is_another_one_after_each_change_and_only_then(host: Host, home: Path) -> None:
    write(home, ".claude/settings.json", ".claude/hooks/h.sh")
    tokens = [read(host, contents=False).token, read(host).token]
    write(home, ".claude/settings.json", content="y")
    tokens.append(read(host).token)
    (home / ".claude/hooks/h.sh").chmod(0o755)
    tokens.append(read(host).token)
    before = (home / ".claude/settings.json").stat()
    write(home, ".claude/settings.json", content="z")
    os.utime(home / ".claude/settings.json", ns=(before.st_atime_ns, before.st_mtime_ns))
    tokens.append(read(host).token)
    (home / ".claude/settings.json").unlink()
    tokens.append(read(host).token)
    assert tokens[0] == tokens[1]
    assert len(set(tokens)) == len(tokens) - 1


def test_what_does_not_fit_is_left_out_and_named(host: Host, home: Path) -> None:
    write(home, ".claude/settings.json", ".claude/agents/a.md", ".codex/config.toml")
    for number in range(MOST_FILES):
        write(home, f".claude/skills/s/{number}")
    (home / ".claude/plugins").mkdir()
    with (home / ".claude/plugins/large").open("wb") as file:
        file.truncate(LARGEST + 1)
    copies = read(host, contents=False)
    assert names(copies) == ["claude/settings.json", "claude/agents/a.md", "codex/config.toml"]
    assert copies.notices == (
        f"{home}/.claude/skills is not copied into the VM: there is room for 2000 files in all",
        f"{home}/.claude/plugins is not copied into the VM: there is room for 16 MiB in all",
    )


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", b"\xff"])
def test_a_name_that_could_drive_a_terminal_or_a_shell(host: Host, home: Path, name: str | bytes) -> None:
    write(home, ".claude/skills/s/SKILL.md", ".claude/settings.json")
    (home / ".claude/skills" / os.fsdecode(name)).write_text("x")
    copies = read(host)
    assert names(copies) == ["claude/settings.json"]
    (notice,) = copies.notices
    assert notice.isprintable()


def test_directories_within_each_other_have_an_end(host: Host, home: Path) -> None:
    write(home, ".claude/skills/" + "d/" * 30 + "x", ".claude/settings.json")
    copies = read(host)
    assert names(copies) == ["claude/settings.json"]
    assert "within each other" in copies.notices[0]


# --- Links, which a guest could have made ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [".claude/settings.json", ".claude/skills", ".claude/skills/s", ".codex/config.toml", ".codex/auth.json"]
)
@pytest.mark.parametrize(
    "target", [".ssh", ".ssh/id", ".claude/.credentials.json", ".codex/auth.json", "/etc/passwd", "."]
)
def test_a_planted_link_is_not_followed(host: Host, home: Path, path: str, target: str) -> None:
    write(home, ".ssh/id", ".claude/.credentials.json", content="secret")
    if path != ".codex/auth.json":
        write(home, ".codex/auth.json", content=ROTATING + "secret")
    link = home / path
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(home / target)
    copies = read(host, links=f"['{home}/dotfiles']")
    assert copies.files == ()
    if path != ".codex/auth.json":
        assert "a link, which a VM could have made" in copies.notices[0]


def test_links_lead_to_what_is_copied_anyway_or_into_named_directories(host: Host, home: Path) -> None:
    write(home, ".claude/CLAUDE.md", "dotfiles/claude/settings.json", "dotfiles/skills/s/SKILL.md")
    (home / ".codex").mkdir()
    (home / ".codex/AGENTS.md").symlink_to("../.claude/CLAUDE.md")
    (home / ".claude/settings.json").symlink_to("../dotfiles/claude/settings.json")
    (home / ".claude/skills").symlink_to("../dotfiles/skills")
    wanted = ["claude/settings.json", "claude/CLAUDE.md", "claude/skills/s/SKILL.md", "codex/AGENTS.md"]
    assert names(read(host, links="['~/dotfiles']")) == wanted
    assert names(read(host)) == ["claude/CLAUDE.md", "codex/AGENTS.md"]


def test_a_link_out_of_a_named_directory_is_not_followed(host: Host, home: Path) -> None:
    write(home, "dotfiles/x", ".ssh/id")
    (home / "dotfiles/skills").symlink_to("../.ssh")
    (home / ".claude").mkdir()
    (home / ".claude/skills").symlink_to("../dotfiles/skills")
    assert read(host, links="['~/dotfiles']").files == ()


def test_links_in_a_circle_have_an_end(host: Host, home: Path) -> None:
    write(home, ".claude/skills/s/SKILL.md", ".claude/settings.json")
    (home / ".claude/skills/s/again").symlink_to("..")
    copies = read(host)
    assert names(copies) == ["claude/settings.json"]
    assert "within each other" in copies.notices[0]


def test_pipes_are_not_waited_for(host: Host, home: Path) -> None:
    (home / ".claude").mkdir()
    os.mkfifo(home / ".claude/settings.json")
    assert read(host).files == ()


@pytest.mark.parametrize("path", ["~", "~/.ssh", "/etc", "~/.config/agentvm", "/"])
def test_links_can_not_be_allowed_everywhere(host: Host, path: str) -> None:
    if path == "~":
        path = host.home
    with pytest.raises(UsageError, match="can't be followed"):
        read(host, links=f"['{path}']")


# --- In the guest ------------------------------------------------------------------------------------------------------


class Guest:
    def __init__(self, home: Path, shell: str) -> None:
        self.home = home / "guest"
        self.own = self.home / ".local/state/agentvm/overlay"
        self.home.mkdir()
        self._shell = [SHELLS[shell], *(["sh"] if shell == "busybox" else [])]

    def bring(self, **files: str) -> str:
        """What it says about these files of the agent's, whose names have _ for a slash."""
        entries = tuple(
            Copy(f"claude/{name.replace('_', '/')}", text.startswith("#!"), "", text.encode())
            for name, text in files.items()
        )
        done = self.run(unpacking(Copies(entries)), PATH=os.environ["PATH"])
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode()

    def run(self, command: Command, **environment: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._shell, *command.argv[1:]],
            input=command.stdin,
            env={"HOME": str(self.home), **environment},
            capture_output=True,
            check=False,
        )

    def files(self) -> dict[str, str]:
        place = self.own / "claude"
        return {str(path.relative_to(place)): path.read_text() for path in sorted(place.rglob("*")) if path.is_file()}


@pytest.fixture(params=SHELLS)
def guest(request: pytest.FixtureRequest, home: Path) -> Guest:
    return Guest(home, request.param)


def test_files_come_change_and_go(guest: Guest) -> None:
    assert guest.bring(settings="1", skills_s="#!x") == ""
    assert guest.files() == {"settings": "1", "skills/s": "#!x"}
    assert os.access(guest.own / "claude/skills/s", os.X_OK)
    assert not os.access(guest.own / "claude/settings", os.X_OK)
    assert (guest.own / "claude/settings").stat().st_mode & 0o077 == 0
    assert guest.bring(settings="2") == ""
    assert guest.files() == {"settings": "2"}


def test_the_guests_own_are_kept(guest: Guest) -> None:
    write(guest.own, "claude/settings", "claude/mine", content="guest")
    assert ".guest" in guest.bring(settings="host")
    assert guest.files() == {"mine": "guest", "settings": "host", "settings.guest": "guest"}


def test_a_change_in_the_guest_stays_until_the_host_changes_the_same_file(guest: Guest) -> None:
    guest.bring(settings="1", other="1")
    write(guest.own, "claude/settings", content="guest")
    assert guest.bring(settings="1", other="2") == ""
    assert guest.files() == {"other": "2", "settings": "guest"}
    assert "settings was changed in this VM and on the host" in guest.bring(settings="2", other="2")
    assert guest.files() == {"other": "2", "settings": "2", "settings.guest": "guest"}


def test_what_was_changed_in_the_guest_outlives_the_hosts(guest: Guest) -> None:
    guest.bring(settings="1")
    write(guest.own, "claude/settings", content="guest")
    assert "it stays" in guest.bring()
    assert guest.files() == {"settings": "guest"}


def test_one_that_becomes_executable_does_so_in_the_guest(guest: Guest) -> None:
    guest.bring(h="#!x")
    path = guest.own / "claude/h"
    path.chmod(0o600)
    guest.bring(h="#!y")
    assert os.access(path, os.X_OK)


def test_a_directory_where_a_file_shall_be_goes_aside(guest: Guest) -> None:
    write(guest.own, "claude/h/inside")
    guest.bring(h="1")
    assert guest.files() == {"h": "1", "h.guest/inside": "x"}


@pytest.mark.parametrize("name", ["a b", "it's", "$(touch x)", "-rf", "*", "a\\b"])
def test_names_are_only_names(guest: Guest, name: str) -> None:
    guest.bring(**{name: "1"})
    guest.bring(**{name: "2"})
    assert guest.files() == {name: "2"}
    guest.bring()
    assert guest.files() == {}


def test_what_an_unpacking_left_that_was_killed_is_no_trouble(guest: Guest) -> None:
    guest.bring(settings="1")
    write(guest.own, "new/claude/half")
    shutil.rmtree(guest.own / "copied")
    guest.bring(settings="2")
    assert guest.files()["settings"] == "2"
    assert not (guest.own / "new").exists()


def place(guest: Guest, host: Host) -> None:
    """As root does it there."""
    programs = guest.home.parent / "programs"
    if not programs.is_dir():
        programs.mkdir()
        (programs / "getent").write_text(f"#!/bin/sh\necho user:x:1000:1000::{guest.home}:/bin/sh\n")
        (programs / "getent").chmod(0o755)
    command = placing(host)
    assert command.root
    done = guest.run(command, PATH=f"{programs}:{os.environ['PATH']}", SUDO_USER="user")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_hosts_paths_lead_to_the_copies(guest: Guest, host: Host, home: Path) -> None:
    guest.bring(settings="1", hooks_h="2")
    place(guest, host)
    assert (home / ".claude/hooks/h").read_text() == "2"
    guest.bring(settings="1", skills_s="3")
    shutil.rmtree(guest.own / "claude/hooks")
    place(guest, host)
    assert (home / ".claude/skills/s").read_text() == "3"
    assert sorted(path.name for path in (home / ".claude").iterdir()) == ["settings", "skills"]


def test_what_is_at_the_hosts_paths_already_is_left(guest: Guest, host: Host, home: Path) -> None:
    """It may be a mount: of the project, or of all in another mode."""
    write(home, ".claude/skills/mounted")
    guest.bring(skills_s="1", settings="1")
    place(guest, host)
    assert [path.name for path in (home / ".claude/skills").iterdir()] == ["mounted"]
    assert (home / ".claude/settings").is_symlink()


def test_a_guest_whose_home_is_the_hosts_needs_no_links(guest: Guest, host: Host) -> None:
    guest.bring(settings="1")
    place(guest, host._replace(home=str(guest.home)))
    assert not (guest.home / ".claude").exists()
