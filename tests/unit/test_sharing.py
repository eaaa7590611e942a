from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentvm.model import Host, Mount
from agentvm.project import Project
from agentvm.settings import read_settings
from agentvm.sharing import LARGEST_FILE, Link, Sharing, SyncedFile, plan_sharing

PROJECT = Project("/w/web")
LOGIN = ".local/share/agentvm/opencode"


def plan(host: Host, project: Project = PROJECT, **toggles: str) -> Sharing:
    changed = host._replace(environment=host.environment | toggles)
    return plan_sharing(changed, read_settings(changed), project)


def files(sharing: Sharing) -> dict[str, str | None]:
    return {file.path: file.content for file in sharing.files}


def test_what_is_shared_by_default(host: Host) -> None:
    sharing, home = plan(host), host.home
    assert set(sharing.mounts) == {
        Mount("/w/web", "/w/web", True),
        Mount(f"{home}/.claude", f"{home}/.claude", True),
        Mount(f"{home}/.codex", f"{home}/.codex", True),
        Mount(f"{home}/.config/opencode", f"{home}/.config/opencode", True),
        Mount(f"{home}/{LOGIN}", f"{home}/{LOGIN}", True),
        Mount(f"{home}/.config/gh", f"{home}/.config/gh", False),
    }
    assert [link.path for link in sharing.links] == [".claude", ".codex", ".config/opencode", ".config/gh"]
    assert [link.path for link in sharing.unlinked] == [".local/share/opencode/auth.json"]
    assert not sharing.keys_shared


def test_gh_off(host: Host) -> None:
    sharing = plan(host, AGENTVM_MOUNT_GH_CONFIG="0")
    gh = Link(f"{host.home}/.config/gh", ".config/gh")
    assert gh in sharing.unlinked
    assert gh not in sharing.links
    assert gh.target not in [mount.point for mount in sharing.mounts]


def test_ssh_on(host: Host) -> None:
    sharing = plan(host, AGENTVM_MOUNT_SSH="1")
    assert sharing.keys_shared
    assert Mount(f"{host.home}/.ssh", f"{host.home}/.ssh", False) in sharing.mounts


@pytest.mark.parametrize(
    ("toggles", "names"),
    [
        ({}, {".claude", ".codex", ".config/opencode", ".config/gh"}),
        ({"AGENTVM_MOUNT_GH_CONFIG": "0"}, {".claude", ".codex", ".config/opencode"}),
        ({"AGENTVM_MOUNT_SSH": "1"}, {".claude", ".codex", ".config/opencode", ".config/gh", ".ssh"}),
    ],
)
def test_each_shared_directory_is_mounted(host: Host, toggles: dict[str, str], names: set[str]) -> None:
    settings = read_settings(host._replace(environment=host.environment | toggles))
    points = {mount.point for mount in plan_sharing(host, settings, PROJECT).mounts}
    assert points == {f"{host.home}/{name}" for name in names | {LOGIN}} | {PROJECT.root}


def test_the_repository_of_a_linked_work_tree(host: Host) -> None:
    mounts = plan(host, Project("/w/side", "/w/main/.git")).mounts
    assert Mount("/w/main/.git", "/w/main/.git", True) in mounts


def test_a_directory_that_is_a_link_is_mounted_at_its_own_name(host: Host, home: Path) -> None:
    (home / "dotfiles" / "claude").mkdir(parents=True)
    (home / ".claude").symlink_to("dotfiles/claude")
    assert Mount(f"{home}/dotfiles/claude", f"{home}/.claude", True) in plan(host).mounts


def test_a_project_inside_a_shared_directory_is_not_mounted_twice(host: Host, home: Path) -> None:
    points = [mount.point for mount in plan(host, Project(f"{home}/.claude/skills/x")).mounts]
    assert f"{home}/.claude" in points
    assert f"{home}/.claude/skills/x" not in points


def test_a_nested_place_of_another_directory_is_kept(host: Host, home: Path) -> None:
    """The outer mount shows a link there, which leads nowhere in the guest."""
    (home / "elsewhere").mkdir()
    (home / ".config").mkdir()
    (home / ".config" / "opencode").symlink_to(home / "elsewhere")
    mounts = plan(host, Project(f"{home}/.config/opencode/plugin")).mounts
    assert Mount(f"{home}/elsewhere", f"{home}/.config/opencode", True) in mounts
    assert Mount(f"{home}/.config/opencode/plugin", f"{home}/.config/opencode/plugin", True) in mounts


