"""Putting back, where a guest swaps what it can meanwhile."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from agentvm.tripwire.restoring import put_back
from agentvm.tripwire.snapshot import Form

KNOWN = Form("file", 0o755, b"known")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path.resolve() / "web"
    (place / ".git/hooks").mkdir(parents=True)
    return place


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    place = tmp_path.resolve() / "outside"
    place.mkdir()
    (place / "pre-commit").write_text("the host's")
    return place


def test_a_file_with_its_permissions(root: Path) -> None:
    put_back(str(root), ".git/hooks/pre-commit", KNOWN)
    path = root / ".git/hooks/pre-commit"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"known", 0o755)
    assert os.listdir(root / ".git/hooks") == ["pre-commit"]


def test_a_directory_that_is_missing_is_made(root: Path) -> None:
    put_back(str(root), ".vscode/tasks.json", KNOWN)
    assert (root / ".vscode/tasks.json").read_bytes() == b"known"


def test_what_was_not_there_goes(root: Path) -> None:
    (root / ".envrc").write_text("evil")
    for path in (".envrc", ".envrc", ".none/at/all"):
        put_back(str(root), path, None)
    assert sorted(os.listdir(root)) == [".git"]


def test_a_link_that_was_there_before(root: Path) -> None:
    (root / ".envrc").write_text("evil")
    put_back(str(root), ".envrc", Form("link", 0, b"somewhere"))
    assert os.readlink(root / ".envrc") == "somewhere"


def test_a_link_is_replaced_and_not_written_through(root: Path, outside: Path) -> None:
    (root / ".envrc").symlink_to(outside / "pre-commit")
    put_back(str(root), ".envrc", KNOWN)
    assert not (root / ".envrc").is_symlink()
    assert (outside / "pre-commit").read_text() == "the host's"


@pytest.mark.parametrize("form", [KNOWN, None])
def test_nothing_is_written_or_removed_behind_a_link(root: Path, outside: Path, form: Form | None) -> None:
    (root / ".git/hooks").rmdir()
    (root / ".git/hooks").symlink_to(outside)
    with pytest.raises(OSError, match="directory"):
        put_back(str(root), ".git/hooks/pre-commit", form)
    assert (outside / "pre-commit").read_text() == "the host's"
    assert os.listdir(outside) == ["pre-commit"]


def test_while_the_directory_is_swapped_all_the_time(root: Path, outside: Path) -> None:
    """Whatever the moment, nothing outside changes, and no descriptor is lost."""
    hooks, aside = root / ".git/hooks", root / ".git/aside"
    ended = threading.Event()
    descriptors = len(os.listdir("/dev/fd"))

    def swap() -> None:
        while not ended.is_set():
            for step in (lambda: hooks.rename(aside), lambda: hooks.symlink_to(outside), hooks.unlink, hooks.mkdir):
                with suppress(OSError):
                    step()
            shutil.rmtree(aside, ignore_errors=True)

    guest = threading.Thread(target=swap)
    guest.start()
    try:
        for number in range(300):
            with suppress(OSError):
                put_back(str(root), ".git/hooks/pre-commit", KNOWN if number % 2 else None)
    finally:
        ended.set()
        guest.join()
    assert os.listdir(outside) == ["pre-commit"]
    assert (outside / "pre-commit").read_text() == "the host's"
    assert len(os.listdir("/dev/fd")) == descriptors
