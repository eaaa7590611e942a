"""A home directory through real tars, and what a guest may send instead of one."""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from agentvm.errors import Error
from agentvm.homecopy import PACK, UNPACK, copy_home

ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    return source, target


def copy(source: Path, target: Path, pack: str = PACK, unpack: str = UNPACK) -> None:
    words = (("/bin/sh", "-c", pack, "sh", str(source)), ("/bin/sh", "-c", unpack, "sh", str(target)))
    copy_home(*words, ENVIRONMENT, lambda total: None)


def send(content: bytes, target: Path) -> None:
    """As if a guest answered with these bytes."""
    (target.parent / "sent").write_bytes(content)
    copy(target.parent / "sent", target, pack='exec cat "$1"')


def archive(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for member in members:
            made.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size, made.mode = kind, link, size, 0o644
    return made


def test_a_home_arrives_as_it_was(homes: tuple[Path, Path]) -> None:
    source, target = homes
    (source / "it's" / "größe\n-x").mkdir(parents=True)
    (source / "it's" / "größe\n-x" / "file").write_bytes(os.urandom(100_000))
    (source / "it's").chmod(0o700)
    (source / "link").symlink_to("/nowhere")
    os.link(source / "it's" / "größe\n-x" / "file", source / "twice")
    os.utime(source / "twice", (1000, 1000))
    os.mkfifo(source / "pipe")
    copy(source, target)
    assert sorted(os.listdir(target)) == ["it's", "link", "pipe", "twice"]
    assert (target / "twice").read_bytes() == (source / "twice").read_bytes()
    assert (target / "twice").stat().st_mtime == 1000
    assert (target / "twice").stat().st_nlink == 2
    assert (target / "it's").stat().st_mode & 0o777 == 0o700
    assert os.readlink(target / "link") == "/nowhere"


def test_what_was_there_is_gone_but_for_the_way_in(homes: tuple[Path, Path]) -> None:
    source, target = homes
    for home, key in ((source, "theirs"), (target, "ours")):
        (home / ".ssh").mkdir()
        (home / ".ssh" / "authorized_keys").write_text(key)
    (source / ".ssh" / "config").write_text("kept")
    (target / ".ssh" / "stale").write_text("")
    (target / "old" / "deep").mkdir(parents=True)
    copy(source, target)
    assert os.listdir(target) == [".ssh"]
    assert (target / ".ssh" / "authorized_keys").read_text() == "ours"
    assert sorted(os.listdir(target / ".ssh")) == ["authorized_keys", "config"]


def test_what_leads_out_of_the_home_is_followed_by_nobody(homes: tuple[Path, Path]) -> None:
    source, target = homes
    outside = target.parent / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    (target / "link").symlink_to(outside)
    (source / "link").symlink_to(outside)
    copy(source, target)
    assert (outside / "file").read_text() == "mine"
    assert (target / "link").is_symlink()


@pytest.mark.parametrize(
    "members",
    [
        (member("../escaped", size=3),),
        (member("/escaped", size=3),),
        (member("a", tarfile.SYMTYPE, ".."), member("a/escaped", size=3)),
        (member("a/../../escaped", size=3),),
    ],
    ids=["up", "absolute", "through a link", "up from below"],
)
def test_an_archive_that_was_made_to_escape_stays_in_the_home(
    homes: tuple[Path, Path], members: tuple[tarfile.TarInfo, ...]
) -> None:
    _, target = homes
    # tar refuses the member, or strips what leads out of it.
    with suppress(Error):
        send(archive(*members), target)
    assert not (target.parent / "escaped").exists()
    assert not Path("/escaped").exists()


@pytest.mark.parametrize("content", [b"no archive", archive(member("a", size=2000))[:1500], b""])
def test_what_is_no_whole_archive_is_a_failure(homes: tuple[Path, Path], content: bytes) -> None:
    with pytest.raises(Error) as caught:
        send(content, homes[1])
    assert caught.value.message.startswith("The home directory could not be written: ")


def test_a_source_that_fails_is_a_failure(homes: tuple[Path, Path]) -> None:
    source, target = homes
    (source / "file").write_text("")
    with pytest.raises(Error) as caught:
        copy(source, target, pack=f"{PACK.replace('exec ', '')}; echo 'disk: broken' >&2; exit 2")
    assert caught.value.message == "The home directory could not be read: disk: broken."


def test_a_file_that_changed_meanwhile_is_none(homes: tuple[Path, Path]) -> None:
    source, target = homes
    (source / "file").write_text("")
    copy(source, target, pack=f"{PACK.replace('exec ', '')}; exit 1")
    assert (target / "file").exists()
