"""Files of this computer in directories where a guest is at work."""

from __future__ import annotations

import itertools
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from agentvm.errors import Error
from agentvm.hosttree import Landing, located, opened_directory, walk


@pytest.fixture
def shared(home: Path) -> Path:
    directory = home / "shared"
    directory.mkdir()
    return directory


def reach(path: Path | str, *shared: Path) -> str:
    """Where it leads, by the descriptor."""
    with located(str(path), tuple(map(str, shared))) as (directory, name):
        return os.path.join(os.readlink(f"/proc/self/fd/{directory}"), name)


def test_paths_lead_where_they_say(home: Path, shared: Path) -> None:
    (shared / "a" / "b").mkdir(parents=True)
    (home / "link").symlink_to("shared/a")
    (home / "round").symlink_to(shared)
    assert reach(shared / "a" / "new", shared) == str(shared / "a" / "new")
    assert reach(f"{shared}//a/./b/../new", shared) == str(shared / "a" / "new")
    assert reach(home / "link" / "b", shared) == str(shared / "a" / "b")
    assert reach(home / "round" / "a" / "x", shared) == str(shared / "a" / "x")
    assert reach(home / "link", shared) == str(shared / "a")
    assert reach("/") == "/."


def test_a_link_that_a_guest_can_make_is_not_followed(home: Path, shared: Path) -> None:
    (home / "secret").mkdir()
    (shared / "deep").mkdir()
    (shared / "out").symlink_to(home / "secret")
    (shared / "deep" / "out").symlink_to("../../secret")
    (home / "way").symlink_to("shared/out")
    for path in ("shared/out", "shared/out/x", "shared/deep/out", "shared/deep/../out/x", "way", "way/x"):
        with pytest.raises(Error, match="a VM can write"):
            reach(home / path, shared)
        assert "secret" in reach(home / path)


def test_a_circle_and_what_is_not_there_are_told(home: Path) -> None:
    (home / "a").symlink_to("b")
    (home / "b").symlink_to("a")
    (home / "file").write_text("")
    with pytest.raises(Error, match="in a circle"):
        reach(home / "a")
    with pytest.raises(Error, match="can't be opened"):
        reach(home / "absent" / "x")
    with pytest.raises(Error, match="can't be opened"):
        reach(home / "file" / "x")


def test_a_tree_is_walked_without_following(home: Path) -> None:
    tree = home / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "file").write_text("content")
    (tree / "link").symlink_to("/etc")
    os.mkfifo(tree / "pipe")
    with opened_directory(str(home), ()) as directory:
        found = [(one.path, one.target, one.descriptor >= 0) for one in walk(directory, "tree")]
        assert list(walk(directory, "absent")) == []
    assert found == [
        (("tree",), "", False),
        (("tree", "inner"), "", False),
        (("tree", "inner", "file"), "", True),
        (("tree", "link"), "/etc", False),
        (("tree", "pipe"), "", False),
    ]


def put(directory: Path, path: tuple[str, ...], content: bytes = b"new") -> None:
    with (
        opened_directory(str(directory), ()) as descriptor,
        Landing(descriptor, str(directory)).new_file(path, 0o644) as file,
    ):
        os.write(file, content)


def test_a_file_takes_the_place_of_another_and_of_a_link(home: Path) -> None:
    (home / "old").write_text("old")
    (home / "kept").write_text("kept")
    (home / "link").symlink_to("kept")
    os.mkfifo(home / "pipe")
    for name in ("old", "link", "pipe"):
        put(home, (name,))
        assert (home / name).read_text() == "new"
        assert not (home / name).is_symlink()
    assert (home / "kept").read_text() == "kept"


def test_what_is_in_the_way_is_told(home: Path) -> None:
    (home / "link").symlink_to("/tmp")
    (home / "file").write_text("")
    (home / "directory").mkdir()
    for path in (("link", "x"), ("file", "x")):
        with pytest.raises(Error, match="is no directory; a link is not followed"):
            put(home, path)
    with pytest.raises(Error, match="can't be written"):
        put(home, ("directory",))
    with pytest.raises(Error, match="can't be written"):
        put(home, ("x" * 300,))
    assert sorted(os.listdir(home)) == ["directory", "file", "link"]


def test_half_a_file_is_taken_away(home: Path) -> None:
    with opened_directory(str(home), ()) as descriptor:
        landing = Landing(descriptor, str(home))
        with pytest.raises(KeyboardInterrupt), landing.new_file(("a", "b"), 0o644):
            raise KeyboardInterrupt
    assert list((home / "a").iterdir()) == []


def test_a_guest_that_swaps_directories_for_links_gains_nothing(home: Path, shared: Path) -> None:
    """For as long as a thousand files take, `inner` is now a directory and now a link to another place."""
    secret = home / "secret"
    secret.mkdir()
    done = threading.Event()

    def swap() -> None:
        for number in itertools.count():
            # Any of these may come too late: the other side makes the directory, too.
            with suppress(OSError):
                os.rename(shared / "inner", shared / f"aside{number}")
                (shared / "inner").symlink_to(secret)
                os.unlink(shared / "inner")
            if done.is_set():
                return

    (shared / "inner").mkdir()
    guest = threading.Thread(target=swap)
    guest.start()
    try:
        for number in range(1000):
            with suppress(Error):
                put(shared, ("inner", f"file{number}"))
    finally:
        done.set()
        guest.join()
    assert list(secret.iterdir()) == []
    assert list(shared.glob("*/file*"))
