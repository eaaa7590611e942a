"""A tar stream that somebody else wrote: what tarfile writes is read, and nothing else does harm."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentvm.errors import Error
from agentvm.tarstream import DIRECTORY, FILE, OTHER, Member, read_members

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=150)
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4).map(tuple)
FILES = st.lists(st.tuples(PATHS, st.binary(max_size=1500)), max_size=5)


def read_all(stream: bytes, most: int = 1000) -> list[tuple[Member, bytes]]:
    file = io.BytesIO(stream)
    return [(member, b"".join(content)) for member, content in read_members(lambda size: file.read(min(size, most)))]


def write(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT], ids=["gnu", "pax"])
@settings(deadline=None)
@given(files=FILES, most=st.integers(1, 3000))
def test_what_was_written_is_read(form: int, files: list[tuple[tuple[str, ...], bytes]], most: int) -> None:
    stream = write(*((tarfile.TarInfo("/".join(path)), content) for path, content in files), form=form)
    found = read_all(stream, most)
    assert [(member.path, content) for member, content in found] == files
    assert all(member.kind == FILE for member, _ in found)


def test_ustar_splits_a_long_name() -> None:
    name = "/".join("x" * 40 for _ in range(4))
    ((member, _),) = read_all(write((tarfile.TarInfo(name), b""), form=tarfile.USTAR_FORMAT))
    assert "/".join(member.path) == name


def test_a_size_beyond_eight_gigabytes_is_a_number() -> None:
    member = tarfile.TarInfo("large")
    member.size = 2**40
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        stream = io.BytesIO(member.tobuf(form))
        (first, _content) = next(read_members(stream.read))
        assert first.size == 2**40


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (tarfile.REGTYPE, FILE),
        (tarfile.AREGTYPE, FILE),
        (tarfile.CONTTYPE, FILE),
        (tarfile.DIRTYPE, DIRECTORY),
        (tarfile.SYMTYPE, OTHER),
        (tarfile.LNKTYPE, OTHER),
        (tarfile.CHRTYPE, OTHER),
        (tarfile.FIFOTYPE, OTHER),
        (b"Z", OTHER),
    ],
)
def test_the_kinds(kind: bytes, wanted: str) -> None:
    member = tarfile.TarInfo("name")
    member.type, member.linkname, member.mode = kind, "/etc/passwd", 0o7777
    ((found, _),) = read_all(write((member, b"")))
    assert found == Member(wanted, ("name",), 0o777, 0)


def test_content_that_nobody_reads_is_passed_over() -> None:
    stream = io.BytesIO(write((tarfile.TarInfo("a"), bytes(5000)), (tarfile.TarInfo("b"), b"b")))
    assert [member.path for member, _ in read_members(stream.read)] == [("a",), ("b",)]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "a/..", "a\0b"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    header = extension(b"x", record("path", name)) + tarfile.TarInfo("a").tobuf() + bytes(1024)
    with pytest.raises(Error, match="leads elsewhere"):
        read_all(header)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def extension(kind: bytes, content: bytes, size: int | None = None) -> bytes:
    member = tarfile.TarInfo("extension")
    member.type, member.size = kind, len(content) if size is None else size
    return member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"x" * 512,
        tarfile.TarInfo("a").tobuf(),
        tarfile.TarInfo("a").tobuf()[:511],
        extension(b"L", b"", size=2**33),
        extension(b"x", b"", size=2**20),
        extension(b"x", b"99 path=a\n"),
        extension(b"x", b"0 path=a\n"),
        extension(b"x", b"-1 path=a\n"),
        extension(b"x", b"path=a\n"),
        extension(b"x", record("GNU.sparse.realsize", "1000000000000")),
        extension(b"x", record("size", "-1")) + tarfile.TarInfo("a").tobuf(),
        extension(b"x", record("size", "9" * 18)) + tarfile.TarInfo("a").tobuf(),
        extension(b"S", b""),
    ],
    ids=lambda stream: repr(stream[512:540]),
)
def test_what_is_no_tar_is_an_error(stream: bytes) -> None:
    with pytest.raises(Error):
        read_all(stream)


@settings(deadline=None)
@given(st.binary(max_size=4000), st.integers(0, 2000), st.binary(min_size=1, max_size=20))
def test_noise_is_an_error_or_members(noise: bytes, place: int, other: bytes) -> None:
    whole = write((tarfile.TarInfo("a" * 120), b"content"))
    for stream in (noise, whole[:place] + other + whole[place + len(other) :], whole[:place]):
        try:
            read_all(stream)
        except Error:
            continue
