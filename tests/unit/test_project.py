from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentvm.errors import UsageError
from agentvm.paths import is_below
from agentvm.project import Project, base_name, find_project, golden_name, instance_name

HOME = "/somewhere/someone"


@pytest.mark.parametrize(
    ("directory", "reason"),
    [
        *(
            (path, "of the system")
            for path in ("/", "/tmp", "/var/tmp", "/opt", "/usr/local", "/Users", "/private/var")
        ),
        ("/home", "of the system"),
        ("/home/else", "of the system"),
        *(
            (path, "belongs to the system")
            for path in ("/etc/nginx", "/usr/share/x", "/proc/1", "/lib64/x", "/System/x")
        ),
        ("/run/user/1000", "gone when the machine restarts"),
        (HOME, "it is your home directory"),
        ("/somewhere", "your home directory is in it"),
        *(
            (f"{HOME}/{path}", "by accident")
            for path in (".ssh", ".gnupg/x", ".aws", ".lima/default", ".cache/agentvm")
        ),
        (f"{HOME}/.config", "logins of many programs"),
    ],
)
def test_refused(directory: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        find_project(directory, HOME)
    assert caught.value.message.startswith(f"{directory} can't be a project: ")
    assert caught.value.hint


@pytest.mark.parametrize(
    "directory",
    [
        "/tmp/x",
        "/opt/w/web",
        "/srv/web",
        "/usr/local/src/web",
        "/usr/src/linux",
        "/run/media/someone/disk/web",
        "/home/else/web",
        "/etcetera/web",
        f"{HOME}2",
        f"{HOME}/web",
        f"{HOME}/.sshx",
        f"{HOME}/.config/nvim",
        f"{HOME}/.claude",
    ],
)
def test_accepted(directory: str) -> None:
    assert find_project(directory, HOME) == Project(directory)


@pytest.fixture
def git(home: Path) -> Callable[..., None]:
    """Run git without the user's own configuration."""

    def run(*words: str) -> None:
        identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"} | identity
        subprocess.run(["git", *words], env=environment, stdout=subprocess.DEVNULL, check=True)

    return run


def test_the_root_of_the_work_tree(home: Path) -> None:
    below = home / "web" / "src" / "deep"
    below.mkdir(parents=True)
    (home / "web" / ".git").mkdir()
    assert find_project(str(below), str(home)) == Project(str(home / "web"))


def test_a_repository_in_the_home_is_not_the_project(home: Path) -> None:
    (home / ".git").mkdir()
    (home / "web" / "src").mkdir(parents=True)
    assert find_project(str(home / "web" / "src"), str(home)) == Project(str(home / "web" / "src"))
    with pytest.raises(UsageError):
        find_project(str(home), str(home))


@pytest.fixture
def linked(home: Path, git: Callable[..., None]) -> Path:
    """A work tree made by `git worktree add`, beside its repository `main`."""
    git("init", "-q", str(home / "main"))
    git("-C", str(home / "main"), "commit", "-q", "--allow-empty", "-m", "first")
    git("-C", str(home / "main"), "worktree", "add", "-q", str(home / "side"))
    return home / "side"


def test_a_linked_work_tree_has_its_repository_beside_it(home: Path, linked: Path) -> None:
    expected = Project(str(linked), str(home / "main" / ".git"))
    assert find_project(str(linked), str(home)) == expected
    (linked / "src").mkdir()
    assert find_project(str(linked / "src"), str(home)) == expected


def test_a_linked_work_tree_with_relative_paths(home: Path, linked: Path) -> None:
    """As git writes it with worktree.useRelativePaths."""
    (linked / ".git").write_text("gitdir: ../main/.git/worktrees/side\n")
    (home / "main/.git/worktrees/side/gitdir").write_text("../../../../side/.git\n")
    assert find_project(str(linked), str(home)).git_directory == str(home / "main/.git")


def test_a_moved_work_tree_is_not_on_the_list(home: Path, linked: Path) -> None:
    linked.rename(home / "moved")
    assert find_project(str(home / "moved"), str(home)) == Project(str(home / "moved"))


# What a guest may have written at `.git` to be shown a directory that it was never given.


def point_at_the_directory(root: Path, victim: Path) -> None:
    (root / ".git").write_text(f"gitdir: {victim}\n")


def point_at_nothing_below_it(root: Path, victim: Path) -> None:
    (root / ".git").write_text(f"gitdir: {victim}/worktrees/mine\n")


def point_at_the_work_tree_of_another(root: Path, victim: Path) -> None:
    entry = victim / "worktrees" / "other"
    entry.mkdir(parents=True)
    (entry / "gitdir").write_text(f"{victim.parent}/other/.git\n")
    (root / ".git").write_text(f"gitdir: {entry}\n")


def point_at_an_entry_of_its_own(root: Path, victim: Path) -> None:
    own = root / "fake" / "worktrees" / "mine"
    own.mkdir(parents=True)
    (own / "gitdir").write_text(f"{root}/.git\n")
    (root / "fake" / "HEAD").write_text("ref: refs/heads/main\n")
    (root / ".git").write_text(f"gitdir: {own}\n")


def point_with_a_linked_list(root: Path, victim: Path) -> None:
    """An entry whose `gitdir` is a link to what the guest wrote."""
    entry = victim / "worktrees" / "mine"
    entry.mkdir(parents=True)
    (root / "list").write_text(f"{root}/.git\n")
    (entry / "gitdir").symlink_to(root / "list")
    (root / ".git").write_text(f"gitdir: {entry}\n")


def be_a_link(root: Path, victim: Path) -> None:
    entry = victim / "worktrees" / "mine"
    entry.mkdir(parents=True)
    (entry / "gitdir").write_text(f"{root}/.git\n")
    (root / "text").write_text(f"gitdir: {entry}\n")
    (root / ".git").symlink_to(root / "text")


def be_a_link_to_the_directory(root: Path, victim: Path) -> None:
    (root / ".git").symlink_to(victim)


def be_a_dangling_link(root: Path, victim: Path) -> None:
    (root / ".git").symlink_to(victim / "nothing")


def be_a_pipe(root: Path, victim: Path) -> None:
    os.mkfifo(root / ".git")


def be_empty(root: Path, victim: Path) -> None:
    (root / ".git").write_text("")


def be_binary(root: Path, victim: Path) -> None:
    (root / ".git").write_bytes(b"gitdir: \xff\xfe/worktrees/x\n")


def hold_a_nul(root: Path, victim: Path) -> None:
    (root / ".git").write_bytes(b"gitdir: ../victim\0/worktrees/mine\n")


def hold_a_nul_in_the_list(root: Path, victim: Path) -> None:
    entry = victim / "worktrees" / "mine"
    entry.mkdir(parents=True)
    (entry / "gitdir").write_bytes(b"/a\0b\n")
    (root / ".git").write_text(f"gitdir: {entry}\n")


def be_huge(root: Path, victim: Path) -> None:
    (root / ".git").write_text(f"gitdir: {'../' * 100_000}{victim}/worktrees/mine\n")


@pytest.mark.parametrize(
    "write",
    [
        point_at_the_directory,
        point_at_nothing_below_it,
        point_at_the_work_tree_of_another,
        point_at_an_entry_of_its_own,
        point_with_a_linked_list,
        be_a_link,
        be_a_link_to_the_directory,
        be_a_dangling_link,
        be_a_pipe,
        be_empty,
        be_binary,
        be_huge,
        hold_a_nul,
        hold_a_nul_in_the_list,
    ],
    ids=lambda write: write.__name__,
)
def test_a_guest_can_not_point_at_other_directories(home: Path, write: Callable[[Path, Path], None]) -> None:
    root, victim = home / "web", home / "victim"
    root.mkdir()
    victim.mkdir()
    (victim / "HEAD").write_text("ref: refs/heads/main\n")
    write(root, victim)
    assert find_project(str(root), str(home)) == Project(str(root))


def test_a_list_without_a_repository_is_not_enough(home: Path, linked: Path) -> None:
    (home / "main/.git/HEAD").unlink()
    assert find_project(str(linked), str(home)) == Project(str(linked))


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/w/web", "-web-"),
        ("/w/My Web App!", "-my-web-app-"),
        ("/w/a_very_long_name_of_a_project", "-a-very-long-name-of-"),
        ("/w/nineteen-letters-xy-z", "-nineteen-letters-xy-"),
        ("/w/日本", "-"),
        ("/w/--a--", "-a-"),
        ("/w/caf\udcc3", "-caf-"),
    ],
)
def test_names_are_readable(path: str, slug: str) -> None:
    assert re.fullmatch(f"agentvm{slug}[0-9a-f]{{8}}", instance_name("agentvm", path))


def test_names_are_of_the_whole_path() -> None:
    assert instance_name("agentvm", "/a/web") != instance_name("agentvm", "/b/web")
    assert instance_name("agentvm", "/a/web") == instance_name("agentvm", "/a/web")


@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"])))
def test_any_directory_gets_a_name_that_lima_takes(directory: str) -> None:
    name = instance_name("p", f"/w/{directory}")
    assert re.fullmatch(r"p(-[a-z0-9]+)+", name)
    assert len(name) <= len("p-") + 20 + len("-12345678")


def test_names_of_bases() -> None:
    assert (base_name("x"), golden_name("x", 12)) == ("x-base", "x-base-g12")


@pytest.mark.parametrize(
    ("path", "directory", "below"),
    [
        ("/a", "/a", True),
        ("/a/b", "/a", True),
        ("/a/b", "/", True),
        ("/", "/", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
    ],
)
def test_is_below(path: str, directory: str, below: bool) -> None:
    assert is_below(path, directory) is below
