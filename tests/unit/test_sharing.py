from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentvm.errors import Error
from agentvm.model import Host, Mount
from agentvm.project import Project
from agentvm.settings import read_settings
from agentvm.sharing import LARGEST_FILE, Link, Sharing, SyncedFile, plan_sharing

PROJECT = Project("/w/web")


def plan(host: Host, project: Project = PROJECT, **toggles: str) -> Sharing:
    return plan_sharing(host, read_settings(host._replace(environment=host.environment | toggles)), project)


def files(sharing: Sharing) -> dict[str, str | None]:
    return {file.path: file.content for file in sharing.files}


def test_what_is_shared_by_default(host: Host) -> None:
    sharing, home = plan(host), host.home
    assert set(sharing.mounts) == {
        Mount("/w/web", "/w/web", True),
        Mount(f"{home}/.claude", f"{home}/.claude", True),
        Mount(f"{home}/.codex", f"{home}/.codex", True),
        Mount(f"{home}/.config/opencode", f"{home}/.config/opencode", True),
        Mount(f"{home}/.config/gh", f"{home}/.config/gh", False),
    }
    assert [link.path for link in sharing.links] == [".claude", ".codex", ".config/opencode", ".config/gh"]
    assert sharing.unlinked == ()
    assert not sharing.keys_shared


def test_gh_off(host: Host) -> None:
    sharing = plan(host, AGENTVM_MOUNT_GH_CONFIG="0")
    gh = Link(f"{host.home}/.config/gh", ".config/gh")
    assert sharing.unlinked == (gh,)
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
    assert points == {f"{host.home}/{name}" for name in names} | {PROJECT.root}


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
@pytest.mark.parametrize(
    ("name", "variable"),
    [(".gitconfig", "AGENTVM_MOUNT_GITCONFIG"), (".git-credentials", "AGENTVM_MOUNT_GIT_CREDENTIALS")],
)
def test_what_can_not_be_copied_is_an_error_that_names_the_way_out(
    host: Host, home: Path, make: object, reason: str, name: str, variable: str
) -> None:
    assert callable(make)
    make(home / name)
    with pytest.raises(Error, match=reason) as caught:
        plan(host)
    assert f"{home}/{name}" in caught.value.message
    assert f"{variable}=0" in caught.value.hint