@pytest.mark.parametrize(
    "content",
    [b"", b"[user]\n\tname = x\n", b"no newline at the end", b"\xff\xfe not UTF-8\n", b"x" * LARGEST_FILE],
    ids=["empty", "usual", "no-newline", "bytes", "largest"],
)
def test_copied_files(host: Host, home: Path, content: bytes) -> None:
    (home / ".gitconfig").write_bytes(content)
    copied = files(plan(host))
    assert copied[".git-credentials"] is None, "what the host has not is not in the guest either"
    assert os.fsencode(copied[".gitconfig"] or "") == content


def test_a_copied_file_may_be_a_link(host: Host, home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / "dotfiles" / "gitconfig").write_text("linked\n")
    (home / ".gitconfig").symlink_to("dotfiles/gitconfig")
    assert files(plan(host))[".gitconfig"] == "linked\n"


def test_a_file_that_is_switched_off_is_not_even_read(host: Host, home: Path) -> None:
    (home / ".git-credentials").mkdir()
    (home / ".gitconfig").write_text("x")
    sharing = plan(host, AGENTVM_MOUNT_GITCONFIG="0", AGENTVM_MOUNT_GIT_CREDENTIALS="0")
    assert sharing.files == (SyncedFile(".gitconfig", None), SyncedFile(".git-credentials", None))


def write_too_much(path: Path) -> None:
    path.write_bytes(b"x" * (LARGEST_FILE + 1))


def write_a_nul(path: Path) -> None:
    path.write_bytes(b"a\0b")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (write_too_much, "larger than"),
        (write_a_nul, "NUL"),
        (os.mkdir, "not a file"),
        (os.mkfifo, "not a file"),
        (link_to_itself, "symbolic links"),
    ],
)
@pytest.mark.parametrize("name", [".gitconfig", ".git-credentials"])
def test_what_can_not_be_copied_is_left_out_and_said_once(
    host: Host, home: Path, make: object, reason: str, name: str
) -> None:
    assert callable(make)
    make(home / name)
    sharing = plan(host)
    assert files(sharing)[name] is None
    (notice,) = sharing.notices
    assert notice.startswith(f"{home}/{name} is not copied into the VM: ")
    assert reason in notice


# Directories in other places


@pytest.mark.parametrize(
    ("variables", "path", "place"),
    [
        ({"CLAUDE_CONFIG_DIR": "/w/claude"}, ".claude", "/w/claude"),
        ({"CODEX_HOME": "/w/codex"}, ".codex", "/w/codex"),
        ({"GH_CONFIG_DIR": "/w/gh", "XDG_CONFIG_HOME": "/w/x"}, ".config/gh", "/w/gh"),
        ({"XDG_CONFIG_HOME": "/w/x"}, ".config/gh", "/w/x/gh"),
        ({"XDG_CONFIG_HOME": "/w/x"}, ".config/opencode", "/w/x/opencode"),
        ({"XDG_CONFIG_HOME": "/w/x"}, ".claude", "HOME/.claude"),
        ({"XDG_CONFIG_HOME": "x"}, ".config/gh", "HOME/.config/gh"),
        ({"CLAUDE_CONFIG_DIR": "HOME"}, ".claude", "HOME/.claude"),
        ({"CODEX_HOME": "/"}, ".codex", "HOME/.codex"),
        ({"XDG_CONFIG_HOME": "/"}, ".config/opencode", "HOME/.config/opencode"),
    ],
)
def test_a_variable_moves_a_directory_but_never_to_the_home_itself(
    host: Host, variables: dict[str, str], path: str, place: str
) -> None:
    moved = {name: value.replace("HOME", host.home) for name, value in variables.items()}
    sharing = plan(host, PROJECT, **moved)
    wanted = place.replace("HOME", host.home)
    assert Link(wanted, path) in sharing.links
    assert wanted in [mount.point for mount in sharing.mounts]


# Directories of the user's own


def test_directories_of_the_users_own(host: Host, home: Path) -> None:
    (home / "data").mkdir()
    config = home / ".config/agentvm/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[[mounts]]\npath = "~/data"\nmode = "rw"\n')
    assert Mount(f"{home}/data", f"{home}/data", True) in plan(host).mounts


@pytest.mark.parametrize(("mode", "writable"), [("rw", True), ("ro", False)])
def test_a_directory_within_one_of_another_mode_keeps_its_own(
    host: Host, home: Path, mode: str, writable: bool
) -> None:
    inner = home / "data/inner"
    inner.mkdir(parents=True)
    config = home / ".config/agentvm/config.toml"
    config.parent.mkdir(parents=True)
    other = "ro" if mode == "rw" else "rw"
    entries = "".join(f'[[mounts]]\npath = "{path}"\nmode = "{m}"\n' for path, m in (("~/data", other), (inner, mode)))
    config.write_text(entries)
    mounts = plan(host).mounts
    assert Mount(str(inner), str(inner), writable) in mounts
    assert Mount(f"{home}/data", f"{home}/data", not writable) in mounts


