"""Reading the places on a real file system, and what a guest may have put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentvm.tripwire.directories import MOST_NAMES, walk
from agentvm.tripwire.places import TABLE, Area, Root
from agentvm.tripwire.snapshot import LARGEST, Form, take


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with a repository."""
    place = tmp_path.resolve() / "web"
    make_repository(place / ".git")
    return place


def make_repository(place: Path) -> None:
    for name in ("objects", "refs", "hooks", "info"):
        (place / name).mkdir(parents=True)
    (place / "HEAD").write_text("ref: refs/heads/main\n")
    (place / "config").write_text("[core]\n\tbare = false\n")


def look(tree: Path, area: Area = Area.TREE) -> dict[str, Form]:
    return {path: seen.form for path, seen in take(Root(str(tree), area), {}).items()}


def put(path: Path, text: str = "x", mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


@pytest.mark.parametrize("area", list(Area))
def test_every_place_of_the_table_is_looked_at(tmp_path: Path, area: Area) -> None:
    root = tmp_path.resolve()
    for place in TABLE[area]:
        path = root / place.pattern.replace("*", "any")
        if place.pattern != ".git":
            put(path)
    found = look(root, area)
    assert sorted(found) == sorted(p.pattern.replace("*", "any") for p in TABLE[area] if p.pattern != ".git")
    assert all(form.content == b"x" for form in found.values())


def test_samples_of_hooks_are_none(tree: Path) -> None:
    put(tree / ".git/hooks/pre-commit.sample")
    put(tree / ".git/hooks/pre-commit", "hook", 0o755)
    assert look(tree)[".git/hooks/pre-commit"] == Form("file", 0o755, b"hook")
    assert sorted(look(tree)) == [".git/config", ".git/hooks/pre-commit"]


@pytest.mark.parametrize("path", [".envrc", ".git/config", ".git/hooks/pre-commit", ".claude/settings.json"])
def test_a_link_is_told_and_not_followed(tree: Path, tmp_path: Path, path: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    put(tree / path)
    (tree / path).unlink()
    (tree / path).symlink_to(secret)
    assert look(tree)[path] == Form("link", 0, os.fsencode(secret))


@pytest.mark.parametrize("directory", [".git", ".git/hooks", ".claude", ".vscode"])
def test_a_directory_that_became_a_link_is_told_and_not_entered(tree: Path, tmp_path: Path, directory: str) -> None:
    outside = tmp_path / "outside"
    for name in ("hooks/pre-commit", "config", "settings.json", "pre-commit"):
        put(outside / name, "secret")
    if (tree / directory).exists():
        (tree / directory).rename(tmp_path / "moved")
    (tree / directory).symlink_to(outside)
    found = look(tree)
    assert found[directory] == Form("link", 0, os.fsencode(outside))
    assert all(form.content != b"secret" for form in found.values())


def test_what_a_link_names_in_the_same_tree_counts(tree: Path) -> None:
    put(tree / "scripts/hook", "echo hi")
    (tree / ".git/hooks/pre-commit").symlink_to("../../scripts/hook")
    assert look(tree)["scripts/hook"].content == b"echo hi"


def test_nothing_waits_for_a_pipe_or_a_socket(tree: Path) -> None:
    os.mkfifo(tree / ".envrc")
    os.mkfifo(tree / ".git/hooks/pre-commit")
    found = look(tree)
    assert found[".envrc"].name == found[".git/hooks/pre-commit"].name == "other"


def test_too_large_is_told_and_noticed_when_it_changes(tree: Path) -> None:
    put(tree / ".envrc", "x" * (LARGEST + 1))
    before = look(tree)[".envrc"]
    assert before.name == "large"
    os.utime(tree / ".envrc", ns=(1, 1))
    assert look(tree)[".envrc"] != before, "though a guest can set the other times"


def test_too_much_in_all_is_told(tree: Path) -> None:
    for number in range(12):
        put(tree / f".git/hooks/hook-{number}", "x" * LARGEST)
    names = [form.name for path, form in look(tree).items() if "hook-" in path]
    assert set(names) == {"file", "large"}


def test_too_many_names_are_told(tree: Path) -> None:
    for number in range(MOST_NAMES + 1):
        (tree / f".git/hooks/hook-{number}").touch()
    assert look(tree)[".git/hooks/*"].name == "crowded"


def test_too_many_places_are_told(tree: Path) -> None:
    for directory in range(60):
        for number in range(60):
            put(tree / f".git/modules/m-{directory}/hooks/h-{number}", "")
    assert look(tree)["*"].name == "crowded"


def test_a_name_is_never_a_pattern(tree: Path) -> None:
    put(tree / "*/hook", "real")
    put(tree / "other/hook", "not meant")
    put(tree / ".git/config", '[core]\nhooksPath = "*"\n')
    found = look(tree)
    assert found["*/hook"].content == b"real"
    assert "other/hook" not in found


@pytest.mark.parametrize("value", [".hooks", "./.hooks/", "a/../.hooks", "{tree}/.hooks"])
def test_hooks_where_the_configuration_says(tree: Path, value: str) -> None:
    put(tree / ".hooks/pre-commit", "hook")
    put(tree / ".git/config", f"[core]\n\thooksPath = {value.format(tree=tree)}\n")
    assert look(tree)[".hooks/pre-commit"].content == b"hook"


@pytest.mark.parametrize("value", ["..", "../other", "/etc", "~/hooks", ".", ""])
def test_hooks_outside_the_tree_are_not_read(tree: Path, value: str) -> None:
    put(tree.parent / "other/pre-commit", "secret")
    put(tree / ".git/config", f"[core]\n\thooksPath = {value}\n")
    assert sorted(look(tree)) == [".git/config"]


def test_what_the_configuration_includes_counts(tree: Path) -> None:
    put(tree / ".git/config", "[include]\n\tpath = ../.gitconfig\n")
    put(tree / ".gitconfig", "[include]\n\tpath = deeper/config\n")
    put(tree / "deeper/config", "[include]\n\tpath = ../.gitconfig\n")
    assert {".gitconfig", "deeper/config"} <= look(tree).keys()


@pytest.mark.parametrize("at", ["", "tool", "tool.git", "sub/.git"])
def test_repositories_near_the_top_are_seen(tmp_path: Path, at: str) -> None:
    make_repository(tmp_path.resolve() / at)
    put(tmp_path / at / "hooks/post-checkout", "evil")
    found = look(tmp_path.resolve())
    assert {os.path.join(at, "config"), os.path.join(at, "hooks/post-checkout")} <= found.keys()


@pytest.mark.parametrize("pointer", [".git", "sub/.git"])
def test_where_a_git_file_says(tmp_path: Path, pointer: str) -> None:
    tree = tmp_path.resolve()
    make_repository(tree / "deep/down/real")
    put(tree / pointer, f"gitdir: {os.path.relpath(tree / 'deep/down/real', (tree / pointer).parent)}\n")
    assert {pointer, "deep/down/real/config"} <= look(tree).keys()
    put(tree / pointer, "gitdir: /etc\n")
    assert look(tree).keys() == {pointer}


def test_hooks_of_a_repository_right_below_are_its_own(tree: Path) -> None:
    make_repository(tree / "sub/.git")
    put(tree / "sub/.git/config", "[core]\n\thooksPath = mine\n")
    put(tree / "sub/mine/pre-commit", "hook")
    assert "sub/mine/pre-commit" in look(tree)


def test_a_walk_finds_repositories_anywhere(tree: Path, tmp_path: Path) -> None:
    make_repository(tree / "a/b/c/bare")
    make_repository(tree / "a/d/.git")
    make_repository(tmp_path / "outside/bare")
    (tree / "link").symlink_to(tmp_path / "outside")
    found = walk(str(tree), 20)
    assert sorted(found.found) == ["a/b/c/bare/", "a/d/.git/"]
    assert found.whole


def test_a_walk_ends_in_its_time(tree: Path) -> None:
    assert not walk(str(tree), 0).whole


def test_a_root_that_is_a_link_or_gone(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert look(tmp_path.resolve() / "link") == {}
    assert look(tmp_path.resolve() / "none") == {}
