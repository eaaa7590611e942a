"""Paths whose links change while they are looked at, lead in circles, or are relative."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentvm.paths import find_real
from tests.unit.test_untrusted import swapped


def test_a_link_that_is_taken_away_between_two_looks(home: Path) -> None:
    """Where os.path.realpath raises, as it does within a second here."""
    (home / "directory").mkdir()
    (home / "outside").mkdir()
    (home / "link").symlink_to("outside")
    with swapped(home / "directory", home / "link"):
        found = {find_real(f"{home}/directory/file") for _ in range(20_000)}
    assert found == {f"{home}/directory/file", f"{home}/outside/file"}


def test_links_without_end(home: Path) -> None:
    (home / "a").symlink_to("b")
    (home / "b").symlink_to("a")
    assert find_real(f"{home}/a/../file") == f"{home}/file"


@pytest.mark.parametrize("path", ["", ".", "link", "link/..", "none/below", "../home/link"])
def test_a_relative_path_counts_from_here(home: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (home / "outside/inner").mkdir(parents=True)
    (home / "link").symlink_to("outside/inner")
    monkeypatch.chdir(home)
    assert find_real(path) == os.path.realpath(path)
