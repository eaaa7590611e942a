"""Files that are there whole or not at all, also beside other writers and after killed ones."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from agentvm.errors import Error
from agentvm.files import allocated, make_private_directory, remove_file, write_atomically


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_directories_are_private_and_those_that_are_there_stay_as_they_are(tmp_path: Path, mask: int) -> None:
    tmp_path.chmod(0o755)
    before = os.umask(mask)
    try:
        make_private_directory(str(tmp_path / "a" / "b"))
        make_private_directory(str(tmp_path / "a" / "b"))
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")]
    assert modes == [0o755, 0o700, 0o700]


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Error, match="can't be made: Not a directory"):
        make_private_directory(str(tmp_path / "file" / "below"))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Read over and over while it is written: there is never a mixture, nor nothing."""
    path = tmp_path / "file"
    contents = [bytes([letter]) * 100_000 for letter in b"ab"]
    write_atomically(str(path), contents[0])
    done = threading.Event()
    seen = set()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(50):
            write_atomically(str(path), contents[number % 2])
    finally:
        done.set()
        reader.join()
    assert seen <= set(contents)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_file_that_can_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(Error, match="can't be written: Is a directory"):
        write_atomically(str(tmp_path / "file"), b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_removing_twice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for _ in range(2):
        remove_file(str(tmp_path / "file"))
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_is_no_obstacle_and_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_text("a longer text that is not whole")
    write_atomically(str(tmp_path / "file"), b"whole")
    assert (tmp_path / "file").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_many_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    contents = [bytes([number]) * 50_000 for number in range(8)]

    def write(content: bytes) -> None:
        for _ in range(5):
            write_atomically(str(tmp_path / "file"), content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_holes_are_not_allocated(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    with open(tmp_path / "below" / "file", "wb") as file:
        file.write(os.urandom(100_000))
        file.truncate(2**30)
        os.fsync(file.fileno())
    (tmp_path / "loop").symlink_to(tmp_path)
    assert 100_000 <= allocated(str(tmp_path)) < 300_000
    assert allocated(str(tmp_path / "nothing")) == 0