# --- AGENTVM_CONFIG ----------------------------------------------------------------------------------------------------

WRITABLE = {
    "shared": {".claude", ".codex", ".config/opencode", LOGIN},
    "overlay": {
        *(f".claude/{name}" for name in ("projects", "plans", "tasks")),
        *(f".codex/{name}" for name in ("sessions", "archived_sessions")),
        LOGIN,
    },
    "isolated": set(),
}


@pytest.mark.parametrize("mode", WRITABLE)
def test_what_of_the_agents_is_mounted_by_mode(host: Host, mode: str) -> None:
    sharing = plan(host, AGENTVM_CONFIG=mode)
    of_agents = [mount for mount in sharing.mounts if mount.location not in (PROJECT.root, f"{host.home}/.config/gh")]
    assert {mount.location for mount in of_agents} == {f"{host.home}/{path}" for path in WRITABLE[mode]}
    assert all(mount.writable for mount in of_agents)
    assert sharing.notices == ()


@pytest.mark.parametrize("mode", WRITABLE)
def test_where_the_agents_directories_are_in_the_guest(host: Host, mode: str) -> None:
    sharing = plan(host, AGENTVM_CONFIG=mode)
    linked = {link.path for link in sharing.links} | {own.path for own in sharing.own}
    assert {".claude", ".codex", ".config/opencode"} <= linked
    assert [own.place for own in sharing.own] == [
        f"{mode}/{agent}" for agent in ("claude", "codex", "opencode") if mode != "shared"
    ]


def test_sessions_in_overlay_mode_are_linked_into_the_guests_own_directory(host: Host) -> None:
    sharing = plan(host, AGENTVM_CONFIG="overlay")
    points = {mount.point for mount in sharing.mounts}
    linked = {link.path: link.target for link in sharing.links}
    place = ".local/state/agentvm/overlay"
    assert linked[f"{place}/claude/projects"] == "/mnt/agentvm/config/claude/projects"
    assert linked[f"{place}/codex/sessions"] == "/mnt/agentvm/config/codex/sessions"
    assert {target for path, target in linked.items() if path.startswith(place)} <= points


def test_the_login_of_opencode_by_mode(host: Host, home: Path) -> None:
    (home / LOGIN).mkdir(parents=True)
    (home / LOGIN / "auth.json").touch()
    link = Link(f"{home}/{LOGIN}/auth.json", ".local/share/opencode/auth.json")
    assert link in plan(host).links
    assert link in plan(host, AGENTVM_CONFIG="overlay").links
    assert link in plan(host, AGENTVM_CONFIG="isolated").unlinked


def test_a_link_that_a_vm_planted_in_the_place_of_sessions_is_not_mounted(host: Host, home: Path) -> None:
    (home / ".claude").mkdir()
    (home / ".claude/projects").symlink_to(home / ".ssh")
    sharing = plan(host, AGENTVM_CONFIG="overlay")
    assert not [mount for mount in sharing.mounts if mount.location.endswith(("projects", ".ssh"))]
    assert ".local/state/agentvm/overlay/claude/projects" in {link.path for link in sharing.unlinked}
    assert sharing.notices == (
        f"{home}/.claude/projects is a link, which a VM could have made, so what is in it stays outside",
    )


@pytest.mark.parametrize("project", [".claude", ".claude/skills/x", "dotfiles", "dotfiles/claude"])
def test_a_project_that_takes_back_the_promise_of_overlay_mode_is_told(host: Host, home: Path, project: str) -> None:
    (home / project).mkdir(parents=True)
    config = home / ".config/agentvm/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("config_links = ['~/dotfiles']\n")
    (notice,) = plan(host, Project(f"{home}/{project}"), AGENTVM_CONFIG="overlay").notices
    assert notice.startswith("AGENTVM_CONFIG=overlay can't keep ")
    assert plan(host, Project(f"{home}/{project}")).notices == ()


def test_a_mount_of_the_users_that_takes_it_back_is_told(host: Host, home: Path) -> None:
    (home / "dotfiles").mkdir()
    (home / ".claude").symlink_to("dotfiles")
    config = home / ".config/agentvm/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("[[mounts]]\npath = '~/dotfiles'\nmode = 'rw'\n")
    (notice,) = plan(host, AGENTVM_CONFIG="overlay").notices
    assert notice == f"AGENTVM_CONFIG=overlay can't keep {home}/dotfiles from this VM: it can write to {home}/dotfiles"
