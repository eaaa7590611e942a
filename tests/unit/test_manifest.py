from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agentvm.errors import UsageError
from agentvm.manifest import load_manifest, parse_packages


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("# only a comment\n\n   \n", ()),
        ("git\ncurl\n", ("git", "curl")),
        ("git curl # and more\njq", ("git", "curl", "jq")),
        ("git\r\ncurl\r\n", ("git", "curl")),
        ("git\njq\ngit\n", ("git", "jq")),
        ("g++ libstdc++6:amd64 nodejs=20.1~rc1-1 2to3", ("g++", "libstdc++6:amd64", "nodejs=20.1~rc1-1", "2to3")),
    ],
)
def test_packages(text: str, names: tuple[str, ...]) -> None:
    assert parse_packages(text, "list") == names


@pytest.mark.parametrize(
    "name", ["-y", "--reinstall", "Git", "a", "git;id", "$(id)", "git/stable", "../x.deb", "ünï", "*"]
)
def test_what_is_no_package_is_named_with_its_line(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_packages(f"git\n# comment\n{name}\n", "list")
    assert caught.value.message == f"list, line 3: {name!r} is not the name of a package."


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A manifest of one's own."""
    path = tmp_path / "manifest"
    (path / "scripts").mkdir(parents=True)
    (path / "apt-packages.txt").write_text("git # the one\n")
    return path


def test_the_packaged_manifest() -> None:
    manifest = load_manifest("")
    assert manifest.source == "the packaged manifest"
    assert {"git", "curl"} <= set(manifest.packages)
    assert [script.name for script in manifest.scripts] == sorted(script.name for script in manifest.scripts)
    assert all(script.content.startswith(b"#!/bin/sh\n") for script in (*manifest.guest_scripts, *manifest.scripts))


def test_ones_own_manifest_keeps_what_agentvm_itself_needs(directory: Path) -> None:
    manifest = load_manifest(str(directory))
    assert manifest.packages == ("git",)
    assert manifest.guest_scripts == load_manifest("").guest_scripts != ()


def test_scripts_are_in_lexical_order_and_other_files_are_not_scripts(directory: Path) -> None:
    for name in ("20-b.sh", "10-a.sh", "100-c.sh", "README.md", ".hidden.sh", "10-a.sh~"):
        (directory / "scripts" / name).write_bytes(name.encode() + b"\xff")
    scripts = load_manifest(str(directory)).scripts
    assert [script.name for script in scripts] == ["10-a.sh", "100-c.sh", "20-b.sh"]
    assert [script.content for script in scripts] == [script.name.encode() + b"\xff" for script in scripts]


def test_there_may_be_no_scripts(directory: Path) -> None:
    (directory / "scripts").rmdir()
    assert load_manifest(str(directory)).scripts == ()


def without_a_list(directory: Path) -> None:
    (directory / "apt-packages.txt").unlink()


def with_a_list_that_is_a_directory(directory: Path) -> None:
    without_a_list(directory)
    (directory / "apt-packages.txt").mkdir()


def with_a_list_that_is_no_text(directory: Path) -> None:
    (directory / "apt-packages.txt").write_bytes(b"\xff\xfe")


def with_a_list_that_is_too_large(directory: Path) -> None:
    (directory / "apt-packages.txt").write_bytes(b"git\n" * 300_000)


def with_a_wrong_package(directory: Path) -> None:
    (directory / "apt-packages.txt").write_text("-y\n")


def with_a_script_of_a_strange_name(directory: Path) -> None:
    (directory / "scripts" / "1 2.sh").write_text("")


def with_a_script_that_is_a_directory(directory: Path) -> None:
    (directory / "scripts" / "1.sh").mkdir()


def with_a_script_that_is_nowhere(directory: Path) -> None:
    (directory / "scripts" / "1.sh").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (without_a_list, "there is no apt-packages.txt in it"),
        (with_a_list_that_is_a_directory, "there is no apt-packages.txt in it"),
        (with_a_list_that_is_no_text, "can't be read"),
        (with_a_list_that_is_too_large, "larger than"),
        (with_a_wrong_package, "apt-packages.txt, line 1: '-y'"),
        (with_a_script_of_a_strange_name, "'1 2.sh' can't be the name of a script"),
        (with_a_script_that_is_a_directory, "Is a directory"),
        (with_a_script_that_is_nowhere, "No such file"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_manifest_with_a_mistake(directory: Path, spoil: Callable[[Path], None], part: str) -> None:
    spoil(directory)
    with pytest.raises(UsageError) as caught:
        load_manifest(str(directory))
    assert part in caught.value.message
    assert caught.value.hint


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_manifest(str(tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in caught.value.message
    assert "AGENTVM_BASE_MANIFEST_DIR" in caught.value.hint


def test_the_directory_may_be_relative(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    assert load_manifest("manifest").source == os.path.abspath(directory)
